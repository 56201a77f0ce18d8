// JSON (base/json.h) with the errors and the texts of this room.
#ifndef NMRT_JSON_H
#define NMRT_JSON_H

#include "base/json.h"
#include "runtime/status.h"
#include "runtime/text.h"

nmrt_status nmrt_json_parse(nm_json *doc, const char *text, size_t n, nmrt_error *e);
// Appends the string to `out` with its escapes resolved, of any length, NULs, too. `text` as the
// reader gives it. False where an escape is none.
bool nmrt_json_unescape(const char *text, size_t n, nmrt_text *out);

#endif
