// Where a thread is in the grid, and global memory: plain accesses are the kernel's own, here are
// those of 16 bytes and those between blocks, which may run on several CPU threads.
#include "runtime/emu/block.h"

#include <stdatomic.h>
#include <string.h>

u32 tid(void) { return nmemu_here->cur; }
u32 ntid(void) { return nmemu_here->n; }
u32 laneid(void) { return nmemu_here->cur % 32; }
u32 ctaid_x(void) { return nmemu_here->cta[0]; }
u32 ctaid_y(void) { return nmemu_here->cta[1]; }
u32 ctaid_z(void) { return nmemu_here->cta[2]; }
u32 nctaid_x(void) { return nmemu_here->launch->grid[0]; }
u32 nctaid_y(void) { return nmemu_here->launch->grid[1]; }
u32 nctaid_z(void) { return nmemu_here->launch->grid[2]; }

static void aligned(const void *a, u32 bytes, const char *what)
{
    if ((u64)a % bytes)
        nmemu_fail("%s: %p is not aligned to %u", what, a, bytes);
}

void ld_nc_v4(u32 v[4], const void *a)
{
    aligned(a, 16, "ld_nc_v4");
    memcpy(v, a, 16);
}

void st_cs_v4(void *a, const u32 v[4])
{
    aligned(a, 16, "st_cs_v4");
    memcpy(a, v, 16);
}

// --- between blocks: everything sequentially consistent, which is more than a kernel may count on
// ---

#define SHARED(type, a) ((_Atomic type *)(a))

u32 atom_add_u32(u32 *a, u32 v)
{
    aligned(a, 4, "atom_add_u32");
    return atomic_fetch_add(SHARED(u32, a), v);
}

u64 atom_add_u64(u64 *a, u64 v)
{
    aligned(a, 8, "atom_add_u64");
    return atomic_fetch_add(SHARED(u64, a), v);
}

u32 atom_inc_u32(u32 *a, u32 last)
{
    aligned(a, 4, "atom_inc_u32");
    u32 old = atomic_load(SHARED(u32, a));
    while (!atomic_compare_exchange_weak(SHARED(u32, a), &old, old >= last ? 0 : old + 1))
        ;
    return old;
}

u32 atom_max_u32(u32 *a, u32 v)
{
    aligned(a, 4, "atom_max_u32");
    u32 old = atomic_load(SHARED(u32, a));
    while (!atomic_compare_exchange_weak(SHARED(u32, a), &old, old > v ? old : v))
        ;
    return old;
}

u32 atom_exch_u32(u32 *a, u32 v)
{
    aligned(a, 4, "atom_exch_u32");
    return atomic_exchange(SHARED(u32, a), v);
}

// A loop around these and ld_acquire polls: others get their turn.
u32 atom_cas_u32(u32 *a, u32 want, u32 v)
{
    aligned(a, 4, "atom_cas_u32");
    if (!atomic_compare_exchange_strong(SHARED(u32, a), &want, v))
        nmemu_yield("atom_cas_u32");
    return want;
}

u64 atom_cas_u64(u64 *a, u64 want, u64 v)
{
    aligned(a, 8, "atom_cas_u64");
    if (!atomic_compare_exchange_strong(SHARED(u64, a), &want, v))
        nmemu_yield("atom_cas_u64");
    return want;
}

void red_add_f32(float *a, float v)
{
    aligned(a, 4, "red_add_f32");
    u32 old = atomic_load(SHARED(u32, a)), sum;
    do {
        float x;
        memcpy(&x, &old, 4);
        x += v;
        memcpy(&sum, &x, 4);
    } while (!atomic_compare_exchange_weak(SHARED(u32, a), &old, sum));
}

u32 ld_acquire_u32(const u32 *a)
{
    aligned(a, 4, "ld_acquire_u32");
    nmemu_yield("ld_acquire_u32");
    return atomic_load(SHARED(const u32, a));
}

void st_release_u32(u32 *a, u32 v)
{
    aligned(a, 4, "st_release_u32");
    atomic_store(SHARED(u32, a), v);
}

void threadfence(void) { atomic_thread_fence(memory_order_seq_cst); }

void sleep_ns(u32 ns)
{
    (void)ns;
    nmemu_yield("sleep_ns");
}

// Grids run one after the other.
void grid_wait(void) {}
void grid_launch(void) {}
