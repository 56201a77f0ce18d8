// On random programs, with operands of products and other values rounded to 8 bits by chance, under
// one scale or in blocks: quantise writes what qdq means. Everything is rounded as the text says,
// and after the pass every number is what it was. Arguments: the first seed, and how many.
#include "passes/pass.h"
#include "tests/passes/random_graph.h"

#include <stdlib.h>

// Blocks of two along one dim, and of two across another, if v has them, by chance.
static nm_value *build_qdq(graph *g, nm_value *v, nm_op *before)
{
    nm_module *m = g->f->module;
    nm_attr attr[4] = {nm_mk_dtype(m, "to", draw(g, 2) ? NM_e4m3 : NM_e5m2)};
    int n = 1, blocks = (int)draw(g, 3);
    if (blocks && v->type->rank)
        attr[n++] = nm_mk_dims(m, "along", (nm_syms){1, &v->type->dim[0].name});
    if (blocks == 2 && v->type->rank > 1)
        attr[n++] = nm_mk_dims(m, "across", (nm_syms){1, &v->type->dim[1].name});
    if (n > 1)
        attr[n++] = nm_mk_int(m, "block", 2);
    return nm_build(
        before->func, before,
        &(nm_proto){.code = NM_OP_qdq, .n_in = 1, .in = &v, .n_attrs = n, .attr = attr});
}

static bool is_float(const nm_value *v) { return nm_dtype_table[v->type->dtype].is_float; }

// Every other product's operands, and some that maps and reductions read.
static int round_some(graph *g, nm_func *f)
{
    int n = 0;
    nm_each_op(op, f) {
        if (op->body)
            n += round_some(g, op->body);
        bool dot = op->code == NM_OP_dot, map = nm_is(op, NM_MAP) || op->code == NM_OP_sum;
        bool wanted = dot ? draw(g, 2) : map && !draw(g, 8);
        for (int i = 0; i < op->n_in && wanted; i++)
            if (is_float(op->in[i])) {
                nm_set_operand(op, i, build_qdq(g, op->in[i], op));
                n++;
            }
    }
    return n;
}

// From 1 to 2^-20: what a scale is shows in what is subnormal under it.
static void spread(graph *g, nm_func *f, nm_tensor *args)
{
    for (int i = 0; args && i < f->n_params; i++)
        for (int64_t k = 0; k < args[i].n; k++)
            args[i].data[k] = nm_round_to(NM_f32, ldexp(args[i].data[k], -(int)draw(g, 21)));
}

// Adds to *n how many values were rounded.
static bool check(uint64_t seed, int *n)
{
    nm_arena arena = {0};
    nm_diag diag = nm_diag_to(stderr);
    nm_eval_opts opts = {.arena = &arena};
    nm_module *m = nm_module_new(&arena, &diag);
    nm_func *f = random_func(m, seed);
    graph g = {.f = f, .state = seed};
    *n += round_some(&g, f);
    nm_tensor *args = nm_verify(m) ? input_args(f, &opts) : NULL;
    spread(&g, f, args);
    nm_tensor *before = args ? run_func(f, &opts, args) : NULL;
    nm_pipeline_opts pass = {
        .only = "quantise", .verify_each = true, .dump = stdout, .log = stdout};
    bool ok = before && nm_pipeline_run(m, &pass);
    nm_tensor *after = ok ? run_func(f, &opts, args) : NULL;
    ok = after && same_results(f, before, after);
    nm_arena_free(&arena);
    return ok;
}

int main(int argc, char **argv)
{
    uint64_t from = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    uint64_t n = argc > 2 ? strtoull(argv[2], NULL, 10) : argc > 1 ? 1 : 150;
    int bad = 0, rounded = 0;
    for (uint64_t seed = from; seed < from + n; seed++)
        if (!check(seed, &rounded))
            bad += printf("FAIL: seed %llu\n", (unsigned long long)seed) > 0;
    bad += argc == 1 && rounded < 200 && printf("FAIL: only %d values were rounded\n", rounded) > 0;
    return bad != 0;
}
