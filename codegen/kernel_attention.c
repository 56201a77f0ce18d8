// Attention kernels: the flash template, forward and backward, on operands that are stored (or
// views of what is stored): the template walks them by strides along batch, position, kv head and
// group. The host's and the gpus' templates are told the same.
#include "codegen/attention.h"
#include "codegen/kernels.h"
#include "codegen/templates/gpu/attn.h"
#include "codegen/templates/gpu/attn_bf16.h"

// --- the bias hook: bias and mask, where they are ------------------------------------------------

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

// --- what is lowered -----------------------------------------------------------------------------

static bool is_grad(const nm_flash *x) { return x->op->code == NM_OP_attention_grad; }
static bool is_bf16(const nm_flash *x) { return x->op->in[0]->type->dtype == NM_bf16; }

// q, k and v are of one dtype.
static bool check_dtypes(nm_gen *g, const nm_flash *x)
{
    nm_value *sink = x->a.extra[NM_ATTN_sink];
    if (sink && sink->type->dtype != NM_f32)
        return nm_gen_refuse(g, x->op, "a sink that is not f32 is not lowered yet") != NULL;
    if (!is_bf16(x) && x->op->in[0]->type->dtype != NM_f32)
        return nm_gen_refuse(g, x->op, "attention of this dtype is not lowered yet") != NULL;
    return true;
}

static bool check(nm_gen *g, const nm_flash *x)
{
    bool tensor_cores = g->is_gpu && is_bf16(x);
    int64_t hd, most = tensor_cores ? NMG_ATTN_BF16_MOST : 512, hd_v = nm_flash_head_size(x, 2);
    if (nm_attr_get(x->op, "window") && !nm_attr_bool(x->op, "causal"))
        return nm_gen_refuse(g, x->op, "a window without causal is not lowered yet") != NULL;
    if (!nm_extent_is_const(x->hd.extent, &hd) || hd > most || hd_v > most)
        return nm_gen_refuse(g, x->op,
                             tensor_cores ? "a head dim that is not a constant up to 256 (bf16)"
                                          : "a head dim that is not a constant up to 512") != NULL;
    return check_dtypes(g, x);
}

// --- how a gpu template's work is dealt to blocks: see templates/gpu/attn.h, attn_bf16.h ---------

typedef struct nm_sharing {
    int threads;
    int64_t tile, wide; // rows or keys of a block, elements of a slice
    int64_t shared;
} nm_sharing;

// The backward in one pass: its blocks own keys alone.
static bool is_once(const nm_gen *g, const nm_flash *x)
{
    return is_grad(x) && is_bf16(x) && g->fn.m->options.fast_attention_grad;
}

static nm_sharing sharing_of(const nm_gen *g, const nm_flash *x)
{
    int64_t hd = nm_flash_head_size(x, 0), hd_v = nm_flash_head_size(x, 2);
    if (!is_bf16(x))
        return (nm_sharing){NMG_ATTN_THREADS, NMG_ATTN_TILE, NMG_ATTN_WIDE, NMG_ATTN_SHARED};
    if (is_grad(x))
        return (nm_sharing){NMG_ATTN_BF16_THREADS, NMG_ATTN_BF16_TILE, NMG_ATTN_BF16_WIDE,
                            is_once(g, x) ? NMG_ATTN_BF16_ONCE_SHARED(hd, hd_v)
                                          : NMG_ATTN_BF16_GRAD_SHARED(hd, hd_v)};
    return (nm_sharing){NMG_ATTN_BF16_THREADS, NMG_ATTN_BF16_TILE, NMG_ATTN_BF16_MOST,
                        NMG_ATTN_BF16_SHARED(hd, hd_v)};
}

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

static const nm_extent *row_extent(nm_gen *g, const nm_flash *x)
{
    const nm_extent *groups = x->groups ? x->groups : dim_extent(g, &x->role[AT_G]);
    return nm_extent_mul(g->fn.m, dim_extent(g, &x->pos), groups);
}

// batch x kv heads x n
static const nm_extent *each_head(nm_gen *g, const nm_flash *x, const nm_extent *n)
{
    static const nm_attn_at outer[] = {AT_BATCH0, AT_BATCH1, AT_KV};
    for (int i = 0; i < 3; i++)
        n = nm_extent_mul(g->fn.m, n, dim_extent(g, &x->role[outer[i]]));
    return n;
}

