// The alphabet of byte-level BPE. Bytes that are printable in Latin-1 are themselves; the others,
// in their order, are U+0100 and on.
#include "runtime/tokenizer/byte_level.h"

#include "runtime/tokenizer/utf8.h"

static bool is_itself(int c)
{
    return (c >= '!' && c <= '~') || (c >= 0xA1 && c <= 0xFF && c != 0xAD);
}

// The bytes that are not themselves are 0..0x20, 0x7F..0xA0 and 0xAD.
int32_t nmrt_byte_level_character(unsigned char b)
{
    if (is_itself(b))
        return b;
    return 0x100 + (b <= 0x20 ? b : b == 0xAD ? 0x43 : b - 0x7F + 0x21);
}

int nmrt_byte_level_byte(int32_t c)
{
    if (c >= 0 && c < 0x100)
        return is_itself(c) ? (int)c : -1;
    if (c < 0 || c >= NMRT_BYTE_LEVEL_END)
        return -1;
    c -= 0x100;
    return c <= 0x20 ? c : c == 0x43 ? 0xAD : c + 0x7F - 0x21;
}

void nmrt_byte_level_add(nmrt_text *out, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char s[4];
        nmrt_text_add_bytes(
            out, s, (size_t)nmrt_utf8_put(s, nmrt_byte_level_character((unsigned char)bytes[i])));
    }
}
