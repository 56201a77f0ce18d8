// What a rank's device has under way with other ranks, beside the rank's own thread, in the flight
// recorder: collectives that a GPU's queue holds. A communicator of more than one rank has one
// (nmrt_comm.flight). All calls are one thread's, which may be another than the rank's own.
#ifndef NMRT_FLIGHT_H
#define NMRT_FLIGHT_H

#include "runtime/recorder.h"

struct nmrt_local;
struct nmrt_health;

struct nmrt_flight { // of forked ranks, or of ranks that share no memory; zeros: neither
    struct nmrt_local *local;
    struct nmrt_health *health;
    int rank;
};

// The device has come to so many meetings of the group, counted by the caller. They are other
// meetings than those of the communicator's own collectives.
void nmrt_flight_attend(const nmrt_flight *f, const nmrt_group *group, int64_t meetings);
// It stands in the last of them, or, with group NULL, in a message: note->group is not looked at.
void nmrt_flight_enter(const nmrt_flight *f, const nmrt_note *note, const nmrt_group *group,
                       int64_t meetings);
void nmrt_flight_leave(const nmrt_flight *f);
// After `waited` seconds inside: NMRT_OK, or the run has failed, and why. After the timeout this
// finds who is behind, or who waits for whom in between.
nmrt_status nmrt_flight_look(const nmrt_flight *f, double waited, nmrt_error *e);

#endif
