// The communicator of ranks that share no memory: collectives out of packets (runtime/wire.h).
//
// Sums are those of forked ranks to the bit: the owner of a block adds what all members give, in
// the order of their index. A ring would add each block in another order, so reduce_scatter
// exchanges pairwise, which moves as many bytes: each member sends n - 1 blocks and gets n - 1.
// all_gather adds nothing and goes around the ring, where every host's link carries a block once.
//
//     reduce_scatter  to each owner its block, from each member ours; add
//     all_gather      the ring: n - 1 times the block that came last goes on to the next
//     all_reduce      reduce_scatter of slices, then all_gather of them
//     rotate          to the member before ours, from the next one theirs
//     small           all_reduce and all_gather: everybody's operand to all in log2 n rounds
//                     (Bruck et al., 1997), then each adds alone
//
// Large operands go in chunks, so staging stays small.
#include "runtime/comm.h"
#include "runtime/dtype.h"
#include "runtime/flight.h"
#include "runtime/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SMALL = 2048, CHUNK = 1 << 22, SHARE = 1 << 15, MOST_RANKS = 4096 };

typedef struct wire_state {
    nmrt_post *post;
    nmrt_health *health;
    nmrt_flight flight;
    int ranks;
    nmrt_ticket *ticket; // [2 ranks]
    char *stage;
    size_t staged; // bytes of stage
} wire_state;

typedef struct job { // one collective
    const nmrt_exchange *x;
    wire_state *s;
    nmrt_pool *pool;
    int64_t size; // bytes of an element
} job;

static nmrt_status need_stage(wire_state *s, int64_t bytes, nmrt_error *e)
{
    if ((size_t)bytes <= s->staged)
        return NMRT_OK;
    free(s->stage);
    s->stage = malloc((size_t)bytes);
    s->staged = s->stage ? (size_t)bytes : 0;
    return s->stage
               ? NMRT_OK
               : nmrt_fail(e, NMRT_WORLD, "no memory to exchange %lld bytes", (long long)bytes);
}

// --- blocks --------------------------------------------------------------------------------------

// A member's block: its part of the larger side, or its slice of an all_reduce. In elements.
static int64_t slice_start(const job *j, int i)
{
    int64_t n = j->x->group.n, count = j->x->outer;
    return count / n * i + (i < count % n ? i : count % n);
}

static int64_t block_size(const job *j, int i)
{
    const nmrt_exchange *x = j->x;
    return x->kind == NMDRV_ALL_REDUCE ? slice_start(j, i + 1) - slice_start(j, i)
                                       : x->outer * x->len * x->inner;
}

typedef struct strip { // neighbours in the block and in the larger side
    int64_t large, n;
} strip;

// The elements of member i's block from `at` on that lie together, at most to `to`.
static strip strip_at(const job *j, int i, int64_t at, int64_t to)
{
    const nmrt_exchange *x = j->x;
    if (x->kind == NMDRV_ALL_REDUCE)
        return (strip){slice_start(j, i) + at, to - at};
    const nmrt_piece whole[2] = {{i * x->len, x->len}, {0, 0}},
                     *p = x->piece ? x->piece + 2 * i : whole;
    int64_t row = x->len * x->inner, outer = at / row, rest = at % row, first = p[0].n * x->inner;
    bool second = rest >= first;
    int64_t in_piece = second ? rest - first : rest, left = p[second].n * x->inner - in_piece;
    strip s = {(outer * x->group.n * x->len + p[second].from) * x->inner + in_piece, left};
    s.n = s.n < to - at ? s.n : to - at;
    return s;
}

static void pack(const job *j, int i, int64_t from, int64_t to, const void *large, char *block)
{
    for (int64_t at = from; at < to;) {
        strip s = strip_at(j, i, at, to);
        memcpy(block + (at - from) * j->size, (const char *)large + s.large * j->size,
               (size_t)(s.n * j->size));
        at += s.n;
    }
}

