// Items that are read one after the other, worked on by threads, and written in the order in which
// they were read. As many wait as there is memory for: `n_items`.
#ifndef NMRT_CORPUS_ORDERED_H
#define NMRT_CORPUS_ORDERED_H

#include "runtime/status.h"

#include <stddef.h>

typedef struct nmrt_ordered {
    void *item; // [n_items], of item_bytes each: the caller's
    size_t item_bytes;
    int n_items, workers;
    void *user; // given to all functions
    // By the calling thread. *end: there is no item any more.
    nmrt_status (*read)(void *user, void *item, bool *end, nmrt_error *e);
    // By worker `worker`, of several items at once.
    nmrt_status (*work)(void *user, int worker, void *item, nmrt_error *e);
    // By the calling thread, in order, of those whose work succeeded.
    nmrt_status (*write)(void *user, void *item, nmrt_error *e);
} nmrt_ordered;

// The first failure, in the order of the items, ends it; what stands before it was written.
nmrt_status nmrt_ordered_run(const nmrt_ordered *o, nmrt_error *e);

#endif
