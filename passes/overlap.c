// overlap: launches of collectives begin as soon as their operands are there, and who reads what
// they give waits for them as late as it can.
//
// Why here: after combine, launches are final, and before schedule, which plans the life of what
// they read and write. One list of ops at a time, a function or the body of a repeat:
//
//   begin   a launch moves up behind the last of its operands, in the order of launches, but not
//           past the first reader of the one before the last: what is gathered for kernels far
//           below is not there all the time
//   fill    what nobody in the list needs (its results are read by ret alone) is put off: a kernel
//           until a launch is under way and has nothing beside it yet, so that the gradients of
//           weights are computed while a gradient of activations is summed over ranks; a reader of
//           a launch (a gradient's part, added to its accumulator) until the end, or until more
//           than two buckets are under way
//   wait    in front of the first reader of a launch with a kernel in between stands a `wait`;
//           a launch without one blocks
//
// A list without collectives stays as it is. An op that makes what a repeat carries has nothing put
// off beyond it: it may write where the last turn's value lies, which what was put off may read.
#include "ir/launch.h"
#include "passes/pass.h"

// What a device multiplies while it sends an element: about 4,000 in bf16 on an H100 with NVLink,
// more over networks, about 100 on a host.
enum { PRODUCTS_A_SEND = 4096, MAX_PUT_OFF = 64 };

typedef struct flight {
    nm_op *last;   // of the launch
    double beside; // multiplications of what stands behind it so far
    bool covered;  // a kernel does
} flight;

typedef struct overlap {
    nm_func *f;
    int n_flights, n_off;
    flight *flight;          // launches under way, oldest first
    nm_op *off[MAX_PUT_OFF]; // kernels that are put off, in their order
    int64_t *place; // by the id of an op's first result: where it stands, while launches move
    bool changed;
} overlap;

// --- begin ----------------------------------------------------------------------------------

// Ops are numbered in steps of GAP. Launches keep their order and move up alone, so what moves has
// the numbers behind the op in front of it for itself.
enum { GAP = 1 << 20 };

static void number_ops(overlap *w)
{
    int64_t place = 0;
    nm_each_op(op, w->f)
        if (op->n_out)
            w->place[op->out[0].id] = place += GAP;
}

static int64_t place_of(const overlap *w, const nm_op *op)
{
    return !op ? 0 : op->n_out ? w->place[op->out[0].id] : INT64_MAX; // that is ret
}

static nm_op *later(const overlap *w, nm_op *a, nm_op *b)
{
    return place_of(w, b) > place_of(w, a) ? b : a;
}

static nm_op *first_reader(const overlap *w, const nm_op *last)
{
    nm_op *first = NULL;
    for (const nm_op *c = nm_launch_first(last); c != last->next; c = c->next)
        nm_each_use(u, &c->out[0])
            if (!first || place_of(w, u->op) < place_of(w, first))
                first = u->op;
    return first;
}

// The last op that has to stand before the launch; NULL: none.
static nm_op *last_needed(const overlap *w, nm_op *first, nm_op *last, nm_op *needed)
{
    for (nm_op *op = first;; op = op->next) {
        needed = later(w, needed, op->in[0]->def);
        if (op == last)
            return needed;
    }
}

// The launch goes behind `needed`; NULL: to the beginning.
static void move_behind(overlap *w, nm_op *first, nm_op *last, nm_op *needed)
{
    nm_op *before = needed ? needed->next : w->f->first;
    int64_t place = place_of(w, needed);
    if (before == first)
        return;
    for (nm_op *op = first, *next;; op = next) {
        next = op->next;
        nm_move_before(op, before);
        w->place[op->out[0].id] = ++place;
        if (op == last)
            break;
    }
    w->changed = true;
}

static void begin_early(overlap *w)
{
    nm_op *before = NULL, *limit = NULL; // the launch before; the reader of the one before that
    number_ops(w);
    for (nm_op *op = w->f->first, *next; op; op = next) {
        next = op->next;
        if (!nm_is_sent(op))
            continue;
        nm_op *last = nm_launch_last(op), *floor = before;
        if (place_of(w, limit) < place_of(w, op))
            floor = later(w, before, limit);
        next = last->next;
        move_behind(w, op, last, last_needed(w, op, last, floor));
        limit = before ? first_reader(w, before) : NULL;
        before = last;
    }
}

// --- fill -----------------------------------------------------------------------------------

static bool makes_carried(const nm_op *op)
{
    const nm_op *repeat = op->func->parent;
    for (int i = 0; i < op->n_out && repeat && repeat->code == NM_OP_repeat; i++)
        nm_each_use(u, &op->out[i])
            if (u->op->code == NM_OP_ret && u->index < nm_attr_int(repeat, "carried", 0))
                return true;
    return false;
}

static bool reads(const nm_op *op, const nm_op *last)
{
    return nm_launch_is_read(nm_launch_first(last), last, op);
}

static bool reads_flights(const overlap *w, const nm_op *op)
{
    for (int i = 0; i < w->n_flights; i++)
        if (reads(op, w->flight[i].last))
            return true;
    return false;
}

static bool may_be_put_off(const overlap *w, const nm_op *op)
{
    return op->code == NM_OP_group && nm_is_read_by_ret_alone(op) && !makes_carried(op) &&
           (nm_nominal_products(op) > 0 || reads_flights(w, op));
}

