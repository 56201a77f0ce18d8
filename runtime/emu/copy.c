// Asynchronous copies: records that happen later. In eager order that is at their issue; in lazy
// order when somebody waits for them and nothing else can run; in random order anywhere between. A
// store happens in two steps: it reads shared memory, and writes global memory later.
#include "runtime/emu/block.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static bool is_load(nmemu_copy_kind kind) { return kind <= NMEMU_BULK_LOAD; }
static bool is_store(nmemu_copy_kind kind)
{
    return kind > NMEMU_BULK_LOAD && kind < NMEMU_CP_ASYNC;
}

// --- what happens --------------------------------------------------------------------------------

static void land_cp_async(nmemu_block *b, const nmemu_copy *c)
{
    memcpy(b->memory + c->at, c->from, c->bytes);
    memset(b->memory + c->at + c->bytes, 0, c->room - c->bytes);
    b->shadow[c->at / 16].in_flight--;
}

static void land_load(nmemu_block *b, nmemu_copy *c)
{
    b->know[NMEMU_ENGINE].at[NMEMU_ENGINE]++;
    if (c->kind == NMEMU_TMA_LOAD)
        nmemu_tma_copy(b, c, true);
    else {
        memcpy(b->memory + c->at, c->from, c->bytes);
        for (u32 i = 0; i < c->bytes; i += 16)
            nmemu_engine_wrote(c->at + i);
    }
    nmemu_mbar_landed(c->bar, c->bytes, c->what);
}

static void read_source(nmemu_block *b, nmemu_copy *c)
{
    c->data = malloc(c->bytes);
    if (!c->data)
        nmemu_fail("%s: no memory for %u bytes in flight", c->what, c->bytes);
    for (u32 i = 0; i < c->bytes; i += 16) {
        memcpy(c->data + i, nmemu_landed(nmemu_swizzle(c->at + i, c->map.swizzle), 16, c->what),
               16);
        b->shadow[(c->at + i) / 16].source--;
    }
}

static void add_f32(float *to, const float *from, u32 n)
{
    for (u32 i = 0; i < n; i++)
        red_add_f32(to + i, from[i]);
}

static void land_store(nmemu_block *b, nmemu_copy *c)
{
    if (c->kind == NMEMU_TMA_STORE)
        nmemu_tma_copy(b, c, false);
    else if (c->kind == NMEMU_BULK_STORE)
        memcpy(c->to, c->data, c->bytes);
    else
        add_f32(c->to, (const float *)c->data, c->bytes / 4);
}

static void unlink_copy(nmemu_fiber *f, nmemu_copy **link)
{
    nmemu_copy *c = *link;
    *link = c->next;
    if (f->newest == &c->next)
        f->newest = link;
    free(c->data);
    free(c);
}

// The next step of the copy at *link, which is gone after its last.
static void step(nmemu_block *b, nmemu_fiber *f, nmemu_copy **link)
{
    nmemu_copy *c = *link;
    b->engine = c->what;
    bool first_of_two = is_store(c->kind) && !c->data;
    if (first_of_two)
        read_source(b, c);
    else if (is_load(c->kind))
        land_load(b, c);
    else if (c->kind == NMEMU_CP_ASYNC)
        land_cp_async(b, c);
    else
        land_store(b, c);
    b->engine = NULL;
    if (!first_of_two)
        unlink_copy(f, link);
}

// --- when ----------------------------------------------------------------------------------------

static bool waited_for(const nmemu_block *b, smem bar)
{
    for (u32 t = 0; t < b->n; t++)
        if (b->fiber[t].why == NMEMU_IN_MBAR && b->fiber[t].a == bar)
            return true;
    return false;
}

static nmemu_copy **pick(nmemu_block *b, nmemu_fiber *f)
{
    nmemu_copy **link = &f->copies;
    if (b->launch->mode == NMEMU_RANDOM)
        while (*link && (*link)->next && nmemu_random(b) % 2)
            link = &(*link)->next;
    else
        while (*link && !(is_load((*link)->kind) && waited_for(b, (*link)->bar)))
            link = &(*link)->next;
    return link;
}

bool nmemu_run_one_copy(nmemu_block *b)
{
    u32 first = b->launch->mode == NMEMU_RANDOM ? (u32)nmemu_random(b) : 0;
    for (u32 i = 0; i < b->n; i++) {
        u32 t = (first + i) % b->n;
        nmemu_copy **link = pick(b, &b->fiber[t]);
        if (!*link)
            continue;
        b->cur =
            t; // reports name the thread that issued it; the scheduler chooses the next one anyway
        step(b, &b->fiber[t], link);
        return true;
    }
    return false;
}

void nmemu_issue(nmemu_copy copy)
{
    nmemu_block *b = nmemu_here;
    nmemu_fiber *f = &b->fiber[b->cur];
    nmemu_copy **link = f->newest, *c = malloc(sizeof *c);
    if (!c)
        nmemu_fail("%s: no memory for another copy in flight", copy.what);
    *c = copy;
    *link = c;
    f->newest = &c->next;
    if (b->launch->mode != NMEMU_EAGER)
        return;
    if (is_store(copy.kind))
        step(b, f, link);
    step(b, f, link);
}

