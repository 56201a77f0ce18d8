// FP8: the products of linear layers take operands of 8 bits. Put here are only the roundings, a
// qdq before each operand; what they become is passes/quantise.c's.
//
// A linear layer is a product, in a repeat over layers, of an activation and a parameter;
// its gradients are the product of dy and the parameter, and that of the activation and dy. So what
// stands outside of the repeats (embedding, head, the last norm) stays as it is, and so do products
// of two activations that give one (attention written out), convolutions, whose products read
// windows, and products along dims that both operands and the result have.
//
// What is a gradient depends on what a reverse repeat carries, or is given by turns that no forward
// repeat gave. Gradients are rounded to e5m2, which has the range, all else to e4m3, which has the
// digits; --fp8-format e4m3 takes that for all (Micikevicius et al., "FP8 Formats for Deep
// Learning", 2022). Recipe `blockwise`: a scale for 128 numbers along what is summed over, of a
// weight for 128 x 128 (DeepSeek-V3, section 3.3.2).
#include "passes/fp8.h"

#include "passes/build.h"

#include <string.h>

typedef struct blocks { // of an operand: its dims that get blocks
    int n;
    nm_sym along[NM_MAX_RANK];
    int n_across;
    nm_sym across[NM_MAX_RANK];
} blocks;

typedef struct rounded {     // v as these numbers hold it
    nm_value *v, *as, *wide; // wide: as f32; NULL: nobody reads that yet
    nm_dtype to;
    blocks b;
} rounded;

typedef struct rounding { // of one function and its bodies
    nm_module *m;
    bool *gradient; // by value id
    int n;
    rounded *row;
    bool changed;
} rounding;

// --- what a value is -----------------------------------------------------------------------------

// v before casts and views that move no number.
static const nm_value *origin(const nm_value *v)
{
    while (v->def && v->def->n_in == 1 && (v->def->code == NM_OP_cast || nm_is(v->def, NM_VIEW)))
        v = v->def->in[0];
    return v;
}

// A parameter, of a turn or of all: never computed.
static bool is_weight(const nm_value *v)
{
    v = origin(v);
    if (v->def || nm_type_is_activation(v->type))
        return false;
    const nm_op *repeat = v->func->parent;
    if (!repeat)
        return v->func->param_bind[v->index].kind == NM_BIND_param;
    bool carried = v->index < nm_attr_int(repeat, "carried", 0);
    return !carried && is_weight(repeat->in[v->index]);
}

// Does what a reverse repeat takes by turns come from a loss, not from a forward repeat?
static bool is_given_by_loss(const nm_value *v)
{
    v = origin(v);
    bool plain = !v->def || v->def->code == NM_OP_repeat || nm_is(v->def, NM_FREE);
    return nm_type_is_activation(v->type) && !plain;
}

static bool enters_as_gradient(const rounding *x, const nm_op *repeat, int i)
{
    int64_t carried = nm_attr_int(repeat, "carried", 0);
    int64_t stacked = carried + nm_attr_int(repeat, "stacked", 0);
    bool reverse = nm_attr_bool(repeat, "reverse");
    return x->gradient[repeat->in[i]->id] || (reverse && i < carried) ||
           (reverse && i < stacked && is_given_by_loss(repeat->in[i]));
}

// --- which products ------------------------------------------------------------------------------

static bool reads_windows(const nm_value *v)
{
    while (v->def && v->def->n_in == 1 && (v->def->code == NM_OP_cast || nm_is(v->def, NM_VIEW))) {
        if (v->def->code == NM_OP_windows)
            return true;
        v = v->def->in[0];
    }
    return false;
}

static bool is_laid_over(const nm_value *v)
{
    nm_each_use(u, v) {
        const nm_op *op = u->op;
        bool passes = op->code == NM_OP_cast || op->code == NM_OP_rename;
        if (op->code == NM_OP_overlap_add || (passes && is_laid_over(&op->out[0])))
            return true;
    }
    return false;
}

// Each operand has dims of its own, and none is of both and of the result.
static bool is_matrix_product(const nm_op *dot)
{
    const nm_type *t = dot->out[0].type;
    bool own[2] = {false, false};
    for (int i = 0; i < t->rank; i++) {
        bool in_a = nm_has_dim(dot->in[0]->type, t->dim[i].name);
        bool in_b = nm_has_dim(dot->in[1]->type, t->dim[i].name);
        if (in_a && in_b)
            return false;
        own[in_b] = true;
    }
    return own[0] && own[1] && nm_attr_dims(dot, "over").n;
}

// Operands are stored narrow: f32 is what the language asked for, a router's product.
static bool is_narrow(const nm_value *v)
{
    const nm_op *op = v->def;
    bool widens = op && op->code == NM_OP_cast && v->type->dtype == NM_f32;
    return (widens ? op->in[0] : v)->type->dtype == NM_bf16;
}

