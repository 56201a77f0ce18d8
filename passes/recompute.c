// Recompute: what backward's turns of a repeat find of forward's, and what they compute again. The
// two functions of an odd unit become as many pairs as were asked for (ir/grad_save.c decides what
// each keeps):
//
//   forward.1          forward.1.none        forward.1.selective        forward.1.full
//   backward.1   =>    backward.1.none       backward.1.selective       backward.1.full
//
// A pair's own links carry its name; all other links, and what it adds to accumulators, are those
// of the whole chain, so that each chunk of turns can run another pair. Gradients are the same to
// the bit: what is computed again is a copy of forward's own ops, after roundings were placed.
//
// After units: here a turn's two halves are functions, and what passes between them are links.
// Before shard: what is computed again gets its collectives. A repeat that no stage shares out was
// cut by autodiff (ir/grad_repeat.c), and has one text.
#include "ir/grads.h"
#include "ir/loop.h"
#include "passes/inline.h"
#include "passes/parts.h"
#include "passes/pass.h"

typedef struct pair { // the two functions of a unit, copies that may be changed
    nm_module *m;
    nm_recompute how;
    nm_func *forward, *backward;
    nm_op *turns, *reverse; // their repeats
    nm_value_list all;      // of a forward turn
    bool *need, *save, *seen;
    nm_value **now; // by id: what of forward's turn is in backward's
    nm_value **top; // by id: what of forward's function is in backward's
    nm_loop loop;   // of the reverse repeat
    nm_gives gives; // what forward gives in the end
} pair;

// --- which functions -----------------------------------------------------------------------------

static nm_op *staged_repeat(const nm_func *f, bool reverse)
{
    nm_each_op(op, f)
        if (nm_is_staged(op) && nm_attr_bool(op, "reverse") == reverse)
            return op;
    return NULL;
}

static bool reads_link(const nm_func *f, nm_sym link)
{
    return nm_func_find_param(f, NM_BIND_link, link) >= 0;
}

// Are they halves of the same turns?
static bool are_halves(const nm_part *forward, const nm_part *backward)
{
    return forward->phase == NM_PHASE_forward && backward->phase == NM_PHASE_backward &&
           forward->units == backward->units && forward->mode == backward->mode &&
           forward->recompute == backward->recompute && forward->products == backward->products;
}

// The function that is backward to this forward one: it takes what that keeps. NULL: there is none.
static nm_func *backward_of(const nm_func *f)
{
    nm_each_func(g, f->module)
        for (int i = 0; i < f->n_results && are_halves(&f->part, &g->part); i++)
            if (f->result_bind[i].kind == NM_BIND_link && reads_link(g, f->result_bind[i].name))
                return g;
    return NULL;
}

// --- what is kept --------------------------------------------------------------------------------

static bool is_read_elsewhere(const pair *p, nm_sym link)
{
    nm_each_func(f, p->m)
        if ((f->part.phase != NM_PHASE_backward || f->part.units != p->backward->part.units) &&
            reads_link(f, link))
            return true;
    return false;
}

// The value of a forward turn that a stacked operand of the reverse repeat is, if that is a link
// between the two alone; NULL: it is something else.
static nm_value *kept_value(const pair *p, const nm_value *operand)
{
    if (operand->def || operand->func != p->backward ||
        p->backward->param_bind[operand->index].kind != NM_BIND_link)
        return NULL;
    nm_sym link = p->backward->param_bind[operand->index].name;
    int i = nm_func_find_result(p->forward, NM_BIND_link, link);
    const nm_value *v = i < 0 ? NULL : p->forward->last->in[i];
    bool kept = v && v->def == p->turns && v->index >= nm_attr_int(p->turns, "carried", 0);
    return kept && !is_read_elsewhere(p, link) ? p->turns->body->last->in[v->index] : NULL;
}

static void decide(pair *p, nm_arena *scratch)
{
    p->all = nm_grad_values(p->turns->body, scratch);
    p->need = nm_new_n(scratch, bool, p->all.n + 1);
    p->save = nm_new_n(scratch, bool, p->all.n + 1);
    p->seen = nm_new_n(scratch, bool, p->all.n + 1);
    for (int i = 0; i < p->loop.stacked.n; i++) {
        const nm_value *v = kept_value(p, p->loop.stacked.row[i].operand);
        if (v)
            p->need[nm_grad_number(&p->all, v)] = true;
    }
    nm_grad_save(&p->all, (int)nm_attr_int(p->turns, "carried", 0), p->how, p->need, p->save);
    nm_grad_see(&p->all, p->need, p->save, p->seen);
}

