// What a resumed run, or an evaluation, takes over from its checkpoint.
#ifndef NMRT_RESUME_H
#define NMRT_RESUME_H

#include "runtime/options.h"

// Where --resume finds a checkpoint, gives *o the flags that decide the run's numbers and that the
// command line left out; o->notes gets a line for each that is given and differs. The flags are
// those of the newest checkpoint whose index is whole. No checkpoint: nothing changes.
//
// An evaluation that is told nothing of documents is told what its --checkpoint was trained with,
// as far as the program reads it, which o->notes says, too.
void nmrt_resume_flags(nmrt_options *o, nmrt_text *problems);

#endif
