// Device memory and pinned host memory, copies and fills. Every allocation is a buffer of its own
// between inaccessible pages, filled with NaN. Copies from pageable host memory take it at the
// call; from pinned memory they read when they run, so that a buffer that is used again too early
// shows.
#include "runtime/emu/driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEVICE_ALIGN = 256, HOST_ALIGN = 4096, MOST_PITCH = INT32_MAX };

// --- device memory -------------------------------------------------------------------------------

CUresult nmemu_check_device(CUcontext c, const char *what, const void *at, uint64_t bytes)
{
    char words[512];
    if (nmemu_holds(c->machine, at, bytes, words, sizeof words))
        return CUDA_SUCCESS;
    return nmemu_say(CUDA_ERROR_INVALID_VALUE, "%s: %s", what, words);
}

static CUresult take(CUdeviceptr *at, size_t bytes)
{
    static uint64_t count;
    char name[64];
    if (!bytes)
        return nmemu_say(CUDA_ERROR_INVALID_VALUE, "0 bytes");
    if (bytes > nmemu_available_memory())
        return nmemu_say(CUDA_ERROR_OUT_OF_MEMORY, "this machine has not %zu bytes left", bytes);
    snprintf(name, sizeof name, "allocation %llu", (unsigned long long)++count);
    void *p = nmemu_alloc_aligned(nmemu_context()->machine, bytes, DEVICE_ALIGN, name);
    *at = (CUdeviceptr)p;
    return p ? CUDA_SUCCESS : nmemu_say(CUDA_ERROR_OUT_OF_MEMORY, "no memory");
}

static CUresult mem_alloc(CUdeviceptr *at, size_t bytes)
{
    CUresult r = nmemu_call_in_context("cuMemAlloc");
    r = r ? r : nmemu_check_unsafe();
    return nmemu_done(r ? r : take(at, bytes));
}

// As on a GPU, behind all work that may use it.
static CUresult give_back(CUdeviceptr at)
{
    CUcontext c = nmemu_context();
    if (!nmemu_is_start(c->machine, (const void *)at))
        return nmemu_say(CUDA_ERROR_INVALID_VALUE, "no buffer starts at 0x%llx", at);
    CUresult r = nmemu_wait_context(c);
    if (!r)
        nmemu_release(c->machine, (void *)at);
    return r;
}

static CUresult mem_free(CUdeviceptr at)
{
    CUresult r = nmemu_call_in_context("cuMemFree");
    r = r ? r : nmemu_check_unsafe();
    return nmemu_done(r || !at ? r : give_back(at));
}

static void name_buffer(CUdeviceptr at, const char *name)
{
    if (!nmemu_call_in_context("name"))
        nmemu_name(nmemu_context()->machine, (void *)at, name);
    nmemu_done(CUDA_SUCCESS);
}

// --- pinned memory -------------------------------------------------------------------------------

typedef struct pinned {
    struct pinned *next;
    char *at;
    size_t bytes;
    bool registered; // somebody else's memory
} pinned;

static pinned *pinned_buffers;

static pinned **find_pinned(const void *at)
{
    pinned **p = &pinned_buffers;
    while (*p && ((const char *)at < (*p)->at || (const char *)at >= (*p)->at + (*p)->bytes))
        p = &(*p)->next;
    return p;
}

static CUresult pin(void **at, size_t bytes)
{
    pinned *p = calloc(1, sizeof *p);
    if (!bytes || !p || posix_memalign(at, HOST_ALIGN, bytes)) {
        free(p);
        return bytes ? nmemu_say(CUDA_ERROR_OUT_OF_MEMORY, "no memory")
                     : nmemu_say(CUDA_ERROR_INVALID_VALUE, "0 bytes");
    }
    *p = (pinned){pinned_buffers, *at, bytes, false};
    pinned_buffers = p;
    return CUDA_SUCCESS;
}

static CUresult pin_given(char *at, size_t bytes)
{
    for (const pinned *p = pinned_buffers; p; p = p->next)
        if (p->at < at + bytes && at < p->at + p->bytes)
            return nmemu_say(CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED, "%p is pinned already",
                             (void *)p->at);
    pinned *p = bytes ? calloc(1, sizeof *p) : NULL;
    if (!p)
        return nmemu_say(CUDA_ERROR_INVALID_VALUE, "0 bytes, or no memory");
    *p = (pinned){pinned_buffers, at, bytes, true};
    pinned_buffers = p;
    return CUDA_SUCCESS;
}

static CUresult host_register(void *at, size_t bytes, unsigned int flags)
{
    CUresult r = nmemu_call_in_context("cuMemHostRegister");
    r = r ? r : nmemu_check_unsafe();
    (void)flags; // portable, mapped: here all memory is
    return nmemu_done(r ? r : pin_given(at, bytes));
}

static CUresult host_alloc(void **at, size_t bytes, unsigned int flags)
{
    CUresult r = nmemu_call_in_context("cuMemHostAlloc");
    r = r ? r : nmemu_check_unsafe();
    (void)flags; // portable, mapped, write-combined: here all memory is
    return nmemu_done(r ? r : pin(at, bytes));
}

