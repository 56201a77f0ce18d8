// The numbers of an evaluation, for people and for JSON readers.
#include "runtime/eval_print.h"

#include "runtime/metrics.h"

#include <float.h>
#include <math.h>
#include <string.h>

static bool is_loss(const nmdrv_arg *r) { return strcmp(r->name, "loss") == 0; }

static void print_lines(const nmrt_eval_report *r, const nmrt_planned *finish,
                        const nmrt_output *out)
{
    for (int64_t i = 0; i < finish->func->n_results; i++) {
        double value;
        const nmdrv_arg *emit = &finish->func->result[i];
        if (emit->bind != NMDRV_EMIT || emit->rank ||
            !nmrt_engine_result(r->en, finish, emit->name, &value))
            continue;
        if (is_loss(emit) && !nmrt_evaluation_has_loss(r->of))
            fprintf(out->text, "loss none\n");
        else
            fprintf(out->text, "%s %.6g\n", emit->name, value);
    }
}

// A loss is an f32, and so many digits are true; beyond the largest f32 a double has room.
static void add_perplexity(nmrt_text *t, double loss)
{
    double x = exp(loss);
    if (x <= (double)FLT_MAX)
        nmrt_text_add_f32(t, (float)x);
    else
        nmrt_text_add_real(t, x);
}

static void add_weights(nmrt_text *t, const nmrt_checkpoint *c, bool foreign)
{
    if (foreign) {
        nmrt_text_add(t, ", \"step\": null, \"checkpoint\": null");
        return;
    }
    nmrt_text_add(t, ", \"step\": %lld, \"checkpoint\": ", (long long)c->step);
    nmrt_text_add_json(t, c->path);
}

// What a row of metrics.jsonl has as the program's, but for what stands here already.
static void add_emits(nmrt_text *t, const nmrt_engine *en, const nmrt_planned *finish)
{
    for (int64_t i = 0; i < finish->func->n_results; i++) {
        const char *name = finish->func->result[i].name;
        if (strcmp(name, "perplexity") != 0 && strcmp(name, "checkpoint") != 0)
            nmrt_metrics_add_emit(t, en, finish, i);
    }
}

static void print_json(const nmrt_eval_report *r, const nmrt_planned *finish, bool foreign,
                       const nmrt_output *out)
{
    double loss = nmrt_evaluation_has_loss(r->of) ? r->loss : NAN;
    nmrt_text t = {0};
    nmrt_text_add(&t, "{\"loss\": ");
    nmrt_text_add_f32(&t, (float)loss);
    nmrt_text_add(&t, ", \"perplexity\": ");
    add_perplexity(&t, loss);
    nmrt_text_add(&t, ", \"tokens\": %lld", (long long)r->of->tokens);
    add_weights(&t, r->at, foreign);
    add_emits(&t, r->en, finish);
    nmrt_text_add(&t, "}");
    fprintf(out->text, "%s\n", t.at ? t.at : "");
    nmrt_text_release(&t);
}

void nmrt_evaluation_print(const nmrt_eval_report *r, const nmrt_options *o, const nmrt_output *out)
{
    const nmrt_planned *finish = nmrt_plan_func(r->en->plan, NMDRV_EVAL_FINISH, NMDRV_MIDDLE);
    if (o->json)
        print_json(r, finish, o->init != NULL, out);
    else
        print_lines(r, finish, out);
}
