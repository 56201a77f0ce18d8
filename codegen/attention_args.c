// nmk_attn_args and nmk_attn_spec, written by a kernel for its template.
#include "codegen/attention.h"
#include "codegen/global.h"
#include "codegen/templates/template.h"

enum { D_RATE, D_KEY, D_STEP, D_TURN, D_FIRST, D_KEY_STRIDE, D_STRIDE, D_HALF, D_JUMP, N_DROP };

static void make_types(nm_gen *g, nm_flash *x)
{
    nm_fn *f = &g->fn;
    LLVMTypeRef i = f->i64, p = f->ptr, s = LLVMArrayType2(f->i64, N_AT), r = f->f32, w = f->i32;
    LLVMTypeRef drop[] = {r, i, w, w, i, i, s, i, i};
    x->drop = LLVMStructTypeInContext(f->ctx, drop, N_DROP, false);
    LLVMTypeRef field[N_FIELDS] = {i, i, i, i, i, i, i, i, r, r, p, p, p, s, s, s, p, p, s,      s,
                                   p, p, p, p, s, s, s, s, p, s, p, p, s, s, p, s, p, s, x->drop};
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

void nm_flash_set(nm_gen *g, const nm_flash *x, LLVMValueRef args, unsigned pointer,
                  unsigned strides, const nm_strided *s)
{
    set(g, x, args, pointer, s->pointer);
    set_strides(g, field(g, x, args, strides), s);
}

static LLVMValueRef extent(nm_gen *g, const nm_dim *d)
{
    return d->name ? nm_fn_product(&g->fn, 1, d) : nm_index_const(g, 1);
}

LLVMValueRef nm_flash_extents(nm_gen *g, nm_flash *x)
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

// --- dropout: draw number (row * keys + key), where rows are q's dims but hd ---------------------

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
                LLVMValueRef heads = nm_flash_step(g, x, q->dim[i].name, (nm_attn_at)at);
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

bool nm_flash_set_operand(nm_gen *g, const nm_flash *x, LLVMValueRef args, nm_value *v,
                          unsigned pointer, unsigned strides)
{
    nm_strided s;
    if (!v)
        return true;
    if (!nm_flash_operand(g, x, v, &s))
        return false;
    nm_flash_set(g, x, args, pointer, strides, &s);
    return true;
}

// Segments are one tensor that queries and keys both look into, by their positions.
static bool set_extras(nm_gen *g, const nm_flash *x, LLVMValueRef args)
{
    nm_value *const *e = x->a.extra;
    return nm_flash_set_operand(g, x, args, e[NM_ATTN_keys], F_KEYS, F_KEYSS) &&
           nm_flash_set_operand(g, x, args, e[NM_ATTN_segments], F_SEGQ, F_SEGQS) &&
           nm_flash_set_operand(g, x, args, e[NM_ATTN_segments], F_SEGK, F_SEGKS) &&
           nm_flash_set_operand(g, x, args, e[NM_ATTN_sink], F_SINK, F_SINKS);
}

LLVMValueRef nm_flash_args(nm_gen *g, nm_flash *x)
{
    LLVMValueRef args = nm_flash_extents(g, x);
    bool ok = set_scalars(g, x, args) && set_extras(g, x, args) && set_drop(g, x, args);
    return ok ? args : NULL;
}

// nmk_attn_spec: ten words
LLVMValueRef nm_flash_spec(nm_gen *g, const nm_flash *x)
{
    nm_fn *f = &g->fn;
    int64_t hd = nm_flash_head_size(x, 0), hd_v = nm_flash_head_size(x, 2);
    int64_t word[] = {hd,
                      hd_v,
                      nm_attr_bool(x->op, "causal"),
                      nm_attr_get(x->op, "window") != NULL,
                      nm_attr_get(x->op, "softcap") != NULL,
                      nm_attr_float(x->op, "dropout", 0) > 0,
                      x->a.extra[NM_ATTN_keys] != NULL,
                      x->a.extra[NM_ATTN_segments] != NULL,
                      x->a.extra[NM_ATTN_sink] != NULL,
                      x->op->in[0]->type->dtype == NM_bf16};
    int n = sizeof word / sizeof *word;
    LLVMValueRef spec = nm_fn_slot(f, LLVMArrayType2(f->i64, (uint64_t)n));
    for (int i = 0; i < n; i++)
        LLVMBuildStore(f->b, nm_fn_i64(f, word[i]), nm_fn_at(f, f->i64, spec, nm_fn_i64(f, i)));
    g->scratch_bytes = NMK_ATTN_SCRATCH(hd, hd_v);
    if (x->op->code == NM_OP_attention_grad)
        g->scratch_bytes = NMK_ATTN_GRAD_SCRATCH(hd, hd_v);
    return spec;
}
