// The verb train, in the order in which a user should hear of mistakes: sizes, plan, data, device,
// weights, folders to write; then the steps. A step is
//
//     learning rate <- SCHEDULE;  then this rank's list (actions.h):
//     counts <- COUNT over the micro-batches;  accumulators <- MICRO over the micro-batches;
//     weights, emits <- FINISH
//
// and depends on nothing but the weights, the flags and its number, so a resumed run gives the same
// bits. Every rank runs this; whatever ends a run early is agreed upon between steps.
#include "runtime/train.h"

#include "runtime/agree.h"
#include "runtime/channels.h"
#include "runtime/checkpoint.h"
#include "runtime/clock.h"
#include "runtime/comm.h"
#include "runtime/data.h"
#include "runtime/eval.h"
#include "runtime/islands.h"
#include "runtime/metrics.h"
#include "runtime/progress.h"
#include "runtime/schedule.h"
#include "runtime/stage.h"
#include "runtime/stop.h"
#include "runtime/trace.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const int64_t CHECKED_BYTES = 1 << 30;

typedef struct trainer {
    const nmdrv_program *program;
    const nmrt_options *o;
    const nmrt_output *out;
    nmrt_comm *comm;
    int local_rank;
    nmrt_setup setup;
    nmrt_engine en;
    nmrt_pipe pipe, eval_pipe;
    nmrt_data data, eval_data;
    bool looks_ahead;  // the data is too large to be checked before the run
    nmrt_status ahead; // what was seen there, of the next step; not NMRT_OK: why, in ahead_error
    nmrt_error ahead_error;
    nmrt_evaluation eval;
    nmrt_saver *saver; // NULL: nothing is saved
    nmrt_metrics metrics;
    nmrt_trace *trace; // NULL: no --trace
    bool traces;       // a step of this run
    nmrt_progress progress;
    nmrt_curve curve;
    nmrt_text passed;           // checkpoints that --resume auto did not take, and why
    nmrt_checkpoint at;         // step and samples done; path: the newest checkpoint
    int64_t saved_step;         // of the last save that was begun; -1: nothing is saved
    const nmrt_planned *finish; // the part of it that gives the loss
    double *numbers;            // [hypers.n], of this step
    double peak, flops, start;  // of the device, a second; of a step, a rank; of the run
    nmrt_gradients *gradients;  // of one step, which is all; NULL: a run
} trainer;

// --- one step ----------------------------------------------------------------------------------

static nmrt_status check_finite(trainer *t, double loss, nmrt_error *e)
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

// What a step has beside its functions.
static int64_t begin_phase(const trainer *t, const char *name)
{
    return nmrt_trace_begin(nmrt_trace_steps(t->trace), name);
}

static void end_phase(const trainer *t, int64_t begin, const char *name)
{
    nmrt_trace_end(nmrt_trace_steps(t->trace), begin,
                   &(nmrt_span){.kind = NMRT_SPAN_PHASE, .name = name});
}

// Only FINISH writes weights and states: a step that is stopped before it never was.
static nmrt_status run_step(trainer *t, nmrt_row *row, nmrt_error *e)
{
    double start = nmrt_seconds(), waited = t->comm->waited;
    nmrt_engine_set(&t->en, "step", (double)t->at.step);
    nmrt_engine_set(&t->en, "steps", (double)t->o->steps);
    nmrt_engine_set(&t->en, "epoch", (double)t->at.samples / (double)t->data.samples);
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
    int64_t samples = t->setup.n_micro * t->setup.samples;
    nmrt_batch batch = {
        .data = &t->data, .first = t->at.samples, .samples = t->setup.samples, .total = samples};
    NMRT_TRY(nmrt_pipe_run(&t->pipe, &t->setup.actions, &batch, e));
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
    row->mfu = t->peak > 0 ? t->flops / seconds / t->peak : 0;
    return NMRT_OK;
}

