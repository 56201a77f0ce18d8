// Files of events. A line's comma is written before the next line, so that at any time what is
// there lacks the array's end alone.
#include "runtime/trace_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OPENING = 2 }; // bytes of "[\n"

static nmrt_status name_file(char out[NMRT_PATH], const char *path, int rank, nmrt_error *e)
{
    int n = rank ? snprintf(out, NMRT_PATH, "%s.rank-%d", path, rank)
                 : snprintf(out, NMRT_PATH, "%s", path);
    return n < NMRT_PATH ? NMRT_OK : nmrt_fail(e, NMRT_USAGE, "--trace %s: too long a path", path);
}

nmrt_status nmrt_trace_file_create(nmrt_trace_file *f, const char *path, int rank, nmrt_error *e)
{
    *f = (nmrt_trace_file){.fd = -1};
    NMRT_TRY(name_file(f->path, path, rank, e));
    f->fd = open(f->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (f->fd < 0)
        return nmrt_fail_errno(e, "--trace: cannot create %s", f->path);
    return nmrt_write_all(f->fd, "[\n", OPENING, f->path, e);
}

static nmrt_status write_lines(nmrt_trace_file *f, const void *at, size_t n, nmrt_error *e)
{
    if (f->begun)
        NMRT_TRY(nmrt_write_all(f->fd, ",\n", 2, f->path, e));
    f->begun = true;
    return nmrt_write_all(f->fd, at, n, f->path, e);
}

nmrt_status nmrt_trace_file_add(nmrt_trace_file *f, const nmrt_text *events, nmrt_error *e)
{
    if (events->failed)
        return nmrt_fail(e, NMRT_WORLD, "no memory for the text of the trace");
    return events->n ? write_lines(f, events->at, events->n - strlen(",\n"), e) : NMRT_OK;
}

nmrt_status nmrt_trace_file_join(nmrt_trace_file *f, const char *path, int rank, nmrt_error *e)
{
    char other[NMRT_PATH];
    nmrt_map map;
    NMRT_TRY(name_file(other, path, rank, e));
    NMRT_TRY(nmrt_map_open(&map, other, e));
    nmrt_status status = NMRT_OK;
    if (map.n > OPENING)
        status = write_lines(f, map.at + OPENING, map.n - OPENING, e);
    nmrt_map_close(&map);
    if (status == NMRT_OK && unlink(other))
        status = nmrt_fail_errno(e, "cannot remove %s", other);
    return status;
}

nmrt_status nmrt_trace_file_end(nmrt_trace_file *f, nmrt_error *e)
{
    return nmrt_write_all(f->fd, "\n]\n", 3, f->path, e);
}

void nmrt_trace_file_drop(nmrt_trace_file *f)
{
    struct stat st;
    if (f->fd >= 0 && fstat(f->fd, &st) == 0 && S_ISREG(st.st_mode))
        unlink(f->path);
    nmrt_trace_file_close(f);
}

void nmrt_trace_file_close(nmrt_trace_file *f)
{
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
}
