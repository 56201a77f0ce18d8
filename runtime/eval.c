// The verb eval, and the evaluations inside a training run. The whole set is one batch:
// micro-batches add to the accumulators, so the loss is exact however it is cut.
#include "runtime/eval.h"

#include "runtime/checkpoint.h"
#include "runtime/stop.h"

static int64_t whole_micro_batches(const nmrt_setup *s, const nmrt_data *d, int64_t samples)
{
    int64_t n = samples > 0 && samples < d->samples ? samples : d->samples;
    int i = nmrt_sym_find(s->program, "batch");
    int64_t unit = i < 0                             ? s->micro_batch
                   : s->program->sym[i].multiple > 1 ? s->program->sym[i].multiple
                                                     : 1;
    return n / unit * unit;
}

nmrt_status nmrt_evaluate(nmrt_engine *en, const nmrt_setup *s, const nmrt_data *d, int64_t samples,
                          double *loss, nmrt_error *e)
{
    const nmrt_planned *micro = nmrt_plan_func(en->plan, NMDRV_EVAL_MICRO),
                       *finish = nmrt_plan_func(en->plan, NMDRV_EVAL_FINISH);
    int batch = nmrt_sym_find(s->program, "batch");
    int64_t n = whole_micro_batches(s, d, samples);
    if (!micro || !finish)
        return nmrt_fail(e, NMRT_USAGE, "%s was compiled without an evaluation", s->program->name);
    if (!n)
        return nmrt_fail(e, NMRT_USAGE, "%s has %lld samples, too few for one micro-batch", d->path,
                         (long long)d->samples);
    nmrt_syms syms = s->syms;
    nmrt_engine_fill(en, NMDRV_ACC, 0);
    for (int64_t i = 0, some; i < n; i += some) {
        NMRT_TRY(nmrt_stop_check(e));
        some = n - i < s->micro_batch ? n - i : s->micro_batch;
        if (batch >= 0)
            syms.at[batch] = (nmdrv_sym){.size = some, .offset = i, .total = n};
        NMRT_TRY(nmrt_data_load(d, en, i, some, e));
        nmrt_engine_call(en, micro, syms.at);
    }
    nmrt_engine_call(en, finish, syms.at);
    if (!nmrt_engine_result(en, finish, "loss", loss))
        return nmrt_fail(e, NMRT_USAGE, "the evaluation of %s has no loss", s->program->name);
    return NMRT_OK;
}

static void print_results(const nmrt_engine *en, const nmrt_output *out)
{
    const nmrt_planned *finish = nmrt_plan_func(en->plan, NMDRV_EVAL_FINISH);
    for (int64_t i = 0; i < finish->func->n_results; i++) {
        double value;
        const nmdrv_arg *r = &finish->func->result[i];
        if (r->bind == NMDRV_EMIT && !r->rank && nmrt_engine_result(en, finish, r->name, &value))
            fprintf(out->text, "%s %.6g\n", r->name, value);
    }
}

static nmrt_status run_eval(nmrt_engine *en, const nmrt_setup *s, const nmrt_data *d,
                            const nmrt_output *out, nmrt_error *e)
{
    nmrt_checkpoint c;
    nmrt_text passed = {0};
    nmrt_status status = nmrt_checkpoint_load(s->options->checkpoint, en, false, &c, &passed, e);
    if (passed.n)
        fprintf(out->note, "%s", passed.at);
    nmrt_text_release(&passed);
    NMRT_TRY(status);
    if (!*c.path)
        return nmrt_fail(e, NMRT_WORLD, "there is no checkpoint in %s", s->options->checkpoint);
    nmrt_engine_set(en, "seed", (double)s->options->seed);
    nmrt_engine_set(en, "step", (double)c.step);
    nmrt_engine_set(en, "steps", (double)c.step);
    double loss;
    NMRT_TRY(nmrt_evaluate(en, s, d, s->options->samples, &loss, e));
    fprintf(out->note, "%s, step %lld, on %s\n", c.path, (long long)c.step, d->path);
    print_results(en, out);
    return NMRT_OK;
}

static nmrt_status eval_with(nmrt_setup *s, const nmrt_output *out, nmrt_error *e)
{
    const nmrt_options *o = s->options;
    if (!nmrt_plan_func(&s->plan, NMDRV_EVAL_MICRO))
        return nmrt_fail(e, NMRT_USAGE, "%s was compiled without an evaluation", s->program->name);
    NMRT_TRY(nmrt_data_check(&s->plan, e));
    if (o->dry_run) {
        nmrt_text text = {0};
        nmrt_setup_print(s, &text);
        fputs(text.at ? text.at : "", out->text);
        nmrt_text_release(&text);
        return NMRT_OK;
    }
    NMRT_TRY(nmrt_setup_check_memory(s, e));
    nmrt_data data = {0};
    nmrt_engine en = {0};
    nmrt_data_request request = {o->data, s->seq, s->micro_batch, false, 0};
    nmrt_status status = nmrt_data_open(&data, &request, e);
    if (status == NMRT_OK)
        status = nmrt_engine_open(&en, &s->plan, s->device, s->threads, e);
    if (status == NMRT_OK) {
        en.check_memory = o->check_memory;
        status = run_eval(&en, s, &data, out, e);
        nmrt_engine_close(&en);
    }
    nmrt_data_close(&data);
    return status;
}

nmrt_status nmrt_eval(const nmdrv_program *program, const nmrt_options *o, const nmrt_output *out,
                      nmrt_error *e)
{
    nmrt_setup s;
    NMRT_TRY(nmrt_setup_init(&s, program, o, e));
    nmrt_status status = eval_with(&s, out, e);
    nmrt_setup_release(&s);
    return status;
}
