// A corpus to an indexed data set: documents in their order, each tokenised by itself.
#ifndef NMRT_CORPUS_TOKENIZE_H
#define NMRT_CORPUS_TOKENIZE_H

#include "runtime/corpus/indexed.h"
#include "runtime/corpus/reader.h"
#include "runtime/output.h"

typedef struct nmrt_tokenize {
    const char *tokenizer; // a path, see tokenizer.h
    const char *prefix;    // PREFIX.bin and PREFIX.idx
    const char *json_key;  // of JSONL
    const char *eod;       // id or piece; NULL: the tokenizer's
    const char *dtype;     // a type's name, or "auto"
    const char *const *path;
    int n_paths;
    nmrt_documents_rule rule;
    int workers;          // 0: one a processor
    size_t chunk_bytes;   // of text that a worker takes at a time; what is written is the same
    double journal_every; // seconds of work that are lost at most if the process is killed
    bool append_eod;      // behind each document that has a token
    bool special;         // what the tokenizer puts around a text
    bool skip_bad;        // lines that are not what they should be are left out and counted
    bool fresh;           // do not go on where an interrupted run was
} nmrt_tokenize;

// Goes on where the same command was interrupted. NMRT_USAGE: what was asked for does not fit the
// tokenizer. After a failure what was written is kept, and the same command goes on.
nmrt_status nmrt_tokenize_run(const nmrt_tokenize *o, const nmrt_output *out, nmrt_error *e);

#endif
