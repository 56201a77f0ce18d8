// The archives that programs are linked from, copied into the compiler by the assembler: the
// runtime (libnmrt.a), its libraries, and the emulator (libnmemu.a).
#include "codegen/link.h"

// The function `get`, which gives the bytes of `file`.
#define EMBED(get, file)                                                                           \
    __asm__(".section .rodata\n.balign 16\n" #get "_begin:\n.incbin \"" file "\"\n" #get           \
            "_end:\n.byte 0\n.previous\n");                                                        \
    extern const char get##_begin[] __attribute__((visibility("hidden")));                         \
    extern const char get##_end[] __attribute__((visibility("hidden")));                           \
    nm_archive get(void) { return (nm_archive){get##_begin, (size_t)(get##_end - get##_begin)}; }

EMBED(nm_runtime_archive, NM_RUNTIME_ARCHIVE)
EMBED(nm_emulator_archive, NM_EMULATOR_ARCHIVE)
EMBED(nm_pcre2_archive, NM_PCRE2_ARCHIVE)
EMBED(nm_utf8proc_archive, NM_UTF8PROC_ARCHIVE)
