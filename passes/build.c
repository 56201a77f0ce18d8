// Builders that passes share: see build.h.
#include "passes/build.h"

nm_at nm_at_op(nm_op *op) { return (nm_at){op->func, op, op->loc}; }

nm_at nm_at_behind(const nm_value *v)
{
    nm_func *f = v->func;
    return v->def ? (nm_at){f, v->def->next, v->def->loc} : (nm_at){f, f->first, f->loc};
}

static nm_value *build(nm_at at, nm_proto proto)
{
    proto.loc = at.loc;
    nm_value *v = nm_build(at.f, at.before, &proto);
    if (!v)
        nm_bug("a %s that a pass builds does not type", nm_op_table[proto.code].name);
    return v;
}

nm_value *nm_at_build(nm_at at, nm_opcode code, int n_in, nm_value *const *in, const nm_type *type)
{
    return build(at, (nm_proto){.code = code, .n_in = n_in, .in = in, .type = type});
}

nm_value *nm_at_build1(nm_at at, nm_opcode code, nm_value *v, int n_attrs, const nm_attr *attr,
                       const nm_type *type)
{
    return build(
        at, (nm_proto){
                .code = code, .n_in = 1, .in = &v, .n_attrs = n_attrs, .attr = attr, .type = type});
}

nm_value *nm_at_cast(nm_at at, nm_value *v, nm_dtype to)
{
    nm_attr attr = nm_mk_dtype(at.f->module, "to", to);
    return v->type->dtype == to ? v : nm_at_build1(at, NM_OP_cast, v, 1, &attr, NULL);
}

nm_value *nm_at_max(nm_at at, nm_value *v, nm_syms over)
{
    nm_attr attr = nm_mk_dims(at.f->module, "over", over);
    return nm_at_build1(at, NM_OP_max, v, 1, &attr, NULL);
}

// --- views ---------------------------------------------------------------------------------------

// t with these dims in the place of its dim `from`.
static const nm_type *with_dims(nm_module *m, const nm_type *t, nm_sym from, int n,
                                const nm_dim *into)
{
    nm_type with = {.dtype = t->dtype};
    for (int i = 0; i < t->rank; i++)
        for (int k = 0; k < (t->dim[i].name == from ? n : 1); k++)
            with.dim[with.rank++] = t->dim[i].name == from ? into[k] : t->dim[i];
    return nm_type_get(m, &with);
}

nm_value *nm_at_merge(nm_at at, nm_value *v, nm_syms from, nm_sym into)
{
    nm_module *m = at.f->module;
    nm_attr attr[] = {nm_mk_dims(m, "from", from), nm_mk_sym(m, "into", into)};
    return nm_at_build1(at, NM_OP_merge, v, 2, attr, NULL);
}

nm_value *nm_at_split(nm_at at, nm_value *v, nm_sym from, int n, const nm_dim *into)
{
    nm_module *m = at.f->module;
    nm_sym name[NM_MAX_RANK];
    for (int i = 0; i < n; i++)
        name[i] = into[i].name;
    nm_attr attr[] = {nm_mk_sym(m, "from", from), nm_mk_dims(m, "into", (nm_syms){n, name})};
    return nm_at_build1(at, NM_OP_split, v, 2, attr, with_dims(m, v->type, from, n, into));
}

nm_value *nm_at_pad(nm_at at, nm_value *v, nm_dim to)
{
    nm_module *m = at.f->module;
    nm_attr attr[] = {nm_mk_sym(m, "over", to.name),
                      nm_mk_extent(m, "before", nm_extent_const(m, 0)),
                      nm_mk_sym(m, "mode", nm_sym_get(m, "zero"))};
    return nm_at_build1(at, NM_OP_pad, v, 3, attr, with_dims(m, v->type, to.name, 1, &to));
}

nm_value *nm_at_slice(nm_at at, nm_value *v, nm_dim to)
{
    nm_module *m = at.f->module;
    nm_attr attr[] = {nm_mk_sym(m, "over", to.name),
                      nm_mk_extent(m, "start", nm_extent_const(m, 0))};
    return nm_at_build1(at, NM_OP_slice, v, 2, attr, with_dims(m, v->type, to.name, 1, &to));
}
