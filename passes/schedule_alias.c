// When a value may be written where another one lies: whoever reads the old one must be done, or
// be the kernel that writes the new one and read each element just where it writes it.
#include "ir/launch.h"
#include "passes/schedule.h"

#include <string.h>

// --- inside a group -------------------------------------------------------------------------

enum {
    APART,
    OWN,
    MOVED
}; // what an element of a value needs of the operand: nothing, the element in its
   // own place, one in another place

typedef struct flow {
    const nm_op *group;
    uint32_t first; // least value id of the body
    char *state;    // by value id - first
} flow;

static char *state_of(flow *w, const nm_value *v) { return &w->state[v->id - w->first]; }

static bool is_view(const nm_op *op)
{
    bool copy = op->code == NM_OP_broadcast && op->in[0]->type->rank == op->out[0].type->rank;
    return nm_is(op, NM_VIEW) && !copy;
}

static int worst_operand(flow *w, const nm_op *op)
{
    int worst = APART;
    for (int i = 0; i < op->n_in; i++)
        if (*state_of(w, op->in[i]) > worst)
            worst = *state_of(w, op->in[i]);
    return worst;
}

static nm_syms reduced_dims(const nm_op *group)
{
    nm_each_op(op, group->body)
        if (op->code == NM_OP_sum || op->code == NM_OP_max)
            return nm_attr_dims(op, "over");
    return (nm_syms){0};
}

// Does the view move elements along the reduced dims alone? Another row's are written by then.
static bool stays_in_row(const nm_op *group, const nm_op *view)
{
    nm_syms over = reduced_dims(group);
    for (int i = 0; i < view->n_attrs; i++) {
        const nm_attr *a = &view->attr[i];
        bool one = a->kind == NM_ATTR_sym && strcmp(a->name, "mode");
        if (one && !nm_syms_has(over, a->u.sym))
            return false;
        for (int k = 0; a->kind == NM_ATTR_dims && k < a->u.syms.n; k++)
            if (!nm_syms_has(over, a->u.syms.sym[k]))
                return false;
    }
    return true;
}

// A library reads what it takes a gelu's gradient at when it likes: its result lies elsewhere.
static bool is_read_late(flow *w, const nm_op *op)
{
    return op->code == NM_OP_gelu_tanh_grad && *state_of(w, op->in[1]) != APART &&
           !strcmp(nm_attr_sym(w->group, "kind"), "dot");
}

// The state of op's result; false: op reads the operand where it may have been written already.
static bool follow(flow *w, const nm_op *op, int *state)
{
    bool row = !strcmp(nm_attr_sym(w->group, "kind"), "row");
    *state = worst_operand(w, op);
    if (is_read_late(w, op))
        return false;
    if (*state == APART || nm_is(op, NM_MAP) || nm_is(op, NM_FREE))
        return true;
    if (nm_is(op, NM_VIEW)) {
        *state = is_view(op) ? MOVED : *state;
        return !row || !is_view(op) || stays_in_row(w->group, op);
    }
    if (op->code == NM_OP_sum || op->code == NM_OP_max) {
        bool safe = row || *state == OWN; // a column is read before it is written
        *state = APART;
        return safe;
    }
    bool written_at_once = op->code == NM_OP_update && *state_of(w, op->in[0]) == OWN &&
                           !*state_of(w, op->in[1]) && !*state_of(w, op->in[2]);
    return written_at_once;
}

static bool is_reduced(const nm_op *group, const nm_type *t)
{
    nm_syms over = reduced_dims(group);
    return over.n && !nm_has_dim(t, over.sym[0]);
}

// Results without the reduced dims are stored first, so only a moved read that flows into a result
// with them is too late; and one without them may not be written over what later loops read.
static bool results_in_place(flow *w, int r)
{
    const nm_op *group = w->group, *ret = group->body->last;
    bool row = !strcmp(nm_attr_sym(group, "kind"), "row");
    for (int i = 0; i < ret->n_in; i++) {
        int state = *state_of(w, ret->in[i]);
        bool reduced = row && is_reduced(group, ret->in[i]->type);
        bool early = row && is_reduced(group, ret->in[r]->type);
        if ((state == MOVED && (!reduced || early)) || (early && !reduced))
            return false;
    }
    return true;
}

