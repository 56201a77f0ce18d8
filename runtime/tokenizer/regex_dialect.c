// From Oniguruma's Ruby syntax (its doc/RE) to PCRE2's (pcre2pattern(3)), with UTF, UCP and
// MULTILINE. Most is written alike. What is not:
//   \s \S      Unicode's White_Space: PCRE2's has U+180E, too
//   \w \W \b   letters (all that are Alphabetic), marks, digits, connectors: PCRE2's has no marks
//   \h \v \uXXXX, {,n}, (?m)   a hex digit, U+000B, a character, {0,n}, `.` is any character
// Refused, as PCRE2 would read something else: sets within sets, [:classes:], &&, {n}+ and {n}?,
// options in the middle of a branch, bytes by \x80 and on, control characters by \c and \C-.
#include "runtime/tokenizer/regex.h"

#include <string.h>

// Of Latin-1, Oniguruma takes raised digits and fractions for parts of words; of the rest, decimal
// digits alone.
#define WORD "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\xb2\\xb3\\xb9\\xbc-\\xbe"

typedef struct reader {
    const char *p;
    size_t n, at;
    nmrt_text *out;
    nmrt_error *e;
} reader;

static nmrt_status refuse(const reader *r, const char *what)
{
    return nmrt_fail(r->e, NMRT_FOREIGN,
                     "the regular expression \"%.*s\" has %s (byte %zu), which is not supported",
                     r->n < 300 ? (int)r->n : 300, r->p, what, r->at);
}

static void add(const reader *r, const char *s) { nmrt_text_add_bytes(r->out, s, strlen(s)); }

static bool looking_at(const reader *r, const char *s)
{
    size_t n = strlen(s);
    return r->n - r->at >= n && memcmp(r->p + r->at, s, n) == 0;
}

