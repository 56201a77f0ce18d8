// The verb eval, and the evaluations inside a training run. The whole set is one batch:
// micro-batches add to the accumulators, so the loss is exact however it is cut.
#include "runtime/eval.h"

#include "runtime/checkpoint.h"

// Is a value with samples of several ranks put together? Then each has to have as many.
static bool joins_samples(const nmdrv_program *p, int batch)
{
    for (int64_t i = 0; i < p->n_collectives; i++)
        if (p->collective[i].over >= 0 && p->sym[p->collective[i].over].of_sym == batch)
            return true;
    return false;
}

// Ranks of dp may have fewer samples than others, so all that the model takes can be evaluated.
static int64_t unit_of(const nmrt_setup *s)
{
    int batch = nmrt_sym_find(s->program, "batch");
    if (batch < 0)
        return s->samples;
    int64_t multiple = s->program->sym[batch].multiple > 1 ? s->program->sym[batch].multiple : 1;
    int64_t dp = joins_samples(s->program, batch) ? nmrt_mesh_dp(&s->mesh) : 1;
    return multiple / nmrt_gcd(multiple, dp) * dp;
}

nmrt_status nmrt_evaluation_init(const nmrt_setup *s, const nmrt_data *d, int64_t asked,
                                 const nmrt_output *out, int64_t *samples, nmrt_error *e)
{
    int64_t all = asked > 0 && asked < d->samples ? asked : d->samples, unit = unit_of(s);
    *samples = all / unit * unit;
    if (!*samples)
        return nmrt_fail(e, NMRT_USAGE, "%s has %lld samples, fewer than the %lld of a micro-batch",
                         d->path, (long long)all, (long long)unit);
    if (*samples < all)
        fprintf(out->note,
                "note: %lld of the %lld samples of %s are evaluated, a multiple of %lld\n",
                (long long)*samples, (long long)all, d->path, (long long)unit);
    return nmrt_data_check_tokens(d, &s->plan, *samples, e);
}

static nmrt_status run_all(nmrt_pipe *p, const nmrt_data *d, int64_t n, nmrt_error *e)
{
    const nmrt_setup *s = p->setup;
    nmrt_actions a;
    nmrt_batch batch = {d, 0, s->samples, n};
    nmrt_engine_fill(p->en, NMDRV_ACC, 0);
    nmrt_engine_fill(p->en, NMDRV_LINK, 0);
    NMRT_TRY(nmrt_actions_init(&a, &s->stages, (n + s->samples - 1) / s->samples, false, e));
    nmrt_status status = nmrt_actions_check(&a, e);
    if (status == NMRT_OK)
        status = nmrt_pipe_run(p, &a, &batch, e);
    if (status == NMRT_OK)
        nmrt_pipe_finish(p, NMDRV_EVAL_FINISH);
    nmrt_actions_release(&a);
    return status;
}

nmrt_status nmrt_evaluate(nmrt_pipe *p, const nmrt_data *d, int64_t samples, double *loss,
                          nmrt_error *e)
{
    const nmrt_setup *s = p->setup;
    const nmrt_planned *finish = nmrt_plan_func(p->en->plan, NMDRV_EVAL_FINISH, NMDRV_MIDDLE);
    if (!p->chain->n_calls || !finish)
        return nmrt_fail(e, NMRT_USAGE, "%s was compiled without an evaluation", s->program->name);
    NMRT_TRY(run_all(p, d, samples, e));
    if (!nmrt_engine_result(p->en, finish, "loss", loss))
        return nmrt_fail(e, NMRT_USAGE, "the evaluation of %s has no loss", s->program->name);
    return NMRT_OK;
}

static void print_results(const nmrt_engine *en, const nmrt_output *out)
{
    const nmrt_planned *finish = nmrt_plan_func(en->plan, NMDRV_EVAL_FINISH, NMDRV_MIDDLE);
    for (int64_t i = 0; i < finish->func->n_results; i++) {
        double value;
        const nmdrv_arg *r = &finish->func->result[i];
        if (r->bind == NMDRV_EMIT && !r->rank && nmrt_engine_result(en, finish, r->name, &value))
            fprintf(out->text, "%s %.6g\n", r->name, value);
    }
}

