// A corpus in Megatron's format, or a part of one, in Megatron's order (corpus/order.h). Samples go
// over the ends of documents. Tokens are read from the file, not from a map of it: what a map has
// touched counts as this process's memory, and a file that was cut would end it.
#include "runtime/source.h"

#include "runtime/corpus/indexed.h"
#include "runtime/corpus/order.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { ROOM = 1 << 14 };

typedef struct source {
    nmrt_source base;
    nmrt_indexed set;
    nmrt_order order;
    int fd;             // of PREFIX.bin
    unsigned char *raw; // [ROOM] tokens as read, of any type
    int32_t *room;      // [ROOM]
} source;

static void close_source(nmrt_source *s)
{
    source *x = (source *)s;
    nmrt_order_release(&x->order);
    nmrt_indexed_close(&x->set);
    if (x->fd >= 0)
        close(x->fd);
    free(x->raw);
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
        nmrt_fail(e, status, "the part %s of %s, which has %lld documents, has %s",
                  nmrt_split_part_name(q->part), q->path, (long long)x->set.n_sequences, why.text);
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

// n tokens, at most ROOM, at a byte of the file, to x->room.
static nmrt_status read_at(const source *x, int64_t at, int64_t n, nmrt_error *e)
{
    size_t bytes = (size_t)(n * nmrt_token_type_bytes(x->set.type));
    NMRT_TRY(nmrt_read_at(x->fd, x->raw, bytes, at, x->base.q.path, e));
    nmrt_token_type_widen(x->set.type, x->raw, n, x->room);
    return NMRT_OK;
}

// Tokens [from, from + n) of a document.
static nmrt_status read_tokens(const source *x, int64_t document, int64_t from, int64_t n,
                               nmrt_error *e)
{
    int64_t begin = nmrt_indexed_offset(&x->set, document);
    return read_at(x, begin + from * nmrt_token_type_bytes(x->set.type), n, e);
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
    for (int64_t want = s->q.seq + 1; want > 0;) {
        int64_t n = piece(nmrt_order_length(o, p.at) - p.offset, want);
        NMRT_TRY(read_tokens(x, o->document[p.at], p.offset, n, e));
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
    nmrt_error e;
    int32_t token = read_tokens(x, document, k, 1, &e) == NMRT_OK ? x->room[0] : -1;
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

static int64_t end_of(const source *x, int64_t document)
{
    return nmrt_indexed_offset(&x->set, document) +
           nmrt_indexed_length(&x->set, document) * nmrt_token_type_bytes(x->set.type);
}

// The token at this byte of the file, in `document` or one of those behind it.
static void add_token_at(const source *x, int64_t document, int64_t byte, nmrt_text *out)
{
    while (end_of(x, document) <= byte)
        document++;
    int64_t from = byte - nmrt_indexed_offset(&x->set, document);
    add_token(x, document, from / nmrt_token_type_bytes(x->set.type), out);
}

// Documents [first, end), which lie one behind the other in the file.
static nmrt_status scan_run(const source *x, int64_t first, int64_t end, int64_t limit,
                            nmrt_text *bad, nmrt_error *e)
{
    int64_t size = nmrt_token_type_bytes(x->set.type), at = nmrt_indexed_offset(&x->set, first),
            last = end_of(x, end - 1), n;
    for (; at < last; at += n * size) {
        n = piece((last - at) / size, ROOM);
        NMRT_TRY(read_at(x, at, n, e));
        for (int64_t k = 0; k < n; k++)
            if (x->room[k] < 0 || x->room[k] >= limit) {
                add_token_at(x, first, at + k * size, bad);
                return NMRT_OK;
            }
    }
    return NMRT_OK;
}

static nmrt_status scan(const nmrt_source *s, int64_t limit, nmrt_text *bad, nmrt_error *e)
{
    const source *x = (const source *)s;
    int64_t first = x->order.q.first, end = first + x->order.q.n, next;
    if (limit > nmrt_token_type_max(x->set.type) && x->set.type != NMRT_TOKEN_int8 &&
        x->set.type != NMRT_TOKEN_int16)
        return NMRT_OK; // no token of this type can be wrong
    for (; first < end && !bad->n; first = next) {
        next = first + 1;
        while (next < end && nmrt_indexed_offset(&x->set, next) == end_of(x, next - 1))
            next++;
        NMRT_TRY(scan_run(x, first, next, limit, bad, e));
    }
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

static nmrt_status open_bin(source *x, const char *prefix, nmrt_error *e)
{
    char path[NMRT_PATH];
    int64_t bytes;
    NMRT_TRY(nmrt_path_append(path, prefix, ".bin", e));
    return nmrt_file_open(&x->fd, &bytes, path, e);
}

static nmrt_status open_set(source *x, nmrt_error *e)
{
    char prefix[NMRT_PATH];
    NMRT_TRY(nmrt_indexed_prefix(prefix, x->base.q.path, e));
    NMRT_TRY(nmrt_indexed_open(&x->set, x->base.q.path, e));
    NMRT_TRY(open_bin(x, prefix, e));
    if (x->set.n_sequences > INT32_MAX)
        return nmrt_fail(e, NMRT_USAGE,
                         "%s has %lld sequences, more than the %d that an order can have: make it "
                         "several corpora, and --data a blend of them",
                         x->base.q.path, (long long)x->set.n_sequences, INT32_MAX);
    return NMRT_OK;
}

static nmrt_status check_seed(const nmrt_source_request *q, nmrt_error *e)
{
    if (!(q->shuffle || q->held_out) || q->seed <= UINT32_MAX)
        return NMRT_OK;
    return nmrt_fail(e, NMRT_USAGE,
                     "--seed %llu: the order of a corpus takes a seed below 2^32, as numpy's",
                     (unsigned long long)q->seed);
}

static nmrt_status open_source(nmrt_source *s, nmrt_error *e)
{
    source *x = (source *)s;
    x->fd = -1;
    x->raw = malloc(ROOM * sizeof(int64_t));
    x->room = malloc(ROOM * sizeof *x->room);
    if (!x->raw || !x->room)
        return nmrt_fail(e, NMRT_WORLD, "no memory for the data");
    NMRT_TRY(open_set(x, e));
    NMRT_TRY(check_seed(&s->q, e));
    NMRT_TRY(measure(x, 0, &x->order, e));
    s->samples = x->order.samples;
    s->bytes = x->order.tokens * nmrt_token_type_bytes(x->set.type);
    return NMRT_OK;
}

const nmrt_source_kind nmrt_corpus_source = {.bytes = sizeof(source),
                                             .open = open_source,
                                             .close = close_source,
                                             .draw = draw,
                                             .same_order = same_order,
                                             .read = read_sample,
                                             .locate = locate,
                                             .scan = scan,
                                             .describe = describe};
