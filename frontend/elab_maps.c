// The built-ins that work element by element, on numbers and tensors, and casts.
#include "frontend/elab_builtin.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// --- maps ----------------------------------------------------------------------------------------

static bool fold(int code, double x, double *out)
{
    *out = nm_opcode_map((nm_opcode)code, x);
    return isfinite(*out);
}

static bool takes_ints(int code)
{
    return code == NM_OP_abs || code == NM_OP_sign || code == NM_OP_stop;
}

nm_ev nm_builtin_map(nm_elab *e, nm_bcall *c)
{
    nm_ev x = nm_ev_number(e, c->f, c->v[0]);
    double v;
    if (x.kind == NM_EV_num && fold(c->b->arg, x.u.num, &v))
        return nm_ev_num(v);
    if (x.kind == NM_EV_num)
        return nm_elab_error(e, c->f, c->loc, "%s(%g) is not a number [num-2]", c->b->name,
                             x.u.num);
    if (x.kind == NM_EV_extent)
        x = nm_ev_tensor(e,
                         (nm_tensor){.v = nm_ev_materialise(e, x, NM_f32, c->loc), .weak = true});
    if (x.kind != NM_EV_tensor)
        return nm_elab_error(e, c->f, c->loc, "%s takes a number or a tensor, not %s [num-1]",
                             c->b->name, nm_ev_describe(e, x));
    nm_tensor t = *x.u.t;
    bool is_float = nm_dtype_table[t.v->type->dtype].is_float;
    if (!is_float && c->b->arg == NM_OP_floor)
        return x;
    if (!is_float && !(takes_ints(c->b->arg) && t.v->type->dtype != NM_bool))
        return nm_elab_error(e, c->f, c->loc,
                             "%s takes reals, and %s is %s; cast it: f32(...) [num-1]", c->b->name,
                             nm_ev_name(e, x, "this"), nm_tensor_str(e, &t));
    t.v = nm_elab_op1(e, c->loc, (nm_opcode)c->b->arg, t.v);
    t.param = NULL;
    if (c->b->arg != NM_OP_stop)
        t.index_of = NULL;
    return nm_ev_tensor(e, t);
}

nm_ev nm_builtin_extreme(nm_elab *e, nm_bcall *c) // maximum, minimum
{
    nm_ev in[] = {nm_ev_number(e, c->f, c->v[0]), nm_ev_number(e, c->f, c->v[1])};
    nm_value *v[2];
    if (in[0].kind == NM_EV_num && in[1].kind == NM_EV_num)
        return nm_ev_num((in[0].u.num > in[1].u.num) == (c->b->arg == NM_OP_maximum) ? in[0].u.num
                                                                                     : in[1].u.num);
    for (int i = 0; i < 2; i++)
        if (in[i].kind != NM_EV_tensor && !nm_ev_is_number(in[i]))
            return nm_elab_error(e, c->f, c->loc, "%s takes numbers and tensors, not %s [num-1]",
                                 c->b->name, nm_ev_describe(e, in[i]));
    if (!nm_elab_unify(e, c->f, 2, in, v, c->loc, true))
        return nm_ev_poison();
    bool weak = nm_ev_is_number(in[0]) && nm_ev_is_number(in[1]);
    return nm_ev_tensor(
        e,
        (nm_tensor){.v = nm_elab_op2(e, c->loc, (nm_opcode)c->b->arg, v[0], v[1]), .weak = weak});
}

static bool all_whole(const nm_ev *v, int n)
{
    int64_t i;
    for (int k = 0; k < n; k++)
        if (!nm_ev_is_whole(v[k], &i) && v[k].kind != NM_EV_extent)
            return false;
    return true;
}

