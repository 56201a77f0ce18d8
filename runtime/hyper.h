// The numbers of the program's train block as flags: lr -> --lr, floor -> --min-lr,
// weight_decay -> --weight-decay, betas.0 and betas.1 -> --betas A,B.
#ifndef NMRT_HYPER_H
#define NMRT_HYPER_H

#include "runtime/driver_abi.h"
#include "runtime/status.h"
#include "runtime/text.h"

#include <stdbool.h>

typedef struct nmrt_hyper { // a number the runtime hands to the program, or to a schedule
    const char *name;       // as the program says it
    double value;
    bool set;    // by a flag, or by the checkpoint that the run goes on from
    bool given;  // by a flag
    bool needed; // has no default: a schedule that reads it wants a flag
} nmrt_hyper;

typedef struct nmrt_hyper_flag {
    char name[64]; // without the dashes
    int first, n;  // hypers that it sets
} nmrt_hyper_flag;

typedef struct nmrt_hypers { // the program's rows first, then what only schedules read
    const nmdrv_program *program;
    nmrt_hyper *hyper;
    nmrt_hyper_flag *flag;
    int n, n_flags;
    const char *schedule; // by name, of --lr-schedule; NULL: each peak's own
} nmrt_hypers;

typedef struct nmrt_hyper_about { // what numbers of a name mean wherever they occur
    const char *name, *help;
    double low, high;         // infinite: no limit
    bool low_open, high_open; // the limit itself is out
} nmrt_hyper_about;

nmrt_status nmrt_hypers_init(nmrt_hypers *h, const nmdrv_program *program, nmrt_error *e);
void nmrt_hypers_release(nmrt_hypers *h);
const nmrt_hyper_flag *nmrt_hyper_flag_find(const nmrt_hypers *h, const char *name);
// By the last part of a flag's name: muon.lr as lr. Never NULL.
const nmrt_hyper_about *nmrt_hyper_about_find(const char *flag);
// "0.9,0.95": as many numbers as the flag has, each in its range.
nmrt_status nmrt_hyper_parse(nmrt_hypers *h, const nmrt_hyper_flag *flag, const char *text,
                             nmrt_error *e);
// Numbers that no flag set become the block's: value + per_step * steps.
void nmrt_hypers_default(nmrt_hypers *h, int64_t steps);
// The flag's value or default as text: "0.9,0.95", "0.1 * steps".
void nmrt_hyper_print(const nmrt_hypers *h, const nmrt_hyper_flag *flag, nmrt_text *out);

// The SCHEDULE function of that name, or the only one whose name begins so ("linear"); NULL: none.
const nmdrv_func *nmrt_schedule_find(const nmdrv_program *program, const char *name);
// The schedule of hyper i where it is a peak, else NULL.
const nmdrv_func *nmrt_schedule_of(const nmrt_hypers *h, int i);
// The hyper that schedule argument `name` reads for the peak i: of the same optimizer, or any. -1:
// none.
int nmrt_schedule_arg(const nmrt_hypers *h, int peak, const char *name);
// Do all schedules of this run have their numbers and fall to a floor below their peak, and does
// something read every number that a flag set? Says which flag is missing or idle.
nmrt_status nmrt_hypers_check(const nmrt_hypers *h, nmrt_error *e);

#endif
