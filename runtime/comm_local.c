// Collectives of forked ranks. Members meet: each publishes where its operand and its result lie,
// waits for the others, and then reads their memory directly; nothing is copied to be sent. A
// meeting counts arrivals on one word: the k-th is complete at n k of them.
//
//     all_reduce      meet; sum one's own slice in place; meet; copy the others' slices; meet
//     reduce_scatter  meet; sum one's own part of the operands; meet
//     all_gather      meet; copy the others' operands; meet
//     rotate          meet; copy the next member's operand; meet
//
// Several collectives of a kind share these meetings. The last one keeps operands until all have
// read them. Operands of at most SMALL bytes are published themselves, twice over in turn, so one
// meeting is enough: who is at the next but one has met all the others at the next, and they had
// read this one by then.
#include "runtime/local.h"

#include "runtime/dtype.h"
#include "runtime/flight.h"
#include "runtime/ranks.h"

#include <stdlib.h>
#include <string.h>

enum { SMALL = 8192, LINE = 64, CHUNK = 1 << 15 };

typedef struct place { // of one collective's operand and result
    const void *in;
    void *out;
} place;

typedef struct offer { // what a member publishes
    uint64_t signature;
    place place[NMRT_MAX_BATCH];
    _Alignas(LINE) char small[SMALL];
} offer;

typedef struct meeting { // then offer[n][2]
    nmrt_bell arrived;
    offer offer[];
} meeting;

typedef struct local_state {
    nmrt_local *local;
    nmrt_arena arena;
    nmrt_mail *mail;
    nmrt_flight flight;
    int rank;
    unsigned char turn[NMRT_MAX_GROUPS]; // which of the two offers is next
} local_state;

static size_t meeting_stride(int ranks)
{
    return sizeof(meeting) + (size_t)ranks * 2 * sizeof(offer);
}

size_t nmrt_meetings_bytes(int ranks) { return NMRT_MAX_GROUPS * meeting_stride(ranks); }

// --- one collective ----------------------------------------------------------------------------

typedef struct job {              // collectives of one kind and group
    const nmrt_exchange *all, *x; // the one in hand: x = all + k
    int n;
    local_state *s;
    meeting *meeting;
    int group, turn, size;          // of the recorder; which offers; bytes of an element of x
    bool small;                     // operands are in the offers
    const void *in[NMRT_MAX_LOCAL]; // [group.n], and results, of x
    void *out[NMRT_MAX_LOCAL];
    int64_t lo, hi, split;
} job;

static int64_t bytes_in(const nmrt_exchange *x)
{
    return nmrt_exchange_in(x) * nmrt_dtype(x->dtype)->bits / 8;
}

// Where the operand of all[k] lies in a small offer; of all[n]: its end.
static int64_t small_at(const job *j, int k)
{
    int64_t at = 0;
    for (int i = 0; i < k && at <= SMALL; i++)
        at += (bytes_in(&j->all[i]) + LINE - 1) / LINE * LINE;
    return at;
}

static nmrt_status meet(const job *j, nmrt_error *e)
{
    const nmrt_group *g = &j->all->group;
    local_state *s = j->s;
    int64_t k = nmrt_recorder_arrive(s->local->recorder, s->rank, j->group, g->me);
    unsigned target = (unsigned)((uint64_t)k * (uint64_t)g->n);
    nmrt_bell_ring(&j->meeting->arrived);
    return nmrt_bell_wait(s->local, s->rank, &j->meeting->arrived, target, e);
}

// All members find the same pair that differs.
static nmrt_status compare_signatures(const job *j, nmrt_error *e)
{
    const nmrt_group *g = &j->all->group;
    const offer *all = j->meeting->offer;
    for (int i = 1; i < g->n; i++)
        if (all[2 * i + j->turn].signature != all[j->turn].signature) {
            nmrt_recorder_diverge(j->s->local->recorder, g->rank[0], g->rank[i]);
            return nmrt_fail(e, NMRT_CORRUPT, "%s", nmrt_recorder_why(j->s->local->recorder));
        }
    return NMRT_OK;
}

