// Reading a corpus: files of text, cut into chunks of whole documents, each small enough to wait in
// memory, each knowing where it lies, so that reading can go on behind it in another process.
#ifndef NMRT_CORPUS_READER_H
#define NMRT_CORPUS_READER_H

#include "runtime/file.h"
#include "runtime/text.h"

typedef enum {                 // what a document is
    NMRT_DOCUMENTS_AUTO,       // by the file's name: see nmrt_corpus_rule
    NMRT_DOCUMENTS_JSONL,      // a line with a JSON object
    NMRT_DOCUMENTS_LINES,      // a line that is not blank
    NMRT_DOCUMENTS_PARAGRAPHS, // lines up to a blank one
    NMRT_DOCUMENTS_FILE,       // all of a file
} nmrt_documents_rule;

nmrt_documents_rule nmrt_documents_rule_find(const char *name); // "jsonl"; an unknown one: AUTO
// What AUTO is for a path: JSONL of *.jsonl, *.ndjson, *.json and of "-", else FILE.
nmrt_documents_rule nmrt_documents_rule_of(const char *path);

enum {
    NMRT_CHUNK_BYTES = 1 << 20,      // of a chunk, but for a longer document
    NMRT_DOCUMENT_BYTES = 256 << 20, // the longest document that is read
};

typedef struct nmrt_place {   // in a corpus: before this byte of this file all is read
    int64_t file, byte, line; // line: how many lines end before it
} nmrt_place;

typedef struct nmrt_chunk { // zero-initialised: empty
    nmrt_text text;         // whole documents of one file
    const char *path;       // of the file, the reader's
    nmrt_documents_rule rule;
    nmrt_place from, to;
} nmrt_chunk;
void nmrt_chunk_release(nmrt_chunk *chunk);

typedef struct nmrt_corpus {
    const char *const *path; // files; "-": standard input. The caller's
    int n_paths;
    nmrt_documents_rule rule;
    size_t chunk_bytes; // NMRT_CHUNK_BYTES; the caller may change it
    nmrt_place at;
    int fd;         // of path[at.file]; -1: not open
    bool ended;     // that file has no more bytes
    nmrt_text rest; // bytes that were read and not given yet
} nmrt_corpus;

// Starts at `from`: all zeros, or the end of a chunk that an earlier reader gave of the same files.
nmrt_status nmrt_corpus_open(nmrt_corpus *r, const char *const *path, int n_paths,
                             nmrt_documents_rule rule, nmrt_place from, nmrt_error *e);
void nmrt_corpus_close(nmrt_corpus *r);
// The next chunk, into one that may have held another. *end: there was none.
nmrt_status nmrt_corpus_next(nmrt_corpus *r, nmrt_chunk *chunk, bool *end, nmrt_error *e);
// Bytes of all files together; -1: not known, as one of them is no plain file.
int64_t nmrt_corpus_total(const char *const *path, int n_paths);

// --- documents of a chunk ------------------------------------------------------------------------

typedef struct nmrt_document { // a part of a chunk's text: a JSON object, or the text itself
    const char *text;
    size_t n;
    int64_t line; // of the file, from 1
} nmrt_document;

typedef struct nmrt_documents { // {.chunk = c} before the first
    const nmrt_chunk *chunk;
    size_t at;
    int64_t lines; // that end before `at`, in the chunk
} nmrt_documents;

bool nmrt_documents_next(nmrt_documents *d, nmrt_document *document); // false: that was all

#endif
