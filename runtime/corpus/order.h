// Which tokens are the samples of a run on a corpus, and in what order: that of Megatron's
// GPTDataset (megatron/core/datasets/gpt_dataset.py), so that a run here and one there see the same
// with the same seed.
//
//     stream:   the documents of the part, each epoch all of them, shuffled
//     sample s: the stream's tokens [s seq, s seq + seq], its last token also the next one's first
//     run:      its i-th sample is sample[i], shuffled
//
// All epochs are shuffled together, but for the last one where little of it is needed. So the order
// depends on how many samples are asked for. Megatron's word document stands for a sequence of the
// .idx file here.
#ifndef NMRT_CORPUS_ORDER_H
#define NMRT_CORPUS_ORDER_H

#include "runtime/status.h"

#include <stdint.h>

typedef struct nmrt_order_request {
    const void *lengths; // i32[], of any alignment: tokens of each document of the corpus. It must
                         // outlive the order
    int64_t first, n;    // the part: its documents [first, first + n), all below 2^31
    int64_t seq;
    int64_t samples; // that the run takes; 0: those of one epoch
    bool shuffle;
    uint32_t seed;
} nmrt_order_request;

typedef struct nmrt_place { // in the stream
    int64_t at;             // index into order.document
    int64_t offset;         // token of that document
} nmrt_place;

enum { NMRT_ORDER_STRIDE = 64 };

typedef struct nmrt_order { // zero-initialised: nothing
    nmrt_order_request q;
    int64_t tokens;     // of an epoch
    int64_t epochs;     // of the stream
    int64_t samples;    // of the stream: at least q.samples
    bool last_apart;    // the last epoch is shuffled by itself, from sample `before` on
    int64_t before;     // samples of the epochs before the last one
    uint32_t *document; // [epochs n], NULL until it is drawn
    uint32_t *sample;   // [samples]
    nmrt_place *mark;   // [samples / NMRT_ORDER_STRIDE + 1]: where every so many-th sample begins
} nmrt_order;

// How much there is, by the request; nothing is drawn. NMRT_USAGE where the part has too few tokens
// or the run asks for too many samples; the message names neither file nor flag.
nmrt_status nmrt_order_measure(nmrt_order *o, const nmrt_order_request *q, nmrt_error *e);
// Draws what was measured: takes time and memory as documents x epochs and samples do.
nmrt_status nmrt_order_draw(nmrt_order *o, nmrt_error *e);
void nmrt_order_release(nmrt_order *o);

// Where the sample s of the stream begins, 0 <= s < samples. Of a drawn order.
nmrt_place nmrt_order_place(const nmrt_order *o, int64_t s);
int64_t nmrt_order_length(const nmrt_order *o, int64_t at); // of the document there, in tokens

#endif
