// What a GPU kernel may say to the machine. The only file with NVVM builtins and inline assembly.
//
// Each primitive is declared once, as PRIM(result, name, (parameters), body). Compiled for nvptx64
// it is the body, that is the PTX instruction; compiled for x86 it is an external function
// `nmprim_NAME` with the documented behaviour, in runtime/emu. A kernel written against this header
// is one C file for both.
//
// Shared memory is addressed by 32-bit offsets and only through primitives, so that the emulator
// sees every access. Global memory is plain C pointers. Blocks are one-dimensional, a multiple of
// 32 threads. Primitives of warps are for all 32 lanes. Where no chip is named, sm_80 has it.
//
// The table of instructions is laid out by hand.
// clang-format off
#ifndef NMEMU_PRIMS_H
#define NMEMU_PRIMS_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;
typedef u32 smem; // an address in the block's shared memory: a byte offset, 18 bits are enough

// A tensor map: what cuTensorMapEncodeTiled fills on CUDA and nmemu_tensor_map in the emulator. Kernels get a pointer
// to one in global memory, written before the launch.
typedef struct tmap {
    _Alignas(64) u64 opaque[16];
} tmap;

// KERNEL(name, type, p) { ... } defines an entry with one parameter `const type p`, a struct. The emulator calls it
// with a pointer to that struct. Launch bounds are an attribute of the IR that only CUDA's front end writes: the code
// generator adds "nvvm.maxntid".
#ifdef __NVPTX__
#define PRIM(type, name, args, ...) \
    static inline __attribute__((always_inline, unused)) type name args { __VA_ARGS__ }
