// A foreign model's folder, as Hugging Face's libraries write it: model.safetensors, or several
// such files and model.safetensors.index.json, which says what is in which. The files are mapped:
// what is not read takes no memory.
#ifndef NMRT_FOREIGN_FOLDER_H
#define NMRT_FOREIGN_FOLDER_H

#include "runtime/file.h"
#include "runtime/safetensors.h"

typedef struct nmrt_foreign_file {
    char name[256];
    nmrt_map map;
    nmrt_safetensors st;
} nmrt_foreign_file;

typedef struct nmrt_foreign_tensor { // points into the folder's files
    const nmrt_tensor *is;
    const nmrt_foreign_file *file;
    const unsigned char *at; // its first element
} nmrt_foreign_tensor;

typedef struct nmrt_foreign { // zero-initialised: nothing is open
    char path[NMRT_PATH];
    nmrt_foreign_file *file;
    int n_files;
    nmrt_foreign_tensor *tensor; // [n] of all files, by name
    int64_t n;
} nmrt_foreign;

// Checks every header: each tensor lies in its file, has one place, and is where the index says.
// Close it in any case.
nmrt_status nmrt_foreign_open(nmrt_foreign *f, const char *path, nmrt_error *e);
void nmrt_foreign_close(nmrt_foreign *f);
// What it is made of: a file by its name, once, which is yet to be opened; the tensors of all
// files.
nmrt_status nmrt_foreign_add(nmrt_foreign *f, const char *name, nmrt_error *e);
nmrt_status nmrt_foreign_list(nmrt_foreign *f, nmrt_error *e);
const nmrt_foreign_tensor *nmrt_foreign_find(const nmrt_foreign *f, const char *name); // NULL: none

#endif
