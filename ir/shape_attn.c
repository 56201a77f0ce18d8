// Attention: its dims by the part they play, and the shape rules of the ops that are algorithms.
//
// q is {batch..., seq, kv, group, hd} or {batch..., seq, heads, hd}, k and v are {batch..., over,
// kv, hd}, in any order. Dims of one name are one dim; what is left on k's side beside `over` and
// hd is `kv`, and then one dim of q is `heads`.
#include "ir/attn.h"
#include "ir/shape.h"
#include "ir/tables.h"

#include <string.h>

const char *const nm_attn_extra_name[NM_N_ATTN] = {
    [NM_ATTN_bias] = "bias",     [NM_ATTN_mask] = "mask", [NM_ATTN_segments] = "segments",
    [NM_ATTN_keys] = "keys",     [NM_ATTN_sink] = "sink", [NM_ATTN_seed] = "seed",
    [NM_ATTN_step] = "step",     [NM_ATTN_turn] = "turn", [NM_ATTN_at] = "at",
    [NM_ATTN_key_at] = "key_at",
};

// --- parts ---------------------------------------------------------------------------------------

// `over` is name with one prime more.
static bool is_primed(nm_sym name, nm_sym over)
{
    size_t n = strlen(name);
    return !strncmp(over, name, n) && over[n] == '\'' && !over[n + 1];
}

static nm_sym find_seq(const nm_type *q, nm_sym over)
{
    for (int i = 0; i < q->rank; i++)
        if (is_primed(q->dim[i].name, over))
            return q->dim[i].name;
    return NULL;
}

static nm_sym find_kv(const nm_type *q, const nm_type *k, nm_sym over)
{
    for (int i = 0; i < k->rank; i++)
        if (k->dim[i].name != over && !nm_has_dim(q, k->dim[i].name))
            return k->dim[i].name;
    return NULL;
}

static bool divides(const nm_extent *a, const nm_extent *b)
{
    int64_t x, y;
    return nm_extent_is_const(a, &x) && nm_extent_is_const(b, &y) && y > 0 && x % y == 0;
}

// The innermost dim of q alone, of fixed extent, that kv's extent divides.
static nm_sym find_heads(const nm_type *q, const nm_type *k, nm_sym seq, nm_sym kv)
{
    const nm_extent *groups = k->dim[nm_type_find(k, kv)].extent;
    for (int i = q->rank - 1; i >= 0; i--)
        if (q->dim[i].name != seq && !nm_has_dim(k, q->dim[i].name) &&
            divides(q->dim[i].extent, groups))
            return q->dim[i].name;
    return NULL;
}

nm_attn nm_attn_of(const nm_op *op)
{
    const nm_type *q = op->in[0]->type, *k = op->in[1]->type;
    nm_attn a = {.over = nm_attr_sym(op, "over"), .hd = nm_attr_sym(op, "hd")};
    a.first_extra = op->code == NM_OP_attention ? 3 : 6;
    a.seq = find_seq(q, a.over);
    a.kv = find_kv(q, k, a.over);
    a.heads = a.kv ? find_heads(q, k, a.seq, a.kv) : NULL;
    nm_syms extra = nm_attr_dims(op, "extra");
    for (int i = 0; i < extra.n; i++)
        for (int x = 0; x < NM_N_ATTN; x++)
            if (!strcmp(extra.sym[i], nm_attn_extra_name[x]) && a.first_extra + i < op->n_in)
                a.extra[x] = op->in[a.first_extra + i];
    return a;
}

// --- checks --------------------------------------------------------------------------------------

static bool fail(nm_module *m, nm_op *op, const char *what, const char *number)
{
    return nm_error(m->diag, op->loc, "%s: %s [attn-%s]", nm_info(op)->name, what, number);
}

