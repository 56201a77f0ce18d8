// Kernels that misuse the machine, on purpose: each must be reported in the expected words. Beside
// them kernels that look like misuse and are right: they must not.
#include "tests/emu/rig.h"

#include <stdbool.h>

enum { BAR = 1024, BUF = 2048 }; // where the kernels keep their mbarrier and their tile

typedef struct things {
    const tmap *tile; // [64 rows][64] bf16, 8 KiB, in boxes of all of it, 128-byte swizzle
    u16 *data;
    float *sums;  // [64]
    u32 *counter; // 0
} things;

INLINE void start(const things *g, u32 arrivals) // an mbarrier, and a tile on its way
{
    if (tid() == 0) {
        mbar_init(BAR, arrivals);
        mbar_init_fence();
    }
    block_sync();
    if (tid() == 0) {
        mbar_expect(BAR, 8192);
        tma_load_4d(BUF, g->tile, BAR, 0, 0, 0, 0);
    }
    block_sync();
}

INLINE u64 tile_desc(smem at) { return desc_sw128(at, 16, 1024); }

INLINE void product(float d[32], smem a, smem b)
{
    wgmma_fence();
    wgmma_n64_kk(d, tile_desc(a), tile_desc(b), 1);
    wgmma_commit();
}

#define MISUSE(name) KERNEL(name, things, g)

// --- copies and mbarriers ------------------------------------------------------------------------

MISUSE(no_wait)
{
    start(&g, 1);
    ld_shared_u32(BUF);
}
MISUSE(wrong_parity)
{
    start(&g, 1);
    mbar_wait(BAR, 0);
    mbar_wait(BAR, 1);
}
MISUSE(parity_too_early)
{
    start(&g, 1);
    mbar_wait(BAR, 1);
    ld_shared_u32(BUF);
}
MISUSE(too_many_arrivals)
{
    start(&g, 1);
    mbar_arrive(BAR);
}
MISUSE(never_enough_bytes)
{
    start(&g, 2);
    if (tid() == 0)
        mbar_expect(BAR, 16);
    mbar_wait(BAR, 0);
}
MISUSE(no_init)
{
    (void)g;
    mbar_wait(BAR, 0);
}
MISUSE(invalidated)
{
    start(&g, 1);
    mbar_wait(BAR, 0);
    block_sync();
    if (tid() == 0) {
        mbar_inval(BAR);
        mbar_arrive(BAR);
    }
}
MISUSE(init_without_a_barrier)
{
    (void)g;
    if (tid() == 0)
        mbar_init(BAR, 128);
    mbar_arrive(BAR);
    mbar_wait(BAR, 0);
}
MISUSE(no_init_fence)
{
    if (tid() != 0)
        return;
    mbar_init(BAR, 1);
    mbar_expect(BAR, 8192);
    tma_load_4d(BUF, g.tile, BAR, 0, 0, 0, 0);
}
MISUSE(unaligned_tile)
{
    if (tid() != 0)
        return;
    mbar_init(BAR, 1);
    mbar_init_fence();
    mbar_expect(BAR, 8192);
    tma_load_4d(BUF + 128, g.tile, BAR, 0, 0, 0, 0);
}
MISUSE(wrong_rank)
{
    start(&g, 1);
    if (tid() == 0)
        tma_load_2d(BUF, g.tile, BAR, 0, 0);
}
MISUSE(load_in_flight_at_the_end) { start(&g, 1); }
MISUSE(bulk_of_8_bytes)
{
    start(&g, 1);
    if (tid() == 0)
        bulk_load(BUF, g.data, 8, BAR);
}
MISUSE(store_no_fence)
{
    st_shared_u32(BUF + tid() * 4, 0);
    block_sync();
    if (tid() == 0)
        tma_store_4d(g.tile, BUF, 0, 0, 0, 0);
}
MISUSE(store_fence_by_another)
{
    st_shared_u32(BUF + tid() * 4, 0);
    block_sync();
    if (tid() == 0) {
        fence_async();
        tma_store_4d(g.tile, BUF, 0, 0, 0, 0);
    }
}
MISUSE(store_one_lane_unfenced) // one word of 16 bytes, neither the first nor the last that was
                                // written
{
    st_shared_u32(BUF + tid() * 4, 0);
    if (tid() != 41)
        fence_async();
    block_sync();
    if (tid() == 0)
        bulk_store(g.data, BUF, 512);
}
MISUSE(store_source_overwritten)
{
    if (tid() == 0) {
        tma_store_4d(g.tile, BUF, 0, 0, 0, 0);
        bulk_commit();
    }
    block_sync();
    st_shared_u32(BUF + tid() * 4, 0);
}
MISUSE(store_no_wait)
{
    if (tid() == 0) {
        tma_store_4d(g.tile, BUF, 0, 0, 0, 0);
        bulk_commit();
    }
}
MISUSE(cp_async_no_wait)
{
    cp_async16(BUF + tid() * 16, g.data + tid() * 8, 16);
    cp_async_commit();
    block_sync();
    ld_shared_u32(BUF);
}
MISUSE(cp_async_too_few_groups)
{
    for (u32 i = 0; i < 2; i++) {
        cp_async16(BUF + i * 2048 + tid() * 16, g.data + tid() * 8, 16);
        cp_async_commit();
    }
    cp_async_wait(1);
    ld_shared_u32(BUF + 2048 + tid() * 16);
}
MISUSE(cp_async_no_barrier)
{
    cp_async16(BUF + tid() * 16, g.data + tid() * 8, 16);
    cp_async_commit();
    cp_async_wait(0);
    ld_shared_u32(BUF + (tid() + 32) % 128 * 16);
}

