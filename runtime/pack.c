// Packing of lifetime intervals: greedy by size, as TensorFlow Lite's planner (Pisarchyk and Lee
// 2020, "Efficient Memory Management for Deep Neural Net Inference"): the largest first, each at
// the lowest offset where it meets no neighbour that is alive with it.
#include "runtime/plan.h"

#include <stdlib.h>

enum { ALIGN = 64 };

typedef struct item {
    int64_t bytes, first, last, index, offset;
} item;

static int larger_first(const void *a, const void *b)
{
    const item *x = a, *y = b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    return x->index < y->index ? -1 : 1;
}

// `placed` [n] is sorted by offset. Returns where `it` fits, and at which position it belongs.
static int64_t lowest_gap(const item *placed, int64_t n, const item *it)
{
    int64_t at = 0;
    for (int64_t i = 0; i < n; i++) {
        const item *p = &placed[i];
        if (p->last < it->first || p->first > it->last)
            continue;
        if (p->offset >= at + it->bytes)
            break;
        if (p->offset + p->bytes > at)
            at = p->offset + p->bytes;
    }
    return at;
}

static void insert(item *placed, int64_t n, item it)
{
    int64_t i = n;
    for (; i > 0 && placed[i - 1].offset > it.offset; i--)
        placed[i] = placed[i - 1];
    placed[i] = it;
}

int64_t nmrt_pack(int64_t n, const int64_t *bytes, const int64_t *first, const int64_t *last,
                  int64_t *offset)
{
    item *it = malloc((size_t)(2 * n + 1) * sizeof *it), *placed = it + n;
    int64_t end = 0;
    if (!it)
        return -1;
    for (int64_t i = 0; i < n; i++)
        it[i] = (item){(bytes[i] + ALIGN - 1) / ALIGN * ALIGN, first[i], last[i], i, 0};
    qsort(it, (size_t)n, sizeof *it, larger_first);
    for (int64_t i = 0; i < n; i++) {
        it[i].offset = lowest_gap(placed, i, &it[i]);
        insert(placed, i, it[i]);
        offset[it[i].index] = it[i].offset;
        if (it[i].offset + it[i].bytes > end)
            end = it[i].offset + it[i].bytes;
    }
    free(it);
    return end;
}
