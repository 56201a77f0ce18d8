// The emulated CUDA driver: what the files driver*.c share. It is the table of runtime/gpu/api.h
// over emulated devices: streams are queues that stand still until somebody waits, kernels are
// launches of the emulator, and what a caller or a kernel does wrong is told in words. docs/emu.md
// says how faithful it is.
//
// One lock guards it all: each function of the table is nmemu_call, the work, nmemu_done.
#ifndef NMEMU_DRIVER_H
#define NMEMU_DRIVER_H

#include "runtime/emu/emu.h"
#include "runtime/gpu/api.h"

#include <pthread.h>

enum {
    NMEMU_DEVICES = 16,
    NMEMU_QUEUE = 1024, // works that a stream holds: then issuing waits
    NMEMU_LANES = 8,    // streams in one capture
};

// --- driver.c: the whole -------------------------------------------------------------------------

typedef struct nmemu_driver {
    pthread_mutex_t lock;
    bool started;    // cuInit was called
    CUresult broken; // what every call returns since a kernel's misuse; else CUDA_SUCCESS
    const char *call;
    char message[4096]; // of the call, or what broke
    nmemu_mode mode;    // when works run, and a kernel's asynchronous operations
    uint64_t random;
    int workers;      // CPU threads of a kernel
    int devices;      // that there are
    int nccl;         // its version: 22809, 2.28.9
    int capability;   // of the devices: 90
    CUstream streams; // of all contexts, oldest first
    uint64_t issued;  // works so far
    CUgraph capture;  // the one under way; NULL: none
} nmemu_driver;

extern nmemu_driver nmemu_drv;

