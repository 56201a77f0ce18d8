// The gradient of attention. One op, attention_grad, gives those of q, k and v. Those of a bias and
// of a sink are formulas of plain ops, of the same probabilities (ir/eval_attn.c says what s, p and
// d are); with mean = dout . out over hd, of each row:
//
//   ds = p * (d * (dout . v) - mean)        summed over what the bias lacks
//   dsink = -exp(sink - lse) * mean         summed over what the sink lacks
//
// So every target and every mesh has them. A bias' takes room for each pair of a query and a key:
// that of one attention at a time, of the sequences that are under way.
#include "ir/attn.h"
#include "ir/grads.h"

#include <math.h>

typedef struct rule {
    nm_grad *g;
    nm_op *op;
    nm_attn a;
    nm_value *lse, *mean, *dout;
} rule;

// --- ops -----------------------------------------------------------------------------------------

static nm_value *build(const rule *r, nm_opcode code, int n_in, nm_value *const *in, nm_attr *attr,
                       const nm_type *type)
{
    return nm_build(r->g->f, r->g->before,
                    &(nm_proto){.code = code,
                                .loc = r->op->loc,
                                .n_in = n_in,
                                .in = in,
                                .n_attrs = attr != NULL,
                                .attr = attr,
                                .type = type});
}

static nm_value *map2(const rule *r, nm_opcode code, nm_value *a, nm_value *b)
{
    return build(r, code, 2, (nm_value *[]){a, b}, NULL, NULL);
}

static nm_value *select(const rule *r, nm_value *c, nm_value *a, nm_value *b)
{
    return build(r, NM_OP_select, 3, (nm_value *[]){c, a, b}, NULL, NULL);
}

static nm_value *number(const rule *r, nm_dtype dtype, double value)
{
    return nm_build_const(r->g->f, r->g->before, r->op->loc, dtype, value);
}

static nm_value *scaled(const rule *r, nm_value *a, double by)
{
    return map2(r, NM_OP_mul, a, number(r, NM_f32, by));
}

static nm_value *read(const rule *r, nm_value *v) { return r->g->of(r->g, v); }

static nm_value *in_f32(const rule *r, nm_value *v)
{
    nm_attr to = nm_mk_dtype(r->op->func->module, "to", NM_f32);
    return v->type->dtype == NM_f32 ? v : build(r, NM_OP_cast, 1, &v, &to, NULL);
}

// sum(a * b) over hd; in f32 whatever is stored, as the probabilities are.
static nm_value *product(const rule *r, nm_value *a, nm_value *b)
{
    nm_attr over = nm_mk_dims(r->op->func->module, "over", (nm_syms){1, &r->a.hd});
    return build(r, NM_OP_dot, 2, (nm_value *[]){in_f32(r, a), in_f32(r, b)}, &over, NULL);
}

static nm_dim key_dim(const rule *r)
{
    const nm_type *k = r->op->in[1]->type;
    return k->dim[nm_type_find(k, r->a.over)];
}

// --- the probabilities, of pairs of a query and a key --------------------------------------------

static nm_value *positions(const rule *r, const nm_type *of, nm_sym name)
{
    nm_module *m = r->op->func->module;
    nm_type t = {.dtype = NM_i32, .rank = 1};
    t.dim[0] = of->dim[nm_type_find(of, name)];
    nm_attr dim = nm_mk_sym(m, "dim", name);
    return build(r, NM_OP_index, 0, NULL, &dim, nm_type_get(m, &t));
}

static nm_value *same_segment(const rule *r)
{
    nm_module *m = r->op->func->module;
    nm_value *of_q = read(r, r->a.extra[NM_ATTN_segments]);
    nm_attr attr[] = {nm_mk_sym(m, "from", r->a.seq), nm_mk_sym(m, "to", r->a.over)};
    nm_value *of_k = nm_build(r->g->f, r->g->before,
                              &(nm_proto){.code = NM_OP_rename,
                                          .loc = r->op->loc,
                                          .n_in = 1,
                                          .in = &of_q,
                                          .n_attrs = 2,
                                          .attr = attr});
    return map2(r, NM_OP_eq, of_q, of_k);
}

static nm_value *both(const rule *r, nm_value *seen, nm_value *also)
{
    return seen ? map2(r, NM_OP_and, seen, also) : also;
}

// Which keys a query sees; NULL: all.
static nm_value *seen(const rule *r)
{
    int64_t window = nm_attr_int(r->op, "window", 0);
    nm_value *see = NULL, *const *extra = r->a.extra;
    if (nm_attr_bool(r->op, "causal") || window) {
        nm_value *query = positions(r, r->op->in[0]->type, r->a.seq);
        nm_value *key = positions(r, r->op->in[1]->type, r->a.over);
        nm_value *first = map2(r, NM_OP_sub, query, number(r, NM_i32, (double)window));
        if (nm_attr_bool(r->op, "causal"))
            see = map2(r, NM_OP_le, key, query);
        if (window)
            see = both(r, see, map2(r, NM_OP_lt, first, key));
    }
    if (extra[NM_ATTN_mask])
        see = both(r, see, read(r, extra[NM_ATTN_mask]));
    if (extra[NM_ATTN_keys])
        see = both(r, see, read(r, extra[NM_ATTN_keys]));
    return extra[NM_ATTN_segments] ? both(r, see, same_segment(r)) : see;
}

