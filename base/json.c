// A recursive descent over a text that ends with a 0; nesting is bounded.
#include "base/json.h"

#include "base/diag.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 64 };

typedef struct reader {
    nm_arena *arena;
    nm_diag *diag;
    const nm_source *src;
    const char *at;
    int depth;
} reader;

static nm_loc span(const reader *r, const char *from)
{
    return (nm_loc){r->src, (uint32_t)(from - r->src->text), (uint32_t)(r->at - from)};
}

static bool broken(reader *r, const char *what)
{
    nm_loc here = {r->src, (uint32_t)(r->at - r->src->text), 1};
    return nm_error(r->diag, here, "this is not JSON: %s", what);
}

static void skip_space(reader *r) { r->at += strspn(r->at, " \t\r\n"); }

static bool take(reader *r, const char *word)
{
    size_t n = strlen(word);
    if (strncmp(r->at, word, n) != 0)
        return false;
    r->at += n;
    return true;
}

// --- strings -------------------------------------------------------------------------------------

static bool read_hex(reader *r, unsigned *out)
{
    *out = 0;
    for (int i = 0; i < 4; i++, r->at++) {
        char c = *r->at;
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
                         : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A' + 10)
                                                : 16;
        if (digit == 16)
            return broken(r, "\\u takes four hexadecimal digits");
        *out = *out * 16 + digit;
    }
    return true;
}

static char *put_utf8(char *out, unsigned c)
{
    if (c < 0x80) {
        *out++ = (char)c;
    } else if (c < 0x800) {
        *out++ = (char)(0xc0 | c >> 6);
        *out++ = (char)(0x80 | (c & 63));
    } else if (c < 0x10000) {
        *out++ = (char)(0xe0 | c >> 12);
        *out++ = (char)(0x80 | (c >> 6 & 63));
        *out++ = (char)(0x80 | (c & 63));
    } else {
        *out++ = (char)(0xf0 | c >> 18);
        *out++ = (char)(0x80 | (c >> 12 & 63));
        *out++ = (char)(0x80 | (c >> 6 & 63));
        *out++ = (char)(0x80 | (c & 63));
    }
    return out;
}

// Behind "\u": one code point, of two of these where it has to be.
static bool read_code_point(reader *r, char **out)
{
    unsigned c, low;
    if (!read_hex(r, &c))
        return false;
    if (c >= 0xd800 && c < 0xdc00) {
        if (!take(r, "\\u"))
            return broken(r, "half of a surrogate pair");
        if (!read_hex(r, &low))
            return false;
        if (low < 0xdc00 || low > 0xdfff)
            return broken(r, "half of a surrogate pair");
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    } else if (c >= 0xdc00 && c <= 0xdfff) {
        return broken(r, "half of a surrogate pair");
    }
    if (!c)
        return broken(r, "a string has a NUL");
    *out = put_utf8(*out, c);
    return true;
}

static bool read_escape(reader *r, char **out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *which = *r->at ? strchr(from, *r->at) : NULL;
    if (take(r, "u"))
        return read_code_point(r, out);
    if (!which)
        return broken(r, "no such escape");
    *(*out)++ = to[which - from];
    r->at++;
    return true;
}

static bool read_string(reader *r, const char **string)
{
    if (!take(r, "\""))
        return broken(r, "expected a string");
    size_t most = 0; // a unescaped string is no longer
    while (r->at[most] && r->at[most] != '"')
        most += r->at[most] == '\\' && r->at[most + 1] ? 2 : 1;
    char *out = nm_arena_alloc(r->arena, most + 1);
    *string = out;
    while (*r->at != '"') {
        if ((unsigned char)*r->at < 0x20)
            return broken(r, *r->at ? "a string has a control character" : "a string does not end");
        if (take(r, "\\")) {
            if (!read_escape(r, &out))
                return false;
        } else {
            *out++ = *r->at++;
        }
    }
    *out = 0;
    r->at++;
    return true;
}

