// A line of JSONL, and in it the texts of one member: a string, or a list of strings.
#ifndef NMRT_CORPUS_LINE_H
#define NMRT_CORPUS_LINE_H

#include "runtime/corpus/reader.h"
#include "runtime/json.h"

typedef struct nmrt_line {
    nm_json json;
    int next;       // of its nodes, the text to give; -1: none is left
    nmrt_text text; // the one that was given last
} nmrt_line;

// Reads the line, and of its member `key` that it has texts. What is wrong is said without the
// place. Close it where the status is NMRT_OK.
nmrt_status nmrt_line_open(nmrt_line *l, const nmrt_document *d, const char *key, nmrt_error *e);
void nmrt_line_close(nmrt_line *l);
// The next text, which stays until the one after it. *end: there was none.
nmrt_status nmrt_line_next(nmrt_line *l, bool *end, nmrt_error *e);

#endif
