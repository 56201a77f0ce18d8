// The op table, filled from ops.def.
#include "ir/eval.h"
#include "ir/grads.h"
#include "ir/ir.h"
#include "ir/shape.h"

#include <string.h>

#pragma weak nm_eval_const
#pragma weak nm_eval_size
#pragma weak nm_eval_index
#pragma weak nm_eval_random
#pragma weak nm_eval_map
#pragma weak nm_eval_sum
#pragma weak nm_eval_max
#pragma weak nm_eval_cumsum
#pragma weak nm_eval_top_k
#pragma weak nm_eval_dot
#pragma weak nm_eval_view
#pragma weak nm_eval_scatter_add
#pragma weak nm_eval_overlap_add
#pragma weak nm_eval_update
#pragma weak nm_eval_attention
#pragma weak nm_eval_attention_grad
#pragma weak nm_eval_repeat
#pragma weak nm_eval_call
#pragma weak nm_eval_group

const nm_op_info nm_op_table[NM_N_OPS] = {
#define OP(id, ...) [NM_OP_##id] = {.name = #id, __VA_ARGS__},
#include "ir/ops.def"
#undef OP
};

int nm_opcode_find(const char *name, size_t len)
{
    for (int i = 0; i < NM_N_OPS; i++)
        if (!strncmp(nm_op_table[i].name, name, len) && !nm_op_table[i].name[len])
            return i;
    return -1;
}
