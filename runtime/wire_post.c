// Packets between ranks. A packet is a head and its bytes, on one ordered lane for each pair and
// direction. Whoever waits for anything takes in what comes from everybody: bytes that are awaited
// go where they are wanted, others into memory of their own until somebody asks. So no rank waits
// for a peer to ask first, and two that send to each other pass.
//
// A packet of the collective under way with another signature is from a rank that is in another
// operation: they diverge, and both titles are at hand.
#include "runtime/clock.h"
#include "runtime/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_MAIL = 64, LOOK_MS = 100 };
static const double PATIENCE = 5; // seconds over the timeout, for health to speak first

typedef struct list {
    nmrt_ticket *first, **end; // end NULL: empty, as in zeros
    int n;
} list;

typedef struct box { // what is between this rank and a peer
    list out;        // the first is under way
    list wanted;     // asked for, not come
    list kept;       // come, not asked for
    nmrt_packet head;
    nmrt_ticket *in; // whose bytes are under way; NULL: the head is
} box;

struct nmrt_post {
    nmrt_transport *t;
    nmrt_health *health;
    int ranks, rank, pending; // tickets of the operation that are not done
    double timeout;
    nmrt_packet now; // the operation
    box *box;        // [ranks]
    bool failed;
    nmrt_error why;
};

// --- lists ---------------------------------------------------------------------------------------

static void append(list *l, nmrt_ticket *t)
{
    t->next = NULL;
    *(l->first ? l->end : &l->first) = t;
    l->end = &t->next;
    l->n++;
}

static nmrt_ticket *take(list *l, nmrt_ticket **at)
{
    nmrt_ticket *t = *at;
    *at = t->next;
    if (l->end == &t->next)
        l->end = at;
    l->n--;
    return t;
}

static bool is_same(const nmrt_packet *a, const nmrt_packet *b)
{
    return a->group == b->group && a->number == b->number && a->step == b->step;
}

static nmrt_ticket *take_same(list *l, const nmrt_packet *head)
{
    for (nmrt_ticket **at = &l->first; *at; at = &(*at)->next)
        if (is_same(&(*at)->head, head))
            return take(l, at);
    return NULL;
}

static nmrt_ticket *new_ticket(const nmrt_packet *head)
{
    nmrt_ticket *t = malloc(sizeof *t + (size_t)head->bytes);
    if (t)
        *t = (nmrt_ticket){.head = *head, .at = (char *)(t + 1), .owned = true};
    return t;
}

static void drop_all(list *l)
{
    while (l->first) {
        nmrt_ticket *t = take(l, &l->first);
        if (t->owned)
            free(t);
    }
}

// --- failures ------------------------------------------------------------------------------------

// The first failure here is the run's, unless that has another.
static void fail(nmrt_post *p, nmrt_failure kind, int rank, const nmrt_error *why)
{
    if (!p->failed)
        nmrt_health_fail(p->health, kind, rank, why->text);
    p->failed = true;
}

static void diverge(nmrt_post *p, int peer, const nmrt_packet *theirs)
{
    nmrt_error e;
    bool first = p->rank < peer;
    nmrt_fail(&e, NMRT_CORRUPT, "rank %d is in %s, rank %d in %s: they diverge",
              first ? p->rank : peer, first ? p->now.title : theirs->title, first ? peer : p->rank,
              first ? theirs->title : p->now.title);
    fail(p, NMRT_FAILED_RANK, -1, &e);
}

static void mismatch(nmrt_post *p, int peer, int64_t sent, const nmrt_packet *wanted)
{
    nmrt_error e;
    nmrt_fail(&e, NMRT_CORRUPT, "%s: rank %d sent %lld bytes, and rank %d wants %lld: they diverge",
              wanted->title, peer, (long long)sent, p->rank, (long long)wanted->bytes);
    fail(p, NMRT_FAILED_RANK, p->rank, &e);
}

static bool belongs(nmrt_post *p, int peer, const nmrt_packet *head)
{
    const nmrt_packet *now = &p->now;
    if (!head->group || head->group != now->group || head->number != now->number ||
        head->signature == now->signature)
        return true;
    diverge(p, peer, head);
    return false;
}

// --- what comes and goes -------------------------------------------------------------------------

