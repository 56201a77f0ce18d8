// Training data: a text whose bytes are the tokens. Sample i is tokens [i seq, i seq +
// seq], one more than it predicts: `tokens` are all but the last, `labels` all but the first.
#ifndef NMRT_DATA_H
#define NMRT_DATA_H

#include "runtime/engine.h"
#include "runtime/file.h"

#include <stdbool.h>

enum { NMRT_DATA_ROOM = 1 << 16 };

typedef struct nmrt_data { // zero-initialised: closed
    const char *path;
    int fd;               // where path is not NULL
    int64_t bytes;        // of the file
    int64_t seq, samples; // samples in the file: an epoch
    bool shuffle;
    uint64_t seed;
    unsigned char *raw; // [NMRT_DATA_ROOM or seq, what is more] as read
    int64_t *stage;     // [micro-batch, seq] before it goes to the device
} nmrt_data;

typedef struct nmrt_data_request {
    const char *path;
    int64_t seq, micro_batch; // micro_batch: the most samples that are loaded at once
    bool shuffle;
    uint64_t seed;
} nmrt_data_request;

// Does the program read only what a text has? Else the message names the field.
nmrt_status nmrt_data_check(const nmrt_plan *plan, nmrt_error *e);
nmrt_status nmrt_data_open(nmrt_data *d, const nmrt_data_request *request, nmrt_error *e);
void nmrt_data_close(nmrt_data *d);
// Are the tokens of the file's first samples below the vocabulary? Loading says so, too, but on the
// rank alone that loads them.
nmrt_status nmrt_data_check_tokens(const nmrt_data *d, const nmrt_plan *plan, int64_t samples,
                                   nmrt_error *e);
// The same of `n` samples of the run from its sample `first` on.
nmrt_status nmrt_data_check_next(const nmrt_data *d, const nmrt_plan *plan, int64_t first,
                                 int64_t n, nmrt_error *e);
// Which sample of the file is the index-th of the run: index / samples is the epoch. Nothing else
// decides it, so a run goes on anywhere.
int64_t nmrt_data_sample(const nmrt_data *d, int64_t index);
// Fills the field's slot with what this rank has of it, by the symbols of its dims, of the batch
// that begins with sample `first` of the run. Fails where the file has changed since it was opened,
// or cannot be read; then the slot is as it was.
nmrt_status nmrt_data_load(const nmrt_data *d, nmrt_engine *en, const nmdrv_arg *field,
                           const nmdrv_sym *sym, int64_t first, nmrt_error *e);
// Writes n tokens (host) to a slot of any integer dtype.
void nmrt_tokens_store(nmrt_engine *en, const nmrt_slot *slot, const int64_t *token, int64_t n);

#endif
