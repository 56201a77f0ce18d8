// The syntax tree (ast.h) of a `weights` block: the layouts of a foreign checkpoint's tensors, and
// what the rows of a config.json mean.
#ifndef NM_FRONTEND_AST_WEIGHTS_H
#define NM_FRONTEND_AST_WEIGHTS_H

#include "frontend/ast_stmt.h"

typedef struct nm_ast_file nm_ast_file;

typedef struct nm_ast_lay nm_ast_lay;

typedef struct nm_ast_term { // heads, 3, (ff 2): one thing in a place of a layout
    nm_loc loc;
    nm_ast_name name; // n == 0: a number or a group
    int64_t number;   // 0: a name or a group
    nm_ast_lay *group;
} nm_ast_term;

typedef struct nm_ast_terms { // heads hd: merged, in this order
    nm_loc loc;
    int n;
    nm_ast_term *term;
} nm_ast_terms;

struct nm_ast_lay { // heads hd | kv hd: one place of the file's tensor, parts side by side
    nm_loc loc;
    int n;
    nm_ast_terms *part;
};

typedef struct nm_ast_part { // decoder.q.w[seq = 0], convs.0.w: one parameter, or a part of it
    nm_loc loc;
    nm_sym path; // dots included
    int n_views;
    nm_ast_view *view;
} nm_ast_part;

typedef enum { NM_CONFIG_row, NM_CONFIG_object, NM_CONFIG_if } nm_ast_config_kind;

typedef struct nm_ast_config nm_ast_config;

typedef struct nm_ast_configs { // rows between braces
    int n;
    nm_ast_config *row;
} nm_ast_configs;

struct nm_ast_config { // rope_theta | rope_parameters.rope_theta: theta = 10000.0
    nm_loc loc;
    nm_ast_config_kind kind;
    nm_ast_names keys;           // row, object: its spellings
    nm_ast_expr *value, *absent; // row; absent: what a file says that lacks it, or NULL
    nm_ast_expr *cond;           // if
    nm_ast_configs rows, other;  // object, if; if: those of `else`
};

typedef enum {
    NM_MAP_config, // config { hidden_size: d }, export { ... }
    NM_MAP_use,    // use lm.hf "language_model."
    NM_MAP_scope,  // decoder = "model.layers.{layers}." { ... }
    NM_MAP_tensor, // q.w | k.w = codec("a", "b") [heads hd | kv hd, d]
} nm_ast_map_kind;

typedef struct nm_ast_map {
    nm_loc loc;
    nm_ast_map_kind kind;
    nm_ast_word word;      // config: config or export; tensor: the codec, sym NULL: none
    nm_ast_configs config; // config
    nm_ast_name used;      // use: lm.hf
    int n_parts;
    nm_ast_part *part;  // scope, tensor
    nm_ast_words names; // strings; use, scope: one; tensor: one, or the codec's
    nm_loc layout_loc;  // tensor: of the brackets; len 0: no layout
    int n_lays;
    nm_ast_lay *lay; // tensor
    int n_maps;
    struct nm_ast_map *map; // scope
} nm_ast_map;

typedef struct nm_ast_weights {
    nm_loc loc; // the head
    nm_ast_word name;
    nm_ast_paths on; // n == 0: all parameters
    int n_maps;
    nm_ast_map *map;
    nm_ast_file *file;
} nm_ast_weights;

#endif
