// Threads of a block as fibers: stacks that take turns on one CPU thread. A fiber runs until it
// must wait: for its warp, a barrier, an mbarrier's phase, a wgmma, registers. If no fiber can run,
// an asynchronous operation happens; if there is none that may, that is a deadlock, and every
// thread's reason is printed.
#include "runtime/emu/block.h"

#include <sched.h>
#include <stdarg.h>
#include <stdio.h>

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#include <sanitizer/common_interface_defs.h>
#else
#define __sanitizer_start_switch_fiber(save, bottom, size)                                         \
    ((void)(save), (void)(bottom), (void)(size))
#define __sanitizer_finish_switch_fiber(fake, bottom, size)                                        \
    ((void)(fake), (void)(bottom), (void)(size))
#endif

enum { RING = NMEMU_THREADS * 2, PATIENCE = 100000 };

_Thread_local nmemu_block *nmemu_here;

// Saves the callee's registers on this stack and its top in *save; goes on where `load` was saved.
void nmemu_switch(void **save, void *load);
__asm__(".text\n.globl nmemu_switch\n.type nmemu_switch, @function\nnmemu_switch:\n"
        ".cfi_startproc\n"
        "push %rbp\n.cfi_adjust_cfa_offset 8\npush %rbx\n.cfi_adjust_cfa_offset 8\n"
        "push %r12\n.cfi_adjust_cfa_offset 8\npush %r13\n.cfi_adjust_cfa_offset 8\n"
        "push %r14\n.cfi_adjust_cfa_offset 8\npush %r15\n.cfi_adjust_cfa_offset 8\n"
        "mov %rsp, (%rdi)\nmov %rsi, %rsp\n"
        "pop %r15\n.cfi_adjust_cfa_offset -8\npop %r14\n.cfi_adjust_cfa_offset -8\n"
        "pop %r13\n.cfi_adjust_cfa_offset -8\npop %r12\n.cfi_adjust_cfa_offset -8\n"
        "pop %rbx\n.cfi_adjust_cfa_offset -8\npop %rbp\n.cfi_adjust_cfa_offset -8\nret\n"
        ".cfi_endproc\n.size nmemu_switch, .-nmemu_switch\n");

u64 nmemu_random(nmemu_block *b)
{
    b->random ^= b->random << 13;
    b->random ^= b->random >> 7;
    b->random ^= b->random << 17;
    return b->random;
}

static const char *stack_of(const nmemu_block *b, u32 thread)
{
    return b->stacks + (u64)thread * NMEMU_STACK;
}

// --- leaving -------------------------------------------------------------------------------------

void nmemu_leave(nmemu_block *b)
{
    __sanitizer_start_switch_fiber(NULL, b->main_stack,
                                   b->main_stack_bytes); // no locals from here on
    nmemu_switch(&b->left_sp, b->main_sp);
    __builtin_unreachable();
}

static int say_where(nmemu_block *b)
{
    const nmemu_launch *l = b->launch;
    return snprintf(b->error, sizeof b->error, "kernel %s%s%s%s, block (%u, %u, %u)", l->name,
                    l->where ? " (" : "", l->where ? l->where : "", l->where ? ")" : "", b->cta[0],
                    b->cta[1], b->cta[2]);
}

void nmemu_fail(const char *format, ...)
{
    nmemu_block *b = nmemu_here;
    int n = say_where(b);
    n += snprintf(b->error + n, sizeof b->error - (u64)n, ", thread %u: ", b->cur);
    va_list ap;
    va_start(ap, format);
    vsnprintf(b->error + n, sizeof b->error - (u64)n, format, ap);
    va_end(ap);
    b->failed = true;
    if (!b->pc && !b->elsewhere)
        b->pc = nmemu_kernel_pc(b);
    nmemu_leave(b); // the fibers' stacks are simply forgotten
}

static bool same_wait(const nmemu_fiber *x, const nmemu_fiber *y)
{
    return x->why == y->why && x->a == y->a && x->b == y->b;
}

static _Noreturn void deadlock(nmemu_block *b)
{
    static const char *const names[] = {"runs",  "warp",      "barrier", "mbarrier",
                                        "wgmma", "registers", "exited"};
    int n = say_where(b);
    n += snprintf(b->error + n, sizeof b->error - (u64)n, ": deadlock:");
    for (u32 t = 0, end; t < b->n && n < (int)sizeof b->error - 200; t = end) {
        const nmemu_fiber *f = &b->fiber[t];
        for (end = t + 1; end < b->n && same_wait(f, &b->fiber[end]);)
            end++;
        if (f->why != NMEMU_EXITED)
            n += snprintf(b->error + n, sizeof b->error - (u64)n,
                          "\n  threads %u..%u wait in %s (%s %#x, %u)", t, end - 1, f->what,
                          names[f->why], f->a, f->b);
    }
    b->failed = true;
    nmemu_leave(b);
}

// --- scheduling ----------------------------------------------------------------------------------

void nmemu_wake(nmemu_block *b, u32 thread)
{
    b->fiber[thread].why = NMEMU_RUNS;
    b->queue[b->tail++ % RING] = (u16)thread;
}

void nmemu_wake_all(nmemu_block *b, nmemu_why why, u32 a, u32 from, u32 to)
{
    for (u32 t = from; t < to; t++)
        if (b->fiber[t].why == why && b->fiber[t].a == a)
            nmemu_wake(b, t);
}

static bool run_one_operation(nmemu_block *b)
{
    u32 groups = b->n / 128;
    b->elsewhere = true;
    bool any = b->launch->mode == NMEMU_RANDOM && groups && nmemu_random(b) % 2 &&
               nmemu_run_one_mma(b, (u32)(nmemu_random(b) % groups));
    any = any || nmemu_run_one_copy(b);
    b->elsewhere = false;
    return any;
}

