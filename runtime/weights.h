// The weights that a verb reads which does not train: --checkpoint, or --init.
#ifndef NMRT_WEIGHTS_H
#define NMRT_WEIGHTS_H

#include "runtime/checkpoint.h"
#include "runtime/output.h"

// What --weights wants of a checkpoint.
nmrt_reading nmrt_weights_reading(const nmrt_options *o);
// Loads them into the engine; every rank calls it. *c: what the checkpoint says; of --init step 0,
// and c->path is what was given. Notes of what was passed over or is not read go to out.
nmrt_status nmrt_weights_load(const nmrt_options *o, nmrt_engine *en, const nmrt_output *out,
                              nmrt_checkpoint *c, nmrt_error *e);

#endif
