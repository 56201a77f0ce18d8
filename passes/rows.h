// The rows of the pipeline: those of pipeline.def, and between them those of plug-ins.
#ifndef NM_PASSES_ROWS_H
#define NM_PASSES_ROWS_H

#include "base/list.h"
#include "passes/plugin.h"

typedef struct nm_row {
    nm_pass pass;
    const char *file;  // the plug-in that it is of; NULL: pipeline.def
    const char *after; // as the plug-in says
} nm_row;

enum { NM_MAX_ROWS = 64 };
typedef struct nm_rows {
    int n;
    nm_row row[NM_MAX_ROWS];
} nm_rows;

// In the order in which they run; the plug-ins have been checked (nm_rows_check).
nm_rows nm_rows_list(const nm_pipeline_opts *o);
const nm_row *nm_rows_find(const nm_rows *rows, nm_item name); // NULL: none
// The name that comes nearest, or NULL.
const char *nm_rows_nearest(const nm_rows *rows, const char *name);
// Has the plug-in that was loaded last a name of its own, a place, and there what it needs; do the
// others still have what they need? false: reported.
bool nm_rows_check(nm_diag *diag, const nm_pipeline_opts *o);

#endif
