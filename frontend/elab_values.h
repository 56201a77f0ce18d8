// Values and dims as the elaborator knows them. A *value* (nm_ev) is anything a name can mean: a
// number, a tuple, a list of dims, a function, a tensor. All but tensors are known when nemocc
// runs; a tensor is an IR value of the function being built and what only the frontend knows of it.
#ifndef NM_FRONTEND_ELAB_VALUES_H
#define NM_FRONTEND_ELAB_VALUES_H

#include "frontend/elab.h"

typedef struct nm_elab nm_elab;
typedef struct nm_ev nm_ev;
typedef struct nm_unit nm_unit;
typedef struct nm_inst nm_inst;
typedef struct nm_pvar nm_pvar;
typedef struct nm_frame nm_frame;
typedef struct nm_region nm_region;
typedef struct nm_builtin nm_builtin;

// --- values --------------------------------------------------------------------------------------

typedef enum {
    NM_EV_poison, // of an erroneous expression: causes no second message
    NM_EV_none,
    NM_EV_num,
    NM_EV_bool,
    NM_EV_word, // reflect: one of an op's own words
    NM_EV_string,
    NM_EV_tuple,
    NM_EV_extent, // a whole number that is known when the binary starts
    NM_EV_dims,   // heads hd
    NM_EV_fn,     // anything that can be called
    NM_EV_dist,   // normal(0, 0.02)
    NM_EV_tensor,
    NM_EV_inst, // decoder, decoder.q
    NM_EV_unit, // lm of `use llama3 as lm`
} nm_ev_kind;

typedef struct nm_edim {     // a dim as it stands in a program
    nm_sym name;             // in types
    const nm_extent *extent; // NULL: what the values in scope say, or not known
    bool written;            // the extent was written at this place: c=4
    bool ambiguous;          // the arguments disagree about the extent
    nm_loc loc;              // in the user's text
} nm_edim;

typedef struct nm_edims {
    int n;
    nm_edim *dim;
} nm_edims;

typedef struct nm_tensor {
    nm_value *v;
    nm_sym index_of; // its values are positions in this dim; NULL: plain
    bool weak;       // a number: takes the other operand's dtype
    bool is_arrow;
    nm_syms ins, outs; // of the arrow
    nm_pvar *param;    // it is this parameter or state itself
} nm_tensor;

typedef enum { NM_DIST_normal, NM_DIST_uniform, NM_DIST_bernoulli } nm_dist_kind;

typedef struct nm_callable { // one of these is set
    const nm_ast_def *def;
    const nm_ast_extern *ext;
    const nm_builtin *builtin;
    nm_inst *inst; // a label that is called again, or what an adapter wraps
    nm_unit *unit; // where def and ext were written
    bool is_cast;
    nm_dtype cast;
    int n_wraps; // inst, called by its n-th adapter from outside: those that are left
    bool wrapped;
} nm_callable;

struct nm_ev {
    nm_ev_kind kind;
    nm_loc loc;  // where the user's text says it
    nm_loc made; // where it was given its name
    nm_sym text; // as the user calls it, or NULL
    union {
        double num;
        bool b;
        nm_sym sym; // word, string
        struct {
            int n;
            nm_ev *item;
        } tuple;
        const nm_extent *extent;
        nm_edims dims;
        const nm_callable *fn;
        struct {
            nm_dist_kind kind;
            nm_ev *arg; // [2]
        } dist;
        const nm_tensor *t;
        nm_inst *inst;
        nm_unit *unit;
    } u;
};

// --- elab_values.c -------------------------------------------------------------------------------

