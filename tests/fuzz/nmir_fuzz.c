// libFuzzer target: any bytes as IR text. It is refused with at least one error, or it parses; if
// it also verifies, it is a fixed point of printing and parsing, also as a copy of each function,
// with and without locations. Never a crash, a hang or a leak.
#include "ir/ir.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *print(nm_module *m, bool locs, size_t *n)
{
    char *text;
    FILE *out = open_memstream(&text, n);
    nm_print(out, m, (nm_print_opts){.locs = locs});
    fclose(out);
    return text;
}

// Parsed and verified; NULL: refused, and reported.
static nm_module *read_text(nm_arena *arena, nm_diag *diag, const char *text, size_t n)
{
    nm_module *m = nm_module_new(arena, diag);
    const nm_source *src = nm_source_text(arena, diag, "fuzz.nmir", text, n);
    bool ok = src && nm_parse(m, src) && nm_verify(m);
    if (ok == (diag->errors > 0))
        nm_bug("the answer was %d, and %u errors were reported", ok, diag->errors);
    return ok ? m : NULL;
}

static void check_fixed_point(nm_module *m, bool locs)
{
    nm_arena arena = {0};
    nm_diag diag = {.out = stderr};
    size_t n, k;
    char *once = print(m, locs, &n);
    nm_module *again = read_text(&arena, &diag, once, n);
    if (!again)
        nm_bug("printed text is refused:\n%s", once);
    char *twice = print(again, locs, &k);
    if (n != k || memcmp(once, twice, n) != 0)
        nm_bug("printed text is no fixed point:\n%s\n%s", once, twice);
    free(once);
    free(twice);
    nm_arena_free(&arena);
}

static void clone_functions(nm_module *m)
{
    nm_func *last = m->last_func;
    for (nm_func *f = m->first_func; f; f = f == last ? NULL : f->next) {
        nm_sym name = nm_sym_fmt(m, "%s'copy", f->name);
        bool is_free = true;
        nm_each_func(g, m)
            is_free &= g->name != name;
        if (is_free)
            nm_func_clone(f, name, NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    nm_arena arena = {0};
    nm_diag diag = {0};
    nm_module *m = read_text(&arena, &diag, (const char *)data, size);
    if (m) {
        check_fixed_point(m, false);
        check_fixed_point(m, true);
        clone_functions(m);
        if (!nm_verify(m))
            nm_bug("a copy does not verify");
    }
    nm_arena_free(&arena);
    return 0;
}
