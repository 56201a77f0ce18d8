// Words of a corpus, counted by threads, each in a table of its own.
#ifndef NMRT_CORPUS_COUNT_WORDS_H
#define NMRT_CORPUS_COUNT_WORDS_H

#include "runtime/corpus/document_texts.h"
#include "runtime/corpus/meter.h"
#include "runtime/tokenizer/counts.h"
#include "runtime/tokenizer/cut.h"

typedef struct nmrt_count_words {
    const nmrt_cutter *cutter;
    nmrt_texts_rules rules;
    int workers;
    size_t chunk_bytes;
    size_t most; // words of all tables together; 0: no limit
    nmrt_meter *meter;
    int64_t bytes, texts; // so far
    nmrt_bad_lines bad;
} nmrt_count_words;

// Adds the words of files to `counts`. The texts: of LINES each line with its end, as tokenizers
// trains on files; else the documents.
nmrt_status nmrt_count_words_of(nmrt_count_words *c, const char *const *path, int n_paths,
                                nmrt_documents_rule rule, nmrt_counts *counts, nmrt_error *e);

#endif
