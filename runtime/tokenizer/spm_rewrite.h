// What SentencePiece does to a text before it cuts it into pieces (and, with a denormalizer, to
// what it decodes): characters are rewritten by a table, spaces are removed, added and escaped.
#ifndef NMRT_TOKENIZER_SPM_REWRITE_H
#define NMRT_TOKENIZER_SPM_REWRITE_H

#include "runtime/text.h"
#include "runtime/tokenizer/spm_model.h"

// Appends to `out`, which ends as it began where nothing is left. Texts of `user` stay as they are;
// NULL: there are none. A byte that begins no character becomes U+FFFD, each its own.
void nmrt_spm_rewrite(const nmrt_spm_rewriting *w, const nmrt_trie *user, const char *text,
                      size_t n, nmrt_text *out);

#endif
