// head_chunks: the head's product, its loss and their gradients by chunks of tokens, so that the
// logits of all tokens are never there at once (Liger Kernel's fused linear cross-entropy, Hsu et
// al. 2024; here as a repeat of what was there, whatever the loss is).
//
//     logits = dot x, w                        x' = x by chunks
//     nll = f(logits, labels)          =>      nll', dx', dw = repeat x', labels', acc {
//     dlogits = g(logits, labels)                the same, of a chunk's tokens;
//     dx = dot dlogits, w                        dw = acc + dot x', dlogits }
//     dw = acc + dot x, dlogits                nll, dx = nll', dx' without the last chunk's rest
//
// Of n tokens there are ceil(n / C) chunks, all as long as can be equal: a small batch is one
// chunk, and computes the same bits as without this pass. What is one number a token is summed
// outside, in the order in which it was; the gradient of the weights is added up chunk by chunk, in
// another order than one product sums, so from two chunks on its last bits differ.
//
// Tokens are the product's run-time dims, merged. What goes in by chunks is padded with zeros, and
// what is summed over the tokens is 0 for those behind the last. Which ops are taken is
// passes/head_region.c's; a head that it refuses stays whole, and -Rfuse says why.
//
// Why here: below localize a rank's tokens are one extent, and collectives are there to be taken
// along; above fuse, which makes a chunk's softmax, loss and gradient one kernel.
#include "passes/build.h"
#include "passes/fuse.h"
#include "passes/head_region.h"
#include "passes/pass.h"
#include "passes/simplify.h"

#include <string.h>

enum { TOKENS = 2048 }; // of a chunk at most, where no option says

typedef struct chunks {
    nm_head h;
    nm_module *m;
    nm_arena *scratch;
    nm_loc loc;
    nm_dim turns, own, padded, all; // chunks; tokens of one; both as one dim; and without the rest
    nm_func *body;
    nm_op *behind;   // outside is built in front of this op, which stood behind the region
    nm_value *valid; // in a turn: is the token none of those behind the last?
    nm_value **in;   // by value id: in a turn
    int n_operands, n_carried, n_stacked;
    nm_value **operand; // of the repeat
    int n_results;
    nm_value **result; // of the body
    nm_value **old;    // what it replaces outside
} chunks;

// --- extents ---------------------------------------------------------------------------------

// ceil(a / b)
static const nm_extent *ceiling(nm_module *m, const nm_extent *a, const nm_extent *b)
{
    const nm_extent *up = nm_extent_add(m, b, nm_extent_const(m, -1));
    return nm_extent_div(m, nm_extent_add(m, a, up), b);
}

static nm_dim make_dim(chunks *c, const char *name, const nm_extent *e)
{
    nm_sym sym = nm_sym_get(c->m, name);
    if (!nm_dim_lookup(c->m, sym))
        nm_dim_declare(c->m, (nm_dim_decl){.name = sym, .loc = c->loc, .extent = e});
    return (nm_dim){.name = sym, .extent = e};
}

// False: extents have too many parts.
static bool make_dims(chunks *c)
{
    nm_module *m = c->m;
    int64_t most = m->options.head_chunk ? m->options.head_chunk : TOKENS;
    const nm_extent *all = nm_extent_const(m, 1);
    for (int i = 0; i < c->h.n_tokens; i++)
        all = nm_extent_mul(m, all, c->h.token[i].extent);
    const nm_extent *n = ceiling(m, all, nm_extent_const(m, most)), *own = ceiling(m, all, n);
    const nm_extent *padded = nm_extent_mul(m, n, own);
    if (!padded)
        return false;
    c->turns = make_dim(c, "head.chunks", n);
    c->own = make_dim(c, "head.chunk", own);
    c->padded = make_dim(c, "head.padded", padded);
    c->all = make_dim(c, "head.tokens", all);
    return true;
}

// --- building outside ------------------------------------------------------------------------

static nm_at outside(const chunks *c) { return (nm_at){c->h.f, c->behind, c->loc}; }

static nm_syms names(const chunks *c, int n, const nm_dim *dim)
{
    nm_sym *list = nm_new_n(c->m->arena, nm_sym, n);
    for (int i = 0; i < n; i++)
        list[i] = dim[i].name;
    return (nm_syms){n, list};
}

static nm_value *merge(chunks *c, nm_value *v, int n, const nm_dim *from, nm_sym into)
{
    return nm_at_merge(outside(c), v, names(c, n, from), into);
}

