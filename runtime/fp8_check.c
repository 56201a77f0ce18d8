// A step twice, in two precisions of the binary. Both begin with the same weights (of --resume, or
// the first ones of --seed) and read the same samples; what differs is what their numbers round.
#include "runtime/fp8_check.h"

#include "runtime/choose.h"
#include "runtime/gradients.h"
#include "runtime/train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WORST = 12 };

// --- which programs ------------------------------------------------------------------------------

static const char *const by_digits[] = {"fp8", "bf16", "f32"};
enum { N_PRECISIONS = sizeof by_digits / sizeof *by_digits };

// The first program of the flavour in one of the precisions from `from` on; NULL: none.
static const nmdrv_program *find_from(const nmdrv_program *any, int from, const char *recipe)
{
    const nmdrv_program *found = NULL;
    for (int i = from; i < N_PRECISIONS && !found; i++)
        found =
            nmrt_program_find((nmdrv_flavour)any->flavour, (nmrt_numbers){by_digits[i], recipe});
    return found;
}

const nmdrv_program *nmrt_fp8_check_default(const nmdrv_program *p, const char *recipe)
{
    const nmdrv_program *found = find_from(p, 0, recipe);
    return found ? found : p;
}

static const nmdrv_program *wider_than(const nmdrv_program *p)
{
    int place = 0;
    while (place < N_PRECISIONS && strcmp(p->precision, by_digits[place]) != 0)
        place++;
    return find_from(p, place + 1, "auto");
}

// --- the report ----------------------------------------------------------------------------------

static int by_error(const void *a, const void *b)
{
    const nmrt_apart *x = a, *y = b;
    if (x->error != y->error)
        return x->error > y->error ? -1 : 1;
    int order = strcmp(x->path, y->path);
    return order ? order : (x->layer > y->layer) - (x->layer < y->layer);
}

static void print_pair(FILE *out, const char *name, double narrow, double wide)
{
    fprintf(out, "  %-10s %14.7g %14.7g", name, wide, narrow);
    if (isfinite(narrow) && wide != 0)
        fprintf(out, "   %+.3g %%", 100 * (narrow - wide) / fabs(wide));
    fputc('\n', out);
}

static void print_error(FILE *out, const nmrt_apart *x)
{
    fprintf(out, "  %9.3g %%  %s", 100 * x->error, x->path);
    if (x->dim)
        fprintf(out, ", %s %lld", x->dim, (long long)x->layer);
    fputc('\n', out);
}

static void print_gradients(FILE *out, nmrt_apart_list *list, const nmrt_apart *all)
{
    qsort(list->at, (size_t)list->n, sizeof *list->at, by_error);
    fprintf(out, "gradients: |difference| / |gradient|\n");
    print_error(out, all);
    if (list->n)
        fprintf(out, "  %9.3g %%  in the middle of %lld\n", 100 * list->at[list->n / 2].error,
                (long long)list->n);
    fprintf(out, "the worst:\n");
    for (int64_t i = 0; i < list->n && i < WORST; i++)
        print_error(out, &list->at[i]);
}

static void print_check(FILE *out, const nmrt_gradients *narrow, const nmrt_gradients *wide,
                        nmrt_apart_list *list, const nmrt_apart *all)
{
    fprintf(out, "step %lld, of %lld samples, in two precisions\n", (long long)narrow->step,
            (long long)narrow->samples);
    fprintf(out, "  %-10s %14s %14s\n", "", wide->program->precision, narrow->program->precision);
    print_pair(out, "loss", narrow->loss, wide->loss);
    if (wide->norm > 0)
        print_pair(out, "grad_norm", narrow->norm, wide->norm);
    print_gradients(out, list, all);
}

// --- the steps -----------------------------------------------------------------------------------

// The wider step says nothing of its own but what is wrong: the other's notes are its, too.
static nmrt_status run_wider(const nmrt_run *run, const nmdrv_program *program, nmrt_gradients *g,
                             nmrt_error *e)
{
    FILE *nowhere = fopen("/dev/null", "we");
    if (!nowhere)
        return nmrt_fail_errno(e, "cannot open /dev/null");
    nmrt_output quiet = {nowhere, nowhere, false, false};
    nmrt_run wider = *run;
    wider.program = program;
    wider.mesh = nmrt_mesh_of(&run->mesh, program);
    wider.out = &quiet;
    nmrt_status status = nmrt_train_step(&wider, g, e);
    fclose(nowhere);
    return status;
}

static nmrt_status compare(nmrt_run *run, const nmrt_gradients *narrow, const nmrt_gradients *wide,
                           nmrt_error *e)
{
    nmrt_apart all;
    nmrt_apart_list list;
    nmrt_status status = nmrt_gradients_compare(narrow, wide, &run->comm, &list, &all, e);
    if (status == NMRT_OK)
        print_check(run->out->text, narrow, wide, &list, &all);
    free(list.at);
    return status;
}

nmrt_status nmrt_fp8_check(nmrt_run *run, nmrt_error *e)
{
    const nmdrv_program *wider = wider_than(run->program);
    nmrt_gradients narrow = {0}, wide = {0};
    if (run->options->dry_run)
        return nmrt_fail(e, NMRT_USAGE, "--fp8-check runs a step: --dry-run does not");
    if (!wider)
        return nmrt_fail(e, NMRT_USAGE,
                         "--fp8-check compares %s with more digits, and this binary has no program "
                         "that computes in them: compile it with --precision f32,bf16,...",
                         run->program->precision);
    nmrt_status status = nmrt_train_step(run, &narrow, e);
    if (status == NMRT_OK)
        status = run_wider(run, wider, &wide, e);
    if (status == NMRT_OK)
        status = compare(run, &narrow, &wide, e);
    nmrt_gradients_release(&narrow);
    nmrt_gradients_release(&wide);
    return status == NMRT_STOPPED ? NMRT_OK : status;
}
