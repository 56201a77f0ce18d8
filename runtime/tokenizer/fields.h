// Members of a tokenizer.json's objects. Each fails with a sentence that names the member, where it
// is of another kind than it must be.
#ifndef NMRT_TOKENIZER_FIELDS_H
#define NMRT_TOKENIZER_FIELDS_H

#include "runtime/json.h"
#include "runtime/status.h"
#include "runtime/text.h"

// A member that is not there, or null.
bool nmrt_field_absent(const nm_json *doc, int object, const char *key);
// Appends the string of a node to `out`, and of a member that must be there.
nmrt_status nmrt_field_unescape(const nm_json *doc, int node, nmrt_text *out, nmrt_error *e);
nmrt_status nmrt_field_text(const nm_json *doc, int object, const char *key, nmrt_text *out,
                            nmrt_error *e);
// An absent member leaves *value as it is.
nmrt_status nmrt_field_bool(const nm_json *doc, int object, const char *key, bool *value,
                            nmrt_error *e);
nmrt_status nmrt_field_int(const nm_json *doc, int object, const char *key, int64_t *value,
                           nmrt_error *e);
bool nmrt_field_is(const nm_json *doc, int object, const char *key, const char *value);
// Of the objects that have a "type": it, for messages and comparisons.
typedef struct nmrt_type_name {
    char s[64];
} nmrt_type_name;
nmrt_type_name nmrt_field_type(const nm_json *doc, int object);

#endif
