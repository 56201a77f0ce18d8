// The proof of a plan: run the function in the abstract, where a place holds the name of the value
// that was written there last. Turns of a repeat run twice, since the second finds what the first
// left. From a launch of collectives to the wait that names it, what it reads and writes is its
// own.
#include "ir/launch.h"
#include "passes/schedule.h"

typedef struct cell { // one place and what it holds
    const nm_place *place;
    const nm_value *holds;
} cell;

typedef struct walk {
    const nm_plan *plan;
    nm_arena *arena;
    int n_cells, room;
    cell *cell;
    int n_going;
    const nm_op **going; // collectives that have not been waited for
    const char *wrong;
} walk;

static const char *name_of(walk *w, const nm_value *v)
{
    return v->name ? v->name : nm_arena_fmt(w->arena, "%%%u", v->id);
}

static void fail(walk *w, const nm_value *v, const char *what)
{
    if (!w->wrong)
        w->wrong = nm_arena_fmt(w->arena, "%s: %s", name_of(w, v), what);
}

// --- places ---------------------------------------------------------------------------------

static bool same_place(const nm_place *a, const nm_place *b)
{
    bool same = a->buffer == b->buffer && a->start == b->start && a->n_turns == b->n_turns;
    for (int i = 0; same && i < a->n_turns; i++)
        same = a->turn[i].repeat == b->turn[i].repeat && a->turn[i].stride == b->turn[i].stride;
    return same;
}

static const nm_place *place(walk *w, const nm_value *v)
{
    const nm_place *p = &w->plan->place[v->id];
    if (p->buffer < 0 || p->buffer >= w->plan->n_buffers) {
        fail(w, v, "has no place");
        return NULL;
    }
    if (w->plan->buffer[p->buffer].dtype != v->type->dtype)
        fail(w, v, "lies in a buffer of another dtype");
    return p;
}

static void set_cell(walk *w, const nm_place *p, const nm_value *v)
{
    for (int i = 0; i < w->n_cells; i++)
        if (same_place(w->cell[i].place, p)) {
            w->cell[i].holds = v;
            return;
        }
    if (w->n_cells == w->room)
        nm_bug("more places than values");
    w->cell[w->n_cells++] = (cell){p, v};
}

// A part of a value overwrites the whole, and the whole every part. Values that share turns with v
// for as long as they go are wholes of it.
static bool contains(const nm_place *a, const nm_place *b)
{
    if (a->buffer != b->buffer || a->n_turns > b->n_turns)
        return false;
    for (int i = 0; i < a->n_turns; i++)
        if (a->turn[i].repeat != b->turn[i].repeat)
            return false;
    return true;
}

static bool overlap(walk *w, const nm_value *a, const nm_value *b)
{
    const nm_place *p = place(w, a), *q = place(w, b);
    return p && q && (contains(p, q) || contains(q, p));
}

static void check_not_sent(walk *w, const nm_value *v)
{
    for (int i = 0; i < w->n_going; i++)
        if (overlap(w, v, w->going[i]->in[0]) || overlap(w, v, &w->going[i]->out[0]))
            fail(w, v, "is written where a launch is under way");
}

static void write(walk *w, const nm_value *v)
{
    const nm_place *p = place(w, v);
    if (!p)
        return;
    check_not_sent(w, v);
    for (int i = 0; i < w->n_cells; i++)
        if (contains(w->cell[i].place, p) || contains(p, w->cell[i].place))
            w->cell[i].holds = NULL;
    set_cell(w, p, v);
}

static bool is_loose(const walk *w, const nm_value *v) { return w->plan->place[v->id].loose; }

// A loose value may lie in its operand's place: that must still hold the operand, too.
static void read(walk *w, const nm_value *v)
{
    if (is_loose(w, v))
        read(w, v->def->in[0]);
    for (int i = 0; i < w->n_going; i++)
        if (v->def == w->going[i])
            fail(w, v, "is read before its launch has been waited for");
    const nm_place *p = place(w, v);
    for (int i = 0; p && i < w->n_cells; i++)
        if (same_place(w->cell[i].place, p) && w->cell[i].holds == v)
            return;
    if (p)
        fail(w, v, "is overwritten before it is read");
}

// What lies at v's place is from now on known as v.
static void rename_to(walk *w, const nm_value *from, const nm_value *v)
{
    const nm_place *p = place(w, v), *q = place(w, from);
    if (!p || !q)
        return;
    if (!same_place(p, q))
        fail(w, v, "lies elsewhere than what it is another name of");
    read(w, from);
    set_cell(w, p, v);
}

static void within_life(walk *w, const nm_value *v, int first, int last)
{
    const nm_place *p = place(w, v);
    const nm_buffer *b = p ? &w->plan->buffer[p->buffer] : NULL;
    if (b && (first < b->first || last > b->last))
        fail(w, v, "is touched when its buffer is not live");
    if (is_loose(w, v))
        within_life(w, v->def->in[0], first, last);
}

