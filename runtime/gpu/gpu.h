// The device of the flavour gpu: cuda and emu are the same code over a table of functions (api.h).
// What its parts share: fail.c, image.c, launch.c, memory.c, product.c, collect.c; device.c has the
// rest.
#ifndef NMRT_GPU_GPU_H
#define NMRT_GPU_GPU_H

#include "runtime/comm.h"
#include "runtime/device.h"
#include "runtime/exchange.h"
#include "runtime/gpu/load.h"

enum { NMRT_GPU_RING = 2, NMRT_GPU_RING_BYTES = 4 << 20 };

typedef struct nmrt_gpu_ring {   // pinned host memory, in parts that are filled in turn
    char *at;                    // [RING][RING_BYTES]
    CUevent read[NMRT_GPU_RING]; // the copies from a part are done
    int part;
    int64_t used; // bytes of the part that is being filled
} nmrt_gpu_ring;

struct nmrt_device {
    const nmdrv_program *program;
    const nmrt_gpu_api *api;
    nmrt_gpu_libraries *libraries; // owned; NULL: the emulator's table, which is whole
    CUdevice id;
    CUcontext context; // NULL: not retained
    int capability;    // 90: 9.0
    char title[512];   // for people
    CUmodule module;
    bool sm90a;                   // the image is for sm_90a alone: kernels have forms of its own
    CUfunction *function;         // [program.n_kernels]
    int64_t *words;               // a launch's parameter, with room for any kernel's; aligned as it
    CUstream stream;              // of all kernels and copies
    const nmdrv_kernel *last;     // launched; NULL: none
    const nmdrv_func *last_graph; // launched since then; NULL: none
    struct nmrt_gpu_graphs *graphs; // NULL: none are made
    int64_t n_apart;                // collectives so far that a graph cannot hold
    nmrt_gpu_ring ring;
    struct nmrt_gpu_products *products; // NULL: the program has none
    bool tf32, fast_accum;
    nmrt_comm *comm;                   // NULL: one rank alone
    nmrt_exchanges exchanges;          // where there is a comm
    nmrt_launch launch;                // collectives that wait for the ones that follow at once
    struct nmrt_gpu_staged *staged;    // through host memory; NULL: by NCCL, or one rank alone
    struct nmrt_gpu_nccl *nccl;        // NULL: collectives go through host memory
    struct nmrt_gpu_channel *channels; // of messages by NCCL; NULL: none are open
    struct nmrt_gpu_trace *trace;      // NULL: nothing is traced
};

// --- fail.c ------------------------------------------------------------------------------------

// A call of the driver: NMRT_OK, or a sentence that begins with what was tried: "cannot get
// memory".
nmrt_status nmrt_gpu_check(const nmrt_device *d, CUresult result, const char *tried, nmrt_error *e);
// Of a GPU's own work nobody can take a failure: it is the end of all ranks.
_Noreturn void nmrt_gpu_die(nmrt_device *d, const nmrt_error *e);
// As check, and the end. The driver tells of a kernel's failure in any later call, so the sentence
// names the last launch, and how to learn which one it was.
void nmrt_gpu_must(nmrt_device *d, CUresult result, const char *tried);

// --- image.c -----------------------------------------------------------------------------------

// The best image that this GPU can run becomes the device's module, and its functions are found.
nmrt_status nmrt_gpu_open_image(nmrt_device *d, nmrt_error *e);
void nmrt_gpu_close_image(nmrt_device *d);

// --- launch.c ----------------------------------------------------------------------------------

// How the kernel is launched: as the device's image has it.
nmdrv_form nmrt_gpu_form(const nmrt_device *d, const nmdrv_kernel *k);
int64_t nmrt_gpu_words(const nmdrv_kernel *k); // of its parameter, in any image
void nmrt_gpu_launch(nmdrv_frame *f, int64_t kernel, int64_t count, void *const *arg);

// --- memory.c ----------------------------------------------------------------------------------

nmrt_status nmrt_gpu_ring_open(nmrt_device *d, nmrt_error *e);
void nmrt_gpu_ring_close(nmrt_device *d);
nmrt_status nmrt_gpu_alloc(nmrt_device *d, int64_t bytes, void **at, nmrt_error *e);
void nmrt_gpu_free(nmrt_device *d, void *at, int64_t bytes);
void nmrt_gpu_set_name(nmrt_device *d, void *at, const char *name); // the emulator's alone
void nmrt_gpu_copy_in(nmrt_device *d, void *at, const void *host, int64_t bytes);
void nmrt_gpu_copy_out(nmrt_device *d, void *host, const void *at, int64_t bytes);
void nmrt_gpu_fill(nmrt_device *d, void *at, int64_t bytes, uint32_t pattern);

// --- trace.c -----------------------------------------------------------------------------------

