// Sizes, the pipeline, this rank's plan.
#include "runtime/setup.h"

#include "runtime/cpu.h"
#include "runtime/data_flags.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int64_t MAX_TOKENS = INT32_MAX; // of a micro-batch: kernels count rows with 32 bits

// --- sizes ---------------------------------------------------------------------------------------

static void collect(nmrt_error *e, const char *message)
{
    size_t n = strlen(e->text);
    snprintf(e->text + n, sizeof e->text - n, "%s%s", n ? "\n" : "", message);
}

static nmrt_status check_sizes(const nmrt_setup *s, nmrt_error *e)
{
    nmrt_error one;
    e->text[0] = 0;
    if (s->micro_batch > MAX_TOKENS / s->seq)
        return nmrt_fail(
            e, NMRT_USAGE,
            "a micro-batch of %lld samples of %lld tokens is more than a program can index",
            (long long)s->micro_batch, (long long)s->seq);
    if (nmrt_sym_check(s->program, s->program->batch, s->samples, &one) != NMRT_OK)
        collect(e, one.text);
    if (nmrt_sym_check(s->program, s->program->seq, s->seq, &one) != NMRT_OK)
        collect(e, one.text);
    return e->text[0] ? NMRT_USAGE : NMRT_OK;
}

static nmrt_status check_rampup(const nmrt_setup *s, nmrt_error *e)
{
    const nmrt_rampup *r = &s->options->rampup;
    int64_t pipeline = s->mesh.vp > 1 ? s->mesh.size[NMDRV_PP] : 1, unit = s->samples * pipeline;
    if (r->start % unit == 0 && r->increment % unit == 0)
        return NMRT_OK;
    return nmrt_fail(e, NMRT_USAGE,
                     "--rampup-batch-size %s: START and INCREMENT have to be multiples of %lld, "
                     "--micro-batch x dp%s",
                     s->options->rampup_batch_size, (long long)unit,
                     pipeline > 1 ? " x pp, as there is --vp" : "");
}

static nmrt_status find_sizes(nmrt_setup *s, nmrt_error *e)
{
    const nmrt_options *o = s->options;
    int64_t dp = nmrt_mesh_dp(&s->mesh), global = o->global_batch;
    s->seq = o->seq;
    s->micro_batch = o->micro_batch;
    s->samples = s->micro_batch * dp;
    s->n_micro = o->verb == NMRT_TRAIN && global ? global / s->samples : 1;
    if (o->verb == NMRT_TRAIN && global % s->samples)
        return nmrt_fail(e, NMRT_USAGE,
                         "--global-batch %lld is not a multiple of --micro-batch %lld x dp %lld",
                         (long long)global, (long long)s->micro_batch, (long long)dp);
    if (o->verb == NMRT_TRAIN && o->rampup.start)
        NMRT_TRY(check_rampup(s, e));
    return check_sizes(s, e);
}

static nmrt_status bind_sizes(nmrt_setup *s, nmrt_error *e)
{
    nmrt_sizes sizes = {s->samples, s->samples * s->n_micro, s->seq, s->seq};
    NMRT_TRY(nmrt_syms_bind(&s->syms, s->program, &sizes, e));
    NMRT_TRY(nmrt_mesh_check(&s->mesh, s->syms.at, e));
    nmrt_mesh_bind(&s->mesh, s->syms.at);
    return NMRT_OK;
}

void nmrt_setup_bind(const nmrt_setup *s, int64_t micro, int64_t samples, int64_t total,
                     nmrt_syms *syms)
{
    int batch = nmrt_sym_find(s->program, s->program->batch);
    int64_t from = micro * samples, left = total - from;
    *syms = s->syms;
    if (batch < 0)
        return;
    syms->at[batch] = (nmdrv_sym){
        .size = left < samples ? left : samples, .offset = from, .total = total, .half = samples};
    nmrt_mesh_bind(&s->mesh, syms->at);
}

nmrt_syms nmrt_setup_call_syms(const nmrt_setup *s, const nmrt_call *c)
{
    nmrt_syms syms = s->syms;
    if (c->func->turns >= 0)
        syms.at[c->func->turns] = nmrt_turns_sym(s->program, c->func, nmrt_turns_of(&c->part));
    return syms;
}

// --- the pipeline --------------------------------------------------------------------------------