// --- ops ------------------------------------------------------------------------------------

static void run_list(walk *w, const nm_func *f, int *position);

static void touch_all(walk *w, const nm_op *op, int position)
{
    for (int i = 0; i < op->n_in; i++) {
        read(w, op->in[i]);
        within_life(w, op->in[i], position, position);
    }
    for (int r = 0; r < op->n_out; r++)
        within_life(w, &op->out[r], position, position);
}

static void write_all(walk *w, const nm_op *op)
{
    for (int r = 0; r < op->n_out; r++)
        write(w, &op->out[r]);
}

// Is b written where a, or what a may at run time be, is still read? In its own place it may be.
static void check_apart(walk *w, const nm_value *a, const nm_value *b, bool in_place)
{
    if (overlap(w, a, b) && !(in_place && !is_loose(w, a)))
        fail(w, b, "is written over an operand that is still read");
    if (is_loose(w, a))
        check_apart(w, a->def->in[0], b, false);
}

// Does the kernel of both write only where neither still reads, and each where the other does not?
static void check_pair(walk *w, const nm_op *a, const nm_op *b)
{
    for (int r = 0; r < b->n_out; r++) {
        for (int i = 0; i < a->n_in; i++)
            check_apart(w, a->in[i], &b->out[r], a == b && nm_group_in_place(a, i, r));
        for (int k = 0; k < a->n_out && a != b; k++)
            if (overlap(w, &a->out[k], &b->out[r]))
                fail(w, &b->out[r], "is written where a kernel of the same launch writes");
    }
}

// Groups that are one launch: all read before one writes, for all that is known of their order.
static void run_groups(walk *w, const nm_op *first, int position)
{
    const nm_op *end = nm_launch_last(first)->next;
    for (const nm_op *op = first; op != end; op = op->next)
        if (op->code != NM_OP_group) {
            fail(w, &first->out[0], "is to be launched with what is no group");
            return;
        }
    for (const nm_op *op = first; op != end; op = op->next)
        touch_all(w, op, position);
    for (const nm_op *a = first; a != end; a = a->next)
        for (const nm_op *b = first; b != end; b = b->next)
            check_pair(w, a, b);
    for (const nm_op *op = first; op != end; op = op->next)
        write_all(w, op);
}

// All are read before one is written, at one position.
static void run_launch(walk *w, const nm_op *first, int position)
{
    const nm_op *end = nm_launch_last(first)->next;
    for (const nm_op *op = first; op != end; op = op->next)
        if (!nm_is_sent(op)) {
            fail(w, &first->out[0], "is to be launched with what is no collective");
            return;
        }
    for (const nm_op *op = first; op != end; op = op->next)
        touch_all(w, op, position);
    for (const nm_op *a = first; a != end; a = a->next)
        for (const nm_op *b = first; b != end; b = b->next)
            check_apart(w, a->in[0], &b->out[0], a == b && a->code == NM_OP_all_reduce);
    for (const nm_op *op = first; op != end; op = op->next)
        write_all(w, op);
    for (const nm_op *op = first; op != end && nm_launch_wait(first); op = op->next)
        w->going[w->n_going++] = op;
}

static bool waits_for(const nm_op *wait, const nm_op *collective)
{
    for (int i = 0; i < wait->n_in; i++)
        if (wait->in[i]->def == collective)
            return true;
    return false;
}

// What was read lies where it lay, or is the result that took its place.
static void run_wait(walk *w, const nm_op *wait, int position)
{
    int n = 0;
    for (int i = 0; i < w->n_going; i++)
        if (!waits_for(wait, w->going[i]))
            w->going[n++] = w->going[i];
    if (w->n_going - n != wait->n_in)
        fail(w, wait->in[0], "is waited for, and nothing is under way");
    w->n_going = n;
    for (int i = 0; i < wait->n_in; i++) {
        const nm_value *v = wait->in[i], *from = v->def->in[0];
        read(w, v);
        if (!overlap(w, v, from))
            read(w, from);
        within_life(w, v, position, position);
        within_life(w, from, position, position);
    }
}

static bool in_place_of_result(walk *w, const nm_op *op, const nm_value *v)
{
    const nm_place *p = place(w, v);
    for (int i = nm_n_carried(op); i < op->n_out; i++) {
        const nm_place *q = place(w, &op->out[i]);
        if (p && q && same_place(p, q))
            return true;
    }
    return false;
}

// The turn's parts of stacked operands. An operand that makes room for a stacked result is there
// part by part alone; any other must still be whole.
static void enter_turn(walk *w, const nm_op *op)
{
    for (int i = nm_n_carried(op); i < nm_n_turned(op); i++) {
        const nm_place *p = place(w, op->body->param[i]);
        if (!in_place_of_result(w, op, op->in[i]))
            read(w, op->in[i]);
        if (p)
            set_cell(w, p, op->body->param[i]);
    }
}

