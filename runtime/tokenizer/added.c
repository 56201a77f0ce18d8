// Added tokens: the longest of those that begin first, by a tree of their bytes.
#include "runtime/tokenizer/added.h"

#include "runtime/tokenizer/fields.h"
#include "runtime/tokenizer/utf8.h"

#include <stdlib.h>
#include <string.h>

// --- the trees -----------------------------------------------------------------------------------

static nmrt_status add_to_tree(nmrt_added_tree *t, const char *text, size_t n, int32_t token,
                               nmrt_error *e)
{
    int32_t node = 0;
    for (size_t i = 0; i < n; i++) {
        int32_t byte = (unsigned char)text[i];
        const nmrt_pair_slot *edge = nmrt_pairs_get(&t->edges, node, byte);
        int32_t child = edge ? edge->x : ++t->n_nodes, ends = edge ? edge->y : -1;
        if (i + 1 == n)
            ends = token;
        if (!nmrt_pairs_put(&t->edges, (nmrt_pair_slot){node, byte, child, ends}))
            return nmrt_fail(e, NMRT_WORLD, "no memory for its added tokens");
        node = child;
    }
    unsigned char first = (unsigned char)text[0];
    t->n_begins += !t->begins[first];
    t->begins[first] = true;
    t->only = first;
    return NMRT_OK;
}

// The next byte that a token begins with.
static size_t skip(const nmrt_added_tree *t, const char *text, size_t n, size_t at)
{
    if (t->n_begins == 1) {
        const char *next = memchr(text + at, t->only, n - at);
        return next ? (size_t)(next - text) : n;
    }
    while (at < n && !t->begins[(unsigned char)text[at]])
        at++;
    return at;
}

static int32_t find_longest(const nmrt_added_tree *t, const char *text, size_t n, size_t at,
                            size_t *to)
{
    int32_t node = 0, longest = -1;
    for (; at < n; at++) {
        const nmrt_pair_slot *edge = nmrt_pairs_get(&t->edges, node, (unsigned char)text[at]);
        if (!edge)
            break;
        if (edge->y >= 0) {
            longest = edge->y;
            *to = at + 1;
        }
        node = edge->x;
    }
    return longest;
}

// --- finding -------------------------------------------------------------------------------------

// The beginning of the character that ends at `at` > 0.
static size_t step_back(const char *text, size_t at)
{
    at--;
    while (at > 0 && (text[at] & 0xC0) == 0x80)
        at--;
    return at;
}

static int32_t character_before(const char *text, size_t at)
{
    int length;
    size_t from = step_back(text, at);
    return nmrt_utf8_get(text + from, at - from, &length);
}

static bool is_alone(const nmrt_added_finder *f, nmrt_span s)
{
    int length;
    if (s.from > 0 && nmrt_is_word(character_before(f->text, s.from)))
        return false;
    return s.to == f->n || !nmrt_is_word(nmrt_utf8_get(f->text + s.to, f->n - s.to, &length));
}

static nmrt_span take_space(const nmrt_added_finder *f, const nmrt_added_token *token, nmrt_span s)
{
    int length;
    while (token->lstrip && s.from > 0 && nmrt_is_white_space(character_before(f->text, s.from)))
        s.from = step_back(f->text, s.from);
    if (token->lstrip && s.from < f->given)
        s.from = f->given;
    while (token->rstrip && s.to < f->n &&
           nmrt_is_white_space(nmrt_utf8_get(f->text + s.to, f->n - s.to, &length)))
        s.to += (size_t)length;
    return s;
}

const nmrt_added_token *nmrt_added_next(nmrt_added_finder *f, nmrt_span *span)
{
    while (f->tree->n_begins && (f->at = skip(f->tree, f->text, f->n, f->at)) < f->n) {
        nmrt_span s = {f->at, f->at};
        int32_t found = find_longest(f->tree, f->text, f->n, f->at, &s.to);
        f->at = found < 0 ? f->at + 1 : s.to;
        if (found < 0 || (f->added->token[found].single_word && !is_alone(f, s)))
            continue;
        *span = take_space(f, &f->added->token[found], s);
        f->given = span->to;
        return &f->added->token[found];
    }
    return NULL;
}

// --- reading -------------------------------------------------------------------------------------

nmrt_status nmrt_added_flags(nmrt_added_token *t, const nm_json *doc, int node, nmrt_error *e)
{
    NMRT_TRY(nmrt_field_bool(doc, node, "special", &t->special, e));
    NMRT_TRY(nmrt_field_bool(doc, node, "single_word", &t->single_word, e));
    NMRT_TRY(nmrt_field_bool(doc, node, "lstrip", &t->lstrip, e));
    NMRT_TRY(nmrt_field_bool(doc, node, "rstrip", &t->rstrip, e));
    return nmrt_field_bool(doc, node, "normalized", &t->normalized, e);
}

