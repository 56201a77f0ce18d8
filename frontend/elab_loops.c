// repeat and scan. Names that existed before the loop and are assigned in it are carried; names
// that are new and read after it come out stacked, and so do emits and the next values of states.
//
// A repeat whose turns specialise differently (`as i`) is grouped: every turn is tried once, turns
// that build the same ops are alike, and the turns are cut into stretches of r * p turns with the
// smallest period p. A stretch is a repeat over r turns of a body of p; what is left over is
// unrolled, or a repeat of one turn where the mesh cuts the dim into stages. A turn within such a
// body is an inlined region: values with the loop's dim are sliced.
#include "frontend/elab_loops.h"
#include "frontend/walk.h"

#include <string.h>

typedef struct output { // what a turn leaves behind beside carried values
    enum { OUT_var, OUT_emit, OUT_state } kind;
    nm_sym name;
    nm_pvar *p;
    nm_ev value;
    nm_emit *emit;
} output;

typedef struct outputs {
    int n;
    output *out;
} outputs;

// --- which names ---------------------------------------------------------------------------------

typedef struct reader {
    nm_sym name;
    uint32_t from, to;
    bool found;
} reader;

static void see_name(void *user, const nm_ast_expr *x)
{
    reader *r = user;
    if (x->kind == NM_EXPR_name && x->u.name.part[0].sym == r->name &&
        (x->loc.off < r->from || x->loc.off >= r->to))
        r->found = true;
}

static bool is_read_outside(const nm_eloop *l, nm_sym name)
{
    reader r = {.name = name,
                .from = l->s->loc.off,
                .to = l->s->u.loop.body.loc.off + l->s->u.loop.body.loc.len};
    nm_ast_visitor v = {.expr = see_name, .user = &r};
    if (l->f->def)
        nm_ast_walk_def(&v, l->f->def);
    else if (l->f->body)
        nm_ast_walk_block(&v, l->f->body);
    return r.found;
}

static void sort_names(nm_elab *e, nm_eloop *l)
{
    l->names = nm_block_assigns(e, &l->s->u.loop.body);
    l->carried = nm_new_n(e->a, const nm_ast_word *, (size_t)l->names.n);
    l->fresh = nm_new_n(e->a, const nm_ast_word *, (size_t)l->names.n);
    for (int i = 0; i < l->names.n; i++) {
        const nm_ast_word *w = &l->names.word[i];
        nm_var *v = nm_frame_var(l->f, w->sym);
        if (v && v->value.kind == NM_EV_tensor)
            l->carried[l->n_carried++] = w;
        else if (!v && is_read_outside(l, w->sym))
            l->fresh[l->n_fresh++] = w;
    }
}

// --- one turn ------------------------------------------------------------------------------------

void nm_eloop_turn(nm_elab *e, nm_eloop *l, int64_t turn)
{
    const nm_ast_word *as = &l->s->u.loop.as;
    if (as->sym && l->scan) {
        nm_frame_set(e, l->f, as->sym, nm_ev_value(e, nm_region_index(e, e->at, l->s->loc)));
    } else if (as->sym) {
        nm_frame_set(e, l->f, as->sym, nm_ev_num((double)turn));
        nm_frame_var(l->f, as->sym)->is_turn = true;
    }
    l->f->in_loop++;
    nm_elab_block(e, l->f, &l->s->u.loop.body);
    l->f->in_loop--;
}

static void forget_names(nm_eloop *l) { l->f->n_vars = l->n_vars; }

static outputs collect(nm_elab *e, nm_eloop *l, nm_region *r)
{
    int n = l->n_fresh;
    for (nm_emit *m = e->fn->emit; m != l->emit; m = m->next)
        n++;
    for (nm_pvar *p = e->param; p; p = p->next)
        n += p->of == e->fn && p->where == r;
    outputs o = {0, nm_new_n(e->a, output, (size_t)n)};
    for (int i = 0; i < l->n_fresh; i++) {
        nm_var *v = nm_frame_var(l->f, l->fresh[i]->sym);
        if (v)
            o.out[o.n++] = (output){.kind = OUT_var, .name = v->name, .value = v->value};
    }
    for (nm_emit *m = e->fn->emit; m != l->emit; m = m->next)
        if (m->region == r)
            o.out[o.n++] =
                (output){.kind = OUT_emit, .name = m->path, .value = m->value, .emit = m};
    for (nm_pvar *p = e->param; p; p = p->next)
        if (p->of == e->fn && p->where == r)
            o.out[o.n++] = (output){
                .kind = OUT_state, .name = p->path, .p = p, .value = nm_ev_value(e, p->now)};
    return o;
}

