// The report has three levels: the texts, of which a run takes one; the parts of a step and of an
// evaluation; the functions. Only what sends is listed: a text where a rank is alone sends nothing.
#include "passes/comm_report.h"

#include "ir/names.h"
#include "passes/comm_subject.h"
#include "passes/comm_total.h"
#include "passes/ring.h"

#include <inttypes.h>
#include <string.h>

typedef struct text { // what a run takes of the program: a mode and when gradients are reduced
    const char *name, *mode; // mode NULL: functions of all modes
    nm_sums sums;
    const char *when; // docs/mesh.md, Modes and Sums
} text;

static const text texts[] = {
    {"in all texts", NULL, NM_SUMS_each, "whatever the mesh is"},
    {"one", "one", NM_SUMS_each, "where dp, cp and tp are 1"},
    {"once", "mesh", NM_SUMS_once, "where tp is more than 1, with --zero 0 or 1"},
    {"each", "mesh", NM_SUMS_each, "where dp and tp are more than 1, with --zero 2 or 3"},
    {"once_notp", "mesh_notp", NM_SUMS_once, "as once, where tp is 1, and dp or cp is more"},
    {"each_notp", "mesh_notp", NM_SUMS_each, "as each, where tp is 1"},
    {"once_nosp", "mesh_nosp", NM_SUMS_once, "as once, where tp is more than 1, with --sp 0"},
    {"each_nosp", "mesh_nosp", NM_SUMS_each, "as each, where tp is more than 1, with --sp 0"},
    {"once_ring", "mesh_ring", NM_SUMS_once,
     "as once, where cp is more than 1, with --cp-comm ring"},
    {"each_ring", "mesh_ring", NM_SUMS_each,
     "as each, where cp is more than 1, with --cp-comm ring"},
};

typedef enum { MICRO, STEP, EVALUATION, N_TOTALS } total_of;

static const struct {
    const char *role; // NULL: any
    nm_step step;     // none: any
    nm_phase phase;   // none: any
    bool last;        // of the last micro-batch: what it sends for gradients
    total_of total;
    const char *title;
} sections[] = {
    {"train", NM_STEP_count, NM_PHASE_none, false, STEP, "each step, before its micro-batches"},
    {"train", NM_STEP_micro, NM_PHASE_forward, false, MICRO, "each micro-batch, forward"},
    {"train", NM_STEP_micro, NM_PHASE_turn, false, MICRO,
     "each micro-batch, the loss and back from it"},
    {"train", NM_STEP_micro, NM_PHASE_backward, false, MICRO, "each micro-batch, backward"},
    {"train", NM_STEP_micro, NM_PHASE_none, false, MICRO, "each micro-batch"},
    {"train", NM_STEP_micro, NM_PHASE_none, true, STEP,
     "each step, in its last micro-batch besides"},
    {"train", NM_STEP_none, NM_PHASE_none, false, STEP, "each step, after its micro-batches"},
    {"eval", NM_STEP_none, NM_PHASE_none, false, EVALUATION, "evaluation"},
    {NULL, NM_STEP_none, NM_PHASE_none, false, EVALUATION, "other functions"},
};
enum { N_TEXTS = sizeof texts / sizeof *texts, N_SECTIONS = sizeof sections / sizeof *sections };

typedef struct report {
    FILE *out;
    nm_module *m;
    const text *text;
    nm_comm_total total[N_TOTALS]; // of the text
} report;

static bool is_text_of(const text *t, const nm_func *f)
{
    bool gives = f->n_results && f->result_bind[0].kind == NM_BIND_kept;
    if (f->part.kept || gives) // what is sent without them is told
        return false;
    return t->mode ? f->part.mode && !strcmp(f->part.mode, t->mode) : !f->part.mode;
}

// Are they texts of the same part of a step?
static bool is_same_part(const nm_func *f, const nm_func *g)
{
    nm_part a = f->part, b = g->part;
    return nm_func_role(f) == nm_func_role(g) && nm_func_step(f) == nm_func_step(g) &&
           a.phase == b.phase && a.units == b.units && a.mode == b.mode &&
           a.recompute == b.recompute && a.products == b.products && a.kept == b.kept;
}

