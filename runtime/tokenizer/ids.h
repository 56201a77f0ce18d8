// A growing list of token ids.
#ifndef NMRT_TOKENIZER_IDS_H
#define NMRT_TOKENIZER_IDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct nmrt_ids { // zero-initialised: empty
    int32_t *at;
    size_t n, cap;
    bool failed; // memory ran out: later additions are dropped, ask once at the end
} nmrt_ids;

void nmrt_ids_add(nmrt_ids *ids, int32_t id);
void nmrt_ids_add_all(nmrt_ids *ids, const int32_t *id, size_t n);
void nmrt_ids_release(nmrt_ids *ids);

#endif
