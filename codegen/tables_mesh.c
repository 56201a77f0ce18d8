// Tables of what a mesh makes of the program: symbols of local extents and axes, modes,
// collectives, and what a pipeline can split. docs/mesh.md says what they mean.
#include "codegen/tables.h"
#include "ir/form.h"
#include "ir/mode.h"
#include "runtime/driver_abi.h"

#include <string.h>

// --- symbols -------------------------------------------------------------------------------------

static LLVMValueRef axis_list(nm_table *t, const nm_axes *axes)
{
    LLVMValueRef r[NM_MAX_AXES];
    for (int i = 0; i < axes->n; i++) {
        int64_t axis = 0;
        for (int64_t bits = nm_axis_bits(axes->axis[i]); bits > 1; bits >>= 1)
            axis++;
        r[i] = nm_word(t, axis);
    }
    return nm_rows(t, axes->n, r, "axes");
}

static LLVMValueRef sym_row(nm_table *t, const nm_dim_decl *d)
{
    nm_module *m = t->p->m;
    const nm_dim_decl *of = d->of ? nm_dim_lookup(m, d->of) : NULL;
    int64_t extent = 0;
    if (of)
        nm_extent_is_const(of->extent, &extent);
    return NM_ROW(t, nm_string(t, d->name), nm_string(t, nm_where(m, d->loc)), nm_word(t, d->min),
                  nm_word(t, d->max), nm_word(t, d->multiple), nm_string(t, d->of),
                  nm_word(t, extent), nm_word(t, of ? nm_extent_sym_index(m, of->extent) : -1),
                  nm_word(t, of ? of->pad : 0), nm_word(t, d->axes.n), axis_list(t, &d->axes),
                  nm_word(t, of ? of->first : 0), nm_word(t, of ? of->each : 0));
}

LLVMValueRef nm_sym_rows(nm_table *t)
{
    nm_module *m = t->p->m;
    LLVMValueRef *r = nm_row_list(t, m->n_dims);
    int n = 0;
    for (int i = 0; i < m->n_dims; i++)
        if (m->dim[i].runtime)
            r[n++] = sym_row(t, &m->dim[i]);
    return nm_rows(t, n, r, "syms");
}

// --- modes ---------------------------------------------------------------------------------------

// The distinct ones, in the order of the functions.
static int list_modes(nm_module *m, nm_sym mode[NM_N_MODES])
{
    int n = 0;
    nm_each_func(f, m) {
        bool is_new = f->part.mode != NULL;
        for (int i = 0; i < n; i++)
            is_new = is_new && mode[i] != f->part.mode;
        if (is_new)
            mode[n++] = f->part.mode;
    }
    return n;
}

int nm_mode_index(nm_module *m, nm_sym wanted)
{
    nm_sym mode[NM_N_MODES];
    int n = list_modes(m, mode);
    for (int i = 0; i < n; i++)
        if (mode[i] == wanted)
            return i;
    return -1;
}

// Those that nemocc was told to be 1 (passes/fix.c).
static int64_t fixed_axes(nm_module *m)
{
    int64_t bits = 0;
    for (int i = 0; i < m->options.n_fixes; i++) {
        nm_axes axes = {0};
        nm_axes_append(m, &axes, m->options.fix[i].name);
        for (int k = 0; k < axes.n; k++)
            bits |= nm_axis_bits(axes.axis[k]);
    }
    return bits;
}

// The axes that may be larger than 1 in the mode's texts.
static int64_t mode_axes(nm_module *m, const nm_mode *mode)
{
    int64_t all = (INT64_C(1) << NMDRV_N_AXES) - 1;
    all &= ~fixed_axes(m);
    if (mode->whole)
        return all & INT64_C(1) << NMDRV_PP;
    if (mode->no_tp)
        return all & ~(INT64_C(1) << NMDRV_TPK | INT64_C(1) << NMDRV_TPR);
    return all;
}

