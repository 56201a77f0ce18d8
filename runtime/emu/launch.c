// A device and its launches. CPU threads take the blocks of a grid in order, so that all blocks
// before a misuse are run to their end and the first of several is the one reported, however many
// threads there are.
#include "runtime/emu/launch.h"

#include "runtime/emu/block.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

nmemu *nmemu_new(int workers)
{
    nmemu *m = calloc(1, sizeof *m);
    if (!m)
        return NULL;
    pthread_mutex_init(&m->lock, NULL);
    m->n_workers = workers < 1 ? 1 : workers > NMEMU_MAX_WORKERS ? NMEMU_MAX_WORKERS : workers;
    for (int i = 0; i < m->n_workers; i++)
        if (!(m->worker[i].block = nmemu_block_new(m, i))) {
            nmemu_free(m);
            return NULL;
        }
    return m;
}

void nmemu_free(nmemu *m)
{
    if (!m)
        return;
    for (int i = 0; i < m->n_workers; i++)
        nmemu_block_free(m->worker[i].block);
    nmemu_free_buffers(m);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

bool nmemu_is_oldest(const nmemu_block *b)
{
    const nmemu *m = b->machine;
    u64 mine = atomic_load(&m->worker[b->worker].index);
    for (int i = 0; i < m->n_workers; i++)
        if (atomic_load(&m->worker[i].index) < mine)
            return false;
    return true;
}

// The next block or UINT64_MAX, written down as this worker's before anybody could take a later
// one.
static u64 take_block(nmemu *m, int worker)
{
    pthread_mutex_lock(&m->lock);
    u64 index = m->next < m->end ? m->next++ : UINT64_MAX;
    atomic_store(&m->worker[worker].index, index);
    pthread_mutex_unlock(&m->lock);
    return index;
}

// No block behind the first misuse is started; those before it are all taken already.
static void stop_at(nmemu *m, u64 index, const nmemu_block *b)
{
    pthread_mutex_lock(&m->lock);
    m->end = m->next;
    if (index < m->failed_at) {
        m->failed_at = index;
        m->pc = b->pc;
        memcpy(m->error, b->error, sizeof m->error);
    }
    pthread_mutex_unlock(&m->lock);
}

typedef struct job {
    nmemu *m;
    int worker;
} job;

static void *work(void *user)
{
    const job *j = user;
    nmemu_block *b = j->m->worker[j->worker].block;
    void *stack = nmemu_signal_stack_on();
    b->stats = (nmemu_stats){0};
    u64 index;
    while ((index = take_block(j->m, j->worker)) != UINT64_MAX)
        if (!nmemu_block_run(b, j->m->launch, index))
            stop_at(j->m, index, b);
    nmemu_signal_stack_off(stack);
    return NULL;
}

static const char *refuse(const nmemu_launch *l)
{
    if (!l->threads || l->threads % 32 || l->threads > NMEMU_THREADS)
        return "a block has a multiple of 32 threads, at most 1024";
    if (l->shared_bytes > NMEMU_SHARED_MAX)
        return "a block has at most 227 KiB of shared memory";
    if (l->registers > 255)
        return "a thread has at most 255 registers";
    if (l->grid[1] > 65535 || l->grid[2] > 65535 || l->grid[0] > INT32_MAX)
        return "a grid has at most 2^31 - 1, 65535 and 65535 blocks";
    if (!l->grid[0] || !l->grid[1] || !l->grid[2])
        return "a grid has at least one block";
    return NULL;
}

// Workers as threads beside the caller; one that cannot be had is done without.
static void run_workers(nmemu *m)
{
    pthread_t thread[NMEMU_MAX_WORKERS];
    job jobs[NMEMU_MAX_WORKERS];
    int n = 1, wanted = m->blocks < (u64)m->n_workers ? (int)m->blocks : m->n_workers;
    for (int i = 0; i < m->n_workers; i++) {
        jobs[i] = (job){m, i};
        atomic_store(&m->worker[i].index, UINT64_MAX);
        m->worker[i].block->stats = (nmemu_stats){0};
    }
    for (; n < wanted; n++)
        if (pthread_create(&thread[n], NULL, work, &jobs[n]))
            break;
    work(&jobs[0]);
    for (int i = 1; i < n; i++)
        pthread_join(thread[i], NULL);
}

static void add_stats(const nmemu *m, nmemu_stats *sum)
{
    *sum = (nmemu_stats){0};
    for (int i = 0; i < m->n_workers; i++) {
        const nmemu_stats *s = &m->worker[i].block->stats;
        sum->blocks += s->blocks;
        sum->switches += s->switches;
        sum->wgmmas += s->wgmmas;
        sum->copied_bytes += s->copied_bytes;
    }
}

// The same place need not be looked up twice.
static const char *add_line(nmemu *m)
{
    u64 n = strlen(m->error);
    if (m->pc && m->pc != m->line_pc && !nmemu_line_of(m->pc, m->line, sizeof m->line))
        m->line[0] = 0;
    m->line_pc = m->pc;
    if (m->pc && m->line[0])
        snprintf(m->error + n, sizeof m->error - n, "\n  at %s", m->line);
    return m->error;
}

const char *nmemu_run(nmemu *m, const nmemu_launch *launch, nmemu_stats *stats)
{
    const char *refused = refuse(launch);
    if (refused) {
        snprintf(m->error, sizeof m->error, "kernel %s: %s", launch->name, refused);
        return m->error;
    }
    m->launch = launch;
    m->next = 0;
    m->blocks = m->end = (u64)launch->grid[0] * launch->grid[1] * launch->grid[2];
    m->failed_at = UINT64_MAX;
    nmemu_faults_on();
    run_workers(m);
    nmemu_faults_off();
    if (stats)
        add_stats(m, stats);
    if (m->failed_at != UINT64_MAX)
        return add_line(m);
    const char *spilled = nmemu_check_edges(m);
    if (spilled)
        snprintf(m->error, sizeof m->error, "kernel %s: %s", launch->name, spilled);
    return spilled ? m->error : NULL;
}
