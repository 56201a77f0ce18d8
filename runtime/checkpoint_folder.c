// Checkpoint folders: their names, the lock, and the steps by which a written folder becomes the
// newest checkpoint. Each is one rename, so a kill between any two leaves whole checkpoints.
#define _GNU_SOURCE
#include "runtime/checkpoint_format.h"

#include "runtime/aside.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

// --- names -------------------------------------------------------------------------------------

static int newest_first(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x < y) - (x > y);
}

static bool parse_folder(const char *name, const char *suffix, int64_t *step)
{
    if (strncmp(name, "step-", 5) != 0 || name[5] < '0' || name[5] > '9')
        return false;
    char *end;
    errno = 0;
    *step = strtoll(name + 5, &end, 10);
    return !errno && strcmp(end, suffix) == 0;
}

static void drop_doubles(int64_t *sorted, int *n)
{
    int kept = 0;
    for (int i = 0; i < *n; i++)
        if (!kept || sorted[i] != sorted[kept - 1])
            sorted[kept++] = sorted[i];
    *n = kept;
}

// Those with either suffix, once each.
static int64_t *list_folders(const char *dir, const char *suffix, const char *other, int *n)
{
    int64_t *steps = NULL, step;
    *n = 0;
    DIR *d = opendir(dir);
    if (!d)
        return NULL;
    for (struct dirent *entry; (entry = readdir(d));) {
        if (!parse_folder(entry->d_name, suffix, &step) &&
            !parse_folder(entry->d_name, other, &step))
            continue;
        int64_t *more = realloc(steps, (size_t)(*n + 1) * sizeof *steps);
        if (!more)
            break;
        steps = more;
        steps[(*n)++] = step;
    }
    closedir(d);
    if (steps)
        qsort(steps, (size_t)*n, sizeof *steps, newest_first);
    drop_doubles(steps, n);
    return steps;
}

static const char OLD[] = ".old.part"; // what a kill may have left of a folder: runtime/aside.h

int64_t *nmrt_checkpoint_list(const char *dir, int *n) { return list_folders(dir, "", OLD, n); }

nmrt_status nmrt_checkpoint_find(char out[NMRT_PATH], const char *dir, int64_t step, nmrt_error *e)
{
    NMRT_TRY(nmrt_checkpoint_folder(out, dir, step, "", e));
    return nmrt_path_exists(out) ? NMRT_OK : nmrt_checkpoint_folder(out, dir, step, OLD, e);
}

nmrt_status nmrt_checkpoint_folder(char out[NMRT_PATH], const char *dir, int64_t step,
                                   const char *suffix, nmrt_error *e)
{
    char name[64];
    snprintf(name, sizeof name, "step-%06lld%s", (long long)step, suffix);
    return nmrt_path_join(out, dir, name, e);
}

nmrt_status nmrt_checkpoint_file(char out[NMRT_PATH], const char *folder, int rank,
                                 const char *suffix, nmrt_error *e)
{
    char name[64];
    snprintf(name, sizeof name, "%05d%s", rank, suffix);
    return nmrt_path_join(out, folder, name, e);
}

// --- the link to the newest --------------------------------------------------------------------

static nmrt_status move_latest(const char *dir, const char *folder, nmrt_error *e)
{
    char link[NMRT_PATH], aside[NMRT_PATH];
    NMRT_TRY(nmrt_path_join(link, dir, "latest", e));
    NMRT_TRY(nmrt_path_join(aside, dir, "latest.part", e));
    unlink(aside);
    if (symlink(strrchr(folder, '/') + 1, aside))
        return nmrt_fail_errno(e, "cannot write the link %s", link);
    return nmrt_aside_place(aside, link, e);
}

static bool is_latest(const char *dir, const char *folder, nmrt_error *e)
{
    char link[NMRT_PATH], to[NMRT_PATH];
    if (nmrt_path_join(link, dir, "latest", e) != NMRT_OK)
        return false;
    ssize_t n = readlink(link, to, sizeof to - 1);
    to[n < 0 ? 0 : n] = 0;
    return strcmp(to, strrchr(folder, '/') + 1) == 0;
}

// Where a kill came between a checkpoint's rename and the link's.
static nmrt_status settle_latest(const char *dir, int64_t step, nmrt_error *e)
{
    char folder[NMRT_PATH];
    NMRT_TRY(nmrt_checkpoint_folder(folder, dir, step, "", e));
    if (!nmrt_path_exists(folder) || is_latest(dir, folder, e))
        return NMRT_OK;
    return move_latest(dir, folder, e);
}

// --- the lock ----------------------------------------------------------------------------------

// "passing over FOLDER: why", a line each. The whole name: step-100000 is not step-1000000.
static bool is_passed(const nmrt_text *passed, const char *folder)
{
    char name[NMRT_PATH + 1];
    snprintf(name, sizeof name, "%s:", folder);
    return passed->at && strstr(passed->at, name);
}

