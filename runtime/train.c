// The verb train, in the order in which a user should hear of mistakes: sizes, plan, data, device,
// weights, folders to write; then the steps. A step is
//
//     learning rate <- SCHEDULE;  counts <- COUNT over the micro-batches;
//     accumulators <- MICRO over the micro-batches;  weights, emits <- FINISH
//
// and depends on nothing but the weights, the flags and its number, so a resumed run gives the same
// bits.
#include "runtime/train.h"

#include "runtime/checkpoint.h"
#include "runtime/clock.h"
#include "runtime/comm.h"
#include "runtime/data.h"
#include "runtime/eval.h"
#include "runtime/metrics.h"
#include "runtime/progress.h"
#include "runtime/schedule.h"
#include "runtime/setup.h"
#include "runtime/stop.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct trainer {
    const nmdrv_program *program;
    const nmrt_options *o;
    const nmrt_output *out;
    nmrt_setup setup;
    nmrt_engine en;
    nmrt_comm comm;
    nmrt_data data, eval_data;
    nmrt_saver saver;
    nmrt_metrics metrics;
    nmrt_progress progress;
    nmrt_curve curve;
    nmrt_text passed;   // checkpoints that --resume auto did not take, and why
    nmrt_checkpoint at; // step and samples done; path: the newest checkpoint
    int64_t saved_step; // -1: nothing is saved
    const nmrt_planned *count, *micro, *finish; // count may be NULL
    double *numbers;                            // [hypers.n], of this step
    double peak, flops, start;                  // of the device, a second; of a step; of the run
} trainer;

// --- one step ----------------------------------------------------------------------------------

static nmrt_status run_micro_batches(trainer *t, const nmrt_planned *p, nmrt_error *e)
{
    nmrt_syms syms = t->setup.syms;
    int batch = nmrt_sym_find(t->program, "batch");
    for (int64_t m = 0; m < t->setup.n_micro; m++) {
        NMRT_TRY(nmrt_stop_check(e));
        if (batch >= 0)
            syms.at[batch].offset = m * t->setup.micro_batch;
        int64_t index = t->at.samples + m * t->setup.micro_batch;
        NMRT_TRY(nmrt_data_load(&t->data, &t->en, index, t->setup.micro_batch, e));
        nmrt_engine_call(&t->en, p, syms.at);
    }
    return NMRT_OK;
}

static nmrt_status check_finite(const trainer *t, double loss, nmrt_error *e)
{
    double norm = 0;
    nmrt_engine_result(&t->en, t->finish, "grad_norm", &norm);
    if (isfinite(loss) && isfinite(norm))
        return NMRT_OK;
    const char *what = isfinite(loss) ? "gradient's norm" : "loss";
    return nmrt_fail(
        e, NMRT_NUMERIC,
        "the %s of step %lld is %f; the run stops, and nothing of this step is saved%s%s", what,
        (long long)t->at.step + 1, isfinite(loss) ? norm : loss,
        *t->at.path ? ". The newest checkpoint is " : "", t->at.path);
}

// Only FINISH writes weights and states: a step that is stopped before it never was.
static nmrt_status run_step(trainer *t, nmrt_row *row, nmrt_error *e)
{
    double start = nmrt_seconds();
    nmrt_engine_set(&t->en, "step", (double)t->at.step);
    nmrt_engine_set(&t->en, "steps", (double)t->o->steps);
    nmrt_engine_set(&t->en, "epoch", (double)t->at.samples / (double)t->data.samples);
    nmrt_engine_set(&t->en, "seed", (double)t->o->seed);
    nmrt_schedules_run(&t->o->hypers, &t->en, t->setup.syms.at, t->numbers);
    row->lr = nmrt_learning_rate(&t->o->hypers, t->numbers);
    if (!isfinite(row->lr))
        return nmrt_fail(
            e, NMRT_NUMERIC,
            "the schedule's learning rate for step %lld is %f; the run stops before it",
            (long long)t->at.step + 1, row->lr);
    nmrt_engine_fill(&t->en, NMDRV_CNT, 0);
    nmrt_engine_fill(&t->en, NMDRV_ACC, 0);
    if (t->count)
        NMRT_TRY(run_micro_batches(t, t->count, e));
    NMRT_TRY(run_micro_batches(t, t->micro, e));
    NMRT_TRY(nmrt_stop_check(e));
    nmrt_engine_call(&t->en, t->finish, t->setup.syms.at);
    if (!nmrt_engine_result(&t->en, t->finish, "loss", &row->loss))
        return nmrt_fail(e, NMRT_CORRUPT, "the program is inconsistent: its step gives no loss");
    NMRT_TRY(check_finite(t, row->loss, e));

    double seconds = nmrt_seconds() - start;
    int64_t tokens = t->setup.n_micro * t->setup.micro_batch * t->setup.seq;
    t->at.step++;
    t->at.samples += t->setup.n_micro * t->setup.micro_batch;
    row->step = t->at.step;
    row->tokens = t->at.samples * t->setup.seq;
    row->tokens_per_s = (double)tokens / seconds;
    row->step_ms = 1000 * seconds;
    row->mfu = t->peak > 0 ? t->flops / seconds / t->peak : 0;
    return NMRT_OK;
}

