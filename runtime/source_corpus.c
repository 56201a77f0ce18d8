// A corpus in Megatron's format, or a part of one, in Megatron's order (corpus/order.h). Samples go
// over the ends of documents.
#include "runtime/source.h"

#include "runtime/corpus/indexed.h"
#include "runtime/corpus/order.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM = 1 << 12 };

typedef struct source {
    nmrt_source base;
    nmrt_indexed set;
    nmrt_order order;
    int32_t *room; // [ROOM] tokens as read
} source;

static void close_source(nmrt_source *s)
{
    source *x = (source *)s;
    nmrt_order_release(&x->order);
    nmrt_indexed_close(&x->set);
    free(x->room);
    free(x);
}

static nmrt_status measure(const source *x, int64_t samples, nmrt_order *o, nmrt_error *e)
{
    const nmrt_source_request *q = &x->base.q;
    nmrt_error why;
    nmrt_range part = nmrt_split_range(&q->split, q->part, x->set.n_sequences);
    nmrt_order_request r = {.lengths = x->set.length,
                            .first = part.first,
                            .n = part.n,
                            .seq = q->seq,
                            .samples = samples,
                            .shuffle = q->shuffle || q->held_out,
                            .seed = (uint32_t)q->seed};
    nmrt_status status = nmrt_order_measure(o, &r, &why);
    if (status != NMRT_OK && q->part == NMRT_PART_ALL)
        nmrt_fail(e, status, "%s has %s", q->path, why.text);
    else if (status != NMRT_OK)
        nmrt_fail(e, status, "the part %s of %s has %s", nmrt_split_part_name(q->part), q->path,
                  why.text);
    return status;
}

static nmrt_status draw(nmrt_source *s, int64_t samples, nmrt_error *e)
{
    source *x = (source *)s;
    nmrt_order_release(&x->order);
    NMRT_TRY(measure(x, samples, &x->order, e));
    s->drawn = x->order.samples;
    return nmrt_order_draw(&x->order, e);
}

// All samples are of the same stream, and drawn in the same ranges.
static bool same_order(const nmrt_source *s, int64_t a, int64_t b)
{
    const source *x = (const source *)s;
    nmrt_order one, other;
    nmrt_error e;
    return measure(x, a, &one, &e) == NMRT_OK && measure(x, b, &other, &e) == NMRT_OK &&
           one.epochs == other.epochs && one.last_apart == other.last_apart;
}

// What is read of a document at once.
static int64_t piece(int64_t left, int64_t want)
{
    int64_t n = left < want ? left : want;
    return n < ROOM ? n : ROOM;
}

static nmrt_status read_sample(const nmrt_source *s, int64_t index, int64_t *token, nmrt_error *e)
{
    const source *x = (const source *)s;
    const nmrt_order *o = &x->order;
    nmrt_place p = nmrt_order_place(o, o->sample[index]);
    (void)e;
    for (int64_t want = s->q.seq + 1; want > 0;) {
        int64_t n = piece(nmrt_order_length(o, p.at) - p.offset, want);
        nmrt_indexed_read(&x->set, o->document[p.at], p.offset, n, x->room);
        for (int64_t k = 0; k < n; k++)
            *token++ = x->room[k];
        want -= n;
        p.offset += n;
        if (p.offset == nmrt_order_length(o, p.at))
            p = (nmrt_place){p.at + 1, 0};
    }
    return NMRT_OK;
}

static void add_token(const source *x, int64_t document, int64_t k, nmrt_text *out)
{
    int32_t token;
    nmrt_indexed_read(&x->set, document, k, 1, &token);
    if (token < 0)
        nmrt_text_add(out, "%s: token %lld of document %lld, which is below 0 or above 2^31,",
                      x->base.q.path, (long long)k, (long long)document);
    else
        nmrt_text_add(out, "%s: token %lld of document %lld, %lld,", x->base.q.path, (long long)k,
                      (long long)document, (long long)token);
}

static void locate(const nmrt_source *s, int64_t index, int64_t k, nmrt_text *out)
{
    const source *x = (const source *)s;
    nmrt_place p = nmrt_order_place(&x->order, x->order.sample[index]);
    p.offset += k;
    for (int64_t n; p.offset >= (n = nmrt_order_length(&x->order, p.at)); p.at++)
        p.offset -= n;
    add_token(x, x->order.document[p.at], p.offset, out);
}

