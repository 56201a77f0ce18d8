// A rank's list, run.
#include "runtime/stage.h"

#include "runtime/channels.h"
#include "runtime/clock.h"
#include "runtime/stop.h"

#include <stdlib.h>
#include <string.h>

static int pp_rank(const nmrt_pipe *p) { return (int)p->setup->mesh.index[NMDRV_PP]; }

// --- where things lie ----------------------------------------------------------------------------

// The slot of a micro-batch on a stage.
static char *slot_at(const nmrt_pipe *p, int stage, int micro, const nmrt_actions *a)
{
    const nmrt_chain *c = p->chain;
    if (p->links.stride)
        return p->memory + p->links.shared + a->slot[stage * a->n_micro + micro] * p->links.stride;
    return p->memory + p->base[stage] + c->room[stage] + micro % a->slots[stage] * c->slot[stage];
}

static char *place_at(const nmrt_pipe *p, const nmrt_place *place, int micro, const nmrt_actions *a)
{
    char *from =
        place->in_slot ? slot_at(p, place->stage, micro, a) : p->memory + p->base[place->stage];
    return from + place->offset;
}

// Where row `first` is among those of these units that this rank has.
static int64_t local_row(const nmrt_pipe *p, uint64_t units, int64_t first)
{
    const nmrt_stages *s = &p->setup->stages;
    int64_t n = 0;
    for (int v = pp_rank(p); v < s->n; v += s->pp)
        for (int i = s->at[v]; i < s->at[v + 1]; i++) {
            nmrt_run_of rows = nmrt_stages_rows(s, &s->part[i]);
            if (units >> s->part[i].unit & 1 && rows.from < first) // of its own part: of a chunk
                n += first - rows.from < rows.n ? first - rows.from : rows.n;
        }
    return n;
}

// The buffers of a function for one part, but for links. part NULL: for all that this rank has.
static void set_buffers(nmrt_pipe *p, const nmrt_planned *f, const nmrt_stage_part *part)
{
    const nmrt_engine *en = p->en;
    for (int64_t b = 0; b < f->func->n_bufs; b++) {
        const nmrt_slot *slot = f->slot[b] >= 0 ? &en->plan->slot[f->slot[b]] : NULL;
        p->buf[b] = en->buf[f - en->plan->func][b];
        if (slot && slot->units && part)
            p->buf[b] = (char *)p->buf[b] +
                        slot->row_bytes * local_row(p, slot->units,
                                                    nmrt_stages_rows(&p->setup->stages, part).from);
    }
}

// run: of turns, or of rows.
static void run_part(nmrt_pipe *p, const nmrt_planned *f, nmrt_run_of run, nmrt_syms *syms)
{
    if (f->func->turns >= 0)
        syms->at[f->func->turns] = nmrt_turns_sym(p->setup->program, f->func, run);
    nmrt_engine_run(p->en, f, syms->at, p->buf);
}

// --- a micro-batch -------------------------------------------------------------------------------

typedef struct running { // what an action runs in
    const nmrt_actions *a;
    const nmrt_batch *batch;
    const nmrt_action *x;
    nmrt_syms syms;
} running;

static bool same_form(const nmdrv_arg *a, const nmdrv_arg *b)
{
    for (int64_t i = 0; i < a->rank; i++)
        if (a->dim[i] != b->dim[i])
            return false;
    return a->rank == b->rank;
}

static nmrt_status load_field(nmrt_pipe *p, const nmdrv_arg *field, const running *r, nmrt_error *e)
{
    const nmrt_batch *b = r->batch;
    nmrt_track *track = nmrt_trace_steps(p->en->trace);
    int64_t begin = nmrt_trace_begin(track, "data");
    nmrt_status status = nmrt_data_load(b->data, p->en, field, r->syms.at, b->first, e);
    nmrt_trace_end(track, begin, &(nmrt_span){.kind = NMRT_SPAN_COPY, .name = "data"});
    if (status == NMRT_OK || !b->late)
        return status;
    if (b->late->status == NMRT_OK)
        *b->late = (nmrt_late){status, *e};
    return NMRT_OK;
}

