// What this processor can do.
#ifndef NMRT_CPU_H
#define NMRT_CPU_H

#include "runtime/driver_abi.h"
#include "runtime/status.h"

int nmrt_cpu_level(void);   // 1 x86-64 .. 4 x86-64-v4; 0 on another architecture
int nmrt_cpu_threads(void); // processors that this process may use, a container's share of them
nmrt_status nmrt_cpu_check(const nmdrv_program *program, nmrt_error *e);
void nmrt_cpu_flush_denormals(
    void); // for this thread: numbers below 1e-38 become 0, as they would cost 100 cycles each

// A kernel (nmdrv_kernel_fn) of register-only multiply-adds: index i is NMRT_PEAK_FLOPS operations.
enum { NMRT_PEAK_FLOPS = 1 << 22 };
void nmrt_cpu_peak_kernel(const nmdrv_sym *sym, void *const *arg, int64_t from, int64_t to,
                          void *scratch);

#endif
