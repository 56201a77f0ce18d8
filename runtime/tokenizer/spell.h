// Decoders of a tokenizer.json: how pieces become a text again. A list of steps, each from pieces
// to pieces; nested sequences are flat.
#ifndef NMRT_TOKENIZER_SPELL_H
#define NMRT_TOKENIZER_SPELL_H

#include "runtime/tokenizer/model.h"
#include "runtime/tokenizer/pattern.h"

typedef struct nmrt_spell_step nmrt_spell_step;

typedef struct nmrt_pieces { // of a text, behind each other; zero-initialised: none
    nmrt_text text;
    size_t *end; // [n, of cap]: where each ends in the text
    size_t n, cap;
} nmrt_pieces;

void nmrt_pieces_add(nmrt_pieces *p, const char *piece, size_t n);
void nmrt_pieces_end(nmrt_pieces *p); // ends the piece that was added to p->text
nmrt_word_piece nmrt_pieces_get(const nmrt_pieces *p, size_t i);
void nmrt_pieces_release(nmrt_pieces *p);

typedef struct nmrt_speller { // zero-initialised: a space between pieces, as the library does
    nmrt_spell_step *step;
    int n;
} nmrt_speller;

nmrt_status nmrt_speller_read(nmrt_speller *s, const nm_json *doc, int node, nmrt_error *e);
void nmrt_speller_release(nmrt_speller *s);
// Appends the text of the pieces, which are used up, to `out`.
nmrt_status nmrt_spell(const nmrt_speller *s, nmrt_pieces *pieces, nmrt_text *out, nmrt_error *e);

#endif
