// A step by chains of units, in f64, as the runtime runs it: units and chunks of turns are dealt
// out to three ranks, each rank has accumulators of its own, and a chunk sees its part of what is
// stacked. An all_reduce over pp adds what the ranks of its function have; `first` is 0 on all of
// them but one. Where an odd unit's functions have variants, each chunk takes one.
#ifndef NM_TESTS_PASSES_UNITS_RUN_H
#define NM_TESTS_PASSES_UNITS_RUN_H

#include "passes/retype.h"
#include "tests/passes/steps.h"

enum { BATCH = 4, MICRO = 2, SEQ = 3, RANKS = 3, MAX_UNITS = 16, N_MODELS = 8 };

static const subject mixed[] = {
    TINY_GPT2("3"),
    {.path = "models/t5.nm",
     .define = {{"vocab", "11"},
                {"d", "8"},
                {"heads", "2"},
                {"hd", "4"},
                {"ff", "12"},
                {"enc_layers", "2"},
                {"dec_layers", "3"},
                {"context", "8"},
                {"absolute", "true"}}},
    {.path = "models/gemma3.nm", // turns of several layers, and what is left over
     .define = {{"vocab", "11"},
                {"d", "8"},
                {"heads", "2"},
                {"kv", "1"},
                {"hd", "4"},
                {"ff", "12"},
                {"layers", "20"}}},
    {.path = "models/gemma2.nm",
     .define = {{"vocab", "11"},
                {"d", "8"},
                {"heads", "2"},
                {"kv", "1"},
                {"hd", "4"},
                {"ff", "12"},
                {"layers", "7"}}},
    {.path = "tests/passes/units_mixed.nm",
     .define = {{"vocab", "11"}, {"d", "6"}, {"layers", "3"}, {"more", "2"}}},
};
enum { N_MIXED = sizeof mixed / sizeof *mixed };

static nm_arena arena;

// --- the world ---------------------------------------------------------------------------------

typedef struct repeated { // by an odd unit
    nm_sym over;          // NULL: nothing
    int64_t turns;
    nm_sym
        dim; // whose rows its turns are, `each` from `first` on; over itself if it was not grouped
    int64_t first, each, rows;
} repeated;

typedef struct world {
    nm_module *m;
    int chunk;                                           // turns
    nm_recompute (*choose)(int unit, int chunk);         // of the variants; NULL: there are none
    nm_products (*choose_products)(int unit, int chunk); // likewise
    repeated unit[MAX_UNITS];
    store shared; // params, states, data, scalars, counts: whole
    store done;   // what a function of finish or init gave
    store links;
    store acc[RANKS], before[RANKS]; // before: when the phase began
} world;

typedef struct turns { // or rows, that one call runs; of no repeat: 0 to 1
    int rank;
    nm_sym dim; // NULL: of no repeat
    int64_t first, end, total;
    bool grouped;            // turn i is the `each` rows from row + i * each on; else they are rows
    int64_t row, each, rows; // rows: all that there are
} turns;

static nm_eval_sym sym[6];
static nm_eval_opts opts = {.arena = &arena, .f64 = true, .sym = sym};

static void set_syms(const world *w, const turns *t, int64_t first, int64_t end)
{
    static const char *const seqs[] = {"seq", "src", "dst"};
    opts.n_syms = 0;
    sym[opts.n_syms++] = nm_eval_sym_of(nm_sym_get(w->m, "batch"), end - first, first, BATCH);
    for (int i = 0; i < 3; i++)
        sym[opts.n_syms++] = nm_eval_sym_of(nm_sym_get(w->m, seqs[i]), SEQ, 0, SEQ);
    if (t && t->dim)
        sym[opts.n_syms++] = nm_eval_sym_of(nm_sym_fmt(w->m, "%s.pp", t->dim), t->end - t->first,
                                            t->first, t->total);
}

