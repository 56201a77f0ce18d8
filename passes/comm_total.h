// Of --explain-comm: bytes, of which some are known when a run starts, and sums of them.
#ifndef NM_PASSES_COMM_TOTAL_H
#define NM_PASSES_COMM_TOTAL_H

#include "ir/ir.h"

typedef struct nm_comm_bytes { // 512 batch seq / dp.cp
    int64_t n;
    nm_sym of; // " batch seq / dp.cp": run-time extents, and the axes that divide; "": nothing
} nm_comm_bytes;

nm_comm_bytes nm_comm_bytes_of(nm_module *m, const nm_type *t); // of a rank's part
// So many turns of a repeat; the extent may be a run-time one.
nm_comm_bytes nm_comm_bytes_times(nm_module *m, nm_comm_bytes b, const nm_extent *turns);

typedef struct nm_comm_sum { // 512 batch seq / dp.cp + 4
    nm_comm_bytes part;
    struct nm_comm_sum *next;
} nm_comm_sum;

typedef struct nm_comm_row { // collectives over the same axes
    nm_sym axes;
    nm_comm_sum *count, *bytes;
    struct nm_comm_row *next;
} nm_comm_row;

typedef struct nm_comm_total {
    nm_comm_row *first;
} nm_comm_total;

// `count` collectives, of `bytes` together. Rows live in a.
void nm_comm_total_add(nm_arena *a, nm_comm_total *t, nm_sym axes, nm_comm_bytes count,
                       nm_comm_bytes bytes);
void nm_comm_total_print(FILE *out, const nm_comm_total *t);

#endif
