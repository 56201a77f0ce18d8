// Launches of collectives that go on beside the rank's own thread: a queue, and one thread that
// runs them in the order in which they were started.
//
// Members of a group start the same launches in the same order, so none can wait for one that
// another has not begun. One thread at a time is inside the communicator: the queue's while
// launches are under way, else the caller's. So a collective that has to be done at once goes
// through the queue, too (nmrt_queue_run), and whoever sends, receives or meets at a barrier waits
// for all launches first (nmrt_queue_settle).
#ifndef NMRT_COMM_QUEUE_H
#define NMRT_COMM_QUEUE_H

#include "runtime/comm.h"
#include "runtime/trace.h"

typedef struct nmrt_queue nmrt_queue;

enum { NMRT_QUEUE_PLACES = 16 }; // launches under way

// Of this communicator, which outlives it; for the calls of one thread. All its memory is made
// here; the thread starts with the first launch. A communicator that one thread alone may use
// (nmrt_comm.one_thread) has none: every launch is done when its start returns.
nmrt_status nmrt_queue_new(nmrt_queue **queue, nmrt_comm *comm, nmrt_error *e);
void nmrt_queue_free(nmrt_queue *q); // what is under way is waited for; NULL is fine

// Its launches get a track of their own, the caller's waits stand among the steps. trace NULL:
// none.
void nmrt_queue_trace(nmrt_queue *q, nmrt_trace *trace);

// Starts a launch of what nmrt_comm_run_all would do. Operands, results and what x points at stay
// until it has been waited for. Waits itself where all places are taken. *ticket: above 0, and
// above that of any launch before.
nmrt_status nmrt_queue_start(nmrt_queue *q, const nmrt_exchange *x, int n, int64_t *ticket,
                             nmrt_error *e);
// Returns when this launch and all before it are done. After a launch has failed no other is run,
// and every call here gives that failure.
nmrt_status nmrt_queue_wait(nmrt_queue *q, int64_t ticket, nmrt_error *e);
nmrt_status nmrt_queue_settle(nmrt_queue *q, nmrt_error *e); // waits for all
// As start and wait; in the caller's thread where nothing is under way.
nmrt_status nmrt_queue_run(nmrt_queue *q, const nmrt_exchange *x, int n, nmrt_error *e);

// The last collective that was started, unless it has been waited for: then NULL.
const nmrt_exchange *nmrt_queue_left(const nmrt_queue *q);

#endif
