// A plan as text, one line a buffer, then one line a group in the order in which they run:
//
//   plan @train.micro: 41 positions
//     buffer 3 logits: f32 batch * seq * 256, [17, 19], at gpt2.nm:24
//     17 row %loss@4 %dlogits@3 = %logits@3 %labels@1
//     repeat layers
//       18 map %y@5+layers*(batch * seq * 128) = %x@6
//       19 all_gather %z@7? = %y@5              (? or in its operand's place)
#include "ir/plan.h"

#include <string.h>

static void print_value(FILE *out, const nm_value *v)
{
    if (v->name)
        fprintf(out, "%%%s", v->name);
    else
        fprintf(out, "%%%u", v->id);
}

static void print_placed(FILE *out, const nm_plan *plan, const nm_value *v)
{
    nm_module *m = plan->func->module;
    const nm_place *p = &plan->place[v->id];
    int64_t start;
    fputc(' ', out);
    print_value(out, v);
    if (p->buffer < 0)
        return;
    fprintf(out, "@%d%s", p->buffer, p->loose ? "?" : "");
    if (!nm_extent_is_const(p->start, &start) || start)
        fprintf(out, "+(%s)", nm_extent_str(m, p->start));
    for (int i = 0; i < p->n_turns; i++)
        fprintf(out, "+%s*(%s)", nm_attr_sym(p->turn[i].repeat, "over"),
                nm_extent_str(m, p->turn[i].stride));
}

static void print_buffer(FILE *out, const nm_plan *plan, int i)
{
    const nm_buffer *b = &plan->buffer[i];
    fprintf(out, "  buffer %d %s: %s %s, ", i, b->name ? b->name : "-",
            nm_dtype_table[b->dtype].name, nm_extent_str(plan->func->module, b->elems));
    if (b->bound)
        fputs("bound", out);
    else
        fprintf(out, "[%d, %d]", b->first, b->last);
    if (b->loc.src) {
        nm_line_col at = nm_loc_line_col(b->loc);
        fprintf(out, ", at %s:%u", b->loc.src->name, at.line);
    }
    fputc('\n', out);
}

static void print_op(FILE *out, const nm_plan *plan, const nm_op *op)
{
    for (int i = 0; i < op->n_out; i++)
        print_placed(out, plan, &op->out[i]);
    fputs(" =", out);
    for (int i = 0; i < op->n_in; i++)
        print_placed(out, plan, op->in[i]);
    fputc('\n', out);
}

bool nm_plan_has_position(const nm_op *op)
{
    if (op->code == NM_OP_group || nm_is(op, NM_COLLECTIVE))
        return !nm_attr_bool(op, "more");
    return op->code == NM_OP_wait;
}

static void print_list(FILE *out, const nm_plan *plan, const nm_func *f, int depth, int *position)
{
    nm_each_op(op, f) {
        if (op->code == NM_OP_ret)
            continue;
        fprintf(out, "%*s", 2 * depth, "");
        if (op->code != NM_OP_repeat) {
            bool group = op->code == NM_OP_group;
            fprintf(out, "%d %s", *position, group ? nm_attr_sym(op, "kind") : nm_info(op)->name);
            *position += nm_plan_has_position(op);
            print_op(out, plan, op);
            continue;
        }
        fprintf(out, "repeat %s", nm_attr_sym(op, "over"));
        print_op(out, plan, op);
        print_list(out, plan, op->body, depth + 1, position);
    }
}

void nm_plan_print(FILE *out, const nm_plan *plan)
{
    int position = 0;
    fprintf(out, "plan @%s: %d positions\n", plan->func->name, plan->n_positions);
    for (int i = 0; i < plan->n_buffers; i++)
        print_buffer(out, plan, i);
    print_list(out, plan, plan->func, 1, &position);
}
