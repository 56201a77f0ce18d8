// The gradient of repeat: a repeat over the same dim in the other direction.
//
//   forward                            backward
//   carried  x                         carried  dx, and for each value w seen whole its sum dw
//   (from 0) stacked  s                         stacked  ds as a result; s itself as an operand, if
//   read whole    w                         whole    w, if read stacked results t stacked  dt, and
//   what the forward turns keep for us
//
// The backward body is built first, with a stand-in (a const of the right type) for every forward
// value that a rule reads. Once dead code is gone, the stand-ins still read are the needs;
// grad_save.c says what the forward turns keep as further stacked results, and the rest is computed
// again in the backward body.
#include "ir/grads.h"
#include "ir/loop.h"

typedef struct nm_saves { // of one body being reversed
    nm_op *fence;         // stand-ins are before it, the backward code behind
    int n;
    nm_value **of, **stand_in; // [n]
} nm_saves;

typedef struct list {
    int n;
    nm_value *v[];
} list;

typedef struct reversal {
    nm_grad *outer;
    nm_grad g; // of the body
    nm_op *op; // the forward repeat
    int carried, stacked;
    nm_saves saves;
    list *operands; // of the backward repeat: carried, then stacked, then whole
    list *results;  // of its body
    list *targets;  // the forward operand whose gradient each result is
    list *kept;     // values of the forward body that become stacked results
    int n_carried, n_stacked;
} reversal;

static list *new_list(nm_arena *arena, int cap)
{
    return nm_arena_alloc(arena, sizeof(list) + (size_t)cap * sizeof(nm_value *));
}

static void push(list *l, nm_value *v) { l->v[l->n++] = v; }

// nm_grad.of inside a backward body: a stand-in, made at the first question.
static nm_value *stand_in(nm_grad *g, nm_value *x)
{
    nm_saves *s = g->saves;
    for (int i = 0; i < s->n; i++)
        if (s->of[i] == x)
            return s->stand_in[i];
    nm_arena *arena = g->f->module->arena;
    s->of = nm_arena_grow(arena, s->of, s->n, sizeof *s->of);
    s->stand_in = nm_arena_grow(arena, s->stand_in, s->n, sizeof *s->stand_in);
    s->of[s->n] = x;
    nm_loc loc = x->def ? x->def->loc : g->f->loc;
    return s->stand_in[s->n++] = nm_build_filled(g->f, s->fence, loc, x->type, 0);
}

// A param of the backward body, and the operand that it shows.
static nm_value *take(reversal *r, nm_value *operand, const nm_type *type)
{
    push(r->operands, operand);
    return nm_func_param(r->g.f, type, NULL, (nm_bind){0});
}

static bool is_whole(const reversal *r, int i) { return i >= r->carried + r->stacked; }

// Carried gradients come in, and sums of gradients of whole values start at zero.
static void start_carried(reversal *r)
{
    nm_op *op = r->op;
    nm_func *body = op->body;
    for (int i = 0; i < op->n_in; i++) {
        nm_value *x = body->param[i];
        if (!nm_grad_wants(r->outer, x) || (i >= r->carried && !is_whole(r, i)))
            continue;
        nm_value *from = i < r->carried ? nm_grad_of(r->outer, op, i) : NULL;
        if (!from)
            from = nm_build_filled(r->outer->f, r->outer->before, op->loc, x->type, 0);
        nm_value *d = take(r, from, x->type);
        push(r->targets, op->in[i]);
        if (i < r->carried)
            nm_grad_into(&r->g, op, body->last->in[i], d);
        r->n_carried++;
    }
}

static void start_stacked(reversal *r)
{
    nm_op *op = r->op, *ret = op->body->last;
    for (int i = r->carried; i < op->n_out; i++) {
        nm_value *d = nm_grad_of(r->outer, op, i);
        if (!d)
            continue;
        nm_grad_into(&r->g, op, ret->in[i], take(r, d, ret->in[i]->type));
        r->n_stacked++;
    }
}

