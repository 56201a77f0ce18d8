// Private to head_chunks: the ops of a function between a head's product and what it gives.
#ifndef NM_PASSES_HEAD_REGION_H
#define NM_PASSES_HEAD_REGION_H

#include "ir/ir.h"

// What an op is to the region.
typedef enum {
    NM_HEAD_outside,
    NM_HEAD_inside, // of it: computed by chunks, and nowhere else
    NM_HEAD_copied, // a cheap op in front of it, done again for each chunk
} nm_head_role;

typedef struct nm_head {
    nm_func *f;
    nm_op *dot;      // the head's product
    int n_tokens;    // its run-time dims,
    nm_dim token[4]; // in its order
    int n_wide;      // the dims that it has of its weights
    nm_sym wide[NM_MAX_RANK];
    nm_op *first, *last; // of the ops inside
    uint32_t n_values;   // that the function had: what came later is outside
    nm_head_role *role;  // by the id of an op's first result
    bool *after;         // by value id: computed from what the region computes, or in it
    const nm_op *miss;   // why it is none: this op,
    const char *why;     // and the reason; NULL: it is one
} nm_head;

enum { NM_HEAD_MAX_TOKENS = sizeof((nm_head *)0)->token / sizeof(nm_dim), NM_HEAD_WIDER = 4 };

// Is the op a product that may be a head's: run-time dims of one operand, and from the other, which
// has none, more than NM_HEAD_WIDER times as many elements as it sums over?
bool nm_head_is_product(nm_op *op);
// The region of such a product; `why` is set where it cannot be computed by chunks of tokens. In
// the arena.
nm_head nm_head_find(nm_op *dot, nm_arena *arena);

bool nm_head_has_tokens(const nm_head *h, const nm_type *t); // all of them
bool nm_head_has_any(const nm_head *h, const nm_type *t);    // one at least
nm_head_role nm_head_role_of(const nm_head *h, const nm_op *op);
// Does the op, of the region, sum over the tokens?
bool nm_head_is_sum(const nm_head *h, const nm_op *op);
// acc + sum, where nobody else reads the sum and acc is a parameter: the add; else NULL.
nm_op *nm_head_accumulation(const nm_op *sum);

// --- passes/head_remarks.c: what is said to who asked, before anything is cut ----------------

void nm_head_remark(const nm_head *h);
void nm_head_remark_none(nm_op *op); // which is no head's product

#endif
