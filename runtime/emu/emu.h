// The emulator: runs kernels that are written against runtime/emu/prims.h on the CPU, and reports
// what a GPU would let pass in silence. docs/emu.md says what is emulated and how faithfully.
// Nothing here tells a GPU's speed.
#ifndef NMEMU_EMU_H
#define NMEMU_EMU_H

#include <stdbool.h>
#include <stdint.h>

typedef struct nmemu
    nmemu; // one emulated device: its memory, and the contexts of the blocks that run on it

enum { NMEMU_MAX_WORKERS = 16 };

// A device whose blocks run on `workers` CPU threads (1..NMEMU_MAX_WORKERS), the caller's included.
// Results do not depend on their number, except for sums of floats whose order a kernel leaves
// open. NULL: no memory.
nmemu *nmemu_new(int workers);
void nmemu_free(nmemu *m); // with all its buffers; NULL is fine

// --- device memory -------------------------------------------------------------------------------

// `bytes` of device memory, aligned to 16, between inaccessible pages, filled with 0xff (a NaN in
// every format). A kernel that leaves it is reported as leaving `name` (copied). NULL: no memory.
// Not during a launch.
void *nmemu_alloc(nmemu *m, uint64_t bytes, const char *name);
// The same, aligned to `align`, a power of two from 16 to 4096.
void *nmemu_alloc_aligned(nmemu *m, uint64_t bytes, uint64_t align, const char *name);
// Does one buffer hold all these bytes? No bytes are anywhere. If not, `words` says what is there.
bool nmemu_holds(const nmemu *m, const void *at, uint64_t bytes, char *words, uint64_t room);
bool nmemu_is_start(const nmemu *m, const void *at);       // of a buffer that was not released
void nmemu_name(nmemu *m, void *buffer, const char *name); // from now on
void nmemu_release(nmemu *m, void *buffer); // later accesses are reported as such; NULL is fine

// --- launches ------------------------------------------------------------------------------------

// When may an asynchronous operation (cp.async, TMA, wgmma) happen? Hardware may choose anything
// between issue and wait; a right kernel gives the same result in all three.
typedef enum {
    NMEMU_EAGER,  // at its issue
    NMEMU_LAZY,   // as late as legal: nothing happens that nobody waits for
    NMEMU_RANDOM, // anywhere; threads run in a random order, too
} nmemu_mode;

typedef struct nmemu_launch {
    const char *name;               // the kernel's, for reports
    const char *where;              // its place in the source, "file.c:12", or NULL
    void (*fn)(const void *params); // what KERNEL defines
    const void *params;             // that kernel's struct
    uint32_t grid[3];
    uint32_t threads;      // of a block: a multiple of 32, at most 1024
    uint32_t shared_bytes; // dynamic shared memory: at most 227 KiB
    uint32_t registers; // a thread's at entry, as ptxas -v says: the pool of setmaxnreg; 0: as many
                        // as fit
    nmemu_mode mode;
    uint64_t seed; // of NMEMU_RANDOM: the same seed gives the same order
} nmemu_launch;

typedef struct nmemu_stats {
    uint64_t blocks, switches, wgmmas, copied_bytes;
} nmemu_stats;

// Runs all blocks. NULL, or the first misuse in words: of the lowest block that has one, valid
// until the next run on `m`. `stats` may be NULL. One run at a time on a device.
const char *nmemu_run(nmemu *m, const nmemu_launch *launch, nmemu_stats *stats);

// --- tensor maps ---------------------------------------------------------------------------------

// What cuTensorMapEncodeTiled is told. Innermost dimension first.
typedef struct nmemu_tensor {
    void *base; // aligned to 16
    int element_bytes, rank;
    uint64_t dim[5];    // elements, 1..2^32
    uint64_t stride[4]; // bytes of dims 1..rank-1, multiples of 16 below 2^40
    uint32_t box[5];    // elements, 1..256
    int swizzle;        // 0 none, 1 32 bytes, 2 64, 3 128: the inner box is at most that wide
} nmemu_tensor;

// Fills the 128 bytes, aligned to 64, of a tensor map. NULL, or what cuTensorMapEncodeTiled would
// refuse, in words.
const char *nmemu_tensor_map(void *map, const nmemu_tensor *tensor);

#endif
