// Weight maps, resolved: which tensor of a foreign checkpoint is which parameter of the module.
#ifndef NM_FRONTEND_WEIGHTS_H
#define NM_FRONTEND_WEIGHTS_H

#include "frontend/ast.h"

typedef struct nm_weight_tensor { // one tensor of the file, or one for each index of the {dims}
    nm_sym prefix;                // of all the scopes around: "model.layers.{layers}."
    const nm_ast_map *map;        // its names, codec and layout
    int n_params;
    const nm_param **param; // side by side, as map->part; NULL: the chosen preset has none such
} nm_weight_tensor;

typedef struct nm_weight_map { // weights hf { }
    const nm_ast_weights *ast;
    bool fits; // all parameters in its scope have their tensors; else the map is for other presets
    int n;
    nm_weight_tensor *tensor;
} nm_weight_map;

typedef struct nm_weight_maps {
    int n;
    nm_weight_map *map;
} nm_weight_maps;

// Resolve every `weights` of the program (what a file declares again replaces that of the file that
// it takes in) against the parameters of the elaborated module, by rules map-1 to map-4 and use-2.
// The result lives in m->arena. false: reported.
bool nm_weights_resolve(nm_module *m, const nm_ast_program *prog, nm_weight_maps *out);

#endif
