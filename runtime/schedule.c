// The numbers of one step. A schedule is a function of the program: its argument lr is the peak,
// the others are hyperparameters of the same optimizer, its result takes the peak's place.
// Schedules and the step share scalars, so all schedules run before anything is set for the step.
#include "runtime/schedule.h"

#include <string.h>

static const nmrt_planned *find_planned(const nmrt_plan *plan, const nmdrv_func *f)
{
    for (int i = 0; f && i < plan->n_funcs; i++)
        if (plan->func[i].func == f)
            return &plan->func[i];
    return NULL;
}

static double run_schedule(const nmrt_hypers *h, int peak, nmrt_engine *en, const nmdrv_sym *sym)
{
    double value = h->hyper[peak].value;
    const nmrt_planned *p = find_planned(en->plan, nmrt_schedule_of(h, peak));
    if (!p)
        return value;
    for (int64_t k = 0; k < p->func->n_args; k++) {
        int i = nmrt_schedule_arg(h, peak, p->func->arg[k].name);
        if (i >= 0)
            nmrt_engine_set(en, p->func->arg[k].name, h->hyper[i].value);
    }
    nmrt_engine_set(en, "lr", value);
    nmrt_engine_call(en, p, sym);
    nmrt_engine_result(en, p, p->func->result[0].name, &value);
    return value;
}

void nmrt_schedules_run(const nmrt_hypers *h, nmrt_engine *en, const nmdrv_sym *sym, double *value)
{
    for (int i = 0; i < h->n; i++)
        value[i] = run_schedule(h, i, en, sym);
    for (int i = 0; i < h->n; i++)
        nmrt_engine_set(en, h->hyper[i].name, value[i]);
}

double nmrt_learning_rate(const nmrt_hypers *h, const double *value)
{
    for (int i = 0; i < h->n; i++)
        if (nmrt_schedule_of(h, i))
            return value[i];
    for (int i = 0; i < h->n; i++)
        if (strcmp(h->hyper[i].name, "lr") == 0)
            return value[i];
    return 0;
}
