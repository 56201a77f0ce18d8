// Attention's operands: which dim plays which part, and the strides of what is stored.
//
// A stride is the difference of two offsets at constant coordinates, so a view that splits or
// renames dims needs no rule of its own here.
#include "codegen/attention.h"
#include "codegen/kernels.h"

// --- which dim plays which part ------------------------------------------------------------------

static nm_dim dim_of(const nm_type *t, nm_sym name) { return t->dim[nm_type_find(t, name)]; }

static bool is_batch(const nm_flash *x, nm_sym dim)
{
    const nm_type *q = x->op->in[0]->type, *k = x->op->in[1]->type;
    return nm_has_dim(q, dim) && nm_has_dim(k, dim) && dim != x->hd.name;
}

// kv is the dim of heads: the innermost that q and k share; the others are batch.
static bool find_shared(nm_gen *g, nm_flash *x)
{
    const nm_type *q = x->op->in[0]->type;
    int n_batch = 0;
    for (int i = q->rank; i-- > 0;) {
        if (!is_batch(x, q->dim[i].name))
            continue;
        if (!x->role[AT_KV].name && !x->groups && n_batch == 0 && q->rank > 3)
            x->role[AT_KV] = q->dim[i];
        else if (n_batch++ == 0)
            x->role[AT_BATCH1] = q->dim[i];
        else if (n_batch == 2)
            x->role[AT_BATCH0] = q->dim[i];
        else
            return nm_gen_refuse(g, x->op, "more than two batch dims are not lowered yet") != NULL;
    }
    return true;
}

// What q alone has: its positions, and the heads of one kv head.
static bool find_own(nm_gen *g, nm_flash *x)
{
    const nm_type *q = x->op->in[0]->type;
    for (int i = 0; i < q->rank; i++) {
        nm_dim d = q->dim[i];
        if (d.name == x->hd.name || is_batch(x, d.name) || d.name == x->a.heads)
            continue;
        bool is_pos = x->a.seq ? d.name == x->a.seq : !x->role[AT_POS].name;
        nm_attn_at at = is_pos ? AT_POS : AT_G;
        if (x->role[at].name)
            return nm_gen_refuse(g, x->op, "more than one dim of groups is not lowered yet") !=
                   NULL;
        x->role[at] = d;
    }
    x->pos = x->role[AT_POS];
    return true;
}

bool nm_flash_find(nm_gen *g, nm_flash *x, nm_op *op)
{
    const nm_type *q = op->in[0]->type, *k = op->in[1]->type;
    *x = (nm_flash){.op = op, .a = nm_attn_of(op)};
    x->hd = dim_of(q, nm_attr_sym(op, "hd"));
    x->over = dim_of(k, nm_attr_sym(op, "over"));
    if (x->a.heads && x->a.heads != x->a.kv) {
        nm_dim heads = dim_of(q, x->a.heads);
        x->role[AT_KV] = dim_of(k, x->a.kv);
        x->groups = nm_extent_div(g->fn.m, heads.extent, x->role[AT_KV].extent);
    }
    return find_shared(g, x) && find_own(g, x);
}

int64_t nm_flash_head_size(const nm_flash *x, int operand)
{
    int64_t hd = 1;
    nm_extent_is_const(dim_of(x->op->in[operand]->type, x->hd.name).extent, &hd);
    return hd;
}

// --- strides -------------------------------------------------------------------------------------

static nm_coords origin(nm_gen *g, const nm_type *t)
{
    nm_coords c = {0};
    for (int i = 0; i < t->rank; i++)
        nm_coords_set(&c, t->dim[i].name, nm_index_const(g, 0));
    return c;
}

nm_sym nm_flash_role(const nm_flash *x, const nm_type *t, nm_attn_at at)
{
    nm_sym dim = x->role[at].name;
    if (at == AT_POS && !(dim && nm_has_dim(t, dim)))
        dim = x->over.name;
    if ((at == AT_KV || at == AT_G) && x->groups && x->a.heads && nm_has_dim(t, x->a.heads))
        dim = x->a.heads;
    return dim && nm_has_dim(t, dim) ? dim : NULL;
}

LLVMValueRef nm_flash_step(nm_gen *g, const nm_flash *x, nm_sym dim, nm_attn_at at)
{
    if (at == AT_KV && x->groups && dim == x->a.heads)
        return nm_fn_extent_value(&g->fn, x->groups, NM_SYM_SIZE);
    return nm_index_const(g, 1);
}

