// Padding: a dim with `pad` (vocab(pad = 128) = 50257) that is split is stored rounded up, so some
// ranks have indices behind the total. What lies there must not matter: a reduction over the dim
// reads an operand that is 0 there, or lowest for a maximum; parameters, states and accumulators
// are 0 there.
//
// One walk forward knows which values are 0 there anyway (parameters are; linear maps of what is,
// are) and masks where they must be and are not: with a padded vocabulary, the softmax's maximum
// and sum, and init. A value is masked where it is computed, so that what follows from it is 0,
// too. A carried value of a repeat is zero if it enters and leaves as one: a fixpoint from above.
//
// What lies behind the total is always finite, so that 0 times it is 0: what an op may make not
// finite of what lies there (its row's operands `.singular`: a divisor, exp's), is 0 from where it
// is computed on. A whole number is never divided by what lies there, but by 1.
#include "passes/localize.h"

#include "passes/build.h"

#include <float.h>

enum { MAX_PADDED = 64 };

typedef uint64_t dims; // bits: padded dims of the module. Of a value: behind the total of the dim
                       // it is 0; of a value without the dim: it is 0

typedef struct padding {
    nm_module *m;
    int n;
    const nm_extent *local[MAX_PADDED], *whole[MAX_PADDED];
    uint32_t n_zero;
    dims *zero; // by value id
} padding;

// --- which dims ----------------------------------------------------------------------------------

static bool find_padded(padding *p)
{
    nm_module *m = p->m;
    for (int i = 0; i < m->n_dims; i++) {
        const nm_dim_decl *d = &m->dim[i];
        if (!d->of || !d->pad)
            continue;
        if (p->n == MAX_PADDED)
            return nm_error(m->diag, d->loc, "more than %d padded dims", MAX_PADDED);
        p->whole[p->n] = nm_dim_lookup(m, d->of)->extent;
        p->local[p->n++] = d->extent;
    }
    return true;
}

// The number of a padded dim, or -1.
static int padded(const padding *p, const nm_dim *d)
{
    for (int i = 0; i < p->n; i++)
        if (p->local[i] == d->extent)
            return i;
    return -1;
}

static dims padded_of(const padding *p, const nm_type *t)
{
    dims all = 0;
    for (int i = 0; i < t->rank; i++) {
        int k = padded(p, &t->dim[i]);
        all |= k < 0 ? 0 : 1ull << k;
    }
    return all;
}

static dims padded_in(const padding *p, const nm_type *t, nm_sym name)
{
    int at = name ? nm_type_find(t, name) : -1;
    int k = at < 0 ? -1 : padded(p, &t->dim[at]);
    return k < 0 ? 0 : 1ull << k;
}

// The padded dims that a reduction drops.
static dims dropped(const padding *p, const nm_op *op)
{
    nm_syms over = nm_attr_dims(op, "over");
    dims all = 0;
    for (int i = 0; i < op->n_in; i++)
        for (int k = 0; k < over.n; k++)
            all |= padded_in(p, op->in[i]->type, over.sym[k]);
    return all;
}

// --- what is 0 behind the total ------------------------------------------------------------------

static dims known_zero(const padding *p, const nm_value *v)
{
    return v->id < p->n_zero ? p->zero[v->id] : 0;
}

static dims zero_at(const padding *p, const nm_op *op, int i) { return known_zero(p, op->in[i]); }

static void know(padding *p, const nm_value *v, dims zero)
{
    if (v->id >= p->n_zero) {
        uint32_t n = 2 * v->id + 64;
        dims *more = nm_new_n(p->m->arena, dims, n);
        for (uint32_t i = 0; i < p->n_zero; i++)
            more[i] = p->zero[i];
        p->zero = more;
        p->n_zero = n;
    }
    p->zero[v->id] = zero;
}

static dims zero_in_all(const padding *p, const nm_op *op, int first)
{
    dims all = ~0ull;
    for (int i = first; i < op->n_in; i++)
        all &= zero_at(p, op, i);
    return all;
}

