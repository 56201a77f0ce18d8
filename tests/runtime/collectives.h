// Any communicator of several ranks against plain loops, to the last bit: every collective, dtype
// and group size, shapes of one element and of many lines, zigzag pieces, batches, subgroups, and
// messages. all_checks is a rank's body.
#ifndef NMRT_TEST_COLLECTIVES_H
#define NMRT_TEST_COLLECTIVES_H

#include "runtime/dtype.h"

#include "tests/runtime/ranks.h"

#include <stdlib.h>

enum { MOST = 1 << 17 }; // elements of the larger side

typedef struct shape {
    int64_t outer, len, inner;
} shape;
static const shape shapes[] = {{1, 1, 1},  {3, 2, 5},    {1, 6, 1},   {2, 4, 33},   {1, 8, 256},
                               {5, 2, 64}, {1, 9000, 1}, {3, 70, 24}, {200, 2, 11}, {1, 2, 7001}};
static const nmdrv_dtype dtypes[] = {NMDRV_F64, NMDRV_F32, NMDRV_BF16, NMDRV_I64,
                                     NMDRV_I32, NMDRV_I16, NMDRV_I8,   NMDRV_U8};

// --- the expectation ---------------------------------------------------------------------------

static void put(nmdrv_dtype dtype, void *at, int64_t i, double x)
{
    switch (dtype) {
    case NMDRV_F64: ((double *)at)[i] = x; break;
    case NMDRV_F32: ((float *)at)[i] = (float)x; break;
    case NMDRV_BF16: {
        union {
            float f;
            uint32_t u;
        } v = {(float)x};
        ((uint16_t *)at)[i] = (uint16_t)((v.u + 0x7FFF + (v.u >> 16 & 1)) >> 16);
        break;
    }
    case NMDRV_I64: ((int64_t *)at)[i] = (int64_t)x; break;
    case NMDRV_I32: ((int32_t *)at)[i] = (int32_t)x; break;
    case NMDRV_I16: ((int16_t *)at)[i] = (int16_t)x; break;
    case NMDRV_I8: ((int8_t *)at)[i] = (int8_t)x; break;
    default: ((uint8_t *)at)[i] = (uint8_t)x;
    }
}

static double get(nmdrv_dtype dtype, const void *at, int64_t i)
{
    switch (dtype) {
    case NMDRV_F64: return ((const double *)at)[i];
    case NMDRV_F32: return (double)((const float *)at)[i];
    case NMDRV_BF16: {
        union {
            uint32_t u;
            float f;
        } v = {(uint32_t)((const uint16_t *)at)[i] << 16};
        return (double)v.f;
    }
    case NMDRV_I64: return (double)((const int64_t *)at)[i];
    case NMDRV_I32: return ((const int32_t *)at)[i];
    case NMDRV_I16: return ((const int16_t *)at)[i];
    case NMDRV_I8: return ((const int8_t *)at)[i];
    default: return ((const uint8_t *)at)[i];
    }
}

// What a rank gives: no integer sum of eight leaves its dtype, and floats round.
static double given(nmdrv_dtype dtype, int rank, int64_t i)
{
    int64_t k = (i * 2654435761u + rank * 40503u) >> 3;
    if (dtype == NMDRV_F64 || dtype == NMDRV_F32 || dtype == NMDRV_BF16)
        return (double)(k % 20011) / 7 - 1234.5;
    return (double)(k % 31 - (dtype == NMDRV_U8 ? 0 : 15));
}

// One addition or maximum as the communicator promises it: bf16 as f32.
static double join(const nmrt_exchange *x, double a, double b)
{
    if (x->max)
        return a > b ? a : b;
    return x->dtype == NMDRV_F64 ? a + b : (double)((float)a + (float)b);
}

static double given_by(const nmrt_exchange *x, int member, int64_t i)
{
    uint64_t one[1];
    put(x->dtype, one, 0, given(x->dtype, x->group.rank[member], i));
    return get(x->dtype, one, 0);
}

