// How long a step takes: each stage's calls priced, the pipeline's lists walked with these prices,
// and what comes once a step behind it: the reduction of gradients and the update.
#include "runtime/planner.h"

#include <stdlib.h>

typedef struct step { // of one candidate
    const nmrt_cluster *cluster;
    const nmrt_setup *setup;
    nmrt_cost_model model;
    void **buf;
    nmrt_cost *call;        // [train.n_calls]
    double *forward, *back; // [stages.n] seconds of a micro-batch
    nmrt_cost all;          // of a micro-batch, over all stages
} step;

nmrt_status nmrt_planner_model(const nmrt_cluster *c, const nmrt_mesh *mesh, int64_t micro_batch,
                               nmrt_cost_model *model, void ***buf, nmrt_error *e)
{
    int64_t most = 0;
    for (int64_t i = 0; i < c->program->n_funcs; i++)
        most = c->program->func[i].n_bufs > most ? c->program->func[i].n_bufs : most;
    *model = (nmrt_cost_model){.gpu = c->gpu, .mesh = mesh, .node = c->node, .bf16 = c->bf16};
    model->rows = (double)(micro_batch * c->options->seq) / (double)nmrt_mesh_cp(mesh);
    model->rank = malloc((size_t)mesh->world * sizeof *model->rank);
    *buf = calloc((size_t)most + 1, sizeof **buf); // nobody looks behind them
    if (model->rank && *buf)
        return NMRT_OK;
    free(model->rank);
    free(*buf);
    return nmrt_fail(e, NMRT_WORLD, "no memory for the cost model");
}

// --- calls ---------------------------------------------------------------------------------------

// Gradients that are reduced once a step are priced apart.
static const nmdrv_func *without_reductions(const step *x, const nmdrv_func *f)
{
    const nmrt_texts *t = &x->setup->texts;
    const nmdrv_func *once = t->once ? nmrt_texts_other(t->program, f, NMDRV_ONCE) : NULL;
    return once ? once : f;
}

static void price_call(step *x, int i)
{
    const nmrt_call *c = &x->setup->train.call[i];
    for (int k = 0; k < i; k++)
        if (x->setup->train.call[k].func == c->func &&
            x->setup->train.call[k].part.n == c->part.n) {
            x->call[i] = x->call[k];
            return;
        }
    const nmdrv_func *f = without_reductions(x, c->func);
    nmrt_syms syms = nmrt_setup_call_syms(x->setup, c);
    x->call[i] = nmrt_cost_of(&x->model, f, syms.at, x->buf);
    x->call[i].flops = nmrt_texts_own_flops(x->setup->program, f, syms.at);
}

static void add_sends(step *x, int stage, bool backward)
{
    double bytes = (double)nmrt_chain_sent(&x->setup->train, stage, backward);
    if (bytes <= 0)
        return;
    bytes *= x->cluster->narrow;
    nmrt_cost send = {.time = {[NMRT_TIME_PP] = nmrt_cost_send(&x->model, bytes)}};
    nmrt_cost_add(&x->all, &send, 1);
    (backward ? x->back : x->forward)[stage] += send.time[NMRT_TIME_PP];
}

static void price_micro(step *x)
{
    const nmrt_chain *chain = &x->setup->train;
    for (int i = 0; i < chain->n_calls; i++)
        price_call(x, i);
    for (int i = 0; i < chain->n_calls; i++) {
        const nmrt_call *c = &chain->call[i];
        (c->backward ? x->back : x->forward)[c->stage] += nmrt_cost_total(&x->call[i]);
        nmrt_cost_add(&x->all, &x->call[i], 1);
    }
    for (int v = 0; v < x->setup->stages.n; v++) {
        add_sends(x, v, false);
        add_sends(x, v, true);
    }
}

// --- once a step ---------------------------------------------------------------------------------

// The update reads and writes masters and moments.
static double update_seconds(const step *x, const nmrt_need *need)
{
    return 2 * need->of[NMRT_HOLDS_STATES] / (x->cluster->gpu->hbm * 1e9 * nmrt_costs.memory_share);
}

