// What may be one product kernel, or one scatter kernel.
//
// A product takes maps of its result as its epilogue (bias, gelu, residual add, acc + dot), with
// all their results; what reads it through views is in fuse_near.c. Maps before it are pulled, not
// merged (fuse_pull.c: the cost rule). On a GPU it is a call of a library (docs/gpu.md), which
// takes less: a constant factor, and then one sum, with what nobody else reads, in whose place it
// is made, or with a bias along n. A scatter_add takes one add of its result, which is then done in
// place and touches few rows.
#include "ir/product.h"
#include "passes/fuse.h"

static int count_anchors(const nm_fuse *g, const nm_cluster *c)
{
    int n = 0;
    for (int i = 0; i < c->n; i++)
        n += nm_fuse_is_anchor(&g->unit[c->unit[i]]);
    return n;
}

// Does the anchor read, through others of c, unit `from`?
static bool feeds_anchor(const nm_fuse *g, const nm_cluster *c)
{
    for (const nm_read *r = g->unit[c->anchor].reads; r; r = r->next_of_reader)
        for (int i = 0; i < c->n; i++)
            if (c->unit[i] == r->from)
                return true;
    return false;
}

// --- on a GPU -------------------------------------------------------------------------------

// Of an op of two operands, one of which is v; NULL: it is no such op.
static nm_value *other_operand(const nm_op *op, const nm_value *v)
{
    if (op->n_in != 2 || (op->in[0] == v) == (op->in[1] == v))
        return NULL;
    return op->in[0] == v ? op->in[1] : op->in[0];
}

// Can the sum of v and `sum` be made where `sum` lies?
static bool is_taken_over(const nm_fuse *g, const nm_value *sum, const nm_value *v)
{
    return nm_used_once(sum) && !g->pulled[sum->id] && nm_fuse_same_dims(sum->type, v->type) &&
           sum->type->dtype == v->type->dtype;
}

int nm_fuse_count_inner(const nm_op *dot, const nm_type *t)
{
    int n = 0;
    bool of_a = false;
    for (int i = t->rank; i-- > 0; n++) {
        bool in_a = nm_has_dim(dot->in[0]->type, t->dim[i].name);
        bool in_b = nm_has_dim(dot->in[1]->type, t->dim[i].name);
        of_a = n ? of_a : in_a;
        if (in_a == in_b || in_a != of_a)
            break;
    }
    return n;
}

// What is stored, behind what is pulled: a widening, views.
static const nm_value *stored_of(const nm_fuse *g, const nm_value *v)
{
    while (v->def && g->pulled[v->id] && v->def->n_in == 1)
        v = v->def->in[0];
    return v;
}

bool nm_fuse_is_along_inner(const nm_op *dot, const nm_type *t, const nm_value *bias)
{
    int n = nm_fuse_count_inner(dot, t);
    for (int i = 0; i < n; i++)
        if (!nm_has_dim(bias->type, t->dim[t->rank - 1 - i].name))
            return false;
    return n && bias->type->rank == n && nm_fuse_within(bias->type, t);
}

static bool is_bias(const nm_fuse *g, const nm_op *dot, const nm_value *bias)
{
    const nm_type *t = nm_rank_sort(g->f->module, g->rank, dot->out[0].type);
    return nm_fuse_is_along_inner(dot, t, bias) && !g->pulled[stored_of(g, bias)->id] &&
           bias->type->dtype == t->dtype;
}

typedef struct epilogue { // of a product, as far as units have been looked at
    const nm_op *dot;
    const nm_value *sums, *round;      // the last value, and its rounding; NULL: none
    const nm_value *kept, *kept_round; // the same of what a gelu reads
    bool adds, ends;                   // it has a sum; nothing but a rounding comes behind
    int n_scales;                      // of fp8: numbers that the sums are multiplied by
} epilogue;

static bool is_fp8(const nm_fuse *g, const nm_op *dot)
{
    return nm_is_fp8(stored_of(g, dot->in[0])->type->dtype);
}

bool nm_fuse_scales_product(const nm_fuse *g, const nm_value *v)
{
    nm_each_use(u, v) {
        const nm_value *sums = v->type->rank ? NULL : other_operand(u->op, v);
        while (sums && sums->def && sums->def->code == NM_OP_mul) // by another number
            sums = sums->def->in[0]->type->rank ? sums->def->in[0] : sums->def->in[1];
        if (u->op->code == NM_OP_mul && sums && sums->def && sums->def->code == NM_OP_dot &&
            is_fp8(g, sums->def))
            return true;
    }
    return false;
}

// A constant; of fp8 two stored numbers, too: as if it were the operands.
static bool takes_factor(const nm_fuse *g, epilogue *e, const nm_op *op)
{
    const nm_value *by = other_operand(op, e->sums);
    if (!by || e->adds || e->ends || e->round)
        return false;
    if (by->def && by->def->code == NM_OP_const)
        return e->sums == &e->dot->out[0] || e->n_scales;
    return is_fp8(g, e->dot) && by->type->rank == 0 && by->type->dtype == NM_f32 &&
           !g->pulled[by->id] && e->n_scales++ < 2;
}

