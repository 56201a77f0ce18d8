// A device as a table of functions. `host` is the one that is filled: memory is the process's own
// and kernels run on a pool of threads.
#ifndef NMRT_DEVICE_H
#define NMRT_DEVICE_H

#include "runtime/comm.h"
#include "runtime/mesh.h"
#include "runtime/trace.h"

#include <stddef.h>

typedef struct nmrt_device nmrt_device;

typedef struct nmrt_device_request { // what open needs to know
    const nmdrv_program *program;
    int threads;
    const nmrt_mesh *mesh; // of the run's ranks; NULL: one rank alone
    nmrt_comm *comm;   // for collectives, and the source of memory if it has an `alloc`; or NULL
    nmrt_trace *trace; // to which it adds what it does; or NULL
} nmrt_device_request; // mesh, comm and trace must outlive the device

typedef struct nmrt_memory_info {
    int64_t total, available; // bytes
} nmrt_memory_info;

typedef struct nmrt_device_ops {
    const char *name;
    nmrt_status (*open)(nmrt_device **device, const nmrt_device_request *request, nmrt_error *e);
    void (*close)(nmrt_device *device);
    nmrt_memory_info (*memory_info)(void); // may be asked before open
    nmrt_status (*alloc)(nmrt_device *device, int64_t bytes, void **at,
                         nmrt_error *e); // 64-byte aligned, zeros
    void (*free)(nmrt_device *device, void *at, int64_t bytes);
    void (*copy_in)(nmrt_device *device, void *at, const void *host, int64_t bytes);
    void (*copy_out)(nmrt_device *device, void *host, const void *at, int64_t bytes);
    void (*fill)(nmrt_device *device, void *at, int64_t bytes,
                 uint32_t pattern); // bytes: multiple of 4
    void (*poison_scratch)(nmrt_device *device, uint32_t pattern);
    const nmdrv_calls *calls; // for a frame, whose `device` is this nmrt_device
    // A call of the function has returned. Ends all ranks if it has left a launch of collectives
    // under way, as send, receive and barrier are only for when there is none.
    void (*end_call)(nmrt_device *device, const nmdrv_func *func);
    double (*peak)(
        nmrt_device *device); // multiply-adds measured now, floating-point operations a second
} nmrt_device_ops;

extern const nmrt_device_ops nmrt_device_host;

// The table for --device: "auto" or a name. NULL if there is none of that name.
const nmrt_device_ops *nmrt_device_find(const char *name);

#endif
