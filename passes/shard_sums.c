// Gradients that are reduced once a step (docs/mesh.md, Sums). The functions that add to them have
// three texts: `each` adds what is complete; `once` adds what is pending to accumulators of their
// own, `pending.grad.PATH`; `last` adds the same and completes the sum, which is `grad.PATH` then.
// What reads grad.PATH at a step's end does not know which of them ran.
//
// A gradient that several functions add to, or chunks of one, is complete only behind the last of
// them, which is another one on each mesh: it stays pending to the step's end, whose first reader
// has a text `once` that completes it.
#include "passes/shard.h"

const nm_param *nm_shard_gradient(nm_module *m, nm_bind bind)
{
    nm_sym path = nm_gradient_bound(m, bind);
    return path ? nm_param_lookup(m, path) : NULL;
}

// --- who adds to it, who reads it ----------------------------------------------------------------

static bool takes(const nm_func *f, nm_sym acc)
{
    return nm_func_find_param(f, NM_BIND_acc, acc) >= 0;
}

static bool gives(const nm_func *f, nm_sym acc)
{
    return nm_func_find_result(f, NM_BIND_acc, acc) >= 0;
}

static bool is_of_micro(const nm_func *f) { return f->part.phase < NM_PHASE_before; }
static bool adds(const nm_func *f, nm_sym acc) { return is_of_micro(f) && gives(f, acc); }

// Who adds to it: once to the whole of it, in each chunk of a unit, or in each chunk to its own
// rows.
typedef enum { WHOLE, CHUNKS, ROWS } adder;

static bool has_rows(nm_module *m, const nm_type *t)
{
    return t->rank && nm_dim_is_staged(m, &t->dim[0]);
}

static adder adder_of(const nm_func *f, nm_sym acc)
{
    int i = f->part.units & NM_ODD_UNITS ? nm_func_find_result(f, NM_BIND_acc, acc) : -1;
    if (i < 0)
        return WHOLE;
    return has_rows(f->module, f->last->in[i]->type) ? ROWS : CHUNKS;
}

// Units that add each to their own rows do not share them: no row is two units' [pp-4].
static bool is_shared(const nm_shard_funcs *all, nm_sym acc)
{
    int n[ROWS + 1] = {0};
    for (int i = 0; i < all->n; i++)
        if (adds(all->f[i], acc))
            n[adder_of(all->f[i], acc)]++;
    return n[CHUNKS] || n[WHOLE] + (n[ROWS] > 0) > 1;
}

// Is f the first that reads it at the step's end?
static bool reads_first(const nm_shard_funcs *all, const nm_func *f, nm_sym acc)
{
    bool before = false;
    for (int i = 0; i < all->n; i++)
        before |= all->f[i]->part.phase == NM_PHASE_before && takes(all->f[i], acc);
    return takes(f, acc) && !adds(f, acc) && (f->part.phase == NM_PHASE_before || !before);
}

bool nm_shard_has_sums(const nm_shard_funcs *all, const nm_func *f, nm_sums sums)
{
    bool has = sums == NM_SUMS_each;
    for (int i = 0; i < f->n_params && !has; i++) {
        nm_bind bind = f->param_bind[i];
        if (!nm_shard_gradient(f->module, bind))
            continue;
        has = adds(f, bind.name) ||
              (sums == NM_SUMS_once && is_shared(all, bind.name) && reads_first(all, f, bind.name));
    }
    return has;
}

// --- names ---------------------------------------------------------------------------------------

static void make_pending(nm_module *m, nm_bind *bind)
{
    bind->name = nm_pending_name(m, bind->name);
}

// What a step's beginning of the end completes has to reach who reads it after.
static void check_given(const nm_func *f, nm_sym acc)
{
    if (f->part.phase == NM_PHASE_before && !gives(f, acc))
        nm_bug("shard: @%s completes %s for itself alone", f->name, acc);
}

void nm_shard_defer(const nm_shard_funcs *all, nm_func *f)
{
    nm_module *m = f->module;
    for (int i = 0; i < f->n_params; i++) {
        nm_bind *bind = &f->param_bind[i];
        if (nm_shard_gradient(m, *bind) &&
            (is_of_micro(f) || (is_shared(all, bind->name) && reads_first(all, f, bind->name)))) {
            check_given(f, bind->name);
            make_pending(m, bind);
        }
    }
    for (int i = 0; i < f->n_results && is_of_micro(f); i++) {
        nm_bind *bind = &f->result_bind[i];
        if (nm_shard_gradient(m, *bind) &&
            (f->part.sums == NM_SUMS_once || is_shared(all, bind->name)))
            make_pending(m, bind);
    }
}

// --- in place ------------------------------------------------------------------------------------

// Is every dim split as in the complete form?
static bool lies_as(nm_shard *s, const nm_type *pending_form, const nm_type *complete)
{
    nm_type done = *nm_shard_like(s->m, complete, pending_form);
    done.pending = (nm_axes){0};
    return nm_type_get(s->m, &done) == complete;
}

// Where the axes that only the complete form has are of size one, both are one memory at run time
// (runtime/plan.c): so each dim of it is split as in the pending form, or further.
static void check_refines(nm_shard *s, nm_bind end, const nm_type *pending_form,
                          const nm_type *complete)
{
    const nm_type *from = nm_shard_like(s->m, complete, pending_form);
    for (int i = 0; i < complete->rank; i++)
        if (!nm_axes_begin(&from->dim[i].axes, &complete->dim[i].axes))
            nm_bug("shard: %s is complete where it was not pending: %s, %s", end.name,
                   nm_type_str(s->m, from), nm_type_str(s->m, complete));
}

static void end_in_place(const nm_shard_funcs *all, nm_shard *s, nm_bind *bind)
{
    nm_bind end = *bind;
    end.name = nm_complete_name(s->m, *bind);
    if (!end.name)
        return;
    const nm_type *from = nm_shard_acc_form(s, *bind), *complete = nm_shard_acc_form(s, end);
    if (complete)
        check_refines(s, end, from, complete);
    if (!is_shared(all, end.name) && lies_as(s, from, complete))
        *bind = end;
}

void nm_shard_end_in_place(const nm_shard_funcs *all, nm_shard *s)
{
    for (int i = 0; i < s->f->n_params; i++)
        end_in_place(all, s, &s->f->param_bind[i]);
    for (int i = 0; i < s->f->n_results; i++)
        end_in_place(all, s, &s->f->result_bind[i]);
}