static bool check_extra_names(nm_module *m, nm_op *op, int first)
{
    nm_syms extra = nm_attr_dims(op, "extra");
    if (op->n_in != first + extra.n)
        return nm_error(m->diag, op->loc, "%s: %d operands, and %d with its extra ones [attn-4]",
                        nm_info(op)->name, op->n_in, first + extra.n);
    for (int i = 0; i < extra.n; i++) {
        int x = 0;
        while (x < NM_N_ATTN && strcmp(extra.sym[i], nm_attn_extra_name[x]))
            x++;
        if (x == NM_N_ATTN || nm_syms_has((nm_syms){i, extra.sym}, extra.sym[i]))
            return nm_error(m->diag, op->loc, "%s: extra operand '%s' is %s [attn-4]",
                            nm_info(op)->name, extra.sym[i], x == NM_N_ATTN ? "unknown" : "twice");
    }
    return true;
}

static bool check_qkv(nm_module *m, nm_op *op)
{
    const nm_type *q = op->in[0]->type, *k = op->in[1]->type, *v = op->in[2]->type;
    nm_sym over = nm_attr_sym(op, "over"), hd = nm_attr_sym(op, "hd");
    if (q->dtype != k->dtype || q->dtype != v->dtype || !nm_dtype_table[q->dtype].is_float)
        return fail(m, op, "q, k and v are of one float dtype", "0");
    if (!nm_type_same_set(k, v) || !nm_has_dim(k, over) || nm_has_dim(q, over) ||
        !nm_has_dim(k, hd) || !nm_has_dim(q, hd) || over == hd)
        return nm_error(
            m->diag, op->loc,
            "%s: k and v share '%s' and '%s', q has only the second: %s, %s, %s [attn-1]",
            nm_info(op)->name, over, hd, nm_type_str(m, q), nm_type_str(m, k), nm_type_str(m, v));
    nm_type all = *q;
    for (int i = 0; i < k->rank; i++)
        if (!nm_shape_join(m, op, &all, &k->dim[i]))
            return false;
    return true;
}

static bool check_heads(nm_module *m, nm_op *op, const nm_attn *a)
{
    const nm_type *q = op->in[0]->type, *k = op->in[1]->type;
    for (int i = 0; i < k->rank; i++)
        if (k->dim[i].name != a->over && k->dim[i].name != a->kv && !nm_has_dim(q, k->dim[i].name))
            return fail(m, op, "one dim may be left on k's side", "2");
    if (a->kv && !a->heads)
        return nm_error(m->diag, op->loc,
                        "%s: no dim of q = %s is a multiple of %s = %s of k [attn-2]",
                        nm_info(op)->name, nm_type_str(m, q), a->kv,
                        nm_extent_str(m, k->dim[nm_type_find(k, a->kv)].extent));
    return true;
}

// Every dim of t is one of q's, but those named, or `more`.
static bool dims_of(nm_module *m, nm_op *op, int x, const nm_type *t, const nm_type *host,
                    nm_sym but, nm_sym but2, const nm_dim *more)
{
    for (int i = 0; i < t->rank; i++) {
        const nm_dim *d = &t->dim[i];
        int at = d->name == but || d->name == but2 ? -1 : nm_type_find(host, d->name);
        bool fits = at >= 0 ? host->dim[at].extent == d->extent
                            : more && more->name == d->name && more->extent == d->extent;
        if (!fits)
            return nm_error(m->diag, op->loc,
                            "%s: %s has the dim %s = %s, which does not belong there "
                            "[attn-5]",
                            nm_info(op)->name, nm_attn_extra_name[x], d->name,
                            nm_extent_str(m, d->extent));
    }
    return true;
}

static bool check_extra_dims(nm_module *m, nm_op *op, const nm_attn *a)
{
    const nm_type *q = op->in[0]->type, *k = op->in[1]->type;
    const nm_dim *over = &k->dim[nm_type_find(k, a->over)];
    for (int x = 0; x < NM_N_ATTN; x++) {
        if (!a->extra[x])
            continue;
        const nm_type *t = a->extra[x]->type;
        bool pairs = x == NM_ATTN_bias || x == NM_ATTN_mask;
        bool of_k = x == NM_ATTN_keys || x == NM_ATTN_key_at;
        bool ok = pairs               ? dims_of(m, op, x, t, q, a->hd, NULL, over)
                  : of_k              ? dims_of(m, op, x, t, k, a->hd, NULL, NULL)
                  : x == NM_ATTN_sink ? dims_of(m, op, x, t, q, a->hd, a->seq, NULL)
                                      : dims_of(m, op, x, t, q, a->hd, NULL, NULL);
        if (!ok)
            return false;
    }
    return true;
}

