// Tokens are words, "strings", numbers and punctuation; `#` starts a comment; line ends mean
// nothing. Every recursion counts lx->depth, so no text is too deep for the stack.
#include "ir/lex.h"

#include "ir/form.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 64 };

// --- tokens --------------------------------------------------------------------------------------

static size_t word_len(const char *s)
{
    size_t n = 0;
    if (!isalpha((unsigned char)*s) && *s != '_')
        return 0;
    while (isalnum((unsigned char)s[n]) || s[n] == '_' || s[n] == '.')
        n++;
    while (s[n] == '\'')
        n++;
    return n;
}

static size_t digits(const char *s) { return strspn(s, "0123456789"); }

static size_t number_len(const char *s)
{
    size_t n = digits(s);
    if (!n)
        return 0;
    if (s[n] == '.' && digits(s + n + 1))
        n += 1 + digits(s + n + 1);
    if (s[n] == 'e' || s[n] == 'E') {
        size_t sign = s[n + 1] == '+' || s[n + 1] == '-';
        if (digits(s + n + 1 + sign))
            n += 1 + sign + digits(s + n + 1 + sign);
    }
    return n;
}

static void set(nm_lexer *lx, nm_tok_kind kind, size_t n)
{
    nm_loc loc = {lx->src, (uint32_t)(lx->at - lx->src->text), (uint32_t)n};
    lx->tok = (nm_token){.kind = kind, .loc = loc, .text = lx->at};
    if (kind == NM_TOK_word)
        lx->tok.sym = nm_intern(lx->m->syms, lx->at, n);
    lx->at += n;
}

static int hex(char c)
{
    const char *all = "0123456789abcdef", *p = c ? strchr(all, c) : NULL;
    return p ? (int)(p - all) : -1;
}

// One character of a string, after unescaping; -1: a bad escape, or the end of the line.
static int string_char(const char **p)
{
    char c = *(*p)++;
    if (c == '\n' || !c)
        return -1;
    if (c != '\\')
        return (unsigned char)c;
    c = *(*p)++;
    if (c == '"' || c == '\\')
        return c;
    int high = c == 'x' ? hex((*p)[0]) : -1, low = high >= 0 ? hex((*p)[1]) : -1;
    *p += low >= 0 ? 2 : 0;
    return low >= 0 && high * 16 + low ? high * 16 + low : -1;
}

static void string_token(nm_lexer *lx)
{
    const char *p = lx->at + 1;
    size_t cap = strcspn(p, "\n") + 1, n = 0;
    char *text = nm_arena_alloc(lx->m->arena, cap);
    while (*p != '"') {
        int c = string_char(&p);
        if (c < 0) {
            set(lx, NM_TOK_punct, strcspn(lx->at, "\n")); // nm_lex_error says what is wrong
            return;
        }
        text[n++] = (char)c;
    }
    set(lx, NM_TOK_string, (size_t)(p + 1 - lx->at));
    lx->tok.sym = nm_intern(lx->m->syms, text, n);
}

static void skip_space(nm_lexer *lx)
{
    while (*lx->at == '#' || (*lx->at && isspace((unsigned char)*lx->at)))
        lx->at += *lx->at == '#' ? strcspn(lx->at, "\n") : 1;
}

void nm_lex_next(nm_lexer *lx)
{
    skip_space(lx);
    size_t n;
    if (!*lx->at)
        set(lx, NM_TOK_end, 0);
    else if ((n = word_len(lx->at)))
        set(lx, NM_TOK_word, n);
    else if ((n = number_len(lx->at)))
        set(lx, NM_TOK_number, n);
    else if (*lx->at == '"')
        string_token(lx);
    else
        set(lx, NM_TOK_punct, !strncmp(lx->at, "//", 2) || !strncmp(lx->at, "->", 2) ? 2 : 1);
}

void nm_lex_init(nm_lexer *lx, nm_module *m, const nm_source *src)
{
    *lx = (nm_lexer){.m = m, .src = src, .at = src->text};
    nm_lex_next(lx);
}

bool nm_lex_resync(nm_lexer *lx)
{
    const char *p = lx->tok.text;
    bool bol = p == lx->src->text || p[-1] == '\n';
    while (*p && !(bol && !strncmp(p, "func ", 5)))
        bol = *p++ == '\n';
    lx->at = p;
    lx->depth = 0;
    nm_lex_next(lx);
    return lx->tok.kind != NM_TOK_end;
}

bool nm_lex_is(const nm_lexer *lx, const char *s)
{
    return (lx->tok.kind == NM_TOK_punct || lx->tok.kind == NM_TOK_word) &&
           strlen(s) == lx->tok.loc.len && !memcmp(lx->tok.text, s, lx->tok.loc.len);
}

