// The search: every mesh that divides, ordered by an optimistic estimate (stages perfectly even,
// nothing once a step), priced in that order until no later one can be among the best (branch and
// bound; Land and Doig 1960). What cannot fit by its parameters alone is never priced.
#include "runtime/planner.h"

#include <stdlib.h>
#include <string.h>

typedef struct search {
    const nmrt_cluster *cluster;
    nmrt_candidate *all;
    int n, cap;
    nmrt_candidate *best;
    int n_best, most;
    double trained, frozen, states; // elements
    double least_memory;            // of what does not fit
    nmrt_error why;                 // the first mesh that the program refuses
} search;

// A mesh flag that is given is kept; of others all values are tried.
static bool is_wanted(const search *s, const char *flag, int64_t asked, int64_t value)
{
    return !nmrt_option_given(s->cluster->options, nmrt_option_find(flag)) || asked == value;
}

// --- memory, from below --------------------------------------------------------------------------

static void count_elements(search *s)
{
    const nmdrv_program *p = s->cluster->program;
    for (int64_t i = 0; i < p->n_params; i++) {
        double n = 1;
        for (int64_t k = 0; k < p->param[i].rank; k++)
            n *= (double)p->param[i].shape[k];
        *(p->param[i].is_state ? &s->states : p->param[i].frozen ? &s->frozen : &s->trained) += n;
    }
}

// No stage that needs most needs less: parameters, gradients, states, split wherever they could be.
static double memory_from_below(const search *s, const nmrt_mesh_flags *f)
{
    bool bf16 = s->cluster->bf16;
    double model = (double)(f->tp * f->pp), all = (double)(f->dp * f->cp),
           weight = bf16 ? nmrt_costs.weight_bytes : 4, master = bf16 ? nmrt_costs.master_bytes : 0;
    double weights = weight * (s->trained + s->frozen) / (f->zero == 3 ? (double)f->dp : 1),
           gradients = 4 * s->trained / (f->zero ? all : (double)f->cp),
           states = (master * s->trained + 4 * s->states) / (f->zero ? all : 1);
    return (weights + gradients + states) / model + nmrt_costs.reserve * (1 << 30);
}

// --- time, from below ----------------------------------------------------------------------------

// Of the program's variants, the one that computes least again and is among those asked for.
static nmdrv_recompute lightest(const nmrt_cluster *c)
{
    nmrt_way_kind asked = c->asked.way[0].kind;
    if (c->asked.n == 1 && asked <= NMRT_WAY_FULL)
        return (nmdrv_recompute)asked;
    for (int i = NMDRV_RECOMPUTE_NONE; i < NMDRV_RECOMPUTE_FULL; i++)
        if (nmrt_recompute_has(c->program, (nmdrv_recompute)i))
            return (nmdrv_recompute)i;
    return NMDRV_RECOMPUTE_FULL;
}

static bool is_priced(const nmdrv_func *f, const nmrt_texts *texts, nmdrv_recompute variant)
{
    return f->role == NMDRV_MICRO && f->sums != NMDRV_LAST && nmrt_texts_has(texts, f) &&
           (f->recompute < 0 || f->recompute == (int64_t)variant) &&
           f->products != NMDRV_PRODUCTS_BF16;
}

static nmrt_status bind(const nmrt_cluster *c, const nmrt_mesh *m, int64_t micro_batch,
                        nmrt_syms *syms, nmrt_error *e)
{
    const nmrt_options *o = c->options;
    nmrt_sizes sizes = {micro_batch * nmrt_mesh_dp(m), o->global_batch, o->seq, o->seq};
    NMRT_TRY(nmrt_sym_check(c->program, c->program->batch, sizes.batch, e));
    NMRT_TRY(nmrt_sym_check(c->program, c->program->seq, sizes.seq, e));
    NMRT_TRY(nmrt_syms_bind(syms, c->program, &sizes, e));
    NMRT_TRY(nmrt_mesh_check(m, syms->at, e));
    nmrt_mesh_bind(m, syms->at);
    return NMRT_OK;
}