static bool is_positions(const nm_type *t, const nm_attn *a)
{
    return nm_shape_is_int(t) && (t->rank == 0 || (t->rank == 1 && t->dim[0].name == a->seq));
}

static bool is_key_positions(const nm_type *t, const nm_attn *a)
{
    return nm_shape_is_int(t) && t->rank == 1 && t->dim[0].name == a->over;
}

static bool check_extra_dtypes(nm_module *m, nm_op *op, const nm_attn *a)
{
    for (int x = 0; x < NM_N_ATTN; x++) {
        if (!a->extra[x])
            continue;
        const nm_type *t = a->extra[x]->type;
        bool ok = x == NM_ATTN_bias || x == NM_ATTN_sink   ? nm_dtype_table[t->dtype].is_float
                  : x == NM_ATTN_mask || x == NM_ATTN_keys ? t->dtype == NM_bool
                  : x == NM_ATTN_segments                  ? nm_shape_is_int(t)
                  : x == NM_ATTN_seed                      ? t == nm_type_scalar(m, NM_i64)
                  : x == NM_ATTN_at                        ? is_positions(t, a)
                  : x == NM_ATTN_key_at                    ? is_key_positions(t, a)
                                                           : nm_shape_is_scalar_int(t);
        if (!ok)
            return nm_error(m->diag, op->loc, "%s: %s cannot be %s [attn-5]", nm_info(op)->name,
                            nm_attn_extra_name[x], nm_type_str(m, t));
    }
    return true;
}

static bool check_attrs(nm_module *m, nm_op *op, const nm_attn *a)
{
    double dropout = nm_attr_float(op, "dropout", 0);
    bool compares = nm_attr_bool(op, "causal") || nm_attr_int(op, "window", 0) ||
                    a->extra[NM_ATTN_segments] || a->extra[NM_ATTN_at] || a->extra[NM_ATTN_key_at];
    if (compares && !a->seq)
        return nm_error(
            m->diag, op->loc,
            "%s: causal, window, segments, at and key_at compare positions of one dim, and q = %s "
            "has no dim that is '%s' without its prime [attn-3]",
            nm_info(op)->name, nm_type_str(m, op->in[0]->type), a->over);
    if (nm_attr_int(op, "window", 0) < 0 || nm_attr_float(op, "softcap", 0) < 0)
        return fail(m, op, "window and softcap are not negative", "6");
    if (!(dropout >= 0 && dropout < 1))
        return fail(m, op, "dropout is in [0, 1)", "6");
    return dropout == 0 ||
           (a->extra[NM_ATTN_seed] && a->extra[NM_ATTN_step] && nm_attr_get(op, "key")) ||
           fail(m, op, "dropout wants the extra operands seed and step, and a key", "6");
}

static bool check_attention(nm_module *m, nm_op *op, int first)
{
    if (!check_extra_names(m, op, first) || !check_qkv(m, op))
        return false;
    nm_attn a = nm_attn_of(op);
    return check_heads(m, op, &a) && check_extra_dtypes(m, op, &a) && check_extra_dims(m, op, &a) &&
           check_attrs(m, op, &a);
}

// --- the rules -----------------------------------------------------------------------------------

static const nm_type *lse_type(nm_module *m, nm_op *op)
{
    const nm_type *t = nm_type_without(m, op->in[0]->type, nm_attr_sym(op, "hd"));
    return nm_type_with_dtype(m, t, NM_f32);
}