nm_ev nm_builtin_where(nm_elab *e, nm_bcall *c)
{
    nm_ev cond = c->v[0], in[] = {nm_ev_number(e, c->f, c->v[1]), nm_ev_number(e, c->f, c->v[2])};
    nm_value *v[3];
    if (cond.kind == NM_EV_bool)
        return cond.u.b ? c->v[1] : c->v[2];
    if (cond.kind != NM_EV_tensor || cond.u.t->v->type->dtype != NM_bool)
        return nm_elab_error(e, c->f, c->loc, "where's condition is a bool, not %s [num-1]",
                             nm_ev_describe(e, cond));
    for (int i = 0; i < 2; i++)
        if (in[i].kind == NM_EV_bool)
            in[i] = nm_ev_value(e, nm_ev_materialise(e, in[i], NM_bool, c->loc));
        else if (in[i].kind != NM_EV_tensor && !nm_ev_is_number(in[i]))
            return nm_elab_error(e, c->f, c->loc, "where takes numbers and tensors, not %s [num-1]",
                                 nm_ev_describe(e, in[i]));
    bool weak = nm_ev_is_number(in[0]) && nm_ev_is_number(in[1]);
    if (weak && all_whole(in, 2)) {
        v[1] = nm_ev_materialise(e, in[0], NM_i32, c->loc);
        v[2] = nm_ev_materialise(e, in[1], NM_i32, c->loc);
    } else if (!nm_elab_unify(e, c->f, 2, in, v + 1, c->loc, false)) {
        return nm_ev_poison();
    }
    nm_ev all[] = {cond, nm_ev_value(e, v[1]), nm_ev_value(e, v[2])};
    for (int i = 0; i < 2; i++)
        all[i + 1].text = in[i].text;
    if (!v[1] || !v[2] || !nm_elab_align(e, c->f, 3, all, c->loc))
        return nm_ev_poison();
    v[0] = cond.u.t->v;
    nm_sym of[] = {in[0].kind == NM_EV_tensor ? in[0].u.t->index_of : NULL,
                   in[1].kind == NM_EV_tensor ? in[1].u.t->index_of : NULL};
    nm_sym index_of = of[0] && of[1]            ? (of[0] == of[1] ? of[0] : NULL)
                      : in[0].kind == NM_EV_num ? of[1]
                      : in[1].kind == NM_EV_num ? of[0]
                                                : NULL;
    return nm_ev_tensor(e,
                        (nm_tensor){.v = nm_elab_op(e, c->loc, NM_OP_select, 3, v, 0, NULL, NULL),
                                    .weak = weak,
                                    .index_of = index_of});
}

static nm_ev cast_to(nm_elab *e, nm_frame *f, nm_ev x, nm_dtype to, nm_loc loc, bool numbers_stay)
{
    x = nm_ev_number(e, f, x);
    if (x.kind == NM_EV_num && numbers_stay)
        return nm_ev_num(nm_dtype_is_int(to) ? trunc(x.u.num) : x.u.num);
    if (x.kind == NM_EV_num || x.kind == NM_EV_extent || x.kind == NM_EV_bool)
        return nm_ev_value(e, nm_ev_materialise(e, x, to, loc));
    if (x.kind != NM_EV_tensor)
        return x.kind == NM_EV_poison
                   ? x
                   : nm_elab_error(e, f, loc, "a cast takes a number or tensor, not %s [num-1]",
                                   nm_ev_describe(e, x));
    nm_tensor t = *x.u.t;
    t.v = nm_elab_cast(e, loc, t.v, to);
    t.weak = false;
    t.index_of = NULL;
    t.param = NULL;
    return nm_ev_tensor(e, t);
}

nm_ev nm_builtin_cast(nm_elab *e, nm_bcall *c)
{
    if (c->v[1].kind == NM_EV_tensor)
        return cast_to(e, c->f, c->v[0], c->v[1].u.t->v->type->dtype, c->loc, false);
    if (nm_ev_is_number(c->v[1]))
        return c->v[0];
    return nm_elab_error(e, c->f, c->loc, "cast(x, y) takes y's dtype, and y is %s [num-1]",
                         nm_ev_describe(e, c->v[1]));
}

nm_ev nm_call_cast(nm_elab *e, nm_frame *f, nm_dtype to, const nm_args *args)
{
    if (args->n != 1 || !args->arg[0].arg || args->arg[0].arg->kind != NM_ARG_expr ||
        args->arg[0].arg->word.sym)
        return nm_elab_error(e, f, args->loc, "%s takes one value to cast [call-1]",
                             nm_dtype_table[to].name);
    nm_ev x = nm_elab_expr(e, args->arg[0].frame, args->arg[0].arg->expr);
    return cast_to(e, f, x, to, args->loc, true);
}
