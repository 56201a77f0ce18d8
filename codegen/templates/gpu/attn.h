// Attention of gpu kernels in f32, for every case that the host's has: template.h says what the
// specs, arguments and hooks mean. Codegen includes this header, too.
#ifndef NM_CODEGEN_TEMPLATES_GPU_ATTN_H
#define NM_CODEGEN_TEMPLATES_GPU_ATTN_H

#include "codegen/templates/template.h"

enum {
    NMG_ATTN_THREADS = 256, // of a block
    NMG_ATTN_TILE = 64,     // rows or keys that a block owns
    NMG_ATTN_WIDE = 256,    // elements of each along the head dim that it makes: a slice
    NMG_ATTN_SHARED = 36352 // bytes of dynamic shared memory
};

// out and lse. A block does one index of
//     batch x kv heads x slices of hd_v x tiles of rows (n_q * g of them), the last fastest.
void nmg_attn(const nmk_attn_spec *s, const nmk_attn_args *x, const void *env, nmk_bias *bias,
              nmk_position *position, nmk_position *key_position, int64_t index);

// dq, dk and dv. A block does one index of
//     batch x kv heads x slices of the larger of hd, hd_v x (tiles of keys, then tiles of rows).
// One of keys makes dk and dv, one of rows dq; each sum has one owner and a fixed order.
void nmg_attn_grad(const nmk_attn_spec *s, const nmk_attn_args *x, const void *env, nmk_bias *bias,
                   nmk_position *position, nmk_position *key_position, int64_t index);

#endif
