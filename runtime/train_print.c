// What a run says of itself when it begins and when it has ended.
#include "runtime/clock.h"
#include "runtime/islands.h"
#include "runtime/stop.h"
#include "runtime/trainer.h"

#include <string.h>

static double count_params(const nmdrv_program *p)
{
    double n = 0;
    for (int64_t i = 0; i < p->n_params; i++) {
        double elements = !p->param[i].is_state;
        for (int64_t k = 0; k < p->param[i].rank; k++)
            elements *= (double)p->param[i].shape[k];
        n += elements;
    }
    return n;
}

static void print_mesh(const nmrt_trainer *t)
{
    nmrt_text text = {0};
    nmrt_mesh_print(&t->setup.mesh, &text);
    fprintf(t->out->text, "%lld ranks: %s\n", (long long)t->setup.mesh.world,
            text.at ? text.at : "");
    nmrt_text_release(&text);
}

static void print_recompute(const nmrt_trainer *t)
{
    nmrt_text text = {0};
    nmrt_recompute_print(&t->setup.recompute, &text);
    if (nmrt_recompute_any(t->program) && t->o->recompute)
        fprintf(t->out->text, "recomputation: %s\n", text.at ? text.at : "");
    nmrt_text_release(&text);
}

// More layers than there are is all of them.
void nmrt_train_note_layers(const nmrt_trainer *t)
{
    const nmrt_options *o = t->o;
    int64_t most = nmrt_recompute_most(&t->setup.stages),
            both = nmrt_islands_most(t->program, &t->setup.stages);
    for (int i = 0; i < o->ways.n; i++)
        if (o->ways.way[i].kind == NMRT_WAY_BLOCK && o->ways.way[i].layers > most)
            fprintf(t->out->note,
                    "note: --recompute block:%lld is full: no stage has more than "
                    "%lld layers\n",
                    (long long)o->ways.way[i].layers, (long long)most);
    if (both && (o->bf16_start > both || o->bf16_end > both))
        fprintf(t->out->note,
                "note: --num-layers-at-%s-in-bf16 %lld is all layers: no repeat has "
                "more than %lld\n",
                o->bf16_start > both ? "start" : "end",
                (long long)(o->bf16_start > both ? o->bf16_start : o->bf16_end), (long long)both);
}

static void print_data(const nmrt_trainer *t)
{
    const nmrt_source *s = t->data.source;
    nmrt_text text = {0}, growth = {0};
    nmrt_rampup_print(&t->o->rampup, &growth);
    s->kind->describe(s, &text);
    fprintf(t->out->text, "%s: %s, %lld samples of %lld tokens, %lld a step%s\n", s->q.path,
            text.at ? text.at : "", (long long)s->samples, (long long)t->setup.seq,
            (long long)t->samples, growth.at ? growth.at : "");
    nmrt_text_release(&text);
    nmrt_text_release(&growth);
}

void nmrt_train_print_start(const nmrt_trainer *t)
{
    const nmdrv_program *p = t->program;
    nmrt_text device = {0};
    t->setup.device->describe(t->en.device, &device);
    fprintf(t->out->text, "%s%s%s: %s parameters, computing in %s%s%s; %s of memory%s; %s", p->name,
            *p->preset ? " " : "", p->preset, nmrt_count(count_params(p)).s, p->precision,
            *p->recipe ? " " : "", p->recipe, nmrt_bytes(t->setup.plan.total).s,
            t->comm->ranks > 1 ? " a rank" : "", device.at ? device.at : "");
    if (t->peak > 0)
        fprintf(t->out->text, ", %.0f GFLOP/s at most", t->peak / 1e9);
    fputc('\n', t->out->text);
    nmrt_text_release(&device);
    if (t->comm->ranks > 1)
        print_mesh(t);
    print_recompute(t);
    print_data(t);
    for (int i = 0; i < t->o->hypers.n; i++)
        if (strcmp(t->o->hypers.hyper[i].name, "warmup") == 0 &&
            t->o->hypers.hyper[i].value >= (double)t->o->steps)
            fprintf(t->out->note,
                    "note: --warmup %g is not below --steps %lld: the learning rate never reaches "
                    "its peak\n",
                    t->o->hypers.hyper[i].value, (long long)t->o->steps);
    fflush(t->out->text);
}

void nmrt_train_print_end(nmrt_trainer *t, int64_t first_step)
{
    nmrt_text chart = {0};
    nmrt_curve_print(&t->curve, t->out->unicode, &chart);
    if (chart.n && !chart.failed)
        fprintf(t->out->text, "\n%s\n", chart.at);
    nmrt_text_release(&chart);
    fprintf(t->out->text, "%s at step %lld of %lld: %lld steps in %s",
            nmrt_stop_asked() ? "stopped" : "done", (long long)t->at.step, (long long)t->o->steps,
            (long long)(t->at.step - first_step), nmrt_duration(nmrt_seconds() - t->start).s);
    if (t->curve.n)
        fprintf(t->out->text, ", loss %.4f", (double)t->curve.loss[t->curve.n - 1]);
    fprintf(t->out->text, "\n");
    if (t->saver && *t->at.path)
        fprintf(t->out->text, "checkpoint: %s\n", t->at.path);
    else if (*t->at.path && t->at.step > first_step)
        fprintf(t->out->text, "checkpoint: none of these steps, as there is no --save\n");
    if (t->metrics.fd >= 0)
        fprintf(t->out->text, "logs: %s\n", t->metrics.path);
    int64_t first;
    if (nmrt_trace_missed(t->trace, &first))
        fprintf(t->out->note,
                "note: --trace %s: the run ended before step %lld, so there is none\n", t->o->trace,
                (long long)first);
    else if (t->traces)
        fprintf(t->out->text, "trace: %s, for ui.perfetto.dev\n", t->o->trace);
    fflush(t->out->text);
}
