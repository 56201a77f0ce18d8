// A text of JSON: asked for members and values, compared, told of.
#include "base/json.h"
#include "base/json_string.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// --- asking --------------------------------------------------------------------------------------

int nm_json_member(const nm_json *doc, int object, const char *key, size_t n)
{
    int found = -1;
    if (object < 0 || doc->node[object].kind != NM_JSON_OBJECT)
        return -1;
    for (int i = doc->node[object].first; i >= 0; i = doc->node[i].next)
        if (nm_json_is_named(&doc->node[i], key, n))
            found = i;
    return found;
}

int nm_json_get(const nm_json *doc, int object, const char *key)
{
    return nm_json_member(doc, object, key, strlen(key));
}

int nm_json_first(const nm_json *doc, int node) { return node < 0 ? -1 : doc->node[node].first; }

bool nm_json_int(const nm_json *doc, int node, int64_t *value)
{
    if (node < 0 || doc->node[node].kind != NM_JSON_NUMBER)
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

bool nm_json_real(const nm_json *doc, int node, double *value)
{
    if (node < 0 || doc->node[node].kind != NM_JSON_NUMBER)
        return false;
    char small[64];
    size_t n = doc->node[node].n_text;
    char *text = n < sizeof small ? small : malloc(n + 1);
    if (!text)
        return false;
    memcpy(text, doc->node[node].text, n);
    text[n] = 0;
    *value = strtod(text, NULL); // of NaN and Infinity, too
    if (text != small)
        free(text);
    return true;
}

bool nm_json_string(const nm_json *doc, int node, char *out, size_t cap)
{
    if (node < 0 || doc->node[node].kind != NM_JSON_STRING)
        return false;
    return nm_json_unquote(doc->node[node].text, doc->node[node].n_text, out, cap);
}

// --- comparing -----------------------------------------------------------------------------------

int nm_json_find(const nm_json *doc, const char *path)
{
    int node = doc->n ? 0 : -1;
    while (node >= 0 && *path) {
        size_t n = strcspn(path, ".");
        node = nm_json_member(doc, node, path, n);
        path += n + (path[n] == '.');
    }
    return node >= 0 && doc->node[node].kind == NM_JSON_NULL ? -1 : node;
}

static bool is_same_number(const nm_json *a, int i, const nm_json *b, int k)
{
    double x, y;
    if (!nm_json_real(a, i, &x) || !nm_json_real(b, k, &y))
        return false;
    if (x == y || (isnan(x) && isnan(y)))
        return true;
    return x != floor(x) && y != floor(y) && (float)x == (float)y;
}

static bool is_same_string(const nm_json_node *x, const nm_json_node *y)
{
    nm_json_bytes a = {.text = x->text, .n = x->n_text}, b = {.text = y->text, .n = y->n_text};
    for (;;) {
        int c = nm_json_byte(&a);
        if (c != nm_json_byte(&b))
            return false;
        if (c < 0)
            return true;
    }
}

// Nests as deep as the reader does.
static bool is_same(const nm_json *a, int i, const nm_json *b, int k)
{
    const nm_json_node *x = &a->node[i], *y = &b->node[k];
    if (x->kind != y->kind || x->kind == NM_JSON_OBJECT)
        return false;
    if (x->kind == NM_JSON_NUMBER)
        return is_same_number(a, i, b, k);
    if (x->kind == NM_JSON_STRING)
        return is_same_string(x, y);
    for (i = x->first, k = y->first; i >= 0 && k >= 0; i = a->node[i].next, k = b->node[k].next)
        if (!is_same(a, i, b, k))
            return false;
    return i < 0 && k < 0;
}

bool nm_json_says(const nm_json *doc, int node, const char *value)
{
    nm_json ours;
    nm_json_error e;
    if (node < 0 || !nm_json_parse(&ours, value, strlen(value), &e))
        return false;
    bool same = is_same(doc, node, &ours, 0);
    nm_json_release(&ours);
    return same;
}

static bool is_same_text(const char *a, const char *b)
{
    nm_json doc;
    nm_json_error e;
    if (!nm_json_parse(&doc, a, strlen(a), &e))
        return false;
    bool same = nm_json_says(&doc, 0, b);
    nm_json_release(&doc);
    return same;
}

const char *nm_json_differs(const nm_json *file, const nm_json_row *row, int *node)
{
    const char *ours = *row->value ? row->value : row->absent;
    bool any = false;
    for (int64_t i = 0; i < row->n_keys; i++) {
        *node = nm_json_find(file, row->key[i]);
        any = any || *node >= 0;
        if (*node >= 0 && !nm_json_says(file, *node, ours))
            return row->key[i];
    }
    bool same = any || (*row->absent ? is_same_text(row->absent, ours) : !*ours);
    return same ? NULL : row->key[0];
}

// --- telling -------------------------------------------------------------------------------------

void nm_json_brief(const nm_json *doc, int node, char out[NM_JSON_BRIEF])
{
    const nm_json_node *j = &doc->node[node];
    const char *quote = j->kind == NM_JSON_STRING ? "\"" : "";
    bool quoted = *quote, escaped = false;
    size_t k = strlen(strcpy(out, quote));
    uint32_t i = 0;
    for (; i < j->n_text && k < NM_JSON_BRIEF - 5; i++) {
        char c = j->text[i];
        if (!quoted && strchr(" \t\r\n", c))
            continue;
        out[k++] = c;
        if (!quoted && (c == ',' || c == ':'))
            out[k++] = ' ';
        quoted ^= c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
    }
    strcpy(out + k, i < j->n_text ? "..." : quote);
}
