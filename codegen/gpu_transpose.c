// Maps that transpose what they read (ir/transpose.h), on a GPU: the template nmg_transpose with
// the map as its hook.
#include "codegen/kernels.h"
#include "codegen/space.h"
#include "codegen/templates/gpu/transpose.h"
#include "ir/transpose.h"

enum { REST, ROWS, COLS, LISTS };

// The coordinates that a hook's parameters 1 .. 3 stand for.
static nm_coords coords_of(nm_gen *g, const nm_space *list, LLVMValueRef hook)
{
    nm_coords c = {0};
    for (int i = 0; i < LISTS; i++)
        nm_index_spread(g, &c, list[i].n, list[i].dim, LLVMGetParam(hook, 1 + (unsigned)i));
    return c;
}

// float load(env, rest, row, col, j)
static LLVMValueRef write_load(nm_gen *g, const nm_space *list)
{
    nm_fn *f = &g->fn;
    LLVMTypeRef param[] = {f->ptr, f->i64, f->i64, f->i64, f->i64};
    LLVMValueRef fn = nm_gen_begin_hook(g, "load", LLVMFunctionType(f->f32, param, 5, false));
    nm_coords c = coords_of(g, list, fn);
    LLVMValueRef x = nm_gen_value(g, nm_group_result(g, 0), &c);
    if (x)
        nm_fn_finish(f, x);
    return x ? fn : NULL;
}

// void store(env, rest, row, col, j, x)
static LLVMValueRef write_store(nm_gen *g, const nm_space *list)
{
    nm_fn *f = &g->fn;
    LLVMTypeRef param[] = {f->ptr, f->i64, f->i64, f->i64, f->i64, f->f32};
    LLVMValueRef fn = nm_gen_begin_hook(g, "store", LLVMFunctionType(f->nothing, param, 6, false));
    nm_coords c = coords_of(g, list, fn);
    nm_gen_store(g, 0, &c, LLVMGetParam(fn, 5));
    nm_fn_finish(f, NULL);
    return fn;
}

static const nm_extent *tiles_of(nm_gen *g, const nm_space *s)
{
    nm_module *m = g->fn.m;
    const nm_extent *n =
        nm_extent_add(m, nm_space_extent(g, s), nm_extent_const(m, NMG_TRANSPOSE_TILE - 1));
    return nm_extent_div(m, n, nm_extent_const(m, NMG_TRANSPOSE_TILE));
}

static const nm_extent *all_tiles(nm_gen *g, const nm_space *list)
{
    nm_module *m = g->fn.m;
    const nm_extent *tiles = nm_extent_mul(m, tiles_of(g, &list[ROWS]), tiles_of(g, &list[COLS]));
    return nm_extent_mul(m, nm_space_extent(g, &list[REST]), tiles);
}

bool nm_gpu_transpose(nm_gen *g, const nm_transpose *t)
{
    nm_space list[LISTS] = {nm_space_make(g, t->n_rest, t->rest),
                            nm_space_make(g, t->n_rows, t->rows),
                            nm_space_make(g, t->n_cols, t->cols)};
    const nm_space *all[] = {&list[REST], &list[ROWS], &list[COLS]};
    nm_space_prove(g, 0, LISTS, all);
    g->range = all_tiles(g, list);
    if (!g->range)
        return nm_gen_refuse(g, g->group, "its tiles have no extent that can be written") != NULL;
    LLVMValueRef load = write_load(g, list), store = load ? write_store(g, list) : NULL;
    if (!store)
        return false;
    g->threads = NMG_TRANSPOSE_THREADS;
    g->per_block = 1;
    g->shared_bytes = NMG_TRANSPOSE_SHARED;
    nm_gen_begin_kernel(g, "kernel");
    LLVMValueRef arg[] = {nm_gen_env(g),
                          nm_fn_product(&g->fn, t->n_rows, t->rows),
                          nm_fn_product(&g->fn, t->n_cols, t->cols),
                          load,
                          store,
                          g->from};
    nm_gen_call(g, "nmg_transpose", g->fn.nothing, 6, arg);
    nm_fn_finish(&g->fn, NULL);
    return true;
}
