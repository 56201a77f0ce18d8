// A store of what the ranks of a mesh keep between the functions of a step, as the runtime's: every
// function reads and writes it by what its values are bound to. A pipeline's unit may be run in
// chunks of its repeat's turns.
#ifndef NM_TESTS_PASSES_PART_STORE_H
#define NM_TESTS_PASSES_PART_STORE_H

#include "tests/passes/mesh_run.h"
#include "tests/passes/steps.h"

typedef struct part_row {
    nm_bind_kind kind;
    const char *name;
    const nm_type *type;
    nm_tensor *parts; // [rank]
} part_row;

typedef struct part_store {
    int n;
    part_row row[MAX_ROWS];
} part_store;

static part_row *find_part(part_store *s, nm_bind_kind kind, const char *name)
{
    for (int i = 0; i < s->n; i++)
        if (s->row[i].kind == kind && !strcmp(s->row[i].name, name))
            return &s->row[i];
    return NULL;
}

static void put_part(part_store *s, nm_bind bind, const nm_type *type, nm_tensor *parts)
{
    part_row *r = find_part(s, bind.kind, bind.name);
    if (!r) {
        if (s->n == MAX_ROWS)
            nm_bug("the store is full");
        r = &s->row[s->n++];
    }
    *r = (part_row){bind.kind, bind.name, type, parts};
}

// The whole value of an input in this call, in the words of the sharded module; zero where there is
// none: an accumulator's start.
static nm_tensor whole_input(const ranks *t, store *inputs, const nm_eval_sym *batch, nm_bind bind,
                             const nm_type *type)
{
    nm_tensor whole;
    row *r = find_row(inputs, bind);
    if (!nm_tensor_new(t->m, (nm_loc){0}, &t->opts, nm_mesh_whole_type(t->m, type), &whole))
        nm_bug("a parameter of no size");
    if (r && bind.kind == NM_BIND_data)
        whole.data = slice_rows(&r->t, batch->offset, batch->size).data;
    else if (r)
        whole.data = r->t.data;
    return whole;
}

static nm_tensor *arg_of(const ranks *t, nm_func *f, int i, store *inputs, const nm_eval_sym *batch,
                         part_store *s)
{
    nm_bind bind = f->param_bind[i];
    const nm_type *type = f->param[i]->type;
    part_row *r = bind.kind == NM_BIND_data ? NULL : find_part(s, bind.kind, bind.name);
    if (!r) {
        bool zero = !find_row(inputs, bind);
        nm_tensor whole = whole_input(t, inputs, batch, bind, type);
        nm_tensor *parts = cut(t, type, &whole);
        for (int64_t k = 0; zero && k < n_ranks(t); k++) // also where a sum is pending
            memset(parts[k].data, 0, (size_t)parts[k].n * sizeof(double));
        put_part(s, bind, type, parts);
        return parts;
    }
    if (r->type != type)
        return printf("@%s reads %s as %s, and it is kept as %s\n", f->name, bind.name,
                      nm_type_str(t->m, type), nm_type_str(t->m, r->type)),
               NULL;
    return r->parts;
}

// [param][rank]; NULL: reported.
static nm_tensor **args_of(const ranks *t, nm_func *f, store *inputs, const nm_eval_sym *batch,
                           part_store *s)
{
    nm_tensor **args = nm_new_n(t->opts.arena, nm_tensor *, f->n_params + 1);
    for (int i = 0; i < f->n_params; i++)
        if (!(args[i] = arg_of(t, f, i, inputs, batch, s)))
            return NULL;
    return args;
}

static bool put_results(nm_func *f, nm_tensor **results, part_store *s)
{
    for (int i = 0; results && i < f->n_results; i++)
        put_part(s, f->result_bind[i], f->last->in[i]->type, results[i]);
    return results != NULL;
}

static bool call_ranks(const ranks *t, nm_func *f, store *inputs, const nm_eval_sym *batch,
                       part_store *s)
{
    nm_tensor **args = args_of(t, f, inputs, batch, s);
    return args && put_results(f, run_ranks(t, f, args), s);
}

