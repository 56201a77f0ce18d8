// The JSON reader: what is JSON, what is not, and every way to cut or damage a text.
#include "runtime/json.h"

#include "tests/runtime/check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// On the heap and without an end mark, so that a sanitizer sees a read beyond it.
static nmrt_status parse(const char *text, size_t n, nm_json *doc, char **copy)
{
    nmrt_error e;
    *copy = malloc(n + !n);
    memcpy(*copy, text, n);
    return nmrt_json_parse(doc, *copy, n, &e);
}

static bool is_json(const char *text)
{
    nm_json doc;
    char *copy;
    bool ok = parse(text, strlen(text), &doc, &copy) == NMRT_OK;
    if (ok)
        nm_json_release(&doc);
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
        "[NaN, Infinity, -Infinity]",
    };
    static const char *const bad[] = {
        "",          " ",           "01",       "1.",
        "-",         "1e",          "[1,]",     "[1 2]",
        "{\"a\"}",   "{\"a\": 1,}", "{a: 1}",   "\"",
        "\"\\",      "tru",         "nul",      "[",
        "]",         "{",           "1 1",      "\"\n\"",
        "[1}",       "{\"a\": 1]",  "+1",       ".5",
        "\"a\"b",    "\"\\x\"",     "-NaN",     "Infinit",
        "+Infinity", "\"\\ud83d\"", "\"\\\1\"", "\"\\u\x10\x10\x10\x10\"",
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        CHECK(is_json(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(!is_json(bad[i]));
}

static void test_values(void)
{
    const char *text =
        "{\"n\": -42, \"s\": \"a\\\"b\\u00e9\", \"list\": [1, 2, 3], \"x\": 1.5, "
        "\"big\": 9223372036854775808, \"key\": 2, \"k\\u0065y\": 3, \"nan\": NaN, "
        "\"long\": 10000000000000000000000000000000000000000000000000000000000000000e-69}";
    nm_json doc;
    char *copy, s[16];
    int64_t n = 0;
    CHECK(parse(text, strlen(text), &doc, &copy) == NMRT_OK);
    CHECK(nm_json_int(&doc, nm_json_get(&doc, 0, "n"), &n) && n == -42);
    CHECK(!nm_json_int(&doc, nm_json_get(&doc, 0, "x"), &n));
    CHECK(!nm_json_int(&doc, nm_json_get(&doc, 0, "big"), &n));
    CHECK(!nm_json_int(&doc, nm_json_get(&doc, 0, "absent"), &n));
    CHECK(nm_json_string(&doc, nm_json_get(&doc, 0, "s"), s, sizeof s) &&
          strcmp(s, "a\"b\xc3\xa9") == 0);
    CHECK(!nm_json_string(&doc, nm_json_get(&doc, 0, "s"), s, 4) && !*s); // cut short: nothing
    CHECK(nm_json_int(&doc, nm_json_get(&doc, 0, "key"), &n) && n == 3);  // the last
    CHECK(nm_json_get(&doc, 0, "k\\u0065y") < 0);
    double real;
    CHECK(nm_json_real(&doc, nm_json_get(&doc, 0, "long"), &real) && real == 1e-5);
    CHECK(!nm_json_real(&doc, nm_json_get(&doc, 0, "s"), &real));
    CHECK(!nm_json_int(&doc, nm_json_get(&doc, 0, "nan"), &n));
    CHECK(nm_json_real(&doc, nm_json_get(&doc, 0, "nan"), &real) && isnan(real));
    CHECK(nm_json_says(&doc, nm_json_get(&doc, 0, "s"), "\"\\u0061\\\"b\xc3\xa9\""));
    CHECK(!nm_json_says(&doc, nm_json_get(&doc, 0, "s"), "\"a\\\"\""));
    int64_t sum = 0;
    for (int i = nm_json_first(&doc, nm_json_get(&doc, 0, "list")); i >= 0; i = doc.node[i].next)
        sum += nm_json_int(&doc, i, &n) ? n : 0;
    CHECK(sum == 6);
    nm_json_release(&doc);
    free(copy);
}

static bool is_brief(const char *text, const char *want)
{
    nm_json doc;
    nmrt_error e;
    char brief[NM_JSON_BRIEF];
    CHECK(nmrt_json_parse(&doc, text, strlen(text), &e) == NMRT_OK);
    nm_json_brief(&doc, 0, brief);
    nm_json_release(&doc);
    return strncmp(brief, want, strlen(want)) == 0 && strlen(brief) < sizeof brief;
}

static void test_brief(void)
{
    CHECK(is_brief("\"a b\"", "\"a b\""));
    CHECK(is_brief("{\"a,\\\" b\":\n [1,\t{}]}", "{\"a,\\\" b\": [1, {}]}"));
    char text[400];
    for (size_t n = NM_JSON_BRIEF - 8; n < NM_JSON_BRIEF + 8; n++) {
        snprintf(text, sizeof text, "[%0*d]", (int)n, 0);
        memset(text + 1, ' ', n - 1);
        CHECK(is_brief(text, "[0]"));
        memset(text + 1, '1', n);
        CHECK(is_brief(text, "[1111"));
    }
}

static void test_depth(void)
{
    char text[4096];
    memset(text, '[', sizeof text);
    nm_json doc;
    nmrt_error e;
    CHECK(nmrt_json_parse(&doc, text, sizeof text, &e) == NMRT_CORRUPT);
}

static void test_damage(void)
{
    const char *text = "{\"a\": [1, \"x\\n\", {\"b\": null}], \"c\": -1.5e3}";
    size_t n = strlen(text);
    for (size_t i = 0; i < n; i++) {
        nm_json doc;
        char *copy;
        CHECK(parse(text, i, &doc, &copy) != NMRT_OK); // no prefix of an object is one
        free(copy);
        for (int bit = 0; bit < 8; bit++) {
            char changed[64];
            memcpy(changed, text, n);
            changed[i] ^= (char)(1 << bit);
            if (parse(changed, n, &doc, &copy) == NMRT_OK)
                nm_json_release(&doc);
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
    test_brief();
    test_depth();
    test_damage();
    return check_result();
}
