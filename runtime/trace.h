// A trace of some steps for people to look at: spans of time on tracks, which become one file that
// ui.perfetto.dev and chrome://tracing open. A process of the file is a rank, a thread of it a
// track: a thread of this process, a queue of the communicator, or a stream of a device.
//
// Times are nanoseconds of CLOCK_MONOTONIC. A device with a clock of its own notes both clocks at
// one moment where it can, and adds spans whose times it has converted (nmrt_trace_source). Each
// step is written to the file when it has ended, so what is there outlives a crash of a later one.
//
// Without --trace there is no trace and all tracks are NULL, which every function here takes: then
// they do nothing.
#ifndef NMRT_TRACE_H
#define NMRT_TRACE_H

#include "runtime/comm.h"
#include "runtime/mesh.h"
#include "runtime/status.h"

#include <stdbool.h>

typedef struct nmrt_trace nmrt_trace; // of a rank
typedef struct nmrt_track nmrt_track;

// --- what may be traced --------------------------------------------------------------------------

enum { // the order in which tracks stand below each other; several of one place by their making
    NMRT_TRACK_STEPS,       // the rank's own thread
    NMRT_TRACK_STREAMS,     // of a device, in order
    NMRT_TRACK_COLLECTIVES, // of the communicator
    NMRT_TRACK_THREADS,     // of the pool
    NMRT_TRACK_FILES,       // the writer of checkpoints
};

typedef enum { // a span's colour and filter
    NMRT_SPAN_STEP,
    NMRT_SPAN_PHASE,
    NMRT_SPAN_FUNCTION,
    NMRT_SPAN_KERNEL,
    NMRT_SPAN_SHARE,
    NMRT_SPAN_COLLECTIVE,
    NMRT_SPAN_MESSAGE,
    NMRT_SPAN_COPY,
    NMRT_SPAN_WAIT,
    NMRT_SPAN_FILE,
} nmrt_span_kind;

typedef struct nmrt_number { // key NULL: none
    const char *key;
    int64_t value;
} nmrt_number;

typedef struct nmrt_span { // all texts outlive the trace
    nmrt_span_kind kind;
    const char *name;
    const char *where;     // model lines, a ", " between; NULL or "": none
    nmrt_number number[3]; // told beside it: indices, bytes, stage
    int64_t begin, end;
} nmrt_span;

// --- adding to it: from any thread ---------------------------------------------------------------

// What happens from now on, on the calling thread: its begin, or 0 where nothing is traced. Every
// begin has one end; those of a thread nest. Tools that listen to NVTX hear of it, too.
int64_t nmrt_trace_begin(nmrt_track *track, const char *name);
// It ends now. Nothing for a begin of 0. span.begin and span.end need not be set.
void nmrt_trace_end(nmrt_track *track, int64_t begin, const nmrt_span *span);
// A span whose times are known: on one track, two spans are one within the other or apart.
void nmrt_trace_add(nmrt_track *track, const nmrt_span *span);
// Is the step that runs now traced? For work that a trace alone needs, as recording events.
bool nmrt_trace_runs(const nmrt_trace *trace);
int64_t nmrt_trace_now(void);

// --- tracks: from the rank's own thread ----------------------------------------------------------

// name is copied. NULL where trace is, or where there is no memory for it: its spans are not
// traced.
nmrt_track *nmrt_trace_track(nmrt_trace *trace, int place, const char *name);
nmrt_track *nmrt_trace_steps(nmrt_trace *trace); // NMRT_TRACK_STEPS; NULL where trace is
// `collect` is called when a traced step has ended, before it is written: adds what a device has
// recorded meanwhile. One source a trace; NULL: none any more.
void nmrt_trace_source(nmrt_trace *trace, void (*collect)(void *user), void *user);

// --- the run -------------------------------------------------------------------------------------

// "A" or "A-B", from 1 on.
bool nmrt_trace_parse(const char *steps, int64_t *first, int64_t *last);
// Of this rank, which owns no file yet: tracks may be made. comm outlives it.
nmrt_status nmrt_trace_new(nmrt_trace **trace, nmrt_comm *comm, nmrt_error *e);

typedef struct nmrt_trace_request {
    const char *path;    // --trace; outlives the trace
    const char *steps;   // --trace-steps; NULL: the third of this run, or its last
    int64_t first, last; // steps that this run does
    const nmrt_mesh *mesh;
} nmrt_trace_request;

// Makes the file; of several ranks each one of its own, FILE.rank-1, which rank 0 puts behind its
// own in the end. *any: whether this run does one of the steps; else there is no file. Collective,
// as is what it fails with. trace NULL: none.
nmrt_status nmrt_trace_open(nmrt_trace *trace, const nmrt_trace_request *request, bool *any,
                            nmrt_error *e);
// From here to the next call of nmrt_trace_step_done spans are kept, if the step is to be traced.
void nmrt_trace_step(nmrt_trace *trace, int64_t step);
void nmrt_trace_number(nmrt_trace *trace, const char *name, double value); // a curve's point, now
// Writes what the step has left. Is it the last to be traced?
bool nmrt_trace_step_done(nmrt_trace *trace);
// Has a file been made, but not one of its steps been done? *first: of those.
bool nmrt_trace_missed(const nmrt_trace *trace, int64_t *first);
// Makes the file whole, or removes it if no step was done; nothing is traced any more. Collective,
// as is what it fails with, which may be of an earlier write: then files that are not joined stay,
// and each can be opened by itself. Does nothing the second time.
nmrt_status nmrt_trace_finish(nmrt_trace *trace, nmrt_error *e);
// What a failed step has left is written; a file without a step is removed. NULL is fine.
void nmrt_trace_close(nmrt_trace *trace);

#endif
