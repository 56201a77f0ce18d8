// Remarks are counted, not printed as they come: a function has a text for each mode of a mesh, and
// says the same in most.
#include "passes/remarks.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

// --- one value -----------------------------------------------------------------------------------

void nm_remarks_explain(nm_remarks *r, FILE *out, const char *text)
{
    const char *at = strstr(text, "@%");
    r->explain = out;
    r->explain_rule = nm_arena_strndup(r->arena, text, (size_t)(at - text));
    r->explain_value = at + 2;
}

static bool is_explained(const nm_remarks *r, const nm_value *v)
{
    char *end;
    unsigned long id = strtoul(r->explain_value, &end, 10);
    return *end ? v->name && strcmp(v->name, r->explain_value) == 0 : v->id == id;
}

bool nm_remark_asked(nm_remarks *r, const char *rule, const nm_value *v)
{
    if (!r || !r->explain || strncmp(rule, r->explain_rule, strlen(r->explain_rule)) != 0)
        return false;
    bool is_it = is_explained(r, v);
    r->tried = true;
    r->met |= is_it;
    return is_it;
}

const char *nm_remarks_unanswered(const nm_remarks *r)
{
    if (!r->explain || r->met)
        return NULL;
    return r->tried ? nm_arena_fmt(r->arena, "'%s' was not tried at %%%s", r->explain_rule,
                                   r->explain_value)
                    : nm_arena_fmt(r->arena,
                                   "no rule that begins with '%s' was tried, nor is it a "
                                   "pass that was run and explains itself",
                                   r->explain_rule);
}

void nm_remark_answer(const nm_remarks *r, const nm_value *v, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const char *name = v->name ? v->name : nm_arena_fmt(r->arena, "%u", v->id);
    fprintf(r->explain, "@%s, %%%s: ", nm_func_outer(v->func)->name, name);
    vfprintf(r->explain, fmt, args);
    fputc('\n', r->explain);
    va_end(args);
}

// --- rules ---------------------------------------------------------------------------------------

static nm_remark *remark_of(nm_remarks *r, const char *rule)
{
    for (int i = 0; i < r->n; i++)
        if (r->row[i].rule == rule)
            return &r->row[i];
    r->row = nm_arena_grow(r->arena, r->row, r->n, sizeof *r->row);
    r->row[r->n] = (nm_remark){.rule = rule};
    return &r->row[r->n++];
}

void nm_remark_rule(nm_remarks *r, const char *rule, const nm_op *root, bool matched,
                    const char *miss, const char *why)
{
    if (!r)
        return;
    nm_remark *row = remark_of(r, rule);
    bool asked = nm_remark_asked(r, rule, &root->out[0]);
    row->matched += matched;
    if (asked && matched)
        nm_remark_answer(r, &root->out[0], "%s: it matched", rule);
    else if (asked)
        nm_remark_answer(r, &root->out[0], "%s: at '%s': %s", rule, miss, why);
    if (!matched && miss > row->miss) {
        row->miss = miss;
        row->why = why;
        row->at = root->loc;
    }
}

// --- passes without rules ------------------------------------------------------------------------

static bool is_at(const nm_saying *s, nm_loc at)
{
    return s->at.src == at.src && s->at.off == at.off && s->at.len == at.len;
}

static void say(nm_remarks *r, nm_loc at, double missed, const char *fmt, va_list args)
{
    char text[512];
    vsnprintf(text, sizeof text, fmt, args);
    for (int i = 0; i < r->n_said; i++) {
        nm_saying *s = &r->said[i];
        if (!is_at(s, at) || !s->missed != !missed || strcmp(s->text, text) != 0)
            continue;
        s->times++;
        s->missed = missed > s->missed ? missed : s->missed;
        return;
    }
    r->said = nm_arena_grow(r->arena, r->said, r->n_said, sizeof *r->said);
    r->said[r->n_said++] = (nm_saying){nm_arena_fmt(r->arena, "%s", text), at, 1, missed};
}

void nm_remark_done(nm_remarks *r, nm_loc at, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    if (r)
        say(r, at, 0, fmt, args);
    va_end(args);
}

void nm_remark_missed(nm_remarks *r, nm_loc at, double elements, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    if (r)
        say(r, at, elements, fmt, args);
    va_end(args);
}

// --- printing ------------------------------------------------------------------------------------

static void print_place(FILE *out, nm_loc at)
{
    if (!at.src)
        return;
    nm_line_col p = nm_loc_line_col(at);
    fprintf(out, "%s:%u:%u: ", at.src->name, p.line, p.col);
}

static void print_fired(FILE *out, const nm_remarks *r)
{
    if (r->n)
        fputs("how often each rule fired:\n", out);
    for (int i = 0; i < r->n; i++)
        if (r->row[i].matched)
            fprintf(out, "%5d  %s\n", r->row[i].matched, r->row[i].rule);
}

static void print_others(FILE *out, const nm_remarks *r)
{
    for (int i = 0; i < r->n; i++) {
        const nm_remark *row = &r->row[i];
        if (row->matched)
            continue;
        fprintf(out, "%5d  %s\n", row->matched, row->rule);
        if (!row->miss)
            continue;
        fputs("       nearest miss: ", out);
        print_place(out, row->at);
        fprintf(out, "at '%s': %s\n", row->miss, row->why);
    }
}

static int by_elements(const void *a, const void *b)
{
    const nm_saying *x = *(nm_saying *const *)a, *y = *(nm_saying *const *)b;
    if (x->missed != y->missed)
        return x->missed < y->missed ? 1 : -1;
    return x < y ? -1 : x > y; // in order
}

static void print_done(FILE *out, const nm_remarks *r)
{
    for (int i = 0; i < r->n_said; i++) {
        if (r->said[i].missed)
            continue;
        fprintf(out, "%5d  ", r->said[i].times);
        print_place(out, r->said[i].at);
        fprintf(out, "%s\n", r->said[i].text);
    }
}

static void print_missed(FILE *out, const nm_remarks *r)
{
    nm_saying **row = nm_new_n(r->arena, nm_saying *, r->n_said + 1);
    int n = 0;
    for (int i = 0; i < r->n_said; i++)
        if (r->said[i].missed)
            row[n++] = &r->said[i];
    qsort(row, (size_t)n, sizeof *row, by_elements);
    if (n)
        fputs("what is not, and the elements that are loaded or stored for it:\n", out);
    for (int i = 0; i < n; i++) {
        fprintf(out, "%5d  %8.3g  ", row[i]->times, row[i]->missed);
        print_place(out, row[i]->at);
        fprintf(out, "%s\n", row[i]->text);
    }
}

void nm_remarks_print(FILE *out, const nm_remarks *r)
{
    if (r->n_said)
        fputs("what was done, and in how many texts of functions:\n", out);
    print_done(out, r);
    print_missed(out, r);
    print_fired(out, r);
    print_others(out, r);
}
