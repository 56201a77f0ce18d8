// A chunk's documents to tokens, as Megatron's preprocessing does it: a text without a token makes
// no sequence, a document without one is still a document, and eod belongs to its last sequence.
#include "runtime/corpus/batch.h"

#include "runtime/corpus/line.h"

#include <stdio.h>
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
    nmrt_error *e;
} work;

static nmrt_status add_text(work *w, const char *text, size_t n)
{
    nmrt_ids *ids = &w->batch->ids;
    size_t before = ids->n;
    NMRT_TRY(nmrt_encode(w->enc, text, n, w->rules->special, ids, w->e));
    if (ids->n > before)
        nmrt_ids_add(&w->batch->lengths, (int32_t)(ids->n - before));
    return NMRT_OK;
}

static nmrt_status add_line(work *w, const nmrt_document *document)
{
    nmrt_line line;
    NMRT_TRY(nmrt_line_open(&line, document, w->rules->json_key, w->e));
    nmrt_status status = NMRT_OK;
    for (bool end = false; status == NMRT_OK && !end;) {
        status = nmrt_line_next(&line, &end, w->e);
        if (status == NMRT_OK && !end)
            status = add_text(w, line.text.at ? line.text.at : "", line.text.n);
    }
    nmrt_line_close(&line);
    return status;
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

// --- lines that are not what they should be ------------------------------------------------------

// Says where it is. Of skip_bad: notes it, and the document leaves no trace.
static nmrt_status judge(work *w, const nmrt_document *d, nmrt_status status, size_t ids,
                         size_t lengths)
{
    nmrt_batch *b = w->batch;
    nmrt_error why = *w->e;
    nmrt_fail(w->e, status, "%s:%lld: %s", b->chunk.path, (long long)d->line, why.text);
    if (status != NMRT_CORRUPT)
        return status;
    if (!w->rules->skip_bad)
        return nmrt_fail(w->e, status, "%s:%lld: %s; --skip-bad leaves such lines out",
                         b->chunk.path, (long long)d->line, why.text);
    if (!b->bad++)
        snprintf(b->first_bad, sizeof b->first_bad, "%s", w->e->text);
    b->ids.n = ids;
    b->lengths.n = lengths;
    return NMRT_OK;
}

static nmrt_status add_document(work *w, const nmrt_document *d)
{
    nmrt_batch *b = w->batch;
    size_t ids = b->ids.n, lengths = b->lengths.n;
    bool json = b->chunk.rule == NMRT_DOCUMENTS_JSONL;
    nmrt_status status = json ? add_line(w, d) : add_text(w, d->text, d->n);
    if (status != NMRT_OK)
        return judge(w, d, status, ids, lengths);
    end_document(w, ids);
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
    work w = {batch, rules, enc, e};
    nmrt_documents documents = {.chunk = &batch->chunk};
    nmrt_document document;
    batch->ids.n = batch->lengths.n = 0;
    batch->documents = batch->bad = 0;
    while (nmrt_documents_next(&documents, &document))
        NMRT_TRY(add_document(&w, &document));
    batch->n_tokens = (int64_t)batch->ids.n;
    if (batch->ids.failed || batch->lengths.failed)
        return nmrt_fail(e, NMRT_WORLD, "no memory for the tokens of a part of %s",
                         batch->chunk.path);
    pack(&batch->ids, rules->type);
    return NMRT_OK;
}
