// How the threads of a GPU share out a row: fuse asks whether a row kernel computes an element
// once, codegen deals the elements (codegen/team.h).
#ifndef NM_IR_TEAM_H
#define NM_IR_TEAM_H

#include "ir/ir.h"

enum {
    NM_GPU_WARP = 32,
    NM_GPU_RUN = 4,    // neighbours that a thread takes at once: 16 bytes of f32
    NM_GPU_KEEPS = 32, // elements of a row that a thread has in registers, at most
};

typedef struct nm_row_shape { // of a row kernel
    int64_t length;           // elements; 0: not known
    int wide;                 // results that have all of them
    bool exact;               // f32: nothing but its length says in which order it is summed
} nm_row_shape;

// Threads for such a row, a power of two: part of a warp where rows are short, else a block of 64
// to 1024, the one nearest to 256 whose threads keep the row; an exact one's, if it has one result.
int nm_row_threads(nm_row_shape row);

// Do they keep in registers what they have computed of it? Then an element is computed once,
// whatever follows on what; else once for each pass over the row.
bool nm_row_is_kept(nm_row_shape row);

#endif
