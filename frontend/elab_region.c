// Regions: where ops go. A loop's body sees outer values through imports: a value that has the
// loop's dim at this turn's index, any other whole. An unrolled turn is a region, too, without a
// function of its own: there an import is a slice.
#include "frontend/elab_internal.h"

#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

// --- functions -----------------------------------------------------------------------------------

nm_efunc *nm_efunc_new(nm_elab *e, const char *name, nm_loc loc)
{
    nm_efunc *fn = nm_new(e->a, nm_efunc);
    fn->f = nm_func_new(e->m, nm_sym_get(e->m, name), loc);
    fn->root = nm_new(e->a, nm_region);
    fn->root->f = fn->f;
    fn->root->fn = fn;
    return fn;
}

nm_value *nm_efunc_scalar(nm_elab *e, const char *name, nm_dtype dtype)
{
    nm_sym sym = nm_sym_get(e->m, name);
    nm_func *f = e->fn->f;
    nm_bind bind = {.kind = NM_BIND_scalar, .name = sym};
    int i = nm_func_find_param(f, bind.kind, sym);
    nm_value *v = i >= 0 ? f->param[i] : nm_func_param(f, nm_type_scalar(e->m, dtype), sym, bind);
    return nm_region_import(e, e->fn->root, v);
}

// Data, params, states, scalars; within each as they came. Parameters that nothing reads are
// dropped.
static void sort_params(nm_func *f, nm_arena *a)
{
    static const nm_bind_kind order[] = {NM_BIND_data, NM_BIND_param, NM_BIND_state,
                                         NM_BIND_scalar};
    nm_value **param = nm_new_n(a, nm_value *, (size_t)f->n_params);
    nm_bind *bind = nm_new_n(a, nm_bind, (size_t)f->n_params);
    int n = 0;
    for (size_t k = 0; k < sizeof order / sizeof order[0]; k++)
        for (int i = 0; i < f->n_params; i++)
            if (f->param_bind[i].kind == order[k] && (k == 0 || f->param[i]->uses)) {
                param[n] = f->param[i];
                bind[n++] = f->param_bind[i];
            }
    f->n_params = n;
    for (int i = 0; i < n; i++) {
        f->param[i] = param[i];
        f->param_bind[i] = bind[i];
        f->param[i]->index = i;
    }
}

void nm_efunc_finish(nm_elab *e, nm_efunc *fn, nm_loc loc, int n, nm_value *const *value,
                     const nm_bind *bind)
{
    nm_func_ret(fn->f, loc, n, value, bind);
    sort_params(fn->f, e->a);
}

// --- imports -------------------------------------------------------------------------------------

nm_value *nm_elab_turn_of(nm_elab *e, nm_loc loc, nm_value *v, nm_sym dim, int64_t at)
{
    nm_attr attr[] = {nm_mk_sym(e->m, "over", dim),
                      nm_mk_extent(e->m, "start", nm_extent_const(e->m, at))};
    return nm_elab_op(e, loc, NM_OP_slice, 1, &v, 2, attr, nm_type_without(e->m, v->type, dim));
}

// Turns first .. first + period * (extent of dim) of v, as [dim, whole=period, ...]: what a body of
// several turns is given. Built in the outer region.
static nm_value *split_turns(nm_elab *e, const nm_region *r, nm_value *v)
{
    nm_type t = *v->type;
    int at = nm_type_find(&t, r->whole);
    const nm_extent *period = nm_extent_const(e->m, r->period);
    const nm_extent *count = nm_extent_mul(e->m, r->dim.extent, period);
    if (t.dim[at].extent != count) {
        t.dim[at].extent = count;
        nm_attr attr[] = {nm_mk_sym(e->m, "over", r->whole),
                          nm_mk_extent(e->m, "start", nm_extent_const(e->m, r->first))};
        v = nm_elab_op(e, r->loc, NM_OP_slice, 1, &v, 2, attr, nm_type_get(e->m, &t));
    }
    if (t.rank == NM_MAX_RANK)
        return NULL;
    for (int i = t.rank++; i > at; i--)
        t.dim[i] = t.dim[i - 1];
    t.dim[at] = (nm_dim){.name = r->dim.name, .extent = r->dim.extent};
    t.dim[at + 1].extent = period;
    nm_sym into[] = {r->dim.name, r->whole};
    nm_attr attr[] = {nm_mk_sym(e->m, "from", r->whole),
                      nm_mk_dims(e->m, "into", (nm_syms){2, into})};
    return nm_elab_op(e, r->loc, NM_OP_split, 1, &v, 2, attr, nm_type_get(e->m, &t));
}

