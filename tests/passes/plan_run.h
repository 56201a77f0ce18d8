// Runs a plan as an emitted program does, with the interpreter for kernels: buffers that the caller
// provides lie apart, transient ones are packed into one block by their lives. What is outside its
// life holds NaN, so a value that is read too late or clobbered by a neighbour shows in the
// results. A kernel that writes over an operand runs once more for each element with all others
// NaN: what it reads there may have been written already (but for rows, which are reduced before
// they are written).
#ifndef NM_TESTS_PASSES_PLAN_RUN_H
#define NM_TESTS_PASSES_PLAN_RUN_H

#include "ir/eval.h"
#include "ir/plan.h"

#include <math.h>
#include <string.h>

typedef struct nm_plan_run_state {
    const nm_plan *plan;
    const nm_eval_opts *opts;
    double **buffer; // by index
    int64_t *size;
    struct {
        const nm_op *repeat;
        int64_t turn;
    } turn[NM_MAX_TURNS];
    int n_turns;
    int position;
} nm_plan_run_state;

static int64_t plan_sym(void *user, nm_sym sym)
{
    const nm_eval_opts *opts = user;
    for (int i = 0; i < opts->n_syms; i++)
        if (opts->sym[i].name == sym)
            return opts->sym[i].size;
    return 0;
}

static int64_t plan_extent(const nm_plan_run_state *r, const nm_extent *e)
{
    return nm_extent_eval(e, plan_sym, (void *)r->opts);
}

static bool plan_overlap(const nm_buffer *a, const nm_buffer *b)
{
    return !a->bound && !b->bound && a->first <= b->last && b->first <= a->last;
}

// First fit: as low as the buffers allow that live at the same time.
static int64_t plan_offset(const nm_plan_run_state *r, const int64_t *offset, int i)
{
    int64_t at = 0;
    for (int k = 0; k < i; k++)
        if (plan_overlap(&r->plan->buffer[i], &r->plan->buffer[k]) && at < offset[k] + r->size[k] &&
            offset[k] < at + r->size[i]) {
            at = offset[k] + r->size[k];
            k = -1;
        }
    return at;
}

static void plan_pack(nm_plan_run_state *r)
{
    nm_arena *arena = r->opts->arena;
    int n = r->plan->n_buffers;
    int64_t *offset = nm_new_n(arena, int64_t, n), total = 0;
    r->buffer = nm_new_n(arena, double *, n);
    r->size = nm_new_n(arena, int64_t, n);
    for (int i = 0; i < n; i++) {
        const nm_buffer *b = &r->plan->buffer[i];
        r->size[i] = plan_extent(r, b->elems);
        offset[i] = b->bound ? 0 : plan_offset(r, offset, i);
        if (!b->bound && offset[i] + r->size[i] > total)
            total = offset[i] + r->size[i];
    }
    double *block = nm_new_n(arena, double, total);
    for (int i = 0; i < n; i++)
        r->buffer[i] =
            r->plan->buffer[i].bound ? nm_new_n(arena, double, r->size[i]) : block + offset[i];
}

static double *plan_at(const nm_plan_run_state *r, const nm_value *v)
{
    const nm_place *p = &r->plan->place[v->id];
    int64_t at = plan_extent(r, p->start);
    for (int i = 0; i < p->n_turns; i++)
        for (int k = 0; k < r->n_turns; k++)
            if (r->turn[k].repeat == p->turn[i].repeat)
                at += r->turn[k].turn * plan_extent(r, p->turn[i].stride);
    return r->buffer[p->buffer] + at;
}

static void plan_poison(nm_plan_run_state *r)
{
    for (int i = 0; i < r->plan->n_buffers; i++) {
        const nm_buffer *b = &r->plan->buffer[i];
        if (!b->bound && b->first == r->position)
            for (int64_t k = 0; k < r->size[i]; k++)
                r->buffer[i][k] = NAN;
    }
}

// May out[r] be written over in[p] while the kernel runs?
static bool plan_check_in_place(nm_plan_run_state *r, const nm_op *op, nm_tensor *in, int p,
                                const nm_tensor *out, int result)
{
    nm_arena *arena = r->opts->arena;
    nm_tensor whole = in[p], *again = nm_new_n(arena, nm_tensor, op->n_out);
    bool ok = true;
    for (int64_t e = 0; ok && e < whole.n; e++) {
        in[p].data = nm_new_n(arena, double, whole.n);
        for (int64_t k = 0; k < whole.n; k++)
            in[p].data[k] = k == e ? whole.data[k] : NAN;
        ok = nm_eval(op->body, r->opts, in, again) &&
             memcmp(&again[result].data[e], &out[result].data[e], sizeof(double)) == 0;
    }
    in[p] = whole;
    return ok;
}

