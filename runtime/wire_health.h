// What the files of the ranks' health over sockets share: wire_health.c says how they fit together.
#ifndef NMRT_WIRE_HEALTH_H
#define NMRT_WIRE_HEALTH_H

#include "runtime/wire.h"
#include "runtime/wire_journal.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

enum { // kinds of frames
    NMRT_SAY_GROUP = 1,
    NMRT_SAY_STATE,
    NMRT_SAY_FAIL,
    NMRT_SAY_BYE,
    NMRT_SAY_PULSE,
    NMRT_SAY_VERDICT
};

// Seconds.
#define NMRT_SILENT 2.5 // a rank of which nothing was heard for so long is silent
#define NMRT_TELL   3.0 // rank 0 has so long for its verdict, once it was told of a failure

typedef struct nmrt_verdict { // what SAY_FAIL and SAY_VERDICT hold
    int32_t kind, rank;
    char why[1000];
} nmrt_verdict;

// A rank as the thread knows it; of others than rank 0, only peer[0] and the own one.
typedef struct nmrt_peer {
    int fd; // -1: none
    bool bye;
    double silence;  // seconds without a frame
    double gone;     // since when it is missed; 0: it is not
    const char *how; // it went: "its connection closed"
    nmrt_text in;    // of frames to come
    nmrt_mirror mirror;
} nmrt_peer;

struct nmrt_health {
    int ranks, rank;
    bool is_first_here; // of this machine's ranks
    double timeout;
    nmrt_journal *journal;
    pthread_t thread;
    int wake; // an eventfd
    // between the threads
    atomic_bool failed, asked_fail, leaves, may_leave, ends;
    nmrt_verdict asked, final; // behind their flags
    atomic_bool alone;         // rank 0 did not tell it
    // of the thread
    nmrt_peer *peer; // [ranks]
    nmrt_recorder *recorder;
    int told;                        // groups of ours that rank 0 knows
    bool said_bye, said_verdict;     // to rank 0; by rank 0
    double told_fail, decided, left; // when we told rank 0; the run failed; the last byes were sent
    struct pollfd *poll;             // [ranks + 1]
};

// --- wire_talk.c: frames, sent and taken ---------------------------------------------------------

// A peer that does not take it at once is lost: its `how` says so then.
void nmrt_health_tell(nmrt_peer *p, uint32_t kind, const void *at, size_t n);
void nmrt_health_tell_all(nmrt_health *h, uint32_t kind, const void *at, size_t n); // of rank 0
// What this rank does, to the own recorder and to rank 0's; `seconds` since it was last told.
void nmrt_health_tell_state(nmrt_health *h, double seconds);
void nmrt_health_hear(nmrt_health *h, int from); // takes what has come

// --- wire_verdict.c: what a rank makes of it -----------------------------------------------------

void nmrt_health_decide(nmrt_health *h, const nmrt_verdict *v); // the run has failed; once
void nmrt_health_look_for_stalled(nmrt_health *h);              // rank 0, once a second
void nmrt_health_judge(nmrt_health *h);                         // rank 0, in each round
void nmrt_health_follow(nmrt_health *h);                        // the others, in each round

#endif
