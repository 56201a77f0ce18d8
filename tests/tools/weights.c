// Prints the weight maps of a binary's first program, as nmdrv_weights has them. Compiled with an
// object that nemocc --emit=obj wrote: see tests/codegen/weights.sh.
#include "runtime/driver_abi.h"

#include <stdio.h>

static void print_list(const char *name, int64_t n, const int64_t *word)
{
    printf(" %s [", name);
    for (int64_t i = 0; i < n; i++)
        printf("%s%lld", i ? " " : "", (long long)word[i]);
    printf("]");
}

static void print_row(const nmdrv_config_row *row)
{
    printf("  %s", row->written ? "written " : "");
    for (int64_t i = 0; i < row->n_keys; i++)
        printf("%s%s", i ? " | " : "", row->key[i]);
    printf(": %s = %s (%s)\n", *row->value ? row->value : "none",
           *row->absent ? row->absent : "none", row->where);
}

static void print_part(const nmdrv_program *p, const nmdrv_part_of *part)
{
    const nmdrv_param *param = &p->param[part->param];
    printf("  %s", param->path);
    print_list("is", param->rank, param->shape);
    printf(": %s %s %s", part->name, part->codec, part->scales);
    print_list("shape", part->rank, part->shape);
    printf(" base %lld", (long long)part->base);
    print_list("stride", param->rank, part->stride);
    print_list("from", param->rank, part->from);
    print_list("extent", param->rank, part->extent);
    printf(" (%s)\n", part->where);
}

int main(void)
{
    const nmdrv_program *p = nemocc_programs[0];
    for (int64_t i = 0; i < p->n_weights; i++) {
        const nmdrv_weights *w = &p->weights[i];
        printf("%s (%s)%s%s\n", w->name, w->where, *w->misfit ? ": " : "", w->misfit);
        for (int64_t k = 0; k < w->n_config; k++)
            print_row(&w->config[k]);
        for (int64_t k = 0; k < w->n_parts; k++)
            print_part(p, &w->part[k]);
    }
    return 0;
}
