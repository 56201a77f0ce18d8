// The answer to --dry-run: what a run on this mesh needs and says, from the program's tables alone.
// Ranks of one pipeline stage are alike, so one of each stage is looked at, however large the
// world.
#include "runtime/null_device.h"
#include "runtime/setup.h"
#include "runtime/tally.h"

#include <stdlib.h>

static void print_head(const nmrt_setup *s, nmrt_text *out)
{
    nmrt_text_add(out, "%s%s%s: micro-batch %lld, %lld micro-batch%s a step, seq %lld, ",
                  s->program->name, *s->program->preset ? " " : "", s->program->preset,
                  (long long)s->micro_batch, (long long)s->n_micro, s->n_micro == 1 ? "" : "es",
                  (long long)s->seq);
    if (s->device == &nmrt_device_host)
        nmrt_text_add(out, "%d thread%s ", s->threads, s->threads == 1 ? "" : "s");
    nmrt_text_add(out, "on %s", s->device->name);
    nmrt_rampup_print(&s->options->rampup, out);
    nmrt_text_add(out, "\n");
    if (s->mesh.world == 1)
        return;
    nmrt_text_add(out, "%lld ranks: ", (long long)s->mesh.world);
    nmrt_mesh_print(&s->mesh, out);
    nmrt_text_add(out, "; %lld samples a step\n", (long long)(s->samples * s->n_micro));
}

static void print_machine(const nmrt_setup *s, nmrt_text *out)
{
    nmrt_memory_info m = s->device->memory_info();
    nmrt_text_add(out, "\n  %-18s %20lld  %10s\n  %-18s %20lld  %10s\n", "machine",
                  (long long)m.total, nmrt_bytes(m.total).s, "free now", (long long)m.available,
                  nmrt_bytes(m.available).s);
}

// --- stages --------------------------------------------------------------------------------------

static int64_t turns_on(const nmrt_setup *s, int pp)
{
    int64_t n = 0;
    for (int v = pp; v < s->stages.n; v += s->stages.pp)
        for (int i = s->stages.at[v]; i < s->stages.at[v + 1]; i++)
            n += s->stages.part[i].unit % 2 ? s->stages.part[i].n : 0;
    return n;
}

static void print_stage(const nmrt_setup *s, int pp, int64_t memory, nmrt_text *out)
{
    const nmrt_chain *c = s->train.n_calls ? &s->train : &s->eval;
    int slots = 0;
    int64_t sent = 0;
    bool shares = s->train.n_calls && nmrt_chain_links(c, &s->actions, pp).stride > 0;
    for (int v = pp; v < s->stages.n; v += s->stages.pp) {
        int own = s->train.n_calls ? s->actions.slots[v] : 1;
        slots += shares && own > 1 ? 0 : own;
        sent += nmrt_chain_sent(c, v, false) + nmrt_chain_sent(c, v, true);
    }
    slots += shares ? s->actions.shared[pp] : 0;
    nmrt_text_add(out, "  %8d %10lld %10d %12s %12s\n", pp, (long long)turns_on(s, pp), slots,
                  nmrt_bytes(sent * s->n_micro).s, nmrt_bytes(memory).s);
}

static double call_flops(const nmrt_setup *s, const nmrt_call *c)
{
    return (double)c->func->flops(nmrt_setup_call_syms(s, c).at);
}

static nmrt_status print_bubble(const nmrt_setup *s, nmrt_text *out, nmrt_error *e)
{
    double *cost = calloc(2 * (size_t)s->stages.n, sizeof *cost);
    if (!cost)
        return nmrt_fail(e, NMRT_WORLD, "no memory for the pipeline's costs");
    for (int i = 0; i < s->train.n_calls; i++) {
        const nmrt_call *c = &s->train.call[i];
        cost[c->stage + (c->backward ? s->stages.n : 0)] += call_flops(s, c);
    }
    int pp = s->stages.pp, work = s->stages.n / pp * s->actions.n_micro;
    nmrt_text_add(
        out,
        "pipeline bubble, by operations: %.1f %% of a step; of even stages, (pp - 1) / (pp "
        "- 1 + vp x micro-batches) = %d / %d = %.1f %%\n",
        100 * nmrt_actions_bubble(&s->actions, cost, cost + s->stages.n), pp - 1, pp - 1 + work,
        100.0 * (pp - 1) / (pp - 1 + work));
    free(cost);
    return NMRT_OK;
}

static nmrt_status print_stages(const nmrt_setup *s, const int64_t *memory, nmrt_text *out,
                                nmrt_error *e)
{
    if (s->stages.pp == 1)
        return NMRT_OK;
    nmrt_text_add(out, "\n  %8s %10s %10s %12s %12s\n", "pp rank", "turns", "in flight",
                  "sent a step", "memory");
    for (int r = 0; r < s->stages.pp; r++)
        print_stage(s, r, memory[r], out);
    return s->train.n_calls ? print_bubble(s, out, e) : NMRT_OK;
}