static nm_value *probabilities(const rule *r)
{
    double cap = nm_attr_float(r->op, "softcap", 0);
    nm_value *s = product(r, read(r, r->op->in[0]), read(r, r->op->in[1]));
    s = scaled(r, s, nm_attr_float(r->op, "scale", 1));
    if (cap > 0) {
        s = scaled(r, s, 1 / cap);
        s = scaled(r, build(r, NM_OP_tanh, 1, &s, NULL, NULL), cap);
    }
    s = map2(r, NM_OP_add, s, in_f32(r, read(r, r->a.extra[NM_ATTN_bias])));
    s = map2(r, NM_OP_sub, s, r->lse);
    nm_value *p = build(r, NM_OP_exp, 1, &s, NULL, NULL), *see = seen(r);
    return see ? select(r, see, p, number(r, NM_f32, 0)) : p;
}

// Dropout's factors: the draws that attention made, by the number of the pair.
static nm_value *dropped(const rule *r, nm_value *dp)
{
    nm_module *m = r->op->func->module;
    double rate = nm_attr_float(r->op, "dropout", 0);
    if (rate <= 0)
        return dp;
    nm_type t = *nm_type_without(m, r->op->in[0]->type, r->a.hd);
    t.dtype = NM_f32;
    t.dim[t.rank++] = key_dim(r);
    nm_value *in[3];
    int n = 0;
    for (int x = NM_ATTN_seed; x <= NM_ATTN_turn; x++)
        if (r->a.extra[x])
            in[n++] = read(r, r->a.extra[x]);
    nm_attr attr[] = {nm_mk_sym(m, "dist", nm_sym_get(m, "uniform")),
                      nm_mk_string(m, "key", nm_attr_get(r->op, "key")->u.sym)};
    nm_value *draw = nm_build(r->g->f, r->g->before,
                              &(nm_proto){.code = NM_OP_random,
                                          .loc = r->op->loc,
                                          .n_in = n,
                                          .in = in,
                                          .n_attrs = 2,
                                          .attr = attr,
                                          .type = nm_type_get(m, &t)});
    nm_value *out = map2(r, NM_OP_lt, draw, number(r, NM_f32, (double)(float)rate));
    return select(r, out, number(r, NM_f32, 0), scaled(r, dp, 1 / (1 - rate)));
}

// --- the gradients -------------------------------------------------------------------------------

static nm_value *grad_of_bias(const rule *r)
{
    nm_value *dp = dropped(r, product(r, r->dout, read(r, r->op->in[2])));
    return map2(r, NM_OP_mul, probabilities(r), map2(r, NM_OP_sub, dp, r->mean));
}

static nm_value *grad_of_sink(const rule *r)
{
    nm_value *sink = in_f32(r, read(r, r->a.extra[NM_ATTN_sink]));
    nm_value *s = map2(r, NM_OP_sub, sink, r->lse);
    nm_value *p = build(r, NM_OP_exp, 1, &s, NULL, NULL);
    nm_value *up = map2(r, NM_OP_mul, p, r->mean);
    return build(r, NM_OP_neg, 1, &up, NULL, NULL);
}

static bool can_pair(const rule *r)
{
    nm_diag *diag = r->op->func->module->diag;
    if (r->a.extra[NM_ATTN_at] || r->a.extra[NM_ATTN_key_at])
        return nm_error(diag, r->op->loc,
                        "attention: no gradient yet of a bias where positions are given (at)");
    if (r->a.kv || r->op->in[0]->type->rank == NM_MAX_RANK)
        return nm_error(diag, r->op->loc,
                        "attention: no gradient yet of a bias where '%s' is not split, or with as "
                        "many dims as a type can have",
                        r->a.kv ? r->a.heads : r->a.hd);
    return true;
}

static void give_extra(nm_grad *g, nm_op *op, nm_value *lse, nm_value *out, nm_value *dout)
{
    rule r = {.g = g, .op = op, .a = nm_attn_of(op), .lse = lse, .dout = dout};
    nm_value *bias = r.a.extra[NM_ATTN_bias], *sink = r.a.extra[NM_ATTN_sink];
    bool of_bias = bias && nm_grad_wants(g, bias), of_sink = sink && nm_grad_wants(g, sink);
    if (!of_bias && !of_sink)
        return;
    r.mean = product(&r, dout, out);
    if (of_sink)
        nm_grad_into(g, op, sink, grad_of_sink(&r));
    if (of_bias && can_pair(&r))
        nm_grad_into(g, op, bias, grad_of_bias(&r));
    else
        g->failed |= of_bias;
}

void nm_grad_attention(nm_grad *g, nm_op *op)
{
    enum { MAX_IN = 16 };
    nm_value *in[MAX_IN], *dout = nm_grad_of(g, op, 0);
    if (nm_grad_of(g, op, 1) || op->n_in + 3 > MAX_IN)
        nm_bug("attention: its log-sum-exp is not for differentiation");
    for (int i = 0; i < op->n_in; i++)
        in[i < 3 ? i : i + 3] = g->of(g, op->in[i]);
    in[3] = g->of(g, &op->out[0]);
    in[4] = g->of(g, &op->out[1]);
    in[5] = dout;
    nm_op *d = nm_build_op(g->f, g->before,
                           &(nm_proto){.code = NM_OP_attention_grad,
                                       .loc = op->loc,
                                       .n_in = op->n_in + 3,
                                       .in = in,
                                       .n_attrs = op->n_attrs,
                                       .attr = op->attr});
    for (int i = 0; i < 3; i++)
        nm_grad_into(g, op, op->in[i], &d->out[i]);
    give_extra(g, op, in[4], in[3], dout);
}