// Publishes the own part and meets.
static nmrt_status open_meeting(job *j, nmrt_error *e)
{
    j->turn = j->s->turn[j->group];
    j->s->turn[j->group] = (unsigned char)!j->turn;
    offer *mine = &j->meeting->offer[2 * j->all->group.me + j->turn];
    mine->signature = nmrt_exchange_sign(j->all, j->n);
    for (int k = 0; k < j->n; k++) {
        const nmrt_exchange *x = &j->all[k];
        mine->place[k] = (place){x->in, x->out};
        if (j->small)
            memcpy(mine->small + small_at(j, k), x->in, (size_t)bytes_in(x));
    }
    NMRT_TRY(meet(j, e));
    return compare_signatures(j, e);
}

// Takes the k-th in hand: all members' addresses of it.
static void take(job *j, int k)
{
    j->x = &j->all[k];
    j->size = nmrt_dtype(j->x->dtype)->bits / 8;
    for (int i = 0; i < j->x->group.n; i++) {
        const offer *o = &j->meeting->offer[2 * i + j->turn];
        j->in[i] = j->small ? o->small + small_at(j, k) : o->place[k].in;
        j->out[i] = o->place[k].out;
    }
}

// Runs `fn` over [0, count) on the rank's threads.
static void share(const job *j, nmrt_pool *pool, nmdrv_kernel_fn *fn, int64_t count, int64_t grain)
{
    const nmdrv_kernel kernel = {.name = "collective", .where = "", .fn = fn, .grain = grain};
    void *arg[] = {(void *)(uintptr_t)j};
    if (pool)
        nmrt_pool_run(pool, &kernel, NULL, count, arg);
    else
        fn(NULL, arg, 0, count, NULL);
}

// --- all_reduce --------------------------------------------------------------------------------

// Member i's slice: whole lines.
static int64_t slice_start(const job *j, int i)
{
    int64_t count = j->x->outer, lines = (count * j->size + LINE - 1) / LINE, n = j->x->group.n,
            at = (lines / n * i + (i < lines % n ? i : lines % n)) * (LINE / j->size);
    return at < count ? at : count;
}

static void sum_slice(const nmdrv_sym *sym, void *const *arg, int64_t from, int64_t to,
                      void *scratch)
{
    (void)sym, (void)scratch;
    const job *j = arg[0];
    const nmrt_exchange *x = j->x;
    nmrt_reduce(x->dtype, x->max, (char *)x->out + (j->lo + from) * j->size, j->in, x->group.n,
                j->lo + from, to - from);
}

static void copy_slices(const nmdrv_sym *sym, void *const *arg, int64_t from, int64_t to,
                        void *scratch)
{
    (void)sym, (void)scratch;
    const job *j = arg[0];
    for (int i = 0; i < j->x->group.n; i++) {
        int64_t lo = slice_start(j, i), hi = slice_start(j, i + 1);
        lo = lo > from ? lo : from;
        hi = hi < to ? hi : to;
        if (i != j->x->group.me && lo < hi)
            memcpy((char *)j->x->out + lo * j->size, (const char *)j->out[i] + lo * j->size,
                   (size_t)((hi - lo) * j->size));
    }
}

static void sum_own(job *j, nmrt_pool *pool)
{
    j->lo = j->small ? 0 : slice_start(j, j->x->group.me);
    j->hi = j->small ? j->x->outer : slice_start(j, j->x->group.me + 1);
    share(j, pool, sum_slice, j->hi - j->lo, CHUNK);
}

// --- reduce_scatter, all_gather ----------------------------------------------------------------

typedef struct strip { // neighbours on both sides, in elements
    int64_t large, small, n;
} strip;

// Part `part` of the k-th strip of member i: k counts outer indices and pieces.
static strip strip_of(const job *j, int i, int64_t k, int64_t part)
{
    const nmrt_exchange *x = j->x;
    const nmrt_piece whole[2] = {{i * x->len, x->len}, {0, 0}},
                     *p = x->piece ? x->piece + 2 * i : whole;
    int which = x->piece ? (int)(k & 1) : 0;
    int64_t outer = x->piece ? k >> 1 : k, inner = x->inner, at = which ? p[0].n : 0;
    strip s = {(outer * x->group.n * x->len + p[which].from) * inner, (outer * x->len + at) * inner,
               p[which].n * inner};
    int64_t from = part * CHUNK < s.n ? part * CHUNK : s.n;
    s.large += from;
    s.small += from;
    s.n = s.n - from < CHUNK ? s.n - from : CHUNK;
    return s;
}

