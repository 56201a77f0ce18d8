// A JSON reader (RFC 8259) for files that may be damaged: it never reads beyond the text, never
// recurses, and reports the byte at which the text stops being JSON.
#ifndef NMRT_JSON_H
#define NMRT_JSON_H

#include "runtime/status.h"
#include "runtime/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
    NMRT_JSON_NULL,
    NMRT_JSON_FALSE,
    NMRT_JSON_TRUE,
    NMRT_JSON_NUMBER,
    NMRT_JSON_STRING,
    NMRT_JSON_ARRAY,
    NMRT_JSON_OBJECT,
} nmrt_json_kind;

typedef struct nmrt_json_node {
    nmrt_json_kind kind;
    const char *text,
        *key; // as in the source, strings without quotes and with escapes; key: of a member
    uint32_t n_text, n_key;
    int first, next; // the first child; the next sibling; -1: none
} nmrt_json_node;

typedef struct nmrt_json { // nodes in the order of the text; node 0 is the whole
    nmrt_json_node *node;  // points into the text, which must outlive it
    int n, cap;
} nmrt_json;

nmrt_status nmrt_json_parse(nmrt_json *doc, const char *text, size_t n, nmrt_error *e);
void nmrt_json_release(nmrt_json *doc);

// Is the member of this name, its escapes resolved?
bool nmrt_json_is_named(const nmrt_json_node *member, const char *key, size_t n);

// Each takes a node or -1 and answers -1 or false if it is not what was asked for. Of several
// members of one name the last counts, as in Python and JavaScript.
int nmrt_json_get(const nmrt_json *doc, int object, const char *key);
int nmrt_json_member(const nmrt_json *doc, int object, const char *key, size_t n); // of n bytes
bool nmrt_json_int(const nmrt_json *doc, int node,
                   int64_t *value); // whole numbers without exponent
bool nmrt_json_string(const nmrt_json *doc, int node, char *out, size_t cap);
bool nmrt_json_unquote(const char *text, size_t n, char *out,
                       size_t cap); // resolves escapes, adds a 0
// Appends the string to `out` with its escapes resolved, of any length, NULs and characters beyond
// U+FFFF, too. `text` as the reader gives it. False where an escape is none, or half of a pair.
bool nmrt_json_unescape(const char *text, size_t n, nmrt_text *out);
// for (int i = nmrt_json_first(doc, n); i >= 0; i = doc->node[i].next)
int nmrt_json_first(const nmrt_json *doc, int node);

#endif
