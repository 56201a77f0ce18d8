// What a plan's functions launch of collectives: their drivers are run on a device that launches
// nothing. A GPU's device makes the groups of these rows when it is opened, and has room for what
// NCCL wants to lie otherwise.
#include "runtime/exchange.h"
#include "runtime/null_device.h"
#include "runtime/plan.h"

#include <stdlib.h>

typedef struct noting { // the frame's device
    nmrt_plan *plan;
    nmrt_exchanges all;
    nmrt_launch launch;
    nmrt_status status;
    nmrt_error *e;
} noting;

// Smaller sizes may have pieces where these have none: then they count as if they had.
static int64_t most_apart(const nmrt_exchange *x, const nmdrv_collective *c)
{
    static const nmrt_piece some;
    nmrt_exchange bound = *x;
    if (c->joins && c->over >= 0)
        bound.piece = &some;
    return nmrt_exchange_apart(&bound);
}

static void note_launch(noting *n, int64_t last)
{
    const nmdrv_collective *row = n->all.mesh->program->collective;
    int64_t bytes = 0;
    for (int i = 0; i < n->launch.n; i++)
        bytes += most_apart(&n->launch.x[i], &row[last - n->launch.n + 1 + i]);
    n->plan->collectives = bytes > n->plan->collectives ? bytes : n->plan->collectives;
    n->launch.n = 0;
}

static void *note_collective(nmdrv_frame *f, int64_t collective, const int64_t *geometry, void *out,
                             void *in)
{
    noting *n = (noting *)f->device;
    nmrt_launch_when when = nmrt_launch_add(&n->launch, &n->all, collective, f->sym, geometry,
                                            (nmrt_operands){out, in}, n->e);
    if (when == NMRT_LAUNCH_NOTHING)
        return in;
    n->plan->meets[collective] = true;
    if (when == NMRT_LAUNCH_FAILED)
        n->status = NMRT_CORRUPT;
    if (when == NMRT_LAUNCH_NOW)
        note_launch(n, collective);
    return out;
}

static nmrt_status run(noting *n, const nmdrv_func *func, const nmdrv_sym *sym, nmrt_error *e)
{
    nmdrv_calls calls = nmrt_null_calls(note_collective);
    NMRT_TRY(nmrt_null_run(func, sym, &calls, n, e));
    return n->status;
}

nmrt_status nmrt_plan_launches(nmrt_plan *plan, const nmrt_mesh *mesh, const nmdrv_func *func,
                               const nmdrv_sym *sym, nmrt_error *e)
{
    size_t rows = (size_t)plan->program->n_collectives + 1;
    noting n = {.plan = plan, .status = NMRT_OK, .e = e};
    if (!plan->meets && !(plan->meets = calloc(rows, sizeof *plan->meets)))
        return nmrt_fail(e, NMRT_WORLD, "no memory for the memory plan");
    nmrt_status status = nmrt_exchanges_init(&n.all, mesh, e);
    if (status == NMRT_OK)
        status = run(&n, func, sym, e);
    nmrt_exchanges_release(&n.all);
    return status;
}