static double joined(const nmrt_exchange *x, int64_t i)
{
    double sum = given_by(x, 0, i);
    for (int k = 1; k < x->group.n; k++)
        sum = join(x, sum, given_by(x, k, i));
    return sum;
}

// Index along `over` of the larger side, where member k's a lies.
static int64_t large(const nmrt_exchange *x, int k, int64_t a)
{
    if (!x->piece)
        return k * x->len + a;
    const nmrt_piece *p = x->piece + 2 * k;
    return a < p[0].n ? p[0].from + a : p[1].from + a - p[0].n;
}

static int64_t at(const nmrt_exchange *x, int64_t o, int64_t len, int64_t a, int64_t i)
{
    return (o * len + a) * x->inner + i;
}

static bool is_flat(nmdrv_collective_kind kind)
{
    return kind == NMDRV_ALL_REDUCE || kind == NMDRV_ROTATE;
}

static void expect(const nmrt_exchange *x, void *out)
{
    int64_t len = x->len, whole = len * x->group.n;
    int next = (x->group.me + 1) % x->group.n;
    for (int64_t i = 0; is_flat(x->kind) && i < x->outer; i++)
        put(x->dtype, out, i, x->kind == NMDRV_ROTATE ? given_by(x, next, i) : joined(x, i));
    for (int64_t o = 0; !is_flat(x->kind) && o < x->outer; o++)
        for (int64_t a = 0; a < len; a++)
            for (int64_t i = 0; i < x->inner; i++)
                if (x->kind == NMDRV_REDUCE_SCATTER)
                    put(x->dtype, out, at(x, o, len, a, i),
                        joined(x, at(x, o, whole, large(x, x->group.me, a), i)));
                else
                    for (int k = 0; k < x->group.n; k++)
                        put(x->dtype, out, at(x, o, whole, large(x, k, a), i),
                            given_by(x, k, at(x, o, len, a, i)));
}

// --- one case ----------------------------------------------------------------------------------

typedef struct bench {
    nmrt_comm *c;
    void *in, *out, *wanted;
} bench;

static void fill(const bench *b, const nmrt_exchange *x, void *in, void *out)
{
    for (int64_t i = 0; i < nmrt_exchange_in(x); i++)
        put(x->dtype, in, i, given(x->dtype, b->c->rank, i));
    if (out != in)
        memset(out, 0xA5, (size_t)(nmrt_exchange_out(x) * nmrt_dtype(x->dtype)->bits / 8));
}

static void compare(const bench *b, const nmrt_exchange *x)
{
    expect(x, b->wanted);
    size_t bytes = (size_t)(nmrt_exchange_out(x) * nmrt_dtype(x->dtype)->bits / 8);
    bool same = memcmp(x->out, b->wanted, bytes) == 0;
    CHECK(same);
    if (!same)
        fprintf(stderr, "  kind %d dtype %s max %d group %d of %d shape %d %d %d pieces %d\n",
                (int)x->kind, nmrt_dtype(x->dtype)->name, x->max, x->group.me, x->group.n,
                (int)x->outer, (int)x->len, (int)x->inner, x->piece != NULL);
}

static void check_one(bench *b, nmrt_exchange *x, bool in_place)
{
    nmrt_error e = {.text = ""};
    CHECK(nmrt_exchange_in(x) <= MOST && nmrt_exchange_out(x) <= MOST);
    x->in = b->in;
    x->out = in_place ? b->in : b->out;
    fill(b, x, b->in, x->out);
    CHECK(b->c->run(b->c, x, &e) == NMRT_OK);
    compare(b, x);
}

