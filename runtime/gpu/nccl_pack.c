// How operands lie, as NCCL wants them: members' blocks one behind the other.
#include "runtime/gpu/nccl.h"

enum { LINE = 256 }; // bytes: what operands begin at

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

static void copy(nmrt_device *d, char *to, const char *from, int64_t bytes)
{
    nmrt_gpu_must(d,
                  d->api->cuMemcpyDtoDAsync((CUdeviceptr)(uintptr_t)to,
                                            (CUdeviceptr)(uintptr_t)from, (size_t)bytes,
                                            d->nccl->stream),
                  "a copy on the GPU failed");
}

typedef struct blocks { // members' blocks, one behind the other, and the whole that they are parts
                        // of
    char *apart, *whole;
    bool joins; // the whole is written
} blocks;

// Member i's rows [from, from + n) of the whole, which begin at row `at` of its block.
static void copy_rows(nmrt_device *d, const nmrt_exchange *x, const blocks *b, int i, int64_t at,
                      nmrt_piece rows)
{
    int64_t width = nmrt_gpu_bytes_of(x, x->inner), all = x->len * x->group.n;
    for (int64_t o = 0; o < x->outer && rows.n; o++) {
        char *apart = b->apart + ((i * x->outer + o) * x->len + at) * width,
             *whole = b->whole + (o * all + rows.from) * width;
        copy(d, b->joins ? whole : apart, b->joins ? apart : whole, rows.n * width);
    }
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
