// A chunk of a corpus and its tokens: what one thread makes at a time.
#ifndef NMRT_CORPUS_BATCH_H
#define NMRT_CORPUS_BATCH_H

#include "runtime/corpus/document_texts.h"
#include "runtime/corpus/indexed.h"
#include "runtime/tokenizer/tokenizer.h"

typedef struct nmrt_batch_rules { // how texts become tokens
    nmrt_texts_rules texts;
    nmrt_token_type type; // uint8, uint16 or int32
    int32_t eod;          // -1: none is put behind documents
    bool special;
} nmrt_batch_rules;

typedef struct nmrt_batch { // zero-initialised: empty
    nmrt_chunk chunk;
    nmrt_ids ids;                // once filled, n_tokens in the data set's type
    nmrt_ids lengths;            // as nmrt_indexed_append takes them
    int64_t documents, n_tokens; // of this chunk
    nmrt_bad_lines bad;
} nmrt_batch;
void nmrt_batch_release(nmrt_batch *batch);

// Tokenises batch->chunk.
nmrt_status nmrt_batch_fill(nmrt_batch *batch, const nmrt_batch_rules *rules, nmrt_encoder *enc,
                            nmrt_error *e);

#endif
