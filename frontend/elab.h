// The elaborator: the syntax tree of a program to a module of whole-tensor functions, by partial
// evaluation. docs/architecture.md, "What the frontend gives", is its contract.
#ifndef NM_FRONTEND_ELAB_H
#define NM_FRONTEND_ELAB_H

#include "frontend/ast.h"

typedef struct nm_define { // -D d=512
    const char *name, *value;
} nm_define;

typedef struct nm_elab_opts {
    const char *preset; // NULL: none is chosen
    const char *entry;  // of the named train and infer entries, this one alone; NULL: all infer
                        // entries, and the train entry without a name
    bool all_entries;   // the others, too, as a check wants
    const nm_source *config; // a config.json that sizes are read from; NULL: none
    int n_defines;
    const nm_define *define;
} nm_elab_opts;

// Fill the module, which was empty, from the program: the dim, mesh, parameter and hyperparameter
// tables and the functions. false: at least one error was reported to m->diag, and the module is
// not to be used. Any program that nm_load gives is answered so, never by a crash.
bool nm_elaborate(nm_module *m, const nm_ast_program *prog, const nm_elab_opts *opts);

#endif
