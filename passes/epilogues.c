// epilogues: what a library does behind a product is done with its sums, in the text of all
// flavours.
//
// A gelu_tanh behind a product, or its gradient, stays one op where a library can do it in the
// product's epilogue (docs/gpu.md): its result is stored anyway, since no map reads it, and what is
// kept of its operand lies as the library asks for. Every other one is written out as plain ops,
// whose parts are shared by who needs them. So are all that are stored in f32: a library's gelu has
// other last digits than a kernel's (nm_fuse_is_half).
//
// An epilogue works on the product's sums, before they are rounded. The text is made to say that:
// the product is one in f32, a bias is rounded to the result's dtype, and what is stored is rounded
// once. A bias alone is treated so, too, where no map reads the sum. Here alone roundings move: all
// flavours, and the interpreter, compute what stands here, and fuse keeps casts.
//
// Why here: below localize, since a rank's lengths say what a library takes, and before fuse, which
// makes the kernels of one flavour.
#include "passes/fuse.h"
#include "passes/pass.h"
#include "passes/simplify.h"

// --- small questions ------------------------------------------------------------------------

static bool widens(const nm_op *op)
{
    return op && op->code == NM_OP_cast && nm_fuse_is_half(op->in[0]->type->dtype) &&
           op->out[0].type->dtype == NM_f32;
}

static bool narrows(const nm_op *op)
{
    return op && op->code == NM_OP_cast && op->in[0]->type->dtype == NM_f32 &&
           nm_fuse_is_half(op->out[0].type->dtype);
}

// Does nobody read it who could compute it on the way? Products, templates and what stands outside
// read what is stored, and the sum is one of a bias' gradient.
static bool is_stored_anyway(const nm_value *v)
{
    nm_each_use(u, v) {
        const nm_op *op = u->op;
        bool passes = nm_is(op, NM_VIEW) || widens(op);
        if (passes ? !is_stored_anyway(&op->out[0]) : nm_is(op, NM_MAP) || op->code == NM_OP_max)
            return false;
    }
    return true;
}

// --- a product and its bias -----------------------------------------------------------------

typedef struct biased { // rounded(product + bias)
    nm_op *dot;
    nm_op *add; // NULL: no bias
    nm_value *bias, *stored;
} biased;

static nm_op *dot_of(nm_value *v, nm_dtype dtype)
{
    nm_op *op = v->def;
    bool dot = op && op->code == NM_OP_dot && v->type->dtype == dtype;
    return dot && op->in[0]->type->dtype == op->in[1]->type->dtype ? op : NULL;
}

// The product that op adds to: it is read by nothing else.
static bool find_added(nm_op *op, biased *x)
{
    for (int i = 0; i < 2 && !x->dot; i++) {
        nm_value *v = op->in[i];
        if (!nm_used_once(v))
            continue;
        nm_value *product = widens(v->def) ? v->def->in[0] : v;
        if (nm_used_once(product))
            x->dot = dot_of(product, x->stored->type->dtype);
        x->bias = op->in[1 - i];
        x->add = op;
    }
    return x->dot;
}

static int inner_dims(const nm_rank *rank, const nm_op *dot, const nm_type **sorted)
{
    *sorted = nm_rank_sort(dot->func->module, rank, dot->out[0].type);
    return nm_fuse_count_inner(dot, *sorted);
}

static bool is_along_n(const nm_rank *rank, const nm_op *dot, const nm_value *bias)
{
    const nm_type *t = nm_rank_sort(dot->func->module, rank, dot->out[0].type);
    return nm_fuse_is_along_inner(dot, t, bias);
}

// v: as it is stored. false: it is no product, with a bias at most.
static bool find_product(const nm_rank *rank, nm_value *v, biased *x)
{
    nm_value *sum = narrows(v->def) ? v->def->in[0] : v;
    *x = (biased){.stored = v, .dot = dot_of(v, v->type->dtype)};
    if (!nm_fuse_is_half(v->type->dtype))
        return false;
    if (x->dot)
        return true;
    bool adds = sum->def && sum->def->code == NM_OP_add && (sum == v || nm_used_once(sum));
    return adds && find_added(sum->def, x) && is_along_n(rank, x->dot, x->bias);
}

// --- which epilogues a library has ----------------------------------------------------------

static bool is_multiple(nm_module *m, int n, const nm_dim *dim, int64_t of)
{
    const nm_extent *e = nm_extent_const(m, 1);
    int64_t all;
    for (int i = 0; i < n && e; i++)
        e = nm_extent_mul(m, e, dim[i].extent);
    return e && nm_extent_is_const(e, &all) && all % of == 0;
}

// cublasLt.h: the rows of a gelu's operand are a multiple of 8 elements apart.
static bool has_even_rows(const nm_rank *rank, const nm_op *dot)
{
    const nm_type *t;
    int n = inner_dims(rank, dot, &t);
    return n && is_multiple(dot->func->module, n, t->dim + t->rank - n, 8);
}

// It has no gradient of a gelu behind a product over one element.
static bool is_deep(const nm_op *dot)
{
    nm_syms over = nm_attr_dims(dot, "over");
    const nm_type *t = dot->in[0]->type;
    int64_t n;
    for (int i = 0; i < over.n; i++)
        if (nm_extent_is_const(t->dim[nm_type_find(t, over.sym[i])].extent, &n) && n > 1)
            return true;
    return false;
}