static CUresult unpin(void *at, bool registered)
{
    pinned **p = find_pinned(at), *old = *p;
    if (!old || old->at != at || old->registered != registered)
        return nmemu_say(registered ? CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED
                                    : CUDA_ERROR_INVALID_VALUE,
                         "no such pinned buffer starts at %p", at);
    CUresult r = nmemu_wait_context(NULL);
    if (r)
        return r;
    *p = old->next;
    if (!registered)
        free(old->at);
    free(old);
    return CUDA_SUCCESS;
}

static CUresult host_free(void *at)
{
    CUresult r = nmemu_call("cuMemFreeHost");
    r = r ? r : nmemu_check_unsafe();
    return nmemu_done(r ? r : unpin(at, false));
}

static CUresult host_unregister(void *at)
{
    CUresult r = nmemu_call("cuMemHostUnregister");
    r = r ? r : nmemu_check_unsafe();
    return nmemu_done(r ? r : unpin(at, true));
}

// Is it host memory? A GPU would fault where the other kind is meant.
static CUresult check_host(CUcontext c, const char *what, const void *at, uint64_t bytes)
{
    char words[512];
    if (bytes && nmemu_holds(c->machine, at, 1, words, sizeof words))
        return nmemu_say(CUDA_ERROR_INVALID_VALUE, "%s is device memory", what);
    const pinned *p = *find_pinned(at);
    if (p && bytes > (size_t)(p->at + p->bytes - (const char *)at))
        return nmemu_say(CUDA_ERROR_INVALID_VALUE, "%s leaves its pinned buffer of %zu bytes", what,
                         p->bytes);
    return CUDA_SUCCESS;
}

// --- copies --------------------------------------------------------------------------------------

typedef struct copying {
    nmemu_work work;
    void *to;
    const void *from; // NULL: what follows
    uint64_t bytes;
    char staged[];
} copying;

static const char *do_copy(nmemu_work *w)
{
    copying *k = (copying *)w;
    memmove(k->to, k->from ? k->from : k->staged, k->bytes);
    return NULL;
}

static const nmemu_work_kind copies = {.run = do_copy};

static CUresult issue_copy(CUstream s, void *to, const void *from, uint64_t bytes, bool staged)
{
    copying *k = nmemu_work_new(&copies, sizeof *k + (staged ? bytes : 0));
    if (!k)
        return nmemu_say(CUDA_ERROR_OUT_OF_MEMORY, "no memory");
    k->to = to;
    k->from = staged ? NULL : from;
    k->bytes = bytes;
    if (staged)
        memcpy(k->staged, from, bytes);
    return nmemu_enqueue(s, &k->work);
}

static CUresult check_capture(CUstream s, bool is_pinned)
{
    if (is_pinned || !s->graph)
        return CUDA_SUCCESS;
    return nmemu_capture_spoil(s->graph, "a copy of pageable host memory is not captured");
}

static CUresult to_device(CUdeviceptr to, const void *from, size_t bytes, CUstream s)
{
    bool is_pinned = *find_pinned(from) != NULL;
    CUresult r = nmemu_check_stream(s);
    r = r ? r : nmemu_check_device(s->context, "the destination", (void *)to, bytes);
    r = r ? r : check_host(s->context, "the source", from, bytes);
    r = r ? r : check_capture(s, is_pinned);
    return r || !bytes ? r : issue_copy(s, (void *)to, from, bytes, !is_pinned);
}

static CUresult copy_in(CUdeviceptr to, const void *from, size_t bytes, CUstream s)
{
    CUresult r = nmemu_call_in_context("cuMemcpyHtoDAsync");
    return nmemu_done(r ? r : to_device(to, from, bytes, s));
}

// Into pageable memory it is done when the call returns.
static CUresult to_host(void *to, CUdeviceptr from, size_t bytes, CUstream s)
{
    bool is_pinned = *find_pinned(to) != NULL;
    CUresult r = nmemu_check_stream(s);
    r = r ? r : nmemu_check_device(s->context, "the source", (const void *)from, bytes);
    r = r ? r : check_host(s->context, "the destination", to, bytes);
    r = r ? r : check_capture(s, is_pinned);
    r = r || !bytes ? r : issue_copy(s, to, (const void *)from, bytes, false);
    return r || is_pinned ? r : nmemu_wait_stream(s);
}

static CUresult copy_out(void *to, CUdeviceptr from, size_t bytes, CUstream s)
{
    CUresult r = nmemu_call_in_context("cuMemcpyDtoHAsync");
    return nmemu_done(r ? r : to_host(to, from, bytes, s));
}

static CUresult inside(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream s)
{
    CUresult r = nmemu_check_stream(s);
    r = r ? r : nmemu_check_device(s->context, "the destination", (void *)to, bytes);
    r = r ? r : nmemu_check_device(s->context, "the source", (const void *)from, bytes);
    return r || !bytes ? r : issue_copy(s, (void *)to, (const void *)from, bytes, false);
}

static CUresult copy_inside(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream s)
{
    CUresult r = nmemu_call_in_context("cuMemcpyDtoDAsync");
    return nmemu_done(r ? r : inside(to, from, bytes, s));
}

