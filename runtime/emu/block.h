// A block in the emulator: all its state, and what the emulator's files do for each other. A CPU
// thread runs one block at a time, as fibers; nmemu_here is that block, so no primitive needs an
// argument for it and nothing is shared between CPU threads. Internal to runtime/emu.
#ifndef NMEMU_BLOCK_H
#define NMEMU_BLOCK_H

#include "runtime/emu/emu.h"
#include "runtime/emu/prims.h"

#include <stdbool.h>

enum {
    NMEMU_THREADS = 1024,
    NMEMU_WARPS = NMEMU_THREADS / 32,
    NMEMU_GROUPS = NMEMU_THREADS / 128,
    NMEMU_ENGINE = NMEMU_WARPS, // the copy engine, as a writer beside the warps
    NMEMU_CLOCKS = NMEMU_WARPS + 1,
    NMEMU_BARRIERS = 16,
    NMEMU_SHARED_START = 1024, // the first KiB belongs to the system, as on sm_90: 0 is nobody's
    NMEMU_SHARED_MAX = 227 << 10,
    NMEMU_GRANULES = (NMEMU_SHARED_START + NMEMU_SHARED_MAX) / 16,
    NMEMU_STACK = 192 << 10,      // from one thread's to the next
    NMEMU_STACK_USED = 128 << 10, // of it, at least
    NMEMU_WAIT_GROUPS = 8,        // a wait leaves at most 7 groups pending
};

typedef enum {
    NMEMU_RUNS,
    NMEMU_IN_WARP,
    NMEMU_IN_BARRIER,
    NMEMU_IN_MBAR,
    NMEMU_IN_WGMMA,
    NMEMU_IN_REGISTERS,
    NMEMU_EXITED,
} nmemu_why;

typedef struct nmemu_copy nmemu_copy;

typedef struct nmemu_fiber {
    void *sp;
    void *fake_stack; // ASan's, while the fiber is switched out
    nmemu_why why;
    const char *what; // the primitive it waits in, for reports
    u32 a, b;         // what for: which barrier, which phase, ...
    u32 fences; // fence_async so far: later ones make earlier writes visible to the async proxy
    nmemu_copy *copies, **newest;   // issued and not complete, oldest first
    u32 cp_groups, bulk_groups;     // committed so far
    u32 mma_issued, mma_groups;     // wgmmas, and groups of them
    u32 mma_end[NMEMU_WAIT_GROUPS]; // mma_issued when each of the newest groups was committed
    bool mma_fenced;
} nmemu_fiber;

// What each warp (and the copy engine) had done when ... A release raises the releaser's own clock;
// an acquire takes the maximum. Two accesses of which one writes are in order if the later warp
// knows the earlier one's clock; else they race.
typedef struct nmemu_clocks {
    u32 at[NMEMU_CLOCKS];
} nmemu_clocks;

typedef struct nmemu_write { // the last write of a place in shared memory
    u32 when;                // the clock of the warp that did it, or of the engine
    u32 fences;              // the writing thread's count then
    u16 by;                  // that warp, or NMEMU_ENGINE
    u16 writer;              // thread + 1, if it was an ordinary write
    u16 bytes;               // in a word that was written in part: which, as bits
} nmemu_write;

typedef struct nmemu_granule { // 16 bytes of shared memory
    nmemu_write last;          // unless split
    u32 stamp;                 // when it was last overwritten, in operations
    u16 in_flight;             // asynchronous writes that were issued and have not happened
    u16 source;                // the same for reads, by bulk stores
    bool split;                // the last writes were narrower: each word has its own in words[]
    bool narrow;               // was read in words: their readers are in word_reads[]
} nmemu_granule;

typedef struct nmemu_warp {
    const char *what; // the primitive in which lanes meet
    u32 arrived;
    void *arg[32];
    u32 registers, register_calls;
    int register_said[4]; // the warpgroup's, in its first warp
} nmemu_warp;

typedef struct nmemu_barrier {
    u32 need, got;
    u32 lanes[NMEMU_WARPS];
    nmemu_clocks seen; // of all who came in this phase
} nmemu_barrier;

typedef struct nmemu_mbar { // the knowledge that an mbarrier passes on; its state is in shared
                            // memory
    smem at;
    nmemu_clocks come, done; // by arrivals of this phase; by the phase that is over
} nmemu_mbar;

typedef struct nmemu_map { // what a tmap holds here
    u64 magic;
    char *base;
    u64 dim[5], stride[5];
    u32 box[5];
    u8 element, rank, swizzle;
} nmemu_map;
_Static_assert(sizeof(nmemu_map) <= sizeof(tmap), "a tensor map has 128 bytes");