static void scan_document(const source *x, int64_t document, int64_t limit, nmrt_text *bad)
{
    int64_t length = nmrt_indexed_length(&x->set, document), n;
    for (int64_t at = 0; at < length; at += n) {
        n = piece(length - at, ROOM);
        nmrt_indexed_read(&x->set, document, at, n, x->room);
        for (int64_t k = 0; k < n; k++)
            if (x->room[k] < 0 || x->room[k] >= limit) {
                add_token(x, document, at + k, bad);
                return;
            }
    }
}

static nmrt_status scan(const nmrt_source *s, int64_t limit, nmrt_text *bad, nmrt_error *e)
{
    const source *x = (const source *)s;
    const nmrt_order_request *part = &x->order.q;
    (void)e;
    if (limit > nmrt_token_type_max(x->set.type) && x->set.type != NMRT_TOKEN_int8 &&
        x->set.type != NMRT_TOKEN_int16)
        return NMRT_OK; // no token of this type can be wrong
    for (int64_t i = part->first; i < part->first + part->n && !bad->n; i++)
        scan_document(x, i, limit, bad);
    return NMRT_OK;
}

static void describe(const nmrt_source *s, nmrt_text *out)
{
    const source *x = (const source *)s;
    nmrt_text_add(out, "%s tokens in %s documents", nmrt_count((double)x->order.tokens).s,
                  nmrt_count((double)x->order.q.n).s);
    if (s->q.part != NMRT_PART_ALL)
        nmrt_text_add(out, " (%s)", nmrt_split_part_name(s->q.part));
    if (x->order.document && x->order.epochs > 1)
        nmrt_text_add(out, ", up to %lld times", (long long)x->order.epochs);
}

static const nmrt_source_kind kind = {.close = close_source,
                                      .draw = draw,
                                      .same_order = same_order,
                                      .read = read_sample,
                                      .locate = locate,
                                      .scan = scan,
                                      .describe = describe};

// The prefix may come as the name of one of the files.
static nmrt_status open_set(source *x, nmrt_error *e)
{
    char prefix[NMRT_PATH];
    size_t n = strlen(x->base.q.path);
    if (n >= sizeof prefix)
        return nmrt_fail(e, NMRT_WORLD, "the path %.60s... is too long", x->base.q.path);
    memcpy(prefix, x->base.q.path, n + 1);
    if (n > 4 && (strcmp(prefix + n - 4, ".idx") == 0 || strcmp(prefix + n - 4, ".bin") == 0) &&
        !nmrt_indexed_exists(prefix))
        prefix[n - 4] = 0;
    NMRT_TRY(nmrt_indexed_open(&x->set, prefix, e));
    if (x->set.n_sequences > INT32_MAX)
        return nmrt_fail(e, NMRT_USAGE,
                         "%s has %lld sequences, more than the %d that an order can have: make it "
                         "several corpora, and --data a blend of them",
                         x->base.q.path, (long long)x->set.n_sequences, INT32_MAX);
    return NMRT_OK;
}

nmrt_status nmrt_corpus_source_open(nmrt_source **s, const nmrt_source_request *q, nmrt_error *e)
{
    source *x = calloc(1, sizeof *x);
    if (!x || !(x->room = malloc(ROOM * sizeof *x->room))) {
        free(x);
        return nmrt_fail(e, NMRT_WORLD, "no memory for the data");
    }
    x->base = (nmrt_source){.kind = &kind, .q = *q};
    nmrt_status status = open_set(x, e);
    if (status == NMRT_OK && (q->shuffle || q->held_out) && q->seed > UINT32_MAX)
        status = nmrt_fail(e, NMRT_USAGE,
                           "--seed %llu: the order of a corpus takes a seed below 2^32, as numpy's",
                           (unsigned long long)q->seed);
    if (status == NMRT_OK)
        status = measure(x, 0, &x->order, e);
    x->base.samples = x->order.samples;
    x->base.bytes = x->order.tokens * nmrt_token_type_bytes(x->set.type);
    if (status == NMRT_OK)
        *s = &x->base;
    else
        close_source(&x->base);
    return status;
}
