// The templates as data of the compiler.
#ifndef NM_CODEGEN_TEMPLATES_EMBED_H
#define NM_CODEGEN_TEMPLATES_EMBED_H

#include <stddef.h>

typedef struct nm_template_data {
    const char *data; // with a zero behind it
    size_t size;
} nm_template_data;

// The bitcode module for vectors of vl floats: 4 (x86-64-v2), 8 (v3) or 16 (v4). No other: data
// NULL.
nm_template_data nm_template_bc_get(int vl);
// The templates of gpu kernels: for every GPU, for sm_90a alone, and for the emulator both.
nm_template_data nm_template_gpu_ptx(void);
nm_template_data nm_template_gpu_sm90a(void);
nm_template_data nm_template_gpu_emu(void);
nm_template_data nm_template_gpu_emu_sm90a(void);
// The archive of what kernels of any vector length call (machine code, position independent).
nm_template_data nm_template_archive(void);

#endif
