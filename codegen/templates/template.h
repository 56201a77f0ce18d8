// Kernel templates: the entry points, specs and hooks that codegen builds host kernels from.
//
// Each template is freestanding C, compiled to bitcode once per vector length (NM_VL floats: 4, 8,
// 16) when nemocc is built. For a kernel, codegen links the bitcode of the wanted length
// (embed.h), and generates
//
//     void k(const nmdrv_sym *sym, void *const *arg, int64_t from, int64_t to, void *scratch)
//
// which fills an `env` and the run-time arguments, and calls one entry point with pointers to
// constant specs and to hook functions. Entry points are always_inline; inlining makes the hooks
// direct calls and folds the specs. Heavy loops that see no hook (matrix microkernels, transposes)
// are machine code in an archive that the program is linked with (nm_template_archive).
//
// Rules for codegen
// - After linking: internalize, then set on *every* function "target-cpu", "target-features" and
//   "prefer-vector-width"="512" for NM_VL 16 (else LLVM splits the vectors for this CPU: half the
//   speed). Then run
//       always-inline,function(sroa,early-cse<memssa>),always-inline,globaldce,default<O3>
//   Hooks travel through structs and locals, and only SROA makes their calls direct, so that it
//   takes two rounds. With default<O3> alone some hooks stay calls: a third of the speed, or a
//   tenth.
// - Hooks are internal, alwaysinline, nounwind; loads are memory(read), stores write only the
// result.
// - `env` is codegen's own: an alloca of {pointers, run-time extents} that the wrapper fills once
// and only
//   the hooks read. After inlining it dissolves (SROA). NULL is fine if no hook needs it.
// - A hook gets a base index and an offset `j`: the element meant is at base + j. j is the loop
// variable of
//   a loop that never crosses a multiple of `run`: div and mod of the *base* stay outside the loop,
//   and the address must be linear in j (best: stride 1) for the loop to vectorise. run = 0: the
//   index is flat.
// - scratch: 64-byte aligned; bytes by NMK_..._SCRATCH below. No template keeps anything between
// calls.
// - Any split of [0, count) into [from, to) gives the same bits.
#ifndef NM_CODEGEN_TEMPLATES_TEMPLATE_H
#define NM_CODEGEN_TEMPLATES_TEMPLATE_H

#include <stdint.h> // clang's own: complete without a C library

// --- matrix product: c[b, m, n] = sum over k of a[b, m, k] * b[b, n, k] ------------------------

// Element (batch b, row i, k) of an operand; the row is m for a, n for b. `j` is added to k, or to
// the row if the spec says NMK_ALONG_ROW. Maps in front of the product are computed here.
typedef float nmk_load(const void *env, int64_t b, int64_t i, int64_t k, int64_t j);
// Take element (b, m, n + j) of the result: the epilogue and the store.
typedef void nmk_store(const void *env, int64_t b, int64_t m, int64_t n, int64_t j, float acc);
// The same of c[j]. Where columns are taken together, n is the first of them: any of
// c[0 .. together) may be read, and what there is to store at point j is the hook's to know.
typedef void nmk_finish(const void *env, int64_t b, int64_t m, int64_t n, int64_t j,
                        const float *c);

// Where element (b, i, k) of an operand, or (b, m, n) of the result, lies in memory: templates
// fetch it ahead. The element is of `bytes` in the spec; 0: it lies at no one place, and this is
// not called.
typedef const void *nmk_place(const void *env, int64_t b, int64_t i, int64_t k);

enum { NMK_ALONG_K, NMK_ALONG_ROW }; // which index of an operand is contiguous in memory

typedef struct nmk_gemm_spec { // a constant; all int64_t, so that it is plain words
    int64_t a_along, b_along;  // NMK_ALONG_*; (a K, b K) is "NT", (K, ROW) "NN", (ROW, ROW) "TN"
    int64_t a_run, b_run;      // period of the contiguous index; 0: flat
    int64_t c_run;             // period of n in the result, whose n should be contiguous
    // Columns that the epilogue reads together, which divide N; c_run then. 0: it reads its own.
    int64_t together, points;          // and how many points j stand for all of them
    int64_t a_bytes, b_bytes, c_bytes; // at their places
    int64_t a_plain, b_plain;          // what lies there is the float that is multiplied
    int64_t few; // have a path for M <= 4 that packs nothing (decode: the time is reading b once)
} nmk_gemm_spec;

