// Views at the edges of repeats move over them, so that no copy is needed to store what they give:
//
//   a turn's result that is a view of u   =>  u is stacked, and the view is taken of the stack
//   an operand that is a view of w        =>  w is the operand, and the view is taken in each turn
//
// Keys of attention, for one: forward saves them under another name (seq'), backward reads them so.
// A map of which each turn reads its part moves in likewise: a clipped gradient is never stored.
//
// A collective is such an edge, too:
//
//   it is sent under another name  =>  it is sent as what it is, and who reads what comes renames
//   it
#include "ir/form.h"
#include "ir/loop.h"
#include "passes/fuse.h"
#include "passes/simplify.h"

static bool is_mere_view(const nm_op *op) { return op && nm_form_is_relabel(op); }

// Does the view take dim away, or make it?
static bool touches(const nm_op *view, nm_sym dim)
{
    switch (view->code) {
    case NM_OP_rename: return nm_attr_sym(view, "from") == dim || nm_attr_sym(view, "to") == dim;
    case NM_OP_split:
        return nm_attr_sym(view, "from") == dim || nm_syms_has(nm_attr_dims(view, "into"), dim);
    default:
        return nm_attr_sym(view, "into") == dim || nm_syms_has(nm_attr_dims(view, "from"), dim);
    }
}

static nm_value *view_again(const nm_op *view, nm_func *f, nm_op *before, nm_value *of,
                            const nm_type *t)
{
    nm_proto proto = nm_proto_of(view);
    proto.in = &of;
    proto.type = t;
    proto.name = NULL;
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

// One view of each result; NULL: there is none.
static nm_op *move_results_out(nm_op *repeat, nm_arena *scratch)
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
        return NULL;
    repeat = nm_loop_close(&l);
    for (int i = 0; i < n; i++) {
        nm_value *out = l.result.row[i].out;
        if (source[i] >= 0)
            nm_replace(out, view_again(l.result.row[i].result->def, repeat->func, repeat->next,
                                       l.result.row[source[i]].out, out->type));
    }
    return drop_unread_results(repeat);
}

// --- operands -------------------------------------------------------------------------------

static nm_value *row_param(nm_loop *l, nm_value *operand, bool stacked)
{
    nm_loop_rows *rows = stacked ? &l->stacked : &l->whole;
    for (int i = 0; i < rows->n; i++)
        if (rows->row[i].operand == operand)
            return rows->row[i].param;
    return (stacked ? nm_loop_stack : nm_loop_whole)(l, operand, NULL)->param;
}

static bool is_number(const nm_op *op)
{
    return op && (op->code == NM_OP_const || op->code == NM_OP_size);
}

// A map that only the repeat reads, turn by turn: what its turn needs of its operands is at hand.
static bool is_map_of_turns(const nm_value *v)
{
    if (!v->def || !nm_is(v->def, NM_MAP) || !nm_used_once(v))
        return false;
    for (int i = 0; i < v->def->n_in; i++) {
        const nm_op *op = v->def->in[i]->def;
        if (op && nm_is(op, NM_FREE) && !is_number(op))
            return false;
    }
    return true;
}

static nm_value *operand_in_turn(nm_loop *l, nm_value *v, bool stacked)
{
    nm_sym over = nm_attr_sym(l->op, "over");
    if (!is_number(v->def))
        return row_param(l, v, stacked && nm_has_dim(v->type, over));
    const nm_op *op = v->def;
    bool turns = nm_has_dim(v->type, over);
    nm_proto proto = nm_proto_of(op);
    if (turns)
        proto.type = nm_type_without(l->body->module, v->type, over);
    proto.name = NULL;
    return nm_build(l->body, l->body->first, &proto);
}

