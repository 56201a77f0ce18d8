// Precision: `real` becomes f32, and casts that now change nothing go; or bf16 where it is stored
// (passes/narrow.c); or that, and in products of linear layers less (passes/fp8.c). After autodiff,
// so that a gradient has taken the dtype of its value.
#include "passes/fp8.h"
#include "passes/narrow.h"
#include "passes/pass.h"
#include "passes/retype.h"

static const nm_type *concrete(nm_module *m, const nm_type *t, void *user)
{
    (void)user;
    return t->dtype == NM_real ? nm_type_with_dtype(m, t, NM_f32) : t;
}

// A gradient that is cast to its parameter's dtype has its name from the cast.
static void drop(nm_op *cast)
{
    nm_value *v = cast->in[0];
    if (v->def && !v->name)
        v->name = cast->out[0].name;
    nm_replace(&cast->out[0], v);
    nm_erase(cast);
}

static void drop_casts(nm_func *f, bool *changed)
{
    nm_each_op_safe(op, f) {
        if (op->body)
            drop_casts(op->body, changed);
        if (op->code != NM_OP_cast)
            continue;
        for (int i = 0; i < op->n_attrs; i++)
            if (op->attr[i].kind == NM_ATTR_dtype && op->attr[i].u.dtype == NM_real) {
                op->attr[i].u.dtype = NM_f32;
                *changed = true;
            }
        if (op->in[0]->type == op->out[0].type) {
            drop(op);
            *changed = true;
        }
    }
}

bool nm_pass_precision(nm_module *m, bool *changed)
{
    bool fp8 = m->options.precision == NM_PRECISION_fp8;
    if (fp8 || m->options.precision == NM_PRECISION_bf16)
        nm_each_func(f, m)
            *changed |= nm_narrow_func(f, NM_bf16);
    // What is left of `real` is the parameters' table, and all of it for f32.
    nm_retype(m, concrete, NULL, changed);
    nm_each_func(f, m)
        drop_casts(f, changed);
    nm_each_func(f, m)
        *changed |= fp8 && nm_fp8_func(f);
    bool delayed = fp8 && m->options.recipe == NM_RECIPE_delayed;
    nm_each_func(f, m)
        if (delayed)
            nm_fp8_delay_func(f);
    return true;
}
