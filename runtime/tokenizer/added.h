// Added tokens of a tokenizer.json: texts that are one token wherever they stand, found before
// anything else is done.
#ifndef NMRT_TOKENIZER_ADDED_H
#define NMRT_TOKENIZER_ADDED_H

#include "runtime/tokenizer/model.h"
#include "runtime/tokenizer/normalize.h"
#include "runtime/tokenizer/pairs.h"

typedef struct nmrt_added_token {
    int32_t id;
    bool special;        // decoding may leave it out
    bool single_word;    // only where no word goes on before or behind it
    bool lstrip, rstrip; // it takes the white space before or behind it
    bool normalized;     // it is looked for in the normalized text
} nmrt_added_token;

// Of an element of the list added_tokens; what is not there stays as it is. Leaves id alone.
nmrt_status nmrt_added_flags(nmrt_added_token *t, const nm_json *doc, int node, nmrt_error *e);

typedef struct nmrt_added_tree { // of the bytes of tokens: node 0 is the root
    nmrt_pairs edges;            // node and byte -> x: node, y: the token that ends there, or -1
    int32_t n_nodes;
    bool begins[256];   // does a token begin with the byte?
    int n_begins, only; // how many there are; if it is 1, which
} nmrt_added_tree;

typedef struct nmrt_added {  // zero-initialised: none
    nmrt_added_token *token; // [n]
    int32_t n;
    nmrt_vocabulary content; // as the file has it
    nmrt_vocabulary
        normalized; // of those that are normalized, where that differs: what decoding gives
    nmrt_added_tree raw,
        normal;     // those that are looked for before the text is normalized, and behind
    int32_t *by_id; // [content.size]: index of the token, or -1
} nmrt_added;

// `list`: the node of added_tokens, or -1. A token that the model has keeps that id, others have
// the ids behind the model's pieces, whatever the file says: that is the library's way.
nmrt_status nmrt_added_read(nmrt_added *a, const nm_json *doc, int list,
                            const nmrt_word_model *model, const nmrt_normalizer *z,
                            nmrt_normal_scratch *scratch, nmrt_error *e);
void nmrt_added_release(nmrt_added *a);

const nmrt_added_token *nmrt_added_find(const nmrt_added *a, int64_t id); // NULL: none
nmrt_word_piece nmrt_added_piece(const nmrt_added *a, int64_t id); // what decoding takes it for

typedef struct nmrt_added_finder { // goes through the tokens in a text
    const nmrt_added *added;
    const nmrt_added_tree *tree;
    const char *text;
    size_t n;
    size_t given; // what is before is text or token that was given
    size_t at;    // where to look on: before `given` where a token took white space
} nmrt_added_finder;

// The next token and the bytes that it takes; NULL: there is none.
const nmrt_added_token *nmrt_added_next(nmrt_added_finder *f, nmrt_span *span);

#endif
