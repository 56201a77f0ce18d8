// A JSON reader. One loop over the text with an explicit stack of open containers; a node a value,
// children linked by index.
#include "runtime/json.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 64 };

typedef struct parser {
    nmrt_json *doc;
    const char *text;
    size_t at, n;
    int open[MAX_DEPTH], last[MAX_DEPTH]; // containers not yet closed, and their last child
    int depth;
    nmrt_error *e;
} parser;

static nmrt_status bad(parser *p, const char *what)
{
    return nmrt_fail(p->e, NMRT_CORRUPT, "not JSON at byte %zu: %s", p->at, what);
}

static void skip_space(parser *p)
{
    while (p->at < p->n && strchr(" \t\r\n", p->text[p->at]) && p->text[p->at])
        p->at++;
}

static bool take(parser *p, char c)
{
    if (p->at >= p->n || p->text[p->at] != c)
        return false;
    p->at++;
    return true;
}

static nmrt_status add_node(parser *p, nmrt_json_kind kind, int *index)
{
    nmrt_json *doc = p->doc;
    if (doc->n == doc->cap) {
        if (doc->cap > INT_MAX / 2)
            return bad(p, "too many values");
        int cap = doc->cap ? doc->cap * 2 : 64;
        nmrt_json_node *node = realloc(doc->node, (size_t)cap * sizeof *node);
        if (!node)
            return nmrt_fail(p->e, NMRT_WORLD, "no memory to read JSON");
        doc->node = node;
        doc->cap = cap;
    }
    *index = doc->n++;
    doc->node[*index] = (nmrt_json_node){.kind = kind, .first = -1, .next = -1};
    if (p->depth) {
        int *last = &p->last[p->depth - 1];
        if (*last < 0)
            doc->node[p->open[p->depth - 1]].first = *index;
        else
            doc->node[*last].next = *index;
        *last = *index;
    }
    return NMRT_OK;
}

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

// The character of the escape at text[at], which is behind a backslash; *length: its bytes. -1: it
// is none.
static int read_escape(const char *text, size_t n, size_t at, size_t *length)
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

// Behind the opening quote: up to the closing one.
static nmrt_status scan_string(parser *p, const char **text, uint32_t *length)
{
    size_t from = p->at;
    for (; p->at < p->n && p->text[p->at] != '"'; p->at++) {
        if ((unsigned char)p->text[p->at] < 0x20)
            return bad(p, "a control character in a string");
        size_t escape = 0;
        if (p->text[p->at] == '\\' && read_escape(p->text, p->n, p->at + 1, &escape) < 0)
            return bad(p, "a \\ that escapes nothing, or half of a pair of surrogates");
        p->at += escape;
    }
    if (p->at >= p->n || p->at - from > UINT32_MAX)
        return bad(p, "a string without an end");
    *text = p->text + from;
    *length = (uint32_t)(p->at - from);
    p->at++;
    return NMRT_OK;
}

static size_t scan_digits(parser *p)
{
    size_t from = p->at;
    while (p->at < p->n && p->text[p->at] >= '0' && p->text[p->at] <= '9')
        p->at++;
    return p->at - from;
}

static nmrt_status scan_number(parser *p)
{
    take(p, '-');
    bool zero = p->at < p->n && p->text[p->at] == '0';
    size_t digits = scan_digits(p);
    if (!digits || (zero && digits > 1))
        return bad(p, "a value was expected");
    if (take(p, '.') && !scan_digits(p))
        return bad(p, "a digit was expected");
    if (take(p, 'e') || take(p, 'E')) {
        if (!take(p, '+'))
            take(p, '-');
        if (!scan_digits(p))
            return bad(p, "a digit was expected");
    }
    return NMRT_OK;
}

static bool take_word(parser *p, const char *word)
{
    size_t n = strlen(word);
    if (p->n - p->at < n || memcmp(p->text + p->at, word, n) != 0)
        return false;
    p->at += n;
    return true;
}

static nmrt_status open_container(parser *p, int index)
{
    if (p->depth == MAX_DEPTH)
        return bad(p, "nested too deeply");
    p->open[p->depth] = index;
    p->last[p->depth++] = -1;
    p->at++;
    return NMRT_OK;
}

static nmrt_status parse_value(parser *p, const char *key, uint32_t n_key)
{
    skip_space(p);
    int i = 0;
    NMRT_TRY(add_node(p, NMRT_JSON_NULL, &i));
    nmrt_json_node *node = &p->doc->node[i];
    node->key = key;
    node->n_key = n_key;
    size_t from = p->at;
    char c = p->at < p->n ? p->text[p->at] : 0;
    if (c == '{' || c == '[') {
        node->kind = c == '{' ? NMRT_JSON_OBJECT : NMRT_JSON_ARRAY;
        return open_container(p, i);
    }
    if (take(p, '"')) {
        node->kind = NMRT_JSON_STRING;
        return scan_string(p, &node->text, &node->n_text);
    }
    if (take_word(p, "true"))
        node->kind = NMRT_JSON_TRUE;
    else if (take_word(p, "false"))
        node->kind = NMRT_JSON_FALSE;
    else if (!take_word(p, "null")) {
        node->kind = NMRT_JSON_NUMBER;
        NMRT_TRY(scan_number(p));
    }
    node->text = p->text + from;
    node->n_text = (uint32_t)(p->at - from);
    return NMRT_OK;
}

