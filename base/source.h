// Sources and places in them.
#ifndef NM_BASE_SOURCE_H
#define NM_BASE_SOURCE_H

#include "base/arena.h"

#include <stdint.h>

struct nm_diag;

typedef struct nm_source { // one input file, kept whole
    const char *name;
    const char *text; // NUL-terminated, without a NUL inside; NULL: only its name is known
    size_t len;
} nm_source;

// A span; src == NULL means "no location". In a source without text (named by "at gpt2.nm:4:11" in
// IR text) `off` is the line and `len` the column.
typedef struct nm_loc {
    const nm_source *src;
    uint32_t off, len;
} nm_loc;

typedef struct nm_line_col {
    uint32_t line, col; // both from 1; col counts bytes
} nm_line_col;

enum { NM_MAX_SOURCE = 64 << 20 }; // bytes; offsets are 32 bits, and a model is a page

// The file at `path` ("-": standard input), in the arena. NULL: reported to diag (no such file, a
// folder, too long, a NUL byte in it).
const nm_source *nm_source_read(nm_arena *arena, struct nm_diag *diag, const char *path);
// The same checks for a text in memory, which is copied.
const nm_source *nm_source_text(nm_arena *arena, struct nm_diag *diag, const char *name,
                                const char *text, size_t len);
nm_line_col nm_loc_line_col(nm_loc loc);

#endif
