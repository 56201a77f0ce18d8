// The mesh of a run: how many ranks each axis has, where this rank stands, who is in a group, and
// what follows for the program: its mode and the values of its symbols. docs/mesh.md.
#ifndef NMRT_MESH_H
#define NMRT_MESH_H

#include "runtime/driver_abi.h"
#include "runtime/status.h"
#include "runtime/text.h"

#include <stdbool.h>

enum { NMRT_MAX_RANKS = 1 << 20 }; // of a plan; a run has as many as there are

enum { // the axes of a flag
    NMRT_DP_AXES = 1 << NMDRV_DPR | 1 << NMDRV_DPS | 1 << NMDRV_DPP,
    NMRT_CP_AXES = 1 << NMDRV_CPR | 1 << NMDRV_CPS,
    NMRT_TP_AXES = 1 << NMDRV_TPK | 1 << NMDRV_TPR
};

typedef enum {        // how seq is dealt over cp
    NMRT_ZIGZAG_AUTO, // in 2 cp parts, rank i gets parts i and 2 cp - 1 - i, where they are equal
    NMRT_ZIGZAG,      // likewise, or it is an error
    NMRT_CONTIGUOUS,
} nmrt_balance;

typedef struct nmrt_mesh_flags { // as the user says it
    int64_t tp, pp, cp, dp, vp;  // dp 0: derived from world
    int64_t zero;                // 0 .. 3
    bool sp, ring;               // ring: over cp, keys and values go round
    nmrt_balance balance;
    int64_t world; // 0: tp * pp * cp * dp
} nmrt_mesh_flags;

typedef struct nmrt_mesh {
    const nmdrv_program *program;
    int64_t size[NMDRV_N_AXES];  // ranks of each axis
    int64_t index[NMDRV_N_AXES]; // of this rank
    int64_t world, rank, vp, zero;
    nmrt_balance balance;
    int mode;                   // index into program->mode; -1: the program has none
    const int64_t *stage_units; // [pp] bits of the units that a stage runs, for groups over pp, set
                                // by who cuts the pipeline; NULL: every stage runs all
} nmrt_mesh;

// All that is wrong is said at once, a line each: a world that does not factor, more stages than
// layers, a fixed dim that its axes do not divide, with the model's line. This rank is 0.
nmrt_status nmrt_mesh_init(nmrt_mesh *m, const nmdrv_program *program, const nmrt_mesh_flags *flags,
                           nmrt_error *e);
void nmrt_mesh_place(nmrt_mesh *m, int64_t rank); // this rank is `rank` from now on
// The same place on the same mesh, for another program of the binary.
nmrt_mesh nmrt_mesh_of(const nmrt_mesh *m, const nmdrv_program *program);
int64_t nmrt_mesh_dp(const nmrt_mesh *m);                  // dpr * dps * dpp
int64_t nmrt_mesh_cp(const nmrt_mesh *m);                  // cpr * cps
int64_t nmrt_mesh_ranks(const nmrt_mesh *m, int64_t axes); // of a group over these axes (bits)
int64_t nmrt_mesh_index(const nmrt_mesh *m, int64_t axes); // of this rank in it
// World ranks of this rank's group over `axes`, in the order of their index: [nmrt_mesh_ranks].
void nmrt_mesh_group(const nmrt_mesh *m, int64_t axes, int *rank);
// The same for a function of these units (0: any): over pp, only the stages that run one of them.
// Returns how many; rank has room for nmrt_mesh_ranks.
int nmrt_mesh_members(const nmrt_mesh *m, int64_t axes, int64_t units, int *rank);
void nmrt_mesh_print(const nmrt_mesh *m, nmrt_text *out); // tp 4, pp 2, cp 1, dp 1 (ZeRO-1)

// The symbols of local extents and of axes, from those of the run-time dims, which are set: size of
// `batch` is that of a micro-batch over all of dp, offset that of the micro-batch. Symbols of
// repeats split over pp are whole: who runs a chunk changes them. What does not divide is dealt out
// as evenly as it can be: of the last micro-batch of an evaluation ranks may have no sample at all.
void nmrt_mesh_bind(const nmrt_mesh *m, nmdrv_sym *sym);
// One of them, as the rank `rank` has it.
nmdrv_sym nmrt_mesh_local(const nmrt_mesh *m, int64_t rank, int symbol, const nmdrv_sym *sym);
// Does every local extent of a run-time dim that the mode's functions have divide its whole? One
// line each into e. Of sym, the run-time dims are set.
nmrt_status nmrt_mesh_check(const nmrt_mesh *m, const nmdrv_sym *sym, nmrt_error *e);

// The global indices of a local extent, as at most two runs: [from, from + n) each. n_runs.
typedef struct nmrt_run_of {
    int64_t from, n;
} nmrt_run_of;
int nmrt_sym_runs(const nmdrv_sym *sym, nmrt_run_of run[2]);

int64_t nmrt_gcd(int64_t a, int64_t b); // of what is not negative; of a and 0: a

#endif
