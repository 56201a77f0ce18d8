// What Unicode says of characters, by utf8proc's tables.
#include "runtime/tokenizer/unicode.h"

#include "runtime/tokenizer/utf8.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

static bool has_category(int32_t c, unsigned categories)
{
    return categories >> utf8proc_category(c) & 1;
}

#define OF(category) (1u << UTF8PROC_CATEGORY_##category)

bool nmrt_is_white_space(int32_t c)
{
    if (c < 0x80)
        return c == ' ' || (c >= 9 && c <= 13);
    return c == 0x85 || has_category(c, OF(ZS) | OF(ZL) | OF(ZP));
}

bool nmrt_is_number(int32_t c) { return has_category(c, OF(ND) | OF(NL) | OF(NO)); }

bool nmrt_is_punctuation(int32_t c)
{
    if (c < 0x80)
        return c > ' ' && c < 0x7F && !(c >= '0' && c <= '9') &&
               !((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
    return has_category(c, OF(PC) | OF(PD) | OF(PS) | OF(PE) | OF(PI) | OF(PF) | OF(PO));
}

bool nmrt_is_mark(int32_t c) { return has_category(c, OF(MN) | OF(MC) | OF(ME)); }

// Alphabetic is L*, Nl and Other_Alphabetic: marks, and letters in circles and squares.
bool nmrt_is_word(int32_t c)
{
    bool enclosed = (c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) ||
                    (c >= 0x1F150 && c <= 0x1F169) || (c >= 0x1F170 && c <= 0x1F189);
    bool joins = c == 0x200C || c == 0x200D;
    return enclosed || joins || nmrt_is_mark(c) ||
           has_category(c, OF(LU) | OF(LL) | OF(LT) | OF(LM) | OF(LO) | OF(NL) | OF(ND) | OF(PC));
}

static bool is_ascii(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (text[i] & 0x80)
            return false;
    return true;
}

nmrt_status nmrt_normal_form_add(nmrt_text *out, const char *text, size_t n, nmrt_normal_form form,
                                 nmrt_error *e)
{
    static const utf8proc_option_t option[] = {
        [NMRT_NFC] = UTF8PROC_STABLE | UTF8PROC_COMPOSE,
        [NMRT_NFD] = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE,
        [NMRT_NFKC] = UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT,
        [NMRT_NFKD] = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT,
    };
    if (is_ascii(text, n)) {
        nmrt_text_add_bytes(out, text, n);
        return NMRT_OK;
    }
    utf8proc_uint8_t *normal = NULL;
    utf8proc_ssize_t length =
        utf8proc_map((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)n, &normal, option[form]);
    if (length < 0)
        return nmrt_fail(e, NMRT_WORLD,
                         "a text of %zu bytes cannot be brought to a normal form: %s", n,
                         utf8proc_errmsg(length));
    nmrt_text_add_bytes(out, normal, (size_t)length);
    free(normal);
    return NMRT_OK;
}

void nmrt_lower_add(nmrt_text *out, const char *text, size_t n)
{
    for (size_t at = 0; at < n;) {
        int length;
        int32_t c = nmrt_utf8_get(text + at, n - at, &length);
        char s[4];
        if (c == 0x130) // the one character whose lower case is two
            nmrt_text_add_bytes(out, "i\xCC\x87", 3);
        else
            nmrt_text_add_bytes(out, s, (size_t)nmrt_utf8_put(s, utf8proc_tolower(c)));
        at += (size_t)length;
    }
}

size_t nmrt_cluster(const char *text, size_t n)
{
    int length;
    utf8proc_int32_t state = 0;
    int32_t c = nmrt_utf8_get(text, n, &length);
    size_t at = (size_t)length;
    while (at < n) {
        int32_t next = nmrt_utf8_get(text + at, n - at, &length);
        if (utf8proc_grapheme_break_stateful(c, next, &state))
            break;
        at += (size_t)length;
        c = next;
    }
    return at;
}