static nmrt_status parse_member(parser *p)
{
    const char *key;
    uint32_t n_key;
    if (!take(p, '"'))
        return bad(p, "a key was expected");
    NMRT_TRY(scan_string(p, &key, &n_key));
    skip_space(p);
    if (!take(p, ':'))
        return bad(p, "':' was expected");
    return parse_value(p, key, n_key);
}

// One element of the innermost open container, or its end.
static nmrt_status parse_next(parser *p)
{
    bool object = p->doc->node[p->open[p->depth - 1]].kind == NMRT_JSON_OBJECT;
    bool empty = p->last[p->depth - 1] < 0;
    skip_space(p);
    if (take(p, object ? '}' : ']')) {
        p->depth--;
        return NMRT_OK;
    }
    if (!empty && !take(p, ','))
        return bad(p, object ? "',' or '}' was expected" : "',' or ']' was expected");
    skip_space(p);
    return object ? parse_member(p) : parse_value(p, NULL, 0);
}

nmrt_status nmrt_json_parse(nmrt_json *doc, const char *text, size_t n, nmrt_error *e)
{
    *doc = (nmrt_json){0};
    parser p = {.doc = doc, .text = text, .n = n, .e = e};
    nmrt_status status = parse_value(&p, NULL, 0);
    while (status == NMRT_OK && p.depth)
        status = parse_next(&p);
    skip_space(&p);
    if (status == NMRT_OK && p.at != n)
        status = bad(&p, "the end was expected");
    if (status != NMRT_OK)
        nmrt_json_release(doc);
    return status;
}

void nmrt_json_release(nmrt_json *doc)
{
    free(doc->node);
    *doc = (nmrt_json){0};
}

int nmrt_json_first(const nmrt_json *doc, int node)
{
    return node < 0 ? -1 : doc->node[node].first;
}

bool nmrt_json_is_named(const nmrt_json_node *member, const char *key, size_t n)
{
    if (!memchr(member->key, '\\', member->n_key))
        return member->n_key == n && memcmp(member->key, key, n) == 0;
    nmrt_text name = {0};
    bool same = nmrt_json_unescape(member->key, member->n_key, &name) && name.n == n &&
                memcmp(name.at, key, n) == 0;
    nmrt_text_release(&name);
    return same;
}

int nmrt_json_member(const nmrt_json *doc, int object, const char *key, size_t n)
{
    int found = -1;
    if (object < 0 || doc->node[object].kind != NMRT_JSON_OBJECT)
        return -1;
    for (int i = doc->node[object].first; i >= 0; i = doc->node[i].next)
        if (nmrt_json_is_named(&doc->node[i], key, n))
            found = i;
    return found;
}

int nmrt_json_get(const nmrt_json *doc, int object, const char *key)
{
    return nmrt_json_member(doc, object, key, strlen(key));
}

bool nmrt_json_int(const nmrt_json *doc, int node, int64_t *value)
{
    if (node < 0 || doc->node[node].kind != NMRT_JSON_NUMBER)
        return false;
    const char *s = doc->node[node].text;
    uint32_t n = doc->node[node].n_text, i = s[0] == '-';
    uint64_t x = 0;
    for (; i < n; i++) {
        if (s[i] < '0' || s[i] > '9' || x > (INT64_MAX - 9) / 10)
            return false;
        x = x * 10 + (uint64_t)(s[i] - '0');
    }
    *value = s[0] == '-' ? -(int64_t)x : (int64_t)x;
    return true;
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
    out[0] = (char)(0xE0 | c >> 12); // of nmrt_json_unquote, a surrogate stays as it is
    out[1] = (char)(0x80 | (c >> 6 & 0x3F));
    out[2] = (char)(0x80 | (c & 0x3F));
    return 3;
}

bool nmrt_json_unquote(const char *text, size_t n, char *out, size_t cap)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        if (k + 4 > cap)
            return false;
        if (text[i] != '\\') {
            out[k++] = text[i];
            continue;
        }
        const char *simple = ++i < n && text[i] ? strchr(from, text[i]) : NULL;
        int c = i + 4 < n && text[i] == 'u' ? hex4(text + i + 1) : -1;
        if (simple)
            out[k++] = to[simple - from];
        else if (c > 0) {
            k += put_utf8(out + k, c);
            i += 4;
        } else
            return false;
    }
    if (k >= cap)
        return false;
    out[k] = 0;
    return true;
}

bool nmrt_json_unescape(const char *text, size_t n, nmrt_text *out)
{
    for (size_t at = 0; at < n;) {
        const char *slash = memchr(text + at, '\\', n - at);
        size_t plain = slash ? (size_t)(slash - text) - at : n - at, length;
        nmrt_text_add_bytes(out, text + at, plain);
        at += plain + 1;
        if (!slash)
            break;
        int c = at < n ? read_escape(text, n, at, &length) : -1;
        if (c < 0)
            return false;
        char bytes[4];
        nmrt_text_add_bytes(out, bytes, put_utf8(bytes, c));
        at += length;
    }
    return true;
}

bool nmrt_json_string(const nmrt_json *doc, int node, char *out, size_t cap)
{
    if (node < 0 || doc->node[node].kind != NMRT_JSON_STRING)
        return false;
    return nmrt_json_unquote(doc->node[node].text, doc->node[node].n_text, out, cap);
}