static bool takes_sum(const nm_fuse *g, epilogue *e, const nm_op *op)
{
    const nm_value *other = other_operand(op, e->sums);
    if (e->adds || e->ends || e->round || !other)
        return false;
    e->ends = is_taken_over(g, other, e->sums);
    e->adds = true;
    return e->ends || (nm_fuse_has_epilogues(g->f->module) && is_bias(g, e->dot, other));
}

// What is kept for it in bf16 is a rounding that may stand in front of it or behind.
static bool takes_gelu(epilogue *e, const nm_op *op)
{
    if (e->ends || op->in[0] != e->sums)
        return false;
    e->kept = e->sums;
    e->kept_round = e->round;
    e->round = NULL;
    e->ends = true;
    return true;
}

static bool takes_gelu_grad(epilogue *e, const nm_op *op)
{
    bool ok = !e->ends && !e->adds && !e->round && op->in[0] == e->sums;
    e->ends = true;
    return ok && op->in[1] != e->sums;
}

// A library rounds to its operands' dtype; fp8's products to bf16.
static bool takes_round(const nm_fuse *g, epilogue *e, const nm_op *op)
{
    nm_dtype to = op->out[0].type->dtype;
    const nm_value **round = op->in[0] == e->kept ? &e->kept_round : &e->round;
    bool first = (op->in[0] == e->kept || op->in[0] == e->sums) && !*round;
    *round = &op->out[0];
    if (is_fp8(g, e->dot))
        return first && to == NM_bf16;
    return first && stored_of(g, e->dot->in[0])->type->dtype == to &&
           stored_of(g, e->dot->in[1])->type->dtype == to;
}

static bool takes(const nm_fuse *g, epilogue *e, const nm_op *op)
{
    bool ok = false;
    switch (op->code) {
    case NM_OP_cast: return takes_round(g, e, op);
    case NM_OP_gelu_tanh: ok = !is_fp8(g, e->dot) && takes_gelu(e, op); break;
    case NM_OP_gelu_tanh_grad: ok = !is_fp8(g, e->dot) && takes_gelu_grad(e, op); break;
    case NM_OP_add: ok = takes_sum(g, e, op); break;
    case NM_OP_mul: ok = takes_factor(g, e, op); break;
    default: break;
    }
    e->sums = &op->out[0];
    return ok;
}

// One result, or a gelu and its operand: each as it is, or rounded.
static bool stores(const epilogue *e, const nm_fuse *g, const nm_cluster *c)
{
    bool sums = nm_fuse_is_result(g, e->sums, c),
         kept = e->kept && nm_fuse_is_result(g, e->kept, c);
    return !(sums && e->round) && !(kept && e->kept_round);
}

static const char *call_law(const nm_fuse *g, const nm_cluster *c)
{
    const nm_op *dot = g->unit[c->anchor].op;
    epilogue e = {.dot = dot, .sums = &dot->out[0]};
    for (int i = 1; i < c->n; i++)
        if (!takes(g, &e, g->unit[c->unit[i]].op))
            return "a library's product scales, adds, has a gelu or its gradient, and no more";
    for (int i = 0; i < c->n; i++) {
        const nm_value *v = &g->unit[c->unit[i]].op->out[0];
        bool known = v == e.sums || v == e.kept || v == e.round || v == e.kept_round;
        if (!known && nm_fuse_is_result(g, v, c))
            return "the product is read by itself, too, and a library stores one result";
    }
    return stores(&e, g, c) ? NULL : "the product is read before it is rounded, too";
}

// --- the laws -------------------------------------------------------------------------------

const char nm_fuse_other_dims[] = "it has other dims than the product";

static const char *own_law(const nm_fuse *g, const nm_cluster *c, const bool *after)
{
    const nm_type *result = g->unit[c->anchor].op->out[0].type;
    for (int i = 0; i < c->n; i++) {
        const nm_value *v = &g->unit[c->unit[i]].op->out[0];
        if ((after[i] || nm_fuse_is_result(g, v, c)) && !nm_fuse_same_dims(v->type, result))
            return nm_fuse_other_dims;
    }
    return NULL;
}

const char *nm_fuse_dot_law(const nm_fuse *g, const nm_cluster *c)
{
    const nm_read *viewed;
    bool *after = nm_fuse_after_anchor(g, c, &viewed);
    if (count_anchors(g, c) > 1)
        return "one kernel makes one product";
    if (feeds_anchor(g, c))
        return "the product reads an operand once a block: it would be computed again each time";
    const char *no = viewed ? nm_fuse_near_law(g, c) : own_law(g, c, after);
    return !no && g->f->module->options.flavour == NM_FLAVOUR_gpu ? call_law(g, c) : no;
}

const char *nm_fuse_scatter_law(const nm_fuse *g, const nm_cluster *c)
{
    if (c->n == 1)
        return NULL;
    const nm_op *put = g->unit[c->anchor].op, *add = g->unit[c->unit[c->n - 1]].op;
    if (c->n > 2 || add->code != NM_OP_add || c->unit[0] != c->anchor)
        return "a scatter takes one add of its result to what another kernel has stored";
    const nm_value *other = add->in[0] == &put->out[0] ? add->in[1] : add->in[0];
    if (other == &put->out[0] || !nm_fuse_same_dims(other->type, add->out[0].type))
        return "what it is added to has other dims";
    if (nm_fuse_is_result(g, &put->out[0], c))
        return "the sum without the addend is read, too";
    return NULL;
}
