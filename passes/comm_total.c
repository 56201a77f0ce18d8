// A number of bytes is a product: what is known now, the run-time extents, and the axes of which a
// rank has one part. Two are added where all but the number is alike.
#include "passes/comm_total.h"

#include "ir/form.h"

#include <inttypes.h>

nm_comm_bytes nm_comm_bytes_of(nm_module *m, const nm_type *t)
{
    int64_t n = nm_dtype_table[t->dtype].bytes, extent;
    nm_axes over = {0};
    nm_sym of = nm_sym_get(m, "");
    for (int i = 0; i < t->rank; i++) {
        if (nm_extent_is_const(t->dim[i].extent, &extent))
            n *= extent;
        else
            of = nm_sym_fmt(m, "%s %s", of, nm_extent_str(m, t->dim[i].extent));
        for (int k = 0; k < t->dim[i].axes.n; k++)
            over.axis[over.n++] = t->dim[i].axes.axis[k];
    }
    nm_axes_sort(&over);
    return (nm_comm_bytes){n, over.n ? nm_sym_fmt(m, "%s / %s", of, nm_axes_str(m, &over)) : of};
}

nm_comm_bytes nm_comm_bytes_times(nm_module *m, nm_comm_bytes b, const nm_extent *turns)
{
    int64_t n;
    if (nm_extent_is_const(turns, &n))
        return (nm_comm_bytes){b.n * n, b.of};
    return (nm_comm_bytes){b.n, nm_sym_fmt(m, " %s%s", nm_extent_str(m, turns), b.of)};
}

static void add(nm_arena *a, nm_comm_sum **sum, nm_comm_bytes part)
{
    while (*sum && (*sum)->part.of != part.of)
        sum = &(*sum)->next;
    if (!*sum) {
        *sum = nm_new(a, nm_comm_sum);
        (*sum)->part.of = part.of;
    }
    (*sum)->part.n += part.n;
}

void nm_comm_total_add(nm_arena *a, nm_comm_total *t, nm_sym axes, nm_comm_bytes count,
                       nm_comm_bytes bytes)
{
    nm_comm_row **row = &t->first;
    while (*row && (*row)->axes != axes)
        row = &(*row)->next;
    if (!*row) {
        *row = nm_new(a, nm_comm_row);
        (*row)->axes = axes;
    }
    add(a, &(*row)->count, count);
    add(a, &(*row)->bytes, bytes);
}

static void print_sum(FILE *out, const nm_comm_sum *sum)
{
    for (const nm_comm_sum *s = sum; s; s = s->next)
        fprintf(out, "%s%" PRId64 "%s", s == sum ? "" : " + ", s->part.n, s->part.of);
}

void nm_comm_total_print(FILE *out, const nm_comm_total *t)
{
    if (!t->first)
        fputs("nothing", out);
    for (const nm_comm_row *row = t->first; row; row = row->next) {
        fputs(row == t->first ? "" : ", ", out);
        print_sum(out, row->count);
        fprintf(out, " over %s (", row->axes);
        print_sum(out, row->bytes);
        fputs(" bytes)", out);
    }
}