LLVMValueRef nm_mode_rows(nm_table *t, int *n)
{
    nm_sym mode[NM_N_MODES];
    LLVMValueRef r[NM_N_MODES];
    *n = list_modes(t->p->m, mode);
    for (int i = 0; i < *n; i++) {
        const nm_mode *x = nm_mode_find(mode[i]);
        r[i] = NM_ROW(t, nm_string(t, x->name), nm_word(t, mode_axes(t->p->m, x)),
                      nm_word(t, x->also || x->no_tp), nm_word(t, x->ring));
    }
    return nm_rows(t, *n, r, "modes");
}

// --- collectives ---------------------------------------------------------------------------------

LLVMValueRef nm_collective_rows(nm_table *t)
{
    const nm_program *p = t->p;
    LLVMValueRef *r = nm_row_list(t, p->n_collectives);
    for (int i = 0; i < p->n_collectives; i++) {
        const nm_collective *c = &p->collective[i];
        r[i] = NM_ROW(t, nm_string(t, c->name), nm_string(t, c->where), nm_word(t, c->kind),
                      nm_word(t, nm_abi_dtype(c->dtype)), nm_word(t, c->max), nm_word(t, c->axes),
                      nm_word(t, c->over), nm_word(t, c->joins), nm_word(t, c->units),
                      nm_word(t, c->more), nm_word(t, c->async));
    }
    return nm_rows(t, p->n_collectives, r, "collectives");
}

// --- pipelines -----------------------------------------------------------------------------------

// The unit that the function is in the forward direction; -1: none, or it is of several.
static int forward_unit(const nm_func *f)
{
    uint64_t u = f->part.units;
    bool forward = f->part.phase == NM_PHASE_forward || f->part.phase == NM_PHASE_turn;
    return forward && u && !(u & (u - 1)) ? __builtin_ctzll(u) : -1;
}

static int count_units(const nm_module *m)
{
    int n = m->n_units;
    nm_each_func(f, m)
        if (f->part.units && 64 - __builtin_clzll(f->part.units) > n)
            n = 64 - __builtin_clzll(f->part.units);
    return n;
}

// "lower (m.nm:2) + upper (m.nm:2)": repeats of one dim are one.
static const char *add_repeat(nm_module *m, const char *where, const nm_dim_decl *of)
{
    const char *one = nm_arena_fmt(m->arena, "%s%s (%s)", of->turns_of ? "turns of " : "",
                                   of->turns_of ? of->turns_of : of->name, nm_where(m, of->loc));
    if (!*where || strstr(where, one))
        return *where ? where : one;
    return nm_arena_fmt(m->arena, "%s + %s", where, one);
}

// Each unit stands in the program once a mode, and for train and eval: it counts once.
nm_pipe nm_pipe_of(nm_module *m)
{
    nm_pipe pipe = {.n_units = count_units(m), .where = ""};
    uint64_t seen = 0;
    nm_each_func(f, m) {
        int u = forward_unit(f);
        const nm_dim_decl *d = u >= 0 && !(seen >> u & 1) ? nm_func_turns(f) : NULL;
        const nm_dim_decl *of = d ? nm_dim_lookup(m, d->of) : NULL;
        int64_t turns = 0;
        if (!of || !nm_extent_is_const(of->extent, &turns))
            continue;
        seen |= UINT64_C(1) << u;
        pipe.turns += turns;
        pipe.where = add_repeat(m, pipe.where, of);
    }
    return pipe;
}

static int64_t gcd(int64_t a, int64_t b) { return b ? gcd(b, a % b) : a; }

// Of all dims that are split over tpk and not over tpr.
int64_t nm_kv_extent(nm_module *m)
{
    int64_t all = 0, one;
    for (int i = 0; i < m->n_dims; i++) {
        const nm_dim_decl *d = &m->dim[i], *of = d->of ? nm_dim_lookup(m, d->of) : NULL;
        bool is_kv = of && d->axes.n == 1 && strcmp(d->axes.axis[0], "tpk") == 0;
        if (is_kv && nm_extent_is_const(of->extent, &one))
            all = gcd(all, one);
    }
    return all;
}
