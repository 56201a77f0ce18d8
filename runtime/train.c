// The verb train, in the order in which a user should hear of mistakes: sizes, plan, data, device,
// weights, folders to write; then the steps.
#include "runtime/train.h"

#include "runtime/agree.h"
#include "runtime/channels.h"
#include "runtime/clock.h"
#include "runtime/data_flags.h"
#include "runtime/stop.h"
#include "runtime/trainer.h"

#include <stdlib.h>
#include <string.h>

static double count_flops(const nmrt_trainer *t, nmdrv_role role)
{
    double n = 0;
    for (int i = 0; i < t->setup.plan.n_funcs; i++) {
        const nmdrv_func *f = t->setup.plan.func[i].func;
        n += f->role == (int64_t)role ? (double)f->flops(t->setup.syms.at) : 0;
    }
    return n;
}

// Without what is computed again; of the micro-batches a rank's part, if the stages were alike.
static void find_flops(nmrt_trainer *t)
{
    for (int i = 0; i < t->setup.train.n_calls; i++) {
        const nmrt_call *c = &t->setup.train.call[i];
        nmrt_syms syms = nmrt_setup_call_syms(&t->setup, c);
        t->flops_micro += nmrt_texts_own_flops(t->program, c->func, syms.at) / t->setup.stages.pp;
    }
    t->flops_micro += count_flops(t, NMDRV_COUNT);
    t->flops_finish = count_flops(t, NMDRV_FINISH);
}

static nmrt_status find_functions(nmrt_trainer *t, nmrt_error *e)
{
    t->finish = nmrt_plan_func(&t->setup.plan, NMDRV_FINISH, NMDRV_MIDDLE);
    if (!t->setup.train.n_calls || !t->finish)
        return nmrt_fail(e, NMRT_USAGE, "%s was compiled without a train block", t->program->name);
    if (nmrt_data_has_valid(t->o) && !t->setup.eval.n_calls)
        return nmrt_fail(
            e, NMRT_USAGE,
            "--%s: %s was compiled without an evaluation: its model needs an eval block",
            t->o->eval_data ? "eval-data" : "split", t->program->name);
    find_flops(t);
    return NMRT_OK;
}

static nmrt_status open_logs(nmrt_trainer *t, nmrt_error *e)
{
    const char *dir = t->comm->rank ? NULL : t->o->log_dir;
    NMRT_TRY(nmrt_metrics_open(&t->metrics, dir, t->at.step, &t->curve, e));
    nmrt_status status =
        nmrt_events_open(&t->events, t->o->tensorboard ? dir : NULL, t->at.step, e);
    if (status == NMRT_OK || t->events.fd < 0)
        return status;
    fprintf(t->out->note, "warning: %s\n",
            e->text); // the disk is full: what waits is written later
    return NMRT_OK;
}

static nmrt_status open_outputs(nmrt_trainer *t, nmrt_error *e)
{
    int64_t last = t->o->imports ? -1 : t->at.step; // of the checkpoints that may be there
    if (t->o->save)
        NMRT_TRY(nmrt_saver_open(&t->saver, &t->en, t->o, last, &t->passed, e));
    NMRT_TRY(nmrt_train_keep_companions(t, e));
    nmrt_saver_promise(t->saver, &t->metrics);
    nmrt_saver_promise(t->saver, &t->events);
    return nmrt_everyones(open_logs(t, e), e);
}

static nmrt_status open_trace(nmrt_trainer *t, nmrt_error *e)
{
    nmrt_trace_request q = {t->o->trace, t->o->trace_steps, t->at.step + 1, t->o->steps,
                            &t->setup.mesh};
    NMRT_TRY(nmrt_trace_open(t->trace, &q, &t->traces, e));
    if (t->trace && !t->traces)
        fprintf(t->out->note, "note: --trace-steps %s: this run begins behind them\n",
                t->o->trace_steps);
    return NMRT_OK;
}

static nmrt_status dry_run(const nmrt_trainer *t, nmrt_error *e)
{
    nmrt_text text = {0};
    nmrt_status status = nmrt_setup_print(&t->setup, &text, e);
    fputs(text.at ? text.at : "", t->out->text);
    nmrt_text_release(&text);
    NMRT_TRY(status);
    return nmrt_setup_check_memory(&t->setup, t->setup.mesh.world > 1 ? 0 : 1, e);
}

