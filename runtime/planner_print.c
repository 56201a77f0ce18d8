// The answer of plan: a table for people, an object for programs.
#include "runtime/planner.h"

#include <stdio.h>
#include <string.h>

static double tokens_per_gpu(const nmrt_cluster *c, const nmrt_candidate *x)
{
    return (double)(c->options->global_batch * c->options->seq) / x->seconds / (double)c->gpus;
}

static double peak(const nmrt_cluster *c) { return 1e12 * (c->bf16 ? c->gpu->bf16 : c->gpu->f32); }

static double mfu(const nmrt_cluster *c, const nmrt_candidate *x)
{
    return x->step.flops / x->seconds / peak(c);
}

// --- for people ----------------------------------------------------------------------------------

static void print_head(const nmrt_cluster *c, nmrt_text *out)
{
    const nmdrv_program *p = c->program;
    nmrt_text_add(
        out, "%s%s%s on %lld %s, %d a node, in %s: %lld samples of %lld tokens a step\n\n", p->name,
        *p->preset ? " " : "", p->preset, (long long)c->gpus, c->gpu->name, c->node,
        c->bf16 ? "bf16" : "f32", (long long)c->options->global_batch, (long long)c->options->seq);
    nmrt_text_add(
        out,
        "%58s %9s %9s %9s %5s   time of a step, %%\n%4s %3s %3s %3s %6s %5s %5s %6s %10s    "
        "%9s %9s %9s %5s   %7s %4s %4s %4s %4s %6s\n",
        "memory", "", "tokens/s", "", "", "tp", "pp", "vp", "cp", "by", "dp", "zero", "micro",
        "recompute", "a GPU", "step", "a GPU", "MFU", "compute", "tp", "cp", "pp", "dp", "bubble");
}

static nmrt_human step_time(double seconds)
{
    nmrt_human h;
    snprintf(h.s, sizeof h.s, seconds < 0.1 ? "%.2f ms" : "%.2f s",
             seconds < 0.1 ? 1e3 * seconds : seconds);
    return h;
}

// How ranks of cp meet all keys.
static const char *way_of(const nmrt_mesh_flags *f)
{
    return f->cp == 1 ? "-" : f->ring ? "ring" : "gather";
}

static void print_row(const nmrt_cluster *c, const nmrt_candidate *x, nmrt_text *out)
{
    const nmrt_mesh_flags *f = &x->flags;
    nmrt_text recompute = {0};
    nmrt_recompute_print(&x->recompute, &recompute);
    nmrt_text_add(out, "%4lld %3lld %3lld %3lld %6s %5lld %5lld %6lld %10s    ", (long long)f->tp,
                  (long long)f->pp, (long long)f->vp, (long long)f->cp, way_of(f), (long long)f->dp,
                  (long long)f->zero, (long long)x->micro_batch, recompute.at ? recompute.at : "");
    nmrt_text_release(&recompute);
    nmrt_text_add(out, "%9s %9s %9.0f %3.0f %%  ", nmrt_bytes((int64_t)x->need.total).s,
                  step_time(x->seconds).s, tokens_per_gpu(c, x), 100 * mfu(c, x));
    static const int width[NMRT_N_TIMES] = {8, 5, 5, 5, 5, 7};
    for (int i = 0; i < NMRT_N_TIMES; i++)
        nmrt_text_add(out, "%*.1f", width[i], 100 * x->step.time[i] / x->seconds);
    nmrt_text_add(out, "\n");
}

static void print_notes(const nmrt_cluster *c, nmrt_text *out)
{
    nmrt_text_add(out, "\nA prediction, by docs/plan.md: tp, cp, pp, dp are communication that "
                       "nothing hides.\n");
    if (c->bf16 && strcmp(c->program->precision, "f32") == 0)
        nmrt_text_add(out, "bf16 is what a GPU would hold and run of the program in f32.\n");
    if (*c->gpu->source)
        nmrt_text_add(out, "%s: %s.\n", c->gpu->name, c->gpu->source);
}

