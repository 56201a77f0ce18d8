// What the models of all types do alike.
#include "runtime/tokenizer/model.h"

#include <stdlib.h>

nmrt_status nmrt_word_model_open(nmrt_word_model **m, const nmrt_word_model_type *type,
                                 const nm_json *doc, int node, nmrt_error *e)
{
    nmrt_word_model *new = calloc(1, type->bytes);
    *m = NULL;
    if (!new)
        return nmrt_fail(e, NMRT_WORLD, "no memory for its model");
    new->type = type;
    nmrt_status status = type->read(new, doc, node, e);
    if (status == NMRT_OK)
        *m = new;
    else
        nmrt_word_model_close(new);
    return status;
}

void nmrt_word_model_close(nmrt_word_model *m)
{
    if (!m)
        return;
    m->type->release(m);
    nmrt_vocabulary_release(&m->vocabulary);
    free(m);
}

nmrt_status nmrt_word_scratch_open(nmrt_word_scratch **s, const nmrt_word_model_type *type,
                                   nmrt_error *e)
{
    nmrt_word_scratch *new = calloc(1, type->scratch_bytes);
    nmrt_word *words = nmrt_words_new();
    *s = new;
    if (new && words) {
        new->type = type;
        new->words = words;
        return NMRT_OK;
    }
    free(new);
    free(words);
    *s = NULL;
    return nmrt_fail(e, NMRT_WORLD, "no memory to encode words");
}

void nmrt_word_scratch_close(nmrt_word_scratch *s)
{
    if (!s)
        return;
    s->type->scratch_release(s);
    free(s->words);
    free(s);
}

static nmrt_status encode_part(const nmrt_word_model *m, nmrt_word_scratch *s, const char *word,
                               size_t n, nmrt_ids *out, nmrt_error *e)
{
    nmrt_word *kept = nmrt_words_find(s->words, word, n);
    if (kept && nmrt_word_is(kept, word, n)) {
        nmrt_ids_add_all(out, kept->id, kept->n_ids);
        return NMRT_OK;
    }
    size_t before = out->n;
    NMRT_TRY(m->type->encode(m, s, word, n, out, e));
    if (kept && !out->failed)
        nmrt_word_keep(kept, word, n, out->at + before, out->n - before);
    return NMRT_OK;
}

nmrt_status nmrt_word_encode(const nmrt_word_model *m, nmrt_word_scratch *s, const char *word,
                             size_t n, nmrt_ids *out, nmrt_error *e)
{
    for (size_t part; n; word += part, n -= part) {
        part = m->type->part ? m->type->part(m, word, n) : n;
        NMRT_TRY(encode_part(m, s, word, part, out, e));
    }
    return NMRT_OK;
}
