// Lines of JSONL and plain documents, to whoever takes their texts.
#include "runtime/corpus/document_texts.h"

#include "runtime/corpus/line.h"

#include <stdio.h>

static nmrt_status give_line(const nmrt_document *d, const char *key, nmrt_take_text take,
                             void *taker, nmrt_error *e)
{
    nmrt_line line;
    NMRT_TRY(nmrt_line_open(&line, d, key, e));
    nmrt_status status = NMRT_OK;
    for (bool end = false; status == NMRT_OK && !end;) {
        status = nmrt_line_next(&line, &end, e);
        if (status == NMRT_OK && !end)
            status = take(taker, line.text.at ? line.text.at : "", line.text.n, e);
    }
    nmrt_line_close(&line);
    return status;
}

nmrt_status nmrt_document_texts(const nmrt_chunk *chunk, const nmrt_document *d,
                                const nmrt_texts_rules *rules, nmrt_take_text take, void *taker,
                                nmrt_bad_lines *bad, nmrt_error *e)
{
    nmrt_error why;
    bool json = chunk->rule == NMRT_DOCUMENTS_JSONL;
    nmrt_status status =
        json ? give_line(d, rules->json_key, take, taker, &why) : take(taker, d->text, d->n, &why);
    bool may_skip = json && status == NMRT_CORRUPT;
    if (status == NMRT_OK)
        return NMRT_OK;
    nmrt_fail(e, status, "%s:%lld: %s%s", chunk->path, (long long)d->line, why.text,
              may_skip && !rules->skip_bad ? "; --skip-bad leaves such lines out" : "");
    if (!may_skip || !rules->skip_bad)
        return status;
    if (!bad->n++)
        snprintf(bad->first, sizeof bad->first, "%s", e->text);
    return NMRT_OK;
}