// Tiles of rows; in the backward those of keys, too, of each slice of what is summed; or those of
// keys alone.
static const nm_extent *tiles_of(nm_gen *g, const nm_flash *x, const nm_sharing *s)
{
    nm_module *m = g->fn.m;
    int64_t hd = nm_flash_head_size(x, 0), wide = nm_flash_head_size(x, 2);
    const nm_extent *n = ceil_div(g, row_extent(g, x), s->tile);
    if (is_grad(x)) {
        const nm_extent *of_keys = ceil_div(g, dim_extent(g, &x->over), s->tile);
        wide = hd > wide ? hd : wide;
        n = is_once(g, x) ? of_keys : nm_extent_add(m, n, of_keys);
    }
    return nm_extent_mul(m, nm_extent_const(m, (wide + s->wide - 1) / s->wide), n);
}

static bool share_out(nm_gen *g, const nm_flash *x, const nm_extent **range)
{
    nm_sharing s = sharing_of(g, x);
    *range = each_head(g, x, tiles_of(g, x, &s));
    g->threads = s.threads;
    g->per_block = 1;
    g->shared_bytes = s.shared;
    return *range || nm_gen_refuse(g, x->op, "its tiles have no extent that can be written");
}

// --- forms for sm_90a, with tensor maps ----------------------------------------------------------

// Rows that no more than fill a block of the other form: known when compiling.
static bool are_few(nm_gen *g, const nm_flash *x)
{
    int64_t n;
    return nm_extent_is_const(row_extent(g, x), &n) && n <= NMG_ATTN_BF16_TILE;
}

static bool settle_range(nm_gen *g, const nm_extent *range, nm_form *form)
{
    if (range)
        form->count_at = nm_gen_number_arg(g, range);
    return range != NULL;
}

// The forward's, where keys and values lie as the copy engine reads them.
static bool find_form(nm_gen *g, const nm_flash *x, nm_form *form)
{
    int64_t hd = nm_flash_head_size(x, 0), hd_v = nm_flash_head_size(x, 2);
    nm_value *const *e = x->a.extra;
    bool worked = nm_attr_get(x->op, "softcap") || e[NM_ATTN_bias] || e[NM_ATTN_mask];
    int64_t keys = NMG_ATTN_MAPS_KEYS(hd, hd_v, worked);
    *form = (nm_form){.threads = NMG_ATTN_MAPS_THREADS,
                      .per_block = 1,
                      .shared = NMG_ATTN_MAPS_SHARED(hd, hd_v, keys),
                      .n_maps = 2};
    const nm_extent *range = each_head(g, x, ceil_div(g, row_extent(g, x), NMG_ATTN_MAPS_ROWS));
    return !are_few(g, x) && nm_flash_map(g, x, 1, keys, &form->map[0]) &&
           nm_flash_map(g, x, 2, keys, &form->map[1]) && settle_range(g, range, form);
}

// The backward's, where queries and the gradient of their results do, too.
static bool find_back_form(nm_gen *g, const nm_flash *x, nm_form *form)
{
    enum { Q, K, V, DOUT = 5, OTHERS = NMG_ATTN_MAPS_OTHERS };
    nm_sharing s = sharing_of(g, x);
    s.tile = NMG_ATTN_MAPS_ROWS;
    *form = (nm_form){
        .threads = NMG_ATTN_MAPS_THREADS,
        .per_block = 1,
        .shared = NMG_ATTN_GRAD_MAPS_SHARED(nm_flash_head_size(x, 0), nm_flash_head_size(x, 2)),
        .n_maps = 4};
    return !are_few(g, x) && nm_flash_map_rows(g, x, Q, OTHERS, &form->map[0]) &&
           nm_flash_map_rows(g, x, DOUT, OTHERS, &form->map[1]) &&
           nm_flash_map(g, x, K, OTHERS, &form->map[2]) &&
           nm_flash_map(g, x, V, OTHERS, &form->map[3]) &&
           settle_range(g, each_head(g, x, tiles_of(g, x, &s)), form);
}

// --- kernels -------------------------------------------------------------------------------------

enum { NO_ROOM = -1 };
typedef struct nm_rooms { // arguments: what kernels of a group hand to one another
    int norms;            // two numbers of each row
    int sums;             // dq in f32, to which all blocks add
} nm_rooms;
static const nm_rooms no_rooms = {NO_ROOM, NO_ROOM};

