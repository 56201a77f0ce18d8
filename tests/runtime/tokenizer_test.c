// Tokenizers apart from the fixtures: UTF-8 and what is none, the byte tokenizer, text as ids come,
// regular expressions that are refused, files that are wrong, what begins and ends a text.
#include "runtime/tokenizer/kind.h"
#include "runtime/tokenizer/regex.h"
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

// --- regular expressions -------------------------------------------------------------------------

static bool translates(const char *pattern, const char *want)
{
    nmrt_text out = {0};
    nmrt_error e;
    bool ok = nmrt_regex_translate(&out, pattern, strlen(pattern), &e) == NMRT_OK;
    bool same = ok && strcmp(out.at, want) == 0;
    nmrt_text_release(&out);
    return same;
}

static bool is_refused(const char *pattern)
{
    nmrt_regex *re;
    nmrt_error e;
    nmrt_status status = nmrt_regex_open(&re, pattern, strlen(pattern), &e);
    nmrt_regex_close(re);
    return status == NMRT_FOREIGN && strstr(e.text, pattern);
}

static void test_dialect(void)
{
    CHECK(translates("a|[^\\s\\p{L}]+(?!\\S)", "a|[^\\p{wspace}\\p{L}]+(?!\\P{wspace})"));
    CHECK(translates("\\p{N}{1,3}x{,2}{", "\\p{N}{1,3}x{0,2}\\{"));
    CHECK(translates("(?i:'s)(?m:.)\\u4e16", "(?i:'s)(?s:.)\\x{4e16}"));
    CHECK(translates("[\\h\\]][]a]", "[0-9A-Fa-f\\]][]a]"));
    static const char *const refused[] = {"[a[bc]]", "[[:alpha:]]", "[a&&b]", "a{2}+",
                                          "a{2}?",   "a(?i)b",      "\\xff",  "\\ca",
                                          "[\\W]",   "(*FAIL)",     "(",      "\\"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (!is_refused(refused[i])) {
            fprintf(stderr, "not refused: %s\n", refused[i]);
            check_failures++;
        }
}

// A long run that one alternative gives back, and an expression that never ends.
static void test_long_matches(void)
{
    enum { LONG = 1 << 20 };
    nmrt_regex *re;
    nmrt_error e;
    nmrt_span match = {0};
    bool found = false;
    char *spaces = malloc(LONG + 1);
    nmrt_regex_scratch *s = nmrt_regex_scratch_new();
    memset(spaces, ' ', LONG);
    spaces[LONG] = 'x';
    CHECK(nmrt_regex_open(&re, "\\s+(?!\\S)|x", 11, &e) == NMRT_OK);
    CHECK(nmrt_regex_find(re, s, spaces, LONG + 1, 0, &match, &found, &e) == NMRT_OK && found);
    CHECK(match.from == 0 && match.to == LONG - 1);
    nmrt_regex_close(re);
    CHECK(nmrt_regex_open(&re, "(( +)+)+[yz]", 12, &e) == NMRT_OK);
    CHECK(nmrt_regex_find(re, s, spaces, 5000, 0, &match, &found, &e) == NMRT_FOREIGN);
    CHECK(strstr(e.text, "gave up at byte 0 of 5000"));
    nmrt_regex_close(re);
    nmrt_regex_scratch_free(s);
    free(spaces);
}

// --- files ---------------------------------------------------------------------------------------

#define MODEL                                                                                      \
    "\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 1, \"ab\": 2}, \"merges\": [\"a " \
    "b\"]}"

static void test_wrong_files(void)
{
    static const struct {
        const char *file, *why;
    } wrong[] = {
        {"{}", "model: it is no tokenizer.json"},
        {"[1", "not JSON at byte 2"},
        {"{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": -1}, \"merges\": []}}",
         "has the id -1"},
        {"{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 99999999}, \"merges\": []}}",
         "has the id 99999999"},
        {"{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0}, \"merges\": [\"a b\"]}}",
         "of merge 0 the pieces"},
        {"{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0}, \"merges\": [\"a\"]}}",
         "merge 0 is not two pieces"},
        {"{\"model\": {\"type\": \"BPE\", \"dropout\": 0.1, \"vocab\": {}, \"merges\": []}}",
         "dropout"},
        {"{" MODEL ", \"normalizer\": {\"type\": \"BertNormalizer\"}}",
         "normalizer: normalizers of the type BertNormalizer are not supported"},
        {"{" MODEL ", \"pre_tokenizer\": {\"type\": \"UnicodeScripts\"}}",
         "pre_tokenizer: pre-tokenizers of the type UnicodeScripts are not supported"},
        {"{" MODEL ", \"decoder\": {\"type\": \"CTC\"}}", "decoder: decoders of the type CTC"},
        {"{" MODEL ", \"post_processor\": {\"type\": \"RobertaProcessing\", \"cls\": [\"a\", 3], "
         "\"sep\": [\"a\", 0]}}",
         "no token has the id 3"},
        {"{" MODEL ", \"truncation\": {\"max_length\": 5}}", "it has truncation"},
        {"{" MODEL ", \"added_tokens\": [{\"id\": 3}]}", "added_tokens: content is not a string"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        nmrt_tokenizer *t;
        nmrt_error e = {0};
        nmrt_status status =
            nmrt_json_tokenizer_make(&t, wrong[i].file, strlen(wrong[i].file), "T", &e);
        CHECK(status != NMRT_OK && !t && strncmp(e.text, "T: ", 3) == 0);
        if (!strstr(e.text, wrong[i].why)) {
            fprintf(stderr, "not told: %s, but: %s\n", wrong[i].why, e.text);
            check_failures++;
        }
        nmrt_tokenizer_close(t);
    }
}

static void write_file(const char *folder, const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    CHECK(f && fputs(text, f) >= 0);
    if (f)
        fclose(f);
}

typedef struct beside { // what lies beside a tokenizer.json; NULL: no such file
    const char *config, *map, *generation, *sizes;
} beside;

// A folder's tokenizer with these files beside it: what ends a text?
static void check_ends(beside files, int64_t eos)
{
    char folder[] = "/tmp/tokenizer_test-XXXXXX", command[128];
    nmrt_tokenizer *t;
    nmrt_error e;
    CHECK(mkdtemp(folder));
    write_file(folder, "tokenizer.json",
               "{" MODEL
               ", \"added_tokens\": [{\"id\": 3, \"content\": \"<s>\", \"special\": true}, "
               "{\"id\": 4, \"content\": \"<|endoftext|>\", \"special\": true}]}");
    if (files.config)
        write_file(folder, "tokenizer_config.json", files.config);
    if (files.map)
        write_file(folder, "special_tokens_map.json", files.map);
    if (files.generation)
        write_file(folder, "generation_config.json", files.generation);
    if (files.sizes)
        write_file(folder, "config.json", files.sizes);
    CHECK(nmrt_tokenizer_open(&t, folder, &e) == NMRT_OK);
    if (t) {
        CHECK(nmrt_tokenizer_size(t) == 5 && nmrt_tokenizer_id(t, "<s>") == 3);
        CHECK(nmrt_tokenizer_eos(t) == eos && nmrt_tokenizer_ends(t, eos));
        CHECK(nmrt_tokenizer_ends(t, 1) == (eos == 1 || files.generation != NULL));
        CHECK(!nmrt_tokenizer_ends(t, -1));
    }
    nmrt_tokenizer_close(t);
    snprintf(command, sizeof command, "rm -r %s", folder);
    CHECK(system(command) == 0);
}

static void test_ends(void)
{
    static const char *const says_nothing = "{\"model_max_length\": 8}",
                             *const says_ab = "{\"eos_token\": \"ab\"}",
                             *const says_s = "{\"eos_token\": {\"content\": \"<s>\"}}",
                             *const says_none_such = "{\"eos_token\": \"none such\"}",
                             *const says_1 = "{\"eos_token_id\": 1}",
                             *const says_7_1 = "{\"eos_token_id\": [7, 1]}";
    check_ends((beside){0}, 4); // by its usual name
    check_ends((beside){.config = says_nothing}, 4);
    check_ends((beside){.config = says_ab, .map = says_s}, 2);
    check_ends((beside){.config = says_nothing, .map = says_s}, 3);
    check_ends((beside){.config = "{\"eos_token\": null}", .map = says_ab}, 2);
    check_ends((beside){.config = says_s, .generation = says_1}, 3);
    check_ends((beside){.config = says_none_such, .generation = says_7_1}, 1);
    check_ends((beside){.config = says_nothing, .sizes = says_1}, 1);
    check_ends((beside){.map = says_ab, .sizes = says_1}, 2);
}

int main(void)
{
    test_dialect();
    test_long_matches();
    test_wrong_files();
    test_ends();
    test_mend();
    test_every_character();
    test_bytes();
    test_paths();
    test_decoder();
    return check_result();
}
