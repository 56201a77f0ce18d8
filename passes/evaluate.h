// What the functions of a module compute, held against what they computed before a pass, by the
// interpreter: --evaluate-each. Small sizes only: a function of a preset in earnest is left out.
#ifndef NM_PASSES_EVALUATE_H
#define NM_PASSES_EVALUATE_H

#include "ir/ir.h"

typedef struct nm_evaluation nm_evaluation;

typedef enum {
    NM_NUMBERS_exact,   // in f64, nothing is rounded: formulas agree to 1e-9
    NM_NUMBERS_rounded, // each result of an op to its dtype: what a pass rounds otherwise shows
} nm_numbers;

typedef struct nm_agreement { // of functions, after a pass
    int changed, same; // compute what they computed before; the text of `same` is what it was
    int gone, added;   // they were there before, or are there now, alone
    int left_out;      // too large, or with an op that has no meaning (grad)
} nm_agreement;

// Evaluate every function of m for fixed pseudo-random arguments, on one rank with small run-time
// dims.
nm_evaluation *nm_evaluation_new(nm_module *m, nm_numbers numbers);
void nm_evaluation_free(nm_evaluation *e); // may be NULL
// Evaluate m again with the same arguments, found by what they are bound to, and keep that as the
// evaluation. Functions are the same by name, results by what they are bound to; dims may have
// another order. False: some result differs, reported at its function, "after `pass`".
bool nm_evaluation_renew(nm_module *m, nm_evaluation *e, const char *pass, nm_agreement *a);

#endif