void nmrt_planner_print(const nmrt_cluster *c, const nmrt_candidate *best, int n, nmrt_text *out)
{
    print_head(c, out);
    for (int i = 0; i < n; i++)
        print_row(c, &best[i], out);
    print_notes(c, out);
}

// --- for programs --------------------------------------------------------------------------------

static void add_real(nmrt_text *out, const char *key, double value, const char *end)
{
    nmrt_text_add(out, "\"%s\": ", key);
    nmrt_text_add_real(out, value);
    nmrt_text_add(out, "%s", end);
}

static void json_need(const nmrt_need *need, nmrt_text *out)
{
    static const char *const name[NMRT_N_HOLDS] = {"weights",           "gradients", "states",
                                                   "saved_activations", "work",      "reserve"};
    nmrt_text_add(out, "\"memory\": {");
    for (int i = 0; i < NMRT_N_HOLDS; i++)
        nmrt_text_add_count(out, name[i], (int64_t)need->of[i]);
    nmrt_text_add(out, "\"total\": %lld}, ", (long long)need->total);
}

static void json_times(const nmrt_cost *step, nmrt_text *out)
{
    static const char *const name[NMRT_N_TIMES] = {"compute", "tp", "cp", "pp", "dp", "bubble"};
    nmrt_text_add(out, "\"seconds\": {");
    for (int i = 0; i < NMRT_N_TIMES; i++)
        add_real(out, name[i], step->time[i], i + 1 < NMRT_N_TIMES ? ", " : "}, ");
}

static void json_row(const nmrt_cluster *c, const nmrt_candidate *x, nmrt_text *out)
{
    const nmrt_mesh_flags *f = &x->flags;
    const struct {
        const char *key;
        int64_t value;
    } count[] = {{"tp", f->tp},
                 {"pp", f->pp},
                 {"vp", f->vp},
                 {"cp", f->cp},
                 {"dp", f->dp},
                 {"zero", f->zero},
                 {"micro_batch", x->micro_batch}};
    nmrt_text recompute = {0};
    nmrt_recompute_print(&x->recompute, &recompute);
    nmrt_text_add(out, "{");
    for (size_t i = 0; i < sizeof count / sizeof *count; i++)
        nmrt_text_add_count(out, count[i].key, count[i].value);
    nmrt_text_add_pair(out, "cp_comm", f->ring ? "ring" : "gather");
    nmrt_text_add_pair(out, "recompute", recompute.at ? recompute.at : "");
    nmrt_text_release(&recompute);
    json_need(&x->need, out);
    json_times(&x->step, out);
    add_real(out, "step_seconds", x->seconds, ", ");
    add_real(out, "tokens_per_second_per_gpu", tokens_per_gpu(c, x), ", ");
    add_real(out, "mfu", mfu(c, x), "}");
}

void nmrt_planner_print_json(const nmrt_cluster *c, const nmrt_candidate *best, int n,
                             nmrt_text *out)
{
    nmrt_text_add(out, "{");
    nmrt_text_add_pair(out, "model", c->program->name);
    nmrt_text_add_pair(out, "preset", c->program->preset);
    nmrt_text_add_pair(out, "gpu", c->gpu->name);
    nmrt_text_add_pair(out, "precision", c->bf16 ? "bf16" : "f32");
    nmrt_text_add_count(out, "gpus", c->gpus);
    nmrt_text_add_count(out, "node", c->node);
    nmrt_text_add_count(out, "memory_limit", c->memory);
    nmrt_text_add_count(out, "global_batch", c->options->global_batch);
    nmrt_text_add_count(out, "seq", c->options->seq);
    nmrt_text_add(out, "\"plans\": [");
    for (int i = 0; i < n; i++) {
        nmrt_text_add(out, "%s\n ", i ? "," : "");
        json_row(c, &best[i], out);
    }
    nmrt_text_add(out, "\n]}\n");
}
