// Named barriers, and the registers that warps give back and take.
#include "runtime/emu/block.h"

#include <string.h>

// --- barriers ------------------------------------------------------------------------------------

static void check_barrier(nmemu_block *b, u32 id, u32 n, const char *what)
{
    const nmemu_barrier *bar = &b->barrier[id % NMEMU_BARRIERS];
    if (id >= NMEMU_BARRIERS || n % 32 || !n || n > b->n)
        nmemu_fail("%s(%u, %u): id is 0..15, the count a multiple of 32, at most %u", what, id, n,
                   b->n);
    if (bar->got && bar->need != n)
        nmemu_fail("%s(%u, %u): others came to this barrier with a count of %u", what, id, n,
                   bar->need);
    if (bar->lanes[b->cur / 32] >> b->cur % 32 & 1)
        nmemu_fail("%s(%u, %u): comes twice before the barrier is complete", what, id, n);
}

static void complete(nmemu_block *b, u32 id, u32 n, const char *what)
{
    nmemu_barrier *bar = &b->barrier[id];
    for (u32 w = 0; w < NMEMU_WARPS; w++)
        if (bar->lanes[w] && ~bar->lanes[w])
            nmemu_fail("%s(%u, %u): complete, but warp %u came in part (lanes %#x)", what, id, n, w,
                       bar->lanes[w]);
    for (u32 t = 0; t < b->n; t++)
        if (t == b->cur || (b->fiber[t].why == NMEMU_IN_BARRIER && b->fiber[t].a == id))
            if (t % 32 == 0 || t == b->cur)
                nmemu_learn(&b->know[t / 32], &bar->seen);
    memset(bar, 0, sizeof *bar);
    nmemu_wake_all(b, NMEMU_IN_BARRIER, id, 0, b->n);
}

static bool arrive(u32 id, u32 n, const char *what) // is it complete?
{
    nmemu_block *b = nmemu_here;
    check_barrier(b, id, n, what);
    nmemu_barrier *bar = &b->barrier[id];
    bar->need = n;
    bar->lanes[b->cur / 32] |= 1u << b->cur % 32;
    if (bar->lanes[b->cur / 32] == ~0u) // what the warp did before its last lane came
        nmemu_pass_on(&bar->seen);
    if (++bar->got < n)
        return false;
    complete(b, id, n, what);
    return true;
}

static void sync(u32 id, u32 n, const char *what)
{
    if (!arrive(id, n, what))
        nmemu_block_on(NMEMU_IN_BARRIER, what, id, n);
}

void block_sync(void) { sync(0, nmemu_here->n, "block_sync"); }
void bar_sync(u32 id, u32 n) { sync(id, n, "bar_sync"); }
void bar_arrive(u32 id, u32 n) { arrive(id, n, "bar_arrive"); }

// --- setmaxnreg ----------------------------------------------------------------------------------

void nmemu_start_registers(nmemu_block *b)
{
    u32 fit = 65536 / b->n / 8 * 8, each = b->launch->registers ? b->launch->registers
                                           : fit < 255          ? fit
                                                                : 255;
    b->free_registers = 0;
    for (u32 w = 0; w < b->n / 32; w++)
        b->warp[w].registers = each;
}

static void do_nothing(nmemu_warp *w) { (void)w; }

static void check_registers(const nmemu_warp *w, u32 n, bool up, const char *what)
{
    if (n < 24 || n > 256 || n % 8)
        nmemu_fail("%s(%u): 24..256, a multiple of 8", what, n);
    if (up ? n < w->registers : n > w->registers)
        nmemu_fail("%s(%u): the warp has %u", what, n, w->registers);
}

// The four warps of a warpgroup say the same numbers in the same order; each moves its own
// registers.
static void set_registers(u32 n, bool up, const char *what)
{
    nmemu_block *b = nmemu_here;
    nmemu_warp *w = &b->warp[b->cur / 32], *first = &b->warp[b->cur / 128 * 4];
    check_registers(w, n, up, what);
    nmemu_meet(what, NULL, do_nothing);
    if (b->cur % 32)
        return;
    u32 call = w->register_calls++;
    if (call >= 4)
        nmemu_fail("%s(%u): more than four calls in a warp", what, n);
    if (first->register_said[call] && first->register_said[call] != (int)n)
        nmemu_fail("%s(%u): another warp of this warpgroup said %d", what, n,
                   first->register_said[call]);
    first->register_said[call] = (int)n;
    while (up && n - w->registers > b->free_registers)
        nmemu_block_on(NMEMU_IN_REGISTERS, what, 0, n);
    b->free_registers += w->registers - n;
    w->registers = n;
    nmemu_wake_all(b, NMEMU_IN_REGISTERS, 0, 0, b->n);
}

void reg_dec(int n) { set_registers((u32)n, false, "reg_dec"); }
void reg_inc(int n) { set_registers((u32)n, true, "reg_inc"); }
