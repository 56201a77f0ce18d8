// JSON (RFC 8259) as a tree, for the config.json of a foreign checkpoint: small, trusted by nobody.
// As Python's json does it reads NaN, Infinity and -Infinity, and the last of equal keys counts.
#ifndef NM_BASE_JSON_H
#define NM_BASE_JSON_H

#include "base/source.h"

#include <stdbool.h>

typedef enum {
    NM_JSON_null,
    NM_JSON_bool,
    NM_JSON_number,
    NM_JSON_string,
    NM_JSON_array,
    NM_JSON_object,
} nm_json_kind;

typedef struct nm_json {
    nm_json_kind kind;
    nm_loc loc;      // of the value
    const char *key; // of a member; NULL: none
    bool b;
    double number;
    bool real;          // a number that is written with a point even if it is whole
    const char *string; // unescaped
    struct nm_json *first, *next;
} nm_json;

// The whole text. In the arena; NULL: reported.
nm_json *nm_json_parse(nm_arena *arena, struct nm_diag *diag, const nm_source *src);
// The member of this path ("rope_scaling.factor"); NULL: none, or null.
const nm_json *nm_json_find(const nm_json *object, const char *path);
// Do they say the same? Numbers as doubles, and those that are not whole as floats, too: files are
// written from both.
bool nm_json_same(const nm_json *a, const nm_json *b);
// On one line; a NULL is "".
const char *nm_json_text(nm_arena *arena, const nm_json *j);

#endif
