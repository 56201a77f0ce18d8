// Agreement through rank 0: everybody tells it, it tells everybody. Before the first step and once
// a checkpoint, so a star is fast enough.
#include "runtime/agree.h"

#include <string.h>

enum { TAG = 0 };
static const char what[] = "the ranks' agreement";

typedef struct verdict {
    int64_t status;
    nmrt_error e;
} verdict;

nmrt_status nmrt_agree_on(nmrt_comm *comm, void *at, int64_t bytes, nmrt_error *e)
{
    if (!comm || comm->ranks == 1)
        return NMRT_OK;
    if (comm->rank)
        return comm->recv(comm, 0, TAG, at, bytes, what, "", e);
    for (int i = 1; i < comm->ranks; i++)
        NMRT_TRY(comm->send(comm, i, TAG, at, bytes, what, "", e));
    return NMRT_OK;
}

nmrt_status nmrt_agree(nmrt_comm *comm, nmrt_status mine, nmrt_error *e)
{
    if (!comm || comm->ranks == 1)
        return mine;
    verdict all = {.status = mine};
    if (mine != NMRT_OK)
        memcpy(&all.e, e, sizeof *e);
    if (comm->rank)
        NMRT_TRY(comm->send(comm, 0, TAG, &all, sizeof all, what, "", e));
    for (int i = 1; !comm->rank && i < comm->ranks; i++) {
        verdict one;
        NMRT_TRY(comm->recv(comm, i, TAG, &one, sizeof one, what, "", e));
        if (all.status == NMRT_OK)
            all = one;
    }
    NMRT_TRY(nmrt_agree_on(comm, &all, sizeof all, e));
    if (all.status != NMRT_OK) {
        *e = all.e;
        e->everyones = true;
    }
    return (nmrt_status)all.status;
}