// In the region around the loop: the names, emits and states have these values now.
static void deliver(nm_elab *e, nm_eloop *l, const outputs *o)
{
    for (int i = 0; i < o->n; i++) {
        output *out = &o->out[i];
        if (out->kind == OUT_var) {
            nm_frame_set(e, l->f, out->name, out->value);
        } else if (out->kind == OUT_state && out->value.kind == NM_EV_tensor) {
            nm_pvar_assign(e, out->p, out->value.u.t->v);
            out->p->assigned_in = e->fn;
        } else if (out->kind == OUT_emit) {
            nm_emit *m = nm_new(e->a, nm_emit);
            *m = *out->emit;
            m->value = out->value;
            m->region = e->at;
            m->next = e->fn->emit;
            e->fn->emit = m;
        }
    }
}

// --- carried values ------------------------------------------------------------------------------

nm_value **nm_eloop_start(nm_elab *e, nm_eloop *l)
{
    nm_value **v = nm_new_n(e->a, nm_value *, (size_t)l->n_carried);
    for (int i = 0; i < l->n_carried; i++) {
        nm_var *var = nm_frame_var(l->f, l->carried[i]->sym);
        nm_ev now = nm_ev_import(e, var->region, var->value);
        v[i] = now.kind == NM_EV_tensor ? now.u.t->v : NULL;
    }
    return v;
}

nm_value **nm_eloop_params(nm_elab *e, nm_eloop *l, nm_region *r, nm_value *const *start)
{
    nm_value **v = nm_new_n(e->a, nm_value *, (size_t)l->n_carried);
    for (int i = 0; i < l->n_carried; i++) {
        nm_var *var = nm_frame_var(l->f, l->carried[i]->sym);
        v[i] = nm_func_param(r->f, start[i]->type, start[i]->name, (nm_bind){0});
        nm_ev inner = nm_ev_like(e, var->value, v[i]);
        inner.made = var->value.made;
        nm_frame_set(e, l->f, var->name, inner);
    }
    return v;
}

static bool keeps_type(nm_elab *e, nm_eloop *l, int i, const nm_type *start, nm_ev now,
                       nm_value **next)
{
    const nm_ast_word *w = l->carried[i];
    const nm_type *t = now.kind == NM_EV_tensor ? now.u.t->v->type : NULL;
    if (now.kind == NM_EV_poison)
        return false;
    if (!t && nm_ev_is_number(now)) {
        *next = nm_elab_coerce(e, l->f, now, start, w->sym, "loop-2", w->loc);
        return *next != NULL;
    }
    if (!t || !nm_type_same_set(start, t)) {
        nm_elab_error(e, l->f, w->loc, "%s enters the %s as %s and leaves it as %s [loop-2]",
                      w->sym, l->scan ? "scan" : "repeat", nm_type_str(e->m, start),
                      nm_ev_describe(e, now));
        return false;
    }
    *next = nm_elab_order(e, w->loc, now.u.t->v, start);
    return *next != NULL;
}

static bool carried_next(nm_elab *e, nm_eloop *l, nm_value *const *start, nm_value **next)
{
    bool ok = true;
    for (int i = 0; i < l->n_carried; i++) {
        nm_var *var = nm_frame_var(l->f, l->carried[i]->sym);
        nm_ev now = nm_ev_import(e, var->region, var->value);
        ok &= keeps_type(e, l, i, start[i]->type, now, &next[i]);
    }
    return ok;
}

// After a mistake in the body: what is carried keeps its type, so its start can stand for it.
static void give_up(nm_elab *e, nm_eloop *l, const nm_var *before)
{
    for (int i = 0; i < l->n_vars; i++)
        l->f->var[i] = before[i];
    e->fn->emit = l->emit;
    for (int i = 0; i < l->n_fresh; i++)
        nm_frame_set(e, l->f, l->fresh[i]->sym, nm_ev_poison());
}

// --- a repeat op ---------------------------------------------------------------------------------

static outputs several_turns(nm_elab *e, nm_eloop *l, nm_region *r);

static outputs the_turn(nm_elab *e, nm_eloop *l, nm_region *r)
{
    nm_eloop_turn(e, l, r->first);
    return collect(e, l, r);
}

// [dim, whole=p, ...] as [whole=dim * p, ...]
static nm_value *merge_turns(nm_elab *e, const nm_region *r, nm_value *v, nm_loc loc)
{
    nm_sym from[] = {r->dim.name, r->whole};
    nm_attr attr[] = {nm_mk_dims(e->m, "from", (nm_syms){2, from}),
                      nm_mk_sym(e->m, "into", r->whole)};
    return v && r->whole ? nm_elab_op(e, loc, NM_OP_merge, 1, &v, 2, attr, NULL) : v;
}

