// Normalizers of a tokenizer.json: what a text is rewritten by before it is cut into words. A list
// of steps; nested sequences are flat.
#ifndef NMRT_TOKENIZER_NORMALIZE_H
#define NMRT_TOKENIZER_NORMALIZE_H

#include "runtime/tokenizer/pattern.h"
#include "runtime/tokenizer/unicode.h"

typedef struct nmrt_normal_step nmrt_normal_step;

typedef struct nmrt_normal_text { // what a step rewrites; not empty
    const char *at;
    size_t n;
    bool first; // it begins where the whole text does; a step clears it that takes its beginning
                // away
} nmrt_normal_text;

typedef struct nmrt_normal_type { // a row a type: normalize.c has the table
    const char *name;
    // Reads what the file says of the step; NULL: nothing.
    nmrt_status (*read)(nmrt_normal_step *s, const nm_json *doc, int node, nmrt_error *e);
    // Appends the text, rewritten, to `out`.
    nmrt_status (*apply)(const nmrt_normal_step *s, nmrt_regex_scratch *regex,
                         nmrt_normal_text *text, nmrt_text *out, nmrt_error *e);
    void (*release)(nmrt_normal_step *s); // what `own` is; NULL: nothing
} nmrt_normal_type;

struct nmrt_normal_step {
    const nmrt_normal_type *type;
    nmrt_pattern pattern;
    nmrt_text content;
    bool left, right;
    void *own; // the type's
};

typedef struct nmrt_normalizer { // zero-initialised: none, the text stays as it is
    nmrt_normal_step *step;
    int n;
} nmrt_normalizer;

typedef struct nmrt_normal_scratch { // one a thread; zero-initialised but for regex
    nmrt_regex_scratch *regex;       // the caller's
    nmrt_text out[2];
} nmrt_normal_scratch;

// From the node of the file, which may be null or -1.
nmrt_status nmrt_normalizer_read(nmrt_normalizer *z, const nm_json *doc, int node, nmrt_error *e);
void nmrt_normalizer_release(nmrt_normalizer *z);
// Rewrites *text; what it points to then is the scratch's, until the next call.
nmrt_status nmrt_normalize(const nmrt_normalizer *z, nmrt_normal_scratch *s, nmrt_normal_text *text,
                           nmrt_error *e);
void nmrt_normal_scratch_release(nmrt_normal_scratch *s);

#endif