static int64_t strips(const job *j) { return j->x->outer * (j->x->piece ? 2 : 1); }

static void sum_strips(const nmdrv_sym *sym, void *const *arg, int64_t from, int64_t to,
                       void *scratch)
{
    (void)sym, (void)scratch;
    const job *j = arg[0];
    const nmrt_exchange *x = j->x;
    for (int64_t t = from; t < to; t++) {
        strip s = strip_of(j, x->group.me, t / j->split, t % j->split);
        nmrt_reduce(x->dtype, x->max, (char *)x->out + s.small * j->size, j->in, x->group.n,
                    s.large, s.n);
    }
}

static void copy_strips(const nmdrv_sym *sym, void *const *arg, int64_t from, int64_t to,
                        void *scratch)
{
    (void)sym, (void)scratch;
    const job *j = arg[0];
    int64_t per_member = strips(j) * j->split;
    for (int64_t t = from; t < to; t++) {
        int i = (int)(t / per_member);
        strip s = strip_of(j, i, t % per_member / j->split, t % j->split);
        memcpy((char *)j->x->out + s.large * j->size, (const char *)j->in[i] + s.small * j->size,
               (size_t)(s.n * j->size));
    }
}

static void run_strips(job *j, nmrt_pool *pool, nmdrv_kernel_fn *fn, int64_t members)
{
    int64_t n = j->x->len * j->x->inner;
    j->split = n > CHUNK ? (n + CHUNK - 1) / CHUNK : 1;
    share(j, pool, fn, members * strips(j) * j->split, n < CHUNK ? CHUNK / (n > 0 ? n : 1) : 1);
}

// --- rotate ------------------------------------------------------------------------------------

static void copy_next(const nmdrv_sym *sym, void *const *arg, int64_t from, int64_t to,
                      void *scratch)
{
    (void)sym, (void)scratch;
    const job *j = arg[0];
    const nmrt_group *g = &j->x->group;
    memcpy((char *)j->x->out + from * j->size,
           (const char *)j->in[(g->me + 1) % g->n] + from * j->size,
           (size_t)((to - from) * j->size));
}

// --- the table ---------------------------------------------------------------------------------

static nmrt_status exchange(job *j, nmrt_pool *pool, nmrt_error *e)
{
    nmdrv_collective_kind kind = j->all->kind;
    NMRT_TRY(open_meeting(j, e));
    for (int k = 0; k < j->n; k++) {
        take(j, k);
        if (kind == NMDRV_ALL_REDUCE)
            sum_own(j, pool);
        else if (kind == NMDRV_REDUCE_SCATTER)
            run_strips(j, pool, sum_strips, 1);
        else if (kind == NMDRV_ROTATE)
            share(j, pool, copy_next, j->x->outer, CHUNK);
        else
            run_strips(j, pool, copy_strips, j->x->group.n);
    }
    if (j->small)
        return NMRT_OK;
    if (kind == NMDRV_ALL_REDUCE)
        NMRT_TRY(meet(j, e));
    for (int k = 0; kind == NMDRV_ALL_REDUCE && k < j->n; k++) {
        take(j, k);
        share(j, pool, copy_slices, j->x->outer, CHUNK);
    }
    return meet(j, e);
}

static bool is_shared(const nmrt_local *l, const void *at)
{
    return (const char *)at >= l->base && (const char *)at < l->base + l->bytes;
}

static nmrt_status check(const job *j, const nmrt_exchange *x, nmrt_error *e)
{
    NMRT_TRY(nmrt_exchange_check(x, e));
    if (!j->small && (!is_shared(j->s->local, x->in) || !is_shared(j->s->local, x->out)))
        return nmrt_exchange_refuse(x, "memory that the ranks do not share:", e);
    if (j->group < 0)
        return nmrt_exchange_refuse(x, "there are too many groups of ranks:", e);
    return NMRT_OK;
}

