// Keep: what the functions of a micro-batch round of parameters alone is rounded once a step.
//
//   train.micro.forward.1.mesh          each micro-batch rounds for itself (as it was)
//   train.micro.forward.1.mesh.kept     takes what was rounded: kept(1.q.w.e4m3)
//   train.weights.1.mesh                gives it, once a step, before the first micro-batch
//
// A value is kept if it depends on parameters (and states) alone, a rounding is among what it is
// computed by, and something reads it that depends on more: a weight in bf16, or in 8 bits with
// what its scale took. What lies between, views and widenings, is done where it is read. In a
// repeat it is a turn's part of what is kept of all. Functions of one unit and mode, forward,
// backward, of all sums and variants, share what is the same formula of the same parameters.
//
// A run takes one text or the other (docs/mesh.md, Kept weights). Why here: roundings are final,
// and from fuse on a cast may be part of a kernel. On a GPU a product of 8 bits wants its operand
// along what it sums over: one that two products read along different dims is kept twice. Layers in
// bf16 of a program in fp8 are few, and round for themselves.
#include "passes/keep_weights.h"
#include "passes/parts.h"
#include "passes/pass.h"
#include "passes/rewrite.h"

#include <string.h>

// --- what depends on parameters alone ------------------------------------------------------------

static bool is_narrowing(const nm_op *op)
{
    const nm_dtype_info *to = &nm_dtype_table[op->out[0].type->dtype];
    return op->code == NM_OP_cast && to->is_float &&
           to->bytes < nm_dtype_table[op->in[0]->type->dtype].bytes;
}

// A scale, too: a power of two.
static bool is_rounding(const nm_op *op)
{
    return is_narrowing(op) || op->code == NM_OP_floor_pow2;
}

// Computed the same wherever and whenever its operands are the same.
static bool may_move(const nm_op *op)
{
    return nm_is(op, NM_PURE) && !op->body && op->code != NM_OP_random && op->n_in &&
           (!nm_is(op, NM_COLLECTIVE) || op->code == NM_OP_all_gather || op->code == NM_OP_shard);
}

static void mark_op(nm_keep *k, const nm_op *op)
{
    bool fixed = false, rounded = is_rounding(op);
    for (int i = 0; i < op->n_in; i++) {
        const nm_value *v = op->in[i];
        if (!k->fixed[v->id] && !nm_keep_is_constant(v))
            return;
        fixed |= k->fixed[v->id];
        rounded |= k->rounded[v->id];
    }
    for (int i = 0; i < op->n_out && fixed; i++) {
        k->fixed[op->out[i].id] = true;
        k->rounded[op->out[i].id] = rounded;
    }
}

static void mark_body(nm_keep *k, const nm_op *repeat)
{
    for (int i = (int)nm_attr_int(repeat, "carried", 0); i < repeat->n_in; i++) {
        uint32_t operand = repeat->in[i]->id, param = repeat->body->param[i]->id;
        k->fixed[param] = k->fixed[operand];
        k->rounded[param] = k->rounded[operand];
    }
    nm_each_op(op, repeat->body)
        if (may_move(op))
            mark_op(k, op);
}

static void mark(nm_keep *k, const nm_func *f)
{
    for (int i = 0; i < f->n_params; i++) {
        nm_bind b = f->param_bind[i];
        k->fixed[f->param[i]->id] =
            b.kind == NM_BIND_param ||
            (b.kind == NM_BIND_state && nm_func_find_result(f, b.kind, b.name) < 0);
    }
    nm_each_op(op, f)
        if (op->code == NM_OP_repeat)
            mark_body(k, op);
        else if (may_move(op))
            mark_op(k, op);
}

// --- is it the same formula? ---------------------------------------------------------------------

static bool same_formula(const nm_value *a, const nm_value *b);

static bool same_param(const nm_value *a, const nm_value *b)
{
    const nm_op *x = a->func->parent, *y = b->func->parent;
    if (!x && !y)
        return a->func->param_bind[a->index].kind == b->func->param_bind[b->index].kind &&
               a->func->param_bind[a->index].name == b->func->param_bind[b->index].name;
    return x && y && nm_attr_sym(x, "over") == nm_attr_sym(y, "over") &&
           nm_keep_is_turn(a) == nm_keep_is_turn(b) &&
           same_formula(x->in[a->index], y->in[b->index]);
}

static bool same_formula(const nm_value *a, const nm_value *b)
{
    const nm_op *x = a->def, *y = b->def;
    if (a == b || a->type != b->type || !x != !y)
        return a == b;
    if (!x)
        return same_param(a, b);
    if (x->code != y->code || x->n_in != y->n_in || a->index != b->index || !nm_same_attrs(x, y))
        return false;
    for (int i = 0; i < x->n_in; i++)
        if (!same_formula(x->in[i], y->in[i]))
            return false;
    return true;
}

