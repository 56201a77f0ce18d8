// Units: files, and what the names of their top level mean; elab_units.c says how one is made.
#ifndef NM_FRONTEND_ELAB_UNITS_H
#define NM_FRONTEND_ELAB_UNITS_H

#include "frontend/elab_values.h"

typedef struct nm_setting { // a size or constant given from outside: -D, preset, use
    nm_sym name;
    nm_loc loc;
    const nm_ast_expr *expr; // NULL: value
    nm_ev value;
    nm_unit *unit; // that expr is read in
    struct nm_setting *next;
} nm_setting;

typedef enum { NM_ITEM_dim, NM_ITEM_const, NM_ITEM_def, NM_ITEM_extern, NM_ITEM_unit } nm_item_kind;

typedef struct nm_item { // what a file-level name means
    nm_item_kind kind;
    nm_sym name;
    nm_loc loc;
    const nm_ast_dimdecl *dim;
    const nm_ast_setting *constant;
    const nm_ast_def *def;
    const nm_ast_extern *ext;
    nm_unit *unit;
    int state;   // 0: not read yet, 1: being read, 2: read
    nm_ev value; // of a dim or const, once read
    struct nm_item *next;
} nm_item;

struct nm_unit {
    nm_sym as;     // lm; NULL: the program itself, std
    nm_sym prefix; // "lm." or ""
    const nm_ast_file *file;
    nm_sym preset;
    nm_item *item; // newest first: what a file declares again replaces it
    nm_setting *defines, *config_settings, *preset_settings, *use_settings;
    nm_frame *frame; // for reading file-level expressions
    nm_unit *next;
};

// --- elab_units.c, elab_items.c ------------------------------------------------------------------

bool nm_units_load(nm_elab *e);                // the units of the program, presets and -D applied
nm_item *nm_unit_own(nm_unit *u, nm_sym name); // NULL: none
nm_item *nm_unit_find(nm_elab *e, nm_unit *u, nm_sym name);       // its own, then std's
const char *nm_unit_presets(nm_elab *e, const nm_ast_file *file); // "8b, 70b"
nm_ev nm_item_value(nm_elab *e, nm_item *item, nm_frame *f, nm_loc loc);
nm_sym nm_unit_dim_name(nm_elab *e, nm_unit *u, nm_sym name); // in types: with its prefix

#endif