// What the function reads, in the form in which it does. A stage may run another micro-batch before
// it comes back to this one, whose data then are loaded again: they are small beside what would
// have to be kept.
static nmrt_status load_data(nmrt_pipe *p, const nmrt_planned *f, const running *r, nmrt_error *e)
{
    for (int64_t i = 0; i < f->func->n_args; i++) {
        const nmdrv_arg *arg = &f->func->arg[i];
        if (arg->bind != NMDRV_DATA)
            continue;
        nmrt_loaded *has = &p->loaded[f->slot[arg->buf]];
        if (has->arg && has->micro == r->x->micro && same_form(has->arg, arg))
            continue;
        *has = (nmrt_loaded){arg, r->x->micro};
        NMRT_TRY(load_field(p, arg, r, e));
    }
    return NMRT_OK;
}

static nmrt_status run_call(nmrt_pipe *p, int call, running *r, nmrt_error *e)
{
    const nmrt_call *x = &p->chain->call[call];
    bool last = x->last && r->x->micro == r->a->n_micro - 1;
    const nmrt_planned *f = nmrt_plan_find(p->en->plan, last ? x->last : x->func);
    const int *places = last ? p->last_place : p->place;
    NMRT_TRY(load_data(p, f, r, e));
    set_buffers(p, f, &x->part);
    for (int64_t b = 0; b < f->func->n_bufs; b++) {
        int place = places[call * p->most + b];
        if (place >= 0)
            p->buf[b] = place_at(p, &p->chain->place[place], r->x->micro, r->a);
    }
    run_part(p, f, nmrt_turns_of(&x->part), &r->syms);
    return NMRT_OK;
}

// With --check-memory: what is about to be made has no values yet.
static void poison(nmrt_pipe *p, int stage, bool backward, const running *r)
{
    const nmrt_chain *c = p->chain;
    const nmrt_device_ops *ops = p->en->ops;
    char *room = p->memory + p->base[stage];
    if (!p->en->check_memory)
        return;
    if (!backward || c->slot[stage])
        ops->fill(p->en->device, room, c->room[stage], NMRT_POISON);
    if (!backward)
        ops->fill(p->en->device, slot_at(p, stage, r->x->micro, r->a), c->slot[stage], NMRT_POISON);
}

static nmrt_status run_stage(nmrt_pipe *p, running *r, nmrt_error *e)
{
    bool backward = r->x->act == NMRT_BACKWARD;
    int first = backward ? p->chain->stages->n - 1 : 0;
    if (p->comm->ranks == 1)
        NMRT_TRY(nmrt_stop_check(e));
    if (r->x->stage == first)
        poison(p, first, backward, r);
    for (int i = 0; i < p->chain->n_calls; i++)
        if (p->chain->call[i].stage == r->x->stage && p->chain->call[i].backward == backward)
            NMRT_TRY(run_call(p, i, r, e));
    return NMRT_OK;
}

// --- neighbours ----------------------------------------------------------------------------------

// Sends one value, or receives it.
static nmrt_status pass(nmrt_pipe *p, const running *r, const nmrt_place *place, bool backward,
                        nmrt_error *e)
{
    const nmrt_value *value = &p->chain->value[place->value];
    bool sends = r->x->act == NMRT_SEND_FORWARD || r->x->act == NMRT_SEND_BACKWARD;
    nmrt_message m = {nmrt_world_rank(p->setup, r->x->peer),
                      backward ? NMRT_TAG_BACKWARD : NMRT_TAG_FORWARD, value->bytes, value->name,
                      value->where};
    void *at = place_at(p, place, r->x->micro, r->a);
    return sends ? p->en->ops->send(p->en->device, &m, at, e)
                 : p->en->ops->receive(p->en->device, &m, at, e);
}

