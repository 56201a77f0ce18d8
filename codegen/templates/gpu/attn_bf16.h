// Attention of gpu kernels in bf16 on tensor cores, with f32 sums: by mma.sync from sm_80 on, by
// wgmma in the templates for sm_90a: the same functions, launched the same. template.h says what
// the specs, arguments and hooks mean, where all tensors but lse and sink are bf16 behind their
// `float *`. Codegen includes this header, too.
#ifndef NM_CODEGEN_TEMPLATES_GPU_ATTN_BF16_H
#define NM_CODEGEN_TEMPLATES_GPU_ATTN_BF16_H

#include "codegen/templates/template.h"

enum {
    NMG_ATTN_BF16_THREADS = 128, // of a block
    NMG_ATTN_BF16_TILE = 64,     // rows or keys that a block owns
    NMG_ATTN_BF16_MOST = 256,    // elements along a head dim
    NMG_ATTN_BF16_WIDE = 128,    // of them that a block of the backward makes: a slice
};
// Lines of tiles are of whole columns of 64 elements, an even number of them where there are
// slices.
#define NMG_ATTN_BF16_COLUMNS(hd) ((hd) <= 128 ? ((hd) + 63) / 64 : ((hd) + 127) / 128 * 2)
// Bytes of a line in a tile, at most; bytes of dynamic shared memory.
#define NMG_ATTN_BF16_LINE(hd) (128 * NMG_ATTN_BF16_COLUMNS(hd) + 16)
#define NMG_ATTN_BF16_SHARED(hd, hd_v)                                                             \
    (64 * (2 * NMG_ATTN_BF16_LINE(hd) + NMG_ATTN_BF16_LINE(hd_v)))
#define NMG_ATTN_BF16_GRAD_SHARED(hd, hd_v)                                                        \
    (128 * (NMG_ATTN_BF16_LINE(hd) + NMG_ATTN_BF16_LINE(hd_v)))

// The backward in one pass has a tile of pairs more.
#define NMG_ATTN_BF16_ONCE_SHARED(hd, hd_v)                                                        \
    (NMG_ATTN_BF16_GRAD_SHARED(hd, hd_v) + 64 * NMG_ATTN_BF16_LINE(64))

// The form for sm_90a that copies keys and values by tensor maps: a warpgroup that does nothing
// else, two that own 64 rows each.
enum { NMG_ATTN_MAPS_THREADS = 384, NMG_ATTN_MAPS_ROWS = 128, NMG_ATTN_MAPS_STAGES = 2 };
// Keys of a tile; worked: logits are more than products times a factor (softcap, bias), whose code
// is once for each pair of a thread.
#define NMG_ATTN_MAPS_KEYS(hd, hd_v, worked) ((hd) <= 128 && (hd_v) <= 128 && !(worked) ? 128 : 64)
#define NMG_ATTN_MAPS_TILE(lines, hd)        (128 * (lines) * (((hd) + 63) / 64))
// Bytes of dynamic shared memory: rows, stages of keys and values, barriers.
#define NMG_ATTN_MAPS_SHARED(hd, hd_v, keys)                                                       \
    (NMG_ATTN_MAPS_TILE(NMG_ATTN_MAPS_ROWS, hd) + 32 * NMG_ATTN_MAPS_STAGES +                      \
     NMG_ATTN_MAPS_STAGES * (NMG_ATTN_MAPS_TILE(keys, hd) + NMG_ATTN_MAPS_TILE(keys, hd_v)))

// The backward's: lines that two warpgroups own, and their pairs; stages of others.
enum { NMG_ATTN_MAPS_OTHERS = 32 };
#define NMG_ATTN_GRAD_MAPS_SHARED(hd, hd_v)                                                        \
    (64 + 128 * 128 +                                                                              \
     (NMG_ATTN_MAPS_ROWS + NMG_ATTN_MAPS_STAGES * NMG_ATTN_MAPS_OTHERS) * 128 *                    \
         (NMG_ATTN_BF16_COLUMNS(hd) + NMG_ATTN_BF16_COLUMNS(hd_v)))

// out and lse. A block does one index of
//     batch x kv heads x tiles of rows (n_q * g of them), the last fastest.
void nmg_attn_bf16(const nmk_attn_spec *s, const nmk_attn_args *x, const void *env, nmk_bias *bias,
                   nmk_position *position, nmk_position *key_position, int64_t index);

// The same. As sm_90a has it, tiles are of NMG_ATTN_MAPS_ROWS, and maps are two: of k and of v,
// [hd, key, kv head, batch1, batch0], boxes of 64 elements of NMG_ATTN_MAPS_KEYS keys, swizzled by
// 128 bytes. As others have it, it does not look at them.
void nmg_attn_bf16_maps(const nmk_attn_spec *s, const nmk_attn_args *x, const void *env,
                        nmk_bias *bias, nmk_position *position, nmk_position *key_position,
                        const void *maps, int64_t index);

// norms[batch, kv heads, rows] of two: lse in units of log2 (inf where it was -inf), and
// sum(dout * out). Range: batch x kv heads x tiles of rows.
void nmg_attn_norms_bf16(const nmk_attn_spec *s, const nmk_attn_args *x, float *norms,
                         int64_t index);

// dq, dk and dv. A block does one index of
//     batch x kv heads x slices of the larger of hd, hd_v x (tiles of keys, then tiles of rows).
// One of keys makes dk and dv, one of rows dq; each sum has one owner and a fixed order.
void nmg_attn_grad_bf16(const nmk_attn_spec *s, const nmk_attn_args *x, const float *norms,
                        const void *env, nmk_bias *bias, nmk_position *position,
                        nmk_position *key_position, int64_t index);

// The same in one pass over pairs, and faster: sums[batch, kv heads, rows, hd], dq in f32, are
// cleared, then all blocks add to them in any order (so its last bits differ from run to run), then
// they are rounded to dq. Ranges: the norms'; batch x kv heads x slices x tiles of keys; the
// norms'.
void nmg_attn_clear_bf16(const nmk_attn_spec *s, const nmk_attn_args *x, float *sums,
                         int64_t index);
void nmg_attn_grad_once_bf16(const nmk_attn_spec *s, const nmk_attn_args *x, const float *norms,
                             float *sums, const void *env, nmk_bias *bias, nmk_position *position,
                             nmk_position *key_position, int64_t index);
void nmg_attn_round_bf16(const nmk_attn_spec *s, const nmk_attn_args *x, const float *sums,
                         int64_t index);

// Either of them: in two passes, if sums is NULL. As sm_90a has it, tiles are of NMG_ATTN_MAPS_ROWS
// rows or keys, and maps are four: of q and dout, in boxes of 64 elements of NMG_ATTN_MAPS_OTHERS
// rows, [hd, g, query, kv head, batch1] (batch0 is 1), or where g is 1 [hd, query, head, batch1,
// batch0]; of k and v, as nmg_attn_bf16_maps has them, of as many keys. As others have it, it does
// not look at them.
void nmg_attn_grad_maps_bf16(const nmk_attn_spec *s, const nmk_attn_args *x, const float *norms,
                             float *sums, const void *env, nmk_bias *bias, nmk_position *position,
                             nmk_position *key_position, const void *maps, int64_t index);

#endif
