// Checkpoints: folders of whole tensors, which any mesh writes in pieces and any mesh reads.
//
//     DIR/latest -> step-000100
//     DIR/step-000100/index.json          per tensor its dims, shape and pieces, with checksums
//                     00000.safetensors   the pieces that rank 0 wrote; parameters under their
//                     00001.safetensors   paths, optimizer state under optim.PATH
//
// A folder is written as step-000100.part, synced, then renamed: a folder without .part is whole.
// What a save promised survives a kill at any moment.
//
// Saving: each rank copies the pieces that are its own to write and goes on with the next step; a
// thread of it writes them, and leaves a note (00001.note) of what it wrote. The thread of rank 0
// waits for the notes, checks that they cover every tensor once, writes the index and renames.
#ifndef NMRT_CHECKPOINT_H
#define NMRT_CHECKPOINT_H

#include "runtime/engine.h"
#include "runtime/file.h"
#include "runtime/json.h"
#include "runtime/log.h"
#include "runtime/options.h"
#include "runtime/pieces.h"

typedef struct nmrt_checkpoint { // what a checkpoint says besides tensors
    int64_t step, samples, seed; // steps done; samples consumed since the run began
    int64_t drawn;               // samples that the data's order was drawn for; 0: it does not say
    char hash[80];               // of the program that wrote it
    char mesh[64];               // that wrote it: "tp 4, pp 2, cp 1, dp 2", "one rank"
    char precision[32];          // of the program that wrote it; "": it does not say
    char recipe[32];             // likewise; "": none, too
    int64_t absent, left;        // states of this program alone that it has not, which are not
                                 // written; and of the program that wrote it alone, not read
    bool begins_means;           // means of weights that it has not begin as its weights are
    bool drops_means;            // it has means that this program does not keep
    char path[NMRT_PATH];        // its folder, after a load; "" : none was found
} nmrt_checkpoint;

// --- saving: every rank calls the same in the same order; a saver that is NULL saves nothing -----

typedef struct nmrt_saver nmrt_saver;

// Rank 0 makes --save's folder and locks it against a second run. Checkpoints later than `step` of
// another run in it are refused, those in `passed` (a text that names them) apart. Takes the memory
// of the copy. The engine, whose `shares` say what this rank writes, must outlive the saver.
nmrt_status nmrt_saver_open(nmrt_saver **s, const nmrt_engine *en, const nmrt_options *options,
                            int64_t step, const nmrt_text *passed, nmrt_error *e);
// The thread that still writes is waited for, other ranks are not.
void nmrt_saver_close(nmrt_saver *s);
// Memory of the copy, beyond the plan's.
nmrt_status nmrt_saver_bytes(const nmrt_plan *plan, const nmrt_shares *shares, int64_t *bytes,
                             nmrt_error *e);

// A checkpoint promises what was added to the log before it began: rank 0's thread syncs the file
// first. Where that fails the checkpoint is there all the same, and said to have failed in this.
// The log must outlive the saver.
void nmrt_saver_promise(nmrt_saver *s, const nmrt_log *log);
// Copies parameters and states, and has them written; none may be under way.
nmrt_status nmrt_checkpoint_begin(nmrt_saver *s, const nmrt_checkpoint *c, nmrt_error *e);
// Has this rank's part of what is under way failed? Tells it once. Neither waits nor is collective.
nmrt_status nmrt_checkpoint_poll(nmrt_saver *s, nmrt_error *e);
// Waits for what is under way. The status is that of all ranks, e is "" where it was told before.
// c->path becomes the new folder. A failure leaves nothing half-written, and what was there as it
// was.
nmrt_status nmrt_checkpoint_wait(nmrt_saver *s, nmrt_checkpoint *c, nmrt_error *e);

// --- loading -----------------------------------------------------------------------------------

typedef enum {
    NMRT_READ_PLAN,  // what the plan has
    NMRT_READ_MEANS, // likewise, and of each parameter the running mean of it (minimize's ema),
                     // where it has one
    NMRT_READ_WHOLE, // what the plan has is all that is there: a tensor that it lacks makes a
                     // checkpoint foreign, unless it is a state of the program that wrote it alone
} nmrt_reading;

// Loads what the engine's plan has of it: this rank's boxes, from whatever pieces they meet. `path`
// is a checkpoint, or a folder of them: then the newest that is whole and fits; why others were
// passed over is appended to `passed`, a line each. A folder that is absent or has none gives
// NMRT_OK and c->path "".
//
// Every rank calls it. Rank 0 says which folders there are; each rank verifies all blocks of all
// pieces that it will read; nobody changes anything before everybody has found the same folder
// good.
nmrt_status nmrt_checkpoint_load(const char *path, nmrt_engine *en, nmrt_reading reading,
                                 nmrt_checkpoint *c, nmrt_text *passed, nmrt_error *e);

// The index of one checkpoint, checked against its own checksum.
typedef struct nmrt_index {
    nmrt_map map;
    nm_json doc; // points into the map
} nmrt_index;
nmrt_status nmrt_index_open(nmrt_index *x, const char *folder, nmrt_error *e);
// `path` as of nmrt_checkpoint_load: the newest whole index. False: there is none.
bool nmrt_index_open_newest(nmrt_index *x, const char *path);
void nmrt_index_close(nmrt_index *x);
// The mesh that saved it, as nmrt_checkpoint has it.
void nmrt_index_print_mesh(const nmrt_index *x, char out[64]);

// Steps of the whole folders in `dir`, newest first; NULL and 0: none. The caller frees it.
int64_t *nmrt_checkpoint_list(const char *dir, int *n);
// The folder of one of them: DIR/step-000100, or what a kill has left of it alone.
nmrt_status nmrt_checkpoint_find(char out[NMRT_PATH], const char *dir, int64_t step, nmrt_error *e);

#endif
