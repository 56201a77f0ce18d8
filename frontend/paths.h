// Path patterns: decoder.{q, k}.w, **.lora.**, up.0.**, against dotted paths of parameters and
// instances. `*` is one step, `**` any number of steps (none, too), {a, b} a choice.
#ifndef NM_FRONTEND_PATHS_H
#define NM_FRONTEND_PATHS_H

#include "frontend/ast.h"

// Does the whole of `path` match? The turns of decoder[layers = 0..4] are not looked at.
bool nm_path_match(const nm_ast_path *pattern, const char *path);
bool nm_paths_match(const nm_ast_paths *patterns, const char *path); // one of them; n == 0: all

// The pattern as text: "decoder.{q, k}.w".
const char *nm_path_text(nm_module *m, const nm_ast_path *pattern);

// What to say of a pattern that matches none of the n paths (train-2, adapt-1): "near: decoder.q.w,
// and 'layers' is a dim, not a step of the path"; "" if there is nothing to say. is_dim tells
// whether a name is a dim; it may be NULL.
const char *nm_path_near(nm_module *m, const nm_ast_path *pattern, int n, const nm_sym *path,
                         bool (*is_dim)(void *user, nm_sym name), void *user);

#endif
