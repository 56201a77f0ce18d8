// What the flags ask of the data.
#ifndef NMRT_DATA_REQUEST_H
#define NMRT_DATA_REQUEST_H

#include "runtime/data.h"
#include "runtime/setup.h"

// For training, an evaluation in it, or the verb eval.
typedef enum { NMRT_DATA_TRAIN, NMRT_DATA_VALID, NMRT_DATA_EVAL } nmrt_data_use;

// Opens a tokenizer where it has to be asked for the end of a document. `tokenizer`: room for the
// path of one beside a checkpoint, which outlives the data.
nmrt_status nmrt_data_ask(nmrt_data_request *r, const nmrt_setup *s, nmrt_data_use use,
                          char tokenizer[NMRT_PATH], const nmrt_output *out, nmrt_error *e);

#endif