// The size of the parallel range: blocks of the result, n fastest.
int64_t nmk_gemm_count(int64_t B, int64_t M, int64_t N, int64_t together);
// B, M, N, K may be constants or not. Sums run over k in increasing order within chunks, and the
// chunks in order, in f32; the order depends on (M, N, K) alone. M <= 4 (decode) reads b once,
// unpacked. K = 0 stores 0.
void nmk_gemm(const nmk_gemm_spec *s, const void *env, int64_t B, int64_t M, int64_t N, int64_t K,
              nmk_load *a, nmk_load *b, nmk_finish *c, nmk_place *a_at, nmk_place *b_at,
              nmk_place *c_at, int64_t from, int64_t to, void *scratch);
// Bytes; most columns; how many indices a call had best have, as each packs its rows of a anew, and
// where a few rows are multiplied, as b is read the faster, the longer its pieces are.
enum {
    NMK_GEMM_SCRATCH = 2 << 20,
    NMK_GEMM_TOGETHER = 256,
    NMK_GEMM_CHUNK = 6,
    NMK_GEMV_CHUNK = 24
};

// --- attention ---------------------------------------------------------------------------------

// Elements between neighbours along the dims of a tensor; along the head dim it is always 1.
typedef struct nmk_strides {
    int64_t batch0, batch1, pos, kv, g; // batch = batch0 x batch1 (n1 may be 1)
} nmk_strides;

// One more term for the logit of (batch, head kv.g, query position i, key j), after scale and
// softcap: a bias, or -inf where masked. May be NULL.
typedef float nmk_bias(const void *env, int64_t b0, int64_t b1, int64_t kv, int64_t g, int64_t i,
                       int64_t j);

// The position of query i, of key j; of keys they ascend. NULL: args.at + i, j.
typedef int64_t nmk_position(const void *env, int64_t i);

typedef struct nmk_attn_spec { // a constant
    int64_t hd, hd_v; // extents of the head dim of q and k, and of v and out; any up to 512
    int64_t causal;   // a key at position j is seen by the query at position p only if j <= p
    int64_t windowed; // args.window counts: and only if j > p - window; window <= 0: no limit
    int64_t capped;   // args.softcap counts
    int64_t dropout;  // args.drop counts
    int64_t keys, segments, sink; // the pointers of args are there
    int64_t narrow;               // q, k, v, out and their gradients are bf16; else float
} nmk_attn_spec;

typedef struct nmk_attn_drop { // a probability is 0 where uniform < rate, else p / (1 - rate)
    float rate;
    uint64_t key; // as nmk_uniform takes it
    uint32_t step, turn;
    int64_t first,
        key_stride; // element index = first + stride . (b0, b1, i', kv, g) + key_stride * j, the
                    // key's position
    nmk_strides stride;
    int64_t half, jump; // i' = i + (i >= half ? jump : 0)
} nmk_attn_drop;

typedef struct nmk_attn_args {
    int64_t n0, n1, kv, g, n_q,
        n_k; // extents: batch0, batch1, kv heads, q heads a kv head, queries, keys
    int64_t at, window;
    float scale, softcap;
    // Tensors of bf16 where the spec says narrow: all of the type float * but lse.
    const float *q, *k, *v; // q [b0, b1, i, kv, g, hd], k and v [b0, b1, j, kv, hd] by strides
    nmk_strides q_s, k_s, v_s;
    float *out, *lse; // out as q (hd_v), lse [b0, b1, i, kv, g] by strides; backward reads both
    nmk_strides out_s, lse_s;
    const float *dout; // backward only: dout as out; dq, dk, dv as q, k, v; all are written
    float *dq, *dk, *dv;
    nmk_strides dout_s, dq_s, dk_s, dv_s;
    const uint8_t *keys; // bool [b0, b1, j]: 0 hides key j
    nmk_strides keys_s;  // (kv, g unused)
    // [b0, b1, i], [b0, b1, j]: pairs that differ are hidden. With nmk_position, query i has the
    // segment of its position.
    const int32_t *seg_q, *seg_k;
    nmk_strides seg_q_s, seg_k_s;
    const float *sink; // [kv, g] by strides: a logit that joins the sum and nothing else
    nmk_strides sink_s;
    float *dq_sum; // backward, narrow: room for dq while it grows, as dq by strides
    nmk_strides dq_sum_s;
    nmk_attn_drop drop;
} nmk_attn_args;

