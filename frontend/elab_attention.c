// The built-ins that are algorithms: attention and mixture-of-experts routing.
#include "frontend/elab_builtin.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// --- attention -----------------------------------------------------------------------------------

enum {
    Q,
    K,
    V,
    OVER,
    HD,
    CAUSAL,
    WINDOW,
    SOFTCAP,
    SINK,
    BIAS,
    MASK,
    SEGMENTS,
    KEYS,
    SCALE,
    DROPOUT
};

typedef struct attention {
    nm_bcall *c;
    nm_sym over, hd, keys_over; // keys_over: k's name for `over`
    bool self;
    nm_value *in[16];
    int n_in;
    nm_attr attr[12];
    int n_attrs;
    nm_sym extra[12];
    int n_extra;
} attention;

static nm_ev fail(nm_elab *e, nm_bcall *c, nm_loc at, const char *text)
{
    return nm_elab_error(e, c->f, at.src ? at : c->loc, "%s", text);
}

static bool must_be_tensors(nm_elab *e, nm_bcall *c)
{
    for (int i = Q; i <= V; i++)
        if (c->v[i].kind != NM_EV_tensor) {
            nm_elab_error(e, c->f, c->loc,
                          "attention takes tensors q, k, v, and this is %s [attn-1]",
                          nm_ev_describe(e, c->v[i]));
            return false;
        }
    nm_edim over = c->v[OVER].u.dims.dim[0], hd = c->v[HD].u.dims.dim[0];
    return nm_dim_must_have(e, c->f, c->v[K], over, c->loc, "attention") &&
           nm_dim_must_have(e, c->f, c->v[V], over, c->loc, "attention") &&
           nm_dim_must_have(e, c->f, c->v[Q], hd, c->loc, "attention") &&
           nm_dim_must_have(e, c->f, c->v[K], hd, c->loc, "attention") &&
           nm_dim_must_have(e, c->f, c->v[V], hd, c->loc, "attention");
}

static bool divides(const nm_extent *a, const nm_extent *b)
{
    int64_t x, y;
    return a == b ||
           (nm_extent_is_const(a, &x) && nm_extent_is_const(b, &y) && y > 0 && x % y == 0);
}

// attn-2: what is left on each side is one dim, and q's is a multiple of k's.
static bool check_heads(nm_elab *e, attention *a)
{
    nm_bcall *c = a->c;
    const nm_type *q = c->v[Q].u.t->v->type, *k = c->v[K].u.t->v->type;
    const nm_dim *heads = NULL, *kv = NULL;
    int n_kv = 0;
    bool fits = false;
    for (int i = 0; i < k->rank; i++)
        if (k->dim[i].name != a->over && !nm_has_dim(q, k->dim[i].name)) {
            kv = &k->dim[i];
            n_kv++;
        }
    for (int i = 0; kv && i < q->rank; i++)
        if (q->dim[i].name != a->over && !nm_has_dim(k, q->dim[i].name)) {
            heads = fits ? heads : &q->dim[i];
            fits |= divides(q->dim[i].extent, kv->extent);
        }
    nm_loc at = c->v[K].loc.src ? c->v[K].loc : c->loc;
    if (n_kv > 1)
        nm_elab_error(e, c->f, at, "one dim may be left on k's side, and k is %s, q %s [attn-2]",
                      nm_tensor_str(e, c->v[K].u.t), nm_tensor_str(e, c->v[Q].u.t));
    else if (kv && !heads)
        nm_elab_error(e, c->f, at, "q has no dim for %s = %s of k [attn-2]", kv->name,
                      nm_extent_str(e->m, kv->extent));
    else if (kv && !fits)
        nm_elab_error(e, c->f, at, "%s = %s of q is not a multiple of %s = %s of k [attn-2]",
                      heads->name, nm_extent_str(e->m, heads->extent), kv->name,
                      nm_extent_str(e->m, kv->extent));
    else
        return true;
    return false;
}

// attn-3: positions of one dim are compared.
static bool check_self(nm_elab *e, attention *a, int par, const char *what)
{
    nm_bcall *c = a->c;
    if (a->self)
        return true;
    nm_elab_error(e, c->f, c->v[par].loc.src ? c->v[par].loc : c->loc,
                  "q is %s: %s compares positions of one dim, and q has no '%s' [attn-3]",
                  nm_tensor_str(e, c->v[Q].u.t), what, a->over);
    return false;
}

