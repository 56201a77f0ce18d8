// Attention kernels: the flash template, forward and backward, on operands that are stored (or
// views of what is stored): the template walks them by strides along batch, position, kv head and
// group. The host's and the gpus' templates are told the same.
//
// A stride is the difference of two offsets at constant coordinates, so a view that splits or
// renames dims needs no rule of its own here.
#include "codegen/global.h"
#include "codegen/kernels.h"
#include "codegen/space.h"
#include "codegen/templates/gpu/attn.h"
#include "ir/attn.h"

typedef enum {
    AT_BATCH0,
    AT_BATCH1,
    AT_POS,
    AT_KV,
    AT_G,
    N_AT
} nm_attn_at; // nmk_strides, in order

typedef struct nm_flash {
    nm_op *op;
    nm_attn a;
    nm_dim hd, over, pos;    // pos: q's
    nm_dim role[N_AT];       // of q; name NULL: there is none
    const nm_extent *groups; // q heads a kv head, where `heads` is not split; else NULL
    LLVMTypeRef args, drop;
} nm_flash;

// --- which dim plays which part
// ------------------------------------------------------------------------------

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

static bool find_roles(nm_gen *g, nm_flash *x, nm_op *op)
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

// --- strides
// --------------------------------------------------------------------------------------------------------

static nm_coords origin(nm_gen *g, const nm_type *t)
{
    nm_coords c = {0};
    for (int i = 0; i < t->rank; i++)
        nm_coords_set(&c, t->dim[i].name, nm_index_const(g, 0));
    return c;
}

typedef struct nm_strided { // a tensor as the template sees it
    LLVMValueRef pointer, stride[N_AT];
} nm_strided;

// The name that a role has in a tensor of type t: keys have `over` for positions. NULL: it has
// none.
static nm_sym role_in(const nm_flash *x, const nm_type *t, nm_attn_at at)
{
    nm_sym dim = x->role[at].name;
    if (at == AT_POS && !(dim && nm_has_dim(t, dim)))
        dim = x->over.name;
    if ((at == AT_KV || at == AT_G) && x->groups && x->a.heads && nm_has_dim(t, x->a.heads))
        dim = x->a.heads;
    return dim && nm_has_dim(t, dim) ? dim : NULL;
}

// The coordinate step of one index of the role: a kv head is `groups` of q's unsplit heads.
static LLVMValueRef step_of(nm_gen *g, const nm_flash *x, nm_sym dim, nm_attn_at at)
{
    if (at == AT_KV && x->groups && dim == x->a.heads)
        return nm_fn_extent_value(&g->fn, x->groups, NM_SYM_SIZE);
    return nm_index_const(g, 1);
}

