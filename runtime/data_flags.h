// Flags of data that other flags and the plan depend on.
#ifndef NMRT_DATA_FLAGS_H
#define NMRT_DATA_FLAGS_H

#include "runtime/options.h"

// Does a training run evaluate: on --eval-data, or on the second part of a --split?
bool nmrt_data_has_valid(const nmrt_options *o);
// Do the flags ask for fields that tell where documents end?
bool nmrt_data_tells_documents(const nmrt_options *o);
// What is wrong with them, a line each.
void nmrt_data_check_flags(const nmrt_options *o, nmrt_text *problems);

#endif
