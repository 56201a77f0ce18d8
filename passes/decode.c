// Decode: from a model that takes tokens [batch, seq] and gives logits [batch, seq, vocab], a
// function that takes new tokens, attends to what came before, and gives the logits of the last
// one.
//
//   index of seq                         index + at, the position of the first new token
//   k, v of a causal attention           written at `at` into caches of `context` positions, and
//   read
//                                        from there; through a repeat, the caches are stacked
//   the logits                           sliced to the last position: passes/decode_last.c
//
// It is exact because in a causal model no position reads a later one. An op that mixes positions
// in any other way (a sum over seq, attention to both sides) makes it impossible: then there is no
// @decode, and m->no_decode says why.
//
// Of such a model, or else of the first that gives logits, its function stays as @logits, for
// whoever asks what the model says of a text: on one rank, as @decode is. Where an entry has fields
// that the model can be told, as where documents begin, it is the one that takes them.
#include "passes/decode.h"

#include "ir/attn.h"
#include "ir/loop.h"
#include "passes/pass.h"
#include "passes/simplify.h"

#include <string.h>

typedef struct cache { // of one attention's k or v, in the function being converted
    nm_value *before, *after;
} cache;

typedef struct decoder {
    nm_module *m;
    nm_sym seq;              // the dim of positions
    const nm_extent *length; // its extent: new positions
    nm_dim context;          // the caches' dim
    const char *why;         // it cannot be
    int n_caches;
} decoder;

typedef struct caches {
    int n;
    cache *row;
} caches;

static void add_cache(decoder *d, caches *all, cache c)
{
    all->row = nm_arena_grow(d->m->arena, all->row, all->n, sizeof *all->row);
    all->row[all->n++] = c;
}

// --- what stands in the way --------------------------------------------------------------------

static bool refuse(decoder *d, const nm_op *op, const char *what)
{
    nm_module *m = d->m;
    if (op && op->loc.src)
        d->why = nm_arena_fmt(m->arena, "%s (%s:%u)", what, op->loc.src->name,
                              nm_loc_line_col(op->loc).line);
    else
        d->why = what;
    return false;
}

// A dim of positions, under whatever name.
static bool is_positions(const decoder *d, const nm_value *v, nm_sym dim)
{
    int at = nm_type_find(v->type, dim);
    return at >= 0 && nm_extent_reads(v->type->dim[at].extent, d->length->term[0].atom[0].sym);
}

static bool has_positions(const decoder *d, const nm_type *t)
{
    for (int i = 0; i < t->rank; i++)
        if (nm_extent_reads(t->dim[i].extent, d->length->term[0].atom[0].sym))
            return true;
    return false;
}

// Does op name a dim of positions of an operand, other than to call it something else?
static bool names_positions(const decoder *d, const nm_op *op)
{
    for (int i = 0; i < op->n_in; i++)
        for (int k = 0; k < op->in[i]->type->rank; k++) {
            nm_sym dim = op->in[i]->type->dim[k].name;
            if (nm_op_names(op, dim) && is_positions(d, op->in[i], dim))
                return true;
        }
    return false;
}

static bool check_attention(decoder *d, const nm_op *op)
{
    nm_attn a = nm_attn_of(op);
    if (!is_positions(d, op->in[1], a.over))
        return true;
    if (!nm_attr_bool(op, "causal") || a.seq != d->seq)
        return refuse(d, op, "an attention reads positions that are still to come");
    for (int i = 0; i < NM_N_ATTN; i++)
        if (a.extra[i] && i != NM_ATTN_sink)
            return refuse(d, op, "an attention has a bias, a mask or dropout");
    return true;
}

static bool check_op(decoder *d, const nm_op *op)
{
    const nm_attr *of = op->code == NM_OP_size ? nm_attr_get(op, "of") : NULL;
    if (of && nm_extent_reads(of->u.extent, d->length->term[0].atom[0].sym))
        return refuse(d, op, "a number depends on the length of the text");
    if (op->code == NM_OP_attention)
        return check_attention(d, op);
    if (op->code == NM_OP_repeat && nm_attr_sym(op, "over") == d->seq)
        return refuse(d, op, "a recurrence runs over the positions");
    bool harmless = op->code == NM_OP_rename || op->code == NM_OP_index || op->body;
    if (!harmless && names_positions(d, op))
        return refuse(d, op, nm_arena_fmt(d->m->arena, "a %s mixes positions", nm_info(op)->name));
    return true;
}

static bool check_all(decoder *d, nm_func *f)
{
    nm_each_op(op, f)
        if (!check_op(d, op) || (op->body && !check_all(d, op->body)))
            return false;
    return true;
}

// --- the conversion ----------------------------------------------------------------------------

static void shift_index(nm_op *op, nm_value *at)
{
    nm_value *i = &op->out[0];
    nm_value *shifted = nm_build2(op->func, op->next, op->loc, NM_OP_add, i, at);
    nm_replace(i, shifted);
    nm_set_operand(shifted->def, 0, i);
}

