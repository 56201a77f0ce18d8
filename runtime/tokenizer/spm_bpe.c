// Byte pair encoding as SentencePiece does it (src/bpe_model.cc): characters are symbols at first;
// of all neighbours that make a piece together those with the best score merge, the leftmost first,
// until none are left. Merges wait in a heap; one that is out of date is known by its length.
//
// Where no piece has a space behind another character, nothing merges across the beginning of a
// word, and each word is cut by itself (spaces_lead).
#include "runtime/tokenizer/spm_cut.h"

#include <stdlib.h>
#include <string.h>

static bool make_room(nmrt_spm_scratch *s, void **list, size_t *cap, size_t n, size_t size)
{
    if (n < *cap)
        return true;
    size_t grown = *cap ? *cap * 2 : 64;
    void *at = realloc(*list, grown * size);
    if (!at) {
        s->failed = true;
        return false;
    }
    *list = at;
    *cap = grown;
    return true;
}

// --- the heap of merges --------------------------------------------------------------------------

static bool better(const nmrt_spm_merge *a, const nmrt_spm_merge *b)
{
    return a->score > b->score || (a->score == b->score && a->left < b->left);
}

static void push(nmrt_spm_scratch *s, nmrt_spm_merge merge)
{
    if (!make_room(s, (void **)&s->merge, &s->merge_cap, s->n_merge, sizeof merge))
        return;
    size_t i = s->n_merge++;
    for (; i && better(&merge, &s->merge[(i - 1) / 2]); i = (i - 1) / 2)
        s->merge[i] = s->merge[(i - 1) / 2];
    s->merge[i] = merge;
}

static nmrt_spm_merge pop(nmrt_spm_scratch *s)
{
    nmrt_spm_merge top = s->merge[0], last = s->merge[--s->n_merge];
    size_t i = 0, child;
    while ((child = 2 * i + 1) < s->n_merge) {
        if (child + 1 < s->n_merge && better(&s->merge[child + 1], &s->merge[child]))
            child++;
        if (!better(&s->merge[child], &last))
            break;
        s->merge[i] = s->merge[child];
        i = child;
    }
    s->merge[i] = last;
    return top;
}

// --- merging -------------------------------------------------------------------------------------

static bool may_merge_to(nmrt_spm_type type)
{
    return type == NMRT_SPM_NORMAL || type == NMRT_SPM_USER || type == NMRT_SPM_UNUSED;
}

static void find_merge(nmrt_spm_scratch *s, const nmrt_spm_model *m, int32_t left, int32_t right)
{
    if (left < 0 || right < 0 || s->symbol[left].frozen || s->symbol[right].frozen)
        return;
    const nmrt_spm_symbol *a = &s->symbol[left], *b = &s->symbol[right];
    int32_t node = nmrt_trie_walk(&m->trie, a->node, b->text, (size_t)b->n);
    int32_t piece = node == NMRT_TRIE_NONE ? -1 : m->trie.node[node].value;
    if (piece < 0 || !may_merge_to(m->piece[piece].type))
        return;
    push(s, (nmrt_spm_merge){m->piece[piece].score, left, right, a->n + b->n, node});
    if (m->piece[piece].type == NMRT_SPM_UNUSED)
        s->left[piece] = a->n;
}

static void merge_all(nmrt_spm_scratch *s, const nmrt_spm_model *m)
{
    s->n_merge = 0;
    for (int32_t i = 1; i < (int32_t)s->n_symbol; i++)
        find_merge(s, m, i - 1, i);
    while (s->n_merge && !s->failed) {
        nmrt_spm_merge merge = pop(s);
        nmrt_spm_symbol *a = &s->symbol[merge.left], *b = &s->symbol[merge.right];
        if (!a->n || !b->n || a->n + b->n != merge.n)
            continue;
        a->n = merge.n;
        a->node = merge.node;
        a->next = b->next;
        b->n = 0;
        if (a->next >= 0)
            s->symbol[a->next].before = merge.left;
        find_merge(s, m, a->before, merge.left);
        find_merge(s, m, merge.left, a->next);
    }
}

// --- symbols to pieces ---------------------------------------------------------------------------

static void push_span(nmrt_spm_scratch *s, const char *text, int32_t n)
{
    if (make_room(s, (void **)&s->span, &s->span_cap, s->n_span, sizeof *s->span))
        s->span[s->n_span++] = (nmrt_spm_span){text, n};
}

static void add_piece(nmrt_spm_sink *sink, int32_t piece, nmrt_spm_span span)
{
    const nmrt_spm_model *m = sink->m;
    nmrt_spm_type type = piece < 0 ? NMRT_SPM_UNKNOWN : m->piece[piece].type;
    bool known = type == NMRT_SPM_NORMAL || type == NMRT_SPM_USER;
    nmrt_spm_sink_add(sink, known ? piece : m->unknown, span.text, (size_t)span.n);
}

