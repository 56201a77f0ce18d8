// Copies, so that values which must share a place can: what a repeat carries has one place from its
// operand to its result; a result that replaces a parameter goes to the parameter's place. Where
// the old value is still read when the new one is written, the new one is computed aside and copied
// at the end; where a repeat would overwrite what others still read, it works on a copy.
#include "passes/layout.h"
#include "passes/schedule.h"

// The slot of ret in which the place of parameter v is written anew, or -1.
static int slot_of_param(const nm_func *f, const nm_value *v)
{
    if (f->parent)
        return v->index < nm_n_carried(f->parent) ? v->index : -1;
    for (int i = 0; i < f->n_results; i++)
        if (nm_result_home(f, i) == v)
            return i;
    return -1;
}

// May the repeat overwrite its carried operand k?
static bool consumes(const nm_op *repeat, int k)
{
    const nm_value *v = repeat->in[k];
    nm_each_use(u, v) {
        bool itself = u->op == repeat && u->index == k;
        if (!itself && (u->op == repeat || !nm_is_done_before(u, repeat)))
            return false;
    }
    if (v->def)
        return true;
    int slot = slot_of_param(repeat->func, v);
    return slot >= 0 && repeat->func->last->in[slot] == &repeat->out[k];
}

static void copy_operands(nm_op *repeat)
{
    for (int k = 0; k < nm_n_carried(repeat); k++)
        if (!consumes(repeat, k)) {
            nm_value *v = repeat->in[k];
            nm_set_operand(repeat, k, nm_copy_group(repeat->func, repeat, v, v->type));
        }
}

static void copy_result(nm_func *f, int i, const nm_value *home)
{
    nm_value *v = f->last->in[i];
    if (v == home || nm_gives_way(home, v))
        return;
    nm_set_operand(f->last, i, nm_copy_group(f, f->last, v, v->type));
}

void nm_schedule_copies(nm_func *f)
{
    nm_each_op(op, f)
        if (op->code == NM_OP_repeat) {
            copy_operands(op);
            nm_schedule_copies(op->body);
        }
    for (int i = 0; f->parent && i < nm_n_carried(f->parent); i++)
        copy_result(f, i, f->param[i]);
    for (int i = 0; !f->parent && i < f->n_results; i++)
        if (nm_result_home(f, i))
            copy_result(f, i, nm_result_home(f, i));
}