// As it is stored: behind the one rounding that reads it, where there is one.
static nm_value *stored_of(nm_value *v)
{
    nm_op *reader = nm_used_once(v) ? v->uses->op : NULL;
    return narrows(reader) ? &reader->out[0] : v;
}

static bool takes_result(const biased *x, nm_value *y)
{
    nm_value *stored = stored_of(y);
    return stored->type->dtype == x->stored->type->dtype && is_stored_anyway(stored);
}

static bool takes_gelu(const nm_rank *rank, nm_op *gelu, biased *x)
{
    nm_value *v = gelu->in[0], *stored = widens(v->def) ? v->def->in[0] : v;
    return find_product(rank, stored, x) && takes_result(x, &gelu->out[0]) &&
           ((nm_used_once(v) && (stored == v || nm_used_once(stored))) ||
            has_even_rows(rank, x->dot));
}

static bool takes_gelu_grad(const nm_rank *rank, nm_op *grad, biased *x)
{
    nm_value *dy = grad->in[0], *at = grad->in[1];
    nm_value *stored = widens(dy->def) ? dy->def->in[0] : dy;
    nm_value *kept = widens(at->def) ? at->def->in[0] : at;
    bool computed = kept->def && nm_is(kept->def, NM_MAP);
    return nm_used_once(dy) && nm_used_once(stored) && find_product(rank, stored, x) && !x->add &&
           takes_result(x, &grad->out[0]) && !computed &&
           kept->type->dtype == stored->type->dtype &&
           nm_fuse_same_dims(kept->type, stored->type) && is_deep(x->dot) &&
           has_even_rows(rank, x->dot);
}

// A bias alone: who reads the sum reads what is stored.
static bool takes_bias(const nm_rank *rank, nm_op *round, biased *x)
{
    return find_product(rank, &round->out[0], x) && x->add && is_stored_anyway(&round->out[0]);
}

// --- roundings move behind the epilogue -----------------------------------------------

static nm_value *cast_to(nm_op *before, nm_value *v, nm_dtype to)
{
    nm_module *m = before->func->module;
    nm_attr attr = nm_mk_dtype(m, "to", to);
    return nm_build(before->func, before,
                    &(nm_proto){.code = NM_OP_cast,
                                .loc = before->loc,
                                .n_in = 1,
                                .in = &v,
                                .n_attrs = 1,
                                .attr = &attr});
}

static nm_value *wide_product(nm_op *dot)
{
    nm_module *m = dot->func->module;
    nm_value *in[] = {cast_to(dot, dot->in[0], NM_f32), cast_to(dot, dot->in[1], NM_f32)};
    nm_proto proto = nm_proto_of(dot);
    proto.in = in;
    proto.type = nm_type_with_dtype(m, dot->out[0].type, NM_f32);
    return nm_build(dot->func, dot, &proto);
}

// The sums, with the bias; all that read them rounded read one rounding of these.
static nm_value *unround(const biased *x)
{
    nm_dtype half = x->stored->type->dtype;
    nm_op *before = x->stored->def->next;
    nm_value *sums = wide_product(x->dot);
    if (x->add) {
        nm_value *bias = cast_to(before, cast_to(before, x->bias, half), NM_f32);
        sums = nm_build2(before->func, before, x->add->loc, NM_OP_add, sums, bias);
    }
    nm_value *stored = cast_to(before, sums, half);
    if (!x->add)
        sums->name = NULL; // a copy of what is stored
    stored->name = x->stored->name;
    x->stored->name = NULL;
    nm_replace(x->stored, stored);
    return sums;
}

// --- the whole ------------------------------------------------------------------------------

// Did anything change?
static bool move_roundings(nm_op *op, const nm_rank *rank)
{
    bool gelu = !narrows(op);
    biased x;
    bool taken = op->code == NM_OP_gelu_tanh        ? takes_gelu(rank, op, &x)
                 : op->code == NM_OP_gelu_tanh_grad ? takes_gelu_grad(rank, op, &x)
                                                    : takes_bias(rank, op, &x);
    if (!taken && gelu)
        nm_fuse_write_gelu(op);
    if (!taken)
        return gelu;
    nm_value *sums = unround(&x);
    if (gelu)
        nm_set_operand(op, 0, sums);
    return true;
}

static bool prepare(nm_func *f, const nm_rank *rank)
{
    bool changed = false;
    nm_each_op_safe(op, f) {
        if (op->code == NM_OP_repeat)
            changed = prepare(op->body, rank) || changed;
        if (op->code == NM_OP_gelu_tanh || op->code == NM_OP_gelu_tanh_grad || narrows(op))
            changed = move_roundings(op, rank) || changed;
    }
    if (changed)
        nm_drop_dead(f, NULL);
    return changed;
}

bool nm_pass_epilogues(nm_module *m, bool *changed)
{
    nm_arena scratch = {0};
    nm_rank *rank = nm_rank_new(m, &scratch);
    nm_each_func(f, m)
        *changed = prepare(f, rank) || *changed;
    nm_arena_free(&scratch);
    return true;
}
