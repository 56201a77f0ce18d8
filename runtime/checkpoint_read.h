// One checkpoint, verified before it is read.
#ifndef NMRT_CHECKPOINT_READ_H
#define NMRT_CHECKPOINT_READ_H

#include "runtime/checkpoint_format.h"

typedef struct nmrt_reader nmrt_reader;

// Checks all that this rank would read of `folder`, and fills *c but for its path. Close the reader
// in any case. The folder's name and the engine must outlive it.
nmrt_status nmrt_reader_open(nmrt_reader **r, const char *folder, nmrt_engine *en, bool whole,
                             nmrt_checkpoint *c, nmrt_error *e);
nmrt_status nmrt_reader_copy(nmrt_reader *r, nmrt_error *e); // into the engine
void nmrt_reader_close(nmrt_reader *r);

#endif