// What is 0 behind the total of one local extent of a dim is so of another. The own block of a
// whole dim is read as 0 behind its end.
static dims zero_of_collective(const padding *p, const nm_op *op)
{
    nm_sym over = nm_attr_sym(op, "over");
    dims in = padded_in(p, op->in[0]->type, over), out = padded_in(p, op->out[0].type, over);
    return zero_at(p, op, 0) | (zero_at(p, op, 0) & in ? out : 0);
}

// The op's row says where its result is 0. A divisor that is stored may be 0 behind the total, too.
static dims zero_by_row(const padding *p, const nm_op *op)
{
    nm_sym over = nm_attr_get(op, "over") && nm_attr_get(op, "over")->kind == NM_ATTR_sym
                      ? nm_attr_sym(op, "over")
                      : NULL;
    switch (nm_info(op)->zero) {
    case NM_ZERO_UNKNOWN: return 0;
    case NM_ZERO_FIRST: return zero_at(p, op, 0);
    case NM_ZERO_ANY: return zero_at(p, op, 0) | zero_at(p, op, 1);
    case NM_ZERO_ALL: return zero_in_all(p, op, 0);
    case NM_ZERO_QUOTIENT:
        return zero_at(p, op, 0) & ~zero_at(p, op, 1) & ~padded_of(p, op->in[1]->type);
    case NM_ZERO_CHOICE: return zero_in_all(p, op, 1) | (zero_at(p, op, 0) & zero_at(p, op, 2));
    case NM_ZERO_INDEXED: return zero_at(p, op, 0) & ~padded_in(p, op->in[0]->type, over);
    case NM_ZERO_PLACED: return zero_at(p, op, 0) | padded_in(p, op->out[0].type, over);
    }
    return 0;
}

static dims zero_of_op(const padding *p, const nm_op *op)
{
    if (nm_is(op, NM_COLLECTIVE))
        return zero_of_collective(p, op);
    return op->n_out == 1 && nm_is_zero(&op->out[0]) ? ~0ull : zero_by_row(p, op);
}

// Nothing is known along a dim that the result lacks.
static dims zero_of(const padding *p, const nm_op *op)
{
    dims lost = 0;
    for (int i = 0; i < op->n_in; i++)
        lost |= padded_of(p, op->in[i]->type) & ~padded_of(p, op->out[0].type);
    return zero_of_op(p, op) & ~lost;
}

static bool is_kept(nm_bind_kind kind)
{
    return kind == NM_BIND_param || kind == NM_BIND_state || kind == NM_BIND_acc;
}

// --- masks ---------------------------------------------------------------------------------------

static nm_value *free_value(nm_op *before, nm_opcode code, nm_attr attr, const nm_type *type)
{
    return nm_build(
        before->func, before,
        &(nm_proto){.code = code, .loc = before->loc, .n_attrs = 1, .attr = &attr, .type = type});
}

// v, and `otherwise` behind the total of padded dim k, which t has; with the dim, if v has not.
static nm_value *mask_along(const padding *p, nm_op *before, nm_value *v, const nm_type *t, int k,
                            double otherwise)
{
    nm_module *m = p->m;
    int at = 0;
    while (padded(p, &t->dim[at]) != k)
        at++;
    nm_type line = {.dtype = NM_i32, .rank = 1, .dim = {t->dim[at]}};
    nm_value *index = free_value(before, NM_OP_index, nm_mk_sym(m, "dim", line.dim[0].name),
                                 nm_type_get(m, &line));
    nm_value *total = free_value(before, NM_OP_size, nm_mk_extent(m, "of", p->whole[k]),
                                 nm_type_scalar(m, NM_i32));
    nm_value *in[] = {nm_build2(before->func, before, before->loc, NM_OP_lt, index, total), v,
                      nm_build_const(before->func, before, before->loc, v->type->dtype, otherwise)};
    return nm_build(before->func, before,
                    &(nm_proto){.code = NM_OP_select,
                                .loc = before->loc,
                                .n_in = 3,
                                .in = in,
                                .type = t == v->type ? t : NULL});
}

// v, and `otherwise` behind the total of its padded dim k.
static nm_value *mask_dim(const padding *p, nm_op *before, nm_value *v, int k, double otherwise)
{
    return mask_along(p, before, v, v->type, k, otherwise);
}