nm_ev nm_ev_poison(void);
nm_ev nm_ev_none(void);
nm_ev nm_ev_num(double v);
nm_ev nm_ev_bool(bool b);
nm_ev nm_ev_word(nm_ev_kind kind, nm_sym s);
nm_ev nm_ev_tuple(nm_elab *e, int n, const nm_ev *item); // copies
nm_ev nm_ev_extent(nm_elab *e, const nm_extent *x);      // a number if it is constant
nm_ev nm_ev_dims(nm_elab *e, int n, const nm_edim *dim); // copies
nm_ev nm_ev_fn(nm_elab *e, nm_callable fn);
nm_ev nm_ev_tensor(nm_elab *e, nm_tensor t);
nm_ev nm_ev_value(nm_elab *e, nm_value *v);          // a plain tensor; NULL: poison
nm_ev nm_ev_like(nm_elab *e, nm_ev of, nm_value *v); // v with the arrow and index of `of`
bool nm_ev_same(nm_elab *e, nm_ev a, nm_ev b);       // compile-time equality
bool nm_ev_is_whole(nm_ev v, int64_t *i);
const char *nm_ev_describe(nm_elab *e, nm_ev v); // "real[batch, seq]", "12", "a function"
const char *nm_ev_name(nm_elab *e, nm_ev v, const char *otherwise);
const char *nm_tensor_str(nm_elab *e, const nm_tensor *t);
// A number that dims, an extent or a number stand for; else unchanged.
nm_ev nm_ev_number(nm_elab *e, nm_frame *f, nm_ev v);
bool nm_ev_is_number(nm_ev v); // a number, dims, an extent or a weak scalar
// A tensor of the number in the dtype; a tensor of that dtype as it is, cast if allowed.
nm_value *nm_ev_materialise(nm_elab *e, nm_ev v, nm_dtype dtype, nm_loc loc);
nm_syms nm_syms_of(nm_elab *e, nm_edims dims);
nm_syms nm_syms_copy(nm_elab *e, int n, const nm_sym *s);

// --- elab_dims.c ---------------------------------------------------------------------------------

nm_sym nm_dim_unprimed(nm_elab *e, nm_sym name, int *primes);
// What a name stands for as a dim or a list of dims; undeclared ones are dims, too.
nm_edims nm_dims_of_name(nm_elab *e, nm_frame *f, const nm_ast_name *name, nm_loc loc);
nm_edims nm_dims_of_names(nm_elab *e, nm_frame *f, const nm_ast_names *names);
// The same of a view: a name that is on the left, too, has the extent that comes out.
nm_edims nm_dims_right_of(nm_elab *e, nm_frame *f, const nm_ast_dims *dims, nm_edims left);
nm_edims nm_dims_right(nm_elab *e, nm_frame *f, const nm_ast_dims *dims); // of an arrow
nm_edims nm_dims_sized(nm_elab *e, nm_frame *f, const nm_ast_dim *d);     // c=4, or a list's name
bool nm_dim_single(nm_elab *e, nm_frame *f, nm_edims dims, nm_loc loc, nm_edim *out);
// The extent of a dim that is read; NULL: reported (dim-2, dim-4).
const nm_extent *nm_dim_extent(nm_elab *e, nm_frame *f, nm_edim d, nm_loc loc);
const nm_extent *nm_dim_known(nm_elab *e, nm_frame *f, nm_edim d); // the same, NULL without a word
bool nm_dims_has(nm_edims dims, nm_sym name);
nm_edims nm_dims_of_type(nm_elab *e, const nm_type *t, nm_loc loc);
const char *nm_dims_str(nm_elab *e, nm_edims dims);
// One number, as far as is known when nemocc runs. `dim` is whose extents they are.
bool nm_extents_agree(nm_elab *e, nm_sym dim, const nm_extent *a, const nm_extent *b);
bool nm_dim_must_have(nm_elab *e, nm_frame *f, nm_ev x, nm_edim d, nm_loc loc, const char *what);
// dim-1 for each of them
bool nm_dims_must_have(nm_elab *e, nm_frame *f, nm_ev x, nm_edims dims, nm_loc loc,
                       const char *what);
typedef struct nm_eshape { // dims of a declaration
    int rank, n_batch, n_ins;
    bool is_arrow;
    nm_edim dim[NM_MAX_RANK];
} nm_eshape;
bool nm_shape_read(nm_elab *e, nm_frame *f, const nm_ast_shape *shape, nm_eshape *out);
void nm_body_dims(nm_elab *e, nm_frame *f, const nm_ast_stmt *s);

#endif