static nmrt_status run_one_step(trainer *t, nmrt_error *e)
{
    nmrt_row row = {0};
    nmrt_gradients *g = t->gradients;
    NMRT_TRY(run_step(t, &row, e));
    g->loss = row.loss;
    g->step = t->at.step;
    g->samples = t->setup.n_micro * t->setup.samples;
    nmrt_engine_result(&t->en, t->finish, "grad_norm", &g->norm);
    return nmrt_agree(t->comm, nmrt_gradients_take(g, &t->en, e), e);
}

// --- the run -----------------------------------------------------------------------------------

// Begins to save: the files are written while the next steps run.
static nmrt_status save(trainer *t, nmrt_error *e)
{
    nmrt_status ready = nmrt_metrics_sync(&t->metrics, e); // a checkpoint promises their rows
    t->at.seed = t->o->seed;
    int64_t begin = begin_phase(t, "copy for the checkpoint");
    nmrt_status status = nmrt_checkpoint_begin(t->saver, &t->at, ready, e);
    end_phase(t, begin, "copy for the checkpoint");
    t->saved_step = status == NMRT_OK ? t->at.step : t->saved_step;
    return status;
}

// Not the end: the disk may have room again by the next time.
static void warn(trainer *t, nmrt_status status, const nmrt_error *e)
{
    if (status == NMRT_OK || !*e->text)
        return;
    nmrt_progress_end(&t->progress);
    fprintf(t->out->note, "warning: %s\n", e->text);
}

static void save_now_and_then(trainer *t)
{
    nmrt_error e;
    warn(t, nmrt_checkpoint_poll(t->saver, &e), &e);
    if (!t->saver || !t->o->save_every || t->at.step % t->o->save_every ||
        t->saved_step == t->at.step)
        return;
    int64_t begin = begin_phase(t, "wait for the checkpoint");
    warn(t, nmrt_checkpoint_wait(t->saver, &t->at, &e), &e);
    end_phase(t, begin, "wait for the checkpoint");
    warn(t, save(t, &e), &e);
}

// At the end all is waited for, and a last save that failed is tried once more.
static nmrt_status save_last(trainer *t, nmrt_error *e)
{
    nmrt_status status = nmrt_checkpoint_wait(t->saver, &t->at, e);
    warn(t, status, e);
    if (!t->saver || (status == NMRT_OK && t->saved_step == t->at.step))
        return NMRT_OK;
    NMRT_TRY(save(t, e));
    return nmrt_checkpoint_wait(t->saver, &t->at, e);
}

// Without a loss where a rank cannot read its data: all ranks know, and the run goes on.
static nmrt_status evaluate_now_and_then(trainer *t, nmrt_row *row, nmrt_error *e)
{
    if (!t->o->eval_data || (t->at.step % t->o->eval_every && t->at.step != t->o->steps))
        return NMRT_OK;
    nmrt_evaluated x;
    int64_t begin = begin_phase(t, "evaluation");
    nmrt_status status = nmrt_evaluate(&t->eval_pipe, &t->eval, &x, e);
    end_phase(t, begin, "evaluation");
    if (status == NMRT_STOPPED)
        return NMRT_OK; // the step itself is done
    NMRT_TRY(status);
    row->has_eval = x.status == NMRT_OK;
    row->eval_loss = x.loss;
    if (!row->has_eval)
        nmrt_fail(e, x.status, "step %lld is not evaluated: %.900s", (long long)t->at.step,
                  x.why.text);
    warn(t, x.status, e);
    return NMRT_OK;
}

// Before the step, so that what was done until then can be saved.
static bool is_bad_ahead(trainer *t)
{
    if (t->looks_ahead)
        t->ahead = nmrt_data_check_next(&t->data, &t->setup.plan, t->at.samples,
                                        t->setup.n_micro * t->setup.samples, &t->ahead_error);
    return t->ahead != NMRT_OK;
}

// Of several ranks, what one has seen (a signal, the time, its data) ends all.
static nmrt_status is_over(trainer *t, bool *over, nmrt_error *e)
{
    double limit = t->o->max_seconds;
    *over = t->at.step >= t->o->steps;
    if (*over)
        return NMRT_OK;
    *over =
        nmrt_stop_asked() || (limit > 0 && nmrt_seconds() - t->start >= limit) || is_bad_ahead(t);
    return t->comm->ranks > 1 ? nmrt_comm_any(t->comm, over, e) : NMRT_OK;
}

