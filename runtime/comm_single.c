// The communicator of one rank: every sum is complete, every barrier passed.
#include "runtime/comm.h"

#include "runtime/dtype.h"

#include <string.h>

static nmrt_status single_run(nmrt_comm *c, const nmrt_exchange *x, nmrt_error *e)
{
    (void)c, (void)e;
    if (x->out != x->in)
        memmove(x->out, x->in, (size_t)(nmrt_exchange_in(x) * nmrt_dtype(x->dtype)->bits / 8));
    return NMRT_OK;
}

static nmrt_status single_send(nmrt_comm *c, int to, int tag, const void *at, int64_t bytes,
                               const char *what, const char *where, nmrt_error *e)
{
    (void)c, (void)to, (void)tag, (void)at, (void)bytes, (void)where;
    return nmrt_fail(e, NMRT_CORRUPT, "%s: one rank alone sends nothing", what);
}

static nmrt_status single_recv(nmrt_comm *c, int from, int tag, void *at, int64_t bytes,
                               const char *what, const char *where, nmrt_error *e)
{
    (void)c, (void)from, (void)tag, (void)at, (void)bytes, (void)where;
    return nmrt_fail(e, NMRT_CORRUPT, "%s: one rank alone receives nothing", what);
}

static nmrt_status single_barrier(nmrt_comm *c, nmrt_error *e)
{
    (void)c, (void)e;
    return NMRT_OK;
}

static void single_abort(nmrt_comm *c, nmrt_status status, nmrt_error *e)
{
    (void)c, (void)status, (void)e;
}
static void single_close(nmrt_comm *c) { (void)c; }

nmrt_comm nmrt_comm_single(void)
{
    return (nmrt_comm){.name = "single",
                       .ranks = 1,
                       .run = single_run,
                       .send = single_send,
                       .recv = single_recv,
                       .barrier = single_barrier,
                       .abort = single_abort,
                       .close = single_close};
}
