// A text that is written to the path of -o.
#ifndef NM_CODEGEN_OUTPUT_H
#define NM_CODEGEN_OUTPUT_H

#include "ir/ir.h"

// /dev/stdout is what standard output is now: opened anew, a file there would begin at its start.
// NULL: reported.
FILE *nm_output_open(nm_module *m, const char *path);
// False: not all of it could be written; reported.
bool nm_output_close(nm_module *m, const char *path, FILE *f);

#endif
