// Accumulate: a step is cut where its sums over the batch are complete.
//
//   @train.count    data -> counts            sums that a micro-batch needs whole (valid tokens)
//   @train.micro    data, params, counts, acc -> acc    forward and backward of one micro-batch
//   @train.finish   acc, counts, params, states -> params, states, emits
//
// passes/batch.c says which values those are. Each part is a copy of the whole step in which the
// values that another part provides are parameters; dead code does the rest. acc' = acc + part (of
// a maximum, the larger of the two) is written so that every term adds in place: into the turns of
// a backward repeat, for one.
// Here, since the backward pass has to exist; not later, since fuse should see the adds.
#include "ir/loop.h"
#include "ir/names.h"
#include "passes/batch.h"
#include "passes/parts.h"
#include "passes/pass.h"

#include <string.h>

typedef struct cut { // one value that one part of a step provides to another
    nm_value *value; // of the whole step
    nm_sym name;
    bool count; // else an accumulator
    bool read;  // by finish
} cut;

typedef struct cuts {
    nm_batch b;
    int n;
    cut *row;
} cuts;

// --- names -------------------------------------------------------------------------------------

static bool taken(const cuts *c, nm_sym name, bool count)
{
    for (int i = 0; i < c->n; i++)
        if (c->row[i].name == name && c->row[i].count == count)
            return true;
    return false;
}

// Does v depend on `on`?
static bool leads_to(const nm_value *on, const nm_value *v, bool *seen)
{
    if (v == on)
        return true;
    if (!v->def || seen[v->id])
        return false;
    seen[v->id] = true;
    for (int i = 0; i < v->def->n_in; i++)
        if (leads_to(on, v->def->in[i], seen))
            return true;
    return false;
}

static nm_sym emit_of(const nm_func *f, const nm_value *v)
{
    for (int i = 0; i < f->n_results; i++)
        if (f->result_bind[i].kind == NM_BIND_emit && f->last->in[i] == v)
            return f->result_bind[i].name;
    return NULL;
}

// A gradient's own name, that of the emit it is or leads to, else a number.
static nm_sym name_cut(const cuts *c, const nm_value *v, bool count)
{
    nm_func *f = c->b.f;
    nm_module *m = f->module;
    if (nm_gradient_path(m, v->name) && !taken(c, v->name, count))
        return v->name;
    if (emit_of(f, v) && !taken(c, emit_of(f, v), count))
        return emit_of(f, v);
    for (int i = 0; i < f->n_results && !count; i++) {
        nm_bind bind = f->result_bind[i];
        if (bind.kind != NM_BIND_emit || taken(c, bind.name, count))
            continue;
        bool *seen = nm_new_n(m->arena, bool, f->n_values + 1);
        if (leads_to(v, f->last->in[i], seen))
            return bind.name;
    }
    for (int i = 0;; i++) {
        nm_sym name = nm_sym_fmt(m, "%d", i);
        if (!taken(c, name, count))
            return name;
    }
}

static void collect(cuts *c)
{
    nm_arena *arena = c->b.f->module->arena;
    c->row = nm_new_n(arena, cut, c->b.f->n_values + 1);
    nm_each_op(op, c->b.f)
        for (int i = 0; i < op->n_out; i++) {
            nm_value *v = &op->out[i];
            if (c->b.count[v->id] || c->b.acc[v->id])
                c->row[c->n++] = (cut){.value = v, .count = c->b.count[v->id]};
        }
    for (int i = c->n - 1; i >= 0; i--) // the last sum before an emit has its name
        c->row[i].name = name_cut(c, c->row[i].value, c->row[i].count);
}

// --- acc' = acc + part, or maximum(acc, part) ---------------------------------------------------

typedef struct terms {
    nm_opcode by; // add or maximum: what an accumulator takes them by
    int n;
    nm_op **def; // in program order, once sorted
    int *index;  // of the result
} terms;

// The terms of a sum whose intermediate sums nobody else reads.
static void flatten(terms *t, nm_value *v, nm_arena *arena)
{
    nm_op *op = v->def;
    if (op->code == t->by && nm_used_once(v) && op->in[0]->def && op->in[1]->def) {
        flatten(t, op->in[0], arena);
        flatten(t, op->in[1], arena);
        return;
    }
    t->def = nm_arena_grow(arena, t->def, t->n, sizeof *t->def);
    t->index = nm_arena_grow(arena, t->index, t->n, sizeof *t->index);
    t->def[t->n] = op;
    t->index[t->n++] = v->index;
}

static bool comes_first(const nm_op *a, const nm_op *b)
{
    for (; a; a = a->next)
        if (a == b)
            return true;
    return false;
}

static void sort(terms *t)
{
    for (int i = 1; i < t->n; i++)
        for (int k = i;
             k > 0 && t->def[k] != t->def[k - 1] && comes_first(t->def[k], t->def[k - 1]); k--) {
            nm_op *def = t->def[k];
            int index = t->index[k];
            t->def[k] = t->def[k - 1], t->index[k] = t->index[k - 1];
            t->def[k - 1] = def, t->index[k - 1] = index;
        }
}

