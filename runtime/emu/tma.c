// TMA: boxes of tensors between global and swizzled shared memory. What lies outside of the tensor
// is read as zero and not written. The swizzle permutes 16-byte pieces by bits of their shared
// address (CuTe's Swizzle<1..3, 4, 3>).
#include "runtime/emu/block.h"

#include <string.h>

enum { MAGIC = 0x70616d74 };

// --- tensor maps ---------------------------------------------------------------------------------

static const char *refuse_dim(const nmemu_tensor *t, int i)
{
    if (!t->dim[i] || t->dim[i] > 1ul << 32)
        return "a dimension is 1..2^32";
    if (!t->box[i] || t->box[i] > 256)
        return "a box has 1..256 elements a dimension";
    if (i && (t->stride[i - 1] % 16 || t->stride[i - 1] >= 1ul << 40))
        return "a stride is a multiple of 16 bytes, below 2^40";
    return NULL;
}

static const char *refuse(const nmemu_tensor *t)
{
    u32 inner = t->box[0] * (u32)t->element_bytes;
    if (t->rank < 1 || t->rank > 5)
        return "rank is 1..5";
    if (t->element_bytes != 1 && t->element_bytes != 2 && t->element_bytes != 4 &&
        t->element_bytes != 8)
        return "an element has 1, 2, 4 or 8 bytes";
    if ((u64)t->base % 16)
        return "the tensor is not aligned to 16 bytes";
    for (int i = 0; i < t->rank; i++)
        if (refuse_dim(t, i))
            return refuse_dim(t, i);
    if (t->swizzle < 0 || t->swizzle > 3)
        return "a swizzle is 0..3";
    if (inner % 16)
        return "the box's inner dimension is not a multiple of 16 bytes";
    if (t->swizzle && inner > 16u << t->swizzle)
        return "the box's inner dimension is wider than the swizzle";
    return NULL;
}

const char *nmemu_tensor_map(void *map, const nmemu_tensor *t)
{
    const char *refused = refuse(t);
    if (refused)
        return refused;
    if ((u64)map % 64)
        return "the tensor map is not aligned to 64 bytes";
    nmemu_map m = {.magic = MAGIC,
                   .base = t->base,
                   .element = (u8)t->element_bytes,
                   .rank = (u8)t->rank,
                   .swizzle = (u8)t->swizzle};
    for (int i = 0; i < t->rank; i++) {
        m.dim[i] = t->dim[i];
        m.box[i] = t->box[i];
        m.stride[i] = i ? t->stride[i - 1] : (u64)t->element_bytes;
    }
    memset(map, 0, sizeof(tmap));
    memcpy(map, &m, sizeof m);
    return NULL;
}

static nmemu_map map_of(const tmap *t, int rank, const char *what)
{
    nmemu_map m;
    memcpy(&m, t, sizeof m);
    if (m.magic != MAGIC)
        nmemu_fail("%s: no tensor map at %p", what, (const void *)t);
    if (rank && m.rank != rank)
        nmemu_fail("%s: the tensor map has rank %d", what, m.rank);
    return m;
}

static u32 box_bytes(const nmemu_map *m)
{
    u32 n = m->element;
    for (int i = 0; i < m->rank; i++)
        n *= m->box[i];
    return n;
}

// --- copies --------------------------------------------------------------------------------------

typedef struct row { // of a box, in global memory
    char *at;
    long from, to; // the elements of it that lie inside the tensor
} row;

static row find_row(const nmemu_copy *c, u32 index)
{
    const nmemu_map *m = &c->map;
    long left = (long)m->dim[0] - c->x[0], width = m->box[0];
    row r = {m->base + (long)c->x[0] * m->element, c->x[0] < 0 ? -(long)c->x[0] : 0,
             left < width ? left : width};
    for (int i = 1; i < m->rank; i++) {
        long x = c->x[i] + (long)(index % m->box[i]);
        index /= m->box[i];
        if (x < 0 || x >= (long)m->dim[i])
            r.to = 0;
        r.at += x * (long)m->stride[i];
    }
    return r;
}