// What the last micro-batch's calls reduce on a stage.
static double price_reductions(step *x, nmrt_cost_model *model, int pp)
{
    const nmrt_setup *s = x->setup;
    double seconds = 0;
    for (int i = 0; s->texts.once && i < s->train.n_calls; i++) {
        const nmrt_call *c = &s->train.call[i];
        const nmdrv_func *last = nmrt_texts_other(s->program, c->func, NMDRV_LAST);
        nmrt_syms syms = nmrt_setup_call_syms(x->setup, c);
        if (last && c->stage % s->stages.pp == pp)
            seconds += nmrt_cost_more(model, last, without_reductions(x, c->func), syms.at, x->buf);
    }
    return seconds;
}

static nmrt_cost price_finish(step *x, int pp)
{
    const nmrt_setup *s = x->setup;
    nmrt_setup at = nmrt_setup_seen_from(s, pp);
    nmrt_cost_model model = x->model;
    nmrt_cost sum = {0};
    model.mesh = &at.mesh;
    model.n_rings = 0;
    for (int64_t i = 0; i < s->program->n_funcs; i++) {
        const nmdrv_func *f = &s->program->func[i];
        bool once = f->role == NMDRV_WEIGHTS || f->role == NMDRV_FINISH;
        if (!once || !nmrt_setup_runs(s, pp, f))
            continue;
        nmrt_syms syms = at.syms;
        if (f->turns >= 0)
            syms.at[f->turns].size = nmrt_setup_turns(s, pp, f).all;
        nmrt_cost cost = nmrt_cost_of(&model, f, syms.at, x->buf);
        nmrt_cost_add(&sum, &cost, 1);
    }
    sum.time[NMRT_TIME_DP] += price_reductions(x, &model, pp);
    return sum;
}

// Gradients are reduced behind the last micro-batch's backward, parameters gathered behind the
// first one's forward: together one micro-batch of this rank hides them.
static void hide_dp(const step *x, int pp, nmrt_cost *finish)
{
    double behind = 0, *dp = &finish->time[NMRT_TIME_DP], least = nmrt_costs.dp_exposed * *dp;
    for (int v = pp; v < x->setup->stages.n; v += x->setup->stages.pp)
        behind += x->forward[v] + x->back[v];
    *dp = *dp - behind > least ? *dp - behind : least;
}

static nmrt_cost slowest_finish(step *x, const nmrt_need *need)
{
    nmrt_cost slowest = {0};
    for (int r = 0; r < x->setup->stages.pp; r++) {
        nmrt_cost finish = price_finish(x, r);
        hide_dp(x, r, &finish);
        if (nmrt_cost_total(&finish) > nmrt_cost_total(&slowest))
            slowest = finish;
    }
    slowest.time[NMRT_TIME_COMPUTE] += update_seconds(x, need);
    slowest.flops = 0;
    return slowest;
}

// --- a step --------------------------------------------------------------------------------------

static void price_step(step *x, nmrt_candidate *to)
{
    const nmrt_setup *s = x->setup;
    price_micro(x);
    double bubble = nmrt_actions_bubble(&s->actions, x->forward, x->back);
    bubble = bubble > 0 ? bubble : 0; // of one stage: rounding
    to->step = (nmrt_cost){0};
    nmrt_cost_add(&to->step, &x->all, (double)s->n_micro / s->stages.pp);
    to->step.time[NMRT_TIME_BUBBLE] = nmrt_cost_total(&to->step) * bubble / (1 - bubble);
    nmrt_cost finish = slowest_finish(x, &to->need);
    nmrt_cost_add(&to->step, &finish, 1);
    to->seconds = nmrt_cost_total(&to->step);
}

nmrt_status nmrt_planner_step(const nmrt_cluster *c, const nmrt_setup *s, nmrt_candidate *to,
                              nmrt_error *e)
{
    step x = {.cluster = c, .setup = s};
    NMRT_TRY(nmrt_planner_model(c, &s->mesh, s->micro_batch, &x.model, &x.buf, e));
    x.call = calloc((size_t)s->train.n_calls + 1, sizeof *x.call);
    x.forward = calloc((size_t)s->stages.n, sizeof *x.forward);
    x.back = calloc((size_t)s->stages.n, sizeof *x.back);
    nmrt_status status = NMRT_OK;
    if (x.call && x.forward && x.back)
        price_step(&x, to);
    else
        status = nmrt_fail(e, NMRT_WORLD, "no memory for the cost model");
    free(x.call);
    free(x.forward);
    free(x.back);
    free(x.model.rank);
    free(x.buf);
    return status;
}
