// Choices of algorithms as a list in memory, and as a text: a line that says which GPU and library
// they are for, then a line for each: the key's words, whether it was measured, and the algorithm,
// which cuBLASLt says may be kept and used again with the same version.
#include "runtime/gpu/choice.h"

#include "base/cache.h"
#include "runtime/agree.h"
#include "runtime/gpu/gpu.h"
#include "runtime/hash.h"
#include "runtime/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALGO_WORDS = sizeof(cublasLtMatmulAlgo_t) / sizeof(uint64_t) };
enum { MOST = 4096 }; // in a file

// --- the list ------------------------------------------------------------------------------------

static nmrt_choice *find(nmrt_choice *at, int n, const nmrt_choice_key *key, bool measured)
{
    for (int i = 0; i < n; i++)
        if (at[i].measured == measured && memcmp(&at[i].key, key, sizeof *key) == 0)
            return &at[i];
    return NULL;
}

// Without memory for it a choice is forgotten, and asked for again.
static void add(nmrt_choice **at, int *n, int *room, const nmrt_choice *x)
{
    if (*n == *room) {
        int more = *room ? 2 * *room : 64;
        nmrt_choice *grown = realloc(*at, (size_t)more * sizeof **at);
        if (!grown)
            return;
        *at = grown;
        *room = more;
    }
    (*at)[(*n)++] = *x;
}

// Instead of the one that it may have.
static void put(nmrt_choices *c, const nmrt_choice *x)
{
    nmrt_choice *old = find(c->at, c->n, &x->key, x->measured);
    if (old)
        *old = *x;
    else
        add(&c->at, &c->n, &c->room, x);
}

static void forget_oldest(nmrt_choices *c)
{
    int more = c->n - MOST;
    if (more <= 0)
        return;
    memmove(c->at, c->at + more, MOST * sizeof *c->at);
    c->n = MOST;
}

const nmrt_choice *nmrt_choices_find(const nmrt_choices *c, const nmrt_choice_key *key,
                                     bool measured)
{
    return find(c->at, c->n, key, measured);
}

void nmrt_choices_add(nmrt_choices *c, const nmrt_choice_key *key, const cublasLtMatmulAlgo_t *algo)
{
    put(c, &(nmrt_choice){.key = *key, .algo = *algo});
    c->n_new++;
}

void nmrt_choices_measured(nmrt_choices *c, const nmrt_choice_key *key,
                           const cublasLtMatmulAlgo_t *algo)
{
    const nmrt_choice x = {.key = *key, .algo = *algo, .measured = true};
    add(&c->later, &c->n_later, &c->room_later, &x);
    c->n_new++;
}

bool nmrt_choices_is_measured(const nmrt_choices *c, const nmrt_choice_key *key)
{
    return find(c->later, c->n_later, key, true) != NULL;
}

bool nmrt_choices_any_measured(const nmrt_choices *c)
{
    for (int i = 0; i < c->n; i++)
        if (c->at[i].measured)
            return true;
    return false;
}

// --- the text ------------------------------------------------------------------------------------

static void print(const nmrt_choices *c, nmrt_text *out)
{
    nmrt_text_add(out, "%s\n", c->title);
    for (int i = 0; i < c->n; i++) {
        const nmrt_choice *x = &c->at[i];
        for (int k = 0; k < NMRT_CHOICE_WORDS; k++)
            nmrt_text_add(out, "%lld ", (long long)x->key.word[k]);
        nmrt_text_add(out, "%d", x->measured);
        for (int k = 0; k < ALGO_WORDS; k++)
            nmrt_text_add(out, " %llx", (unsigned long long)x->algo.data[k]);
        nmrt_text_add(out, "\n");
    }
}

// false: the line is none.
static bool read_line(const char *line, nmrt_choice *x)
{
    char *end;
    *x = (nmrt_choice){0};
    for (int k = 0; k < NMRT_CHOICE_WORDS; k++, line = end)
        x->key.word[k] = strtoll(line, &end, 10);
    x->measured = strtol(line, &end, 10);
    for (int k = 0; k < ALGO_WORDS; k++) {
        line = end;
        x->algo.data[k] = strtoull(line, &end, 16);
    }
    return end > line && *end == '\n';
}

