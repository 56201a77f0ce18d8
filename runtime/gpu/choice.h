// Which algorithm a product's shape has, kept from run to run: a file in the user's cache
// (base/cache.h) for each kind of GPU and version of cuBLASLt. All ranks of a run begin with the
// choices that rank 0 has read, and what they add is the heuristic's, which depends on the shape
// alone: so equal shapes have equal algorithms on all ranks. What is measured stands beside the
// heuristic's, and is for later runs that ask for it. Rank 0 alone writes.
#ifndef NMRT_GPU_CHOICE_H
#define NMRT_GPU_CHOICE_H

#include "runtime/gpu/api.h"
#include "runtime/status.h"

struct nmrt_device;

enum { NMRT_CHOICE_WORDS = 28 };

typedef struct nmrt_choice_key { // all that a choice depends on, but for the GPU and the library
    int64_t word[NMRT_CHOICE_WORDS];
} nmrt_choice_key;

typedef struct nmrt_choice {
    nmrt_choice_key key;
    bool measured; // of those that the heuristic names, the fastest; else the first
    cublasLtMatmulAlgo_t algo;
} nmrt_choice;

typedef struct nmrt_choices {
    int n, room, n_new; // those of later runs are new, too
    nmrt_choice *at;
    int n_later, room_later;
    nmrt_choice *later; // measured in this run
    bool writes;
    char name[64];   // of the file
    char title[256]; // its first line: what it is for
} nmrt_choices;

// Collective: where there are ranks, all call it. A file that is gone, broken or another GPU's is
// no failure.
nmrt_status nmrt_choices_open(struct nmrt_device *d, nmrt_choices *c, nmrt_error *e);
// The heuristic's, or what an earlier run has measured. NULL: there is none.
const nmrt_choice *nmrt_choices_find(const nmrt_choices *c, const nmrt_choice_key *key,
                                     bool measured);
// Of the heuristic.
void nmrt_choices_add(nmrt_choices *c, const nmrt_choice_key *key,
                      const cublasLtMatmulAlgo_t *algo);
// For later runs: this one does not find it.
void nmrt_choices_measured(nmrt_choices *c, const nmrt_choice_key *key,
                           const cublasLtMatmulAlgo_t *algo);
bool nmrt_choices_is_measured(const nmrt_choices *c, const nmrt_choice_key *key); // in this one
bool nmrt_choices_any_measured(const nmrt_choices *c); // in an earlier one
// What is new on rank 0 goes to the file, beside what others have written there meanwhile: of two
// that write at once, one is forgotten. NMRT_WORLD: it cannot be written, and why; the run is none
// the worse.
nmrt_status nmrt_choices_close(nmrt_choices *c, nmrt_error *e);

#endif
