// The parts of the text form: names, numbers, extents, types. ir/print.c writes modules with them,
// messages quote them, ir/lex.c and ir/parse.c read them.
#include "ir/form.h"
#include "ir/tables.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

bool nm_text_is_word(const char *s, size_t n)
{
    size_t i = 0;
    if (!n || !(isalpha((unsigned char)s[0]) || s[0] == '_'))
        return false;
    while (i < n && (isalnum((unsigned char)s[i]) || s[i] == '_' || s[i] == '.'))
        i++;
    while (i < n && s[i] == '\'')
        i++;
    return i == n;
}

void nm_text_name(FILE *out, nm_sym name)
{
    if (nm_text_is_word(name, strlen(name))) {
        fputs(name, out);
        return;
    }
    fputc('"', out);
    for (const char *p = name; *p; p++)
        if (*p == '"' || *p == '\\')
            fprintf(out, "\\%c", *p);
        else if ((unsigned char)*p < 32 || *p == 127)
            fprintf(out, "\\x%02x", (unsigned char)*p);
        else
            fputc(*p, out);
    fputc('"', out);
}

void nm_text_float(FILE *out, double value)
{
    char text[40];
    if (isnan(value)) {
        fputs("nan", out);
        return;
    }
    if (isinf(value)) {
        fputs(value < 0 ? "-inf" : "inf", out);
        return;
    }
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    fputs(text, out);
}

// --- extents -------------------------------------------------------------------------------------

static bool is_single(const nm_extent *e) // a number or a name: needs no parentheses
{
    return nm_extent_is_const(e, NULL) || (e->n_terms == 1 && e->term[0].factor == 1 &&
                                           e->term[0].n_atoms == 1 && e->term[0].atom[0].sym);
}

static void closed_extent(FILE *out, const nm_extent *e)
{
    bool single = is_single(e);
    fputs(single ? "" : "(", out);
    nm_text_extent(out, e);
    fputs(single ? "" : ")", out);
}

static void atom(FILE *out, const nm_atom *a, bool alone)
{
    if (a->sym) {
        nm_text_name(out, a->sym);
        return;
    }
    fputs(alone ? "" : "(", out);
    closed_extent(out, a->num);
    fputs(" // ", out);
    closed_extent(out, a->den);
    fputs(alone ? "" : ")", out);
}

static void term(FILE *out, const nm_term *t, uint64_t factor)
{
    bool alone = t->n_atoms == 1 && factor == 1;
    if (!t->n_atoms || factor != 1)
        fprintf(out, "%" PRIu64 "%s", factor, t->n_atoms ? " * " : "");
    for (int i = 0; i < t->n_atoms; i++) {
        fputs(i ? " * " : "", out);
        atom(out, &t->atom[i], alone);
    }
}

void nm_text_extent(FILE *out, const nm_extent *e)
{
    if (!e->n_terms)
        fputc('0', out);
    for (int i = 0; i < e->n_terms; i++) {
        int64_t factor = e->term[i].factor;
        bool negative = factor < 0;
        fputs(negative ? (i ? " - " : "-") : i ? " + " : "", out);
        term(out, &e->term[i], negative ? 0 - (uint64_t)factor : (uint64_t)factor);
    }
}

// --- types ---------------------------------------------------------------------------------------

static void axes(FILE *out, const nm_axes *a, const char *mark)
{
    const char *word;
    for (int i = 0; i < a->n; i += nm_axes_word(a->n - i, &a->axis[i], &word), mark = ".") {
        nm_axes_word(a->n - i, &a->axis[i], &word);
        fputs(mark, out);
        nm_text_name(out, word);
    }
}

void nm_text_axes(FILE *out, const nm_axes *a) { axes(out, a, ""); }

void nm_text_type(FILE *out, nm_module *m, const nm_type *t)
{
    fprintf(out, "%s[", nm_dtype_table[t->dtype].name);
    for (int i = 0; i < t->rank; i++) {
        const nm_dim *d = &t->dim[i];
        fputs(i ? ", " : "", out);
        nm_text_name(out, d->name);
        if (nm_dim_default(m, d->name) != d->extent) {
            fputc('=', out);
            closed_extent(out, d->extent);
        }
        axes(out, &d->axes, "/");
    }
    fputc(']', out);
    axes(out, &t->pending, t->kind == NM_PENDING_MAX ? "^" : "+");
}