static void unpack(const job *j, int i, int64_t from, int64_t to, const char *block, void *large)
{
    for (int64_t at = from; at < to;) {
        strip s = strip_at(j, i, at, to);
        memcpy((char *)large + s.large * j->size, block + (at - from) * j->size,
               (size_t)(s.n * j->size));
        at += s.n;
    }
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

// Where [from, to) of member i's block lies in the larger side, if it lies together; else NULL.
static char *together(const job *j, int i, int64_t from, int64_t to, const void *large)
{
    strip s = strip_at(j, i, from, to);
    return s.n == to - from ? (char *)(uintptr_t)large + s.large * j->size : NULL;
}

// --- sums ----------------------------------------------------------------------------------------

typedef struct sum { // out = the operands' sum
    const job *j;
    void *out;
    const void *const *in; // [n]
} sum;

static void add_range(const nmdrv_sym *sym, void *const *arg, int64_t from, int64_t to,
                      void *scratch)
{
    (void)sym, (void)scratch;
    const sum *s = arg[0];
    const nmrt_exchange *x = s->j->x;
    nmrt_reduce(x->dtype, x->max, (char *)s->out + from * s->j->size, s->in, x->group.n, from,
                to - from);
}

static void add_all(const job *j, void *out, const void *const *in, int64_t count)
{
    const nmdrv_kernel kernel = {
        .name = "collective", .where = "", .fn = add_range, .grain = SHARE};
    sum s = {j, out, in};
    void *arg[] = {&s};
    if (j->pool && count > SHARE)
        nmrt_pool_run(j->pool, &kernel, NULL, count, arg);
    else
        add_range(NULL, arg, 0, count, NULL);
}

// --- small ---------------------------------------------------------------------------------------

// Everybody's `bytes` at `mine` to all: stage has member (me + i) mod n's at i * bytes.
static nmrt_status gather_small(const job *j, const void *mine, int64_t bytes, nmrt_error *e)
{
    const nmrt_group *g = &j->x->group;
    NMRT_TRY(need_stage(j->s, g->n * bytes, e));
    memcpy(j->s->stage, mine, (size_t)bytes);
    for (int have = 1, round = 0; have < g->n; round++) {
        int more = have < g->n - have ? have : g->n - have;
        int to = g->rank[(g->me - have + g->n) % g->n], from = g->rank[(g->me + have) % g->n];
        nmrt_post_send(j->s->post, to, round, j->s->stage, more * bytes, &j->s->ticket[0]);
        nmrt_post_recv(j->s->post, from, round, j->s->stage + have * bytes, more * bytes,
                       &j->s->ticket[1]);
        NMRT_TRY(nmrt_post_wait(j->s->post, e));
        have += more;
    }
    return NMRT_OK;
}

static const char *gathered(const job *j, int member, int64_t bytes)
{
    const nmrt_group *g = &j->x->group;
    return j->s->stage + (member - g->me + g->n) % g->n * bytes;
}

static nmrt_status all_reduce_small(const job *j, nmrt_error *e)
{
    const nmrt_exchange *x = j->x;
    const void *in[MOST_RANKS];
    NMRT_TRY(gather_small(j, x->in, x->outer * j->size, e));
    for (int i = 0; i < x->group.n; i++)
        in[i] = gathered(j, i, x->outer * j->size);
    add_all(j, x->out, in, x->outer);
    return NMRT_OK;
}

static nmrt_status all_gather_small(const job *j, nmrt_error *e)
{
    int64_t count = block_size(j, 0);
    NMRT_TRY(gather_small(j, j->x->in, count * j->size, e));
    for (int i = 0; i < j->x->group.n; i++)
        unpack(j, i, 0, count, gathered(j, i, count * j->size), j->x->out);
    return NMRT_OK;
}

// --- reduce_scatter ------------------------------------------------------------------------------

// Elements of a block that go at once: n of them are received and up to n sent.
static int64_t chunk_of(const job *j)
{
    int64_t n = CHUNK / j->size / j->x->group.n;
    return n > 1024 ? n : 1024;
}

// Sends member i its part of [from, to), through `staged` where it does not lie together.
static void send_part(const job *j, int i, int64_t from, int64_t to, char *staged,
                      nmrt_ticket *ticket)
{
    char *at = together(j, i, from, to, j->x->in);
    if (!at) {
        at = staged;
        pack(j, i, from, to, j->x->in, at);
    }
    nmrt_post_send(j->s->post, j->x->group.rank[i], from, at, (to - from) * j->size, ticket);
}

// Of every block the elements from `from` on, at most `most`: own ones are added into out.
static nmrt_status reduce_chunk(const job *j, int64_t from, int64_t most, char *out, nmrt_error *e)
{
    const nmrt_group *g = &j->x->group;
    int64_t mine = least(block_size(j, g->me) - from, most), bytes = most * j->size;
    const void *in[MOST_RANKS];
    char *theirs = j->s->stage, *staged = theirs + g->n * bytes;
    for (int k = 1; k < g->n; k++) { // who is first at whom differs
        int i = (g->me + k) % g->n;
        int64_t to = least(block_size(j, i), from + most);
        in[i] = theirs + i * bytes;
        if (mine > 0)
            nmrt_post_recv(j->s->post, g->rank[i], from, theirs + i * bytes, mine * j->size,
                           &j->s->ticket[2 * i]);
        if (to > from)
            send_part(j, i, from, to, staged + i * bytes, &j->s->ticket[2 * i + 1]);
    }
    in[g->me] = theirs + g->me * bytes;
    if (mine > 0)
        pack(j, g->me, from, from + mine, j->x->in, theirs + g->me * bytes);
    NMRT_TRY(nmrt_post_wait(j->s->post, e));
    if (mine > 0)
        add_all(j, out + from * j->size, in, mine);
    return NMRT_OK;
}

// out: the own block.
static nmrt_status reduce_blocks(const job *j, char *out, nmrt_error *e)
{
    int64_t most = chunk_of(j), count = block_size(j, 0); // no block is larger than the first
    most = least(most, count);
    NMRT_TRY(need_stage(j->s, 2 * j->x->group.n * most * j->size, e));
    for (int64_t from = 0; from < count; from += most)
        NMRT_TRY(reduce_chunk(j, from, most, out, e));
    return NMRT_OK;
}

// --- all_gather ----------------------------------------------------------------------------------

typedef struct hop { // what goes on, or comes
    int member;
    int64_t to;
    char *at, *direct; // direct: its place in the result; NULL: it lies apart there
} hop;

static hop hop_of(const job *j, int step, int64_t from, int64_t most, char *staged)
{
    const nmrt_group *g = &j->x->group;
    hop h = {.member = (g->me - step + 2 * g->n) % g->n};
    h.to = least(block_size(j, h.member), from + most);
    if (h.to > from)
        h.direct = together(j, h.member, from, h.to, j->x->out);
    h.at = h.direct ? h.direct : staged;
    return h;
}

// Of every block the elements from `from` on: own ones are in their place.
static nmrt_status gather_chunk(const job *j, int64_t from, int64_t most, nmrt_error *e)
{
    const nmrt_group *g = &j->x->group;
    char *half[2] = {j->s->stage, j->s->stage + most * j->size};
    int next = g->rank[(g->me + 1) % g->n], before = g->rank[(g->me + g->n - 1) % g->n];
    hop out = hop_of(j, 0, from, most, half[0]);
    if (!out.direct && out.to > from)
        pack(j, out.member, from, out.to, j->x->out, out.at);
    for (int step = 0; step < g->n - 1; step++) {
        hop in = hop_of(j, step + 1, from, most, half[(step + 1) & 1]);
        int64_t number = -1 - from * MOST_RANKS - step; // no reduce_chunk has it
        if (in.to > from)
            nmrt_post_recv(j->s->post, before, number, in.at, (in.to - from) * j->size,
                           &j->s->ticket[0]);
        if (out.to > from)
            nmrt_post_send(j->s->post, next, number, out.at, (out.to - from) * j->size,
                           &j->s->ticket[1]);
        NMRT_TRY(nmrt_post_wait(j->s->post, e));
        if (!in.direct && in.to > from)
            unpack(j, in.member, from, in.to, in.at, j->x->out);
        out = in;
    }
    return NMRT_OK;
}

static nmrt_status gather_blocks(const job *j, nmrt_error *e)
{
    int64_t count = block_size(j, 0), most = least(CHUNK / j->size, count);
    NMRT_TRY(need_stage(j->s, 2 * most * j->size, e));
    for (int64_t from = 0; from < count; from += most)
        NMRT_TRY(gather_chunk(j, from, most, e));
    return NMRT_OK;
}

// --- the collectives -----------------------------------------------------------------------------

static nmrt_status all_reduce(const job *j, nmrt_error *e)
{
    char *mine = (char *)j->x->out + slice_start(j, j->x->group.me) * j->size;
    NMRT_TRY(reduce_blocks(j, mine, e));
    return gather_blocks(j, e);
}

static nmrt_status all_gather(const job *j, nmrt_error *e)
{
    int me = j->x->group.me;
    unpack(j, me, 0, block_size(j, me), j->x->in, j->x->out);
    return gather_blocks(j, e);
}

static nmrt_status rotate(const job *j, nmrt_error *e)
{
    const nmrt_exchange *x = j->x;
    const nmrt_group *g = &x->group;
    int next = g->rank[(g->me + 1) % g->n], before = g->rank[(g->me + g->n - 1) % g->n];
    int64_t bytes = x->outer * j->size;
    for (int64_t from = 0; from < bytes; from += CHUNK) {
        int64_t n = least(CHUNK, bytes - from);
        nmrt_post_recv(j->s->post, next, from, (char *)x->out + from, n, &j->s->ticket[0]);
        nmrt_post_send(j->s->post, before, from, (const char *)x->in + from, n, &j->s->ticket[1]);
        NMRT_TRY(nmrt_post_wait(j->s->post, e));
    }
    return NMRT_OK;
}

static nmrt_status exchange(const job *j, nmrt_error *e)
{
    bool small = nmrt_exchange_in(j->x) * j->size <= SMALL;
    switch (j->x->kind) {
    case NMDRV_ALL_REDUCE: return small ? all_reduce_small(j, e) : all_reduce(j, e);
    case NMDRV_ALL_GATHER: return small ? all_gather_small(j, e) : all_gather(j, e);
    case NMDRV_ROTATE: return rotate(j, e);
    default: return reduce_blocks(j, j->x->out, e);
    }
}

// --- operations ----------------------------------------------------------------------------------

// Notes the operation and makes it the one that packets belong to.
static nmrt_status begin(wire_state *s, const nmrt_note *note, const nmrt_group *group,
                         nmrt_packet *operation, nmrt_error *e)
{
    int64_t meeting = nmrt_health_enter(s->health, note, group);
    nmrt_title title = nmrt_note_title(note);
    if (meeting < 0)
        return nmrt_fail(e, NMRT_WORLD, "no memory for another group of ranks");
    if (group)
        operation->number = meeting;
    snprintf(operation->title, sizeof operation->title, "%s", title.at);
    return nmrt_post_begin(s->post, operation, e);
}

static nmrt_status wire_run(nmrt_comm *c, const nmrt_exchange *x, nmrt_error *e)
{
    wire_state *s = c->state;
    const job j = {x, s, c->pool, nmrt_dtype(x->dtype)->bits / 8};
    if (x->group.n == 1)
        return nmrt_comm_single().run(c, x, e);
    NMRT_TRY(nmrt_exchange_check(x, e));
    nmrt_packet operation = {.group = x->group.id, .signature = nmrt_exchange_sign(x, 1)};
    const nmrt_note note = {"", x->name, x->where, 0, -1, nmrt_exchange_in(x) * j.size};
    NMRT_TRY(begin(s, &note, &x->group, &operation, e));
    NMRT_TRY(exchange(&j, e));
    nmrt_health_leave(s->health);
    return NMRT_OK;
}

static nmrt_status wire_send(nmrt_comm *c, int to, int tag, const void *at, int64_t bytes,
                             const char *what, const char *where, nmrt_error *e)
{
    wire_state *s = c->state;
    nmrt_packet message = {.number = tag};
    NMRT_TRY(begin(s, &(nmrt_note){"send to", what, where, -1, to, bytes}, NULL, &message, e));
    NMRT_TRY(nmrt_post_mail(s->post, to, at, bytes, e));
    nmrt_health_leave(s->health);
    return NMRT_OK;
}

static nmrt_status wire_recv(nmrt_comm *c, int from, int tag, void *at, int64_t bytes,
                             const char *what, const char *where, nmrt_error *e)
{
    wire_state *s = c->state;
    nmrt_packet message = {.number = tag};
    NMRT_TRY(
        begin(s, &(nmrt_note){"receive from", what, where, -1, from, bytes}, NULL, &message, e));
    nmrt_post_recv(s->post, from, 0, at, bytes, &s->ticket[0]);
    NMRT_TRY(nmrt_post_wait(s->post, e));
    nmrt_health_leave(s->health);
    return NMRT_OK;
}

static nmrt_status wire_barrier(nmrt_comm *c, nmrt_error *e)
{
    return nmrt_comm_any(c, &(bool){false}, e);
}

static void wire_abort(nmrt_comm *c, nmrt_status status, nmrt_error *e)
{
    wire_state *s = c->state;
    nmrt_health_fail(s->health, nmrt_failure_kind(status), nmrt_failure_rank(status, e, c->rank),
                     e->text);
    if (nmrt_health_has_failed(s->health))
        snprintf(e->text, sizeof e->text, "%s",
                 nmrt_health_speaks(s->health) ? nmrt_health_why(s->health) : "");
}

static void wire_close(nmrt_comm *c)
{
    wire_state *s = c->state;
    nmrt_error e;
    bool well = nmrt_post_flush(s->post, &e) == NMRT_OK; // else the run has failed, and is said
    nmrt_health_close(s->health);
    nmrt_post_free(s->post, well);
    free(s->ticket);
    free(s->stage);
    free(s);
}

// --- open ----------------------------------------------------------------------------------------

static nmrt_status open_state(wire_state *s, const nmrt_ranks *ranks, const char *which,
                              bool *one_thread, nmrt_error *e)
{
    nmrt_transport *t;
    nmrt_roll roll = {0};
    s->ranks = ranks->world;
    s->ticket = calloc(2 * (size_t)s->ranks, sizeof *s->ticket);
    if (!s->ticket)
        return nmrt_fail(e, NMRT_WORLD, "no memory for the communicator");
    NMRT_TRY(strcmp(which, "mpi") == 0 ? nmrt_wire_mpi(&t, ranks, &roll, e)
                                       : nmrt_wire_tcp(&t, ranks, &roll, e));
    *one_thread = t->one_thread;
    nmrt_status status = nmrt_health_open(&s->health, ranks, &roll, e);
    nmrt_roll_release(&roll);
    if (status == NMRT_OK) {
        status =
            nmrt_post_new(&s->post, t, s->health, ranks->world, ranks->rank, ranks->timeout, e);
        if (status != NMRT_OK) {
            nmrt_health_fail(s->health, NMRT_FAILED_RANK, ranks->rank, e->text);
            nmrt_health_close(s->health);
        }
    }
    if (status != NMRT_OK)
        t->close(t, false);
    return status;
}

nmrt_status nmrt_comm_wire(nmrt_comm *c, const nmrt_ranks *ranks, const char *which, nmrt_error *e)
{
    if (ranks->world > MOST_RANKS)
        return nmrt_fail(e, NMRT_USAGE, "%d ranks are more than the %d that talk by --comm %s",
                         ranks->world, MOST_RANKS, which);
    wire_state *s = calloc(1, sizeof *s);
    if (!s)
        return nmrt_fail(e, NMRT_WORLD, "no memory for the communicator");
    bool one_thread;
    nmrt_status status = open_state(s, ranks, which, &one_thread, e);
    if (status != NMRT_OK) {
        free(s->ticket);
        free(s);
        return status;
    }
    s->flight = (nmrt_flight){.health = s->health, .rank = ranks->rank};
    *c = (nmrt_comm){.name = which,
                     .rank = ranks->rank,
                     .ranks = ranks->world,
                     .run = wire_run,
                     .send = wire_send,
                     .recv = wire_recv,
                     .barrier = wire_barrier,
                     .abort = wire_abort,
                     .close = wire_close,
                     .progress = nmrt_health_progress(s->health),
                     .flight = &s->flight,
                     .one_thread = one_thread,
                     .state = s};
    return NMRT_OK;
}
