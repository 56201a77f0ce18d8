// The life of a block: its memory is taken once for each CPU thread of the device and cleared for
// each block, as far as the launch uses it.
#define _GNU_SOURCE
#include "runtime/emu/block.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#else
#define __asan_unpoison_memory_region(p, n) ((void)(p), (void)(n))
#endif

enum { PAGE = 4096 };

// Pages come from the system as they are first touched.
static void *reserve(u64 bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

typedef struct region {
    void **at;
    u64 bytes;
} region;

enum { REGIONS = 7 };

static void list_regions(nmemu_block *b, region r[REGIONS])
{
    r[0] = (region){(void **)&b->stacks, (u64)NMEMU_THREADS * NMEMU_STACK};
    r[1] = (region){(void **)&b->memory, NMEMU_SHARED_START + NMEMU_SHARED_MAX};
    r[2] = (region){(void **)&b->shadow, NMEMU_GRANULES * sizeof *b->shadow};
    r[3] = (region){(void **)&b->words, NMEMU_GRANULES * sizeof *b->words};
    r[4] = (region){(void **)&b->reads, NMEMU_GRANULES * sizeof *b->reads};
    r[5] = (region){(void **)&b->word_reads, NMEMU_GRANULES * sizeof *b->word_reads};
    r[6] = (region){(void **)&b->mbar_index, NMEMU_GRANULES * 2 * sizeof *b->mbar_index};
}

nmemu_block *nmemu_block_new(nmemu *m, int worker)
{
    nmemu_block *b = reserve(sizeof *b);
    region r[REGIONS];
    if (!b)
        return NULL;
    b->machine = m;
    b->worker = worker;
    list_regions(b, r);
    bool ok = true;
    for (int i = 0; i < REGIONS; i++)
        ok &= (*r[i].at = reserve(r[i].bytes)) != NULL;
    if (ok)
        return b;
    nmemu_block_free(b);
    return NULL;
}

void nmemu_block_free(nmemu_block *b)
{
    region r[REGIONS];
    if (!b)
        return;
    list_regions(b, r);
    for (int i = 0; i < REGIONS; i++)
        if (*r[i].at)
            munmap(*r[i].at, r[i].bytes);
    nmemu_free_groups(b);
    free(b->mbar);
    munmap(b, sizeof *b);
}

// Overflow of a stack faults. Stacks that the last block forgot still carry ASan's marks.
static void guard_stacks(nmemu_block *b, u32 threads)
{
    for (; b->guarded < threads; b->guarded++)
        mprotect(b->stacks + (u64)b->guarded * NMEMU_STACK, PAGE, PROT_NONE);
    for (u32 t = 0; t < threads; t++)
        __asan_unpoison_memory_region(b->stacks + (u64)t * NMEMU_STACK + PAGE, NMEMU_STACK - PAGE);
}

static void clear_shared(nmemu_block *b)
{
    u64 end = NMEMU_SHARED_START + (b->launch->shared_bytes + 15) / 16 * 16;
    u32 from = NMEMU_SHARED_START / 16, n = (u32)(end / 16) - from;
    b->stamp = 0;
    memset(b->memory + NMEMU_SHARED_START, 0xff, end - NMEMU_SHARED_START); // a NaN in every format
    memset(b->shadow + from, 0, n * sizeof *b->shadow);
    memset(b->reads + from, 0, n * sizeof *b->reads);
    memset(b->know, 0, sizeof b->know);
    for (u32 i = 0; i < NMEMU_CLOCKS; i++)
        b->know[i].at[i] = 1;
}

static void start(nmemu_block *b, u64 index)
{
    const nmemu_launch *l = b->launch;
    b->cta[0] = (u32)(index % l->grid[0]);
    b->cta[1] = (u32)(index / l->grid[0] % l->grid[1]);
    b->cta[2] = (u32)(index / l->grid[0] / l->grid[1]);
    b->random = (l->seed + 1) * 0x9e3779b97f4a7c15 ^ (index + 1) * 0xbf58476d1ce4e5b9;
    b->random += !b->random;
    b->failed = false;
    b->elsewhere = false;
    b->pc = NULL;
    b->engine = NULL;
    b->n = l->threads;
    guard_stacks(b, b->n);
    clear_shared(b);
    memset(b->warp, 0, sizeof b->warp);
    memset(b->barrier, 0, sizeof b->barrier);
    for (u32 i = 0; i < b->n / 32; i++)
        b->priority[i] = (u16)nmemu_random(b);
    nmemu_start_registers(b);
    nmemu_start_mbars(b);
    nmemu_start_groups(b);
}

bool nmemu_block_run(nmemu_block *b, const nmemu_launch *launch, u64 index)
{
    b->launch = launch;
    nmemu_here = b;
    start(b, index);
    nmemu_run_fibers(b);
    if (b->failed)
        nmemu_drop_copies(b);
    nmemu_here = NULL;
    b->stats.blocks++;
    return !b->failed;
}
