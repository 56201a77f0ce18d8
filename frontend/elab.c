// The elaborator's door, and how it complains.
//
// Elaboration is partial evaluation: a program is run with its tensors left symbolic. elab_names.c
// says what names mean, elab_expr.c and its neighbours evaluate, elab_call.c inlines, elab_params.c
// declares, elab_loops.c builds repeats, elab_train.c the training step, elab_entries.c decides
// what functions there are. One program is evaluated several times (train, eval, model, infer), so
// a message is remembered and given once.
#include "frontend/elab_internal.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 900, MAX_WORK = 3000000 };

typedef struct nm_told {
    nm_loc loc;
    const char *text;
    struct nm_told *next;
} told;

static bool already_told(nm_elab *e, nm_loc loc, const char *text)
{
    for (told *t = e->told; t; t = t->next)
        if (t->loc.src == loc.src && t->loc.off == loc.off && !strcmp(t->text, text))
            return true;
    told *t = nm_new(e->a, told);
    *t = (told){.loc = loc, .text = text, .next = e->told};
    e->told = t;
    return false;
}

static const char *format(nm_elab *e, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    size_t n = (size_t)vsnprintf(NULL, 0, fmt, ap) + 1;
    char *s = nm_arena_alloc(e->a, n);
    vsnprintf(s, n, fmt, again);
    va_end(again);
    return s;
}

// A place in the standard library is the user's call of it, and the message begins with what was
// called.
static nm_loc users_place(nm_elab *e, const nm_frame *f, nm_loc loc, const char **prefix)
{
    *prefix = "";
    if (!f || !f->user_fn)
        return loc;
    *prefix = nm_arena_fmt(e->a, "%s: ", f->user_fn);
    return loc.src == e->prog->std->src || !loc.src ? f->user_loc : loc;
}

nm_ev nm_elab_error(nm_elab *e, const nm_frame *f, nm_loc loc, const char *fmt, ...)
{
    const char *prefix;
    va_list ap;
    va_start(ap, fmt);
    const char *text = format(e, fmt, ap);
    va_end(ap);
    loc = users_place(e, f, loc, &prefix);
    text = nm_arena_fmt(e->a, "%s%s", prefix, text);
    e->fails++;
    if (!already_told(e, loc, text))
        nm_error(e->m->diag, loc, "%s", text);
    return nm_ev_poison();
}

bool nm_elab_enter(nm_elab *e, const nm_frame *f, nm_loc loc)
{
    if (e->gave_up)
        return false;
    if (e->depth < MAX_DEPTH && e->work < MAX_WORK) {
        e->depth++;
        e->work++;
        return true;
    }
    bool deep = e->depth >= MAX_DEPTH;
    e->gave_up = true;
    nm_elab_error(e, f, loc,
                  deep ? "calls and expressions nest too deeply here (%d)"
                       : "this program unrolls to more than %d expressions",
                  deep ? MAX_DEPTH : MAX_WORK);
    return false;
}

void nm_elab_leave(nm_elab *e) { e->depth--; }

const char *nm_elab_place(nm_elab *e, nm_loc loc, nm_loc seen_from)
{
    if (!loc.src)
        return "from outside";
    unsigned line = nm_loc_line_col(loc).line;
    const char *slash = strrchr(loc.src->name, '/');
    if (loc.src == seen_from.src)
        return nm_arena_fmt(e->a, "line %u", line);
    return nm_arena_fmt(e->a, "%s:%u", slash ? slash + 1 : loc.src->name, line);
}

const char *nm_elab_source_text(nm_elab *e, nm_loc loc)
{
    if (!loc.src || !loc.src->text)
        return "";
    return nm_arena_fmt(e->a, "%.*s", (int)loc.len, loc.src->text + loc.off);
}

nm_sym nm_elab_nearest(nm_elab *e, nm_sym word, int n, const nm_sym *candidate)
{
    const char *s = nm_nearest(word, candidate, (size_t)n);
    return s ? nm_sym_get(e->m, s) : NULL;
}

bool nm_elaborate(nm_module *m, const nm_ast_program *prog, const nm_elab_opts *opts)
{
    unsigned before = m->diag->errors;
    nm_elab *e = nm_new(m->arena, nm_elab);
    *e = (nm_elab){.m = m, .a = m->arena, .prog = prog, .opts = opts};
    e->param_end = &e->param;
    m->name = prog->main->stem;
    m->preset = opts->preset ? nm_sym_get(m, opts->preset) : NULL;
    if (nm_units_load(e)) {
        nm_config_elaborate(e);
        nm_elab_entries(e);
    }
    return m->diag->errors == before;
}
