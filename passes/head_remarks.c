// What head_chunks did with a head, and why not more: -Rfuse and --explain=head_chunks@%VALUE.
#include "passes/fuse.h"
#include "passes/head_region.h"
#include "passes/remarks.h"

static const char *name_of(const nm_head *h, const nm_value *v)
{
    nm_arena *arena = h->f->module->arena;
    return v->name ? v->name : nm_arena_fmt(arena, "%u", v->id);
}

static void answer(const nm_head *h, nm_remarks *r, const nm_value *v, nm_head_role role)
{
    if (h->why)
        nm_remark_answer(r, v, "a head's product that stays whole: %s: %s", nm_info(h->miss)->name,
                         h->why);
    else if (v->def == h->dot)
        nm_remark_answer(r, v, "a head's product, by chunks of tokens");
    else
        nm_remark_answer(r, v, "%s by chunks of tokens, with the head %%%s",
                         role == NM_HEAD_copied ? "computed again" : "computed",
                         name_of(h, &h->dot->out[0]));
}

void nm_head_remark(const nm_head *h)
{
    nm_remarks *r = h->f->module->remarks;
    if (!r)
        return;
    if (h->why)
        nm_remark_missed(r, h->miss->loc, nm_fuse_elems(h->dot->out[0].type),
                         "head_chunks: a head stays whole: %s: %s", nm_info(h->miss)->name, h->why);
    else
        nm_remark_done(r, h->dot->loc, "head_chunks: a head and its loss by chunks of tokens");
    nm_each_op(op, h->f) {
        nm_head_role role = nm_head_role_of(h, op);
        bool of_head = op == h->dot || (!h->why && role != NM_HEAD_outside);
        for (int i = 0; of_head && i < op->n_out; i++)
            if (nm_remark_asked(r, "head_chunks", &op->out[i]))
                answer(h, r, &op->out[i], role);
    }
}

void nm_head_remark_none(nm_op *op)
{
    nm_remarks *r = op->func->module->remarks;
    if (op->code == NM_OP_dot && nm_remark_asked(r, "head_chunks", &op->out[0]))
        nm_remark_answer(r, &op->out[0],
                         "no head's product: that makes of tokens and of weights without them more "
                         "than %d times as many numbers a token as it sums over",
                         NM_HEAD_WIDER);
}
