// What the files of weight maps share: weights.c (names), weights_layout.c (dims), weights_place.c
// (where elements lie), weights_fit.c (is it all there), weights_known.c (words of the program).
#ifndef NM_FRONTEND_WEIGHTS_INTERNAL_H
#define NM_FRONTEND_WEIGHTS_INTERNAL_H

#include "frontend/weights.h"

typedef struct nm_scope {  // what the blocks around a map entry say
    nm_sym path;           // "decoder.attn."; "" outside of all
    nm_sym prefix;         // of file names, the outer ones' included
    nm_loc loc;            // of its name, or of the map's head
    const nm_ast_use *use; // whose file the map is written in; NULL: the program's own
} nm_scope;

typedef struct nm_weights_ctx {
    nm_module *m;
    const nm_ast_program *prog;
    const nm_ast_weights *weights;
    nm_weights *out;       // its parts stand in the order of the map
    const nm_scope **home; // by parameter: the scope its tensor was named in; NULL: none
    int absent;            // parts that the chosen preset does not have
    bool ok;
} nm_weights_ctx;

// Could a preset of the program have a parameter by this path?
bool nm_weights_are_known(const nm_ast_program *prog, const char *path);
// The dim of p that `name` means: itself, or what a `use` has bound it to. NULL: p has none such.
nm_sym nm_weights_dim(const nm_weights_ctx *c, const nm_scope *s, const nm_param *p, nm_sym name);
// As it was declared: "[layers, d -> heads hd]".
const char *nm_weights_param_str(nm_module *m, const nm_param *p);
// map-2: the layout and the {} of the names have the dims of part k, each once.
bool nm_weights_check_layout(nm_weights_ctx *c, const nm_scope *s, const nm_ast_map *map, int k,
                             const nm_param *p);
// Where the elements of the entry's parts lie, whose layouts are right; param[k] is of
// map->part[k], none is NULL. Adds them to c->out. false: reported.
bool nm_weights_place(nm_weights_ctx *c, const nm_scope *s, const nm_ast_map *map,
                      const nm_param *const *param);
// Is this parameter one that the map has to name?
bool nm_weights_in_scope(const nm_weights_ctx *c, const nm_param *p);
// map-1: every parameter in scope has all of its elements in tensors, and no tensor serves twice.
// Puts parts into the order of parameters; or sets c->out->misfit. May report.
void nm_weights_check_fit(nm_weights_ctx *c);

#endif
