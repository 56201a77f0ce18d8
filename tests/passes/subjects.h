// Programs under test: IR text, or a model with tiny sizes that every mesh of up to eight ranks
// divides, or one of random layers.
#ifndef NM_TESTS_PASSES_SUBJECTS_H
#define NM_TESTS_PASSES_SUBJECTS_H

#include "frontend/elab.h"
#include "tests/passes/random_model.h"

#include <string.h>

enum { MAX_DEFINES = 12 };

typedef struct subject {
    const char *path;
    const char *text; // of the model, not in a file; NULL: at path
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

static inline subject random_subject(nm_arena *arena, uint64_t seed)
{
    return (subject){.path = nm_arena_fmt(arena, "random model %d", (int)seed),
                     .text = random_model(arena, seed),
                     .no_decode = true};
}

// NULL: reported.
static inline const nm_ast_program *load_subject(nm_module *m, const subject *s)
{
    nm_source *src = nm_new(m->arena, nm_source);
    if (!s->text)
        return nm_load(m, s->path);
    *src = (nm_source){.name = s->path, .text = s->text, .len = strlen(s->text)};
    return nm_load_text(m, src);
}

#endif
