// Memory that the processes of an emulated NCCL communicator share: a box for what each rank gives
// to a collective, and one for each message from one rank to another.
#ifndef NMEMU_BOXES_H
#define NMEMU_BOXES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { NMEMU_RANKS = 16 };
#define NMEMU_BOX_BYTES (UINT64_C(1) << 32) // addresses; memory is taken as it is touched

typedef struct nmemu_shared {
    uint64_t magic;
    _Atomic int joined; // ranks so far
    _Atomic bool aborted;
    struct {
        _Atomic uint64_t posted, done; // collectives that it has given its part to; has finished
        uint64_t what[5]; // the one that was posted last: kind, type, operation, count, captured
        int device;       // that it has
    } rank[NMEMU_RANKS];
    struct {
        _Atomic uint64_t sent, received; // messages
        uint64_t bytes;                  // of the last
    } pair[NMEMU_RANKS][NMEMU_RANKS];
} nmemu_shared;

typedef struct nmemu_boxes {
    nmemu_shared *shared;
    char *data;
    uint64_t mapped;
    int n;
} nmemu_boxes;

typedef struct nmemu_boxes_id { // fits into an ncclUniqueId
    uint64_t magic;
    int32_t pid, fd; // who made it, and keeps it open
} nmemu_boxes_id;

bool nmemu_boxes_make(nmemu_boxes_id *id);
// Maps what `id` names, as one of n ranks. False: it is not on this machine, or its maker is gone.
bool nmemu_boxes_join(nmemu_boxes *b, const nmemu_boxes_id *id, int n);
void nmemu_boxes_leave(nmemu_boxes *b);
// The box from one rank to another; of a rank to itself: its part of collectives.
char *nmemu_box(const nmemu_boxes *b, int from, int to);

#endif
