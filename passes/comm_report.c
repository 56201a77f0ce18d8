// The report has three levels: the texts, of which a run takes one; the parts of a step and of an
// evaluation; the functions. Only what sends is listed: a text where a rank is alone sends nothing.
#include "passes/comm_report.h"

#include "passes/comm_subject.h"
#include "passes/comm_total.h"
#include "passes/ring.h"

#include <inttypes.h>
#include <string.h>

static const struct {
    const char *name, *when; // docs/mesh.md, Modes
} texts[] = {
    {"one", "where dp, cp and tp are 1"},
    {"once", "where dp, cp or tp is more than 1, with --zero 0 or 1"},
    {"each", "where dp is more than 1, with --zero 2 or 3"},
    {"once_nosp", "as once, where tp is more than 1, with --sp 0"},
    {"each_nosp", "as each, where tp is more than 1, with --sp 0"},
    {"once_ring", "as once, where cp is more than 1, with --cp-comm ring"},
    {"each_ring", "as each, where cp is more than 1, with --cp-comm ring"},
};

typedef enum { MICRO, STEP, EVALUATION, N_TOTALS } total_of;

static const struct {
    const char *role; // the function's name begins so
    nm_phase phase;   // none: any
    total_of total;
    const char *title;
} sections[] = {
    {"train.counted", NM_PHASE_none, STEP, "each step, before its micro-batches"},
    {"train.micro", NM_PHASE_forward, MICRO, "each micro-batch, forward"},
    {"train.micro", NM_PHASE_turn, MICRO, "each micro-batch, the loss and back from it"},
    {"train.micro", NM_PHASE_backward, MICRO, "each micro-batch, backward"},
    {"train.micro", NM_PHASE_none, MICRO, "each micro-batch"},
    {"train.", NM_PHASE_none, STEP, "each step, after its micro-batches"},
    {"eval.", NM_PHASE_none, EVALUATION, "evaluation"},
    {"", NM_PHASE_none, EVALUATION, "other functions"},
};
enum { N_TEXTS = sizeof texts / sizeof *texts, N_SECTIONS = sizeof sections / sizeof *sections };

typedef struct report {
    FILE *out;
    nm_module *m;
    nm_comm_total total[N_TOTALS]; // of the text
} report;

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

static int section_of(const nm_func *f)
{
    int i = 0;
    while (strncmp(f->name, sections[i].role, strlen(sections[i].role)) != 0 ||
           (sections[i].phase && sections[i].phase != f->part.phase))
        i++;
    return i;
}

// --- one collective ------------------------------------------------------------------------------

// Where attention sends blocks round, they stand in the text as if they were gathered.
static bool goes_round(const nm_op *op)
{
    return nm_ring_mode(nm_func_outer(op->func)) && nm_ring_around(op);
}

static const nm_type *larger_side(const nm_op *op)
{
    return op->code == NM_OP_all_gather ? op->out[0].type : op->in[0]->type;
}

static const nm_type *smaller_side(const nm_op *op)
{
    return op->code == NM_OP_all_gather ? op->in[0]->type : op->out[0].type;
}

// Keys and values are sent on to all but their own rank, their gradients home, too.
static const char *times_round(const nm_op *op)
{
    return op->code == NM_OP_all_gather ? "(cp - 1)" : "cp";
}

static nm_sym axes_of(nm_module *m, const nm_op *op)
{
    nm_syms list = nm_attr_dims(op, "axes");
    nm_axes axes = {.n = list.n};
    for (int i = 0; i < list.n; i++)
        axes.axis[i] = list.sym[i];
    return nm_sym_get(m, nm_axes_str(m, &axes));
}

static void print_place(FILE *out, nm_loc at)
{
    if (at.src)
        fprintf(out, ", at %s:%u", at.src->name, nm_loc_line_col(at).line);
}

// What it is of and the line that declares that; else the line that asked for it.
static void print_reason(FILE *out, const nm_op *op)
{
    nm_comm_subject s = nm_comm_subject_of(op);
    if (s.param)
        fprintf(out, ", %s %s", s.what, s.param->path);
    print_place(out, s.param && s.param->loc.src ? s.param->loc : op->loc);
}

