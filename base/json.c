// A JSON reader. One loop over the text with an explicit stack of open containers; a node a value,
// children linked by index.
#include "base/json.h"

#include "base/json_string.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 64 };

typedef struct parser {
    nm_json *doc;
    const char *text;
    size_t at, n;
    int open[MAX_DEPTH], last[MAX_DEPTH]; // containers not yet closed, and their last child
    int depth;
    nm_json_error *e;
} parser;

static bool bad(parser *p, const char *what)
{
    *p->e = (nm_json_error){what, p->at};
    return false;
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

static bool add_node(parser *p, nm_json_kind kind, int *index)
{
    nm_json *doc = p->doc;
    if (doc->n == doc->cap) {
        if (doc->cap > INT_MAX / 2)
            return bad(p, "too many values");
        int cap = doc->cap ? doc->cap * 2 : 64;
        nm_json_node *node = realloc(doc->node, (size_t)cap * sizeof *node);
        if (!node)
            return bad(p, NULL);
        doc->node = node;
        doc->cap = cap;
    }
    *index = doc->n++;
    doc->node[*index] = (nm_json_node){.kind = kind, .first = -1, .next = -1};
    if (p->depth) {
        int *last = &p->last[p->depth - 1];
        if (*last < 0)
            doc->node[p->open[p->depth - 1]].first = *index;
        else
            doc->node[*last].next = *index;
        *last = *index;
    }
    return true;
}

// Behind the opening quote: up to the closing one.
static bool scan_string(parser *p, const char **text, uint32_t *length)
{
    size_t from = p->at;
    for (; p->at < p->n && p->text[p->at] != '"'; p->at++) {
        if ((unsigned char)p->text[p->at] < 0x20)
            return bad(p, "a control character in a string");
        size_t escape = 0;
        if (p->text[p->at] == '\\' && nm_json_escape(p->text, p->n, p->at + 1, &escape) < 0)
            return bad(p, "a \\ that escapes nothing, or half of a pair of surrogates");
        p->at += escape;
    }
    if (p->at >= p->n)
        return bad(p, "a string without an end");
    *text = p->text + from;
    *length = (uint32_t)(p->at - from);
    p->at++;
    return true;
}

static size_t scan_digits(parser *p)
{
    size_t from = p->at;
    while (p->at < p->n && p->text[p->at] >= '0' && p->text[p->at] <= '9')
        p->at++;
    return p->at - from;
}

static bool scan_number(parser *p)
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
    return true;
}

static bool take_word(parser *p, const char *word)
{
    size_t n = strlen(word);
    if (p->n - p->at < n || memcmp(p->text + p->at, word, n) != 0)
        return false;
    p->at += n;
    return true;
}

static bool take_words(parser *p, nm_json_kind *kind)
{
    static const struct {
        const char *word;
        nm_json_kind kind;
    } words[] = {
        {"null", NM_JSON_NULL},  {"true", NM_JSON_TRUE},       {"false", NM_JSON_FALSE},
        {"NaN", NM_JSON_NUMBER}, {"Infinity", NM_JSON_NUMBER}, {"-Infinity", NM_JSON_NUMBER},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (take_word(p, words[i].word)) {
            *kind = words[i].kind;
            return true;
        }
    return false;
}

static bool open_container(parser *p, int index)
{
    if (p->depth == MAX_DEPTH)
        return bad(p, "nested too deeply");
    p->open[p->depth] = index;
    p->last[p->depth++] = -1;
    p->at++;
    return true;
}

static bool parse_value(parser *p, const char *key, uint32_t n_key)
{
    skip_space(p);
    int i = 0;
    if (!add_node(p, NM_JSON_NULL, &i))
        return false;
    nm_json_node *node = &p->doc->node[i];
    node->key = key;
    node->n_key = n_key;
    char c = p->at < p->n ? p->text[p->at] : 0;
    node->text = p->text + p->at;
    if (c == '{' || c == '[') {
        node->kind = c == '{' ? NM_JSON_OBJECT : NM_JSON_ARRAY;
        return open_container(p, i);
    }
    if (take(p, '"')) {
        node->kind = NM_JSON_STRING;
        return scan_string(p, &node->text, &node->n_text);
    }
    if (!take_words(p, &node->kind)) {
        node->kind = NM_JSON_NUMBER;
        if (!scan_number(p))
            return false;
    }
    node->n_text = (uint32_t)(p->text + p->at - node->text);
    return true;
}

static bool parse_member(parser *p)
{
    const char *key;
    uint32_t n_key;
    if (!take(p, '"'))
        return bad(p, "a key was expected");
    if (!scan_string(p, &key, &n_key))
        return false;
    skip_space(p);
    if (!take(p, ':'))
        return bad(p, "':' was expected");
    return parse_value(p, key, n_key);
}

// One element of the innermost open container, or its end.
static bool parse_next(parser *p)
{
    bool object = p->doc->node[p->open[p->depth - 1]].kind == NM_JSON_OBJECT;
    bool empty = p->last[p->depth - 1] < 0;
    skip_space(p);
    if (take(p, object ? '}' : ']')) {
        nm_json_node *node = &p->doc->node[p->open[--p->depth]];
        node->n_text = (uint32_t)(p->text + p->at - node->text);
        return true;
    }
    if (!empty && !take(p, ','))
        return bad(p, object ? "',' or '}' was expected" : "',' or ']' was expected");
    skip_space(p);
    return object ? parse_member(p) : parse_value(p, NULL, 0);
}

bool nm_json_parse(nm_json *doc, const char *text, size_t n, nm_json_error *e)
{
    *doc = (nm_json){0};
    parser p = {.doc = doc, .text = text, .n = n, .e = e};
    bool right = n <= UINT32_MAX ? parse_value(&p, NULL, 0) : bad(&p, "it has 4 GiB or more");
    while (right && p.depth)
        right = parse_next(&p);
    skip_space(&p);
    if (right && p.at != n)
        right = bad(&p, "the end was expected");
    if (!right)
        nm_json_release(doc);
    return right;
}

void nm_json_release(nm_json *doc)
{
    free(doc->node);
    *doc = (nm_json){0};
}