// What is in the text and not in the list.
static void merge(nmrt_choices *c, const char *text)
{
    size_t n = strlen(c->title);
    nmrt_choice x;
    if (strncmp(text, c->title, n) != 0 || text[n] != '\n')
        return;
    for (const char *line = text + n + 1; read_line(line, &x); line = strchr(line, '\n') + 1)
        if (!find(c->at, c->n, &x.key, x.measured))
            add(&c->at, &c->n, &c->room, &x);
}

static void read_file(nmrt_choices *c)
{
    char *text;
    size_t size;
    if (nm_cache_read(c->name, &text, &size) != NM_CACHE_OK)
        return;
    merge(c, text);
    forget_oldest(c);
    free(text);
}

// --- a run's -------------------------------------------------------------------------------------

static void name_file(nmrt_device *d, nmrt_choices *c)
{
    char gpu[128] = "";
    d->api->cuDeviceGetName(gpu, sizeof gpu, d->id);
    snprintf(c->title, sizeof c->title, "%s %d, cuBLASLt %zu, %d words", gpu, d->capability,
             d->api->cublasLtGetVersion(), NMRT_CHOICE_WORDS);
    snprintf(c->name, sizeof c->name, "products-%016llx",
             (unsigned long long)nmrt_hash_of(c->title, strlen(c->title)));
}

// All ranks get rank 0's text.
static nmrt_status share(nmrt_comm *comm, nmrt_text *text, nmrt_error *e)
{
    int64_t bytes = (int64_t)text->n + 1;
    NMRT_TRY(nmrt_agree_on(comm, &bytes, sizeof bytes, e));
    char *all = calloc(1, (size_t)bytes);
    if (!all)
        return nmrt_fail(e, NMRT_WORLD, "no memory for the products' choices");
    if (text->at)
        memcpy(all, text->at, text->n);
    nmrt_text_release(text);
    text->at = all;
    return nmrt_agree_on(comm, all, bytes, e);
}

nmrt_status nmrt_choices_open(nmrt_device *d, nmrt_choices *c, nmrt_error *e)
{
    nmrt_text text = {0};
    nmrt_status status = NMRT_OK;
    bool first = c->writes = !d->comm || d->comm->rank == 0;
    name_file(d, c);
    if (first)
        read_file(c);
    if (first && d->comm)
        print(c, &text);
    if (d->comm && d->comm->ranks > 1)
        status = share(d->comm, &text, e);
    if (status == NMRT_OK && !first)
        merge(c, text.at);
    nmrt_text_release(&text);
    return status;
}

static nmrt_status write_file(nmrt_choices *c, nmrt_error *e)
{
    char path[NM_CACHE_PATH];
    nmrt_text text = {0};
    read_file(c);
    for (int i = 0; i < c->n_later; i++)
        put(c, &c->later[i]);
    forget_oldest(c);
    print(c, &text);
    nm_cache_status status =
        text.at && !text.failed ? nm_cache_write(c->name, text.at, strlen(text.at)) : NM_CACHE_NONE;
    int why = errno;
    nmrt_text_release(&text);
    if (status == NM_CACHE_OK)
        nm_cache_trim(NM_CACHE_LIMIT);
    if (status != NM_CACHE_FAILED)
        return NMRT_OK;
    nm_cache_path(path, c->name);
    return nmrt_fail(e, NMRT_WORLD, "the products' algorithms are not kept in %s: %s", path,
                     strerror(why));
}

nmrt_status nmrt_choices_close(nmrt_choices *c, nmrt_error *e)
{
    nmrt_status status = c->writes && c->n_new ? write_file(c, e) : NMRT_OK;
    free(c->at);
    free(c->later);
    *c = (nmrt_choices){0};
    return status;
}
