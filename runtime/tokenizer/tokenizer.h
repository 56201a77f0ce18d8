// Tokenizers: texts to ids and back, as the libraries that made their files do it. What kinds there
// are: kind.h.
#ifndef NMRT_TOKENIZER_H
#define NMRT_TOKENIZER_H

#include "runtime/file.h"
#include "runtime/status.h"
#include "runtime/text.h"
#include "runtime/tokenizer/ids.h"

// Immutable once it is open: any number of threads may encode and decode with it.
typedef struct nmrt_tokenizer nmrt_tokenizer;

// `path`: a tokenizer.json (any name that ends in .json), a SentencePiece model (any that ends in
// .model), a folder that has tokenizer.json or, else, tokenizer.model or, else, GPT-2's vocab.json
// and merges.txt; or the word "bytes", whose ids are the text's bytes. The caller closes it where
// the status is NMRT_OK.
nmrt_status nmrt_tokenizer_open(nmrt_tokenizer **t, const char *path, nmrt_error *e);
void nmrt_tokenizer_close(nmrt_tokenizer *t); // NULL is fine
// Has the folder one that could be opened?
bool nmrt_tokenizer_is_in(const char *folder);
// Of the bytes of all files that the ids of the one at `path` depend on; 0: "bytes", which has
// none.
nmrt_status nmrt_tokenizer_hash(const char *path, uint64_t *value, nmrt_error *e);

int64_t nmrt_tokenizer_size(const nmrt_tokenizer *t); // all ids are below it, added tokens, too
int64_t nmrt_tokenizer_id(const nmrt_tokenizer *t, const char *piece); // -1: it has none
// What ends a document: see ends.h. -1: none is known.
int64_t nmrt_tokenizer_eos(const nmrt_tokenizer *t);
// Is a text that is generated at its end with this token? eos, and eos_token_id of the
// generation_config.json beside the file.
bool nmrt_tokenizer_ends(const nmrt_tokenizer *t, int64_t id);

// --- text to ids ---------------------------------------------------------------------------------

typedef struct nmrt_encoder nmrt_encoder; // one a thread: what was encoded lately, and scratch

nmrt_status nmrt_encoder_open(nmrt_encoder **enc, const nmrt_tokenizer *t, nmrt_error *e);
void nmrt_encoder_close(nmrt_encoder *enc); // NULL is fine

// Appends to `out`. Text that is not UTF-8 is read as if each longest part that could have begun a
// character were U+FFFD, as the libraries' bindings decode bytes with errors="replace".
// special: with what the tokenizer puts around a text (add_special_tokens).
nmrt_status nmrt_encode(nmrt_encoder *enc, const char *text, size_t n, bool special, nmrt_ids *out,
                        nmrt_error *e);

// --- ids to text ---------------------------------------------------------------------------------

// Appends to `out`. Ids that the tokenizer has no piece for are left out, as the libraries do;
// skip_special: those of special tokens, too.
nmrt_status nmrt_decode(const nmrt_tokenizer *t, const int32_t *id, int64_t n, bool skip_special,
                        nmrt_text *out, nmrt_error *e);

// Ids as they come, for a reader who waits: text is given back by whole characters.
typedef struct nmrt_decoder { // zero-initialised but for t and skip_special
    const nmrt_tokenizer *t;
    bool skip_special;
    nmrt_ids window;  // the last ids: those whose text is given out and those that came since
    int64_t given;    // of window: how many are given out
    nmrt_text before; // their text
} nmrt_decoder;

nmrt_status nmrt_decoder_add(nmrt_decoder *d, int32_t id, nmrt_text *out, nmrt_error *e);
// What is held back as part of a character that never came, as U+FFFD.
nmrt_status nmrt_decoder_finish(nmrt_decoder *d, nmrt_text *out, nmrt_error *e);
void nmrt_decoder_release(nmrt_decoder *d);

#endif
