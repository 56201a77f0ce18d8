// A thread that looks at the host while it runs a function on a rank that has NCCL. The queue of a
// GPU is bounded: where others do not come to a collective, a later launch takes for ever, and who
// stands in it cannot look for them (nccl.c does where the host waits).
#define _GNU_SOURCE
#include "runtime/clock.h"
#include "runtime/gpu/nccl.h"

#include <unistd.h>

enum { PAUSE_US = 100000 };

// The first launch of collectives that is not known to be done: the one that hangs, or before it.
static const nmdrv_collective *oldest(const nmrt_device *d)
{
    const nmrt_gpu_nccl *t = d->nccl;
    if (t->n_done == t->n_begun)
        return NULL;
    return &d->program->collective[t->watched[t->n_done % NMRT_GPU_WATCHED].row];
}

static void say_stuck(nmrt_device *d)
{
    nmrt_error e;
    const nmdrv_collective *c = oldest(d);
    nmrt_fail(
        &e, NMRT_WORLD,
        "the GPU has taken no more work for %.0f s: other ranks do not come to a collective%s%s"
        "%s%s%s",
        d->nccl->timeout, c ? " at or behind " : "", c ? c->name : "", c ? " (" : "",
        c ? c->where : "", c ? ")" : "");
    nmrt_gpu_die(d, &e);
}

static void *look(void *device)
{
    nmrt_device *d = device;
    int64_t seen = -1;
    double since = nmrt_seconds();
    for (; !atomic_load(&d->nccl->ends); usleep(PAUSE_US)) {
        int64_t calls = atomic_load(&d->calls);
        double now = nmrt_seconds();
        if (calls != seen || !atomic_load(&d->runs))
            since = now;
        else if (now - since > d->nccl->timeout)
            say_stuck(d);
        seen = calls;
    }
    return NULL;
}

nmrt_status nmrt_gpu_watch_start(nmrt_device *d, nmrt_error *e)
{
    if (pthread_create(&d->nccl->watch, NULL, look, d) != 0)
        return nmrt_fail(e, NMRT_WORLD, "cannot start a thread that watches the collectives");
    d->nccl->is_watched = true;
    return NMRT_OK;
}

void nmrt_gpu_watch_stop(nmrt_device *d)
{
    atomic_store(&d->nccl->ends, true);
    if (d->nccl->is_watched)
        pthread_join(d->nccl->watch, NULL);
}