static nmrt_status open_engine(nmrt_trainer *t, nmrt_error *e)
{
    nmrt_device_request request = {.program = t->program,
                                   .threads = t->setup.threads,
                                   .mesh = &t->setup.mesh,
                                   .comm = t->comm,
                                   .local_rank = t->local_rank,
                                   .trains = true,
                                   .tf32 = t->o->tf32,
                                   .fast_accum = t->o->fp8_fast_accum != 0,
                                   .tunes = t->o->tune_products,
                                   .graphs = t->o->graphs != 0,
                                   .collectives = t->o->collectives,
                                   .trace = t->trace};
    NMRT_TRY(nmrt_setup_find_shares(&t->setup, e));
    NMRT_TRY(nmrt_engine_open(&t->en, &t->setup.plan, t->setup.device, &request, e));
    t->en.check_memory = t->o->check_memory;
    t->en.shares = nmrt_setup_shares(&t->setup, t->comm);
    NMRT_TRY(nmrt_channels_open(&t->setup, &t->en, e));
    NMRT_TRY(nmrt_pipe_open(&t->pipe, &t->setup, &t->en, t->comm, &t->setup.train,
                            &t->setup.actions, e));
    return nmrt_pipe_open(&t->eval_pipe, &t->setup, &t->en, t->comm, &t->setup.eval, NULL, e);
}

static nmrt_status import_weights(nmrt_trainer *t, nmrt_error *e)
{
    NMRT_TRY(open_engine(t, e));
    NMRT_TRY(nmrt_train_begin(t, e));
    NMRT_TRY(open_outputs(t, e));
    NMRT_TRY(nmrt_train_save_last(t, e));
    fprintf(t->out->text, "checkpoint: %s\n", t->at.path);
    return NMRT_OK;
}

static nmrt_status train(nmrt_trainer *t, int local_ranks, nmrt_error *e)
{
    NMRT_TRY(find_functions(t, e));
    nmrt_train_note_layers(t);
    if (t->o->dry_run)
        return dry_run(t, e);
    NMRT_TRY(nmrt_setup_check_memory(&t->setup, local_ranks, e));
    if (t->o->imports)
        return import_weights(t, e);
    NMRT_TRY(nmrt_train_open_data(t, e));
    t->numbers = calloc((size_t)t->o->hypers.n + 1, sizeof *t->numbers);
    if (!t->numbers)
        return nmrt_fail(e, NMRT_WORLD, "no memory for the run's numbers");
    if (t->o->trace && !t->gradients)
        NMRT_TRY(nmrt_trace_new(&t->trace, t->comm, e));
    NMRT_TRY(open_engine(t, e));
    NMRT_TRY(nmrt_train_begin(t, e));
    NMRT_TRY(nmrt_train_draw_data(t, e));
    NMRT_TRY(nmrt_train_size_step(t, e));
    if (t->gradients)
        return nmrt_train_one_step(t, e);
    NMRT_TRY(open_outputs(t, e));
    if (t->at.step >= t->o->steps) {
        fprintf(t->out->text, "nothing to do: the run is at step %lld of --steps %lld\n",
                (long long)t->at.step, (long long)t->o->steps);
        return NMRT_OK;
    }
    NMRT_TRY(open_trace(t, e));
    nmrt_stop_install();
    t->peak = t->setup.device->peak(t->en.device);
    nmrt_train_print_start(t);
    t->start = nmrt_seconds();
    t->progress =
        (nmrt_progress){.out = t->out, .steps = t->o->steps, .log_every = t->o->log_every};
    t->progress.until = t->o->max_seconds > 0 ? t->start + t->o->max_seconds : 0;
    return nmrt_train_loop(t, e);
}

static nmrt_status train_with(nmrt_run *run, nmrt_gradients *g, nmrt_error *e)
{
    nmrt_trainer t = {.program = run->program,
                      .gradients = g,
                      .o = run->options,
                      .out = run->out,
                      .comm = &run->comm,
                      .local_rank = run->ranks ? run->ranks->local_rank : 0,
                      .saved_step = -1};
    t.metrics.fd = t.events.fd = -1;
    nmrt_recompute recompute;
    NMRT_TRY(nmrt_setup_choose(run, &recompute, e));
    run->recompute = &recompute;
    NMRT_TRY(nmrt_setup_init(&t.setup, run, e));
    nmrt_status status = train(&t, run->ranks ? run->ranks->local_ranks : 1, e);
    nmrt_saver_close(t.saver);
    nmrt_log_close(&t.metrics);
    nmrt_log_close(&t.events);
    nmrt_pipe_close(&t.eval_pipe);
    nmrt_pipe_close(&t.pipe);
    nmrt_engine_close(&t.en);
    nmrt_trace_close(t.trace);
    nmrt_actions_release(&t.smaller);
    nmrt_evaluation_release(&t.eval);
    nmrt_data_close(&t.eval_data);
    nmrt_data_close(&t.data);
    nmrt_curve_release(&t.curve);
    free(t.numbers);
    nmrt_text_release(&t.passed);
    nmrt_setup_release(&t.setup);
    return status;
}

nmrt_status nmrt_train(nmrt_run *run, nmrt_error *e) { return train_with(run, NULL, e); }

nmrt_status nmrt_train_step(nmrt_run *run, nmrt_gradients *g, nmrt_error *e)
{
    return train_with(run, g, e);
}
