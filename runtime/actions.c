// The lists: in which order a rank runs its stages' micro-batches. Only the order of forward and
// backward is chosen here; receives and sends stand directly around them.
#include "runtime/actions.h"

#include <stdlib.h>

const char *nmrt_act_name(int act)
{
    static const char *const name[NMRT_N_ACTS] = {
        "count",        "counted",         "forward",       "backward",
        "send forward", "receive forward", "send backward", "receive backward",
        "before",       "middle",          "after"};
    return act >= 0 && act < NMRT_N_ACTS ? name[act] : "?";
}

static nmrt_status add(nmrt_list *list, nmrt_action action, nmrt_error *e)
{
    if (list->n == list->cap) {
        int cap = list->cap ? 2 * list->cap : 64;
        nmrt_action *at = realloc(list->action, (size_t)cap * sizeof *at);
        if (!at)
            return nmrt_fail(e, NMRT_WORLD, "no memory for the pipeline's lists");
        list->action = at;
        list->cap = cap;
    }
    list->action[list->n++] = action;
    return NMRT_OK;
}

static nmrt_status add_forward(nmrt_actions *a, int rank, int stage, int micro, nmrt_error *e)
{
    const nmrt_stages *s = a->stages;
    nmrt_list *list = &a->list[rank];
    if (stage > 0)
        NMRT_TRY(add(list, (nmrt_action){NMRT_RECV_FORWARD, stage, micro, (stage - 1) % s->pp}, e));
    NMRT_TRY(add(list, (nmrt_action){NMRT_FORWARD, stage, micro, 0}, e));
    if (stage + 1 < s->n)
        NMRT_TRY(add(list, (nmrt_action){NMRT_SEND_FORWARD, stage, micro, (stage + 1) % s->pp}, e));
    return NMRT_OK;
}

static nmrt_status add_backward(nmrt_actions *a, int rank, int stage, int micro, nmrt_error *e)
{
    const nmrt_stages *s = a->stages;
    nmrt_list *list = &a->list[rank];
    if (stage + 1 < s->n)
        NMRT_TRY(
            add(list, (nmrt_action){NMRT_RECV_BACKWARD, stage, micro, (stage + 1) % s->pp}, e));
    NMRT_TRY(add(list, (nmrt_action){NMRT_BACKWARD, stage, micro, 0}, e));
    if (stage > 0)
        NMRT_TRY(
            add(list, (nmrt_action){NMRT_SEND_BACKWARD, stage, micro, (stage - 1) % s->pp}, e));
    return NMRT_OK;
}

// The k-th forward or backward of a rank: groups of pp micro-batches pass its first stage, then the
// same group its second, and so on; backward in the stages' opposite order.
static void kth(const nmrt_actions *a, int rank, int k, bool backward, int *stage, int *micro)
{
    int pp = a->stages->pp, vp = a->stages->n / pp;
    int group = k / (pp * vp), left = a->n_micro - group * pp, size = left < pp ? left : pp;
    int within = k - group * pp * vp, nth = within / size;
    *stage = (backward ? vp - 1 - nth : nth) * pp + rank;
    *micro = group * pp + within % size;
}

static nmrt_status add_kth(nmrt_actions *a, int rank, int k, bool backward, nmrt_error *e)
{
    int stage, micro;
    kth(a, rank, k, backward, &stage, &micro);
    return (backward ? add_backward : add_forward)(a, rank, stage, micro, e);
}

static nmrt_status add_pipeline(nmrt_actions *a, int rank, nmrt_error *e)
{
    int pp = a->stages->pp, vp = a->stages->n / pp, total = a->n_micro * vp;
    int ahead = vp == 1 ? pp - rank - 1 : (pp - rank - 1) * 2 + (vp - 1) * pp;
    if (!a->training || ahead > total)
        ahead = total;
    for (int k = 0; k < ahead; k++)
        NMRT_TRY(add_kth(a, rank, k, false, e));
    for (int k = ahead; k < total; k++) {
        NMRT_TRY(add_kth(a, rank, k, false, e));
        NMRT_TRY(add_kth(a, rank, k - ahead, true, e));
    }
    for (int k = total - ahead; a->training && k < total; k++)
        NMRT_TRY(add_kth(a, rank, k, true, e));
    return NMRT_OK;
}

static nmrt_status make_list(nmrt_actions *a, int rank, nmrt_error *e)
{
    nmrt_list *list = &a->list[rank];
    for (int m = 0; a->training && m < a->n_micro; m++)
        NMRT_TRY(add(list, (nmrt_action){NMRT_COUNT_MICRO, 0, m, 0}, e));
    if (a->training)
        NMRT_TRY(add(list, (nmrt_action){NMRT_COUNTED, 0, 0, 0}, e));
    NMRT_TRY(add_pipeline(a, rank, e));
    for (int act = NMRT_BEFORE; a->training && act <= NMRT_AFTER; act++)
        NMRT_TRY(add(list, (nmrt_action){act, 0, 0, 0}, e));
    return NMRT_OK;
}

