// Whole programs, compiled for GPUs and run by the emulator, equal the interpreter. Arguments:
// others' files.
#include "tests/codegen/gpu.h"
#include "tests/codegen/programs.h"

static void check(const char *path) { check_program(path, "native", NM_FLAVOUR_gpu); }

int main(int argc, char **argv)
{
    gpu_begin();
    if (argc == 1) {
        check("tests/codegen/kernels.nmir");
        check("tests/codegen/rows.nmir");
        check("tests/codegen/externs.nmir");
        check("tests/passes/tiny_llama.nmir");
    }
    for (int i = 1; i < argc; i++)
        check(argv[i]);
    gpu_end();
    return failures != 0;
}
