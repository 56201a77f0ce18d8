// The blocks of a qdq as dims: those along which it has blocks become one, which is padded to whole
// blocks and split into blocks and places in one; so a scale is a maximum over places, and is
// aligned by name. The zeros behind the end change no maximum, and are cut off again.
#include "passes/quantise.h"

#include "passes/build.h"

typedef struct tiling { // dims that are cut into blocks together, and what they become
    nm_syms dims;
    nm_sym flat, tile, lane;
} tiling;

static tiling tiling_of(const nm_op *qdq, const char *attr)
{
    nm_module *m = qdq->func->module;
    return (tiling){nm_attr_dims(qdq, attr), nm_sym_fmt(m, "%s.flat", attr),
                    nm_sym_fmt(m, "%s.tile", attr), nm_sym_fmt(m, "%s.lane", attr)};
}

static const nm_dim *dim_of(const nm_value *v, nm_sym name)
{
    return &v->type->dim[nm_type_find(v->type, name)];
}

// --- one tiling ----------------------------------------------------------------------------------

static nm_value *cut(nm_op *qdq, nm_value *v, const tiling *t, int64_t block)
{
    nm_module *m = qdq->func->module;
    nm_at at = nm_at_op(qdq);
    v = nm_at_merge(at, v, t->dims, t->flat);
    const nm_extent *n = dim_of(v, t->flat)->extent, *size = nm_extent_const(m, block);
    const nm_extent *tiles =
        nm_extent_div(m, nm_extent_add(m, n, nm_extent_const(m, block - 1)), size);
    nm_dim into[] = {{.name = t->tile, .extent = tiles}, {.name = t->lane, .extent = size}};
    int64_t known;
    bool whole = nm_extent_is_const(n, &known) && known % block == 0;
    nm_dim padded = {.name = t->flat, .extent = nm_extent_mul(m, tiles, size)};
    if (!whole && padded.extent != n)
        v = nm_at_pad(at, v, padded);
    return nm_at_split(at, v, t->flat, 2, into);
}

static nm_value *join(nm_op *qdq, nm_value *v, const tiling *t)
{
    nm_module *m = qdq->func->module;
    nm_dim into[NM_MAX_RANK];
    nm_sym parts[] = {t->tile, t->lane};
    const nm_extent *n = nm_extent_const(m, 1);
    for (int i = 0; i < t->dims.n; i++) {
        into[i] = *dim_of(qdq->in[0], t->dims.sym[i]);
        n = nm_extent_mul(m, n, into[i].extent);
    }
    nm_at at = nm_at_op(qdq);
    v = nm_at_merge(at, v, (nm_syms){2, parts}, t->flat);
    if (dim_of(v, t->flat)->extent != n)
        v = nm_at_slice(at, v, (nm_dim){.name = t->flat, .extent = n});
    return nm_at_split(at, v, t->flat, t->dims.n, into);
}

// --- both ----------------------------------------------------------------------------------------

nm_value *nm_quantise_cut(nm_op *qdq, nm_value *v, nm_sym lane[2], int *n_lanes)
{
    tiling along = tiling_of(qdq, "along"), across = tiling_of(qdq, "across");
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
    tiling along = tiling_of(qdq, "along"), across = tiling_of(qdq, "across");
    v = join(qdq, v, &along);
    return across.dims.n ? join(qdq, v, &across) : v;
}