typedef enum {
    NMEMU_TMA_LOAD,
    NMEMU_BULK_LOAD,
    NMEMU_TMA_STORE,
    NMEMU_BULK_STORE,
    NMEMU_BULK_ADD,
    NMEMU_CP_ASYNC
} nmemu_copy_kind;

struct nmemu_copy { // one asynchronous copy
    nmemu_copy *next;
    const char *what;
    nmemu_copy_kind kind;
    u32 group;
    smem at, bar;
    nmemu_map map;
    int x[5];
    const void *from;
    void *to;
    u32 bytes, room; // cp.async: `room` bytes are written, zero after `bytes`
    char *data;      // a store that has read shared memory and not yet written
};

typedef struct nmemu_accum { // an accumulator of wgmmas in flight: out of the threads' reach
    float *d[128];
    int n, uses;
    float v[64][256];
} nmemu_accum;

typedef struct nmemu_mma { // one wgmma; complete once all 128 threads have come by
    u32 here;
    int n, keep;
    bool in_registers, a_mn, b_mn;
    u64 a_desc, b_desc;
    u32 a[128][4];
    nmemu_accum *acc;
    u32 stamp;
    nmemu_clocks seen[4]; // by each warp when it issued
} nmemu_mma;

typedef struct nmemu_warpgroup {
    nmemu_mma *ring; // wgmma i is ring[i % room]
    u32 room, done;
    nmemu_accum **acc;
    int n_acc;
} nmemu_warpgroup;

typedef struct nmemu_block {
    nmemu *machine;
    const nmemu_launch *launch;
    int worker;
    nmemu_stats stats;
    bool failed;
    bool elsewhere; // an operation happens while some other thread's stack is in use
    const void *pc; // of the kernel, at the misuse; NULL: not known
    char error[4096];
    // fibers
    void *main_sp, *main_fake_stack;
    void *left_sp; // of the fiber that went back to main for good
    const void *main_stack;
    unsigned long main_stack_bytes;
    bool from_main;
    char *stacks; // [NMEMU_THREADS][NMEMU_STACK]
    u32 guarded;  // stacks whose last page is made inaccessible
    u32 cta[3], n, cur, live, idle, polls;
    nmemu_fiber fiber[NMEMU_THREADS];
    u16 queue[NMEMU_THREADS * 2];
    u32 head, tail;
    u16 priority[NMEMU_WARPS];
    u64 random;
    const char *engine; // the copy that is happening, for reports
    // warps and barriers
    nmemu_warp warp[NMEMU_WARPS];
    nmemu_barrier barrier[NMEMU_BARRIERS];
    u32 free_registers;
    nmemu_warpgroup group[NMEMU_GROUPS];
    float a[64][16], b[16][256]; // operands of the wgmma that runs
    nmemu_mbar *mbar;            // [n_mbar]
    u16 *mbar_index;             // [shared address / 8]: place in mbar + 1
    u32 n_mbar, room_mbar;
    // shared memory and its shadow
    u8 *memory;
    u32 stamp;
    nmemu_granule *shadow;     // [NMEMU_GRANULES]
    nmemu_write (*words)[4];   // [NMEMU_GRANULES]: where shadow is split
    u32 (*reads)[NMEMU_WARPS]; // [NMEMU_GRANULES]: each warp's clock when it last read all of it
    u32 (*word_reads)[4][NMEMU_WARPS]; // [NMEMU_GRANULES]: and words of it, where shadow is narrow
    nmemu_clocks know[NMEMU_CLOCKS];   // by warp
} nmemu_block;

extern _Thread_local nmemu_block *nmemu_here; // NULL outside of a run

// The emulator's own code, to be told from kernels on a stack (where.c).
#pragma clang section text = "nmemu_text"

// --- fiber.c: threads of the block ---------------------------------------------------------------
u64 nmemu_random(nmemu_block *b);
// The block's misuse in words; leaves the kernel for good.
_Noreturn void nmemu_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void nmemu_leave(nmemu_block *b);
void nmemu_wake(nmemu_block *b, u32 thread);
// Those of threads [from, to) that wait for `why` of `a`.
void nmemu_wake_all(nmemu_block *b, nmemu_why why, u32 a, u32 from, u32 to);
void nmemu_block_on(nmemu_why why, const char *what, u32 a, u32 b); // until woken
void nmemu_yield(const char *what); // others first: for loops that poll global memory
// From the start of the kernel to the end of its last thread, or to a misuse.
void nmemu_run_fibers(nmemu_block *b);