// --- what is kept --------------------------------------------------------------------------------

// What is stored of v: not its views, not what only widens it. Up to the function's top, if what a
// turn reads is a part of what is computed there.
static nm_value *stored(nm_value *v)
{
    for (;;) {
        const nm_op *op = v->def;
        bool widens = op && op->code == NM_OP_cast && !is_narrowing(op);
        if (op && (widens || (nm_is(op, NM_VIEW) && !nm_is(op, NM_COLLECTIVE))))
            v = op->in[0];
        else if (!op && v->func->parent)
            v = v->func->parent->in[v->index];
        else
            return v;
    }
}

static bool is_worth_it(const nm_value *v)
{
    return v->def && (!v->type->rank || nm_dtype_table[v->type->dtype].bytes < 4);
}

// The order in which a product reads it: on a GPU, of 8 bits, what is summed over is innermost.
static const nm_type *order_for(const nm_keep *k, const nm_op *reader, const nm_value *v)
{
    bool along = k->m->options.flavour == NM_FLAVOUR_gpu && reader->code == NM_OP_dot &&
                 nm_dtype_table[v->type->dtype].bytes == 1;
    return along ? nm_layout_along_sums(reader, v->type, k->rank) : v->type;
}

// The first operand that no constant is: what depends on parameters has one.
static const nm_value *first_operand(const nm_op *op)
{
    int i = 0;
    while (i + 1 < op->n_in && nm_keep_is_constant(op->in[i]))
        i++;
    return op->in[i];
}

static nm_sym path_of(const nm_value *v)
{
    while (v->def || v->func->parent)
        v = v->def ? first_operand(v->def) : v->func->parent->in[v->index];
    return v->func->param_bind[v->index].name;
}

static nm_sym name_of(const nm_keep *k, const nm_value *v)
{
    nm_sym name = nm_sym_fmt(k->m, "%d.%s.%s", __builtin_ctzll(k->part.units), path_of(v),
                             nm_dtype_table[v->type->dtype].name);
    nm_sym free = name;
    for (int i = 0, n = 1; i < k->n; i++)
        if (k->kept[i].name == free) {
            free = nm_sym_fmt(k->m, "%s.%d", name, ++n);
            i = -1;
        }
    return free;
}

static int find_kept(nm_keep *k, nm_value *v, const nm_type *order)
{
    for (int i = 0; i < k->n; i++)
        if (k->kept[i].order == order && same_formula(k->kept[i].v, v))
            return i;
    k->kept = nm_arena_grow(k->m->arena, k->kept, k->n, sizeof *k->kept);
    k->kept[k->n] = (nm_kept){v, order, name_of(k, v), path_of(v)};
    return k->n++;
}

static void read_by(nm_keep *k, nm_op *reader, int i)
{
    nm_value *read = reader->in[i];
    nm_value *v = k->fixed[read->id] && k->rounded[read->id] ? stored(read) : NULL;
    if (!v || !k->rounded[v->id] || !is_worth_it(v))
        return;
    bool here = v->func == reader->func;
    k->read = nm_arena_grow(k->m->arena, k->read, k->n_reads, sizeof *k->read);
    k->read[k->n_reads++] = (nm_kept_read){
        reader, i, here, v, find_kept(k, v, here ? order_for(k, reader, v) : v->type)};
}

// A body's own readers speak for what it is given.
static void find_reads(nm_keep *k, nm_func *f)
{
    nm_each_op(op, f) {
        if (op->code == NM_OP_repeat && !f->parent)
            find_reads(k, op->body);
        else if (op->n_out && !k->fixed[op->out[0].id])
            for (int i = 0; i < op->n_in; i++)
                read_by(k, op, i);
    }
}

// --- the functions of micro-batches --------------------------------------------------------------

typedef struct taken { // by a function
    int kept;
    nm_func *body; // that it was taken into
    nm_value *v;
} taken;

typedef struct taker { // a copy of a function, which takes what is kept
    nm_keep *k;
    nm_func *f;
    nm_value **map; // from the function's own ids
    int n;
    taken *taken;
} taker;

// In the function's body, or in a repeat's: its turn's part.
static nm_value *take(taker *t, int kept, nm_func *body)
{
    const nm_kept *x = &t->k->kept[kept];
    for (int i = 0; i < t->n; i++)
        if (t->taken[i].kept == kept && t->taken[i].body == body)
            return t->taken[i].v;
    nm_value *v = nm_func_param(t->f, nm_keep_type(x), x->path,
                                (nm_bind){.kind = NM_BIND_kept, .name = x->name});
    if (body->parent) {
        nm_loop l = nm_loop_open(body->parent);
        v = nm_loop_stack(&l, v, NULL)->param;
        nm_loop_close(&l);
    }
    t->taken = nm_arena_grow(t->k->m->arena, t->taken, t->n, sizeof *t->taken);
    t->taken[t->n++] = (taken){kept, body, v};
    return v;
}

