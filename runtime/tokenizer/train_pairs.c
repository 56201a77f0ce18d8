// A heap in which counts may be out of date: they are looked at when they reach the top, and sink
// if they have become less. They never become more without being queued again.
#include "runtime/tokenizer/train_pairs.h"

#include <stdlib.h>

static bool make_room(nmrt_train_pairs *p, void **list, size_t *cap, size_t n, size_t size)
{
    if (n < *cap)
        return true;
    size_t grown = *cap ? *cap * 2 : 1024;
    void *at = realloc(*list, grown * size);
    if (!at) {
        p->failed = true;
        return false;
    }
    *list = at;
    *cap = grown;
    return true;
}

static void add_place(nmrt_train_pairs *p, nmrt_places *places, uint32_t word)
{
    if (places->n && places->at[places->n - 1] == word)
        return;
    if (places->n == places->cap) {
        uint32_t cap = places->cap ? places->cap * 2 : 4;
        uint32_t *at = realloc(places->at, (size_t)cap * sizeof *at);
        if (!at) {
            p->failed = true;
            return;
        }
        places->at = at;
        places->cap = cap;
    }
    places->at[places->n++] = word;
}

static nmrt_trained_pair *get_pair(nmrt_train_pairs *p, int32_t left, int32_t right)
{
    const nmrt_pair_slot *slot = nmrt_pairs_get(&p->index, left, right);
    if (slot)
        return &p->pair[slot->x];
    if (p->n >= INT32_MAX || !make_room(p, (void **)&p->pair, &p->cap, p->n, sizeof *p->pair) ||
        !nmrt_pairs_put(&p->index, (nmrt_pair_slot){left, right, (int32_t)p->n, 0})) {
        p->failed = true;
        return NULL;
    }
    p->pair[p->n] = (nmrt_trained_pair){.left = left, .right = right};
    return &p->pair[p->n++];
}

void nmrt_train_pairs_change(nmrt_train_pairs *p, int32_t left, int32_t right, int64_t count,
                             uint32_t word)
{
    nmrt_trained_pair *pair = get_pair(p, left, right);
    if (!pair)
        return;
    pair->count += count;
    if (count <= 0)
        return;
    if (!pair->news.n &&
        make_room(p, (void **)&p->fresh, &p->fresh_cap, p->n_fresh, sizeof *p->fresh))
        p->fresh[p->n_fresh++] = (int32_t)(pair - p->pair);
    add_place(p, &pair->news, word);
}

// --- the heap ------------------------------------------------------------------------------------

static bool before(const nmrt_train_pairs *p, const nmrt_queued_pair *a, const nmrt_queued_pair *b)
{
    if (a->count != b->count)
        return a->count > b->count;
    const nmrt_trained_pair *x = &p->pair[a->pair], *y = &p->pair[b->pair];
    if (x->left != y->left)
        return x->left < y->left;
    if (x->right != y->right)
        return x->right < y->right;
    return a->order < b->order;
}

static void push(nmrt_train_pairs *p, nmrt_queued_pair queued)
{
    if (!make_room(p, (void **)&p->queue, &p->queue_cap, p->n_queue, sizeof queued)) {
        free(queued.places.at);
        return;
    }
    size_t i = p->n_queue++;
    for (; i && before(p, &queued, &p->queue[(i - 1) / 2]); i = (i - 1) / 2)
        p->queue[i] = p->queue[(i - 1) / 2];
    p->queue[i] = queued;
}

// Puts what belongs at the top of the heap, whose top is free, where it belongs.
static void sink(nmrt_train_pairs *p, nmrt_queued_pair queued)
{
    size_t i = 0, child;
    while ((child = 2 * i + 1) < p->n_queue) {
        if (child + 1 < p->n_queue && before(p, &p->queue[child + 1], &p->queue[child]))
            child++;
        if (!before(p, &p->queue[child], &queued))
            break;
        p->queue[i] = p->queue[child];
        i = child;
    }
    p->queue[i] = queued;
}

void nmrt_train_pairs_queue(nmrt_train_pairs *p)
{
    for (size_t i = 0; i < p->n_fresh; i++) {
        nmrt_trained_pair *pair = &p->pair[p->fresh[i]];
        if (pair->count > 0)
            push(p, (nmrt_queued_pair){p->fresh[i], p->order++, pair->count, pair->news});
        else
            free(pair->news.at);
        pair->news = (nmrt_places){0};
    }
    p->n_fresh = 0;
}

bool nmrt_train_pairs_take(nmrt_train_pairs *p, nmrt_queued_pair *taken)
{
    while (p->n_queue) {
        nmrt_queued_pair top = p->queue[0];
        int64_t now = p->pair[top.pair].count;
        if (top.count == now) {
            nmrt_queued_pair last = p->queue[--p->n_queue];
            if (p->n_queue)
                sink(p, last);
            *taken = top;
            return true;
        }
        top.count = now;
        sink(p, top);
    }
    return false;
}

void nmrt_train_pairs_release(nmrt_train_pairs *p)
{
    for (size_t i = 0; i < p->n; i++)
        free(p->pair[i].news.at);
    for (size_t i = 0; i < p->n_queue; i++)
        free(p->queue[i].places.at);
    nmrt_pairs_release(&p->index);
    free(p->pair);
    free(p->queue);
    free(p->fresh);
    *p = (nmrt_train_pairs){0};
}
