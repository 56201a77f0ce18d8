// The numbers of one step: every hyperparameter, with each peak as its schedule has it now.
#ifndef NMRT_SCHEDULE_H
#define NMRT_SCHEDULE_H

#include "runtime/engine.h"
#include "runtime/hyper.h"

// Runs the schedules, whose functions the plan has, on the engine's scalars step and steps, and
// sets the scalar of every hyperparameter. `value` [h->n] gets them, too.
void nmrt_schedules_run(const nmrt_hypers *h, nmrt_engine *en, const nmdrv_sym *sym, double *value);
// The learning rate to show: the first peak's, or what is called lr. `value` as above.
double nmrt_learning_rate(const nmrt_hypers *h, const double *value);

#endif
