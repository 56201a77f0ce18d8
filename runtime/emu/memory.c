// Device memory: each buffer ends where inaccessible pages begin, and starts behind some, so that
// leaving it faults (fault.c). What alignment leaves over on its own pages is filled with a pattern
// and looked at after each launch. Released buffers keep their addresses, without memory, for as
// long as the device lives.
#define _GNU_SOURCE
#include "runtime/emu/launch.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    PAGE = 4096,
    GUARD = 1 << 20, // bytes on either side that nobody may touch: addresses alone, no memory
    EDGE = 0xa5,
    ALIGN = 16,
};

static u64 round_up(u64 x, u64 to) { return (x + to - 1) / to * to; }

static char *first_page(const nmemu_buffer *u) { return u->pages + GUARD; }
static char *last_page_end(const nmemu_buffer *u) { return u->pages + u->mapped - GUARD; }

static bool map_buffer(nmemu_buffer *u, u64 align)
{
    u64 inner = round_up(u->bytes ? u->bytes : 1, PAGE);
    u->mapped = inner + 2 * (u64)GUARD;
    u->pages = mmap(NULL, u->mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (u->pages == MAP_FAILED)
        return false;
    if (mprotect(first_page(u), inner, PROT_READ | PROT_WRITE)) {
        munmap(u->pages, u->mapped);
        return false;
    }
    u->start = last_page_end(u) - round_up(u->bytes, align);
    memset(first_page(u), EDGE, (u64)(u->start - first_page(u)));
    memset(u->start, 0xff, u->bytes);
    memset(u->start + u->bytes, EDGE, (u64)(last_page_end(u) - u->start) - u->bytes);
    return true;
}

static void free_record(nmemu_buffer *u)
{
    if (u)
        free(u->name);
    free(u);
}

void *nmemu_alloc(nmemu *m, uint64_t bytes, const char *name)
{
    return nmemu_alloc_aligned(m, bytes, ALIGN, name);
}

void *nmemu_alloc_aligned(nmemu *m, uint64_t bytes, uint64_t align, const char *name)
{
    nmemu_buffer *u = calloc(1, sizeof *u);
    if (!u || !(u->name = strdup(name)) || (u->bytes = bytes, !map_buffer(u, align))) {
        free_record(u);
        return NULL;
    }
    pthread_mutex_lock(&m->lock);
    u->next = atomic_load(&m->buffers);
    atomic_store(&m->buffers, u); // whole: a fault's report may walk the list meanwhile
    pthread_mutex_unlock(&m->lock);
    return u->start;
}

void nmemu_release(nmemu *m, void *buffer)
{
    pthread_mutex_lock(&m->lock);
    for (nmemu_buffer *u = atomic_load(&m->buffers); buffer && u; u = u->next)
        if (u->start == buffer && !u->released) {
            u->released = true;
            mmap(u->pages, u->mapped, PROT_NONE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
        }
    pthread_mutex_unlock(&m->lock);
}

void nmemu_free_buffers(nmemu *m)
{
    for (nmemu_buffer *u = atomic_load(&m->buffers), *next; u; u = next) {
        next = u->next;
        munmap(u->pages, u->mapped);
        free_record(u);
    }
}

// --- reports -------------------------------------------------------------------------------------

bool nmemu_describe(const nmemu *m, const void *address, char *text, unsigned long room)
{
    const char *a = address;
    for (const nmemu_buffer *u = atomic_load(&m->buffers); u; u = u->next) {
        if (a < u->pages || a >= u->pages + u->mapped)
            continue;
        long offset = a - u->start;
        if (u->released)
            snprintf(text, room, "offset %ld of buffer %s (%lu bytes), which was released", offset,
                     u->name, u->bytes);
        else
            snprintf(text, room, "offset %ld of buffer %s, which has %lu bytes", offset, u->name,
                     u->bytes);
        return true;
    }
    return false;
}

void nmemu_name(nmemu *m, void *buffer, const char *name)
{
    for (nmemu_buffer *u = atomic_load(&m->buffers); u; u = u->next) {
        char *copy = u->start == buffer && !u->released ? strdup(name) : NULL;
        if (!copy)
            continue;
        free(u->name);
        u->name = copy;
    }
}

bool nmemu_is_start(const nmemu *m, const void *at)
{
    for (const nmemu_buffer *u = atomic_load(&m->buffers); u; u = u->next)
        if (u->start == at && !u->released)
            return true;
    return false;
}

bool nmemu_holds(const nmemu *m, const void *at, uint64_t bytes, char *words, uint64_t room)
{
    const char *a = at;
    char place[256];
    for (const nmemu_buffer *u = atomic_load(&m->buffers); u; u = u->next)
        if (!u->released && a >= u->start && bytes <= u->bytes &&
            (u64)(a - u->start) <= u->bytes - bytes)
            return true;
    if (!bytes)
        return true;
    if (nmemu_describe(m, at, place, sizeof place))
        snprintf(words, room, "%lu bytes at %s", bytes, place);
    else
        snprintf(words, room, "%lu bytes at %p, where no buffer is", bytes, at);
    return false;
}

static const char *changed(const char *from, const char *to)
{
    if (from == to || (*(const u8 *)from == EDGE && !memcmp(from, from + 1, (u64)(to - from) - 1)))
        return NULL; // most of the time: all bytes are as the first
    for (; from < to; from++)
        if (*(const u8 *)from != EDGE)
            return from;
    return NULL;
}

const char *nmemu_check_edges(nmemu *m)
{
    for (nmemu_buffer *u = atomic_load(&m->buffers); u; u = u->next) {
        if (u->released)
            continue;
        const char *at = changed(first_page(u), u->start);
        if (!at)
            at = changed(u->start + u->bytes, last_page_end(u));
        if (!at)
            continue;
        char place[256];
        nmemu_describe(m, at, place, sizeof place);
        snprintf(m->edge, sizeof m->edge, "somebody wrote at %s", place);
        memset(first_page(u), EDGE, (u64)(u->start - first_page(u)));
        memset(u->start + u->bytes, EDGE, (u64)(last_page_end(u) - u->start) - u->bytes);
        return m->edge;
    }
    return NULL;
}
