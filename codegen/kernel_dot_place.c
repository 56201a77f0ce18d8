// Where a product's elements lie, as hooks of the host's template, which fetches them ahead, and
// reads an operand of plain floats without a load's hook.
#include "codegen/kernel_dot.h"
#include "codegen/kernels.h"

// --- what can be said of an operand --------------------------------------------------------------

static bool moves_only(const nm_op *op)
{
    switch (op->code) {
    case NM_OP_rename:
    case NM_OP_split:
    case NM_OP_merge:
    case NM_OP_slice:
    case NM_OP_broadcast: return true;
    default: return false;
    }
}

static bool keeps_place(const nm_op *op)
{
    return op->code == NM_OP_cast || op->code == NM_OP_stop;
}

// The kernel's operand that v's elements are read from, each from one place; NULL: not so.
static const nm_value *source_of(const nm_value *v)
{
    while (v->def && (moves_only(v->def) || keeps_place(v->def)))
        v = v->def->in[0];
    return v->def ? NULL : v;
}

static int64_t bytes_of(nm_gen *g, const nm_value *v)
{
    const nm_value *source = source_of(v);
    bool stored = source && g->param_arg[source->index] >= 0;
    return stored ? nm_dtype_table[source->type->dtype].bytes : 0;
}

// Is v stored as floats, those of the list side by side, in its order?
static bool is_plain(const nm_value *v, const nm_space *list)
{
    const nm_type *t = v->type;
    if (v->def || t->dtype != NM_f32 || t->rank < list->n)
        return false;
    for (int i = 0; i < list->n; i++)
        if (t->dim[t->rank - list->n + i].name != list->dim[i].name)
            return false;
    return true;
}

// --- the hooks -----------------------------------------------------------------------------------

static LLVMValueRef begin(nm_gen *g, const char *name)
{
    nm_fn *f = &g->fn;
    LLVMTypeRef param[] = {f->ptr, f->i64, f->i64, f->i64};
    return nm_gen_begin_hook(g, name, LLVMFunctionType(f->ptr, param, 4, false));
}

static LLVMValueRef none(nm_gen *g) { return LLVMConstPointerNull(g->fn.ptr); }

static LLVMValueRef address(nm_gen *g, int arg, const nm_type *t, const nm_coords *c)
{
    LLVMValueRef at = nm_index_of(g, c, t->rank, t->dim);
    return nm_fn_at(&g->fn, nm_dtype_storage(&g->fn, t->dtype), nm_gen_pointer(g, arg), at);
}

// const void *place(env, batch, row, k)
static LLVMValueRef write_operand(nm_gen *g, const nm_dot_kernel *d, const char *name, nm_value *v,
                                  nm_dot_list row)
{
    LLVMValueRef fn = begin(g, name);
    nm_source_point p = {.value = v};
    nm_dot_spread(g, &d->list[NM_DOT_BATCH], &p.at, LLVMGetParam(fn, 1));
    nm_dot_spread(g, &d->list[row], &p.at, LLVMGetParam(fn, 2));
    nm_dot_spread(g, &d->list[NM_DOT_K], &p.at, LLVMGetParam(fn, 3));
    while (p.value->def) {
        nm_op *op = p.value->def;
        nm_coords at = p.at;
        if (keeps_place(op))
            p.value = op->in[0];
        else if (!nm_gen_view_point(g, op, &at, &p))
            return NULL;
    }
    nm_fn_finish(&g->fn, address(g, g->param_arg[p.value->index], p.value->type, &p.at));
    return fn;
}

static int64_t bytes_of_result(nm_gen *g, const nm_dot_kernel *d)
{
    const nm_type *t = g->group->out[0].type, *product = d->dot.op->out[0].type;
    bool same = !d->dot.n_near && g->result_arg[0] >= 0;
    for (int i = 0; i < t->rank; i++)
        same = same && nm_has_dim(product, t->dim[i].name);
    return same ? nm_dtype_table[t->dtype].bytes : 0;
}

// const void *place(env, batch, m, n): of the first result.
static LLVMValueRef write_result(nm_gen *g, const nm_dot_kernel *d)
{
    LLVMValueRef fn = begin(g, "place_c");
    nm_coords c = {0};
    static const nm_dot_list list[] = {NM_DOT_BATCH, NM_DOT_M, NM_DOT_N};
    for (unsigned i = 0; i < 3; i++)
        nm_dot_spread(g, &d->list[list[i]], &c, LLVMGetParam(fn, i + 1));
    nm_fn_finish(&g->fn, address(g, g->result_arg[0], g->group->out[0].type, &c));
    return fn;
}

bool nm_dot_make_places(nm_gen *g, const nm_dot_kernel *d, nm_dot_places *p)
{
    const nm_space *k = &d->list[NM_DOT_K];
    *p = (nm_dot_places){.hook = {none(g), none(g), none(g)}};
    p->bytes[0] = bytes_of(g, d->dot.a);
    p->bytes[1] = bytes_of(g, d->dot.b);
    p->bytes[2] = bytes_of_result(g, d);
    p->plain[0] = p->bytes[0] && is_plain(d->dot.a, d->dot.a_along_row ? &d->list[NM_DOT_M] : k);
    p->plain[1] = p->bytes[1] && is_plain(d->dot.b, d->dot.b_along_row ? &d->list[NM_DOT_N] : k);
    if (p->bytes[0])
        p->hook[0] = write_operand(g, d, "place_a", d->dot.a, NM_DOT_M);
    if (p->bytes[1])
        p->hook[1] = write_operand(g, d, "place_b", d->dot.b, NM_DOT_N);
    if (p->bytes[2])
        p->hook[2] = write_result(g, d);
    return p->hook[0] && p->hook[1] && p->hook[2];
}