bool nm_lex_accept(nm_lexer *lx, const char *s)
{
    bool is = nm_lex_is(lx, s);
    if (is)
        nm_lex_next(lx);
    return is;
}

bool nm_lex_error(nm_lexer *lx, const char *expected)
{
    if (lx->tok.kind == NM_TOK_end)
        return nm_error(lx->m->diag, lx->tok.loc,
                        "expected %s, found the end of the text [syntax-1]", expected);
    if (lx->tok.kind == NM_TOK_punct && *lx->tok.text == '"')
        return nm_error(lx->m->diag, lx->tok.loc,
                        "a string without its end, or with a bad escape [syntax-4]");
    int n = lx->tok.loc.len > 40 ? 40 : (int)lx->tok.loc.len;
    return nm_error(lx->m->diag, lx->tok.loc, "expected %s, found '%.*s' [syntax-1]", expected, n,
                    lx->tok.text);
}

bool nm_lex_expect(nm_lexer *lx, const char *s)
{
    if (nm_lex_accept(lx, s))
        return true;
    char quoted[24];
    snprintf(quoted, sizeof quoted, "'%s'", s);
    return nm_lex_error(lx, quoted);
}

// --- names and numbers ---------------------------------------------------------------------------

bool nm_lex_name(nm_lexer *lx, nm_sym *out)
{
    *out = NULL;
    if (lx->tok.kind != NM_TOK_word && lx->tok.kind != NM_TOK_string)
        return nm_lex_error(lx, "a name");
    *out = lx->tok.sym;
    nm_lex_next(lx);
    return true;
}

static bool magnitude(nm_lexer *lx, bool negative, int64_t *out)
{
    const char *text = lx->tok.text;
    uint64_t v = 0, limit = (uint64_t)INT64_MAX + negative;
    if (lx->tok.kind != NM_TOK_number || digits(text) != lx->tok.loc.len)
        return nm_lex_error(lx, "a whole number");
    for (uint32_t i = 0; i < lx->tok.loc.len; i++)
        if (__builtin_mul_overflow(v, 10u, &v) ||
            __builtin_add_overflow(v, (uint64_t)(text[i] - '0'), &v) || v > limit)
            return nm_error(lx->m->diag, lx->tok.loc, "a number of more than 64 bits [syntax-2]");
    *out = negative ? (int64_t)(0 - v) : (int64_t)v;
    nm_lex_next(lx);
    return true;
}

bool nm_lex_int(nm_lexer *lx, int64_t *out)
{
    bool negative = nm_lex_accept(lx, "-");
    return magnitude(lx, negative, out);
}

bool nm_lex_float(nm_lexer *lx, double *out)
{
    double sign = nm_lex_accept(lx, "-") ? -1 : 1;
    if (nm_lex_accept(lx, "inf"))
        *out = sign * __builtin_inf();
    else if (nm_lex_accept(lx, "nan"))
        *out = __builtin_nan("");
    else if (lx->tok.kind == NM_TOK_number) {
        *out = sign * strtod(lx->tok.text, NULL);
        nm_lex_next(lx);
    } else
        return nm_lex_error(lx, "a number");
    return true;
}

// --- extents -------------------------------------------------------------------------------------

static bool too_deep(nm_lexer *lx)
{
    return lx->depth >= MAX_DEPTH &&
           !nm_error(lx->m->diag, lx->tok.loc, "nested deeper than %d [syntax-3]", MAX_DEPTH);
}

static bool factor(nm_lexer *lx, const nm_extent **out)
{
    nm_loc loc = lx->tok.loc;
    int64_t value;
    nm_sym name;
    if (too_deep(lx))
        return false;
    if (nm_lex_accept(lx, "(")) {
        lx->depth++;
        bool ok = nm_lex_extent(lx, out) && nm_lex_expect(lx, ")");
        lx->depth--;
        return ok;
    }
    if (lx->tok.kind == NM_TOK_number) {
        if (!magnitude(lx, false, &value))
            return false;
        *out = nm_extent_const(lx->m, value);
        return true;
    }
    if (!nm_lex_name(lx, &name))
        return false;
    *out = nm_dim_default(lx->m, name);
    return *out || nm_error(lx->m->diag, loc, "no dim is called '%s' [dim-6]", name);
}

static bool product(nm_lexer *lx, const nm_extent **out)
{
    const nm_extent *right;
    if (!factor(lx, out))
        return false;
    for (;;) {
        bool divide = nm_lex_accept(lx, "//");
        if (!divide && !nm_lex_accept(lx, "*"))
            return true;
        if (!factor(lx, &right))
            return false;
        *out = divide ? nm_extent_div(lx->m, *out, right) : nm_extent_mul(lx->m, *out, right);
    }
}

