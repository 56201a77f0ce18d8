// One checkpoint, verified before it is read.
#ifndef NMRT_CHECKPOINT_READ_H
#define NMRT_CHECKPOINT_READ_H

#include "runtime/checkpoint_format.h"

typedef struct nmrt_reader nmrt_reader;

// Checks all that this rank would read of `folder`, and fills *c but for its path. Close the reader
// in any case. The folder's name and the engine must outlive it.
nmrt_status nmrt_reader_open(nmrt_reader **r, const char *folder, nmrt_engine *en,
                             nmrt_reading reading, nmrt_checkpoint *c, nmrt_error *e);
nmrt_status nmrt_reader_copy(nmrt_reader *r, nmrt_error *e); // into the engine
// A box of one row of the program, row-major, into the host's memory; what of the checkpoint it is
// made of is checked first. The engine's plan may have no slots: only its program, ops and device,
// which is the host's, are read then.
nmrt_status nmrt_reader_box(nmrt_reader *r, int64_t param, const nmrt_box *box, void *to,
                            nmrt_error *e);
void nmrt_reader_close(nmrt_reader *r);

#endif
