// Calls of externs: typed here, lowered by no target yet.
#include "frontend/elab_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// --- externs -------------------------------------------------------------------------------------

static const nm_type *extern_result(nm_elab *e, nm_frame *f, const nm_ast_type *t, nm_sym *index_of)
{
    nm_eshape s;
    nm_type type = {.dtype = NM_real};
    *index_of = NULL;
    if (t->elem.n && !nm_dtype_find(t->elem.sym, &type.dtype)) {
        nm_edim d;
        if (!nm_dim_single(e, f, nm_dims_of_name(e, f, &t->elem, t->elem.loc), t->elem.loc, &d))
            return NULL;
        *index_of = d.name;
        type.dtype = NM_i32;
    }
    if (!nm_shape_read(e, f, &t->shape, &s))
        return NULL;
    for (type.rank = 0; type.rank < s.rank; type.rank++)
        type.dim[type.rank] =
            (nm_dim){.name = s.dim[type.rank].name, .extent = s.dim[type.rank].extent};
    return nm_type_get(e->m, &type);
}

static int extern_operands(nm_elab *e, nm_frame *f, const nm_ast_extern *ext, nm_value **in,
                           nm_loc loc)
{
    int n = 0;
    for (int i = 0; i < ext->pars.n; i++) {
        nm_var *v = nm_frame_var(f, ext->pars.par[i].name.sym);
        if (!v)
            continue;
        nm_ev x = nm_ev_number(e, f, v->value);
        in[n] =
            nm_ev_materialise(e, x, x.kind == NM_EV_tensor ? x.u.t->v->type->dtype : NM_i32, loc);
        if (!in[n++])
            return -1;
    }
    return n;
}

nm_ev nm_call_extern(nm_elab *e, nm_frame *f, const nm_ast_extern *ext, nm_unit *unit,
                     const nm_args *args)
{
    nm_binding b = {.name = ext->name.sym, .pars = &ext->pars};
    if (!nm_args_bind(e, f, args, &b))
        return nm_ev_poison();
    nm_frame *callee = nm_frame_new(e, f, unit, args->loc);
    callee->what = ext->name.sym;
    callee->is_fn = true;
    if (callee->user_frame && !callee->user_fn)
        callee->user_fn = ext->name.sym;
    if (!nm_call_set_pars(e, f, callee, &b, args))
        return nm_ev_poison();
    nm_value **in = nm_new_n(e->a, nm_value *, (size_t)ext->pars.n);
    const nm_type **type = nm_new_n(e->a, const nm_type *, (size_t)ext->n_types);
    nm_sym *index_of = nm_new_n(e->a, nm_sym, (size_t)ext->n_types);
    int n = extern_operands(e, callee, ext, in, args->loc);
    for (int i = 0; i < ext->n_types; i++)
        if (!(type[i] = extern_result(e, callee, &ext->type[i], &index_of[i])))
            return nm_ev_poison();
    nm_attr attr = nm_mk_sym(e->m, "name", ext->name.sym);
    nm_op *op = n < 0 ? NULL
                      : nm_elab_op_many(e, (nm_proto){.code = NM_OP_extern,
                                                      .loc = args->loc,
                                                      .n_in = n,
                                                      .in = in,
                                                      .n_attrs = 1,
                                                      .attr = &attr,
                                                      .n_types = ext->n_types,
                                                      .types = type});
    nm_ev *out = nm_new_n(e->a, nm_ev, (size_t)ext->n_types);
    for (int i = 0; op && i < ext->n_types; i++)
        out[i] = nm_ev_tensor(e, (nm_tensor){.v = &op->out[i], .index_of = index_of[i]});
    return !op ? nm_ev_poison() : ext->n_types == 1 ? out[0] : nm_ev_tuple(e, ext->n_types, out);
}
