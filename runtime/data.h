// Data as a program reads it: fields of a batch, made of a source's samples (source.h). `tokens`
// are all tokens of a sample but the last, `labels` all but the first; what tells documents apart
// is made of the tokens, too (data_fields.c).
#ifndef NMRT_DATA_H
#define NMRT_DATA_H

#include "runtime/engine.h"
#include "runtime/source.h"

#include <stdbool.h>
#include <stddef.h>

// What a token that ends a document means to the fields at, segments and mask.
typedef struct nmrt_document_ends {
    int64_t end;           // that token; -1: none
    bool resets_positions; // at begins again at 0 behind it
    bool resets_attention; // segments counts documents; else it is 0
    bool masks_end;        // mask is 0 where the document has ended, so that its successor's first
                           // token need not be guessed; else it is 1
} nmrt_document_ends;

typedef struct nmrt_data { // zero-initialised: closed
    nmrt_source *source;
    nmrt_document_ends documents;
    int64_t rows;   // samples that are kept as read
    int64_t *token; // [rows, seq + 1]
    int64_t *row;   // [rows]: which sample of the run it is; -1: none
    int64_t *stage; // [micro-batch, seq] before it goes to the device
} nmrt_data;

typedef struct nmrt_data_request {
    nmrt_source_request source;
    nmrt_document_ends documents;
    int64_t micro_batch; // the most samples that are loaded at once
} nmrt_data_request;

// Does the program read only what there is, in a form that there is, and all that the flags ask
// for? Else the message names the field.
nmrt_status nmrt_data_check(const nmrt_plan *plan, const nmrt_document_ends *documents,
                            nmrt_error *e);
nmrt_status nmrt_data_open(nmrt_data *d, const nmrt_data_request *request, nmrt_error *e);
void nmrt_data_close(nmrt_data *d);
// Are all tokens below the vocabulary? Loading says so, too, but on the rank alone that loads them.
nmrt_status nmrt_data_check_all(const nmrt_data *d, const nmrt_plan *plan, nmrt_error *e);
// Those of `n` samples of the run, from `first` on. The source is drawn.
nmrt_status nmrt_data_check_next(const nmrt_data *d, const nmrt_plan *plan, int64_t first,
                                 int64_t n, nmrt_error *e);
// How many of the tokens that the first n samples ask for weigh in the loss of a program that reads
// the field mask. The source is drawn.
nmrt_status nmrt_data_weigh(const nmrt_data *d, const nmrt_plan *plan, int64_t n, int64_t *tokens,
                            nmrt_error *e);
// Those that this rank would load, by the symbols of a micro-batch, of the batch that begins with
// sample `first`.
nmrt_status nmrt_data_check_part(const nmrt_data *d, const nmrt_plan *plan, const nmdrv_sym *sym,
                                 int64_t first, nmrt_error *e);
// Fills the field's slot with what this rank has of it, by the symbols of its dims, of the batch
// that begins with sample `first` of the run. Fails where the data have changed since they were
// opened, or cannot be read; then the slot is as it was. The source is drawn.
nmrt_status nmrt_data_load(const nmrt_data *d, nmrt_engine *en, const nmdrv_arg *field,
                           const nmdrv_sym *sym, int64_t first, nmrt_error *e);
// Writes n whole numbers (host) to a slot of any integer dtype, or f32.
void nmrt_tokens_store(nmrt_engine *en, const nmrt_slot *slot, const int64_t *token, int64_t n);

// --- data_fields.c -------------------------------------------------------------------------------

bool nmrt_data_is_token(const char *name); // is it a field of the vocabulary?
bool nmrt_data_func_reads(const nmdrv_func *f, const char *field);
bool nmrt_data_reads(const nmdrv_program *p, const char *field); // on any stage
typedef struct nmrt_document_flag { // that tells a field where documents end
    const char *flag, *field;
    size_t at; // a bool of nmrt_document_ends
} nmrt_document_flag;
enum { NMRT_DOCUMENT_FLAGS = 3 };
extern const nmrt_document_flag nmrt_document_flags[NMRT_DOCUMENT_FLAGS];
// The dim that a sample's tokens have to be below, the smallest of all fields; NULL: none.
const nmdrv_dim *nmrt_data_limit(const nmrt_plan *plan);
// The field at positions [from, from + n) of a sample token[seq + 1].
void nmrt_data_field(const char *name, const nmrt_document_ends *documents, const int64_t *token,
                     int64_t from, int64_t n, int64_t *out);

#endif
