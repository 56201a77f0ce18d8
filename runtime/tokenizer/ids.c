// A growing list of token ids: doubled when it is full.
#include "runtime/tokenizer/ids.h"

#include <stdlib.h>
#include <string.h>

static bool grow(nmrt_ids *ids, size_t n)
{
    if (ids->failed || n > SIZE_MAX / 16 - ids->n) {
        ids->failed = true;
        return false;
    }
    size_t cap = ids->cap ? ids->cap : 64;
    while (cap < ids->n + n)
        cap *= 2;
    int32_t *at = realloc(ids->at, cap * sizeof *at);
    if (!at) {
        ids->failed = true;
        return false;
    }
    ids->at = at;
    ids->cap = cap;
    return true;
}

void nmrt_ids_add(nmrt_ids *ids, int32_t id)
{
    if (ids->n < ids->cap || grow(ids, 1))
        ids->at[ids->n++] = id;
}

void nmrt_ids_add_all(nmrt_ids *ids, const int32_t *id, size_t n)
{
    if (!n || (ids->cap - ids->n < n && !grow(ids, n)))
        return;
    memcpy(ids->at + ids->n, id, n * sizeof *id);
    ids->n += n;
}

void nmrt_ids_release(nmrt_ids *ids)
{
    free(ids->at);
    *ids = (nmrt_ids){0};
}
