// Random programs: a function over small dims, of every kind of op that a pass may rewrite, with
// repeats in it. The same seed gives the same program.
#ifndef NM_TESTS_PASSES_RANDOM_GRAPH_H
#define NM_TESTS_PASSES_RANDOM_GRAPH_H

#include "tests/inputs.h"

typedef struct graph {
    nm_func *f;
    uint64_t state;
    int n;
    nm_value *v[128]; // that may be read
    bool smooth;      // only ops whose gradient a central difference can check
} graph;

static uint32_t draw(graph *g, uint32_t n)
{
    g->state = g->state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(g->state >> 33) % n;
}

static nm_sym sym(graph *g, const char *name) { return nm_sym_get(g->f->module, name); }
static nm_value *pick(graph *g) { return g->v[draw(g, (uint32_t)g->n)]; }

static void push(graph *g, nm_value *v)
{
    if (g->n < 128)
        g->v[g->n++] = v;
}

static nm_value *op1(graph *g, nm_opcode code, nm_value *a)
{
    return nm_build1(g->f, NULL, (nm_loc){0}, code, a);
}

static nm_value *op2(graph *g, nm_opcode code, nm_value *a, nm_value *b)
{
    return nm_build2(g->f, NULL, (nm_loc){0}, code, a, b);
}

static nm_value *build(graph *g, nm_opcode code, nm_value *a, const nm_type *type, int n,
                       const nm_attr *attr)
{
    return nm_build(
        g->f, NULL,
        &(nm_proto){
            .code = code, .n_in = a ? 1 : 0, .in = &a, .type = type, .n_attrs = n, .attr = attr});
}

static nm_value *number(graph *g, double value)
{
    return nm_build_const(g->f, NULL, (nm_loc){0}, NM_f32, value);
}

static nm_sym any_dim(graph *g, const nm_value *v)
{
    return v->type->rank ? v->type->dim[draw(g, (uint32_t)v->type->rank)].name : NULL;
}

static nm_value *reduce(graph *g, nm_opcode code, nm_value *v, nm_sym dim)
{
    nm_attr over = nm_mk_dims(g->f->module, "over", (nm_syms){1, &dim});
    return build(g, code, v, NULL, 1, &over);
}

// v with just the dims of `like`: the others are summed, missing ones repeated.
static nm_value *fit_to(graph *g, nm_value *v, const nm_type *like)
{
    for (int i = v->type->rank - 1; i >= 0; i--) {
        nm_sym d = v->type->dim[i].name;
        if (!nm_has_dim(like, d))
            v = reduce(g, NM_OP_sum, v, d);
    }
    return v->type == like ? v : build(g, NM_OP_broadcast, v, like, 0, NULL);
}

// --- one kind of op each; NULL: it does not fit the values that there are ----------------------

static nm_value *add_map1(graph *g)
{
    static const nm_opcode code[] = {NM_OP_neg, NM_OP_tanh, NM_OP_sin, NM_OP_cos, NM_OP_neg};
    return op1(g, code[draw(g, 5)], pick(g));
}

static nm_value *add_map2(graph *g)
{
    static const nm_opcode code[] = {NM_OP_add, NM_OP_sub, NM_OP_mul, NM_OP_add, NM_OP_maximum};
    nm_value *v = op2(g, code[draw(g, 5)], pick(g), pick(g));
    return draw(g, 3) ? v : op1(g, NM_OP_tanh, v);
}

static nm_value *add_number(graph *g)
{
    static const double value[] = {0, 1, -1, 2, 0.5, 3};
    nm_value *c = number(g, value[draw(g, 6)]), *v = pick(g);
    switch (draw(g, 4)) {
    case 0: return op2(g, NM_OP_add, v, c);
    case 1: return op2(g, NM_OP_mul, c, v);
    case 2: return op2(g, NM_OP_pow, op2(g, NM_OP_add, op1(g, NM_OP_sin, v), number(g, 2)), c);
    default: return op2(g, NM_OP_sub, c, v);
    }
}

static nm_value *add_div(graph *g)
{
    nm_value *below = op2(g, NM_OP_add, op1(g, NM_OP_cos, pick(g)), number(g, 2));
    return op2(g, NM_OP_div, pick(g), below);
}

static nm_value *add_reduce(graph *g)
{
    nm_value *v = pick(g);
    nm_sym d = any_dim(g, v);
    return d ? reduce(g, draw(g, 4) ? NM_OP_sum : NM_OP_max, v, d) : NULL;
}

static nm_value *add_dot(graph *g)
{
    nm_value *a = pick(g), *b = pick(g);
    nm_sym d = any_dim(g, a);
    if (!d || !nm_has_dim(b->type, d))
        return NULL;
    nm_attr over = nm_mk_dims(g->f->module, "over", (nm_syms){1, &d});
    return nm_build(
        g->f, NULL,
        &(nm_proto){
            .code = NM_OP_dot, .n_in = 2, .in = (nm_value *[]){a, b}, .n_attrs = 1, .attr = &over});
}

