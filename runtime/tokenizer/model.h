// What a tokenizer.json calls its model: the last step of encoding, words to ids. One table of
// functions a type; pipeline.c has a row for each.
#ifndef NMRT_TOKENIZER_MODEL_H
#define NMRT_TOKENIZER_MODEL_H

#include "runtime/json.h"
#include "runtime/status.h"
#include "runtime/text.h"
#include "runtime/tokenizer/ids.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct nmrt_word_piece { // bytes of a vocabulary; at NULL: there is none
    const char *at;
    size_t n;
} nmrt_word_piece;

typedef struct nmrt_word_model nmrt_word_model; // each type's own struct begins with it

typedef struct nmrt_word_model_type {
    const char *name; // "BPE"
    bool maps_bytes;  // can words come as bytes?
    // From the node of the file; the text of the file does not outlive the call.
    nmrt_status (*open)(nmrt_word_model **m, const nmrt_json *doc, int node, nmrt_error *e);
    void (*close)(nmrt_word_model *m);
    int64_t (*id)(const nmrt_word_model *m, const char *piece, size_t n); // -1: none
    nmrt_word_piece (*piece)(const nmrt_word_model *m, int64_t id);
    // What one thread needs; NULL functions: nothing, and `scratch` is NULL.
    nmrt_status (*scratch_open)(void **scratch, const nmrt_word_model *m, nmrt_error *e);
    void (*scratch_close)(void *scratch);
    // Of a word that is not empty. Memory that runs out in `out` alone is told by the caller.
    nmrt_status (*encode)(const nmrt_word_model *m, void *scratch, const char *word, size_t n,
                          nmrt_ids *out, nmrt_error *e);
} nmrt_word_model_type;

struct nmrt_word_model {
    const nmrt_word_model_type *type;
    int64_t size;  // all ids are below it
    int64_t count; // pieces: what the first added token's id is, if the model does not have it
    bool bytes;    // words come as bytes: the model itself maps them to ByteLevel's characters
};

extern const nmrt_word_model_type nmrt_bpe_type, nmrt_unigram_type;

#endif