static void run_turn(walk *w, const nm_op *op, int *position)
{
    int carried = nm_n_carried(op);
    const nm_op *ret = op->body->last;
    enter_turn(w, op);
    run_list(w, op->body, position);
    for (int i = 0; i < op->n_out; i++)
        read(w, ret->in[i]);
    for (int i = 0; i < carried; i++)
        rename_to(w, ret->in[i], op->body->param[i]);
}

static void check_stack(walk *w, const nm_op *op, const nm_value *part, const nm_value *whole)
{
    const nm_place *p = place(w, part), *q = place(w, whole);
    if (p && q &&
        (whole->type->dim[0].name != nm_attr_sym(op, "over") || p->buffer != q->buffer ||
         p->n_turns != q->n_turns + 1 || p->turn[q->n_turns].repeat != op || !contains(q, p)))
        fail(w, part, "is not a part of its stacked value");
}

static void begin_repeat(walk *w, const nm_op *op)
{
    int carried = nm_n_carried(op), turned = nm_n_turned(op);
    for (int i = 0; i < op->n_in; i++)
        read(w, op->in[i]);
    for (int i = carried; i < turned; i++)
        check_stack(w, op, op->body->param[i], op->in[i]);
    for (int i = carried; i < op->n_out; i++)
        check_stack(w, op, op->body->last->in[i], &op->out[i]);
    for (int i = 0; i < op->n_in; i++)
        if (i < carried || i >= turned)
            rename_to(w, op->in[i], op->body->param[i]);
}

static void check_lives(walk *w, const nm_op *op, int first, int last)
{
    for (int i = 0; i < op->n_in; i++)
        within_life(w, op->in[i], first, last);
    for (int i = 0; i < op->n_out; i++)
        within_life(w, &op->out[i], first, last);
}

static void end_repeat(walk *w, const nm_op *op)
{
    int carried = nm_n_carried(op), turned = nm_n_turned(op);
    for (int i = turned; i < op->n_in; i++)
        rename_to(w, op->body->param[i], op->in[i]);
    for (int i = 0; i < op->n_out; i++)
        if (i < carried)
            rename_to(w, op->body->param[i], &op->out[i]);
        else
            write(w, &op->out[i]);
}

// Stacked results are written part by part: none of their buffers may hold what a turn still reads,
// other than a stacked operand whose part makes room for this turn's part.
static void claim_stacks(walk *w, const nm_op *op)
{
    for (int i = nm_n_carried(op); i < op->n_out; i++)
        write(w, &op->out[i]);
}

static void run_repeat(walk *w, const nm_op *op, int *position)
{
    int first = *position, end = first;
    begin_repeat(w, op);
    claim_stacks(w, op);
    for (int turn = 0; turn < 2; turn++) {
        end = first;
        run_turn(w, op, &end);
    }
    check_lives(w, op, first, end > first ? end - 1 : first);
    end_repeat(w, op);
    *position = end;
}

static void run_list(walk *w, const nm_func *f, int *position)
{
    nm_each_op(op, f) {
        if (w->wrong)
            return;
        if (op->code == NM_OP_group && nm_launch_first(op) == op)
            run_groups(w, op, (*position)++);
        else if (op->code == NM_OP_repeat)
            run_repeat(w, op, position);
        else if (nm_is(op, NM_COLLECTIVE) && nm_launch_first(op) == op)
            run_launch(w, op, (*position)++);
        else if (op->code == NM_OP_wait)
            run_wait(w, op, (*position)++);
    }
}

static void check_results(walk *w, const nm_func *f)
{
    for (int i = 0; i < f->n_results; i++) {
        const nm_value *home = nm_result_home(f, i), *v = f->last->in[i];
        read(w, v);
        const nm_place *p = place(w, v), *q = home ? place(w, home) : p;
        if (p && q && !same_place(p, q))
            fail(w, v, "is not in the place of the parameter that it replaces");
        if (p && !w->plan->buffer[p->buffer].bound)
            fail(w, v, "is a result in a buffer of our own");
        if (p && p->loose)
            fail(w, v, "is a result that may lie in its operand's place");
    }
}

const char *nm_plan_disprove(const nm_func *f, nm_arena *arena)
{
    walk w = {.plan = f->plan, .arena = arena, .room = (int)f->n_values};
    w.cell = nm_new_n(arena, cell, w.room);
    w.going = nm_new_n(arena, const nm_op *, w.room);
    for (int i = 0; i < f->n_params; i++)
        write(&w, f->param[i]);
    int position = 0;
    run_list(&w, f, &position);
    if (w.n_going)
        fail(&w, &w.going[0]->out[0], "is never waited for");
    check_results(&w, f);
    return w.wrong;
}
