// Weight maps, resolved: which tensor of a foreign checkpoint is which parameter of the module.
#ifndef NM_FRONTEND_WEIGHTS_H
#define NM_FRONTEND_WEIGHTS_H

#include "frontend/ast.h"
#include "ir/weights.h"

// The maps of a program: the file's own, then those of files that it takes in and that it does not
// declare again. In m->arena, a NULL at the end.
const nm_ast_weights **nm_weights_list(nm_module *m, const nm_ast_program *prog);

// Fill in the parts of m->weights, one row for each map of the list (nm_elaborate has made them),
// against the parameters of the elaborated module, by rules map-1 to map-4 and use-2. A map that is
// for other presets has a misfit and no parts. false: reported.
bool nm_weights_resolve(nm_module *m, const nm_ast_program *prog);

#endif
