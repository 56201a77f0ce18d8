// The emulated NCCL between forked ranks: collectives and messages against what they must give, in
// every order of works, from a graph, in groups of ranks; what does not fit is told, and an abort.
#include "tests/emu/driver_rig.h"

#include <sys/wait.h>
#include <unistd.h>

enum { RANKS = 4, N = 1000 };

static int rank;
static CUstream s;

static ncclComm_t join(const ncclUniqueId *id, int n, int me)
{
    ncclComm_t c = NULL;
    OK(cu->ncclCommInitRank(&c, n, *id, me));
    return c;
}

// Rank r's element i, small enough that sums are exact.
static float element(int r, int i) { return (float)((i * (r + 3)) % 17 - 8); }

static CUdeviceptr new_floats(int n, int first)
{
    float *x = malloc(4 * (size_t)n);
    for (int i = 0; i < n; i++)
        x[i] = element(rank, first + i);
    CUdeviceptr at = new_buffer(4 * (size_t)n);
    OK(cu->cuMemcpyHtoDAsync(at, x, 4 * (size_t)n, s));
    free(x);
    return at;
}

static float sum_of(int i, bool max)
{
    float x = element(0, i);
    for (int r = 1; r < RANKS; r++)
        x = !max ? x + element(r, i) : fmaxf(x, element(r, i));
    return x;
}

// Is element i of the device's n floats right(i + first)?
static void check_sums(CUdeviceptr at, int n, int first, float times, bool max)
{
    float *x = malloc(4 * (size_t)n);
    OK(cu->cuMemcpyDtoHAsync(x, at, 4 * (size_t)n, s));
    for (int i = 0; i < n; i++)
        if (x[i] != times * sum_of(first + i, max)) {
            fails("a sum over ranks");
            break;
        }
    free(x);
}

// --- collectives ---------------------------------------------------------------------------------

static void collectives(ncclComm_t c)
{
    CUdeviceptr x = new_floats(N, 0), y = new_buffer(4 * N), part = new_buffer(4 * N / RANKS);
    OK(cu->ncclAllReduce((void *)x, (void *)y, N, ncclFloat32, ncclSum, c, s));
    check_sums(y, N, 0, 1, false);
    OK(cu->ncclAllReduce((void *)x, (void *)y, N, ncclFloat32, ncclMax, c, s));
    check_sums(y, N, 0, 1, true);
    for (int i = 0; i < 3; i++) // one behind the other, without a wait
        OK(cu->ncclReduceScatter((void *)x, (void *)part, N / RANKS, ncclFloat32, ncclSum, c, s));
    check_sums(part, N / RANKS, rank * (N / RANKS), 1, false);
    OK(cu->ncclAllGather((void *)part, (void *)y, N / RANKS, ncclFloat32, c, s));
    check_sums(y, N, 0, 1, false);
    OK(cu->ncclAllReduce((void *)y, (void *)y, N, ncclFloat32, ncclSum, c, s)); // in place
    check_sums(y, N, 0, RANKS, false);
}

static void narrow(ncclComm_t c)
{
    u16 x[8];
    for (int i = 0; i < 8; i++)
        x[i] = to_bf16(1 + (float)rank / 128);
    CUdeviceptr at = new_buffer(sizeof x);
    OK(cu->cuMemcpyHtoDAsync(at, x, sizeof x, s));
    OK(cu->ncclAllReduce((void *)at, (void *)at, 8, ncclBfloat16, ncclSum, c, s));
    OK(cu->cuMemcpyDtoHAsync(x, at, sizeof x, s));
    HOLDS(x[7] == to_bf16(4 + 6.0f / 128)); // rounded once
}

// Each rank's elements go to the next, those of two lists behind each other.
static void ring(ncclComm_t c)
{
    CUdeviceptr x = new_floats(N, 0), from = new_buffer(4 * N);
    int next = (rank + 1) % RANKS, before = (rank + RANKS - 1) % RANKS;
    float y[N];
    for (int turn = 0; turn < 3; turn++) {
        OK(cu->ncclGroupStart());
        for (int half = 0; half < 2; half++) {
            CUdeviceptr skip = (CUdeviceptr)half * 2 * N;
            OK(cu->ncclSend((void *)(x + skip), N / 2, ncclFloat32, next, c, s));
            OK(cu->ncclRecv((void *)(from + skip), N / 2, ncclFloat32, before, c, s));
        }
        OK(cu->ncclGroupEnd());
    }
    OK(cu->cuMemcpyDtoHAsync(y, from, sizeof y, s));
    for (int i = 0; i < N; i++)
        if (y[i] != element(before, i)) {
            fails("a message's elements");
            break;
        }
}

