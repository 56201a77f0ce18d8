// The library does not look for the longest text of the table, as SentencePiece does: it asks for
// each grapheme cluster of less than six bytes, else for each character, and of what the table has
// takes the shortest text that it begins with for all of it (src/normalizers/precompiled.rs of
// huggingface/tokenizers, and its crate spm_precompiled).
#include "runtime/tokenizer/precompiled.h"

#include "runtime/tokenizer/charsmap.h"
#include "runtime/tokenizer/fields.h"
#include "runtime/tokenizer/utf8.h"

#include <stdlib.h>
#include <string.h>

enum { CLUSTER_BYTES = 6 }; // longer ones are taken apart

// --- reading -------------------------------------------------------------------------------------

static int base64_digit(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *d = c ? strchr(digits, c) : NULL;
    return d ? (int)(d - digits) : -1;
}

// In place (RFC 4648), what has no padding, too. false: it is none.
static bool decode_base64(nmrt_text *t)
{
    size_t n = t->n, to = 0;
    unsigned bits = 0, held = 0;
    while (n && t->at[n - 1] == '=')
        n--;
    for (size_t i = 0; i < n; i++) {
        int digit = base64_digit(t->at[i]);
        if (digit < 0)
            return false;
        bits = (bits << 6 | (unsigned)digit) & 0xFFFF;
        held += 6;
        if (held >= 8)
            t->at[to++] = (char)(bits >> (held -= 8) & 0xFF);
    }
    t->n = to;
    return n % 4 != 1;
}

nmrt_status nmrt_precompiled_read(nmrt_normal_step *s, const nm_json *doc, int node, nmrt_error *e)
{
    nmrt_text blob = {0};
    nmrt_status status = nmrt_field_text(doc, node, "precompiled_charsmap", &blob, e);
    if (status == NMRT_OK && !decode_base64(&blob))
        status = nmrt_fail(e, NMRT_CORRUPT, "precompiled_charsmap is not base64");
    s->own = calloc(1, sizeof(nmrt_charsmap));
    if (status == NMRT_OK && !s->own)
        status = nmrt_fail(e, NMRT_WORLD, "no memory for precompiled_charsmap");
    if (status == NMRT_OK)
        status = nmrt_charsmap_open(s->own, blob.at, blob.n, e);
    nmrt_text_release(&blob);
    return status;
}

void nmrt_precompiled_release(nmrt_normal_step *s)
{
    if (s->own)
        nmrt_charsmap_release(s->own);
    free(s->own);
}

// --- applying ------------------------------------------------------------------------------------

// false: the table does not know it. It knows no text with a 0.
static bool add_known(const nmrt_charsmap *map, const char *text, size_t n, nmrt_text *out)
{
    const char *zero = memchr(text, 0, n);
    nmrt_charsmap_match match = nmrt_charsmap_shortest(map, text, zero ? (size_t)(zero - text) : n);
    if (!match.n)
        return false;
    nmrt_text_add_bytes(out, match.to, strlen(match.to));
    return true;
}

static void add_characters(const nmrt_charsmap *map, const char *text, size_t n, nmrt_text *out)
{
    for (size_t at = 0; at < n;) {
        int length;
        nmrt_utf8_get(text + at, n - at, &length);
        if (!add_known(map, text + at, (size_t)length, out))
            nmrt_text_add_bytes(out, text + at, (size_t)length);
        at += (size_t)length;
    }
}

nmrt_status nmrt_precompiled_apply(const nmrt_normal_step *s, nmrt_regex_scratch *regex,
                                   nmrt_normal_text *text, nmrt_text *out, nmrt_error *e)
{
    (void)regex, (void)e;
    for (size_t at = 0, n; at < text->n; at += n) {
        n = nmrt_cluster(text->at + at, text->n - at);
        if (n >= CLUSTER_BYTES || !add_known(s->own, text->at + at, n, out))
            add_characters(s->own, text->at + at, n, out);
    }
    return NMRT_OK;
}
