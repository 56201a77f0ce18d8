// The data files that a checkpoint's index names, each opened by the first piece that is read of
// it.
#ifndef NMRT_CHECKPOINT_FILES_H
#define NMRT_CHECKPOINT_FILES_H

#include "runtime/checkpoint_format.h"

typedef struct nmrt_data_file nmrt_data_file;

typedef struct nmrt_data_files { // of one checkpoint; zero-initialised: none
    const char *folder;
    const nm_json *doc; // the index
    nmrt_data_file *at;
    int n;
} nmrt_data_files;

// Folder and index must outlive the files. Close them in any case.
nmrt_status nmrt_data_files_list(nmrt_data_files *f, const char *folder, const nm_json *doc,
                                 nmrt_error *e);
void nmrt_data_files_close(nmrt_data_files *f);
// Where a piece's bytes are; its file's own header has to say the same of it, by this name, as the
// index. A file is checked against the index when it is opened.
nmrt_status nmrt_data_files_find(nmrt_data_files *f, const nmrt_stored *s, const char *name,
                                 const unsigned char **at, nmrt_error *e);
// The index contradicts itself.
nmrt_status nmrt_index_broken(const char *folder, const char *what, nmrt_error *e);

#endif
