// Running functions whose types have axes on all ranks of a mesh, by the interpreter, and comparing
// what the ranks hold with whole values.
#ifndef NM_TESTS_PASSES_MESH_RUN_H
#define NM_TESTS_PASSES_MESH_RUN_H

#include "ir/eval_mesh.h"
#include "tests/inputs.h"

#include <string.h>

enum { MAX_MESH_RANKS = 12, MAX_MESH_AXES = 8 };

typedef struct ranks { // a mesh, and where its values live
    nm_module *m;
    nm_mesh_axis axis[MAX_MESH_AXES];
    struct nm_eval_mesh mesh;
    nm_eval_opts opts;
} ranks;

// Axes that are named are appended with their size; the others have one rank.
static void add_axis(ranks *t, const char *name, int64_t size)
{
    t->axis[t->mesh.n] = (nm_mesh_axis){nm_sym_get(t->m, name), size};
    t->mesh = (struct nm_eval_mesh){.n = t->mesh.n + 1, .axis = t->axis};
}

static int64_t n_ranks(const ranks *t) { return nm_mesh_ranks(&t->mesh); }

// Before localize all ranks have the sizes of `base`; after it each has its own symbols.
static inline void set_sizes(ranks *t, bool local, bool zigzag, int n, const nm_eval_sym *base)
{
    t->opts.n_syms = n;
    t->opts.sym = base;
    t->mesh.sym = NULL;
    if (!local)
        return;
    const nm_eval_sym **own = nm_new_n(t->opts.arena, const nm_eval_sym *, n_ranks(t));
    for (int64_t r = 0; r < n_ranks(t); r++) {
        nm_eval_sym *sym = nm_new_n(t->opts.arena, nm_eval_sym, t->m->n_dims);
        t->opts.n_syms = nm_mesh_syms(t->m, &t->mesh, r, zigzag, n, base, sym);
        own[r] = sym;
    }
    t->opts.sym = own[0];
    t->mesh.sym = own;
}

// A value on every rank: [MAX_MESH_RANKS].
static nm_tensor *cut(const ranks *t, const nm_type *type, const nm_tensor *whole)
{
    nm_tensor *parts = nm_new_n(t->opts.arena, nm_tensor, MAX_MESH_RANKS);
    if (!nm_mesh_cut(t->m, &t->opts, &t->mesh, type, whole, parts))
        nm_bug("cannot cut %s", nm_type_str(t->m, type));
    return parts;
}

// Do the ranks' parts make up the whole value, with equal replicas?
static bool is_whole(const ranks *t, const nm_type *type, const nm_tensor *parts,
                     const nm_tensor *want, double tolerance)
{
    nm_tensor got;
    if (!nm_mesh_join(t->m, (nm_loc){0}, &t->opts, &t->mesh, type, parts, &got))
        return false;
    if (!nm_type_same_set(got.type, want->type) || got.n != want->n)
        return printf("%s, not %s\n", nm_type_str(t->m, got.type), nm_type_str(t->m, want->type)),
               false;
    for (int64_t i = 0; i < got.n; i++) // types with dims in another order are other layouts
        if (got.type != want->type || !is_near(got.data[i], want->data[i], tolerance))
            return printf("element %d of %s: %.17g, not %.17g\n", (int)i, nm_type_str(t->m, type),
                          got.data[i], want->data[i]),
                   false;
    return true;
}

// The results of f on every rank, [result][rank]; NULL: reported. args: [param][rank].
static nm_tensor **run_ranks(const ranks *t, nm_func *f, nm_tensor *const *args)
{
    nm_arena *arena = t->opts.arena;
    nm_tensor *in[MAX_MESH_RANKS], *out[MAX_MESH_RANKS];
    for (int64_t r = 0; r < n_ranks(t); r++) {
        in[r] = nm_new_n(arena, nm_tensor, f->n_params + 1);
        out[r] = nm_new_n(arena, nm_tensor, f->n_results + 1);
        for (int i = 0; i < f->n_params; i++)
            in[r][i] = args[i][r];
    }
    if (!nm_eval_mesh(f, &t->opts, &t->mesh, (const nm_tensor *const *)in, out))
        return NULL;
    nm_tensor **results = nm_new_n(arena, nm_tensor *, f->n_results + 1);
    for (int i = 0; i < f->n_results; i++) {
        results[i] = nm_new_n(arena, nm_tensor, MAX_MESH_RANKS);
        for (int64_t r = 0; r < n_ranks(t); r++)
            results[i][r] = out[r][i];
    }
    return results;
}

#endif
