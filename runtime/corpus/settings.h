// What the bytes of a tokenised corpus depend on: a run goes on only where all of it is the same.
#ifndef NMRT_CORPUS_SETTINGS_H
#define NMRT_CORPUS_SETTINGS_H

#include "runtime/corpus/batch.h"
#include "runtime/corpus/tokenize.h"

// As nmrt_corpus_journal_write takes them. Files are known by their names, sizes and times, the
// tokenizer by its bytes.
nmrt_status nmrt_tokenize_settings(nmrt_text *settings, const nmrt_tokenize *o,
                                   const nmrt_batch_rules *rules, nmrt_error *e);

#endif
