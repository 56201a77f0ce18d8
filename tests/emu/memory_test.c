// Device memory: a kernel that leaves a buffer is reported with the buffer's name and the offset,
// whoever does the access; and the grid: any number of CPU threads gives the same bits and the same
// first report.
#include "tests/emu/rig.h"

#include <pthread.h>
#include <stdbool.h>

typedef struct access {
    float *in, *out;
    const tmap *map;
    long index;
} access;

KERNEL(reads, access, g)
{
    if (tid() == 3)
        g.out[0] = g.in[g.index];
}
enum { WRITES_AT = __LINE__ + 4 };
KERNEL(writes, access, g)
{
    if (tid() == 3)
        g.out[g.index] = 1;
}
KERNEL(copies, access, g)
{
    cp_async16(smem_base() + 16 * tid(), g.in + g.index, 16);
    cp_async_commit();
    cp_async_wait(0);
}
KERNEL(loads_a_box, access, g)
{
    smem bar = smem_base(), to = smem_base() + 128;
    if (tid() == 0) {
        mbar_init(bar, 1);
        mbar_init_fence();
        mbar_expect(bar, 64);
        tma_load_1d(to, g.map, bar, 0);
    }
    block_sync();
    mbar_wait(bar, 0);
}

// Frames that the compiler can neither leave out nor turn into a loop.
static __attribute__((noinline)) int dive(volatile int *above, int depth)
{
    volatile int frame[1024];
    frame[0] = *above + depth;
    int below = depth < 1000000 ? dive(frame, depth + 1) : 0;
    return below + frame[0];
}
KERNEL(overflows, access, g)
{
    volatile int here = 0;
    if (tid() == 3)
        g.out[0] = (float)dive(&here, 0);
}

static nmemu_launch launch_of(const char *name, void (*fn)(const void *), const void *params)
{
    return (nmemu_launch){.name = name,
                          .where = "memory_test.c",
                          .fn = fn,
                          .params = params,
                          .grid = {4, 2, 1},
                          .threads = 64,
                          .shared_bytes = 4096,
                          .mode = NMEMU_LAZY};
}

static void expect(const char *said, const char *start, const char *end)
{
    if (said && !strncmp(said, start, strlen(start)) && strstr(said, end))
        return;
    printf("FAIL said: %s\n     not: %s ... %s\n", said ? said : "nothing", start, end);
    rig_failures++;
}

static const char *run(nmemu *m, const char *name, void (*fn)(const void *), const void *params)
{
    nmemu_launch l = launch_of(name, fn, params);
    return nmemu_run(m, &l, NULL);
}
#define TRY(fn, ...) run(m, #fn, fn, __VA_ARGS__)

static void test_bounds(nmemu *m)
{
    access g = {nmemu_alloc(m, 400, "weights"), nmemu_alloc(m, 4000, "grads"), NULL, 0};
    const char *const at =
        "kernel reads (memory_test.c), block (0, 0, 0), thread 3: the kernel reads at ";
    for (g.index = 0; g.index < 100; g.index += 33)
        must(TRY(reads, &g));
    g.index = 100,
    expect(TRY(reads, &g), at, "at offset 400 of buffer weights, which has 400 bytes");
    g.index = 1000, expect(TRY(reads, &g), at, "at offset 4000 of buffer weights");
    g.index = -1000, expect(TRY(reads, &g), at, "at offset -4000 of buffer weights");
    g.index = 999, must(TRY(writes, &g));
    g.index = 1000;
    expect(TRY(writes, &g), "kernel writes (memory_test.c), block",
           "writes at offset 4000 of buffer grads");
    g.index = -1,
    expect(TRY(writes, &g), "kernel writes: somebody wrote at offset -4 of buffer grads", "");
    must(TRY(reads, &(access){g.in, g.out, NULL, 0})); // said once
    g.index = 1l << 40, expect(TRY(reads, &g), at, "where no buffer is");
    nmemu_release(m, g.in);
    g.index = 5,
    expect(TRY(reads, &g), at, "at offset 20 of buffer weights (400 bytes), which was released");
    expect(TRY(overflows, &g), "kernel overflows", "the stack of thread 3, of 128 KiB, overflows");
    nmemu_release(m, g.out);
}

// The line of the kernel, where somebody can look it up.
static void test_line(nmemu *m)
{
    access g = {.out = nmemu_alloc(m, 400, "grads"), .index = 100};
    char line[64];
    snprintf(line, sizeof line, "memory_test.c:%d", WRITES_AT);
    if (system("command -v addr2line >/dev/null") == 0)
        expect(TRY(writes, &g), "kernel writes", line);
}

