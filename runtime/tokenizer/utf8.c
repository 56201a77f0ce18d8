// UTF-8 by the table of well-formed byte sequences (Unicode Standard, table 3-7).
#include "runtime/tokenizer/utf8.h"

#include <string.h>

// How many bytes a character has that begins with c, and from what to what its second byte goes.
static int expect(unsigned char c, unsigned char *low, unsigned char *high)
{
    *low = 0x80, *high = 0xBF;
    if (c < 0x80)
        return 1;
    if (c < 0xC2 || c > 0xF4)
        return 0;
    if (c == 0xE0)
        *low = 0xA0; // else it were shorter
    if (c == 0xED)
        *high = 0x9F; // else a surrogate
    if (c == 0xF0)
        *low = 0x90;
    if (c == 0xF4)
        *high = 0x8F; // else beyond U+10FFFF
    return c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
}

int32_t nmrt_utf8_get(const char *text, size_t n, int *length)
{
    static const unsigned char first[5] = {0, 0x7F, 0x1F, 0x0F, 0x07}; // bits of the first byte
    const unsigned char *s = (const unsigned char *)text;
    unsigned char low, high;
    int bytes = expect(s[0], &low, &high);
    int32_t c = s[0] & first[bytes];
    *length = 1;
    for (; *length < bytes; ++*length) {
        if ((size_t)*length >= n || s[*length] < low || s[*length] > high)
            return -1;
        c = c << 6 | (s[*length] & 0x3F);
        low = 0x80, high = 0xBF;
    }
    return bytes ? c : -1;
}

int nmrt_utf8_put(char out[4], int32_t c)
{
    int bytes = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char first[5] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (int i = bytes - 1; i > 0; i--, c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3F));
    out[0] = (char)(first[bytes] | c);
    return bytes;
}

// The bytes from the beginning that are UTF-8.
static size_t whole_part(const char *text, size_t n)
{
    size_t at = 0;
    for (int length; at < n; at += (size_t)length) {
        uint64_t eight;
        length = 8;
        if (n - at >= 8 && (memcpy(&eight, text + at, 8), !(eight & 0x8080808080808080)))
            continue; // eight characters of ASCII
        if (nmrt_utf8_get(text + at, n - at, &length) < 0)
            break;
    }
    return at;
}

bool nmrt_utf8_is_whole(const char *text, size_t n) { return whole_part(text, n) == n; }

void nmrt_utf8_mend(nmrt_text *out, const char *text, size_t n)
{
    while (n) {
        int length = 0;
        size_t whole = whole_part(text, n);
        nmrt_text_add_bytes(out, text, whole);
        if (whole < n) {
            nmrt_utf8_get(text + whole, n - whole, &length);
            nmrt_text_add_bytes(out, "\xEF\xBF\xBD", 3);
        }
        text += whole + (size_t)length;
        n -= whole + (size_t)length;
    }
}
