// The templates' bitcode, as data of the compiler: one module for each vector length.
#ifndef NM_CODEGEN_TEMPLATES_EMBED_H
#define NM_CODEGEN_TEMPLATES_EMBED_H

#include <stddef.h>

typedef struct nm_template_bc {
    const char *data; // with a zero behind it
    size_t size;
} nm_template_bc;

// vl: 4 (x86-64-v2), 8 (v3) or 16 (v4).
nm_template_bc nm_template_bc_get(int vl);

#endif
