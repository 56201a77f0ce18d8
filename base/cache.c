// Files that save work the next time: see cache.h. A file is a line that names the format, the hash
// of what follows, and that.
#include "base/cache.h"

#include "base/hash.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char prefix[] = "nemocc-"; // of all files, so that no others are deleted
enum { HEAD = 32 };                     // "nemocc cache 1 0123456789abcdef\n"

static void write_head(char head[HEAD + 1], const char *data, size_t size)
{
    snprintf(head, HEAD + 1, "nemocc cache 1 %016llx\n", (unsigned long long)nm_hash64(data, size));
}

// --- where ---------------------------------------------------------------------------------------

static bool join(char path[NM_CACHE_PATH], const char *folder, const char *name)
{
    int n = snprintf(path, NM_CACHE_PATH, "%s/%s", folder, name);
    return n > 0 && n < NM_CACHE_PATH;
}

static bool find_folder(char path[NM_CACHE_PATH])
{
    const char *own = getenv("NEMOCC_CACHE_DIR"), *xdg = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");
    if (own)
        return *own && join(path, own, ".");
    if (xdg && *xdg == '/')
        return join(path, xdg, "nemocc");
    return home && *home && join(path, home, ".cache/nemocc");
}

bool nm_cache_path(char path[NM_CACHE_PATH], const char *name)
{
    char folder[NM_CACHE_PATH], full[NM_CACHE_PATH];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    return find_folder(folder) && join(path, folder, full);
}

// The folders that the file is to lie in.
static bool make_folders(const char *path)
{
    char part[NM_CACHE_PATH];
    for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        snprintf(part, sizeof part, "%.*s", (int)(slash - path), path);
        if (mkdir(part, 0700) != 0 && errno != EEXIST)
            return false;
    }
    return true;
}

// --- one file ------------------------------------------------------------------------------------

// NULL: there is no such file. A pipe is none: who opens it may wait for ever.
static FILE *open_file(const char *path, size_t *size)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    FILE *f = fd >= 0 ? fdopen(fd, "rb") : NULL;
    if (f && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        *size = (size_t)st.st_size;
        return f;
    }
    if (f)
        fclose(f);
    else if (fd >= 0)
        close(fd);
    return NULL;
}

// All of the open file, from malloc; NULL: errno says why.
static char *read_all(FILE *f, size_t *size)
{
    char *all = malloc(*size + 1);
    if (!all || fread(all, 1, *size, f) == *size)
        return all;
    free(all);
    return NULL;
}

static bool is_whole(const char *all, size_t size)
{
    char head[HEAD + 1];
    if (size < HEAD)
        return false;
    write_head(head, all + HEAD, size - HEAD);
    return memcmp(all, head, HEAD) == 0;
}

nm_cache_status nm_cache_read(const char *name, char **data, size_t *size)
{
    char path[NM_CACHE_PATH];
    FILE *f = nm_cache_path(path, name) ? open_file(path, size) : NULL;
    if (!f)
        return NM_CACHE_NONE;
    char *all = read_all(f, size);
    fclose(f);
    if (!all)
        return NM_CACHE_FAILED;
    if (!is_whole(all, *size)) {
        free(all);
        return NM_CACHE_BROKEN;
    }
    *size -= HEAD;
    memmove(all, all + HEAD, *size);
    all[*size] = 0;
    *data = all;
    utimensat(AT_FDCWD, path, NULL, 0);
    return NM_CACHE_OK;
}

static bool write_all(int fd, const char *data, size_t size)
{
    while (size) {
        ssize_t n = write(fd, data, size);
        if (n < 0 && errno != EINTR)
            return false;
        data += n > 0 ? n : 0;
        size -= n > 0 ? (size_t)n : 0;
    }
    return true;
}

// --- all files -----------------------------------------------------------------------------------

typedef struct kept { // a file that is there
    size_t size;
    struct timespec used;
    char *path; // from malloc
} kept;

typedef struct all_kept {
    size_t total;
    size_t n;
    kept *file; // from malloc
} all_kept;

static void look_at(all_kept *all, const char *folder, const char *name)
{
    char path[NM_CACHE_PATH];
    struct stat st;
    if (strncmp(name, prefix, sizeof prefix - 1) != 0 || !join(path, folder, name) ||
        lstat(path, &st) != 0 || !S_ISREG(st.st_mode))
        return;
    all->total += (size_t)st.st_size;
    if ((all->n & (all->n - 1)) == 0) { // a power of two: it is full
        kept *more = realloc(all->file, (all->n ? 2 * all->n : 1) * sizeof *more);
        if (!more)
            return;
        all->file = more;
    }
    char *copy = strdup(path);
    if (copy)
        all->file[all->n++] = (kept){(size_t)st.st_size, st.st_mtim, copy};
}

static all_kept list_files(const char *folder)
{
    all_kept all = {0};
    DIR *d = opendir(folder);
    for (struct dirent *entry; d && (entry = readdir(d));)
        look_at(&all, folder, entry->d_name);
    if (d)
        closedir(d);
    return all;
}

static int used_before(const void *a, const void *b)
{
    const kept *x = a, *y = b;
    if (x->used.tv_sec != y->used.tv_sec)
        return x->used.tv_sec < y->used.tv_sec ? -1 : 1;
    return (x->used.tv_nsec > y->used.tv_nsec) - (x->used.tv_nsec < y->used.tv_nsec);
}

void nm_cache_trim(size_t limit)
{
    char folder[NM_CACHE_PATH];
    if (!find_folder(folder))
        return;
    all_kept all = list_files(folder);
    if (all.total > limit)
        qsort(all.file, all.n, sizeof *all.file, used_before);
    for (size_t i = 0; i < all.n; i++) {
        if (all.total > limit && (unlink(all.file[i].path) == 0 || errno == ENOENT))
            all.total -= all.file[i].size;
        free(all.file[i].path);
    }
    free(all.file);
}

nm_cache_status nm_cache_write(const char *name, const char *data, size_t size)
{
    char path[NM_CACHE_PATH], aside[NM_CACHE_PATH], head[HEAD + 1];
    if (!nm_cache_path(path, name) || !nm_cache_path(aside, "new-XXXXXX"))
        return NM_CACHE_NONE;
    int fd = make_folders(path) ? mkstemp(aside) : -1;
    if (fd < 0)
        return NM_CACHE_FAILED;
    write_head(head, data, size);
    bool ok = write_all(fd, head, HEAD) && write_all(fd, data, size);
    ok = close(fd) == 0 && ok;
    if (ok && rename(aside, path) == 0)
        return NM_CACHE_OK;
    int why = errno;
    unlink(aside);
    errno = why;
    return NM_CACHE_FAILED;
}
