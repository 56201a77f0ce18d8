// Whole programs, compiled for this machine, equal the interpreter. Arguments: others' files.
#include "tests/codegen/programs.h"

static void check(const char *path, const char *cpu) { check_program(path, cpu, NM_FLAVOUR_host); }

int main(int argc, char **argv)
{
    static const nm_options numbers[] = {
        {.precision = NM_PRECISION_bf16},
        {.precision = NM_PRECISION_fp8},
        {.precision = NM_PRECISION_fp8, .recipe = NM_RECIPE_blockwise}};
    if (argc == 1) {
        check("tests/codegen/kernels.nmir", "x86-64-v2");
        check("tests/codegen/kernels.nmir", "native");
        check("tests/codegen/near.nmir", "x86-64-v2");
        check("tests/codegen/near.nmir", "native");
        check("tests/codegen/rows.nmir", "native");
        check("tests/codegen/externs.nmir", "native");
        check("tests/passes/tiny_llama.nmir", "native");
        for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
            check_program_in("tests/passes/tiny_llama.nmir", "native", NM_FLAVOUR_host, numbers[i]);
    }
    for (int i = 1; i < argc; i++)
        check(argv[i], "native");
    return failures != 0;
}
