// What an extern's declaration says, for those who build its op (elab_extern.c) and those who
// compare it with its C functions (check_extern.c).
#ifndef NM_FRONTEND_EXTERN_H
#define NM_FRONTEND_EXTERN_H

#include "frontend/ast.h"

// Its row of that label: host, cuda, grad, whole; NULL: it has none.
const nm_ast_row *nm_extern_row(const nm_ast_extern *ext, const char *label);
// The file that the row names, as the IR names it: beside the declaration's own, else one that
// nemocc carries, which the module then carries, too.
nm_sym nm_extern_path(nm_module *m, const nm_ast_extern *ext, const nm_ast_row *row);
// A plain number: an int, or a float. is_int may be NULL.
bool nm_extern_par_is_number(const nm_ast_par *par, bool *is_int);

#endif