#define KERNEL(name, type, p) __attribute__((nvptx_kernel)) void name(const type p)
extern __attribute__((address_space(3), aligned(1024))) char dynamic_smem[];
#else
#define PRIM(type, name, args, ...) extern type name args __asm__("nmprim_" #name);
#define KERNEL(name, type, p) KERNEL_(name, type, p) // after expansion of the name
#define KERNEL_(name, type, p)                                              \
    void name(const void *params);                                          \
    static void name##_body(const type p);                                  \
    void name(const void *params) { name##_body(*(const type *)params); }   \
    static void name##_body(const type p)
#endif

#define INLINE static inline __attribute__((always_inline, unused))
#define UNROLL _Pragma("clang loop unroll(full)")
#define ASM    __asm__ volatile

// --- where am I ----------------------------------------------------------------------------------------------------
PRIM(u32, tid, (void), return __nvvm_read_ptx_sreg_tid_x();)
PRIM(u32, ntid, (void), return __nvvm_read_ptx_sreg_ntid_x();)
PRIM(u32, laneid, (void), return __nvvm_read_ptx_sreg_laneid();)
PRIM(u32, ctaid_x, (void), return __nvvm_read_ptx_sreg_ctaid_x();)
PRIM(u32, ctaid_y, (void), return __nvvm_read_ptx_sreg_ctaid_y();)
PRIM(u32, ctaid_z, (void), return __nvvm_read_ptx_sreg_ctaid_z();)
PRIM(u32, nctaid_x, (void), return __nvvm_read_ptx_sreg_nctaid_x();)
PRIM(u32, nctaid_y, (void), return __nvvm_read_ptx_sreg_nctaid_y();)
PRIM(u32, nctaid_z, (void), return __nvvm_read_ptx_sreg_nctaid_z();)
PRIM(smem, smem_base, (void), return (u32)(u64)dynamic_smem;)

// --- shared memory by ordinary (generic proxy) accesses, aligned to their size -------------------------------------
PRIM(void, st_shared_u8, (smem a, u8 v), ASM("st.shared.u8 [%0], %1;" ::"r"(a), "r"((u32)v) : "memory");)
PRIM(void, st_shared_u16, (smem a, u16 v), ASM("st.shared.u16 [%0], %1;" ::"r"(a), "h"(v) : "memory");)
PRIM(void, st_shared_u32, (smem a, u32 v), ASM("st.shared.u32 [%0], %1;" ::"r"(a), "r"(v) : "memory");)
PRIM(void, st_shared_u64, (smem a, u64 v), ASM("st.shared.u64 [%0], %1;" ::"r"(a), "l"(v) : "memory");)
PRIM(void, st_shared_f32, (smem a, float v), ASM("st.shared.f32 [%0], %1;" ::"r"(a), "f"(v) : "memory");)
PRIM(void, st_shared_v4, (smem a, const u32 v[4]),
    ASM("st.shared.v4.u32 [%0], {%1, %2, %3, %4};" ::"r"(a), "r"(v[0]), "r"(v[1]), "r"(v[2]), "r"(v[3]) : "memory");)
PRIM(u8, ld_shared_u8, (smem a), u32 v; ASM("ld.shared.u8 %0, [%1];" : "=r"(v) : "r"(a) : "memory"); return (u8)v;)
PRIM(u16, ld_shared_u16, (smem a), u16 v; ASM("ld.shared.u16 %0, [%1];" : "=h"(v) : "r"(a) : "memory"); return v;)
PRIM(u32, ld_shared_u32, (smem a), u32 v; ASM("ld.shared.u32 %0, [%1];" : "=r"(v) : "r"(a) : "memory"); return v;)
PRIM(u64, ld_shared_u64, (smem a), u64 v; ASM("ld.shared.u64 %0, [%1];" : "=l"(v) : "r"(a) : "memory"); return v;)
PRIM(float, ld_shared_f32, (smem a), float v; ASM("ld.shared.f32 %0, [%1];" : "=f"(v) : "r"(a) : "memory"); return v;)
PRIM(void, ld_shared_v4, (u32 v[4], smem a),
    ASM("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(v[0]), "=r"(v[1]), "=r"(v[2]), "=r"(v[3]) : "r"(a) : "memory");)

// --- global memory, 16 bytes a thread ------------------------------------------------------------------------------
PRIM(void, ld_nc_v4, (u32 v[4], const void *a), // read once, by this thread alone; nobody writes it during the launch
    ASM("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(v[0]), "=r"(v[1]), "=r"(v[2]), "=r"(v[3]) : "l"(a));)
PRIM(void, st_cs_v4, (void *a, const u32 v[4]), // not read again soon
    ASM("st.global.cs.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(a), "r"(v[0]), "r"(v[1]), "r"(v[2]), "r"(v[3]) : "memory");)

// --- global memory between blocks: whole-number sums do not depend on their order, float sums do -------------------
PRIM(u32, atom_add_u32, (u32 *a, u32 v),
    u32 r; ASM("atom.acq_rel.gpu.global.add.u32 %0, [%1], %2;" : "=r"(r) : "l"(a), "r"(v) : "memory"); return r;)
PRIM(u64, atom_add_u64, (u64 *a, u64 v),
    u64 r; ASM("atom.acq_rel.gpu.global.add.u64 %0, [%1], %2;" : "=l"(r) : "l"(a), "l"(v) : "memory"); return r;)
PRIM(u32, atom_inc_u32, (u32 *a, u32 last), // old >= last ? 0 : old + 1
    u32 r; ASM("atom.acq_rel.gpu.global.inc.u32 %0, [%1], %2;" : "=r"(r) : "l"(a), "r"(last) : "memory"); return r;)
PRIM(u32, atom_max_u32, (u32 *a, u32 v),
    u32 r; ASM("atom.acq_rel.gpu.global.max.u32 %0, [%1], %2;" : "=r"(r) : "l"(a), "r"(v) : "memory"); return r;)
PRIM(u32, atom_exch_u32, (u32 *a, u32 v),
    u32 r; ASM("atom.acq_rel.gpu.global.exch.b32 %0, [%1], %2;" : "=r"(r) : "l"(a), "r"(v) : "memory"); return r;)
PRIM(u32, atom_cas_u32, (u32 *a, u32 want, u32 v), // the old value; v is stored if that was `want`
    u32 r; ASM("atom.acq_rel.gpu.global.cas.b32 %0, [%1], %2, %3;" : "=r"(r) : "l"(a), "r"(want), "r"(v) : "memory"); return r;)
PRIM(u64, atom_cas_u64, (u64 *a, u64 want, u64 v),
    u64 r; ASM("atom.acq_rel.gpu.global.cas.b64 %0, [%1], %2, %3;" : "=l"(r) : "l"(a), "l"(want), "l"(v) : "memory"); return r;)
PRIM(void, red_add_f32, (float *a, float v), // in any order: not for results that are the same bit for bit
    ASM("red.relaxed.gpu.global.add.f32 [%0], %1;" ::"l"(a), "f"(v) : "memory");)
PRIM(u32, ld_acquire_u32, (const u32 *a), u32 r; ASM("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(r) : "l"(a) : "memory"); return r;)
PRIM(void, st_release_u32, (u32 *a, u32 v), ASM("st.release.gpu.global.u32 [%0], %1;" ::"l"(a), "r"(v) : "memory");)
PRIM(void, threadfence, (void), ASM("fence.acq_rel.gpu;" ::: "memory");)
PRIM(void, sleep_ns, (u32 ns), ASM("nanosleep.u32 %0;" ::"r"(ns) : "memory");)
PRIM(void, grid_wait, (void), ASM("griddepcontrol.wait;" ::: "memory");) // sm_90: until the grids before have completed
PRIM(void, grid_launch, (void), ASM("griddepcontrol.launch_dependents;" ::: "memory");) // sm_90

// --- arithmetic that C cannot say: approximations of about 2 ulp, tanh of 2^-11 ------------------------------------
PRIM(float, ex2, (float x), return __nvvm_ex2_approx_ftz_f(x);) // 2^x; ex2(-inf) = 0
PRIM(float, lg2, (float x), return __nvvm_lg2_approx_ftz_f(x);)
PRIM(float, rcp, (float x), return __nvvm_rcp_approx_ftz_f(x);)
PRIM(float, rsqrt, (float x), return __nvvm_rsqrt_approx_ftz_f(x);)
PRIM(float, sqrt_fast, (float x), return __nvvm_sqrt_approx_ftz_f(x);)
PRIM(float, tanh_fast, (float x), float r; __asm__("tanh.approx.f32 %0, %1;" : "=f"(r) : "f"(x)); return r;)

// --- conversions, to nearest even; of a pair, lo goes to bits 0..15 ------------------------------------------------
PRIM(u32, bf16x2, (float lo, float hi), u32 r; __asm__("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(hi), "f"(lo)); return r;)
PRIM(u32, f16x2, (float lo, float hi), u32 r; __asm__("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(hi), "f"(lo)); return r;)
PRIM(u16, to_bf16, (float x), u16 r; __asm__("cvt.rn.bf16.f32 %0, %1;" : "=h"(r) : "f"(x)); return r;)
PRIM(u16, to_f16, (float x), u16 r; __asm__("cvt.rn.f16.f32 %0, %1;" : "=h"(r) : "f"(x)); return r;)
PRIM(float, from_bf16, (u16 h), float r; __asm__("{.reg .b16 z;\n\tmov.b16 z, 0;\n\tmov.b32 %0, {z, %1};}" : "=f"(r) : "h"(h)); return r;)
PRIM(float, from_f16, (u16 h), float r; __asm__("cvt.f32.f16 %0, %1;" : "=f"(r) : "h"(h)); return r;)
PRIM(u32, tf32, (float x), u32 r; __asm__("cvt.rna.tf32.f32 %0, %1;" : "=r"(r) : "f"(x)); return r;) // ties away from zero

// --- warps ---------------------------------------------------------------------------------------------------------
PRIM(float, shfl_xor_f32, (float v, u32 mask), return __nvvm_shfl_sync_bfly_f32(~0u, v, (int)mask, 31);)
PRIM(float, shfl_idx_f32, (float v, u32 lane), return __nvvm_shfl_sync_idx_f32(~0u, v, (int)lane, 31);)
PRIM(float, shfl_up_f32, (float v, u32 by), return __nvvm_shfl_sync_up_f32(~0u, v, (int)by, 0);) // lane < by: its own v
PRIM(float, shfl_down_f32, (float v, u32 by), return __nvvm_shfl_sync_down_f32(~0u, v, (int)by, 31);) // lane + by > 31: likewise
PRIM(u32, shfl_xor_u32, (u32 v, u32 mask), return (u32)__nvvm_shfl_sync_bfly_i32(~0u, (int)v, (int)mask, 31);)
PRIM(u32, shfl_idx_u32, (u32 v, u32 lane), return (u32)__nvvm_shfl_sync_idx_i32(~0u, (int)v, (int)lane, 31);)
PRIM(u32, shfl_up_u32, (u32 v, u32 by), return (u32)__nvvm_shfl_sync_up_i32(~0u, (int)v, (int)by, 0);)
PRIM(u32, shfl_down_u32, (u32 v, u32 by), return (u32)__nvvm_shfl_sync_down_i32(~0u, (int)v, (int)by, 31);)
PRIM(u32, vote_any, (u32 p), return __nvvm_vote_any_sync(~0u, p != 0);)
PRIM(u32, vote_all, (u32 p), return __nvvm_vote_all_sync(~0u, p != 0);)
PRIM(u32, ballot, (u32 p), return __nvvm_vote_ballot_sync(~0u, p != 0);)
PRIM(u32, redux_add_u32, (u32 v), return (u32)__nvvm_redux_sync_add((int)v, -1);)
PRIM(u32, redux_min_u32, (u32 v), return (u32)__nvvm_redux_sync_umin((int)v, -1);)
PRIM(u32, redux_max_u32, (u32 v), return (u32)__nvvm_redux_sync_umax((int)v, -1);)
PRIM(void, warp_sync, (void), ASM("bar.warp.sync 0xffffffff;" ::: "memory");)
PRIM(u32, elect, (void), // sm_90: 1 in one lane of the warp, the same one each time
    u32 r; ASM("{.reg .pred p;\n\telect.sync _|p, -1;\n\tselp.u32 %0, 1, 0, p;}" : "=r"(r)); return r;)

// --- barriers: block_sync for all threads; else n threads, a multiple of 32, whole warps; id 0..15, 0 is block_sync's ---
PRIM(void, block_sync, (void), ASM("barrier.sync.aligned 0;" ::: "memory");)
PRIM(void, bar_sync, (u32 id, u32 n), ASM("barrier.sync.aligned %0, %1;" ::"r"(id), "r"(n) : "memory");)
PRIM(void, bar_arrive, (u32 id, u32 n), ASM("barrier.arrive.aligned %0, %1;" ::"r"(id), "r"(n) : "memory");)

// --- registers: a whole warpgroup says it; sm_90a ------------------------------------------------------------------
PRIM(void, reg_dec, (int n), ASM("setmaxnreg.dec.sync.aligned.u32 %0;" ::"i"(n));)
PRIM(void, reg_inc, (int n), ASM("setmaxnreg.inc.sync.aligned.u32 %0;" ::"i"(n));)

// --- cp.async: completion is per thread, by groups -----------------------------------------------------------------
PRIM(void, cp_async16, (smem to, const void *from, u32 bytes), // bytes < 16: the rest is zero
    ASM("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(bytes) : "memory");)
PRIM(void, cp_async4, (smem to, const void *from, u32 bytes),
    ASM("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(to), "l"(from), "r"(bytes) : "memory");)
PRIM(void, cp_async_commit, (void), ASM("cp.async.commit_group;" ::: "memory");)
PRIM(void, cp_async_wait, (int n), ASM("cp.async.wait_group %0;" ::"i"(n) : "memory");)

// --- mbarrier: 8 bytes, 8-aligned; sm_90 for transactions ----------------------------------------------------------
PRIM(void, mbar_init, (smem b, u32 n), ASM("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(b), "r"(n) : "memory");)
PRIM(void, mbar_init_fence, (void), ASM("fence.mbarrier_init.release.cluster;" ::: "memory");)
PRIM(void, mbar_inval, (smem b), ASM("mbarrier.inval.shared::cta.b64 [%0];" ::"r"(b) : "memory");) // before its bytes serve another use
PRIM(void, mbar_arrive, (smem b), ASM("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(b) : "memory");)
PRIM(void, mbar_expect, (smem b, u32 bytes), // one arrival that also raises the expected bytes of this phase
    ASM("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(b), "r"(bytes) : "memory");)
PRIM(void, mbar_expect_only, (smem b, u32 bytes), // the bytes without an arrival
    ASM("mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [%0], %1;" ::"r"(b), "r"(bytes) : "memory");)
PRIM(void, mbar_wait, (smem b, u32 parity), // until the phase of this parity is over; a fresh barrier is "after parity 1"
    u32 ok; do {
        ASM("{.reg .pred p;\n\tmbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n\tselp.u32 %0, 1, 0, p;}"
            : "=r"(ok) : "r"(b), "r"(parity) : "memory");
    } while (!ok);)

// --- TMA: one thread, one box, coordinates in elements; sm_90 ------------------------------------------------------
#define TMA_LOAD_(n, x)  "cp.async.bulk.tensor." #n "d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {" x "}], [%2];"
#define TMA_STORE_(n, x) "cp.async.bulk.tensor." #n "d.global.shared::cta.bulk_group [%0, {" x "}], [%1];"
PRIM(void, tma_load_1d, (smem to, const tmap *m, smem bar, int x),
    ASM(TMA_LOAD_(1, "%3") ::"r"(to), "l"(m), "r"(bar), "r"(x) : "memory");)
PRIM(void, tma_load_2d, (smem to, const tmap *m, smem bar, int x, int y),
    ASM(TMA_LOAD_(2, "%3, %4") ::"r"(to), "l"(m), "r"(bar), "r"(x), "r"(y) : "memory");)
PRIM(void, tma_load_3d, (smem to, const tmap *m, smem bar, int x, int y, int z),
    ASM(TMA_LOAD_(3, "%3, %4, %5") ::"r"(to), "l"(m), "r"(bar), "r"(x), "r"(y), "r"(z) : "memory");)
PRIM(void, tma_load_4d, (smem to, const tmap *m, smem bar, int x, int y, int z, int w),
    ASM(TMA_LOAD_(4, "%3, %4, %5, %6") ::"r"(to), "l"(m), "r"(bar), "r"(x), "r"(y), "r"(z), "r"(w) : "memory");)
PRIM(void, tma_load_5d, (smem to, const tmap *m, smem bar, int x, int y, int z, int w, int v),
    ASM(TMA_LOAD_(5, "%3, %4, %5, %6, %7") ::"r"(to), "l"(m), "r"(bar), "r"(x), "r"(y), "r"(z), "r"(w), "r"(v) : "memory");)
PRIM(void, tma_store_1d, (const tmap *m, smem from, int x), ASM(TMA_STORE_(1, "%2") ::"l"(m), "r"(from), "r"(x) : "memory");)
PRIM(void, tma_store_2d, (const tmap *m, smem from, int x, int y),
    ASM(TMA_STORE_(2, "%2, %3") ::"l"(m), "r"(from), "r"(x), "r"(y) : "memory");)
PRIM(void, tma_store_3d, (const tmap *m, smem from, int x, int y, int z),
    ASM(TMA_STORE_(3, "%2, %3, %4") ::"l"(m), "r"(from), "r"(x), "r"(y), "r"(z) : "memory");)
PRIM(void, tma_store_4d, (const tmap *m, smem from, int x, int y, int z, int w),
    ASM(TMA_STORE_(4, "%2, %3, %4, %5") ::"l"(m), "r"(from), "r"(x), "r"(y), "r"(z), "r"(w) : "memory");)
PRIM(void, tma_store_5d, (const tmap *m, smem from, int x, int y, int z, int w, int v),
    ASM(TMA_STORE_(5, "%2, %3, %4, %5, %6") ::"l"(m), "r"(from), "r"(x), "r"(y), "r"(z), "r"(w), "r"(v) : "memory");)
PRIM(void, tma_prefetch, (const tmap *m), ASM("prefetch.tensormap [%0];" ::"l"(m) : "memory");)

// --- bulk copies of plain bytes: addresses and sizes are multiples of 16; sm_90 ------------------------------------
PRIM(void, bulk_load, (smem to, const void *from, u32 bytes, smem bar),
    ASM("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];"
        ::"r"(to), "l"(from), "r"(bytes), "r"(bar) : "memory");)
PRIM(void, bulk_store, (void *to, smem from, u32 bytes),
    ASM("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;" ::"l"(to), "r"(from), "r"(bytes) : "memory");)
PRIM(void, bulk_add_f32, (float *to, smem from, u32 bytes), // to[i] += from[i], as one asynchronous reduction, in any order
    ASM("cp.reduce.async.bulk.global.shared::cta.bulk_group.add.f32 [%0], [%1], %2;" ::"l"(to), "r"(from), "r"(bytes) : "memory");)
PRIM(void, bulk_commit, (void), ASM("cp.async.bulk.commit_group;" ::: "memory");) // stores and sums of this thread so far
PRIM(void, bulk_wait_read, (int n), ASM("cp.async.bulk.wait_group.read %0;" ::"i"(n) : "memory");) // they have read shared memory
PRIM(void, bulk_wait, (int n), ASM("cp.async.bulk.wait_group %0;" ::"i"(n) : "memory");)           // they are done
PRIM(void, fence_async, (void), // my writes to shared memory, before TMA or wgmma read them
    ASM("fence.proxy.async.shared::cta;" ::: "memory");)

// --- 8x8 matrices of b16 between shared memory and registers: lane i names row i % 8 of matrix i / 8 ---------------
// Register k of lane l is row l / 4, columns 2 (l % 4) and + 1 of matrix k; with _trans, of its transpose.
#define LD1_(t) ASM("ldmatrix.sync.aligned.m8n8.x1" t ".shared.b16 {%0}, [%1];" : "=r"(r[0]) : "r"(row) : "memory");
#define LD2_(t) ASM("ldmatrix.sync.aligned.m8n8.x2" t ".shared.b16 {%0, %1}, [%2];" : "=r"(r[0]), "=r"(r[1]) : "r"(row) : "memory");
#define LD4_(t) ASM("ldmatrix.sync.aligned.m8n8.x4" t ".shared.b16 {%0, %1, %2, %3}, [%4];" \
                    : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(row) : "memory");
#define ST2_(t) ASM("stmatrix.sync.aligned.m8n8.x2" t ".shared.b16 [%0], {%1, %2};" ::"r"(row), "r"(r[0]), "r"(r[1]) : "memory");
#define ST4_(t) ASM("stmatrix.sync.aligned.m8n8.x4" t ".shared.b16 [%0], {%1, %2, %3, %4};" \
                    ::"r"(row), "r"(r[0]), "r"(r[1]), "r"(r[2]), "r"(r[3]) : "memory");
PRIM(void, ldmatrix_x1, (u32 r[1], smem row), LD1_(""))
PRIM(void, ldmatrix_x2, (u32 r[2], smem row), LD2_(""))
PRIM(void, ldmatrix_x4, (u32 r[4], smem row), LD4_(""))
PRIM(void, ldmatrix_x1_trans, (u32 r[1], smem row), LD1_(".trans"))
PRIM(void, ldmatrix_x2_trans, (u32 r[2], smem row), LD2_(".trans"))
PRIM(void, ldmatrix_x4_trans, (u32 r[4], smem row), LD4_(".trans"))
PRIM(void, stmatrix_x2, (smem row, const u32 r[2]), ST2_(""))       // stmatrix: sm_90
PRIM(void, stmatrix_x4, (smem row, const u32 r[4]), ST4_(""))
PRIM(void, stmatrix_x2_trans, (smem row, const u32 r[2]), ST2_(".trans"))
PRIM(void, stmatrix_x4_trans, (smem row, const u32 r[4]), ST4_(".trans"))
PRIM(u32, movmatrix, (u32 a), u32 r; ASM("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(r) : "r"(a)); return r;) // transposes

// --- mma.sync: a warp, d[16][8] += a[16][k] b[k][8]; lane = 4 g + t ------------------------------------------------
// d0, d1: row g, columns 2t, 2t + 1; d2, d3: row g + 8. bf16 and f16 (k = 16), two a register, the lower k in the lower half:
// a0: row g, k 2t, 2t + 1; a1: row g + 8; a2, a3: the same, k + 8; b0: k 2t, 2t + 1, column g; b1: k + 8.
// tf32 (k = 8), one a register: a0: row g, k t; a1: row g + 8; a2, a3: the same, k + 4; b0: k t, column g; b1: k + 4.
#define MMA_(shape, type) ASM("mma.sync.aligned." shape ".row.col.f32." type "." type ".f32 " \
                     "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"         \
                     : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])                          \
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
PRIM(void, mma_bf16, (float d[4], const u32 a[4], u32 b0, u32 b1), MMA_("m16n8k16", "bf16"))
PRIM(void, mma_f16, (float d[4], const u32 a[4], u32 b0, u32 b1), MMA_("m16n8k16", "f16"))
PRIM(void, mma_tf32, (float d[4], const u32 a[4], u32 b0, u32 b1), MMA_("m16n8k8", "tf32"))

// --- wgmma: a warpgroup, d[64][n] = a[64][16] b[16][n] + (keep ? d : 0), bf16; sm_90a ------------------------------
// d: thread t holds rows 16 (t / 32) + (t % 32) / 4 + {0, 8}; d[4 j + 2 i + c] is row + 8 i, column 8 j + 2 (t % 4) + c.
// wgmma_n<n>_<a><b>: r = in registers (d's picture for 16 columns, two bf16 in each u32); else a descriptor, of
// k = k-major (k is contiguous) or m = mn-major (rows of a, columns of b are contiguous).
// Order: acc_ready, fence, wgmma..., commit, wait, acc_ready, and only then touch d. A pure instruction that makes a register
// of d or a may sink below an asm volatile fence; acc_ready and keep_u32 nail it down.
#define D8_(d, i)  "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), "+f"(d[i + 6]), "+f"(d[i + 7])
#define D16_(d)    D8_(d, 0)
#define D32_(d)    D16_(d), D8_(d, 8)
#define D64_(d)    D32_(d), D8_(d, 16), D8_(d, 24)
#define D80_(d)    D64_(d), D8_(d, 32)
#define D96_(d)    D80_(d), D8_(d, 40)
#define D128_(d)   D96_(d), D8_(d, 48), D8_(d, 56)
#define D192_(d)   D128_(d), D8_(d, 64), D8_(d, 72), D8_(d, 80), D8_(d, 88)
#define D256_(d)   D192_(d), D8_(d, 96), D8_(d, 104), D8_(d, 112), D8_(d, 120)
#define S16_       "{%0,%1,%2,%3,%4,%5,%6,%7"
#define S32_       S16_ ",%8,%9,%10,%11,%12,%13,%14,%15"
#define S64_       S32_ ",%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
#define S80_       S64_ ",%32,%33,%34,%35,%36,%37,%38,%39"
#define S96_       S80_ ",%40,%41,%42,%43,%44,%45,%46,%47"
#define S128_      S96_ ",%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"
#define S192_      S128_ ",%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79" \
                   ",%80,%81,%82,%83,%84,%85,%86,%87,%88,%89,%90,%91,%92,%93,%94,%95"
#define S256_      S192_ ",%96,%97,%98,%99,%100,%101,%102,%103,%104,%105,%106,%107,%108,%109,%110,%111" \
                   ",%112,%113,%114,%115,%116,%117,%118,%119,%120,%121,%122,%123,%124,%125,%126,%127"
#define WGMMA_(n, a, t) "{.reg .pred p;\n\tsetp.ne.b32 p, %[keep], 0;\n\twgmma.mma_async.sync.aligned.m64n" #n \
    "k16.f32.bf16.bf16 " S##n##_ "}, " a ", %[b], p, 1, 1, " t ";}" // p, then the signs of a and b, then "is mn-major"
#define WGMMA_SS_(n, ab, t) PRIM(void, wgmma_n##n##_##ab, (float d[n / 2], u64 a, u64 b, int keep), \
    ASM(WGMMA_(n, "%[a]", t) : D##n##_(d) : [a] "l"(a), [b] "l"(b), [keep] "r"(keep));)
#define WGMMA_RS_(n, ab, t) PRIM(void, wgmma_n##n##_##ab, (float d[n / 2], const u32 a[4], u64 b, int keep), \
    ASM(WGMMA_(n, "{%[a0], %[a1], %[a2], %[a3]}", t) : D##n##_(d) \
        : [a0] "r"(a[0]), [a1] "r"(a[1]), [a2] "r"(a[2]), [a3] "r"(a[3]), [b] "l"(b), [keep] "r"(keep));)
#define WGMMA_ALL_(n) WGMMA_SS_(n, kk, "0, 0") WGMMA_SS_(n, km, "0, 1") WGMMA_SS_(n, mk, "1, 0") WGMMA_SS_(n, mm, "1, 1") \
    WGMMA_RS_(n, rk, "0") WGMMA_RS_(n, rm, "1")
WGMMA_ALL_(16)
WGMMA_ALL_(32)
WGMMA_ALL_(64)
WGMMA_ALL_(80)
WGMMA_ALL_(96)
WGMMA_ALL_(128)
WGMMA_ALL_(192)
WGMMA_ALL_(256)
PRIM(void, wgmma_fence, (void), ASM("wgmma.fence.sync.aligned;" ::: "memory");)
PRIM(void, wgmma_commit, (void), ASM("wgmma.commit_group.sync.aligned;" ::: "memory");)
PRIM(void, wgmma_wait, (int n), ASM("wgmma.wait_group.sync.aligned %0;" ::"i"(n) : "memory");)
PRIM(void, acc_ready, (float *d, int n), UNROLL for (int i = 0; i < n; i++) ASM("" : "+f"(d[i])::"memory");)
PRIM(void, keep_u32, (u32 *a), ASM("" : "+r"(*a)::"memory");)

// The descriptor of a wgmma operand that TMA wrote with a swizzle of w = 128, 64, 32 bytes, or 16: none. lead, stride: bytes.
//   k-major  (rows of w bytes along k):  stride = from 8 rows to the next 8 (8 w if dense); lead is not read
//   mn-major (rows of w bytes along mn): stride = from 8 k to the next 8 (8 w if dense);    lead = from w bytes of mn to the next
//   w = 16: k-major as above, and lead = from 8 k to the next 8; mn-major: stride and lead change places
INLINE u64 desc(smem at, u32 lead, u32 stride, int w)
{
    return (u64)(at >> 4 & 0x3fff) | (u64)(lead >> 4) << 16 | (u64)(stride >> 4) << 32 |
           (u64)(w == 128 ? 1 : w == 64 ? 2 : w == 32 ? 3 : 0) << 62;
}
INLINE u64 desc_sw128(smem at, u32 lead, u32 stride) { return desc(at, lead, stride, 128); }

// Where TMA with a 128-byte swizzle puts the byte that would lie at `at`; aligned tiles have a period of 1024 bytes.
INLINE smem swizzle128(smem at) { return at ^ (at >> 7 & 7) << 4; }

#endif
