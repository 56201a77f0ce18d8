// Pre-tokenizers of a tokenizer.json: how a text is cut into words. A list of steps; each takes a
// piece of text and gives pieces to the next, in order, one at a time: no list of words is kept.
#ifndef NMRT_TOKENIZER_CUT_H
#define NMRT_TOKENIZER_CUT_H

#include "runtime/tokenizer/pattern.h"

typedef enum {
    NMRT_CUT_ISOLATED,   // matches are pieces, and so is what is between them
    NMRT_CUT_REMOVED,    // what is between them
    NMRT_CUT_CONTIGUOUS, // matches side by side are one piece
    NMRT_CUT_MERGED_WITH_PREVIOUS,
    NMRT_CUT_MERGED_WITH_NEXT,
} nmrt_cut_behavior;

typedef enum {
    NMRT_CUT_SPLIT, // at the matches of a pattern
    NMRT_CUT_SPACE, // " " before a piece that does not begin with one
    NMRT_CUT_BYTES, // bytes as the characters of ByteLevel
    NMRT_CUT_META,  // " " becomes `content`, which is put before a piece, too: see `prepend`
} nmrt_cut_kind;

typedef enum { NMRT_PREPEND_NEVER, NMRT_PREPEND_FIRST, NMRT_PREPEND_ALWAYS } nmrt_cut_prepend;

typedef struct nmrt_cut_step {
    nmrt_cut_kind kind;
    nmrt_pattern pattern;
    nmrt_cut_behavior behavior;
    bool invert; // what is between matches is taken for them
    nmrt_text content;
    nmrt_cut_prepend prepend; // to no piece, the text's first, or all that do not begin with it
} nmrt_cut_step;

typedef struct nmrt_cutter { // zero-initialised: the text is one word
    nmrt_cut_step *step;
    int n;
} nmrt_cutter;

nmrt_status nmrt_cutter_read(nmrt_cutter *c, const nm_json *doc, int node, nmrt_error *e);
void nmrt_cutter_release(nmrt_cutter *c);
// Takes a last step of the kind NMRT_CUT_BYTES away: the model does it (nmrt_word_model.bytes).
bool nmrt_cutter_leave_bytes(nmrt_cutter *c);

// --- cut.c ---------------------------------------------------------------------------------------

typedef struct nmrt_cut_scratch { // one a thread
    nmrt_regex_scratch *regex;    // the caller's
    nmrt_text *rewritten;         // [n steps] the piece that a step rewrote
} nmrt_cut_scratch;

typedef struct nmrt_cut_text {
    const char *at;
    size_t n;
    bool first; // it begins where the whole text does
} nmrt_cut_text;

typedef nmrt_status (*nmrt_take_word)(void *taker, const char *word, size_t n, nmrt_error *e);

// Gives each word of the text to `take`; none is empty.
nmrt_status nmrt_cut(const nmrt_cutter *c, nmrt_cut_scratch *s, nmrt_cut_text text,
                     nmrt_take_word take, void *taker, nmrt_error *e);

#endif