static bool has_turn(const nmrt_setup *s, const nmrt_chain_request *q)
{
    nmrt_chunk turn = {.part.unit = s->stages.n_units - 1};
    for (int variant = NMDRV_RECOMPUTE_NONE; variant <= NMDRV_RECOMPUTE_FULL; variant++) {
        turn.variant = (nmdrv_recompute)variant;
        if (nmrt_func_find(q, NMDRV_TURN, &turn))
            return true;
    }
    return false;
}

static nmrt_status make_chain(nmrt_setup *s, nmrt_chain *c, nmdrv_role role, const int *slots,
                              nmrt_error *e)
{
    nmrt_chain_request q = {.texts = s->texts,
                            .role = role,
                            .sym = s->syms.at,
                            .slots = slots,
                            .recompute = &s->recompute,
                            .islands = nmrt_islands_of(s->options)};
    if (has_turn(s, &q))
        return nmrt_chain_init(c, &s->stages, &q, e);
    return NMRT_OK; // the verb says what it misses
}

static nmrt_status make_pipeline(nmrt_setup *s, nmrt_error *e)
{
    int pp = (int)s->mesh.size[NMDRV_PP];
    bool training = s->options->verb == NMRT_TRAIN;
    NMRT_TRY(nmrt_stages_init(&s->stages, s->program, pp, (int)s->mesh.vp, e));
    s->stage_units = calloc((size_t)pp, sizeof *s->stage_units);
    s->one_slot = calloc((size_t)s->stages.n, sizeof *s->one_slot);
    if (!s->stage_units || !s->one_slot)
        return nmrt_fail(e, NMRT_WORLD, "no memory for the pipeline");
    for (int r = 0; r < pp; r++)
        s->stage_units[r] = (int64_t)nmrt_stages_units(&s->stages, r);
    for (int v = 0; v < s->stages.n; v++)
        s->one_slot[v] = 1;
    s->mesh.stage_units = s->stage_units;
    if (training) {
        NMRT_TRY(nmrt_actions_init(&s->actions, &s->stages, s->n_micro, true, e));
        NMRT_TRY(nmrt_actions_check(&s->actions, e));
        NMRT_TRY(make_chain(s, &s->train, NMDRV_MICRO, s->actions.slots, e));
    }
    if (!training || nmrt_data_has_valid(s->options))
        NMRT_TRY(make_chain(s, &s->eval, NMDRV_EVAL_MICRO, s->one_slot, e));
    return NMRT_OK;
}

// Does a step keep what it rounds of weights?
static bool keeps_weights(const nmrt_setup *s)
{
    const char *when = s->options->keep_rounded_weights;
    bool whole = s->mesh.zero < 3 || nmrt_mesh_dp(&s->mesh) == 1;
    if (s->options->verb == NMRT_EVAL || !when || strcmp(when, "auto") != 0)
        return s->options->verb != NMRT_EVAL && when && strcmp(when, "on") == 0;
    return s->n_micro > 1 && whole && !s->tight;
}

static nmrt_status set_up(nmrt_setup *s, nmrt_error *e)
{
    NMRT_TRY(find_sizes(s, e));
    NMRT_TRY(bind_sizes(s, e));
    s->texts = nmrt_texts_of(&s->mesh, s->n_micro, keeps_weights(s));
    NMRT_TRY(make_pipeline(s, e));
    NMRT_TRY(nmrt_setup_check_products(s, e));
    return nmrt_setup_plan(s, (int)s->mesh.index[NMDRV_PP], &s->plan, e);
}

nmrt_status nmrt_setup_init(nmrt_setup *s, const nmrt_run *run, nmrt_error *e)
{
    const nmrt_options *o = run->options;
    *s = (nmrt_setup){.program = run->program,
                      .options = o,
                      .device = run->device,
                      .mesh = run->mesh,
                      .recompute = run->recompute ? *run->recompute : o->ways,
                      .tight = run->tight,
                      .threads = run->threads ? run->threads : nmrt_cpu_threads()};
    nmrt_status status = set_up(s, e);
    if (status != NMRT_OK)
        nmrt_setup_release(s);
    return status;
}

void nmrt_setup_release(nmrt_setup *s)
{
    nmrt_plan_release(&s->plan);
    nmrt_chain_release(&s->train);
    nmrt_chain_release(&s->eval);
    nmrt_actions_release(&s->actions);
    nmrt_stages_release(&s->stages);
    free(s->stage_units);
    free(s->one_slot);
    free(s->share);
    free(s->share_turn);
    s->stage_units = NULL;
    s->one_slot = NULL;
    s->share = NULL;
    s->share_turn = NULL;
}
