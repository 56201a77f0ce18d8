// train --fp8-check: what a step loses by computing in fewer digits.
#ifndef NMRT_FP8_CHECK_H
#define NMRT_FP8_CHECK_H

#include "runtime/run.h"

// Of the programs with p's flavour the one that computes in the fewest digits, in fp8 by this
// recipe (or auto): what is checked where --precision does not say.
const nmdrv_program *nmrt_fp8_check_default(const nmdrv_program *p, const char *recipe);
// One step of the run's program and one of the next wider precision that the binary has, from the
// same weights, on the same samples: prints the losses, and the gradients that differ most. Saves
// nothing.
nmrt_status nmrt_fp8_check(nmrt_run *run, nmrt_error *e);

#endif