static bool plan_check_aliases(nm_plan_run_state *r, const nm_op *op, nm_tensor *in,
                               const nm_tensor *out)
{
    const char *kind = nm_attr_sym(op, "kind");
    bool safe = !strcmp(kind, "row") || !strcmp(kind, "update");
    for (int p = 0; p < op->n_in && !safe; p++)
        for (int i = 0; i < op->n_out; i++)
            if (plan_at(r, op->in[p]) == plan_at(r, &op->out[i]) &&
                !plan_check_in_place(r, op, in, p, out, i))
                return fprintf(stderr, "a %s kernel reads what it has written\n", kind), false;
    return true;
}

static bool plan_run_group(nm_plan_run_state *r, const nm_op *op)
{
    nm_module *m = op->func->module;
    nm_arena *arena = r->opts->arena;
    nm_tensor *in = nm_new_n(arena, nm_tensor, op->n_in),
              *out = nm_new_n(arena, nm_tensor, op->n_out);
    for (int i = 0; i < op->n_in; i++) {
        if (!nm_tensor_new(m, op->loc, r->opts, op->in[i]->type, &in[i]))
            return false;
        if (in[i].n)
            memcpy(in[i].data, plan_at(r, op->in[i]), (size_t)in[i].n * sizeof(double));
    }
    nm_func *body = op->body;
    body->n_values = nm_func_outer(body)->n_values; // it is run as a function of its own
    bool ok = nm_eval(body, r->opts, in, out) && plan_check_aliases(r, op, in, out);
    body->n_values = 0;
    for (int i = 0; ok && i < op->n_out; i++)
        if (out[i].n)
            memcpy(plan_at(r, &op->out[i]), out[i].data, (size_t)out[i].n * sizeof(double));
    return ok;
}

static bool plan_run_list(nm_plan_run_state *r, const nm_func *f, bool first_turn);

static bool plan_run_repeat(nm_plan_run_state *r, const nm_op *op)
{
    nm_sym over = nm_attr_sym(op, "over");
    int64_t turns = 0, start = r->position;
    for (int i = 0; i < op->n_in + op->n_out; i++) {
        const nm_type *t = i < op->n_in ? op->in[i]->type : op->out[i - op->n_in].type;
        int at = nm_type_find(t, over);
        if (at >= 0)
            turns = plan_extent(r, t->dim[at].extent);
    }
    r->turn[r->n_turns++].repeat = op;
    for (int64_t t = 0; t < turns; t++) {
        r->turn[r->n_turns - 1].turn = nm_attr_bool(op, "reverse") ? turns - 1 - t : t;
        r->position = (int)start;
        if (!plan_run_list(r, op->body, t == 0))
            return false;
    }
    r->n_turns--;
    return true;
}

static bool plan_run_list(nm_plan_run_state *r, const nm_func *f, bool first_turn)
{
    nm_each_op(op, f) {
        if (op->code == NM_OP_group) {
            if (first_turn)
                plan_poison(r);
            if (!plan_run_group(r, op))
                return false;
            r->position++;
        } else if (op->code == NM_OP_repeat && !plan_run_repeat(r, op)) {
            return false;
        }
    }
    return true;
}

// As nm_eval, by the plan of the function.
static bool nm_plan_run(const nm_plan *plan, const nm_eval_opts *opts, const nm_tensor *args,
                        nm_tensor *results)
{
    nm_plan_run_state r = {.plan = plan, .opts = opts};
    nm_func *f = plan->func;
    plan_pack(&r);
    for (int i = 0; i < f->n_params; i++)
        if (args[i].n)
            memcpy(plan_at(&r, f->param[i]), args[i].data, (size_t)args[i].n * sizeof(double));
    if (!plan_run_list(&r, f, true))
        return false;
    for (int i = 0; i < f->n_results; i++) {
        const nm_value *v = f->last->in[i];
        if (!nm_tensor_new(f->module, f->loc, opts, v->type, &results[i]))
            return false;
        if (results[i].n)
            memcpy(results[i].data, plan_at(&r, v), (size_t)results[i].n * sizeof(double));
    }
    return true;
}

#endif
