// One parse: the token stream between flex and bison, with what recovery drops, and the text of
// syntax errors (rule syntax-1). The grammar decides, this file only words it.
#include "frontend/parse.h"

#include "frontend/grammar.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int nm_scan_token(NM_PARSE_STYPE *value, NM_PARSE_LTYPE *loc, void *scanner);
int nm_scan_lex_init_extra(nm_parser *ps, void **scanner);
int nm_scan_lex_destroy(void *scanner);
struct yy_buffer_state *nm_scan__scan_bytes(const char *text, int n, void *scanner);
int nm_parse_lex(NM_PARSE_STYPE *value, NM_PARSE_LTYPE *loc, nm_parser *ps);
bool nm_parse_skip(nm_parser *ps, nm_skip skip, int lookahead);

// --- tokens --------------------------------------------------------------------------------------

static void count_brackets(nm_parser *ps, int token, nm_loc at)
{
    if (token == '(' || token == '[' || token == '{')
        ps->brackets++;
    else if (ps->brackets && (token == ')' || token == ']' || token == '}'))
        ps->brackets--;
    if (ps->brackets <= NM_AST_MAX_DEPTH)
        return;
    if (!ps->stop)
        nm_syntax_error(ps, at, "brackets nest deeper than %d", NM_AST_MAX_DEPTH);
    ps->stop = true;
}

static bool in_first_column(nm_loc at) { return at.off == 0 || at.src->text[at.off - 1] == '\n'; }

// Is it a bad place to go on after a mistake?
static bool is_dropped(const nm_parser *ps, int token, nm_loc at)
{
    if (token == T_END)
        return false;
    switch (ps->skip) {
    case NM_SKIP_line: return !ps->line_start && token != '}';
    case NM_SKIP_item: return !in_first_column(at) || token == '}';
    case NM_SKIP_none: break;
    }
    return false;
}

static int next_token(NM_PARSE_STYPE *value, nm_loc *loc, nm_parser *ps)
{
    ps->line_start = ps->off == 0;
    int token = nm_scan_token(value, loc, ps->scanner);
    ps->after_dot = token == '.';
    count_brackets(ps, token, *loc);
    return token;
}

bool nm_parse_skip(nm_parser *ps, nm_skip skip, int lookahead)
{
    ps->skip = skip;
    if (lookahead < 0 || is_dropped(ps, lookahead, ps->last)) // negative: none is read
        return true;
    ps->skip = NM_SKIP_none;
    return false;
}

int nm_parse_lex(NM_PARSE_STYPE *value, NM_PARSE_LTYPE *loc, nm_parser *ps)
{
    int token;
    do
        token = next_token(value, loc, ps);
    while (!ps->stop && is_dropped(ps, token, *loc));
    ps->skip = NM_SKIP_none;
    if (ps->stop)
        token = T_END;
    if (token == T_END)
        *loc = (nm_loc){.src = ps->src, .off = ps->off};
    ps->prev = ps->last;
    ps->last = *loc;
    return token;
}

// --- messages ------------------------------------------------------------------------------------