static nmrt_status send_all(nmrt_pipe *p, const running *r, nmrt_error *e)
{
    const nmrt_chain *c = p->chain;
    bool backward = r->x->act == NMRT_SEND_BACKWARD;
    for (int i = c->at[r->x->stage]; i < c->at[r->x->stage + 1]; i++)
        if (c->place[i].sent[backward])
            NMRT_TRY(pass(p, r, &c->place[i], backward, e));
    return NMRT_OK;
}

static nmrt_status receive_all(nmrt_pipe *p, const running *r, nmrt_error *e)
{
    const nmrt_chain *c = p->chain;
    bool backward = r->x->act == NMRT_RECV_BACKWARD;
    poison(p, r->x->stage, backward, r);
    for (int i = c->at[r->x->stage]; i < c->at[r->x->stage + 1]; i++)
        if (c->place[i].come[backward])
            NMRT_TRY(pass(p, r, &c->place[i], backward, e));
    return NMRT_OK;
}

static nmrt_status meet_neighbour(nmrt_pipe *p, const running *r,
                                  nmrt_status (*meet)(nmrt_pipe *, const running *, nmrt_error *),
                                  nmrt_error *e)
{
    double start = nmrt_seconds();
    nmrt_status status = meet(p, r, e);
    p->comm->waited += nmrt_seconds() - start;
    return status;
}

// --- the ends of a step --------------------------------------------------------------------------

// For a function of some units the axis pp is the stages that run it.
static void bind_owners(const nmrt_pipe *p, const nmdrv_func *f, nmrt_syms *syms)
{
    const nmdrv_program *program = p->setup->program;
    int64_t n = 0, index = 0;
    for (int r = 0; r < p->setup->stages.pp; r++) {
        index = r == pp_rank(p) ? n : index;
        n += nmrt_setup_runs(p->setup, r, f);
    }
    for (int64_t i = 0; i < program->n_syms; i++) {
        const nmdrv_sym_info *s = &program->sym[i];
        if (s->n_axes == 1 && s->axis[0] == NMDRV_PP && !*s->of) {
            syms->at[i].size = n;
            syms->at[i].offset = index;
        }
    }
}

// All rows that this rank has of these units, as if they were neighbours.
static nmrt_run_of all_rows(const nmrt_pipe *p, uint64_t units)
{
    const nmrt_stages *s = &p->setup->stages;
    nmrt_run_of all = {0};
    for (int v = pp_rank(p); v < s->n; v += s->pp)
        for (int i = s->at[v]; i < s->at[v + 1]; i++) {
            nmrt_run_of rows = nmrt_stages_rows(s, &s->part[i]);
            if (!(units >> s->part[i].unit & 1))
                continue;
            all.from = all.n ? all.from : rows.from;
            all.n += rows.n;
        }
    return all;
}

// With all rows, which need not be neighbours: what runs so does not ask which rows they are.
static void run_whole(nmrt_pipe *p, const nmrt_planned *f, nmrt_syms *syms)
{
    bind_owners(p, f->func, syms);
    set_buffers(p, f, NULL);
    run_part(p, f, all_rows(p, (uint64_t)f->func->units), syms);
}

static bool is_of(const nmdrv_func *f, nmdrv_role role, nmdrv_phase phase)
{
    bool whole = f->phase == NMDRV_WHOLE && phase == NMDRV_MIDDLE && role != NMDRV_COUNT;
    return f->role == (int64_t)role && (whole || f->phase == (int64_t)phase);
}

static void run_phase(nmrt_pipe *p, nmdrv_role role, nmdrv_phase phase)
{
    nmrt_syms syms = p->setup->syms;
    for (int i = 0; i < p->en->plan->n_funcs; i++)
        if (is_of(p->en->plan->func[i].func, role, phase))
            run_whole(p, &p->en->plan->func[i], &syms);
}

void nmrt_pipe_finish(nmrt_pipe *p, nmdrv_role role)
{
    for (int phase = NMDRV_BEFORE; phase <= NMDRV_AFTER; phase++)
        run_phase(p, role, (nmdrv_phase)phase);
}

