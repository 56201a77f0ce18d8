// What ends a document, which a tokenizer.json does not say: the first of
//   eos_token      of tokenizer_config.json, then of special_tokens_map.json: a string, or an
//                  object with its `content`;
//   eos_token_id   of generation_config.json, then of config.json: an id, or a list of them, whose
//                  first counts;
//   the usual names: </s>, <|end_of_text|>, <|endoftext|>, <eos>
// that is a token of the tokenizer's. Of a SentencePiece model: its own control piece, else these.
#ifndef NMRT_TOKENIZER_ENDS_H
#define NMRT_TOKENIZER_ENDS_H

#include "runtime/tokenizer/kind.h"

// Sets t->eos, if it is -1, and t->end, by the files beside `path`, that of t.
nmrt_status nmrt_ends_read(nmrt_tokenizer *t, const char *path, nmrt_error *e);
// The token that --eod names: digits are an id, else it is a token's text; NULL: t's own. `name` is
// t's for messages; t may be NULL where eod is not: then it must be an id.
nmrt_status nmrt_end_find(const char *eod, const nmrt_tokenizer *t, const char *name, int64_t *id,
                          nmrt_error *e);

#endif
