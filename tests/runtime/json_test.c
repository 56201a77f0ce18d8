// The JSON reader: what is JSON, what is not, and every way to cut or damage a text.
#include "runtime/json.h"

#include "tests/runtime/check.h"

#include <stdlib.h>
#include <string.h>

// On the heap and without an end mark, so that a sanitizer sees a read beyond it.
static nmrt_status parse(const char *text, size_t n, nmrt_json *doc, char **copy)
{
    nmrt_error e;
    *copy = malloc(n + !n);
    memcpy(*copy, text, n);
    return nmrt_json_parse(doc, *copy, n, &e);
}

static bool is_json(const char *text)
{
    nmrt_json doc;
    char *copy;
    bool ok = parse(text, strlen(text), &doc, &copy) == NMRT_OK;
    if (ok)
        nmrt_json_release(&doc);
    free(copy);
    return ok;
}

static void test_grammar(void)
{
    static const char *const good[] = {
        "0",
        "-1.5e+10",
        "\"\"",
        "[]",
        "{}",
        " [ 1 , 2 ] ",
        "{\"a\": {\"b\": [true, false, null]}}",
        "\"\\u00e9\\n\\\"\"",
    };
    static const char *const bad[] = {
        "",
        " ",
        "01",
        "1.",
        "-",
        "1e",
        "[1,]",
        "[1 2]",
        "{\"a\"}",
        "{\"a\": 1,}",
        "{a: 1}",
        "\"",
        "\"\\",
        "tru",
        "nul",
        "[",
        "]",
        "{",
        "1 1",
        "\"\n\"",
        "[1}",
        "{\"a\": 1]",
        "+1",
        ".5",
        "\"a\"b",
        "\"\\x\"",
        "\"\\ud83d\"",
        "\"\\\1\"",
        "\"\\u\x10\x10\x10\x10\"",
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        CHECK(is_json(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(!is_json(bad[i]));
}

static void test_values(void)
{
    const char *text = "{\"n\": -42, \"s\": \"a\\\"b\\u00e9\", \"list\": [1, 2, 3], \"x\": 1.5, "
                       "\"big\": 9223372036854775808, \"key\": 2, \"k\\u0065y\": 3}";
    nmrt_json doc;
    char *copy, s[16];
    int64_t n = 0;
    CHECK(parse(text, strlen(text), &doc, &copy) == NMRT_OK);
    CHECK(nmrt_json_int(&doc, nmrt_json_get(&doc, 0, "n"), &n) && n == -42);
    CHECK(!nmrt_json_int(&doc, nmrt_json_get(&doc, 0, "x"), &n));
    CHECK(!nmrt_json_int(&doc, nmrt_json_get(&doc, 0, "big"), &n));
    CHECK(!nmrt_json_int(&doc, nmrt_json_get(&doc, 0, "absent"), &n));
    CHECK(nmrt_json_string(&doc, nmrt_json_get(&doc, 0, "s"), s, sizeof s) &&
          strcmp(s, "a\"b\xc3\xa9") == 0);
    CHECK(!nmrt_json_string(&doc, nmrt_json_get(&doc, 0, "s"), s, 4));
    CHECK(nmrt_json_int(&doc, nmrt_json_get(&doc, 0, "key"), &n) && n == 3); // the last
    CHECK(nmrt_json_get(&doc, 0, "k\\u0065y") < 0);
    int64_t sum = 0;
    for (int i = nmrt_json_first(&doc, nmrt_json_get(&doc, 0, "list")); i >= 0;
         i = doc.node[i].next)
        sum += nmrt_json_int(&doc, i, &n) ? n : 0;
    CHECK(sum == 6);
    nmrt_json_release(&doc);
    free(copy);
}

static void test_depth(void)
{
    char text[4096];
    memset(text, '[', sizeof text);
    nmrt_json doc;
    nmrt_error e;
    CHECK(nmrt_json_parse(&doc, text, sizeof text, &e) == NMRT_CORRUPT);
}

static void test_damage(void)
{
    const char *text = "{\"a\": [1, \"x\\n\", {\"b\": null}], \"c\": -1.5e3}";
    size_t n = strlen(text);
    for (size_t i = 0; i < n; i++) {
        nmrt_json doc;
        char *copy;
        CHECK(parse(text, i, &doc, &copy) != NMRT_OK); // no prefix of an object is one
        free(copy);
        for (int bit = 0; bit < 8; bit++) {
            char changed[64];
            memcpy(changed, text, n);
            changed[i] ^= (char)(1 << bit);
            if (parse(changed, n, &doc, &copy) == NMRT_OK)
                nmrt_json_release(&doc);
            free(copy);
        }
    }
}

// What the text between quotes is, or NULL where an escape is wrong.
static bool unescapes(const char *text, const char *want, size_t n)
{
    size_t length = strlen(text);
    char *copy = malloc(length + 1); // without an end mark
    nmrt_text out = {0};
    memcpy(copy, text, length);
    bool ok = nmrt_json_unescape(copy, length, &out);
    bool same = want ? ok && out.n == n && (!n || memcmp(out.at, want, n) == 0) : !ok;
    nmrt_text_release(&out);
    free(copy);
    return same;
}

static void test_escapes(void)
{
    CHECK(unescapes("", "", 0));
    CHECK(unescapes("plain \xC3\xA9", "plain \xC3\xA9", 8));
    CHECK(unescapes("\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t", 8));
    CHECK(unescapes("a\\u0000b\\u00e9\\u20AC", "a\0b\xC3\xA9\xE2\x82\xAC", 8));
    CHECK(unescapes("\\ud83d\\ude00!", "\xF0\x9F\x98\x80!", 5));
    static const char *const wrong[] = {"\\",      "\\x",           "\\u12",      "\\u123g",
                                        "\\ud83d", "\\ud83dabcdef", "\\ud83d\\n", "\\ud83d\\u0041",
                                        "\\ude00", "\\ud83d\\ud83d"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        CHECK(unescapes(wrong[i], NULL, 0));
}

int main(void)
{
    test_grammar();
    test_escapes();
    test_values();
    test_depth();
    test_damage();
    return check_result();
}