static nmrt_status count(nmrt_pipe *p, running *r, nmrt_error *e)
{
    for (int i = 0; i < p->en->plan->n_funcs; i++) {
        const nmrt_planned *f = &p->en->plan->func[i];
        if (!is_of(f->func, NMDRV_COUNT, NMDRV_WHOLE))
            continue;
        if (p->comm->ranks == 1)
            NMRT_TRY(nmrt_stop_check(e));
        NMRT_TRY(load_data(p, f, r, e));
        nmrt_engine_call(p->en, f, r->syms.at);
    }
    return NMRT_OK;
}

// Part by part of what this rank has.
static void run_parts(nmrt_pipe *p, const nmrt_planned *f, nmrt_syms *syms)
{
    const nmrt_stages *s = &p->setup->stages;
    for (int v = pp_rank(p); v < s->n; v += s->pp)
        for (int i = s->at[v]; i < s->at[v + 1]; i++) {
            const nmrt_stage_part *part = &s->part[i];
            if (!(f->func->units >> part->unit & 1))
                continue;
            set_buffers(p, f, part);
            run_part(p, f, nmrt_in_turns(f->func) ? nmrt_turns_of(part) : nmrt_stages_rows(s, part),
                     syms);
        }
}

static void run_role(nmrt_pipe *p, nmdrv_role role)
{
    nmrt_syms syms = p->setup->syms;
    for (int k = 0; k < p->en->plan->n_funcs; k++) {
        const nmrt_planned *f = &p->en->plan->func[k];
        if (f->func->role == (int64_t)role && f->func->turns < 0)
            run_whole(p, f, &syms);
        else if (f->func->role == (int64_t)role)
            run_parts(p, f, &syms);
    }
}

void nmrt_pipe_init(nmrt_pipe *p) { run_role(p, NMDRV_INIT); }

// --- the list ------------------------------------------------------------------------------------

static nmrt_status run_action(nmrt_pipe *p, running *r, nmrt_error *e)
{
    switch (r->x->act) {
    case NMRT_COUNT_MICRO: return count(p, r, e);
    case NMRT_COUNTED: run_phase(p, NMDRV_COUNT, NMDRV_MIDDLE); return NMRT_OK;
    case NMRT_FORWARD:
    case NMRT_BACKWARD: return run_stage(p, r, e);
    case NMRT_SEND_FORWARD:
    case NMRT_SEND_BACKWARD: return meet_neighbour(p, r, send_all, e);
    case NMRT_RECV_FORWARD:
    case NMRT_RECV_BACKWARD: return meet_neighbour(p, r, receive_all, e);
    case NMRT_BEFORE: return p->comm->ranks == 1 ? nmrt_stop_check(e) : NMRT_OK;
    default: return NMRT_OK;
    }
}

static nmrt_status run_traced(nmrt_pipe *p, running *r, nmrt_error *e)
{
    const nmrt_action *x = r->x;
    nmrt_track *track = nmrt_trace_steps(p->en->trace);
    int64_t begin = nmrt_trace_begin(track, nmrt_act_name(x->act));
    nmrt_status status = run_action(p, r, e);
    if (status == NMRT_OK && x->act >= NMRT_BEFORE)
        run_phase(p, NMDRV_FINISH, (nmdrv_phase)(NMDRV_BEFORE + x->act - NMRT_BEFORE));
    nmrt_trace_end(track, begin,
                   &(nmrt_span){.kind = NMRT_SPAN_PHASE,
                                .name = nmrt_act_name(x->act),
                                .number = {{"micro_batch", x->micro}, {"stage", x->stage}}});
    return status;
}

static nmrt_status run_list(nmrt_pipe *p, running *r, nmrt_error *e)
{
    const nmrt_list *list = &r->a->list[pp_rank(p)];
    for (int i = 0; i < list->n; i++) {
        r->x = &list->action[i];
        nmrt_setup_bind(p->setup, r->x->micro, r->batch->samples, r->batch->total, &r->syms);
        NMRT_TRY(run_traced(p, r, e));
    }
    return NMRT_OK;
}

