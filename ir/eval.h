// The interpreter: the oracle that every pass and every kernel is tested against. It evaluates any
// function, before or after any pass, slowly and obviously, in double.
#ifndef NM_IR_EVAL_H
#define NM_IR_EVAL_H

#include "ir/ir.h"

typedef struct nm_tensor { // row-major in the order of type's dims
    const nm_type *type;
    int64_t extent[NM_MAX_RANK]; // resolved: of this call
    int64_t n;                   // elements
    double *data;                // bools are 0 and 1; ints are exact up to 2^53
} nm_tensor;

typedef struct nm_eval_sym { // a run-time dim in this call; the driver's nmdrv_sym
    nm_sym name;
    int64_t size, offset,
        total;          // indices of this call, the global index of the first, of the whole
    int64_t half, jump; // the global index of i is offset + i + (i >= half ? jump : 0)
} nm_eval_sym;
static inline nm_eval_sym nm_eval_sym_of(nm_sym name, int64_t size, int64_t offset, int64_t total)
{
    return (nm_eval_sym){.name = name, .size = size, .offset = offset, .total = total};
}

typedef struct nm_eval_opts {
    nm_arena *arena; // results live here
    bool f64;        // floats are not rounded to their dtypes
    int n_syms;
    const nm_eval_sym *sym;
    const struct nm_eval_mesh *mesh; // ir/eval_mesh.h: types have axes; NULL: one rank
    int64_t rank;                    // in it
    // Sees every result of every op but ret, also in bodies; NULL: nobody does.
    void (*watch)(void *watcher, const nm_value *v, int64_t rank, const nm_tensor *t);
    void *watcher;
} nm_eval_opts;

// The results of f (as many as its ret has operands) for these arguments (as many as it has
// parameters; of its types, in their order). False: reported to the module's diag, at the op: an op
// without a meaning (grad, extern), an unknown size, a tensor too large.
bool nm_eval(nm_func *f, const nm_eval_opts *opts, const nm_tensor *args, nm_tensor *results);
// opts->arena is also scratch: it is not the module's own.
// A tensor of the type (of its part of it, for a rank of a mesh) with resolved extents and zeros;
// false: reported at loc.
bool nm_tensor_new(nm_module *m, nm_loc loc, const nm_eval_opts *opts, const nm_type *type,
                   nm_tensor *out);
// Zeros in the order of `type`, which has t's dims, with t's extents.
nm_tensor nm_tensor_like(nm_arena *arena, const nm_tensor *t, const nm_type *type);
// Fills `to` with what `from` holds, whose dims are the same in any order; `outside` where one of
// `to`'s is longer.
void nm_tensor_reorder(const nm_tensor *from, nm_tensor *to, double outside);
// The symbol in opts; NULL: its size is not given.
const nm_eval_sym *nm_eval_find_sym(const nm_eval_opts *opts, nm_sym name);
double nm_round_to(nm_dtype dtype, double value); // to nearest even; e4m3 saturates
double nm_largest_of(nm_dtype dtype);             // of e4m3 and e5m2: the largest finite number
double nm_floor_pow2(double value);               // the meaning of the op
// What numbers are multiplied with to be rounded to e4m3 or e5m2, if |a| is `amax` at most, or the
// floor: below it they are too small to train with, and products of two scales stay normal numbers.
#define NM_QDQ_FLOOR 0x1p-40
double nm_qdq_scale(nm_dtype to, double amax);

// --- for the rules of ops ------------------------------------------------------------------------

typedef struct nm_eval_op { // one op's call
    nm_op *op;
    nm_module *m;
    const nm_eval_opts *opts;
    const nm_tensor **in;
    nm_tensor *out;          // zeros of the result types; rounded to their dtypes afterwards
    bool failed;             // reported
    struct nm_eval_run *run; // ir/eval_run.h; may be NULL for an op of one rank
} nm_eval_op;

// Ops with bodies, calls and collectives are evaluated by all ranks at once: their rules take an
// array, one for each rank; failed is set in the first.

void nm_eval_const(nm_eval_op *e);
void nm_eval_size(nm_eval_op *e);
void nm_eval_offset(nm_eval_op *e);
void nm_eval_collective(nm_eval_op *e);
void nm_eval_nothing(nm_eval_op *e); // of wait: here, everything is complete at once
void nm_eval_index(nm_eval_op *e);
void nm_eval_random(nm_eval_op *e);
void nm_eval_map(nm_eval_op *e);
void nm_eval_sum(nm_eval_op *e);
void nm_eval_max(nm_eval_op *e);
void nm_eval_cumsum(nm_eval_op *e);
void nm_eval_top_k(nm_eval_op *e);
void nm_eval_dot(nm_eval_op *e);
void nm_eval_view(nm_eval_op *e);
void nm_eval_scatter_add(nm_eval_op *e);
void nm_eval_overlap_add(nm_eval_op *e);
void nm_eval_update(nm_eval_op *e);
void nm_eval_qdq(nm_eval_op *e);
void nm_eval_attention(nm_eval_op *e);
void nm_eval_attention_grad(nm_eval_op *e);
void nm_eval_dispatch(nm_eval_op *e);
void nm_eval_combine(nm_eval_op *e);
void nm_eval_repeat(nm_eval_op *e);
void nm_eval_call(nm_eval_op *e);
void nm_eval_group(nm_eval_op *e);
void nm_eval_extern(nm_eval_op *e);

#endif
