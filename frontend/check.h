// Checks of a program that need no types: run after the elaborator, which knows the parameters.
#ifndef NM_FRONTEND_CHECK_H
#define NM_FRONTEND_CHECK_H

#include "frontend/ast.h"

// mesh-4: the row pp lists dims of repeats. false: reported.
bool nm_check_mesh(nm_module *m, const nm_ast_program *prog);
// ext-2: the C prototypes of externs. false: reported.
bool nm_check_externs(nm_module *m, const nm_ast_program *prog);

#endif
