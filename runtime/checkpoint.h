// Checkpoints: folders of whole tensors.
//
//     DIR/latest -> step-000100
//     DIR/step-000100/index.json          what the folder holds, with checksums, and one of its own
//                     00000.safetensors   parameters under their paths, optimizer state under
//                     optim.PATH
//
// A folder is written as step-000100.part, synced, then renamed: a folder without .part is whole.
// What a save promised survives a kill at any moment.
#ifndef NMRT_CHECKPOINT_H
#define NMRT_CHECKPOINT_H

#include "runtime/comm.h"
#include "runtime/engine.h"
#include "runtime/file.h"
#include "runtime/json.h"
#include "runtime/options.h"

typedef struct nmrt_checkpoint { // what a checkpoint says besides tensors
    int64_t step, samples, seed; // steps done; samples consumed since the run began
    char hash[80];               // of the program that wrote it
    char path[NMRT_PATH];        // its folder, after a load; "" : none was found
} nmrt_checkpoint;

typedef struct nmrt_saver {
    const nmrt_engine *engine;
    nmrt_comm *comm;
    const nmrt_options *options; // the folder, --keep, and the flags to record
    int lock;                    // file descriptor; -1: closed
} nmrt_saver;

// Makes --save's folder and locks it against a second run. Checkpoints later than `step` of another
// run in it are refused, those in `passed` (a text that names them) apart.
nmrt_status nmrt_saver_open(nmrt_saver *s, int64_t step, const nmrt_text *passed, nmrt_error *e);
void nmrt_saver_close(nmrt_saver *s);
// Writes the engine's parameters and states; c->path becomes the new folder. A failure leaves
// nothing half-written, and what was there as it was.
nmrt_status nmrt_checkpoint_save(nmrt_saver *s, nmrt_checkpoint *c, nmrt_error *e);

// Loads what the engine's plan has. `path` is a checkpoint, or a folder of them: then the newest
// that is whole and fits; why others were passed over is appended to `passed`, a line each. A
// folder that is absent or has none gives NMRT_OK and c->path "". All is verified before anything
// is changed. whole: a tensor that the plan lacks makes it foreign.
nmrt_status nmrt_checkpoint_load(const char *path, nmrt_engine *en, bool whole, nmrt_checkpoint *c,
                                 nmrt_text *passed, nmrt_error *e);

// The index of one checkpoint, checked against its own checksum.
typedef struct nmrt_index {
    nmrt_map map;
    nmrt_json doc; // points into the map
} nmrt_index;
nmrt_status nmrt_index_open(nmrt_index *x, const char *folder, nmrt_error *e);
// `path` as of nmrt_checkpoint_load: the newest whole index. False: there is none.
bool nmrt_index_open_newest(nmrt_index *x, const char *path);
void nmrt_index_close(nmrt_index *x);

// Shared by both halves.
nmrt_status nmrt_checkpoint_folder(char out[NMRT_PATH], const char *dir, int64_t step,
                                   const char *suffix, nmrt_error *e);     // DIR/step-000100SUFFIX
void nmrt_checkpoint_tensor_name(const nmdrv_param *param, char out[512]); // as the files call it
// Steps of the whole folders in `dir`, newest first; NULL and 0: none. The caller frees it.
int64_t *nmrt_checkpoint_list(const char *dir, int *n);
enum {
    NMRT_SEAL = 43
}; // bytes of `,\n  "checksum": "xxh64:0123456789abcdef"\n}\n`, which end an index
void nmrt_checkpoint_seal(char out[NMRT_SEAL + 1], const char *text, size_t n);

#endif
