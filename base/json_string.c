// Strings of JSON, their escapes resolved: read byte by byte, copied, compared.
#include "base/json_string.h"

#include "base/json.h"

#include <string.h>

static int hex4(const char *s)
{
    int x = 0;
    for (int i = 0; i < 4; i++) {
        static const char digits[] = "0123456789abcdefABCDEF";
        const char *d = s[i] ? strchr(digits, s[i]) : NULL;
        if (!d)
            return -1;
        x = x * 16 + (int)(d - digits) - (d - digits < 16 ? 0 : 6);
    }
    return x;
}

int nm_json_escape(const char *text, size_t n, size_t at, size_t *length)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *simple = at < n && text[at] ? strchr(from, text[at]) : NULL;
    *length = 1;
    if (simple)
        return (unsigned char)to[simple - from];
    int c = n - at >= 5 && text[at] == 'u' ? hex4(text + at + 1) : -1;
    *length = 5;
    if (c < 0xD800 || c > 0xDFFF)
        return c;
    bool pair = c < 0xDC00 && n - at >= 11 && text[at + 5] == '\\' && text[at + 6] == 'u';
    int low = pair ? hex4(text + at + 7) : -1;
    *length = 11;
    return low >= 0xDC00 && low <= 0xDFFF ? 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00) : -1;
}

// Of a character up to U+10FFFF.
static size_t put_utf8(char *out, int c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xC0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c >= 0x10000) {
        out[0] = (char)(0xF0 | c >> 18);
        out[1] = (char)(0x80 | (c >> 12 & 0x3F));
        out[2] = (char)(0x80 | (c >> 6 & 0x3F));
        out[3] = (char)(0x80 | (c & 0x3F));
        return 4;
    }
    out[0] = (char)(0xE0 | c >> 12);
    out[1] = (char)(0x80 | (c >> 6 & 0x3F));
    out[2] = (char)(0x80 | (c & 0x3F));
    return 3;
}

int nm_json_byte(nm_json_bytes *b)
{
    if (b->i < b->n_bytes)
        return (unsigned char)b->byte[b->i++];
    if (b->at >= b->n)
        return -1;
    if (b->text[b->at] != '\\')
        return (unsigned char)b->text[b->at++];
    size_t length;
    int c = nm_json_escape(b->text, b->n, b->at + 1, &length);
    if (c < 0)
        return -1;
    b->at += 1 + length;
    b->n_bytes = (int)put_utf8(b->byte, c);
    b->i = 1;
    return (unsigned char)b->byte[0];
}

bool nm_json_unquote(const char *text, size_t n, char *out, size_t cap)
{
    nm_json_bytes b = {.text = text, .n = n};
    size_t k = 0;
    int c = 0;
    while (k < cap && (c = nm_json_byte(&b)) > 0)
        out[k++] = (char)c;
    if (k == cap || c == 0 || b.at < n) {
        if (cap)
            *out = 0;
        return false;
    }
    out[k] = 0;
    return true;
}

bool nm_json_unescape(const char *text, size_t n, char *out, size_t *n_out)
{
    *n_out = 0;
    for (size_t at = 0; at < n;) {
        const char *slash = memchr(text + at, '\\', n - at);
        size_t plain = slash ? (size_t)(slash - text) - at : n - at, length;
        memcpy(out + *n_out, text + at, plain);
        *n_out += plain;
        at += plain + 1;
        if (!slash)
            break;
        int c = nm_json_escape(text, n, at, &length);
        if (c < 0)
            return false;
        *n_out += put_utf8(out + *n_out, c);
        at += length;
    }
    return true;
}

bool nm_json_is_named(const nm_json_node *member, const char *key, size_t n)
{
    if (!memchr(member->key, '\\', member->n_key))
        return member->n_key == n && memcmp(member->key, key, n) == 0;
    nm_json_bytes b = {.text = member->key, .n = member->n_key};
    size_t i = 0;
    while (i < n && nm_json_byte(&b) == (unsigned char)key[i])
        i++;
    return i == n && nm_json_byte(&b) < 0;
}