// --- numbers -------------------------------------------------------------------------------------

static size_t digits(const char *at) { return strspn(at, "0123456789"); }

// How long a number is; 0: it is none.
static size_t number_length(const char *text, bool *real)
{
    size_t n = *text == '-', whole = digits(text + n), more;
    if (!whole || (whole > 1 && text[n] == '0'))
        return 0;
    n += whole;
    *real = text[n] == '.' || text[n] == 'e' || text[n] == 'E';
    if (text[n] == '.') {
        more = digits(text + n + 1);
        if (!more)
            return 0;
        n += 1 + more;
    }
    if (text[n] == 'e' || text[n] == 'E') {
        size_t sign = text[n + 1] == '+' || text[n + 1] == '-';
        more = digits(text + n + 1 + sign);
        if (!more)
            return 0;
        n += 1 + sign + more;
    }
    return n;
}

static bool read_number(reader *r, nm_json *j)
{
    size_t n = number_length(r->at, &j->real);
    if (!n)
        return broken(r, "expected a value");
    j->kind = NM_JSON_number;
    j->number = strtod(r->at, NULL);
    r->at += n;
    return true;
}

// --- values --------------------------------------------------------------------------------------

static bool read_value(reader *r, nm_json *j);

static bool read_member(reader *r, nm_json *j)
{
    if (!read_string(r, &j->key))
        return false;
    skip_space(r);
    if (!take(r, ":"))
        return broken(r, "expected ':'");
    skip_space(r);
    return read_value(r, j);
}

// Behind the bracket that opens them.
static bool read_children(reader *r, nm_json *j, const char *close)
{
    nm_json **end = &j->first;
    if (++r->depth > MAX_DEPTH)
        return broken(r, "it nests too deep");
    skip_space(r);
    while (!take(r, close)) {
        if (j->first && !take(r, ","))
            return broken(r, "expected ',' or the closing bracket");
        skip_space(r);
        *end = nm_new(r->arena, nm_json);
        if (!(j->kind == NM_JSON_object ? read_member(r, *end) : read_value(r, *end)))
            return false;
        end = &(*end)->next;
        skip_space(r);
    }
    r->depth--;
    return true;
}

static bool read_word(reader *r, nm_json *j)
{
    static const struct {
        const char *word;
        nm_json value;
    } words[] = {
        {"null", {.kind = NM_JSON_null}},
        {"true", {.kind = NM_JSON_bool, .b = true}},
        {"false", {.kind = NM_JSON_bool}},
        {"NaN", {.kind = NM_JSON_number, .number = NAN}},
        {"Infinity", {.kind = NM_JSON_number, .number = INFINITY}},
        {"-Infinity", {.kind = NM_JSON_number, .number = -INFINITY}},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (take(r, words[i].word)) {
            j->kind = words[i].value.kind;
            j->b = words[i].value.b;
            j->number = words[i].value.number;
            return true;
        }
    return false;
}

static bool read_value(reader *r, nm_json *j)
{
    const char *from = r->at;
    bool ok;
    if (take(r, "{") || take(r, "[")) {
        j->kind = *from == '{' ? NM_JSON_object : NM_JSON_array;
        ok = read_children(r, j, *from == '{' ? "}" : "]");
    } else if (*from == '"') {
        j->kind = NM_JSON_string;
        ok = read_string(r, &j->string);
    } else {
        ok = read_word(r, j) || read_number(r, j);
    }
    j->loc = span(r, from);
    return ok;
}

nm_json *nm_json_parse(nm_arena *arena, nm_diag *diag, const nm_source *src)
{
    reader r = {.arena = arena, .diag = diag, .src = src, .at = src->text};
    nm_json *j = nm_new(arena, nm_json);
    skip_space(&r);
    if (!read_value(&r, j))
        return NULL;
    skip_space(&r);
    return *r.at && !broken(&r, "something follows it") ? NULL : j;
}