// The unit of a function of one unit; -1: of several, or of all.
static int unit_of(const nm_func *f)
{
    for (int u = 0; u < MAX_UNITS; u++)
        if (f->part.units == (uint64_t)1 << u)
            return u;
    return -1;
}

static const nm_type *chunked(nm_module *m, const nm_type *t, void *user)
{
    nm_sym over = user;
    nm_type local = *t;
    for (int i = 0; i < t->rank; i++)
        if (t->dim[i].name == over)
            local.dim[i].extent = nm_extent_sym(m, nm_sym_fmt(m, "%s.pp", over));
    return nm_type_get(m, &local);
}

static bool is_pp(const nm_module *m, nm_sym dim)
{
    for (int i = 0; i < m->n_mesh; i++)
        if (!strcmp(m->mesh[i].axis, "pp") && nm_syms_has(m->mesh[i].dims, dim))
            return true;
    return false;
}

static bool is_micro(const nm_func *f)
{
    return f->part.phase >= NM_PHASE_forward && f->part.phase <= NM_PHASE_backward;
}

// The dim of which a call sees some indices, that its repeat goes through or that its units'
// parameters have; NULL: none.
static nm_sym chunked_dim(const world *w, const nm_func *f)
{
    int unit = f->part.units ? __builtin_ctzll(f->part.units) : 0;
    nm_sym dim = is_micro(f) ? w->unit[unit].over : w->unit[unit].dim;
    for (int i = 0; dim && i < f->n_params; i++)
        if (f->param[i]->type->rank && f->param[i]->type->dim[0].name == dim)
            return dim;
    for (int i = 0; dim && i < f->n_results; i++)
        if (nm_has_dim(f->last->in[i]->type, dim))
            return dim;
    return NULL;
}

static void note_repeat(world *w, int unit, nm_sym over)
{
    const nm_dim_decl *d = nm_dim_lookup(w->m, over);
    repeated r = {.over = over, .dim = d->turns_of ? d->turns_of : over, .each = 1};
    if (d->turns_of)
        r.first = d->first, r.each = d->each;
    nm_extent_is_const(d->extent, &r.turns);
    nm_extent_is_const(nm_dim_of(w->m, r.dim).extent, &r.rows);
    w->unit[unit] = r;
}

// The extent of what a call sees some indices of becomes a symbol, as localize has it.
static void open_chunks(world *w)
{
    bool ignored = false;
    nm_each_func(f, w->m)
        for (nm_op *op = f->first; unit_of(f) >= 0 && is_micro(f) && op; op = op->next) {
            nm_sym over = op->code == NM_OP_repeat ? nm_attr_sym(op, "over") : NULL;
            if (over && is_pp(w->m, over))
                note_repeat(w, unit_of(f), over);
        }
    nm_each_func(f, w->m) {
        nm_sym dim = chunked_dim(w, f);
        if (!dim)
            continue;
        nm_sym local = nm_sym_fmt(w->m, "%s.pp", dim);
        nm_dim_declare(w->m, (nm_dim_decl){.name = local,
                                           .extent = nm_extent_sym(w->m, local),
                                           .runtime = true,
                                           .min = 1});
        nm_retype_func(f, chunked, (void *)dim, &ignored);
    }
    if (!nm_verify(w->m))
        nm_bug("units are not valid with a run of their turns");
}

// --- tensors by chunks -------------------------------------------------------------------------

static bool is_stacked(const turns *t, const nm_type *type)
{
    return t->dim && type->rank && type->dim[0].name == t->dim;
}

// What lasts longer than a micro-batch is kept by rows.
static bool is_by_rows(const turns *t, nm_bind bind)
{
    return t->grouped && bind.kind != NM_BIND_link;
}

static turns place_of(const turns *t, nm_bind bind)
{
    turns at = *t;
    if (!is_by_rows(t, bind))
        return at;
    at.first = t->row + t->first * t->each;
    at.end = t->row + t->end * t->each;
    at.total = t->rows;
    return at;
}

