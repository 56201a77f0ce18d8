// What the model of an engine says of a text: eval --dump-logits.
#ifndef NMRT_LOGITS_H
#define NMRT_LOGITS_H

#include "runtime/data.h"
#include "runtime/setup.h"

// The program's function that gives the logits of all positions; NULL: it has none.
const nmdrv_func *nmrt_logits_func(const nmdrv_program *p);
// Writes the first `samples` of the data and their logits to a safetensors file, a micro-batch at a
// time: tokens, i32 [samples, seq], and logits, f32 [samples, seq, vocabulary]. For one rank, whose
// plan has the function. A failure leaves no file.
nmrt_status nmrt_logits_dump(nmrt_engine *en, const nmrt_setup *s, const nmrt_data *d,
                             int64_t samples, const char *path, nmrt_error *e);

#endif