typedef struct nmrt_gpu_trace nmrt_gpu_trace;
nmrt_status nmrt_gpu_trace_open(nmrt_device *d, nmrt_trace *trace, nmrt_error *e);
void nmrt_gpu_trace_stream(nmrt_device *d, CUstream stream, const char *name); // gets a track
void nmrt_gpu_trace_close(nmrt_device *d);              // before its streams are destroyed
nmrt_track *nmrt_gpu_trace_steps(const nmrt_device *d); // of the rank's own thread; NULL: none
// What is enqueued between these is a span, whose begin and end are not set; -1: nothing is traced.
// A stream that is traced is not being captured.
bool nmrt_gpu_traces(const nmrt_device *d); // now
int64_t nmrt_gpu_trace_begin(nmrt_device *d, CUstream stream);
void nmrt_gpu_trace_end(nmrt_device *d, CUstream stream, int64_t begin, const nmrt_span *span);

// --- product.c ---------------------------------------------------------------------------------

// Collective: where there are ranks, they begin with the same choices of algorithms.
nmrt_status nmrt_gpu_products_open(nmrt_device *d, const nmrt_device_request *request,
                                   nmrt_error *e);
void nmrt_gpu_products_furnish(nmrt_device *d, void *workspace); // of NMRT_PRODUCT_ROOM
void nmrt_gpu_products_close(nmrt_device *d);
void nmrt_gpu_product(nmdrv_frame *f, int64_t product, const nmdrv_geometry *geometry, void *c,
                      const void *a, const void *b, void *bias, void *aux, const float *a_scale,
                      const float *b_scale);

// --- graph.c -----------------------------------------------------------------------------------

nmrt_status nmrt_gpu_graphs_open(nmrt_device *d, nmrt_error *e);
void nmrt_gpu_graphs_close(nmrt_device *d);
void nmrt_gpu_run(nmrt_device *d, const nmdrv_func *func, nmdrv_frame *f);

// --- collect.c ---------------------------------------------------------------------------------

nmrt_status nmrt_gpu_join_ranks(nmrt_device *d, const nmrt_device_request *request, nmrt_error *e);
void nmrt_gpu_leave_ranks(nmrt_device *d);
void *nmrt_gpu_collective(nmdrv_frame *f, int64_t collective, const int64_t *geometry, void *out,
                          void *in);
void nmrt_gpu_wait(nmdrv_frame *f, int64_t collective);
void nmrt_gpu_end_call(nmrt_device *d, const nmdrv_func *func);
nmrt_status nmrt_gpu_send(nmrt_device *d, const nmrt_message *m, const void *at, nmrt_error *e);
nmrt_status nmrt_gpu_receive(nmrt_device *d, const nmrt_message *m, void *at, nmrt_error *e);

// --- nccl.c ------------------------------------------------------------------------------------

// All ranks have it or none: then d->nccl stays NULL, and the device's title says why.
nmrt_status nmrt_gpu_nccl_open(nmrt_device *d, const nmrt_device_request *request, nmrt_error *e);
// The groups of the rows that the run launches, and memory for what NCCL wants otherwise.
nmrt_status nmrt_gpu_nccl_furnish(nmrt_device *d, const nmrt_device_room *room, nmrt_error *e);
void nmrt_gpu_nccl_stop(nmrt_device *d); // all work is done; nothing watches any more
// After the graphs' end: NCCL's communicators wait for those that use them.
void nmrt_gpu_nccl_close(nmrt_device *d);
// Of n collectives, which the row ends.
nmrt_status nmrt_gpu_nccl_launch(nmrt_device *d, int64_t row, const nmrt_exchange *x, int n,
                                 nmrt_error *e);
void nmrt_gpu_nccl_wait(nmrt_device *d, int64_t row); // the kernels' stream does
int64_t nmrt_gpu_nccl_left(const nmrt_device *d);     // a row that is not waited for; -1: none

// --- staged.c ----------------------------------------------------------------------------------

// The device's title says so, and `why`.
nmrt_status nmrt_gpu_staged_open(nmrt_device *d, const char *why, nmrt_error *e);
void nmrt_gpu_staged_close(nmrt_device *d); // NULL is fine
// Of n collectives, which the row ends.
nmrt_status nmrt_gpu_staged_launch(nmrt_device *d, int64_t row, const nmrt_exchange *x, int n,
                                   nmrt_error *e);
nmrt_status nmrt_gpu_staged_wait(nmrt_device *d, int64_t row, nmrt_error *e);
int64_t nmrt_gpu_staged_left(const nmrt_device *d); // a row that is not waited for; -1: none
nmrt_status nmrt_gpu_staged_send(nmrt_device *d, const nmrt_message *m, const void *at,
                                 nmrt_error *e);
nmrt_status nmrt_gpu_staged_receive(nmrt_device *d, const nmrt_message *m, void *at, nmrt_error *e);

// --- message.c ---------------------------------------------------------------------------------

// Where there is NCCL; else messages need no channel.
nmrt_status nmrt_gpu_open_channel(nmrt_device *d, const nmrt_channel *channel, nmrt_error *e);
void nmrt_gpu_close_channels(nmrt_device *d);
nmrt_status nmrt_gpu_nccl_send(nmrt_device *d, const nmrt_message *m, const void *at,
                               nmrt_error *e);
nmrt_status nmrt_gpu_nccl_receive(nmrt_device *d, const nmrt_message *m, void *at, nmrt_error *e);

#endif