// Is this kernel told of tensor maps? In bf16 the backward is its group's second.
static bool has_maps(const nm_gen *g, const nm_flash *x)
{
    return g->form[is_grad(x) ? 1 : 0].n_maps != 0;
}

static const char *template_of(const nm_gen *g, const nm_flash *x)
{
    static const char *const name[2][2] = {{"nmg_attn", "nmg_attn_grad"},
                                           {"nmg_attn_bf16", "nmg_attn_grad_bf16"}};
    if (has_maps(g, x))
        return is_grad(x) ? "nmg_attn_grad_maps_bf16" : "nmg_attn_bf16_maps";
    return is_once(g, x) ? "nmg_attn_grad_once_bf16" : name[is_bf16(x)][is_grad(x)];
}

// The call of the template.
static bool call(nm_gen *g, const nm_flash *x, LLVMValueRef args, nm_hooks hook, nm_rooms room)
{
    LLVMValueRef arg[10] = {nm_flash_spec(g, x), args};
    int n = 2;
    if (room.norms != NO_ROOM)
        arg[n++] = nm_gen_pointer(g, room.norms);
    if (room.sums != NO_ROOM)
        arg[n++] = nm_gen_pointer(g, room.sums);
    else if (is_grad(x) && has_maps(g, x))
        arg[n++] = LLVMConstNull(g->fn.ptr);
    LLVMValueRef more[] = {nm_gen_env(g), hook.bias, hook.position, hook.key_position};
    for (int i = 0; i < 4; i++)
        arg[n++] = more[i];
    if (has_maps(g, x))
        arg[n++] = nm_gen_maps(g);
    arg[n++] = g->from;
    if (g->is_gpu) {
        nm_gen_call(g, template_of(g, x), g->fn.nothing, n, arg);
    } else {
        arg[n++] = g->to;
        arg[n++] = g->scratch;
        nm_gen_call(g, is_grad(x) ? "nmk_attn_grad" : "nmk_attn", g->fn.nothing, n, arg);
    }
    nm_fn_finish(&g->fn, NULL);
    return true;
}

// The host's templates say their ranges themselves.
static bool write_count(nm_gen *g, nm_flash *x)
{
    nm_gen_begin_count(g);
    LLVMValueRef args = nm_flash_extents(g, x);
    const char *name = is_grad(x) ? "nmk_attn_grad_count" : "nmk_attn_count";
    nm_gen_end_count(g, nm_gen_call(g, name, g->fn.i64, 1, &args));
    return true;
}

// Results [from, to) of the op.
static bool set_results(nm_gen *g, const nm_flash *x, LLVMValueRef args, int from, int to)
{
    static const unsigned pointer[2][3] = {{F_OUT, F_LSE}, {F_DQ, F_DK, F_DV}};
    static const unsigned strides[2][3] = {{F_OUTS, F_LSES}, {F_DQS, F_DKS, F_DVS}};
    for (int i = from; i < to; i++) {
        nm_strided s;
        if (!nm_flash_result(g, x, i, &s))
            return false;
        nm_flash_set(g, x, args, pointer[is_grad(x)][i], strides[is_grad(x)][i], &s);
    }
    return true;
}

static bool set_operands(nm_gen *g, const nm_flash *x, LLVMValueRef args, int from, int to)
{
    static const unsigned pointer[] = {F_Q, F_K, F_V, F_OUT, F_LSE, F_DOUT};
    static const unsigned strides[] = {F_QS, F_KS, F_VS, F_OUTS, F_LSES, F_DOUTS};
    for (int i = from; i < to; i++)
        if (!nm_flash_set_operand(g, x, args, x->op->in[i], pointer[i], strides[i]))
            return false;
    return true;
}

static bool write_forward(nm_gen *g, nm_flash *x, nm_hooks hook)
{
    if (g->is_gpu && !share_out(g, x, &g->range))
        return false;
    nm_form form;
    if (g->is_gpu && is_bf16(x) && find_form(g, x, &form))
        g->form[0] = form;
    nm_gen_begin_kernel(g, "kernel");
    LLVMValueRef args = nm_flash_args(g, x);
    return args && set_operands(g, x, args, 0, 3) && set_results(g, x, args, 0, 2) &&
           call(g, x, args, hook, no_rooms);
}

