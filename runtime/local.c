// The mapping that forked ranks share, and how they wait in it. Waiting is a short spin, then a
// futex with a deadline a tenth of a second away: a waiter looks up often enough to see that the
// run has failed, and needs nobody alive to wake it.
#define _GNU_SOURCE
#include "runtime/local.h"

#include "runtime/clock.h"
#include "runtime/cpu.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { SPIN = 2000, HUGE = 2 << 20, LINE = 64, LEAST = 64 << 20 };

#ifndef MADV_COLLAPSE // Linux 6.1; older headers
#define MADV_COLLAPSE 25
#endif

// --- the mapping -------------------------------------------------------------------------------

static size_t round_to(size_t n, size_t to) { return (n + to - 1) / to * to; }

// Twice the machine's memory for each rank, so that no plan that fits the machine can fail here, in
// all less than a quarter of what a process can address.
static size_t arena_size(int ranks)
{
    size_t memory = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE),
           most = ((size_t)1 << 45) / (size_t)ranks;
    return round_to(2 * memory < most ? 2 * memory : most, HUGE);
}

// Shared memory that begins with a huge page, in the addresses and in the mapping: else it can have
// none. NULL: failed, errno says why.
static char *map_shared(size_t bytes)
{
    char *room =
        mmap(NULL, bytes + HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED)
        return NULL;
    char *at = (char *)round_to((size_t)room, HUGE);
    if (at > room)
        munmap(room, (size_t)(at - room));
    munmap(at + bytes, (size_t)(room + HUGE - at));
    if (mmap(at, bytes, PROT_READ | PROT_WRITE,
             MAP_FIXED | MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) != MAP_FAILED)
        return at;
    int why = errno;
    munmap(at, bytes);
    errno = why;
    return NULL;
}

// Where the kernel promises no more than it has, the arenas have to be smaller.
static bool map(nmrt_local *l, size_t tables)
{
    for (l->arena = arena_size(l->ranks);; l->arena = round_to(l->arena / 2, HUGE)) {
        l->bytes = tables + (size_t)l->ranks * l->arena;
        l->base = map_shared(l->bytes);
        if (l->base)
            return true;
        if (l->arena < LEAST)
            return false;
    }
}

nmrt_status nmrt_local_new(nmrt_local **local, int ranks, double timeout, nmrt_error *e)
{
    nmrt_local *l = *local = calloc(1, sizeof *l);
    if (!l)
        return nmrt_fail(e, NMRT_WORLD, "no memory for %d ranks", ranks);
    size_t recorder = round_to(nmrt_recorder_bytes(ranks), HUGE),
           meetings = round_to(nmrt_meetings_bytes(ranks), HUGE),
           channels = round_to(nmrt_mail_bytes(), HUGE);
    l->ranks = ranks;
    l->spin = ranks <= nmrt_cpu_threads() ? SPIN : 0;
    if (!map(l, recorder + meetings + channels)) {
        free(l);
        *local = NULL;
        return nmrt_fail_errno(e, "cannot map memory for %d ranks to share", ranks);
    }
    madvise(l->base, l->bytes, MADV_DONTDUMP);
    l->recorder = nmrt_recorder_init(l->base, ranks, timeout);
    l->meetings = l->base + recorder;
    l->channels = l->meetings + meetings;
    l->arenas = l->channels + channels;
    return NMRT_OK;
}

void nmrt_local_free(nmrt_local *l)
{
    if (!l)
        return;
    munmap(l->base, l->bytes);
    free(l);
}

// --- arenas ------------------------------------------------------------------------------------

// Huge pages, also where the kernel gives shared memory none by itself: then a region can be
// collapsed into one once it has a page. Neighbours that read it find one entry, not 512.
static void ask_huge(char *at, size_t n)
{
    size_t whole = n / HUGE * HUGE;
    madvise(at, n, MADV_HUGEPAGE); // only faster if it is granted, and so is the collapse
    for (size_t i = 0; i < whole; i += HUGE)
        *(volatile char *)(at + i) = 0;
    madvise(at, whole, MADV_COLLAPSE);
}

nmrt_status nmrt_arena_alloc(nmrt_arena *a, int64_t bytes, void **at, nmrt_error *e)
{
    size_t n = bytes > 0 ? (size_t)bytes : 1, align = n >= HUGE ? HUGE : LINE,
           from = round_to(a->used, align);
    if (from > a->bytes || n > a->bytes - from)
        return nmrt_fail(e, NMRT_WORLD, "cannot get %lld bytes of shared memory", (long long)bytes);
    a->used = from + n;
    *at = a->at + from;
    if (align == HUGE)
        ask_huge(*at, n);
    return NMRT_OK;
}

// Addresses are not given out again; whole pages go back to the machine, and read as zeros.
void nmrt_arena_free(nmrt_arena *a, void *at, int64_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), from = round_to((size_t)at, page),
           to = ((size_t)at + (size_t)bytes) / page * page;
    if (at && to > from)
        madvise((void *)from, to - from, MADV_REMOVE);
    (void)a;
}

// --- waiting -----------------------------------------------------------------------------------

static bool is_reached(nmrt_bell *bell, unsigned target)
{
    return (int)(atomic_load_explicit(&bell->count, memory_order_acquire) - target) >= 0;
}

static void sleep_on(nmrt_bell *bell, unsigned target)
{
    const struct timespec tenth = {0, 100000000};
    atomic_fetch_add(&bell->sleepers, 1);
    unsigned seen = atomic_load(&bell->count);
    if ((int)(seen - target) < 0)
        syscall(SYS_futex, &bell->count, FUTEX_WAIT, seen, &tenth, NULL, 0);
    atomic_fetch_sub(&bell->sleepers, 1);
}

static bool spin_on(const nmrt_local *l, nmrt_bell *bell, unsigned target)
{
    for (int i = 0; i < l->spin; i++) {
        if (is_reached(bell, target))
            return true;
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
    }
    return is_reached(bell, target);
}

nmrt_status nmrt_bell_wait(nmrt_local *l, int rank, nmrt_bell *bell, unsigned target, nmrt_error *e)
{
    nmrt_recorder *r = l->recorder;
    double waited = 0;
    if (spin_on(l, bell, target))
        return NMRT_OK;
    for (double before = nmrt_seconds(), now; !is_reached(bell, target); before = now) {
        sleep_on(bell, target);
        if (nmrt_recorder_failure(r) != NMRT_FAILED_NOT)
            return nmrt_fail(e, NMRT_WORLD, "%s", nmrt_recorder_why(r));
        now = nmrt_seconds();
        waited += now - before < 0.2 ? now - before : 0.2; // not while all of us were suspended
        if (waited > nmrt_recorder_timeout(r))
            nmrt_recorder_blame(r, rank);
    }
    return NMRT_OK;
}

void nmrt_bell_ring(nmrt_bell *bell)
{
    atomic_fetch_add(&bell->count, 1);
    if (atomic_load(&bell->sleepers))
        syscall(SYS_futex, &bell->count, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}