// --- copies of rows ------------------------------------------------------------------------------

typedef struct copying_rows {
    nmemu_work work;
    CUDA_MEMCPY2D k;
} copying_rows;

static const char *do_copy_rows(nmemu_work *w)
{
    const CUDA_MEMCPY2D *k = &((copying_rows *)w)->k;
    for (size_t i = 0; i < k->Height; i++)
        memmove((char *)k->dstDevice + i * k->dstPitch,
                (const char *)k->srcDevice + i * k->srcPitch, k->WidthInBytes);
    return NULL;
}

static const nmemu_work_kind row_copies = {.run = do_copy_rows};

static CUresult check_rows(CUcontext c, const char *what, CUdeviceptr at, size_t pitch,
                           const CUDA_MEMCPY2D *k)
{
    if (pitch < k->WidthInBytes || pitch > MOST_PITCH)
        return nmemu_say(CUDA_ERROR_INVALID_VALUE, "%s: a pitch of %zu for rows of %zu bytes", what,
                         pitch, k->WidthInBytes);
    return nmemu_check_device(c, what, (const void *)at, (k->Height - 1) * pitch + k->WidthInBytes);
}

static CUresult rows(const CUDA_MEMCPY2D *k, CUstream s)
{
    bool device =
        k->srcMemoryType == CU_MEMORYTYPE_DEVICE && k->dstMemoryType == CU_MEMORYTYPE_DEVICE;
    CUresult r = nmemu_check_stream(s);
    if (!r && (!device || k->srcXInBytes || k->srcY || k->dstXInBytes || k->dstY))
        r = nmemu_say(CUDA_ERROR_NOT_SUPPORTED, "of rows, only whole device memory is emulated");
    if (r || !k->WidthInBytes || !k->Height)
        return r;
    r = check_rows(s->context, "the destination", k->dstDevice, k->dstPitch, k);
    r = r ? r : check_rows(s->context, "the source", k->srcDevice, k->srcPitch, k);
    copying_rows *w = r ? NULL : nmemu_work_new(&row_copies, sizeof *w);
    if (w)
        w->k = *k;
    return r ? r : nmemu_enqueue(s, (nmemu_work *)w);
}

static CUresult copy_rows(const CUDA_MEMCPY2D *k, CUstream s)
{
    CUresult r = nmemu_call_in_context("cuMemcpy2DAsync");
    return nmemu_done(r ? r : rows(k, s));
}

// --- fills ---------------------------------------------------------------------------------------

typedef struct filling {
    nmemu_work work;
    unsigned char *to;
    uint64_t n;
    uint32_t value;
    uint32_t width; // bytes: 1, 4
} filling;

static const char *do_fill(nmemu_work *w)
{
    filling *k = (filling *)w;
    if (k->width == 1)
        memset(k->to, (int)k->value, k->n);
    else
        for (uint64_t i = 0; i < k->n; i++)
            memcpy(k->to + 4 * i, &k->value, 4);
    return NULL;
}

static const nmemu_work_kind fills = {.run = do_fill};

static CUresult fill(CUdeviceptr at, uint32_t value, size_t n, uint32_t width, CUstream s)
{
    CUresult r = nmemu_check_stream(s);
    r = r ? r : nmemu_check_device(s->context, "the destination", (void *)at, n * width);
    if (!r && at % width)
        r = nmemu_say(CUDA_ERROR_INVALID_VALUE, "0x%llx is not a multiple of %u", at, width);
    if (r || !n)
        return r;
    filling *k = nmemu_work_new(&fills, sizeof *k);
    if (!k)
        return nmemu_say(CUDA_ERROR_OUT_OF_MEMORY, "no memory");
    k->to = (unsigned char *)at;
    k->n = n;
    k->value = value;
    k->width = width;
    return nmemu_enqueue(s, &k->work);
}

static CUresult fill_bytes(CUdeviceptr at, unsigned char value, size_t n, CUstream s)
{
    CUresult r = nmemu_call_in_context("cuMemsetD8Async");
    return nmemu_done(r ? r : fill(at, value, n, 1, s));
}

static CUresult fill_words(CUdeviceptr at, unsigned int value, size_t n, CUstream s)
{
    CUresult r = nmemu_call_in_context("cuMemsetD32Async");
    return nmemu_done(r ? r : fill(at, value, n, 4, s));
}

void nmemu_fill_memory(nmrt_gpu_api *t)
{
    t->cuMemAlloc = mem_alloc;
    t->cuMemFree = mem_free;
    t->name = name_buffer;
    t->cuMemHostAlloc = host_alloc;
    t->cuMemFreeHost = host_free;
    t->cuMemHostRegister = host_register;
    t->cuMemHostUnregister = host_unregister;
    t->cuMemcpyHtoDAsync = copy_in;
    t->cuMemcpyDtoHAsync = copy_out;
    t->cuMemcpyDtoDAsync = copy_inside;
    t->cuMemcpy2DAsync = copy_rows;
    t->cuMemsetD8Async = fill_bytes;
    t->cuMemsetD32Async = fill_words;
}