// Several of a kind as one, all small or some large.
static void check_batch(bench *b, nmrt_exchange base, const shape *s, int n)
{
    enum { ROOM = MOST / 8 };
    nmrt_error e = {.text = ""};
    nmrt_exchange x[8];
    for (int i = 0; i < n; i++) {
        x[i] = base;
        x[i].dtype = dtypes[i % 3];
        x[i].outer = s[i].outer, x[i].len = s[i].len, x[i].inner = s[i].inner;
        x[i].in = (char *)b->in + i * ROOM * 8;
        x[i].out = (char *)b->out + i * ROOM * 8;
        CHECK(nmrt_exchange_in(&x[i]) <= ROOM && nmrt_exchange_out(&x[i]) <= ROOM);
        fill(b, &x[i], (char *)b->in + i * ROOM * 8, x[i].out);
    }
    CHECK(nmrt_comm_run_all(b->c, x, n, &e) == NMRT_OK);
    for (int i = 0; i < n; i++)
        compare(b, &x[i]);
}

static void check_batches(bench *b, nmrt_exchange x)
{
    static const shape small[] = {{1, 1, 1}, {3, 2, 5}, {1, 6, 1}, {5, 2, 4}},
                       mixed[] = {{3, 2, 5}, {1, 2000, 1}, {1, 1, 1}, {7, 25, 11}, {2, 4, 33}};
    for (int turn = 0; turn < 3; turn++) {
        check_batch(b, x, small, 4);
        check_batch(b, x, mixed, 5);
        check_batch(b, x, small + 1, 2);
    }
}

static void check_shapes(bench *b, nmrt_exchange x)
{
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        x.outer = shapes[i].outer, x.len = shapes[i].len, x.inner = shapes[i].inner;
        if (is_flat(x.kind))
            x.outer *= x.len * x.inner;
        if (x.kind == NMDRV_ALL_REDUCE)
            check_one(b, &x, true);
        check_one(b, &x, false);
    }
}

// The zigzag: member i has parts i and 2 n - 1 - i.
static void check_zigzag(bench *b, nmrt_exchange x)
{
    nmrt_piece piece[2 * NMRT_MAX_LOCAL];
    for (int64_t h = 1; h < 600; h *= 23) {
        for (int i = 0; i < x.group.n; i++) {
            piece[2 * i] = (nmrt_piece){i * h, h};
            piece[2 * i + 1] = (nmrt_piece){(2 * x.group.n - 1 - i) * h, h};
        }
        x.piece = piece;
        x.outer = 3, x.len = 2 * h, x.inner = 5;
        check_one(b, &x, false);
    }
}

static void check_group(bench *b, const int *rank, int n)
{
    nmrt_group group = {n, -1, rank, nmrt_group_id(rank, n)};
    for (int i = 0; i < n; i++)
        group.me = rank[i] == b->c->rank ? i : group.me;
    for (size_t d = 0; group.me >= 0 && d < sizeof dtypes / sizeof *dtypes; d++)
        for (int k = 0; k < 4; k++) {
            static const nmdrv_collective_kind kinds[] = {NMDRV_ALL_REDUCE, NMDRV_REDUCE_SCATTER,
                                                          NMDRV_ALL_GATHER, NMDRV_ROTATE};
            nmrt_exchange x = {.kind = kinds[k],
                               .dtype = dtypes[d],
                               .group = group,
                               .name = "test.x",
                               .where = "t.nm:1"};
            check_shapes(b, x);
            if (d == 0)
                check_batches(b, x);
            if (!is_flat(x.kind))
                check_zigzag(b, x);
            x.max = x.kind == NMDRV_ALL_REDUCE || x.kind == NMDRV_REDUCE_SCATTER;
            if (x.max)
                check_shapes(b, x);
        }
}

// --- messages ----------------------------------------------------------------------------------