static nm_value *operand_of(nm_elab *e, nm_region *r, nm_value *v)
{
    if (!r->whole || !nm_has_dim(v->type, r->whole))
        return v;
    nm_region *now = e->at;
    e->at = r->outer;
    v = split_turns(e, r, v);
    e->at = now;
    return v;
}

static nm_value *import_into_body(nm_elab *e, nm_region *r, nm_value *v)
{
    for (nm_import *i = r->import; i; i = i->next)
        if (i->outer == v)
            return i->inner;
    nm_value *operand = operand_of(e, r, v);
    if (!operand)
        return NULL;
    nm_import *i = nm_new(e->a, nm_import);
    bool stacked = nm_has_dim(operand->type, r->dim.name);
    const nm_type *type =
        stacked ? nm_type_without(e->m, operand->type, r->dim.name) : operand->type;
    nm_value *inner = nm_func_param(r->f, type, v->name, (nm_bind){0});
    *i = (nm_import){
        .outer = v, .operand = operand, .inner = inner, .stacked = stacked, .next = r->import};
    r->import = i;
    e->trace = nm_hash64_more(e->trace, &operand->id, sizeof operand->id);
    e->trace = nm_hash64_more(e->trace, &type, sizeof type);
    return inner;
}

static nm_value *import_step(nm_elab *e, nm_region *from, nm_region *r, nm_value *v)
{
    if (r == from || !r->outer)
        return v;
    v = import_step(e, from, r->outer, v);
    if (!r->inlined)
        return import_into_body(e, r, v);
    if (!nm_has_dim(v->type, r->dim.name))
        return v;
    nm_region *now = e->at;
    e->at = r->outer; // the slice reads the whole value
    v = nm_elab_turn_of(e, r->loc, v, r->dim.name, r->at);
    e->at = now;
    return v;
}

static bool is_around(const nm_region *r, const nm_region *at)
{
    for (; at; at = at->outer)
        if (at == r)
            return true;
    return false;
}

nm_value *nm_region_import(nm_elab *e, nm_region *from, nm_value *v)
{
    return v ? import_step(e, from, e->at, v) : NULL;
}

static nm_ev import_items(nm_elab *e, nm_region *from, nm_ev v)
{
    nm_ev out = nm_ev_tuple(e, v.u.tuple.n, v.u.tuple.item);
    for (int i = 0; i < out.u.tuple.n; i++)
        out.u.tuple.item[i] = nm_ev_import(e, from, out.u.tuple.item[i]);
    out.loc = v.loc;
    out.text = v.text;
    return out;
}

nm_ev nm_ev_import(nm_elab *e, nm_region *from, nm_ev v)
{
    if (from == e->at || !from)
        return v;
    if (v.kind == NM_EV_tuple)
        return import_items(e, from, v);
    if (v.kind != NM_EV_tensor)
        return v;
    nm_tensor t = *v.u.t;
    if (from->fn != e->at->fn)
        return t.param
                   ? nm_pvar_read(e, t.param, v.loc)
                   : nm_elab_error(
                         e, NULL, v.loc,
                         "a starting value reads numbers and parameters, and '%s' is %s [param-1]",
                         nm_ev_name(e, v, "this"), nm_tensor_str(e, &t));
    if (!is_around(from, e->at))
        return nm_elab_error(e, NULL, v.loc,
                             "'%s' is a value of a loop's turn, and the loop is over [inst-4]",
                             nm_ev_name(e, v, "this"));
    t.v = nm_region_import(e, from, t.v);
    nm_ev out = nm_ev_tensor(e, t);
    out.loc = v.loc;
    out.text = v.text;
    return out;
}

// --- loops ---------------------------------------------------------------------------------------

