// Recipe `delayed`: what is rounded to 8 bits is scaled by what was largest in earlier steps, so a
// rounding waits for nothing (NVIDIA Transformer Engine, DelayedScaling with its defaults: history
// 1024, algorithm max, margin 0). Put here, into a whole training step whose products' operands go
// through a qdq each:
//
//   a state peak[layers]              the largest of the history: what the turns' qdq scale by
//   a state history[layers, 1024]     the largest |x| of a step, of all its micro-batches
//
//   amax = max |x|  in the turn that rounds x, stacked; of a parameter, once a step
//   history' = amax in the place (step mod 1024), else history       peak' = max history'
//
// Accumulate makes amax an accumulator that is a maximum, and the new states part of the step's
// end; on a mesh it stays pending until then. A peak of 0, before the first step, is a scale of 1.
// A step whose amax is no number leaves none.
//
// The states are this program's own. What is rounded again in backward from what forward saved has
// forward's. Functions other than a step's keep qdq as they are, scaled by what they read, and so
// do repeats whose turns are several layers, and what a repeat within a turn rounds.
#include "passes/fp8.h"

#include "ir/form.h"
#include "ir/loop.h"
#include "passes/build.h"

#include <string.h>

enum { HISTORY = 1024 };

typedef struct site { // what is rounded alike, in a repeat
    const nm_value *source;
    nm_dtype to;
    nm_value *peak, *history; // parameters of the step
    nm_value *amax;           // f32, by turns
    nm_sym peak_path, history_path;
    int turn;  // of the repeat at hand: the row of the peak; -1: none yet
    int given; // the row of amax; -1: it is not of this repeat
    nm_loc loc;
} site;

typedef struct delay { // of one function
    nm_func *f;
    nm_module *m;
    int n;
    site *site;
} delay;

// --- building ------------------------------------------------------------------------------------

// The largest |v| over all dims but `keep` (NULL: over all), in f32.
static nm_value *largest(nm_op *before, nm_value *v, nm_sym keep)
{
    nm_sym dim[NM_MAX_RANK];
    nm_syms over = {0, dim};
    for (int i = 0; i < v->type->rank; i++)
        if (v->type->dim[i].name != keep)
            dim[over.n++] = v->type->dim[i].name;
    v = nm_at_cast(nm_at_op(before), v, NM_f32);
    v = nm_build1(before->func, before, before->loc, NM_OP_abs, v);
    return nm_at_max(nm_at_op(before), v, over);
}

// --- what is rounded -----------------------------------------------------------------------------

// Where the numbers of v come from: through casts and new names, into turns and out of them.
static const nm_value *source_of(const nm_value *v)
{
    for (;;) {
        const nm_op *op = v->def ? v->def : v->func->parent;
        if (!op)
            return v;
        bool carried = v->index < nm_attr_int(op, "carried", 0);
        if (!v->def && !carried)
            v = op->in[v->index];
        else if (v->def && op->code == NM_OP_repeat && !carried)
            v = op->body->last->in[v->index];
        else if (v->def && (op->code == NM_OP_cast || nm_form_is_relabel(op)))
            v = op->in[0];
        else
            return v;
    }
}

static nm_sym path_of(const nm_value *source)
{
    bool param = !source->def && !source->func->parent &&
                 source->func->param_bind[source->index].kind == NM_BIND_param;
    return param ? source->func->param_bind[source->index].name : NULL;
}

// The parameter that a product multiplies v by; NULL: there is no such product.
static nm_sym multiplied_by(const nm_value *v)
{
    nm_each_use(u, v) {
        const nm_op *op = u->op;
        nm_sym path = NULL;
        if (op->code == NM_OP_cast)
            path = multiplied_by(&op->out[0]);
        else if (op->code == NM_OP_dot) {
            const nm_value *other = op->in[1 - u->index];
            while (other->def && (other->def->code == NM_OP_cast || other->def->code == NM_OP_qdq))
                other = other->def->in[0];
            path = path_of(source_of(other));
        }
        if (path)
            return path;
    }
    return NULL;
}

