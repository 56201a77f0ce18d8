// What of a tensor a rank holds, as boxes of global indices; and what a checkpoint needs to know
// of boxes: how one is copied into another, and whether many make a whole.
//
// A local dim is one run of global indices, two (the zigzag of context parallelism), or the turns
// of the chunks that a pipeline stage runs. The product of its dims' runs is the boxes of a tensor.
// Local indices whose global index lies behind the end (padding) are in no box.
#ifndef NMRT_PIECES_H
#define NMRT_PIECES_H

#include "runtime/comm.h"
#include "runtime/mesh.h"
#include "runtime/plan.h"
#include "runtime/safetensors.h"

// --- what a rank holds -------------------------------------------------------------------------

typedef struct nmrt_share {  // of one parameter or state, beyond what its dims' symbols say
    const nmrt_run_of *turn; // its first dim is these turns of a repeat, chunk behind chunk
    int n_turns;             // 0: the first dim is as the others
    bool elsewhere;          // a lower pipeline stage holds the same, and saves it
} nmrt_share;

typedef struct nmrt_shares { // of one rank; all zero: a rank alone, which holds everything whole
    nmrt_comm *comm;
    const nmrt_mesh *mesh;
    const nmdrv_sym *sym;    // [program.n_syms]: those of local extents are read
    const nmrt_share *param; // [program.n_params]; NULL: nothing is cut over pp
} nmrt_shares;

typedef struct nmrt_box { // indices [from, from + n) of each dim
    int rank;
    int64_t from[NMRT_MAX_RANK], n[NMRT_MAX_RANK];
} nmrt_box;

typedef struct nmrt_held { // a box of the whole tensor, and where its first element is in the part
    nmrt_box box;
    int64_t at[NMRT_MAX_RANK];
} nmrt_held;

typedef struct nmrt_part {        // what a rank holds of a tensor; released by nmrt_part_release
    int64_t shape[NMRT_MAX_RANK]; // of the rank's own array, row-major, with its padding
    nmrt_held *held;
    int n;
    bool padded; // not every element of the array is in a box
    bool first;  // of the ranks that hold just this, this one writes it
} nmrt_part;

// Of row `param` of the program, which lies in `slot`. Fails where symbols, turns and the slot's
// bytes contradict each other.
nmrt_status nmrt_part_init(nmrt_part *part, const nmdrv_program *program, int64_t param,
                           const nmrt_slot *slot, const nmrt_shares *shares, nmrt_error *e);
void nmrt_part_release(nmrt_part *part);

// --- boxes -------------------------------------------------------------------------------------

int64_t nmrt_box_elements(const nmrt_box *box);
bool nmrt_box_meet(const nmrt_box *a, const nmrt_box *b, nmrt_box *both); // false: they do not
// "[0:4, 8:16]"; nothing where the box is the whole.
void nmrt_box_print(const nmrt_box *box, const int64_t *whole, nmrt_text *out);
// Is every index of `whole` in exactly one of the boxes? If not, the message names an index.
nmrt_status nmrt_boxes_check(const nmrt_box *whole, const nmrt_box *box, int n, const char *name,
                             nmrt_error *e);

// The elements of a box in two row-major arrays, as runs that are consecutive in both:
//     for (nmrt_rows r = nmrt_rows_of(...); nmrt_rows_next(&r);)
//         copy r.n elements from a + r.a to b + r.b
typedef struct nmrt_rows {
    int64_t n, a, b;
    int rank; // of the dims outside the runs
    bool started;
    int64_t extent[NMRT_MAX_RANK], index[NMRT_MAX_RANK], a_step[NMRT_MAX_RANK],
        b_step[NMRT_MAX_RANK];
} nmrt_rows;
typedef struct nmrt_view { // an array, and where the box begins in it
    const int64_t *shape, *from;
} nmrt_view;
nmrt_rows nmrt_rows_of(int rank, const int64_t *n, nmrt_view a, nmrt_view b);
bool nmrt_rows_next(nmrt_rows *r);

#endif
