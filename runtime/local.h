// What forked ranks of one machine share: one mapping, made before the fork, at the same address in
// all of them. The recorder, the communicator's own words, and an arena for each rank's buffers,
// which its peers read directly.
#ifndef NMRT_LOCAL_H
#define NMRT_LOCAL_H

#include "runtime/comm.h"
#include "runtime/recorder.h"

#include <stdatomic.h>

typedef struct nmrt_bell { // a counter that ranks wait for; in shared memory
    _Alignas(64) atomic_uint count;
    atomic_uint sleepers;
} nmrt_bell;

typedef struct nmrt_local {
    int ranks, spin; // turns of waiting before one sleeps; 0 where processors are short
    char *base;
    size_t bytes;
    nmrt_recorder *recorder;
    char *meetings, *channels; // of comm_local.c and comm_mail.c
    char *arenas;
    size_t arena; // bytes of one rank's
} nmrt_local;

// Address space only: nothing is touched until it is used.
nmrt_status nmrt_local_new(nmrt_local **local, int ranks, double timeout, nmrt_error *e);
void nmrt_local_free(nmrt_local *local);
// The communicator of one of the ranks; close it before nmrt_local_free.
nmrt_status nmrt_comm_local(nmrt_comm *c, nmrt_local *local, int rank, nmrt_error *e);

// --- between the files of this communicator ------------------------------------------------------

// Waits until the bell has been rung `target` times (modulo 2^32). Fails when the run has failed,
// which this rank makes so itself after the timeout.
nmrt_status nmrt_bell_wait(nmrt_local *local, int rank, nmrt_bell *bell, unsigned target,
                           nmrt_error *e);
void nmrt_bell_ring(nmrt_bell *bell); // once more; wakes who waits

// One rank's, carved from front to back. alloc: zeros, 64-byte aligned.
typedef struct nmrt_arena {
    char *at;
    size_t used, bytes;
} nmrt_arena;
nmrt_status nmrt_arena_alloc(nmrt_arena *a, int64_t bytes, void **at, nmrt_error *e);
void nmrt_arena_free(nmrt_arena *a, void *at, int64_t bytes);

size_t nmrt_meetings_bytes(int ranks); // of the shared part of comm_local.c

// Mailboxes: messages between two ranks, copied into the sender's arena and out of it.
typedef struct nmrt_mail nmrt_mail;
size_t nmrt_mail_bytes(void); // of the shared part
nmrt_status nmrt_mail_new(nmrt_mail **mail, nmrt_local *local, int rank, nmrt_arena *arena,
                          nmrt_error *e);
void nmrt_mail_free(nmrt_mail *mail);
nmrt_status nmrt_mail_send(nmrt_mail *mail, int to, int tag, const void *at, int64_t bytes,
                           const char *what, const char *where, nmrt_error *e);
nmrt_status nmrt_mail_recv(nmrt_mail *mail, int from, int tag, void *at, int64_t bytes,
                           const char *what, const char *where, nmrt_error *e);

#endif
