// How operands lie, as NCCL wants them: members' blocks one behind the other.
#include "runtime/gpu/nccl.h"

enum { LINE = 256, MOST_PITCH = INT32_MAX }; // bytes: what operands begin at; that CUDA takes

// NCCL has members' blocks one behind the other; the larger side has them within each of `outer`.
bool nmrt_gpu_is_mixed(const nmrt_exchange *x)
{
    bool blocks = x->kind == NMDRV_REDUCE_SCATTER || x->kind == NMDRV_ALL_GATHER;
    return blocks && (x->outer > 1 || x->piece);
}

static int64_t larger_bytes(const nmrt_exchange *x)
{
    return nmrt_gpu_bytes_of(x, x->outer * x->len * x->inner * x->group.n);
}

int64_t nmrt_gpu_pack_bytes(const nmrt_exchange *x)
{
    return nmrt_gpu_is_mixed(x) ? (larger_bytes(x) + LINE - 1) / LINE * LINE : 0;
}

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

nmrt_status nmrt_gpu_pack_room(nmrt_device *d, const nmrt_exchange *x, int n, nmrt_error *e)
{
    nmrt_gpu_nccl *t = d->nccl;
    int64_t bytes = 0;
    void *at = NULL;
    for (int i = 0; i < n; i++)
        bytes += nmrt_gpu_pack_bytes(&x[i]);
    if (bytes <= t->scratch_bytes)
        return NMRT_OK;
    nmrt_gpu_must(d, d->api->cuStreamSynchronize(t->stream), "a collective failed");
    nmrt_gpu_free(d, t->scratch, t->scratch_bytes);
    t->scratch = NULL;
    t->scratch_bytes = 0;
    NMRT_TRY(nmrt_gpu_alloc(d, bytes, &at, e));
    nmrt_gpu_must(d, d->api->cuStreamSynchronize(d->stream), "filling a buffer failed");
    t->scratch = at;
    t->scratch_bytes = bytes;
    return NMRT_OK;
}

void nmrt_gpu_pack(nmrt_device *d, const nmrt_exchange *x, int n, nmdrv_collective_kind kind)
{
    char *scratch = d->nccl->scratch;
    for (int i = 0; i < n; i++) {
        bool joins = x[i].kind == NMDRV_ALL_GATHER;
        char *whole = joins ? x[i].out : (char *)(uintptr_t)x[i].in;
        if (nmrt_gpu_is_mixed(&x[i]) && x[i].kind == kind)
            rearrange(d, &x[i], &(blocks){scratch, whole, joins});
        scratch += nmrt_gpu_pack_bytes(&x[i]);
    }
}