// With all of the tokens' dims, first.
static nm_value *with_tokens(chunks *c, nm_value *v)
{
    nm_type t = {.dtype = v->type->dtype};
    for (int i = 0; i < c->h.n_tokens; i++)
        t.dim[t.rank++] = c->h.token[i];
    for (int i = 0; i < v->type->rank; i++)
        if (!nm_has_dim(nm_type_get(c->m, &t), v->type->dim[i].name))
            t.dim[t.rank++] = v->type->dim[i];
    const nm_type *wanted = nm_type_get(c->m, &t);
    return wanted == v->type ? v : nm_at_build1(outside(c), NM_OP_broadcast, v, 0, NULL, wanted);
}

// [batch, seq, ...] as [chunks, chunk, ...], zeros behind the last token.
static nm_value *by_chunks(chunks *c, nm_value *v)
{
    if (!nm_head_has_tokens(&c->h, v->type))
        v = with_tokens(c, v);
    v = merge(c, v, c->h.n_tokens, c->h.token, c->padded.name);
    v = nm_at_pad(outside(c), v, c->padded);
    return nm_at_split(outside(c), v, c->padded.name, 2, (nm_dim[]){c->turns, c->own});
}

// And back.
static nm_value *from_chunks(chunks *c, nm_value *v)
{
    v = merge(c, v, 2, (nm_dim[]){c->turns, c->own}, c->all.name);
    v = nm_at_slice(outside(c), v, c->all);
    return nm_at_split(outside(c), v, c->all.name, c->h.n_tokens, c->h.token);
}

// True for each token.
static nm_value *all_valid(chunks *c)
{
    nm_type t = {.dtype = NM_bool, .rank = c->h.n_tokens};
    memcpy(t.dim, c->h.token, sizeof c->h.token);
    return nm_build_filled(c->h.f, c->behind, c->loc, nm_type_get(c->m, &t), 1);
}

static nm_value *zeros(chunks *c, const nm_type *t)
{
    return nm_build_filled(c->h.f, c->behind, c->loc, t, 0);
}

// --- a turn's types --------------------------------------------------------------------------

// The type with a chunk's tokens in the place of the tokens' dims.
static const nm_type *type_in_turn(const chunks *c, const nm_type *t)
{
    nm_type in = {.dtype = t->dtype};
    bool there = false;
    for (int i = 0; i < t->rank; i++) {
        bool token = false;
        for (int k = 0; k < c->h.n_tokens; k++)
            token |= t->dim[i].name == c->h.token[k].name;
        if (!token)
            in.dim[in.rank++] = t->dim[i];
        else if (!there)
            in.dim[in.rank++] = c->own;
        there |= token;
    }
    return nm_type_get(c->m, &in);
}

// --- operands --------------------------------------------------------------------------------

static nm_value *enter(chunks *c, nm_value *v, const nm_type *in_turn)
{
    c->operand[c->n_operands++] = v;
    return nm_func_param(c->body, in_turn, v->name, (nm_bind){0});
}

static bool is_taken(const chunks *c, const nm_op *op)
{
    return nm_head_role_of(&c->h, op) != NM_HEAD_outside;
}

// Computed where it is read: numbers, indices and what is made of these alone.
static bool is_free(const nm_value *v)
{
    const nm_op *op = v->def;
    if (!op || op->n_out != 1 || op->code == NM_OP_random)
        return false;
    bool free = nm_is(op, NM_FREE) || nm_is(op, NM_MAP) || nm_is(op, NM_VIEW);
    for (int i = 0; free && i < op->n_in; i++)
        free = is_free(op->in[i]);
    return free && !nm_is(op, NM_COLLECTIVE);
}

static bool is_operand(const chunks *c, const nm_value *v)
{
    bool number = v->def && v->def->code == NM_OP_const;
    return !c->in[v->id] && !is_taken(c, v->def) && !number &&
           (nm_head_has_any(&c->h, v->type) || !is_free(v));
}

typedef void visit(chunks *c, nm_value *v);

static void each_operand(chunks *c, visit *f)
{
    nm_each_op(op, c->h.f)
        for (int i = 0; is_taken(c, op) && i < op->n_in; i++)
            if (is_operand(c, op->in[i]))
                f(c, op->in[i]);
}

static void enter_stacked(chunks *c, nm_value *v)
{
    if (!nm_head_has_any(&c->h, v->type))
        return;
    nm_value *chunked = by_chunks(c, v);
    c->in[v->id] = enter(c, chunked, nm_type_without(c->m, chunked->type, c->turns.name));
}

