// The models that nemocc carries: models/*.nm as they were when nemocc was built, and their C.
#ifndef NM_FRONTEND_EMBEDDED_H
#define NM_FRONTEND_EMBEDDED_H

typedef struct nm_embedded {
    const char *stem, *name, *text; // llama3, llama3.nm
} nm_embedded;

extern const nm_embedded nm_embedded_models[]; // ends with a stem of NULL
// The C files of its externs: models/kernels/*.c, as kernels/ctc.c; likewise.
extern const nm_embedded nm_embedded_kernels[];

#endif
