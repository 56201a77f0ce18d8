// Gradients of a step to a file. Each rank writes its own boxes of it, where they belong.
#include "runtime/gradients_dump.h"

#include "runtime/agree.h"
#include "runtime/dump.h"
#include "runtime/gradients.h"
#include "runtime/train.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct dumper {
    const nmrt_gradients *g;
    nmrt_comm *comm;
    bool *has, *layers;  // [n_params]; layers is not read
    nmrt_tensor *tensor; // of those that any rank has, in the order of the parameters
    int n;
    nmrt_dump dump;
} dumper;

static void name_tensors(dumper *x)
{
    const nmdrv_program *p = x->g->program;
    for (int64_t i = 0; i < p->n_params; i++) {
        const nmdrv_param *of = &p->param[i];
        if (!x->has[i])
            continue;
        nmrt_tensor *t = &x->tensor[x->n++];
        *t = (nmrt_tensor){.dtype = "F32", .rank = (int)of->rank};
        snprintf(t->name, sizeof t->name, "%s", of->path);
        for (int k = 0; k < t->rank; k++)
            t->shape[k] = of->shape[k];
    }
    nmrt_dump_lay(x->tensor, x->n);
}

static nmrt_status write_part(const dumper *x, const nmrt_tensor *t, int64_t param, nmrt_error *e)
{
    const int64_t size = (int64_t)sizeof(float);
    const nmrt_part *part = &x->g->part[param];
    const float *from = x->g->at[param];
    for (int i = 0; part->first && i < part->n; i++) {
        const nmrt_held *h = &part->held[i];
        nmrt_view whole = {t->shape, h->box.from}, own = {part->shape, h->at};
        for (nmrt_rows r = nmrt_rows_of(h->box.rank, h->box.n, whole, own); nmrt_rows_next(&r);)
            NMRT_TRY(nmrt_dump_write(&x->dump, t->begin + r.a * size, from + r.b,
                                     (size_t)(r.n * size), e));
    }
    return NMRT_OK;
}

static nmrt_status write_all(const dumper *x, nmrt_error *e)
{
    const nmrt_tensor *t = x->tensor;
    for (int64_t i = 0; i < x->g->program->n_params; i++) {
        if (x->has[i] && x->g->at[i])
            NMRT_TRY(write_part(x, t, i, e));
        t += x->has[i];
    }
    return NMRT_OK;
}

static nmrt_status dump(dumper *x, const char *path, nmrt_error *e)
{
    size_t n = (size_t)x->g->program->n_params + 1;
    x->has = calloc(n, sizeof *x->has);
    x->layers = calloc(n, sizeof *x->layers);
    x->tensor = calloc(n, sizeof *x->tensor);
    nmrt_status status = x->has && x->layers && x->tensor
                             ? NMRT_OK
                             : nmrt_fail(e, NMRT_WORLD, "no memory for the gradients' names");
    NMRT_TRY(nmrt_agree(x->comm, status, e));
    NMRT_TRY(nmrt_gradients_agree(x->g, x->comm, x->has, x->layers, e));
    name_tensors(x);
    NMRT_TRY(nmrt_dump_open(&x->dump, path, x->tensor, x->n, x->comm, e));
    return nmrt_dump_close(&x->dump, x->comm, write_all(x, e), e);
}

static void print_step(const dumper *x, const char *path, FILE *out)
{
    fprintf(out, "step %lld, of %lld samples: loss %.7g", (long long)x->g->step,
            (long long)x->g->samples, x->g->loss);
    if (x->g->norm > 0)
        fprintf(out, ", grad_norm %.7g", x->g->norm);
    fprintf(out, "\ngradients of %d parameters: %s\n", x->n, path);
}

static nmrt_status dump_step(nmrt_run *run, const nmrt_gradients *g, nmrt_error *e)
{
    dumper x = {.g = g, .comm = &run->comm};
    const char *path = run->options->dump_gradients;
    nmrt_status status = dump(&x, path, e);
    if (status == NMRT_OK)
        print_step(&x, path, run->out->text);
    free(x.has);
    free(x.layers);
    free(x.tensor);
    return status;
}

nmrt_status nmrt_dump_gradients(nmrt_run *run, nmrt_error *e)
{
    nmrt_gradients g = {0};
    char part[NMRT_PATH];
    if (run->options->dry_run)
        return nmrt_fail(e, NMRT_USAGE, "--dump-gradients runs a step: --dry-run does not");
    NMRT_TRY(nmrt_dump_check(part, run->options->dump_gradients, &run->comm, e));
    nmrt_status status = nmrt_train_step(run, &g, e);
    if (status == NMRT_OK)
        status = dump_step(run, &g, e);
    nmrt_gradients_release(&g);
    return status == NMRT_STOPPED ? NMRT_OK : status;
}