nm_region *nm_region_open(nm_elab *e, nm_edim dim, bool scan, nm_loc loc)
{
    nm_region *r = nm_new(e->a, nm_region);
    *r = (nm_region){.outer = e->at, .fn = e->at->fn, .dim = dim, .loc = loc, .scan = scan};
    r->f = nm_body_new(e->at->f, nm_elab_users_loc(e, loc));
    e->at = r;
    return r;
}

nm_region *nm_region_inline(nm_elab *e, nm_edim dim, int64_t at, nm_loc loc)
{
    nm_region *r = nm_new(e->a, nm_region);
    *r = (nm_region){.outer = e->at,
                     .fn = e->at->fn,
                     .f = e->at->f,
                     .loc = loc,
                     .dim = dim,
                     .inlined = true,
                     .at = at};
    e->at = r;
    return r;
}

// The body's parameters in the order that repeat wants: carried, stacked, whole. Imports that
// nothing reads (asking for a shape imports, too) are left out. The number of operands.
static int order_body_params(nm_elab *e, nm_region *r, int n_carried, nm_value *const *inner,
                             nm_value **operand, int *n_stacked)
{
    nm_func *f = r->f;
    nm_value **param = nm_new_n(e->a, nm_value *, (size_t)f->n_params);
    nm_import **all = nm_new_n(e->a, nm_import *, (size_t)f->n_params);
    int n = n_carried, n_all = 0;
    for (int i = 0; i < n_carried; i++)
        param[i] = inner[i];
    for (nm_import *i = r->import; i; i = i->next)
        if (i->inner->uses)
            all[n_all++] = i;
    for (int stacked = 1; stacked >= 0; stacked--) {
        for (int k = n_all - 1; k >= 0; k--) // oldest first
            if (all[k]->stacked == (bool)stacked) {
                operand[n] = all[k]->operand;
                param[n++] = all[k]->inner;
            }
        if (stacked)
            *n_stacked = n - n_carried;
    }
    f->n_params = n;
    for (int i = 0; i < n; i++) {
        f->param[i] = param[i];
        param[i]->index = i;
    }
    return n;
}

void nm_region_close(nm_elab *e, nm_loc loc, int n_carried, nm_value *const *start,
                     nm_value *const *inner, nm_value *const *next, int n_stacked,
                     nm_value *const *stacked, nm_value **result)
{
    nm_region *r = e->at;
    int n_out = n_carried + n_stacked, n_in_stacked = 0;
    nm_value **out = nm_new_n(e->a, nm_value *, (size_t)n_out);
    nm_value **operand = nm_new_n(e->a, nm_value *, (size_t)r->f->n_params);
    for (int i = 0; i < n_out; i++)
        out[i] = i < n_carried ? next[i] : stacked[i - n_carried];
    for (int i = 0; i < n_carried; i++)
        operand[i] = start[i];
    nm_func_ret(r->f, nm_elab_users_loc(e, loc), n_out, out, NULL);
    int n_in = order_body_params(e, r, n_carried, inner, operand, &n_in_stacked);
    e->at = r->outer;
    nm_attr attr[] = {nm_mk_sym(e->m, "over", r->dim.name), nm_mk_int(e->m, "carried", n_carried),
                      nm_mk_int(e->m, "stacked", n_in_stacked)};
    nm_op *op = nm_elab_op_many(e, (nm_proto){.code = NM_OP_repeat,
                                              .loc = loc,
                                              .n_in = n_in,
                                              .in = operand,
                                              .n_attrs = 3,
                                              .attr = attr,
                                              .body = r->f});
    for (int i = 0; i < n_out; i++)
        result[i] = op ? &op->out[i] : NULL;
}