bool nm_shape_attention(nm_module *m, nm_op *op)
{
    return check_attention(m, op, 3) && nm_shape_give(m, op, 0, op->in[0]->type) &&
           nm_shape_give(m, op, 1, lse_type(m, op));
}

bool nm_shape_attention_grad(nm_module *m, nm_op *op)
{
    if (op->n_in < 6)
        return fail(m, op, "operands are q, k, v, out, lse, dout and the extra ones", "4");
    if (!check_attention(m, op, 6))
        return false;
    if (!nm_type_same_set(op->in[3]->type, op->in[0]->type) ||
        !nm_type_same_set(op->in[5]->type, op->in[0]->type) ||
        !nm_type_same_set(op->in[4]->type, lse_type(m, op)))
        return fail(m, op, "out, lse and dout have the types that attention gives", "7");
    for (int i = 0; i < 3; i++)
        if (!nm_shape_give(m, op, i, op->in[i]->type))
            return false;
    return true;
}

// --- routing -------------------------------------------------------------------------------------

static bool has_same(const nm_type *t, const nm_dim *d)
{
    int at = nm_type_find(t, d->name);
    return at >= 0 && t->dim[at].extent == d->extent;
}

// Every dim of `of`, but two (NULL), is t's, with the same extent, and is not one of `lacks`.
static bool has_dims(const nm_type *t, const nm_type *of, nm_sym but, nm_sym but2,
                     const nm_type *lacks)
{
    for (int i = 0; i < of->rank; i++) {
        const nm_dim *d = &of->dim[i];
        if (d->name != but && d->name != but2 &&
            (!has_same(t, d) || (lacks && nm_has_dim(lacks, d->name))))
            return false;
    }
    return true;
}

// experts and slots are two dims of `slots`, which `tokens` lacks; the choices are one of e's
// alone.
static bool is_route(const nm_op *op, const nm_type *slots, const nm_type *tokens)
{
    nm_sym experts = nm_attr_sym(op, "experts"), slot = nm_attr_sym(op, "slot");
    nm_sym choice = nm_attr_sym(op, "choice");
    const nm_type *e = op->in[1]->type;
    return experts != slot && nm_has_dim(slots, experts) && nm_has_dim(slots, slot) &&
           !nm_has_dim(tokens, experts) && !nm_has_dim(tokens, slot) && nm_has_dim(e, choice) &&
           !nm_has_dim(tokens, choice) && !nm_has_dim(slots, choice) && nm_shape_is_int(e) &&
           slots->dtype == tokens->dtype && has_dims(tokens, e, choice, NULL, slots) &&
           slots->rank - 2 + e->rank - 1 == tokens->rank;
}

bool nm_shape_dispatch(nm_module *m, nm_op *op)
{
    const nm_type *x = op->in[0]->type, *t = op->out[0].type;
    return (is_route(op, t, x) &&
            has_dims(x, t, nm_attr_sym(op, "experts"), nm_attr_sym(op, "slot"), NULL)) ||
           nm_error(m->diag, op->loc,
                    "dispatch gives [experts, slot, ...] of the tokens' dtype, by ints: %s of %s "
                    "by %s [dispatch-1]",
                    nm_type_str(m, t), nm_type_str(m, x), nm_type_str(m, op->in[1]->type));
}

bool nm_shape_combine(nm_module *m, nm_op *op)
{
    const nm_type *y = op->in[0]->type, *e = op->in[1]->type, *t = op->out[0].type;
    return (is_route(op, y, t) &&
            has_dims(t, y, nm_attr_sym(op, "experts"), nm_attr_sym(op, "slot"), NULL) &&
            has_dims(e, op->in[2]->type, NULL, NULL, NULL)) ||
           nm_error(m->diag, op->loc,
                    "combine sums slot and choice away, in the experts' dtype, by ints and their "
                    "weights: %s of %s by %s and %s [combine-1]",
                    nm_type_str(m, t), nm_type_str(m, y), nm_type_str(m, e),
                    nm_type_str(m, op->in[2]->type));
}
