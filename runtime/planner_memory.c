// What a GPU holds: the program's plan for the stage, class by class in the dtypes of a GPU. The
// program is f32, unless the binary has none that is; in bf16 weights and activations have 2 bytes,
// and weights an f32 master beside the optimizer's moments. Gradients, moments and what finish
// computes with stay f32.
#include "runtime/planner.h"

#include "runtime/dtype.h"

#include <string.h>

static double activation(const nmrt_cluster *c, double bytes) { return bytes * c->narrow; }

// --- parameters ----------------------------------------------------------------------------------

// Is this the path of a state of the parameter? adamw.m.decoder.q.w
static bool is_state_of(const char *state, const char *param)
{
    size_t n = strlen(state), k = strlen(param);
    return n > k && state[n - k - 1] == '.' && strcmp(state + n - k, param) == 0;
}

static bool is_trained(const nmdrv_program *p, const char *path)
{
    for (int64_t i = 0; i < p->n_params; i++)
        if (!p->param[i].is_state && strcmp(p->param[i].path, path) == 0)
            return !p->param[i].frozen;
    return false;
}

// Elements of the master: as many as a state has, which is split as masters are; without states, as
// the parameter.
static double master_elements(const nmrt_plan *plan, const nmrt_slot *param)
{
    for (int i = 0; i < plan->n_slots; i++)
        if (plan->slot[i].bind == NMDRV_STATE && is_state_of(plan->slot[i].name, param->name))
            return (double)plan->slot[i].bytes * 8 / nmrt_dtype(plan->slot[i].arg->dtype)->bits;
    return (double)param->bytes * 8 / nmrt_dtype(param->arg->dtype)->bits;
}

static void add_param(const nmrt_cluster *c, const nmrt_plan *plan, const nmrt_slot *slot,
                      nmrt_need *need)
{
    bool narrow = c->bf16 && slot->arg->dtype == NMDRV_F32;
    need->of[NMRT_HOLDS_WEIGHTS] +=
        (double)slot->bytes * (narrow ? nmrt_costs.weight_bytes / 4 : 1);
    if (narrow && is_trained(c->program, slot->name))
        need->of[NMRT_HOLDS_STATES] += nmrt_costs.master_bytes * master_elements(plan, slot);
}

static void add_slots(const nmrt_cluster *c, const nmrt_plan *plan, nmrt_need *need)
{
    for (int i = 0; i < plan->n_slots; i++)
        if (plan->slot[i].bind == NMDRV_PARAM)
            add_param(c, plan, &plan->slot[i], need);
    need->of[NMRT_HOLDS_STATES] += (double)plan->class[NMRT_MEM_STATES];
    need->of[NMRT_HOLDS_GRADIENTS] +=
        (double)(plan->class[NMRT_MEM_GRADS] + plan->class[NMRT_MEM_PENDING]);
    need->of[NMRT_HOLDS_WORK] +=
        (double)(plan->class[NMRT_MEM_DATA] + plan->class[NMRT_MEM_WORKSPACE]);
}

static double arena(const nmrt_cluster *c, const nmrt_plan *plan)
{
    double most = 0;
    for (int i = 0; i < plan->n_funcs; i++) {
        double bytes = (double)plan->func[i].arena;
        if (plan->func[i].func->role == NMDRV_MICRO)
            bytes = activation(c, bytes);
        most = bytes > most ? bytes : most;
    }
    return most;
}

nmrt_status nmrt_planner_need(const nmrt_cluster *c, const nmrt_setup *s, int pp, nmrt_need *need,
                              nmrt_error *e)
{
    nmrt_plan plan;
    nmrt_status status = nmrt_setup_plan(s, pp, &plan, e);
    *need = (nmrt_need){0};
    if (status == NMRT_OK) {
        add_slots(c, &plan, need);
        need->of[NMRT_HOLDS_SAVED] = activation(c, (double)plan.links);
        need->of[NMRT_HOLDS_WORK] += arena(c, &plan);
        need->of[NMRT_HOLDS_RESERVE] = nmrt_costs.reserve * (1 << 30);
        for (int i = 0; i < NMRT_N_HOLDS; i++)
            need->total += need->of[i];
    }
    nmrt_plan_release(&plan);
    return status;
}
