// Which dim plays which part in an attention, and where its extra operands are: read off the op
// once, here, for the verifier, the interpreter, the gradient and the kernels.
#ifndef NM_IR_ATTN_H
#define NM_IR_ATTN_H

#include "ir/ir.h"

typedef enum {    // operands behind q, k, v (attention) or q, k, v, out, lse, dout (attention_grad)
    NM_ATTN_bias, // added to the scaled scores: dims of q but hd, and `over`
    NM_ATTN_mask, // bool, the same dims: where false, the pair is not seen
    NM_ATTN_segments, // ints over q's positions (and batch): pairs that differ are not seen
    NM_ATTN_keys,     // bool, dims of k but hd: where false, the key is not seen
    NM_ATTN_sink, // dims of q but hd and its positions: one more score in each row, without a value
    NM_ATTN_seed, // of dropout
    NM_ATTN_step,
    NM_ATTN_turn,
    NM_ATTN_at, // a scalar: the position of q's first index; or of q's dim of positions: of each
    NM_ATTN_key_at, // of `over`: the position of each key, ascending; absent: its index
    NM_N_ATTN
} nm_attn_extra;
extern const char *const nm_attn_extra_name[NM_N_ATTN];

typedef struct nm_attn {
    nm_sym over, hd;
    nm_sym seq; // q's dim of positions: `over` without a prime; NULL: positions do not compare
    nm_sym heads, kv; // q's `heads` that reads k's `kv`, head h at h // (heads / kv); NULL: none
    int first_extra;  // 3 or 6
    nm_value *extra[NM_N_ATTN]; // NULL: absent
} nm_attn;

bool nm_is_attention(const nm_op *op); // attention or attention_grad
// Of one that verifies.
nm_attn nm_attn_of(const nm_op *op);
// The op again, on other operands of the same number (in[a->first_extra], then a's extra ones),
// before `before` in f. NULL: reported.
nm_op *nm_attn_build(nm_func *f, nm_op *before, const nm_op *like, nm_value *const *in,
                     const nm_attn *a);
// The op again in its place, with these extra operands; the old one is erased. NULL: reported.
nm_op *nm_attn_rebuild(nm_op *op, const nm_attn *a);

#endif
