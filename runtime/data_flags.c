// Flags of data, as they are checked before anything is opened.
#include "runtime/data_flags.h"

#include "runtime/corpus/split.h"

#include <string.h>

bool nmrt_data_has_valid(const nmrt_options *o)
{
    nmrt_split split;
    return o->eval_data ||
           (o->split && nmrt_split_parse(&split, o->split) && split.share[NMRT_PART_VALID] > 0);
}

bool nmrt_data_tells_documents(const nmrt_options *o)
{
    return o->reset_position_ids || o->reset_attention_mask || o->eod_mask_loss;
}

void nmrt_data_check_flags(const nmrt_options *o, nmrt_text *problems)
{
    nmrt_split split;
    bool has_part = o->part && strcmp(o->part, "auto") != 0;
    if (o->split && !nmrt_split_parse(&split, o->split))
        nmrt_text_add(problems,
                      "--split takes one to three weights, of training, validation and test, as "
                      "99,1,0, not '%s'\n",
                      o->split);
    else if (o->split && o->verb == NMRT_TRAIN && !(split.share[NMRT_PART_TRAIN] > 0))
        nmrt_text_add(problems, "--split %s leaves nothing to train on\n", o->split);
    if (has_part && strcmp(o->part, "all") != 0 && !o->split)
        nmrt_text_add(problems, "--part %s needs --split A,B,C\n", o->part);
    // alone, of eval, it says that the checkpoint's flags of documents do not count
    if (o->verb == NMRT_TRAIN && nmrt_option_given(o, nmrt_option_find("eod")) &&
        !nmrt_data_tells_documents(o))
        nmrt_text_add(problems, "--eod needs --reset-position-ids, --reset-attention-mask or "
                                "--eod-mask-loss, of an entry that reads where documents end, as "
                                "nemocc --entry documents of gpt2, llama3 and phi3\n");
}
