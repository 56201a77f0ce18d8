// A pool of threads that share the indices of one kernel at a time.
#ifndef NMRT_POOL_H
#define NMRT_POOL_H

#include "runtime/driver_abi.h"
#include "runtime/status.h"

typedef struct nmrt_pool nmrt_pool;
struct nmrt_trace;

// `threads` of them, the caller's own included, each with `scratch` bytes, 64-byte aligned.
nmrt_status nmrt_pool_new(nmrt_pool **pool, int threads, int64_t scratch, nmrt_error *e);
void nmrt_pool_free(nmrt_pool *pool); // NULL is fine
// Runs the kernel over [0, count) and returns when all of it is done. Which thread does which
// indices is not fixed; that a kernel's ranges are independent makes the bits the same anyway.
void nmrt_pool_run(nmrt_pool *pool, const nmdrv_kernel *kernel, const nmdrv_sym *sym, int64_t count,
                   void *const *arg);
void nmrt_pool_trace(nmrt_pool *pool, struct nmrt_trace *trace); // a track a thread: its shares
int nmrt_pool_threads(const nmrt_pool *pool);
void nmrt_pool_fill_scratch(nmrt_pool *pool, uint32_t pattern); // for --check-memory

#endif
