// Files: mapped for reading, made anew. Every failure names the path and why.
#ifndef NMRT_FILE_H
#define NMRT_FILE_H

#include "runtime/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NMRT_PATH = 4096 };

typedef struct nmrt_map { // a read-only view of a file; {0} is an empty one
    const unsigned char *at;
    size_t n;
} nmrt_map;

nmrt_status nmrt_map_open(nmrt_map *map, const char *path, nmrt_error *e);
void nmrt_map_close(nmrt_map *map);
// What was read of a map need not stay in this process' memory: it is read again if it is asked
// for.
void nmrt_map_forget(const void *at, size_t n);

// A plain file, for reading, and how long it is now. The caller closes fd where the status is
// NMRT_OK.
nmrt_status nmrt_file_open(int *fd, int64_t *bytes, const char *path, nmrt_error *e);
// All n bytes at `offset`; fails where the file ends before.
nmrt_status nmrt_read_at(int fd, void *to, size_t n, int64_t offset, const char *path,
                         nmrt_error *e);

nmrt_status nmrt_write_all(int fd, const void *bytes, size_t n, const char *path, nmrt_error *e);
// Creates `path` (which must not exist) with these bytes, synced.
nmrt_status nmrt_file_create(const char *path, const void *bytes, size_t n, nmrt_error *e);
nmrt_status nmrt_dir_make(const char *path, nmrt_error *e); // and its parents; fine if it is there
nmrt_status nmrt_dir_sync(const char *path, nmrt_error *e);
nmrt_status nmrt_dir_remove(const char *path,
                            nmrt_error *e); // a folder of plain files; fine if absent
bool nmrt_path_exists(const char *path);
// dir/name into `out`; fails where the path is too long.
nmrt_status nmrt_path_join(char out[NMRT_PATH], const char *dir, const char *name, nmrt_error *e);
// path and suffix, as they are: "corpus" and ".bin"; likewise.
nmrt_status nmrt_path_append(char out[NMRT_PATH], const char *path, const char *suffix,
                             nmrt_error *e);

#endif
