// What generate reads and writes: a text as tokens, by the tokenizer that --tokenizer names or that
// lies beside the weights; without one, tokens are bytes.
#ifndef NMRT_PROMPT_H
#define NMRT_PROMPT_H

#include "runtime/options.h"
#include "runtime/tokenizer/tokenizer.h"

#include <stdio.h>

typedef struct nmrt_prompt { // zero-initialised: closed
    char path[NMRT_PATH];    // of the tokenizer
    nmrt_tokenizer *t;
    nmrt_ids ids;      // what --prompt is
    nmrt_decoder said; // what was written, the prompt included
} nmrt_prompt;

nmrt_status nmrt_prompt_open(nmrt_prompt *p, const nmrt_options *o, nmrt_error *e);
void nmrt_prompt_close(nmrt_prompt *p);

// Writes a token's text, by whole characters, so that it may come with a later one.
nmrt_status nmrt_prompt_say(nmrt_prompt *p, int32_t token, FILE *to, nmrt_error *e);
// Writes what is held back.
nmrt_status nmrt_prompt_finish(nmrt_prompt *p, FILE *to, nmrt_error *e);

#endif