// The index of a loop's turn, in the loop's own region.
nm_value *nm_region_index(nm_elab *e, nm_region *r, nm_loc loc)
{
    nm_region *now = e->at;
    nm_value *v = r->index;
    if (v)
        return nm_region_import(e, r, v);
    if (r->inlined) {
        v = nm_elab_const(e, loc, NM_i32, (double)r->at);
    } else {
        e->at = r->outer;
        nm_attr attr = nm_mk_sym(e->m, "dim", r->dim.name);
        nm_type type = {
            .dtype = NM_i32, .rank = 1, .dim = {{.name = r->dim.name, .extent = r->dim.extent}}};
        v = nm_elab_op(e, loc, NM_OP_index, 0, NULL, 1, &attr, nm_type_get(e->m, &type));
        e->at = r;
        r->index = v = v ? import_into_body(e, r, v) : NULL;
    }
    e->at = now;
    return nm_region_import(e, r, v);
}

static nm_value *affine(nm_elab *e, nm_loc loc, nm_value *i, const nm_extent *factor,
                        nm_value *plus)
{
    nm_ev f = nm_ev_extent(e, factor);
    if (f.kind != NM_EV_num || f.u.num != 1)
        i = nm_elab_op2(e, loc, NM_OP_mul, i, nm_ev_materialise(e, f, NM_i32, loc));
    return plus ? nm_elab_op2(e, loc, NM_OP_add, i, plus) : i;
}

// Of nested loops: outer * (turns of the inner ones) + inner.
nm_value *nm_region_turn(nm_elab *e, nm_loc loc)
{
    nm_value *turn = NULL;
    const nm_extent *turns = nm_extent_const(e->m, 1);
    for (nm_region *r = e->at; r->outer && turns; r = r->outer) { // innermost first
        if (!r->dim.name)
            continue;
        turn = affine(e, loc, nm_region_index(e, r, loc), turns, turn);
        if (r->whole && r->first)
            turn = affine(e, loc, turn, nm_extent_const(e->m, 1),
                          nm_elab_const(e, loc, NM_i32, (double)r->first));
        turns = r->whole ? r->turns : nm_extent_mul(e->m, turns, r->dim.extent);
    }
    return turn;
}

// --- trials --------------------------------------------------------------------------------------

typedef struct kept { // of one parameter
    nm_pvar *p;
    nm_value *now;
    nm_region *where;
    nm_efunc *of, *assigned_in;
} kept;

struct nm_mark {
    int n, draws;
    kept *kept;
    nm_emit *emit;
};

nm_mark *nm_mark_take(nm_elab *e)
{
    nm_mark *m = nm_new(e->a, nm_mark);
    for (nm_pvar *p = e->param; p; p = p->next)
        m->n++;
    m->kept = nm_new_n(e->a, kept, (size_t)m->n);
    int n = 0;
    for (nm_pvar *p = e->param; p; p = p->next)
        m->kept[n++] = (kept){p, p->now, p->where, p->of, p->assigned_in};
    m->emit = e->fn->emit;
    m->draws = nm_draws_mark(e);
    return m;
}

// A value that is a parameter of the function stays known: it was there all the time.
static bool is_function_param(nm_elab *e, const nm_pvar *p)
{
    return p->of == e->fn && p->where == e->fn->root && !p->now->def;
}

void nm_mark_back(nm_elab *e, const nm_mark *mark)
{
    int i = 0;
    for (nm_pvar *p = e->param; p; p = p->next, i++) {
        kept k = i < mark->n ? mark->kept[i] : (kept){.p = p};
        p->assigned_in = k.assigned_in;
        if (is_function_param(e, p))
            continue;
        p->now = k.now;
        p->where = k.where;
        p->of = k.of;
    }
    e->fn->emit = mark->emit;
    nm_draws_reset(e, mark->draws);
}

struct nm_trial {
    nm_region *at;
    uint64_t trace;
    nm_mark *mark;
};

nm_trial *nm_trial_begin(nm_elab *e, nm_loc loc)
{
    nm_trial *t = nm_new(e->a, nm_trial);
    *t = (nm_trial){.at = e->at, .trace = e->trace, .mark = nm_mark_take(e)};
    nm_region_open(e, (nm_edim){0}, false, loc);
    return t;
}

void nm_trial_end(nm_elab *e, nm_trial *t)
{
    e->at = t->at;
    e->trace = t->trace;
    nm_mark_back(e, t->mark);
}

// --- ops -----------------------------------------------------------------------------------------

