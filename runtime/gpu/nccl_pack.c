// How operands lie, as NCCL wants them: members' blocks one behind the other.
#include "runtime/gpu/nccl.h"

enum { MOST_PITCH = INT32_MAX }; // bytes that CUDA takes

typedef struct rows { // n of them, `bytes` each
    char *at;
    int64_t pitch; // bytes from one to the next
} rows;

static CUresult copy_each(nmrt_device *d, rows to, rows from, int64_t bytes, int64_t n)
{
    CUresult r = CUDA_SUCCESS;
    for (int64_t i = 0; i < n && r == CUDA_SUCCESS; i++)
        r = d->api->cuMemcpyDtoDAsync((CUdeviceptr)(uintptr_t)(to.at + i * to.pitch),
                                      (CUdeviceptr)(uintptr_t)(from.at + i * from.pitch),
                                      (size_t)bytes, d->nccl->stream);
    return r;
}

static CUresult copy_at_once(nmrt_device *d, rows to, rows from, int64_t bytes, int64_t n)
{
    CUDA_MEMCPY2D k = {.srcMemoryType = CU_MEMORYTYPE_DEVICE,
                       .srcDevice = (CUdeviceptr)(uintptr_t)from.at,
                       .srcPitch = (size_t)from.pitch,
                       .dstMemoryType = CU_MEMORYTYPE_DEVICE,
                       .dstDevice = (CUdeviceptr)(uintptr_t)to.at,
                       .dstPitch = (size_t)to.pitch,
                       .WidthInBytes = (size_t)bytes,
                       .Height = (size_t)n};
    return d->api->cuMemcpy2DAsync(&k, d->nccl->stream);
}

// CUDA reserves itself to refuse pitches within a GPU that are not its own: then a row at a time.
static void copy(nmrt_device *d, rows to, rows from, int64_t bytes, int64_t n)
{
    nmrt_gpu_nccl *t = d->nccl;
    bool fits = to.pitch <= MOST_PITCH && from.pitch <= MOST_PITCH && !t->row_by_row;
    CUresult r = CUDA_SUCCESS;
    if (!bytes || !n)
        return;
    if (fits)
        r = copy_at_once(d, to, from, bytes, n);
    if (fits && r == CUDA_ERROR_INVALID_VALUE)
        t->row_by_row = true;
    if (!fits || t->row_by_row)
        r = copy_each(d, to, from, bytes, n);
    nmrt_gpu_must(d, r, "a copy on the GPU failed");
}

typedef struct blocks { // members' blocks, one behind the other, and the whole that they are parts
                        // of
    char *apart, *whole;
    bool joins; // the whole is written
} blocks;

// Member i's rows [from, from + n) of each of `outer` in the whole, which begin at row `at` of its
// block.
static void copy_rows(nmrt_device *d, const nmrt_exchange *x, const blocks *b, int i, int64_t at,
                      nmrt_piece part)
{
    int64_t width = nmrt_gpu_bytes_of(x, x->inner), block = x->len * width;
    rows apart = {b->apart + i * x->outer * block + at * width, block},
         whole = {b->whole + part.from * width, block * x->group.n};
    copy(d, b->joins ? whole : apart, b->joins ? apart : whole, part.n * width, x->outer);
}

static void rearrange(nmrt_device *d, const nmrt_exchange *x, const blocks *b)
{
    for (int i = 0; i < x->group.n; i++) {
        nmrt_piece all = {i * x->len, x->len};
        const nmrt_piece *p = x->piece ? &x->piece[(ptrdiff_t)2 * i] : &all;
        copy_rows(d, x, b, i, 0, p[0]);
        if (x->piece)
            copy_rows(d, x, b, i, p[0].n, p[1]);
    }
}

nmrt_status nmrt_gpu_pack_check(const nmrt_device *d, const nmrt_exchange *x, int n, nmrt_error *e)
{
    int64_t bytes = 0;
    for (int i = 0; i < n; i++)
        bytes += nmrt_exchange_apart(&x[i]);
    if (bytes <= d->nccl->scratch_bytes)
        return NMRT_OK;
    return nmrt_fail(e, NMRT_CORRUPT, "%s (%s): the memory plan has %s to rearrange it, not %s",
                     x->name, x->where, nmrt_bytes(d->nccl->scratch_bytes).s, nmrt_bytes(bytes).s);
}

void nmrt_gpu_pack(nmrt_device *d, const nmrt_exchange *x, int n, nmdrv_collective_kind kind)
{
    char *scratch = d->nccl->scratch;
    for (int i = 0; i < n; i++) {
        bool joins = x[i].kind == NMDRV_ALL_GATHER;
        char *whole = joins ? x[i].out : (char *)(uintptr_t)x[i].in;
        if (nmrt_exchange_apart(&x[i]) && x[i].kind == kind)
            rearrange(d, &x[i], &(blocks){scratch, whole, joins});
        scratch += nmrt_exchange_apart(&x[i]);
    }
}
