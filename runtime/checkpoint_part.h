// The part of a checkpoint that one rank writes: which pieces, their copy, its file and its note.
#ifndef NMRT_CHECKPOINT_PART_H
#define NMRT_CHECKPOINT_PART_H

#include "runtime/checkpoint_format.h"

typedef struct nmrt_own { // a piece that this rank writes
    int64_t param;
    const nmrt_slot *slot;
    nmrt_held held;
    int64_t shape[NMRT_MAX_RANK]; // of the array in the slot
    int64_t begin, end;           // bytes, in the copy and in the file's data
} nmrt_own;

typedef struct nmrt_save_part { // the same for every save of a run
    const nmdrv_program *program;
    int rank;
    nmrt_own *own; // in the order of the program's rows
    int n;
    nmrt_text header; // of the file
    char *copy;       // [bytes]
    int64_t bytes;
} nmrt_save_part;

// The list alone; nmrt_save_part_alloc takes the memory.
nmrt_status nmrt_save_part_init(nmrt_save_part *part, const nmrt_plan *plan,
                                const nmrt_shares *shares, nmrt_error *e);
nmrt_status nmrt_save_part_alloc(nmrt_save_part *part, nmrt_error *e);
void nmrt_save_part_release(nmrt_save_part *part);
void nmrt_save_part_copy(nmrt_save_part *part, const nmrt_engine *en);
// Writes and syncs the file, from the copy; `note` gets what others have to know of it.
nmrt_status nmrt_save_part_write(const nmrt_save_part *part, const char *folder, nmrt_text *note,
                                 nmrt_error *e);

#endif