static bool close_body(nm_elab *e, nm_eloop *l, nm_region *r, nm_value *const *start,
                       nm_value *const *inner, outputs *o)
{
    nm_value **next = nm_new_n(e->a, nm_value *, (size_t)l->n_carried);
    nm_value **stacked = nm_new_n(e->a, nm_value *, (size_t)o->n);
    nm_value **result = nm_new_n(e->a, nm_value *, (size_t)(l->n_carried + o->n));
    int n = 0;
    if (!carried_next(e, l, start, next))
        return false;
    for (int i = 0; i < o->n; i++)
        if (o->out[i].value.kind == NM_EV_tensor)
            stacked[n++] = o->out[i].value.u.t->v;
    nm_region_close(e, l->s->loc, l->n_carried, start, inner, next, n, stacked, result);
    forget_names(l);
    for (int i = 0; i < l->n_carried; i++) {
        nm_var *var = nm_frame_var(l->f, l->carried[i]->sym);
        nm_ev v = nm_ev_like(e, var->value, result[i]);
        v.made = l->carried[i]->loc;
        nm_frame_set(e, l->f, var->name, v);
    }
    n = l->n_carried;
    for (int i = 0; i < o->n; i++)
        if (o->out[i].value.kind == NM_EV_tensor)
            o->out[i].value =
                nm_ev_like(e, o->out[i].value, merge_turns(e, r, result[n++], l->s->loc));
    return true;
}

// The turns of r as one op. Its outputs, stacked, are in *o.
static bool build_repeat(nm_elab *e, nm_eloop *l, nm_region *r, outputs *o)
{
    unsigned fails = e->fails;
    nm_region *outer = r->outer;
    e->at = outer;
    nm_value **start = nm_eloop_start(e, l);
    e->at = r;
    for (int i = 0; i < l->n_carried; i++)
        if (!start[i])
            return false;
    nm_value **inner = nm_eloop_params(e, l, r, start);
    *o = r->whole ? several_turns(e, l, r) : the_turn(e, l, r);
    if (e->fails == fails && close_body(e, l, r, start, inner, o))
        return true;
    e->at = outer;
    return false;
}

// --- turns in line -------------------------------------------------------------------------------

// The turn's values are values of the region around it: ops went there.
static void rebind(nm_eloop *l, const nm_region *from, nm_region *to)
{
    for (int i = 0; i < l->f->n_vars; i++)
        if (l->f->var[i].region == from)
            l->f->var[i].region = to;
}

static nm_ev grown(nm_elab *e, nm_ev v, nm_sym dim, nm_loc loc)
{
    if (v.kind != NM_EV_tensor || v.u.t->v->type->rank == NM_MAX_RANK ||
        nm_has_dim(v.u.t->v->type, dim))
        return nm_ev_poison();
    const nm_type *t = nm_type_with_outer(
        e->m, v.u.t->v->type, (nm_dim){.name = dim, .extent = nm_extent_const(e->m, 1)});
    return nm_ev_like(e, v, nm_elab_op(e, loc, NM_OP_broadcast, 1, &v.u.t->v, 0, NULL, t));
}

// One turn here: ops go where they go, `dim` is at index `at`. Outputs have the dim with extent 1.
static outputs inline_turn(nm_elab *e, nm_eloop *l, nm_edim dim, int64_t at, int64_t turn)
{
    const nm_mark *before = nm_mark_take(e);
    nm_region *r = nm_region_inline(e, dim, at, l->s->loc);
    nm_eloop_turn(e, l, turn);
    outputs o = collect(e, l, r);
    e->at = r->outer;
    rebind(l, r, r->outer);
    nm_mark_back(e, before); // the next turn sees its own indices of states, and draws by its turn
    for (int i = 0; i < o.n; i++)
        o.out[i].value = grown(e, o.out[i].value, dim.name, l->s->loc);
    return o;
}

static bool same_outputs(const outputs *a, const outputs *b)
{
    for (int i = 0; i < a->n && a->n == b->n; i++)
        if (a->out[i].kind != b->out[i].kind || a->out[i].name != b->out[i].name)
            return false;
    return a->n == b->n;
}

// Outputs of parts side by side along the dim.
static outputs join(nm_elab *e, nm_eloop *l, int n, const outputs *part, nm_sym dim)
{
    outputs all = {part[0].n, nm_new_n(e->a, output, (size_t)part[0].n)};
    for (int k = 1; k < n; k++)
        if (!same_outputs(&part[0], &part[k])) {
            nm_elab_error(e, l->f, l->s->loc,
                          "turns of a repeat publish different values [loop-3]");
            return (outputs){0};
        }
    for (int i = 0; i < all.n; i++) {
        nm_value **v = nm_new_n(e->a, nm_value *, (size_t)n);
        all.out[i] = part[0].out[i];
        bool ok = true;
        for (int k = 0; k < n; k++) {
            nm_ev x = part[k].out[i].value;
            ok &= x.kind == NM_EV_tensor;
            v[k] = ok ? nm_elab_order(e, l->s->loc, x.u.t->v, x.u.t->v->type) : NULL;
        }
        nm_attr attr = nm_mk_sym(e->m, "over", dim);
        if (ok && n > 1)
            all.out[i].value = nm_ev_like(
                e, all.out[i].value, nm_elab_op(e, l->s->loc, NM_OP_concat, n, v, 1, &attr, NULL));
        else if (!ok)
            all.out[i].value = nm_ev_poison();
    }
    return all;
}