static nmrt_status local_run_all(nmrt_comm *c, const nmrt_exchange *x, int n, nmrt_error *e)
{
    local_state *s = c->state;
    nmrt_recorder *r = s->local->recorder;
    job j = {.all = x, .n = n, .s = s, .group = nmrt_recorder_group(r, &x->group)};
    j.small = small_at(&j, n) <= SMALL;
    int64_t bytes = 0;
    for (int k = 0; k < n; k++) {
        NMRT_TRY(check(&j, &x[k], e));
        bytes += bytes_in(&x[k]);
    }
    j.meeting = (meeting *)(s->local->meetings + (size_t)j.group * meeting_stride(s->local->ranks));
    nmrt_recorder_enter(r, s->rank, &(nmrt_note){"", x->name, x->where, j.group, -1, bytes});
    NMRT_TRY(exchange(&j, c->pool, e));
    nmrt_recorder_leave(r, s->rank);
    return NMRT_OK;
}

static nmrt_status local_run(nmrt_comm *c, const nmrt_exchange *x, nmrt_error *e)
{
    return x->group.n == 1 ? nmrt_comm_single().run(c, x, e) : local_run_all(c, x, 1, e);
}

static nmrt_status local_send(nmrt_comm *c, int to, int tag, const void *at, int64_t bytes,
                              const char *what, const char *where, nmrt_error *e)
{
    return nmrt_mail_send(((local_state *)c->state)->mail, to, tag, at, bytes, what, where, e);
}

static nmrt_status local_recv(nmrt_comm *c, int from, int tag, void *at, int64_t bytes,
                              const char *what, const char *where, nmrt_error *e)
{
    return nmrt_mail_recv(((local_state *)c->state)->mail, from, tag, at, bytes, what, where, e);
}

static nmrt_status local_barrier(nmrt_comm *c, nmrt_error *e)
{
    return nmrt_comm_any(c, &(bool){false}, e);
}

static nmrt_status local_alloc(nmrt_comm *c, int64_t bytes, void **at, nmrt_error *e)
{
    return nmrt_arena_alloc(&((local_state *)c->state)->arena, bytes, at, e);
}

static void local_free(nmrt_comm *c, void *at, int64_t bytes)
{
    nmrt_arena_free(&((local_state *)c->state)->arena, at, bytes);
}

static void local_abort(nmrt_comm *c, nmrt_status status, nmrt_error *e)
{
    local_state *s = c->state;
    nmrt_recorder_fail(s->local->recorder, nmrt_failure_kind(status),
                       nmrt_failure_rank(status, e, s->rank), e->text);
    e->text[0] = 0;
}

static void local_close(nmrt_comm *c)
{
    local_state *s = c->state;
    nmrt_mail_free(s->mail);
    free(s);
}

nmrt_status nmrt_comm_local(nmrt_comm *c, nmrt_local *local, int rank, nmrt_error *e)
{
    local_state *s = calloc(1, sizeof *s);
    if (!s)
        return nmrt_fail(e, NMRT_WORLD, "no memory for the communicator");
    s->local = local;
    s->rank = rank;
    s->flight = (nmrt_flight){.local = local, .rank = rank};
    s->arena = (nmrt_arena){local->arenas + (size_t)rank * local->arena, 0, local->arena};
    *c = (nmrt_comm){.name = "local",
                     .rank = rank,
                     .ranks = local->ranks,
                     .run = local_run,
                     .run_all = local_run_all,
                     .send = local_send,
                     .recv = local_recv,
                     .barrier = local_barrier,
                     .alloc = local_alloc,
                     .free = local_free,
                     .abort = local_abort,
                     .close = local_close,
                     .progress = nmrt_recorder_progress(local->recorder, rank),
                     .flight = &s->flight,
                     .state = s};
    nmrt_status status = nmrt_mail_new(&s->mail, local, rank, &s->arena, e);
    if (status != NMRT_OK)
        free(s);
    return status;
}
