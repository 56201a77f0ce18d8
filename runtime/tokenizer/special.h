// What begins and ends a document, which a tokenizer.json does not say.
#ifndef NMRT_TOKENIZER_SPECIAL_H
#define NMRT_TOKENIZER_SPECIAL_H

#include "runtime/tokenizer/kind.h"

// Sets t->bos and t->eos by the files beside `path`, that of t, or by names that are usual.
nmrt_status nmrt_special_read(nmrt_tokenizer *t, const char *path, nmrt_error *e);
// Sets t->end by the generation_config.json beside `path`, if there is one.
nmrt_status nmrt_ends_read(nmrt_tokenizer *t, const char *path, nmrt_error *e);

#endif