// The copy engine's accesses are those of the primitive that asked for them.
static void test_engine(nmemu *m)
{
    _Alignas(64) tmap map;
    access g = {nmemu_alloc(m, 64, "weights"), NULL, &map, 16};
    expect(TRY(copies, &g), "kernel copies", "cp_async16 reads at offset 64 of buffer weights");
    must(nmemu_tensor_map(
        &map,
        &(nmemu_tensor){.base = g.in, .element_bytes = 4, .rank = 1, .dim = {16}, .box = {16}}));
    must(TRY(loads_a_box, &g));
    must(nmemu_tensor_map(
        &map, &(nmemu_tensor){
                  .base = g.in + 4, .element_bytes = 4, .rank = 1, .dim = {16}, .box = {16}}));
    expect(TRY(loads_a_box, &g), "kernel loads_a_box",
           "tma_load_1d reads at offset 64 of buffer weights");
    expect(TRY(loads_a_box, &(access){.map = g.map}), "kernel loads_a_box", "offset 64");
    memset(&map, 0, sizeof map);
    expect(TRY(loads_a_box, &g), "kernel loads_a_box", "tma_load_1d: no tensor map at");
}

// --- the grid ------------------------------------------------------------------------------------

typedef struct sums {
    const float *in; // [blocks, threads]
    float *out;      // [blocks]
    u32 *done;
    u32 bad_from; // blocks from here on misuse a barrier
} sums;

KERNEL(sum_rows, sums, g)
{
    float v = g.in[ctaid_x() * ntid() + tid()];
    for (u32 i = 16; i; i /= 2)
        v += shfl_xor_f32(v, i);
    if (laneid() == 0)
        st_shared_f32(smem_base() + tid() / 32 * 4, v);
    if (ctaid_x() < g.bad_from)
        block_sync();
    if (tid() != 0)
        return;
    for (u32 w = 1; w < ntid() / 32; w++)
        v += ld_shared_f32(smem_base() + 4 * w);
    g.out[ctaid_x()] = v;
    atom_add_u32(g.done, 1);
}

enum { BLOCKS = 60, THREADS = 64 };

static const char *run_sums(nmemu *m, const sums *g, nmemu_mode mode)
{
    nmemu_launch l = launch_of("sum_rows", sum_rows, g);
    l.grid[0] = BLOCKS, l.grid[1] = 1, l.threads = THREADS, l.mode = mode;
    return nmemu_run(m, &l, NULL);
}

static void test_workers(nmemu_mode mode)
{
    static float want[BLOCKS];
    char said[256] = "";
    for (int workers = 1; workers <= 3; workers++) {
        nmemu *m = nmemu_new(workers);
        float *in = nmemu_alloc(m, BLOCKS * THREADS * 4, "in");
        sums g = {in, nmemu_alloc(m, BLOCKS * 4, "out"), nmemu_alloc(m, 4, "done"), BLOCKS};
        *g.done = 0;
        for (int i = 0; i < BLOCKS * THREADS; i++)
            in[i] = 1 / (1 + (float)i);
        must(run_sums(m, &g, mode));
        HOLDS(*g.done == BLOCKS);
        if (workers == 1)
            memcpy(want, g.out, sizeof want);
        HOLDS(!memcmp(want, g.out, sizeof want));
        g.bad_from = 37;
        const char *error = run_sums(m, &g, mode);
        expect(error, "kernel sum_rows (memory_test.c), block (37, 0, 0)", "race: ");
        if (workers == 1)
            snprintf(said, sizeof said, "%s", error ? error : "");
        HOLDS(error && !strcmp(said, error));
        nmemu_free(m);
    }
}

// Thousands of fibers: a fake stack for each of them would be most of the time.
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "detect_stack_use_after_return=0"; }

static void test_refusals(nmemu *m)
{
    access g = {0};
    nmemu_launch good = launch_of("writes", writes, &g),
                 l[6] = {good, good, good, good, good, good};
    l[0].threads = 33, l[1].threads = 1056, l[2].shared_bytes = 227 * 1024 + 1, l[3].grid[2] = 0;
    l[4].grid[1] = 65536, l[5].registers = 256;
    for (int i = 0; i < 6; i++)
        expect(nmemu_run(m, &l[i], NULL), "kernel writes: a ", "");
}

// Two devices at a time, each with a kernel that faults.
static void *fault_often(void *unused)
{
    nmemu *m = nmemu_new(1);
    access g = {nmemu_alloc(m, 16, "mine"), nmemu_alloc(m, 16, "mine, too"), NULL, 4};
    for (int i = 0; i < 50; i++)
        expect(TRY(reads, &g), "kernel reads", "offset 16 of buffer mine, which");
    nmemu_free(m);
    return unused;
}

int main(void)
{
    for (int workers = 1; workers <= 2; workers++) {
        nmemu *m = nmemu_new(workers);
        test_bounds(m);
        test_line(m);
        test_engine(m);
        test_refusals(m);
        nmemu_free(m);
    }
    for (nmemu_mode mode = NMEMU_EAGER; mode <= NMEMU_RANDOM; mode++)
        test_workers(mode);
    pthread_t other;
    HOLDS(!pthread_create(&other, NULL, fault_often, NULL));
    fault_often(NULL);
    pthread_join(other, NULL);
    return rig_failures != 0;
}
