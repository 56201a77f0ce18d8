// Ranks that are processes of their own, on one host or on many: what the files of the communicator
// `wire` give each other, from below to above.
//
//     wire_socket.c     connect, listen, send and receive before a deadline
//     wire_meet.c       the ranks find each other: rank 0 hosts, the others join
//     wire_health.c     a thread a rank: signs of life to rank 0, which says who is behind
//     wire_journal.c    what a rank is doing, as bytes
//     wire_tcp.c, wire_mpi.c   transports: bytes from one rank to another, in order
//     wire_post.c       packets over a transport: who asks early waits, who comes early is kept
//     comm_wire.c       the communicator: collectives out of packets
#ifndef NMRT_WIRE_H
#define NMRT_WIRE_H

#include "runtime/ranks.h"

#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/uio.h>

// --- sockets -------------------------------------------------------------------------------------

typedef struct nmrt_place { // where somebody listens
    struct sockaddr_storage at;
} nmrt_place;

// Times are seconds of nmrt_seconds: `until` is a moment.
nmrt_status nmrt_socket_listen(int port, int *fd, nmrt_error *e); // port 0: any that is free
int nmrt_socket_port(int fd);                                     // of a listening socket
void nmrt_place_set_port(nmrt_place *place, int port);
int nmrt_place_port(const nmrt_place *place);
bool nmrt_place_is_loopback(const nmrt_place *place);
// The places of a host's name; *n at most most.
nmrt_status nmrt_socket_resolve(const char *host, int port, nmrt_place *place, int most, int *n,
                                nmrt_error *e);
int nmrt_socket_connect(const nmrt_place *place, double until);       // -1: errno says why
int nmrt_socket_accept(int listener, nmrt_place *from, double until); // -1: nobody came
// All of it, or false: the connection closed, failed (errno), or `until` came (ETIMEDOUT).
bool nmrt_socket_send(int fd, const void *at, size_t n, double until);
bool nmrt_socket_recv(int fd, void *at, size_t n, double until);

// --- the ranks find each other -------------------------------------------------------------------

typedef struct nmrt_roll { // all have come
    int ranks, rank;
    int *control;      // [ranks] of rank 0: to each of the others; else only to rank 0. -1: none
    nmrt_place *place; // [ranks] where each listens for data, as this rank reaches it
    uint64_t run;      // a number that this run's ranks know and no others
} nmrt_roll;

typedef struct nmrt_guest { // what a rank says of itself
    int data_port;          // 0: it does not listen
    uint64_t run;           // 0: rank 0 chooses it
} nmrt_guest;

// Where rank 0 of these ranks can be reached, by what launchers say.
nmrt_status nmrt_wire_find(const nmrt_ranks *ranks, char host[NMRT_HOST], int *port, nmrt_error *e);
// Rank 0: takes everybody in who comes to `listener` before the timeout, which it names.
nmrt_status nmrt_wire_host(nmrt_roll *roll, const nmrt_ranks *ranks, int listener,
                           const nmrt_guest *self, nmrt_error *e);
// The others: waits on `fd`, a connection to rank 0, until all have come. Takes fd.
nmrt_status nmrt_wire_join(nmrt_roll *roll, const nmrt_ranks *ranks, int fd, const nmrt_guest *self,
                           nmrt_error *e);
// Both by the address that launchers say: connects as long as it is refused, up to the timeout.
nmrt_status nmrt_wire_meet(nmrt_roll *roll, const nmrt_ranks *ranks, const nmrt_guest *self,
                           nmrt_error *e);
void nmrt_roll_release(nmrt_roll *roll); // zeros are fine; closes what is left open

// --- health --------------------------------------------------------------------------------------

typedef struct nmrt_health nmrt_health;

// Starts the thread, which takes the roll's control connections.
nmrt_status nmrt_health_open(nmrt_health **health, const nmrt_ranks *ranks, nmrt_roll *roll,
                             nmrt_error *e);
