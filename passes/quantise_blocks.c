// The blocks of a qdq as dims: those along which it has blocks become one, which is padded to whole
// blocks and split into blocks and places in one; so a scale is a maximum over places, and is
// aligned by name. The zeros behind the end change no maximum, and are cut off again.
#include "passes/quantise.h"

typedef struct group { // dims that are cut into blocks together, and what they become
    nm_syms dims;
    nm_sym flat, tile, lane;
} group;

static group group_of(const nm_op *qdq, const char *attr)
{
    nm_module *m = qdq->func->module;
    return (group){nm_attr_dims(qdq, attr), nm_sym_fmt(m, "%s.flat", attr),
                   nm_sym_fmt(m, "%s.tile", attr), nm_sym_fmt(m, "%s.lane", attr)};
}

static nm_value *view(nm_op *before, nm_opcode code, nm_value *v, int n, const nm_attr *attr,
                      const nm_type *type)
{
    return nm_build(before->func, before,
                    &(nm_proto){.code = code,
                                .loc = before->loc,
                                .n_in = 1,
                                .in = &v,
                                .n_attrs = n,
                                .attr = attr,
                                .type = type});
}

static const nm_dim *dim_of(const nm_value *v, nm_sym name)
{
    return &v->type->dim[nm_type_find(v->type, name)];
}

static nm_value *merge(nm_op *before, nm_value *v, nm_syms from, nm_sym into)
{
    nm_module *m = before->func->module;
    nm_attr attr[] = {nm_mk_dims(m, "from", from), nm_mk_sym(m, "into", into)};
    return view(before, NM_OP_merge, v, 2, attr, NULL);
}

static nm_value *split(nm_op *before, nm_value *v, nm_sym from, int n, const nm_dim *into)
{
    nm_module *m = before->func->module;
    nm_type t = {.dtype = v->type->dtype};
    nm_sym name[NM_MAX_RANK];
    for (int i = 0; i < v->type->rank; i++)
        for (int k = 0; k < (v->type->dim[i].name == from ? n : 1); k++)
            t.dim[t.rank++] = v->type->dim[i].name == from ? into[k] : v->type->dim[i];
    for (int i = 0; i < n; i++)
        name[i] = into[i].name;
    nm_attr attr[] = {nm_mk_sym(m, "from", from), nm_mk_dims(m, "into", (nm_syms){n, name})};
    return view(before, NM_OP_split, v, 2, attr, nm_type_get(m, &t));
}

// v with this extent of the dim: zeros behind its end, or without what is there.
static nm_value *resize(nm_op *before, nm_value *v, nm_sym dim, const nm_extent *to, bool longer)
{
    nm_module *m = before->func->module;
    nm_type t = *v->type;
    if (dim_of(v, dim)->extent == to)
        return v;
    t.dim[nm_type_find(&t, dim)].extent = to;
    nm_attr attr[] = {
        nm_mk_sym(m, "over", dim),
        nm_mk_extent(m, longer ? "before" : "start", nm_extent_const(m, 0)),
        nm_mk_sym(m, "mode", nm_sym_get(m, "zero")),
    };
    return view(before, longer ? NM_OP_pad : NM_OP_slice, v, longer ? 3 : 2, attr,
                nm_type_get(m, &t));
}

// --- one group -----------------------------------------------------------------------------------

static nm_value *cut(nm_op *qdq, nm_value *v, const group *g, int64_t block)
{
    nm_module *m = qdq->func->module;
    v = merge(qdq, v, g->dims, g->flat);
    const nm_extent *n = dim_of(v, g->flat)->extent, *size = nm_extent_const(m, block);
    const nm_extent *tiles =
        nm_extent_div(m, nm_extent_add(m, n, nm_extent_const(m, block - 1)), size);
    nm_dim into[] = {{.name = g->tile, .extent = tiles}, {.name = g->lane, .extent = size}};
    int64_t known;
    bool whole = nm_extent_is_const(n, &known) && known % block == 0;
    v = resize(qdq, v, g->flat, whole ? n : nm_extent_mul(m, tiles, size), true);
    return split(qdq, v, g->flat, 2, into);
}

static nm_value *join(nm_op *qdq, nm_value *v, const group *g)
{
    nm_module *m = qdq->func->module;
    nm_dim into[NM_MAX_RANK];
    nm_sym parts[] = {g->tile, g->lane};
    const nm_extent *n = nm_extent_const(m, 1);
    for (int i = 0; i < g->dims.n; i++) {
        into[i] = *dim_of(qdq->in[0], g->dims.sym[i]);
        n = nm_extent_mul(m, n, into[i].extent);
    }
    v = merge(qdq, v, (nm_syms){2, parts}, g->flat);
    v = resize(qdq, v, g->flat, n, false);
    return split(qdq, v, g->flat, g->dims.n, into);
}

// --- both ----------------------------------------------------------------------------------------

nm_value *nm_quantise_cut(nm_op *qdq, nm_value *v, nm_sym lane[2], int *n_lanes)
{
    group along = group_of(qdq, "along"), across = group_of(qdq, "across");
    int64_t block = nm_attr_int(qdq, "block", 0);
    *n_lanes = 0;
    v = cut(qdq, v, &along, block);
    lane[(*n_lanes)++] = along.lane;
    if (!across.dims.n)
        return v;
    lane[(*n_lanes)++] = across.lane;
    return cut(qdq, v, &across, block);
}

nm_value *nm_quantise_join(nm_op *qdq, nm_value *v)
{
    group along = group_of(qdq, "along"), across = group_of(qdq, "across");
    v = join(qdq, v, &along);
    return across.dims.n ? join(qdq, v, &across) : v;
}
