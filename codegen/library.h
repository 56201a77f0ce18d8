// The bitcode of extern ops' C files, which kernels are linked with as they are with the templates.
#ifndef NM_CODEGEN_LIBRARY_H
#define NM_CODEGEN_LIBRARY_H

#include "codegen/target.h"

typedef struct nm_libraries { // of a binary: each file once for each kind of target
    int n;
    struct nm_library *library;
} nm_libraries;

// That of `file` (as the op names it) for the target, compiled on first use; in m's arena. False:
// reported.
bool nm_library_get(nm_libraries *all, nm_module *m, const char *file, const nm_target *t,
                    nm_template_data *out);

#endif
