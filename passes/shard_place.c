// Where sums are completed. At birth, but through adds and what moves no number.
#include "passes/shard.h"

static void place(nm_shard *s, nm_func *f)
{
    nm_each_op(op, f) {
        if (op->n_out && (nm_is(op, NM_SUM) || nm_is(op, NM_IDLE)))
            s->keep[op->out[0].id] = UINT32_MAX;
        if (op->body)
            place(s, op->body);
    }
}

void nm_shard_place(nm_shard *s) { place(s, s->f); }