static bool fill_strides(nm_gen *g, const nm_flash *x, const nm_type *t, nm_value *v,
                         LLVMValueRef base, nm_strided *s)
{
    for (int at = 0; at < N_AT; at++) {
        nm_sym dim = nm_flash_role(x, t, (nm_attn_at)at);
        s->stride[at] = nm_index_const(g, 0);
        if (!dim)
            continue;
        nm_coords c = origin(g, t);
        nm_coords_set(&c, dim, nm_flash_step(g, x, dim, (nm_attn_at)at));
        int arg;
        LLVMValueRef off = v ? nm_gen_offset(g, v, &c, &arg) : nm_index_of(g, &c, t->rank, t->dim);
        if (!off)
            return false;
        s->stride[at] = LLVMBuildSub(g->fn.b, off, base, "");
    }
    return true;
}

// The head dim has to be contiguous, as the template reads vectors along it.
static bool check_inner(nm_gen *g, const nm_flash *x, nm_value *v)
{
    nm_coords c = origin(g, v->type);
    if (!nm_has_dim(v->type, x->hd.name))
        return true;
    int arg;
    int64_t hd, step;
    LLVMValueRef zero = nm_gen_offset(g, v, &c, &arg);
    if (!zero)
        return false;
    bool contiguous = nm_extent_is_const(x->hd.extent, &hd);
    for (int64_t i = 1; contiguous && i < hd; i++) { // a merge may jump anywhere
        nm_coords_set(&c, x->hd.name, nm_index_const(g, i));
        LLVMValueRef at = nm_gen_offset(g, v, &c, &arg);
        contiguous = nm_fn_is_const(LLVMBuildSub(g->fn.b, at, zero, ""), &step) && step == i;
    }
    if (contiguous)
        return true;
    return nm_gen_refuse(g, x->op,
                         "an operand whose head dim is not innermost is not lowered yet") != NULL;
}

bool nm_flash_operand(nm_gen *g, const nm_flash *x, nm_value *v, nm_strided *s)
{
    nm_coords c = origin(g, v->type);
    int arg;
    LLVMValueRef base = nm_gen_offset(g, v, &c, &arg);
    if (!base || !check_inner(g, x, v))
        return false;
    LLVMTypeRef type = nm_dtype_storage(&g->fn, v->type->dtype);
    s->pointer = nm_fn_at(&g->fn, type, nm_gen_pointer(g, arg), base);
    return fill_strides(g, x, v->type, v, base, s);
}

static const nm_extent *bytes_of(nm_gen *g, const nm_type *t)
{
    const nm_extent *bytes = nm_extent_const(g->fn.m, nm_dtype_table[t->dtype].bytes);
    for (int k = 0; k < t->rank; k++)
        bytes = nm_extent_mul(g->fn.m, bytes, t->dim[k].extent);
    return bytes;
}

// The group's result that it is, or -1: nobody reads it.
static int stored_as(nm_gen *g, const nm_value *v)
{
    for (int r = g->group->n_out; r-- > 0;)
        if (nm_group_result(g, r) == v && g->result_arg[r] >= 0)
            return r;
    return -1;
}

bool nm_flash_result(nm_gen *g, const nm_flash *x, int i, nm_strided *s)
{
    const nm_value *v = &x->op->out[i];
    int r = stored_as(g, v);
    const nm_type *t = r >= 0 ? g->group->out[r].type : v->type;
    if (nm_has_dim(t, x->hd.name) && t->dim[t->rank - 1].name != x->hd.name)
        return nm_gen_refuse(g, x->op,
                             "a result whose head dim is not innermost is not lowered yet") != NULL;
    int arg = r >= 0 ? g->result_arg[r] : nm_gen_workspace(g, bytes_of(g, t));
    s->pointer = nm_gen_pointer(g, arg);
    return fill_strides(g, x, t, NULL, nm_index_const(g, 0), s);
}

bool nm_flash_room(nm_gen *g, const nm_flash *x, nm_strided *s)
{
    nm_type t = {.dtype = NM_f32};
    const nm_type *q = x->op->in[0]->type;
    for (int i = 0; i < q->rank; i++)
        if (q->dim[i].name != x->hd.name)
            t.dim[t.rank++] = q->dim[i];
    t.dim[t.rank++] = x->hd;
    s->pointer = nm_gen_pointer(g, nm_gen_workspace(g, bytes_of(g, &t)));
    return fill_strides(g, x, &t, NULL, nm_index_const(g, 0), s);
}