// This thread's copies in groups older than the newest `but`: their next step, or only the reading
// one.
static void finish_groups(bool (*kind)(nmemu_copy_kind), u32 groups, u32 but, bool only_read)
{
    nmemu_block *b = nmemu_here;
    nmemu_fiber *f = &b->fiber[b->cur];
    for (nmemu_copy **link = &f->copies; *link;) {
        nmemu_copy *c = *link;
        if (kind(c->kind) && c->group + but < groups && !(only_read && c->data))
            step(b, f, link);
        else
            link = &c->next;
    }
}

// The end of the block: what stores still have to write, nobody has to wait for.
void nmemu_finish_copies(nmemu_block *b)
{
    for (b->cur = 0; b->cur < b->n; b->cur++)
        while (b->fiber[b->cur].copies) {
            if (is_load(b->fiber[b->cur].copies->kind))
                nmemu_fail("the block ends while a %s of this thread is in flight",
                           b->fiber[b->cur].copies->what);
            step(b, &b->fiber[b->cur], &b->fiber[b->cur].copies);
        }
}

void nmemu_drop_copies(nmemu_block *b)
{
    for (u32 t = 0; t < b->n; t++)
        while (b->fiber[t].copies)
            unlink_copy(&b->fiber[t], &b->fiber[t].copies);
}

// --- cp.async ------------------------------------------------------------------------------------

static bool is_cp_async(nmemu_copy_kind kind) { return kind == NMEMU_CP_ASYNC; }

static void cp_async(smem to, const void *from, u32 bytes, u32 room, const char *what)
{
    const nmemu_block *b = nmemu_here;
    if (bytes > room || (u64)from % room)
        nmemu_fail("%s: %u bytes from %p: at most %u, aligned to %u", what, bytes, from, room,
                   room);
    nmemu_will_write(to, room, what);
    nmemu_wrote(to, room, what);
    nmemu_issue((nmemu_copy){.kind = NMEMU_CP_ASYNC,
                             .what = what,
                             .at = to,
                             .from = from,
                             .bytes = bytes,
                             .room = room,
                             .group = b->fiber[b->cur].cp_groups});
}

void cp_async16(smem to, const void *from, u32 bytes)
{
    cp_async(to, from, bytes, 16, "cp_async16");
}
void cp_async4(smem to, const void *from, u32 bytes) { cp_async(to, from, bytes, 4, "cp_async4"); }
void cp_async_commit(void) { nmemu_here->fiber[nmemu_here->cur].cp_groups++; }
void cp_async_wait(int n)
{
    finish_groups(is_cp_async, nmemu_here->fiber[nmemu_here->cur].cp_groups, (u32)n, false);
}

// --- bulk copies ---------------------------------------------------------------------------------

static void check_bulk(const void *global, u32 bytes, const char *what)
{
    if (!bytes || bytes % 16 || (u64)global % 16)
        nmemu_fail("%s: %u bytes at %p: both are multiples of 16", what, bytes, global);
}

static void bulk_out(nmemu_copy_kind kind, void *to, smem from, u32 bytes, const char *what)
{
    const nmemu_block *b = nmemu_here;
    check_bulk(to, bytes, what);
    nmemu_will_read(from, bytes, what);
    nmemu_issue((nmemu_copy){.kind = kind,
                             .what = what,
                             .at = from,
                             .to = to,
                             .bytes = bytes,
                             .group = b->fiber[b->cur].bulk_groups});
}

void bulk_store(void *to, smem from, u32 bytes)
{
    bulk_out(NMEMU_BULK_STORE, to, from, bytes, "bulk_store");
}
void bulk_add_f32(float *to, smem from, u32 bytes)
{
    bulk_out(NMEMU_BULK_ADD, to, from, bytes, "bulk_add_f32");
}

void bulk_load(smem to, const void *from, u32 bytes, smem bar)
{
    check_bulk(from, bytes, "bulk_load");
    nmemu_mbar_check(bar, "bulk_load's mbarrier");
    nmemu_will_write(to, bytes, "bulk_load");
    nmemu_here->stats.copied_bytes += bytes;
    nmemu_issue((nmemu_copy){.kind = NMEMU_BULK_LOAD,
                             .what = "bulk_load",
                             .at = to,
                             .from = from,
                             .bytes = bytes,
                             .bar = bar});
}

void bulk_commit(void) { nmemu_here->fiber[nmemu_here->cur].bulk_groups++; }

void bulk_wait_read(int n)
{
    finish_groups(is_store, nmemu_here->fiber[nmemu_here->cur].bulk_groups, (u32)n, true);
}

void bulk_wait(int n)
{
    bulk_wait_read(n);
    finish_groups(is_store, nmemu_here->fiber[nmemu_here->cur].bulk_groups, (u32)n, false);
}

void fence_async(void) { nmemu_here->fiber[nmemu_here->cur].fences++; }
