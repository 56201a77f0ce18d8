// Tokenizers apart from their files: UTF-8 and what is none, the byte tokenizer, text as ids come.
#include "runtime/tokenizer/tokenizer.h"
#include "runtime/tokenizer/utf8.h"

#include "tests/runtime/check.h"

#include <stdlib.h>
#include <string.h>

// What the bytes are mended to is `want`.
static bool mends(const char *bytes, size_t n, const char *want)
{
    char *copy = malloc(n + !n); // without an end mark, so that a sanitizer sees a read beyond it
    nmrt_text out = {0};
    memcpy(copy, bytes, n);
    nmrt_utf8_mend(&out, copy, n);
    bool same = out.n == strlen(want) && (!out.n || memcmp(out.at, want, out.n) == 0);
    CHECK(nmrt_utf8_is_whole(copy, n) == (out.n == n && (!n || memcmp(out.at, copy, n) == 0)));
    nmrt_text_release(&out);
    free(copy);
    return same;
}

#define MENDS(bytes, want) CHECK(mends(bytes, sizeof bytes - 1, want))
#define BAD                "\xEF\xBF\xBD" // U+FFFD

// As the Unicode Standard's tables 3-8 to 3-11 have it, and Python's errors="replace".
static void test_mend(void)
{
    MENDS("", "");
    MENDS("plain, and longer than eight", "plain, and longer than eight");
    MENDS("caf\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80", "caf\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80");
    MENDS("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41", BAD BAD BAD BAD BAD BAD BAD BAD "A");
    MENDS("\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41", BAD BAD BAD BAD BAD BAD BAD BAD "A");
    MENDS("\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42", BAD BAD BAD BAD BAD "A" BAD BAD "B");
    MENDS("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41", BAD BAD BAD BAD "A");
    MENDS("abc\xE2\x82", "abc" BAD); // cut at the end
    MENDS("abcdefg\xF0", "abcdefg" BAD);
}

static void test_every_character(void)
{
    for (int32_t c = 0; c <= 0x10FFFF; c++) {
        char s[4];
        int length, n = nmrt_utf8_put(s, c);
        int32_t back = nmrt_utf8_get(s, (size_t)n, &length);
        if (c >= 0xD800 && c < 0xE000)
            CHECK(back == -1);
        else if (back != c || length != n)
            CHECK(!"a character reads back");
    }
}

static void test_bytes(void)
{
    nmrt_tokenizer *t;
    nmrt_encoder *enc;
    nmrt_error e;
    nmrt_ids ids = {0};
    nmrt_text text = {0};
    CHECK(nmrt_tokenizer_open(&t, "bytes", &e) == NMRT_OK);
    CHECK(nmrt_tokenizer_size(t) == 256 && nmrt_tokenizer_eos(t) == -1);
    CHECK(nmrt_tokenizer_id(t, "A") == 65 && nmrt_tokenizer_id(t, "AB") == -1);
    CHECK(nmrt_encoder_open(&enc, t, &e) == NMRT_OK);
    CHECK(nmrt_encode(enc, "a\0\xFF", 3, true, &ids, &e) == NMRT_OK);
    CHECK(ids.n == 3 && ids.at[0] == 'a' && ids.at[1] == 0 && ids.at[2] == 255);
    nmrt_ids_add(&ids, 256); // no byte
    CHECK(nmrt_decode(t, ids.at, (int64_t)ids.n, true, &text, &e) == NMRT_OK);
    CHECK(text.n == 3 && memcmp(text.at, "a\0\xFF", 3) == 0);
    nmrt_text_release(&text);
    nmrt_ids_release(&ids);
    nmrt_encoder_close(enc);
    nmrt_tokenizer_close(t);
}

static void test_paths(void)
{
    nmrt_tokenizer *t;
    nmrt_error e;
    CHECK(nmrt_tokenizer_open(&t, "tests/runtime", &e) == NMRT_WORLD && !t);
    CHECK(strstr(e.text, "has neither tokenizer.json nor tokenizer.model"));
    CHECK(nmrt_tokenizer_open(&t, "corpus.txt", &e) == NMRT_USAGE && !t);
    CHECK(strstr(e.text, "corpus.txt: no tokenizer has such a name"));
}

// Given out are whole texts of ids, one at a time.
static void test_decoder(void)
{
    nmrt_tokenizer *t;
    nmrt_error e;
    nmrt_text out = {0};
    CHECK(nmrt_tokenizer_open(&t, "bytes", &e) == NMRT_OK);
    nmrt_decoder d = {.t = t};
    for (int i = 0; i < 100; i++) {
        CHECK(nmrt_decoder_add(&d, 'a' + i % 26, &out, &e) == NMRT_OK);
        CHECK(out.n == (size_t)i + 1 && d.window.n == 1);
    }
    CHECK(strncmp(out.at, "abcdefghijklmnopqrstuvwxyzabc", 29) == 0);
    CHECK(nmrt_decoder_finish(&d, &out, &e) == NMRT_OK && out.n == 100);
    nmrt_decoder_release(&d);
    nmrt_text_release(&out);
    nmrt_tokenizer_close(t);
}

int main(void)
{
    test_mend();
    test_every_character();
    test_bytes();
    test_paths();
    test_decoder();
    return check_result();
}
