// What train, eval and generate do before they allocate anything: sizes, the plan, will it fit.
#ifndef NMRT_SETUP_H
#define NMRT_SETUP_H

#include "runtime/device.h"
#include "runtime/options.h"
#include "runtime/plan.h"
#include "runtime/syms.h"

typedef struct nmrt_setup {
    const nmdrv_program *program;
    const nmrt_options *options;
    const nmrt_device_ops *device;
    int threads;
    int64_t seq, micro_batch, n_micro; // of a step; n_micro 1 where there are no steps
    nmrt_syms syms;                    // of one micro-batch
    nmrt_plan plan;
} nmrt_setup;

// For train and eval. Every limit of the model that the flags break is named, a line each.
nmrt_status nmrt_setup_init(nmrt_setup *s, const nmdrv_program *program, const nmrt_options *o,
                            nmrt_error *e);
void nmrt_setup_release(nmrt_setup *s);
// Refuses a plan above the machine's memory, and says which --micro-batch would fit.
nmrt_status nmrt_setup_check_memory(const nmrt_setup *s, nmrt_error *e);
// The same for any plan, with a hint of its own.
nmrt_status nmrt_memory_check(const nmrt_plan *plan, const nmrt_device_ops *device,
                              const char *hint, nmrt_error *e);
void nmrt_setup_print(const nmrt_setup *s, nmrt_text *out); // the answer to --dry-run

#endif