static nm_value *add_broadcast(graph *g)
{
    static const char *const name[] = {"i", "j", "k"};
    nm_module *m = g->f->module;
    nm_value *v = pick(g);
    nm_sym d = sym(g, name[draw(g, 3)]);
    if (nm_has_dim(v->type, d))
        return NULL;
    return build(g, NM_OP_broadcast, v, nm_type_with_outer(m, v->type, nm_dim_of(m, d)), 0, NULL);
}

static nm_value *add_select(graph *g)
{
    nm_value *c = op2(g, NM_OP_lt, pick(g), pick(g));
    return nm_build(
        g->f, NULL,
        &(nm_proto){.code = NM_OP_select, .n_in = 3, .in = (nm_value *[]){c, pick(g), pick(g)}});
}

// k = 4 as p, q = 2, 2 and back, with a map between
static nm_value *add_split(graph *g)
{
    nm_module *m = g->f->module;
    nm_value *v = pick(g);
    nm_sym k = sym(g, "k"), parts[] = {sym(g, "p"), sym(g, "q")};
    int at = nm_type_find(v->type, k);
    if (at < 0)
        return NULL;
    nm_type t = *v->type;
    for (int i = t.rank++; i > at + 1; i--)
        t.dim[i] = t.dim[i - 1];
    t.dim[at] = nm_dim_of(m, parts[0]), t.dim[at + 1] = nm_dim_of(m, parts[1]);
    nm_attr split[] = {nm_mk_sym(m, "from", k), nm_mk_dims(m, "into", (nm_syms){2, parts})};
    nm_attr merge[] = {nm_mk_dims(m, "from", (nm_syms){2, parts}), nm_mk_sym(m, "into", k)};
    v = build(g, NM_OP_split, v, nm_type_get(m, &t), 2, split);
    v = draw(g, 2) ? v : op1(g, NM_OP_neg, v);
    return build(g, NM_OP_merge, v, NULL, 2, merge);
}

static nm_value *add_rename(graph *g)
{
    nm_module *m = g->f->module;
    nm_value *v = pick(g);
    nm_sym j = sym(g, "j"), other = sym(g, "j'");
    if (!nm_has_dim(v->type, j))
        return NULL;
    nm_attr to[] = {nm_mk_sym(m, "from", j), nm_mk_sym(m, "to", other)};
    nm_attr back[] = {nm_mk_sym(m, "from", other), nm_mk_sym(m, "to", j)};
    v = build(g, NM_OP_rename, v, NULL, 2, to);
    v = draw(g, 2) ? reduce(g, NM_OP_sum, op2(g, NM_OP_mul, v, pick(g)), other) : v;
    return nm_has_dim(v->type, other) ? build(g, NM_OP_rename, v, NULL, 2, back) : v;
}

// j = 3 cut to 2 and padded again
static nm_value *add_slice(graph *g)
{
    nm_module *m = g->f->module;
    nm_value *v = pick(g);
    nm_sym j = sym(g, "j");
    int at = nm_type_find(v->type, j);
    if (at < 0)
        return NULL;
    nm_type t = *v->type;
    t.dim[at].extent = nm_extent_const(m, 2);
    const nm_extent *one = nm_extent_const(m, 1);
    nm_attr slice[] = {nm_mk_sym(m, "over", j), nm_mk_extent(m, "start", one)};
    nm_attr pad[] = {nm_mk_sym(m, "over", j), nm_mk_extent(m, "before", one),
                     nm_mk_sym(m, "mode", sym(g, draw(g, 2) ? "zero" : "reflect"))};
    nm_value *cut = build(g, NM_OP_slice, v, nm_type_get(m, &t), 2, slice);
    return build(g, NM_OP_pad, cut, v->type, 3, pad);
}

static nm_value *add_cumsum(graph *g)
{
    nm_module *m = g->f->module;
    nm_value *v = pick(g);
    nm_sym d = any_dim(g, v);
    nm_attr attr[] = {nm_mk_sym(m, "over", d ? d : sym(g, "i")), nm_mk_bool(m, "reverse", true)};
    return d ? build(g, NM_OP_cumsum, v, NULL, 1 + (int)draw(g, 2), attr) : NULL;
}

static nm_value *add_gather(graph *g)
{
    nm_module *m = g->f->module;
    nm_value *v = pick(g);
    nm_sym j = sym(g, "j"), k = sym(g, "k");
    if (!nm_has_dim(v->type, k))
        return NULL;
    nm_attr dim = nm_mk_sym(m, "dim", j), over = nm_mk_sym(m, "over", k);
    nm_type t = {.dtype = NM_i32, .rank = 1, .dim = {nm_dim_of(m, j)}};
    nm_value *at = build(g, NM_OP_index, NULL, nm_type_get(m, &t), 1, &dim);
    return nm_build(g->f, NULL,
                    &(nm_proto){.code = NM_OP_gather,
                                .n_in = 2,
                                .in = (nm_value *[]){v, at},
                                .n_attrs = 1,
                                .attr = &over});
}

static void grow(graph *g, int ops, int depth);

