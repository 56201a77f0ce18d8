// Weights from a foreign folder: --init hf:DIR. hf is the name of a weights map of the model.
#ifndef NMRT_FOREIGN_IMPORT_H
#define NMRT_FOREIGN_IMPORT_H

#include "runtime/engine.h"
#include "runtime/foreign/match.h"

// The folder of "hf:DIR"; map gets "hf". NULL: it is not of this form.
const char *nmrt_init_folder(const char *init, char map[32]);

typedef struct nmrt_import { // zero-initialised: nothing is open
    nmrt_foreign from;
    nmrt_match match;
} nmrt_import;

// Opens the folder and checks that all of it fits the program: config.json, every tensor. `notes`
// gets a line for what the user should know. Close it in any case; it must stay where it is.
nmrt_status nmrt_import_open(nmrt_import *x, const nmdrv_program *program, const char *init,
                             nmrt_text *notes, nmrt_error *e);
void nmrt_import_close(nmrt_import *x);

// Every rank calls it: gives the engine's parameters, and averages of them, what the folder has
// for this rank's part. Nobody changes anything before everybody has found the folder good.
// Other states stay as they are, and so do parameters that it has not: adapters'.
typedef struct nmrt_import_request {
    const char *init; // "hf:DIR"
    bool whole;       // the folder has to have every parameter
    int64_t seq;      // of the samples, of which a note may speak; 0: there are none
} nmrt_import_request;
nmrt_status nmrt_import_load(const nmrt_import_request *q, nmrt_engine *en, nmrt_text *notes,
                             nmrt_error *e);

#endif
