// Shared by the halves of checkpoints: names, folders, and what index and notes are made of.
#ifndef NMRT_CHECKPOINT_FORMAT_H
#define NMRT_CHECKPOINT_FORMAT_H

#include "runtime/checkpoint.h"

enum {
    NMRT_VERSION = 2, // of the format that is written; 1, one whole piece a tensor, is read, too
    NMRT_BLOCK = 4 << 20, // bytes of a piece that have a checksum of their own
    NMRT_SEAL = 43,       // bytes of `,\n  "checksum": "xxh64:0123456789abcdef"\n}\n`
    NMRT_FILE_NAME = 128,
};

// --- names and folders (checkpoint_folder.c) ---------------------------------------------------

nmrt_status nmrt_checkpoint_folder(char out[NMRT_PATH], const char *dir, int64_t step,
                                   const char *suffix, nmrt_error *e); // DIR/step-000100SUFFIX
nmrt_status nmrt_checkpoint_file(char out[NMRT_PATH], const char *folder, int rank,
                                 const char *suffix, nmrt_error *e); // FOLDER/00001SUFFIX
// Makes `dir` and locks it; *lock is a file descriptor. Refuses later checkpoints of another run,
// and mends what a kill may have left: folders by another name, and a `latest` that is not `step`.
nmrt_status nmrt_checkpoint_lock(const char *dir, int64_t step, const nmrt_text *passed, int *lock,
                                 nmrt_error *e);
// Puts DIR/step-N.part in its place.
nmrt_status nmrt_checkpoint_place(const char *dir, int64_t step, nmrt_error *e);
// Moves `latest` there, and removes what is unfinished and what `keep` (0: all) does not keep.
nmrt_status nmrt_checkpoint_tidy(const char *dir, int64_t step, int64_t keep, nmrt_error *e);

// --- tensors and pieces (checkpoint_index.c) ---------------------------------------------------

void nmrt_checkpoint_tensor_name(const nmdrv_param *param, char out[NMRT_MAX_TENSOR_NAME]);
const nmrt_slot *nmrt_checkpoint_slot(const nmrt_plan *plan, const nmdrv_param *param);
nmrt_box nmrt_checkpoint_whole(const nmdrv_param *param);
// As a file calls a piece: "ff.w", "ff.w[0:64, 128:256]". False: the name is too long.
bool nmrt_checkpoint_piece_name(const char *tensor, const nmrt_box *box, const int64_t *whole,
                                char out[NMRT_MAX_TENSOR_NAME]);

// A text is sealed by its own checksum at its end.
nmrt_status nmrt_sealed_open(nmrt_index *x, const char *path, nmrt_error *e);
void nmrt_seal(nmrt_text *text);

typedef struct nmrt_stored { // a piece of a tensor, as an index or a note has it
    char file[NMRT_FILE_NAME];
    int64_t begin, end; // bytes, from the start of the file's data
    nmrt_box box;
    int checksums; // node: an array of one text a block, or a text for all
} nmrt_stored;
typedef struct nmrt_stored_list { // released by free(at)
    nmrt_stored *at;
    int n;
} nmrt_stored_list;

// The pieces that the array `node` lists, of the tensor `whole` whose elements have `width` bytes;
// checksums: the node that version 1 has for the tensor, or -1. They are appended to the list.
nmrt_status nmrt_stored_read(nmrt_stored_list *list, const nm_json *doc, int node, int checksums,
                             const nmrt_box *whole, int64_t width, nmrt_error *e);
nmrt_status nmrt_stored_check(const nmrt_stored_list *list, const nmrt_box *whole, const char *name,
                              nmrt_error *e); // is every element in exactly one piece?
bool nmrt_checksum_read(const nm_json *doc, int node, uint64_t *hash);

// --- written (checkpoint_print.c) --------------------------------------------------------------

// What a rank has written, for its note.
typedef struct nmrt_written {
    const char *file;       // its name; NULL: this rank writes none
    int64_t bytes;          // of the file
    uint64_t header;        // checksum of its header
    const nmrt_text *piece; // [n_params] the pieces of each, as JSON, without the brackets
} nmrt_written;
void nmrt_stored_print(const nmrt_stored *s, const uint64_t *hash, int64_t n, nmrt_text *out);
void nmrt_written_print(const nmrt_written *w, int64_t n_params, nmrt_text *out);

typedef struct nmrt_index_facts {
    const nmdrv_program *program;
    const nmrt_options *options;
    const nmrt_mesh *mesh; // NULL: one rank
    nmrt_checkpoint at;
} nmrt_index_facts;
// The index of what n notes say; fails where they do not make whole tensors.
nmrt_status nmrt_index_print(const nmrt_index_facts *facts, const nm_json *note, int n,
                             nmrt_text *out, nmrt_error *e);

#endif