// `times`: how often the function runs it.
static void report_collective(report *r, total_of to, const nm_op *op, nm_comm_bytes times,
                              const char *indent)
{
    bool round = goes_round(op);
    const nm_type *t = round ? smaller_side(op) : larger_side(op);
    nm_comm_bytes bytes = nm_comm_bytes_of(r->m, t);
    nm_sym axes = axes_of(r->m, op);
    fprintf(r->out, "%s", indent);
    if (round)
        fprintf(r->out, "%s times rotate", times_round(op));
    else
        fprintf(r->out, "%s%s", nm_info(op)->name, nm_attr_bool(op, "max") ? " max" : "");
    fprintf(r->out, " over %s: %s, %" PRId64 "%s bytes", axes, nm_type_str(r->m, t), bytes.n,
            bytes.of);
    print_reason(r->out, op);
    fputc('\n', r->out);
    if (round)
        times.of = nm_sym_fmt(r->m, "%s %s", times.of, times_round(op));
    nm_comm_bytes sent = {times.n * bytes.n, nm_sym_fmt(r->m, "%s%s", times.of, bytes.of)};
    nm_comm_total_add(r->m->arena, &r->total[to], axes, times, sent);
}

// --- functions -----------------------------------------------------------------------------------

static void report_ops(report *r, total_of to, const nm_func *f, nm_comm_bytes times,
                       const char *indent)
{
    nm_each_op(op, f) {
        if (sends(op))
            report_collective(r, to, op, times, indent);
        if (!op->body || !count(op->body))
            continue;
        nm_sym over = nm_attr_sym(op, "over");
        fprintf(r->out, "%seach of %s:\n", indent, over);
        report_ops(r, to, op->body, nm_comm_bytes_times(r->m, times, nm_dim_of(r->m, over).extent),
                   nm_arena_fmt(r->m->arena, "%s  ", indent));
    }
}

static void report_section(report *r, nm_sym text, int section)
{
    bool any = false;
    nm_each_func(f, r->m) {
        int n = f->part.mode == text && section_of(f) == section ? count(f) : 0;
        if (!n)
            continue;
        if (!any)
            fprintf(r->out, "  %s\n", sections[section].title);
        any = true;
        fprintf(r->out, "    @%s: %d collective%s\n", f->name, n, n == 1 ? "" : "s");
        report_ops(r, sections[section].total, f, (nm_comm_bytes){1, nm_sym_get(r->m, "")},
                   "      ");
    }
}

// --- texts ---------------------------------------------------------------------------------------

static const char *when_of(nm_sym text)
{
    for (int i = 0; i < N_TEXTS && text; i++)
        if (!strcmp(texts[i].name, text))
            return texts[i].when;
    return "whatever the mesh is";
}

static void report_text(report *r, nm_sym text)
{
    fprintf(r->out, "%s: %s\n", text ? text : "in all texts", when_of(text));
    memset(r->total, 0, sizeof r->total);
    for (int i = 0; i < N_SECTIONS; i++)
        report_section(r, text, i);
    fprintf(r->out, "  in all, a micro-batch: ");
    nm_comm_total_print(r->out, &r->total[MICRO]);
    fprintf(r->out, "\n  in all, a step besides: ");
    nm_comm_total_print(r->out, &r->total[STEP]);
    fputs("\n", r->out);
}

static bool is_first_of_text(const nm_module *m, const nm_func *f)
{
    const nm_func *g = m->first_func;
    while (g->part.mode != f->part.mode)
        g = g->next;
    return f == g;
}

bool nm_comm_has_text(nm_module *m, const char *text)
{
    const char *all = "";
    nm_each_func(f, m) {
        if (!f->part.mode || !is_first_of_text(m, f))
            continue;
        if (!strcmp(f->part.mode, text))
            return true;
        all = nm_arena_fmt(m->arena, "%s%s%s", all, *all ? ", " : "", f->part.mode);
    }
    return nm_error(m->diag, (nm_loc){0}, "the program has no text '%s'; it has %s", text,
                    *all ? all : "one for all meshes");
}

static bool is_silent(const nm_module *m, nm_sym text)
{
    nm_each_func(f, m)
        if (f->part.mode == text && count(f))
            return false;
    return true;
}

void nm_comm_print(FILE *out, nm_module *m)
{
    report r = {.out = out, .m = m};
    const char *only = m->options.comm_text;
    nm_each_func(f, m) {
        nm_sym text = f->part.mode;
        bool wanted = only ? text && !strcmp(text, only) : text || !is_silent(m, text);
        if (wanted && is_first_of_text(m, f))
            report_text(&r, text);
    }
}