// A step and all that belongs to it.
static nmrt_status do_step(trainer *t, nmrt_error *e)
{
    nmrt_row row = {0};
    nmrt_trace_number(t->trace, "memory", (double)t->setup.plan.total);
    NMRT_TRY(run_step(t, &row, e));
    nmrt_trace_number(t->trace, "loss", row.loss);
    nmrt_trace_number(t->trace, "lr", row.lr);
    nmrt_curve_add(&t->curve, row.loss);
    NMRT_TRY(evaluate_now_and_then(t, &row, e));
    NMRT_TRY(nmrt_metrics_add(&t->metrics, &row, &t->en, t->finish, e));
    nmrt_progress_step(&t->progress, &row);
    save_now_and_then(t);
    return NMRT_OK;
}

static void finish_trace(trainer *t)
{
    nmrt_error e;
    nmrt_status status = nmrt_trace_finish(t->trace, &e);
    t->traces = t->traces && status == NMRT_OK;
    warn(t, status, &e);
}

static nmrt_status run_steps(trainer *t, nmrt_error *e)
{
    for (;;) {
        bool over;
        NMRT_TRY(is_over(t, &over, e));
        if (over)
            return NMRT_OK;
        nmrt_trace_step(t->trace, t->at.step + 1);
        nmrt_status status = do_step(t, e);
        if (status != NMRT_OK)
            return status == NMRT_STOPPED ? NMRT_OK : status;
        if (nmrt_trace_step_done(t->trace))
            finish_trace(t);
    }
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
    if (t->saver && *t->at.path)
        fprintf(t->out->text, "checkpoint: %s\n", t->at.path);
    else if (*t->at.path && t->at.step > first_step)
        fprintf(t->out->text, "checkpoint: none of these steps, as there is no --save\n");
    if (t->metrics.fd >= 0)
        fprintf(t->out->text, "logs: %s\n", t->metrics.path);
    int64_t first;
    if (nmrt_trace_missed(t->trace, &first))
        fprintf(t->out->note,
                "note: --trace %s: the run ended before step %lld, so there is none\n", t->o->trace,
                (long long)first);
    else if (t->traces)
        fprintf(t->out->text, "trace: %s, for ui.perfetto.dev\n", t->o->trace);
    fflush(t->out->text);
}

// Data that ends the run on one rank ends it on all.
static nmrt_status end_of_data(trainer *t, nmrt_error *e)
{
    const char *saved = t->saver ? t->at.path : "";
    if (t->ahead != NMRT_OK)
        nmrt_fail(e, t->ahead, "%.700s; the run ends before step %lld%s%s", t->ahead_error.text,
                  (long long)t->at.step + 1, *saved ? ". The newest checkpoint is " : "", saved);
    return nmrt_agree_alike(t->comm, t->ahead, e);
}

static nmrt_status run(trainer *t, nmrt_error *e)
{
    int64_t first_step = t->at.step;
    nmrt_status status = run_steps(t, e);
    nmrt_progress_end(&t->progress);
    if (status == NMRT_OK)
        finish_trace(t);
    if (status == NMRT_OK)
        status = save_last(t, e);
    if (status == NMRT_OK)
        status = end_of_data(t, e);
    if (status == NMRT_OK)
        print_end(t, first_step);
    return status;
}

// --- before the first step ---------------------------------------------------------------------

static double count_flops(const trainer *t, nmdrv_role role)
{
    double n = 0;
    for (int i = 0; i < t->setup.plan.n_funcs; i++) {
        const nmdrv_func *f = t->setup.plan.func[i].func;
        n += f->role == (int64_t)role ? (double)f->flops(t->setup.syms.at) : 0;
    }
    return n;
}

