// Names that what is written has until it is whole, and after.
#define _GNU_SOURCE
#include "runtime/aside.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool is_name(const char *path)
{
    const char *slash = strrchr(path, '/'), *last = slash ? slash + 1 : path;
    return *last && strcmp(last, ".") != 0 && strcmp(last, "..") != 0;
}

nmrt_status nmrt_aside_refuse(const char *aside, nmrt_error *e)
{
    return nmrt_fail(e, NMRT_WORLD,
                     "%s is there already: a run that was killed has left it, one writes it now, "
                     "or it is another program's: remove it, or write elsewhere",
                     aside);
}

static nmrt_status name_aside(char aside[NMRT_PATH], const char *path, nmrt_error *e)
{
    char name[NMRT_PATH];
    NMRT_TRY(nmrt_path_append(name, path, "", e));
    for (size_t n = strlen(name); n > 1 && name[n - 1] == '/';)
        name[--n] = 0;
    if (!is_name(name))
        return nmrt_fail(e, NMRT_USAGE,
                         "'%s' is not the name of something to write: give one that is not there "
                         "yet, as out",
                         path);
    NMRT_TRY(nmrt_path_append(aside, name, ".part", e));
    return nmrt_path_exists(aside) ? nmrt_aside_refuse(aside, e) : NMRT_OK;
}

nmrt_status nmrt_aside_file(char aside[NMRT_PATH], const char *path, nmrt_error *e)
{
    struct stat st;
    NMRT_TRY(name_aside(aside, path, e));
    // a link is replaced by the file, so it may lead to a plain one alone
    if (stat(path, &st) == 0 ? !S_ISREG(st.st_mode) : lstat(path, &st) == 0)
        return nmrt_fail(e, NMRT_USAGE, "%s is there already, and is no plain file: give another",
                         path);
    return NMRT_OK;
}

static bool is_empty(const char *folder)
{
    DIR *dir = opendir(folder);
    int n = 0;
    while (dir && n < 3 && readdir(dir)) // . and ..
        n++;
    if (dir)
        closedir(dir);
    return dir && n < 3;
}

nmrt_status nmrt_aside_folder(char aside[NMRT_PATH], const char *path, nmrt_error *e)
{
    struct stat st;
    NMRT_TRY(name_aside(aside, path, e));
    if (lstat(path, &st) == 0 && !(S_ISDIR(st.st_mode) && is_empty(path)))
        return nmrt_fail(e, NMRT_USAGE, "%s is there already, and is no empty folder: give another",
                         path);
    return NMRT_OK;
}

// The folder that has it.
static nmrt_status folder_of(char folder[NMRT_PATH], const char *path, nmrt_error *e)
{
    char *slash = strrchr(path, '/');
    NMRT_TRY(nmrt_path_append(folder, slash ? path : ".", "", e));
    if (slash)
        folder[slash == path ? 1 : slash - path] = 0; // "/a" lies in "/"
    return NMRT_OK;
}

nmrt_status nmrt_aside_make(const char *aside, nmrt_error *e)
{
    char folder[NMRT_PATH];
    NMRT_TRY(folder_of(folder, aside, e));
    NMRT_TRY(nmrt_dir_make(folder, e));
    if (mkdir(aside, 0777))
        return nmrt_fail_errno(e, "cannot create the folder %s", aside);
    return NMRT_OK;
}

static nmrt_status sync_folder_of(const char *path, nmrt_error *e)
{
    char folder[NMRT_PATH];
    NMRT_TRY(folder_of(folder, path, e));
    return nmrt_dir_sync(folder, e);
}

nmrt_status nmrt_aside_place(const char *aside, const char *path, nmrt_error *e)
{
    if (rename(aside, path))
        return nmrt_fail_errno(e, "cannot rename %s to %s", aside, path);
    return sync_folder_of(aside, e);
}

// By two renames: between them the folder has the name path.old.part, on disk, too.
static nmrt_status replace_slowly(const char *aside, const char *path, const char *old,
                                  nmrt_error *e)
{
    NMRT_TRY(nmrt_dir_remove(old, e));
    NMRT_TRY(nmrt_aside_place(path, old, e));
    return nmrt_aside_place(aside, path, e);
}

nmrt_status nmrt_aside_replace(const char *aside, const char *path, nmrt_error *e)
{
    enum { EXCHANGE = 2 }; // RENAME_EXCHANGE: both names swap at once, so neither is ever missing
    char old[NMRT_PATH];
    NMRT_TRY(nmrt_path_append(old, path, ".old.part", e));
    if (!nmrt_path_exists(path)) {
        NMRT_TRY(nmrt_aside_place(aside, path, e));
    } else if (syscall(SYS_renameat2, AT_FDCWD, aside, AT_FDCWD, path, EXCHANGE) == 0) {
        NMRT_TRY(sync_folder_of(path, e));
        NMRT_TRY(nmrt_dir_remove(aside, e));
    } else {
        NMRT_TRY(replace_slowly(aside, path, old, e));
    }
    return nmrt_dir_remove(old, e);
}
