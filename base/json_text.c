// A tree of JSON: asked for members, compared, written.
#include "base/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// --- asking --------------------------------------------------------------------------------------

const nm_json *nm_json_find(const nm_json *object, const char *path)
{
    size_t n = strcspn(path, ".");
    const nm_json *found = NULL;
    if (object->kind != NM_JSON_object)
        return NULL;
    for (const nm_json *j = object->first; j; j = j->next)
        if (strlen(j->key) == n && memcmp(j->key, path, n) == 0)
            found = j;
    if (!found || found->kind == NM_JSON_null)
        return NULL;
    return path[n] ? nm_json_find(found, path + n + 1) : found;
}

static bool same_number(double a, double b)
{
    if (a == b || (isnan(a) && isnan(b)))
        return true;
    return a != floor(a) && b != floor(b) && (float)a == (float)b;
}

static bool same_children(const nm_json *a, const nm_json *b)
{
    const nm_json *x = a->first, *y = b->first;
    for (; x && y; x = x->next, y = y->next)
        if (!nm_json_same(x, y) || (x->key && y->key && strcmp(x->key, y->key) != 0))
            return false;
    return !x && !y;
}

bool nm_json_same(const nm_json *a, const nm_json *b)
{
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case NM_JSON_null: return true;
    case NM_JSON_bool: return a->b == b->b;
    case NM_JSON_number: return same_number(a->number, b->number);
    case NM_JSON_string: return strcmp(a->string, b->string) == 0;
    case NM_JSON_array:
    case NM_JSON_object: return same_children(a, b);
    }
    return false;
}

// --- writing -------------------------------------------------------------------------------------

typedef struct writer { // a text in the arena; it doubles as it grows
    nm_arena *arena;
    char *text;
    size_t n, room;
} writer;

static void put(writer *w, const char *s)
{
    size_t n = strlen(s);
    if (w->n + n + 1 > w->room) {
        w->room = 2 * (w->n + n + 1);
        char *more = nm_arena_alloc(w->arena, w->room);
        if (w->n)
            memcpy(more, w->text, w->n);
        w->text = more;
    }
    memcpy(w->text + w->n, s, n + 1);
    w->n += n;
}

static void put_string(writer *w, const char *s)
{
    char one[8];
    put(w, "\"");
    for (; *s; s++) {
        bool escaped = *s == '"' || *s == '\\';
        if ((unsigned char)*s < ' ')
            snprintf(one, sizeof one, "\\u%04x", (unsigned)*s);
        else
            snprintf(one, sizeof one, "%s%c", escaped ? "\\" : "", *s);
        put(w, one);
    }
    put(w, "\"");
}

// The shortest that reads back as the same.
static void put_number(writer *w, const nm_json *j)
{
    double v = j->number;
    char text[32];
    if (!isfinite(v))
        snprintf(text, sizeof text, "%s", isnan(v) ? "NaN" : v > 0 ? "Infinity" : "-Infinity");
    else if (v == floor(v) && fabs(v) < 1e15)
        snprintf(text, sizeof text, j->real ? "%.1f" : "%.0f", v);
    else
        for (int precision = 6; precision <= 17; precision++) {
            snprintf(text, sizeof text, "%.*g", precision, v);
            if (strtod(text, NULL) == v)
                break;
        }
    put(w, text);
}

static void put_value(writer *w, const nm_json *j)
{
    bool object = j->kind == NM_JSON_object;
    switch (j->kind) {
    case NM_JSON_null: put(w, "null"); return;
    case NM_JSON_bool: put(w, j->b ? "true" : "false"); return;
    case NM_JSON_number: put_number(w, j); return;
    case NM_JSON_string: put_string(w, j->string); return;
    case NM_JSON_array:
    case NM_JSON_object: break;
    }
    put(w, object ? "{" : "[");
    for (const nm_json *k = j->first; k; k = k->next) {
        put(w, k == j->first ? "" : ", ");
        if (object)
            put_string(w, k->key);
        put(w, object ? ": " : "");
        put_value(w, k);
    }
    put(w, object ? "}" : "]");
}

const char *nm_json_text(nm_arena *arena, const nm_json *j)
{
    writer w = {.arena = arena};
    put(&w, "");
    if (j)
        put_value(&w, j);
    return w.text;
}