static void start_send(nmrt_post *p, int to)
{
    const nmrt_ticket *t = p->box[to].out.first;
    const struct iovec part[2] = {{(void *)&t->head, sizeof t->head},
                                  {t->at, (size_t)t->head.bytes}};
    p->t->send(p->t, to, part);
}

static void finish(nmrt_post *p, nmrt_ticket *t)
{
    t->done = true;
    p->pending -= !t->owned;
    if (t->owned)
        free(t);
}

static void pump_out(nmrt_post *p, int to)
{
    list *out = &p->box[to].out;
    while (out->first && p->t->is_sent(p->t, to)) {
        finish(p, take(out, &out->first));
        if (out->first)
            start_send(p, to);
    }
}

static void give(nmrt_post *p, nmrt_ticket *wanted, nmrt_ticket *kept)
{
    memcpy(wanted->at, kept->at, (size_t)kept->head.bytes);
    free(kept);
    finish(p, wanted);
}

static bool fits(nmrt_post *p, int from, const nmrt_packet *head, const nmrt_ticket *wanted)
{
    if (head->bytes == wanted->head.bytes)
        return true;
    mismatch(p, from, head->bytes, &wanted->head);
    return false;
}

// The head is here: where do the bytes go?
static void open_packet(nmrt_post *p, int from)
{
    box *b = &p->box[from];
    nmrt_ticket *wanted = NULL;
    if (!belongs(p, from, &b->head))
        return;
    for (nmrt_ticket *t = b->wanted.first; t && !wanted; t = t->next)
        wanted = is_same(&t->head, &b->head) ? t : NULL;
    if (wanted && !fits(p, from, &b->head, wanted))
        return;
    b->in = wanted ? wanted : new_ticket(&b->head);
    if (!b->in)
        fail(p, NMRT_FAILED_RANK, p->rank, &(nmrt_error){.text = "no memory for messages"});
    else if (b->head.bytes)
        p->t->recv(p->t, from, b->in->at, b->head.bytes);
}

// The bytes are here, too. Of what nobody wanted at the head, somebody may by now.
static void close_packet(nmrt_post *p, int from)
{
    box *b = &p->box[from];
    nmrt_ticket *t = b->in, *wanted = take_same(&b->wanted, &b->head);
    b->in = NULL;
    if (!t->owned)
        finish(p, t);
    else if (!wanted)
        append(&b->kept, t);
    else if (fits(p, from, &b->head, wanted))
        give(p, wanted, t);
    else
        free(t);
    p->t->recv(p->t, from, &b->head, sizeof b->head);
}

static void pump_in(nmrt_post *p, int from)
{
    while (!p->failed && p->t->is_received(p->t, from))
        if (p->box[from].in)
            close_packet(p, from);
        else
            open_packet(p, from);
}

static void pump(nmrt_post *p)
{
    for (int i = 0; i < p->ranks && !p->failed; i++)
        if (i != p->rank) {
            pump_out(p, i);
            pump_in(p, i);
        }
}

// --- waiting -------------------------------------------------------------------------------------

static nmrt_status said(nmrt_post *p, nmrt_error *e)
{
    p->failed = true;
    return nmrt_fail(e, NMRT_WORLD, "%s", nmrt_health_why(p->health));
}

// The first peer whose lane is lost while something is to come or to go on it, or -1.
static int find_lost(const nmrt_post *p)
{
    for (int i = 0; i < p->ranks; i++)
        if (i != p->rank && p->t->is_lost(p->t, i) &&
            (p->box[i].out.first || p->box[i].wanted.first))
            return i;
    return -1;
}

// Health says who is gone and for what others wait; a lane alone tells less, and speaks only when
// health is silent.
static void look_for_lost(nmrt_post *p, double *since)
{
    nmrt_error e;
    int lost = find_lost(p);
    if (lost < 0)
        *since = nmrt_seconds();
    else if (nmrt_seconds() - *since > p->timeout + PATIENCE) {
        nmrt_fail(&e, NMRT_WORLD, "its connection to rank %d is lost in %s", lost, p->now.title);
        fail(p, NMRT_FAILED_LOST, p->rank, &e);
    }
}

