// Which of the program's texts a run takes: those of its mode and, where a function has several by
// when gradients are reduced, those of its steps. docs/mesh.md, Sums. Of several by what backward
// computes again, a run may take any: each chunk has its own (recompute.h).
#ifndef NMRT_TEXTS_H
#define NMRT_TEXTS_H

#include "runtime/mesh.h"

typedef struct nmrt_texts {
    const nmdrv_program *program;
    int mode;     // -1: the program has none
    bool once;    // gradients are reduced once a step
    bool several; // micro-batches a step
    bool kept;    // they share what they round of weights
} nmrt_texts;

nmrt_texts nmrt_texts_of(const nmrt_mesh *mesh, int64_t n_micro, bool kept);
bool nmrt_texts_has(const nmrt_texts *t, const nmdrv_func *func);
bool nmrt_texts_may_keep(const nmdrv_program *p); // has any of them what is kept?
// The text of the same part of a step for other sums; NULL: it has none.
const nmdrv_func *nmrt_texts_other(const nmdrv_program *p, const nmdrv_func *func, nmdrv_sums sums);
// Operations of a function for these sizes in its variant that has fewest: the model's own, without
// what backward computes again.
double nmrt_texts_own_flops(const nmdrv_program *p, const nmdrv_func *func, const nmdrv_sym *sym);
// Accumulators are called as the compiler says (ir/names.h). What the pending one `name` is when it
// is complete; NULL: it is none.
const char *nmrt_complete_name(const char *name);
// The path of the parameter whose complete gradient the accumulator is; NULL: it is none.
const char *nmrt_gradient_path(const char *name);

#endif
