// Will a run fit the memory: what its ranks need, what there is, and which flags would help.
#include "runtime/setup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct weight {
    int64_t rank,
        machine; // bytes of the rank that needs most, and of all ranks of a machine or GPU
} weight;

// Of `ranks` ranks on one machine: of all of the world, or each as the one that needs most.
static nmrt_status weigh(const nmrt_setup *s, int ranks, weight *w, nmrt_error *e)
{
    int64_t sum = 0, *memory = calloc((size_t)s->stages.pp, sizeof *memory);
    if (!memory)
        return nmrt_fail(e, NMRT_WORLD, "no memory for the stages' memory");
    nmrt_status status = nmrt_setup_memory(s, memory, e);
    *w = (weight){0};
    for (int r = 0; status == NMRT_OK && r < s->stages.pp; r++) {
        sum += memory[r];
        w->rank = memory[r] > w->rank ? memory[r] : w->rank;
    }
    free(memory);
    w->machine = ranks == s->mesh.world ? sum * (s->mesh.world / s->stages.pp) : w->rank * ranks;
    return status;
}

// 0: nothing is known, or asked for.
static weight room_of(const nmrt_setup *s, int ranks)
{
    return (weight){(int64_t)(s->options->memory_limit * (1 << 30)),
                    ranks ? s->device->memory_info().available : 0};
}

static bool is_within(int64_t bytes, int64_t room) { return !room || bytes <= room; }

static nmrt_status fits(const nmrt_setup *s, int ranks, bool *fit, nmrt_error *e)
{
    weight w, room = room_of(s, ranks);
    NMRT_TRY(weigh(s, ranks, &w, e));
    *fit = is_within(w.rank, room.rank) && is_within(w.machine, room.machine);
    return NMRT_OK;
}

static nmrt_status run_fits(const nmrt_run *run, int ranks, bool *fit, nmrt_error *e)
{
    nmrt_setup s;
    NMRT_TRY(nmrt_setup_init(&s, run, e));
    nmrt_status status = fits(&s, ranks, fit, e);
    nmrt_setup_release(&s);
    return status;
}

nmrt_run nmrt_setup_run(const nmrt_setup *s)
{
    return (nmrt_run){.program = s->program,
                      .device = s->device,
                      .options = s->options,
                      .mesh = s->mesh,
                      .threads = s->threads,
                      .recompute = &s->recompute,
                      .tight = s->tight};
}

// --- recomputation -------------------------------------------------------------------------------

typedef struct choosing {
    nmrt_run *run;
    nmrt_comm *comm; // NULL: this rank alone asks
    int ranks;
} choosing;

// Machines differ: what does not fit one fits none.
static nmrt_status fits_all(void *of, const nmrt_recompute *recompute, bool *fit, nmrt_error *e)
{
    const choosing *x = of;
    x->run->recompute = recompute;
    NMRT_TRY(run_fits(x->run, x->ranks, fit, e));
    bool no = !*fit;
    if (x->comm && x->comm->ranks > 1)
        NMRT_TRY(nmrt_comm_any(x->comm, &no, e));
    *fit = !no;
    return NMRT_OK;
}

static nmrt_status choose(const choosing *x, const nmrt_recompute *asked, nmrt_recompute *recompute,
                          bool *fit, nmrt_error *e)
{
    nmrt_stages stages;
    choosing of = *x;
    const nmrt_mesh *mesh = &x->run->mesh;
    const nmrt_fitting fitting = {fits_all, &of};
    NMRT_TRY(
        nmrt_stages_init(&stages, x->run->program, (int)mesh->size[NMDRV_PP], (int)mesh->vp, e));
    nmrt_status status =
        nmrt_recompute_least(asked, &stages, x->run->program, &fitting, recompute, fit, e);
    nmrt_stages_release(&stages);
    return status;
}

// A dry run looks at a mesh as if it were started here, or with a GPU a rank.
static int sharers(const nmrt_run *run)
{
    if (run->options->dry_run)
        return run->device == &nmrt_device_cuda ? 1 : (int)run->mesh.world;
    return run->device->sharers(run->ranks ? run->ranks->local_ranks : 1);
}

static bool may_keep(const nmrt_run *run)
{
    return nmrt_texts_may_keep(run->program) &&
           strcmp(run->options->keep_rounded_weights, "auto") == 0;
}

static nmrt_status choose_ways(const choosing *x, nmrt_recompute *recompute, bool *fit,
                               nmrt_error *e)
{
    const nmrt_recompute *asked = &x->run->options->ways;
    choosing of = *x;
    *recompute = *asked;
    if (nmrt_recompute_is_auto(asked))
        return choose(x, asked, recompute, fit, e);
    *fit = true;
    return may_keep(x->run) ? fits_all(&of, recompute, fit, e) : NMRT_OK;
}

nmrt_status nmrt_setup_choose(nmrt_run *run, nmrt_recompute *recompute, nmrt_error *e)
{
    nmrt_run trial = *run;
    const choosing x = {&trial, &run->comm, sharers(run)};
    bool fit;
    NMRT_TRY(choose_ways(&x, recompute, &fit, e));
    if (fit || !may_keep(run))
        return NMRT_OK;
    run->tight = trial.tight = true;
    return nmrt_recompute_is_auto(&run->options->ways) ? choose_ways(&x, recompute, &fit, e)
                                                       : NMRT_OK;
}

// --- what would fit ------------------------------------------------------------------------------