static nmrt_status run_eval(nmrt_pipe *p, const nmrt_data *d, int64_t samples,
                            const nmrt_output *out, nmrt_error *e)
{
    const nmrt_options *o = p->setup->options;
    nmrt_engine *en = p->en;
    nmrt_checkpoint c;
    nmrt_text passed = {0};
    nmrt_status status = nmrt_checkpoint_load(o->checkpoint, en, false, &c, &passed, e);
    if (passed.n)
        fprintf(out->note, "%s", passed.at);
    nmrt_text_release(&passed);
    NMRT_TRY(status);
    if (!*c.path)
        return nmrt_fail(e, NMRT_WORLD, "there is no checkpoint in %s", o->checkpoint);
    nmrt_engine_set(en, "seed", (double)o->seed);
    nmrt_engine_set(en, "step", (double)c.step);
    nmrt_engine_set(en, "steps", (double)c.step);
    double loss;
    NMRT_TRY(nmrt_evaluate(p, d, samples, &loss, e));
    fprintf(out->note, "%s, step %lld, on %s\n", c.path, (long long)c.step, d->path);
    print_results(en, out);
    return NMRT_OK;
}

static nmrt_status dry_run(const nmrt_setup *s, const nmrt_output *out, nmrt_error *e)
{
    nmrt_text text = {0};
    nmrt_status status = nmrt_setup_print(s, &text, e);
    fputs(text.at ? text.at : "", out->text);
    nmrt_text_release(&text);
    return status;
}

typedef struct evaluation {
    nmrt_setup setup;
    nmrt_data data;
    int64_t samples;
    nmrt_engine en;
    nmrt_pipe pipe;
} evaluation;

static nmrt_status open_all(evaluation *v, nmrt_run *run, nmrt_error *e)
{
    const nmrt_options *o = run->options;
    nmrt_setup *s = &v->setup;
    nmrt_data_request data = {o->data, s->seq, s->samples, false, 0};
    nmrt_device_request device = {s->program, s->threads, &s->mesh, &run->comm};
    NMRT_TRY(nmrt_setup_check_memory(s, run->ranks ? run->ranks->local_ranks : 1, e));
    NMRT_TRY(nmrt_data_open(&v->data, &data, e));
    NMRT_TRY(nmrt_evaluation_init(s, &v->data, o->samples, run->out, &v->samples, e));
    NMRT_TRY(nmrt_setup_find_shares(s, e));
    NMRT_TRY(nmrt_engine_open(&v->en, &s->plan, s->device, &device, e));
    v->en.check_memory = o->check_memory;
    v->en.shares = nmrt_setup_shares(s, &run->comm);
    return nmrt_pipe_open(&v->pipe, s, &v->en, &run->comm, &s->eval, s->one_slot, e);
}

static nmrt_status evaluate(evaluation *v, nmrt_run *run, nmrt_error *e)
{
    if (!v->setup.eval.n_calls)
        return nmrt_fail(e, NMRT_USAGE, "%s was compiled without an evaluation",
                         run->program->name);
    NMRT_TRY(nmrt_data_check(&v->setup.plan, e));
    if (run->options->dry_run)
        return dry_run(&v->setup, run->out, e);
    NMRT_TRY(open_all(v, run, e));
    return run_eval(&v->pipe, &v->data, v->samples, run->out, e);
}

nmrt_status nmrt_eval(nmrt_run *run, nmrt_error *e)
{
    evaluation v = {0};
    NMRT_TRY(nmrt_setup_init(&v.setup, run, e));
    nmrt_status status = evaluate(&v, run, e);
    nmrt_pipe_close(&v.pipe);
    nmrt_engine_close(&v.en);
    nmrt_data_close(&v.data);
    nmrt_setup_release(&v.setup);
    return status;
}
