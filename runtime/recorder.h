// The flight recorder: what each rank of a run is doing with the others, noted before it waits. It
// lies in memory that all forked ranks and their parent share, so whoever has waited too long, and
// the parent when a rank dies, can say who is behind, on which operation and model line. A rank
// that computes is behind, but not stuck: it counts what it has done, and one watcher looks at the
// counts, and at whether the process is given time on a processor, as one launch may be long.
#ifndef NMRT_RECORDER_H
#define NMRT_RECORDER_H

#include "runtime/comm.h"

#include <stddef.h>

typedef struct nmrt_recorder nmrt_recorder;

typedef struct nmrt_note {    // one operation, as it is begun
    const char *verb;         // "send to", "receive from"; "" for collectives
    const char *name, *where; // "reduce_scatter.grad.q.w", "llama3.nm:20"
    int group;                // of nmrt_recorder_group; -1: with one peer
    int peer;
    int64_t bytes;
} nmrt_note;

size_t nmrt_recorder_bytes(int ranks);
// In `memory`, of nmrt_recorder_bytes(ranks), zeros, 64-byte aligned. timeout: seconds.
nmrt_recorder *nmrt_recorder_init(void *memory, int ranks, double timeout);
double nmrt_recorder_timeout(const nmrt_recorder *r);
void nmrt_recorder_set_pid(nmrt_recorder *r, int rank, int pid);

// --- by each rank ------------------------------------------------------------------------------

// A rank's device may have a queue of collectives of its own, which goes on beside the rank's
// thread: what that is in is noted at a second seat. Where a function has a `seat`, it is a rank,
// or this.
int nmrt_recorder_device(const nmrt_recorder *r, int rank);
// The group's number, below NMRT_MAX_GROUPS; made where it is new. -1: there are too many.
enum { NMRT_MAX_GROUPS = 4096 };
int nmrt_recorder_group(nmrt_recorder *r, const nmrt_group *group);
void nmrt_recorder_enter(nmrt_recorder *r, int seat, const nmrt_note *note);
// Member `me` comes to the group's next meeting; which one it is, counted from 1.
int64_t nmrt_recorder_arrive(nmrt_recorder *r, int rank, int group, int me);
// The member has come to so many meetings, which it counts itself; attend: and is in the last.
void nmrt_recorder_count(nmrt_recorder *r, int group, int me, int64_t meetings);
void nmrt_recorder_attend(nmrt_recorder *r, int seat, int group, int me, int64_t meeting);
void nmrt_recorder_leave(nmrt_recorder *r, int seat);
// The rank's count of what it has done: the rank adds to it as it computes, reads and writes.
_Atomic int64_t *nmrt_recorder_progress(nmrt_recorder *r, int rank);
// A rank of another host gives no sign of life, or does again.
void nmrt_recorder_set_silent(nmrt_recorder *r, int rank, bool silent);

// By the one watcher, every now and then: `seconds` since the last time.
void nmrt_recorder_watch(nmrt_recorder *r, double seconds);

// --- the end of a run ----------------------------------------------------------------------------

typedef enum { // why a run failed first
    NMRT_FAILED_NOT,
    NMRT_FAILED_FLAGS, // the flags are wrong, as every rank says
    NMRT_FAILED_RANK,  // a rank ended with an error, or ranks diverge
    NMRT_FAILED_LOST,  // a rank died or stalled: another start may go well
} nmrt_failure;

// How a rank tells its own failure: of which kind it is, and whose, -1 where all ranks have it.
nmrt_failure nmrt_failure_kind(nmrt_status status);
int nmrt_failure_rank(nmrt_status status, const nmrt_error *e, int rank);
// The first to fail says why; all others leave with that. Returns whether it was the first.
bool nmrt_recorder_fail(nmrt_recorder *r, nmrt_failure kind, int rank, const char *why);
nmrt_failure nmrt_recorder_failure(const nmrt_recorder *r); // NOT until the text is complete
const char *nmrt_recorder_why(const nmrt_recorder *r);
int nmrt_recorder_failed_rank(const nmrt_recorder *r); // -1: all of them, or the parent
// `rank` has waited longer than the timeout: fails the run with the name of who is behind, if that
// one, and whoever waits for it in between, has stood still for so long, too. Else ask again.
void nmrt_recorder_blame(nmrt_recorder *r, int rank);
// Two members of a group came to one meeting with different operations.
void nmrt_recorder_diverge(nmrt_recorder *r, int rank, int other);
// `rank` is gone (how: "killed by signal 9"): fails the run with what the others wait for.
void nmrt_recorder_mourn(nmrt_recorder *r, int rank, const char *how);
bool nmrt_recorder_awaits(const nmrt_recorder *r, int rank); // does anyone wait for it?

typedef struct nmrt_title { // an operation, for people
    char at[512];
} nmrt_title;
nmrt_title nmrt_note_title(const nmrt_note *note); // "reduce_scatter grad.q.w (llama3.nm:20)"
// What the rank is in, or its device, or else was in last, or "none".
nmrt_title nmrt_recorder_title(const nmrt_recorder *r, int rank);

// A signal asked the run to end after the step: set by the parent, read by all.
void nmrt_recorder_ask_stop(nmrt_recorder *r);
bool nmrt_recorder_stop_asked(const nmrt_recorder *r);

#endif