static void enter_whole(chunks *c, nm_value *v) { c->in[v->id] = enter(c, v, v->type); }

// What is added up, turn by turn: the accumulator that it goes to, or from 0.
static void enter_sums(chunks *c)
{
    nm_each_op(op, c->h.f) {
        if (!is_taken(c, op) || !nm_head_is_sum(&c->h, op))
            continue;
        nm_op *add = nm_head_accumulation(op);
        nm_value *sum = add ? &add->out[0] : &op->out[0];
        nm_value *from = add ? add->in[add->in[0] == &op->out[0]] : zeros(c, sum->type);
        c->in[sum->id] = enter(c, from, sum->type); // of the turns before, until its own is there
        c->old[c->n_results++] = sum;
    }
}

static void enter_operands(chunks *c)
{
    enter_sums(c);
    c->n_carried = c->n_operands;
    nm_value *valid = by_chunks(c, all_valid(c));
    c->valid = enter(c, valid, nm_type_without(c->m, valid->type, c->turns.name));
    each_operand(c, enter_stacked);
    c->n_stacked = c->n_operands - c->n_carried;
    each_operand(c, enter_whole);
}

// --- the body --------------------------------------------------------------------------------

static nm_attr attr_in_turn(const chunks *c, const nm_attr *a, bool sum)
{
    if (!sum || a->kind != NM_ATTR_dims)
        return *a;
    nm_sym *list = nm_new_n(c->m->arena, nm_sym, a->u.syms.n);
    nm_syms in = {0, list};
    for (int i = 0; i < a->u.syms.n; i++) {
        bool token = false;
        for (int k = 0; k < c->h.n_tokens; k++)
            token |= a->u.syms.sym[i] == c->h.token[k].name;
        if (!token)
            list[in.n++] = a->u.syms.sym[i];
    }
    list[in.n++] = c->own.name;
    return nm_mk_dims(c->m, a->name, in);
}

static nm_value *compute(chunks *c, nm_op *op);

static nm_value *in_turn(chunks *c, nm_value *v)
{
    if (!c->in[v->id])
        c->in[v->id] = compute(c, v->def);
    return c->in[v->id];
}

static nm_value *compute(chunks *c, nm_op *op)
{
    nm_value **in = nm_new_n(c->scratch, nm_value *, op->n_in + 1);
    nm_attr *attr = nm_new_n(c->m->arena, nm_attr, op->n_attrs + 1);
    for (int i = 0; i < op->n_in; i++)
        in[i] = in_turn(c, op->in[i]);
    for (int i = 0; i < op->n_attrs; i++)
        attr[i] = attr_in_turn(c, &op->attr[i], nm_head_is_sum(&c->h, op));
    nm_proto p = nm_proto_of(op);
    p.in = in;
    p.attr = attr;
    p.type = type_in_turn(c, op->out[0].type);
    nm_value *v = nm_build(c->body, NULL, &p);
    if (!v)
        nm_bug("an op of a head's chunk does not type");
    return v;
}

// Is the value, or what is merely moved or rounded of it, summed over the tokens?
static bool goes_to_sum(const chunks *c, const nm_value *v)
{
    nm_each_use(u, v) {
        if (!is_taken(c, u->op))
            continue;
        bool moves = nm_is(u->op, NM_IDLE) && u->op->n_out == 1;
        if (nm_head_is_sum(&c->h, u->op) || (moves && goes_to_sum(c, &u->op->out[0])))
            return true;
    }
    return false;
}

static bool moves_sum(const chunks *c, const nm_op *op)
{
    return nm_is(op, NM_IDLE) && is_taken(c, op->in[0]->def);
}

static nm_value *mask(chunks *c, nm_value *v)
{
    nm_value *zero = nm_build_const(c->body, NULL, c->loc, v->type->dtype, 0);
    nm_value *in[] = {c->valid, v, zero};
    return nm_build(
        c->body, NULL,
        &(nm_proto){.code = NM_OP_select, .loc = c->loc, .n_in = 3, .in = in, .type = v->type});
}

static void add_up(chunks *c, nm_op *op)
{
    nm_op *add = nm_head_accumulation(op);
    nm_value *sum = add ? &add->out[0] : &op->out[0], *before = c->in[sum->id];
    c->in[op->out[0].id] = NULL;
    nm_value *in[2] = {before, compute(c, op)};
    c->in[sum->id] = nm_build(c->body, NULL,
                              &(nm_proto){.code = NM_OP_add,
                                          .loc = add ? add->loc : op->loc,
                                          .n_in = 2,
                                          .in = in,
                                          .type = before->type});
}