// Is v the carried value plus terms that do not read it? Anything else, a decay say, would act upon
// what was accumulated before.
static bool adds_to(const nm_value *v, const nm_value *carried)
{
    if (!nm_used_once(v))
        return false;
    if (v == carried)
        return true;
    const nm_op *op = v->def;
    return op && op->code == NM_OP_add &&
           (adds_to(op->in[0], carried) || adds_to(op->in[1], carried));
}

// The repeat's i-th result with `acc` added turn by turn; NULL: it cannot be.
static nm_value *sink(nm_op *op, int i, nm_value *acc, nm_opcode by)
{
    nm_value *out = &op->out[i];
    int carried = (int)nm_attr_int(op, "carried", 0);
    if (!nm_used_once(out) || out->type != acc->type)
        return NULL;
    if (i < carried) {
        if (by != NM_OP_add || !nm_is_zero(op->in[i]) ||
            !adds_to(op->body->last->in[i], op->body->param[i]))
            return NULL;
        nm_set_operand(op, i, acc);
        return out;
    }
    nm_loop l = nm_loop_open(op);
    nm_value *turn = nm_loop_stack(&l, acc, NULL)->param;
    nm_loop_row *row = &l.result.row[i - carried];
    row->result = nm_build2(l.body, l.body->last, op->loc, by, turn, row->result);
    return &nm_loop_close(&l)->out[i];
}

// Directly behind the term, so that it need not be kept, and behind what was added before.
static nm_value *add_term(nm_value *acc, nm_value *term, nm_opcode by)
{
    nm_op *def = term->def;
    nm_op *behind = acc->def && comes_first(def, acc->def) ? acc->def : def;
    return nm_build2(def->func, behind->next, def->loc, by, acc, term);
}

static nm_value *accumulate(nm_value *acc, nm_value *part, nm_opcode by)
{
    terms t = {.by = by};
    flatten(&t, part, part->func->module->arena);
    sort(&t);
    for (int i = 0; i < t.n; i++) {
        nm_op *def = t.def[i];
        nm_value *sum = def->code == NM_OP_repeat ? sink(def, t.index[i], acc, by) : NULL;
        for (int k = i + 1; sum && k < t.n; k++) // the repeat may have been renewed
            t.def[k] = t.def[k] == def ? sum->def : t.def[k];
        acc = sum ? sum : add_term(acc, &def->out[t.index[i]], by);
    }
    return acc;
}

// --- a step that is no sum over the batch ------------------------------------------------------

static nm_value *build_size(nm_func *f, nm_op *before, const nm_extent *n, nm_dtype dtype)
{
    nm_module *m = f->module;
    nm_attr of = nm_mk_extent(m, "of", n);
    return nm_build(f, before,
                    &(nm_proto){.code = NM_OP_size,
                                .loc = before->loc,
                                .type = nm_type_scalar(m, dtype),
                                .n_attrs = 1,
                                .attr = &of});
}

// An extent of this micro-batch: `size` is that of the whole batch.
static nm_value *build_local_size(nm_func *f, nm_op *before, const nm_extent *n, nm_dtype dtype)
{
    nm_module *m = f->module;
    nm_type t = {.dtype = dtype, .rank = 1};
    t.dim[0] = (nm_dim){.name = nm_sym_get(m, "n"), .extent = n};
    nm_attr over = nm_mk_dims(m, "over", (nm_syms){1, &t.dim[0].name});
    nm_value *ones = nm_build_filled(f, before, before->loc, nm_type_get(m, &t), 1);
    return nm_build(f, before,
                    &(nm_proto){.code = NM_OP_sum,
                                .loc = before->loc,
                                .n_in = 1,
                                .in = &ones,
                                .n_attrs = 1,
                                .attr = &over});
}

// This micro-batch's share of the batch, as a number like x; before `before`.
static nm_value *build_share(nm_op *before, nm_sym batch, const nm_value *x)
{
    nm_func *f = before->func;
    const nm_extent *n = nm_extent_sym(f->module, batch);
    nm_value *here = build_local_size(f, before, n, x->type->dtype);
    nm_value *all = build_size(f, before, n, x->type->dtype);
    return nm_build2(f, before, before->loc, NM_OP_div, here, all);
}

// A part read for the whole sum: what the sum would be if all micro-batches had this part.
static void scale_estimates(const nm_batch *b, nm_value **map)
{
    for (int i = 0; i < b->n_estimates; i++) {
        nm_op *op = map[b->estimate[i].op->out[0].id]->def;
        nm_value *v = op->in[b->estimate[i].operand];
        if (!nm_dtype_table[v->type->dtype].is_float)
            continue;
        nm_value *share = build_share(op, b->dim, v);
        nm_set_operand(op, b->estimate[i].operand,
                       nm_build2(op->func, op, op->loc, NM_OP_div, v, share));
    }
}

static nm_value *add_share(const nm_batch *b, nm_value *acc, nm_value *part)
{
    nm_op *ret = acc->func->last;
    if (nm_dtype_table[part->type->dtype].is_float)
        part = nm_build2(acc->func, ret, ret->loc, NM_OP_mul, part, build_share(ret, b->dim, part));
    return nm_build2(acc->func, ret, ret->loc, NM_OP_add, acc, part);
}