// The op that computes row i's operand, in each turn instead.
static void compute_in_turn(nm_loop *l, nm_loop_rows *rows, int i, nm_arena *scratch)
{
    nm_value *param = rows->row[i].param;
    const nm_op *op = rows->row[i].operand->def;
    nm_op *first = l->body->first;
    nm_value **in = nm_new_n(scratch, nm_value *, op->n_in);
    for (int k = 0; k < op->n_in; k++)
        in[k] = operand_in_turn(l, op->in[k], rows == &l->stacked);
    nm_proto proto = nm_proto_of(op);
    proto.in = in;
    proto.type = param->type;
    nm_loop_replace(l, param, nm_build(l->body, first, &proto));
    nm_loop_drop(rows, i);
}

static bool move_rows_in(nm_loop *l, nm_loop_rows *rows, bool maps, nm_arena *scratch)
{
    bool moved = false, stacked = rows == &l->stacked;
    for (int i = 0; i < rows->n; i++) {
        const nm_value *v = rows->row[i].operand;
        bool view =
            is_mere_view(v->def) && !(stacked && touches(v->def, nm_attr_sym(l->op, "over")));
        if (!view && !(maps && stacked && is_map_of_turns(v)))
            continue;
        compute_in_turn(l, rows, i--, scratch);
        moved = true;
    }
    return moved;
}

static nm_op *move_operands_in(nm_op *repeat, bool maps, nm_arena *scratch)
{
    nm_loop l = nm_loop_open(repeat);
    bool moved = move_rows_in(&l, &l.stacked, maps, scratch);
    moved |= move_rows_in(&l, &l.whole, maps, scratch);
    return moved ? nm_loop_close(&l) : repeat;
}

// --- collectives ----------------------------------------------------------------------------

static bool is_stored_as_is(const nm_value *v)
{
    nm_each_use(u, v)
        if (u->op->code == NM_OP_ret || u->op->code == NM_OP_repeat)
            return true;
    return false;
}

// The result's type, with the dim called as it is in front of the rename.
static const nm_type *type_before(const nm_op *rename, const nm_type *t)
{
    nm_type before = *t;
    for (int i = 0; i < t->rank; i++)
        if (t->dim[i].name == nm_attr_sym(rename, "to"))
            before.dim[i].name = nm_attr_sym(rename, "from");
    return nm_type_get(rename->func->module, &before);
}

static void rename_behind(nm_op *sent)
{
    nm_func *f = sent->func;
    nm_op *view = sent->in[0]->def;
    if (!view || view->code != NM_OP_rename || is_stored_as_is(&sent->out[0]))
        return;
    nm_proto again = nm_proto_of(sent);
    nm_attr *attr = nm_new_n(f->module->arena, nm_attr, again.n_attrs);
    for (int i = 0; i < again.n_attrs; i++) {
        attr[i] = again.attr[i];
        if (attr[i].kind == NM_ATTR_sym && attr[i].u.sym == nm_attr_sym(view, "to"))
            attr[i].u.sym = nm_attr_sym(view, "from");
    }
    again.attr = attr;
    again.in = &view->in[0];
    again.type = type_before(view, sent->out[0].type);
    nm_value *came = nm_build(f, sent, &again);
    nm_replace(&sent->out[0], view_again(view, f, sent, came, sent->out[0].type));
    nm_erase(sent);
}

static void send_as_is(nm_func *f)
{
    nm_each_op_safe(op, f)
        if (op->code == NM_OP_all_gather || op->code == NM_OP_reduce_scatter ||
            op->code == NM_OP_all_reduce)
            rename_behind(op);
}

// --- the whole ------------------------------------------------------------------------------

static void move_over_repeats(nm_func *f, bool maps, nm_arena *scratch)
{
    for (nm_op *op = f->first, *next; op; op = next) {
        next = op->next;
        if (op->code != NM_OP_repeat)
            continue;
        op = move_operands_in(op, maps, scratch);
        while (op)
            op = move_results_out(op, scratch);
    }
}

void nm_fuse_views(nm_func *f, nm_arena *scratch)
{
    send_as_is(f);
    move_over_repeats(f, true, scratch);
}

void nm_move_views(nm_func *f)
{
    nm_arena scratch = {0};
    move_over_repeats(f, false, &scratch);
    nm_drop_dead(f, NULL);
    nm_arena_free(&scratch);
}
