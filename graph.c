// --emit=graph: the module after `schedule` as one HTML page that needs no other file. For each
// function: its kernels in the order they run, what each reads and writes, and its buffers as bars
// over the kernels during which they live. Clicking a kernel unfolds its ops.
#include "graph.h"

#include "ir/plan.h"

#include <inttypes.h>

static const char head[] =
    "<!doctype html><html><head><meta charset=utf-8><title>%s</title><style>\n"
    "body{font:14px/1.4 system-ui,sans-serif;margin:2em;max-width:75em;color:#222}\n"
    "h2{margin-top:2em;border-bottom:1px solid #ccc}code,pre{font:12px/1.4 "
    "ui-monospace,monospace}\n"
    "table{border-collapse:collapse}td,th{text-align:left;padding:2px 10px;vertical-align:top}\n"
    "tr:nth-child(even){background:#f5f5f5}details>pre{margin:.5em 1em;color:#555}\n"
    ".kind{color:#0a5}.loop{color:#a50}.line{color:#888}.bar{fill:#69c}.bound{fill:#bbb}\n"
    "svg text{font:10px ui-monospace,monospace}summary{cursor:pointer}\n"
    "</style></head><body><h1>%s%s%s</h1>\n";

// --- text ----------------------------------------------------------------------------------------

static void put(FILE *out, const char *text)
{
    for (; *text; text++)
        switch (*text) {
        case '<': fputs("&lt;", out); break;
        case '>': fputs("&gt;", out); break;
        case '&': fputs("&amp;", out); break;
        case '"': fputs("&quot;", out); break;
        default: fputc(*text, out);
        }
}

static void put_name(FILE *out, const nm_value *v)
{
    if (v->name)
        put(out, v->name);
    else
        fprintf(out, "%%%" PRIu32, v->id);
}

// One line an op: its result, name, operands and type.
static void put_ops(FILE *out, nm_func *body)
{
    fputs("<pre>", out);
    nm_each_op(op, body) {
        if (op->n_out)
            put_name(out, &op->out[0]);
        fprintf(out, "%s%s", op->n_out ? " = " : "", nm_info(op)->name);
        for (int i = 0; i < op->n_in; i++) {
            fputs(i ? ", " : " ", out);
            put_name(out, op->in[i]);
        }
        if (op->n_out) {
            fputs(" : ", out);
            put(out, nm_type_str(body->module, op->out[0].type));
        }
        fputc('\n', out);
    }
    fputs("</pre>", out);
}

static void put_line(FILE *out, nm_loc at)
{
    if (!at.src)
        return;
    fputs(" <span class=line>", out);
    put(out, at.src->name);
    fprintf(out, ":%" PRIu32 "</span>", nm_loc_line_col(at).line);
}

static void put_value(FILE *out, const nm_value *v)
{
    nm_module *m = v->func->module;
    fputs("<code>", out);
    put_name(out, v);
    fputs(": ", out);
    put(out, nm_type_str(m, v->type));
    fputs("</code><br>", out);
}

// --- kernels -------------------------------------------------------------------------------------

static void put_kernel(FILE *out, const nm_op *op, int at, int depth)
{
    fprintf(out, "<tr><td>%d<td style='padding-left:%dem'><details><summary><span class=kind>", at,
            1 + 2 * depth);
    put(out, nm_attr_sym(op, "kind"));
    fputs("</span>", out);
    put_line(out, op->loc);
    fputs("</summary>", out);
    put_ops(out, op->body);
    fputs("</details><td>", out);
    for (int i = 0; i < op->n_in; i++)
        put_value(out, op->in[i]);
    fputs("<td>", out);
    for (int i = 0; i < op->n_out; i++)
        put_value(out, &op->out[i]);
    fputs("\n", out);
}

// The kernels of f from position `at` on; the position behind the last.
static int put_kernels(FILE *out, nm_func *f, int at, int depth)
{
    nm_each_op(op, f) {
        if (op->code == NM_OP_group)
            put_kernel(out, op, at++, depth);
        if (op->code != NM_OP_repeat)
            continue;
        fprintf(out, "<tr><td><td colspan=3 style='padding-left:%dem' class=loop>repeat ",
                1 + 2 * depth);
        put(out, nm_attr_sym(op, "over"));
        at = put_kernels(out, op->body, at, depth + 1);
    }
    return at;
}

// --- buffers -------------------------------------------------------------------------------------

enum { ROW = 14, LABEL = 330, WIDTH = 700 };

static void put_buffer(FILE *out, nm_module *m, const nm_buffer *b, int row, int n_positions)
{
    double step = (double)WIDTH / (n_positions ? n_positions : 1);
    double x = b->bound ? 0 : b->first * step;
    double w = b->bound ? WIDTH : (b->last - b->first + 1) * step;
    int64_t elems;
    fprintf(out, "<text x=0 y=%d>", row * ROW + 10);
    put(out, b->name ? b->name : "?");
    if (nm_extent_is_const(b->elems, &elems))
        fprintf(out, ", %" PRId64 " bytes", elems * nm_dtype_table[b->dtype].bytes);
    fprintf(out, "</text><rect class=%s x=%.1f y=%d width=%.1f height=%d><title>",
            b->bound ? "bound" : "bar", LABEL + x, row * ROW + 2, w > 1 ? w : 1.0, ROW - 4);
    put(out, nm_extent_str(m, b->elems));
    fprintf(out, " * %d bytes</title></rect>\n", nm_dtype_table[b->dtype].bytes);
}

static void put_buffers(FILE *out, nm_module *m, const nm_plan *plan)
{
    fprintf(out, "<h3>%d buffers</h3><svg width=%d height=%d>\n", plan->n_buffers, LABEL + WIDTH,
            plan->n_buffers * ROW);
    for (int i = 0; i < plan->n_buffers; i++)
        put_buffer(out, m, &plan->buffer[i], i, plan->n_positions);
    fputs("</svg>\n", out);
}

void nm_graph_print(FILE *out, nm_module *m)
{
    const char *name = m->name ? m->name : "model";
    fprintf(out, head, name, name, m->preset ? " " : "", m->preset ? m->preset : "");
    nm_each_func(f, m) {
        fputs("<h2>@", out);
        put(out, f->name);
        fputs("</h2><table><tr><th>#<th>kernel<th>reads<th>writes\n", out);
        put_kernels(out, f, 0, 0);
        fputs("</table>\n", out);
        if (f->plan)
            put_buffers(out, m, f->plan);
    }
    fputs("</body></html>\n", out);
}