// --- links ---------------------------------------------------------------------------------------

static bool is_given(const nm_gives *gives, nm_sym name)
{
    for (int i = 0; i < gives->n; i++)
        if (gives->bind[i].kind == NM_BIND_link && gives->bind[i].name == name)
            return true;
    return false;
}

// train.1.q.full: of role train, unit 1; train.1.bf16.q.full: of that with products in bf16
static nm_sym name_link(const pair *p, const nm_value *v)
{
    nm_sym unit = nm_sym_fmt(p->m, "%s.%d%s", nm_func_role(p->forward),
                             __builtin_ctzll(p->forward->part.units),
                             p->forward->part.products == NM_PRODUCTS_bf16 ? ".bf16" : "");
    nm_sym name =
        v->name ? nm_sym_fmt(p->m, "%s.%s.%s", unit, v->name, nm_recompute_name[p->how]) : NULL;
    return name && !is_given(&p->gives, name)
               ? name
               : nm_sym_fmt(p->m, "%s.%u.%s", unit, v->id, nm_recompute_name[p->how]);
}

// What forward gave, but for what was kept for backward.
static void keep_results(pair *p)
{
    nm_func *f = p->forward;
    for (int i = 0; i < f->n_results; i++) {
        bool kept = false;
        for (int k = 0; k < p->loop.stacked.n; k++) {
            const nm_value *operand = p->loop.stacked.row[k].operand;
            kept |= kept_value(p, operand) &&
                    p->backward->param_bind[operand->index].name == f->result_bind[i].name;
        }
        if (!kept)
            nm_part_give(&p->gives, f->last->in[i], f->result_bind[i]);
    }
}

static void make_link(pair *p, nm_value *v, nm_value *out)
{
    nm_bind link = {.kind = NM_BIND_link, .name = name_link(p, v)};
    out->name = v->name;
    nm_part_give(&p->gives, out, link);
    nm_value *taken = nm_func_param(p->backward, out->type, v->name, link);
    p->now[v->id] = nm_loop_stack(&p->loop, taken, NULL)->param;
}

// Forward's turns give what is kept; backward's function takes it, and each of its turns its part.
static void pass_on(pair *p)
{
    nm_loop forward = nm_loop_open(p->turns);
    int n = forward.result.n;
    for (int i = 0; i < p->all.n; i++)
        if (p->save[i] && p->seen[i])
            nm_loop_give(&forward, p->all.v[i]);
    p->turns = nm_loop_close(&forward);
    keep_results(p);
    for (int i = 0; i < p->all.n; i++)
        if (p->save[i] && p->seen[i])
            make_link(p, p->all.v[i], forward.result.row[n++].out);
}

// --- what is computed again ----------------------------------------------------------------------

static nm_value *same_param(nm_func *f, const nm_value *v)
{
    nm_bind bind = v->func->param_bind[v->index];
    int i = nm_func_find_param(f, bind.kind, bind.name);
    return i >= 0 ? f->param[i] : nm_func_param(f, v->type, v->name, bind);
}

// What is computed beside forward's repeat, in backward's function.
static nm_value *beside(pair *p, nm_value *v)
{
    if (p->top[v->id])
        return p->top[v->id];
    if (!v->def)
        return p->top[v->id] = same_param(p->backward, v);
    for (int i = 0; i < v->def->n_in; i++)
        beside(p, v->def->in[i]);
    nm_copy_op(p->backward, p->reverse, v->def, p->top);
    return p->top[v->id];
}

// What a turn takes besides carried values is there for backward's turns, too.
static void take_operands(pair *p)
{
    const nm_op *op = p->turns;
    int carried = (int)nm_attr_int(op, "carried", 0), stacked = (int)nm_attr_int(op, "stacked", 0);
    for (int i = carried; i < op->n_in; i++) {
        const nm_value *v = op->body->param[i];
        if (!p->seen[nm_grad_number(&p->all, v)])
            continue;
        bool turn = i < carried + stacked;
        nm_value *operand = beside(p, op->in[i]);
        nm_loop_row *row = (turn ? nm_loop_stack : nm_loop_whole)(&p->loop, operand, NULL);
        p->now[v->id] = row->param;
    }
}