static void fill_body(chunks *c)
{
    nm_each_op(op, c->h.f) {
        if (!is_taken(c, op))
            continue;
        if (nm_head_is_sum(&c->h, op)) {
            add_up(c, op);
            continue;
        }
        nm_value *v = in_turn(c, &op->out[0]);
        bool own = nm_head_role_of(&c->h, op) == NM_HEAD_inside && !moves_sum(c, op);
        if (own && goes_to_sum(c, &op->out[0]))
            c->in[op->out[0].id] = mask(c, v);
    }
}

static bool is_read_outside(const chunks *c, const nm_value *v)
{
    nm_each_use(u, v)
        if (!is_taken(c, u->op))
            return true;
    return false;
}

static void give_results(chunks *c)
{
    for (int i = 0; i < c->n_carried; i++)
        c->result[i] = c->in[c->old[i]->id];
    nm_each_op(op, c->h.f) {
        if (nm_head_role_of(&c->h, op) != NM_HEAD_inside || nm_head_is_sum(&c->h, op) ||
            !is_read_outside(c, &op->out[0]))
            continue;
        c->result[c->n_results] = c->in[op->out[0].id];
        c->old[c->n_results++] = &op->out[0];
    }
    nm_func_ret(c->body, c->loc, c->n_results, c->result, NULL);
}

// --- in the region's place -------------------------------------------------------------------

static nm_op *build_repeat(chunks *c)
{
    nm_attr attr[] = {nm_mk_sym(c->m, "over", c->turns.name),
                      nm_mk_int(c->m, "carried", c->n_carried),
                      nm_mk_int(c->m, "stacked", c->n_stacked)};
    nm_op *op = nm_build_op(c->h.f, c->behind,
                            &(nm_proto){.code = NM_OP_repeat,
                                        .loc = c->loc,
                                        .n_in = c->n_operands,
                                        .in = c->operand,
                                        .n_attrs = 3,
                                        .attr = attr,
                                        .body = c->body});
    if (!op)
        nm_bug("the chunks of a head do not type");
    return op;
}

// Readers in the region go with it.
static void read_results(chunks *c, nm_op *repeat)
{
    for (int i = 0; i < c->n_results; i++) {
        nm_value *old = c->old[i], *out = &repeat->out[i];
        if (i >= c->n_carried)
            out = from_chunks(c, out);
        out->name = old->name;
        for (nm_use *u = old->uses, *next; u; u = next) {
            next = u->next;
            if (!is_taken(c, u->op))
                nm_set_operand(u->op, u->index, out);
        }
    }
}

// What stood among the region's ops and reads its results goes behind them.
static void move_readers(chunks *c)
{
    for (nm_op *op = c->h.first, *next; op != c->h.last; op = next) {
        next = op->next;
        if (!is_taken(c, op) && op->n_out && c->h.after[op->out[0].id])
            nm_move_before(op, c->behind);
    }
}

static void cut(chunks *c)
{
    c->behind = c->h.last->next;
    c->body = nm_body_new(c->h.f, c->loc);
    enter_operands(c);
    fill_body(c);
    give_results(c);
    read_results(c, build_repeat(c));
    move_readers(c);
    nm_drop_dead(c->h.f, NULL); // the region
}

// False: it stays whole.
static bool cut_head(nm_op *dot, nm_arena *scratch)
{
    nm_func *f = dot->func;
    chunks c = {.h = nm_head_find(dot, scratch), .m = f->module, .scratch = scratch};
    c.loc = dot->loc;
    int room = (int)f->n_values + 2;
    c.in = nm_new_n(scratch, nm_value *, room);
    c.operand = nm_new_n(scratch, nm_value *, room);
    c.result = nm_new_n(scratch, nm_value *, room);
    c.old = nm_new_n(scratch, nm_value *, room);
    if (!c.h.why && !make_dims(&c))
        c.h.why = "its extents have too many parts";
    nm_head_remark(&c.h);
    if (c.h.why)
        return false;
    cut(&c);
    return true;
}

bool nm_pass_head_chunks(nm_module *m, bool *changed)
{
    nm_arena scratch = {0};
    nm_each_func(f, m)
        for (nm_op *op = f->first; op; op = op->next) {
            if (!nm_head_is_product(op)) {
                nm_head_remark_none(op);
            } else if (cut_head(op, &scratch)) {
                *changed = true;
                op = f->first; // the region is gone, and stands in a body that is not looked into
            }
        }
    nm_arena_free(&scratch);
    return true;
}
