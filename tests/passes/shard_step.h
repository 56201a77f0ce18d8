// A whole step by the interpreter of all ranks in f64, sharded and not: what is logged, every
// parameter and every state have to agree, and replicas to be equal to the last bit.
#ifndef NM_TESTS_PASSES_SHARD_STEP_H
#define NM_TESTS_PASSES_SHARD_STEP_H

#include "tests/passes/part_store.h"

enum { BATCH = 8, SEQ = 8, N_MICRO = 2 };
static const char before[] = "split_heads,simplify,autodiff";
static const unsigned checked = 1u << NM_BIND_emit | 1u << NM_BIND_param | 1u << NM_BIND_state;

typedef struct mesh_sizes { // of the axes in the order in which ranks are numbered
    int64_t dpr, dps, dpp, cpr, cps, tpk, tpr;
} mesh_sizes;

typedef struct how {
    bool local;  // after localize
    bool zigzag; // seq is dealt over cp
    bool ring;   // after ring, in its modes
    bool once;   // gradients are reduced with the last micro-batch
    int chunks;  // in which a pipeline's unit is run; 0: as a whole
    const char *mode;
} how;

static nm_eval_sym size[2];

static nm_eval_opts sizes_of(nm_module *m, nm_arena *arena, int64_t batch, int64_t offset)
{
    size[0] = nm_eval_sym_of(nm_sym_get(m, "batch"), batch, offset, BATCH);
    size[1] = nm_eval_sym_of(nm_sym_get(m, "seq"), SEQ, 0, SEQ);
    return (nm_eval_opts){.arena = arena, .f64 = true, .n_syms = 2, .sym = size};
}

// --- the whole step ------------------------------------------------------------------------------

typedef struct wanted {
    store inputs, results;
} wanted;

static wanted *run_whole(nm_arena *arena, nm_diag *diag, const subject *what)
{
    nm_module *m = load(arena, diag, what, before);
    if (!m)
        nm_bug("%s does not compile", what->path);
    nm_eval_opts opts = sizes_of(m, arena, BATCH, 0);
    nm_func *f = find_func(m, "train");
    wanted *w = nm_new(arena, wanted);
    nm_tensor *args = input_args(f, &opts);
    for (int i = 0; i < f->n_params; i++)
        put(&w->inputs, f->param_bind[i], args[i]);
    w->results = w->inputs;
    if (!call(f, &opts, &w->results, BATCH))
        nm_bug("@train does not run");
    return w;
}

// --- what is compared ----------------------------------------------------------------------------

static bool same_layout(const nm_type *a, const nm_type *b)
{
    for (int i = 0; i < a->rank && i < b->rank; i++)
        if (strcmp(a->dim[i].name, b->dim[i].name))
            return false;
    return a->rank == b->rank;
}

static bool agrees(const ranks *t, store *want, part_store *got)
{
    for (int i = 0; i < want->n; i++) {
        row *a = &want->row[i];
        part_row *b = checked >> a->kind & 1 ? find_part(got, a->kind, a->name) : NULL;
        if (!(checked >> a->kind & 1))
            continue;
        nm_tensor whole = a->t; // its type is another module's
        if (b)
            whole.type = nm_mesh_whole_type(t->m, b->type);
        if (!b || !same_layout(a->t.type, b->type) ||
            !is_whole(t, b->type, b->parts, &whole, 1e-10))
            return printf("%s differs\n", a->name), false;
    }
    return true;
}

// --- the sharded step ----------------------------------------------------------------------------

// The functions of a phase of the step, in the order in which one stage runs them.
typedef struct functions {
    int n;
    nm_func *f[MAX_ROWS];
} functions;

static int order_of(const nm_func *f)
{
    int unit = f->part.units ? __builtin_ctzll(f->part.units) : 0;
    switch (f->part.phase) {
    case NM_PHASE_forward: return unit;
    case NM_PHASE_turn: return 1000;
    case NM_PHASE_backward: return 2000 - unit;
    default: return (int)f->part.phase;
    }
}

// Of texts that differ by when gradients are reduced, the one for these sums.
static bool is_for(nm_module *m, const nm_func *f, nm_sums sums)
{
    static const char *const tail[] = {
        [NM_SUMS_each] = "", [NM_SUMS_once] = ".once", [NM_SUMS_last] = ".last"};
    return f->part.sums == sums || (f->part.sums == NM_SUMS_each &&
                                    !find_func(m, nm_sym_fmt(m, "%s%s", f->name, tail[sums])));
}

static functions find_all(nm_module *m, const char *prefix, const char *mode, nm_sums sums)
{
    functions all = {0};
    nm_each_func(f, m) {
        if (!f->part.mode || strcmp(f->part.mode, mode) || !is_for(m, f, sums) ||
            strncmp(f->name, prefix, strlen(prefix)))
            continue;
        int at = all.n++;
        for (; at && order_of(all.f[at - 1]) > order_of(f); at--)
            all.f[at] = all.f[at - 1];
        all.f[at] = f;
    }
    return all;
}

static bool call_part(const ranks *t, const how *how, nm_func *f, wanted *w, part_store *s)
{
    bool repeats = f->part.phase == NM_PHASE_forward || f->part.phase == NM_PHASE_backward;
    bool odd = f->part.units & 0xaaaaaaaaaaaaaaaa;
    return how->chunks && repeats && odd ? call_chunks(t, f, how->chunks, &w->inputs, &size[0], s)
                                         : call_ranks(t, f, &w->inputs, &size[0], s);
}

static bool run_phase(ranks *t, const how *how, const char *prefix, int n_calls, wanted *w,
                      part_store *s)
{
    for (int i = 0; i < n_calls; i++) {
        bool last = n_calls > 1 && i == n_calls - 1;
        nm_sums sums = !how->once ? NM_SUMS_each : last ? NM_SUMS_last : NM_SUMS_once;
        functions all = find_all(t->m, prefix, how->mode, sums);
        t->opts = sizes_of(t->m, t->opts.arena, BATCH / n_calls, i * (BATCH / n_calls));
        set_sizes(t, how->local, how->zigzag, 2, size);
        for (int k = 0; k < all.n; k++)
            if (!call_part(t, how, all.f[k], w, s))
                return printf("@%s does not run\n", all.f[k]->name), false;
    }
    return true;
}

static bool run_sharded(nm_module *m, nm_arena *arena, const mesh_sizes *mesh, const how *how,
                        wanted *w)
{
    ranks t = {.m = m};
    part_store *s = nm_new(arena, part_store);
    add_axis(&t, "dpr", mesh->dpr), add_axis(&t, "dps", mesh->dps);
    add_axis(&t, "dpp", mesh->dpp), add_axis(&t, "cpr", mesh->cpr);
    add_axis(&t, "cps", mesh->cps);
    add_axis(&t, "tpk", mesh->tpk), add_axis(&t, "tpr", mesh->tpr);
    t.opts.arena = arena;
    return run_phase(&t, how, "train.count.", N_MICRO, w, s) &&
           run_phase(&t, how, "train.counted.", 1, w, s) &&
           run_phase(&t, how, "train.micro.", N_MICRO, w, s) &&
           run_phase(&t, how, "train.finish.", 1, w, s) && agrees(&t, &w->results, s);
}

#endif