// Results of a chunk go to their place in the whole.
static void put_turns(store *s, nm_bind bind, const nm_tensor *part, const turns *t)
{
    row *r = find_row(s, bind);
    turns at = place_of(t, bind);
    bind.next = NULL;
    if (!is_stacked(t, part->type)) {
        put(s, bind, *part);
        return;
    }
    int64_t size = part->n / (at.end - at.first);
    nm_tensor whole = *part;
    if (is_by_rows(t, bind))
        memmove(&whole.extent[1], &whole.extent[2], sizeof whole.extent - 2 * sizeof *whole.extent);
    whole.extent[0] = at.total;
    whole.n = size * at.total;
    whole.data = nm_new_n(&arena, double, whole.n);
    if (r)
        memcpy(whole.data, r->t.data, (size_t)whole.n * sizeof(double));
    memcpy(whole.data + at.first * size, part->data, (size_t)part->n * sizeof(double));
    put(s, bind, whole);
}

static nm_tensor take_turns(const nm_tensor *whole, const turns *t, nm_bind bind)
{
    turns at = place_of(t, bind);
    nm_tensor part = slice_rows(whole, at.first, at.end - at.first);
    if (!is_by_rows(t, bind))
        return part;
    memmove(&part.extent[2], &part.extent[1], sizeof part.extent - 2 * sizeof *part.extent);
    part.extent[0] = t->end - t->first;
    part.extent[1] = t->each;
    return part;
}

static bool reads_reduced(const nm_value *v)
{
    return v->uses && v->uses->op->code == NM_OP_all_reduce;
}

// The sum of what the ranks had when the phase began.
static bool sum_ranks(world *w, nm_bind bind, uint64_t ranks, nm_tensor *out)
{
    for (int r = 0; r < RANKS; r++) {
        row *part = ranks >> r & 1 ? find_row(&w->before[r], bind) : NULL;
        for (int64_t i = 0; part && i < out->n; i++)
            out->data[i] += part->t.data[i];
    }
    return true;
}

static row *find_arg(world *w, const turns *t, nm_bind bind, bool first)
{
    if (bind.kind == NM_BIND_acc)
        return find_row(&w->acc[t->rank], bind);
    if (bind.kind == NM_BIND_link && bind.next && !first)
        return find_row(&w->links, (nm_bind){.kind = NM_BIND_link, .name = bind.next});
    return find_row(bind.kind == NM_BIND_link ? &w->links : &w->shared, bind);
}

typedef struct span { // of the batch
    int64_t first, end;
} span;

// One argument; what is not there yet is an accumulator, and zero.
static bool take(world *w, nm_func *f, int i, const turns *t, span batch, uint64_t ranks,
                 nm_tensor *out)
{
    nm_bind bind = f->param_bind[i];
    const nm_type *type = f->param[i]->type;
    bool reverse = f->part.phase == NM_PHASE_backward;
    row *r = find_arg(w, t, bind, reverse ? t->end == t->total : t->first == 0);
    if (!r && bind.kind != NM_BIND_acc && bind.kind != NM_BIND_count)
        return printf("%s needs %s\n", f->name, bind.name), false;
    if (!r || (bind.kind == NM_BIND_acc && reads_reduced(f->param[i])))
        return nm_tensor_new(f->module, f->loc, &opts, type, out) &&
               (bind.kind != NM_BIND_acc || !reads_reduced(f->param[i]) ||
                sum_ranks(w, bind, ranks, out));
    *out = r->t;
    if (bind.kind == NM_BIND_data)
        *out = slice_rows(&r->t, batch.first, batch.end - batch.first);
    else if (is_stacked(t, type))
        *out = take_turns(&r->t, t, bind);
    out->type = type;
    return true;
}

static bool agrees(world *w, nm_bind bind, const nm_tensor *t)
{
    row *r = find_row(&w->done, bind);
    for (int64_t i = 0; r && i < t->n; i++)
        if (!is_near(r->t.data[i], t->data[i], 1e-9))
            return printf("ranks differ in %s\n", bind.name), false;
    return true;
}

