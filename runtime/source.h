// Where samples come from: a text, whose tokens are its bytes or a tokenizer's, a corpus of
// Megatron's, or a blend of corpora. A sample is seq + 1 tokens, one more than it predicts. Each
// kind is one table of functions.
#ifndef NMRT_SOURCE_H
#define NMRT_SOURCE_H

#include "runtime/corpus/split.h"
#include "runtime/output.h"
#include "runtime/text.h"

#include <stdint.h>

typedef struct nmrt_source nmrt_source;

typedef struct nmrt_source_kind {
    size_t bytes; // of its struct, zeroed and with q when it is opened
    nmrt_status (*open)(nmrt_source *s, nmrt_error *e);
    // Also of one whose open failed, wherever it did.
    void (*close)(nmrt_source *s);
    // As nmrt_source_draw. NULL: a source that goes on for ever.
    nmrt_status (*draw)(nmrt_source *s, int64_t samples, nmrt_error *e);
    // As nmrt_source_same_order. NULL: always.
    bool (*same_order)(const nmrt_source *s, int64_t a, int64_t b);
    // token[seq + 1] of the run's index-th sample. A value that int32 cannot hold is negative.
    nmrt_status (*read)(const nmrt_source *s, int64_t index, int64_t *token, nmrt_error *e);
    // Adds which token that is, number k of the sample: "text: byte 255 at offset 3, of sample 0,".
    void (*locate)(const nmrt_source *s, int64_t index, int64_t k, nmrt_text *out);
    // Looks at every token: one that is not below `limit` is told in `bad`, like locate.
    nmrt_status (*scan)(const nmrt_source *s, int64_t limit, nmrt_text *bad, nmrt_error *e);
    void (*describe)(const nmrt_source *s, nmrt_text *out); // what it holds: "1.1 MB"
} nmrt_source_kind;

typedef struct nmrt_source_request {
    const char *path;      // as --data has it; it outlives the source
    const char *tokenizer; // of a text: what nmrt_tokenizer_open takes; NULL: its bytes
    int64_t seq;
    bool shuffle;
    bool held_out; // for an evaluation: a text from its beginning, a corpus shuffled all the same
    uint64_t seed;
    nmrt_split split;
    nmrt_split_part part; // of the split; of a text, of its samples
    const nmrt_output *out;
} nmrt_source_request;

struct nmrt_source { // each kind's own struct begins with it
    const nmrt_source_kind *kind;
    nmrt_source_request q;
    int64_t bytes;   // that a scan reads
    int64_t samples; // of the source, each once: an epoch. At least 1
    int64_t drawn;   // samples that the run can have
};

// Opens what the path names: PREFIX where PREFIX.bin and PREFIX.idx are (either name will do) is a
// corpus, another plain file a text; "0.7:a,0.3:b" or "a,b" is a blend of corpora.
nmrt_status nmrt_source_open(nmrt_source **s, const nmrt_source_request *q, nmrt_error *e);
bool nmrt_source_is_text(const char *path); // does it name one, or nothing that there is?
bool nmrt_source_is_corpus(const char *path);
void nmrt_source_close(nmrt_source *s); // NULL is fine
// Before the first sample: how many the run takes, on which the order depends; 0: each once.
nmrt_status nmrt_source_draw(nmrt_source *s, int64_t samples, nmrt_error *e);
// Do runs of a and b samples begin with the same ones, as long as both go on?
bool nmrt_source_same_order(const nmrt_source *s, int64_t a, int64_t b);

// --- for the kinds -------------------------------------------------------------------------------

extern const nmrt_source_kind nmrt_text_source, nmrt_tokens_source, nmrt_corpus_source,
    nmrt_blend_source;
nmrt_status nmrt_source_new(nmrt_source **s, const nmrt_source_kind *kind,
                            const nmrt_source_request *q, nmrt_error *e);

// The samples of a stream of so many tokens, as q's part has them: [first, first + n). Fails where
// there are none; `unit`: what the tokens are called.
nmrt_status nmrt_stream_samples(const nmrt_source_request *q, int64_t tokens, const char *unit,
                                nmrt_range *samples, nmrt_error *e);
// Which of a stream's samples is the index-th of the run: index / n is the epoch, and nothing else
// decides it, so a run goes on anywhere.
int64_t nmrt_stream_sample(const nmrt_source_request *q, nmrt_range samples, int64_t index);

#endif