// The most micro-batches that a stage has between its forward and its backward.
static void count_slots(nmrt_actions *a)
{
    for (int v = 0; v < a->stages->n; v++) {
        const nmrt_list *list = &a->list[v % a->stages->pp];
        int now = 0;
        a->slots[v] = 1;
        for (int i = 0; a->training && i < list->n; i++) {
            if (list->action[i].stage != v)
                continue;
            now += (list->action[i].act == NMRT_FORWARD) - (list->action[i].act == NMRT_BACKWARD);
            a->slots[v] = now > a->slots[v] ? now : a->slots[v];
        }
    }
}

// Shared slots: who begins takes the first that is free, so there are as many as are taken at once.
static void deal_slots(nmrt_actions *a, int rank, bool *taken)
{
    const nmrt_list *list = &a->list[rank];
    for (int i = 0; a->training && i < list->n; i++) {
        const nmrt_action *x = &list->action[i];
        int *slot = &a->slot[x->stage * a->n_micro + x->micro], k = 0;
        if (a->slots[x->stage] < 2 || (x->act != NMRT_FORWARD && x->act != NMRT_BACKWARD))
            continue;
        while (x->act == NMRT_FORWARD && taken[k])
            k++;
        *slot = x->act == NMRT_FORWARD ? k : *slot;
        taken[*slot] = x->act == NMRT_FORWARD;
        a->shared[rank] = *slot < a->shared[rank] ? a->shared[rank] : *slot + 1;
    }
}

static nmrt_status share_slots(nmrt_actions *a, nmrt_error *e)
{
    const nmrt_stages *s = a->stages;
    size_t most = 1;
    for (int v = 0; v < s->n; v++)
        most += (size_t)a->slots[v];
    bool *taken = calloc(most, sizeof *taken); // all are free again at a list's end
    if (!taken)
        return nmrt_fail(e, NMRT_WORLD, "no memory for the pipeline's slots");
    for (int r = 0; r < s->pp; r++)
        deal_slots(a, r, taken);
    free(taken);
    return NMRT_OK;
}

// Where there is room for more, as many are told apart: where a slot lies depends on how many.
static void take_slots(nmrt_actions *a, const nmrt_actions *full)
{
    for (int v = 0; v < a->stages->n; v++)
        a->slots[v] = full->slots[v];
}

// full NULL: the slots are as many as it takes.
static nmrt_status make_actions(nmrt_actions *a, const nmrt_actions *full, nmrt_error *e)
{
    const nmrt_stages *s = a->stages;
    int64_t n_micro = a->n_micro;
    bool training = a->training;
    if (training && s->n > s->pp && n_micro % s->pp)
        return nmrt_fail(e, NMRT_USAGE,
                         "--vp %d needs the micro-batches of a step, %lld, to be a multiple of "
                         "--pp %d",
                         s->n / s->pp, (long long)n_micro, s->pp);
    if (n_micro > INT32_MAX / (8 * s->n))
        return nmrt_fail(e, NMRT_USAGE, "%lld micro-batches are too many", (long long)n_micro);
    a->list = calloc((size_t)s->pp, sizeof *a->list);
    a->slots = calloc((size_t)s->n, sizeof *a->slots);
    a->shared = calloc((size_t)s->pp, sizeof *a->shared);
    a->slot = calloc((size_t)s->n * (size_t)n_micro, sizeof *a->slot);
    nmrt_status status = NMRT_OK;
    if (!a->list || !a->slots || !a->shared || !a->slot)
        status = nmrt_fail(e, NMRT_WORLD, "no memory for the pipeline's lists");
    for (int r = 0; status == NMRT_OK && r < s->pp; r++)
        status = make_list(a, r, e);
    if (status == NMRT_OK) {
        count_slots(a);
        if (full)
            take_slots(a, full);
        status = share_slots(a, e);
    }
    if (status != NMRT_OK)
        nmrt_actions_release(a);
    return status;
}

nmrt_status nmrt_actions_init(nmrt_actions *a, const nmrt_stages *s, int64_t n_micro, bool training,
                              nmrt_error *e)
{
    *a = (nmrt_actions){.stages = s, .n_micro = (int)n_micro, .training = training};
    return make_actions(a, NULL, e);
}

nmrt_status nmrt_actions_init_within(nmrt_actions *a, const nmrt_actions *full, int64_t n_micro,
                                     nmrt_error *e)
{
    *a = (nmrt_actions){.stages = full->stages, .n_micro = (int)n_micro, .training = true};
    NMRT_TRY(make_actions(a, full, e));
    for (int r = 0; r < a->stages->pp; r++)
        if (a->shared[r] > full->shared[r])
            return nmrt_fail(e, NMRT_CORRUPT,
                             "a step of %lld micro-batches needs more slots than one of %d",
                             (long long)n_micro, full->n_micro);
    return nmrt_actions_check(a, e);
}

void nmrt_actions_release(nmrt_actions *a)
{
    for (int r = 0; a->list && r < a->stages->pp; r++)
        free(a->list[r].action);
    free(a->list);
    free(a->slots);
    free(a->shared);
    free(a->slot);
    *a = (nmrt_actions){0};
}