// --- the run -----------------------------------------------------------------------------------

static nmrt_status save(trainer *t, nmrt_error *e)
{
    NMRT_TRY(nmrt_metrics_sync(&t->metrics, e)); // a checkpoint promises the rows up to its step
    t->at.seed = t->o->seed;
    NMRT_TRY(nmrt_checkpoint_save(&t->saver, &t->at, e));
    t->saved_step = t->at.step;
    return NMRT_OK;
}

// Not the end: the disk may have room again by the next time.
static void save_now_and_then(trainer *t)
{
    nmrt_error e;
    if (!t->o->save || !t->o->save_every || t->at.step % t->o->save_every ||
        t->saved_step == t->at.step)
        return;
    if (save(t, &e) == NMRT_OK)
        return;
    nmrt_progress_end(&t->progress);
    fprintf(t->out->note, "warning: step %lld is not saved: %s\n", (long long)t->at.step, e.text);
}

static nmrt_status evaluate_now_and_then(trainer *t, nmrt_row *row, nmrt_error *e)
{
    if (!t->o->eval_data || (t->at.step % t->o->eval_every && t->at.step != t->o->steps))
        return NMRT_OK;
    nmrt_status status =
        nmrt_evaluate(&t->en, &t->setup, &t->eval_data, t->o->eval_samples, &row->eval_loss, e);
    row->has_eval = status == NMRT_OK;
    return status == NMRT_STOPPED ? NMRT_OK : status; // the step itself is done
}

static bool is_over(const trainer *t)
{
    double limit = t->o->max_seconds;
    return t->at.step >= t->o->steps || nmrt_stop_asked() ||
           (limit > 0 && nmrt_seconds() - t->start >= limit);
}

static nmrt_status run_steps(trainer *t, nmrt_error *e)
{
    while (!is_over(t)) {
        nmrt_row row = {0};
        nmrt_status status = run_step(t, &row, e);
        if (status != NMRT_OK)
            return status == NMRT_STOPPED ? NMRT_OK : status;
        nmrt_curve_add(&t->curve, row.loss);
        NMRT_TRY(evaluate_now_and_then(t, &row, e));
        NMRT_TRY(nmrt_metrics_add(&t->metrics, &row, &t->en, t->finish, e));
        nmrt_progress_step(&t->progress, &row);
        save_now_and_then(t);
    }
    return NMRT_OK;
}

static void print_end(trainer *t, int64_t first_step)
{
    nmrt_text chart = {0};
    nmrt_curve_print(&t->curve, t->out->unicode, &chart);
    if (chart.n && !chart.failed)
        fprintf(t->out->text, "\n%s\n", chart.at);
    nmrt_text_release(&chart);
    fprintf(t->out->text, "%s at step %lld of %lld: %lld steps in %s",
            nmrt_stop_asked() ? "stopped" : "done", (long long)t->at.step, (long long)t->o->steps,
            (long long)(t->at.step - first_step), nmrt_duration(nmrt_seconds() - t->start).s);
    if (t->curve.n)
        fprintf(t->out->text, ", loss %.4f", (double)t->curve.loss[t->curve.n - 1]);
    fprintf(t->out->text, "\n");
    if (*t->at.path)
        fprintf(t->out->text, "checkpoint: %s\n", t->at.path);
    if (t->metrics.fd >= 0)
        fprintf(t->out->text, "logs: %s\n", t->metrics.path);
    fflush(t->out->text);
}

