// How a SentencePiece model cuts a rewritten text into pieces, and what ids these get.
#ifndef NMRT_TOKENIZER_SPM_CUT_H
#define NMRT_TOKENIZER_SPM_CUT_H

#include "runtime/text.h"
#include "runtime/tokenizer/ids.h"
#include "runtime/tokenizer/spm_model.h"
#include "runtime/tokenizer/unigram.h"
#include "runtime/tokenizer/words.h"

typedef struct nmrt_spm_symbol { // a piece in the making, in a list
    const char *text;
    int32_t n;    // 0: the one before has taken it
    int32_t node; // of the trie, where it ends; or NMRT_TRIE_NONE
    int32_t before, next;
    bool frozen; // user-defined: it merges with none
} nmrt_spm_symbol;

typedef struct nmrt_spm_merge { // of two neighbours to a piece
    float score;
    int32_t left, right;
    int32_t n;    // bytes of both when it was found; they may have grown since
    int32_t node; // where both end
} nmrt_spm_merge;

typedef struct nmrt_spm_span {
    const char *text;
    int32_t n;
} nmrt_spm_span;

typedef struct nmrt_spm_scratch { // what one thread needs; zero-initialised
    nmrt_text text;               // rewritten
    nmrt_unigram_path path;
    nmrt_spm_symbol *symbol;
    nmrt_spm_merge *merge; // a heap, the best on top
    nmrt_spm_span *span;   // of unused pieces that are being taken apart
    size_t n_symbol, n_merge, n_span, symbol_cap, merge_cap, span_cap;
    nmrt_word *words; // that were cut lately; NULL: none are kept
    int32_t *left;    // [pieces], only where the model has unused ones: bytes of their left part
    bool failed;      // memory ran out
} nmrt_spm_scratch;

void nmrt_spm_scratch_release(nmrt_spm_scratch *s);

typedef struct nmrt_spm_sink { // takes the pieces of one text in order
    const nmrt_spm_model *m;
    nmrt_ids *out;
    bool behind_unknown;
    int64_t n_unknown;
} nmrt_spm_sink;

// What is unknown becomes its bytes, where the model has those, else neighbours become one id.
void nmrt_spm_sink_add(nmrt_spm_sink *sink, int32_t piece, const char *text, size_t n);

// Cuts the n < 2^31 bytes of a rewritten text by byte pair encoding. s->failed tells.
void nmrt_spm_bpe_cut(nmrt_spm_scratch *s, const char *text, size_t n, nmrt_spm_sink *sink);

#endif