void nm_syntax_error(nm_parser *ps, nm_loc at, const char *fmt, ...)
{
    if (ps->n_errors++ >= NM_MAX_SYNTAX_ERRORS)
        return;
    char text[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    nm_error(ps->m->diag, at, "%s [syntax-1]", text);
}

static bool has(int n, const char **names, const char *name)
{
    for (int i = 0; i < n; i++)
        if (names[i] && strcmp(names[i], name) == 0)
            return true;
    return false;
}

// Take the words of `group` out of names, as one phrase stands for them.
static void take(int n, const char **names, const char *group)
{
    for (int i = 0; i < n; i++) {
        size_t len = names[i] ? strlen(names[i]) : 0;
        for (const char *at = group; len && (at = strstr(at, names[i])); at++)
            if ((at == group || at[-1] == ' ') && (at[len] == ' ' || !at[len])) {
                names[i] = NULL;
                break;
            }
    }
}

typedef struct phrase {
    const char *sign, *also; // it stands for its group where both are expected
    const char *text;        // NULL: said by leaving it out
    const char *group;
} phrase;

// In this order: what goes on with an expression is never said, what starts one is "a value".
static const phrase phrases[] = {
    {"'^'", "or", NULL, "or and == != <= >= // '<' '>' '+' '-' '*' '/' '%' '^' '.' '(' '[' .."},
    {"return", "repeat", "a statement",
     "param state emit repeat scan for if return minimize dims const require"},
    {"module", "preset", "a definition",
     "use dims const require mesh module model fn train eval infer preset weights adapt extern"},
    {"'('", "not", "a value", "'(' '-' not if"},
};
enum { N_PHRASES = sizeof phrases / sizeof *phrases, MAX_SAID = 5 };

static const char *const values[] = {"a name", "an int", "a number", "a string", "a label"};

static void drop_values(int n, const char **names)
{
    for (int i = 0; i < n; i++)
        for (size_t k = 0; k < sizeof values / sizeof *values; k++)
            if (names[i] && strcmp(names[i], values[k]) == 0)
                names[i] = NULL;
}

// Replace groups in names by phrases in said; how many.
static int find_phrases(int n, const char **names, const char *said[N_PHRASES])
{
    int n_said = 0;
    for (int i = 0; i < N_PHRASES; i++) {
        const phrase *p = &phrases[i];
        if (!has(n, names, p->sign) || !has(n, names, p->also))
            continue;
        take(n, names, p->group);
        if (!p->text)
            continue;
        said[n_said++] = p->text;
        drop_values(n, names);
    }
    return n_said;
}

// The tokens and phrases to say, at most MAX_SAID; 0: too many to help.
static int what_to_say(int n, const char **names, const char *said[MAX_SAID])
{
    const char *phrase_said[N_PHRASES];
    int n_phrases = find_phrases(n, names, phrase_said), n_said = 0;
    for (int i = 0; i < n; i++) {
        if (!names[i] || (n > 1 && strncmp(names[i], "the end", 7) == 0))
            continue;
        if (n_said + n_phrases >= MAX_SAID)
            return 0;
        said[n_said++] = names[i];
    }
    for (int i = 0; i < n_phrases && n_said < MAX_SAID; i++)
        said[n_said++] = phrase_said[i];
    return n_said;
}

// A token of the grammar as it is said: ')' and a name as they are, '->' in quotes.
static const char *quoted(nm_parser *ps, const char *name)
{
    bool bare = *name == '\'' || strncmp(name, "a ", 2) == 0 || strncmp(name, "an ", 3) == 0 ||
                strncmp(name, "the ", 4) == 0;
    return bare ? name : nm_arena_fmt(ps->m->arena, "'%s'", name);
}

static const char *listed(nm_parser *ps, int n, const char **said)
{
    const char *text = "";
    for (int i = 0; i < n; i++)
        text = nm_arena_fmt(ps->m->arena, "%s%s%s", text,
                            i == 0       ? ""
                            : i == n - 1 ? " or "
                                         : ", ",
                            quoted(ps, said[i]));
    return text;
}

static const char *found_text(nm_parser *ps, nm_loc at)
{
    if (!at.len)
        return "the end of the file";
    return nm_arena_fmt(ps->m->arena, "'%.*s'", at.len < 60 ? (int)at.len : 60,
                        at.src->text + at.off);
}

void nm_syntax_expected(nm_parser *ps, nm_loc at, int n, const char **expected)
{
    if (ps->stop)
        return;
    const char *said[MAX_SAID];
    int n_said = what_to_say(n, expected, said);
    const char *after =
        ps->prev.len ? nm_arena_fmt(ps->m->arena, " after %s", found_text(ps, ps->prev)) : "";
    if (n_said)
        nm_syntax_error(ps, at, "expected %s%s, found %s", listed(ps, n_said, said), after,
                        found_text(ps, at));
    else
        nm_syntax_error(ps, at, "%s cannot stand%s", found_text(ps, at), after);
}

// --- the parse -----------------------------------------------------------------------------------

static nm_sym stem_of(nm_module *m, const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    const char *dot = strrchr(name, '.');
    return nm_intern(m->syms, name, dot && dot != name ? (size_t)(dot - name) : strlen(name));
}

nm_ast_file *nm_parse_nm(nm_module *m, const nm_source *src)
{
    nm_parser ps = {.m = m, .src = src, .line_start = true};
    ps.file = nm_new(m->arena, nm_ast_file);
    ps.file->src = src;
    ps.file->stem = stem_of(m, src->name);
    ps.prev = ps.last = (nm_loc){.src = src};
    if (nm_scan_lex_init_extra(&ps, &ps.scanner) != 0)
        nm_bug("no memory for the scanner");
    nm_scan__scan_bytes(src->text, (int)src->len, ps.scanner);
    int failed = nm_parse_parse(&ps);
    nm_scan_lex_destroy(ps.scanner);
    if (failed && !ps.n_errors)
        nm_bug("the parser failed without a message");
    return ps.n_errors ? NULL : ps.file;
}
