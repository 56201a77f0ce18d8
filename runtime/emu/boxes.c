// The memory is a file without a name, which others open by the maker's process number: no limit of
// /dev/shm, and nothing to clean up.
#define _GNU_SOURCE
#include "runtime/emu/boxes.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAGIC UINT64_C(0x6e6d656d75626f78)

enum { HEAD = 64 << 10 };
_Static_assert(sizeof(nmemu_shared) <= HEAD, "the boxes begin behind what ranks share");

bool nmemu_boxes_make(nmemu_boxes_id *id)
{
    int fd = memfd_create("nmemu", MFD_CLOEXEC);
    if (fd < 0)
        return false;
    uint64_t magic = MAGIC;
    if (ftruncate(fd, HEAD) || pwrite(fd, &magic, sizeof magic, 0) != sizeof magic) {
        close(fd);
        return false;
    }
    *id = (nmemu_boxes_id){MAGIC, getpid(), fd};
    return true;
}

bool nmemu_boxes_join(nmemu_boxes *b, const nmemu_boxes_id *id, int n)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd/%d", id->pid, id->fd);
    int fd = id->magic == MAGIC ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return false;
    b->n = n;
    b->mapped = HEAD + (uint64_t)n * (uint64_t)n * NMEMU_BOX_BYTES;
    void *at = MAP_FAILED;
    if (!ftruncate(fd, (off_t)b->mapped))
        at = mmap(NULL, b->mapped, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    close(fd);
    if (at == MAP_FAILED)
        return false;
    b->shared = at;
    b->data = (char *)at + HEAD;
    return b->shared->magic == MAGIC;
}

void nmemu_boxes_leave(nmemu_boxes *b)
{
    if (b->shared)
        munmap(b->shared, b->mapped);
    b->shared = NULL;
}

char *nmemu_box(const nmemu_boxes *b, int from, int to)
{
    return b->data + ((uint64_t)from * (uint64_t)b->n + (uint64_t)to) * NMEMU_BOX_BYTES;
}
