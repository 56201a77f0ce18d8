// A safetensors file, written in any order.
#include "runtime/dump.h"

#include "runtime/agree.h"
#include "runtime/aside.h"
#include "runtime/dtype.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int64_t bytes_of(const nmrt_tensor *t)
{
    int64_t bytes = 0;
    for (int d = NMDRV_F64; d <= NMDRV_BOOL && !bytes; d++)
        if (nmrt_dtype(d)->safetensors && strcmp(nmrt_dtype(d)->safetensors, t->dtype) == 0)
            bytes = nmrt_dtype(d)->bits / 8;
    for (int i = 0; i < t->rank; i++)
        bytes *= t->shape[i];
    return bytes;
}

void nmrt_dump_lay(nmrt_tensor *tensor, int n)
{
    int64_t at = 0;
    for (int i = 0; i < n; i++) {
        tensor[i].begin = at;
        at = tensor[i].end = at + bytes_of(&tensor[i]);
    }
}

static nmrt_status join(nmrt_dump *d, nmrt_error *e)
{
    d->fd = open(d->part, O_WRONLY | O_CLOEXEC);
    return d->fd < 0 ? nmrt_fail_errno(e, "cannot open %s", d->part) : NMRT_OK;
}

static nmrt_status open_with(nmrt_dump *d, const nmrt_text *header, nmrt_comm *comm, nmrt_error *e)
{
    bool first = !comm || !comm->rank;
    if (header->failed)
        return nmrt_fail(e, NMRT_WORLD, "no memory for the header of %s", d->path);
    d->data = (int64_t)header->n;
    NMRT_TRY(
        nmrt_agree(comm, first ? nmrt_file_create(d->part, header->at, header->n, e) : NMRT_OK, e));
    nmrt_status status = nmrt_agree(comm, join(d, e), e);
    if (status != NMRT_OK && first)
        unlink(d->part);
    return status;
}

nmrt_status nmrt_dump_check(char part[NMRT_PATH], const char *path, nmrt_comm *comm, nmrt_error *e)
{
    nmrt_status status = nmrt_aside_file(part, path, e);
    return nmrt_agree_alike(comm, comm && comm->rank ? NMRT_OK : status, e);
}

nmrt_status nmrt_dump_open(nmrt_dump *d, const char *path, const nmrt_tensor *tensor, int n,
                           nmrt_comm *comm, nmrt_error *e)
{
    *d = (nmrt_dump){.fd = -1, .path = path};
    NMRT_TRY(nmrt_dump_check(d->part, path, comm, e));
    nmrt_text header = {0};
    nmrt_safetensors_header(tensor, n, &header);
    nmrt_status status = open_with(d, &header, comm, e);
    nmrt_text_release(&header);
    return status;
}

nmrt_status nmrt_dump_write(const nmrt_dump *d, int64_t at, const void *bytes, size_t n,
                            nmrt_error *e)
{
    const char *from = bytes;
    for (size_t done = 0; done < n;) {
        ssize_t k = pwrite(d->fd, from + done, n - done, (off_t)(d->data + at + (int64_t)done));
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return nmrt_fail_errno(e, "cannot write %s", d->part);
        done += (size_t)k;
    }
    return NMRT_OK;
}

static nmrt_status sync_own(nmrt_dump *d, nmrt_error *e)
{
    nmrt_status status = fsync(d->fd) ? nmrt_fail_errno(e, "cannot write %s", d->part) : NMRT_OK;
    if (close(d->fd) && status == NMRT_OK)
        status = nmrt_fail_errno(e, "cannot write %s", d->part);
    d->fd = -1;
    return status;
}

static nmrt_status name(const nmrt_dump *d, nmrt_error *e)
{
    nmrt_status status = nmrt_aside_place(d->part, d->path, e);
    if (status != NMRT_OK)
        unlink(d->part);
    return status;
}

nmrt_status nmrt_dump_close(nmrt_dump *d, nmrt_comm *comm, nmrt_status status, nmrt_error *e)
{
    bool first = !comm || !comm->rank;
    nmrt_error late;
    nmrt_status synced = sync_own(d, &late);
    if (status == NMRT_OK && synced != NMRT_OK) {
        status = synced;
        *e = late;
    }
    status = nmrt_agree(comm, status, e);
    if (status == NMRT_OK)
        return nmrt_agree(comm, first ? name(d, e) : NMRT_OK, e);
    if (first)
        unlink(d->part);
    return status;
}
