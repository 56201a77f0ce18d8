// Linking: objects and the embedded runtime become one ELF file.
#ifndef NM_CODEGEN_LINK_H
#define NM_CODEGEN_LINK_H

#include "codegen/codegen.h"
#include "codegen/compile.h"

typedef struct nm_archive {
    const char *data;
    size_t size;
} nm_archive;
nm_archive nm_runtime_archive(void);
nm_archive nm_emulator_archive(void); // of GPUs: for the target emu
nm_archive nm_pcre2_archive(void);    // regular expressions and
nm_archive nm_utf8proc_archive(void); // normal forms of Unicode: for the runtime's tokenizers

// What the options ask for, from the compiled objects, at o->out. False: reported.
bool nm_link(nm_module *m, const nm_codegen_opts *o, int n, const nm_object *object);

#endif
