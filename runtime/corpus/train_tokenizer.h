// A corpus to a tokenizer.json of byte-level byte pair encoding: its words are counted by threads,
// then merged (runtime/tokenizer/train.h).
#ifndef NMRT_CORPUS_TRAIN_TOKENIZER_H
#define NMRT_CORPUS_TRAIN_TOKENIZER_H

#include "runtime/corpus/reader.h"
#include "runtime/output.h"

typedef struct nmrt_train_tokenizer {
    const char *out;   // the file; there is none yet
    const char *regex; // "gpt2", "llama3": how texts are cut into words
    const char *json_key;
    const char *const *path;
    int n_paths;
    nmrt_documents_rule rule; // what is a text. AUTO: of plain files a line with its end
    const char *const *special;
    int n_special;
    int64_t vocabulary_size;
    int64_t least;      // how often a pair must be there to be merged
    int64_t most_words; // distinct ones; 0: no limit. Beyond, the rarest are forgotten
    int workers;        // 0: one a processor
    size_t chunk_bytes; // of text that a worker takes at a time
    bool skip_bad;      // lines that are no JSON with a text are left out and counted
} nmrt_train_tokenizer;

nmrt_status nmrt_train_tokenizer_run(const nmrt_train_tokenizer *o, const nmrt_output *out,
                                     nmrt_error *e);

#endif
