// Flags of data: which part of which source, its order, and what ends a document.
#include "runtime/data_request.h"

#include "runtime/data_flags.h"
#include "runtime/file.h"
#include "runtime/tokenizer/ends.h"
#include "runtime/tokenizer_path.h"

#include <string.h>

// Where no tokenizer and no flag says it, it is -1, which nmrt_data_check tells.
static nmrt_status ask_end(nmrt_document_ends *d, const nmrt_options *o, const char *tokenizer,
                           nmrt_error *e)
{
    nmrt_tokenizer *t = NULL;
    if (!nmrt_data_tells_documents(o) || (!o->eod && !tokenizer))
        return NMRT_OK;
    if (tokenizer)
        NMRT_TRY(nmrt_tokenizer_open(&t, tokenizer, e));
    nmrt_status status = nmrt_end_find(o->eod, t, tokenizer, &d->end, e);
    nmrt_tokenizer_close(t);
    return status;
}

static nmrt_split_part find_part(const nmrt_options *o, nmrt_data_use use)
{
    if (!o->split)
        return NMRT_PART_ALL;
    switch (use) {
    case NMRT_DATA_TRAIN: return NMRT_PART_TRAIN;
    case NMRT_DATA_VALID: return o->eval_data ? NMRT_PART_ALL : NMRT_PART_VALID;
    case NMRT_DATA_EVAL: break;
    }
    return strcmp(o->part, "auto") == 0 ? NMRT_PART_VALID : nmrt_split_part_find(o->part);
}

nmrt_status nmrt_data_ask(nmrt_data_request *r, const nmrt_setup *s, nmrt_data_use use,
                          char tokenizer[NMRT_PATH], const nmrt_output *out, nmrt_error *e)
{
    const nmrt_options *o = s->options;
    bool valid = use == NMRT_DATA_VALID && o->eval_data;
    *r = (nmrt_data_request){.source = {.path = valid ? o->eval_data : o->data,
                                        .tokenizer = nmrt_tokenizer_path(o, tokenizer),
                                        .seq = s->seq,
                                        .seed = (uint64_t)o->seed,
                                        .part = find_part(o, use),
                                        .out = out},
                             .documents = {.end = -1,
                                           .resets_positions = o->reset_position_ids,
                                           .resets_attention = o->reset_attention_mask,
                                           .masks_end = o->eod_mask_loss},
                             .micro_batch = s->samples};
    r->source.held_out = use != NMRT_DATA_TRAIN;
    r->source.shuffle = use == NMRT_DATA_TRAIN && strcmp(o->data_order, "shuffle") == 0;
    if (o->split && !nmrt_split_parse(&r->source.split, o->split))
        return nmrt_fail(e, NMRT_USAGE, "--split %s is none", o->split);
    return ask_end(&r->documents, o, r->source.tokenizer, e);
}