// A micro-batch, all stages.
static nmrt_status price_evenly(const nmrt_cluster *c, const nmrt_mesh *m, int64_t micro_batch,
                                double *seconds, nmrt_error *e)
{
    nmrt_syms syms;
    nmrt_cost_model model;
    void **buf;
    nmrt_texts texts = nmrt_texts_of(m, 2, false); // what is reduced once a step is not priced
    NMRT_TRY(bind(c, m, micro_batch, &syms, e));
    NMRT_TRY(nmrt_planner_model(c, m, micro_batch, &model, &buf, e));
    *seconds = 0;
    for (int64_t i = 0; i < c->program->n_funcs; i++) {
        const nmdrv_func *f = &c->program->func[i];
        if (!is_priced(f, &texts, lightest(c)))
            continue;
        nmrt_syms at = syms;
        if (f->turns >= 0)
            at.at[f->turns] = (nmdrv_sym){.size = c->program->sym[f->turns].extent,
                                          .total = c->program->sym[f->turns].extent,
                                          .half = c->program->sym[f->turns].extent};
        nmrt_cost cost = nmrt_cost_of(&model, f, at.at, buf);
        *seconds += nmrt_cost_total(&cost);
    }
    free(model.rank);
    free(buf);
    return NMRT_OK;
}

// --- candidates ----------------------------------------------------------------------------------

static nmrt_status add_candidate(search *s, const nmrt_candidate *x, nmrt_error *e)
{
    if (s->n == s->cap) {
        int cap = s->cap ? 2 * s->cap : 256;
        nmrt_candidate *all = realloc(s->all, (size_t)cap * sizeof *all);
        if (!all)
            return nmrt_fail(e, NMRT_WORLD, "no memory for the candidates");
        s->all = all;
        s->cap = cap;
    }
    s->all[s->n] = *x;
    s->all[s->n].order = s->n;
    s->n++;
    return NMRT_OK;
}

static nmrt_status add_timed(search *s, nmrt_candidate *x, double seconds, nmrt_error *e)
{
    double pp = (double)x->flags.pp, n_micro = (double)s->cluster->options->global_batch /
                                               (double)(x->micro_batch * x->flags.dp);
    x->least = seconds * (n_micro / pp + (pp - 1) / pp / (double)x->flags.vp);
    return add_candidate(s, x, e);
}

// Of all vp whose largest virtual stage has as many turns, the smallest; one that is asked for,
// where there are stages.
static nmrt_status add_interleaved(search *s, nmrt_candidate *x, double seconds, nmrt_error *e)
{
    const nmrt_options *o = s->cluster->options;
    int64_t turns = s->cluster->program->pp_turns, pp = x->flags.pp, last = 0;
    bool asked = nmrt_option_given(o, nmrt_option_find("vp")),
         divides = pp > 1 && o->global_batch / (x->micro_batch * x->flags.dp) % pp == 0;
    if (asked && pp > 1) {
        x->flags.vp = o->vp;
        return add_timed(s, x, seconds, e);
    }
    for (int64_t vp = 1; vp == 1 || (divides && pp * vp <= turns); vp++) {
        int64_t most = (turns + pp * vp - 1) / (pp * vp);
        x->flags.vp = vp;
        if (vp == 1 || most != last)
            NMRT_TRY(add_timed(s, x, seconds, e));
        last = most;
    }
    return NMRT_OK;
}

static nmrt_status add_micro_batches(search *s, const nmrt_mesh_flags *f, nmrt_error *e)
{
    const nmrt_options *o = s->cluster->options;
    bool asked = nmrt_option_given(o, nmrt_option_find("micro-batch"));
    int64_t samples = o->global_batch / f->dp, first = asked ? o->micro_batch : 1,
            last = asked ? first : samples;
    nmrt_mesh mesh;
    nmrt_error why;
    if (nmrt_mesh_init(&mesh, s->cluster->program, f, &why) != NMRT_OK) {
        s->why = *s->why.text ? s->why : why;
        return NMRT_OK;
    }
    for (int64_t n = first; n <= last && samples % n == 0; n *= 2) {
        nmrt_candidate x = {.flags = *f, .micro_batch = n};
        double seconds;
        if (price_evenly(s->cluster, &mesh, n, &seconds, &why) == NMRT_OK)
            NMRT_TRY(add_interleaved(s, &x, seconds, e));
        else if (!*s->why.text)
            s->why = why;
    }
    return NMRT_OK;
}

static nmrt_status add_zeros(search *s, nmrt_mesh_flags *f, nmrt_error *e)
{
    if (s->cluster->options->global_batch % f->dp)
        return NMRT_OK;
    for (f->zero = f->dp > 1 ? 0 : 1; f->zero <= (f->dp > 1 ? 3 : 1); f->zero++) {
        double memory = memory_from_below(s, f);
        if (!is_wanted(s, "zero", s->cluster->options->zero, f->zero))
            continue;
        if (memory <= (double)s->cluster->memory)
            NMRT_TRY(add_micro_batches(s, f, e));
        else if (memory < s->least_memory)
            s->least_memory = memory;
    }
    return NMRT_OK;
}

