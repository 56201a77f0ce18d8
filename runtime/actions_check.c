// All ranks' lists run together with nothing behind them. To prove them, a send waits while one
// message of its channel is under way: ranks that only wait for each other reach the same end
// whatever the timing (Kahn 1974), so what ends with so little room ends on any transport that has
// it. For the bubble, with a time for each action and sends that never wait.
#include "runtime/actions.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct message {
    int from, to, stage, micro; // stage: that it is for
    bool backward;
    double at; // when it was sent
} message;

typedef struct micro_state { // of a micro-batch on a stage
    unsigned char done[NMRT_N_ACTS];
    double arrived;
} micro_state;

typedef struct walk {
    const nmrt_actions *a;
    int *pc;            // [pp]
    double *clock;      // [pp]
    micro_state *state; // [stages][n_micro]
    int *owner;         // [sum of slots]: micro-batch that a slot is live for; -1
    int *first_slot;    // [stages]
    int *holder;        // [sum of slots]: as owner, of shared ones; stage * n_micro + micro-batch
    int *first_shared;  // [pp]
    int *busy[2];       // [stages]: micro-batch that lies between receive and send; -1: none
    int *last;          // [pp]: the last act of a step's frame: count .. after
    message *queue;     // what is under way, oldest first
    int n_queue;
    const double *cost[2]; // [stages]; NULL: time stands still
} walk;

static micro_state *state_of(walk *w, int stage, int micro)
{
    return &w->state[(int64_t)stage * w->a->n_micro + micro];
}

