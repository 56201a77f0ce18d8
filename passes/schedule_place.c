// Which values share a place. First those that must: what a repeat carries or hands on whole, a
// result and the parameter it replaces; a stacked value's parts lie in it. Then results of groups
// and sums over ranks that may be written over an operand that nobody reads any more.
#include "passes/schedule.h"

int nm_places_class(nm_places *s, const nm_value *v)
{
    int i = (int)v->id;
    while (s->up[i] != i)
        i = s->up[i] = s->up[s->up[i]];
    return i;
}

static void join(nm_places *s, const nm_value *a, const nm_value *b)
{
    int x = nm_places_class(s, a), y = nm_places_class(s, b);
    if (x == y)
        return;
    s->up[y] = x;
    int next = s->ring[x];
    s->ring[x] = s->ring[y];
    s->ring[y] = next;
    s->bound[x] |= s->bound[y];
    s->kept[x] |= s->kept[y];
    if (s->outer[y]) {
        s->outer[x] = s->outer[y];
        s->repeat[x] = s->repeat[y];
    }
}

static void part_of(nm_places *s, const nm_value *part, nm_value *whole, nm_op *repeat)
{
    int c = nm_places_class(s, part);
    s->outer[c] = whole;
    s->repeat[c] = repeat;
}

// --- what must be ---------------------------------------------------------------------------

static void join_repeat(nm_places *s, nm_op *op)
{
    int carried = nm_n_carried(op), turned = nm_n_turned(op);
    nm_op *ret = op->body->last;
    for (int i = 0; i < op->n_in; i++)
        if (i < carried || i >= turned)
            join(s, op->in[i], op->body->param[i]);
        else
            part_of(s, op->body->param[i], op->in[i], op);
    for (int i = 0; i < op->n_out; i++) {
        if (i < carried) {
            join(s, op->in[i], ret->in[i]);
            join(s, op->in[i], &op->out[i]);
        } else {
            part_of(s, ret->in[i], &op->out[i], op);
        }
    }
}

static void note_values(nm_places *s, nm_func *f)
{
    for (int i = 0; i < f->n_params; i++)
        s->value[f->param[i]->id] = f->param[i];
    nm_each_op(op, f) {
        for (int i = 0; i < op->n_out; i++)
            s->value[op->out[i].id] = &op->out[i];
        if (op->code == NM_OP_repeat)
            note_values(s, op->body);
    }
}

static void join_repeats(nm_places *s, nm_func *f)
{
    nm_each_op(op, f)
        if (op->code == NM_OP_repeat) {
            join_repeat(s, op);
            join_repeats(s, op->body);
        }
}

static void join_bound(nm_places *s)
{
    nm_func *f = s->f;
    for (int i = 0; i < f->n_params; i++)
        s->bound[nm_places_class(s, f->param[i])] = true;
    for (int i = 0; i < f->n_results; i++)
        s->bound[nm_places_class(s, f->last->in[i])] = true;
    for (int i = 0; i < f->n_results; i++) {
        nm_value *home = nm_result_home(f, i);
        if (home) {
            join(s, home, f->last->in[i]);
            s->kept[nm_places_class(s, home)] = true;
        }
    }
}

// --- what may be ----------------------------------------------------------------------------

static bool is_alone(nm_places *s, const nm_value *v)
{
    int c = nm_places_class(s, v);
    if (s->bound[c] || s->outer[c])
        return false;
    return s->ring[v->id] == (int)v->id;
}

// Whatever is written to u's place later must come after the last reader of v, so not at once.
static bool later_give_way(nm_places *s, const nm_value *u, const nm_value *v)
{
    int i = (int)u->id;
    do {
        const nm_value *w = s->value[i];
        bool here = w && w->def && w->func == v->func;
        if (here && w->def == v->def)
            return false;
        if (here && nm_stands_before(v->def, w->def) && !nm_gives_way(v, w))
            return false;
        i = s->ring[i];
    } while (i != (int)u->id);
    return true;
}

bool nm_places_is_loose(nm_places *s, const nm_value *v)
{
    return nm_may_be_operand(v) && nm_places_class(s, v) != nm_places_class(s, v->def->in[0]);
}

static bool may_take_over(nm_places *s, const nm_value *u, const nm_value *v)
{
    int c = nm_places_class(s, u);
    bool own = u->def || (u->func->parent ? u->index < nm_n_carried(u->func->parent) : s->kept[c]);
    return own && !nm_places_is_loose(s, u) && (!s->bound[c] || s->kept[c]) && !s->outer[c] &&
           u->type == v->type && nm_gives_way(u, v) && later_give_way(s, u, v);
}

static void place_over_operand(nm_places *s, nm_op *op, int r)
{
    nm_value *v = &op->out[r];
    for (int i = 0; i < op->n_in; i++)
        if (op->in[i]->type == v->type && is_alone(s, v) && may_take_over(s, op->in[i], v)) {
            join(s, op->in[i], v);
            return;
        }
}

static void place_over_operands(nm_places *s, nm_func *f)
{
    nm_each_op(op, f)
        if (op->code == NM_OP_repeat)
            place_over_operands(s, op->body);
        else if (op->code == NM_OP_group || op->code == NM_OP_all_reduce)
            for (int r = 0; r < op->n_out; r++)
                place_over_operand(s, op, r);
}

nm_places nm_places_find(nm_func *f, nm_arena *scratch)
{
    int n = (int)f->n_values;
    nm_places s = {.f = f, .scratch = scratch, .n_values = n};
    s.value = nm_new_n(scratch, nm_value *, n);
    s.up = nm_new_n(scratch, int, n);
    s.ring = nm_new_n(scratch, int, n);
    s.bound = nm_new_n(scratch, bool, n);
    s.kept = nm_new_n(scratch, bool, n);
    s.outer = nm_new_n(scratch, nm_value *, n);
    s.repeat = nm_new_n(scratch, nm_op *, n);
    for (int i = 0; i < n; i++)
        s.up[i] = s.ring[i] = i;
    note_values(&s, f);
    join_repeats(&s, f);
    join_bound(&s);
    place_over_operands(&s, f);
    return s;
}
