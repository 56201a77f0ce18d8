// Shared memory and its shadow: a record for each 16 bytes of who wrote and who read them last, by
// the clocks of warps (vector clocks: Mattern 1989; here a lane's warp stands for it), whether that
// write was fenced for the asynchronous proxy, and whether copies are in flight. So a missing
// barrier is found whatever order the threads happened to run in. Narrower accesses have records
// for each word; of parts of a word, writes are told apart, but not from reads of other parts:
// those are not compared. Races between lanes of one warp are not looked for.
#include "runtime/emu/block.h"

#include <string.h>

static u32 here_warp(void) { return nmemu_here->cur / 32; }

// --- clocks --------------------------------------------------------------------------------------

void nmemu_learn(nmemu_clocks *to, const nmemu_clocks *from)
{
    for (int i = 0; i < NMEMU_CLOCKS; i++)
        to->at[i] = to->at[i] > from->at[i] ? to->at[i] : from->at[i];
}

void nmemu_pass_on(nmemu_clocks *to)
{
    nmemu_clocks *mine = &nmemu_here->know[here_warp()];
    nmemu_learn(to, mine);
    mine->at[here_warp()]++;
}

// --- records -------------------------------------------------------------------------------------

static u32 first_word(smem a) { return a / 4 % 4; }
static u32 end_word(smem a, u32 bytes) { return (a % 16 + bytes + 3) / 4; }
static u16 bytes_of_word(smem a, u32 bytes) // 0: all of it
{
    return bytes >= 4 ? 0 : (u16)(((1u << bytes) - 1) << a % 4);
}

static void split(nmemu_block *b, u32 granule)
{
    nmemu_granule *g = &b->shadow[granule];
    if (g->split)
        return;
    g->split = true;
    for (int i = 0; i < 4; i++)
        b->words[granule][i] = g->last;
}

static nmemu_write write_now(const nmemu_block *b)
{
    return (nmemu_write){.when = b->know[here_warp()].at[here_warp()],
                         .fences = b->fiber[b->cur].fences,
                         .by = (u16)here_warp(),
                         .writer = (u16)(b->cur + 1)};
}

static void record_word(nmemu_write *word, nmemu_write w, u16 bytes)
{
    bool more = bytes && word->bytes && word->by == w.by && word->when == w.when;
    w.bytes = (u16)(bytes | (more ? word->bytes : 0));
    *word = w;
}

static void record_write(nmemu_block *b, smem a, u32 bytes)
{
    nmemu_granule *g = &b->shadow[a / 16];
    g->stamp = ++b->stamp;
    if (bytes == 16) {
        g->last = write_now(b);
        g->split = false;
        return;
    }
    split(b, a / 16);
    for (u32 i = first_word(a); i < end_word(a, bytes); i++)
        record_word(&b->words[a / 16][i], write_now(b), bytes_of_word(a, bytes));
}

void nmemu_read_by(smem a, u32 warp)
{
    nmemu_block *b = nmemu_here;
    b->reads[a / 16][warp] = b->know[warp].at[warp];
}

static void record_read(nmemu_block *b, smem a, u32 bytes)
{
    u32 me = here_warp();
    nmemu_granule *g = &b->shadow[a / 16];
    if (bytes == 16) {
        nmemu_read_by(a, me);
        return;
    }
    if (!g->narrow)
        memset(b->word_reads[a / 16], 0, sizeof b->word_reads[a / 16]);
    g->narrow = true;
    for (u32 i = first_word(a); i < end_word(a, bytes); i++)
        b->word_reads[a / 16][i][me] = b->know[me].at[me];
}

// --- checks --------------------------------------------------------------------------------------

void *nmemu_at(smem a, u32 bytes, const char *what)
{
    nmemu_block *b = nmemu_here;
    u32 align = bytes >= 16 ? 16 : bytes;
    if (a < NMEMU_SHARED_START || a + bytes > NMEMU_SHARED_START + b->launch->shared_bytes ||
        a + bytes < a)
        nmemu_fail("%s: shared address %#x + %u is outside the block's %u bytes at %#x", what, a,
                   bytes, b->launch->shared_bytes, NMEMU_SHARED_START);
    if (a % align)
        nmemu_fail("%s: shared address %#x is not aligned to %u", what, a, align);
    return b->memory + a;
}

void *nmemu_landed(smem a, u32 bytes, const char *what)
{
    void *p = nmemu_at(a, bytes, what);
    if (nmemu_here->shadow[a / 16].in_flight)
        nmemu_fail(
            "%s: reads shared address %#x while a copy into it is in flight: a wait is missing",
            what, a);
    return p;
}

static void after(const nmemu_write *w, smem a, u32 warp, const nmemu_clocks *know,
                  const char *what)
{
    if (w->by == warp || w->when <= know->at[w->by])
        return;
    if (w->by == NMEMU_ENGINE)
        nmemu_fail("%s: shared address %#x was written by a copy that warp %u did not wait for: a "
                   "wait is missing",
                   what, a, warp);
    nmemu_fail("%s: race: shared address %#x, warp %u: warp %u wrote it, no barrier in between",
               what, a, warp, w->by);
}

void nmemu_in_order(smem a, u32 bytes, u32 warp, const nmemu_clocks *know, const char *what)
{
    const nmemu_block *b = nmemu_here;
    const nmemu_granule *g = &b->shadow[a / 16];
    if (!g->split) {
        after(&g->last, a, warp, know, what);
        return;
    }
    u16 mine = bytes_of_word(a, bytes);
    for (u32 i = first_word(a); i < end_word(a, bytes); i++) {
        const nmemu_write *w = &b->words[a / 16][i];
        if (!mine || !w->bytes || (mine & w->bytes))
            after(w, a / 16 * 16 + 4 * i, warp, know, what);
    }
}

