// docs/ops.md, made from the op table.
#ifndef NM_IR_OPDOC_H
#define NM_IR_OPDOC_H

#include <stdio.h>

void nm_opdoc_print(FILE *out);

#endif