static bool is_asked_for(const search *s, const nmrt_mesh_flags *f)
{
    const nmrt_options *o = s->cluster->options;
    return is_wanted(s, "tp", o->tp, f->tp) && is_wanted(s, "pp", o->pp, f->pp) &&
           is_wanted(s, "cp", o->cp, f->cp) && is_wanted(s, "dp", o->dp, f->dp);
}

// Both ways over cp of a program that has both, if none is asked for.
static nmrt_status add_ways(search *s, nmrt_mesh_flags *f, nmrt_error *e)
{
    const nmrt_options *o = s->cluster->options;
    const nmdrv_program *p = s->cluster->program;
    bool asked = nmrt_option_given(o, nmrt_option_find("cp-comm")), can = false;
    for (int64_t i = 0; i < p->n_modes; i++)
        can |= p->mode[i].ring != 0;
    for (int ring = 0; ring <= (f->cp > 1 && (can || asked)); ring++) {
        bool other = asked && f->cp > 1 && ring != (strcmp(o->cp_comm, "ring") == 0);
        f->ring = ring;
        if (!other)
            NMRT_TRY(add_zeros(s, f, e));
    }
    return NMRT_OK;
}

static nmrt_status make_candidates(search *s, nmrt_error *e)
{
    const nmrt_options *o = s->cluster->options;
    int64_t gpus = s->cluster->gpus, turns = s->cluster->program->pp_turns,
            most = turns > o->pp ? turns : o->pp; // what is asked for is refused in its own words
    for (int64_t tp = 1; tp <= s->cluster->node; tp++)
        for (int64_t pp = 1; gpus % tp == 0 && pp <= most; pp++)
            for (int64_t cp = 1; gpus % (tp * pp) == 0 && cp <= gpus / (tp * pp); cp++) {
                nmrt_mesh_flags f = {.tp = tp, .pp = pp, .cp = cp, .vp = 1, .sp = true};
                f.dp = gpus / (tp * pp * cp);
                if (tp * pp * cp * f.dp == gpus && is_asked_for(s, &f))
                    NMRT_TRY(add_ways(s, &f, e));
            }
    return NMRT_OK;
}

// --- the best ------------------------------------------------------------------------------------

static int by_least(const void *a, const void *b)
{
    const nmrt_candidate *x = a, *y = b;
    if (x->least != y->least)
        return x->least < y->least ? -1 : 1;
    return x->order - y->order;
}

static bool better(const nmrt_candidate *a, const nmrt_candidate *b)
{
    if (a->seconds != b->seconds)
        return a->seconds < b->seconds;
    return a->need.total != b->need.total ? a->need.total < b->need.total : a->order < b->order;
}

static bool same_mesh(const nmrt_candidate *a, const nmrt_candidate *b)
{
    return a->flags.tp == b->flags.tp && a->flags.pp == b->flags.pp && a->flags.vp == b->flags.vp &&
           a->flags.cp == b->flags.cp && a->flags.ring == b->flags.ring;
}

static void keep(search *s, const nmrt_candidate *x)
{
    int at = 0, n = s->n_best;
    for (int i = 0; i < n; i++)
        if (same_mesh(&s->best[i], x)) {
            if (!better(x, &s->best[i]))
                return;
            memmove(s->best + i, s->best + i + 1, (size_t)(--n - i) * sizeof *x);
        }
    while (at < n && better(&s->best[at], x))
        at++;
    if (at == s->most)
        return;
    n = n < s->most ? n + 1 : n;
    memmove(s->best + at + 1, s->best + at, (size_t)(n - 1 - at) * sizeof *x);
    s->best[at] = *x;
    s->n_best = n;
}

static bool fits(search *s, const nmrt_need *need)
{
    if (need->total <= (double)s->cluster->memory)
        return true;
    s->least_memory = need->total < s->least_memory ? need->total : s->least_memory;
    return false;
}

// A candidate, set up with each recomputation that is tried.
typedef struct trial {
    search *search;
    nmrt_candidate *candidate;
    nmrt_run run;
    nmrt_options options;
} trial;

// The first stage, which has most micro-batches under way, first: most that do not fit end there.
static nmrt_status weigh(trial *t, const nmrt_setup *setup, bool *fit, nmrt_error *e)
{
    nmrt_candidate *x = t->candidate;
    x->need = (nmrt_need){0};
    *fit = true;
    for (int r = 0; r < setup->stages.pp && *fit; r++) {
        nmrt_need need;
        NMRT_TRY(nmrt_planner_need(t->search->cluster, setup, r, &need, e));
        *fit = fits(t->search, &need);
        x->need = need.total > x->need.total ? need : x->need;
    }
    return NMRT_OK;
}