// --- calls ---------------------------------------------------------------------------------------

static nmrt_status tally_func(const nmrt_setup *at, nmrt_tally *t, const nmdrv_func *f,
                              nmrt_error *e)
{
    nmrt_syms syms = at->syms;
    int64_t times = f->role == NMDRV_COUNT && f->phase == NMDRV_WHOLE ? at->n_micro : 1;
    if (f->turns >= 0) {
        nmrt_turns turns = nmrt_setup_turns(at, (int)at->mesh.index[NMDRV_PP], f);
        syms.at[f->turns].size = turns.all;
    }
    return nmrt_tally_add(t, f, syms.at, times, e);
}

nmrt_status nmrt_setup_tally(const nmrt_setup *at, nmrt_tally *t, nmrt_error *e)
{
    int pp = (int)at->mesh.index[NMDRV_PP];
    for (int64_t i = 0; i < at->program->n_funcs; i++) {
        const nmdrv_func *f = &at->program->func[i];
        bool once = f->role == NMDRV_COUNT || f->role == NMDRV_WEIGHTS || f->role == NMDRV_FINISH;
        if (once && nmrt_setup_runs(at, pp, f))
            NMRT_TRY(tally_func(at, t, f, e));
    }
    for (int i = 0; i < at->train.n_calls; i++) {
        const nmrt_call *c = &at->train.call[i];
        nmrt_syms syms = nmrt_setup_call_syms(at, c);
        if (c->stage % at->stages.pp != pp)
            continue;
        NMRT_TRY(nmrt_tally_add(t, c->func, syms.at, at->n_micro - (c->last != NULL), e));
        if (c->last)
            NMRT_TRY(nmrt_tally_add(t, c->last, syms.at, 1, e));
    }
    return NMRT_OK;
}

// On the device null this is all there is to be done.
static void print_work(const nmrt_tally *t, nmrt_text *out)
{
    nmrt_text_add(out, "\n  %-26s %10s %12s %12s\n", "of a step", "launches", "bytes",
                  "operations");
    nmrt_tally_print_work(t, out);
}

static nmrt_status print_calls(const nmrt_setup *s, int pp, nmrt_text *out, nmrt_error *e)
{
    nmrt_setup at = nmrt_setup_seen_from(s, pp);
    nmrt_tally t;
    if ((s->mesh.world == 1 && s->device != &nmrt_device_null) || !s->train.n_calls)
        return NMRT_OK;
    NMRT_TRY(nmrt_tally_init(&t, &at.mesh, e));
    nmrt_status status = nmrt_setup_tally(&at, &t, e);
    if (s->mesh.world > 1)
        nmrt_text_add(out, "\n  %-14s %-11s %10s %12s\n", "of a step", "over", "launches", "bytes");
    if (status == NMRT_OK && s->mesh.world > 1)
        nmrt_tally_print(&t, out);
    if (status == NMRT_OK && s->device == &nmrt_device_null)
        print_work(&t, out);
    nmrt_tally_release(&t);
    return status;
}

// --- memory --------------------------------------------------------------------------------------

static nmrt_status print_memory(const nmrt_setup *s, int pp, nmrt_text *out, nmrt_error *e)
{
    nmrt_plan plan;
    nmrt_status status = nmrt_setup_plan(s, pp, &plan, e);
    if (s->stages.pp > 1)
        nmrt_text_add(out, "a rank of pp rank %d, which needs most; ", pp);
    if (status == NMRT_OK)
        nmrt_plan_print(&plan, out);
    nmrt_plan_release(&plan);
    return status;
}

static nmrt_status print_all(const nmrt_setup *s, int64_t *memory, nmrt_text *out, nmrt_error *e)
{
    int most = 0;
    NMRT_TRY(nmrt_setup_memory(s, memory, e));
    for (int r = 0; r < s->stages.pp; r++)
        most = memory[r] > memory[most] ? r : most;
    print_head(s, out);
    nmrt_text_add(out, "\n");
    NMRT_TRY(print_memory(s, most, out, e));
    NMRT_TRY(print_stages(s, memory, out, e));
    NMRT_TRY(nmrt_setup_print_recompute(s, out, e));
    NMRT_TRY(print_calls(s, most, out, e));
    if (s->device != &nmrt_device_null)
        print_machine(s, out);
    return NMRT_OK;
}

nmrt_status nmrt_setup_print(const nmrt_setup *s, nmrt_text *out, nmrt_error *e)
{
    int64_t *memory = calloc((size_t)s->stages.pp, sizeof *memory);
    if (!memory)
        return nmrt_fail(e, NMRT_WORLD, "no memory for the stages' memory");
    nmrt_status status = print_all(s, memory, out, e);
    free(memory);
    return status;
}
