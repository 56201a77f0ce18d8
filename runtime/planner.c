// The verb plan: the question from the flags, the search, the answer.
#include "runtime/planner.h"

#include <stdlib.h>
#include <string.h>

static nmrt_status make_cluster(nmrt_cluster *c, const nmdrv_program *program,
                                nmrt_options *options, nmrt_error *e)
{
    *c = (nmrt_cluster){.program = program,
                        .options = options,
                        .gpu = nmrt_gpu_find(options->gpu),
                        .gpus = options->gpus,
                        .node = (int)options->node,
                        .bf16 = strcmp(options->precision, "f32") != 0};
    bool wide = strcmp(program->precision, "f32") == 0;
    if (!wide && !c->bf16)
        return nmrt_fail(e, NMRT_USAGE, "plan: this binary was not compiled to compute in f32");
    c->narrow = wide && c->bf16 ? nmrt_costs.activation_bytes / 4 : 1;
    c->asked = options->ways;
    if (!options->recompute)
        c->asked = (nmrt_recompute){1, {{.name = "", .kind = NMRT_WAY_AUTO}}};
    if (!c->gpu)
        return nmrt_fail(e, NMRT_USAGE, "--gpu: nothing is known of '%s'", options->gpu);
    if (c->gpus > NMRT_MAX_RANKS)
        return nmrt_fail(e, NMRT_USAGE, "--gpus %lld is more than %d", (long long)c->gpus,
                         NMRT_MAX_RANKS);
    double memory = options->memory_limit > 0 ? options->memory_limit : c->gpu->memory;
    c->memory = (int64_t)(memory * (1 << 30));
    options->verb = NMRT_TRAIN; // a candidate is set up as train would
    return NMRT_OK;
}

nmrt_status nmrt_planner_run(const nmdrv_program *program, const nmrt_options *options,
                             nmrt_text *out, nmrt_error *e)
{
    nmrt_options o = *options;
    nmrt_cluster c;
    int n = 0, most = (int)o.top;
    NMRT_TRY(make_cluster(&c, program, &o, e));
    nmrt_candidate *best = calloc((size_t)most + 1, sizeof *best);
    if (!best)
        return nmrt_fail(e, NMRT_WORLD, "no memory for the candidates");
    nmrt_status status = nmrt_planner_search(&c, most, best, &n, e);
    if (status == NMRT_OK)
        (o.json ? nmrt_planner_print_json : nmrt_planner_print)(&c, best, n, out);
    free(best);
    return status;
}
