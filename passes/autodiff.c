// Autodiff: every `grad` op becomes the backward pass of what stands above it. Reverse mode, source
// to source (Griewank and Walther 2008): activity first (what depends on the asked-for values),
// then the rules of ir/grads.c from the loss back to them. Gradients are named after their
// parameters: grad.decoder.q.w. Here, and not later, since rules are written for whole tensors.
//
// It does not choose what to recompute at the top level (fuse duplicates cheap maps); inside
// repeats ir/grad_save.c does. Results of `grad` that nobody reads are not computed at all.
#include "ir/grads.h"
#include "ir/names.h"
#include "passes/pass.h"

static nm_value *itself(nm_grad *g, nm_value *x)
{
    (void)g;
    return x;
}

static nm_sym name_of_gradient(const nm_func *f, const nm_value *x)
{
    if (x->def || x->func != f || f->param_bind[x->index].kind != NM_BIND_param)
        return x->name ? nm_gradient_name(f->module, x->name) : NULL;
    return nm_gradient_name(f->module, f->param_bind[x->index].name);
}

static void replace_results(nm_op *op, nm_value *const *gradient)
{
    for (int i = 0; i < op->n_out; i++) {
        nm_value *d = gradient[i] ? gradient[i]
                                  : nm_build_filled(op->func, op, op->loc, op->in[i + 1]->type, 0);
        if (!d->name && d->def)
            d->name = name_of_gradient(op->func, op->in[i + 1]);
        nm_replace(&op->out[i], d);
    }
    nm_erase(op);
}

static bool differentiate(nm_op *op)
{
    nm_func *f = op->func;
    nm_module *m = f->module;
    uint32_t n = nm_func_outer(f)->n_values;
    bool *active = nm_new_n(m->arena, bool, n);
    uint32_t *wanted =
        nm_new_n(m->arena, uint32_t, op->n_out + 1); // a repeat's results are renewed
    for (int i = 0; i < op->n_out; i++) {
        wanted[i] = op->in[i + 1]->id;
        active[wanted[i]] = op->out[i].uses != NULL;
    }
    nm_grad_mark(f, op, active);
    nm_grad_warn_cuts(op, active);

    nm_grad g = {.f = f,
                 .before = op,
                 .adj = nm_new_n(m->arena, nm_value *, n),
                 .of = itself,
                 .n_ids = n,
                 .active = active};
    nm_op *last = op->prev;
    nm_value *one = nm_build_const(f, op, op->loc, op->in[0]->type->dtype, 1);
    nm_grad_into(&g, op, op->in[0], one);
    if (!nm_grad_walk(&g, last))
        return false;
    nm_value **gradient = nm_new_n(m->arena, nm_value *, op->n_out + 1);
    for (int i = 0; i < op->n_out; i++)
        gradient[i] = g.adj[wanted[i]];
    replace_results(op, gradient);
    return true;
}

// A grad inside of a body would need the forward turns that lead to it.
static bool refuse_inner(nm_func *f)
{
    nm_each_op(op, f) {
        if (op->code == NM_OP_grad)
            return nm_error(f->module->diag, op->loc,
                            "a gradient inside of a repeat is not supported");
        if (op->body && !refuse_inner(op->body))
            return false;
    }
    return true;
}

bool nm_pass_autodiff(nm_module *m, bool *changed)
{
    nm_each_func(f, m)
        nm_each_op_safe(op, f) {
            if (op->body && !refuse_inner(op->body))
                return false;
            if (op->code != NM_OP_grad)
                continue;
            if (!differentiate(op))
                return false;
            *changed = true;
        }
    return true;
}
