// Collectives through codegen: a module of one rank's functions is compiled, and run with a device
// that plays a mesh of axes of size one. It gives the operand back, or a copy of it in memory of
// its own (a result that is not moved may have no room): the results are the interpreter's either
// way, and the operand stays what it was for as long as the result is read. Then the tables that
// the runtime reads. Runs in the root of the tree.
#include "tests/codegen/host.h"

#include "passes/pass.h"

static const char path[] = "tests/codegen/collectives.nmir";

enum { MAX_SYMS = 32, MAX_CALLS = 64, SIZE = 4, ROOM = 1 << 16 };

static bool elsewhere; // the device copies
static float room[ROOM];
static int64_t n_room; // used
static int calls[MAX_CALLS];

static void expect(bool ok, const char *what)
{
    if (!ok && failures++ < 40)
        fprintf(stderr, "collectives: %s\n", what);
}

static int64_t elements(const nmdrv_collective *c, const int64_t *geometry)
{
    return c->kind == NMDRV_ALL_REDUCE ? geometry[0] : geometry[0] * geometry[1] * geometry[2];
}

static void *play(nmdrv_frame *f, int64_t id, const int64_t *geometry, void *out, void *in)
{
    const host *h = f->device;
    int64_t n = elements(&h->p->collective[id], geometry);
    calls[id]++;
    if (!elsewhere || out == in)
        return in;
    float *copied = &room[n_room];
    n_room += n;
    expect(n_room <= ROOM, "the device's room is full");
    return memcpy(copied, in, 4 * (size_t)n);
}

static void copy(nmdrv_frame *f, void *dst, const void *src, int64_t bytes)
{
    (void)f;
    memcpy(dst, src, (size_t)bytes);
}

// On a mesh of one rank a local extent is the whole.
static int bind_syms(nm_module *m, nm_eval_sym *sym, nmdrv_sym *abi)
{
    int n = 0;
    for (int i = 0; i < m->n_dims; i++) {
        const nm_dim_decl *d = &m->dim[i];
        int64_t size = d->axes.n && !d->of ? 1 : SIZE;
        if (!d->runtime)
            continue;
        if (d->of)
            nm_extent_is_const(nm_dim_lookup(m, d->of)->extent, &size);
        sym[n] = (nm_eval_sym){.name = d->name, .size = size, .total = size};
        abi[n++] = (nmdrv_sym){.size = size, .total = size, .half = size};
    }
    return n;
}

static void fill(nm_tensor *t)
{
    static uint32_t state = 7;
    for (int64_t i = 0; i < t->n; i++) {
        state = state * 1664525u + 1013904223u;
        t->data[i] = nm_round_to(t->type->dtype, (double)(state >> 8) / (1 << 24) - 0.4);
    }
}

static void check_func(nm_module *m, nm_func *f, const nmdrv_program *p, nm_eval_opts *opts,
                       const nmdrv_sym *abi)
{
    nm_tensor *args = nm_new_n(m->arena, nm_tensor, (size_t)f->n_params + 1);
    nm_tensor *results = nm_new_n(m->arena, nm_tensor, (size_t)f->n_results + 1);
    for (int i = 0; i < f->n_params; i++) {
        if (!nm_tensor_new(m, f->loc, opts, f->param[i]->type, &args[i]))
            exit(1);
        fill(&args[i]);
    }
    if (!nm_eval(f, opts, args, results))
        exit(1);
    for (int way = 0; way < 2; way++) {
        elsewhere = way, n_room = 0;
        host_check(p, f->name, way ? "elsewhere" : "in place", abi, f->n_results, args, results,
                   1e-4);
    }
}

// --- the tables ----------------------------------------------------------------------------------

static const nmdrv_sym_info *find_sym(const nmdrv_program *p, const char *name)
{
    for (int64_t i = 0; i < p->n_syms; i++)
        if (strcmp(p->sym[i].name, name) == 0)
            return &p->sym[i];
    exit(fprintf(stderr, "no symbol %s\n", name) != 0);
}