// --- shared memory, warps, barriers --------------------------------------------------------------

MISUSE(outside)
{
    (void)g;
    st_shared_u32(BAR + 65536, 0);
}
MISUSE(first_kilobyte)
{
    (void)g;
    st_shared_u32(64, 0);
}
MISUSE(unaligned)
{
    (void)g;
    ld_shared_u64(BUF + 4);
}
MISUSE(divergent)
{
    (void)g;
    if (tid() % 2)
        shfl_xor_f32(0, 1);
    else
        block_sync();
}
MISUSE(two_primitives)
{
    (void)g;
    if (tid() % 2)
        shfl_xor_f32(0, 1);
    else
        ballot(1);
}
MISUSE(half_a_warp_exits)
{
    (void)g;
    if (tid() % 2)
        return;
    shfl_xor_f32(0, 1);
}
MISUSE(race)
{
    (void)g;
    st_shared_u32(BUF + tid() * 4, 0);
    if (tid() == 127)
        ld_shared_u32(BUF);
}
MISUSE(race_backwards)
{
    (void)g;
    ld_shared_u32(BUF + tid() % 32 * 4);
    if (tid() == 127)
        st_shared_u32(BUF, 0);
}
MISUSE(race_of_bytes)
{
    (void)g;
    st_shared_u8(BUF + tid() % 64, 0);
}
MISUSE(race_wide_and_narrow)
{
    (void)g;
    u32 v[4];
    if (tid() < 32)
        st_shared_u16(BUF + 2 * tid(), 0);
    else
        ld_shared_v4(v, BUF);
}
MISUSE(two_counts)
{
    (void)g;
    if (tid() < 64)
        bar_sync(1, 64 + tid() / 32 * 64);
}
MISUSE(barrier_short)
{
    (void)g;
    if (tid() < 96)
        bar_sync(1, 128);
}
MISUSE(barrier_in_part)
{
    (void)g;
    if (tid() >= 16 && tid() < 112)
        bar_sync(1, 96);
}
MISUSE(barrier_17)
{
    (void)g;
    bar_sync(16, 128);
}
MISUSE(early_return)
{
    (void)g;
    if (tid() == 5)
        return;
    block_sync();
}
MISUSE(registers_none_left)
{
    (void)g;
    reg_inc(240);
}
MISUSE(registers_odd)
{
    (void)g;
    reg_inc(250);
}
MISUSE(waits_for_a_later_block)
{
    if (ctaid_x() == 1)
        st_release_u32(g.counter, 1);
    while (tid() == 0 && ctaid_x() == 0 && !ld_acquire_u32(g.counter))
        sleep_ns(100);
}

// --- wgmma ---------------------------------------------------------------------------------------