static nmrt_status run(trainer *t, nmrt_error *e)
{
    int64_t first_step = t->at.step;
    nmrt_status status = run_steps(t, e);
    nmrt_progress_end(&t->progress);
    if (status == NMRT_OK && t->o->save && t->saved_step != t->at.step)
        status = save(t, e);
    if (status == NMRT_OK)
        print_end(t, first_step);
    return status;
}

// --- before the first step ---------------------------------------------------------------------

static nmrt_status find_functions(trainer *t, nmrt_error *e)
{
    const nmrt_plan *plan = &t->setup.plan;
    t->count = nmrt_plan_func(plan, NMDRV_COUNT);
    t->micro = nmrt_plan_func(plan, NMDRV_MICRO);
    t->finish = nmrt_plan_func(plan, NMDRV_FINISH);
    if (!t->micro || !t->finish)
        return nmrt_fail(e, NMRT_USAGE, "%s was compiled without a train block", t->program->name);
    if (t->o->eval_data && !nmrt_plan_func(plan, NMDRV_EVAL_MICRO))
        return nmrt_fail(e, NMRT_USAGE, "--eval-data: %s was compiled without an evaluation",
                         t->program->name);
    const nmdrv_sym *sym = t->setup.syms.at;
    double micro =
        (double)t->micro->func->flops(sym) + (t->count ? (double)t->count->func->flops(sym) : 0);
    t->flops = micro * (double)t->setup.n_micro + (double)t->finish->func->flops(sym);
    return NMRT_OK;
}

static void note_changes(const trainer *t)
{
    if (strcmp(t->at.hash, t->program->hash) != 0)
        fprintf(t->out->note, "note: the checkpoint's program was compiled otherwise; its tensors "
                              "fit, bits may differ\n");
    fputs(t->o->notes.at ? t->o->notes.at : "", t->out->note);
}

static nmrt_status load_or_init(trainer *t, nmrt_error *e)
{
    const char *resume = t->o->resume;
    bool automatic = strcmp(resume, "auto") == 0;
    if (strcmp(resume, "none") != 0) {
        nmrt_status status = nmrt_checkpoint_load(automatic ? t->o->save : resume, &t->en, true,
                                                  &t->at, &t->passed, e);
        if (t->passed.n)
            fprintf(t->out->note, "%s", t->passed.at);
        NMRT_TRY(status);
        if (*t->at.path) {
            fprintf(t->out->text, "resuming from %s\n", t->at.path);
            note_changes(t);
            t->saved_step = automatic ? t->at.step : -1;
            return NMRT_OK;
        }
        if (!automatic)
            return nmrt_fail(e, NMRT_WORLD, "--resume: there is no checkpoint in %s", resume);
        fprintf(t->out->text, "no checkpoint in %s yet: starting\n", t->o->save);
    }
    const nmrt_planned *init = nmrt_plan_func(&t->setup.plan, NMDRV_INIT);
    if (!init)
        return nmrt_fail(e, NMRT_CORRUPT, "the program is inconsistent: it has no initial values");
    if (t->o->check_memory) {
        nmrt_engine_fill(&t->en, NMDRV_PARAM, NMRT_POISON);
        nmrt_engine_fill(&t->en, NMDRV_STATE, NMRT_POISON);
    }
    nmrt_engine_set(&t->en, "seed", (double)t->o->seed);
    nmrt_engine_call(&t->en, init, t->setup.syms.at);
    return NMRT_OK;
}

static nmrt_status open_data(trainer *t, nmrt_error *e)
{
    const nmrt_options *o = t->o;
    nmrt_data_request train = {o->data, t->setup.seq, t->setup.micro_batch,
                               strcmp(o->data_order, "shuffle") == 0, (uint64_t)o->seed},
                      eval = {o->eval_data, t->setup.seq, t->setup.micro_batch, false, 0};
    NMRT_TRY(nmrt_data_check(&t->setup.plan, e));
    NMRT_TRY(nmrt_data_open(&t->data, &train, e));
    return o->eval_data ? nmrt_data_open(&t->eval_data, &eval, e) : NMRT_OK;
}

static double count_params(const nmdrv_program *p)
{
    double n = 0;
    for (int64_t i = 0; i < p->n_params; i++) {
        double elements = !p->param[i].is_state;
        for (int64_t k = 0; k < p->param[i].rank; k++)
            elements *= (double)p->param[i].shape[k];
        n += elements;
    }
    return n;
}

