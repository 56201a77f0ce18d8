// Which device a run is on and what it computes in, and with them which of the binary's programs.
#ifndef NMRT_CHOOSE_H
#define NMRT_CHOOSE_H

#include "runtime/device.h"

typedef struct nmrt_choice {
    const nmrt_device_ops *device;
    const nmdrv_program *program;
} nmrt_choice;

typedef struct nmrt_numbers { // what is computed in: f32, bf16, fp8, and the recipe of fp8; or auto
    const char *precision, *recipe;
} nmrt_numbers;

// For --device, --precision and --fp8-recipe. A device is host, cuda, emu, null, or auto: cuda
// where the binary has kernels for GPUs and the machine a driver and a GPU, else host. Of numbers,
// auto is the first that the binary has for the device. May be asked before ranks are forked. What
// is missing is one sentence.
nmrt_status nmrt_choose(const char *device, nmrt_numbers numbers, nmrt_choice *choice,
                        nmrt_error *e);
// NULL: the binary has none.
const nmdrv_program *nmrt_program_find(nmdrv_flavour flavour, nmrt_numbers numbers);

#endif