static void in_graph(ncclComm_t c)
{
    CUgraph graph;
    CUgraphExec exec;
    CUdeviceptr x = new_floats(N, 0);
    OK(cu->cuStreamSynchronize(s));
    OK(cu->cuStreamBeginCapture(s, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
    OK(cu->ncclAllReduce((void *)x, (void *)x, N, ncclFloat32, ncclSum, c, s));
    OK(cu->cuStreamEndCapture(s, &graph));
    OK(cu->cuGraphInstantiateWithFlags(&exec, graph, 0));
    for (int i = 0; i < 3; i++)
        OK(cu->cuGraphLaunch(exec, s));
    check_sums(x, N, 0, RANKS * RANKS, false);
    IS(cu->ncclCommDestroy(c), ncclInvalidUsage); // it would wait for ever
    OK(cu->cuGraphDestroy(graph));
    OK(cu->cuGraphExecDestroy(exec));
}

// The host of rank 0 waits for rank 1 by another way, while rank 1 waits for rank 0's stream.
static void host_stands_still(ncclComm_t c, const int pipe_ends[2])
{
    char byte = 0;
    CUdeviceptr x = new_floats(N, 0);
    OK(cu->ncclAllReduce((void *)x, (void *)x, N, ncclFloat32, ncclSum, c, s));
    if (rank == 0)
        HOLDS(read(pipe_ends[0], &byte, 1) == 1);
    check_sums(x, N, 0, 1, false);
    if (rank == 1)
        HOLDS(write(pipe_ends[1], &byte, 1) == 1);
}

// What rank 0 sends stands in its stream until rank 1, which waits for something else first,
// receives it: there is no buffer. The other way, by another communicator and stream, things pass.
static void no_buffer(ncclComm_t c, ncclComm_t back, const int pipe_ends[2])
{
    char byte = 0;
    CUdeviceptr x = new_floats(N, 0), y = new_buffer(4 * N);
    CUstream t = new_stream();
    float first;
    OK(cu->cuStreamSynchronize(s));
    if (rank == 0) {
        OK(cu->ncclSend((void *)x, N, ncclFloat32, 1, c, s));
        OK(cu->ncclRecv((void *)y, N, ncclFloat32, 1, back, t));
        OK(cu->cuStreamSynchronize(t));
        IS(cu->cuStreamQuery(s), CUDA_ERROR_NOT_READY);
        HOLDS(write(pipe_ends[1], &byte, 1) == 1);
        OK(cu->cuStreamSynchronize(s));
    } else if (rank == 1) {
        OK(cu->ncclSend((void *)x, N, ncclFloat32, 0, back, t));
        OK(cu->cuStreamSynchronize(t));
        HOLDS(read(pipe_ends[0], &byte, 1) == 1);
        OK(cu->ncclRecv((void *)y, N, ncclFloat32, 0, c, s));
    }
    OK(cu->cuMemcpyDtoHAsync(&first, y + 4, 4, s));
    HOLDS(rank > 1 || first == element(1 - rank, 1));
    OK(cu->cuStreamDestroy(t));
}

static void work(const char *mode, const ncclUniqueId *all, const ncclUniqueId *pair,
                 const int pipe_ends[2])
{
    open_driver(mode);
    s = new_stream();
    ncclComm_t c = join(all, RANKS, rank), half = join(&pair[rank / 2], 2, rank % 2);
    collectives(c);
    narrow(c);
    ring(c);
    in_graph(c);
    host_stands_still(c, pipe_ends);
    no_buffer(c, half, pipe_ends);
    CUdeviceptr x = new_floats(N, 0);
    float first;
    OK(cu->ncclAllReduce((void *)x, (void *)x, N, ncclFloat32, ncclSum, half, s));
    OK(cu->cuMemcpyDtoHAsync(&first, x + 4, 4, s));
    HOLDS(first == element(rank / 2 * 2, 1) + element(rank / 2 * 2 + 1, 1));
    IS(cu->ncclAllReduce((void *)(x + 4), (void *)x, N, ncclFloat32, ncclSum, c, s),
       ncclInvalidArgument);
    SAYS("offset 4 of buffer");
    IS(cu->ncclAllReduce((void *)x, (void *)x, N, ncclFloat16, ncclSum, c, s), ncclInvalidArgument);
    IS(cu->ncclSend((void *)x, N, ncclFloat32, RANKS, c, s), ncclInvalidArgument);
    OK(cu->ncclCommDestroy(half));
    OK(cu->ncclCommDestroy(c));
    close_driver();
}

// --- what goes wrong -----------------------------------------------------------------------------

static void disagree(const ncclUniqueId *id)
{
    open_driver("eager");
    s = new_stream();
    ncclComm_t c = join(id, RANKS, rank);
    CUdeviceptr x = new_floats(N, 0);
    OK(cu->ncclAllReduce((void *)x, (void *)x, rank == 2 ? N / 2 : N, ncclFloat32, ncclSum, c, s));
    IS(cu->cuStreamSynchronize(s), CUDA_ERROR_LAUNCH_FAILED);
    SAYS(rank == 2 ? "500 elements), rank 0 ncclAllReduce"
                   : "1000 elements), rank 2 ncclAllReduce");
    IS(cu->ncclCommDestroy(c), ncclUnhandledCudaError);
    close_driver();
}

// One rank has captured what the others have not.
static void disagree_on_graphs(const ncclUniqueId *id)
{
    CUgraph graph;
    CUgraphExec exec;
    open_driver("eager");
    s = new_stream();
    ncclComm_t c = join(id, RANKS, rank);
    CUdeviceptr x = new_floats(N, 0);
    OK(cu->cuStreamSynchronize(s));
    if (rank == 1)
        OK(cu->cuStreamBeginCapture(s, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
    OK(cu->ncclAllReduce((void *)x, (void *)x, N, ncclFloat32, ncclSum, c, s));
    if (rank == 1) {
        OK(cu->cuStreamEndCapture(s, &graph));
        OK(cu->cuGraphInstantiateWithFlags(&exec, graph, 0));
        OK(cu->cuGraphDestroy(graph));
        OK(cu->cuGraphLaunch(exec, s));
        cu->cuGraphExecDestroy(exec); // may tell the failure already
    }
    IS(cu->cuStreamSynchronize(s), CUDA_ERROR_LAUNCH_FAILED);
    SAYS(rank == 1 ? "1000 elements) in a graph, rank 0" : "1000 elements), rank 1");
    SAYS("in a graph");
    IS(cu->ncclCommDestroy(c), ncclUnhandledCudaError);
    close_driver();
}

static void leave_early(const ncclUniqueId *id)
{
    open_driver("eager");
    s = new_stream();
    ncclComm_t c = join(id, RANKS, rank);
    CUdeviceptr x = new_floats(N, 0);
    ncclResult_t told = ncclSuccess;
    OK(cu->ncclCommGetAsyncError(c, &told));
    HOLDS(told == ncclSuccess || told == ncclRemoteError);
    if (rank != 3) {
        ncclResult_t r = cu->ncclAllReduce((void *)x, (void *)x, N, ncclFloat32, ncclSum, c, s);
        HOLDS(r == ncclSuccess || r == ncclRemoteError); // rank 3 may be gone already
        OK(cu->cuStreamSynchronize(s));
        OK(cu->ncclCommGetAsyncError(c, &told));
        HOLDS(told == ncclRemoteError);
    }
    OK(cu->ncclCommAbort(c));
    close_driver();
}

// Two ranks on one device: NCCL 2.30 may, where it is told so.
static void share(const ncclUniqueId *refused, const ncclUniqueId *id)
{
    ncclComm_t c;
    rig_device = rank / 2;
    open_driver("eager");
    s = new_stream();
    IS(cu->ncclCommInitRank(&c, RANKS, *refused, rank), ncclInvalidUsage);
    SAYS(rank < 2 ? "are both on device 0" : "are both on device 1");
    setenv("NEMOCC_EMU_NCCL", "23003", 1);
    setenv("NCCL_MULTI_RANK_GPU_ENABLE", "1", 1);
    open_driver("eager");
    c = join(id, RANKS, rank);
    CUdeviceptr x = new_floats(N, 0);
    OK(cu->ncclAllReduce((void *)x, (void *)x, N, ncclFloat32, ncclSum, c, s));
    check_sums(x, N, 0, 1, false);
    OK(cu->ncclCommDestroy(c));
    close_driver();
    close_driver();
}

// --- ranks ---------------------------------------------------------------------------------------

static int run_rank(const char *mode, const ncclUniqueId *id, const int pipe_ends[2])
{
    rig_device = rank;
    if (strcmp(mode, "share") == 0)
        share(id, id + 1);
    else if (strcmp(mode, "disagree") == 0)
        disagree(id);
    else if (strcmp(mode, "graphs") == 0)
        disagree_on_graphs(id);
    else if (strcmp(mode, "leave") == 0)
        leave_early(id);
    else
        work(mode, id, id + 1, pipe_ends);
    fflush(stdout);
    return rig_failures != 0;
}

static void run_ranks(const char *mode)
{
    ncclUniqueId id[3];
    int pipe_ends[2], status;
    HOLDS(pipe(pipe_ends) == 0);
    for (int i = 0; i < 3; i++)
        OK(cu->ncclGetUniqueId(&id[i]));
    fflush(stdout);
    for (rank = 0; rank < RANKS; rank++)
        if (fork() == 0)
            exit(run_rank(mode, id, pipe_ends));
    for (int i = 0; i < RANKS; i++)
        if (wait(&status) < 0 || status)
            fails(mode);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
}

int main(void)
{
    nmrt_error e;
    cu = nmrt_gpu_emulator(&e);
    static const char *const runs[] = {"eager",  "lazy",  "random:5", "disagree",
                                       "graphs", "leave", "share"};
    for (int i = 0; i < 7; i++)
        run_ranks(runs[i]);
    return rig_failures != 0;
}