// Does the collective take the padded dim along as it is? Then its operand is masked, beside the
// kernel that computes it.
static bool passes_on(const padding *p, const nm_op *op, dims bit)
{
    return nm_is(op, NM_COLLECTIVE) && padded_of(p, op->in[0]->type) & bit &&
           !(padded_in(p, op->in[0]->type, nm_attr_sym(op, "over")) & bit);
}

// The value, as it is for all who read it: 0 behind the total of its padded dim k.
static nm_value *zero_value(padding *p, nm_value *v, int k)
{
    dims zero = known_zero(p, v);
    nm_value *masked = mask_dim(p, nm_at_behind(v).before, v, k, 0);
    nm_replace(v, masked);
    nm_set_operand(masked->def, 1, v);
    know(p, masked, zero | 1ull << k);
    return masked;
}

// Operand i is 0 there from where it is computed on.
static void zero_operand(padding *p, nm_op *op, int i, dims which)
{
    for (int k = 0; k < p->n; k++) {
        nm_value *v = op->in[i];
        dims bit = 1ull << k, zero = zero_at(p, op, i);
        if (!(which & ~zero & bit))
            continue;
        if (v->def && passes_on(p, v->def, bit)) {
            zero_operand(p, v->def, 0, bit);
            know(p, v, zero | bit);
            continue;
        }
        zero_value(p, v, k);
    }
}

// Operand i is `otherwise` there for this op alone.
static void set_operand(const padding *p, nm_op *op, int i, dims which, double otherwise)
{
    for (int k = 0; k < p->n; k++)
        if (which >> k & 1)
            nm_set_operand(op, i, mask_dim(p, op, op->in[i], k, otherwise));
}

// The least that is finite, and goes through casts.
static double lowest(nm_dtype t)
{
    switch (t) {
    case NM_f64: return -DBL_MAX;
    case NM_f16: return -65504.0;
    case NM_i64: return -0x1p63;
    case NM_i32: return -0x1p31;
    case NM_i16: return -0x1p15;
    case NM_i8: return -0x1p7;
    default: return nm_dtype_table[t].is_float ? -3e38 : 0;
    }
}

static void mask_dot(padding *p, nm_op *op)
{
    dims open = dropped(p, op) & ~(zero_at(p, op, 0) | zero_at(p, op, 1));
    dims first = open & padded_of(p, op->in[0]->type);
    zero_operand(p, op, 0, first);
    zero_operand(p, op, 1, open & ~first);
}

static void mask_results(padding *p, nm_op *ret)
{
    for (int i = 0; i < ret->n_in && !ret->func->parent; i++)
        if (is_kept(ret->func->result_bind[i].kind))
            zero_operand(p, ret, i, padded_of(p, ret->in[i]->type));
}

// What the op may make not finite there is 0 for all who read it.
static void mask_singular(padding *p, nm_op *op)
{
    dims open = 0;
    unsigned which = nm_is(op, NM_INT) ? 0 : nm_info(op)->singular;
    for (int i = 0; which; i++, which >>= 1)
        open |= which & 1 ? padded_of(p, op->in[i]->type) : 0;
    if (!open)
        return;
    nm_value *v = &op->out[0];
    open &= ~known_zero(p, v);
    for (int k = 0; k < p->n; k++)
        v = open >> k & 1 ? zero_value(p, v, k) : v;
}

// The padded dims of operand i that scatter_add adds up: it reads 0 behind their totals.
static dims added_up(const padding *p, const nm_op *op, int i)
{
    nm_sym over = nm_attr_sym(op, "over");
    const nm_type *t = op->in[i]->type;
    dims all = 0;
    for (int k = 0; k < t->rank; k++)
        if (t->dim[k].name == over || nm_type_find(op->out[0].type, t->dim[k].name) < 0)
            all |= padded_in(p, t, t->dim[k].name);
    return all;
}

static void mask_placed(padding *p, nm_op *op)
{
    zero_operand(p, op, 0, added_up(p, op, 0));
    dims only_indices = added_up(p, op, 1) & ~padded_of(p, op->in[0]->type);
    for (int k = 0; k < p->n; k++)
        if (only_indices >> k & 1)
            nm_set_operand(op, 0, mask_along(p, op, op->in[0], op->in[1]->type, k, 0));
}

