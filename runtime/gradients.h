// The gradients of one step, kept on the host, and how far they are from those of another program's
// step on the same mesh: by parameter, and by layer where the mesh's row pp shares layers out.
#ifndef NMRT_GRADIENTS_H
#define NMRT_GRADIENTS_H

#include "runtime/engine.h"

typedef struct nmrt_gradients { // of one rank; zero-initialised: none
    const nmdrv_program *program;
    double loss, norm;     // norm: the program's grad_norm; 0: it gives none
    int64_t step, samples; // of the step; that it read
    float **at;            // [program.n_params] what this rank holds; NULL: nothing
    nmrt_part *part;       // [program.n_params] which part that is
    bool *layers;          // [program.n_params] the first dim is a repeat's: layers
} nmrt_gradients;

// What the engine's gradients are behind a step; before the next one begins.
nmrt_status nmrt_gradients_take(nmrt_gradients *g, const nmrt_engine *en, nmrt_error *e);
void nmrt_gradients_release(nmrt_gradients *g);

// Of which parameters any rank holds some of the gradient: has and layers are [program.n_params].
// Collective.
nmrt_status nmrt_gradients_agree(const nmrt_gradients *g, nmrt_comm *comm, bool *has, bool *layers,
                                 nmrt_error *e);

typedef struct nmrt_apart { // a parameter's gradient, or a layer's
    const char *path, *dim; // dim: of the layers, "layers"; NULL: of all of it
    int64_t layer;
    double n, difference, size; // elements; sums of squares: of a - b; of b
    double error;               // |a - b| / |b|; infinite where that is no number
} nmrt_apart;

typedef struct nmrt_apart_list {
    nmrt_apart *at; // released by free
    int64_t n;
} nmrt_apart_list;

// Of all ranks' parts, each element once. Every rank calls it; rank 0's list alone is complete.
// *all: the sum of the list. A gradient that is 0 but for roundings, as that of a key's bias, is
// compared with a small part of what others are.
nmrt_status nmrt_gradients_compare(const nmrt_gradients *a, const nmrt_gradients *b,
                                   nmrt_comm *comm, nmrt_apart_list *out, nmrt_apart *all,
                                   nmrt_error *e);

#endif
