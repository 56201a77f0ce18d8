// What a rank is doing, written by the thread that does it, read by the one that sends it to rank
// 0, and on the other side written into rank 0's recorder as if that rank had done it there.
#ifndef NMRT_WIRE_JOURNAL_H
#define NMRT_WIRE_JOURNAL_H

#include "runtime/recorder.h"
#include "runtime/text.h"

#include <stdatomic.h>

typedef struct nmrt_journal nmrt_journal;

nmrt_journal *nmrt_journal_new(void); // NULL: no memory
void nmrt_journal_free(nmrt_journal *j);
// Who does it: the rank's thread, or its device's queue (nmrt_recorder_device).
typedef enum { NMRT_SEAT_RANK, NMRT_SEAT_DEVICE, NMRT_N_SEATS } nmrt_seat;
// As nmrt_health_enter, leave, moved; attend: of a group whose meetings the caller counts.
int64_t nmrt_journal_enter(nmrt_journal *j, const nmrt_note *note, const nmrt_group *group);
void nmrt_journal_leave(nmrt_journal *j);
void nmrt_journal_moved(nmrt_journal *j);
void nmrt_journal_attend(nmrt_journal *j, const nmrt_group *group, int64_t meeting);
// What the device is in now; group NULL: a message.
void nmrt_journal_device_enter(nmrt_journal *j, const nmrt_note *note, const nmrt_group *group);
void nmrt_journal_device_leave(nmrt_journal *j);
_Atomic int64_t *nmrt_journal_progress(nmrt_journal *j); // as of the recorder
int nmrt_journal_groups(nmrt_journal *j);                // how many it has met
// Adds group `group`'s definition, and the state of now after `seconds` since the last one, as
// bytes. False: there are more groups than `told` by now, whose definitions come first.
void nmrt_journal_add_group(nmrt_journal *j, int group, nmrt_text *out);
bool nmrt_journal_add_state(nmrt_journal *j, int told, double seconds, nmrt_text *out);

typedef struct nmrt_deed { // an operation as it travels
    char verb[16], name[160], where[128];
    int32_t peer, group; // of those that the rank has named; -1: none
    int64_t bytes;
} nmrt_deed;

typedef struct nmrt_doing {
    double waited; // seconds in `now` without a byte
    int64_t inside;
    nmrt_deed now, last;
} nmrt_doing;

typedef struct nmrt_state { // then int64 meetings[n_groups]
    int64_t progress;       // operations, moves, and what else the rank counts
    int64_t n_groups;
    nmrt_doing at[NMRT_N_SEATS];
} nmrt_state;

struct nmrt_mirrored {
    int group, me; // of the recorder
};

typedef struct nmrt_mirror { // a rank, seen from elsewhere; zeros: nothing yet
    nmrt_state state;
    int n_groups;
    struct nmrt_mirrored *group;
} nmrt_mirror;

// False: the bytes are not what a journal adds.
bool nmrt_mirror_take_group(nmrt_mirror *m, nmrt_recorder *r, const void *at, size_t n);
bool nmrt_mirror_take_state(nmrt_mirror *m, nmrt_recorder *r, int rank, const void *at, size_t n);
void nmrt_mirror_release(nmrt_mirror *m);
// How long it has waited, at whichever seat.
double nmrt_mirror_waited(const nmrt_mirror *m);

#endif
