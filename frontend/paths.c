// Matching of path patterns as wildcards are: only the last `**` ever has to take one step more, so
// the time is at most the product of the lengths.
#include "frontend/paths.h"

#include <stdlib.h>
#include <string.h>

// --- matching ------------------------------------------------------------------------------------

static size_t step_len(const char *path) { return strcspn(path, "."); }

static bool is_word(const char *step, size_t n, nm_sym word)
{
    return strlen(word) == n && memcmp(word, step, n) == 0;
}

static bool is_index(const char *step, size_t n, int64_t index)
{
    size_t digits = strspn(step, "0123456789");
    return n && digits == n && strtoll(step, NULL, 10) == index;
}

static bool match_step(const nm_ast_step *s, const char *step, size_t n)
{
    switch (s->kind) {
    case NM_STEP_name:
    case NM_STEP_turns: return is_word(step, n, s->word.sym);
    case NM_STEP_index: return is_index(step, n, s->index);
    case NM_STEP_any:
    case NM_STEP_many: return true;
    case NM_STEP_choice:
        for (int i = 0; i < s->choices.n; i++)
            if (is_word(step, n, s->choices.word[i].sym))
                return true;
        return false;
    }
    return false;
}

// The path behind its first step; NULL at its end.
static const char *next_step(const char *path)
{
    size_t n = step_len(path);
    return path[n] ? path + n + 1 : NULL;
}

bool nm_path_match(const nm_ast_path *p, const char *path)
{
    const char *at = *path ? path : NULL, *many_at = NULL;
    int i = 0, many = -1; // the last `**` met, and what it has taken reaches up to many_at
    while (at) {
        if (i < p->n && p->step[i].kind == NM_STEP_many) {
            many = i++;
            many_at = at;
        } else if (i < p->n && match_step(&p->step[i], at, step_len(at))) {
            i++;
            at = next_step(at);
        } else if (many >= 0) {
            i = many + 1;
            at = many_at = next_step(many_at);
        } else {
            return false;
        }
    }
    while (i < p->n && p->step[i].kind == NM_STEP_many)
        i++;
    return i == p->n;
}

bool nm_paths_match(const nm_ast_paths *patterns, const char *path)
{
    for (int i = 0; i < patterns->n; i++)
        if (nm_path_match(&patterns->path[i], path))
            return true;
    return patterns->n == 0;
}

// --- messages ------------------------------------------------------------------------------------

const char *nm_path_text(nm_module *m, const nm_ast_path *pattern)
{
    return nm_arena_fmt(m->arena, "%.*s", (int)pattern->loc.len,
                        pattern->loc.src->text + pattern->loc.off);
}

static nm_sym dim_step(const nm_ast_path *p, bool (*is_dim)(void *, nm_sym), void *user)
{
    for (int i = 0; is_dim && i < p->n; i++)
        if (p->step[i].kind == NM_STEP_name && is_dim(user, p->step[i].word.sym))
            return p->step[i].word.sym;
    return NULL;
}

// How many first steps of the pattern fit the path: a rough measure of nearness.
static int n_fitting(const nm_ast_path *p, const char *path)
{
    int fit = 0;
    for (int i = 0; i < p->n && path; i++) {
        if (p->step[i].kind == NM_STEP_many || !match_step(&p->step[i], path, step_len(path)))
            break;
        fit++;
        path = next_step(path);
    }
    return fit;
}

// By spelling, else the first of those whose beginning fits longest.
static nm_sym nearest_path(nm_module *m, const nm_ast_path *pattern, int n, const nm_sym *path)
{
    nm_sym near = nm_nearest(nm_path_text(m, pattern), path, (size_t)n);
    if (near)
        return near;
    int best = 0;
    for (int i = 0; i < n; i++) {
        int fit = n_fitting(pattern, path[i]);
        if (fit > best)
            best = fit, near = path[i];
    }
    return near;
}

const char *nm_path_near(nm_module *m, const nm_ast_path *pattern, int n, const nm_sym *path,
                         bool (*is_dim)(void *user, nm_sym name), void *user)
{
    nm_sym near = nearest_path(m, pattern, n, path), dim = dim_step(pattern, is_dim, user);
    const char *text = near ? nm_arena_fmt(m->arena, "near: %s", near) : "";
    if (dim)
        text = nm_arena_fmt(m->arena, "%s%s'%s' is a dim, not a step of the path", text,
                            near ? ", and " : "", dim);
    return text;
}