// decoder.q.w; decoder.q.x and decoder.q.dy of what is multiplied by it: a weight `w` stands for
// its layer, another parameter for itself.
static nm_sym name_site(const delay *d, const nm_op *qdq, const nm_value *source)
{
    nm_sym by = multiplied_by(&qdq->out[0]), path = path_of(source);
    bool backward = nm_attr_bool(qdq->func->parent, "reverse");
    const char *entry = d->f->name + strcspn(d->f->name, ".");
    if (path)
        return nm_sym_fmt(d->m, "%s%s", path, entry);
    if (!by)
        return nm_sym_fmt(d->m, "%d%s", d->n, entry);
    size_t n = strlen(by), tail = n > 2 && !strcmp(by + n - 2, ".w") ? 2 : 0;
    return nm_sym_fmt(d->m, "%.*s.%s%s", (int)(n - tail), by, backward ? "dy" : "x", entry);
}

static nm_value *add_state(delay *d, const char *kind, nm_sym name, const nm_type *type,
                           const site *s, nm_sym *path)
{
    *path = nm_sym_fmt(d->m, "fp8.%s.%s", kind, name);
    for (int i = 2; nm_param_lookup(d->m, *path); i++)
        *path = nm_sym_fmt(d->m, "fp8.%s.%s.%d", kind, name, i);
    nm_param_add(
        d->m, (nm_param){.path = *path, .type = type, .state = true, .own = true, .loc = s->loc});
    return nm_func_param(d->f, type, *path, (nm_bind){.kind = NM_BIND_state, .name = *path});
}

static nm_dim history_dim(nm_module *m)
{
    nm_sym name = nm_sym_get(m, "fp8.history");
    if (!nm_dim_lookup(m, name))
        nm_dim_declare(m, (nm_dim_decl){.name = name, .extent = nm_extent_const(m, HISTORY)});
    return nm_dim_of(m, name);
}

static site *find_site(delay *d, const nm_value *source, nm_dtype to, nm_sym over)
{
    for (int i = 0; i < d->n; i++)
        if (d->site[i].source == source && d->site[i].to == to &&
            d->site[i].peak->type->dim[0].name == over)
            return &d->site[i];
    return NULL;
}

static site *add_site(delay *d, const nm_op *qdq, const nm_value *source, nm_sym over)
{
    d->site = nm_arena_grow(d->m->arena, d->site, d->n, sizeof *d->site);
    site *s = &d->site[d->n];
    nm_type t = {.dtype = NM_f32, .rank = 1, .dim = {nm_dim_of(d->m, over), history_dim(d->m)}};
    *s = (site){.source = source, .turn = -1, .given = -1, .loc = qdq->loc};
    s->to = nm_attr_get(qdq, "to")->u.dtype;
    nm_sym name = name_site(d, qdq, source);
    s->peak = add_state(d, "peak", name, nm_type_get(d->m, &t), s, &s->peak_path);
    t.rank = 2;
    s->history = add_state(d, "history", name, nm_type_get(d->m, &t), s, &s->history_path);
    d->n++;
    return s;
}

// --- a repeat ------------------------------------------------------------------------------------

// qdq with the peak of its turn. May its scale wait for none?
static void delay_qdq(delay *d, nm_loop *l, nm_op *qdq)
{
    nm_sym over = nm_attr_sym(l->op, "over");
    const nm_value *source = source_of(qdq->in[0]);
    bool weight = path_of(source) != NULL;
    if (weight && !nm_has_dim(source->type, over))
        return;
    site *s = find_site(d, source, nm_attr_get(qdq, "to")->u.dtype, over);
    if (!s) {
        s = add_site(d, qdq, source, over);
        if (!weight) {
            s->given = l->result.n;
            nm_loop_give(l, largest(qdq, qdq->in[0], NULL));
        }
    }
    if (s->turn < 0) {
        s->turn = l->stacked.n;
        nm_loop_stack(l, s->peak, NULL);
    }
    nm_value *peak = l->stacked.row[s->turn].param;
    nm_value *in[] = {qdq->in[0], nm_at_cast(nm_at_op(qdq), peak, qdq->in[0]->type->dtype)};
    nm_proto proto = nm_proto_of(qdq);
    proto.n_in = 2;
    proto.in = in;
    proto.name = NULL;
    nm_replace(&qdq->out[0], nm_build(qdq->func, qdq, &proto));
    nm_erase(qdq);
}

static bool has_scale_of_all(const nm_op *op)
{
    return op->code == NM_OP_qdq && op->n_in == 1 && !nm_attr_get(op, "block");
}

