// mbarriers: counters of arrivals and bytes in shared memory. The state is packed into the 8 bytes
// themselves, with a mark, so that a barrier that was overwritten or never initialized is
// recognised; what its phases let their waiters know is kept beside.
#include "runtime/emu/block.h"

#include <stdlib.h>
#include <string.h>

enum { MARK = 2, NO_BYTES = 1 << 20 };

typedef struct mbar {
    u64 pending : 20, expected : 20;
    u64 bytes : 21; // expected - arrived + 2^20
    u64 parity : 1; // of the current phase
    u64 mark : 2;
} mbar;

void nmemu_start_mbars(nmemu_block *b)
{
    for (u32 i = 0; i < b->n_mbar; i++)
        b->mbar_index[b->mbar[i].at / 8] = 0;
    b->n_mbar = 0;
}

static nmemu_mbar *clocks_of(nmemu_block *b, smem at)
{
    u16 *index = &b->mbar_index[at / 8];
    if (*index)
        return &b->mbar[*index - 1];
    if (b->n_mbar == b->room_mbar) {
        u32 room = b->room_mbar ? 2 * b->room_mbar : 32;
        nmemu_mbar *more = realloc(b->mbar, room * sizeof *more);
        if (!more)
            nmemu_fail("no memory for another mbarrier");
        b->mbar = more;
        b->room_mbar = room;
    }
    b->mbar[b->n_mbar] = (nmemu_mbar){.at = at};
    *index = (u16)++b->n_mbar;
    return &b->mbar[*index - 1];
}

static mbar *mbar_at(smem b, const char *what)
{
    mbar *m = nmemu_at(b, 8, what);
    if (m->mark != MARK)
        nmemu_fail("%s: no mbarrier at %#x: not yet initialized, or overwritten", what, b);
    return m;
}

// One that this thread's warp knows to be initialized: a barrier lies in between.
static mbar *known_mbar(smem b, const char *what)
{
    mbar *m = mbar_at(b, what);
    u32 warp = nmemu_here->cur / 32;
    nmemu_in_order(b, 8, warp, &nmemu_here->know[warp], what);
    return m;
}

void nmemu_mbar_check(smem b, const char *what)
{
    known_mbar(b, what);
    nmemu_for_async(b, 8, what);
}

// A phase ends when all have arrived and all bytes have landed.
static void settle(nmemu_block *b, smem at, mbar *m)
{
    if (m->pending || m->bytes != NO_BYTES)
        return;
    nmemu_mbar *c = clocks_of(b, at);
    c->done = c->come;
    m->pending = m->expected;
    m->parity ^= 1;
    nmemu_wake_all(b, NMEMU_IN_MBAR, at, 0, b->n);
}

void nmemu_mbar_landed(smem at, u32 bytes, const char *what)
{
    nmemu_block *b = nmemu_here;
    mbar *m = mbar_at(at, what);
    clocks_of(b, at)->come.at[NMEMU_ENGINE] = b->know[NMEMU_ENGINE].at[NMEMU_ENGINE];
    m->bytes -= bytes;
    settle(b, at, m);
}

static void expect(mbar *m, smem b, u32 bytes, const char *what)
{
    if (m->bytes + bytes >= 2 * NO_BYTES)
        nmemu_fail("%s: mbarrier %#x: more than 2^20 - 1 bytes in a phase", what, b);
    m->bytes += bytes;
}

static void arrive(smem at, u32 bytes, const char *what)
{
    nmemu_block *b = nmemu_here;
    mbar *m = known_mbar(at, what);
    if (!m->pending)
        nmemu_fail("%s: mbarrier %#x has had its %u arrivals in this phase", what, at,
                   (u32)m->expected);
    expect(m, at, bytes, what);
    m->pending--;
    nmemu_pass_on(&clocks_of(b, at)->come);
    settle(b, at, m);
}

// --- the primitives ------------------------------------------------------------------------------

void mbar_init(smem b, u32 n)
{
    if (!n || n >= NO_BYTES)
        nmemu_fail("mbar_init: %u arrivals: 1..2^20 - 1", n);
    *(mbar *)nmemu_for_writing(b, 8, "mbar_init") = (mbar){n, n, NO_BYTES, 0, MARK};
    *clocks_of(nmemu_here, b) = (nmemu_mbar){.at = b};
}

void mbar_inval(smem b)
{
    known_mbar(b, "mbar_inval");
    memset(nmemu_for_writing(b, 8, "mbar_inval"), 0xff, 8);
}

void mbar_init_fence(void) { nmemu_here->fiber[nmemu_here->cur].fences++; }
void mbar_arrive(smem b) { arrive(b, 0, "mbar_arrive"); }
void mbar_expect(smem b, u32 bytes) { arrive(b, bytes, "mbar_expect"); }
void mbar_expect_only(smem b, u32 bytes)
{
    expect(known_mbar(b, "mbar_expect_only"), b, bytes, "mbar_expect_only");
}

void mbar_wait(smem b, u32 parity)
{
    if (parity > 1)
        nmemu_fail("mbar_wait: parity %u", parity);
    while (known_mbar(b, "mbar_wait")->parity == parity)
        nmemu_block_on(NMEMU_IN_MBAR, "mbar_wait", b, parity);
    nmemu_learn(&nmemu_here->know[nmemu_here->cur / 32], &clocks_of(nmemu_here, b)->done);
}
