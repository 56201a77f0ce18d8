// Items through threads, in order: a ring. The calling thread reads into free places while there
// are any, else it writes the oldest as soon as that is done.
#include "runtime/corpus/ordered.h"

#include <pthread.h>
#include <stdlib.h>

typedef enum { FREE, READ, TAKEN, DONE } state;

typedef struct place { // of the ring
    state state;
    nmrt_status status; // of its work
    nmrt_error error;
} place;

typedef struct ring {
    const nmrt_ordered *o;
    place *place; // [n_items]
    long oldest, next_work,
        next_read; // items, counted from the start: oldest <= next_work <= next_read
    bool closed;
    pthread_mutex_t lock;
    pthread_cond_t has_work, is_done;
} ring;

typedef struct worker {
    ring *ring;
    int index;
    pthread_t thread;
} worker;

static int slot(const ring *r, long i) { return (int)(i % r->o->n_items); }
static void *item_of(const ring *r, long i)
{
    return (char *)r->o->item + (size_t)slot(r, i) * r->o->item_bytes;
}

static void *run_worker(void *argument)
{
    worker *w = argument;
    ring *r = w->ring;
    pthread_mutex_lock(&r->lock);
    for (;;) {
        while (!r->closed && r->next_work == r->next_read)
            pthread_cond_wait(&r->has_work, &r->lock);
        if (r->closed)
            break;
        long i = r->next_work++;
        place *p = &r->place[slot(r, i)];
        p->state = TAKEN;
        pthread_mutex_unlock(&r->lock);
        p->status = r->o->work(r->o->user, w->index, item_of(r, i), &p->error);
        pthread_mutex_lock(&r->lock);
        p->state = DONE;
        if (i == r->oldest)
            pthread_cond_signal(&r->is_done);
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

// --- the calling thread --------------------------------------------------------------------------

static nmrt_status read_one(ring *r, bool *end, nmrt_error *e)
{
    NMRT_TRY(r->o->read(r->o->user, item_of(r, r->next_read), end, e));
    if (*end)
        return NMRT_OK;
    pthread_mutex_lock(&r->lock);
    r->place[slot(r, r->next_read++)].state = READ;
    pthread_cond_signal(&r->has_work);
    pthread_mutex_unlock(&r->lock);
    return NMRT_OK;
}

// Writes the oldest; waits for it if `wait`. *written: it was there.
static nmrt_status write_one(ring *r, bool wait, bool *written, nmrt_error *e)
{
    place *p = &r->place[slot(r, r->oldest)];
    pthread_mutex_lock(&r->lock);
    while (wait && p->state != DONE)
        pthread_cond_wait(&r->is_done, &r->lock);
    *written = p->state == DONE;
    pthread_mutex_unlock(&r->lock);
    if (!*written)
        return NMRT_OK;
    if (p->status != NMRT_OK)
        *e = p->error;
    nmrt_status status = p->status;
    if (status == NMRT_OK)
        status = r->o->write(r->o->user, item_of(r, r->oldest), e);
    pthread_mutex_lock(&r->lock);
    p->state = FREE;
    r->oldest++;
    pthread_mutex_unlock(&r->lock);
    return status;
}

static nmrt_status move_items(ring *r, nmrt_error *e)
{
    nmrt_status unread = NMRT_OK; // why reading ended early: told when all before is written
    nmrt_error why;
    for (bool end = false; !end || r->oldest < r->next_read;) {
        bool full = r->next_read - r->oldest == r->o->n_items, written = true;
        if (!end && !full) {
            unread = read_one(r, &end, &why);
            end = end || unread != NMRT_OK;
        }
        for (bool wait = full; written && r->oldest < r->next_read; wait = false)
            NMRT_TRY(write_one(r, wait || end, &written, e));
    }
    if (unread != NMRT_OK)
        *e = why;
    return unread;
}

static int start_workers(ring *r, worker *w)
{
    int n = 0;
    for (; n < r->o->workers; n++) {
        w[n] = (worker){.ring = r, .index = n};
        if (pthread_create(&w[n].thread, NULL, run_worker, &w[n]))
            break;
    }
    return n;
}

static void end_workers(ring *r, worker *w, int n)
{
    pthread_mutex_lock(&r->lock);
    r->closed = true;
    pthread_cond_broadcast(&r->has_work);
    pthread_mutex_unlock(&r->lock);
    for (int i = 0; i < n; i++)
        pthread_join(w[i].thread, NULL);
}

nmrt_status nmrt_ordered_run(const nmrt_ordered *o, nmrt_error *e)
{
    ring r = {.o = o,
              .place = calloc((size_t)o->n_items, sizeof *r.place),
              .lock = PTHREAD_MUTEX_INITIALIZER,
              .has_work = PTHREAD_COND_INITIALIZER,
              .is_done = PTHREAD_COND_INITIALIZER};
    worker *w = calloc((size_t)o->workers, sizeof *w);
    nmrt_status status = NMRT_OK;
    if (!r.place || !w)
        status = nmrt_fail(e, NMRT_WORLD, "no memory for %d workers", o->workers);
    int started = status == NMRT_OK ? start_workers(&r, w) : 0;
    if (status == NMRT_OK && !started)
        status = nmrt_fail(e, NMRT_WORLD, "cannot start a thread");
    if (status == NMRT_OK)
        status = move_items(&r, e);
    end_workers(&r, w, started);
    free(r.place);
    free(w);
    return status;
}
