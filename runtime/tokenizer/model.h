// What a tokenizer.json calls its model: the last step of encoding, words to ids. One table of
// functions a type; pipeline.c has a row for each. What was encoded lately is kept for all of them.
#ifndef NMRT_TOKENIZER_MODEL_H
#define NMRT_TOKENIZER_MODEL_H

#include "runtime/json.h"
#include "runtime/tokenizer/ids.h"
#include "runtime/tokenizer/vocabulary.h"
#include "runtime/tokenizer/words.h"

typedef struct nmrt_word_model_type nmrt_word_model_type;

typedef struct nmrt_word_model { // each type's own struct begins with it
    const nmrt_word_model_type *type;
    nmrt_vocabulary vocabulary;
    int64_t count; // pieces of the file: what the first added token's id is, if it is none of them
    bool bytes;    // words come as bytes: the model itself maps them to ByteLevel's characters
} nmrt_word_model;

typedef struct nmrt_word_scratch { // what one thread needs; each type's own struct begins with it
    const nmrt_word_model_type *type;
    nmrt_word *words; // lately encoded
} nmrt_word_scratch;

struct nmrt_word_model_type {
    const char *name;            // "BPE"
    bool maps_bytes;             // can words come as bytes?
    size_t bytes, scratch_bytes; // of its two structs, which come zeroed but for what is above
    // From the node of the file, whose text does not outlive the call.
    nmrt_status (*read)(nmrt_word_model *m, const nm_json *doc, int node, nmrt_error *e);
    void (*release)(nmrt_word_model *m); // what it read, all of it or a part, but the vocabulary
    void (*scratch_release)(nmrt_word_scratch *s);
    // How much of a word, which is not empty, has the ids that it has by itself. NULL: all of it.
    size_t (*part)(const nmrt_word_model *m, const char *word, size_t n);
    // Of such a part. Memory that runs out in `out` alone is told by the caller.
    nmrt_status (*encode)(const nmrt_word_model *m, nmrt_word_scratch *s, const char *word,
                          size_t n, nmrt_ids *out, nmrt_error *e);
};

extern const nmrt_word_model_type nmrt_bpe_type, nmrt_unigram_type;

nmrt_status nmrt_word_model_open(nmrt_word_model **m, const nmrt_word_model_type *type,
                                 const nm_json *doc, int node, nmrt_error *e);
void nmrt_word_model_close(nmrt_word_model *m); // NULL is fine
nmrt_status nmrt_word_scratch_open(nmrt_word_scratch **s, const nmrt_word_model_type *type,
                                   nmrt_error *e);
void nmrt_word_scratch_close(nmrt_word_scratch *s); // NULL is fine
// Of a word that is not empty.
nmrt_status nmrt_word_encode(const nmrt_word_model *m, nmrt_word_scratch *s, const char *word,
                             size_t n, nmrt_ids *out, nmrt_error *e);

#endif
