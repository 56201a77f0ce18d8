// Random programs, compiled for GPUs and run by the emulator, equal the interpreter. Arguments: the
// first seed, and how many.
#include "tests/codegen/gpu.h"
#include "tests/codegen/random_programs.h"

int main(int argc, char **argv)
{
    gpu_begin();
    check_random(argc > 1 ? atoi(argv[1]) : 1, argc > 2 ? atoi(argv[2]) : 12, NM_FLAVOUR_gpu);
    gpu_end();
    return failures != 0;
}
