// A device as a table of functions. `host`: memory is the process's own and kernels run on a pool
// of threads. `cuda` and `emu` (runtime/gpu): memory is the device's, pointers to it are addresses
// that nobody but the device may follow, and kernels run when they are waited for. `null` has no
// memory and counts what it would do.
#ifndef NMRT_DEVICE_H
#define NMRT_DEVICE_H

#include "runtime/comm.h"
#include "runtime/mesh.h"
#include "runtime/text.h"
#include "runtime/trace.h"

#include <stddef.h>

typedef struct nmrt_device nmrt_device;

typedef struct nmrt_device_request { // what open needs to know
    const nmdrv_program *program;
    int threads;
    const nmrt_mesh *mesh; // of the run's ranks; NULL: one rank alone
    nmrt_comm *comm; // for collectives, and the source of memory if it has an `alloc`; or NULL
    int local_rank;  // among this machine's ranks: which of its GPUs
    bool tf32;       // products of f32 may be rounded to TF32
    bool fast_accum; // products with `fast` may be summed in fewer bits than f32's
    bool tunes;      // products' algorithms are measured ones; those that have none are measured
    bool trains;     // functions of a training step are called, not only others
    bool graphs;     // a call that comes again may be one CUDA graph
    const char *collectives; // of GPUs: auto, nccl, host; where there is a comm
    nmrt_trace *trace;       // to which it adds what it does; or NULL
} nmrt_device_request;       // mesh, comm and trace must outlive the device

typedef struct nmrt_memory_info {
    int64_t total, available; // bytes
} nmrt_memory_info;

enum { NMRT_PRODUCT_ROOM = 32 << 20 }; // bytes that a library of products may work in

typedef struct nmrt_device_room { // of the plan's memory, for a device's libraries
    void *products;               // [NMRT_PRODUCT_ROOM]; NULL: the program has none
    void *collectives;            // for what a launch has to rearrange
    int64_t collective_bytes;
    const bool *meets; // [program.n_collectives] rows that the run launches; NULL: none
} nmrt_device_room;

typedef struct nmrt_message { // to or from another rank
    int peer, tag;
    int64_t bytes;
    const char *what, *where; // for the recorder: texts that outlive the run
} nmrt_message;

static inline nmrt_span nmrt_message_span(const nmrt_message *m, bool sends)
{
    return (nmrt_span){.kind = NMRT_SPAN_MESSAGE,
                       .name = m->what,
                       .where = m->where,
                       .number = {{"bytes", m->bytes}, {sends ? "to" : "from", m->peer}}};
}

typedef struct nmrt_channel { // messages of one tag to another rank, or from it
    const char *name;         // "send forward": outlives the device
    int peer, tag;
    bool sends;
    char *room;    // device memory for messages that are under way, each at a multiple of 64
    int64_t bytes; // of it: as many as are ever sent together
    int messages;  // so many at most
} nmrt_channel;

typedef struct nmrt_device_ops {
    const char *name;
    nmdrv_flavour flavour; // of the programs that it runs
    nmrt_status (*open)(nmrt_device **device, const nmrt_device_request *request, nmrt_error *e);
    void (*close)(nmrt_device *device);
    nmrt_memory_info (*memory_info)(void); // of one memory; may be asked before open
    int (*sharers)(int local_ranks); // how many of a machine's ranks share one memory; likewise
    nmrt_status (*alloc)(nmrt_device *device, int64_t bytes, void **at,
                         nmrt_error *e); // 64-byte aligned, zeros
    void (*free)(nmrt_device *device, void *at, int64_t bytes);
    // Once, before the first call: all that a step would have to make first. NULL: nothing.
    nmrt_status (*furnish)(nmrt_device *device, const nmrt_device_room *room, nmrt_error *e);
    // What an allocation is called where an access leaves it. NULL: nobody would know.
    void (*set_name)(nmrt_device *device, void *at, const char *name);
    void (*copy_in)(nmrt_device *device, void *at, const void *host, int64_t bytes);
    void (*copy_out)(nmrt_device *device, void *host, const void *at, int64_t bytes);
    void (*fill)(nmrt_device *device, void *at, int64_t bytes,
                 uint32_t pattern); // bytes: multiple of 4
    void (*poison_scratch)(nmrt_device *device, uint32_t pattern);
    const nmdrv_calls *calls; // for a frame, whose `device` is this nmrt_device
    // Calls the function, whose calls may be done or enqueued when this returns.
    void (*run)(nmrt_device *device, const nmdrv_func *func, nmdrv_frame *frame);
    // A call of the function has returned. Ends all ranks if it has left a launch of collectives
    // under way, as send, receive and barrier are only for when there is none.
    void (*end_call)(nmrt_device *device, const nmdrv_func *func);
    // Before the first message of a channel; both ends do, and all ranks in one order of channels.
    // NULL: messages need no such thing.
    nmrt_status (*open_channel)(nmrt_device *device, const nmrt_channel *channel, nmrt_error *e);
    // What nmrt_comm.send and recv do, from and to the device's memory; both may only be enqueued
    // when this returns.
    nmrt_status (*send)(nmrt_device *device, const nmrt_message *m, const void *at, nmrt_error *e);
    nmrt_status (*receive)(nmrt_device *device, const nmrt_message *m, void *at, nmrt_error *e);
    double (*peak)(nmrt_device *device); // floating-point operations a second, at most
    void (*describe)(nmrt_device *device, nmrt_text *out); // "8 threads, x86-64-v4"
} nmrt_device_ops;

extern const nmrt_device_ops nmrt_device_host, nmrt_device_cuda, nmrt_device_emu;

#endif
