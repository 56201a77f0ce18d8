// A program made ready to run: a device, the plan's memory, and every planned function's frame.
#ifndef NMRT_ENGINE_H
#define NMRT_ENGINE_H

#include "runtime/device.h"
#include "runtime/pieces.h"
#include "runtime/plan.h"

enum { NMRT_POISON = 0x7FA00000 }; // a signalling NaN as f32, and a large number as an integer

typedef struct nmrt_engine { // zero-initialised: nothing is open
    const nmdrv_program *program;
    const nmrt_plan *plan; // must outlive the engine
    const nmrt_device_ops *ops;
    nmrt_device *device;
    char *slots, *arena, *links; // device memory; the first two NULL where each buffer is alone
    char *library;               // for the device's libraries
    void **slot;                 // [plan.n_slots]
    void ***buf;                 // [plan.n_funcs][func.n_bufs]; of a link: NULL
    nmrt_shares shares;          // what of parameters and states this rank holds
    nmrt_trace *trace;           // what is called; or NULL
    bool check_memory;           // fill arena and scratch with signalling NaNs before every call
} nmrt_engine;

nmrt_status nmrt_engine_open(nmrt_engine *en, const nmrt_plan *plan, const nmrt_device_ops *ops,
                             const nmrt_device_request *request, nmrt_error *e);
void nmrt_engine_close(nmrt_engine *en);

// engine_memory.c: the memory of an engine whose device is open, and the places of all buffers;
// and its end, also where it was got in part.
nmrt_status nmrt_engine_take_memory(nmrt_engine *en, nmrt_error *e);
void nmrt_engine_give_memory(nmrt_engine *en);
void nmrt_engine_poison(nmrt_engine *en, const nmrt_planned *p); // fills transients with NaNs

// Calls a function of the plan at these sizes (none above those it was planned for).
void nmrt_engine_call(nmrt_engine *en, const nmrt_planned *p, const nmdrv_sym *sym);
// As nmrt_engine_call, on these buffers.
void nmrt_engine_run(nmrt_engine *en, const nmrt_planned *p, const nmdrv_sym *sym, void **buf);
void *nmrt_engine_slot_at(const nmrt_engine *en, const nmrt_slot *slot);   // device memory
void nmrt_engine_fill(nmrt_engine *en, nmdrv_bind bind, uint32_t pattern); // every slot bound so
void nmrt_engine_start_own(nmrt_engine *en); // the program's own states begin: at 0
// Sets the scalar of this name, in whatever dtype the program wants; no such scalar is fine.
void nmrt_engine_set(nmrt_engine *en, const char *scalar, double value);
// A result's first element as a number: an emit or out of `p` by name. False: there is none.
bool nmrt_engine_result(const nmrt_engine *en, const nmrt_planned *p, const char *name,
                        double *value);
// Device memory of the result of `p` bound so; NULL: none.
const void *nmrt_engine_result_at(const nmrt_engine *en, const nmrt_planned *p, nmdrv_bind bind);
double nmrt_number_read(int64_t dtype, const void *at); // f64, f32, bf16, i64, i32

#endif