static bool keep(world *w, nm_bind bind, const nm_tensor *result, const turns *t)
{
    if (bind.kind == NM_BIND_count)
        put(&w->shared, bind, *result);
    else if (bind.kind == NM_BIND_acc)
        put_turns(&w->acc[t->rank], bind, result, t);
    else if (bind.kind == NM_BIND_link)
        put_turns(&w->links, bind, result, t);
    else {
        bool same = is_stacked(t, result->type) || agrees(w, bind, result);
        put_turns(&w->done, bind, result, t);
        return same;
    }
    return true;
}

static bool run(world *w, nm_func *f, const turns *t, span batch, uint64_t ranks)
{
    nm_tensor *args = nm_new_n(&arena, nm_tensor, f->n_params + 1);
    set_syms(w, t, batch.first, batch.end);
    for (int i = 0; i < f->n_params; i++)
        if (!take(w, f, i, t, batch, ranks, &args[i]))
            return false;
    nm_tensor *results = run_func(f, &opts, args);
    for (int i = 0; results && i < f->n_results; i++) {
        results[i].type = f->last->in[i]->type;
        if (!keep(w, f->result_bind[i], &results[i], t))
            return false;
    }
    return results != NULL;
}

// --- who runs what -----------------------------------------------------------------------------

static int n_chunks(const world *w, int unit)
{
    const repeated *r = &w->unit[unit];
    return r->over ? (int)((r->turns + w->chunk - 1) / w->chunk) : 1;
}

// The chunk's turns of a micro-batch, or the rows that they are.
static turns chunk_of(const world *w, int unit, int i, nm_sym dim)
{
    const repeated *r = &w->unit[unit];
    int64_t first = (int64_t)i * w->chunk, end = first + w->chunk;
    turns t = {.rank = (unit / 2 + i) % RANKS, .end = 1, .total = 1};
    if (!dim)
        return t;
    t.dim = dim;
    t.first = first, t.end = end < r->turns ? end : r->turns, t.total = r->turns;
    t.row = r->first, t.each = r->each, t.rows = r->rows;
    t.grouped = r->dim != r->over;
    if (dim == r->over)
        return t;
    t = place_of(&t, (nm_bind){0});
    t.grouped = false;
    return t;
}

static uint64_t ranks_of(const world *w, uint64_t units)
{
    uint64_t ranks = 0;
    for (int u = 0; u < w->m->n_units; u++)
        for (int i = 0; (!units || units >> u & 1) && i < n_chunks(w, u); i++)
            ranks |= (uint64_t)1 << chunk_of(w, u, i, NULL).rank;
    return units ? ranks : ((uint64_t)1 << RANKS) - 1;
}

// Of f's variants, which stand behind it, the one that a chunk takes.
static nm_func *variant(const world *w, nm_func *f, int unit, int chunk)
{
    nm_func *g = f;
    nm_recompute how = w->choose ? w->choose(unit, chunk) : NM_RECOMPUTE_any;
    nm_products of = w->choose_products ? w->choose_products(unit, chunk) : NM_PRODUCTS_any;
    while ((f->part.recompute && g->part.recompute != how) ||
           (f->part.products && g->part.products != of))
        g = g->next;
    return g;
}

// All chunks of its units, in the direction of the phase. f is the first of its variants.
static bool run_chunks(world *w, nm_func *f, span batch)
{
    for (int unit = 0; unit < w->m->n_units; unit++) {
        int n = f->part.units >> unit & 1 ? n_chunks(w, unit) : 0;
        for (int i = 0; i < n; i++) {
            int chunk = f->part.phase == NM_PHASE_backward ? n - 1 - i : i;
            turns t = chunk_of(w, unit, chunk, chunked_dim(w, f));
            if (!run(w, variant(w, f, unit, chunk), &t, batch, ranks_of(w, f->part.units)))
                return false;
        }
    }
    return true;
}