// Goes on until *left is at most `most`.
static nmrt_status wait_until(nmrt_post *p, const int *left, int most, nmrt_error *e)
{
    double since = nmrt_seconds();
    pump(p);
    while (*left > most) {
        if (p->failed || nmrt_health_has_failed(p->health))
            return said(p, e);
        if (p->t->progress(p->t, LOOK_MS))
            nmrt_health_moved(p->health);
        else
            look_for_lost(p, &since);
        pump(p);
    }
    return p->failed ? said(p, e) : NMRT_OK;
}

// --- the calls -----------------------------------------------------------------------------------

nmrt_status nmrt_post_new(nmrt_post **post, nmrt_transport *t, nmrt_health *health, int ranks,
                          int rank, double timeout, nmrt_error *e)
{
    nmrt_post *p = *post = calloc(1, sizeof *p);
    if (p)
        *p = (nmrt_post){.t = t,
                         .health = health,
                         .ranks = ranks,
                         .rank = rank,
                         .timeout = timeout,
                         .box = calloc((size_t)ranks, sizeof *p->box)};
    if (!p || !p->box) {
        free(p);
        return nmrt_fail(e, NMRT_WORLD, "no memory for messages of %d ranks", ranks);
    }
    for (int i = 0; i < ranks; i++)
        if (i != rank)
            t->recv(t, i, &p->box[i].head, sizeof p->box[i].head);
    return NMRT_OK;
}

void nmrt_post_free(nmrt_post *p, bool well)
{
    p->t->close(p->t, well);
    for (int i = 0; i < p->ranks; i++) {
        box *b = &p->box[i];
        if (b->in && b->in->owned)
            free(b->in);
        drop_all(&b->out);
        drop_all(&b->wanted);
        drop_all(&b->kept);
    }
    free(p->box);
    free(p);
}

nmrt_status nmrt_post_begin(nmrt_post *p, const nmrt_packet *operation, nmrt_error *e)
{
    if (p->failed || nmrt_health_has_failed(p->health))
        return said(p, e);
    p->now = *operation;
    for (int i = 0; i < p->ranks; i++)
        for (const nmrt_ticket *t = p->box[i].kept.first; t; t = t->next)
            if (!belongs(p, i, &t->head))
                return said(p, e);
    return NMRT_OK;
}

static void post(nmrt_post *p, int to, nmrt_ticket *t)
{
    list *out = &p->box[to].out;
    append(out, t);
    if (out->n == 1)
        start_send(p, to);
}

void nmrt_post_send(nmrt_post *p, int to, int64_t step, const void *at, int64_t bytes,
                    nmrt_ticket *ticket)
{
    *ticket = (nmrt_ticket){.head = p->now, .at = (char *)(uintptr_t)at};
    ticket->head.step = step;
    ticket->head.bytes = bytes;
    p->pending++;
    post(p, to, ticket);
}

void nmrt_post_recv(nmrt_post *p, int from, int64_t step, void *at, int64_t bytes,
                    nmrt_ticket *ticket)
{
    *ticket = (nmrt_ticket){.head = p->now, .at = at};
    ticket->head.step = step;
    ticket->head.bytes = bytes;
    p->pending++;
    nmrt_ticket *kept = take_same(&p->box[from].kept, &ticket->head);
    if (!kept)
        append(&p->box[from].wanted, ticket);
    else if (fits(p, from, &kept->head, ticket))
        give(p, ticket, kept);
    else
        free(kept);
}

nmrt_status nmrt_post_wait(nmrt_post *p, nmrt_error *e) { return wait_until(p, &p->pending, 0, e); }

nmrt_status nmrt_post_mail(nmrt_post *p, int to, const void *at, int64_t bytes, nmrt_error *e)
{
    nmrt_packet head = p->now;
    head.bytes = bytes;
    NMRT_TRY(wait_until(p, &p->box[to].out.n, MOST_MAIL - 1, e));
    nmrt_ticket *t = new_ticket(&head);
    if (!t)
        return nmrt_fail(e, NMRT_WORLD, "no memory for a message of %lld bytes", (long long)bytes);
    memcpy(t->at, at, (size_t)bytes);
    post(p, to, t);
    pump_out(p, to);
    return NMRT_OK;
}

nmrt_status nmrt_post_flush(nmrt_post *p, nmrt_error *e)
{
    for (int i = 0; i < p->ranks; i++)
        NMRT_TRY(wait_until(p, &p->box[i].out.n, 0, e));
    return NMRT_OK;
}