// Sixteen bytes of a row, from element `first` on, between `global` and `local`; those inside the
// tensor.
static void copy_piece(const row *r, long first, u32 element, char *local, bool load)
{
    long n = 16 / (long)element, from = r->from > first ? r->from : first,
         to = r->to < first + n ? r->to : first + n;
    if (load)
        memset(local, 0, 16);
    if (from >= to)
        return;
    char *global = r->at + from * (long)element, *here = local + (from - first) * (long)element;
    u64 bytes = (u64)(to - from) * element;
    if (load)
        memcpy(here, global, bytes);
    else
        memcpy(global, here, bytes);
}

void nmemu_tma_copy(nmemu_block *b, nmemu_copy *c, bool load)
{
    const nmemu_map *m = &c->map;
    u32 width = m->box[0] * m->element, rows = c->bytes / width;
    for (u32 i = 0; i < rows; i++) {
        row r = find_row(c, i);
        for (u32 x = 0; x < width; x += 16) {
            smem a = nmemu_swizzle(c->at + i * width + x, m->swizzle);
            char *local = load ? (char *)b->memory + a : c->data + i * width + x;
            copy_piece(&r, x / m->element, m->element, local, load);
            if (load)
                nmemu_engine_wrote(a);
        }
    }
}

static void check_tile(smem at, const nmemu_map *m, const char *what)
{
    u32 align = m->swizzle ? 128u << m->swizzle : 128;
    if (at % align)
        nmemu_fail("%s: shared address %#x is not aligned to %u, the swizzle's period", what, at,
                   align);
}

static void load(smem to, const tmap *t, smem bar, int rank, const int x[5], const char *what)
{
    nmemu_copy c = {
        .kind = NMEMU_TMA_LOAD, .what = what, .at = to, .bar = bar, .map = map_of(t, rank, what)};
    c.bytes = box_bytes(&c.map);
    memcpy(c.x, x, sizeof c.x);
    check_tile(to, &c.map, what);
    nmemu_mbar_check(bar, what);
    nmemu_will_write(to, c.bytes, what);
    nmemu_here->stats.copied_bytes += c.bytes;
    nmemu_issue(c);
}

static void store(const tmap *t, smem from, int rank, const int x[5], const char *what)
{
    const nmemu_block *b = nmemu_here;
    nmemu_copy c = {
        .kind = NMEMU_TMA_STORE, .what = what, .at = from, .map = map_of(t, rank, what)};
    c.bytes = box_bytes(&c.map);
    c.group = b->fiber[b->cur].bulk_groups;
    memcpy(c.x, x, sizeof c.x);
    check_tile(from, &c.map, what);
    nmemu_will_read(from, c.bytes, what);
    nmemu_issue(c);
}

// --- the primitives ------------------------------------------------------------------------------

#define X(...) ((const int[5]){__VA_ARGS__})
void tma_load_1d(smem to, const tmap *m, smem bar, int x)
{
    load(to, m, bar, 1, X(x), "tma_load_1d");
}
void tma_load_2d(smem to, const tmap *m, smem bar, int x, int y)
{
    load(to, m, bar, 2, X(x, y), "tma_load_2d");
}
void tma_load_3d(smem to, const tmap *m, smem bar, int x, int y, int z)
{
    load(to, m, bar, 3, X(x, y, z), "tma_load_3d");
}
void tma_load_4d(smem to, const tmap *m, smem bar, int x, int y, int z, int w)
{
    load(to, m, bar, 4, X(x, y, z, w), "tma_load_4d");
}
void tma_load_5d(smem to, const tmap *m, smem bar, int x, int y, int z, int w, int v)
{
    load(to, m, bar, 5, X(x, y, z, w, v), "tma_load_5d");
}
void tma_store_1d(const tmap *m, smem from, int x) { store(m, from, 1, X(x), "tma_store_1d"); }
void tma_store_2d(const tmap *m, smem from, int x, int y)
{
    store(m, from, 2, X(x, y), "tma_store_2d");
}
void tma_store_3d(const tmap *m, smem from, int x, int y, int z)
{
    store(m, from, 3, X(x, y, z), "tma_store_3d");
}
void tma_store_4d(const tmap *m, smem from, int x, int y, int z, int w)
{
    store(m, from, 4, X(x, y, z, w), "tma_store_4d");
}
void tma_store_5d(const tmap *m, smem from, int x, int y, int z, int w, int v)
{
    store(m, from, 5, X(x, y, z, w, v), "tma_store_5d");
}
void tma_prefetch(const tmap *m) { map_of(m, 0, "tma_prefetch"); }
