// The runtime's archive (libnmrt.a), copied into the compiler by the assembler.
#include "codegen/link.h"

__asm__(".section .rodata\n.balign 16\n"
        "nm_runtime_begin:\n.incbin \"" NM_RUNTIME_ARCHIVE "\"\n"
        "nm_runtime_end:\n.byte 0\n.previous\n");
extern const char nm_runtime_begin[] __attribute__((visibility("hidden")));
extern const char nm_runtime_end[] __attribute__((visibility("hidden")));

nm_archive nm_runtime_archive(void)
{
    return (nm_archive){nm_runtime_begin, (size_t)(nm_runtime_end - nm_runtime_begin)};
}
