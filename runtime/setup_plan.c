// The plan of a rank: which functions it runs, with how many turns, and which of the parameters it
// holds.
#include "runtime/channels.h"
#include "runtime/checkpoint.h"
#include "runtime/checkpoint_format.h"
#include "runtime/data_flags.h"
#include "runtime/logits.h"
#include "runtime/setup.h"

#include <stdlib.h>
#include <string.h>

bool nmrt_setup_runs(const nmrt_setup *s, int pp, const nmdrv_func *f)
{
    if (!nmrt_texts_has(&s->texts, f))
        return false;
    bool uncut = f->phase == NMDRV_WHOLE && (f->role == NMDRV_MICRO || f->role == NMDRV_EVAL_MICRO);
    const nmrt_chain *chain = f->role == NMDRV_EVAL_MICRO ? &s->eval : &s->train;
    if ((f->recompute >= 0 || f->products >= 0) && chain->n_calls) // of its texts, those of chunks
        return nmrt_chain_turns(chain, pp, f) > 0;
    if (uncut)
        return pp == (s->stages.n - 1) % s->stages.pp;
    return !f->units || f->units & s->stage_units[pp];
}

bool nmrt_in_turns(const nmdrv_func *f)
{
    return f->role == NMDRV_WEIGHTS || f->phase == NMDRV_FORWARD || f->phase == NMDRV_TURN ||
           f->phase == NMDRV_BACKWARD;
}

nmrt_turns nmrt_setup_turns(const nmrt_setup *s, int pp, const nmdrv_func *f)
{
    nmrt_turns t = {0, 0, 1};
    bool rows = !nmrt_in_turns(f);
    for (int v = pp; v < s->stages.n; v += s->stages.pp)
        for (int i = s->stages.at[v]; i < s->stages.at[v + 1]; i++) {
            const nmrt_stage_part *part = &s->stages.part[i];
            if (!((uint64_t)f->units >> part->unit & 1))
                continue;
            int64_t n = rows ? nmrt_stages_rows(&s->stages, part).n : part->n;
            t.all += n;
            t.chunk = n > t.chunk ? n : t.chunk;
            t.each = rows ? 1 : s->stages.each[part->unit];
        }
    if (f->role == NMDRV_MICRO && s->train.n_calls) // a part may be two chunks
        t.chunk = nmrt_chain_turns(&s->train, pp, f);
    if (f->role == NMDRV_FINISH) // of all chunks at once
        t.chunk = t.all;
    return t;
}

// Collectives by NCCL are made ready before a run.
static nmrt_status add_launches(const nmrt_setup *s, int pp, const nmdrv_func *f,
                                const nmrt_turns *turns, nmrt_plan *plan, nmrt_error *e)
{
    if (s->device->flavour != NMDRV_GPU || s->mesh.world == 1 ||
        strcmp(s->options->collectives, "host") == 0)
        return NMRT_OK;
    nmrt_setup at = nmrt_setup_seen_from(s, pp);
    if (f->turns >= 0)
        at.syms.at[f->turns].size = turns->chunk;
    return nmrt_plan_launches(plan, &at.mesh, f, at.syms.at, e);
}

static nmrt_status add_role(const nmrt_setup *s, int pp, nmdrv_role role, nmrt_plan *plan,
                            nmrt_error *e)
{
    for (int64_t i = 0; i < s->program->n_funcs; i++) {
        const nmdrv_func *f = &s->program->func[i];
        if (f->role != (int64_t)role || !nmrt_setup_runs(s, pp, f))
            continue;
        nmrt_turns turns = {0};
        if (f->turns >= 0)
            turns = nmrt_setup_turns(s, pp, f);
        NMRT_TRY(nmrt_plan_add(plan, f, s->syms.at, &turns, e));
        NMRT_TRY(add_launches(s, pp, f, &turns, plan, e));
    }
    return NMRT_OK;
}

static nmrt_status add_schedules(const nmrt_setup *s, nmrt_plan *plan, nmrt_error *e)
{
    const nmrt_hypers *h = &s->options->hypers;
    for (int i = 0; i < h->program->n_hypers; i++) {
        const nmdrv_func *f = nmrt_schedule_of(h, i);
        if (f && !nmrt_plan_find(plan, f))
            NMRT_TRY(nmrt_plan_add(plan, f, s->syms.at, NULL, e));
    }
    return NMRT_OK;
}

// --- shares --------------------------------------------------------------------------------------

static bool binds(const nmdrv_arg *arg, int64_t n, const nmdrv_param *param)
{
    for (int64_t i = 0; i < n; i++)
        if (arg[i].bind == (param->is_state ? NMDRV_STATE : NMDRV_PARAM) &&
            strcmp(arg[i].name, param->path) == 0)
            return true;
    return false;
}

// Does a rank on this stage hold the parameter?
static bool holds(const nmrt_setup *s, int pp, const nmdrv_param *param)
{
    for (int i = 0; i < s->program->n_funcs; i++) {
        const nmdrv_func *f = &s->program->func[i];
        bool step = f->role == NMDRV_INIT || f->role == NMDRV_WEIGHTS || f->role == NMDRV_MICRO ||
                    f->role == NMDRV_FINISH;
        if (step && nmrt_setup_runs(s, pp, f) &&
            (binds(f->arg, f->n_args, param) || binds(f->result, f->n_results, param)))
            return true;
    }
    return false;
}