// --- the three functions -----------------------------------------------------------------------

static nm_func *copy_step(const cuts *c, const char *part, nm_value ***map)
{
    nm_func *f = c->b.f;
    return nm_part_copy(f, nm_sym_fmt(f->module, "%s.%s", f->name, part), map);
}

static nm_value *make_param(nm_func *f, const cut *row)
{
    nm_bind bind = {.kind = row->count ? NM_BIND_count : NM_BIND_acc, .name = row->name};
    const char *prefix = row->count ? "count" : "acc";
    return nm_func_param(f, row->value->type, nm_sym_fmt(f->module, "%s.%s", prefix, row->name),
                         bind);
}

// What another part provides is a parameter here.
static nm_value *provide(nm_func *f, const cut *row, nm_value **map)
{
    nm_value *param = make_param(f, row);
    nm_replace(map[row->value->id], param);
    return param;
}

typedef struct part { // what one part of a step gives
    int n;
    const cut **row;
    nm_value **value;
    nm_bind *bind;
} part;

static part pick_sums(const cuts *c, bool count, nm_value **map)
{
    nm_arena *arena = c->b.f->module->arena;
    part p = {.row = nm_new_n(arena, const cut *, c->n + 1),
              .value = nm_new_n(arena, nm_value *, c->n + 1),
              .bind = nm_new_n(arena, nm_bind, c->n + 1)};
    for (int i = 0; i < c->n; i++) {
        const cut *row = &c->row[i];
        if (row->count != count || !(row->count || row->read))
            continue;
        p.row[p.n] = row;
        p.bind[p.n] = (nm_bind){.kind = count ? NM_BIND_count : NM_BIND_acc, .name = row->name};
        p.value[p.n++] = map[row->value->id];
    }
    return p;
}

// The part that computes the counts, or the accumulators: each added to its parameter.
static bool build_sums(const cuts *c, const char *name, bool count)
{
    nm_value **map;
    nm_func *f = copy_step(c, name, &map);
    for (int i = 0; i < c->n && !count; i++)
        if (c->row[i].count)
            provide(f, &c->row[i], map);
    part p = pick_sums(c, count, map);
    scale_estimates(&c->b, map);
    nm_loc loc = f->last->loc;
    nm_erase(f->last);
    nm_op *ret = nm_func_ret(f, loc, p.n, p.value, p.bind);
    nm_part_clean(f);
    for (int i = 0; i < p.n; i++) {
        nm_value *acc = make_param(f, p.row[i]);
        nm_mb form = c->b.form[p.row[i]->value->id];
        nm_opcode by = form == NM_MB_max ? NM_OP_maximum : NM_OP_add;
        nm_set_operand(ret, i,
                       form == NM_MB_mean ? add_share(&c->b, acc, ret->in[i])
                                          : accumulate(acc, ret->in[i], by));
    }
    nm_part_clean(f);
    nm_part_drop_params(f);
    return nm_batch_check(f, c->b.average);
}

static void build_finish(cuts *c)
{
    nm_value **map;
    nm_func *f = copy_step(c, "finish", &map);
    nm_value **param = nm_new_n(f->module->arena, nm_value *, c->n + 1);
    for (int i = 0; i < c->n; i++)
        param[i] = provide(f, &c->row[i], map);
    nm_part_clean(f);
    for (int i = 0; i < c->n; i++)
        c->row[i].read = param[i]->uses != NULL;
    nm_part_drop_params(f);
}

// finish is built first, since it says which sums are wanted; it stands last, as it runs.
static bool cut_step(nm_func *f)
{
    cuts c = {0};
    bool has_counts = false;
    if (!nm_batch_analyse(f, &c.b))
        return false;
    collect(&c);
    for (int i = 0; i < c.n; i++)
        has_counts |= c.row[i].count;
    build_finish(&c);
    nm_func *finish = f->module->last_func;
    if (!nm_batch_check(finish, c.b.average))
        return false;
    if ((has_counts && !build_sums(&c, "count", true)) || !build_sums(&c, "micro", false))
        return false;
    nm_func_remove(finish);
    finish->module->last_func->next = finish;
    finish->module->last_func = finish;
    nm_func_remove(f);
    return true;
}

static bool is_of_step(const nm_func *f)
{
    return nm_func_has_role(f, "train") || nm_func_has_role(f, "eval");
}

// Parts that are given, not cut here, are held to the same.
static bool check_parts(nm_module *m)
{
    bool ok = true;
    nm_each_func(f, m)
        if (nm_func_step(f))
            ok &= nm_batch_check(f, false);
    return ok;
}

bool nm_pass_accumulate(nm_module *m, bool *changed)
{
    if (!check_parts(m))
        return false;
    for (nm_func *f = m->first_func, *next; f; f = next) {
        next = f->next;
        if (!is_of_step(f) || nm_func_step(f))
            continue;
        if (!cut_step(f))
            return false;
        *changed = true;
    }
    return true;
}