static bool is_linear_layer(const rounding *x, const nm_op *dot)
{
    nm_value *a = dot->in[0], *b = dot->in[1];
    bool layer = nm_type_is_activation(dot->out[0].type)
                     ? (nm_type_is_activation(a->type) && is_weight(b)) ||
                           (nm_type_is_activation(b->type) && is_weight(a))
                     : nm_type_is_activation(a->type) && nm_type_is_activation(b->type) &&
                           x->gradient[a->id] != x->gradient[b->id];
    return layer && is_matrix_product(dot) && is_narrow(a) && is_narrow(b) && !reads_windows(a) &&
           !reads_windows(b) && !is_laid_over(&dot->out[0]);
}

// --- blocks --------------------------------------------------------------------------------------

enum { BLOCK = 128 };

// Along the dims that the product sums over; of a weight across the others, too. None: one scale.
static blocks blocks_of(const rounding *x, const nm_op *dot, int operand)
{
    blocks b = {0};
    const nm_value *v = dot->in[operand];
    nm_syms over = nm_attr_dims(dot, "over");
    if (x->m->options.recipe != NM_RECIPE_blockwise)
        return b;
    for (int i = 0; i < v->type->rank; i++) {
        nm_sym dim = v->type->dim[i].name;
        if (nm_syms_has(over, dim))
            b.along[b.n++] = dim;
        else if (is_weight(v))
            b.across[b.n_across++] = dim;
    }
    return b;
}

static bool same_blocks(const blocks *a, const blocks *b)
{
    return nm_syms_same((nm_syms){a->n, a->along}, (nm_syms){b->n, b->along}) &&
           nm_syms_same((nm_syms){a->n_across, a->across}, (nm_syms){b->n_across, b->across});
}

// --- rounding ------------------------------------------------------------------------------------

static nm_value *build_qdq(nm_value *v, nm_dtype to, const blocks *b)
{
    nm_module *m = v->func->module;
    nm_attr attr[4] = {nm_mk_dtype(m, "to", to)};
    int n = 1;
    if (b->n)
        attr[n++] = nm_mk_dims(m, "along", (nm_syms){b->n, b->along});
    if (b->n_across)
        attr[n++] = nm_mk_dims(m, "across", (nm_syms){b->n_across, b->across});
    if (b->n)
        attr[n++] = nm_mk_int(m, "block", BLOCK);
    return nm_at_build1(nm_at_behind(v), NM_OP_qdq, v, n, attr, NULL);
}

// A value that two products read alike is rounded once.
static rounded *round_value(rounding *x, nm_value *v, nm_dtype to, const blocks *b)
{
    for (int i = 0; i < x->n; i++)
        if (x->row[i].v == v && x->row[i].to == to && same_blocks(&x->row[i].b, b))
            return &x->row[i];
    x->row = nm_arena_grow(x->m->arena, x->row, x->n, sizeof *x->row);
    x->row[x->n] = (rounded){.v = v, .as = build_qdq(v, to, b), .to = to, .b = *b};
    return &x->row[x->n++];
}

static void round_operand(rounding *x, nm_op *dot, int i)
{
    nm_value *v = dot->in[i];
    bool range = x->gradient[v->id] && !x->m->options.fp8_e4m3;
    bool widened = v->type->dtype == NM_f32;
    blocks b = blocks_of(x, dot, i);
    rounded *r = round_value(x, widened ? v->def->in[0] : v, range ? NM_e5m2 : NM_e4m3, &b);
    if (widened && !r->wide)
        r->wide = nm_at_cast(nm_at_behind(r->as), r->as, NM_f32);
    nm_set_operand(dot, i, widened ? r->wide : r->as);
    if (!v->uses && widened)
        nm_erase(v->def);
    x->changed = true;
}

// --- the walk ------------------------------------------------------------------------------------

static void round_func(rounding *x, nm_func *f);

static void round_body(rounding *x, nm_op *repeat)
{
    for (int i = 0; i < repeat->n_in; i++)
        x->gradient[repeat->body->param[i]->id] = enters_as_gradient(x, repeat, i);
    round_func(x, repeat->body);
}

static void mark_results(rounding *x, const nm_op *op)
{
    bool gradient = op->code == NM_OP_repeat && nm_attr_bool(op, "reverse");
    for (int i = 0; i < op->n_in; i++)
        gradient |= x->gradient[op->in[i]->id];
    for (int i = 0; i < op->n_out; i++)
        x->gradient[op->out[i].id] = gradient;
}

static void round_func(rounding *x, nm_func *f)
{
    int n = 0;
    nm_each_op(op, f)
        n++;
    nm_op **ops = nm_new_n(x->m->arena, nm_op *, n), **at = ops;
    nm_each_op(op, f)
        *at++ = op;
    for (int i = 0; i < n; i++) {
        if (ops[i]->code == NM_OP_repeat)
            round_body(x, ops[i]);
        mark_results(x, ops[i]);
        if (ops[i]->code == NM_OP_dot && f->parent && is_linear_layer(x, ops[i]))
            for (int k = 0; k < 2; k++)
                round_operand(x, ops[i], k);
    }
}

bool nm_fp8_func(nm_func *f)
{
    rounding x = {.m = f->module};
    x.gradient = nm_new_n(f->module->arena, bool, f->n_values);
    round_func(&x, f);
    return x.changed;
}