// On the host, dq in bf16 grows in floats.
static bool set_dq_sum(nm_gen *g, const nm_flash *x, LLVMValueRef args)
{
    nm_strided s;
    if (g->is_gpu || !is_bf16(x))
        return true;
    if (!nm_flash_room(g, x, &s))
        return false;
    nm_flash_set(g, x, args, F_DQ_SUM, F_DQ_SUMS, &s);
    return true;
}

static bool write_backward(nm_gen *g, nm_flash *x, nm_hooks hook, const char *name, nm_rooms room)
{
    int first = room.sums == NO_ROOM ? 0 : 1; // dq is rounded behind it
    nm_gen_begin_kernel(g, name);
    LLVMValueRef args = nm_flash_args(g, x);
    return args && set_operands(g, x, args, 0, 6) && set_results(g, x, args, first, 3) &&
           set_dq_sum(g, x, args) && call(g, x, args, hook, room);
}

// --- the backward in bf16: kernels in front, and behind ------------------------------------------

// A call of a template that takes a room and the index.
static void call_with(nm_gen *g, const nm_flash *x, const char *name, LLVMValueRef args, int room)
{
    LLVMValueRef arg[] = {nm_flash_spec(g, x), args, nm_gen_pointer(g, room), g->from};
    nm_gen_call(g, name, g->fn.nothing, 4, arg);
}

static bool write_front(nm_gen *g, nm_flash *x, nm_rooms room)
{
    nm_gen_begin_kernel(g, "kernel");
    LLVMValueRef args = nm_flash_extents(g, x);
    if (!set_operands(g, x, args, 3, 6))
        return false;
    call_with(g, x, "nmg_attn_norms_bf16", args, room.norms);
    if (room.sums != NO_ROOM)
        call_with(g, x, "nmg_attn_clear_bf16", args, room.sums);
    nm_fn_finish(&g->fn, NULL);
    return true;
}

static bool write_behind(nm_gen *g, nm_flash *x, nm_rooms room)
{
    if (room.sums == NO_ROOM)
        return true;
    nm_gen_begin_kernel(g, "kernel3");
    LLVMValueRef args = nm_flash_extents(g, x);
    if (!set_results(g, x, args, 0, 1))
        return false;
    call_with(g, x, "nmg_attn_round_bf16", args, room.sums);
    nm_fn_finish(&g->fn, NULL);
    return true;
}

// Room for so many floats for each row.
static int make_room(nm_gen *g, const nm_flash *x, int64_t floats)
{
    nm_module *m = g->fn.m;
    const nm_extent *each = nm_extent_const(m, floats * (int64_t)sizeof(float));
    return nm_gen_workspace(g, nm_extent_mul(m, each_head(g, x, row_extent(g, x)), each));
}

static bool write_gpu_backward(nm_gen *g, nm_flash *x, nm_hooks hook)
{
    if (!is_bf16(x))
        return share_out(g, x, &g->range) && write_backward(g, x, hook, "kernel", no_rooms);
    if (!share_out(g, x, &g->range2))
        return false;
    g->range = each_head(g, x, ceil_div(g, row_extent(g, x), NMG_ATTN_BF16_TILE));
    g->range3 = g->range;
    g->second_shares = true;
    g->unordered = is_once(g, x);
    nm_rooms room = {make_room(g, x, 2), NO_ROOM};
    if (is_once(g, x))
        room.sums = make_room(g, x, nm_flash_head_size(x, 0));
    nm_form form;
    if (find_back_form(g, x, &form))
        g->form[1] = form;
    return write_front(g, x, room) && write_backward(g, x, hook, "kernel2", room) &&
           write_behind(g, x, room);
}

// --- the kinds -----------------------------------------------------------------------------------

bool nm_kernel_attention(nm_gen *g)
{
    nm_flash x;
    nm_hooks hook;
    if (!nm_flash_find(g, &x, nm_group_op(g, NM_OP_attention)) || !check(g, &x) ||
        !write_hooks(g, &x, &hook) || !write_forward(g, &x, hook))
        return false;
    return g->is_gpu || write_count(g, &x);
}

bool nm_kernel_attention_grad(nm_gen *g)
{
    nm_flash x;
    nm_hooks hook;
    if (!nm_flash_find(g, &x, nm_group_op(g, NM_OP_attention_grad)) || !check(g, &x) ||
        !write_hooks(g, &x, &hook))
        return false;
    if (g->is_gpu)
        return write_gpu_backward(g, &x, hook);
    return write_backward(g, &x, hook, "kernel", no_rooms) && write_count(g, &x);
}
