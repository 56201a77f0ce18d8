// wgmma: each thread leaves its operands in the warpgroup's ring and goes on; the product happens
// once all 128 have come by, at the last one's arrival or when a wait needs it, in order. Until the
// last wgmma that owns an accumulator is done, the threads' copies of it hold a pattern, so that a
// touch is seen. Products and sums are f32.
#include "runtime/emu/block.h"

#include <stdlib.h>
#include <string.h>

static const u32 POISON = 0x7fc0dead; // in the threads' accumulators while a wgmma owns them

static int d_row(int thread, int e)
{
    return thread / 32 * 16 + thread % 32 / 4 + 8 * (e >> 1 & 1);
}
static int d_column(int thread, int e) { return e / 4 * 8 + thread % 4 * 2 + (e & 1); }

void nmemu_start_groups(nmemu_block *b)
{
    for (u32 i = 0; i < b->n / 128; i++) {
        nmemu_warpgroup *g = &b->group[i];
        for (u32 k = 0; k < g->room; k++)
            g->ring[k].here = 0;
        for (int k = 0; k < g->n_acc; k++)
            g->acc[k]->uses = 0;
        g->done = 0;
    }
}

void nmemu_free_groups(nmemu_block *b)
{
    for (int i = 0; i < NMEMU_GROUPS; i++) {
        for (int k = 0; k < b->group[i].n_acc; k++)
            free(b->group[i].acc[k]);
        free(b->group[i].acc);
        free(b->group[i].ring);
    }
}

// --- operands in shared memory -------------------------------------------------------------------

typedef struct layout { // what a descriptor says
    u32 start, lead, stride;
    int mode;  // the swizzle: 0 none, 1 32 bytes, 2 64, 3 128
    bool mn;   // mn-major
    u32 width; // bytes of a row of the pattern
} layout;

static layout decode(u64 desc, bool mn, const char *what)
{
    static const int modes[] = {0, 3, 2, 1};
    int mode = modes[desc >> 62];
    layout l = {(u32)(desc & 0x3fff) << 4,
                (u32)(desc >> 16 & 0x3fff) << 4,
                (u32)(desc >> 32 & 0x3fff) << 4,
                mode,
                mn,
                16u << mode};
    if (desc >> 49 & 7)
        nmemu_fail("%s: a base offset is not emulated", what);
    if (mode && (l.start >> 7 & ((1u << mode) - 1)))
        nmemu_fail("%s: %#x is not in the first row of a swizzle pattern: align the tile or set "
                   "the base offset",
                   what, l.start);
    return l;
}

// Where the 8 elements along the major direction are: of rows (or columns) 8 m8.., k 8 k8.., line i
// of the eight.
static smem granule_at(const layout *l, u32 m8, u32 k8, u32 i)
{
    u32 run = l->mn && l->mode ? l->width / 16 : 1; // granules along mn in a row of the pattern
    u32 a = l->start + i * l->width;
    if (!l->mn)
        a += m8 * l->stride + (l->mode ? k8 * 16 : k8 * l->lead);
    else if (l->mode)
        a += m8 % run * 16 + m8 / run * l->lead + k8 * l->stride;
    else
        a += m8 * l->stride + k8 * l->lead;
    return nmemu_swizzle(a, l->mode);
}

// A warp need not wait for the others: operands are to be in place when the first one issues, and
// each warp must know.
static const u16 *read_granule(nmemu_block *b, u32 group, const nmemu_mma *m, smem a,
                               const char *what)
{
    const u16 *h = nmemu_for_async(a, 16, what);
    if (b->shadow[a / 16].stamp > m->stamp)
        nmemu_fail("%s: shared address %#x was written after the first warp had issued the wgmma",
                   what, a);
    for (u32 w = 0; w < 4; w++) {
        nmemu_in_order(a, 16, 4 * group + w, &m->seen[w], what);
        nmemu_read_by(a, 4 * group + w);
    }
    return h;
}

// `out` is a[mn][k] with rows of 16, or b[k][mn] with rows of 256.
static void read_operand(nmemu_block *b, u32 group, const nmemu_mma *m, bool is_a)
{
    const char *what = is_a ? "wgmma operand a" : "wgmma operand b";
    layout l = decode(is_a ? m->a_desc : m->b_desc, is_a ? m->a_mn : m->b_mn, what);
    u32 eights = (u32)(is_a ? 64 : m->n) / 8;
    for (u32 x = 0; x < 2 * eights * 8; x++) {
        u32 k8 = x / 8 / eights, m8 = x / 8 % eights, i = x % 8;
        const u16 *h = read_granule(b, group, m, granule_at(&l, m8, k8, i), what);
        for (u32 j = 0; j < 8; j++) {
            u32 mn = m8 * 8 + (l.mn ? j : i), k = k8 * 8 + (l.mn ? i : j);
            *(is_a ? &b->a[mn][k] : &b->b[k][mn]) = nmemu_from_bf16(h[j]);
        }
    }
}