static void after_reads(const u32 reads[NMEMU_WARPS], smem a, const char *what)
{
    const nmemu_block *b = nmemu_here;
    u32 me = here_warp();
    for (u32 w = 0; w < b->n / 32; w++)
        if (w != me && reads[w] > b->know[me].at[w])
            nmemu_fail("%s: race: shared address %#x, warp %u: warp %u may still read it, no "
                       "barrier in between",
                       what, a, me, w);
}

static void in_order_of_reads(smem a, u32 bytes, const char *what)
{
    const nmemu_block *b = nmemu_here;
    after_reads(b->reads[a / 16], a, what);
    if (b->shadow[a / 16].narrow && bytes >= 4)
        for (u32 i = first_word(a); i < end_word(a, bytes); i++)
            after_reads(b->word_reads[a / 16][i], a / 16 * 16 + 4 * i, what);
}

// --- ordinary accesses ---------------------------------------------------------------------------

void *nmemu_for_reading(smem a, u32 bytes, const char *what)
{
    nmemu_block *b = nmemu_here;
    void *p = nmemu_landed(a, bytes, what);
    nmemu_in_order(a, bytes, here_warp(), &b->know[here_warp()], what);
    record_read(b, a, bytes);
    return p;
}

void nmemu_wrote(smem a, u32 bytes, const char *what)
{
    nmemu_block *b = nmemu_here;
    nmemu_in_order(a, bytes, here_warp(), &b->know[here_warp()], what);
    in_order_of_reads(a, bytes, what);
    record_write(b, a, bytes);
}

void *nmemu_for_writing(smem a, u32 bytes, const char *what)
{
    void *p = nmemu_at(a, bytes, what);
    const nmemu_granule *g = &nmemu_here->shadow[a / 16];
    if (g->in_flight)
        nmemu_fail("%s: writes shared address %#x while a copy into it is in flight", what, a);
    if (g->source)
        nmemu_fail("%s: writes shared address %#x while a bulk store may still read it: "
                   "bulk_wait_read is missing",
                   what, a);
    nmemu_wrote(a, bytes, what);
    return p;
}

// --- the asynchronous proxy: TMA, bulk copies, wgmma ---------------------------------------------

static void fenced(const nmemu_write *w, smem a, const char *what)
{
    if (w->writer && nmemu_here->fiber[w->writer - 1].fences == w->fences)
        nmemu_fail("%s: shared address %#x was written by thread %d, without fence_async since",
                   what, a, w->writer - 1);
}

void *nmemu_for_async(smem a, u32 bytes, const char *what)
{
    const nmemu_block *b = nmemu_here;
    void *p = nmemu_landed(a, bytes, what);
    if (!b->shadow[a / 16].split)
        fenced(&b->shadow[a / 16].last, a, what);
    else
        for (u32 i = first_word(a); i < end_word(a, bytes); i++)
            fenced(&b->words[a / 16][i], a / 16 * 16 + 4 * i, what);
    return p;
}

void nmemu_will_write(smem a, u32 bytes, const char *what)
{
    nmemu_block *b = nmemu_here;
    nmemu_at(a, bytes, what);
    for (smem end = a + bytes; a < end; a += 16) {
        u32 part = end - a < 16 ? end - a : 16;
        if (b->shadow[a / 16].source)
            nmemu_fail("%s: overwrites shared address %#x while a bulk store may still read it",
                       what, a);
        nmemu_in_order(a, part, here_warp(), &b->know[here_warp()], what);
        in_order_of_reads(a, part, what);
        b->shadow[a / 16].in_flight++;
    }
}

void nmemu_engine_wrote(smem a)
{
    nmemu_block *b = nmemu_here;
    nmemu_granule *g = &b->shadow[a / 16];
    g->last = (nmemu_write){.by = NMEMU_ENGINE, .when = b->know[NMEMU_ENGINE].at[NMEMU_ENGINE]};
    g->stamp = ++b->stamp;
    g->split = false;
    g->in_flight--;
}

void nmemu_will_read(smem a, u32 bytes, const char *what)
{
    nmemu_block *b = nmemu_here;
    nmemu_at(a, bytes, what);
    for (smem end = a + bytes; a < end; a += 16) {
        nmemu_for_async(a, 16, what);
        nmemu_in_order(a, 16, here_warp(), &b->know[here_warp()], what);
        b->shadow[a / 16].source++;
    }
}

// --- the primitives ------------------------------------------------------------------------------

smem smem_base(void) { return NMEMU_SHARED_START; }

#define ACCESS(type, suffix)                                                                       \
    void st_shared_##suffix(smem a, type v)                                                        \
    {                                                                                              \
        *(type *)nmemu_for_writing(a, sizeof v, "st_shared_" #suffix) = v;                         \
    }                                                                                              \
    type ld_shared_##suffix(smem a)                                                                \
    {                                                                                              \
        return *(type *)nmemu_for_reading(a, sizeof(type), "ld_shared_" #suffix);                  \
    }
ACCESS(u8, u8)
ACCESS(u16, u16)
ACCESS(u32, u32)
ACCESS(u64, u64)
ACCESS(float, f32)
#undef ACCESS

void st_shared_v4(smem a, const u32 v[4])
{
    memcpy(nmemu_for_writing(a, 16, "st_shared_v4"), v, 16);
}
void ld_shared_v4(u32 v[4], smem a) { memcpy(v, nmemu_for_reading(a, 16, "ld_shared_v4"), 16); }
