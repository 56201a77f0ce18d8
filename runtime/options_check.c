// What flags want of each other: a flag that would change nothing without another is a mistake, and
// so are two that contradict each other. Every mistake is a line of the problems. What needs sizes
// of the program is checked by the verbs.
#include "runtime/options.h"

#include "runtime/data_flags.h"
#include "runtime/foreign/import.h"
#include "runtime/foreign/shards.h"
#include "runtime/syms.h"
#include "runtime/trace.h"

#include <limits.h>
#include <string.h>

// A flag that would change nothing without another is a mistake.
static void check_pairs(const nmrt_options *o, nmrt_text *problems)
{
    static const char *const pair[][2] = {
        {"save-every", "save"},
        {"keep", "save"},
        {"restart", "save"},
        {"trace-steps", "trace"},
    };
    for (size_t i = 0; i < sizeof pair / sizeof *pair; i++) {
        const nmrt_option *second = nmrt_option_find(pair[i][1]);
        bool has_second = *(const char *const *)((const char *)o + second->at) != NULL;
        if (nmrt_option_given(o, nmrt_option_find(pair[i][0])) && !has_second)
            nmrt_text_add(problems, "--%s needs --%s %s\n", pair[i][0], pair[i][1], second->arg);
    }
    static const char *const evaluates[] = {"eval-every", "eval-samples"};
    for (size_t i = 0; i < sizeof evaluates / sizeof *evaluates; i++)
        if (nmrt_option_given(o, nmrt_option_find(evaluates[i])) && !nmrt_data_has_valid(o))
            nmrt_text_add(problems,
                          "--%s needs --eval-data WHAT, or a --split with a second part\n",
                          evaluates[i]);
    if (strcmp(o->resume, "auto") == 0 && !o->save)
        nmrt_text_add(problems, "--resume auto needs --save DIR\n");
    if (o->tensorboard && !o->log_dir)
        nmrt_text_add(problems, "--tensorboard needs --log-dir DIR\n");
}

static void check_schedule(const nmrt_options *o, nmrt_text *problems)
{
    const nmdrv_program *p = o->hypers.program;
    if (o->lr_schedule && !nmrt_schedule_find(p, o->lr_schedule)) {
        nmrt_text_add(problems, "--lr-schedule: there is no '%s'; there are", o->lr_schedule);
        for (int64_t i = 0; i < p->n_funcs; i++)
            if (p->func[i].role == NMDRV_SCHEDULE)
                nmrt_text_add(problems, " %s", p->func[i].entry);
        nmrt_text_add(problems, "\n");
        return;
    }
    nmrt_error e;
    if (nmrt_hypers_check(&o->hypers, &e) != NMRT_OK)
        nmrt_text_add(problems, "%s\n", e.text);
}

static void check_trace(const nmrt_options *o, nmrt_text *problems)
{
    int64_t first, last;
    if (!o->trace_steps || !o->trace) // one of them alone is told with the pairs
        return;
    if (!nmrt_trace_parse(o->trace_steps, &first, &last))
        nmrt_text_add(problems, "--trace-steps takes a step or two, as 3 or 3-5, not '%s'\n",
                      o->trace_steps);
    else if (first > o->steps)
        nmrt_text_add(problems, "--trace-steps %s: the run ends at step %lld\n", o->trace_steps,
                      (long long)o->steps);
}

static void check_train(const nmrt_options *o, nmrt_text *problems)
{
    if (o->global_batch % o->micro_batch)
        nmrt_text_add(problems, "--global-batch %lld is not a multiple of --micro-batch %lld\n",
                      (long long)o->global_batch, (long long)o->micro_batch);
    if (o->dump_gradients && o->fp8_check)
        nmrt_text_add(problems, "--dump-gradients and --fp8-check are one step each: give one\n");
    check_pairs(o, problems);
    check_trace(o, problems);
    check_schedule(o, problems);
}

static void check_switch(const char *flag, int64_t value, nmrt_text *problems)
{
    if (value > 1)
        nmrt_text_add(problems, "--%s takes 0 or 1, not '%lld'\n", flag, (long long)value);
}

