// The bitcode of all templates, copied into this object by the assembler.
#include "codegen/templates/embed.h"

#define EMBED(VL)                                                                                  \
    __asm__(".section .rodata\n.balign 16\n"                                                       \
            "nm_template_" #VL ":\n.incbin \"" TEMPLATE_DIR "/templates_" #VL ".bc\"\n"            \
            "nm_template_end_" #VL ":\n.byte 0\n.previous\n");                                     \
    extern const char nm_template_##VL[] __attribute__((visibility("hidden")));                    \
    extern const char nm_template_end_##VL[] __attribute__((visibility("hidden")));

EMBED(4)
EMBED(8)
EMBED(16)

nm_template_bc nm_template_bc_get(int vl)
{
#define CASE(VL)                                                                                   \
    if (vl == VL)                                                                                  \
        return (nm_template_bc){nm_template_##VL,                                                  \
                                (size_t)(nm_template_end_##VL - nm_template_##VL)};
    CASE(4)
    CASE(8)
    CASE(16)
    return (nm_template_bc){NULL, 0};
}