static void wait_for(overlap *w, int flight, nm_op *before);

// Who stands in front of `before` reads of no launch that is under way there.
static void complete(overlap *w, const nm_op *op, nm_op *before)
{
    for (int i = w->n_flights; i-- > 0;)
        if (reads(op, w->flight[i].last))
            wait_for(w, i, before);
}

// The op stands where it is to stand, in front of `before`; what it reads is there.
static void settle(overlap *w, nm_op *op, nm_op *before)
{
    complete(w, op, before);
    if (op != before && op->next != before) {
        nm_move_before(op, before);
        w->changed = true;
    }
    double products = op->code == NM_OP_group ? nm_nominal_products(op) : 0;
    for (int i = 0; i < w->n_flights; i++) {
        w->flight[i].beside += products;
        w->flight[i].covered |= op->code == NM_OP_group || op->code == NM_OP_repeat;
    }
}

static nm_op *take_off(overlap *w, int i)
{
    nm_op *op = w->off[i];
    w->n_off--;
    for (; i < w->n_off; i++)
        w->off[i] = w->off[i + 1];
    return op;
}

// Kernels that were put off go beside the launch, until they are as long as it is.
static void fill(overlap *w, int flight, nm_op *before)
{
    double enough = PRODUCTS_A_SEND * nm_launch_elements(w->flight[flight].last);
    for (int i = 0; i < w->n_off && w->flight[flight].beside < enough;)
        if (reads_flights(w, w->off[i]))
            i++;
        else
            settle(w, take_off(w, i), before);
}

static void settle_all(overlap *w, nm_op *before)
{
    for (int i = 0; i < w->n_off;)
        if (reads_flights(w, w->off[i]))
            i++;
        else
            settle(w, take_off(w, i), before);
    while (w->n_off)
        settle(w, take_off(w, 0), before);
}

// --- wait -----------------------------------------------------------------------------------

static void build_wait(overlap *w, nm_op *last, nm_op *before)
{
    nm_arena scratch = {0};
    int n = 0;
    for (const nm_op *op = nm_launch_first(last); op != last->next; op = op->next)
        n++;
    nm_value **in = nm_new_n(&scratch, nm_value *, n);
    n = 0;
    for (nm_op *op = nm_launch_first(last); op != last->next; op = op->next)
        in[n++] = &op->out[0];
    nm_build_op(w->f, before,
                &(nm_proto){.code = NM_OP_wait, .loc = last->loc, .n_in = n, .in = in});
    nm_arena_free(&scratch);
    w->changed = true;
}

static void wait_for(overlap *w, int flight, nm_op *before)
{
    fill(w, flight, before);
    struct flight done = w->flight[flight];
    w->n_flights--;
    for (int i = flight; i < w->n_flights; i++)
        w->flight[i] = w->flight[i + 1];
    if (done.covered)
        build_wait(w, done.last, before);
}

static double under_way(const overlap *w)
{
    double n = 0;
    for (int i = 0; i < w->n_flights; i++)
        n += nm_launch_elements(w->flight[i].last);
    return n;
}

static int put_off_reader(const overlap *w, const nm_op *last)
{
    for (int i = 0; i < w->n_off; i++)
        if (reads(w->off[i], last))
            return i;
    return -1;
}

// What is sent lies in memory until its readers, which were put off, are done with it.
static void land(overlap *w, nm_op *before)
{
    int i;
    while (w->n_flights && under_way(w) > 2 * NM_BUCKET &&
           (i = put_off_reader(w, w->flight[0].last)) >= 0)
        settle(w, take_off(w, i), before);
}

// --- the pass -------------------------------------------------------------------------------

static void walk(overlap *w)
{
    for (nm_op *op = w->f->first, *next; op != w->f->last; op = next) {
        next = op->next;
        if (nm_is_sent(op)) {
            nm_op *last = nm_launch_last(op);
            next = last->next;
            for (nm_op *c = op; c != next; c = c->next)
                complete(w, c, op);
            land(w, op);
            w->flight[w->n_flights++] = (flight){.last = last};
        } else if (w->n_off < MAX_PUT_OFF && may_be_put_off(w, op)) {
            w->off[w->n_off++] = op;
        } else {
            if (makes_carried(op))
                settle_all(w, op);
            settle(w, op, op);
        }
    }
    settle_all(w, w->f->last);
    while (w->n_flights)
        wait_for(w, 0, w->f->last);
}

static int count_sent(const nm_func *f)
{
    int n = 0;
    nm_each_op(op, f)
        n += nm_is_sent(op);
    return n;
}

static bool overlap_list(nm_func *f)
{
    bool changed = false;
    nm_each_op(op, f)
        if (op->code == NM_OP_repeat)
            changed |= overlap_list(op->body);
    int n = count_sent(f);
    if (!n)
        return changed;
    nm_arena scratch = {0};
    overlap w = {.f = f,
                 .flight = nm_new_n(&scratch, flight, n),
                 .place = nm_new_n(&scratch, int64_t, nm_func_outer(f)->n_values + 1)};
    begin_early(&w);
    walk(&w);
    nm_arena_free(&scratch);
    return changed || w.changed;
}

bool nm_pass_overlap(nm_module *m, bool *changed)
{
    nm_each_func(f, m)
        *changed |= overlap_list(f);
    return true;
}