// --- shadow.c: who may touch shared memory now ---------------------------------------------------
void *nmemu_at(smem a, u32 bytes, const char *what); // checked for place and alignment only
// At most 16 bytes, by the current thread.
void *nmemu_for_reading(smem a, u32 bytes, const char *what);
void *nmemu_for_writing(smem a, u32 bytes, const char *what);
void *nmemu_for_async(smem a, u32 bytes, const char *what); // fenced and landed
void *nmemu_landed(smem a, u32 bytes, const char *what);    // no copy into it is in flight
// After the last write, as `warp` may know.
void nmemu_in_order(smem a, u32 bytes, u32 warp, const nmemu_clocks *know, const char *what);
void nmemu_read_by(smem a, u32 warp);                       // 16 bytes
void nmemu_will_write(smem a, u32 bytes, const char *what); // a copy was issued
void nmemu_wrote(smem a, u32 bytes, const char *what);      // by the current thread, as if by hand
void nmemu_engine_wrote(smem a);                            // 16 bytes of a copy have landed
void nmemu_will_read(smem a, u32 bytes, const char *what);  // a bulk store was issued
void nmemu_learn(nmemu_clocks *to, const nmemu_clocks *from);
void nmemu_pass_on(nmemu_clocks *to); // all that the current warp did and knows
static inline u32 nmemu_swizzle(u32 a, int mode) { return a ^ (a >> 7 & ((1u << mode) - 1)) << 4; }

// --- warp.c --------------------------------------------------------------------------------------
// The last lane to come does the work of all 32; arg[lane] is what each brought.
void nmemu_meet(const char *what, void *arg, void (*work)(nmemu_warp *));

// --- mbarrier.c ----------------------------------------------------------------------------------
void nmemu_mbar_check(smem b, const char *what);             // there is one
void nmemu_mbar_landed(smem b, u32 bytes, const char *what); // the engine's clock goes with it

// --- copy.c: asynchronous copies -----------------------------------------------------------------
void nmemu_issue(nmemu_copy copy);
bool nmemu_run_one_copy(nmemu_block *b);  // false: there is none that may happen now
void nmemu_finish_copies(nmemu_block *b); // what the last thread left behind
void nmemu_drop_copies(nmemu_block *b);   // after a misuse

// --- tma.c --------------------------------------------------------------------------------------
void nmemu_tma_copy(nmemu_block *b, nmemu_copy *c, bool load);

// --- wgmma.c -------------------------------------------------------------------------------------
bool nmemu_run_one_mma(nmemu_block *b, u32 group); // false: none is complete
void nmemu_start_groups(nmemu_block *b);
void nmemu_free_groups(nmemu_block *b);

// --- barrier.c, mbarrier.c: at the start of a block ---------------------------------------------
void nmemu_start_registers(nmemu_block *b);
void nmemu_start_mbars(nmemu_block *b);

// --- block.c -------------------------------------------------------------------------------------
nmemu_block *nmemu_block_new(nmemu *m, int worker); // NULL: no memory
void nmemu_block_free(nmemu_block *b);              // NULL is fine
// Runs block `index` of the launch: false after a misuse, which is in b->error.
bool nmemu_block_run(nmemu_block *b, const nmemu_launch *launch, u64 index);

// --- launch.c ------------------------------------------------------------------------------------
bool nmemu_is_oldest(const nmemu_block *b); // all blocks before this one are done

// --- memory.c, fault.c ---------------------------------------------------------------------------
// Where `address` is, in words: the buffer that it lies in or beside. False: near none of them.
bool nmemu_describe(const nmemu *m, const void *address, char *text, unsigned long room);
// A launch is between these: faults of the kernel become reports. Each CPU thread has its own
// signal stack.
void nmemu_faults_on(void);
void nmemu_faults_off(void);
void *nmemu_signal_stack_on(void);
void nmemu_signal_stack_off(void *stack);

// --- where.c -------------------------------------------------------------------------------------
const void *nmemu_kernel_pc(const nmemu_block *b); // where the kernel called the emulator
// NULL if it is not the kernel's.
const void *nmemu_pc_if_kernel(const nmemu_block *b, const void *pc);
// Its "file:line", if that is to be had.
bool nmemu_line_of(const void *pc, char *line, int room);

// --- number.c: formats ---------------------------------------------------------------------------
u32 nmemu_bits_of(float x);
float nmemu_float_of(u32 bits);
u16 nmemu_to_bf16(float x);
u16 nmemu_to_f16(float x);
float nmemu_from_bf16(u16 h);
float nmemu_from_f16(u16 h);
float nmemu_from_e4m3(u8 b); // the OCP's: all ones are NaN, there is no infinity
float nmemu_from_e5m2(u8 b); // the upper byte of f16
float nmemu_from_tf32(u32 u);

#endif
