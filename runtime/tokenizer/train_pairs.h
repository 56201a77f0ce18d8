// The pairs of neighbours in the words that a byte pair encoding is trained on: how often each is
// there, where, and which is the most frequent.
#ifndef NMRT_TOKENIZER_TRAIN_PAIRS_H
#define NMRT_TOKENIZER_TRAIN_PAIRS_H

#include "runtime/tokenizer/pairs.h"

typedef struct nmrt_places { // words, ascending
    uint32_t *at;
    uint32_t n, cap;
} nmrt_places;

typedef struct nmrt_trained_pair {
    int32_t left, right;
    int64_t count;
    nmrt_places news; // words that have it since it was queued last
} nmrt_trained_pair;

typedef struct nmrt_queued_pair {
    int32_t pair;
    uint32_t order;
    int64_t count; // when it was queued
    nmrt_places places;
} nmrt_queued_pair;

typedef struct nmrt_train_pairs { // zero-initialised
    nmrt_pairs index;             // ids -> x: of `pair`
    nmrt_trained_pair *pair;
    nmrt_queued_pair *queue; // a heap, the next to be merged on top
    int32_t *fresh;          // pairs with news
    size_t n, cap, n_queue, queue_cap, n_fresh, fresh_cap;
    uint32_t order;
    bool failed; // memory ran out: ask now and then
} nmrt_train_pairs;

// The pair is there `count` times more (or less) in a word; a word's changes come together.
void nmrt_train_pairs_change(nmrt_train_pairs *p, int32_t left, int32_t right, int64_t count,
                             uint32_t word);
// Queues the pairs that have news.
void nmrt_train_pairs_queue(nmrt_train_pairs *p);
// Takes the most frequent pair (of equals the one with the smaller ids) from the queue; the caller
// frees its places. false: the queue is empty.
bool nmrt_train_pairs_take(nmrt_train_pairs *p, nmrt_queued_pair *taken);
void nmrt_train_pairs_release(nmrt_train_pairs *p);

#endif