static uint32_t least_id(const nm_func *body, uint32_t *end)
{
    uint32_t first = UINT32_MAX, last = 0;
    for (int i = 0; i < body->n_params; i++) {
        first = body->param[i]->id < first ? body->param[i]->id : first;
        last = body->param[i]->id > last ? body->param[i]->id : last;
    }
    nm_each_op(op, body)
        for (int i = 0; i < op->n_out; i++) {
            first = op->out[i].id < first ? op->out[i].id : first;
            last = op->out[i].id > last ? op->out[i].id : last;
        }
    *end = last + 1;
    return first;
}

bool nm_group_in_place(const nm_op *group, int p, int r)
{
    const nm_func *body = group->body;
    if (group->in[p]->type != group->out[r].type || nm_attr_get(group, "kind") == NULL)
        return false;
    nm_arena scratch = {0};
    uint32_t end;
    flow w = {.group = group, .first = least_id(body, &end)};
    w.state = nm_new_n(&scratch, char, end - w.first);
    *state_of(&w, body->param[p]) = OWN;
    bool ok = true;
    for (const nm_op *op = body->first; op && op != body->last && ok; op = op->next) {
        int state;
        ok = follow(&w, op, &state);
        for (int i = 0; i < op->n_out; i++)
            *state_of(&w, &op->out[i]) = (char)state;
    }
    ok = ok && results_in_place(&w, r);
    nm_arena_free(&scratch);
    return ok;
}

// --- between ops ----------------------------------------------------------------------------

bool nm_may_be_operand(const nm_value *v)
{
    if (!v->def || !nm_is(v->def, NM_COLLECTIVE) || v->def->code == NM_OP_rotate)
        return false; // what is rotated takes its operand's place in the next turn
    nm_each_use(u, v)
        if (u->op->code == NM_OP_ret || u->op->code == NM_OP_repeat)
            return false;
    return true;
}

bool nm_is_done_before(const nm_use *reader, const nm_op *op)
{
    const nm_op *wait = nm_launch_wait(reader->op);
    if (!nm_stands_before(wait ? wait : reader->op, op))
        return false;
    const nm_value *same = reader->op->n_out ? &reader->op->out[0] : NULL;
    if (!same || !nm_may_be_operand(same))
        return true;
    nm_each_use(u, same)
        if (!nm_is_done_before(u, op))
            return false;
    return true;
}

// A slice taken each turn, given back in its place by the same turn.
static bool turned_in_place(const nm_op *repeat, int operand, int result)
{
    bool stacked = operand >= nm_n_carried(repeat) && operand < nm_n_turned(repeat);
    const nm_value *out = repeat->body->last->in[result];
    return stacked && out->def && repeat->in[operand]->type == repeat->out[result].type &&
           nm_gives_way(repeat->body->param[operand], out);
}

static bool use_allows(const nm_use *u, const nm_value *b)
{
    const nm_op *d = b->def;
    if (u->op != d)
        return nm_is_done_before(u, nm_launch_first(d));
    if (d->code == NM_OP_group)
        return nm_group_in_place(d, u->index, b->index);
    if (nm_is(d, NM_COLLECTIVE))
        return d->code == NM_OP_all_reduce;
    if (b->index < nm_n_carried(d))
        return u->index == b->index;
    return turned_in_place(d, u->index, b->index);
}

bool nm_gives_way(const nm_value *a, const nm_value *b)
{
    const nm_op *d = b->def;
    if (!d)
        return false;
    if (d->code == NM_OP_repeat && b->index < nm_n_carried(d) && d->in[b->index] != a)
        return d->in[b->index]->def && nm_gives_way(a, d->in[b->index]);
    int at_writer = 0;
    nm_each_use(u, a) {
        if (!use_allows(u, b))
            return false;
        at_writer += u->op == d;
    }
    return at_writer <= 1;
}

nm_value *nm_result_home(const nm_func *f, int i)
{
    nm_bind b = f->result_bind[i];
    bool kept = b.kind == NM_BIND_param || b.kind == NM_BIND_state || b.kind == NM_BIND_acc ||
                b.kind == NM_BIND_count || b.kind == NM_BIND_cache;
    int k = kept ? nm_func_find_param(f, b.kind, b.name) : -1;
    return k < 0 ? NULL : f->param[k];
}
