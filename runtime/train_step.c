// A step of training:
//
//     learning rate <- SCHEDULE;  then this rank's list (actions.h):
//     counts <- COUNT over the micro-batches;  accumulators <- MICRO over the micro-batches;
//     weights, emits <- FINISH
//
// It depends on nothing but the weights, the flags and its number, so a resumed run gives the same
// bits.
#include "runtime/agree.h"
#include "runtime/clock.h"
#include "runtime/schedule.h"
#include "runtime/trainer.h"

#include <math.h>

static nmrt_status check_finite(nmrt_trainer *t, double loss, nmrt_error *e)
{
    double norm = 0;
    nmrt_engine_result(&t->en, t->finish, "grad_norm", &norm);
    if (isfinite(loss) && isfinite(norm))
        return NMRT_OK;
    const char *what = isfinite(loss) ? "gradient's norm" : "loss";
    nmrt_status saved = nmrt_checkpoint_wait(t->saver, &t->at, e); // so that its path is known
    (void)saved;
    nmrt_fail(e, NMRT_NUMERIC,
              "the %s of step %lld is %f; the run stops, and nothing of this step is saved%s%s",
              what, (long long)t->at.step + 1, isfinite(loss) ? norm : loss,
              *t->at.path ? ". The newest checkpoint is " : "", t->at.path);
    return nmrt_everyones(NMRT_NUMERIC, e);
}

nmrt_status nmrt_train_size_step(nmrt_trainer *t, nmrt_error *e)
{
    nmrt_setup *s = &t->setup;
    int64_t samples = nmrt_rampup_size(&t->o->rampup, t->at.samples),
            n_micro = samples / s->samples;
    nmrt_syms syms;
    if (samples == t->samples)
        return NMRT_OK;
    t->samples = samples;
    nmrt_actions_release(&t->smaller);
    nmrt_setup_bind(s, 0, s->samples, samples, &syms); // the end of a step reads its size, too
    s->syms = syms;
    if (n_micro == s->n_micro)
        return NMRT_OK;
    return nmrt_agree(t->comm, nmrt_actions_init_within(&t->smaller, &s->actions, n_micro, e), e);
}

// Only FINISH writes weights and states: a step that is stopped before it never was.
nmrt_status nmrt_train_do_step(nmrt_trainer *t, nmrt_row *row, nmrt_error *e)
{
    double start = nmrt_seconds(), waited = t->comm->waited;
    nmrt_engine_set(&t->en, "step", (double)t->at.step);
    nmrt_engine_set(&t->en, "steps", (double)t->o->steps);
    nmrt_engine_set(&t->en, "epoch", (double)t->at.samples / (double)t->data.source->samples);
    nmrt_engine_set(&t->en, "seed", (double)t->o->seed);
    nmrt_schedules_run(&t->o->hypers, &t->en, t->setup.syms.at, t->numbers);
    row->lr = nmrt_learning_rate(&t->o->hypers, t->numbers);
    if (!isfinite(row->lr))
        return nmrt_everyones(
            nmrt_fail(e, NMRT_NUMERIC,
                      "the schedule's learning rate for step %lld is %f; the run stops before it",
                      (long long)t->at.step + 1, row->lr),
            e);
    nmrt_engine_fill(&t->en, NMDRV_CNT, 0);
    nmrt_engine_fill(&t->en, NMDRV_ACC, 0);
    nmrt_engine_fill(&t->en, NMDRV_LINK, 0); // of finish: what other ranks alone make is 0
    int64_t samples = t->samples, n_micro = samples / t->setup.samples;
    nmrt_batch batch = {
        .data = &t->data, .first = t->at.samples, .samples = t->setup.samples, .total = samples};
    NMRT_TRY(nmrt_pipe_run(&t->pipe, t->smaller.list ? &t->smaller : &t->setup.actions, &batch, e));
    if (!nmrt_engine_result(&t->en, t->finish, "loss", &row->loss))
        return nmrt_fail(e, NMRT_CORRUPT, "the program is inconsistent: its step gives no loss");
    NMRT_TRY(check_finite(t, row->loss, e));

    double seconds = nmrt_seconds() - start;
    t->at.step++;
    t->at.samples += samples;
    row->step = t->at.step;
    row->tokens = t->at.samples * t->setup.seq;
    row->tokens_per_s = (double)(samples * t->setup.seq) / seconds;
    row->step_ms = 1000 * seconds;
    row->comm_wait_s = t->comm->ranks > 1 ? t->comm->waited - waited : -1;
    row->batch = t->o->rampup.start ? samples : 0;
    row->mfu =
        t->peak > 0 ? ((double)n_micro * t->flops_micro + t->flops_finish) / seconds / t->peak : 0;
    return NMRT_OK;
}

nmrt_status nmrt_train_one_step(nmrt_trainer *t, nmrt_error *e)
{
    nmrt_row row = {0};
    nmrt_gradients *g = t->gradients;
    NMRT_TRY(nmrt_train_do_step(t, &row, e));
    g->loss = row.loss;
    g->step = t->at.step;
    g->samples = t->samples;
    nmrt_engine_result(&t->en, t->finish, "grad_norm", &g->norm);
    return nmrt_agree(t->comm, nmrt_gradients_take(g, &t->en, e), e);
}
