// trace_check FILE RANKS: is this file a trace of so many ranks that a viewer can show? It is JSON,
// an array of events; a process is a rank and has a name, as every thread has one; spans of a
// thread are one within the other or apart; kernels and collectives name model lines, and stand in
// a function, which stands in a step; or alone on a track of their own, a stream's. With --open the
// array's end may be missing: of a run that broke off. Prints what there is: a line a rank, and a
// line for each function of rank 0, with its calls and its kernels in all of them.
#include "runtime/file.h"
#include "runtime/json.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME = 256, DEEP = 16, FUNCTIONS = 256, RANKS = 64, TRACKS = 64 };

typedef struct event {
    char name[NAME], kind[32];
    int64_t rank, track, begin, end; // ns
    bool has_model;
} event;

typedef struct function {
    char name[NAME];
    int64_t calls, kernels;
} function;

typedef struct rank {
    bool named;
    bool track_named[TRACKS];
    int64_t steps, functions, kernels, shares, collectives, messages;
} rank;

typedef struct check {
    nm_json doc;
    event *span;
    int n_spans, n_functions;
    int64_t ranks;
    rank rank[RANKS];
    function function[FUNCTIONS];
} check;

static _Noreturn void fail(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "error: ");
    vfprintf(stderr, fmt, ap);
    fprintf(stderr, "\n");
    va_end(ap);
    exit(1);
}

// --- reading -------------------------------------------------------------------------------------

static void text(const check *c, int node, const char *key, char *out, size_t cap)
{
    if (!nm_json_string(&c->doc, nm_json_get(&c->doc, node, key), out, cap))
        fail("an event without %s", key);
}

static int64_t whole(const check *c, int node, const char *key)
{
    int64_t n;
    if (!nm_json_int(&c->doc, nm_json_get(&c->doc, node, key), &n) || n < 0)
        fail("an event without a number %s", key);
    return n;
}

// Microseconds with three places, as whole nanoseconds.
static int64_t nanoseconds(const check *c, int node, const char *key)
{
    int at = nm_json_get(&c->doc, node, key);
    long long us;
    int ns, n = 0;
    if (at < 0 || sscanf(c->doc.node[at].text, "%lld.%3d%n", &us, &ns, &n) != 2 || us < 0 ||
        n != (int)c->doc.node[at].n_text)
        fail("an event's %s is no time", key);
    return us * 1000 + ns;
}

static rank *rank_of(check *c, const event *x)
{
    if (x->rank >= c->ranks || x->track >= TRACKS)
        fail("'%s' is of rank %lld, track %lld", x->name, (long long)x->rank, (long long)x->track);
    return &c->rank[x->rank];
}

static void read_label(check *c, const event *x)
{
    rank *r = rank_of(c, x);
    r->named = r->named || strcmp(x->name, "process_name") == 0;
    if (strcmp(x->name, "thread_name") == 0)
        r->track_named[x->track] = true;
}

static void read_span(check *c, int node, event *x)
{
    text(c, node, "cat", x->kind, sizeof x->kind);
    x->begin = nanoseconds(c, node, "ts");
    x->end = x->begin + nanoseconds(c, node, "dur");
    x->has_model = nm_json_get(&c->doc, nm_json_get(&c->doc, node, "args"), "model") >= 0;
    if (!rank_of(c, x)->named || !rank_of(c, x)->track_named[x->track])
        fail("'%s': its rank or track has no name yet", x->name);
    c->span[c->n_spans++] = *x;
}

static void read_events(check *c)
{
    char phase[8];
    c->span = calloc((size_t)c->doc.n + 1, sizeof *c->span);
    if (!c->span || c->doc.node[0].kind != NM_JSON_ARRAY)
        fail("the file is no array of events");
    for (int i = nm_json_first(&c->doc, 0); i >= 0; i = c->doc.node[i].next) {
        event x = {0};
        text(c, i, "name", x.name, sizeof x.name);
        text(c, i, "ph", phase, sizeof phase);
        x.rank = whole(c, i, "pid");
        x.track = whole(c, i, "tid");
        if (*phase == 'M')
            read_label(c, &x);
        else if (*phase == 'X')
            read_span(c, i, &x);
        else if (*phase != 'C')
            fail("'%s' is an event %s", x.name, phase);
    }
}

// --- checking ------------------------------------------------------------------------------------

static int compare(const void *a, const void *b)
{
    const event *x = a, *y = b;
    const int64_t key[][2] = {
        {x->rank, y->rank}, {x->track, y->track}, {x->begin, y->begin}, {y->end, x->end}};
    for (int i = 0; i < 4; i++)
        if (key[i][0] != key[i][1])
            return key[i][0] < key[i][1] ? -1 : 1;
    return 0;
}

