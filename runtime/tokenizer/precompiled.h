// The normalizer Precompiled of a tokenizer.json: SentencePiece's table of characters, applied in
// the library's own way.
#ifndef NMRT_TOKENIZER_PRECOMPILED_H
#define NMRT_TOKENIZER_PRECOMPILED_H

#include "runtime/tokenizer/normalize.h"

// As nmrt_normal_type has them.
nmrt_status nmrt_precompiled_read(nmrt_normal_step *s, const nm_json *doc, int node, nmrt_error *e);
nmrt_status nmrt_precompiled_apply(const nmrt_normal_step *s, nmrt_regex_scratch *regex,
                                   nmrt_normal_text *text, nmrt_text *out, nmrt_error *e);
void nmrt_precompiled_release(nmrt_normal_step *s);

#endif
