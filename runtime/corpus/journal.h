// How far a run that makes an indexed data set has come: what it needs to go on after it was
// stopped, killed, or ran out of disk. PREFIX.journal.part is replaced in one step, so it is always
// one that was whole.
#ifndef NMRT_CORPUS_JOURNAL_H
#define NMRT_CORPUS_JOURNAL_H

#include "runtime/corpus/indexed.h"
#include "runtime/corpus/reader.h"
#include "runtime/text.h"

typedef struct nmrt_corpus_journal {
    nmrt_place place;       // in the corpus: all before it is in the data set
    nmrt_indexed_mark mark; // in the data set
    int64_t documents, tokens, bad;
} nmrt_corpus_journal;

// What the bytes that are written depend on, as members of a JSON object, in the order in which
// they are to be compared: nmrt_text_add_pair, nmrt_text_add_count.
nmrt_status nmrt_corpus_journal_write(const nmrt_corpus_journal *j, const char *prefix,
                                      const nmrt_text *settings, nmrt_error *e);
// *found: there was one. It fails where it is of other settings, and names the first that differs.
nmrt_status nmrt_corpus_journal_read(nmrt_corpus_journal *j, const char *prefix,
                                     const nmrt_text *settings, bool *found, nmrt_error *e);
nmrt_status nmrt_corpus_journal_remove(const char *prefix, nmrt_error *e); // fine if there is none

#endif
