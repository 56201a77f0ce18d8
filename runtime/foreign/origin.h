// Where an export's numbers come from: a checkpoint, or a foreign folder. Boxes of parameters are
// read one after the other, so that no model has to fit the memory.
#ifndef NMRT_FOREIGN_ORIGIN_H
#define NMRT_FOREIGN_ORIGIN_H

#include "runtime/checkpoint_read.h"
#include "runtime/foreign/import.h"

typedef struct nmrt_origin { // zero-initialised: nothing is open; must stay where it is
    char path[NMRT_PATH];    // the checkpoint, or the folder
    const nmdrv_program *program;
    bool foreign;
    nmrt_import import;  // where it is foreign
    nmrt_foreign record; // else: of what the checkpoint began with; empty where there is none
    nmrt_match recorded;
    nmrt_engine en; // else: of the host, without memory
    nmrt_plan plan; // of nothing
    nmrt_reader *reader;
} nmrt_origin;

// Of --init or --checkpoint, to be written by `map`. Close it in any case.
nmrt_status nmrt_origin_open(nmrt_origin *s, const nmdrv_program *program, const nmdrv_weights *map,
                             const nmrt_options *o, nmrt_text *notes, nmrt_error *e);
void nmrt_origin_close(nmrt_origin *s);

// A box of a parameter, row-major.
nmrt_status nmrt_origin_read(nmrt_origin *s, int64_t param, const nmrt_box *box, float *to,
                             nmrt_error *e);
// What the foreign folder has, or had, that the map calls so: its name and dtype; NULL: nothing.
const nmrt_tensor *nmrt_origin_find(const nmrt_origin *s, const char *name);

#endif
