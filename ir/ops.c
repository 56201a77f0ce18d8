// The op table, filled from ops.def.
#include "ir/eval.h"
#include "ir/grads.h"
#include "ir/ir.h"
#include "ir/shape.h"

#include <string.h>

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