static outputs several_turns(nm_elab *e, nm_eloop *l, nm_region *r)
{
    outputs *part = nm_new_n(e->a, outputs, (size_t)r->period);
    nm_edim inner = {.name = r->whole, .extent = nm_extent_const(e->m, r->period)};
    int n_labels = l->f->n_labels;
    for (int64_t k = 0; k < r->period; k++) {
        l->f->n_labels = n_labels;
        part[k] = inline_turn(e, l, inner, k, r->first + k);
    }
    return join(e, l, (int)r->period, part, r->whole);
}

// --- turns that specialise alike -----------------------------------------------------------------

// Are the turns dealt out to stages of a pipeline? Then each of them is one of a repeat.
static bool is_staged(const nm_elab *e, const nm_eloop *l)
{
    for (int i = 0; i < e->m->n_mesh; i++)
        if (!strcmp(e->m->mesh[i].axis, "pp") && nm_syms_has(e->m->mesh[i].dims, l->dim.name))
            return true;
    return false;
}

static outputs run_stretch(nm_elab *e, nm_eloop *l, nm_stretch s, bool *ok)
{
    outputs o = {0};
    if (s.repeats == 1 && !is_staged(e, l))
        return inline_turn(e, l, l->dim, s.first, s.first);
    nm_edim dim = nm_turns_dim(e, l, s);
    const nm_mark *before = nm_mark_take(e);
    nm_region *r = nm_region_open(e, dim, false, l->s->loc);
    r->whole = l->dim.name;
    r->first = s.first;
    r->period = s.period;
    r->turns = l->dim.extent;
    *ok &= build_repeat(e, l, r, &o);
    nm_mark_back(e, before);
    return o;
}

static bool run_stretches(nm_elab *e, nm_eloop *l, const uint64_t *sig, outputs *all)
{
    outputs *part = nm_new_n(e->a, outputs, (size_t)l->turns);
    int n = 0;
    bool ok = true;
    for (int64_t at = 0; at < l->turns && ok;) {
        nm_stretch s = nm_turns_stretch(sig, l->turns, at);
        l->f->n_labels = l->n_labels;
        part[n++] = run_stretch(e, l, s, &ok);
        at += s.repeats * s.period;
    }
    if (!ok)
        return false;
    forget_names(l);
    *all = join(e, l, n, part, l->dim.name);
    return true;
}

// --- all -----------------------------------------------------------------------------------------

static bool read_dim(nm_elab *e, nm_eloop *l)
{
    const nm_ast_name *name = &l->s->u.loop.dim;
    if (!nm_dim_single(e, l->f, nm_dims_of_name(e, l->f, name, name->loc), name->loc, &l->dim))
        return false;
    l->dim.extent = nm_dim_extent(e, l->f, l->dim, name->loc);
    if (!l->dim.extent)
        return false;
    if (l->scan || nm_extent_is_const(l->dim.extent, &l->turns))
        return l->scan || l->turns < 1 << 20;
    nm_elab_error(e, l->f, name->loc,
                  "a repeat runs over a dim with a size, and %s is bound when the binary starts; "
                  "use scan [loop-1]",
                  l->dim.name);
    return false;
}

static bool run_loop(nm_elab *e, nm_eloop *l)
{
    outputs o = {0};
    uint64_t *sig = !l->scan && l->s->u.loop.as.sym ? nm_turns_signatures(e, l) : NULL;
    bool ok;
    if (sig) {
        ok = run_stretches(e, l, sig, &o);
    } else {
        nm_region *r = nm_region_open(e, l->dim, l->scan, l->s->loc);
        ok = build_repeat(e, l, r, &o);
    }
    if (ok)
        deliver(e, l, &o);
    return ok;
}

void nm_stmt_loop(nm_elab *e, nm_frame *f, const nm_ast_stmt *s)
{
    nm_eloop l = {.f = f, .s = s, .scan = s->kind == NM_STMT_scan};
    if (!e->fn || !e->at)
        return;
    sort_names(e, &l);
    l.n_vars = f->n_vars;
    l.n_labels = f->n_labels;
    l.emit = e->fn->emit;
    nm_var *before = nm_new_n(e->a, nm_var, (size_t)f->n_vars);
    for (int i = 0; i < f->n_vars; i++)
        before[i] = f->var[i];
    if (!read_dim(e, &l) || !run_loop(e, &l)) {
        forget_names(&l);
        give_up(e, &l, before);
    }
}
