// Who am I, by the environment that launchers set.
#include "runtime/ranks.h"

#include "runtime/cpu.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct launcher {
    nmrt_start start;
    const char *name;
    const char *rank, *world, *local_rank, *local_ranks; // of variables
} launcher;

// The first whose rank and world are there. A launcher's own come before those of the job that it
// runs in: torchrun, then mpirun, in a Slurm allocation.
static const launcher launchers[] = {
    {NMRT_START_TORCHRUN, "torchrun", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"},
    {NMRT_START_MPI, "mpirun", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE",
     "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"},
    {NMRT_START_MPI, "mpirun", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"},
    {NMRT_START_SLURM, "srun", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID",
     "SLURM_STEP_TASKS_PER_NODE"},
    {NMRT_START_SLURM, "srun", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID",
     "SLURM_NTASKS_PER_NODE"},
};

const char *nmrt_start_name(nmrt_start start)
{
    for (size_t i = 0; i < sizeof launchers / sizeof *launchers; i++)
        if (launchers[i].start == start)
            return launchers[i].name;
    return "this binary";
}

static const char *value_of(const char *variable)
{
    const char *value = getenv(variable);
    return value && *value ? value : NULL;
}

// A number at the front of the variable's value ("4(x2)" is 4); `otherwise` where there is none.
static nmrt_status read_number(const char *variable, int otherwise, int *number, nmrt_error *e)
{
    const char *value = value_of(variable);
    *number = otherwise;
    if (!value)
        return NMRT_OK;
    char *end;
    errno = 0;
    long n = strtol(value, &end, 10);
    if (end == value || (*end && *end != '(' && *end != ',') || errno || n < 0 || n > 1 << 24)
        return nmrt_fail(e, NMRT_USAGE, "the environment's %s=%s is no number", variable, value);
    *number = (int)n;
    return NMRT_OK;
}

static bool has_same(const char *variable, const char *other)
{
    const char *value = value_of(variable), *of_other = value_of(other);
    return value && of_other && strcmp(value, of_other) == 0;
}

// srun sets PMI's variables, too, but not those of its local ranks. A mpirun that srun has started
// on each host gives its own ranks other numbers than the step's.
static bool is_slurms_pmi(const launcher *l)
{
    return strcmp(l->rank, "PMI_RANK") == 0 && value_of("SLURM_STEP_ID") &&
           has_same("SLURM_PROCID", l->rank) && has_same("SLURM_STEP_NUM_TASKS", l->world);
}

static const launcher *find_launcher(void)
{
    for (size_t i = 0; i < sizeof launchers / sizeof *launchers; i++)
        if (value_of(launchers[i].rank) && value_of(launchers[i].world) &&
            !is_slurms_pmi(&launchers[i]))
            return &launchers[i];
    return NULL;
}

static nmrt_status read_launcher(nmrt_ranks *r, const launcher *l, nmrt_error *e)
{
    NMRT_TRY(read_number(l->rank, 0, &r->rank, e));
    NMRT_TRY(read_number(l->world, 1, &r->world, e));
    NMRT_TRY(read_number(l->local_rank, 0, &r->local_rank, e));
    NMRT_TRY(read_number(l->local_ranks, 1, &r->local_ranks, e));
    NMRT_TRY(read_number("MASTER_PORT", 0, &r->port, e));
    const char *address = value_of("MASTER_ADDR");
    snprintf(r->address, sizeof r->address, "%s", address ? address : "");
    if (r->world < 1 || r->rank >= r->world)
        return nmrt_fail(
            e, NMRT_USAGE,
            "the environment's %s=%d and %s=%d contradict each other: ranks count from 0 to "
            "one less than how many there are",
            l->rank, r->rank, l->world, r->world);
    if (r->local_ranks <= r->local_rank)
        r->local_ranks = r->local_rank + 1;
    return NMRT_OK;
}

// One task of srun or mpirun alone is a plain start, which may fork.
nmrt_status nmrt_ranks_find(nmrt_ranks *r, nmrt_error *e)
{
    *r = (nmrt_ranks){.world = 1, .local_ranks = 1, .timeout = 60};
    const launcher *l = find_launcher();
    if (!l)
        return NMRT_OK;
    r->start = l->start;
    r->launched = true;
    NMRT_TRY(read_launcher(r, l, e));
    if (r->world == 1)
        r->start = NMRT_START_PLAIN;
    return NMRT_OK;
}

int nmrt_ranks_threads(const nmrt_ranks *r)
{
    int n = nmrt_cpu_threads() / r->local_ranks;
    return n > 0 ? n : 1;
}
