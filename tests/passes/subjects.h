// Programs under test: IR text, or a model with tiny sizes that every mesh of up to eight ranks
// divides.
#ifndef NM_TESTS_PASSES_SUBJECTS_H
#define NM_TESTS_PASSES_SUBJECTS_H

#include "frontend/elab.h"

enum { MAX_DEFINES = 12 };

typedef struct subject {
    const char *path;
    nm_define define[MAX_DEFINES];
    bool no_decode; // its positions mix other than by attention
} subject;

// clang-format off
#define TINY_GPT2(LAYERS) \
    {.path = "models/gpt2.nm", \
     .define = {{"vocab", "14"}, {"d", "8"}, {"heads", "4"}, {"hd", "4"}, {"ff", "16"}, {"layers", LAYERS}, {"context", "8"}}}
#define TINY_LLAMA3 \
    {.path = "models/llama3.nm", \
     .define = {{"vocab", "14"}, {"d", "8"}, {"heads", "4"}, {"kv", "2"}, {"hd", "4"}, {"ff", "16"}, {"layers", "2"}}}
#define TINY_PHI3 \
    {.path = "models/phi3.nm", \
     .define = {{"vocab", "14"}, {"d", "8"}, {"heads", "4"}, {"kv", "2"}, {"hd", "4"}, {"ff", "16"}, {"layers", "2"}}}
// clang-format on

#endif
