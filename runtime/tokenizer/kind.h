// A kind of tokenizer: one table of functions. tokenizer.c has a row for each kind's open.
#ifndef NMRT_TOKENIZER_KIND_H
#define NMRT_TOKENIZER_KIND_H

#include "runtime/tokenizer/tokenizer.h"

typedef struct nmrt_tokenizer_kind {
    void (*close)(nmrt_tokenizer *t);
    int64_t (*id)(const nmrt_tokenizer *t, const char *piece, size_t n); // -1: none
    // What one thread needs; NULL functions: nothing, and `scratch` is NULL.
    nmrt_status (*scratch_open)(void **scratch, const nmrt_tokenizer *t, nmrt_error *e);
    void (*scratch_close)(void *scratch);
    // Of UTF-8, NUL included. Memory that runs out in `out` alone is told by the caller.
    nmrt_status (*encode)(const nmrt_tokenizer *t, void *scratch, const char *text, size_t n,
                          bool special, nmrt_ids *out, nmrt_error *e);
    nmrt_status (*decode)(const nmrt_tokenizer *t, const int32_t *id, int64_t n, bool skip_special,
                          nmrt_text *out, nmrt_error *e);
    bool takes_bytes; // encode takes any bytes, not UTF-8 alone
} nmrt_tokenizer_kind;

enum { NMRT_MOST_ENDS = 16 };

struct nmrt_tokenizer { // each kind's own struct begins with it
    const nmrt_tokenizer_kind *kind;
    int64_t size, eos;           // eos: -1 where the file has none; then ends.h looks beside it
    int64_t end[NMRT_MOST_ENDS]; // [n_ends] what ends a text besides; ends.h
    int n_ends;
};

// Each makes a tokenizer of the file at `path`.
nmrt_status nmrt_bytes_tokenizer_open(nmrt_tokenizer **t, const char *path, nmrt_error *e);
nmrt_status nmrt_spm_tokenizer_open(nmrt_tokenizer **t, const char *path, nmrt_error *e);
nmrt_status nmrt_json_tokenizer_open(nmrt_tokenizer **t, const char *path, nmrt_error *e);
// Of GPT-2's vocab.json and what lies beside it.
nmrt_status nmrt_gpt2_tokenizer_open(nmrt_tokenizer **t, const char *path, nmrt_error *e);

// Of a file in memory, which need not outlive the call; `name` is for messages.
nmrt_status nmrt_spm_tokenizer_make(nmrt_tokenizer **t, const void *bytes, size_t n,
                                    const char *name, nmrt_error *e);
nmrt_status nmrt_json_tokenizer_make(nmrt_tokenizer **t, const char *text, size_t n,
                                     const char *name, nmrt_error *e);

#endif
