// Files that save work the next time, and may be gone or broken at any time: each is read whole and
// checked, or not at all. They lie in $NEMOCC_CACHE_DIR, else $XDG_CACHE_HOME/nemocc, else
// ~/.cache/nemocc, and their names begin with "nemocc-"; with an empty NEMOCC_CACHE_DIR, or without
// a home, there is none. Needs nothing of the other files here but hash.h.
#ifndef NM_BASE_CACHE_H
#define NM_BASE_CACHE_H

#include <stdbool.h>
#include <stddef.h>

typedef enum {
    NM_CACHE_OK,
    NM_CACHE_NONE,   // there is no such file, or no cache
    NM_CACHE_BROKEN, // a file that is not what was written
    NM_CACHE_FAILED, // errno says why
} nm_cache_status;

enum { NM_CACHE_PATH = 4096 };

// Where the file `name` is, or would be. False: there is no cache.
bool nm_cache_path(char path[NM_CACHE_PATH], const char *name);
// OK: *data is from malloc, with a zero behind it, and the file counts as used today.
nm_cache_status nm_cache_read(const char *name, char **data, size_t *size);
// The file is there as a whole or not at all, whoever writes it at the same time; folders are made.
nm_cache_status nm_cache_write(const char *name, const char *data, size_t size);
// Those used longest ago go, until all files together have at most `limit` bytes. Who has written
// one calls it once, behind the last.
void nm_cache_trim(size_t limit);
#define NM_CACHE_LIMIT ((size_t)512 << 20) // of a user's cache

#endif
