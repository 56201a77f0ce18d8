// The rows of a map's `config` and `export` blocks: their keys and conditions (elab_config_rows.c),
// their values here (elab_config.c), and read backwards, from a config.json to sizes
// (elab_config_read.c).
#ifndef NM_FRONTEND_ELAB_CONFIG_H
#define NM_FRONTEND_ELAB_CONFIG_H

#include "base/json.h"
#include "frontend/elab_internal.h"
#include "ir/weights.h"

typedef struct nm_condition { // an `if` around a row
    const nm_ast_expr *cond;
    bool is; // the row stands before its `else`
    const struct nm_condition *outer;
} nm_condition;

typedef struct nm_flat_row { // a row that says its whole key
    const nm_ast_config *ast;
    int n_keys;
    nm_sym *key; // rope_scaling.factor; the first is what an export writes
    const nm_condition *when;
    bool written; // of an export block
} nm_flat_row;

typedef struct nm_flat_rows {
    int n;
    nm_flat_row *row;
} nm_flat_rows;

// Of the blocks of a map, in the order of the text. May report [map-3].
nm_flat_rows nm_config_flat(nm_elab *e, const nm_ast_weights *w);
// The dim or const of the program that the row's value is, by name alone; NULL: it is none.
nm_item *nm_config_sets(nm_elab *e, const nm_flat_row *row);

typedef struct nm_config_value { // what a row says here, as JSON; "": nothing
    const char *value, *absent;
} nm_config_value;

const char *nm_config_quote(nm_elab *e, const char *s); // as JSON

// Of a flat row: is it as the file opts->config says (map-5)?
void nm_config_compare(nm_elab *e, const nm_flat_row *row, nm_config_value ours);

#endif