static bool fill_strides(nm_gen *g, const nm_flash *x, const nm_type *t, nm_value *v,
                         LLVMValueRef base, nm_strided *s)
{
    for (int at = 0; at < N_AT; at++) {
        nm_sym dim = role_in(x, t, (nm_attn_at)at);
        s->stride[at] = nm_index_const(g, 0);
        if (!dim)
            continue;
        nm_coords c = origin(g, t);
        nm_coords_set(&c, dim, step_of(g, x, dim, (nm_attn_at)at));
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

static bool operand(nm_gen *g, const nm_flash *x, nm_value *v, nm_strided *s)
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

// Result `i` of the op: where the group stores it, or a workspace if nobody reads it.
static bool result(nm_gen *g, const nm_flash *x, int i, int workspace, nm_strided *s)
{
    const nm_type *t = x->op->out[i].type;
    int arg = workspace;
    for (int r = 0; r < g->group->n_out; r++)
        if (nm_group_result(g, r) == &x->op->out[i] && g->result_arg[r] >= 0) {
            arg = g->result_arg[r];
            t = g->group->out[r].type;
        }
    if (nm_has_dim(t, x->hd.name) && t->dim[t->rank - 1].name != x->hd.name)
        return nm_gen_refuse(g, x->op,
                             "a result whose head dim is not innermost is not lowered yet") != NULL;
    s->pointer = nm_gen_pointer(g, arg);
    return fill_strides(g, x, t, NULL, nm_index_const(g, 0), s);
}

// --- nmk_attn_args
// --------------------------------------------------------------------------------------------------

// The fields, in template.h's order. A tensor is a pointer in one field, its strides in another.
enum {
    F_N0,
    F_N1,
    F_KV,
    F_G,
    F_NQ,
    F_NK,
    F_AT,
    F_WINDOW,
    F_SCALE,
    F_SOFTCAP,
    F_Q,
    F_K,
    F_V,
    F_QS,
    F_KS,
    F_VS,
    F_OUT,
    F_LSE,
    F_OUTS,
    F_LSES,
    F_DOUT,
    F_DQ,
    F_DK,
    F_DV,
    F_DOUTS,
    F_DQS,
    F_DKS,
    F_DVS,
    F_KEYS,
    F_KEYSS,
    F_SEGQ,
    F_SEGK,
    F_SEGQS,
    F_SEGKS,
    F_SINK,
    F_SINKS,
    F_DROP,
    N_FIELDS
};
enum { D_RATE, D_KEY, D_STEP, D_TURN, D_FIRST, D_KEY_STRIDE, D_STRIDE, D_HALF, D_JUMP, N_DROP };

static void make_types(nm_gen *g, nm_flash *x)
{
    nm_fn *f = &g->fn;
    LLVMTypeRef i = f->i64, p = f->ptr, s = LLVMArrayType2(f->i64, N_AT), r = f->f32, w = f->i32;
    LLVMTypeRef drop[] = {r, i, w, w, i, i, s, i, i};
    x->drop = LLVMStructTypeInContext(f->ctx, drop, N_DROP, false);
    LLVMTypeRef field[N_FIELDS] = {i, i, i, i, i, i, i, i, r, r, p, p, p, s, s, s, p, p,      s,
                                   s, p, p, p, p, s, s, s, s, p, s, p, p, s, s, p, s, x->drop};
    x->args = LLVMStructTypeInContext(f->ctx, field, N_FIELDS, false);
}

static LLVMValueRef field(nm_gen *g, const nm_flash *x, LLVMValueRef args, unsigned i)
{
    return LLVMBuildStructGEP2(g->fn.b, x->args, args, i, "");
}

static void set(nm_gen *g, const nm_flash *x, LLVMValueRef args, unsigned i, LLVMValueRef v)
{
    LLVMBuildStore(g->fn.b, v, field(g, x, args, i));
}

static void set_strides(nm_gen *g, LLVMValueRef at, const nm_strided *s)
{
    for (int i = 0; i < N_AT; i++)
        LLVMBuildStore(g->fn.b, s->stride[i],
                       nm_fn_at(&g->fn, g->fn.i64, at, nm_fn_i64(&g->fn, i)));
}

static void set_tensor(nm_gen *g, const nm_flash *x, LLVMValueRef args, unsigned pointer,
                       unsigned strides, const nm_strided *s)
{
    set(g, x, args, pointer, s->pointer);
    set_strides(g, field(g, x, args, strides), s);
}

static LLVMValueRef extent(nm_gen *g, const nm_dim *d)
{
    return d->name ? nm_fn_product(&g->fn, 1, d) : nm_index_const(g, 1);
}

static LLVMValueRef new_args(nm_gen *g, nm_flash *x)
{
    nm_fn *f = &g->fn;
    make_types(g, x);
    LLVMValueRef args = nm_fn_slot(f, x->args);
    LLVMBuildStore(f->b, LLVMConstNull(x->args), args);
    set(g, x, args, F_N0, extent(g, &x->role[AT_BATCH0]));
    set(g, x, args, F_N1, extent(g, &x->role[AT_BATCH1]));
    set(g, x, args, F_KV, extent(g, &x->role[AT_KV]));
    LLVMValueRef groups =
        x->groups ? nm_fn_extent_value(f, x->groups, NM_SYM_SIZE) : extent(g, &x->role[AT_G]);
    set(g, x, args, F_G, groups);
    set(g, x, args, F_NQ, extent(g, &x->pos));
    set(g, x, args, F_NK, extent(g, &x->over));
    return args;
}

static bool set_scalars(nm_gen *g, const nm_flash *x, LLVMValueRef args)
{
    nm_fn *f = &g->fn;
    set(g, x, args, F_WINDOW, nm_fn_i64(f, nm_attr_int(x->op, "window", 0)));
    set(g, x, args, F_SCALE, LLVMConstReal(f->f32, nm_attr_float(x->op, "scale", 1)));
    set(g, x, args, F_SOFTCAP, LLVMConstReal(f->f32, nm_attr_float(x->op, "softcap", 0)));
    nm_value *at = x->a.extra[NM_ATTN_at];
    nm_coords none = {0};
    if (!at || at->type->rank)
        return true;
    LLVMValueRef v = nm_gen_value(g, at, &none);
    if (v)
        set(g, x, args, F_AT, LLVMBuildIntCast2(f->b, v, f->i64, true, ""));
    return v != NULL;
}

// --- dropout: draw number (row * keys + key), where rows are q's dims but hd
// -------------------------------------------

static bool is_role(const nm_flash *x, nm_attn_at at, nm_sym dim)
{
    bool heads = x->groups && dim == x->a.heads;
    return heads ? at == AT_KV || at == AT_G : x->role[at].name == dim;
}

// How far one index of the role moves the draw's number; and the number of the first draw.
static void row_strides(nm_gen *g, const nm_flash *x, nm_strided *s, LLVMValueRef *first)
{
    nm_fn *f = &g->fn;
    const nm_type *q = x->op->in[0]->type;
    LLVMValueRef step = nm_fn_extent_value(f, x->over.extent, NM_SYM_TOTAL);
    *first = x->a.extra[NM_ATTN_key_at] ? nm_index_const(g, 0)
                                        : nm_fn_extent_value(f, x->over.extent, NM_SYM_OFFSET);
    for (int i = q->rank; i-- > 0;) {
        if (q->dim[i].name == x->hd.name)
            continue;
        for (int at = 0; at < N_AT; at++)
            if (is_role(x, (nm_attn_at)at, q->dim[i].name)) {
                LLVMValueRef heads = step_of(g, x, q->dim[i].name, (nm_attn_at)at);
                s->stride[at] = LLVMBuildMul(f->b, step, heads, "");
            }
        LLVMValueRef offset = nm_fn_extent_value(f, q->dim[i].extent, NM_SYM_OFFSET);
        *first = LLVMBuildAdd(f->b, *first, LLVMBuildMul(f->b, offset, step, ""), "");
        step = LLVMBuildMul(f->b, step, nm_fn_extent_value(f, q->dim[i].extent, NM_SYM_TOTAL), "");
    }
}

static LLVMValueRef counter(nm_gen *g, nm_value *v)
{
    nm_coords none = {0};
    LLVMValueRef x = v ? nm_gen_value(g, v, &none) : LLVMConstNull(g->fn.i32);
    return x ? LLVMBuildIntCast2(g->fn.b, x, g->fn.i32, true, "") : NULL;
}

static bool set_drop(nm_gen *g, const nm_flash *x, LLVMValueRef args)
{
    nm_fn *f = &g->fn;
    double rate = nm_attr_float(x->op, "dropout", 0);
    if (rate <= 0)
        return true;
    nm_value *const *e = x->a.extra;
    nm_strided s;
    LLVMValueRef first,
        key = nm_gen_philox_key(g, e[NM_ATTN_seed], nm_attr_get(x->op, "key")->u.sym);
    LLVMValueRef step = counter(g, e[NM_ATTN_step]), turn = counter(g, e[NM_ATTN_turn]);
    if (!key || !step || !turn)
        return false;
    for (int at = 0; at < N_AT; at++)
        s.stride[at] = nm_index_const(g, 0);
    row_strides(g, x, &s, &first);
    LLVMValueRef drop = field(g, x, args, F_DROP);
    LLVMValueRef half = nm_fn_i64(f, INT64_MAX), jump = nm_index_const(g, 0);
    if (x->pos.name)
        nm_gen_runs(g, &x->pos, &half, &jump);
    LLVMValueRef word[N_DROP] = {[D_RATE] = LLVMConstReal(f->f32, rate),
                                 [D_KEY] = key,
                                 [D_STEP] = step,
                                 [D_TURN] = turn,
                                 [D_FIRST] = first,
                                 [D_KEY_STRIDE] = nm_index_const(g, 1),
                                 [D_HALF] = half,
                                 [D_JUMP] = jump};
    for (unsigned i = 0; i < N_DROP; i++)
        if (word[i])
            LLVMBuildStore(f->b, word[i], LLVMBuildStructGEP2(f->b, x->drop, drop, i, ""));
    set_strides(g, LLVMBuildStructGEP2(f->b, x->drop, drop, D_STRIDE, ""), &s);
    return true;
}

static bool set_operand(nm_gen *g, const nm_flash *x, LLVMValueRef args, nm_value *v,
                        unsigned pointer, unsigned strides)
{
    nm_strided s;
    if (!v)
        return true;
    if (!operand(g, x, v, &s))
        return false;
    set_tensor(g, x, args, pointer, strides, &s);
    return true;
}

// Segments are one tensor that queries and keys both look into, by their positions.
static bool set_extras(nm_gen *g, const nm_flash *x, LLVMValueRef args)
{
    nm_value *const *e = x->a.extra;
    return set_operand(g, x, args, e[NM_ATTN_keys], F_KEYS, F_KEYSS) &&
           set_operand(g, x, args, e[NM_ATTN_segments], F_SEGQ, F_SEGQS) &&
           set_operand(g, x, args, e[NM_ATTN_segments], F_SEGK, F_SEGKS) &&
           set_operand(g, x, args, e[NM_ATTN_sink], F_SINK, F_SINKS);
}

// The head dim's extent in q (0), k or v (2): a constant, as check() saw.
static int64_t head_size(const nm_flash *x, int operand)
{
    int64_t hd = 1;
    nm_extent_is_const(dim_of(x->op->in[operand]->type, x->hd.name).extent, &hd);
    return hd;
}

// nmk_attn_spec: nine words
static LLVMValueRef write_spec(nm_gen *g, const nm_flash *x)
{
    nm_fn *f = &g->fn;
    int64_t hd = head_size(x, 0), hd_v = head_size(x, 2);
    int64_t word[] = {hd,
                      hd_v,
                      nm_attr_bool(x->op, "causal"),
                      nm_attr_get(x->op, "window") != NULL,
                      nm_attr_get(x->op, "softcap") != NULL,
                      nm_attr_float(x->op, "dropout", 0) > 0,
                      x->a.extra[NM_ATTN_keys] != NULL,
                      x->a.extra[NM_ATTN_segments] != NULL,
                      x->a.extra[NM_ATTN_sink] != NULL};
    int n = sizeof word / sizeof *word;
    LLVMValueRef spec = nm_fn_slot(f, LLVMArrayType2(f->i64, (uint64_t)n));
    for (int i = 0; i < n; i++)
        LLVMBuildStore(f->b, nm_fn_i64(f, word[i]), nm_fn_at(f, f->i64, spec, nm_fn_i64(f, i)));
    g->scratch_bytes = NMK_ATTN_SCRATCH(hd, hd_v);
    if (x->op->code == NM_OP_attention_grad)
        g->scratch_bytes = NMK_ATTN_GRAD_SCRATCH(hd, hd_v);
    return spec;
}

// --- the bias hook: bias and mask, where they are
// ---------------------------------------------------------------------

static void set_coord(nm_coords *c, const nm_dim *d, LLVMValueRef at)
{
    if (d->name)
        nm_coords_set(c, d->name, at);
}

// float bias(env, b0, b1, kv, g, i, j)
static bool write_bias(nm_gen *g, const nm_flash *x, LLVMValueRef *hook)
{
    nm_fn *f = &g->fn;
    nm_value *bias = x->a.extra[NM_ATTN_bias], *mask = x->a.extra[NM_ATTN_mask];
    *hook = LLVMConstNull(f->ptr);
    if (!bias && !mask)
        return true;
    LLVMTypeRef param[] = {f->ptr, f->i64, f->i64, f->i64, f->i64, f->i64, f->i64};
    LLVMValueRef fn = nm_gen_begin_hook(g, "bias", LLVMFunctionType(f->f32, param, 7, false));
    nm_coords c = {0};
    static const nm_attn_at order[] = {AT_BATCH0, AT_BATCH1, AT_KV, AT_G, AT_POS};
    for (unsigned i = 0; i < 5; i++)
        set_coord(&c, &x->role[order[i]], LLVMGetParam(fn, i + 1));
    set_coord(&c, &x->over, LLVMGetParam(fn, 6));
    if (x->groups) {
        LLVMValueRef groups = nm_fn_extent_value(f, x->groups, NM_SYM_SIZE);
        LLVMValueRef head = nm_index_flat(g, LLVMGetParam(fn, 3), groups, LLVMGetParam(fn, 4));
        nm_coords_set(&c, x->a.heads, head);
    }
    LLVMValueRef y = bias ? nm_gen_value(g, bias, &c) : LLVMConstReal(f->f32, 0);
    LLVMValueRef seen = mask ? nm_gen_value(g, mask, &c) : LLVMConstInt(f->i1, 1, false);
    if (!y || !seen)
        return false;
    LLVMValueRef never = LLVMConstReal(f->f32, -(double)__builtin_inff());
    nm_fn_finish(f, LLVMBuildSelect(f->b, seen, y, never, ""));
    *hook = fn;
    return true;
}

// int64_t position(env, i), where `at` says it of each query or key
static bool write_position(nm_gen *g, const char *name, nm_value *at, LLVMValueRef *hook)
{
    nm_fn *f = &g->fn;
    *hook = LLVMConstNull(f->ptr);
    if (!at || !at->type->rank)
        return true;
    LLVMTypeRef param[] = {f->ptr, f->i64};
    LLVMValueRef fn = nm_gen_begin_hook(g, name, LLVMFunctionType(f->i64, param, 2, false));
    nm_coords c = {0};
    nm_coords_set(&c, at->type->dim[0].name, LLVMGetParam(fn, 1));
    LLVMValueRef v = nm_gen_value(g, at, &c);
    if (!v)
        return false;
    nm_fn_finish(f, LLVMBuildIntCast2(f->b, v, f->i64, true, ""));
    *hook = fn;
    return true;
}

// --- the kernels
// --------------------------------------------------------------------------------------------------------

static bool check(nm_gen *g, const nm_flash *x)
{
    int64_t hd;
    if (nm_attr_get(x->op, "window") && !nm_attr_bool(x->op, "causal"))
        return nm_gen_refuse(g, x->op, "a window without causal is not lowered yet") != NULL;
    if (!nm_extent_is_const(x->hd.extent, &hd) || hd > 512)
        return nm_gen_refuse(g, x->op, "a head dim that is not a constant up to 512") != NULL;
    for (int i = 0; i < 3; i++)
        if (x->op->in[i]->type->dtype != NM_f32)
            return nm_gen_refuse(g, x->op, "attention of this dtype is not lowered yet") != NULL;
    return true;
}

static int unread_result(nm_gen *g, const nm_flash *x, int i)
{
    for (int r = 0; r < g->group->n_out; r++)
        if (nm_group_result(g, r) == &x->op->out[i] && g->result_arg[r] >= 0)
            return -1;
    const nm_type *t = x->op->out[i].type;
    const nm_extent *bytes = nm_extent_const(g->fn.m, nm_dtype_table[t->dtype].bytes);
    for (int k = 0; k < t->rank; k++)
        bytes = nm_extent_mul(g->fn.m, bytes, t->dim[k].extent);
    return nm_gen_workspace(g, bytes);
}

static void write_count(nm_gen *g, nm_flash *x, const char *name)
{
    nm_gen_begin_count(g);
    LLVMValueRef args = new_args(g, x);
    nm_gen_end_count(g, nm_gen_call(g, name, g->fn.i64, 1, &args));
}

typedef struct nm_hooks {
    LLVMValueRef bias, position, key_position;
} nm_hooks;

static bool write_hooks(nm_gen *g, const nm_flash *x, nm_hooks *hook)
{
    nm_value *const *e = x->a.extra;
    return write_bias(g, x, &hook->bias) &&
           write_position(g, "position", e[NM_ATTN_at], &hook->position) &&
           write_position(g, "key_position", e[NM_ATTN_key_at], &hook->key_position);
}

// --- ranges of gpu kernels: see templates/gpu/attn.h

static const nm_extent *dim_extent(nm_gen *g, const nm_dim *d)
{
    return d->name ? d->extent : nm_extent_const(g->fn.m, 1);
}

static const nm_extent *ceil_div(nm_gen *g, const nm_extent *n, int64_t by)
{
    nm_module *m = g->fn.m;
    return nm_extent_div(m, nm_extent_add(m, n, nm_extent_const(m, by - 1)),
                         nm_extent_const(m, by));
}

static const nm_extent *row_tiles(nm_gen *g, const nm_flash *x)
{
    const nm_extent *groups = x->groups ? x->groups : dim_extent(g, &x->role[AT_G]);
    return ceil_div(g, nm_extent_mul(g->fn.m, dim_extent(g, &x->pos), groups), NMG_ATTN_TILE);
}

// Those of rows, and in the backward those of keys, too.
static const nm_extent *all_tiles(nm_gen *g, const nm_flash *x)
{
    const nm_extent *rows = row_tiles(g, x);
    if (x->op->code == NM_OP_attention)
        return rows;
    return nm_extent_add(g->fn.m, rows, ceil_div(g, dim_extent(g, &x->over), NMG_ATTN_TILE));
}

// Elements along the head dim of what is summed.
static int64_t summed_size(const nm_flash *x)
{
    int64_t hd = head_size(x, 0), hd_v = head_size(x, 2);
    return x->op->code == NM_OP_attention || hd_v > hd ? hd_v : hd;
}

// A block does one of: batch x kv heads x slices x tiles.
static bool share_out(nm_gen *g, const nm_flash *x)
{
    nm_module *m = g->fn.m;
    int64_t slices = (summed_size(x) + NMG_ATTN_WIDE - 1) / NMG_ATTN_WIDE;
    const nm_extent *n = nm_extent_mul(m, nm_extent_const(m, slices), all_tiles(g, x));
    static const nm_attn_at outer[] = {AT_BATCH0, AT_BATCH1, AT_KV};
    for (int i = 0; i < 3; i++)
        n = nm_extent_mul(m, n, dim_extent(g, &x->role[outer[i]]));
    g->range = n;
    g->threads = NMG_ATTN_THREADS;
    g->per_block = 1;
    g->shared_bytes = NMG_ATTN_SHARED;
    return n || nm_gen_refuse(g, x->op, "its tiles have no extent that can be written");
}

// Where the kernel begins; false: reported.
static bool begin(nm_gen *g, const nm_flash *x)
{
    if (g->is_gpu && !share_out(g, x))
        return false;
    nm_gen_begin_kernel(g, "kernel");
    return true;
}

// The call of the flavour's template; the host's says its count itself.
static void finish(nm_gen *g, nm_flash *x, LLVMValueRef args, nm_hooks hook)
{
    bool grad = x->op->code == NM_OP_attention_grad;
    LLVMValueRef arg[] = {write_spec(g, x),  args,    nm_gen_env(g), hook.bias, hook.position,
                          hook.key_position, g->from, g->to,         g->scratch};
    if (g->is_gpu)
        nm_gen_call(g, grad ? "nmg_attn_grad" : "nmg_attn", g->fn.nothing, 7, arg);
    else
        nm_gen_call(g, grad ? "nmk_attn_grad" : "nmk_attn", g->fn.nothing, 9, arg);
    nm_fn_finish(&g->fn, NULL);
    if (!g->is_gpu)
        write_count(g, x, grad ? "nmk_attn_grad_count" : "nmk_attn_count");
}

bool nm_kernel_attention(nm_gen *g)
{
    nm_flash x;
    nm_hooks hook;
    nm_op *op = nm_group_op(g, NM_OP_attention);
    if (!find_roles(g, &x, op) || !check(g, &x) || !write_hooks(g, &x, &hook))
        return false;
    int spare[2] = {unread_result(g, &x, 0), unread_result(g, &x, 1)};
    if (!begin(g, &x))
        return false;
    LLVMValueRef args = new_args(g, &x);
    bool ok = set_scalars(g, &x, args) && set_extras(g, &x, args) && set_drop(g, &x, args);
    for (unsigned i = 0; i < 3 && ok; i++)
        ok = set_operand(g, &x, args, op->in[i], F_Q + i, F_QS + i);
    for (int i = 0; i < 2 && ok; i++) {
        nm_strided s;
        ok = result(g, &x, i, spare[i], &s);
        set_tensor(g, &x, args, F_OUT + (unsigned)i, F_OUTS + (unsigned)i, &s);
    }
    if (ok)
        finish(g, &x, args, hook);
    return ok;
}

bool nm_kernel_attention_grad(nm_gen *g)
{
    nm_flash x;
    nm_hooks hook;
    nm_op *op = nm_group_op(g, NM_OP_attention_grad);
    if (!find_roles(g, &x, op) || !check(g, &x) || !write_hooks(g, &x, &hook))
        return false;
    if (op->n_out > 3)
        return nm_gen_refuse(g, op, "gradients of bias and sink are not lowered yet") != NULL;
    int spare[3];
    for (int i = 0; i < 3; i++)
        spare[i] = unread_result(g, &x, i);
    if (!begin(g, &x))
        return false;
    LLVMValueRef args = new_args(g, &x);
    static const unsigned pointer[] = {F_Q, F_K, F_V, F_OUT, F_LSE, F_DOUT};
    static const unsigned strides[] = {F_QS, F_KS, F_VS, F_OUTS, F_LSES, F_DOUTS};
    bool ok = set_scalars(g, &x, args) && set_extras(g, &x, args) && set_drop(g, &x, args);
    for (int i = 0; i < 6 && ok; i++)
        ok = set_operand(g, &x, args, op->in[i], pointer[i], strides[i]);
    for (int i = 0; i < 3 && ok; i++) {
        nm_strided s;
        ok = result(g, &x, i, spare[i], &s);
        set_tensor(g, &x, args, F_DQ + (unsigned)i, F_DQS + (unsigned)i, &s);
    }
    if (ok)
        finish(g, &x, args, hook);
    return ok;
}