static void copy(reader *r, size_t n)
{
    nmrt_text_add_bytes(r->out, r->p + r->at, n);
    r->at += n;
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

// --- escapes -------------------------------------------------------------------------------------

typedef struct escape {
    char letter;
    const char *outside,
        *inside; // what it is in PCRE2's syntax, outside and inside a set; NULL: refused
} escape;

#define BETWEEN "(?:(?<=[" WORD "])(?![" WORD "])|(?<![" WORD "])(?=[" WORD "]))"
#define WITHIN  "(?:(?<=[" WORD "])(?=[" WORD "])|(?<![" WORD "])(?![" WORD "]))"
static const escape escapes[] = {
    {'s', "\\p{wspace}", "\\p{wspace}"},
    {'S', "\\P{wspace}", "\\P{wspace}"},
    {'w', "[" WORD "]", WORD},
    {'W', "[^" WORD "]", NULL},
    {'b', BETWEEN, "\\x08"},
    {'B', WITHIN, NULL},
    {'h', "[0-9A-Fa-f]", "0-9A-Fa-f"},
    {'H', "[^0-9A-Fa-f]", NULL},
    {'v', "\\x0b", "\\x0b"},
    {'c', NULL, NULL},
    {'C', NULL, NULL},
    {'M', NULL, NULL},
    {'N', NULL, NULL},
    {'O', NULL, NULL},
    {'Q', NULL, NULL},
    {'E', NULL, NULL},
    {'y', NULL, NULL},
    {'Y', NULL, NULL},
};

// \uXXXX and \xXX
static nmrt_status read_number(reader *r, size_t digits)
{
    size_t have = 0;
    while (have < digits && r->at + 2 + have < r->n && is_hex(r->p[r->at + 2 + have]))
        have++;
    if (have == 0 || (digits == 4 && have < 4))
        return refuse(r, "a character's number without digits");
    if (digits == 2 && have == 2 && (r->p[r->at + 2] & 0xF8) != '0')
        return refuse(r, "a byte that is no character");
    add(r, "\\x{");
    r->at += 2;
    copy(r, have);
    add(r, "}");
    return NMRT_OK;
}

static nmrt_status read_escape(reader *r, bool inside)
{
    if (r->at + 1 >= r->n || !r->p[r->at + 1])
        return refuse(r, "a backslash at its end");
    char letter = r->p[r->at + 1];
    for (size_t i = 0; i < sizeof escapes / sizeof *escapes; i++) {
        const char *own = inside ? escapes[i].inside : escapes[i].outside;
        if (escapes[i].letter != letter)
            continue;
        if (!own)
            return refuse(r, inside ? "such an escape in a set" : "such an escape");
        add(r, own);
        r->at += 2;
        return NMRT_OK;
    }
    if (letter == 'u')
        return read_number(r, 4);
    if (letter == 'x' && !looking_at(r, "\\x{"))
        return read_number(r, 2);
    copy(r, 2);
    if (strchr("pPx", letter) && looking_at(r, "{")) // \p{L}, \x{1F600}: no repeat
        while (r->at < r->n && r->p[r->at - 1] != '}')
            copy(r, 1);
    return NMRT_OK;
}

// --- sets, groups, repeats -----------------------------------------------------------------------

static nmrt_status read_set(reader *r)
{
    copy(r, looking_at(r, "[^") ? 2 : 1);
    if (looking_at(r, "]"))
        copy(r, 1);
    while (r->at < r->n && r->p[r->at] != ']') {
        if (r->p[r->at] == '[')
            return refuse(r, "a set within a set");
        if (looking_at(r, "&&"))
            return refuse(r, "an intersection of sets");
        if (r->p[r->at] == '\\')
            NMRT_TRY(read_escape(r, true));
        else
            copy(r, 1);
    }
    if (r->at < r->n)
        copy(r, 1);
    return NMRT_OK;
}

// "(?imx-imx:" or, at the beginning alone, "(?imx)"
static nmrt_status read_options(reader *r)
{
    size_t at = r->at + 2;
    while (at < r->n && strchr("imx-", r->p[at]) && r->p[at])
        at++;
    bool is_options = at < r->n && at > r->at + 2 && (r->p[at] == ':' || r->p[at] == ')');
    if (!is_options) {
        copy(r, 1);
        return NMRT_OK;
    }
    if (r->p[at] == ')' && r->at > 0)
        return refuse(r, "options in its middle");
    for (; r->at <= at; r->at++)
        nmrt_text_add_bytes(r->out, r->p[r->at] == 'm' ? "s" : &r->p[r->at], 1);
    return NMRT_OK;
}

static nmrt_status read_repeat(reader *r)
{
    size_t at = r->at + 1;
    while (at < r->n && ((r->p[at] >= '0' && r->p[at] <= '9') || r->p[at] == ','))
        at++;
    if (at >= r->n || r->p[at] != '}' || at == r->at + 1) {
        add(r, "\\"); // a brace
        copy(r, 1);
        return NMRT_OK;
    }
    if (at + 1 < r->n &&
        (r->p[at + 1] == '+' || (r->p[at + 1] == '?' && !memchr(r->p + r->at, ',', at - r->at))))
        return refuse(r, "a repeated repeat");
    bool from_zero = r->p[r->at + 1] == ',';
    copy(r, 1);
    if (from_zero)
        add(r, "0");
    copy(r, at + 1 - r->at);
    return NMRT_OK;
}

nmrt_status nmrt_regex_translate(nmrt_text *out, const char *pattern, size_t n, nmrt_error *e)
{
    reader r = {.p = pattern, .n = n, .out = out, .e = e};
    while (r.at < n) {
        char c = pattern[r.at];
        if (c == '\\')
            NMRT_TRY(read_escape(&r, false));
        else if (c == '[')
            NMRT_TRY(read_set(&r));
        else if (c == '{')
            NMRT_TRY(read_repeat(&r));
        else if (looking_at(&r, "(?"))
            NMRT_TRY(read_options(&r));
        else if (looking_at(&r, "(*"))
            return refuse(&r, "a verb");
        else
            copy(&r, 1);
    }
    return NMRT_OK;
}