static nmrt_status add_pattern(nmrt_added *a, int32_t token, nmrt_normal_text text,
                               const nmrt_normalizer *z, nmrt_normal_scratch *scratch,
                               nmrt_error *e)
{
    const nmrt_added_token *t = &a->token[token];
    if (!t->normalized)
        return add_to_tree(&a->raw, text.at, text.n, token, e);
    nmrt_normal_text normal = text;
    NMRT_TRY(nmrt_normalize(z, scratch, &normal, e));
    if (!normal.n)
        return NMRT_OK;
    if (normal.n != text.n || memcmp(normal.at, text.at, text.n) != 0)
        NMRT_TRY(nmrt_vocabulary_add(&a->normalized, normal.at, normal.n, t->id, e));
    return add_to_tree(&a->normal, normal.at, normal.n, token, e);
}

typedef struct reading {
    nmrt_added *a;
    const nm_json *doc;
    const nmrt_word_model *model;
    const nmrt_normalizer *z;
    nmrt_normal_scratch *scratch;
    int64_t next; // the next id that is free
} reading;

static nmrt_status add_token(reading *r, int node, nmrt_text *content, nmrt_error *e)
{
    nmrt_added_token t = {.normalized = true};
    NMRT_TRY(nmrt_field_text(r->doc, node, "content", content, e));
    NMRT_TRY(nmrt_added_flags(&t, r->doc, node, e));
    if (!content->n)
        return NMRT_OK;
    int64_t id = nmrt_vocabulary_id(&r->a->content, content->at, content->n);
    if (id < 0)
        id = nmrt_vocabulary_id(&r->model->vocabulary, content->at, content->n);
    if (id < 0)
        id = r->next++;
    t.id = (int32_t)id;
    NMRT_TRY(nmrt_vocabulary_add(&r->a->content, content->at, content->n, id, e));
    nmrt_added_token *token = realloc(r->a->token, ((size_t)r->a->n + 1) * sizeof *token);
    if (!token)
        return nmrt_fail(e, NMRT_WORLD, "no memory for its added tokens");
    r->a->token = token;
    token[r->a->n++] = t;
    return add_pattern(r->a, r->a->n - 1, (nmrt_normal_text){content->at, content->n, true}, r->z,
                       r->scratch, e);
}

static nmrt_status index_ids(nmrt_added *a, nmrt_error *e)
{
    a->by_id = malloc((size_t)(a->content.size + 1) * sizeof *a->by_id);
    if (!a->by_id)
        return nmrt_fail(e, NMRT_WORLD, "no memory for its added tokens");
    memset(a->by_id, 0xFF, (size_t)(a->content.size + 1) * sizeof *a->by_id);
    for (int32_t i = 0; i < a->n; i++)
        a->by_id[a->token[i].id] = i;
    return NMRT_OK;
}

nmrt_status nmrt_added_read(nmrt_added *a, const nm_json *doc, int list,
                            const nmrt_word_model *model, const nmrt_normalizer *z,
                            nmrt_normal_scratch *scratch, nmrt_error *e)
{
    reading r = {a, doc, model, z, scratch, model->count};
    nmrt_text content = {0};
    nmrt_status status = NMRT_OK;
    for (int i = nm_json_first(doc, list); i >= 0 && status == NMRT_OK; i = doc->node[i].next) {
        content.n = 0;
        status = add_token(&r, i, &content, e);
    }
    nmrt_text_release(&content);
    return status == NMRT_OK ? index_ids(a, e) : status;
}

void nmrt_added_release(nmrt_added *a)
{
    free(a->token);
    free(a->by_id);
    nmrt_vocabulary_release(&a->content);
    nmrt_vocabulary_release(&a->normalized);
    nmrt_pairs_release(&a->raw.edges);
    nmrt_pairs_release(&a->normal.edges);
    *a = (nmrt_added){0};
}

const nmrt_added_token *nmrt_added_find(const nmrt_added *a, int64_t id)
{
    bool has = id >= 0 && id < a->content.size && a->by_id[id] >= 0;
    return has ? &a->token[a->by_id[id]] : NULL;
}

nmrt_word_piece nmrt_added_piece(const nmrt_added *a, int64_t id)
{
    nmrt_word_piece normal = nmrt_vocabulary_piece(&a->normalized, id);
    return normal.at ? normal : nmrt_vocabulary_piece(&a->content, id);
}