// What the step's micro-batches share.
static void round_weights(nmrt_pipe *p)
{
    nmrt_track *track = nmrt_trace_steps(p->en->trace);
    int64_t begin = nmrt_trace_begin(track, "weights");
    run_role(p, NMDRV_WEIGHTS);
    nmrt_trace_end(track, begin, &(nmrt_span){.kind = NMRT_SPAN_PHASE, .name = "weights"});
}

nmrt_status nmrt_pipe_run(nmrt_pipe *p, const nmrt_actions *a, const nmrt_batch *b, nmrt_error *e)
{
    running r = {.a = a, .batch = b};
    memset(p->loaded, 0, (size_t)p->en->plan->n_slots * sizeof *p->loaded);
    if (p->chain == &p->setup->train)
        round_weights(p);
    return run_list(p, &r, e);
}

// --- open and close ------------------------------------------------------------------------------

// Of a call's buffers, [most]; func NULL: it has none.
static void find_places(const nmrt_pipe *p, const nmrt_call *call, const nmdrv_func *func,
                        const int *values, int *place)
{
    const nmrt_chain *c = p->chain;
    for (int64_t b = 0; b < p->most; b++) {
        int value = func && b < func->n_bufs ? values[b] : -1;
        place[b] = value < 0 ? -1 : (int)(nmrt_chain_place(c, call->stage, value) - c->place);
    }
}

static void find_all_places(nmrt_pipe *p)
{
    for (int i = 0; i < p->chain->n_calls; i++) {
        const nmrt_call *c = &p->chain->call[i];
        find_places(p, c, c->func, c->value, &p->place[i * p->most]);
        find_places(p, c, c->last, c->last_value, &p->last_place[i * p->most]);
    }
}

static void count_buffers(nmrt_pipe *p, const nmdrv_func *f)
{
    if (f && f->n_bufs > p->most)
        p->most = (int)f->n_bufs;
}

nmrt_status nmrt_pipe_open(nmrt_pipe *p, const nmrt_setup *s, nmrt_engine *en, nmrt_comm *comm,
                           const nmrt_chain *chain, const nmrt_actions *a, nmrt_error *e)
{
    *p = (nmrt_pipe){.setup = s, .en = en, .comm = comm, .chain = chain};
    p->memory = en->links + nmrt_channels_bytes(s, pp_rank(p));
    for (int i = 0; i < en->plan->n_funcs; i++)
        count_buffers(p, en->plan->func[i].func);
    for (int i = 0; i < chain->n_calls; i++) // of other ranks' stages, too
        count_buffers(p, chain->call[i].func), count_buffers(p, chain->call[i].last);
    p->base = calloc((size_t)s->stages.n, sizeof *p->base);
    p->buf = calloc((size_t)p->most + 1, sizeof *p->buf);
    p->place = calloc((size_t)(chain->n_calls * p->most) + 1, sizeof *p->place);
    p->last_place = calloc((size_t)(chain->n_calls * p->most) + 1, sizeof *p->last_place);
    p->loaded = calloc((size_t)en->plan->n_slots + 1, sizeof *p->loaded);
    if (!p->base || !p->buf || !p->place || !p->last_place || !p->loaded) {
        nmrt_pipe_close(p);
        return nmrt_fail(e, NMRT_WORLD, "no memory for the pipeline's frames");
    }
    p->links = nmrt_chain_links(chain, a, pp_rank(p));
    int64_t at = 0;
    for (int v = pp_rank(p); chain->n_calls && v < s->stages.n; v += s->stages.pp) {
        p->base[v] = at;
        at += nmrt_chain_bytes(chain, v, a && !p->links.stride ? a->slots[v] : 0);
    }
    find_all_places(p);
    return NMRT_OK;
}

void nmrt_pipe_close(nmrt_pipe *p)
{
    free(p->base);
    free(p->buf);
    free(p->place);
    free(p->last_place);
    free(p->loaded);
    *p = (nmrt_pipe){0};
}
