// Which device a run is on and what it computes in, and with them which of the binary's programs.
#ifndef NMRT_CHOOSE_H
#define NMRT_CHOOSE_H

#include "runtime/device.h"

typedef struct nmrt_choice {
    const nmrt_device_ops *device;
    const nmdrv_program *program;
} nmrt_choice;

// For --device and --precision. A device is host, cuda, emu, null, or auto: cuda where the binary
// has kernels for GPUs and the machine a driver and a GPU, else host. A precision is f32, bf16, or
// auto: the first that the binary has for the device. May be asked before ranks are forked. What is
// missing is one sentence.
nmrt_status nmrt_choose(const char *device, const char *precision, nmrt_choice *choice,
                        nmrt_error *e);
// NULL: the binary has none.
const nmdrv_program *nmrt_program_find(nmdrv_flavour flavour, const char *precision);

#endif
