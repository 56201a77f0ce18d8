// A chunk's documents to tokens, as Megatron's preprocessing does it: a text without a token makes
// no sequence, a document without one is still a document, and eod belongs to its last sequence.
#include "runtime/corpus/batch.h"

#include <string.h>

void nmrt_batch_release(nmrt_batch *batch)
{
    nmrt_chunk_release(&batch->chunk);
    nmrt_ids_release(&batch->ids);
    nmrt_ids_release(&batch->lengths);
}

// --- tokens --------------------------------------------------------------------------------------

typedef struct work {
    nmrt_batch *batch;
    const nmrt_batch_rules *rules;
    nmrt_encoder *enc;
} work;

static nmrt_status add_text(void *taker, const char *text, size_t n, nmrt_error *e)
{
    work *w = taker;
    nmrt_ids *ids = &w->batch->ids;
    size_t before = ids->n;
    NMRT_TRY(nmrt_encode(w->enc, text, n, w->rules->special, ids, e));
    if (ids->n > before)
        nmrt_ids_add(&w->batch->lengths, (int32_t)(ids->n - before));
    return NMRT_OK;
}

static void end_document(work *w, size_t first)
{
    nmrt_batch *b = w->batch;
    if (b->ids.n > first && w->rules->eod >= 0 && !b->lengths.failed && !b->ids.failed) {
        nmrt_ids_add(&b->ids, w->rules->eod);
        b->lengths.at[b->lengths.n - 1]++;
    }
    nmrt_ids_add(&b->lengths, NMRT_DOCUMENT_END);
    b->documents++;
}

// One that is left out leaves no trace.
static nmrt_status add_document(work *w, const nmrt_document *d, nmrt_error *e)
{
    nmrt_batch *b = w->batch;
    size_t ids = b->ids.n, lengths = b->lengths.n;
    int64_t bad = b->bad.n;
    NMRT_TRY(nmrt_document_texts(&b->chunk, d, &w->rules->texts, add_text, w, &b->bad, e));
    if (b->bad.n == bad) {
        end_document(w, ids);
        return NMRT_OK;
    }
    b->ids.n = ids;
    b->lengths.n = lengths;
    return NMRT_OK;
}

// --- the data set's type -------------------------------------------------------------------------

// In place, as no type that is written is wider than an id.
#define PACK(type)                                                                                 \
    for (size_t i = 0; i < ids->n; i++) {                                                          \
        type x = (type)ids->at[i];                                                                 \
        memcpy((char *)ids->at + i * sizeof x, &x, sizeof x);                                      \
    }                                                                                              \
    break

static void pack(nmrt_ids *ids, nmrt_token_type type)
{
    switch (type) {
    case NMRT_TOKEN_uint8: PACK(uint8_t);
    case NMRT_TOKEN_uint16: PACK(uint16_t);
    default: break;
    }
}

nmrt_status nmrt_batch_fill(nmrt_batch *batch, const nmrt_batch_rules *rules, nmrt_encoder *enc,
                            nmrt_error *e)
{
    work w = {batch, rules, enc};
    nmrt_documents documents = {.chunk = &batch->chunk};
    nmrt_document document;
    batch->ids.n = batch->lengths.n = 0;
    batch->documents = 0;
    batch->bad = (nmrt_bad_lines){0};
    while (nmrt_documents_next(&documents, &document))
        NMRT_TRY(add_document(&w, &document, e));
    batch->n_tokens = (int64_t)batch->ids.n;
    if (batch->ids.failed || batch->lengths.failed)
        return nmrt_fail(e, NMRT_WORLD, "no memory for the tokens of a part of %s",
                         batch->chunk.path);
    pack(&batch->ids, rules->type);
    return NMRT_OK;
}