// An operation begins; with a group, the number of its meeting, counted from 1, or -1: no memory.
// note->group is not looked at.
int64_t nmrt_health_enter(nmrt_health *h, const nmrt_note *note, const nmrt_group *group);
void nmrt_health_leave(nmrt_health *h);
void nmrt_health_moved(nmrt_health *h);                // bytes came or went: the wait begins anew
_Atomic int64_t *nmrt_health_progress(nmrt_health *h); // what the rank counts as it computes
struct nmrt_journal *nmrt_health_journal(nmrt_health *h); // in which its device notes what it does
bool nmrt_health_has_failed(const nmrt_health *h);
// Of a run that has failed: the sentence for all ranks, and whether this one says it.
const char *nmrt_health_why(const nmrt_health *h);
bool nmrt_health_speaks(const nmrt_health *h);
// Fails the run with this sentence, unless it has failed before, and returns when all know.
// rank -1: it is of all ranks.
void nmrt_health_fail(nmrt_health *h, nmrt_failure kind, int rank, const char *why);
// Leaves: where the run has not failed, together with all others.
void nmrt_health_close(nmrt_health *h);

// --- transports ----------------------------------------------------------------------------------

// To and from each peer one transfer at a time may be under way; its memory stays until it is done.
// What is sent in pieces may be received in the same pieces, in order. Called by one thread at a
// time.
typedef struct nmrt_transport nmrt_transport;
struct nmrt_transport {
    const char *name;
    bool one_thread; // only by the one that opened it
    void (*send)(nmrt_transport *t, int to, const struct iovec part[2]); // the second may be empty
    void (*recv)(nmrt_transport *t, int from, void *at, int64_t bytes);
    bool (*is_sent)(const nmrt_transport *t, int to);
    bool (*is_received)(const nmrt_transport *t, int from);
    bool (*is_lost)(const nmrt_transport *t, int peer); // nothing will come or go any more
    // Moves what can be moved, and waits at most `ms` for it. Returns whether anything moved.
    bool (*progress)(nmrt_transport *t, int ms);
    // well: everybody leaves; else what is under way is thrown away.
    void (*close)(nmrt_transport *t, bool well);
};

// Opens the transport and fills the roll.
nmrt_status nmrt_wire_tcp(nmrt_transport **t, const nmrt_ranks *ranks, nmrt_roll *roll,
                          nmrt_error *e);
nmrt_status nmrt_wire_mpi(nmrt_transport **t, const nmrt_ranks *ranks, nmrt_roll *roll,
                          nmrt_error *e);
bool nmrt_wire_has_mpi(void); // is the library there?

// --- packets -------------------------------------------------------------------------------------

typedef struct nmrt_packet { // stands before its bytes
    int64_t group;           // of a collective; 0: a message
    int64_t number;          // the group's meeting; the message's tag
    int64_t step;            // of the collective's algorithm; 0
    int64_t bytes;
    uint64_t signature; // of the operation
    char title[152];    // the operation, for people
} nmrt_packet;

typedef struct nmrt_ticket { // a packet on its way, out or in
    nmrt_packet head;
    char *at; // its bytes
    bool owned, done;
    struct nmrt_ticket *next;
} nmrt_ticket;

typedef struct nmrt_post nmrt_post;

// Takes the transport; the health is the caller's.
nmrt_status nmrt_post_new(nmrt_post **post, nmrt_transport *t, nmrt_health *health, int ranks,
                          int rank, double timeout, nmrt_error *e);
void nmrt_post_free(nmrt_post *post, bool well);
// The operation that begins: its packets' head, all but step and bytes. Whoever has already sent
// something else in its place diverges.
nmrt_status nmrt_post_begin(nmrt_post *post, const nmrt_packet *operation, nmrt_error *e);
// Parts of it: ticket and bytes stay until nmrt_post_wait returns.
void nmrt_post_send(nmrt_post *post, int to, int64_t step, const void *at, int64_t bytes,
                    nmrt_ticket *ticket);
void nmrt_post_recv(nmrt_post *post, int from, int64_t step, void *at, int64_t bytes,
                    nmrt_ticket *ticket);
nmrt_status nmrt_post_wait(nmrt_post *post, nmrt_error *e); // until all parts are done
// A message: its bytes are copied, and go while this rank waits for anything. Waits itself where
// many are under way.
nmrt_status nmrt_post_mail(nmrt_post *post, int to, const void *at, int64_t bytes, nmrt_error *e);
nmrt_status nmrt_post_flush(nmrt_post *post, nmrt_error *e); // until all has gone out

// --- the communicator ----------------------------------------------------------------------------

// which: "tcp" or "mpi".
nmrt_status nmrt_comm_wire(nmrt_comm *c, const nmrt_ranks *ranks, const char *which, nmrt_error *e);

#endif