static void operand_from_registers(nmemu_block *b, const nmemu_mma *m)
{
    for (int t = 0; t < 128; t++)
        for (int e = 0; e < 8; e++)
            b->a[d_row(t, e)][d_column(t, e)] =
                nmemu_from_bf16((u16)(m->a[t][e / 2] >> 16 * (e & 1)));
}

// --- the product ---------------------------------------------------------------------------------

enum {
    CHUNK = 64
}; // columns at a time: what the compiler keeps in registers; those beyond n are computed in vain

static void multiply_row(const float a[16], float (*const b)[256], float *d, int n, bool keep)
{
    for (int c = 0; c < n; c += CHUNK) {
        float sum[CHUNK] = {0};
        if (keep)
            memcpy(sum, d + c, sizeof sum);
        for (int k = 0; k < 16; k++)
            for (int j = 0; j < CHUNK; j++)
                sum[j] += a[k] * b[k][c + j];
        memcpy(d + c, sum, sizeof sum);
    }
}

static void give_back(nmemu_accum *acc)
{
    for (int t = 0; t < 128; t++)
        for (int e = 0; e < acc->n / 2; e++) {
            if (memcmp(&acc->d[t][e], &POISON, 4))
                nmemu_fail(
                    "thread %d of the warpgroup touched an accumulator while a wgmma was in flight",
                    t);
            acc->d[t][e] = acc->v[d_row(t, e)][d_column(t, e)];
        }
}

bool nmemu_run_one_mma(nmemu_block *b, u32 group)
{
    nmemu_warpgroup *g = &b->group[group];
    nmemu_mma *m = g->room ? &g->ring[g->done % g->room] : NULL;
    if (!m || m->here < 128)
        return false;
    if (m->in_registers)
        operand_from_registers(b, m);
    else
        read_operand(b, group, m, true);
    read_operand(b, group, m, false);
    for (int r = 0; r < 64; r++)
        multiply_row(b->a[r], b->b, m->acc->v[r], m->n, m->keep);
    if (!--m->acc->uses) // no other wgmma in flight owns it
        give_back(m->acc);
    m->here = 0;
    g->done++;
    b->stats.wgmmas++;
    nmemu_wake_all(b, NMEMU_IN_WGMMA, group, group * 128, group * 128 + 128);
    return true;
}

// --- issue ---------------------------------------------------------------------------------------

static nmemu_accum *new_accum(nmemu_warpgroup *g)
{
    nmemu_accum **more = realloc(g->acc, (u64)(g->n_acc + 1) * sizeof *more);
    if (more)
        g->acc = more;
    nmemu_accum *acc = more ? calloc(1, sizeof *acc) : NULL;
    if (!acc)
        nmemu_fail("wgmma: no memory for another accumulator in flight");
    return g->acc[g->n_acc++] = acc;
}

// The accumulator that the wgmma's first thread names: in flight already, or a free one.
static nmemu_accum *find_accum(nmemu_warpgroup *g, const float *d, u32 t, int n)
{
    nmemu_accum *acc = NULL;
    for (int i = 0; i < g->n_acc; i++) {
        if (g->acc[i]->uses && g->acc[i]->d[t] == d)
            return g->acc[i];
        if (!g->acc[i]->uses)
            acc = g->acc[i];
    }
    if (!acc)
        acc = new_accum(g);
    acc->n = n;
    memset(acc->d, 0, sizeof acc->d);
    return acc;
}

// Thread t's accumulators belong to the tensor core from here on.
static void take(nmemu_accum *acc, int n, float *d, u32 t)
{
    if (acc->n != n || (acc->d[t] && acc->d[t] != d))
        nmemu_fail("wgmma: threads of a warpgroup disagree on the accumulators");
    if (acc->d[t])
        return;
    acc->d[t] = d;
    for (int e = 0; e < n / 2; e++) {
        acc->v[d_row((int)t, e)][d_column((int)t, e)] = d[e];
        memcpy(&d[e], &POISON, 4);
    }
}

static void grow(nmemu_warpgroup *g, u32 newest)
{
    u32 room = g->room ? 2 * g->room : 16;
    nmemu_mma *ring = calloc(room, sizeof *ring);
    if (!ring)
        nmemu_fail("wgmma: no memory for another wgmma in flight");
    for (u32 i = g->done; i != newest; i++)
        ring[i % room] = g->ring[i % g->room];
    free(g->ring);
    g->ring = ring;
    g->room = room;
}

typedef struct request { // what a thread says
    int n, keep;
    float *d;
    const u32 *a;
    u64 a_desc, b_desc;
    bool a_mn, b_mn;
} request;

