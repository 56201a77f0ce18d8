// Every op of the table that has an example, compiled for GPUs and run by the emulator, equals the
// interpreter.
#include "tests/codegen/examples.h"
#include "tests/codegen/gpu.h"

int main(void)
{
    gpu_begin();
    check_examples("native", NM_FLAVOUR_gpu);
    gpu_end();
    return failures != 0;
}