// Carried, stacked and whole values of all sorts; one carried value may be unchanged, one result
// unread.
static nm_value *add_repeat(graph *g, int depth)
{
    nm_module *m = g->f->module;
    nm_dim layers = nm_dim_of(m, sym(g, depth == 2 ? "layers" : "turns"));
    nm_value *in[6], *result[4];
    int n = 0;
    for (int i = 0; i < 2; i++)
        in[n++] = pick(g);
    for (int i = 0; i < 2; i++) {
        nm_value *v = pick(g);
        if (nm_has_dim(v->type, layers.name))
            return NULL;
        in[n++] = build(g, NM_OP_broadcast, v, nm_type_with_outer(m, v->type, layers), 0, NULL);
    }
    in[n++] = pick(g);
    for (int i = 0; i < n; i++)
        if ((i < 2 || i == 4) && nm_has_dim(in[i]->type, layers.name))
            return NULL;

    graph body = {.f = nm_body_new(g->f, (nm_loc){0}), .state = g->state, .smooth = g->smooth};
    for (int i = 0; i < n; i++) {
        bool stacked = i == 2 || i == 3;
        const nm_type *t = stacked ? nm_type_without(m, in[i]->type, layers.name) : in[i]->type;
        push(&body, nm_func_param(body.f, t, NULL, (nm_bind){0}));
    }
    grow(&body, 4 + (int)draw(g, 6), depth - 1);
    for (int i = 0; i < 2; i++) {
        nm_value *r = op1(&body, NM_OP_tanh, fit_to(&body, pick(&body), in[i]->type));
        result[i] = i && draw(g, 4) == 0 ? body.f->param[i] : r;
    }
    result[2] = op1(&body, NM_OP_sin, pick(&body));
    result[3] = op1(&body, NM_OP_tanh, pick(&body));
    nm_func_ret(body.f, (nm_loc){0}, 4, result, NULL);
    g->state = body.state;
    nm_attr attr[] = {nm_mk_sym(m, "over", layers.name), nm_mk_int(m, "carried", 2),
                      nm_mk_int(m, "stacked", 2), nm_mk_bool(m, "reverse", true)};
    nm_op *op = nm_build_op(g->f, NULL,
                            &(nm_proto){.code = NM_OP_repeat,
                                        .n_in = n,
                                        .in = in,
                                        .n_attrs = 3 + (int)draw(g, 2),
                                        .attr = attr,
                                        .body = body.f});
    push(g, &op->out[0]);
    push(g, &op->out[1]);
    return draw(g, 2) ? reduce(g, NM_OP_sum, &op->out[2], layers.name) : &op->out[0];
}

static nm_value *add_any(graph *g, int depth)
{
    static nm_value *(*const add[])(graph *) = {
        add_map1,  add_map2,   add_map2,  add_number, add_div,    add_reduce,    add_dot,   add_dot,
        add_split, add_rename, add_slice, add_cumsum, add_gather, add_broadcast, add_select};
    uint32_t n = sizeof add / sizeof *add, i = draw(g, n + (depth > 0 ? 2 : 0));
    return i < n ? add[i](g) : add_repeat(g, depth);
}

static void grow(graph *g, int ops, int depth)
{
    for (int i = 0; i < ops; i++) {
        nm_value *v = add_any(g, depth);
        if (v && v->type->rank <= 4)
            push(g, v);
    }
}

// @f of some parameters; its results are scalars. A dim that is declared stays as it is.
static nm_func *random_func(nm_module *m, uint64_t seed)
{
    static const struct {
        const char *name;
        int n;
    } dims[] = {{"i", 2}, {"j", 3}, {"k", 4}, {"p", 2}, {"q", 2}, {"layers", 3}, {"turns", 2}};
    static const char *const shape[] = {"i", "ij", "jk", "", "k"};
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++)
        if (!nm_dim_lookup(m, nm_sym_get(m, dims[i].name)))
            nm_dim_declare(m, (nm_dim_decl){.name = nm_sym_get(m, dims[i].name),
                                            .extent = nm_extent_const(m, dims[i].n)});
    graph g = {.f = nm_func_new(m, nm_sym_get(m, "f"), (nm_loc){0}), .state = seed};
    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++) {
        nm_type t = {.dtype = NM_f32};
        for (const char *d = shape[i]; *d; d++)
            t.dim[t.rank++] = nm_dim_of(m, nm_sym_fmt(m, "%c", *d));
        push(&g, nm_func_param(g.f, nm_type_get(m, &t), nm_sym_fmt(m, "x%zu", i), (nm_bind){0}));
    }
    grow(&g, 20, 2);
    nm_value *result[3];
    const nm_type *scalar = nm_type_scalar(m, NM_f32);
    for (int i = 0; i < 3; i++)
        result[i] = fit_to(&g, op1(&g, NM_OP_sin, i ? pick(&g) : g.v[g.n - 1]), scalar);
    nm_func_ret(g.f, (nm_loc){0}, 3, result, NULL);
    return g.f;
}

#endif