MISUSE(mma_no_fence)
{
    (void)g;
    float d[32] = {0};
    wgmma_n64_kk(d, tile_desc(BUF), tile_desc(BUF), 1);
}
MISUSE(mma_no_wait)
{
    (void)g;
    float d[32] = {0};
    product(d, BUF, BUF);
    acc_ready(d, 32);
}
MISUSE(mma_not_waited_for_at_the_end)
{
    (void)g;
    float d[32] = {0};
    product(d, BUF, BUF);
}
MISUSE(mma_touched)
{
    (void)g;
    float d[32] = {0};
    product(d, BUF, BUF);
    d[3] = 0;
    wgmma_wait(0);
    acc_ready(d, 32);
}
MISUSE(mma_of_a_copy_in_flight)
{
    float d[32] = {0};
    start(&g, 1);
    product(d, BUF, BUF);
    wgmma_wait(0);
}
MISUSE(mma_operand_overwritten)
{
    float d[32] = {0};
    start(&g, 1);
    mbar_wait(BAR, 0);
    block_sync();
    product(d, BUF, BUF);
    block_sync();
    if (tid() == 0) {
        mbar_expect(BAR, 8192);
        tma_load_4d(BUF, g.tile, BAR, 0, 0, 0, 0);
    }
    mbar_wait(BAR, 1);
    wgmma_wait(0);
}
MISUSE(mma_between_rows)
{
    float d[32] = {0};
    start(&g, 1);
    mbar_wait(BAR, 0);
    product(d, BUF + 128, BUF);
    wgmma_wait(0);
}
MISUSE(mma_disagree)
{
    (void)g;
    float d[32] = {0};
    product(d, BUF, BUF + tid() / 32 * 1024);
    wgmma_wait(0);
}
MISUSE(mma_operand_unfenced)
{
    (void)g;
    float d[32] = {0};
    const u32 zero[4] = {0};
    for (u32 i = 0; i < 4; i++)
        st_shared_v4(BUF + (4 * tid() + i) * 16, zero);
    block_sync();
    product(d, BUF, BUF);
    wgmma_wait(0);
}

typedef struct misuse {
    const char *name;
    void (*fn)(const void *);
    const char *expect;
} misuse;

static const misuse misuses[] = {
// clang-format off
#define ROW(name, expect) {#name, name, expect}
    ROW(no_wait, "a wait is missing"),              ROW(wrong_parity, "deadlock"),
    ROW(parity_too_early, "a wait is missing"),     ROW(too_many_arrivals, "has had its 1 arrivals"),
    ROW(never_enough_bytes, "deadlock"),            ROW(no_init, "no mbarrier at"),
    ROW(invalidated, "no mbarrier at"),             ROW(init_without_a_barrier, "race: "),           ROW(no_init_fence, "without fence_async"),
    ROW(unaligned_tile, "not aligned to 1024"),     ROW(wrong_rank, "the tensor map has rank 4"),
    ROW(load_in_flight_at_the_end, "the block ends while a tma_load_4d"),
    ROW(bulk_of_8_bytes, "multiples of 16"),        ROW(store_no_fence, "without fence_async"),
    ROW(store_fence_by_another, "without fence_async"),
    ROW(store_one_lane_unfenced, "was written by thread 41, without fence_async"),
    ROW(store_source_overwritten, "bulk_wait_read is missing"), ROW(store_no_wait, "no wait"),
    ROW(cp_async_no_wait, "a wait is missing"),     ROW(cp_async_too_few_groups, "a wait is missing"),
    ROW(cp_async_no_barrier, "race: "),
    ROW(outside, "outside the block's"),            ROW(first_kilobyte, "outside the block's"),
    ROW(unaligned, "not aligned to 8"),             ROW(divergent, "deadlock"),
    ROW(two_primitives, "divergent warp"),          ROW(half_a_warp_exits, "exit"),
    ROW(race, "race: "),                            ROW(race_backwards, "race: "),
    ROW(race_of_bytes, "race: "),                   ROW(race_wide_and_narrow, "race: "),
    ROW(two_counts, "with a count of"),             ROW(barrier_short, "deadlock"),
    ROW(barrier_in_part, "came in part"),           ROW(barrier_17, "id is 0..15"),
    ROW(early_return, "deadlock"),
    ROW(registers_none_left, "deadlock"),           ROW(registers_odd, "multiple of 8"),
    ROW(waits_for_a_later_block, "polls for what"),
    ROW(mma_no_fence, "no wgmma_fence"),            ROW(mma_no_wait, "still owns"),
    ROW(mma_not_waited_for_at_the_end, "no wgmma_wait"),
    ROW(mma_touched, "touched an accumulator"),     ROW(mma_of_a_copy_in_flight, "a wait is missing"),
    ROW(mma_operand_overwritten, "written after the first"),
    ROW(mma_between_rows, "not in the first row"),  ROW(mma_disagree, "disagree"),
    ROW(mma_operand_unfenced, "without fence_async"),
    // clang-format on
};

// --- right, though it looks otherwise ------------------------------------------------------------

