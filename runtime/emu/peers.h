// The works of the emulated NCCL: what a rank does with the boxes that it shares with the others.
#ifndef NMEMU_PEERS_H
#define NMEMU_PEERS_H

#include "runtime/emu/boxes.h"
#include "runtime/emu/driver.h"

enum { NMEMU_MESSAGES = 64 }; // in a group

struct ncclComm {
    nmemu_boxes boxes;
    nmemu_boxes_id id;
    int n, me;
    uint64_t turn; // collectives that this rank has posted
    int graphs;    // calls of it that graphs hold
};

typedef enum { NMEMU_ALL_REDUCE, NMEMU_REDUCE_SCATTER, NMEMU_ALL_GATHER } nmemu_collective;
typedef struct nmemu_collecting {
    nmemu_work work;
    ncclComm_t comm;
    nmemu_collective kind;
    ncclDataType_t type;
    ncclRedOp_t op;
    const void *in;
    void *out;
    uint64_t n;    // elements, as the call has it
    uint64_t turn; // 0: not posted yet
    bool in_graph; // it stands there, and is not run
    bool captured; // it comes from there, on all ranks or on none
} nmemu_collecting;

typedef struct nmemu_message { // a message
    int peer;
    bool sends, done;
    char *at;
    uint64_t bytes;
    uint64_t number; // that it has been sent as; 0: not yet
} nmemu_message;

typedef struct nmemu_exchanging {
    nmemu_work work;
    ncclComm_t comm;
    int n;
    const char *wrong;
    nmemu_message message[NMEMU_MESSAGES];
} nmemu_exchanging;

extern const nmemu_work_kind nmemu_collects, nmemu_exchanges;

bool nmemu_is_over(const struct ncclComm *c); // a rank has aborted it
const char *nmemu_collective_name(nmemu_collective kind);
uint64_t nmemu_given(const nmemu_collecting *k); // elements that a rank gives
uint64_t nmemu_taken(const nmemu_collecting *k); // and that it gets

#endif
