// The run-time dims of a program (samples, positions, context) and the values they have in a call.
// Symbols of local extents, axes and turns are the mesh's (mesh.h) and the pipeline's (stage.h).
#ifndef NMRT_SYMS_H
#define NMRT_SYMS_H

#include "runtime/driver_abi.h"
#include "runtime/status.h"

enum { NMRT_MAX_SYMS = 256 };

typedef struct nmrt_syms { // [program.n_syms] are set
    nmdrv_sym at[NMRT_MAX_SYMS];
} nmrt_syms;

// What a verb wants: a value 0 is "the program must not have it".
typedef struct nmrt_sizes {
    int64_t batch, batch_total, seq, context;
} nmrt_sizes;

// The symbol's index, or -1: no dim of that name is run-time.
int nmrt_sym_find(const nmdrv_program *program, const char *name);
// The extent of a fixed dim of that name, or 0.
int64_t nmrt_dim_fixed(const nmdrv_program *program, const char *name);
// Tokens of a sample where no flag says: the fixed extent, the maximum, or 256.
int64_t nmrt_seq_default(const nmdrv_program *program);

// Values for every run-time dim, unchecked. Fails where one is none of the three.
nmrt_status nmrt_syms_bind(nmrt_syms *out, const nmdrv_program *program, const nmrt_sizes *sizes,
                           nmrt_error *e);
// Is `value` within the symbol's min, max and multiple? The message names the model's line.
// A dim that is fixed takes only its extent; a name that the program lacks takes anything.
nmrt_status nmrt_sym_check(const nmdrv_program *program, const char *name, int64_t value,
                           nmrt_error *e);

#endif
