// Several indexed data sets as one, behind each other.
#ifndef NMRT_CORPUS_MERGE_H
#define NMRT_CORPUS_MERGE_H

#include "runtime/output.h"
#include "runtime/status.h"

// PREFIX.bin and PREFIX.idx of `from`, prefixes of sets whose tokens are of one type. It cannot be
// gone on with: an interrupted merge is begun anew.
nmrt_status nmrt_indexed_merge(const char *prefix, const char *const *from, int n_from,
                               const nmrt_output *out, nmrt_error *e);

#endif
