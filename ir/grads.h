// Reverse-mode gradients. grads.c: one rule a row of ops.def, each the op's vector-Jacobian
// product. grad_walk.c: which values a gradient has to reach, and the walk. grad_repeat.c: the rule
// of repeat. grad_attn.c: of attention. grad_save.c: what the backward turns of a repeat read from
// the forward ones.
#ifndef NM_IR_GRADS_H
#define NM_IR_GRADS_H

#include "ir/ir.h"

typedef struct nm_grad {
    nm_func *f; // new ops go to its end (or before `before`)
    nm_op *before;
    nm_value **adj; // by value id of the outermost function: the gradient so far, or NULL
    nm_value *(*of)(struct nm_grad *g,
                    nm_value *x); // x as the backward code may read it (saved, or itself)
    uint32_t n_ids;               // adj and active hold the ids below this
    const bool *active;           // by value id: may a gradient have to reach it?
    struct nm_saves
        *saves;  // of the body whose backward f is; NULL: f is the forward function itself
    bool failed; // an error has been reported
} nm_grad;

// --- for rules ---------------------------------------------------------------------------------

// The gradient of op's i-th result; NULL: nobody asked, it is zero.
nm_value *nm_grad_of(nm_grad *g, const nm_op *op, int i);
// Add dx to the gradient of x, an operand of op itself (not g->of's stand-in for it): what was
// broadcast is summed, the dtype and order become x's.
void nm_grad_into(nm_grad *g, const nm_op *op, nm_value *x, nm_value *dx);
// May a gradient have to reach x? Rules need not ask: nm_grad_into does, and dead code goes.
bool nm_grad_wants(const nm_grad *g, const nm_value *x);

// --- the walk ----------------------------------------------------------------------------------

// Mark the values of f up to `end` (NULL: all) that are computed, differentiably, from marked ones.
void nm_grad_mark(nm_func *f, const nm_op *end, bool *active);
// Warn of externs without a gradient between a marked value and the loss of a `grad` op.
void nm_grad_warn_cuts(const nm_op *grad, const bool *active);
// Apply the rules from `last` back to its function's first op. false: reported.
bool nm_grad_walk(nm_grad *g, nm_op *last);

// The values of a body, params first, then results in program order; and each one's number there.
typedef struct nm_value_list {
    int n;
    nm_value **v;
    int *number; // by id, less `low`
    uint32_t low;
} nm_value_list;
nm_value_list nm_grad_values(nm_func *body, nm_arena *arena);
static inline int nm_grad_number(const nm_value_list *l, const nm_value *v)
{
    return l->number[v->id - l->low];
}

// Which of a body's values to keep of each turn, so that every needed one is kept, or computed
// again from kept ones and from params that are not carried. need and save answer for all->v[i];
// save is zero on entry. `how` is none, selective or full.
void nm_grad_save(const nm_value_list *all, int n_carried, nm_recompute how, const bool *need,
                  bool *save);
// Does a repeat give its i-th result for its gradient alone?
bool nm_grad_is_kept(const nm_op *repeat, int i);
// Which values that takes: those that are needed, and, of what is not kept, the operands. seen is
// zero on entry.
void nm_grad_see(const nm_value_list *all, const bool *need, const bool *save, bool *seen);

// One rule an op, named after it; rows of ops.def choose which to use.
#define OP(id, ...) void nm_grad_##id(nm_grad *g, nm_op *op);
#include "ir/ops.def"
#undef OP

#endif