static nm_value *rename_keys(nm_elab *e, attention *a, nm_ev v)
{
    if (!nm_has_dim(v.u.t->v->type, a->over))
        return v.u.t->v;
    nm_ev out = nm_view_rename(e, v, a->over, a->keys_over, a->c->loc);
    return out.kind == NM_EV_tensor ? out.u.t->v : NULL;
}

static bool static_number(nm_elab *e, nm_bcall *c, int par, const char *what, double *out)
{
    nm_ev v = nm_ev_number(e, c->f, c->v[par]);
    if (v.kind == NM_EV_poison)
        return false;
    if (v.kind != NM_EV_num)
        nm_elab_error(
            e, c->f, c->loc,
            "attention's %s is a number that is known when nemocc runs, not %s [static-1]", what,
            nm_ev_describe(e, v));
    *out = v.kind == NM_EV_num ? v.u.num : 0;
    return v.kind == NM_EV_num;
}

static bool add_numbers(nm_elab *e, attention *a)
{
    nm_bcall *c = a->c;
    double window = 0, softcap = 0, scale = 0;
    bool causal = c->given[CAUSAL] && c->v[CAUSAL].u.b;
    if ((c->given[WINDOW] && !static_number(e, c, WINDOW, "window", &window)) ||
        (c->given[SOFTCAP] && !static_number(e, c, SOFTCAP, "softcap", &softcap)))
        return false;
    if ((causal && !check_self(e, a, CAUSAL, "causal")) ||
        (window > 0 && !check_self(e, a, WINDOW, "window")))
        return false;
    const nm_type *q = c->v[Q].u.t->v->type;
    int64_t hd;
    if (c->given[SCALE] && !static_number(e, c, SCALE, "scale", &scale))
        return false;
    if (!c->given[SCALE]) {
        if (!nm_extent_is_const(q->dim[nm_type_find(q, a->hd)].extent, &hd))
            return fail(e, c, c->loc,
                        "attention needs the size of its hd when nemocc runs [attn-1]")
                       .kind != NM_EV_poison;
        scale = 1 / sqrt((double)hd);
    }
    a->attr[a->n_attrs++] = nm_mk_sym(e->m, "over", a->keys_over);
    a->attr[a->n_attrs++] = nm_mk_sym(e->m, "hd", a->hd);
    if (causal)
        a->attr[a->n_attrs++] = nm_mk_bool(e->m, "causal", true);
    if (window > 0)
        a->attr[a->n_attrs++] = nm_mk_int(e->m, "window", (int64_t)window);
    if (softcap > 0)
        a->attr[a->n_attrs++] = nm_mk_float(e->m, "softcap", softcap);
    a->attr[a->n_attrs++] = nm_mk_float(e->m, "scale", scale);
    return true;
}

static void add_extra(nm_elab *e, attention *a, const char *name, nm_value *v)
{
    a->extra[a->n_extra++] = nm_sym_get(e->m, name);
    a->in[a->n_in++] = v;
}

static bool is_kind(nm_elab *e, attention *a, int par, const char *name, bool ok)
{
    if (!ok)
        nm_elab_error(e, a->c->f, a->c->loc, "attention's %s cannot be %s [attn-1]", name,
                      nm_ev_describe(e, a->c->v[par]));
    return ok;
}