// Of functions that have texts for both, those that a run with these sums takes.
static bool has(const report *r, const nm_func *f)
{
    bool once = r->text->sums == NM_SUMS_once;
    if (!is_text_of(r->text, f) || f->part.sums != NM_SUMS_each)
        return is_text_of(r->text, f) && once;
    nm_each_func(g, r->m)
        if (once && g->part.sums == NM_SUMS_once && is_same_part(f, g))
            return false;
    return true;
}

// With --zero 0 and 1 parameters rest whole.
static bool is_idle(const report *r, const nm_op *op)
{
    nm_syms axes = nm_attr_dims(op, "axes");
    return r->text->sums == NM_SUMS_once && axes.n == 1 && !strcmp(axes.sym[0], "dpp");
}

static bool sends(const report *r, const nm_op *op)
{
    bool last = nm_func_outer(op->func)->part.sums == NM_SUMS_last;
    return nm_is(op, NM_COLLECTIVE) && op->code != NM_OP_shard && op->code != NM_OP_first &&
           !is_idle(r, op) && (!last || nm_comm_subject_of(op).gradient);
}

static int count(const report *r, const nm_func *f)
{
    int n = 0;
    nm_each_op(op, f)
        n += op->body ? count(r, op->body) : sends(r, op);
    return n;
}

static bool is_in_section(const nm_func *f, int i)
{
    return (!sections[i].role || nm_func_has_role(f, sections[i].role)) &&
           (!sections[i].step || sections[i].step == nm_func_step(f)) &&
           (!sections[i].phase || sections[i].phase == f->part.phase) &&
           sections[i].last == (f->part.sums == NM_SUMS_last);
}

static int section_of(const nm_func *f)
{
    int i = 0;
    while (!is_in_section(f, i))
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
        if (sends(r, op))
            report_collective(r, to, op, times, indent);
        if (!op->body || !count(r, op->body))
            continue;
        nm_sym over = nm_attr_sym(op, "over");
        fprintf(r->out, "%seach of %s:\n", indent, over);
        report_ops(r, to, op->body, nm_comm_bytes_times(r->m, times, nm_dim_of(r->m, over).extent),
                   nm_arena_fmt(r->m->arena, "%s  ", indent));
    }
}

static void report_section(report *r, int section)
{
    bool any = false;
    nm_each_func(f, r->m) {
        int n = has(r, f) && section_of(f) == section ? count(r, f) : 0;
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

static void report_text(report *r)
{
    fprintf(r->out, "%s: %s\n", r->text->name, r->text->when);
    memset(r->total, 0, sizeof r->total);
    for (int i = 0; i < N_SECTIONS; i++)
        report_section(r, i);
    fprintf(r->out, "  in all, a micro-batch: ");
    nm_comm_total_print(r->out, &r->total[MICRO]);
    fprintf(r->out, "\n  in all, a step besides: ");
    nm_comm_total_print(r->out, &r->total[STEP]);
    fputs("\n", r->out);
}

static bool is_there(const nm_module *m, const text *t)
{
    nm_each_func(f, m)
        if (is_text_of(t, f))
            return true;
    return false;
}

bool nm_comm_has_text(nm_module *m, const char *name)
{
    const char *all = "";
    for (int i = 0; i < N_TEXTS; i++) {
        if (!texts[i].mode || !is_there(m, &texts[i]))
            continue;
        if (!strcmp(texts[i].name, name))
            return true;
        all = nm_arena_fmt(m->arena, "%s%s%s", all, *all ? ", " : "", texts[i].name);
    }
    return nm_error(m->diag, (nm_loc){0}, "the program has no text '%s'; it has %s", name,
                    *all ? all : "one for all meshes");
}

static bool is_silent(const report *r)
{
    nm_each_func(f, r->m)
        if (has(r, f) && count(r, f))
            return false;
    return true;
}

void nm_comm_print(FILE *out, nm_module *m)
{
    const char *only = m->options.comm_text;
    for (int i = 0; i < N_TEXTS; i++) {
        report r = {.out = out, .m = m, .text = &texts[i]};
        bool wanted =
            only ? texts[i].mode && !strcmp(texts[i].name, only) : texts[i].mode || !is_silent(&r);
        if (wanted && is_there(m, &texts[i]))
            report_text(&r);
    }
}
