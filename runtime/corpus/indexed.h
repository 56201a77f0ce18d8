// Megatron's indexed data set: tokens in PREFIX.bin, where its sequences and documents lie in
// PREFIX.idx (Megatron-LM, megatron/core/datasets/indexed_dataset.py). Both little-endian:
//
//   .idx   0  9 bytes "MMIDIDX\0\0"; 9 u64 version 1; 17 u8 dtype; 18 u64 S sequences; 26 u64 D
//         34  i32[S] lengths in tokens, i64[S] byte offsets into .bin, i64[D] the first sequence
//             of each document and, last, S; of multimodal sets i8[S] modes, which are not read
//             here
//   .bin      tokens, one sequence behind the other
//
// A document is a run of sequences, mostly of one, and may have none.
#ifndef NMRT_CORPUS_INDEXED_H
#define NMRT_CORPUS_INDEXED_H

#include "runtime/file.h"

typedef enum { // as the .idx has it
    NMRT_TOKEN_uint8 = 1,
    NMRT_TOKEN_int8 = 2,
    NMRT_TOKEN_int16 = 3,
    NMRT_TOKEN_int32 = 4,
    NMRT_TOKEN_int64 = 5,
    NMRT_TOKEN_float64 = 6,
    NMRT_TOKEN_float32 = 7,
    NMRT_TOKEN_uint16 = 8,
} nmrt_token_type;

const char *nmrt_token_type_name(nmrt_token_type type); // "uint16"
int nmrt_token_type_bytes(nmrt_token_type type);        // 0: there is no such type
int64_t nmrt_token_type_max(nmrt_token_type type);      // the largest id that it holds; 0 of floats
nmrt_token_type nmrt_token_type_find(const char *name); // 0: none
// n tokens of this type, not aligned. One that int32 cannot hold is -1.
void nmrt_token_type_widen(nmrt_token_type type, const unsigned char *at, int64_t n, int32_t *out);
// What Megatron writes for a vocabulary of so many: uint16 below 65500, else int32.
nmrt_token_type nmrt_token_type_for(int64_t vocabulary);

// --- reading -------------------------------------------------------------------------------------

// A checked view: each sequence lies in .bin, each document has sequences that exist.
typedef struct nmrt_indexed {
    nmrt_map idx, bin;
    nmrt_token_type type;
    int64_t n_sequences, n_documents, n_tokens;
    const unsigned char *length, *offset, *first; // i32[S], i64[S], i64[D], not aligned
} nmrt_indexed;

// Reads all of PREFIX.idx once, to check it; of PREFIX.bin nothing. Tokens must be integers.
// `name`: as nmrt_indexed_prefix takes it.
nmrt_status nmrt_indexed_open(nmrt_indexed *set, const char *name, nmrt_error *e);
void nmrt_indexed_close(nmrt_indexed *set);
// What open does with bytes that are there: never reads beyond them. The view does not own them.
nmrt_status nmrt_indexed_parse(nmrt_indexed *set, nmrt_map idx, nmrt_map bin, nmrt_error *e);
bool nmrt_indexed_exists(const char *prefix); // is there one of its files, or both?
// The prefix of the set that a path names: itself, or without the .bin or .idx of its file.
nmrt_status nmrt_indexed_prefix(char prefix[NMRT_PATH], const char *path, nmrt_error *e);
bool nmrt_indexed_is_file(const char *path); // has it the name of one of a set's two files?

int64_t nmrt_indexed_length(const nmrt_indexed *set, int64_t sequence); // tokens
int64_t nmrt_indexed_offset(const nmrt_indexed *set, int64_t sequence); // of it in .bin, in bytes
// The first sequence of `document`; of document n_documents: n_sequences.
int64_t nmrt_indexed_first(const nmrt_indexed *set, int64_t document);
// Tokens [from, from + n) of a sequence, which has them. One that int32 cannot hold is -1.
void nmrt_indexed_read(const nmrt_indexed *set, int64_t sequence, int64_t from, int64_t n,
                       int32_t *out);

// --- writing -------------------------------------------------------------------------------------

// Grows in PREFIX.bin.part and PREFIX.sequences.part, so memory stays flat; nothing has its final
// name before all is whole. Where it stands can be marked, and gone on from after a crash.
typedef struct nmrt_indexed_mark {
    int64_t bin, sequences; // bytes of the two files
} nmrt_indexed_mark;

enum { NMRT_DOCUMENT_END = -1 }; // among lengths

typedef struct nmrt_indexed_writer {
    char prefix[NMRT_PATH];
    nmrt_token_type type;
    int bin, sequences;    // descriptors; -1: closed
    nmrt_indexed_mark end; // of what was appended
} nmrt_indexed_writer;

// Starts anew: parts of an older run are cut to nothing. Fails where PREFIX.bin or .idx is there,
// another process writes these parts, or, if not `fresh`, there are some: a journal may say how to
// go on with them.
nmrt_status nmrt_indexed_create(nmrt_indexed_writer *w, const char *prefix, nmrt_token_type type,
                                bool fresh, nmrt_error *e);
// Goes on where the parts stood at `mark`; what came behind it is cut off.
nmrt_status nmrt_indexed_resume(nmrt_indexed_writer *w, const char *prefix, nmrt_token_type type,
                                nmrt_indexed_mark mark, nmrt_error *e);
// `bytes` of tokens in the writer's type, and what they are: lengths of sequences, with
// NMRT_DOCUMENT_END behind the last of each document. The lengths add up to the tokens.
nmrt_status nmrt_indexed_append(nmrt_indexed_writer *w, const void *tokens, int64_t bytes,
                                const int32_t *length, int64_t n_lengths, nmrt_error *e);
// Back to what stood at `mark`: cuts off what came behind it, also of an append that failed.
nmrt_status nmrt_indexed_cut(nmrt_indexed_writer *w, nmrt_indexed_mark mark, nmrt_error *e);
// After it, all that was appended survives a crash of the machine.
nmrt_status nmrt_indexed_sync(nmrt_indexed_writer *w, nmrt_error *e);
// Makes the index and gives both files their names, PREFIX.bin last: while PREFIX.bin.part is
// there, a writer that crashed in this can be resumed and finished again.
nmrt_status nmrt_indexed_finish(nmrt_indexed_writer *w, nmrt_error *e);
// *finished: both files have their names, and hold what a writer wrote that ended at `end`. Fails
// where they hold anything else.
nmrt_status nmrt_indexed_is_finished(const char *prefix, nmrt_indexed_mark end, bool *finished,
                                     nmrt_error *e);
nmrt_status nmrt_indexed_clean(const char *prefix, nmrt_error *e); // then: removes what is left
void nmrt_indexed_abandon(nmrt_indexed_writer *w);                 // closes; the parts stay
void nmrt_indexed_discard(nmrt_indexed_writer *w); // closes, and removes them; fine if closed

#endif
