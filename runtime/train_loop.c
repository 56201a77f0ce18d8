// The steps of a run, one after another. Every rank runs this; whatever ends a run early is agreed
// upon between steps.
#include "runtime/agree.h"
#include "runtime/clock.h"
#include "runtime/stop.h"
#include "runtime/trainer.h"

// What a step has beside its functions.
static int64_t begin_phase(const nmrt_trainer *t, const char *name)
{
    return nmrt_trace_begin(nmrt_trace_steps(t->trace), name);
}

static void end_phase(const nmrt_trainer *t, int64_t begin, const char *name)
{
    nmrt_trace_end(nmrt_trace_steps(t->trace), begin,
                   &(nmrt_span){.kind = NMRT_SPAN_PHASE, .name = name});
}

// Begins to save: the files are written while the next steps run.
static nmrt_status save(nmrt_trainer *t, nmrt_error *e)
{
    t->at.seed = t->o->seed;
    int64_t begin = begin_phase(t, "copy for the checkpoint");
    nmrt_status status = nmrt_checkpoint_begin(t->saver, &t->at, e);
    end_phase(t, begin, "copy for the checkpoint");
    t->saved_step = status == NMRT_OK ? t->at.step : t->saved_step;
    return status;
}

// Not the end: the disk may have room again by the next time.
static void warn(nmrt_trainer *t, nmrt_status status, const nmrt_error *e)
{
    if (status == NMRT_OK || !*e->text)
        return;
    nmrt_progress_end(&t->progress);
    fprintf(t->out->note, "warning: %s\n", e->text);
}

static void save_now_and_then(nmrt_trainer *t)
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

nmrt_status nmrt_train_save_last(nmrt_trainer *t, nmrt_error *e)
{
    nmrt_status status = nmrt_checkpoint_wait(t->saver, &t->at, e);
    warn(t, status, e);
    if (!t->saver || (status == NMRT_OK && t->saved_step == t->at.step))
        return NMRT_OK;
    NMRT_TRY(save(t, e));
    return nmrt_checkpoint_wait(t->saver, &t->at, e);
}

// Without a loss where a rank cannot read its data: all ranks know, and the run goes on.
static nmrt_status evaluate_now_and_then(nmrt_trainer *t, nmrt_row *row, nmrt_error *e)
{
    if (!t->eval_data.source || (t->at.step % t->o->eval_every && t->at.step != t->o->steps))
        return NMRT_OK;
    nmrt_evaluated x;
    int64_t begin = begin_phase(t, "evaluation");
    nmrt_status status = nmrt_evaluate(&t->eval_pipe, &t->eval, &x, e);
    end_phase(t, begin, "evaluation");
    if (status == NMRT_STOPPED)
        return NMRT_OK; // the step itself is done
    NMRT_TRY(status);
    row->has_eval = x.status == NMRT_OK && nmrt_evaluation_has_loss(&t->eval);
    row->eval_loss = x.loss;
    if (x.status != NMRT_OK)
        nmrt_fail(e, x.status, "step %lld is not evaluated: %.900s", (long long)t->at.step,
                  x.why.text);
    warn(t, x.status, e);
    return NMRT_OK;
}

// What this rank will read of the next step: before it, so that what was done until then can be
// saved.
static bool is_bad_ahead(nmrt_trainer *t)
{
    const nmrt_setup *s = &t->setup;
    nmrt_syms syms;
    for (int64_t i = 0; t->looks_ahead && t->ahead == NMRT_OK && i * s->samples < t->samples; i++) {
        nmrt_setup_bind(s, i, s->samples, t->samples, &syms);
        t->ahead =
            nmrt_data_check_part(&t->data, &s->plan, syms.at, t->at.samples, &t->ahead_error);
    }
    return t->ahead != NMRT_OK;
}

// Of several ranks, what one has seen (a signal, the time, its data) ends all.
static nmrt_status is_over(nmrt_trainer *t, bool *over, nmrt_error *e)
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
static nmrt_status do_step(nmrt_trainer *t, nmrt_error *e)
{
    nmrt_row row = {0};
    nmrt_trace_number(t->trace, "memory", (double)t->setup.plan.total);
    NMRT_TRY(nmrt_train_do_step(t, &row, e));
    nmrt_trace_number(t->trace, "loss", row.loss);
    nmrt_trace_number(t->trace, "lr", row.lr);
    nmrt_curve_add(&t->curve, row.loss);
    NMRT_TRY(evaluate_now_and_then(t, &row, e));
    warn(t, nmrt_metrics_add(&t->metrics, &row, &t->en, t->finish, e), e);
    warn(t, nmrt_events_add(&t->events, &row, &t->en, t->finish, e), e);
    nmrt_progress_step(&t->progress, &row);
    save_now_and_then(t);
    return NMRT_OK;
}

static void finish_trace(nmrt_trainer *t)
{
    nmrt_error e;
    nmrt_status status = nmrt_trace_finish(t->trace, &e);
    t->traces = t->traces && status == NMRT_OK;
    warn(t, status, &e);
}

static nmrt_status run_steps(nmrt_trainer *t, nmrt_error *e)
{
    for (;;) {
        bool over;
        NMRT_TRY(nmrt_train_size_step(t, e));
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

// Data that ends the run on one rank ends it on all.
static nmrt_status end_of_data(nmrt_trainer *t, nmrt_error *e)
{
    const char *saved = t->saver ? t->at.path : "";
    if (t->ahead != NMRT_OK)
        nmrt_fail(e, t->ahead, "%.700s; the run ends before step %lld%s%s", t->ahead_error.text,
                  (long long)t->at.step + 1, *saved ? ". The newest checkpoint is " : "", saved);
    return nmrt_agree_alike(t->comm, t->ahead, e);
}

// What the disk has not taken of rows is told last: the checkpoint is there by then.
static nmrt_status end_logs(nmrt_trainer *t, nmrt_error *e)
{
    nmrt_error late;
    nmrt_status events = nmrt_log_end(&t->events, &late), status = nmrt_log_end(&t->metrics, e);
    if (status == NMRT_OK && events != NMRT_OK) {
        status = events;
        *e = late;
    }
    return nmrt_agree(t->comm, status, e);
}

// Behind a failure of the run, which is its error.
static void warn_of_logs(nmrt_trainer *t)
{
    nmrt_error e;
    warn(t, nmrt_log_end(&t->metrics, &e), &e);
    warn(t, nmrt_log_end(&t->events, &e), &e);
}

nmrt_status nmrt_train_loop(nmrt_trainer *t, nmrt_error *e)
{
    int64_t first_step = t->at.step;
    nmrt_status status = run_steps(t, e);
    nmrt_progress_end(&t->progress);
    if (status == NMRT_OK)
        finish_trace(t);
    if (status == NMRT_OK)
        status = nmrt_train_save_last(t, e);
    if (status == NMRT_OK)
        status = end_of_data(t, e);
    if (status == NMRT_OK)
        nmrt_train_print_end(t, first_step);
    if (status == NMRT_OK)
        return end_logs(t, e);
    warn_of_logs(t);
    return status;
}