static nmrt_share share_of(const nmrt_setup *s, int64_t param, nmrt_run_of **turn)
{
    int pp = (int)s->mesh.index[NMDRV_PP];
    const nmdrv_param *p = &s->program->param[param];
    const nmrt_slot *slot =
        nmrt_plan_slot(&s->plan, p->is_state ? NMDRV_STATE : NMDRV_PARAM, p->path);
    nmrt_share share = {0};
    if (slot && slot->units) {
        share.turn = *turn;
        share.n_turns = nmrt_stages_runs(&s->stages, pp, slot->units, *turn);
        *turn += share.n_turns;
        return share;
    }
    for (int lower = 0; slot && lower < pp && !share.elsewhere; lower++)
        share.elsewhere = holds(s, lower, p);
    return share;
}

// A parameter's memory has to be what its dims say, or the program is inconsistent.
static nmrt_status check_part(const nmrt_setup *s, int64_t param, nmrt_error *e)
{
    const nmrt_slot *slot = nmrt_checkpoint_slot(&s->plan, &s->program->param[param]);
    nmrt_shares shares = nmrt_setup_shares(s, NULL);
    nmrt_part part = {0};
    nmrt_status status =
        slot ? nmrt_part_init(&part, s->program, param, slot, &shares, e) : NMRT_OK;
    nmrt_part_release(&part);
    return status;
}

nmrt_status nmrt_setup_find_shares(nmrt_setup *s, nmrt_error *e)
{
    size_t n = (size_t)s->program->n_params;
    s->share = calloc(n + 1, sizeof *s->share);
    s->share_turn = calloc(n * (size_t)s->stages.n_parts + 1, sizeof *s->share_turn);
    if (!s->share || !s->share_turn)
        return nmrt_fail(e, NMRT_WORLD, "no memory for the parameters' shares");
    nmrt_run_of *turn = s->share_turn;
    for (size_t i = 0; i < n; i++)
        s->share[i] = share_of(s, (int64_t)i, &turn);
    for (size_t i = 0; i < n; i++)
        NMRT_TRY(check_part(s, (int64_t)i, e));
    return NMRT_OK;
}

nmrt_shares nmrt_setup_shares(const nmrt_setup *s, nmrt_comm *comm)
{
    return (nmrt_shares){comm, &s->mesh, s->syms.at, s->share};
}

nmrt_setup nmrt_setup_seen_from(const nmrt_setup *s, int pp)
{
    nmrt_setup at = *s;
    nmrt_mesh_place(&at.mesh, pp * (s->mesh.world / s->mesh.size[NMDRV_PP]));
    nmrt_mesh_bind(&at.mesh, at.syms.at);
    return at;
}

// What a save copies before the next step changes it.
static nmrt_status add_copy(const nmrt_setup *s, int pp, nmrt_plan *plan, nmrt_error *e)
{
    nmrt_setup at = nmrt_setup_seen_from(s, pp);
    at.plan = *plan;
    at.share = NULL;
    at.share_turn = NULL;
    nmrt_status status = nmrt_setup_find_shares(&at, e);
    nmrt_shares shares = nmrt_setup_shares(&at, NULL);
    if (status == NMRT_OK)
        status = nmrt_saver_bytes(plan, &shares, &plan->copy, e);
    free(at.share);
    free(at.share_turn);
    return status;
}

// --- the plan ------------------------------------------------------------------------------------

nmrt_status nmrt_setup_plan(const nmrt_setup *s, int pp, nmrt_plan *plan, nmrt_error *e)
{
    static const nmdrv_role train[] = {NMDRV_INIT, NMDRV_COUNT, NMDRV_WEIGHTS, NMDRV_MICRO,
                                       NMDRV_FINISH},
                            eval[] = {NMDRV_EVAL_MICRO, NMDRV_EVAL_FINISH};
    const nmrt_options *o = s->options;
    *plan = (nmrt_plan){.program = s->program, .apart = o->check_memory};
    if (o->verb == NMRT_TRAIN) {
        for (int i = 0; i < 5; i++)
            NMRT_TRY(add_role(s, pp, train[i], plan, e));
        NMRT_TRY(add_schedules(s, plan, e));
    }
    for (int i = 0; (o->verb == NMRT_EVAL || nmrt_data_has_valid(o)) && i < 2; i++)
        NMRT_TRY(add_role(s, pp, eval[i], plan, e));
    if (o->dump_logits)
        NMRT_TRY(nmrt_plan_add(plan, nmrt_logits_func(s->program), s->syms.at, NULL, e));
    int64_t training = nmrt_chain_links(&s->train, &s->actions, pp).bytes,
            evaluation = nmrt_chain_links(&s->eval, NULL, pp).bytes;
    plan->links = nmrt_channels_bytes(s, pp) + (training > evaluation ? training : evaluation);
    if (o->verb == NMRT_TRAIN && o->save)
        NMRT_TRY(add_copy(s, pp, plan, e));
    nmrt_plan_finish(plan, s->threads);
    return NMRT_OK;
}

nmrt_status nmrt_setup_memory(const nmrt_setup *s, int64_t *bytes, nmrt_error *e)
{
    for (int r = 0; r < s->stages.pp; r++) {
        nmrt_plan plan;
        nmrt_status status = nmrt_setup_plan(s, r, &plan, e);
        bytes[r] = plan.total;
        nmrt_plan_release(&plan);
        NMRT_TRY(status);
    }
    return NMRT_OK;
}
