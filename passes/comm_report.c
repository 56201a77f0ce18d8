#include "passes/comm_report.h"

#include "passes/ring.h"

#include <inttypes.h>
#include <stdlib.h>

static bool sends(const nm_op *op)
{
    return nm_is(op, NM_COLLECTIVE) && op->code != NM_OP_shard && op->code != NM_OP_first;
}

static int count(const nm_func *f)
{
    int n = 0;
    nm_each_op(op, f)
        n += op->body ? count(op->body) : sends(op);
    return n;
}

// --- one collective ------------------------------------------------------------------------------

static const nm_type *larger_side(const nm_op *op)
{
    return op->code == NM_OP_all_gather ? op->out[0].type : op->in[0]->type;
}

// 512 batch seq / dp.cp: a rank's part.
static void print_bytes(FILE *out, nm_module *m, const nm_type *t)
{
    int64_t n = nm_dtype_table[t->dtype].bytes, extent;
    nm_axes over = {0};
    for (int i = 0; i < t->rank; i++) {
        if (nm_extent_is_const(t->dim[i].extent, &extent))
            n *= extent;
        for (int k = 0; k < t->dim[i].axes.n; k++)
            over.axis[over.n++] = t->dim[i].axes.axis[k];
    }
    fprintf(out, "%" PRId64, n);
    for (int i = 0; i < t->rank; i++)
        if (!nm_extent_is_const(t->dim[i].extent, NULL))
            fprintf(out, " %s", nm_extent_str(m, t->dim[i].extent));
    if (over.n)
        fprintf(out, " / %s", nm_axes_str(m, &over));
}

static char *bytes_of(nm_module *m, const nm_type *t)
{
    char *text;
    size_t n;
    FILE *out = open_memstream(&text, &n);
    if (!out)
        nm_bug("no memory to print");
    print_bytes(out, m, t);
    fclose(out);
    return text;
}

// Where attention sends blocks round, they stand in the text as if they were gathered.
static bool goes_round(const nm_op *op)
{
    return nm_ring_mode(nm_func_outer(op->func)) && nm_ring_around(op);
}

static const nm_type *smaller_side(const nm_op *op)
{
    return op->code == NM_OP_all_gather ? op->in[0]->type : op->out[0].type;
}

// Keys and values are sent on to all but their own rank, their gradients home, too.
static const char *what_is_sent(const nm_op *op, bool round)
{
    if (round)
        return op->code == NM_OP_all_gather ? "cp - 1 times rotate" : "cp times rotate";
    return nm_info(op)->name;
}

static void print_collective(FILE *out, nm_module *m, const nm_op *op, const char *indent)
{
    nm_syms list = nm_attr_dims(op, "axes");
    nm_axes axes = {.n = list.n};
    for (int i = 0; i < list.n; i++)
        axes.axis[i] = list.sym[i];
    bool round = goes_round(op);
    const nm_type *t = round ? smaller_side(op) : larger_side(op);
    char *bytes = bytes_of(m, t);
    fprintf(out, "%s%s%s over %s: %s, %s bytes", indent, what_is_sent(op, round),
            nm_attr_bool(op, "max") ? " max" : "", nm_axes_str(m, &axes), nm_type_str(m, t), bytes);
    free(bytes);
    if (op->loc.src)
        fprintf(out, ", at %s:%u", op->loc.src->name, nm_loc_line_col(op->loc).line);
    fputc('\n', out);
}

// --- functions -----------------------------------------------------------------------------------

static void print_ops(FILE *out, nm_module *m, const nm_func *f, const char *indent)
{
    nm_each_op(op, f) {
        if (sends(op))
            print_collective(out, m, op, indent);
        if (!op->body || !count(op->body))
            continue;
        fprintf(out, "%seach of %s:\n", indent, nm_attr_sym(op, "over"));
        print_ops(out, m, op->body, nm_arena_fmt(m->arena, "%s  ", indent));
    }
}

void nm_comm_print(FILE *out, nm_module *m)
{
    nm_each_func(f, m) {
        int n = count(f);
        if (!n)
            continue;
        fprintf(out, "@%s: %d collective%s\n", f->name, n, n == 1 ? "" : "s");
        print_ops(out, m, f, "  ");
    }
}
