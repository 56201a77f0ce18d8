// train --dump-gradients: one step, whose gradients are written.
#ifndef NMRT_GRADIENTS_DUMP_H
#define NMRT_GRADIENTS_DUMP_H

#include "runtime/run.h"

// Does the run's first step, and writes the gradient of every trained parameter to a safetensors
// file under its path, whole, whatever the mesh: f32, of the step's loss, before they are clipped.
// Nothing else is written.
nmrt_status nmrt_dump_gradients(nmrt_run *run, nmrt_error *e);

#endif