static void delay_repeat(delay *d, nm_op *repeat)
{
    const nm_dim_decl *over = nm_dim_lookup(d->m, nm_attr_sym(repeat, "over"));
    bool any = false;
    nm_each_op(op, repeat->body)
        any |= has_scale_of_all(op);
    if (!any || over->turns_of || over->runtime)
        return;
    nm_loop l = nm_loop_open(repeat);
    nm_each_op_safe(op, l.body)
        if (has_scale_of_all(op))
            delay_qdq(d, &l, op);
    nm_loop_close(&l);
    for (int i = 0; i < d->n; i++) {
        site *s = &d->site[i];
        if (s->given >= 0)
            s->amax = l.result.row[s->given].out;
        s->given = s->turn = -1;
    }
}

// --- the step's end ------------------------------------------------------------------------------

static nm_value *step_of(delay *d)
{
    nm_sym name = nm_sym_get(d->m, "step");
    int i = nm_func_find_param(d->f, NM_BIND_scalar, name);
    return i >= 0 ? d->f->param[i]
                  : nm_func_param(d->f, nm_type_scalar(d->m, NM_i32), name,
                                  (nm_bind){.kind = NM_BIND_scalar, .name = name});
}

// Is it the step's place in a history?
static nm_value *build_place(delay *d, nm_op *before)
{
    nm_dim dim = history_dim(d->m);
    nm_type t = {.dtype = NM_i32, .rank = 1, .dim = {dim}};
    nm_attr attr = nm_mk_sym(d->m, "dim", dim.name);
    nm_value *index = nm_build(d->f, before,
                               &(nm_proto){.code = NM_OP_index,
                                           .loc = before->loc,
                                           .n_attrs = 1,
                                           .attr = &attr,
                                           .type = nm_type_get(d->m, &t)});
    nm_value *n = nm_build_const(d->f, before, before->loc, NM_i32, HISTORY);
    nm_value *at = nm_build2(d->f, before, before->loc, NM_OP_mod, step_of(d), n);
    return nm_build2(d->f, before, before->loc, NM_OP_eq, index, at);
}

// amax, where it is a number.
static nm_value *build_finite(nm_op *before, nm_value *amax)
{
    nm_func *f = before->func;
    nm_value *most = nm_build_const(f, before, before->loc, NM_f32, 0x1p126);
    nm_value *in[] = {nm_build2(f, before, before->loc, NM_OP_lt, amax, most), amax,
                      nm_build_const(f, before, before->loc, NM_f32, 0)};
    return nm_at_build(nm_at_op(before), NM_OP_select, 3, in, amax->type);
}

static void give_states(delay *d, site *s, nm_value *place, nm_value **value, nm_bind *bind)
{
    nm_op *before = d->f->last;
    nm_sym over = s->peak->type->dim[0].name, history = s->history->type->dim[1].name;
    if (!s->amax) { // of a parameter
        nm_value *narrow = nm_at_cast(nm_at_op(before), (nm_value *)s->source, NM_bf16);
        s->amax = largest(before, narrow, over);
    }
    nm_value *in[] = {place, build_finite(before, s->amax), s->history};
    nm_value *all = nm_at_build(nm_at_op(before), NM_OP_select, 3, in, s->history->type);
    value[0] = nm_at_max(nm_at_op(before), all, (nm_syms){1, &history});
    bind[0] = (nm_bind){.kind = NM_BIND_state, .name = s->peak_path};
    value[1] = all;
    bind[1] = (nm_bind){.kind = NM_BIND_state, .name = s->history_path};
}

static void end_step(delay *d)
{
    nm_func *f = d->f;
    nm_op *ret = f->last;
    int n = f->n_results;
    nm_value **value = nm_new_n(d->m->arena, nm_value *, n + 2 * d->n + 1);
    nm_bind *bind = nm_new_n(d->m->arena, nm_bind, n + 2 * d->n + 1);
    nm_loc loc = ret->loc;
    memcpy(value, ret->in, (size_t)n * sizeof *value);
    memcpy(bind, f->result_bind, (size_t)n * sizeof *bind);
    nm_value *place = build_place(d, ret);
    for (int i = 0; i < d->n; i++)
        give_states(d, &d->site[i], place, &value[n + 2 * i], &bind[n + 2 * i]);
    nm_erase(ret);
    nm_func_ret(f, loc, n + 2 * d->n, value, bind);
}

// --- the function --------------------------------------------------------------------------------

void nm_fp8_delay_func(nm_func *f)
{
    delay d = {.f = f, .m = f->module}; // steps are whole yet
    if (!nm_func_has_role(f, "train"))
        return;
    nm_each_op_safe(op, f)
        if (op->code == NM_OP_repeat)
            delay_repeat(&d, op);
    if (d.n)
        end_step(&d);
}