// An unused piece is taken apart to what it was merged of; what is none of a text is unknown.
static void take_apart(nmrt_spm_scratch *s, const nmrt_spm_symbol *symbol, nmrt_spm_sink *sink)
{
    s->n_span = 0;
    push_span(s, symbol->text, symbol->n);
    while (s->n_span) {
        nmrt_spm_span span = s->span[--s->n_span];
        int32_t piece = nmrt_spm_model_find(sink->m, span.text, (size_t)span.n);
        if (piece >= 0 && sink->m->piece[piece].type == NMRT_SPM_UNUSED && s->left[piece]) {
            push_span(s, span.text + s->left[piece], span.n - s->left[piece]);
            push_span(s, span.text, s->left[piece]);
        } else
            add_piece(sink, piece, span);
    }
}

static void add_symbol(nmrt_spm_scratch *s, const nmrt_spm_symbol *symbol, nmrt_spm_sink *sink)
{
    const nmrt_trie *trie = &sink->m->trie;
    int32_t piece = symbol->node == NMRT_TRIE_NONE ? -1 : trie->node[symbol->node].value;
    if (piece >= 0 && sink->m->piece[piece].type == NMRT_SPM_UNUSED)
        take_apart(s, symbol, sink);
    else
        add_piece(sink, piece, (nmrt_spm_span){symbol->text, symbol->n});
}

static void cut_symbols(nmrt_spm_scratch *s, nmrt_spm_sink *sink)
{
    s->symbol[s->n_symbol - 1].next = -1;
    merge_all(s, sink->m);
    for (int32_t i = 0; i >= 0; i = s->symbol[i].next)
        add_symbol(s, &s->symbol[i], sink);
}

// Cuts what the symbols are. It is remembered, but for what is unknown, whose ids depend on what
// stands before it.
static void flush(nmrt_spm_scratch *s, nmrt_spm_sink *sink)
{
    if (!s->n_symbol || s->failed)
        return;
    const nmrt_spm_symbol *last = &s->symbol[s->n_symbol - 1];
    const char *word = s->symbol[0].text;
    size_t n = (size_t)(last->text + last->n - word), before = sink->out->n;
    int64_t n_unknown = sink->n_unknown;
    nmrt_word *kept = s->words ? nmrt_words_find(s->words, word, n) : NULL;
    if (kept && nmrt_word_is(kept, word, n)) {
        nmrt_ids_add_all(sink->out, kept->id, kept->n_ids);
        sink->behind_unknown = false;
    } else {
        cut_symbols(s, sink);
        if (kept && sink->n_unknown == n_unknown && !sink->out->failed)
            nmrt_word_keep(kept, word, n, sink->out->at + before, sink->out->n - before);
    }
    s->n_symbol = 0;
}

static void push_symbol(nmrt_spm_scratch *s, const nmrt_trie *trie, const char *text, size_t n,
                        bool frozen)
{
    if (!make_room(s, (void **)&s->symbol, &s->symbol_cap, s->n_symbol, sizeof *s->symbol))
        return;
    int32_t i = (int32_t)s->n_symbol++;
    int32_t node = nmrt_trie_walk(trie, NMRT_TRIE_ROOT, text, n);
    s->symbol[i] = (nmrt_spm_symbol){text, (int32_t)n, node, i - 1, i + 1, frozen};
}

static bool is_space(const char *text, size_t n)
{
    return n == 3 && memcmp(text, NMRT_SPM_SPACE, 3) == 0;
}

void nmrt_spm_bpe_cut(nmrt_spm_scratch *s, const char *text, size_t n, nmrt_spm_sink *sink)
{
    const nmrt_spm_model *m = sink->m;
    bool behind_space = false;
    s->n_symbol = 0;
    if (m->has_unused && !s->left) {
        s->left = calloc((size_t)m->n, sizeof *s->left);
        s->failed |= !s->left;
    }
    for (size_t at = 0, length; at < n && !s->failed; at += length) {
        length = nmrt_trie_longest(&m->user, text + at, n - at);
        bool user = length > 0;
        if (!user)
            length = nmrt_character_bytes((unsigned char)text[at]);
        if (length > n - at)
            length = n - at;
        bool space = is_space(text + at, length);
        if (m->spaces_lead && ((space && !behind_space) || user))
            flush(s, sink);
        push_symbol(s, &m->trie, text + at, length, user);
        if (m->spaces_lead && user)
            flush(s, sink);
        behind_space = space;
    }
    flush(s, sink);
}
