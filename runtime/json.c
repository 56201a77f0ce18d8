#include "runtime/json.h"

nmrt_status nmrt_json_parse(nm_json *doc, const char *text, size_t n, nmrt_error *e)
{
    nm_json_error why;
    if (nm_json_parse(doc, text, n, &why))
        return NMRT_OK;
    if (!why.what)
        return nmrt_fail(e, NMRT_WORLD, "no memory to read JSON");
    return nmrt_fail(e, NMRT_CORRUPT, "not JSON at byte %zu: %s", why.at, why.what);
}

bool nmrt_json_unescape(const char *text, size_t n, nmrt_text *out)
{
    size_t from = out->n, n_out;
    nmrt_text_add_bytes(out, text, n); // has the room, as no string is longer without its escapes
    if (out->failed)
        return true;
    bool right = nm_json_unescape(text, n, out->at + from, &n_out);
    out->n = from + n_out;
    out->at[out->n] = 0;
    return right;
}
