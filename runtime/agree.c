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

// On rank 0, whose verdict *all is: the first failure. *whose: its rank, or -1 if there is none
// or all have it in the same words.
static nmrt_status collect(nmrt_comm *comm, verdict *all, int *whose, nmrt_error *e)
{
    bool alike = true;
    *whose = 0;
    for (int i = 1; i < comm->ranks; i++) {
        verdict one;
        NMRT_TRY(comm->recv(comm, i, TAG, &one, sizeof one, what, "", e));
        alike = alike && one.status == all->status && strcmp(one.e.text, all->e.text) == 0;
        if (all->status != NMRT_OK || one.status == NMRT_OK)
            continue;
        *all = one;
        *whose = i;
    }
    *whose = all->status == NMRT_OK || alike ? -1 : *whose;
    return NMRT_OK;
}

static nmrt_status agree(nmrt_comm *comm, nmrt_status mine, bool names, nmrt_error *e)
{
    if (!comm || comm->ranks == 1)
        return mine;
    verdict all = {.status = mine};
    int whose = -1;
    if (mine != NMRT_OK)
        memcpy(&all.e, e, sizeof *e);
    if (comm->rank)
        NMRT_TRY(comm->send(comm, 0, TAG, &all, sizeof all, what, "", e));
    else
        NMRT_TRY(collect(comm, &all, &whose, e));
    if (names && whose >= 0) {
        const nmrt_error first = all.e;
        nmrt_fail(&all.e, NMRT_OK, "rank %d: %.1000s", whose, first.text);
    }
    NMRT_TRY(nmrt_agree_on(comm, &all, sizeof all, e));
    if (all.status != NMRT_OK)
        *e = all.e;
    return nmrt_everyones((nmrt_status)all.status, e);
}

nmrt_status nmrt_agree(nmrt_comm *comm, nmrt_status mine, nmrt_error *e)
{
    return agree(comm, mine, false, e);
}

nmrt_status nmrt_agree_alike(nmrt_comm *comm, nmrt_status mine, nmrt_error *e)
{
    return agree(comm, mine, true, e);
}
