// The texts of documents: of JSONL those of one member of a line, else the document itself; and
// what becomes of lines that are not what they should be.
#ifndef NMRT_CORPUS_DOCUMENT_TEXTS_H
#define NMRT_CORPUS_DOCUMENT_TEXTS_H

#include "runtime/corpus/reader.h"

typedef struct nmrt_texts_rules {
    const char *json_key; // the member
    bool skip_bad;        // lines that are bad are left out
} nmrt_texts_rules;

typedef struct nmrt_bad_lines { // that were left out
    int64_t n;
    char first[512]; // the first of them, and why
} nmrt_bad_lines;

typedef nmrt_status (*nmrt_take_text)(void *taker, const char *text, size_t n, nmrt_error *e);

// Gives each text of the chunk's document to `take`, in order. A failure says where the document
// is. One that is left out is counted in `bad`; texts before its bad one were given.
nmrt_status nmrt_document_texts(const nmrt_chunk *chunk, const nmrt_document *d,
                                const nmrt_texts_rules *rules, nmrt_take_text take, void *taker,
                                nmrt_bad_lines *bad, nmrt_error *e);

#endif