static nmrt_status wrong(const walk *w, int rank, nmrt_error *e, const char *fmt, ...)
{
    char why[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(why, sizeof why, fmt, args);
    va_end(args);
    const nmrt_action *x = &w->a->list[rank].action[w->pc[rank]];
    return nmrt_fail(e, NMRT_CORRUPT,
                     "the pipeline's lists are wrong: rank %d, action %d (%s, stage %d, "
                     "micro-batch %d): %s",
                     rank, w->pc[rank], nmrt_act_name(x->act), x->stage, x->micro, why);
}

static bool is_backward(int act)
{
    return act == NMRT_BACKWARD || act == NMRT_SEND_BACKWARD || act == NMRT_RECV_BACKWARD;
}

static bool is_micro(int act) { return act >= NMRT_FORWARD && act <= NMRT_RECV_BACKWARD; }

// --- what an action asks -----------------------------------------------------------------------

static nmrt_status check_action(walk *w, int rank, const nmrt_action *x, nmrt_error *e)
{
    const nmrt_stages *s = w->a->stages;
    if (x->act < 0 || x->act >= NMRT_N_ACTS)
        return wrong(w, rank, e, "there is no such action");
    if (x->stage < 0 || x->stage >= s->n || x->micro < 0 || x->micro >= w->a->n_micro)
        return wrong(w, rank, e, "there is no such stage or micro-batch");
    if (!is_micro(x->act))
        return NMRT_OK;
    if (x->stage % s->pp != rank)
        return wrong(w, rank, e, "the stage is rank %d's", x->stage % s->pp);
    if (is_backward(x->act) && !w->a->training)
        return wrong(w, rank, e, "nothing is trained");
    if (state_of(w, x->stage, x->micro)->done[x->act])
        return wrong(w, rank, e, "it is done already");
    return NMRT_OK;
}

// Count, counted, the micro-batches, before, middle, after: in this order.
static nmrt_status check_frame(walk *w, int rank, const nmrt_action *x, nmrt_error *e)
{
    int was = w->last[rank], n = w->a->n_micro;
    int now = x->act == NMRT_COUNT_MICRO ? x->micro
              : x->act == NMRT_COUNTED   ? n
              : is_micro(x->act)         ? n + 1
                                         : n + 2 + x->act - NMRT_BEFORE;
    bool follows = is_micro(x->act) ? was == n || was == n + 1 : now == was + 1;
    if (!w->a->training && is_micro(x->act))
        return NMRT_OK;
    if (!follows)
        return wrong(w, rank, e, "it does not stand at its place in the step");
    w->last[rank] = now;
    return NMRT_OK;
}

static nmrt_status take_room(walk *w, int rank, const nmrt_action *x, nmrt_error *e)
{
    int *busy = &w->busy[is_backward(x->act)][x->stage];
    if (*busy >= 0 && *busy != x->micro)
        return wrong(w, rank, e, "micro-batch %d still lies there", *busy);
    *busy = x->micro;
    return NMRT_OK;
}

static nmrt_status take_slot(walk *w, int rank, const nmrt_action *x, nmrt_error *e)
{
    int *owner = &w->owner[w->first_slot[x->stage] + x->micro % w->a->slots[x->stage]];
    if (*owner >= 0 && *owner != x->micro)
        return wrong(w, rank, e, "its slot is live for micro-batch %d", *owner);
    *owner = w->a->training ? x->micro : -1;
    return NMRT_OK;
}

static int *holder_of(walk *w, int rank, const nmrt_action *x)
{
    return &w->holder[w->first_shared[rank] + w->a->slot[x->stage * w->a->n_micro + x->micro]];
}

static nmrt_status take_shared(walk *w, int rank, const nmrt_action *x, nmrt_error *e)
{
    int n = w->a->n_micro, me = x->stage * n + x->micro, *holder = holder_of(w, rank, x);
    if (w->a->slots[x->stage] < 2 || !w->a->training)
        return NMRT_OK;
    if (*holder >= 0 && *holder != me)
        return wrong(w, rank, e, "its shared slot is live for micro-batch %d of stage %d",
                     *holder % n, *holder / n);
    *holder = me;
    return NMRT_OK;
}

// --- messages ------------------------------------------------------------------------------------

// The channel's oldest message; NULL: there is none.
static message *head(walk *w, int from, int to, bool backward)
{
    for (int i = 0; i < w->n_queue; i++) {
        message *m = &w->queue[i];
        if (m->from == from && m->to == to && m->backward == backward)
            return m;
    }
    return NULL;
}

static nmrt_status send(walk *w, int rank, const nmrt_action *x, bool *waits, nmrt_error *e)
{
    bool backward = is_backward(x->act);
    int stage = x->stage + (backward ? -1 : 1), pp = w->a->stages->pp;
    if (stage < 0 || stage >= w->a->stages->n)
        return wrong(w, rank, e, "there is no stage to send to");
    if (x->peer != stage % pp)
        return wrong(w, rank, e, "stage %d is rank %d's, not rank %d's", stage, stage % pp,
                     x->peer);
    if (!state_of(w, x->stage, x->micro)->done[backward ? NMRT_BACKWARD : NMRT_FORWARD] ||
        w->busy[backward][x->stage] != x->micro)
        return wrong(w, rank, e, "there is nothing to send");
    *waits = !w->cost[0] && head(w, rank, x->peer, backward);
    if (*waits)
        return NMRT_OK;
    w->busy[backward][x->stage] = -1;
    w->queue[w->n_queue++] = (message){rank, x->peer, stage, x->micro, backward, w->clock[rank]};
    return NMRT_OK;
}

static nmrt_status receive(walk *w, int rank, const nmrt_action *x, bool *waits, nmrt_error *e)
{
    message *m = head(w, x->peer, rank, is_backward(x->act));
    *waits = !m;
    if (!m)
        return NMRT_OK;
    if (m->stage != x->stage || m->micro != x->micro)
        return wrong(w, rank, e, "what comes is of micro-batch %d for stage %d", m->micro,
                     m->stage);
    state_of(w, x->stage, x->micro)->arrived = m->at;
    w->n_queue--;
    memmove(m, m + 1, (size_t)(&w->queue[w->n_queue] - m) * sizeof *m);
    return take_room(w, rank, x, e);
}

// --- the work ------------------------------------------------------------------------------------

static void spend(walk *w, int rank, const nmrt_action *x)
{
    double arrived = state_of(w, x->stage, x->micro)->arrived;
    if (!w->cost[0])
        return;
    if (w->clock[rank] < arrived)
        w->clock[rank] = arrived;
    w->clock[rank] += w->cost[is_backward(x->act)][x->stage];
}

static nmrt_status forward(walk *w, int rank, const nmrt_action *x, nmrt_error *e)
{
    bool last = x->stage == w->a->stages->n - 1;
    if (x->stage > 0 && !state_of(w, x->stage, x->micro)->done[NMRT_RECV_FORWARD])
        return wrong(w, rank, e, "nothing was received");
    NMRT_TRY(take_slot(w, rank, x, e));
    NMRT_TRY(take_shared(w, rank, x, e));
    NMRT_TRY(take_room(w, rank, x, e));
    spend(w, rank, x);
    if (last)
        w->busy[0][x->stage] = -1;
    return NMRT_OK;
}

static nmrt_status backward(walk *w, int rank, const nmrt_action *x, nmrt_error *e)
{
    const micro_state *m = state_of(w, x->stage, x->micro);
    if (!m->done[NMRT_FORWARD])
        return wrong(w, rank, e, "its forward was not run");
    if (x->stage + 1 < w->a->stages->n && !m->done[NMRT_RECV_BACKWARD])
        return wrong(w, rank, e, "nothing was received");
    NMRT_TRY(take_room(w, rank, x, e));
    spend(w, rank, x);
    if (!x->stage)
        w->busy[1][0] = -1;
    w->owner[w->first_slot[x->stage] + x->micro % w->a->slots[x->stage]] = -1;
    if (w->a->slots[x->stage] > 1)
        *holder_of(w, rank, x) = -1;
    return NMRT_OK;
}

static nmrt_status step(walk *w, int rank, bool *waits, nmrt_error *e)
{
    const nmrt_action *x = &w->a->list[rank].action[w->pc[rank]];
    nmrt_status status = NMRT_OK;
    *waits = false;
    NMRT_TRY(check_action(w, rank, x, e));
    if (x->act == NMRT_RECV_FORWARD || x->act == NMRT_RECV_BACKWARD)
        status = receive(w, rank, x, waits, e);
    else if (x->act == NMRT_SEND_FORWARD || x->act == NMRT_SEND_BACKWARD)
        status = send(w, rank, x, waits, e);
    else if (x->act == NMRT_FORWARD)
        status = forward(w, rank, x, e);
    else if (x->act == NMRT_BACKWARD)
        status = backward(w, rank, x, e);
    if (status != NMRT_OK || *waits)
        return status;
    NMRT_TRY(check_frame(w, rank, x, e));
    if (is_micro(x->act))
        state_of(w, x->stage, x->micro)->done[x->act] = 1;
    w->pc[rank]++;
    return NMRT_OK;
}

static nmrt_status run_all(walk *w, nmrt_error *e)
{
    for (bool moved = true; moved;) {
        moved = false;
        for (int r = 0; r < w->a->stages->pp; r++) {
            bool waits = true;
            if (w->pc[r] < w->a->list[r].n)
                NMRT_TRY(step(w, r, &waits, e));
            moved |= !waits;
        }
    }
    for (int r = 0; r < w->a->stages->pp; r++)
        if (w->pc[r] < w->a->list[r].n)
            return wrong(w, r, e, "it waits for ever");
    return NMRT_OK;
}

// --- at the end ----------------------------------------------------------------------------------

static nmrt_status check_end(walk *w, nmrt_error *e)
{
    const nmrt_stages *s = w->a->stages;
    for (int v = 0; v < s->n; v++)
        for (int m = 0; m < w->a->n_micro; m++)
            for (int act = NMRT_FORWARD; act <= NMRT_FORWARD + w->a->training; act++)
                if (!state_of(w, v, m)->done[act])
                    return nmrt_fail(e, NMRT_CORRUPT,
                                     "the pipeline's lists are wrong: micro-batch %d has no %s of "
                                     "stage %d",
                                     m, nmrt_act_name(act), v);
    for (int r = 0; w->a->training && r < s->pp; r++)
        if (w->last[r] != w->a->n_micro + 4)
            return nmrt_fail(e, NMRT_CORRUPT,
                             "the pipeline's lists are wrong: rank %d does not finish the step", r);
    if (w->n_queue)
        return nmrt_fail(e, NMRT_CORRUPT,
                         "the pipeline's lists are wrong: rank %d sends micro-batch %d to stage "
                         "%d, which nobody receives",
                         w->queue[0].from, w->queue[0].micro, w->queue[0].stage);
    return NMRT_OK;
}

static void fill(int *at, int n, int value)
{
    for (int i = 0; at && i < n; i++)
        at[i] = value;
}

static int count_sends(const nmrt_actions *a)
{
    int n = 0;
    for (int r = 0; r < a->stages->pp; r++)
        n += a->list[r].n;
    return n;
}

static nmrt_status walk_open(walk *w, nmrt_error *e)
{
    const nmrt_stages *s = w->a->stages;
    int slots = 0, shared = 0;
    w->first_shared = calloc((size_t)s->pp, sizeof(int));
    for (int r = 0; w->first_shared && r < s->pp; shared += w->a->shared[r++])
        w->first_shared[r] = shared;
    w->holder = calloc((size_t)shared + 1, sizeof(int));
    w->first_slot = calloc((size_t)s->n, sizeof(int));
    for (int v = 0; w->first_slot && v < s->n; slots += w->a->slots[v++])
        w->first_slot[v] = slots;
    w->pc = calloc((size_t)s->pp, sizeof(int));
    w->last = calloc((size_t)s->pp, sizeof(int));
    w->clock = calloc((size_t)s->pp, sizeof(double));
    w->state = calloc((size_t)s->n * (size_t)w->a->n_micro, sizeof *w->state);
    w->owner = calloc((size_t)slots, sizeof(int));
    w->busy[0] = calloc((size_t)s->n, sizeof(int));
    w->busy[1] = calloc((size_t)s->n, sizeof(int));
    w->queue = calloc((size_t)count_sends(w->a) + 1, sizeof *w->queue);
    if (!w->first_slot || !w->pc || !w->last || !w->clock || !w->state || !w->owner ||
        !w->first_shared || !w->holder || !w->busy[0] || !w->busy[1] || !w->queue)
        return nmrt_fail(e, NMRT_WORLD, "no memory to check the pipeline's lists");
    fill(w->owner, slots, -1);
    fill(w->holder, shared + 1, -1);
    fill(w->busy[0], s->n, -1);
    fill(w->busy[1], s->n, -1);
    fill(w->last, s->pp, -1);
    return NMRT_OK;
}

static void walk_close(walk *w)
{
    free(w->first_slot);
    free(w->first_shared);
    free(w->holder);
    free(w->pc);
    free(w->last);
    free(w->clock);
    free(w->state);
    free(w->owner);
    free(w->busy[0]);
    free(w->busy[1]);
    free(w->queue);
}

nmrt_status nmrt_actions_check(const nmrt_actions *a, nmrt_error *e)
{
    walk w = {.a = a};
    nmrt_status status = walk_open(&w, e);
    if (status == NMRT_OK)
        status = run_all(&w, e);
    if (status == NMRT_OK)
        status = check_end(&w, e);
    walk_close(&w);
    return status;
}

double nmrt_actions_bubble(const nmrt_actions *a, const double *forward_cost,
                           const double *backward_cost)
{
    walk w = {.a = a, .cost = {forward_cost, backward_cost}};
    nmrt_error e;
    double work = 0, end = 0;
    if (walk_open(&w, &e) == NMRT_OK && run_all(&w, &e) == NMRT_OK) {
        for (int v = 0; v < a->stages->n; v++)
            work += a->n_micro * (forward_cost[v] + (a->training ? backward_cost[v] : 0));
        for (int r = 0; r < a->stages->pp; r++)
            end = w.clock[r] > end ? w.clock[r] : end;
    }
    walk_close(&w);
    return end > 0 ? 1 - work / (end * a->stages->pp) : 0;
}
