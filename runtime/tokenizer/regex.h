// Regular expressions of a tokenizer.json, which are Oniguruma's in its Ruby syntax, by PCRE2 with
// its compiler to machine code. What the two read differently is rewritten or refused
// (regex_dialect.c).
#ifndef NMRT_TOKENIZER_REGEX_H
#define NMRT_TOKENIZER_REGEX_H

#include "runtime/status.h"
#include "runtime/text.h"

typedef struct nmrt_regex nmrt_regex;                 // immutable once open
typedef struct nmrt_regex_scratch nmrt_regex_scratch; // one a thread, for all expressions

nmrt_status nmrt_regex_open(nmrt_regex **re, const char *pattern, size_t n, nmrt_error *e);
// Of PCRE2's own syntax.
nmrt_status nmrt_regex_open_own(nmrt_regex **re, const char *pattern, nmrt_error *e);
void nmrt_regex_close(nmrt_regex *re); // NULL is fine

nmrt_regex_scratch *nmrt_regex_scratch_new(void); // NULL: no memory
void nmrt_regex_scratch_free(nmrt_regex_scratch *s);

typedef struct nmrt_span { // bytes from..to of a text
    size_t from, to;
} nmrt_span;

// The first match in text[from..n], which is UTF-8; *found false: there is none.
nmrt_status nmrt_regex_find(const nmrt_regex *re, nmrt_regex_scratch *s, const char *text, size_t n,
                            size_t from, nmrt_span *match, bool *found, nmrt_error *e);

// regex_dialect.c: Oniguruma's pattern in PCRE2's syntax, for UTF, UCP and MULTILINE.
nmrt_status nmrt_regex_translate(nmrt_text *out, const char *pattern, size_t n, nmrt_error *e);

#endif