MISUSE(add_up) // sums in memory by the copy engine, as a backward pass adds up dQ
{
    if (tid() < 64)
        st_shared_f32(BUF + tid() * 4, (float)tid());
    fence_async();
    block_sync();
    if (tid() == 0) {
        bulk_add_f32(g.sums, BUF, 256);
        bulk_commit();
        bulk_wait(0);
    }
}
MISUSE(hand_over) // the first warps leave a value and go on, the others wait for it
{
    if (tid() < 64) {
        st_shared_u32(BUF + tid() * 4, tid());
        bar_arrive(2, 128);
        return;
    }
    bar_sync(2, 128);
    if (ld_shared_u32(BUF + (tid() - 64) * 4) != tid() - 64)
        g.counter[0] = 1;
}
MISUSE(a_word_for_each_warp) // 16 bytes shared by four warps, a word each: not a race
{
    (void)g;
    if (laneid() == 0)
        st_shared_u32(BUF + tid() / 32 * 4, tid());
    if (laneid() == 0)
        ld_shared_u32(BUF + tid() / 32 * 4);
    if (laneid() == 1)
        st_shared_u8(BUF + 16 + tid() / 32, (u8)tid());
    if (laneid() == 1 && ld_shared_u8(BUF + 16 + tid() / 32) != (u8)tid())
        g.counter[0] = 1;
    block_sync();
    if (ld_shared_u32(BUF + tid() % 4 * 4) != tid() % 4 * 32)
        g.counter[0] = 1;
}
MISUSE(poll_beside_a_copy) // one thread waits for a copy, another polls for what the first will say
{
    start(&g, 1);
    if (tid() == 0) {
        mbar_wait(BAR, 0);
        st_release_u32(g.counter + 2, 1);
    }
    while (tid() == 32 && !ld_acquire_u32(g.counter + 2))
        sleep_ns(20);
}
MISUSE(one_after_the_other) // blocks in the order of their numbers, by a counter in memory
{
    while (tid() == 0 && ld_acquire_u32(g.counter + 1) != ctaid_x())
        sleep_ns(20);
    block_sync();
    g.sums[tid() % 64] += tid() < 64 ? (float)ctaid_x() : 0;
    block_sync();
    if (tid() == 0)
        st_release_u32(g.counter + 1, ctaid_x() + 1);
}

static nmemu_launch launch_of(const char *name, void (*fn)(const void *), const things *g,
                              nmemu_mode mode)
{
    return (nmemu_launch){.name = name,
                          .fn = fn,
                          .params = g,
                          .grid = {3, 1, 1},
                          .threads = 128,
                          .shared_bytes = 32768,
                          .registers = 128,
                          .mode = mode,
                          .seed = 1};
}

static void check_misuse(nmemu *m, const misuse *x, const things *g)
{
    nmemu_launch l = launch_of(x->name, x->fn, g, NMEMU_LAZY);
    *g->counter = 0;
    const char *said = nmemu_run(m, &l, NULL);
    bool found =
        said && strstr(said, x->expect) && strstr(said, x->name) && strstr(said, "block (0, 0, 0)");
    printf("%-30s %s: %.*s\n", x->name, found ? "found" : "FAIL",
           said ? (int)strcspn(said, "\n") : 7, said ? said : "nothing");
    rig_failures += !found;
}

static void check_right(nmemu *m, const things *g, nmemu_mode mode)
{
    static void (*const right[])(const void *) = {add_up, hand_over, a_word_for_each_warp,
                                                  poll_beside_a_copy, one_after_the_other};
    memset(g->sums, 0, 256);
    memset(g->counter, 0, 12);
    for (u32 i = 0; i < sizeof right / sizeof *right; i++) {
        nmemu_launch l = launch_of("right", right[i], g, mode);
        must(nmemu_run(m, &l, NULL));
    }
    HOLDS(g->counter[0] == 0);
    for (int i = 0; i < 64; i++)
        HOLDS(g->sums[i] == 3.0f * (float)i + 3);
}

int main(void)
{
    _Alignas(64) tmap tile;
    for (int workers = 1; workers <= 2; workers++) {
        nmemu *m = nmemu_new(workers);
        things g = {&tile, random_bf16(m, 64 * 64, 1), nmemu_alloc(m, 256, "sums"),
                    nmemu_alloc(m, 12, "counter")};
        must(nmemu_tensor_map(&tile, &(nmemu_tensor){.base = g.data,
                                                     .element_bytes = 2,
                                                     .rank = 4,
                                                     .dim = {64, 64, 1, 1},
                                                     .stride = {128, 8192, 8192},
                                                     .box = {64, 64, 1, 1},
                                                     .swizzle = 3}));
        for (u32 i = 0; workers == 1 && i < sizeof misuses / sizeof *misuses; i++)
            check_misuse(m, &misuses[i], &g);
        for (nmemu_mode mode = NMEMU_EAGER; mode <= NMEMU_RANDOM; mode++)
            check_right(m, &g, mode);
        nmemu_free(m);
    }
    return rig_failures != 0;
}