// Later checkpoints of another run would be taken for this one's by --resume auto.
static nmrt_status refuse_later(const char *dir, int64_t step, const nmrt_text *passed,
                                nmrt_error *e)
{
    int n;
    int64_t *steps = nmrt_checkpoint_list(dir, &n);
    nmrt_status status = NMRT_OK;
    for (int i = 0; i < n && status == NMRT_OK; i++) {
        char path[NMRT_PATH];
        status = nmrt_checkpoint_find(path, dir, steps[i], e);
        if (status == NMRT_OK && steps[i] > step && !is_passed(passed, path))
            status = nmrt_fail(
                e, NMRT_USAGE,
                "%s is there already, from another run: go on from it with --resume auto, or give "
                "another folder to --save",
                path);
    }
    free(steps);
    return status;
}

// A folder that has its other name alone gets its own again.
static nmrt_status settle_old(const char *dir, nmrt_error *e)
{
    int n;
    int64_t *steps = list_folders(dir, OLD, OLD, &n);
    nmrt_status status = NMRT_OK;
    for (int i = 0; i < n && status == NMRT_OK; i++) {
        char folder[NMRT_PATH], old[NMRT_PATH];
        status = nmrt_checkpoint_folder(folder, dir, steps[i], "", e);
        if (status == NMRT_OK)
            status = nmrt_checkpoint_folder(old, dir, steps[i], OLD, e);
        if (status == NMRT_OK)
            status = nmrt_path_exists(folder) ? nmrt_dir_remove(old, e)
                                              : nmrt_aside_place(old, folder, e);
    }
    free(steps);
    return status;
}

nmrt_status nmrt_checkpoint_lock(const char *dir, int64_t step, const nmrt_text *passed, int *lock,
                                 nmrt_error *e)
{
    NMRT_TRY(nmrt_dir_make(dir, e));
    *lock = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*lock < 0)
        return nmrt_fail_errno(e, "cannot open the folder %s", dir);
    if (flock(*lock, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK)
        return nmrt_fail(e, NMRT_WORLD, "another run saves its checkpoints in %s now", dir);
    if (access(dir, W_OK))
        return nmrt_fail_errno(e, "cannot write into the folder %s", dir);
    NMRT_TRY(refuse_later(dir, step, passed, e));
    NMRT_TRY(settle_old(dir, e));
    return settle_latest(dir, step, e);
}

// --- from .part to the newest ------------------------------------------------------------------

// Renamed before it is emptied, so that a folder without .part stays whole.
static nmrt_status remove_step(const char *dir, int64_t step, nmrt_error *e)
{
    char folder[NMRT_PATH], part[NMRT_PATH];
    NMRT_TRY(nmrt_checkpoint_folder(folder, dir, step, "", e));
    NMRT_TRY(nmrt_checkpoint_folder(part, dir, step, ".part", e));
    NMRT_TRY(nmrt_dir_remove(part, e));
    if (rename(folder, part))
        return nmrt_fail_errno(e, "cannot rename %s", folder);
    return nmrt_dir_remove(part, e);
}

// Those of later steps than `now` were passed over at the start: they neither count nor go.
static nmrt_status remove_old(const char *dir, int64_t now, int64_t keep, nmrt_error *e)
{
    int n;
    int64_t *steps = nmrt_checkpoint_list(dir, &n), kept = 0;
    nmrt_status status = NMRT_OK;
    for (int i = 0; i < n && keep > 0 && status == NMRT_OK; i++)
        if (steps[i] <= now && ++kept > keep)
            status = remove_step(dir, steps[i], e);
    free(steps);
    return status;
}

static nmrt_status remove_parts(const char *dir, nmrt_error *e)
{
    int n;
    int64_t *steps = list_folders(dir, ".part", ".part", &n);
    nmrt_status status = NMRT_OK;
    for (int i = 0; i < n && status == NMRT_OK; i++) {
        char part[NMRT_PATH];
        status = nmrt_checkpoint_folder(part, dir, steps[i], ".part", e);
        if (status == NMRT_OK)
            status = nmrt_dir_remove(part, e);
    }
    free(steps);
    return status;
}

nmrt_status nmrt_checkpoint_place(const char *dir, int64_t step, nmrt_error *e)
{
    char folder[NMRT_PATH], part[NMRT_PATH];
    NMRT_TRY(nmrt_checkpoint_folder(folder, dir, step, "", e));
    NMRT_TRY(nmrt_checkpoint_folder(part, dir, step, ".part", e));
    return nmrt_aside_replace(part, folder, e);
}

nmrt_status nmrt_checkpoint_tidy(const char *dir, int64_t step, int64_t keep, nmrt_error *e)
{
    char folder[NMRT_PATH];
    NMRT_TRY(nmrt_checkpoint_folder(folder, dir, step, "", e));
    NMRT_TRY(move_latest(dir, folder, e));
    NMRT_TRY(remove_parts(dir, e));
    return remove_old(dir, step, keep, e);
}
