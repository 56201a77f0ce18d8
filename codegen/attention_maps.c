// Tensor maps of attention's operands, where they lie as the copy engine reads them: a view of what
// is stored, with the head dim innermost, that begins and goes on in multiples of 16 bytes.
#include "codegen/attention.h"
#include "ir/view.h"

enum { COLUMN = 64, SWIZZLE = 128, BYTES = 2, EIGHT = 16 / BYTES };

static bool is_const(const nm_extent *e, int64_t n)
{
    int64_t have;
    return nm_extent_is_const(e, &have) && have == n;
}

static nm_number bytes_of(nm_gen *g, const nm_extent *elements)
{
    nm_module *m = g->fn.m;
    return nm_gen_number_of(g, nm_extent_mul(m, elements, nm_extent_const(m, BYTES)));
}

// One dim of the map; a role that the tensor does not have is a dim of one.
static bool add_dim(nm_gen *g, const nm_view *view, const nm_dim *dim, int64_t box, nm_map *map)
{
    int i = map->rank++;
    map->box[i] = box;
    map->extent[i] = (nm_number){-1, 1};
    map->stride[i] = (nm_number){-1, BYTES * EIGHT};
    if (!dim || is_const(dim->extent, 1))
        return true;
    const nm_extent *stride = nm_view_stride(g->fn.m, view, 1, dim);
    if (!stride || is_const(stride, 0))
        return false;
    map->extent[i] = nm_gen_number_of(g, dim->extent);
    if (i == 0)
        return is_const(stride, 1) && nm_extent_is_multiple(dim->extent, EIGHT);
    map->stride[i] = bytes_of(g, stride);
    return nm_extent_is_multiple(stride, EIGHT);
}

static const nm_dim *dim_of(const nm_type *t, nm_sym name)
{
    int at = name ? nm_type_find(t, name) : -1;
    return at < 0 ? NULL : &t->dim[at];
}

// A map of what the operand is a view of, without dims yet; false: it does not begin where it may.
static bool begin_map(nm_gen *g, const nm_value *v, nm_view *view, nm_map *map)
{
    if (!nm_view_follow(g->fn.m, v, view) || view->dtype != NM_bf16 ||
        !nm_extent_is_multiple(view->offset, EIGHT))
        return false;
    int arg = g->param_arg[view->index];
    if (arg < 0 || !nm_gen_is_aligned(g, arg, EIGHT))
        return false;
    *map = (nm_map){.arg = arg, .dtype = NM_bf16, .swizzle = SWIZZLE};
    map->offset = bytes_of(g, view->offset);
    return true;
}

static bool add_role(nm_gen *g, const nm_flash *x, const nm_type *t, const nm_view *view,
                     nm_attn_at at, int64_t box, nm_map *map)
{
    return add_dim(g, view, dim_of(t, nm_flash_role(x, t, at)), box, map);
}

bool nm_flash_map(nm_gen *g, const nm_flash *x, int operand, int64_t positions, nm_map *map)
{
    const nm_value *v = x->op->in[operand];
    const nm_type *t = v->type;
    nm_view view;
    return begin_map(g, v, &view, map) && add_dim(g, &view, dim_of(t, x->hd.name), COLUMN, map) &&
           add_role(g, x, t, &view, AT_POS, positions, map) &&
           add_role(g, x, t, &view, AT_KV, 1, map) && add_role(g, x, t, &view, AT_BATCH1, 1, map) &&
           add_role(g, x, t, &view, AT_BATCH0, 1, map);
}

bool nm_flash_map_rows(nm_gen *g, const nm_flash *x, int operand, int64_t rows, nm_map *map)
{
    const nm_value *v = x->op->in[operand];
    const nm_type *t = v->type;
    nm_view view;
    int64_t groups;
    if (x->groups || x->role[AT_G].name == NULL)
        return !x->groups && nm_flash_map(g, x, operand, rows, map);
    if (x->role[AT_BATCH0].name || !nm_extent_is_const(x->role[AT_G].extent, &groups) ||
        rows % groups)
        return false;
    return begin_map(g, v, &view, map) && add_dim(g, &view, dim_of(t, x->hd.name), COLUMN, map) &&
           add_role(g, x, t, &view, AT_G, groups, map) &&
           add_role(g, x, t, &view, AT_POS, rows / groups, map) &&
           add_role(g, x, t, &view, AT_KV, 1, map) && add_role(g, x, t, &view, AT_BATCH1, 1, map);
}