// Of a step, without what is computed again; of the micro-batches a rank's part, if the stages were
// alike.
static double step_flops(const trainer *t)
{
    double micro = 0;
    for (int i = 0; i < t->setup.train.n_calls; i++) {
        const nmrt_call *c = &t->setup.train.call[i];
        nmrt_syms syms = nmrt_setup_call_syms(&t->setup, c);
        micro += nmrt_texts_own_flops(t->program, c->func, syms.at) / t->setup.stages.pp;
    }
    return (double)t->setup.n_micro * (micro + count_flops(t, NMDRV_COUNT)) +
           count_flops(t, NMDRV_FINISH);
}

static nmrt_status find_functions(trainer *t, nmrt_error *e)
{
    t->finish = nmrt_plan_func(&t->setup.plan, NMDRV_FINISH, NMDRV_MIDDLE);
    if (!t->setup.train.n_calls || !t->finish)
        return nmrt_fail(e, NMRT_USAGE, "%s was compiled without a train block", t->program->name);
    if (t->o->eval_data && !t->setup.eval.n_calls)
        return nmrt_fail(
            e, NMRT_USAGE,
            "--eval-data: %s was compiled without an evaluation: its model needs an eval "
            "block",
            t->program->name);
    t->flops = step_flops(t);
    return NMRT_OK;
}

// Given otherwise, or of another binary, which cannot compute as the checkpoint's.
static void note_numbers(const trainer *t)
{
    const nmdrv_program *p = t->program;
    if (t->gradients || !*t->at.precision)
        return;
    if (strcmp(p->precision, t->at.precision) != 0)
        fprintf(t->out->note, "note: --precision %s now, %s in the checkpoint\n", p->precision,
                t->at.precision);
    else if (*t->at.recipe && strcmp(p->recipe, t->at.recipe) != 0)
        fprintf(t->out->note, "note: --fp8-recipe %s now, %s in the checkpoint\n", p->recipe,
                t->at.recipe);
}

static void note_changes(const trainer *t)
{
    if (strcmp(t->at.hash, t->program->hash) != 0)
        fprintf(t->out->note, "note: the checkpoint's program was compiled otherwise; its tensors "
                              "fit, bits may differ\n");
    fputs(t->o->notes.at ? t->o->notes.at : "", t->out->note);
    note_numbers(t);
    if (t->at.absent)
        fprintf(t->out->note,
                "note: the checkpoint, of --precision %s, has none of the %lld states that "
                "--precision %s alone has: they begin at 0\n",
                t->at.precision, (long long)t->at.absent, t->program->precision);
    if (t->at.left)
        fprintf(t->out->note,
                "note: %lld states that --precision %s alone has are left out, and will not be in "
                "what is saved\n",
                (long long)t->at.left, t->at.precision);
}

static nmrt_status load_or_init(trainer *t, nmrt_error *e)
{
    const char *resume = t->o->resume;
    bool automatic = strcmp(resume, "auto") == 0;
    if (strcmp(resume, "none") != 0) {
        nmrt_engine_start_own(&t->en); // of what the checkpoint may lack
        nmrt_status status = nmrt_checkpoint_load(automatic ? t->o->save : resume, &t->en, true,
                                                  &t->at, &t->passed, e);
        if (t->passed.n)
            fprintf(t->out->note, "%s", t->passed.at);
        NMRT_TRY(status);
        if (*t->at.path) {
            fprintf(t->out->text, "resuming from %s, saved by %s\n", t->at.path, t->at.mesh);
            note_changes(t);
            t->saved_step = automatic ? t->at.step : -1;
            return NMRT_OK;
        }
        if (!automatic)
            return nmrt_everyones(
                nmrt_fail(e, NMRT_WORLD, "--resume: there is no checkpoint in %s", resume), e);
        fprintf(t->out->text, "no checkpoint in %s yet: starting\n", t->o->save);
    }
    if (t->o->check_memory) {
        nmrt_engine_fill(&t->en, NMDRV_PARAM, NMRT_POISON);
        nmrt_engine_fill(&t->en, NMDRV_STATE, NMRT_POISON);
    }
    nmrt_engine_set(&t->en, "seed", (double)t->o->seed);
    nmrt_pipe_init(&t->pipe);
    nmrt_engine_start_own(&t->en);
    return NMRT_OK;
}