static uint64_t hash_attr(uint64_t h, const nm_attr *a)
{
    h = nm_hash64_more(h, &a->name, sizeof a->name);
    switch (a->kind) {
    case NM_ATTR_dims:
        return nm_hash64_more(h, a->u.syms.sym, (size_t)a->u.syms.n * sizeof *a->u.syms.sym);
    case NM_ATTR_bool: return nm_hash64_more(h, &a->u.b, sizeof a->u.b);
    case NM_ATTR_dtype: return nm_hash64_more(h, &a->u.dtype, sizeof a->u.dtype);
    default: return nm_hash64_more(h, &a->u.i, sizeof a->u.i);
    }
}

// What makes two turns of a repeat specialise alike: the same ops in the same order. Ids count from
// 0 in a body; everything else that is hashed is interned.
static void trace_op(nm_elab *e, const nm_op *op)
{
    uint64_t h = nm_hash64_more(e->trace, &op->code, sizeof op->code);
    for (int i = 0; i < op->n_in; i++)
        h = nm_hash64_more(h, &op->in[i]->id, sizeof op->in[i]->id);
    for (int i = 0; i < op->n_attrs; i++)
        h = hash_attr(h, &op->attr[i]);
    for (int i = 0; i < op->n_out; i++)
        h = nm_hash64_more(h, &op->out[i].type, sizeof op->out[i].type);
    e->trace = h;
}

nm_loc nm_elab_users_loc(nm_elab *e, nm_loc loc)
{
    return loc.src == e->prog->std->src && e->user_loc.src ? e->user_loc : loc;
}

nm_op *nm_elab_op_many(nm_elab *e, nm_proto proto)
{
    proto.loc = nm_elab_users_loc(e, proto.loc);
    for (int i = 0; i < proto.n_in; i++)
        if (!proto.in[i])
            return NULL;
    if (e->gave_up)
        return NULL;
    if (!e->at) { // a size or constant of a file
        nm_elab_error(e, NULL, proto.loc,
                      "only numbers are computed outside of definitions [static-1]");
        return NULL;
    }
    nm_op *op = nm_build_op(e->at->f, NULL, &proto);
    if (op)
        trace_op(e, op);
    return op;
}

nm_value *nm_elab_op(nm_elab *e, nm_loc loc, nm_opcode code, int n_in, nm_value *const *in,
                     int n_attrs, const nm_attr *attr, const nm_type *type)
{
    nm_op *op = nm_elab_op_many(e, (nm_proto){.code = code,
                                              .loc = loc,
                                              .n_in = n_in,
                                              .in = in,
                                              .n_attrs = n_attrs,
                                              .attr = attr,
                                              .type = type});
    return op ? &op->out[0] : NULL;
}

nm_value *nm_elab_op1(nm_elab *e, nm_loc loc, nm_opcode code, nm_value *a)
{
    return nm_elab_op(e, loc, code, 1, &a, 0, NULL, NULL);
}

nm_value *nm_elab_op2(nm_elab *e, nm_loc loc, nm_opcode code, nm_value *a, nm_value *b)
{
    nm_value *in[] = {a, b};
    return nm_elab_op(e, loc, code, 2, in, 0, NULL, NULL);
}

nm_value *nm_elab_const(nm_elab *e, nm_loc loc, nm_dtype dtype, double v)
{
    nm_attr attr = nm_mk_float(e->m, "value", v);
    return nm_elab_op(e, loc, NM_OP_const, 0, NULL, 1, &attr, nm_type_scalar(e->m, dtype));
}

nm_value *nm_elab_cast(nm_elab *e, nm_loc loc, nm_value *v, nm_dtype dtype)
{
    if (!v || v->type->dtype == dtype)
        return v;
    nm_attr to = nm_mk_dtype(e->m, "to", dtype);
    return nm_elab_op(e, loc, NM_OP_cast, 1, &v, 1, &to, NULL);
}

nm_value *nm_elab_order(nm_elab *e, nm_loc loc, nm_value *v, const nm_type *type)
{
    type = nm_type_with_dtype(e->m, type, v->type->dtype);
    return v->type == type ? v : nm_elab_op(e, loc, NM_OP_broadcast, 1, &v, 0, NULL, type);
}