// Each rank sends to all others, more than a channel holds, while the first still computes.
static void check_messages(nmrt_comm *c)
{
    enum { MESSAGES = 50, TAGS = 2 };
    nmrt_error e;
    int64_t word[512];
    for (int m = 0; m < MESSAGES; m++)
        for (int to = 0; to < c->ranks; to++)
            for (int tag = 0; tag < TAGS && to != c->rank; tag++) {
                int64_t n = 1 + (m * 7 + tag) % 512;
                for (int64_t i = 0; i < n; i++)
                    word[i] = ((c->rank * 8 + to) * 2 + tag) * 100000 + m * 1000 + i;
                CHECK(c->send(c, to, tag, word, n * 8, "words", "", &e) == NMRT_OK);
            }
    if (c->rank == 0)
        usleep(20000);
    for (int tag = TAGS - 1; tag >= 0; tag--) // each channel by itself
        for (int from = c->ranks - 1; from >= 0; from--)
            for (int m = 0; m < MESSAGES && from != c->rank; m++) {
                int64_t n = 1 + (m * 7 + tag) % 512;
                CHECK(c->recv(c, from, tag, word, n * 8, "words", "", &e) == NMRT_OK);
                for (int64_t i = 0; i < n; i++)
                    CHECK(word[i] == ((from * 8 + c->rank) * 2 + tag) * 100000 + m * 1000 + i);
            }
}

// The sender waits for a receiver that is slow, and nothing is lost.
static void check_full_channel(nmrt_comm *c)
{
    enum { MESSAGES = 300 };
    nmrt_error e;
    for (int m = 0; m < MESSAGES && c->rank < 2; m++) {
        int x = m;
        if (c->rank == 1 && m == 0)
            usleep(30000);
        CHECK((c->rank ? c->recv(c, 0, 9, &x, sizeof x, "many", "", &e)
                       : c->send(c, 1, 9, &x, sizeof x, "many", "", &e)) == NMRT_OK);
        CHECK(x == m);
    }
}

static void check_any(nmrt_comm *c)
{
    nmrt_error e;
    bool nobody = false, one = c->rank == c->ranks - 1;
    CHECK(nmrt_comm_any(c, &nobody, &e) == NMRT_OK && !nobody);
    CHECK(nmrt_comm_any(c, &one, &e) == NMRT_OK && one);
    CHECK(c->barrier(c, &e) == NMRT_OK);
}

// --- the ranks ---------------------------------------------------------------------------------

static nmrt_status get_memory(nmrt_comm *c, void **memory, nmrt_error *e)
{
    if (!c->alloc) {
        *memory = calloc(MOST, 8);
        return NMRT_OK;
    }
    NMRT_TRY(c->alloc(c, MOST * 8, memory, e));
    CHECK((uintptr_t)*memory % 64 == 0 && ((char *)*memory)[MOST * 8 - 1] == 0);
    return NMRT_OK;
}

static void give_back(nmrt_comm *c, void *memory)
{
    if (c->free)
        c->free(c, memory, MOST * 8);
    else
        free(memory);
}

static nmrt_status all_checks(nmrt_ranks *r, void *arg, nmrt_error *e)
{
    nmrt_comm c;
    int threads = *(const int *)arg;
    NMRT_TRY(nmrt_comm_open(&c, r, "auto", e));
    CHECK(c.rank == r->rank && c.ranks == r->world);
    if (threads > 1)
        NMRT_TRY(nmrt_pool_new(&c.pool, threads, 64, e));
    bench b = {.c = &c, .wanted = malloc(MOST * 8)};
    NMRT_TRY(get_memory(&c, &b.in, e));
    NMRT_TRY(get_memory(&c, &b.out, e));
    int all[8], even[4], back[8];
    for (int i = 0; i < r->world; i++)
        all[i] = i, even[i / 2] = i - i % 2, back[i] = r->world - 1 - i;
    check_group(&b, all, r->world);
    if (r->world == 5) {
        check_group(&b, even, 3);
        check_group(&b, back, r->world);
        check_group(&b, &r->rank, 1);
        check_messages(&c);
        check_full_channel(&c);
    }
    check_any(&c);
    give_back(&c, b.in);
    give_back(&c, b.out);
    free(b.wanted);
    nmrt_pool_free(c.pool);
    c.close(&c);
    return checked(e);
}

#endif
