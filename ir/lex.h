// The scanner of IR text, and the parts of it that are not statements: names, numbers, extents,
// types. Private to ir/.
#ifndef NM_IR_LEX_H
#define NM_IR_LEX_H

#include "ir/tables.h"

typedef enum { NM_TOK_end, NM_TOK_word, NM_TOK_string, NM_TOK_number, NM_TOK_punct } nm_tok_kind;

typedef struct nm_token {
    nm_tok_kind kind;
    nm_loc loc;
    const char *text; // where it starts; loc.len bytes
    nm_sym sym;       // of a word or string: what it says
} nm_token;

typedef struct nm_lexer {
    nm_module *m;
    const nm_source *src;
    const char *at; // behind `tok`
    nm_token tok;   // the next one
    int depth;      // of parentheses and bodies
    nm_sym file;    // of the last "at", and its source
    const nm_source *file_src;
} nm_lexer;

void nm_lex_init(nm_lexer *lx, nm_module *m, const nm_source *src);
void nm_lex_next(nm_lexer *lx); // a bad byte is reported and skipped
// To the next line that starts with "func"; true: there is one.
bool nm_lex_resync(nm_lexer *lx);

bool nm_lex_is(const nm_lexer *lx, const char *punct_or_word);
bool nm_lex_accept(nm_lexer *lx, const char *punct_or_word);
bool nm_lex_expect(nm_lexer *lx, const char *punct_or_word);
bool nm_lex_error(nm_lexer *lx, const char *expected); // "expected X, found Y"

bool nm_lex_name(nm_lexer *lx, nm_sym *out); // a word or a string
bool nm_lex_int(nm_lexer *lx, int64_t *out);
bool nm_lex_float(nm_lexer *lx, double *out);
bool nm_lex_extent(nm_lexer *lx, const nm_extent **out);
bool nm_lex_type(nm_lexer *lx, const nm_type **out);
bool nm_lex_dtype(nm_lexer *lx, nm_dtype *out);
bool nm_lex_axes(nm_lexer *lx, nm_axes *out); // cp.tp
bool nm_lex_at(nm_lexer *lx, nm_loc *loc);    // maybe: at file:line:col

#endif