static bool is_computed(const pair *p, const nm_op *op)
{
    bool any = false;
    for (int i = 0; i < op->n_out; i++) {
        int k = nm_grad_number(&p->all, &op->out[i]);
        any |= p->seen[k] && !p->save[k];
    }
    return any;
}

// In front of backward's own ops; of an op's results, those that were kept are not these.
static void compute_again(pair *p)
{
    nm_op *first = p->reverse->body->first;
    nm_value **copy = nm_new_n(p->m->arena, nm_value *, p->forward->n_values);
    nm_each_op(op, p->turns->body) {
        if (op->code == NM_OP_ret || !is_computed(p, op))
            continue;
        for (int i = 0; i < op->n_in; i++)
            copy[op->in[i]->id] = p->now[op->in[i]->id];
        nm_copy_op(p->reverse->body, first, op, copy);
        for (int i = 0; i < op->n_out; i++)
            if (!p->now[op->out[i].id])
                p->now[op->out[i].id] = copy[op->out[i].id];
    }
}

// Backward's turns read what is kept or computed again for what forward left to them.
static void resolve(pair *p, int n_rows)
{
    for (int i = n_rows - 1; i >= 0; i--) {
        const nm_loop_row *row = &p->loop.stacked.row[i];
        const nm_value *v = kept_value(p, row->operand);
        if (!v)
            continue;
        nm_loop_replace(&p->loop, row->param, p->now[v->id]);
        nm_loop_drop(&p->loop.stacked, i);
    }
}

// --- a pair --------------------------------------------------------------------------------------

static void cut(pair *p)
{
    nm_arena scratch = {0};
    p->loop = nm_loop_open(p->reverse);
    int n_rows = p->loop.stacked.n;
    decide(p, &scratch);
    pass_on(p);
    take_operands(p);
    compute_again(p);
    resolve(p, n_rows);
    nm_loop_close(&p->loop);
    nm_part_end(p->forward, &p->gives);
    nm_part_clean(p->backward);
    nm_part_drop_params(p->backward);
    nm_arena_free(&scratch);
}

static nm_func *copy_as(nm_func *f, nm_recompute how, bool alone)
{
    nm_sym name = alone ? f->name : nm_sym_fmt(f->module, "%s.%s", f->name, nm_recompute_name[how]);
    nm_func *copy = nm_func_clone(f, name, NULL);
    nm_func_move_before(copy, f);
    copy->part.recompute = how;
    return copy;
}

static void add_pair(nm_func *forward, nm_func *backward, nm_recompute how, bool alone)
{
    nm_module *m = forward->module;
    pair p = {.m = m,
              .how = how,
              .forward = copy_as(forward, how, alone),
              .backward = copy_as(backward, how, alone)};
    p.turns = staged_repeat(p.forward, false);
    p.reverse = staged_repeat(p.backward, true);
    p.now = nm_new_n(m->arena, nm_value *, p.forward->n_values);
    p.top = nm_new_n(m->arena, nm_value *, p.forward->n_values);
    cut(&p);
}

// Asked for nothing: selective.
static bool is_wanted(const nm_module *m, nm_recompute how)
{
    unsigned wanted = m->options.recompute;
    return wanted ? wanted >> how & 1 : how == NM_RECOMPUTE_selective;
}

static void add_pairs(nm_func *forward, nm_func *backward)
{
    nm_module *m = forward->module;
    int n = 0;
    for (nm_recompute how = NM_RECOMPUTE_none; how <= NM_RECOMPUTE_full; how++)
        n += is_wanted(m, how);
    for (nm_recompute how = NM_RECOMPUTE_none; how <= NM_RECOMPUTE_full; how++)
        if (is_wanted(m, how))
            add_pair(forward, backward, how, n == 1);
    nm_func_remove(forward);
    nm_func_remove(backward);
}

bool nm_pass_recompute(nm_module *m, bool *changed)
{
    for (nm_func *f = m->first_func, *next; f; f = next) {
        next = f->next;
        nm_func *backward = f->part.recompute == NM_RECOMPUTE_any ? backward_of(f) : NULL;
        if (!backward || !staged_repeat(f, false) || !staged_repeat(backward, true))
            continue;
        if (next == backward)
            next = backward->next;
        add_pairs(f, backward);
        *changed = true;
    }
    return true;
}