// Begins a call of the table: takes the lock. Not CUDA_SUCCESS: why the call cannot be. In any case
// nmemu_done ends it: it gives the lock back and returns `r`.
CUresult nmemu_call(const char *call);
CUresult nmemu_call_in_context(const char *call); // this thread needs a current context, too
CUresult nmemu_done(CUresult r);
// Writes the call's message, for `return nmemu_say(...)`.
CUresult nmemu_say(CUresult r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
uint64_t nmemu_draw(void);

// --- driver_device.c: devices and contexts -------------------------------------------------------

struct CUctx_st { // a device's primary context
    int ordinal, retained;
    nmemu *machine; // NULL: nobody has retained it
};

CUcontext nmemu_context(void); // this thread's; NULL: none
size_t nmemu_available_memory(void);

// --- driver_queue.c: streams as queues of works --------------------------------------------------

typedef struct nmemu_work nmemu_work;

typedef struct nmemu_mark { // the end of what a stream holds when an event is recorded
    int refs;
    bool done;
    bool captured;          // it stands in a graph, and is nothing to wait for
    CUgraph graph;          // there, while that lives
    int index;              // in it
    int known[NMEMU_LANES]; // works of each lane that come before it
    CUstream stream;        // it is in this one's queue, unless done
    double when;            // seconds, when it was done
} nmemu_mark;

typedef struct nmemu_work_kind {
    bool (*ready)(nmemu_work *w);      // may it run now? It may have begun. NULL: yes
    const char *(*run)(nmemu_work *w); // NULL: right; else the misuse, in words
    void (*copied)(nmemu_work *w, nmemu_mark *const *fresh); // from a graph, whose marks are these
                                                             // now; NULL: nothing to do
    void (*drop)(nmemu_work *w);                             // NULL: nothing to release
    bool orders;                                             // it only orders others
    bool peers; // it may have to wait for another process
} nmemu_work_kind;

struct nmemu_work { // the head of each kind's own struct, which is one allocation without pointers
                    // to itself
    nmemu_work *next;
    const nmemu_work_kind *kind;
    CUcontext context;
    uint64_t bytes, number; // of the struct; the order of issue
};

typedef struct nmemu_queue {
    nmemu_work *first, *last;
    int n;
} nmemu_queue;

struct CUstream_st {
    CUstream next;
    CUcontext context;
    nmemu_queue queue;
    bool dies;     // when its queue is empty
    CUgraph graph; // that its works go to instead; NULL: no capture
    int lane;      // there
};

void *nmemu_work_new(const nmemu_work_kind *kind, uint64_t bytes); // zeros; NULL: no memory
void nmemu_work_free(nmemu_work *w);
void nmemu_queue_add(nmemu_queue *q, nmemu_work *w);
void nmemu_queue_free(nmemu_queue *q);
// Issues `w`, which it takes in any case: into the stream's queue, or its capture. NULL: no memory.
CUresult nmemu_enqueue(CUstream s, nmemu_work *w);
// Run works until the stream is empty, the mark is done, the context (NULL: every one) is idle.
CUresult nmemu_wait_stream(CUstream s);
CUresult nmemu_wait_mark(nmemu_mark *m);
CUresult nmemu_wait_context(CUcontext c);
CUresult nmemu_poke(CUstream s); // something may have happened since the last look
void nmemu_poke_peers(void); // where works stand that other processes may wait for: run what can
void nmemu_drop_streams(CUcontext c); // with what they hold
// A stream that the call was given: CUDA_SUCCESS, or why it is none; and one outside of captures.
CUresult nmemu_check_stream(CUstream s);
CUresult nmemu_check_sync(CUstream s);
CUstream nmemu_stream_new(CUcontext c); // NULL: no memory
void nmemu_stream_end(CUstream s);      // once its queue is empty

// --- driver_event.c ------------------------------------------------------------------------------

struct CUevent_st {
    nmemu_mark *mark; // of the last record; NULL: none yet
    bool timed;
};

nmemu_mark *nmemu_mark_new(void);
nmemu_mark *nmemu_mark_keep(nmemu_mark *m);
void nmemu_mark_drop(nmemu_mark *m);
nmemu_work *nmemu_record_new(nmemu_mark *m); // NULL: no memory
nmemu_work *nmemu_await_new(nmemu_mark *m);
// The mark of a record, of a wait for one; NULL: it is none.
nmemu_mark *nmemu_recorded(const nmemu_work *w);
nmemu_mark *nmemu_awaited(const nmemu_work *w);

// --- driver_graph.c: captures --------------------------------------------------------------------

void nmemu_capture_add(CUstream s, nmemu_work *w); // to the lane of a stream that is captured
void nmemu_capture_record(CUstream s, nmemu_mark *m);
CUresult nmemu_capture_wait(CUstream s, const nmemu_mark *m); // m is captured: s joins
// What a capture forbids was asked for: it is worth nothing from now on. Returns the error.
CUresult nmemu_capture_spoil(CUgraph g, const char *why);
CUresult nmemu_check_unsafe(void); // of calls that any capture forbids

// --- driver_module.c -----------------------------------------------------------------------------

void nmemu_drop_modules(CUcontext c);

// --- driver_map.c: tensor maps -------------------------------------------------------------------

void nmemu_fill_maps(nmrt_gpu_api *t);

// --- driver_memory.c -----------------------------------------------------------------------------

// Does device memory of the context hold these bytes? If not, the message says what does.
CUresult nmemu_check_device(CUcontext c, const char *what, const void *at, uint64_t bytes);

// --- each file's part of the table ---------------------------------------------------------------

void nmemu_fill_devices(nmrt_gpu_api *t);
void nmemu_fill_memory(nmrt_gpu_api *t);
void nmemu_fill_modules(nmrt_gpu_api *t);
void nmemu_fill_streams(nmrt_gpu_api *t);
void nmemu_fill_events(nmrt_gpu_api *t);
void nmemu_fill_graphs(nmrt_gpu_api *t);
void nmemu_fill_blas(nmrt_gpu_api *t);
void nmemu_fill_nccl(nmrt_gpu_api *t);

#endif
