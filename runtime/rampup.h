// A batch that grows while a run goes on, as Megatron-LM's --rampup-batch-size: from `start`
// samples a step by equal increments to --global-batch, which a step has once `samples` of the run
// are consumed. The size of a step follows from the samples before it alone, so a resumed run goes
// on alike.
#ifndef NMRT_RAMPUP_H
#define NMRT_RAMPUP_H

#include "runtime/text.h"

typedef struct nmrt_rampup { // zero-initialised: every step has the global batch
    int64_t start, increment, samples;
    int64_t global;
} nmrt_rampup;

// Of "start,increment,samples", NULL: none. What is wrong is appended to `problems`, a line each.
nmrt_rampup nmrt_rampup_parse(const char *text, int64_t global, nmrt_text *problems);
// ", steps from 4 samples to 16 over 100"; nothing where all steps are alike.
void nmrt_rampup_print(const nmrt_rampup *r, nmrt_text *out);
// Samples of the step that begins with this many consumed.
int64_t nmrt_rampup_size(const nmrt_rampup *r, int64_t consumed);
// Samples that are consumed after so many more steps.
int64_t nmrt_rampup_after(const nmrt_rampup *r, int64_t consumed, int64_t steps);

#endif