static bool micro_batch_fits(const nmrt_setup *s, const nmrt_recompute *recompute, int64_t n_micro,
                             int ranks)
{
    nmrt_error e;
    nmrt_options o = *s->options;
    nmrt_run run = nmrt_setup_run(s);
    int64_t total = s->micro_batch * s->n_micro;
    bool fit;
    o.micro_batch = total / n_micro;
    o.global_batch = total * nmrt_mesh_dp(&s->mesh);
    run.options = &o;
    run.recompute = recompute;
    return run_fits(&run, ranks, &fit, &e) == NMRT_OK && fit;
}

// The largest micro-batch below the one asked for that divides the step's samples and fits; 0:
// none.
static int64_t largest_fitting(const nmrt_setup *s, const nmrt_recompute *recompute, int ranks)
{
    int64_t total = s->micro_batch * s->n_micro;
    for (int64_t n = s->n_micro + 1; n <= total && n <= NMRT_MAX_MICRO_BATCHES; n++)
        if (total % n == 0 && micro_batch_fits(s, recompute, n, ranks))
            return total / n;
    return 0;
}

// The least recomputation that fits, or else that which needs least memory.
static bool least_fitting(const nmrt_setup *s, int ranks, nmrt_recompute *recompute)
{
    static const nmrt_recompute any = {1, {{.name = "", .kind = NMRT_WAY_AUTO}}};
    nmrt_error e;
    nmrt_run run = nmrt_setup_run(s);
    const choosing x = {&run, NULL, ranks};
    bool fit = false;
    *recompute = s->recompute;
    return s->train.n_calls && nmrt_recompute_any(s->program) &&
           choose(&x, &any, recompute, &fit, &e) == NMRT_OK && fit;
}

static void print_other_flags(const nmrt_setup *s, int ranks, nmrt_text *out)
{
    bool full = nmrt_recompute_has(s->program, NMDRV_RECOMPUTE_FULL),
         could = nmrt_recompute_any(s->program) && !full;
    nmrt_text_add(out, "no --micro-batch would fit%s; try ", full ? ", with any --recompute" : "");
    if (nmrt_mesh_dp(&s->mesh) > 1 && s->mesh.zero < 3)
        nmrt_text_add(out, "--zero %d or a smaller --seq", s->mesh.zero ? 3 : 1);
    else
        nmrt_text_add(out, "a smaller --seq or a smaller model%s",
                      s->mesh.world > ranks ? ", or more --tp or --pp" : "");
    nmrt_text_add(out, "%s", could ? ", or nemocc --recompute selective,full" : "");
}

// What would make it fit: flags that are not at their best yet.
static void print_hint(const nmrt_setup *s, int ranks, nmrt_text *out)
{
    nmrt_recompute recompute;
    bool again = least_fitting(s, ranks, &recompute);
    int64_t smaller = largest_fitting(s, &s->recompute, ranks),
            both = again || smaller ? 0 : largest_fitting(s, &recompute, ranks);
    if (!again && !smaller && !both) {
        print_other_flags(s, ranks, out);
        return;
    }
    if (smaller || both)
        nmrt_text_add(out, "--micro-batch %lld", (long long)(smaller ? smaller : both));
    if (both)
        nmrt_text_add(out, " --recompute auto");
    if (again) {
        nmrt_text_add(out, "%s--recompute ", smaller ? " or " : "");
        nmrt_recompute_print(&recompute, out);
    }
    nmrt_text_add(out, " would fit");
}

// --- will it fit ---------------------------------------------------------------------------------

static const char *memory_of(const nmrt_device_ops *device)
{
    return device == &nmrt_device_cuda ? "GPU" : "machine";
}

nmrt_status nmrt_memory_check(int64_t bytes, const nmrt_device_ops *device, const char *who,
                              const char *hint, nmrt_error *e)
{
    nmrt_memory_info m = device->memory_info();
    if (is_within(bytes, m.available))
        return NMRT_OK;
    return nmrt_fail(e, NMRT_USAGE, "%s %s (%lld bytes) and %s of the %s's %s are free; %s", who,
                     nmrt_bytes(bytes).s, (long long)bytes, nmrt_bytes(m.available).s,
                     memory_of(device), nmrt_bytes(m.total).s, hint);
}

static nmrt_status check(const nmrt_setup *s, const weight *w, const char *hint, int ranks,
                         nmrt_error *e)
{
    char who[64] = "the run needs";
    int64_t limit = room_of(s, ranks).rank;
    if (!is_within(w->rank, limit))
        return nmrt_fail(e, NMRT_USAGE,
                         "a rank needs %s (%lld bytes) and may use %s "
                         "(--memory-limit); %s",
                         nmrt_bytes(w->rank).s, (long long)w->rank, nmrt_bytes(limit).s, hint);
    if (ranks > 1)
        snprintf(who, sizeof who, "the %d ranks on this %s need", ranks, memory_of(s->device));
    return ranks ? nmrt_memory_check(w->machine, s->device, who, hint, e) : NMRT_OK;
}

nmrt_status nmrt_setup_check_memory(const nmrt_setup *s, int ranks, nmrt_error *e)
{
    weight w, room;
    nmrt_text hint = {0};
    ranks = ranks ? s->device->sharers(ranks) : 0;
    room = room_of(s, ranks);
    NMRT_TRY(weigh(s, ranks, &w, e));
    if (!is_within(w.rank, room.rank) || !is_within(w.machine, room.machine))
        print_hint(s, ranks, &hint);
    nmrt_status status = check(s, &w, hint.at && !hint.failed ? hint.at : "", ranks, e);
    nmrt_text_release(&hint);
    return status;
}
