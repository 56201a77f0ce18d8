// The column `.zero` of ops.def, held to the interpreter: wherever the masks of padded dims
// (passes/localize_pad.c) trust a row that its result is 0 behind a dim's end, it is 0 there.
//
// Every example is run once for each of its dims and each choice of its operands: the dim's last
// index lies behind the end, the chosen operands are 0 there (those without the dim: everywhere),
// the others are not. The result is bound as an accumulator, which must be 0 there: what the pass
// does not mask it knows to be 0, and so it has to come out. A rule that is never trusted by its
// own example is an error, too.
#include "ir/example.h"
#include "passes/localize.h"
#include "tests/inputs.h"

#include <stdlib.h>

typedef struct zero_case {
    nm_module *m;
    nm_func *f;
    const nm_extent *padded; // dims of this extent are
    unsigned chosen;         // operands, as bits
} zero_case;

static int bad;

static bool is_padded(const zero_case *c, const nm_type *t)
{
    for (int i = 0; i < t->rank; i++)
        if (t->dim[i].extent == c->padded)
            return true;
    return false;
}

// --- what the pass concludes ---------------------------------------------------------------------

// The dim table as localize leaves it: a local extent of a dim with `pad`, of a dim of its own.
static void declare_padded(zero_case *c)
{
    nm_sym whole = nm_sym_get(c->m, "whole");
    nm_dim_declare(c->m, (nm_dim_decl){.name = whole, .extent = nm_extent_const(c->m, 1)});
    nm_dim_declare(c->m, (nm_dim_decl){.name = nm_sym_get(c->m, "whole.tp"),
                                       .extent = c->padded,
                                       .of = whole,
                                       .pad = 2});
}

// A chosen operand is a parameter, 0 behind its dim's end; without the dim, the constant 0.
static void choose_operands(const zero_case *c)
{
    nm_func *f = c->f;
    for (int i = 0; i < f->n_params; i++) {
        nm_value *v = f->param[i];
        if (!(c->chosen >> i & 1))
            continue;
        f->param_bind[i].kind = NM_BIND_param;
        nm_attr zero = nm_mk_float(c->m, "value", 0);
        if (!is_padded(c, v->type))
            nm_replace(
                v,
                nm_build(f, f->first,
                         &(nm_proto){
                             .code = NM_OP_const, .n_attrs = 1, .attr = &zero, .type = v->type}));
    }
}

// Does the pass take the result to be 0 behind the end? Not if it masks it, or refuses the dim.
static bool is_trusted(zero_case *c)
{
    nm_value *result = c->f->last->in[0];
    declare_padded(c);
    choose_operands(c);
    c->f->result_bind[0].kind = NM_BIND_acc;
    return is_padded(c, result->type) && nm_localize_padding(c->f) && c->f->last->in[0] == result;
}

// --- what the interpreter says -------------------------------------------------------------------

// Is element i of the tensor behind the end of a padded dim?
static bool is_behind(const zero_case *c, const nm_tensor *t, int64_t i)
{
    bool behind = false;
    for (int d = t->type->rank - 1; d >= 0; d--) {
        behind |= t->type->dim[d].extent == c->padded && i % t->extent[d] == t->extent[d] - 1;
        i /= t->extent[d];
    }
    return behind;
}

static bool is_zero_behind(const zero_case *c)
{
    nm_arena arena = {0};
    nm_eval_opts opts = {.arena = &arena};
    nm_tensor *args = input_args(c->f, &opts);
    for (int i = 0; i < c->f->n_params; i++)
        for (int64_t k = 0; c->chosen >> i & 1 && k < args[i].n; k++)
            args[i].data[k] = is_behind(c, &args[i], k) ? 0 : args[i].data[k];
    nm_tensor *result = run_func(c->f, &opts, args);
    bool zero = result;
    for (int64_t k = 0; zero && k < result->n; k++)
        zero = !is_behind(c, result, k) || result->data[k] == 0;
    nm_arena_free(&arena);
    return zero;
}

// --- all of a row --------------------------------------------------------------------------------

// Checks the choice of operands for dims of the extent that example dim number `dim` has; returns
// whether the row was trusted.
static bool check_choice(nm_opcode code, const char *example, int dim, unsigned chosen)
{
    nm_arena arena = {0};
    nm_diag silent = {0}; // what the pass refuses, it does not trust
    nm_module *m = nm_module_new(&arena, &silent);
    nm_example_dims(m);
    zero_case c = {.m = m, .padded = m->dim[dim].extent, .chosen = chosen};
    const char *along = m->dim[dim].name;
    c.f = nm_example_parse(m, code, example);
    bool trusted = is_trusted(&c);
    if (trusted && !is_zero_behind(&c)) {
        fprintf(stderr, "ops.def: %s %s: .zero claims too much along %s, of operands 0x%x\n",
                nm_op_table[code].name, example, along, chosen);
        bad++;
    }
    nm_arena_free(&arena);
    return trusted;
}

// Is an example dim before `dim` as long? Which dims are padded goes by the extent.
static bool is_repeated(const nm_module *m, int dim)
{
    for (int i = 0; i < dim; i++)
        if (m->dim[i].extent == m->dim[dim].extent)
            return true;
    return false;
}

static void check_example(nm_opcode code, const char *example)
{
    nm_arena arena = {0};
    nm_diag diag = nm_diag_to(stderr);
    nm_module *m = nm_module_new(&arena, &diag);
    nm_example_dims(m);
    int n_dims = m->n_dims;
    nm_func *f = nm_example_parse(m, code, example);
    bool trusted = false;
    for (int dim = 0; f && dim < n_dims; dim++)
        for (unsigned chosen = 0; !is_repeated(m, dim) && chosen < 1u << f->n_params; chosen++)
            trusted |= check_choice(code, example, dim, chosen);
    if (!trusted) {
        fprintf(stderr, "ops.def: %s %s: .zero is of no use\n", nm_op_table[code].name, example);
        bad++;
    }
    nm_arena_free(&arena);
}

int main(void)
{
    for (int i = 0; i < NM_N_OPS; i++)
        if (nm_op_table[i].zero != NM_ZERO_UNKNOWN)
            check_example((nm_opcode)i, nm_op_table[i].example);
    // the result's s is as long as j, but its indices are not those of the operand's j
    check_example(NM_OP_gather, "f32[j, k], i32[s] {over = j}");
    check_example(NM_OP_pad, "f32[i, j] {over = j, before = 1, mode = reflect} : f32[i, j=6]");
    return bad != 0;
}
