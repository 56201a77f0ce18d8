// The built-ins: what a row of the table in elab_builtin.c is, and the functions that rows name.
#ifndef NM_FRONTEND_ELAB_BUILTIN_H
#define NM_FRONTEND_ELAB_BUILTIN_H

#include "frontend/elab_internal.h"

typedef struct nm_bcall nm_bcall;

struct nm_builtin {
    const char *name;
    const char *pars; // "x, over: dims, t -> ts, pad = ?": as in a def; ? marks what may be absent
    nm_ev (*run)(nm_elab *e, nm_bcall *c);
    int arg; // for rows that share `run`: the opcode, the distribution
};
enum { NM_BUILTIN_MAX = 16 };
struct nm_bcall { // one call of a built-in
    nm_frame *f;
    const nm_builtin *b;
    nm_loc loc;              // of the callee's name
    nm_loc whole;            // of the call
    nm_ev v[NM_BUILTIN_MAX]; // by parameter; an arrow is a tuple of two lists of dims
    bool given[NM_BUILTIN_MAX];
};

// false: reported (num-1).
bool nm_bcall_is_tensor(nm_elab *e, nm_bcall *c, int i);

nm_ev nm_builtin_map(nm_elab *e, nm_bcall *c);
nm_ev nm_builtin_extreme(nm_elab *e, nm_bcall *c);
nm_ev nm_builtin_where(nm_elab *e, nm_bcall *c);
nm_ev nm_builtin_cast(nm_elab *e, nm_bcall *c);
nm_ev nm_builtin_reduce(nm_elab *e, nm_bcall *c);
nm_ev nm_builtin_cumsum(nm_elab *e, nm_bcall *c);
nm_ev nm_builtin_dot(nm_elab *e, nm_bcall *c);
nm_ev nm_builtin_concat(nm_elab *e, nm_bcall *c);
nm_ev nm_builtin_pad(nm_elab *e, nm_bcall *c);
nm_ev nm_builtin_index(nm_elab *e, nm_bcall *c);
nm_ev nm_builtin_index_in(nm_elab *e, nm_bcall *c);
nm_ev nm_builtin_size(nm_elab *e, nm_bcall *c);
nm_ev nm_builtin_size_in(nm_elab *e, nm_bcall *c);
nm_ev nm_builtin_shape(nm_elab *e, nm_bcall *c);
nm_ev nm_builtin_rest(nm_elab *e, nm_bcall *c);
nm_ev nm_builtin_side(nm_elab *e, nm_bcall *c);
nm_ev nm_builtin_decays(nm_elab *e, nm_bcall *c);
nm_ev nm_builtin_len(nm_elab *e, nm_bcall *c);
nm_ev nm_builtin_zip(nm_elab *e, nm_bcall *c);
nm_ev nm_builtin_dist(nm_elab *e, nm_bcall *c);
nm_ev nm_builtin_top_k(nm_elab *e, nm_bcall *c);
nm_ev nm_builtin_windows(nm_elab *e, nm_bcall *c);
nm_ev nm_builtin_overlap_add(nm_elab *e, nm_bcall *c);
nm_ev nm_builtin_attention(nm_elab *e, nm_bcall *c);
nm_ev nm_builtin_dispatch(nm_elab *e, nm_bcall *c);
nm_ev nm_builtin_combine(nm_elab *e, nm_bcall *c);

#endif
