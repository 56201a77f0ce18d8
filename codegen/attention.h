// An attention op as the templates see it (templates/template.h: nmk_attn_args): which dim plays
// which part, tensors by strides, the arguments and the spec that a kernel writes. The same for all
// flavours.
#ifndef NM_CODEGEN_ATTENTION_H
#define NM_CODEGEN_ATTENTION_H

#include "codegen/gen.h"
#include "ir/attn.h"

typedef enum { // nmk_strides, in order
    AT_BATCH0,
    AT_BATCH1,
    AT_POS,
    AT_KV,
    AT_G,
    N_AT
} nm_attn_at;

typedef struct nm_flash {
    nm_op *op;
    nm_attn a;
    nm_dim hd, over, pos;    // pos: q's
    nm_dim role[N_AT];       // of q; name NULL: there is none
    const nm_extent *groups; // q heads a kv head, where `heads` is not split; else NULL
    LLVMTypeRef args, drop;
} nm_flash;

// --- parts: attention.c ---

// False: reported.
bool nm_flash_find(nm_gen *g, nm_flash *x, nm_op *op);
// The head dim's extent in q (0), k or v (2): 1 if it is no constant.
int64_t nm_flash_head_size(const nm_flash *x, int operand);
// The name that a role has in a tensor of type t: keys have `over` for positions. NULL: it has
// none.
nm_sym nm_flash_role(const nm_flash *x, const nm_type *t, nm_attn_at at);
// The coordinate step of one index of the role: a kv head is `groups` of q's unsplit heads.
LLVMValueRef nm_flash_step(nm_gen *g, const nm_flash *x, nm_sym dim, nm_attn_at at);

typedef struct nm_strided { // a tensor as the template sees it
    LLVMValueRef pointer, stride[N_AT];
} nm_strided;

// A value that is stored, or a view of one. False: reported.
bool nm_flash_operand(nm_gen *g, const nm_flash *x, nm_value *v, nm_strided *s);
// Result `i` of the op: where the group stores it, or a workspace if nobody reads it.
bool nm_flash_result(nm_gen *g, const nm_flash *x, int i, nm_strided *s);
// A workspace for floats that lie as q does, its head dim innermost.
bool nm_flash_room(nm_gen *g, const nm_flash *x, nm_strided *s);

// --- tensor maps: attention_maps.c ---

// Of q's, k's or v's tensor (0, 1, 2): [hd, position, kv head, batch1, batch0], for boxes of 64
// elements of so many positions. False: it does not lie as the copy engine reads.
bool nm_flash_map(nm_gen *g, const nm_flash *x, int operand, int64_t positions, nm_map *map);
// Of a tensor of q's dims, for boxes of so many rows (queries x heads of a group): [hd, g, query,
// kv head, batch1] where groups have more than one head, else as above.
bool nm_flash_map_rows(nm_gen *g, const nm_flash *x, int operand, int64_t rows, nm_map *map);

// --- nmk_attn_args: attention_args.c ---

// The fields, in template.h's order. A tensor is a pointer in one field, its strides in another.
typedef enum {
    F_N0,
    F_N1,
    F_KV,
    F_G,
    F_NQ,
    F_NK,
    F_AT,
    F_WINDOW,
    F_SCALE,
    F_SOFTCAP,
    F_Q,
    F_K,
    F_V,
    F_QS,
    F_KS,
    F_VS,
    F_OUT,
    F_LSE,
    F_OUTS,
    F_LSES,
    F_DOUT,
    F_DQ,
    F_DK,
    F_DV,
    F_DOUTS,
    F_DQS,
    F_DKS,
    F_DVS,
    F_KEYS,
    F_KEYSS,
    F_SEGQ,
    F_SEGK,
    F_SEGQS,
    F_SEGKS,
    F_SINK,
    F_SINKS,
    F_DQ_SUM,
    F_DQ_SUMS,
    F_DROP,
    N_FIELDS
} nm_flash_field;

// A new nmk_attn_args: extents, scalars, and what comes beside q, k and v. NULL: reported.
LLVMValueRef nm_flash_args(nm_gen *g, nm_flash *x);
// The same, of extents alone: what says the range.
LLVMValueRef nm_flash_extents(nm_gen *g, nm_flash *x);
void nm_flash_set(nm_gen *g, const nm_flash *x, LLVMValueRef args, unsigned pointer,
                  unsigned strides, const nm_strided *s);
bool nm_flash_set_operand(nm_gen *g, const nm_flash *x, LLVMValueRef args, nm_value *v,
                          unsigned pointer, unsigned strides); // v NULL: nothing
LLVMValueRef nm_flash_spec(nm_gen *g, const nm_flash *x);      // a constant nmk_attn_spec

#endif
