// Which device a run is on, and with it which of the binary's programs.
#ifndef NMRT_CHOOSE_H
#define NMRT_CHOOSE_H

#include "runtime/device.h"

typedef struct nmrt_choice {
    const nmrt_device_ops *device;
    const nmdrv_program *program;
} nmrt_choice;

// For --device: host, cuda, emu, null, or auto: cuda where the binary has kernels for GPUs and the
// machine a driver and a GPU, else host. May be asked before ranks are forked. What is missing is
// one sentence.
nmrt_status nmrt_choose(const char *name, nmrt_choice *choice, nmrt_error *e);
const nmdrv_program *nmrt_program_find(nmdrv_flavour flavour); // NULL: the binary has none

#endif
