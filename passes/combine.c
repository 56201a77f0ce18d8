// combine: collectives of one kind over the same axes that can run at one place become one launch.
//
// Why here: after layout, which may still copy an operand, and before schedule, which plans the
// life of what such a launch reads and writes as of one position. One list of ops at a time, a
// function or the body of a repeat. A *batch* is such collectives, side by side. A collective joins
// the last batch of its kind by moving up to it, if its operand is computed before; else the batch
// moves down to it, if nobody in between reads what the batch gives. A kernel that reads it and is
// itself read by ret alone (a gradient's part, added to its accumulator) moves along. So the
// small parameters of a step are gathered in one launch, and a layer's small gradients are
// scattered in one. What is large by itself, or would make a batch large, begins another one, which
// the next pass can let go on beside the kernels that make the first one's successors: a *bucket*.
//
// In the text, all of a batch but the last say {more = true}: the device may wait for the next.
#include "ir/launch.h"
#include "passes/pass.h"

enum { MAX_BATCHES = 32, MAX_BATCH = 64 };

typedef struct batch {
    int n, n_tails;
    nm_op *op[MAX_BATCH];   // in the order of the list, side by side
    nm_op *tail[MAX_BATCH]; // kernels that may move behind the batch, wherever that goes
    double elements;
    bool is_read; // by others: it cannot move down any more
} batch;

typedef struct combiner {
    int n;
    batch *open; // [MAX_BATCHES] the last of each kind
} combiner;

// --- what belongs together ------------------------------------------------------------------

static bool same_kind(const nm_op *a, const nm_op *b)
{
    return a->code == b->code && a->out[0].type->dtype == b->out[0].type->dtype &&
           nm_attr_bool(a, "max") == nm_attr_bool(b, "max") &&
           nm_syms_same(nm_attr_dims(a, "axes"), nm_attr_dims(b, "axes"));
}

static batch *find(combiner *c, const nm_op *op)
{
    for (int i = 0; i < c->n; i++)
        if (same_kind(c->open[i].op[0], op))
            return &c->open[i];
    return NULL;
}

static bool reads(const nm_op *op, const batch *b)
{
    return nm_launch_is_read(b->op[0], b->op[b->n - 1], op);
}

// --- moving ---------------------------------------------------------------------------------

static bool has_room(const batch *b, const nm_op *op)
{
    return b->n < MAX_BATCH && b->elements + nm_sent_elements(op) <= NM_BUCKET;
}

static void join(batch *b, nm_op *op)
{
    b->op[b->n++] = op;
    b->elements += nm_sent_elements(op);
}

static void move_up(batch *b, nm_op *op)
{
    nm_move_before(op, b->op[b->n - 1]->next);
    join(b, op);
}

static void move_down(batch *b, nm_op *op)
{
    for (int i = 0; i < b->n; i++)
        nm_move_before(b->op[i], op);
    nm_op *behind = op->next;
    for (int i = 0; i < b->n_tails; i++)
        nm_move_before(b->tail[i], behind);
    join(b, op);
}

static void add(combiner *c, nm_op *op)
{
    batch *b = find(c, op);
    bool room = b && has_room(b, op);
    if (room && (!op->in[0]->def || nm_stands_before(op->in[0]->def, b->op[0]))) {
        move_up(b, op);
        return;
    }
    if (room && !b->is_read) {
        move_down(b, op);
        return;
    }
    if (!b && c->n == MAX_BATCHES)
        return;
    b = b ? b : &c->open[c->n++];
    *b = (batch){0};
    join(b, op);
}

static bool is_tail(const batch *b, const nm_op *op)
{
    for (int i = 0; i < b->n_tails; i++)
        if (b->tail[i] == op)
            return true;
    return false;
}

static void note_reader(batch *b, nm_op *op)
{
    if (!reads(op, b) || is_tail(b, op))
        return;
    if (op->code == NM_OP_group && nm_is_read_by_ret_alone(op) && b->n_tails < MAX_BATCH)
        b->tail[b->n_tails++] = op;
    else if (op->code != NM_OP_ret)
        b->is_read = true;
}

// --- the text -------------------------------------------------------------------------------

// The last of the batch that begins at op: none of it reads another's result.
static nm_op *end_of_batch(nm_op *first)
{
    batch b = {0};
    join(&b, first);
    for (nm_op *op = first->next; nm_is_sent(op) && same_kind(first, op); op = op->next) {
        if (!has_room(&b, op) || reads(op, &b))
            break;
        join(&b, op);
    }
    return b.op[b.n - 1];
}

static bool say_batches(nm_func *f)
{
    bool changed = false;
    for (nm_op *op = f->first, *next; op; op = next) {
        nm_op *last = nm_is_sent(op) ? end_of_batch(op) : op;
        next = last->next;
        for (; op != last; op = op->next) {
            nm_add_attr(op, nm_mk_bool(f->module, "more", true));
            changed = true;
        }
    }
    return changed;
}

// --- the pass -------------------------------------------------------------------------------

static bool combine_list(nm_func *f, nm_arena *scratch)
{
    nm_arena_mark mark = nm_arena_mark_get(scratch);
    combiner c = {.open = nm_new_n(scratch, batch, MAX_BATCHES)};
    bool changed = false;
    for (nm_op *op = f->first, *next; op; op = next) {
        next = op->next;
        if (op->code == NM_OP_repeat)
            changed |= combine_list(op->body, scratch);
        for (int i = 0; i < c.n; i++)
            note_reader(&c.open[i], op);
        if (nm_is_sent(op))
            add(&c, op);
    }
    nm_arena_reset(scratch, mark);
    return say_batches(f) || changed;
}

bool nm_pass_combine(nm_module *m, bool *changed)
{
    nm_arena scratch = {0};
    nm_each_func(f, m)
        if (combine_list(f, &scratch))
            *changed = true;
    nm_arena_free(&scratch);
    return true;
}
