// Training byte-level byte pair encoding: of the words of a corpus, which bytes to merge, in the
// order of huggingface/tokenizers' BpeTrainer, whose merges these are, ties alike.
#ifndef NMRT_TOKENIZER_TRAIN_H
#define NMRT_TOKENIZER_TRAIN_H

#include "runtime/status.h"
#include "runtime/tokenizer/counts.h"
#include "runtime/tokenizer/vocabulary.h"

typedef struct nmrt_training {
    int64_t vocabulary_size;    // pieces at most: special ones, 256 bytes, what merges give
    int64_t least;              // how often a pair must be there to be merged
    const char *const *special; // [n_special]: the first ids
    int n_special;
    // Told now and then how many pieces there are; false: end it. NULL: nobody is.
    bool (*tell)(void *told, int64_t pieces);
    void *told;
} nmrt_training;

typedef struct nmrt_merge { // ids
    int32_t left, right;
} nmrt_merge;

typedef struct nmrt_trained {   // zero-initialised
    nmrt_vocabulary vocabulary; // pieces in the characters of byte_level.h
    nmrt_merge *merge;          // [n], in order
    int64_t n, cap;
} nmrt_trained;

// Words are bytes. Fails also if it was ended.
nmrt_status nmrt_bpe_train(nmrt_trained *t, const nmrt_training *options, const nmrt_counts *words,
                           nmrt_error *e);
void nmrt_trained_release(nmrt_trained *t);

// A tokenizer.json with what was trained. `cutter` is its pre_tokenizer, as JSON.
void nmrt_trained_write(const nmrt_trained *t, const nmrt_training *options, const char *cutter,
                        nmrt_text *out);

#endif