static void check_syms(const nmdrv_program *p)
{
    const nmdrv_sym_info *ff = find_sym(p, "ff.tp"), *batch = find_sym(p, "batch.dps");
    expect(strcmp(ff->of, "ff") == 0 && ff->extent == 12 && ff->of_sym == -1 && ff->n_axes == 2 &&
               ff->axis[0] == NMDRV_TPK && ff->axis[1] == NMDRV_TPR,
           "ff.tp is ff, 12, over tpk and tpr");
    expect(batch->of_sym >= 0 && strcmp(p->sym[batch->of_sym].name, "batch") == 0 &&
               batch->extent == 0,
           "batch.dps is of the symbol batch");
    expect(*find_sym(p, "tpk")->of == 0 && find_sym(p, "tpk")->axis[0] == NMDRV_TPK,
           "tpk is an axis");
    expect(find_sym(p, "batch")->n_axes == 0, "batch is no local extent");
}

static void check_funcs(const nmdrv_program *p)
{
    const nmdrv_func *turn = host_find(p, "train.micro.turn.0.mesh");
    const nmdrv_func *middle = host_find(p, "train.micro.forward.1.mesh");
    const nmdrv_func *after = host_find(p, "train.finish.after.0.mesh");
    expect(turn->role == NMDRV_MICRO && turn->phase == NMDRV_TURN && turn->units == 1 &&
               turn->turns == -1 && turn->mode == 0,
           "the turn's row");
    expect(after->role == NMDRV_FINISH && after->phase == NMDRV_AFTER, "the finish's row");
    expect(middle->units == 2 && strcmp(p->sym[middle->turns].name, "layers.pp") == 0,
           "a chunked unit's row");
    expect(strcmp(middle->arg[0].next, "x.out") == 0 && !middle->arg[0].chunked &&
               middle->arg[1].chunked && middle->result[1].chunked,
           "links go on to the next chunk; stacked arguments are cut");
}

// What one function links has the order in which others take it.
static void check_links(const nmdrv_program *p)
{
    const nmdrv_arg *given = &host_find(p, "train.micro.forward.1.mesh")->result[1];
    const nmdrv_arg *taken = &host_find(p, "train.micro.backward.1.mesh")->arg[0];
    expect(memcmp(given->dim, taken->dim, (size_t)given->rank * sizeof *given->dim) == 0,
           "a link has one order");
    expect(strcmp(p->dim[given->dim[0]].name, "layers") == 0, "the chunked dim is outermost");
}

static void check_collectives(const nmdrv_program *p)
{
    const nmdrv_collective *gather = &p->collective[0], *sum = &p->collective[2];
    expect(strcmp(gather->name, "all_gather.eg") == 0 && gather->kind == NMDRV_ALL_GATHER &&
               gather->joins && strcmp(p->sym[gather->over].name, "ff.tp") == 0 &&
               strstr(gather->where, "collectives.nmir:"),
           "the gather's row");
    expect(sum->kind == NMDRV_ALL_REDUCE && sum->over == -1 &&
               sum->axes == (1 << NMDRV_TPK | 1 << NMDRV_TPR) && sum->dtype == NMDRV_F32,
           "the sum's row");
    for (int64_t i = 0; i < p->n_collectives; i++)
        expect(calls[i] > 0, "a collective of the table is not called");
}

static void check_program(const nmdrv_program *p)
{
    expect(p->n_modes == 1 && strcmp(p->mode[0].name, "mesh") == 0 && p->mode[0].sp &&
               p->mode[0].axes >> NMDRV_DPP & 1,
           "the mode's row");
    expect(p->n_units == 2 && p->pp_turns == 3 && strstr(p->pp_where, "layers (tests/"),
           "units and turns");
}

int main(void)
{
    host_calls.collective = play;
    host_calls.copy = copy;
    nm_arena arena = {0};
    nm_diag diag = nm_diag_to(stderr);
    nm_module *m = nm_module_new(&arena, &diag);
    const nm_source *src = nm_source_read(&arena, &diag, path);
    nm_pipeline_opts pipeline = {.dump = stderr, .log = stderr, .only = "fuse,layout,schedule"};
    const nmdrv_program *p = NULL;
    if (src && nm_parse(m, src) && nm_pipeline_run(m, &pipeline))
        p = host_load(m, "native");
    if (!p)
        return 1;
    nm_eval_sym sym[MAX_SYMS];
    nmdrv_sym abi[MAX_SYMS];
    nm_eval_opts opts = {.arena = &arena, .f64 = true, .n_syms = bind_syms(m, sym, abi)};
    opts.sym = sym;
    nm_each_func(f, m)
        check_func(m, f, p, &opts, abi);
    check_syms(p);
    check_funcs(p);
    check_links(p);
    check_collectives(p);
    check_program(p);
    failures += diag.errors != 0;
    nm_arena_free(&arena);
    return failures != 0;
}
