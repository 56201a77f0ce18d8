// Segments of attentions, written out as a mask. `segments` is one tensor that queries and keys
// both look into by their positions, so neither can have a part of them. As a mask it is two: the
// queries' along seq, the keys' (a rename of the same data) along seq', and the rule of sharding
// holds for each.
#include "passes/mask_segments.h"

#include "ir/attn.h"

static nm_value *build_mask(nm_op *op, const nm_attn *a)
{
    nm_module *m = op->func->module;
    nm_value *own = a->extra[NM_ATTN_segments], *mask = a->extra[NM_ATTN_mask];
    nm_attr names[] = {nm_mk_sym(m, "from", a->seq), nm_mk_sym(m, "to", a->over)};
    nm_value *keys = nm_build(op->func, op,
                              &(nm_proto){.code = NM_OP_rename,
                                          .loc = op->loc,
                                          .n_in = 1,
                                          .in = &own,
                                          .n_attrs = 2,
                                          .attr = names});
    nm_value *same = nm_build2(op->func, op, op->loc, NM_OP_eq, own, keys);
    return mask ? nm_build2(op->func, op, op->loc, NM_OP_and, mask, same) : same;
}

static void rewrite(nm_op *op, nm_attn *a)
{
    a->extra[NM_ATTN_mask] = build_mask(op, a);
    a->extra[NM_ATTN_segments] = NULL;
    nm_op *again = nm_attn_rebuild(op, a);
    if (!again)
        nm_bug("an attention with a mask for segments does not type");
}

void nm_mask_segments(nm_func *f)
{
    nm_each_op_safe(op, f) {
        if (op->body)
            nm_mask_segments(op->body);
        if (!nm_is_attention(op))
            continue;
        nm_attn a = nm_attn_of(op);
        if (a.extra[NM_ATTN_segments])
            rewrite(op, &a);
    }
}
