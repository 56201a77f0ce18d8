// The emulated driver: memory and copies, launches and their checks, streams and events in every
// order, captures and graphs, and what is told of a misuse.
#include "tests/emu/driver_rig.h"

enum { N = 200, THREADS = 64 };

// --- kernels, as a program has them --------------------------------------------------------------

typedef struct arguments {
    int64_t count;
    float *to;
    const float *from;
    int64_t times;
} arguments;

static void add_times(const void *words) // to[i] += times * from[i]
{
    const arguments *a = words;
    int64_t i = (int64_t)ctaid_x() * THREADS + tid();
    if (i < a->count)
        a->to[i] += (float)a->times * a->from[i];
}

static void reads_behind(const void *words)
{
    const arguments *a = words;
    if (tid() == 0)
        a->to[0] = a->from[a->count + 4096];
}

enum { TILE = 8, TILE_BYTES = 4 * TILE * TILE };

// to[i] = element i of the box whose corner is at (TILE, 0), by the tensor map in the parameter
static void copy_tile(const void *words)
{
    const arguments *a = words;
    smem bar = smem_base() + TILE_BYTES;
    if (tid() == 0) {
        mbar_init(bar, 1);
        mbar_init_fence();
        mbar_expect(bar, TILE_BYTES);
        tma_load_2d(smem_base(), (const tmap *)((const char *)words + 128), bar, TILE, 0);
    }
    block_sync();
    mbar_wait(bar, 0);
    for (u32 i = tid(); i < TILE * TILE; i += THREADS)
        a->to[i] = ld_shared_f32(smem_base() + 4 * i);
}

static const nmdrv_map tile_map = {.arg = 1, .rank = 2};
static const nmdrv_form tile_form = {.block = copy_tile,
                                     .threads = THREADS,
                                     .per_block = 1,
                                     .shared = TILE_BYTES + 8,
                                     .count_at = -1,
                                     .n_maps = 1,
                                     .map = &tile_map};

static const nmdrv_kernel kernels[] = {
    {.name = "map.add",
     .where = "toy.nm:3",
     .symbol = "k0",
     .block = add_times,
     .n_args = 3,
     .syms_at = -1,
     .threads = THREADS,
     .per_block = THREADS},
    {.name = "map.behind",
     .where = "toy.nm:4",
     .symbol = "k1",
     .block = reads_behind,
     .n_args = 3,
     .syms_at = -1,
     .threads = THREADS,
     .per_block = THREADS},
    {.name = "row.roomy",
     .where = "toy.nm:5",
     .symbol = "k2",
     .block = add_times,
     .n_args = 3,
     .syms_at = -1,
     .threads = THREADS,
     .per_block = THREADS,
     .shared = 100 << 10},
    {.name = "map.tile",
     .where = "toy.nm:6",
     .symbol = "k3",
     .block = add_times,
     .n_args = 3,
     .syms_at = -1,
     .threads = 2 * THREADS,
     .per_block = THREADS,
     .sm90a = &tile_form},
};
static const nmrt_gpu_emulated image = {NMRT_GPU_EMULATED, 1, 4, kernels};

static CUmodule module;
static CUfunction add, behind, roomy;

static void begin(const char *mode)
{
    open_driver(mode);
    OK(cu->cuModuleLoadDataEx(&module, &image, 0, NULL, NULL));
    OK(cu->cuModuleGetFunction(&add, module, "k0"));
    OK(cu->cuModuleGetFunction(&behind, module, "k1"));
    OK(cu->cuModuleGetFunction(&roomy, module, "k2"));
}

static CUresult launch_as(CUfunction f, CUdeviceptr to, CUdeviceptr from, int times, CUstream s,
                          unsigned threads, unsigned shared)
{
    arguments a = {N, (float *)to, (const float *)from, times};
    void *params[] = {&a};
    return cu->cuLaunchKernel(f, (N + THREADS - 1) / THREADS, 1, 1, threads, 1, 1, shared, s,
                              params, NULL);
}

static void launch(CUdeviceptr to, CUdeviceptr from, int times, CUstream s)
{
    OK(launch_as(add, to, from, times, s, THREADS, 0));
}

static float *host_ones(void)
{
    static float x[N];
    for (int i = 0; i < N; i++)
        x[i] = 1;
    return x;
}

static void fill_ones(CUdeviceptr at, CUstream s)
{
    OK(cu->cuMemcpyHtoDAsync(at, host_ones(), 4 * N, s));
}

// All elements are `value`?
static bool holds(CUdeviceptr at, float value, CUstream s)
{
    float x[N];
    OK(cu->cuMemcpyDtoHAsync(x, at, 4 * N, s));
    for (int i = 0; i < N; i++)
        if (x[i] != value)
            return false;
    return true;
}