static void start(reversal *r, nm_grad *outer, nm_op *op)
{
    nm_module *m = outer->f->module;
    int cap = 2 * op->n_in + op->n_out + (int)op->body->n_params + 8;
    nm_each_op(inner, op->body)
        cap += inner->n_out;
    *r = (reversal){.outer = outer,
                    .op = op,
                    .carried = (int)nm_attr_int(op, "carried", 0),
                    .stacked = (int)nm_attr_int(op, "stacked", 0),
                    .operands = new_list(m->arena, cap),
                    .results = new_list(m->arena, cap),
                    .targets = new_list(m->arena, cap),
                    .kept = new_list(m->arena, cap)};
    r->g = *outer;
    r->g.f = nm_body_new(outer->f, op->loc);
    r->g.before = NULL;
    r->g.of = stand_in;
    r->g.saves = &r->saves;
    r->saves.fence = nm_build_const(r->g.f, NULL, op->loc, NM_f32, 0)->def;
    start_carried(r);
    start_stacked(r);
}

// The body's results: carried gradients, sums of whole values' gradients, gradients of stacked
// ones.
static void end_body(reversal *r)
{
    nm_op *op = r->op;
    nm_func *body = op->body, *back = r->g.f;
    for (int i = 0; i < op->n_in; i++) {
        nm_value *x = body->param[i], *d = r->g.adj[x->id];
        if (!nm_grad_wants(r->outer, x) || (i >= r->carried && !is_whole(r, i)))
            continue;
        nm_value *sum = back->param[r->results->n];
        if (is_whole(r, i))
            d = d ? nm_build2(back, NULL, op->loc, NM_OP_add, sum, d) : sum;
        push(r->results, d ? d : nm_build_filled(back, NULL, op->loc, x->type, 0));
    }
    for (int i = r->carried; i < r->carried + r->stacked; i++) {
        nm_value *d = r->g.adj[body->param[i]->id];
        if (!d)
            continue;
        push(r->results, d);
        push(r->targets, op->in[i]);
    }
    nm_func_ret(back, op->loc, r->results->n, r->results->v, NULL);
}

static void sweep(nm_func *f, const nm_op *stop)
{
    for (nm_op *op = f->last->prev, *prev; op && op != stop; op = prev) {
        prev = op->prev;
        bool used = !nm_is(op, NM_PURE);
        for (int i = 0; i < op->n_out; i++)
            used |= op->out[i].uses != NULL;
        if (!used)
            nm_erase(op);
    }
}

// --- what stands behind the stand-ins ----------------------------------------------------------

typedef struct plan {
    nm_value_list all;
    bool *need, *save, *seen;
    nm_value **now; // what it is in the backward body
} plan;

// What a stage of a pipeline runs keeps all that is read: passes/recompute.c goes on from there.
static nm_recompute how_to_save(const reversal *r)
{
    bool outermost = !r->outer->saves;
    return outermost && nm_is_staged(r->op) ? NM_RECOMPUTE_none : NM_RECOMPUTE_selective;
}

static plan make_plan(reversal *r)
{
    nm_arena *arena = r->g.f->module->arena;
    plan p = {.all = nm_grad_values(r->op->body, arena)};
    p.need = nm_new_n(arena, bool, p.all.n + 1);
    p.save = nm_new_n(arena, bool, p.all.n + 1);
    p.seen = nm_new_n(arena, bool, p.all.n + 1);
    p.now = nm_new_n(arena, nm_value *, p.all.n + 1);
    for (int i = 0; i < r->saves.n; i++)
        if (r->saves.stand_in[i]->uses)
            p.need[nm_grad_number(&p.all, r->saves.of[i])] = true;
    nm_grad_save(&p.all, r->carried, how_to_save(r), p.need, p.save);
    nm_grad_see(&p.all, p.need, p.save, p.seen);
    return p;
}

// Params for what is read: stacked operands and kept values, then whole operands.
static void take_leaves(reversal *r, plan *p)
{
    nm_op *op = r->op;
    for (int i = 0; i < p->all.n; i++) {
        nm_value *v = p->all.v[i];
        if (p->seen[i] && p->save[i]) { // the operand follows, once the forward repeat gives it
            push(r->kept, v);
            p->now[i] = take(r, NULL, v->type);
            r->n_stacked++;
        } else if (p->seen[i] && !v->def && !is_whole(r, v->index)) {
            p->now[i] = take(r, r->outer->of(r->outer, op->in[v->index]), v->type);
            r->n_stacked++;
        }
    }
    for (int i = 0; i < op->body->n_params; i++)
        if (p->seen[i] && !p->now[i])
            p->now[i] = take(r, r->outer->of(r->outer, op->in[i]), op->body->param[i]->type);
}

