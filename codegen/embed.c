// The runtime's archive (libnmrt.a) and the emulator's (libnmemu.a), copied into the compiler by
// the assembler.
#include "codegen/link.h"

#define EMBED(name, file)                                                                          \
    __asm__(".section .rodata\n.balign 16\n" name "_begin:\n.incbin \"" file "\"\n" name           \
            "_end:\n.byte 0\n.previous\n")

EMBED("nm_runtime", NM_RUNTIME_ARCHIVE);
extern const char nm_runtime_begin[] __attribute__((visibility("hidden")));
extern const char nm_runtime_end[] __attribute__((visibility("hidden")));

nm_archive nm_runtime_archive(void)
{
    return (nm_archive){nm_runtime_begin, (size_t)(nm_runtime_end - nm_runtime_begin)};
}

EMBED("nm_emulator", NM_EMULATOR_ARCHIVE);
extern const char nm_emulator_begin[] __attribute__((visibility("hidden")));
extern const char nm_emulator_end[] __attribute__((visibility("hidden")));

nm_archive nm_emulator_archive(void)
{
    return (nm_archive){nm_emulator_begin, (size_t)(nm_emulator_end - nm_emulator_begin)};
}