// --- tensor maps ---------------------------------------------------------------------------------

typedef struct tile_arguments {
    arguments words;
    CUtensorMap map;
} tile_arguments;

static CUresult write_map(CUtensorMap *map, CUdeviceptr at, uint64_t stride)
{
    return cu->cuTensorMapEncodeTiled(
        map, CU_TENSOR_MAP_DATA_TYPE_FLOAT32, 2, (void *)(uintptr_t)at, (uint64_t[]){12, 4},
        (uint64_t[]){stride}, (uint32_t[]){TILE, TILE}, (uint32_t[]){1, 1},
        CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_NONE,
        CU_TENSOR_MAP_L2_PROMOTION_L2_128B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
}

// A kernel's form for sm_90a: four rows of twelve, of which the box has four columns.
static void tensor_maps(const char *mode)
{
    begin(mode);
    CUfunction tile;
    CUstream s = new_stream();
    CUdeviceptr x = new_buffer(4 * N), y = new_buffer(4 * N);
    tile_arguments a = {.words = {1, (float *)y, NULL, 0}};
    void *params[] = {&a};
    float got[TILE * TILE];
    OK(cu->cuModuleGetFunction(&tile, module, "k3"));
    fill_ones(x, s);
    IS(write_map(&a.map, x, 40), CUDA_ERROR_INVALID_VALUE);
    SAYS("a stride is a multiple of 16 bytes");
    OK(write_map(&a.map, x, 48));
    IS(cu->cuLaunchKernel(tile, 1, 1, 1, 2 * THREADS, 1, 1, TILE_BYTES + 8, s, params, NULL),
       CUDA_ERROR_INVALID_VALUE);
    OK(cu->cuLaunchKernel(tile, 1, 1, 1, THREADS, 1, 1, TILE_BYTES + 8, s, params, NULL));
    memset(&a, 0, sizeof a); // it was copied
    OK(cu->cuMemcpyDtoHAsync(got, y, sizeof got, s));
    for (int i = 0; i < TILE * TILE; i++)
        HOLDS(got[i] == (i % TILE < 4 && i / TILE < 4 ? 1 : 0));
    close_driver();
}

// --- one stream ----------------------------------------------------------------------------------

static void in_order(const char *mode)
{
    begin(mode);
    CUstream s = new_stream();
    CUdeviceptr x = new_buffer(4 * N), y = new_buffer(4 * N);
    fill_ones(x, s);
    OK(cu->cuMemsetD32Async(y, 0, N, s));
    for (int i = 0; i < 1100; i++) // more than a queue holds
        launch(y, x, 1, s);
    HOLDS(holds(y, 1100, s));
    OK(cu->cuMemcpyDtoDAsync(x, y, 4 * N, s));
    HOLDS(holds(x, 1100, s));
    OK(cu->cuMemsetD8Async(y, 0, 4 * N, s));
    HOLDS(holds(y, 0, s));
    OK(cu->cuMemFree(x));
    IS(cu->cuMemFree(x), CUDA_ERROR_INVALID_VALUE);
    OK(cu->cuModuleUnload(module));
    close_driver();
}

static void host_memory(void)
{
    begin("lazy");
    CUstream s = new_stream();
    CUdeviceptr x = new_buffer(4 * N), y = new_buffer(4 * N);
    float *pageable = host_ones(), *pinned = new_pinned(4 * N);
    memcpy(pinned, pageable, 4 * N);
    OK(cu->cuMemcpyHtoDAsync(x, pageable, 4 * N, s));
    OK(cu->cuMemcpyHtoDAsync(y, pinned, 4 * N, s));
    memset(pageable, 0, 4 * N);
    memset(pinned, 0, 4 * N); // too early
    HOLDS(holds(x, 1, s));
    HOLDS(holds(y, 0, s));
    memset(pinned, 1, 4 * N);
    OK(cu->cuMemcpyDtoHAsync(pinned, x, 4 * N, s));
    HOLDS(pinned[0] != 1); // nobody has waited
    OK(cu->cuStreamSynchronize(s));
    HOLDS(pinned[0] == 1);
    OK(cu->cuMemFreeHost(pinned));
    close_driver();
}

// Rows of a matrix into one of other width, and what a GPU would refuse.
static void rows(const char *mode)
{
    begin(mode);
    CUstream s = new_stream();
    CUdeviceptr x = new_buffer(4 * N), y = new_buffer(4 * N);
    float got[N];
    fill_ones(x, s);
    OK(cu->cuMemsetD32Async(y, 0, N, s));
    CUDA_MEMCPY2D k = {.srcMemoryType = CU_MEMORYTYPE_DEVICE,
                       .srcDevice = x,
                       .srcPitch = 8,
                       .dstMemoryType = CU_MEMORYTYPE_DEVICE,
                       .dstDevice = y + 4,
                       .dstPitch = 16,
                       .WidthInBytes = 8,
                       .Height = 3};
    OK(cu->cuMemcpy2DAsync(&k, s));
    OK(cu->cuMemcpyDtoHAsync(got, y, sizeof got, s));
    for (int i = 0; i < 16; i++)
        HOLDS(got[i] == (i < 12 && (i % 4 == 1 || i % 4 == 2)));
    k.Height = N / 4 + 1;
    IS(cu->cuMemcpy2DAsync(&k, s), CUDA_ERROR_INVALID_VALUE);
    SAYS("the destination");
    k.Height = 3;
    k.srcPitch = 4;
    IS(cu->cuMemcpy2DAsync(&k, s), CUDA_ERROR_INVALID_VALUE);
    SAYS("a pitch of 4 for rows of 8 bytes");
    close_driver();
}

static void refused_copies(void)
{
    begin("eager");
    CUstream s = new_stream();
    CUdeviceptr x = new_buffer(4 * N);
    IS(cu->cuMemcpyHtoDAsync(x + 4, host_ones(), 4 * N, s), CUDA_ERROR_INVALID_VALUE);
    SAYS("offset 4 of buffer allocation");
    IS(cu->cuMemcpyDtoHAsync((void *)x, x, 4, s), CUDA_ERROR_INVALID_VALUE);
    SAYS("is device memory");
    IS(cu->cuMemcpyHtoDAsync((CUdeviceptr)host_ones(), host_ones(), 4, s),
       CUDA_ERROR_INVALID_VALUE);
    IS(cu->cuMemcpyHtoDAsync(x, host_ones(), 4, NULL), CUDA_ERROR_NOT_SUPPORTED);
    IS(cu->cuMemsetD32Async(x + 2, 0, 1, s), CUDA_ERROR_INVALID_VALUE);
    IS(cu->cuMemAlloc(&x, (size_t)1 << 50), CUDA_ERROR_OUT_OF_MEMORY);
    close_driver();
}

// --- launches ------------------------------------------------------------------------------------

static void refused_launches(void)
{
    begin("eager");
    CUstream s = new_stream();
    CUdeviceptr x = new_buffer(4 * N);
    CUfunction none;
    fill_ones(x, s);
    IS(cu->cuModuleGetFunction(&none, module, "k9"), CUDA_ERROR_NOT_FOUND);
    IS(launch_as(add, x, x, 1, s, 2 * THREADS, 0), CUDA_ERROR_INVALID_VALUE);
    SAYS("map.add has blocks of 64 threads");
    IS(launch_as(roomy, x, x, 1, s, THREADS, 100 << 10), CUDA_ERROR_INVALID_VALUE);
    SAYS("allowed 49152");
    OK(cu->cuFuncSetAttribute(roomy, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 100 << 10));
    OK(launch_as(roomy, x, x, 1, s, THREADS, 100 << 10));
    IS(launch_as(roomy, x, x, 1, s, THREADS, 0), CUDA_ERROR_INVALID_VALUE);
    IS(cu->cuFuncSetAttribute(roomy, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 228 << 10),
       CUDA_ERROR_INVALID_VALUE);
    HOLDS(holds(x, 2, s));
    IS(cu->cuModuleLoadDataEx(&module, "//\n// PTX, say\n.version 8.0", 0, NULL, NULL),
       CUDA_ERROR_NO_BINARY_FOR_GPU);
    close_driver();
}

static void misuse(void)
{
    begin("eager");
    CUstream s = new_stream();
    CUdeviceptr x = new_buffer(4 * N);
    OK(launch_as(behind, x, x, 1, s, THREADS, 0)); // nobody has looked yet
    IS(cu->cuStreamSynchronize(s), CUDA_ERROR_LAUNCH_FAILED);
    SAYS("kernel map.behind (toy.nm:4)");
    SAYS("reads at offset 17184 of buffer allocation");
    IS(cu->cuMemAlloc(&x, 4), CUDA_ERROR_LAUNCH_FAILED); // and so does everything
    SAYS("map.behind");
    close_driver();
    begin("eager");
    OK(cu->cuMemAlloc(&x, 4));
    close_driver();
}

// --- streams -------------------------------------------------------------------------------------

// One stream makes y, another one reads it: right?
static bool hand_over(const char *mode, bool waits)
{
    begin(mode);
    CUstream s = new_stream(), t = new_stream();
    CUevent ready = new_event();
    CUdeviceptr x = new_buffer(4 * N), y = new_buffer(4 * N), z = new_buffer(4 * N);
    OK(cu->cuMemsetD32Async(y, 0, N, s));
    OK(cu->cuMemsetD32Async(z, 0, N, t));
    fill_ones(x, s);
    OK(cu->cuStreamSynchronize(s));
    OK(cu->cuStreamSynchronize(t));
    launch(y, x, 1, s);
    OK(cu->cuEventRecord(ready, s));
    launch(y, x, 1, s); // z may see this one or not
    OK(cu->cuEventRecord(ready, s));
    if (waits)
        OK(cu->cuStreamWaitEvent(t, ready, 0));
    launch(z, y, 1, t);
    bool right = holds(z, 2, t);
    OK(cu->cuEventDestroy(ready));
    close_driver();
    return right;
}

static void missing_wait(void)
{
    int wrong = 0;
    char mode[32];
    HOLDS(hand_over("eager", true));
    HOLDS(hand_over("lazy", true));
    HOLDS(!hand_over("lazy", false)); // the other stream stands still
    for (int seed = 0; seed < 8; seed++) {
        snprintf(mode, sizeof mode, "random:%d", seed);
        HOLDS(hand_over(mode, true));
        wrong += !hand_over(mode, false);
    }
    HOLDS(wrong > 0);
}

static void events(void)
{
    begin("lazy");
    CUstream s = new_stream(), t = new_stream();
    CUevent never = new_event(), e = NULL, f = NULL;
    float ms = -1;
    OK(cu->cuEventCreate(&e, CU_EVENT_DEFAULT));
    OK(cu->cuEventCreate(&f, CU_EVENT_DEFAULT));
    CUdeviceptr x = new_buffer(4 * N);
    OK(cu->cuStreamWaitEvent(t, never, 0)); // no reason to wait
    OK(cu->cuEventQuery(never));
    OK(cu->cuEventRecord(e, s));
    OK(cu->cuMemsetD32Async(x, 0, N, s));
    OK(cu->cuEventRecord(f, s));
    IS(cu->cuEventElapsedTime(&ms, e, f), CUDA_ERROR_NOT_READY);
    IS(cu->cuStreamQuery(s), CUDA_ERROR_NOT_READY); // asking lets something happen
    while (cu->cuEventQuery(f) == CUDA_ERROR_NOT_READY)
        ;
    OK(cu->cuEventSynchronize(f));
    OK(cu->cuEventElapsedTime(&ms, e, f));
    HOLDS(ms >= 0);
    OK(cu->cuStreamQuery(s));
    OK(cu->cuEventRecord(e, s));
    OK(cu->cuStreamWaitEvent(t, e, 0));
    OK(cu->cuStreamDestroy(s)); // with its work undone
    OK(cu->cuStreamSynchronize(t));
    IS(cu->cuStreamSynchronize(s), CUDA_ERROR_INVALID_HANDLE);
    OK(cu->cuEventDestroy(never));
    OK(cu->cuEventDestroy(e));
    OK(cu->cuEventDestroy(f));
    close_driver();
}

// --- graphs --------------------------------------------------------------------------------------

typedef struct step { // x += y; z += y beside it; z += x
    CUstream s, t;
    CUevent fork, join;
    CUdeviceptr x, y, z;
} step;

static step new_step(void)
{
    step k = {new_stream(),      new_stream(),      new_event(),      new_event(),
              new_buffer(4 * N), new_buffer(4 * N), new_buffer(4 * N)};
    fill_ones(k.y, k.s);
    OK(cu->cuMemsetD32Async(k.x, 0, N, k.s));
    OK(cu->cuMemsetD32Async(k.z, 0, N, k.s));
    OK(cu->cuStreamSynchronize(k.s));
    return k;
}

static void issue_step(const step *k, bool joins)
{
    OK(cu->cuEventRecord(k->fork, k->s));
    OK(cu->cuStreamWaitEvent(k->t, k->fork, 0));
    launch(k->z, k->y, 1, k->t);
    launch(k->x, k->y, 1, k->s);
    OK(cu->cuEventRecord(k->join, k->t));
    if (joins)
        OK(cu->cuStreamWaitEvent(k->s, k->join, 0));
    launch(k->z, k->x, 1, k->s);
}

static void graphs(const char *mode)
{
    begin(mode);
    step k = new_step();
    CUgraph graph;
    CUgraphExec exec;
    OK(cu->cuStreamBeginCapture(k.s, CU_STREAM_CAPTURE_MODE_GLOBAL));
    issue_step(&k, true);
    OK(cu->cuStreamEndCapture(k.s, &graph));
    HOLDS(holds(k.z, 0, k.s)); // nothing ran
    OK(cu->cuGraphInstantiateWithFlags(&exec, graph, 0));
    OK(cu->cuGraphDestroy(graph));
    OK(cu->cuGraphLaunch(exec, k.s));
    OK(cu->cuGraphLaunch(exec, k.t)); // behind the launch before
    OK(cu->cuStreamSynchronize(k.t));
    OK(cu->cuGraphLaunch(exec, k.s));
    OK(cu->cuStreamSynchronize(k.s));
    HOLDS(holds(k.x, 3, k.s));
    HOLDS(holds(k.z, 3 + 1 + 2 + 3, k.s));
    IS(cu->cuEventSynchronize(k.join), CUDA_ERROR_CAPTURED_EVENT);
    IS(cu->cuStreamWaitEvent(k.s, k.join, 0), CUDA_ERROR_CAPTURED_EVENT);
    issue_step(&k, true); // the streams are ordinary again
    HOLDS(holds(k.z, 9 + 1 + 4, k.s));
    OK(cu->cuGraphExecDestroy(exec));
    OK(cu->cuEventDestroy(k.fork));
    OK(cu->cuEventDestroy(k.join));
    close_driver();
}

static void forbidden_in_captures(void)
{
    begin("eager");
    step k = new_step();
    CUgraph graph;
    CUdeviceptr more;
    OK(cu->cuStreamBeginCapture(k.s, CU_STREAM_CAPTURE_MODE_GLOBAL));
    IS(cu->cuStreamSynchronize(k.s), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    IS(cu->cuStreamEndCapture(k.s, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    OK(cu->cuStreamBeginCapture(k.s, CU_STREAM_CAPTURE_MODE_GLOBAL));
    IS(cu->cuMemAlloc(&more, 4), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    IS(cu->cuStreamEndCapture(k.s, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    OK(cu->cuStreamBeginCapture(k.s, CU_STREAM_CAPTURE_MODE_GLOBAL));
    IS(cu->cuMemcpyHtoDAsync(k.x, host_ones(), 4, k.s), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    IS(cu->cuStreamEndCapture(k.s, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    OK(cu->cuStreamBeginCapture(k.s, CU_STREAM_CAPTURE_MODE_GLOBAL));
    issue_step(&k, false);
    IS(cu->cuStreamEndCapture(k.s, &graph), CUDA_ERROR_STREAM_CAPTURE_UNJOINED);
    OK(cu->cuEventRecord(k.join, k.t));
    OK(cu->cuStreamBeginCapture(k.s, CU_STREAM_CAPTURE_MODE_GLOBAL));
    IS(cu->cuStreamWaitEvent(k.s, k.join, 0), CUDA_ERROR_STREAM_CAPTURE_ISOLATION);
    IS(cu->cuStreamEndCapture(k.t, &graph), CUDA_ERROR_STREAM_CAPTURE_UNMATCHED);
    OK(cu->cuStreamEndCapture(k.s, &graph));
    OK(cu->cuGraphDestroy(graph));
    OK(cu->cuEventDestroy(k.fork));
    OK(cu->cuEventDestroy(k.join));
    close_driver();
}

static void start(void)
{
    nmrt_error e;
    setenv("NEMOCC_EMU", "late", 1);
    HOLDS(!nmrt_gpu_emulator(&e) && strstr(e.text, "NEMOCC_EMU=late"));
    setenv("NEMOCC_EMU", "", 1);
    cu = nmrt_gpu_emulator(&e);
    CUstream s;
    const char *name = NULL;
    IS(cu->cuStreamCreate(&s, 0), CUDA_ERROR_NOT_INITIALIZED);
    OK(cu->cuInit(0));
    IS(cu->cuStreamCreate(&s, 0), CUDA_ERROR_INVALID_CONTEXT);
    OK(cu->cuGetErrorName(CUDA_ERROR_LAUNCH_FAILED, &name));
    HOLDS(name && strcmp(name, "CUDA_ERROR_LAUNCH_FAILED") == 0);
}

int main(void)
{
    static const char *const modes[] = {"eager", "lazy", "random:1", "random:2"};
    start();
    for (int i = 0; i < 4; i++) {
        in_order(modes[i]);
        rows(modes[i]);
        graphs(modes[i]);
        tensor_maps(modes[i]);
    }
    host_memory();
    refused_copies();
    refused_launches();
    misuse();
    missing_wait();
    events();
    forbidden_in_captures();
    return rig_failures != 0;
}
