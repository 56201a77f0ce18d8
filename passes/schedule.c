// schedule: a place for every stored value, and a life for every buffer.
//
// Why last: everything that must be kept exists. The order of groups is fuse's. Copies are inserted
// where values that share a place would meet (schedule_copy.c), places are shared
// (schedule_place.c); then a buffer lives from the first to the last position at which a group
// touches it, where a repeat touches its operands and results from its first position to its last:
// what every turn reads is there in every turn, what is carried is never given away between turns.
// So any packing of transient buffers by these intervals is safe. The plan is proved before it is
// handed on (schedule_verify.c).
//
// A poisoning run shows the same at run time: fill a transient buffer with NaN before its first
// position and after its last, and the results are the same bits.
#include "passes/schedule.h"

#include "passes/pass.h"

typedef struct schedule {
    nm_func *f;
    nm_places *places;
    nm_plan *plan;
    int *buffer; // by class: index, or -1
    int position;
} schedule;

static const nm_extent *elements(nm_module *m, const nm_type *t)
{
    const nm_extent *n = nm_extent_const(m, 1);
    for (int i = 0; i < t->rank; i++)
        n = nm_extent_mul(m, n, t->dim[i].extent);
    return n;
}

// --- buffers and places ---------------------------------------------------------------------

// The outermost value of which v is a part.
static const nm_value *whole_of(nm_places *p, const nm_value *v)
{
    int c = nm_places_class(p, v);
    while (p->outer[c]) {
        v = p->outer[c];
        c = nm_places_class(p, v);
    }
    return v;
}

static void add_buffer(schedule *s, const nm_value *v)
{
    const nm_value *whole = whole_of(s->places, v);
    int c = nm_places_class(s->places, whole);
    if (s->buffer[c] >= 0)
        return;
    nm_loc loc = whole->def ? whole->def->loc : whole->func->loc;
    s->buffer[c] = s->plan->n_buffers;
    s->plan->buffer[s->plan->n_buffers++] =
        (nm_buffer){.name = whole->name,
                    .loc = loc,
                    .bound = s->places->bound[c],
                    .dtype = whole->type->dtype,
                    .elems = elements(s->f->module, whole->type),
                    .first = -1,
                    .last = -1};
}

static nm_place place_of(schedule *s, const nm_value *v)
{
    nm_module *m = s->f->module;
    int c = nm_places_class(s->places, v);
    if (!s->places->outer[c])
        return (nm_place){.buffer = s->buffer[c], .start = nm_extent_const(m, 0)};
    nm_place p = place_of(s, s->places->outer[c]);
    if (p.n_turns == NM_MAX_TURNS)
        nm_bug("repeats nest deeper than %d", NM_MAX_TURNS);
    p.turn[p.n_turns++] = (nm_turn){s->places->repeat[c], elements(m, v->type)};
    return p;
}

static void place_value(schedule *s, const nm_value *v)
{
    add_buffer(s, v);
    nm_place *place = &s->plan->place[v->id];
    *place = place_of(s, v);
    place->loose = nm_places_is_loose(s->places, v);
}

static void place_values(schedule *s, const nm_func *f)
{
    for (int i = 0; i < f->n_params; i++)
        place_value(s, f->param[i]);
    for (int i = 0; i < f->n_results && !f->parent; i++)
        add_buffer(s, f->last->in[i]);
    nm_each_op(op, f) {
        for (int i = 0; i < op->n_out; i++)
            place_value(s, &op->out[i]);
        if (op->code == NM_OP_repeat)
            place_values(s, op->body);
    }
}

// --- lives ----------------------------------------------------------------------------------

static void touch(schedule *s, const nm_value *v, int position)
{
    nm_buffer *b = &s->plan->buffer[s->plan->place[v->id].buffer];
    if (b->first < 0 || position < b->first)
        b->first = position;
    if (position > b->last)
        b->last = position;
    if (s->plan->place[v->id].loose)
        touch(s, v->def->in[0], position);
}

static void touch_all(schedule *s, const nm_op *op, int position)
{
    for (int i = 0; i < op->n_in; i++)
        touch(s, op->in[i], position);
    for (int i = 0; i < op->n_out; i++)
        touch(s, &op->out[i], position);
}

// What a launch reads is there until it has been waited for.
static void touch_launch(schedule *s, const nm_op *wait, int position)
{
    for (int i = 0; i < wait->n_in; i++)
        touch_all(s, wait->in[i]->def, position);
}

static void live(schedule *s, const nm_func *f)
{
    nm_each_op(op, f) {
        if (op->code == NM_OP_wait)
            touch_launch(s, op, s->position);
        else if (op->code == NM_OP_group || nm_is(op, NM_COLLECTIVE))
            touch_all(s, op, s->position);
        s->position += nm_plan_has_position(op);
        if (op->code != NM_OP_repeat)
            continue;
        int first = s->position;
        live(s, op->body);
        touch_all(s, op, first);
        touch_all(s, op, s->position > first ? s->position - 1 : first);
    }
}

// What the caller provides is there all the time.
static void live_bound(nm_plan *plan)
{
    for (int i = 0; i < plan->n_buffers; i++)
        if (plan->buffer[i].bound) {
            plan->buffer[i].first = 0;
            plan->buffer[i].last = plan->n_positions ? plan->n_positions - 1 : 0;
        }
}

// --- the pass -------------------------------------------------------------------------------

static void plan_func(nm_func *f, nm_arena *scratch)
{
    nm_arena *arena = f->module->arena;
    nm_schedule_copies(f);
    nm_places places = nm_places_find(f, scratch);
    nm_plan *plan = nm_new(arena, nm_plan);
    *plan = (nm_plan){.func = f,
                      .place = nm_new_n(arena, nm_place, places.n_values),
                      .buffer = nm_new_n(arena, nm_buffer, places.n_values)};
    schedule s = {.f = f, .places = &places, .plan = plan};
    s.buffer = nm_new_n(scratch, int, places.n_values);
    for (int i = 0; i < places.n_values; i++)
        s.buffer[i] = plan->place[i].buffer = -1;
    place_values(&s, f);
    live(&s, f);
    plan->n_positions = s.position;
    live_bound(plan);
    f->plan = plan;
}

bool nm_pass_schedule(nm_module *m, bool *changed)
{
    nm_arena scratch = {0};
    nm_each_func(f, m) {
        nm_arena_mark mark = nm_arena_mark_get(&scratch);
        plan_func(f, &scratch);
        const char *wrong = nm_plan_disprove(f, &scratch);
        if (wrong)
            nm_bug("schedule: @%s: %s", f->name, wrong);
        nm_arena_reset(&scratch, mark);
    }
    *changed = true;
    nm_arena_free(&scratch);
    return true;
}