static bool agrees(const nmemu_mma *m, const request *r)
{
    return m->n == r->n && m->keep == r->keep && m->in_registers == (r->a != NULL) &&
           m->a_mn == r->a_mn && m->b_mn == r->b_mn && m->a_desc == r->a_desc &&
           m->b_desc == r->b_desc;
}

static void open_mma(nmemu_block *b, nmemu_warpgroup *g, nmemu_mma *m, const request *r)
{
    m->n = r->n;
    m->keep = r->keep;
    m->in_registers = r->a != NULL;
    m->a_mn = r->a_mn;
    m->b_mn = r->b_mn;
    m->a_desc = r->a_desc;
    m->b_desc = r->b_desc;
    m->acc = find_accum(g, r->d, b->cur % 128, r->n);
    m->acc->uses++;
    m->stamp = ++b->stamp;
    for (u32 w = 0; w < 4; w++)
        m->seen[w] = b->know[b->cur / 128 * 4 + w];
}

static void wgmma(request r)
{
    nmemu_block *b = nmemu_here;
    nmemu_fiber *f = &b->fiber[b->cur];
    u32 group = b->cur / 128, t = b->cur % 128;
    nmemu_warpgroup *g = &b->group[group];
    if (group >= b->n / 128)
        nmemu_fail("wgmma: warp %u is in no whole warpgroup", b->cur / 32);
    if (!f->mma_fenced)
        nmemu_fail("wgmma: no wgmma_fence since the registers were last free to be written");
    if (f->mma_issued - g->done >= g->room)
        grow(g, f->mma_issued);
    nmemu_mma *m = &g->ring[f->mma_issued++ % g->room];
    if (!m->here)
        open_mma(b, g, m, &r);
    else if (!agrees(m, &r))
        nmemu_fail("wgmma: threads of a warpgroup disagree on the shape or the descriptors");
    if (r.a)
        memcpy(m->a[t], r.a, 16);
    take(m->acc, r.n, r.d, t);
    if (t % 32 == 0)
        m->seen[t / 32] = b->know[b->cur / 32];
    if (++m->here == 128 && b->launch->mode == NMEMU_EAGER)
        nmemu_run_one_mma(b, group);
}

// --- the primitives ------------------------------------------------------------------------------

#define SHARED(width, suffix, mn_a, mn_b)                                                          \
    void wgmma_n##width##_##suffix(float d[width / 2], u64 a, u64 b, int keep)                     \
    {                                                                                              \
        wgmma((request){.n = width,                                                                \
                        .keep = keep,                                                              \
                        .d = d,                                                                    \
                        .a_desc = a,                                                               \
                        .b_desc = b,                                                               \
                        .a_mn = mn_a,                                                              \
                        .b_mn = mn_b});                                                            \
    }
#define REGISTERS(width, suffix, mn_b)                                                             \
    void wgmma_n##width##_##suffix(float d[width / 2], const u32 a[4], u64 b, int keep)            \
    {                                                                                              \
        wgmma((request){.n = width, .keep = keep, .d = d, .a = a, .b_desc = b, .b_mn = mn_b});     \
    }
#define ALL(width)                                                                                 \
    SHARED(width, kk, false, false)                                                                \
    SHARED(width, km, false, true)                                                                 \
    SHARED(width, mk, true, false)                                                                 \
    SHARED(width, mm, true, true)                                                                  \
    REGISTERS(width, rk, false)                                                                    \
    REGISTERS(width, rm, true)
ALL(16)
ALL(32)
ALL(64)
ALL(80)
ALL(96)
ALL(128)
ALL(192)
ALL(256)

void wgmma_fence(void) { nmemu_here->fiber[nmemu_here->cur].mma_fenced = true; }

void wgmma_commit(void)
{
    nmemu_fiber *f = &nmemu_here->fiber[nmemu_here->cur];
    f->mma_end[f->mma_groups++ % NMEMU_WAIT_GROUPS] = f->mma_issued;
}

void wgmma_wait(int n)
{
    nmemu_block *b = nmemu_here;
    nmemu_fiber *f = &b->fiber[b->cur];
    if (n < 0 || n >= NMEMU_WAIT_GROUPS)
        nmemu_fail("wgmma_wait(%d): 0..7", n);
    u32 upto =
        f->mma_groups > (u32)n ? f->mma_end[(f->mma_groups - (u32)n - 1) % NMEMU_WAIT_GROUPS] : 0;
    f->mma_fenced = false;
    while ((int)(upto - b->group[b->cur / 128].done) > 0)
        if (!nmemu_run_one_mma(b, b->cur / 128))
            nmemu_block_on(NMEMU_IN_WGMMA, "wgmma_wait", b->cur / 128, upto);
}

void keep_u32(u32 *a) { (void)a; }

void acc_ready(float *d, int n)
{
    for (int i = 0; i < n; i++)
        if (!memcmp(&d[i], &POISON, 4))
            nmemu_fail("acc_ready: a wgmma still owns accumulator %d: wait for it", i);
}
