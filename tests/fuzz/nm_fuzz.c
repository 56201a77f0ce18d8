// libFuzzer target: any bytes as a .nm file. The scanner, the parser, the elaborator and the checks
// behind it either accept or report at least one error; they never crash, hang or leak.
#include "frontend/check.h"
#include "frontend/elab.h"
#include "frontend/weights.h"

#include <stddef.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool names_files(const nm_ast_file *file)
{
    for (int i = 0; i < file->n_uses; i++)
        if (file->use[i].is_path)
            return true;
    return false;
}

static bool check(nm_module *m, const nm_source *src)
{
    nm_ast_file *file = nm_parse_nm(m, src);
    if (!file)
        return false;
    if (names_files(file)) // of this machine: not for a fuzzer to read
        return true;
    nm_ast_program *prog = nm_load_text(m, src);
    return prog && nm_elaborate(m, prog, &(nm_elab_opts){0}) && nm_check_mesh(m, prog) &&
           nm_check_externs(m, prog) && nm_weights_resolve(m, prog) && nm_verify(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    nm_arena arena = {0};
    nm_diag diag = {0};
    nm_module *m = nm_module_new(&arena, &diag);
    const nm_source *src = nm_source_text(&arena, &diag, "fuzz.nm", (const char *)data, size);
    bool ok = src && check(m, src);
    if (ok == (diag.errors > 0))
        nm_bug("the answer was %d, and %u errors were reported", ok, diag.errors);
    nm_arena_free(&arena);
    return 0;
}