// All of a file that is read in a second or so; of a larger one each step's, before the step.
static nmrt_status check_data(trainer *t, nmrt_error *e)
{
    t->looks_ahead = t->data.bytes > CHECKED_BYTES;
    return t->looks_ahead ? NMRT_OK
                          : nmrt_data_check_tokens(&t->data, &t->setup.plan, t->data.samples, e);
}

static nmrt_status open_data(trainer *t, nmrt_error *e)
{
    const nmrt_options *o = t->o;
    nmrt_data_request train = {o->data, t->setup.seq, t->setup.samples,
                               strcmp(o->data_order, "shuffle") == 0, (uint64_t)o->seed},
                      eval = {o->eval_data, t->setup.seq, t->setup.samples, false, 0};
    NMRT_TRY(nmrt_data_check(&t->setup.plan, e));
    NMRT_TRY(nmrt_data_open(&t->data, &train, e));
    NMRT_TRY(check_data(t, e));
    if (!o->eval_data)
        return NMRT_OK;
    NMRT_TRY(nmrt_data_open(&t->eval_data, &eval, e));
    return nmrt_evaluation_init(&t->eval, &t->setup, &t->eval_data, o->eval_samples, t->out, e);
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

static void print_mesh(const trainer *t)
{
    nmrt_text text = {0};
    nmrt_mesh_print(&t->setup.mesh, &text);
    fprintf(t->out->text, "%lld ranks: %s\n", (long long)t->setup.mesh.world,
            text.at ? text.at : "");
    nmrt_text_release(&text);
}

static void print_recompute(const trainer *t)
{
    nmrt_text text = {0};
    nmrt_recompute_print(&t->setup.recompute, &text);
    if (nmrt_recompute_any(t->program) && t->o->recompute)
        fprintf(t->out->text, "recomputation: %s\n", text.at ? text.at : "");
    nmrt_text_release(&text);
}

// More layers than there are is all of them.
static void note_layers(const trainer *t)
{
    const nmrt_options *o = t->o;
    int64_t most = nmrt_recompute_most(&t->setup.stages),
            both = nmrt_islands_most(t->program, &t->setup.stages);
    for (int i = 0; i < o->ways.n; i++)
        if (o->ways.way[i].kind == NMRT_WAY_BLOCK && o->ways.way[i].layers > most)
            fprintf(t->out->note,
                    "note: --recompute block:%lld is full: no stage has more than "
                    "%lld layers\n",
                    (long long)o->ways.way[i].layers, (long long)most);
    if (both && (o->bf16_start > both || o->bf16_end > both))
        fprintf(t->out->note,
                "note: --num-layers-at-%s-in-bf16 %lld is all layers: no repeat has "
                "more than %lld\n",
                o->bf16_start > both ? "start" : "end",
                (long long)(o->bf16_start > both ? o->bf16_start : o->bf16_end), (long long)both);
}

static void print_start(const trainer *t)
{
    const nmdrv_program *p = t->program;
    nmrt_text device = {0};
    t->setup.device->describe(t->en.device, &device);
    fprintf(t->out->text, "%s%s%s: %s parameters, computing in %s%s%s; %s of memory%s; %s", p->name,
            *p->preset ? " " : "", p->preset, nmrt_count(count_params(p)).s, p->precision,
            *p->recipe ? " " : "", p->recipe, nmrt_bytes(t->setup.plan.total).s,
            t->comm->ranks > 1 ? " a rank" : "", device.at ? device.at : "");
    if (t->peak > 0)
        fprintf(t->out->text, ", %.0f GFLOP/s at most", t->peak / 1e9);
    fputc('\n', t->out->text);
    nmrt_text_release(&device);
    if (t->comm->ranks > 1)
        print_mesh(t);
    print_recompute(t);
    fprintf(t->out->text, "%s: %s, %lld samples of %lld tokens, %lld a step\n", t->data.path,
            nmrt_bytes(t->data.bytes).s, (long long)t->data.samples, (long long)t->setup.seq,
            (long long)(t->setup.n_micro * t->setup.samples));
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
    if (t->o->save)
        NMRT_TRY(nmrt_saver_open(&t->saver, &t->en, t->o, t->at.step, &t->passed, e));
    const char *logs = t->comm->rank ? NULL : t->o->log_dir;
    return nmrt_everyones(nmrt_metrics_open(&t->metrics, logs, t->at.step, &t->curve, e), e);
}

static nmrt_status open_trace(trainer *t, nmrt_error *e)
{
    nmrt_trace_request q = {t->o->trace, t->o->trace_steps, t->at.step + 1, t->o->steps,
                            &t->setup.mesh};
    NMRT_TRY(nmrt_trace_open(t->trace, &q, &t->traces, e));
    if (t->trace && !t->traces)
        fprintf(t->out->note, "note: --trace-steps %s: this run begins behind them\n",
                t->o->trace_steps);
    return NMRT_OK;
}

static nmrt_status dry_run(const trainer *t, nmrt_error *e)
{
    nmrt_text text = {0};
    nmrt_status status = nmrt_setup_print(&t->setup, &text, e);
    fputs(text.at ? text.at : "", t->out->text);
    nmrt_text_release(&text);
    NMRT_TRY(status);
    return nmrt_setup_check_memory(&t->setup, t->setup.mesh.world > 1 ? 0 : 1, e);
}

static nmrt_status open_engine(trainer *t, nmrt_error *e)
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

static nmrt_status train(trainer *t, int local_ranks, nmrt_error *e)
{
    NMRT_TRY(find_functions(t, e));
    note_layers(t);
    if (t->o->dry_run)
        return dry_run(t, e);
    NMRT_TRY(nmrt_setup_check_memory(&t->setup, local_ranks, e));
    NMRT_TRY(nmrt_agree_alike(t->comm, open_data(t, e), e));
    t->numbers = calloc((size_t)t->o->hypers.n + 1, sizeof *t->numbers);
    if (!t->numbers)
        return nmrt_fail(e, NMRT_WORLD, "no memory for the run's numbers");
    if (t->o->trace && !t->gradients)
        NMRT_TRY(nmrt_trace_new(&t->trace, t->comm, e));
    NMRT_TRY(open_engine(t, e));
    NMRT_TRY(load_or_init(t, e));
    if (t->gradients)
        return run_one_step(t, e);
    NMRT_TRY(open_outputs(t, e));
    if (t->at.step >= t->o->steps) {
        fprintf(t->out->text, "nothing to do: the run is at step %lld of --steps %lld\n",
                (long long)t->at.step, (long long)t->o->steps);
        return NMRT_OK;
    }
    NMRT_TRY(open_trace(t, e));
    nmrt_stop_install();
    t->peak = t->setup.device->peak(t->en.device);
    print_start(t);
    t->start = nmrt_seconds();
    t->progress =
        (nmrt_progress){.out = t->out, .steps = t->o->steps, .log_every = t->o->log_every};
    t->progress.until = t->o->max_seconds > 0 ? t->start + t->o->max_seconds : 0;
    return run(t, e);
}

static nmrt_status train_with(nmrt_run *run, nmrt_gradients *g, nmrt_error *e)
{
    trainer t = {.program = run->program,
                 .gradients = g,
                 .o = run->options,
                 .out = run->out,
                 .comm = &run->comm,
                 .local_rank = run->ranks ? run->ranks->local_rank : 0,
                 .saved_step = -1};
    t.metrics.fd = -1;
    nmrt_recompute recompute;
    NMRT_TRY(nmrt_setup_choose(run, &recompute, e));
    run->recompute = &recompute;
    NMRT_TRY(nmrt_setup_init(&t.setup, run, e));
    nmrt_status status = train(&t, run->ranks ? run->ranks->local_ranks : 1, e);
    nmrt_metrics_close(&t.metrics);
    nmrt_saver_close(t.saver);
    nmrt_pipe_close(&t.eval_pipe);
    nmrt_pipe_close(&t.pipe);
    nmrt_engine_close(&t.en);
    nmrt_trace_close(t.trace);
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
