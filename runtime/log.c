// Files that a run adds to.
#define _GNU_SOURCE
#include "runtime/log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

nmrt_status nmrt_log_open(nmrt_log *log, nmrt_error *e)
{
    log->fd = open(log->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    return log->fd < 0 ? nmrt_fail_errno(e, "cannot open %s", log->path) : NMRT_OK;
}

// As much as the disk takes; the rest stays, also of a row that was written in part.
static nmrt_status write_late(nmrt_log *log, nmrt_error *e)
{
    size_t done = 0;
    nmrt_status status = NMRT_OK;
    while (done < log->late.n && status == NMRT_OK) {
        ssize_t k = write(log->fd, log->late.at + done, log->late.n - done);
        if (k == 0 || (k < 0 && errno != EINTR))
            status = nmrt_fail_errno(e, "cannot write %s", log->path);
        done += k > 0 ? (size_t)k : 0;
    }
    if (done)
        memmove(log->late.at, log->late.at + done, log->late.n - done);
    log->late.n -= done;
    return status;
}

nmrt_status nmrt_log_add(nmrt_log *log, const void *bytes, size_t n, nmrt_error *e)
{
    bool behind = log->late.n > 0;
    nmrt_error why;
    if (log->fd < 0)
        return NMRT_OK;
    nmrt_text_add_bytes(&log->late, bytes, n);
    if (log->late.failed) {
        log->late.failed = false; // this row is lost, the next may find room
        return nmrt_fail(e, NMRT_WORLD, "no memory to keep what %s does not take: rows are lost",
                         log->path);
    }
    if (write_late(log, &why) == NMRT_OK || behind)
        return NMRT_OK;
    return nmrt_fail(e, NMRT_WORLD,
                     "%.900s; what follows is kept in memory until there is room again", why.text);
}

nmrt_status nmrt_log_end(nmrt_log *log, nmrt_error *e)
{
    nmrt_error why;
    if (log->fd < 0 || write_late(log, &why) == NMRT_OK)
        return NMRT_OK;
    nmrt_fail(e, NMRT_WORLD, "%.900s; its last %zu bytes are lost", why.text, log->late.n);
    log->late.n = 0;
    return NMRT_WORLD;
}

nmrt_status nmrt_log_sync(const nmrt_log *log, nmrt_error *e)
{
    if (log->fd >= 0 && fsync(log->fd) && errno != EINVAL &&
        errno != EROFS) // a pipe or /dev/null cannot be synced
        return nmrt_fail_errno(e, "cannot write %s", log->path);
    return NMRT_OK;
}

void nmrt_log_close(nmrt_log *log)
{
    nmrt_error e;
    nmrt_log_end(log, &e); // of a run that ended otherwise, and has told why
    if (log->fd >= 0)
        close(log->fd);
    log->fd = -1;
    nmrt_text_release(&log->late);
}
