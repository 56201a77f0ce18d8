// A text that a tokenizer reads when the run starts: sample i is its tokens [i seq, i seq + seq].
// It is one document, encoded as a whole, as nemocc-data does it: where a text may be cut and give
// the same tokens is the tokenizer's secret. Every rank does this for itself: what is large is
// better tokenized once, by nemocc-data.
#include "runtime/source.h"

#include "runtime/corpus/reader.h"
#include "runtime/tokenizer/tokenizer.h"

#include <stdlib.h>

enum { LARGE = 64 << 20 }; // bytes

typedef struct source {
    nmrt_source base;
    int64_t bytes; // of the text
    nmrt_ids ids;
    nmrt_range samples;
} source;

static void close_source(nmrt_source *s)
{
    source *x = (source *)s;
    nmrt_ids_release(&x->ids);
    free(x);
}

static nmrt_status read_sample(const nmrt_source *s, int64_t index, int64_t *token, nmrt_error *e)
{
    const source *x = (const source *)s;
    const int32_t *id = x->ids.at + nmrt_stream_sample(&s->q, x->samples, index) * s->q.seq;
    (void)e;
    for (int64_t k = 0; k <= s->q.seq; k++)
        token[k] = id[k];
    return NMRT_OK;
}

static void add_token(const source *x, int64_t at, nmrt_text *out)
{
    nmrt_text_add(out, "%s: token %lld of the text, %d by %s,", x->base.q.path, (long long)at,
                  x->ids.at[at], x->base.q.tokenizer);
}

static void locate(const nmrt_source *s, int64_t index, int64_t k, nmrt_text *out)
{
    const source *x = (const source *)s;
    add_token(x, nmrt_stream_sample(&s->q, x->samples, index) * s->q.seq + k, out);
}

static nmrt_status scan(const nmrt_source *s, int64_t limit, nmrt_text *bad, nmrt_error *e)
{
    const source *x = (const source *)s;
    int64_t at = x->samples.first * s->q.seq, end = at + x->samples.n * s->q.seq + 1;
    (void)e;
    for (; at < end && !bad->n; at++)
        if (x->ids.at[at] >= limit)
            add_token(x, at, bad);
    return NMRT_OK;
}

static void describe(const nmrt_source *s, nmrt_text *out)
{
    const source *x = (const source *)s;
    nmrt_text_add(out, "%s, %s tokens by %s", nmrt_bytes(x->bytes).s,
                  nmrt_count((double)x->ids.n).s, s->q.tokenizer);
}

// --- encoding ------------------------------------------------------------------------------------

static nmrt_status encode(source *x, const nmrt_tokenizer *t, nmrt_map map, nmrt_error *e)
{
    nmrt_encoder *enc;
    NMRT_TRY(nmrt_encoder_open(&enc, t, e));
    nmrt_status status = nmrt_encode(enc, (const char *)map.at, map.n, false, &x->ids, e);
    nmrt_encoder_close(enc);
    return status;
}

static nmrt_status check_size(const source *x, nmrt_error *e)
{
    const nmrt_source_request *q = &x->base.q;
    if (x->bytes > NMRT_DOCUMENT_BYTES)
        return nmrt_fail(
            e, NMRT_USAGE,
            "%s, %s, is longer than the %s that are tokenized when a run starts; "
            "nemocc-data tokenize --documents lines or paragraphs makes a corpus of it",
            q->path, nmrt_bytes(x->bytes).s, nmrt_bytes(NMRT_DOCUMENT_BYTES).s);
    if (x->bytes > LARGE)
        fprintf(q->out->note,
                "note: %s, %s, is tokenized now, by every rank; nemocc-data tokenize does it once "
                "for all runs\n",
                q->path, nmrt_bytes(x->bytes).s);
    return NMRT_OK;
}

static nmrt_status read_text(source *x, nmrt_error *e)
{
    const nmrt_source_request *q = &x->base.q;
    nmrt_tokenizer *t = NULL;
    nmrt_map map;
    NMRT_TRY(nmrt_map_open(&map, q->path, e));
    x->bytes = (int64_t)map.n;
    nmrt_status status = check_size(x, e);
    if (status == NMRT_OK)
        status = nmrt_tokenizer_open(&t, q->tokenizer, e);
    if (status == NMRT_OK)
        status = encode(x, t, map, e);
    nmrt_tokenizer_close(t);
    nmrt_map_close(&map);
    return status;
}

static nmrt_status open_source(nmrt_source *s, nmrt_error *e)
{
    source *x = (source *)s;
    NMRT_TRY(read_text(x, e));
    NMRT_TRY(nmrt_stream_samples(&s->q, (int64_t)x->ids.n, "tokens", &x->samples, e));
    s->samples = x->samples.n;
    return NMRT_OK;
}

const nmrt_source_kind nmrt_tokens_source = {.bytes = sizeof(source),
                                             .open = open_source,
                                             .close = close_source,
                                             .read = read_sample,
                                             .locate = locate,
                                             .scan = scan,
                                             .describe = describe};
