// What gpu kernels take: --emit=resources.
#ifndef NM_CODEGEN_RESOURCES_H
#define NM_CODEGEN_RESOURCES_H

#include "codegen/program.h"

// The table of all kernels of the programs in what ptxas said of their images. False: reported.
bool nm_resources_write(nm_module *m, const char *path, int n_said, const nm_ptxas_said *said,
                        int n, const nm_program *p);

#endif
