// Numbers of the train block that a flag of the binary can change.
#ifndef NM_FRONTEND_ELAB_HYPER_H
#define NM_FRONTEND_ELAB_HYPER_H

#include "frontend/elab_internal.h"

enum { NM_MAX_OPT_PARS = 32 };

typedef struct nm_affine { // value + per_step * steps
    double value, per_step;
} nm_affine;

// The expression as a number in `steps`, the length of the run. false: it is no such number.
bool nm_elab_affine(nm_elab *e, nm_frame *f, const nm_ast_expr *x, nm_affine *out);
// A row of the table, found or made. The name is base, unless another value has it already: then
// with the entry's or the owner's name in front.
nm_sym nm_elab_hyper(nm_elab *e, const char *base, nm_sym owner, nm_affine value, nm_sym schedule,
                     nm_loc loc);
// An optimizer's argument: lr = cosine(...), betas = (0.9, 0.95), nesterov. What is a number
// becomes a scalar, anything else stays as it is.
nm_ev nm_hyper_argument(nm_elab *e, nm_frame *f, const nm_ast_expr *x, nm_sym name, nm_sym owner);
const nm_ast_arg *nm_argument_for(const nm_ast_expr *call, const nm_ast_pars *pars, int i);

#endif
