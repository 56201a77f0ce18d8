// The transport over MPI: not built yet.
#include "runtime/wire.h"
bool nmrt_wire_has_mpi(void) { return false; }
nmrt_status nmrt_wire_mpi(nmrt_transport **t, const nmrt_ranks *ranks, nmrt_roll *roll,
                          nmrt_error *e)
{
    (void)t, (void)ranks, (void)roll;
    return nmrt_fail(e, NMRT_USAGE,
                     "--comm mpi is not built into this binary: --comm tcp needs no library");
}