// Does the op take a padded dim apart, or go along it?
static bool takes_apart(const padding *p, const nm_op *op)
{
    bool fine = nm_is(op, NM_REDUCE) || nm_is(op, NM_COLLECTIVE) || nm_is(op, NM_FREE) ||
                op->code == NM_OP_gather || op->code == NM_OP_rename || op->code == NM_OP_repeat ||
                op->code == NM_OP_qdq;
    for (int i = 0; i < op->n_in && !fine; i++)
        for (int k = 0; k < op->in[i]->type->rank; k++) {
            nm_sym dim = op->in[i]->type->dim[k].name;
            if (nm_op_names(op, dim) && padded_in(p, op->in[i]->type, dim))
                return true;
        }
    return false;
}

// --- the walk ------------------------------------------------------------------------------------

static void learn(padding *p, nm_func *f);

// What the parameters of a repeat's body are, in every turn.
static void learn_params(padding *p, nm_op *op)
{
    nm_func *body = op->body;
    int64_t carried = nm_attr_int(op, "carried", 0);
    for (int i = 0; i < op->n_in; i++)
        know(p, body->param[i], zero_at(p, op, i));
    for (bool again = true; again;) {
        again = false;
        learn(p, body);
        for (int i = 0; i < carried; i++) {
            dims in = p->zero[body->param[i]->id], both = in & zero_at(p, body->last, i);
            again |= both != in;
            know(p, body->param[i], both);
        }
    }
}

static void learn_results(padding *p, nm_op *op)
{
    for (int i = 0; i < op->n_out && op->code != NM_OP_repeat; i++)
        know(p, &op->out[i], i ? 0 : zero_of(p, op));
    int64_t carried = nm_attr_int(op, "carried", 0);
    for (int i = 0; i < op->n_out && op->code == NM_OP_repeat; i++)
        know(p, &op->out[i],
             zero_at(p, op->body->last, i) & (i < carried ? zero_at(p, op, i) : ~0ull));
}

static void learn(padding *p, nm_func *f)
{
    nm_each_op(op, f) {
        if (op->code == NM_OP_repeat)
            learn_params(p, op);
        learn_results(p, op);
    }
}

static void mask_op(padding *p, nm_op *op)
{
    if (op->code == NM_OP_sum)
        zero_operand(p, op, 0, dropped(p, op));
    else if (op->code == NM_OP_qdq) // the largest in it scales all of it
        zero_operand(p, op, 0, padded_of(p, op->in[0]->type));
    else if (op->code == NM_OP_max)
        set_operand(p, op, 0, dropped(p, op), lowest(op->in[0]->type->dtype));
    else if (op->code == NM_OP_dot)
        mask_dot(p, op);
    else if (op->code == NM_OP_ret)
        mask_results(p, op);
    else if (op->code == NM_OP_scatter_add)
        mask_placed(p, op);
    else if (nm_is(op, NM_INT)) // idiv, mod: a divisor that is 0 traps
        set_operand(p, op, 1, padded_of(p, op->in[1]->type), 1);
}

static bool mask_ops(padding *p, nm_func *f)
{
    nm_each_op_safe(op, f) { // but not what masks a result
        if (takes_apart(p, op))
            return nm_error(p->m->diag, op->loc,
                            "%s along a padded dim that is split over a mesh is not lowered",
                            nm_info(op)->name);
        if (op->code == NM_OP_repeat) {
            learn_params(p, op);
            if (!mask_ops(p, op->body))
                return false;
        }
        mask_op(p, op);
        learn_results(p, op);
        mask_singular(p, op);
    }
    return true;
}

bool nm_localize_padding(nm_func *f)
{
    padding p = {.m = f->module};
    if (!find_padded(&p))
        return false;
    for (int i = 0; i < f->n_params && p.n; i++)
        if (is_kept(f->param_bind[i].kind))
            know(&p, f->param[i], padded_of(&p, f->param[i]->type));
    return !p.n || mask_ops(&p, f);
}