static nm_value *rename_dim(nm_op *before, nm_value *v, nm_sym from, nm_sym to)
{
    nm_module *m = before->func->module;
    nm_attr attr[] = {nm_mk_sym(m, "from", from), nm_mk_sym(m, "to", to)};
    return nm_build(before->func, before,
                    &(nm_proto){.code = NM_OP_rename,
                                .loc = before->loc,
                                .n_in = 1,
                                .in = &v,
                                .n_attrs = 2,
                                .attr = attr});
}

// v, which has new positions `over`, behind the old ones.
static nm_value *remember(decoder *d, nm_op *op, nm_value *v, nm_value *at, caches *all)
{
    nm_sym over = nm_attr_sym(op, "over");
    nm_value *new = rename_dim(op, v, over, d->context.name);
    nm_type t = *new->type;
    t.dim[nm_type_find(&t, d->context.name)] = d->context;
    nm_value *old = nm_func_param(op->func, nm_type_get(d->m, &t), NULL, (nm_bind){0});
    nm_attr attr = nm_mk_sym(d->m, "over", d->context.name);
    nm_value *now = nm_build(op->func, op,
                             &(nm_proto){.code = NM_OP_update,
                                         .loc = op->loc,
                                         .n_in = 3,
                                         .in = (nm_value *[]){old, new, at},
                                         .n_attrs = 1,
                                         .attr = &attr});
    add_cache(d, all, (cache){old, now});
    return rename_dim(op, now, d->context.name, over);
}

static nm_syms with_at(nm_module *m, nm_syms extra)
{
    nm_sym *sym = nm_new_n(m->arena, nm_sym, extra.n + 1);
    for (int i = 0; i < extra.n; i++)
        sym[i] = extra.sym[i];
    sym[extra.n] = nm_sym_get(m, "at");
    return (nm_syms){extra.n + 1, sym};
}

static void attend_to_cache(decoder *d, nm_op *op, nm_value *at, caches *all)
{
    enum { MAX = 8 };
    nm_value *in[MAX];
    nm_attr attr[16];
    int n = 0;
    if (!is_positions(d, op->in[1], nm_attr_sym(op, "over")))
        return;
    for (int i = 0; i < op->n_in; i++)
        in[i] = op->in[i];
    in[1] = remember(d, op, in[1], at, all);
    in[2] = remember(d, op, in[2], at, all);
    in[op->n_in] = at;
    for (int i = 0; i < op->n_attrs; i++)
        if (strcmp(op->attr[i].name, "extra"))
            attr[n++] = op->attr[i];
    attr[n++] = nm_mk_dims(d->m, "extra", with_at(d->m, nm_attr_dims(op, "extra")));
    nm_op *new = nm_build_op(op->func, op,
                             &(nm_proto){.code = NM_OP_attention,
                                         .loc = op->loc,
                                         .n_in = op->n_in + 1,
                                         .in = in,
                                         .n_attrs = n,
                                         .attr = attr});
    for (int i = 0; i < op->n_out; i++) {
        new->out[i].name = op->out[i].name;
        new->out[i].type = op->out[i].type; // in the same order of dims
        nm_replace(&op->out[i], &new->out[i]);
    }
    nm_erase(op);
}

static void convert(decoder *d, nm_func *f, nm_value *at, caches *all);

static nm_dim turns_of(const nm_op *op)
{
    nm_sym over = nm_attr_sym(op, "over");
    if (!nm_attr_int(op, "stacked", 0))
        return nm_dim_of(op->func->module, over);
    const nm_type *t = op->in[nm_attr_int(op, "carried", 0)]->type;
    return t->dim[nm_type_find(t, over)];
}

// A turn's caches are its index of stacked ones.
static void convert_repeat(decoder *d, nm_op *op, nm_value *at, caches *all)
{
    caches inner = {0};
    nm_dim turns = turns_of(op);
    nm_value *at_turn = nm_func_param(op->body, at->type, NULL, (nm_bind){0});
    convert(d, op->body, at_turn, &inner);
    nm_loop l = nm_loop_open(op);
    nm_loop_whole(&l, at, at_turn);
    for (int i = 0; i < inner.n; i++) {
        const nm_type *t = nm_type_with_outer(d->m, inner.row[i].before->type, turns);
        nm_value *old = nm_func_param(op->func, t, NULL, (nm_bind){0});
        nm_loop_stack(&l, old, inner.row[i].before);
        nm_loop_give(&l, inner.row[i].after);
        add_cache(d, all, (cache){old, NULL});
    }
    nm_loop_close(&l);
    for (int i = 0; i < inner.n; i++)
        all->row[all->n - inner.n + i].after = l.result.row[l.result.n - inner.n + i].out;
}

static void convert(decoder *d, nm_func *f, nm_value *at, caches *all)
{
    nm_each_op_safe(op, f)
        if (op->code == NM_OP_repeat)
            convert_repeat(d, op, at, all);
        else if (op->code == NM_OP_attention)
            attend_to_cache(d, op, at, all);
        else if (op->code == NM_OP_index && has_positions(d, op->out[0].type))
            shift_index(op, at);
}

