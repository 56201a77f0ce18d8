// The templates' bitcode and the archive behind it, copied into this object by the assembler.
#include "codegen/templates/embed.h"

#define EMBED(NAME, FILE)                                                                          \
    __asm__(".section .rodata\n.balign 16\n"                                                       \
            "nm_template_" #NAME ":\n.incbin \"" TEMPLATE_DIR "/" FILE "\"\n"                      \
            "nm_template_end_" #NAME ":\n.byte 0\n.previous\n");                                   \
    extern const char nm_template_##NAME[] __attribute__((visibility("hidden")));                  \
    extern const char nm_template_end_##NAME[] __attribute__((visibility("hidden")));

EMBED(4, "templates_4.bc")
EMBED(8, "templates_8.bc")
EMBED(16, "templates_16.bc")
EMBED(ptx, "gpu_ptx.bc")
EMBED(sm90a, "gpu_sm90a.bc")
EMBED(emu, "gpu_emu.bc")
EMBED(emu_sm90a, "gpu_emu_sm90a.bc")
EMBED(shared, "libtemplates.a")

#define DATA(NAME)                                                                                 \
    (nm_template_data) { nm_template_##NAME, (size_t)(nm_template_end_##NAME - nm_template_##NAME) }

nm_template_data nm_template_bc_get(int vl)
{
    switch (vl) {
    case 4: return DATA(4);
    case 8: return DATA(8);
    case 16: return DATA(16);
    default: return (nm_template_data){NULL, 0};
    }
}

nm_template_data nm_template_gpu_ptx(void) { return DATA(ptx); }
nm_template_data nm_template_gpu_sm90a(void) { return DATA(sm90a); }
nm_template_data nm_template_gpu_emu(void) { return DATA(emu); }
nm_template_data nm_template_gpu_emu_sm90a(void) { return DATA(emu_sm90a); }
nm_template_data nm_template_archive(void) { return DATA(shared); }