// f where it is not the first of the ranks that hold the same values.
static nm_func *without_first(nm_func *f)
{
    nm_func *g = nm_func_clone(f, nm_sym_fmt(f->module, "%s.rest", f->name), NULL);
    nm_each_op(op, g)
        if (op->code == NM_OP_first)
            nm_replace(&op->out[0], nm_build_const(g, op, op->loc, op->out[0].type->dtype, 0));
    return g;
}

static bool run_ranks(world *w, nm_func *f)
{
    bool counts = !f->part.units && f->part.phase == NM_PHASE_none; // for all ranks at once
    uint64_t ranks = counts ? 1 : ranks_of(w, f->part.units);
    bool first = true;
    memcpy(w->before, w->acc, sizeof w->acc);
    for (int r = 0; r < RANKS; r++) {
        turns t = {.rank = r, .end = 1, .total = 1};
        if (!(ranks >> r & 1))
            continue;
        nm_func *g = first ? f : without_first(f);
        if (!run(w, g, &t, (span){0, BATCH}, ranks))
            return false;
        if (g != f)
            nm_func_remove(g);
        first = false;
    }
    return true;
}

static bool has_prefix(const nm_func *f, const char *prefix)
{
    return !strncmp(f->name, prefix, strlen(prefix));
}

static bool run_all(world *w, const char *prefix)
{
    for (nm_func *f = w->m->first_func, *next; f; f = next) {
        next = f->next;
        bool in_turns = has_prefix(f, prefix) && chunked_dim(w, f);
        if (has_prefix(f, prefix) &&
            !(in_turns ? run_chunks(w, f, (span){0, BATCH}) : run_ranks(w, f)))
            return false;
    }
    return true;
}

static bool run_chains(world *w, const char *prefix)
{
    for (int64_t first = 0; first < BATCH; first += MICRO) {
        w->links.n = 0;
        nm_each_func(f, w->m)
            if (has_prefix(f, prefix) && f->part.recompute <= NM_RECOMPUTE_none &&
                f->part.products != NM_PRODUCTS_fp8 &&
                !run_chunks(w, f, (span){first, first + MICRO}))
                return false;
    }
    w->links.n = 0;
    return true;
}

// --- programs ----------------------------------------------------------------------------------

// Hyperparameters below 1: betas are.
static store whole_inputs(nm_func *f)
{
    store s = {0};
    nm_tensor *args = input_args(f, &opts);
    for (int i = 0; i < f->n_params; i++) {
        if (f->param_bind[i].kind == NM_BIND_scalar && nm_dtype_table[args[i].type->dtype].is_float)
            args[i].data[0] *= 0.5;
        put(&s, f->param_bind[i], args[i]);
    }
    return s;
}

// Cut into units, and through `more` passes: ",recompute".
static nm_module *load_cut_in(nm_precision precision, nm_recipe recipe, nm_diag *diag,
                              const subject *what, const char *more)
{
    nm_module *m = nm_module_new(&arena, diag);
    nm_pipeline_opts pipeline = {
        .only = nm_arena_fmt(
            &arena, "split_heads,simplify,autodiff,tidy,precision,accumulate,units%s", more),
        .verify_each = true,
        .dump = stdout,
        .log = stdout};
    bool is_text = strstr(what->path, ".nmir") != NULL;
    m->options.recompute = ~0u;
    m->options.precision = precision;
    m->options.recipe = recipe;
    bool ok = (is_text ? parse(m, what) : elaborate(m, what)) && nm_verify(m) &&
              nm_pipeline_run(m, &pipeline);
    return ok ? m : NULL;
}

static nm_module *load_cut(nm_diag *diag, const subject *what, const char *more)
{
    return load_cut_in(opts.f64 ? NM_PRECISION_any : NM_PRECISION_bf16, NM_RECIPE_none, diag, what,
                       more);
}

#endif