// --- chunks --------------------------------------------------------------------------------------

static const char turns_name[] = "layers.pp"; // the symbol of the turns that a chunk runs

static bool is_stacked(const ranks *t, const nm_type *type)
{
    return type->rank && type->dim[0].extent == nm_extent_sym(t->m, nm_sym_get(t->m, turns_name));
}

// Every rank sees turns at, at + 1, ... of n equal chunks.
static void set_chunk(ranks *t, int at, int n)
{
    const nm_eval_sym **own = nm_new_n(t->opts.arena, const nm_eval_sym *, n_ranks(t));
    for (int64_t r = 0; r < n_ranks(t); r++) {
        nm_eval_sym *sym = nm_new_n(t->opts.arena, nm_eval_sym, t->opts.n_syms);
        for (int i = 0; i < t->opts.n_syms; i++) {
            sym[i] = t->mesh.sym[r][i];
            if (strcmp(sym[i].name, turns_name))
                continue;
            sym[i].size /= n;
            sym[i].offset += at * sym[i].size;
        }
        own[r] = sym;
    }
    t->opts.sym = own[0];
    t->mesh.sym = own;
}

// One chunk's rows of what is stacked; all of the rest.
static nm_tensor *rows_of(const ranks *t, const nm_type *type, const nm_tensor *parts, int at,
                          int n)
{
    nm_tensor *rows = nm_new_n(t->opts.arena, nm_tensor, MAX_MESH_RANKS);
    for (int64_t r = 0; r < n_ranks(t); r++) {
        int64_t size = is_stacked(t, type) ? parts[r].extent[0] / n : 0;
        rows[r] = size ? slice_rows(&parts[r], at * size, size) : parts[r];
    }
    return rows;
}

static void keep_rows(const ranks *t, const nm_type *type, nm_tensor *all, const nm_tensor *rows,
                      int at)
{
    for (int64_t r = 0; r < n_ranks(t); r++) {
        nm_eval_opts opts = nm_mesh_opts(&t->opts, &t->mesh, r);
        if (!is_stacked(t, type)) {
            all[r] = rows[r]; // of the last chunk
            continue;
        }
        if (!all[r].data && !nm_tensor_new(t->m, (nm_loc){0}, &opts, type, &all[r]))
            nm_bug("a stacked result of no size");
        memcpy(all[r].data + at * rows[r].n, rows[r].data, (size_t)rows[r].n * sizeof(double));
    }
}

// What is linked to the next chunk.
static void hand_on(const nm_func *f, nm_tensor **results, nm_tensor **args)
{
    for (int i = 0; i < f->n_params; i++)
        for (int k = 0; k < f->n_results; k++)
            if (f->param_bind[i].next && f->param_bind[i].next == f->result_bind[k].name)
                args[i] = results[k];
}

static bool call_chunks(const ranks *t, nm_func *f, int n, store *inputs, const nm_eval_sym *batch,
                        part_store *s)
{
    nm_tensor **args = args_of(t, f, inputs, batch, s);
    nm_tensor **in = nm_new_n(t->opts.arena, nm_tensor *, f->n_params + 1);
    nm_tensor **all = nm_new_n(t->opts.arena, nm_tensor *, f->n_results + 1);
    for (int i = 0; i < f->n_results; i++)
        all[i] = nm_new_n(t->opts.arena, nm_tensor, MAX_MESH_RANKS);
    for (int c = 0; args && c < n; c++) {
        int at = f->part.phase == NM_PHASE_backward ? n - 1 - c : c;
        ranks chunk = *t;
        set_chunk(&chunk, at, n);
        for (int i = 0; i < f->n_params; i++)
            in[i] = rows_of(t, f->param[i]->type, args[i], at, n);
        nm_tensor **results = run_ranks(&chunk, f, in);
        if (!results)
            return false;
        for (int i = 0; i < f->n_results; i++)
            keep_rows(t, f->last->in[i]->type, all[i], results[i], at);
        hand_on(f, results, args);
    }
    return args && put_results(f, all, s);
}

#endif