static bool add_operands(nm_elab *e, attention *a)
{
    nm_bcall *c = a->c;
    static const struct {
        int par;
        const char *name;
        bool is_bool, is_int;
    } rows[] = {{BIAS, "bias", 0, 0},
                {MASK, "mask", 1, 0},
                {SEGMENTS, "segments", 0, 1},
                {KEYS, "keys", 1, 0},
                {SINK, "sink", 0, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        nm_ev v = c->v[rows[i].par];
        if (!c->given[rows[i].par] || (v.kind == NM_EV_num && v.u.num == 0))
            continue;
        if (!is_kind(e, a, rows[i].par, rows[i].name, v.kind == NM_EV_tensor))
            return false;
        nm_dtype d = v.u.t->v->type->dtype;
        bool ok = rows[i].is_bool  ? d == NM_bool
                  : rows[i].is_int ? nm_dtype_is_int(d)
                                   : nm_dtype_table[d].is_float;
        if (!is_kind(e, a, rows[i].par, rows[i].name, ok) ||
            (rows[i].par == SEGMENTS && !check_self(e, a, SEGMENTS, "segments")))
            return false;
        add_extra(e, a, rows[i].name, rows[i].par == KEYS ? rename_keys(e, a, v) : v.u.t->v);
    }
    return true;
}

static bool add_dropout(nm_elab *e, attention *a)
{
    double p = 0;
    nm_bcall *c = a->c;
    if (!c->given[DROPOUT] || !e->training)
        return true;
    if (!static_number(e, c, DROPOUT, "dropout", &p))
        return false;
    if (p < 0 || p >= 1)
        return fail(e, c, c->loc, "attention's dropout is in [0, 1) [attn-1]").kind != NM_EV_poison;
    if (p == 0)
        return true;
    nm_value *turn = nm_region_turn(e, c->loc);
    a->attr[a->n_attrs++] = nm_mk_float(e->m, "dropout", p);
    a->attr[a->n_attrs++] =
        nm_mk_string(e->m, "key", nm_draw_key(e, c->f->inst, nm_sym_get(e->m, "attention")));
    add_extra(e, a, "seed", nm_efunc_scalar(e, "seed", NM_i64));
    add_extra(e, a, "step", nm_efunc_scalar(e, "step", NM_i32));
    if (turn)
        add_extra(e, a, "turn", turn);
    return true;
}

nm_ev nm_builtin_attention(nm_elab *e, nm_bcall *c)
{
    attention a = {.c = c,
                   .over = c->v[OVER].u.dims.dim[0].name,
                   .hd = c->v[HD].u.dims.dim[0].name,
                   .n_in = 3};
    nm_dtype dtype;
    if (!must_be_tensors(e, c) || !nm_elab_common_dtype(e, c->f, 3, c->v, c->loc, &dtype))
        return nm_ev_poison();
    a.self = nm_has_dim(c->v[Q].u.t->v->type, a.over);
    a.keys_over = a.self ? nm_sym_fmt(e->m, "%s'", a.over) : a.over;
    if (!check_heads(e, &a) || !add_numbers(e, &a) || !add_operands(e, &a) || !add_dropout(e, &a))
        return nm_ev_poison();
    a.in[Q] = nm_elab_cast(e, c->loc, c->v[Q].u.t->v, dtype);
    a.in[K] = nm_elab_cast(e, c->loc, rename_keys(e, &a, c->v[K]), dtype);
    a.in[V] = nm_elab_cast(e, c->loc, rename_keys(e, &a, c->v[V]), dtype);
    if (a.n_extra)
        a.attr[a.n_attrs++] = nm_mk_dims(e->m, "extra", (nm_syms){a.n_extra, a.extra});
    nm_op *op = nm_elab_op_many(e, (nm_proto){.code = NM_OP_attention,
                                              .loc = c->loc,
                                              .n_in = a.n_in,
                                              .in = a.in,
                                              .n_attrs = a.n_attrs,
                                              .attr = a.attr});
    return op ? nm_ev_value(e, &op->out[0]) : nm_ev_poison();
}

// --- routing -------------------------------------------------------------------------------------

static bool two_dims(nm_elab *e, nm_bcall *c, int par)
{
    if (c->v[par].u.dims.n == 2)
        return true;
    nm_elab_error(e, c->f, c->loc, "%s takes two dims: experts slot [route-1]", c->b->name);
    return false;
}

static bool is_route(nm_elab *e, nm_bcall *c, nm_ev route, nm_sym experts)
{
    if (route.kind == NM_EV_tensor && nm_dtype_is_int(route.u.t->v->type->dtype) &&
        (!route.u.t->index_of || route.u.t->index_of == experts))
        return true;
    nm_elab_error(e, c->f, c->loc, "%s: e is an index of '%s', and this is %s [route-1]",
                  c->b->name, experts, nm_ev_describe(e, route));
    return false;
}

// Each token has one slot of an expert that it chose: there are as many as tokens at most.
static const nm_extent *slot_extent(nm_elab *e, nm_bcall *c, const nm_type *route, nm_sym choice)
{
    int64_t n;
    if (c->given[3] && nm_ev_is_whole(nm_ev_number(e, c->f, c->v[3]), &n) && n > 0)
        return nm_extent_const(e->m, n);
    const nm_extent *tokens = nm_extent_const(e->m, 1);
    for (int i = 0; i < route->rank; i++)
        if (route->dim[i].name != choice)
            tokens = nm_extent_mul(e->m, tokens, route->dim[i].extent);
    return tokens;
}

nm_ev nm_builtin_dispatch(nm_elab *e, nm_bcall *c)
{
    if (!two_dims(e, c, 2) || c->v[0].kind != NM_EV_tensor)
        return c->v[0].kind == NM_EV_tensor
                   ? nm_ev_poison()
                   : fail(e, c, c->loc, "dispatch takes tensors [route-1]");
    nm_edim experts = c->v[2].u.dims.dim[0], slot = c->v[2].u.dims.dim[1];
    const nm_extent *n = nm_dim_extent(e, c->f, experts, c->loc);
    if (!n || !is_route(e, c, c->v[1], experts.name))
        return nm_ev_poison();
    const nm_type *x = c->v[0].u.t->v->type, *r = c->v[1].u.t->v->type;
    nm_sym choice = NULL;
    for (int i = 0; i < r->rank; i++)
        choice = nm_has_dim(x, r->dim[i].name) ? choice : r->dim[i].name;
    if (!choice)
        return fail(e, c, c->loc, "dispatch: e has a dim for the choices, which x lacks [route-1]");
    nm_type t = {.dtype = x->dtype,
                 .rank = 2,
                 .dim = {{.name = experts.name, .extent = n}, {.name = slot.name}}};
    t.dim[1].extent = slot_extent(e, c, r, choice);
    nm_dim_declare(e->m,
                   (nm_dim_decl){.name = slot.name, .loc = c->loc, .extent = t.dim[1].extent});
    e->slot = slot.name;
    for (int i = 0; i < x->rank; i++)
        if (!nm_has_dim(r, x->dim[i].name) && t.rank < NM_MAX_RANK)
            t.dim[t.rank++] = x->dim[i];
    nm_value *in[] = {c->v[0].u.t->v, c->v[1].u.t->v};
    nm_attr attr[] = {nm_mk_sym(e->m, "experts", experts.name), nm_mk_sym(e->m, "slot", slot.name),
                      nm_mk_sym(e->m, "choice", choice)};
    return nm_ev_value(
        e, nm_elab_op(e, c->loc, NM_OP_dispatch, 2, in, 3, attr, nm_type_get(e->m, &t)));
}

nm_ev nm_builtin_combine(nm_elab *e, nm_bcall *c)
{
    if (!two_dims(e, c, 3) || c->v[0].kind != NM_EV_tensor || c->v[2].kind != NM_EV_tensor)
        return c->v[3].u.dims.n == 2 ? fail(e, c, c->loc, "combine takes tensors [route-1]")
                                     : nm_ev_poison();
    nm_edim experts = c->v[3].u.dims.dim[0], slot = c->v[3].u.dims.dim[1],
            choice = c->v[4].u.dims.dim[0];
    if (!is_route(e, c, c->v[1], experts.name) ||
        !nm_dim_must_have(e, c->f, c->v[0], slot, c->loc, "combine") ||
        !nm_dim_must_have(e, c->f, c->v[1], choice, c->loc, "combine"))
        return nm_ev_poison();
    const nm_type *y = c->v[0].u.t->v->type, *r = c->v[1].u.t->v->type;
    nm_type t = {.dtype = y->dtype};
    for (int i = 0; i < r->rank; i++)
        if (r->dim[i].name != choice.name)
            t.dim[t.rank++] = r->dim[i];
    for (int i = 0; i < y->rank && t.rank < NM_MAX_RANK; i++)
        if (y->dim[i].name != experts.name && y->dim[i].name != slot.name &&
            !nm_has_dim(&t, y->dim[i].name))
            t.dim[t.rank++] = y->dim[i];
    nm_value *in[] = {c->v[0].u.t->v, c->v[1].u.t->v, c->v[2].u.t->v};
    nm_attr attr[] = {nm_mk_sym(e->m, "experts", experts.name), nm_mk_sym(e->m, "slot", slot.name),
                      nm_mk_sym(e->m, "choice", choice.name)};
    return nm_ev_value(e,
                       nm_elab_op(e, c->loc, NM_OP_combine, 3, in, 3, attr, nm_type_get(e->m, &t)));
}
