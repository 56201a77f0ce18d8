// What both ways of cutting share: pieces to ids, and scratch.
#include "runtime/tokenizer/spm_cut.h"

#include <stdlib.h>

void nmrt_spm_sink_add(nmrt_spm_sink *sink, int32_t piece, const char *text, size_t n)
{
    bool unknown = piece == sink->m->unknown;
    if (unknown && sink->m->byte_fallback)
        for (size_t i = 0; i < n; i++)
            nmrt_ids_add(sink->out, sink->m->byte[(unsigned char)text[i]]);
    else if (!unknown || !sink->behind_unknown)
        nmrt_ids_add(sink->out, piece);
    sink->behind_unknown = unknown;
    sink->n_unknown += unknown;
}

void nmrt_spm_scratch_release(nmrt_spm_scratch *s)
{
    nmrt_text_release(&s->text);
    nmrt_unigram_path_release(&s->path);
    free(s->symbol);
    free(s->merge);
    free(s->span);
    free(s->words);
    free(s->left);
    *s = (nmrt_spm_scratch){0};
}
