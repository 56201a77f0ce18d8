// Matching of path patterns: backtracking over the steps, with `**` as the only one that can take
// several. Patterns and paths have a handful of steps, so its cost is nothing.
#include "frontend/paths.h"

#include <stdlib.h>
#include <string.h>

// --- matching
// ----------------------------------------------------------------------------------------

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

// Do the steps from i on match the rest of the path? path is NULL after its last step.
static bool match_from(const nm_ast_path *p, int i, const char *path)
{
    if (i == p->n)
        return !path;
    if (p->step[i].kind == NM_STEP_many && match_from(p, i + 1, path))
        return true;
    if (!path)
        return false;
    size_t n = step_len(path);
    const char *rest = path[n] ? path + n + 1 : NULL;
    if (p->step[i].kind == NM_STEP_many)
        return match_from(p, i, rest);
    return match_step(&p->step[i], path, n) && match_from(p, i + 1, rest);
}

bool nm_path_match(const nm_ast_path *pattern, const char *path)
{
    return match_from(pattern, 0, *path ? path : NULL);
}

bool nm_paths_match(const nm_ast_paths *patterns, const char *path)
{
    for (int i = 0; i < patterns->n; i++)
        if (nm_path_match(&patterns->path[i], path))
            return true;
    return patterns->n == 0;
}

// --- messages
// ------------------------------------------------------------------------------------------

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
        size_t n = step_len(path);
        if (p->step[i].kind == NM_STEP_many || !match_step(&p->step[i], path, n))
            break;
        fit++;
        path = path[n] ? path + n + 1 : NULL;
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
