// acc + part, where part is a stacked result of a repeat and acc a parameter: the add moves into
// the repeat, which then takes acc as one more stacked operand. A turn's part is added while it is
// computed (the product's epilogue), in place, and the stacked parts are never stored.
//
//   %g = repeat ...                                %s = repeat ..., %acc {
//     ret ..., %g.turn                      =>       %s.turn = add %acc.turn, %g.turn
//   %s = add %acc, %g                                ret ..., %s.turn
#include "ir/loop.h"
#include "passes/fuse.h"

// The add that reads this stacked result, if it may sink.
static nm_op *sinkable_add(const nm_op *repeat, const nm_value *part)
{
    if (!nm_used_once(part) || part->uses->op->code != NM_OP_add)
        return NULL;
    nm_op *add = part->uses->op;
    const nm_value *acc = add->in[1 - part->uses->index];
    bool outer = acc->type->rank > 0 && acc->type->dim[0].name == nm_attr_sym(repeat, "over");
    return !acc->def && outer && nm_type_same_set(acc->type, part->type) ? add : NULL;
}

static nm_value *add_in_turn(nm_loop *l, const nm_loop_row *row, const nm_op *add)
{
    int slot = row->out->uses->index;
    nm_value *in[2];
    in[slot] = row->result;
    in[1 - slot] = nm_loop_stack(l, add->in[1 - slot], NULL)->param;
    nm_proto proto = {
        .code = NM_OP_add, .loc = add->loc, .n_in = 2, .in = in, .type = in[1 - slot]->type};
    return nm_build(l->body, l->body->last, &proto);
}

static nm_op *sink(nm_op *repeat, nm_arena *scratch)
{
    nm_loop l = nm_loop_open(repeat);
    nm_op **add = nm_new_n(scratch, nm_op *, l.result.n);
    int n = 0;
    for (int i = 0; i < l.result.n; i++) {
        nm_loop_row *row = &l.result.row[i];
        add[i] = sinkable_add(repeat, row->out);
        if (!add[i])
            continue;
        row->result = add_in_turn(&l, row, add[i]);
        n++;
    }
    if (!n)
        return repeat;
    nm_op *wider = nm_loop_close(&l);
    for (int i = 0; i < l.result.n; i++)
        if (add[i]) {
            nm_replace(&add[i]->out[0], l.result.row[i].out);
            nm_erase(add[i]);
        }
    return wider;
}

void nm_fuse_sink(nm_func *f, nm_arena *scratch)
{
    for (nm_op *op = f->first; op; op = op->next)
        if (op->code == NM_OP_repeat)
            op = sink(op, scratch);
}
