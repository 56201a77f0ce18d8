// The table of ops as a page: what each does, its attributes, an example with the types that it
// computes, and its traits. A test compares docs/ops.md with it.
#include "ir/opdoc.h"

#include "ir/example.h"

#include <string.h>

static const struct {
    unsigned bits;
    const char *name;
} trait_name[] = {
    {NM_MAP, "map"},           {NM_VIEW, "view"},           {NM_FREE, "free"},
    {NM_COMMUTES, "commutes"}, {NM_LINEAR, "linear"},       {NM_SUM, "sum"},
    {NM_IDLE, "idle"},         {NM_REDUCE, "reduce"},       {NM_GIVEN, "given"},
    {NM_BODY, "body"},         {NM_NO_GRAD, "no gradient"}, {NM_COLLECTIVE, "collective"},
};

static void print_traits(FILE *out, unsigned traits)
{
    const char *between = "";
    for (size_t i = 0; i < sizeof trait_name / sizeof *trait_name; i++)
        if ((traits & trait_name[i].bits) == trait_name[i].bits) {
            fprintf(out, "%s%s", between, trait_name[i].name);
            between = ", ";
        }
}

// "f32[i, j], f32[j] -> f32[i, j]" by the row's own shape rule.
static void print_example(FILE *out, nm_module *m, nm_opcode code)
{
    nm_func *f = nm_op_example(m, code);
    if (!f)
        return;
    fputs("<br>`", out);
    for (int i = 0; i < f->n_params; i++)
        fprintf(out, "%s%s", i ? ", " : "", nm_type_str(m, f->param[i]->type));
    fputs(f->n_params ? " -> " : "-> ", out);
    for (int i = 0; i < f->first->n_out; i++)
        fprintf(out, "%s%s", i ? ", " : "", nm_type_str(m, f->first->out[i].type));
    fputc('`', out);
    const char *attrs = strchr(nm_op_table[code].example, '{');
    const char *end = attrs ? strchr(attrs, '}') : NULL;
    if (end)
        fprintf(out, " `%.*s`", (int)(end + 1 - attrs), attrs);
}

// A bar would end the cell.
static void print_cell(FILE *out, const char *text)
{
    for (; *text; text++)
        fprintf(out, "%s%c", *text == '|' ? "\\" : "", *text);
}

static void print_row(FILE *out, nm_module *m, nm_opcode code)
{
    const nm_op_info *info = &nm_op_table[code];
    fprintf(out, "| `%s` | ", info->name);
    print_cell(out, info->doc);
    print_example(out, m, code);
    fprintf(out, " | %s%s%s | ", info->attrs ? "`" : "", info->attrs ? info->attrs : "",
            info->attrs ? "`" : "");
    print_traits(out, info->traits);
    fputs(" |\n", out);
}

void nm_opdoc_print(FILE *out)
{
    nm_arena arena = {0};
    nm_diag diag = {.out = stderr};
    fputs("# Ops\n\n"
          "Made from `ir/ops.def` by `nemocc-opt --list-ops-md`; do not edit. The text form, the "
          "rules of\n"
          "types and the numbers of constraints are in [ir.md](ir.md); what traits mean is in "
          "`ir/ir.h`.\n"
          "In the examples i = 3, j = 4, k = 5, p = q = 2.\n\n"
          "| op | what it computes | attributes | traits |\n| --- | --- | --- | --- |\n",
          out);
    for (int i = 0; i < NM_N_OPS; i++) {
        nm_module *m = nm_module_new(&arena, &diag);
        nm_example_dims(m);
        print_row(out, m, (nm_opcode)i);
    }
    nm_arena_free(&arena);
}