static void check_plan(const nmrt_options *o, nmrt_text *problems)
{
    if (!o->gpus)
        nmrt_text_add(problems, "--gpus N is missing: how many GPUs there are\n");
    if (!o->global_batch)
        nmrt_text_add(problems, "--global-batch N is missing: the samples of a step\n");
    if (strcmp(o->precision, "fp8") == 0)
        nmrt_text_add(problems, "plan prices --precision bf16 or f32, not fp8\n");
    if (o->node > INT_MAX || o->top > 1000)
        nmrt_text_add(problems, "--%s %lld is too many\n", o->top > 1000 ? "top" : "node",
                      (long long)(o->top > 1000 ? o->top : o->node));
}

static void check_weights(const nmrt_options *o, nmrt_text *problems)
{
    char map[32];
    bool reads = o->verb & (NMRT_EVAL | NMRT_GENERATE | NMRT_EXPORT);
    if (reads && !o->checkpoint && !o->init && !o->dry_run)
        nmrt_text_add(problems, "--checkpoint DIR is missing, or --init hf:DIR\n");
    if (o->checkpoint && o->init)
        nmrt_text_add(problems, "--checkpoint and --init both name weights: give one\n");
    if (reads && o->init && strcmp(o->weights, "ema") == 0)
        nmrt_text_add(problems,
                      "--weights ema is of a --checkpoint: --init has no running means\n");
    if (o->init && !nmrt_init_folder(o->init, map))
        nmrt_text_add(problems,
                      "--init takes hf:DIR, a weights map of the model and a folder, not "
                      "'%s'\n",
                      o->init);
}

static void check_import(const nmrt_options *o, nmrt_text *problems)
{
    if (!o->init)
        nmrt_text_add(problems, "--init hf:DIR is missing: the folder to read\n");
    if (!o->save)
        nmrt_text_add(problems, "--save DIR is missing: where the checkpoint is to be\n");
}

static void check_export(const nmrt_options *o, nmrt_text *problems)
{
    if (!o->out)
        nmrt_text_add(problems, "--out DIR is missing: the folder to write\n");
    if (nmrt_shard_size(o->max_shard_size) < 0)
        nmrt_text_add(problems, "--max-shard-size takes bytes, as 5GB or 500MiB, not '%s'\n",
                      o->max_shard_size);
}

// On the device null every run is a dry one.
void nmrt_options_check(nmrt_options *o, nmrt_text *problems)
{
    o->dry_run = o->dry_run || strcmp(o->device, "null") == 0;
    if ((o->verb == NMRT_TRAIN || o->verb == NMRT_EVAL) && !o->data && !o->dry_run)
        nmrt_text_add(problems, "--data WHAT is missing: what to read\n");
    check_weights(o, problems);
    if (o->threads > 1024)
        nmrt_text_add(problems, "--threads %lld is more than 1024\n", (long long)o->threads);
    if (o->top_p <= 0 || o->top_p > 1)
        nmrt_text_add(problems, "--top-p %g is not in (0, 1]\n", o->top_p);
    nmrt_recompute_parse(&o->ways, o->hypers.program, o->recompute, problems);
    if (o->verb == NMRT_TRAIN || o->verb == NMRT_EVAL)
        nmrt_data_check_flags(o, problems);
    check_switch("sp", o->sp, problems);
    check_switch("graphs", o->graphs, problems);
    check_switch("fp8-fast-accum", o->fp8_fast_accum, problems);
    if (!o->seq)
        o->seq = nmrt_seq_default(o->hypers.program);
    o->rampup = nmrt_rampup_parse(o->rampup_batch_size, o->global_batch, problems);
    if (o->verb == NMRT_TRAIN && o->micro_batch > 0)
        check_train(o, problems);
    if (o->verb == NMRT_IMPORT)
        check_import(o, problems);
    if (o->verb == NMRT_EXPORT)
        check_export(o, problems);
    if (o->verb == NMRT_PLAN)
        check_plan(o, problems);
}