static void print_start(const trainer *t)
{
    const nmdrv_program *p = t->program;
    fprintf(t->out->text,
            "%s%s%s: %s parameters; %s of memory; %d thread%s, %s, %.0f GFLOP/s at most\n", p->name,
            *p->preset ? " " : "", p->preset, nmrt_count(count_params(p)).s,
            nmrt_bytes(t->setup.plan.total).s, t->setup.threads, t->setup.threads == 1 ? "" : "s",
            p->cpu, t->peak / 1e9);
    fprintf(t->out->text, "%s: %s, %lld samples of %lld tokens, %lld a step\n", t->data.path,
            nmrt_bytes((int64_t)t->data.map.n).s, (long long)t->data.samples,
            (long long)t->setup.seq, (long long)(t->setup.n_micro * t->setup.micro_batch));
    for (int i = 0; i < t->o->hypers.n; i++)
        if (strcmp(t->o->hypers.hyper[i].name, "warmup") == 0 &&
            t->o->hypers.hyper[i].value >= (double)t->o->steps)
            fprintf(t->out->note,
                    "note: --warmup %g is not below --steps %lld: the learning rate never reaches "
                    "its peak\n",
                    t->o->hypers.hyper[i].value, (long long)t->o->steps);
    fflush(t->out->text);
}

static nmrt_status open_outputs(trainer *t, nmrt_error *e)
{
    t->saver = (nmrt_saver){&t->en, &t->comm, t->o, -1};
    if (t->o->save)
        NMRT_TRY(nmrt_saver_open(&t->saver, t->at.step, &t->passed, e));
    return nmrt_metrics_open(&t->metrics, t->o->log_dir, t->at.step, &t->curve, e);
}

static nmrt_status dry_run(const trainer *t)
{
    nmrt_text text = {0};
    nmrt_setup_print(&t->setup, &text);
    fputs(text.at ? text.at : "", t->out->text);
    nmrt_text_release(&text);
    return NMRT_OK;
}

static nmrt_status train(trainer *t, nmrt_error *e)
{
    NMRT_TRY(find_functions(t, e));
    if (t->o->dry_run) {
        NMRT_TRY(dry_run(t));
        return nmrt_setup_check_memory(&t->setup, e);
    }
    NMRT_TRY(nmrt_setup_check_memory(&t->setup, e));
    NMRT_TRY(open_data(t, e));
    t->numbers = calloc((size_t)t->o->hypers.n + 1, sizeof *t->numbers);
    if (!t->numbers)
        return nmrt_fail(e, NMRT_WORLD, "no memory for the run's numbers");
    NMRT_TRY(nmrt_engine_open(&t->en, &t->setup.plan, t->setup.device, t->setup.threads, e));
    t->en.check_memory = t->o->check_memory;
    t->comm = nmrt_comm_single();
    NMRT_TRY(load_or_init(t, e));
    NMRT_TRY(open_outputs(t, e));
    if (t->at.step >= t->o->steps) {
        fprintf(t->out->text, "nothing to do: the run is at step %lld of --steps %lld\n",
                (long long)t->at.step, (long long)t->o->steps);
        return NMRT_OK;
    }
    nmrt_stop_install();
    t->peak = t->setup.device->peak(t->en.device);
    print_start(t);
    t->start = nmrt_seconds();
    t->progress =
        (nmrt_progress){.out = t->out, .steps = t->o->steps, .log_every = t->o->log_every};
    t->progress.until = t->o->max_seconds > 0 ? t->start + t->o->max_seconds : 0;
    return run(t, e);
}

nmrt_status nmrt_train(const nmdrv_program *program, const nmrt_options *o, const nmrt_output *out,
                       nmrt_error *e)
{
    trainer t = {.program = program, .o = o, .out = out, .saved_step = -1};
    t.saver.lock = t.metrics.fd = -1;
    NMRT_TRY(nmrt_setup_init(&t.setup, program, o, e));
    nmrt_status status = train(&t, e);
    nmrt_metrics_close(&t.metrics);
    nmrt_saver_close(&t.saver);
    nmrt_engine_close(&t.en);
    nmrt_data_close(&t.eval_data);
    nmrt_data_close(&t.data);
    nmrt_curve_release(&t.curve);
    free(t.numbers);
    nmrt_text_release(&t.passed);
    nmrt_setup_release(&t.setup);
    return status;
}
