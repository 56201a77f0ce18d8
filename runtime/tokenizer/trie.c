// A trie in one array, made of sorted keys in order of depth: the keys below a node are a range of
// them, and its children the runs of that range that share a byte.
#include "runtime/tokenizer/trie.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

typedef struct range { // the keys below a node, which have `depth` bytes in common
    int64_t from, to;
    uint32_t depth;
} range;

typedef struct builder {
    nmrt_trie *trie;
    const nmrt_trie_key *key;
    range *below; // of each node
    int32_t cap;
    int32_t twice;
    nmrt_error *e;
} builder;

static int compare_keys(const void *a, const void *b)
{
    const nmrt_trie_key *x = a, *y = b;
    int order = memcmp(x->text, y->text, x->n < y->n ? x->n : y->n);
    if (order)
        return order;
    if (x->n != y->n)
        return x->n < y->n ? -1 : 1;
    return (x->value > y->value) - (x->value < y->value);
}

static nmrt_status grow(builder *b)
{
    if (b->cap > INT32_MAX / 2)
        return nmrt_fail(b->e, NMRT_CORRUPT, "a vocabulary of more than 2^31 bytes");
    int32_t cap = b->cap ? b->cap * 2 : 1024;
    nmrt_trie_node *node = realloc(b->trie->node, (size_t)cap * sizeof *node);
    if (node)
        b->trie->node = node;
    range *below = realloc(b->below, (size_t)cap * sizeof *below);
    if (below)
        b->below = below;
    if (!node || !below)
        return nmrt_fail(b->e, NMRT_WORLD, "no memory for a vocabulary");
    b->cap = cap;
    return NMRT_OK;
}

static nmrt_status add_node(builder *b, range below, unsigned char byte)
{
    if (b->trie->n == b->cap)
        NMRT_TRY(grow(b));
    b->below[b->trie->n] = below;
    b->trie->longest = below.depth; // nodes come in order of depth
    b->trie->node[b->trie->n++] = (nmrt_trie_node){.value = NMRT_TRIE_NONE, .byte = byte};
    return NMRT_OK;
}

// The keys that end at node i give its value; what is left of its range is its children's.
static void take_value(builder *b, int32_t i)
{
    range *r = &b->below[i];
    for (; r->from < r->to && b->key[r->from].n == r->depth; r->from++) {
        if (b->trie->node[i].value != NMRT_TRIE_NONE)
            b->twice = b->trie->node[i].value;
        b->trie->node[i].value = b->key[r->from].value;
    }
}

static nmrt_status add_children(builder *b, int32_t i)
{
    take_value(b, i);
    range r = b->below[i];
    b->trie->node[i].child = b->trie->n;
    for (int64_t from = r.from, to; from < r.to; from = to) {
        unsigned char byte = (unsigned char)b->key[from].text[r.depth];
        for (to = from + 1; to < r.to && (unsigned char)b->key[to].text[r.depth] == byte;)
            to++;
        NMRT_TRY(add_node(b, (range){from, to, r.depth + 1}, byte));
        b->trie->node[i].n_child++;
    }
    return NMRT_OK;
}

static void index_first(nmrt_trie *trie)
{
    for (int byte = 0; byte < 256; byte++)
        trie->first[byte] = NMRT_TRIE_NONE;
    const nmrt_trie_node *root = &trie->node[NMRT_TRIE_ROOT];
    for (int i = 0; i < root->n_child; i++)
        trie->first[trie->node[root->child + i].byte] = root->child + i;
}

nmrt_status nmrt_trie_build(nmrt_trie *trie, nmrt_trie_key *key, int64_t n, int32_t *twice,
                            nmrt_error *e)
{
    *trie = (nmrt_trie){0};
    builder b = {.trie = trie, .key = key, .twice = NMRT_TRIE_NONE, .e = e};
    if (n)
        qsort(key, (size_t)n, sizeof *key, compare_keys);
    nmrt_status status = add_node(&b, (range){0, n, 0}, 0);
    for (int32_t i = 0; i < trie->n && status == NMRT_OK; i++)
        status = add_children(&b, i);
    free(b.below);
    if (status != NMRT_OK) {
        nmrt_trie_release(trie);
        return status;
    }
    index_first(trie);
    if (twice)
        *twice = b.twice;
    return NMRT_OK;
}

void nmrt_trie_release(nmrt_trie *trie)
{
    free(trie->node);
    *trie = (nmrt_trie){0};
}

int32_t nmrt_trie_walk(const nmrt_trie *trie, int32_t node, const char *text, size_t n)
{
    for (size_t i = 0; i < n && node != NMRT_TRIE_NONE; i++)
        node = nmrt_trie_down(trie, node, (unsigned char)text[i]);
    return node;
}

int32_t nmrt_trie_find(const nmrt_trie *trie, const char *text, size_t n)
{
    int32_t node = nmrt_trie_walk(trie, NMRT_TRIE_ROOT, text, n);
    return node == NMRT_TRIE_NONE || !trie->n ? NMRT_TRIE_NONE : trie->node[node].value;
}

size_t nmrt_trie_longest(const nmrt_trie *trie, const char *text, size_t n)
{
    size_t longest = 0;
    int32_t node = NMRT_TRIE_ROOT;
    for (size_t i = 0; i < n; i++) {
        node = nmrt_trie_down(trie, node, (unsigned char)text[i]);
        if (node == NMRT_TRIE_NONE)
            break;
        if (trie->node[node].value != NMRT_TRIE_NONE)
            longest = i + 1;
    }
    return longest;
}
