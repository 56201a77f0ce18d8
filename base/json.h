// The JSON reader of the compiler and of the runtime, for files that may be damaged: it never reads
// beyond the text and never recurses. What it reads is RFC 8259 and, as Python's json writes them,
// NaN, Infinity and -Infinity; an escape that is none, or half of a pair of surrogates, is not
// JSON, and neither is a text nested deeper than 64. Needs libc alone.
#ifndef NM_BASE_JSON_H
#define NM_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
    NM_JSON_NULL,
    NM_JSON_FALSE,
    NM_JSON_TRUE,
    NM_JSON_NUMBER,
    NM_JSON_STRING,
    NM_JSON_ARRAY,
    NM_JSON_OBJECT,
} nm_json_kind;

typedef struct nm_json_node {
    nm_json_kind kind;
    const char *text, // as in the source, with escapes; a string without its quotes
        *key;         // of a member, likewise; NULL: it is none
    uint32_t n_text, n_key;
    int first, next; // the first child; the next sibling; -1: none
} nm_json_node;

typedef struct nm_json { // nodes in the order of the text; node 0 is the whole
    nm_json_node *node;  // points into the text, which must outlive it
    int n, cap;
} nm_json;

typedef struct nm_json_error {
    const char *what; // NULL: no memory
    size_t at;        // the byte at which the text stops being JSON
} nm_json_error;

bool nm_json_parse(nm_json *doc, const char *text, size_t n, nm_json_error *e);
void nm_json_release(nm_json *doc);

// --- asking --------------------------------------------------------------------------------------

// Is this the member's name, its escapes resolved?
bool nm_json_is_named(const nm_json_node *member, const char *key, size_t n);

// Each takes a node or -1 and answers -1 or false if it is not what was asked for. Of several
// members of one name the last counts, as in Python and JavaScript.
int nm_json_get(const nm_json *doc, int object, const char *key);
int nm_json_member(const nm_json *doc, int object, const char *key, size_t n); // of n bytes
// for (int i = nm_json_first(doc, n); i >= 0; i = doc->node[i].next)
int nm_json_first(const nm_json *doc, int node);
bool nm_json_int(const nm_json *doc, int node, int64_t *value); // a whole number without exponent
bool nm_json_real(const nm_json *doc, int node, double *value); // any number, NaN, too
bool nm_json_string(const nm_json *doc, int node, char *out, size_t cap);
// Resolves escapes and adds a 0. False: it does not fit, or has a NUL; out is "" then, if cap > 0.
bool nm_json_unquote(const char *text, size_t n, char *out, size_t cap);
// Resolves escapes, NULs, too: out has n bytes, and gets *n_out. False: an escape is none.
bool nm_json_unescape(const char *text, size_t n, char *out, size_t *n_out);

// --- comparing -----------------------------------------------------------------------------------

// The node of "rope_scaling.factor"; -1: none, or null.
int nm_json_find(const nm_json *doc, const char *path);
// Does the node say what the JSON text `value` does? Numbers as doubles, and those that are not
// whole as floats, too: files are written from both. An object is the same as none.
bool nm_json_says(const nm_json *doc, int node, const char *value);

typedef struct nm_json_row { // of a config block (runtime/driver_abi.h: nmdrv_config_row)
    int64_t n_keys;
    const char *const *key;
    const char *value, *absent; // JSON; "": nothing
} nm_json_row;

// The first key of which the file says something else than the row, and its node there, -1 where
// it has none of them. NULL: it says the same.
const char *nm_json_differs(const nm_json *file, const nm_json_row *row, int *node);

// --- printing ------------------------------------------------------------------------------------

enum { NM_JSON_BRIEF = 160 };
// For messages: on one line, and cut where it is long.
void nm_json_brief(const nm_json *doc, int node, char out[NM_JSON_BRIEF]);

#endif