// A query that sees no key has out = 0 and lse = -inf.
// Parallel range of the forward: batch x kv heads x blocks of queries; of the backward: batch x kv
// heads.
int64_t nmk_attn_count(const nmk_attn_args *x);
void nmk_attn(const nmk_attn_spec *s, const nmk_attn_args *x, const void *env, nmk_bias *bias,
              nmk_position *position, nmk_position *key_position, int64_t from, int64_t to,
              void *scratch);
int64_t nmk_attn_grad_count(const nmk_attn_args *x);
// dq, dk and dv; probabilities are computed again from lse.
void nmk_attn_grad(const nmk_attn_spec *s, const nmk_attn_args *x, const void *env, nmk_bias *bias,
                   nmk_position *position, nmk_position *key_position, int64_t from, int64_t to,
                   void *scratch);
#define NMK_ATTN_SCRATCH(hd, hd_v)      (((hd) + (hd_v) + 256) * 4096)
#define NMK_ATTN_GRAD_SCRATCH(hd, hd_v) (((hd) + (hd_v) + 256) * 8192)

// --- scatter_add: dst[o, index(o, i), x] = init + sum over i in order of value(o, i, x) ----------

typedef int64_t nmk_index(const void *env, int64_t o, int64_t i); // the row; outside: dropped
typedef float nmk_value(const void *env, int64_t o, int64_t i, int64_t x,
                        int64_t j); // element x + j
typedef float nmk_init(const void *env, int64_t o, int64_t row, int64_t x,
                       int64_t j); // NULL: zeros

typedef struct nmk_scatter_args {
    int64_t n_o, n_rows, n_i, n_x; // extents
    float *dst;                    // [o, row, x] by strides; x had best be contiguous
    int64_t o_stride, row_stride, x_stride;
} nmk_scatter_args;

// Range: n_o * n_rows result rows. A call looks at all i, so give a thread as many rows as there
// are. init may read dst itself: accumulation in place.
void nmk_scatter_add(const nmk_scatter_args *x, const void *env, nmk_index *index, nmk_value *value,
                     nmk_init *init, int64_t from, int64_t to);

// --- along a line ------------------------------------------------------------------------------

typedef float nmk_line_load(const void *env, int64_t line, int64_t i);
typedef void nmk_line_store(const void *env, int64_t line, int64_t i, float y);
typedef uint32_t nmk_line_load_u32(const void *env, int64_t line, int64_t i);
typedef void nmk_line_store_u32(const void *env, int64_t line, int64_t i, uint32_t y);
typedef void nmk_pick(const void *env, int64_t line, int64_t rank, float value, int32_t i);

// Running sums of n elements of each line; reverse: from the end. Range: lines.
void nmk_cumsum(const void *env, int64_t n, int64_t reverse, nmk_line_load *load,
                nmk_line_store *store, int64_t from, int64_t to);
void nmk_cumsum_u32(const void *env, int64_t n, int64_t reverse, nmk_line_load_u32 *load,
                    nmk_line_store_u32 *store, int64_t from, int64_t to);
// The k largest of each line's n, largest first; of equals the first. Range: lines. k <= NMK_MAX_K.
enum { NMK_MAX_K = 256 };
void nmk_top_k(const void *env, int64_t n, int64_t k, nmk_line_load *load, nmk_pick *pick,
               int64_t from, int64_t to);

// --- scalar functions for hooks and generated loops --------------------------------------------

// Branch-free: loops over them vectorise once they are inlined. math.c states their errors.
float nmk_expf(float x);
float nmk_logf(float x);
float nmk_sinf(float x);
float nmk_cosf(float x);
float nmk_tanhf(float x);
float nmk_erff(float x);
float nmk_geluf(float x); // the tanh form
float nmk_gelu_gradf(float dy, float x);
float nmk_powf(float x, float y); // x > 0, or y a whole number
float nmk_sqrtf(float x);
float nmk_floorf(float x);

// Draw `index` of a stream, key = seed ^ hash of the op's key string: bit for bit base/philox.h's
// uniform.
float nmk_uniform(uint64_t key, uint32_t step, uint32_t turn, int64_t index); // [0, 1)
float nmk_normal(uint64_t key, uint32_t step, uint32_t turn, int64_t index);

#endif