static bool is(const event *x, const char *kind) { return strcmp(x->kind, kind) == 0; }

static function *function_of(check *c, const char *name)
{
    int i = 0;
    while (i < c->n_functions && strcmp(c->function[i].name, name) != 0)
        i++;
    if (i == FUNCTIONS)
        fail("too many functions");
    if (i == c->n_functions) {
        c->n_functions++;
        strcpy(c->function[i].name, name);
    }
    return &c->function[i];
}

static void count(check *c, const event *x, const event *function)
{
    rank *r = &c->rank[x->rank];
    r->steps += is(x, "step");
    r->functions += is(x, "function");
    r->kernels += is(x, "kernel");
    r->shares += is(x, "share");
    r->collectives += is(x, "collective");
    r->messages += is(x, "message");
    if (x->rank == 0 && is(x, "function"))
        function_of(c, x->name)->calls++;
    if (x->rank == 0 && is(x, "kernel") && function)
        function_of(c, function->name)->kernels++;
}

// outer: [n] the spans around x, the outermost first.
static void check_span(check *c, const event *x, const event *const *outer, int n)
{
    const event *function = NULL;
    if (n && x->end > outer[n - 1]->end)
        fail("rank %lld, track %lld: '%s' begins within '%s' and ends behind it",
             (long long)x->rank, (long long)x->track, x->name, outer[n - 1]->name);
    if ((is(x, "kernel") || is(x, "collective")) && (!x->has_model || !strchr(x->name, ':')))
        fail("'%s' does not say its model line", x->name);
    for (int i = 0; i < n; i++)
        function = is(outer[i], "function") ? outer[i] : function;
    if (is(x, "kernel") && n && !function)
        fail("the kernel '%s' is in no function", x->name);
    if (is(x, "function") && (!n || !is(outer[0], "step")))
        fail("the function '%s' is in no step", x->name);
    count(c, x, function);
}

static void check_spans(check *c)
{
    const event *outer[DEEP];
    int n = 0;
    qsort(c->span, (size_t)c->n_spans, sizeof *c->span, compare);
    for (int i = 0; i < c->n_spans; i++) {
        const event *x = &c->span[i];
        while (n && (outer[n - 1]->rank != x->rank || outer[n - 1]->track != x->track ||
                     outer[n - 1]->end <= x->begin))
            n--;
        check_span(c, x, outer, n);
        if (n == DEEP)
            fail("spans are more than %d deep", DEEP);
        outer[n++] = x;
    }
}

static void print(const check *c)
{
    for (int i = 0; i < c->ranks; i++) {
        const rank *r = &c->rank[i];
        if (!r->steps)
            fail("rank %d has no step", i);
        printf("rank %d: %lld steps, %lld functions, %lld kernels, %lld shares, %lld collectives, "
               "%lld messages\n",
               i, (long long)r->steps, (long long)r->functions, (long long)r->kernels,
               (long long)r->shares, (long long)r->collectives, (long long)r->messages);
    }
    for (int i = 0; i < c->n_functions; i++)
        printf("function %s: %lld calls, %lld kernels\n", c->function[i].name,
               (long long)c->function[i].calls, (long long)c->function[i].kernels);
}

// The file's text; with `ends` false, with what its array lacks.
static char *read_text(const char *path, bool ends)
{
    nmrt_error e;
    nmrt_map map;
    if (nmrt_map_open(&map, path, &e) != NMRT_OK)
        fail("%s", e.text);
    char *at = malloc(map.n + 2);
    if (!at)
        fail("no memory");
    memcpy(at, map.at, map.n);
    strcpy(at + map.n, ends ? "" : "]");
    nmrt_map_close(&map);
    return at;
}

int main(int argc, char **argv)
{
    static check c;
    nmrt_error e;
    bool ends = argc < 4 || strcmp(argv[3], "--open") != 0;
    if (argc < 3 || (c.ranks = atoi(argv[2])) < 1 || c.ranks > RANKS)
        fail("usage: trace_check FILE RANKS [--open]");
    char *at = read_text(argv[1], ends);
    if (nmrt_json_parse(&c.doc, at, strlen(at), &e) != NMRT_OK)
        fail("%s: %s", argv[1], e.text);
    read_events(&c);
    check_spans(&c);
    print(&c);
    nm_json_release(&c.doc);
    free(c.span);
    free(at);
    return 0;
}
