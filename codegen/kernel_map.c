// Map kernels: every result element on its own, in one sweep over the elements of the results.
#include "codegen/kernels.h"
#include "codegen/space.h"
#include "ir/transpose.h"

nm_value *nm_group_result(nm_gen *g, int i) { return g->group->body->last->in[i]; }

nm_op *nm_group_op(nm_gen *g, nm_opcode code)
{
    for (nm_op *op = g->group->body->first; op; op = op->next)
        if (op->code == code)
            return op;
    return NULL;
}

enum { MOST_ELEMENTS = 256 }; // results times copies of a run

// All elements of a run first, then the stores: a result may be written over an operand, and a
// result's neighbours are stored as one.
static bool write_run(nm_gen *g, const nm_space *s, const nm_sweep *w, int first)
{
    LLVMValueRef element[MOST_ELEMENTS];
    int n_out = g->group->n_out, unrolled = nm_space_copies(s), n = unrolled * w->run;
    if (n_out * n > MOST_ELEMENTS)
        nm_bug("map kernel: %d results, unrolled %d times", n_out, n);
    nm_coords copy[MOST_ELEMENTS];
    for (int k = 0; k < n; k++) {
        copy[k] = nm_sweep_point(g, w, first + k % w->run);
        nm_space_copy(g, s, k / w->run, &copy[k]);
        for (int r = 0; r < n_out; r++) {
            element[k * n_out + r] = nm_gen_value(g, nm_group_result(g, r), &copy[k]);
            if (!element[k * n_out + r])
                return false;
        }
    }
    for (int k = 0; k < n; k++)
        for (int r = 0; r < n_out; r++)
            nm_gen_store(g, r, &copy[k], element[k * n_out + r]);
    return true;
}

// What has no dims, before the loops: a row may be empty as far as LLVM knows, so it would leave
// the loads, and all that is made of them (an optimizer's powers), in every row.
static bool write_scalars(nm_gen *g)
{
    nm_func *body = g->group->body;
    nm_coords none = {0};
    for (int i = 0; i < body->n_params; i++)
        if (body->param[i]->type->rank == 0 && !nm_gen_value(g, body->param[i], &none))
            return false;
    nm_each_op(op, body)
        for (int i = 0; i < op->n_out; i++)
            if (op->out[i].type->rank == 0 && !nm_gen_value(g, &op->out[i], &none))
                return false;
    return true;
}

bool nm_kernel_map(nm_gen *g)
{
    nm_transpose t;
    if (g->is_gpu && nm_transpose_of(g->group, &t))
        return nm_gpu_transpose(g, &t);
    nm_gen_begin_kernel(g, "kernel");
    if (!write_scalars(g))
        return false;
    nm_space s = nm_space_of_map(g, g->group->out[0].type);
    const nm_space *walked = &s;
    for (int i = 0; i < g->group->n_out; i++)
        nm_space_prove(g, i, 1, &walked);
    if (nm_space_copies(&s) * g->group->n_out * NM_GPU_RUN <= MOST_ELEMENTS)
        g->deal.run = NM_GPU_RUN;
    nm_sweep w;
    nm_sweep_begin_range(g, &w, &s, g->from, g->to);
    bool ok = true;
    for (int k = 0; k < w.copies && ok; k += w.run)
        ok = write_run(g, &s, &w, k);
    nm_sweep_end(g, &w);
    nm_fn_finish(&g->fn, NULL);
    g->grain = 4096;
    g->range = nm_space_extent(g, &s);
    return ok;
}
