// Escapes of JSON's strings, for the files of base/json.h.
#ifndef NM_BASE_JSON_STRING_H
#define NM_BASE_JSON_STRING_H

#include <stddef.h>

// The character of the escape at text[at], which is behind a backslash; *length: its bytes. -1: it
// is none.
int nm_json_escape(const char *text, size_t n, size_t at, size_t *length);

typedef struct nm_json_bytes { // of a string, its escapes resolved
    const char *text;
    size_t n, at;
    int i, n_bytes; // of the escape that is on its way
    char byte[4];
} nm_json_bytes;

int nm_json_byte(nm_json_bytes *b); // the next; -1: the end, or an escape that is none

#endif