// v again, made of `with` where it was made of `from`: views and widenings of it.
static nm_value *again(nm_value *v, const nm_value *from, nm_value *with, nm_op *before)
{
    if (v == from)
        return with;
    nm_value *in = again(v->def->in[0], from, with, before);
    nm_proto p = nm_proto_of(v->def);
    p.in = &in;
    return nm_build(before->func, before, &p);
}

// One reader of several, each with the order that it wants.
static void replace_read(taker *t, const nm_kept_read *r)
{
    nm_value *from = t->map[r->v->id];
    nm_value *with = take(t, r->kept, from->func);
    nm_op *reader = t->map[r->reader->out[0].id]->def;
    nm_set_operand(reader, r->index, again(reader->in[r->index], from, with, reader));
}

// What a repeat's turns read, or a part of it. Behind the others, which know it by the old value.
static void replace_given(taker *t, const nm_kept_read *r)
{
    nm_value *from = t->map[r->v->id];
    nm_replace(from, take(t, r->kept, from->func));
}

static bool is_in(const nm_kept_read *r, nm_func *f) { return nm_func_outer(r->v->func) == f; }

static nm_func *copy_taking(nm_keep *k, nm_func *f)
{
    taker t = {.k = k};
    t.f = nm_part_copy(f, nm_sym_fmt(k->m, "%s.kept", f->name), &t.map);
    t.f->part = f->part;
    t.f->part.kept = true;
    for (int i = 0; i < k->n_reads; i++)
        if (is_in(&k->read[i], f) && k->read[i].here)
            replace_read(&t, &k->read[i]);
    for (int i = 0; i < k->n_reads; i++)
        if (is_in(&k->read[i], f) && !k->read[i].here)
            replace_given(&t, &k->read[i]);
    nm_part_clean(t.f);
    nm_part_drop_params(t.f);
    return t.f;
}

// --- the pass ------------------------------------------------------------------------------------

static bool is_micro(const nm_func *f)
{
    bool one = f->part.units && !(f->part.units & (f->part.units - 1));
    return nm_func_has_role(f, "train") && one && f->part.phase >= NM_PHASE_forward &&
           f->part.phase <= NM_PHASE_backward && f->part.products != NM_PRODUCTS_bf16;
}

// Of one unit and mode, whatever the phase, sums and variant.
static bool is_of(const nm_keep *k, const nm_func *f)
{
    return is_micro(f) && !f->part.kept && f->part.units == k->part.units &&
           f->part.mode == k->part.mode;
}

static void read_of(nm_keep *k, nm_func *f)
{
    k->fixed = nm_new_n(k->m->arena, bool, f->n_values + 1);
    k->rounded = nm_new_n(k->m->arena, bool, f->n_values + 1);
    mark(k, f);
    find_reads(k, f);
}

static nm_sym giver_name(const nm_keep *k)
{
    nm_sym name = nm_sym_fmt(k->m, "train.weights.%d", __builtin_ctzll(k->part.units));
    return k->part.mode ? nm_sym_fmt(k->m, "%s.%s", name, k->part.mode) : name;
}

static bool reads_kept(const nm_keep *k, nm_func *f)
{
    for (int i = 0; i < k->n_reads; i++)
        if (is_in(&k->read[i], f))
            return true;
    return false;
}

// Of all functions like this first one; false: nothing is kept.
static bool keep_like(nm_func *f, const nm_rank *rank)
{
    nm_keep k = {
        .m = f->module, .rank = rank, .part = {.units = f->part.units, .mode = f->part.mode}};
    nm_each_func(g, k.m)
        if (is_of(&k, g))
            read_of(&k, g);
    if (!k.n)
        return false;
    nm_func_move_before(nm_keep_giver(&k, giver_name(&k), f->loc), f);
    nm_each_func(g, k.m)
        if (is_of(&k, g) && reads_kept(&k, g))
            nm_func_move_before(copy_taking(&k, g), g);
    return true;
}

static bool is_first(nm_func *f)
{
    nm_keep k = {.part = f->part};
    nm_each_func(g, f->module) {
        if (g == f)
            return true;
        if (is_of(&k, g))
            return false;
    }
    return true;
}

bool nm_pass_keep(nm_module *m, bool *changed)
{
    const nm_rank *rank = nm_rank_new(m, m->arena);
    nm_each_func(f, m)
        if (is_micro(f) && !f->part.kept && is_first(f))
            *changed |= keep_like(f, rank);
    return true;
}
