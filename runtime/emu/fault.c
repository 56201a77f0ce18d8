// Faults of kernels become reports: while a device runs a launch, a handler on a stack of its own
// looks whose address it was, writes the block's misuse and leaves the kernel. Faults of anybody
// else go where they went before.
#define _GNU_SOURCE
#include "runtime/emu/block.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ucontext.h>

enum { SIGNAL_STACK = 64 << 10, WRITES = 2 /* in the page fault's error code */ };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int launches; // under way, on all devices
static struct sigaction before_segv, before_bus;

static bool on_a_stack(const nmemu_block *b, const char *a, u32 *thread)
{
    u64 at = (u64)(a - b->stacks);
    *thread = (u32)(at / NMEMU_STACK);
    return a >= b->stacks && *thread < NMEMU_THREADS;
}

static _Noreturn void report(nmemu_block *b, const void *address, bool writes)
{
    char place[256];
    u32 thread;
    const char *who = b->engine ? b->engine : "the kernel", *does = writes ? "writes" : "reads";
    if (nmemu_describe(b->machine, address, place, sizeof place))
        nmemu_fail("%s %s at %s", who, does, place);
    if (on_a_stack(b, address, &thread))
        nmemu_fail("the stack of thread %u, of %d KiB, overflows", thread, NMEMU_STACK_USED >> 10);
    nmemu_fail("%s %s at %p, where no buffer is", who, does, address);
}

static void handle(int number, siginfo_t *info, void *context)
{
    const ucontext_t *c = context;
    if (nmemu_here && !nmemu_here->engine)
        nmemu_here->pc =
            nmemu_pc_if_kernel(nmemu_here, (const void *)c->uc_mcontext.gregs[REG_RIP]);
    if (nmemu_here) // the handler is left by a switch of stacks, as any misuse is
        report(nmemu_here, info->si_addr, c->uc_mcontext.gregs[REG_ERR] & WRITES);
    sigaction(number, number == SIGSEGV ? &before_segv : &before_bus,
              NULL); // and the access is tried again
}

void nmemu_faults_on(void)
{
    pthread_mutex_lock(&lock);
    if (launches++ == 0) {
        struct sigaction s = {.sa_sigaction = handle,
                              .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
        sigaction(SIGSEGV, &s, &before_segv);
        sigaction(SIGBUS, &s, &before_bus);
    }
    pthread_mutex_unlock(&lock);
}

void nmemu_faults_off(void)
{
    pthread_mutex_lock(&lock);
    if (--launches == 0) {
        sigaction(SIGSEGV, &before_segv, NULL);
        sigaction(SIGBUS, &before_bus, NULL);
    }
    pthread_mutex_unlock(&lock);
}

// --- a stack for the handler: the fiber's own may be what overflowed -----------------------------

typedef struct signal_stack {
    stack_t before;
    _Alignas(16) char stack[SIGNAL_STACK];
} signal_stack;

void *nmemu_signal_stack_on(void)
{
    signal_stack *s = malloc(sizeof *s);
    if (!s)
        return NULL; // then a fault is the process's end, as everywhere
    stack_t mine = {.ss_sp = s->stack, .ss_size = SIGNAL_STACK};
    sigaltstack(&mine, &s->before);
    return s;
}

void nmemu_signal_stack_off(void *stack)
{
    signal_stack *s = stack;
    if (!s)
        return;
    sigaltstack(&s->before, NULL);
    free(s);
}