// The best of a few to the queue's head: warps have priorities, which change now and then. Without
// them all warps would keep about the same pace, and a missing barrier would rarely matter.
static void shuffle_queue(nmemu_block *b)
{
    u32 best = 0, head = b->head % RING;
    for (int k = 0; k < 6; k++) {
        u32 i = (b->head + (u32)(nmemu_random(b) % (b->tail - b->head))) % RING;
        if (!k || b->priority[b->queue[i] / 32] > b->priority[b->queue[best] / 32])
            best = i;
    }
    u16 t = b->queue[best];
    b->queue[best] = b->queue[head];
    b->queue[head] = t;
    if (nmemu_random(b) % 256 == 0)
        b->priority[t / 32] = (u16)nmemu_random(b);
}

static u32 next_thread(nmemu_block *b)
{
    for (;;) {
        if (b->launch->mode == NMEMU_RANDOM && nmemu_random(b) % 16 == 0)
            run_one_operation(b);
        if (b->head != b->tail)
            break;
        if (!run_one_operation(b))
            deadlock(b);
    }
    if (b->launch->mode == NMEMU_RANDOM)
        shuffle_queue(b);
    return b->queue[b->head++ % RING];
}

// From a fiber (its `save`) to the next one that can run.
static void next_fiber(nmemu_block *b, void **save, void **fake_stack)
{
    u32 t = next_thread(b);
    b->cur = t;
    if (save == &b->fiber[t].sp)
        return;
    b->stats.switches++;
    __sanitizer_start_switch_fiber(fake_stack, stack_of(b, t), NMEMU_STACK);
    nmemu_switch(save, b->fiber[t].sp);
    __sanitizer_finish_switch_fiber(fake_stack ? *fake_stack : NULL, NULL, NULL);
}

void nmemu_block_on(nmemu_why why, const char *what, u32 a, u32 b)
{
    nmemu_block *block = nmemu_here;
    nmemu_fiber *f = &block->fiber[block->cur];
    f->why = why;
    f->what = what;
    f->a = a;
    f->b = b;
    block->idle = 0;
    next_fiber(block, &f->sp, &f->fake_stack);
}

// A poll may wait for another block. One that comes later in the grid may never start on a GPU
// while this one holds its multiprocessor, and does not start here: that is told from patience
// running out in the oldest block. Copies go on meanwhile: another thread may be waiting for one.
void nmemu_yield(const char *what)
{
    nmemu_block *b = nmemu_here;
    u32 me = b->cur;
    nmemu_fiber *f = &b->fiber[me];
    if (++b->polls % (2 * b->live) == 0 && !run_one_operation(b))
        sched_yield();
    b->cur = me;
    if (!nmemu_is_oldest(b))
        b->idle = 0;
    else if (++b->idle > PATIENCE * b->live)
        nmemu_fail("%s: polls for what no earlier block and no other thread of this one provides",
                   what);
    nmemu_wake(b, me);
    next_fiber(b, &f->sp, &f->fake_stack);
}

// --- a fiber's life ------------------------------------------------------------------------------

static void check_exit(nmemu_block *b, const nmemu_fiber *f)
{
    const nmemu_warp *w = &b->warp[b->cur / 32];
    if (w->arrived)
        nmemu_fail("exits while its warp waits in %s", w->what);
    for (const nmemu_copy *c = f->copies; c; c = c->next)
        if (c->kind != NMEMU_TMA_LOAD && c->kind != NMEMU_BULK_LOAD && !c->data)
            nmemu_fail("exits with %s in flight, which may still touch shared memory: no wait",
                       c->what);
    if (f->mma_issued > b->group[b->cur / 128].done)
        nmemu_fail("exits with a wgmma in flight: no wgmma_wait");
}

static void fiber_main(void)
{
    nmemu_block *b = nmemu_here;
    const void **bottom = b->from_main ? &b->main_stack : NULL;
    __sanitizer_finish_switch_fiber(NULL, bottom, b->from_main ? &b->main_stack_bytes : NULL);
    b->from_main = false;
    b->launch->fn(b->launch->params);
    nmemu_fiber *f = &b->fiber[b->cur];
    check_exit(b, f);
    f->why = NMEMU_EXITED;
    if (--b->live)
        next_fiber(b, &f->sp, NULL);
    nmemu_finish_copies(b);
    nmemu_leave(b);
}

// A stack on which nmemu_switch finds six registers, fiber_main to return to, and above it nobody:
// backtraces end. Stacks start at different places of their pages, or all of them would meet in the
// same sets of the caches.
static void start_fiber(nmemu_block *b, u32 t)
{
    u64 colour = t % 128 * 448;
    u64 *sp = (u64 *)(b->stacks + (u64)(t + 1) * NMEMU_STACK - 64 - colour);
    sp[0] = (u64)fiber_main;
    sp[1] = 0;
    for (int i = 1; i <= 6; i++)
        sp[-i] = 0;
    b->fiber[t] = (nmemu_fiber){.sp = sp - 6};
    b->fiber[t].newest = &b->fiber[t].copies;
    nmemu_wake(b, t);
}

void nmemu_run_fibers(nmemu_block *b)
{
    b->cur = b->head = b->tail = b->idle = b->polls = 0;
    b->n = b->live = b->launch->threads;
    for (u32 t = 0; t < b->n; t++)
        start_fiber(b, t);
    b->from_main = true;
    next_fiber(b, &b->main_sp, &b->main_fake_stack);
}