bool nm_lex_extent(nm_lexer *lx, const nm_extent **out)
{
    nm_loc loc = lx->tok.loc;
    const nm_extent *right, *minus = nm_extent_const(lx->m, -1);
    bool negative = nm_lex_accept(lx, "-");
    if (!product(lx, out))
        return false;
    if (negative)
        *out = nm_extent_mul(lx->m, *out, minus);
    for (;;) {
        negative = nm_lex_accept(lx, "-");
        if (!negative && !nm_lex_accept(lx, "+"))
            break;
        if (!product(lx, &right))
            return false;
        *out = nm_extent_add(lx->m, *out, negative ? nm_extent_mul(lx->m, right, minus) : right);
    }
    return *out || nm_error(lx->m->diag, loc,
                            "this extent has no value, or too many parts "
                            "[extent-1]");
}

// --- types ---------------------------------------------------------------------------------------

bool nm_lex_dtype(nm_lexer *lx, nm_dtype *out)
{
    for (int i = 0; i < NM_N_DTYPES; i++)
        if (nm_lex_accept(lx, nm_dtype_table[i].name)) {
            *out = (nm_dtype)i;
            return true;
        }
    return nm_lex_error(lx, "a dtype");
}

// The text has axes as one word, cp.tp.
static bool split_axes(nm_lexer *lx, nm_loc loc, const char *text, nm_axes *out)
{
    while (*text) {
        size_t n = strcspn(text, ".");
        if (!n || !nm_axes_append(lx->m, out, nm_intern(lx->m->syms, text, n)))
            return nm_error(lx->m->diag, loc, "axes are 1 to %d names with dots between [type-6]",
                            NM_MAX_AXES);
        text += n + (text[n] == '.');
    }
    return true;
}

bool nm_lex_axes(nm_lexer *lx, nm_axes *out)
{
    nm_loc loc = lx->tok.loc;
    nm_sym list;
    return nm_lex_name(lx, &list) && split_axes(lx, loc, list, out);
}

static bool dim(nm_lexer *lx, nm_type *t)
{
    nm_loc loc = lx->tok.loc;
    nm_dim d = {0};
    if (!nm_lex_name(lx, &d.name))
        return false;
    d.extent = nm_dim_default(lx->m, d.name);
    if (nm_lex_accept(lx, "=")) {
        if (!factor(lx, &d.extent))
            return false;
        if (!d.extent)
            return nm_error(lx->m->diag, loc, "this extent has no value [extent-1]");
    }
    if (!d.extent)
        return nm_error(lx->m->diag, loc, "dim '%s' is not declared; write %s=N [dim-6]", d.name,
                        d.name);
    if (nm_lex_accept(lx, "/") && !nm_lex_axes(lx, &d.axes))
        return false;
    if (nm_has_dim(t, d.name))
        return nm_error(lx->m->diag, loc, "'%s' stands twice in one type [type-1]", d.name);
    if (t->rank == NM_MAX_RANK)
        return nm_error(lx->m->diag, loc, "more than %d dims [rank-1]", NM_MAX_RANK);
    t->dim[t->rank++] = d;
    return true;
}

bool nm_lex_type(nm_lexer *lx, const nm_type **out)
{
    nm_type t = {0};
    if (!nm_lex_dtype(lx, &t.dtype) || !nm_lex_expect(lx, "["))
        return false;
    while (!nm_lex_accept(lx, "]"))
        if ((t.rank && !nm_lex_expect(lx, ",")) || !dim(lx, &t))
            return false;
    if (nm_lex_is(lx, "+") || nm_lex_is(lx, "^")) {
        t.kind = nm_lex_is(lx, "^") ? NM_PENDING_MAX : NM_PENDING_SUM;
        nm_lex_next(lx);
        if (!nm_lex_axes(lx, &t.pending))
            return false;
    }
    *out = nm_type_get(lx->m, &t);
    return true;
}

// --- locations -----------------------------------------------------------------------------------

static bool line_or_col(nm_lexer *lx, uint32_t *out)
{
    int64_t v;
    if (!nm_lex_expect(lx, ":") || !nm_lex_int(lx, &v))
        return false;
    *out = v < 0 || v > UINT32_MAX ? 0 : (uint32_t)v;
    return true;
}

bool nm_lex_at(nm_lexer *lx, nm_loc *loc)
{
    nm_sym file;
    nm_loc at = {0};
    if (!nm_lex_accept(lx, "at"))
        return true;
    if (!nm_lex_name(lx, &file) || !line_or_col(lx, &at.off) || !line_or_col(lx, &at.len))
        return false;
    if (file != lx->file) {
        nm_source *src = nm_new(lx->m->arena, nm_source);
        src->name = file;
        lx->file = file;
        lx->file_src = src;
    }
    at.src = lx->file_src;
    *loc = at;
    return true;
}
