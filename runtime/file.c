// Files: mapped for reading, made anew.
#define _GNU_SOURCE
#include "runtime/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

nmrt_status nmrt_file_open(int *fd, int64_t *bytes, const char *path, nmrt_error *e)
{
    *fd = open(path, O_RDONLY | O_CLOEXEC);
    if (*fd < 0)
        return nmrt_fail_errno(e, "cannot open %s", path);
    struct stat st;
    nmrt_status status = NMRT_OK;
    if (fstat(*fd, &st))
        status = nmrt_fail_errno(e, "cannot read %s", path);
    else if (!S_ISREG(st.st_mode))
        status = nmrt_fail(e, NMRT_WORLD, "%s is not a plain file", path);
    if (status == NMRT_OK)
        *bytes = st.st_size;
    else
        close(*fd);
    return status;
}

nmrt_status nmrt_map_open(nmrt_map *map, const char *path, nmrt_error *e)
{
    *map = (nmrt_map){0};
    int fd;
    int64_t bytes;
    NMRT_TRY(nmrt_file_open(&fd, &bytes, path, e));
    nmrt_status status = NMRT_OK;
    if (bytes > 0) {
        void *at = mmap(NULL, (size_t)bytes, PROT_READ, MAP_PRIVATE, fd, 0);
        if (at == MAP_FAILED)
            status = nmrt_fail_errno(e, "cannot map %s", path);
        else
            *map = (nmrt_map){at, (size_t)bytes};
    }
    close(fd);
    return status;
}

void nmrt_map_close(nmrt_map *map)
{
    if (map->at)
        munmap((void *)map->at, map->n);
    *map = (nmrt_map){0};
}

void nmrt_map_forget(const void *at, size_t n)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = (uintptr_t)at & ~(page - 1);
    if (n)
        madvise((void *)from, (uintptr_t)at + n - from, MADV_DONTNEED);
}

nmrt_status nmrt_read_at(int fd, void *to, size_t n, int64_t offset, const char *path,
                         nmrt_error *e)
{
    char *p = to;
    while (n) {
        ssize_t k = pread(fd, p, n, (off_t)offset);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return nmrt_fail_errno(e, "cannot read %s", path);
        if (!k)
            return nmrt_fail(e, NMRT_WORLD, "%s has become shorter: there is no byte %lld", path,
                             (long long)offset);
        p += k;
        offset += k;
        n -= (size_t)k;
    }
    return NMRT_OK;
}

nmrt_status nmrt_write_all(int fd, const void *bytes, size_t n, const char *path, nmrt_error *e)
{
    const char *p = bytes;
    while (n) {
        ssize_t k = write(fd, p, n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return nmrt_fail_errno(e, "cannot write %s", path);
        p += k;
        n -= (size_t)k;
    }
    return NMRT_OK;
}

nmrt_status nmrt_file_create(const char *path, const void *bytes, size_t n, nmrt_error *e)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return nmrt_fail_errno(e, "cannot create %s", path);
    nmrt_status status = nmrt_write_all(fd, bytes, n, path, e);
    if (status == NMRT_OK && fsync(fd))
        status = nmrt_fail_errno(e, "cannot write %s", path);
    if (close(fd) && status == NMRT_OK)
        status = nmrt_fail_errno(e, "cannot write %s", path);
    return status;
}

nmrt_status nmrt_dir_make(const char *path, nmrt_error *e)
{
    char part[NMRT_PATH];
    size_t n = strlen(path);
    if (n >= sizeof part)
        return nmrt_fail(e, NMRT_WORLD, "the path %.60s... is too long: at most %zu bytes", path,
                         sizeof part - 1);
    for (size_t i = 1; i <= n; i++) {
        if (path[i] != '/' && path[i] != 0)
            continue;
        memcpy(part, path, i);
        part[i] = 0;
        if (mkdir(part, 0777) && errno != EEXIST)
            return nmrt_fail_errno(e, "cannot create the folder %s", part);
    }
    struct stat st;
    if (stat(path, &st) || !S_ISDIR(st.st_mode))
        return nmrt_fail(e, NMRT_WORLD, "%s is there but is not a folder", path);
    return NMRT_OK;
}

nmrt_status nmrt_dir_sync(const char *path, nmrt_error *e)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return nmrt_fail_errno(e, "cannot open the folder %s", path);
    nmrt_status status = NMRT_OK;
    if (fsync(fd) && errno != EINVAL && errno != EROFS) // some file systems cannot sync folders
        status = nmrt_fail_errno(e, "cannot sync the folder %s", path);
    close(fd);
    return status;
}

nmrt_status nmrt_dir_remove(const char *path, nmrt_error *e)
{
    DIR *dir = opendir(path);
    if (!dir)
        return errno == ENOENT ? NMRT_OK : nmrt_fail_errno(e, "cannot open the folder %s", path);
    nmrt_status status = NMRT_OK;
    for (struct dirent *d; status == NMRT_OK && (d = readdir(dir));)
        if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
            if (unlinkat(dirfd(dir), d->d_name, 0))
                status = nmrt_fail_errno(e, "cannot remove %s/%s", path, d->d_name);
    closedir(dir);
    if (status == NMRT_OK && rmdir(path))
        status = nmrt_fail_errno(e, "cannot remove the folder %s", path);
    return status;
}

bool nmrt_path_exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

nmrt_status nmrt_path_join(char out[NMRT_PATH], const char *dir, const char *name, nmrt_error *e)
{
    int n = snprintf(out, NMRT_PATH, "%s/%s", dir, name);
    if (n < 0 || n >= NMRT_PATH)
        return nmrt_fail(e, NMRT_WORLD, "the path %.60s.../%.60s is too long", dir, name);
    return NMRT_OK;
}

nmrt_status nmrt_path_append(char out[NMRT_PATH], const char *path, const char *suffix,
                             nmrt_error *e)
{
    size_t n = strlen(path), k = strlen(suffix) + 1;
    if (n + k > NMRT_PATH)
        return nmrt_fail(e, NMRT_WORLD, "the path %.60s...%s is too long", path, suffix);
    memcpy(out, path, n);
    memcpy(out + n, suffix, k);
    return NMRT_OK;
}
