// The example of a row, "f32[i, j], f32[j] {over = [j]} : type", is almost a line of IR text: the
// operands are given as types. Rewritten as one function of text, it is parsed like any other.
#include "ir/example.h"

#include <string.h>

static const struct {
    const char *name;
    int64_t extent;
} example_dim[] = {
    {"i", 3}, {"j", 4}, {"k", 5}, {"p", 2}, {"q", 2}, {"b", 2}, {"s", 4}, {"h", 2}, {"x", 4},
};

void nm_example_dims(nm_module *m)
{
    for (size_t i = 0; i < sizeof example_dim / sizeof *example_dim; i++)
        nm_dim_declare(m, (nm_dim_decl){
                              .name = nm_sym_get(m, example_dim[i].name),
                              .extent = nm_extent_const(m, example_dim[i].extent),
                          });
}

// The comma or end behind the operand at p: types have brackets of their own.
static size_t operand_len(const char *p)
{
    const char *end = strchr(p, ']');
    return end ? (size_t)(end + 1 - p) : strlen(p);
}

static const char *names(nm_module *m, const char *prefix, int n)
{
    const char *list = "";
    for (int i = 0; i < n; i++)
        list = nm_arena_fmt(m->arena, "%s%s%%%s%d", list, i ? ", " : "", prefix, i);
    return list;
}

static int count_results(nm_opcode code, const char *example)
{
    const nm_op_info *info = &nm_op_table[code];
    if (info->n_out != NM_VARIADIC)
        return info->n_out ? info->n_out : 1;
    const char *given = strstr(example, "} : ");
    int n = 0;
    for (const char *p = given; p && (p = strchr(p, ']')); p++)
        n++;
    return n;
}

nm_func *nm_op_example(nm_module *m, nm_opcode code)
{
    const char *example = nm_op_table[code].example;
    return example ? nm_example_parse(m, code, example) : NULL;
}

nm_func *nm_example_parse(nm_module *m, nm_opcode code, const char *example)
{
    const nm_op_info *info = &nm_op_table[code];
    const char *p = example, *params = "";
    int n = 0;
    for (; *p && *p != '{' && *p != ':'; n++) {
        size_t len = operand_len(p);
        params = nm_arena_fmt(m->arena, "%s%s%%a%d: %.*s", params, n ? ", " : "", n, (int)len, p);
        p += len;
        p += strspn(p, ", ");
    }
    const char *results = names(m, "r", count_results(code, example));
    const char *text =
        nm_arena_fmt(m->arena, "func @%s(%s) {\n  %s = %s %s %s\n  ret %s\n}\n", info->name, params,
                     results, info->name, names(m, "a", n), p, results);
    const nm_source *src = nm_source_text(m->arena, m->diag, info->name, text, strlen(text));
    return nm_parse(m, src) ? m->last_func : NULL;
}
