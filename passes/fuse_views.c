// Views at the edges of repeats move over them, so that no copy is needed to store what they give:
//
//   a turn's result that is a view of u   =>  u is stacked, and the view is taken of the stack
//   an operand that is a view of w        =>  w is the operand, and the view is taken in each turn
//
// Keys of attention, for one: forward saves them under another name (seq'), backward reads them so.
#include "ir/loop.h"
#include "passes/fuse.h"

static bool is_mere_view(const nm_op *op)
{
    return op && (op->code == NM_OP_rename || op->code == NM_OP_split || op->code == NM_OP_merge);
}

static bool touches(const nm_op *view, nm_sym dim)
{
    nm_syms from = nm_attr_dims(view, "from");
    return view->code == NM_OP_merge ? nm_syms_has(from, dim) : nm_attr_sym(view, "from") == dim;
}

static nm_value *view_again(const nm_op *view, nm_func *f, nm_op *before, nm_value *of,
                            const nm_type *t)
{
    nm_proto proto = {.code = view->code,
                      .loc = view->loc,
                      .n_in = 1,
                      .in = &of,
                      .n_attrs = view->n_attrs,
                      .attr = view->attr,
                      .type = t};
    return nm_build(f, before, &proto);
}

// --- results --------------------------------------------------------------------------------

// The row of this result of a turn, a new one if there is none.
static int row_of(nm_loop *l, nm_value *result)
{
    for (int i = 0; i < l->result.n; i++)
        if (l->result.row[i].result == result)
            return i;
    nm_loop_give(l, result);
    return l->result.n - 1;
}

static nm_op *drop_unread_results(nm_op *repeat)
{
    nm_loop l = nm_loop_open(repeat);
    for (int i = l.result.n - 1; i >= 0; i--)
        if (!l.result.row[i].out->uses)
            nm_loop_drop(&l.result, i);
    return nm_loop_close(&l);
}

static void move_results_out(nm_op *repeat, nm_arena *scratch)
{
    nm_loop l = nm_loop_open(repeat);
    int n = l.result.n, n_moved = 0;
    int *source = nm_new_n(scratch, int, n);
    for (int i = 0; i < n; i++) {
        nm_op *view = l.result.row[i].result->def;
        bool moves = is_mere_view(view) && view->in[0]->def;
        source[i] = moves ? row_of(&l, view->in[0]) : -1;
        n_moved += moves;
    }
    if (!n_moved)
        return;
    repeat = nm_loop_close(&l);
    for (int i = 0; i < n; i++) {
        nm_value *out = l.result.row[i].out;
        if (source[i] >= 0)
            nm_replace(out, view_again(l.result.row[i].result->def, repeat->func, repeat->next,
                                       l.result.row[source[i]].out, out->type));
    }
    drop_unread_results(repeat);
}

// --- operands -------------------------------------------------------------------------------

static void view_in_turn(nm_loop *l, nm_loop_rows *rows, int i, bool stacked)
{
    nm_value *param = rows->row[i].param;
    const nm_op *view = rows->row[i].operand->def;
    nm_value *of = NULL;
    for (int k = 0; k < rows->n; k++)
        if (rows->row[k].operand == view->in[0])
            of = rows->row[k].param;
    if (!of)
        of = (stacked ? nm_loop_stack : nm_loop_whole)(l, view->in[0], NULL)->param;
    nm_replace(param, view_again(view, l->body, l->body->first, of, param->type));
    nm_loop_drop(rows, i);
}

static bool move_rows_in(nm_loop *l, nm_loop_rows *rows, bool stacked)
{
    bool moved = false;
    for (int i = 0; i < rows->n; i++) {
        const nm_op *view = rows->row[i].operand->def;
        if (!is_mere_view(view) || (stacked && touches(view, nm_attr_sym(l->op, "over"))))
            continue;
        view_in_turn(l, rows, i--, stacked);
        moved = true;
    }
    return moved;
}

static nm_op *move_operands_in(nm_op *repeat)
{
    nm_loop l = nm_loop_open(repeat);
    bool moved = move_rows_in(&l, &l.stacked, true);
    moved |= move_rows_in(&l, &l.whole, false);
    return moved ? nm_loop_close(&l) : repeat;
}

void nm_fuse_views(nm_func *f, nm_arena *scratch)
{
    for (nm_op *op = f->first, *next; op; op = next) {
        next = op->next;
        if (op->code != NM_OP_repeat)
            continue;
        op = move_operands_in(op);
        move_results_out(op, scratch);
    }
}