static void recompute(reversal *r, plan *p)
{
    for (int i = r->op->body->n_params; i < p->all.n; i++) {
        const nm_value *v = p->all.v[i];
        if (!p->seen[i] || p->now[i])
            continue;
        nm_value **in = nm_new_n(r->g.f->module->arena, nm_value *, v->def->n_in + 1);
        for (int k = 0; k < v->def->n_in; k++)
            in[k] = p->now[nm_grad_number(&p->all, v->def->in[k])];
        p->now[i] = nm_build(r->g.f, r->saves.fence,
                             &(nm_proto){.code = v->def->code,
                                         .loc = v->def->loc,
                                         .n_in = v->def->n_in,
                                         .in = in,
                                         .type = v->type,
                                         .n_attrs = v->def->n_attrs,
                                         .attr = v->def->attr,
                                         .name = v->name});
    }
}

static void resolve(reversal *r, plan *p)
{
    for (int i = 0; i < r->saves.n; i++) {
        nm_value *in = r->saves.stand_in[i];
        if (in->uses)
            nm_replace(in, p->now[nm_grad_number(&p->all, r->saves.of[i])]);
        nm_erase(in->def);
    }
    nm_erase(r->saves.fence);
}

// --- the two repeats ---------------------------------------------------------------------------

// A backward body around us may have asked for the old repeat's results.
static void rename_saved(nm_saves *s, const nm_op *old, nm_op *new)
{
    for (int i = 0; s && i < s->n; i++)
        if (s->of[i]->def == old)
            s->of[i] = &new->out[s->of[i]->index];
}

// The forward repeat, giving the kept values as well.
static nm_op *extend_forward(reversal *r)
{
    nm_op *old = r->op;
    if (!r->kept->n)
        return old;
    nm_loop loop = nm_loop_open(old);
    for (int i = 0; i < r->kept->n; i++)
        nm_loop_give(&loop, r->kept->v[i]);
    nm_op *op = nm_loop_close(&loop);
    rename_saved(r->outer->saves, old, op);
    return op;
}

static nm_op *build_backward(reversal *r, int first_kept)
{
    nm_module *m = r->g.f->module;
    nm_op *op = r->op;
    for (int i = 0, k = 0; i < r->operands->n; i++)
        if (!r->operands->v[i])
            r->operands->v[i] = r->outer->of(r->outer, &op->out[first_kept + k++]);
    nm_attr attr[] = {nm_mk_sym(m, "over", nm_attr_sym(op, "over")),
                      nm_mk_int(m, "carried", r->n_carried), nm_mk_int(m, "stacked", r->n_stacked),
                      nm_mk_bool(m, "reverse", true)};
    return nm_build_op(r->outer->f, r->outer->before,
                       &(nm_proto){.code = NM_OP_repeat,
                                   .loc = op->loc,
                                   .n_in = r->operands->n,
                                   .in = r->operands->v,
                                   .n_attrs = nm_attr_bool(op, "reverse") ? 3 : 4,
                                   .attr = attr,
                                   .body = r->g.f});
}

void nm_grad_repeat(nm_grad *g, nm_op *op)
{
    reversal r;
    start(&r, g, op);
    if (!nm_grad_walk(&r.g, op->body->last->prev)) {
        g->failed = true;
        return;
    }
    end_body(&r);
    sweep(r.g.f, r.saves.fence);
    plan p = make_plan(&r);
    take_leaves(&r, &p);
    recompute(&r, &p);
    resolve(&r, &p);
    int first_kept = op->n_out;
    r.op = extend_forward(&r);
    nm_op *back = build_backward(&r, first_kept);
    for (int i = 0; i < back->n_out; i++)
        nm_grad_into(g, r.op, r.targets->v[i], &back->out[i]);
}
