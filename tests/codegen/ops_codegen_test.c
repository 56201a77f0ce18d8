// Every op of the table that has an example, compiled for each x86-64 level, equals the
// interpreter.
#include "tests/codegen/examples.h"

static bool has_cpu(const char *cpu)
{
    if (strcmp(cpu, "x86-64-v4") == 0)
        return __builtin_cpu_supports("x86-64-v4");
    return strcmp(cpu, "x86-64-v3") != 0 || __builtin_cpu_supports("x86-64-v3");
}

int main(void)
{
    static const char *const cpus[] = {"x86-64-v2", "x86-64-v3", "x86-64-v4", "native"};
    for (size_t i = 0; i < sizeof cpus / sizeof *cpus; i++)
        if (has_cpu(cpus[i]))
            check_examples(cpus[i], NM_FLAVOUR_host);
    return failures != 0;
}
