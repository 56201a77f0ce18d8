// A run of the interpreter: n ranks that evaluate one function together. Private to ir/.
#ifndef NM_IR_EVAL_RUN_H
#define NM_IR_EVAL_RUN_H

#include "ir/eval.h"

typedef struct nm_eval_run {
    nm_module *m;
    int64_t n;                // ranks
    const nm_eval_opts *opts; // [n], with one arena
    nm_tensor **val;          // [n][values of the outermost function], by id
    int calls;                // functions around this one
} nm_eval_run;

// All ops of f but ret, whose operands are then in run->val.
bool nm_eval_ops(nm_eval_run *run, nm_func *f);
// f for args[rank]; its results in results[rank].
bool nm_eval_func(nm_func *f, int64_t n, const nm_eval_opts *opts, int calls,
                  const nm_tensor *const *args, nm_tensor *const *results);

static inline int64_t nm_eval_ranks(const nm_eval_op *e) { return e->run ? e->run->n : 1; }
void nm_tensor_copy(nm_tensor *to, const nm_tensor *from); // the elements

#endif