// --- the function ------------------------------------------------------------------------------

// -> (caches, the logits of the last position)
static void finish(decoder *d, nm_func *f, const caches *all)
{
    nm_value **result = nm_new_n(d->m->arena, nm_value *, all->n + 1);
    nm_bind *bind = nm_new_n(d->m->arena, nm_bind, all->n + 1);
    nm_loc loc = f->last->loc;
    nm_value *logits = nm_decode_last(f->last->in[0], d->seq, d->length);
    for (int i = 0; i < all->n; i++) {
        nm_value *old = all->row[i].before;
        bind[i] = (nm_bind){.kind = NM_BIND_cache,
                            .name = nm_sym_fmt(d->m, "%s.%d", i % 2 ? "v" : "k", i / 2)};
        f->param_bind[old->index] = bind[i];
        old->name = nm_sym_fmt(d->m, "cache.%s", bind[i].name);
        result[i] = all->row[i].after;
    }
    result[all->n] = logits;
    bind[all->n] = f->result_bind[0];
    nm_erase(f->last);
    nm_func_ret(f, loc, all->n + 1, result, bind);
}

static int find_tokens(const nm_func *f)
{
    int found = -1;
    for (int i = 0; i < f->n_params; i++) {
        if (f->param_bind[i].kind != NM_BIND_data)
            continue;
        if (found >= 0)
            return -1;
        found = i;
    }
    return found;
}

// The shape of a language model: tokens [batch, seq] of V -> [.., batch, seq, V].
static bool check_shape(decoder *d, nm_func *f)
{
    int at = find_tokens(f);
    nm_sym batch = nm_sym_get(d->m, "batch");
    if (at < 0 || !f->param_bind[at].index_of || f->n_results != 1)
        return refuse(d, NULL, "the model does not take tokens alone");
    const nm_type *t = f->param[at]->type, *y = f->last->in[0]->type;
    int b = nm_type_find(t, batch);
    if (t->rank != 2 || b < 0)
        return refuse(d, NULL, "the model does not take tokens [batch, seq]");
    d->seq = t->dim[1 - b].name;
    d->length = t->dim[1 - b].extent;
    bool symbolic = d->length->n_terms == 1 && d->length->term[0].n_atoms == 1 &&
                    d->length->term[0].atom[0].sym;
    if (!symbolic)
        return refuse(d, NULL, "the length of the text is fixed");
    if (!nm_has_dim(y, d->seq) || !nm_has_dim(y, f->param_bind[at].index_of))
        return refuse(d, NULL, "the model does not give a score for each token at each position");
    return true;
}

static nm_dim declare_context(decoder *d)
{
    nm_sym name = nm_sym_get(d->m, "context.cache");
    const nm_extent *extent = nm_extent_sym(d->m, name);
    nm_dim_declare(d->m, (nm_dim_decl){.name = name, .extent = extent, .runtime = true});
    return (nm_dim){.name = name, .extent = extent};
}

static void build_decode(decoder *d, nm_func *model)
{
    caches all = {0};
    bool changed = false;
    d->context = declare_context(d);
    nm_func *f = nm_func_clone(model, nm_sym_get(d->m, "decode"), NULL);
    nm_bind bind = {.kind = NM_BIND_scalar, .name = nm_sym_get(d->m, "at")};
    nm_value *at = nm_func_param(f, nm_type_scalar(d->m, NM_i32), bind.name, bind);
    convert(d, f, at, &all);
    finish(d, f, &all);
    nm_simplify_func(f, &changed);
}

// The functions that @decode was made from; nothing else reads them.
static void remove_models(nm_module *m, bool *changed)
{
    for (nm_func *f = m->first_func, *next; f; f = next) {
        next = f->next;
        if (nm_func_has_role(f, "model")) {
            nm_func_remove(f);
            *changed = true;
        }
    }
}

// model.NAME.told where there is one, else model.NAME.
static nm_func *told(nm_module *m, nm_func *model)
{
    nm_sym name = nm_sym_fmt(m, "%s.told", model->name);
    nm_each_func(f, m)
        if (f->name == name)
            return f;
    return model;
}

static bool is_told(const nm_func *f)
{
    size_t n = strlen(f->name);
    return n > 5 && !strcmp(f->name + n - 5, ".told") && strchr(f->name, '.') < f->name + n - 5;
}

bool nm_pass_decode(nm_module *m, bool *changed)
{
    bool done = false;
    nm_func *scores = NULL; // the model that gives them
    m->no_decode = "there is no model that takes only data";
    for (nm_func *f = m->first_func; f && !done; f = f->next) {
        if (!nm_func_has_role(f, "model") || is_told(f))
            continue;
        decoder d = {.m = m};
        bool fits = check_shape(&d, f);
        done = fits && check_all(&d, f);
        m->no_decode = d.why;
        scores = done || (fits && !scores) ? f : scores;
        if (done)
            build_decode(&d, f);
    }
    if (scores)
        nm_func_clone(told(m, scores), nm_sym_get(m, "logits"), NULL);
    remove_models(m, changed);
    return true;
}
