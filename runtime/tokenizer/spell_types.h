// One step of a decoder, and the table of types. For spell.c and spell_types.c alone.
#ifndef NMRT_TOKENIZER_SPELL_TYPES_H
#define NMRT_TOKENIZER_SPELL_TYPES_H

#include "runtime/tokenizer/spell.h"

typedef struct nmrt_spelling { // a step at work
    const nmrt_spell_step *step;
    nmrt_regex_scratch *regex; // NULL: no step needs one
    const nmrt_pieces *from;
    nmrt_pieces *to; // empty
} nmrt_spelling;

typedef struct nmrt_spell_type {
    const char *name;
    // Reads what the file says of the step; NULL: nothing.
    nmrt_status (*read)(nmrt_spell_step *s, const nm_json *doc, int node, nmrt_error *e);
    nmrt_status (*apply)(const nmrt_spelling *s, nmrt_error *e);
} nmrt_spell_type;

struct nmrt_spell_step {
    const nmrt_spell_type *type;
    nmrt_pattern pattern;
    nmrt_text content;
    int64_t start, stop;
    bool drops_first; // of Metaspace: what is put before a text is taken away
};

extern const nmrt_spell_type nmrt_spell_types[]; // to the one without a name

#endif