static nmrt_status try_recompute(void *of, const nmrt_recompute *recompute, bool *fit,
                                 nmrt_error *e)
{
    trial *t = of;
    nmrt_setup setup;
    t->run.recompute = recompute;
    NMRT_TRY(nmrt_setup_init(&setup, &t->run, e));
    nmrt_status status = weigh(t, &setup, fit, e);
    nmrt_setup_release(&setup);
    return status;
}

static nmrt_status choose_recompute(trial *t, bool *fit, nmrt_error *e)
{
    const nmrt_recompute *asked = &t->search->cluster->asked;
    nmrt_recompute *recompute = &t->candidate->recompute;
    const nmrt_mesh *mesh = &t->run.mesh;
    const nmrt_fitting fitting = {try_recompute, t};
    nmrt_stages stages;
    *recompute = *asked;
    if (!nmrt_recompute_is_auto(asked))
        return NMRT_OK;
    NMRT_TRY(
        nmrt_stages_init(&stages, t->run.program, (int)mesh->size[NMDRV_PP], (int)mesh->vp, e));
    nmrt_status status =
        nmrt_recompute_least(asked, &stages, t->run.program, &fitting, recompute, fit, e);
    nmrt_stages_release(&stages);
    return status;
}

static nmrt_status price(trial *t, bool *fit, nmrt_error *e)
{
    nmrt_setup setup;
    t->run.recompute = &t->candidate->recompute;
    NMRT_TRY(nmrt_setup_init(&setup, &t->run, e));
    nmrt_status status = weigh(t, &setup, fit, e);
    if (status == NMRT_OK && *fit)
        status = nmrt_planner_step(t->search->cluster, &setup, t->candidate, e);
    nmrt_setup_release(&setup);
    return status;
}

static nmrt_status consider(search *s, nmrt_candidate *x, nmrt_error *e)
{
    trial t = {.search = s, .candidate = x, .options = *s->cluster->options};
    bool fit = true;
    t.options.micro_batch = x->micro_batch;
    t.run = (nmrt_run){.program = s->cluster->program,
                       .device = &nmrt_device_host,
                       .options = &t.options,
                       .threads = 1};
    NMRT_TRY(nmrt_mesh_init(&t.run.mesh, t.run.program, &x->flags, e));
    NMRT_TRY(choose_recompute(&t, &fit, e));
    if (fit)
        NMRT_TRY(price(&t, &fit, e));
    if (fit)
        keep(s, x);
    return NMRT_OK;
}

// A candidate that the program refuses is none; what goes wrong here ends the search.
static nmrt_status find_best(search *s, nmrt_error *e)
{
    if (s->n)
        qsort(s->all, (size_t)s->n, sizeof *s->all, by_least);
    for (int i = 0; i < s->n; i++) {
        if (s->n_best == s->most && s->all[i].least > s->best[s->most - 1].seconds)
            break;
        nmrt_status status = consider(s, &s->all[i], e);
        if (status != NMRT_OK && status != NMRT_USAGE)
            return status;
        if (status == NMRT_USAGE && !*s->why.text)
            s->why = *e;
    }
    return NMRT_OK;
}

static nmrt_status explain(const search *s, nmrt_error *e)
{
    const nmrt_cluster *c = s->cluster;
    if (s->least_memory < 1e300)
        return nmrt_fail(
            e, NMRT_USAGE,
            "no mesh of --gpus %lld holds %s: a GPU needs at least %s and has %s; more "
            "--gpus, a larger --global-batch or a smaller --seq may help",
            (long long)c->gpus, c->program->name, nmrt_bytes((int64_t)s->least_memory).s,
            nmrt_bytes(c->memory).s);
    const char *rule = "tp x pp x cp x dp has to be --gpus, tp at most --node, and dp x "
                       "--micro-batch has to divide --global-batch";
    return nmrt_fail(e, NMRT_USAGE, "no mesh of --gpus %lld suits these flags and %s: %s",
                     (long long)c->gpus, c->program->name, *s->why.text ? s->why.text : rule);
}

nmrt_status nmrt_planner_search(const nmrt_cluster *c, int most, nmrt_candidate *best, int *n,
                                nmrt_error *e)
{
    search s = {.cluster = c, .best = best, .most = most, .least_memory = 1e300};
    count_elements(&s);
    nmrt_status status = make_candidates(&s, e);
    if (status == NMRT_OK)
        status = find_best(&s, e);
    if (status == NMRT_OK && !s.n_best)
        status = explain(&s, e);
    free(s.all);
    *n = s.n_best;
    return status;
}
