// The running mean of a parameter: mean := mean + (1 - decay) * (p - mean), an element at a time,
// so that of a stacked parameter it needs no repeat. It is a state like an optimizer's, but for its
// start: that of p, which makes a correction of the first steps unnecessary.
#include "frontend/elab_ema.h"

static nm_pvar *mean_of(nm_elab *e, const nm_pvar *p, nm_loc loc)
{
    nm_sym path = nm_sym_fmt(e->m, "ema.%s", p->path);
    nm_pvar *mean = nm_pvar_find(e, path);
    if (mean)
        return mean;
    mean = nm_new(e->a, nm_pvar);
    *mean = (nm_pvar){.path = path,
                      .name = p->name,
                      .type = p->type,
                      .n_loops = p->n_loops,
                      .n_batch = p->n_batch,
                      .is_arrow = p->is_arrow,
                      .state = true,
                      .ins = p->ins,
                      .outs = p->outs,
                      .optimizer = nm_sym_get(e->m, "ema"),
                      .loc = loc,
                      .start = p->start};
    *e->param_end = mean;
    e->param_end = &mean->next;
    return mean;
}

void nm_elab_ema(nm_elab *e, nm_pvar *p, nm_sym decay, nm_loc loc)
{
    nm_pvar *mean = mean_of(e, p, loc);
    nm_dtype dtype = p->type->dtype;
    nm_ev old = nm_pvar_read(e, mean, loc);
    nm_value *now = nm_region_import(e, p->where, p->now), *was = old.u.t->v;
    // in f64: of 0.99999 as an f32, 1 less it would be wrong in its third digit
    nm_value *rate = nm_elab_op2(e, loc, NM_OP_sub, nm_elab_const(e, loc, NM_f64, 1),
                                 nm_efunc_scalar(e, decay, NM_f64));
    nm_value *step = nm_elab_op2(e, loc, NM_OP_sub, nm_elab_order(e, loc, now, p->type), was);
    step = nm_elab_op2(e, loc, NM_OP_mul, nm_elab_cast(e, loc, rate, dtype), step);
    nm_pvar_assign(e, mean, nm_elab_op2(e, loc, NM_OP_add, was, step));
}
