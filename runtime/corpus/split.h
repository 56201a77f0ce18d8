// --split: the documents of a corpus shared out to training, validation and test, one contiguous
// range each, by Megatron's rounding (megatron/core/datasets/blended_megatron_dataset_config.py).
#ifndef NMRT_CORPUS_SPLIT_H
#define NMRT_CORPUS_SPLIT_H

#include "runtime/status.h"

#include <stdint.h>

typedef enum { NMRT_PART_TRAIN, NMRT_PART_VALID, NMRT_PART_TEST, NMRT_PART_ALL } nmrt_split_part;

typedef struct nmrt_split {
    double share[NMRT_PART_ALL]; // their sum is 1
} nmrt_split;

typedef struct nmrt_range { // [first, first + n)
    int64_t first, n;
} nmrt_range;

// "99,1,0": one to three weights from 0 on, not all 0. False: it is none.
bool nmrt_split_parse(nmrt_split *s, const char *text);
nmrt_range nmrt_split_range(const nmrt_split *s, nmrt_split_part part, int64_t documents);
nmrt_split_part
nmrt_split_part_find(const char *name); // "train", "valid", "test"; else NMRT_PART_ALL
const char *nmrt_split_part_name(nmrt_split_part part);

#endif
