// Post-processors of a tokenizer.json: the ids that it puts around a text.
#ifndef NMRT_TOKENIZER_TEMPLATE_H
#define NMRT_TOKENIZER_TEMPLATE_H

#include "runtime/json.h"
#include "runtime/tokenizer/ids.h"

typedef struct nmrt_template { // zero-initialised: nothing
    nmrt_ids before, after;    // of one text, with special tokens; without them there are none
} nmrt_template;

nmrt_status nmrt_template_read(nmrt_template *t, const nm_json *doc, int node, nmrt_error *e);
void nmrt_template_release(nmrt_template *t);

#endif
