// The journal keeps pointers, as texts of operations outlive the run; they become bytes once a
// second, when the state is sent. A mirror keeps the bytes that its recorder points at.
#include "runtime/wire_journal.h"

#include "runtime/clock.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double LONGEST =
    1.5; // seconds counted at once: not those while this rank was suspended

typedef struct known { // a group
    int64_t id, meetings;
    int n, me;
    int *rank;
} known;

struct nmrt_journal {
    pthread_mutex_t lock;
    nmrt_note now, last; // .group is one of ours
    bool inside;
    int64_t steps, seen;      // operations and moves so far; those at the last state
    double waited, ran;       // ran: of nmrt_process_ran
    _Atomic int64_t progress; // what the rank counts itself
    known *group;
    int n_groups;
};

// What stands before a group's ranks.
typedef struct definition {
    int64_t id;
    int32_t n, me;
} definition;

// --- written -------------------------------------------------------------------------------------

nmrt_journal *nmrt_journal_new(void)
{
    nmrt_journal *j = calloc(1, sizeof *j);
    if (j)
        pthread_mutex_init(&j->lock, NULL);
    return j;
}

void nmrt_journal_free(nmrt_journal *j)
{
    if (!j)
        return;
    for (int i = 0; i < j->n_groups; i++)
        free(j->group[i].rank);
    free(j->group);
    pthread_mutex_destroy(&j->lock);
    free(j);
}

static int add_group(nmrt_journal *j, const nmrt_group *g)
{
    known *all = realloc(j->group, (size_t)(j->n_groups + 1) * sizeof *all);
    int *rank = malloc((size_t)g->n * sizeof *rank);
    j->group = all ? all : j->group;
    if (!all || !rank) {
        free(rank);
        return -1;
    }
    memcpy(rank, g->rank, (size_t)g->n * sizeof *rank);
    all[j->n_groups] = (known){.id = g->id, .n = g->n, .me = g->me, .rank = rank};
    return j->n_groups++;
}

static int find_group(nmrt_journal *j, const nmrt_group *g)
{
    for (int i = 0; i < j->n_groups; i++)
        if (j->group[i].id == g->id)
            return i;
    return add_group(j, g);
}

int64_t nmrt_journal_enter(nmrt_journal *j, const nmrt_note *note, const nmrt_group *group)
{
    int64_t meeting = 0;
    pthread_mutex_lock(&j->lock);
    j->now = *note;
    j->now.group = group ? find_group(j, group) : -1;
    j->inside = true;
    j->steps++;
    if (group)
        meeting = j->now.group < 0 ? -1 : ++j->group[j->now.group].meetings;
    pthread_mutex_unlock(&j->lock);
    return meeting;
}

void nmrt_journal_leave(nmrt_journal *j)
{
    pthread_mutex_lock(&j->lock);
    j->inside = false;
    j->last = j->now;
    pthread_mutex_unlock(&j->lock);
}

void nmrt_journal_moved(nmrt_journal *j)
{
    pthread_mutex_lock(&j->lock);
    j->steps++;
    pthread_mutex_unlock(&j->lock);
}

_Atomic int64_t *nmrt_journal_progress(nmrt_journal *j) { return &j->progress; }

// --- sent ----------------------------------------------------------------------------------------

int nmrt_journal_groups(nmrt_journal *j)
{
    pthread_mutex_lock(&j->lock);
    int n = j->n_groups;
    pthread_mutex_unlock(&j->lock);
    return n;
}

void nmrt_journal_add_group(nmrt_journal *j, int group, nmrt_text *out)
{
    pthread_mutex_lock(&j->lock);
    const known *g = &j->group[group];
    definition d = {g->id, g->n, g->me};
    nmrt_text_add_bytes(out, &d, sizeof d);
    nmrt_text_add_bytes(out, g->rank, (size_t)g->n * sizeof *g->rank);
    pthread_mutex_unlock(&j->lock);
}

static nmrt_deed deed_of(const nmrt_note *n)
{
    nmrt_deed d = {.peer = n->peer, .group = n->group, .bytes = n->bytes};
    snprintf(d.verb, sizeof d.verb, "%s", n->verb ? n->verb : "");
    snprintf(d.name, sizeof d.name, "%s", n->name ? n->name : "");
    snprintf(d.where, sizeof d.where, "%s", n->where ? n->where : "");
    return d;
}

void nmrt_journal_add_state(nmrt_journal *j, double seconds, nmrt_text *out)
{
    pthread_mutex_lock(&j->lock);
    if (nmrt_process_ran(0, &j->ran) && !j->inside) // one long launch
        j->steps++;
    bool waits = j->inside && j->steps == j->seen;
    j->waited = waits ? j->waited + (seconds < LONGEST ? seconds : LONGEST) : 0;
    j->seen = j->steps;
    nmrt_state s = {.waited = j->waited,
                    .progress = j->steps + atomic_load(&j->progress),
                    .inside = j->inside,
                    .n_groups = j->n_groups,
                    .now = deed_of(&j->now),
                    .last = deed_of(&j->last)};
    nmrt_text_add_bytes(out, &s, sizeof s);
    for (int i = 0; i < j->n_groups; i++)
        nmrt_text_add_bytes(out, &j->group[i].meetings, sizeof j->group[i].meetings);
    pthread_mutex_unlock(&j->lock);
}

// --- received ------------------------------------------------------------------------------------

bool nmrt_mirror_take_group(nmrt_mirror *m, nmrt_recorder *r, const void *at, size_t n)
{
    definition d;
    if (n < sizeof d)
        return false;
    memcpy(&d, at, sizeof d);
    if (d.n < 1 || d.me < 0 || d.me >= d.n || n != sizeof d + (size_t)d.n * sizeof(int))
        return false;
    struct nmrt_mirrored *all = realloc(m->group, (size_t)(m->n_groups + 1) * sizeof *all);
    int *rank = malloc((size_t)d.n * sizeof *rank);
    m->group = all ? all : m->group;
    if (all && rank) {
        memcpy(rank, (const char *)at + sizeof d, (size_t)d.n * sizeof *rank);
        all[m->n_groups].group = nmrt_recorder_group(r, &(nmrt_group){d.n, d.me, rank, d.id});
        all[m->n_groups++].me = d.me;
    }
    free(rank);
    return all && rank;
}

static nmrt_note note_of(const nmrt_mirror *m, const nmrt_deed *d)
{
    return (nmrt_note){d->verb, d->name, d->where, d->group < 0 ? -1 : m->group[d->group].group,
                       d->peer, d->bytes};
}

static void terminate(nmrt_deed *d)
{
    d->verb[sizeof d->verb - 1] = d->name[sizeof d->name - 1] = d->where[sizeof d->where - 1] = 0;
}

static bool is_known(const nmrt_mirror *m, const nmrt_deed *d)
{
    return d->group < 0 || (d->group < m->n_groups && m->group[d->group].group >= 0);
}

static void attend(const nmrt_mirror *m, nmrt_recorder *r, int rank, int group, const char *at)
{
    int64_t meeting;
    memcpy(&meeting, at + (size_t)group * sizeof meeting, sizeof meeting);
    if (m->group[group].group >= 0)
        nmrt_recorder_attend(r, rank, m->group[group].group, m->group[group].me, meeting);
}

// What it is in, which entering counts as progress.
static void take_deeds(const nmrt_mirror *m, nmrt_recorder *r, int rank, const char *meetings)
{
    const nmrt_state *s = &m->state;
    if (s->last.name[0]) {
        nmrt_note last = note_of(m, &s->last);
        nmrt_recorder_enter(r, rank, &last);
        nmrt_recorder_leave(r, rank);
    }
    if (!s->inside)
        return;
    nmrt_note now = note_of(m, &s->now);
    nmrt_recorder_enter(r, rank, &now);
    if (s->now.group >= 0)
        attend(m, r, rank, s->now.group, meetings);
}

bool nmrt_mirror_take_state(nmrt_mirror *m, nmrt_recorder *r, int rank, const void *at, size_t n)
{
    nmrt_state *s = &m->state;
    const char *meetings = (const char *)at + sizeof *s;
    if (n < sizeof *s)
        return false;
    memcpy(s, at, sizeof *s);
    terminate(&s->now);
    terminate(&s->last);
    if (s->n_groups < 0 || s->n_groups > m->n_groups ||
        n != sizeof *s + (size_t)s->n_groups * sizeof(int64_t) || !is_known(m, &s->now))
        return false;
    for (int i = 0; i < s->n_groups; i++)
        attend(m, r, rank, i, meetings);
    take_deeds(m, r, rank, meetings);
    atomic_store(nmrt_recorder_progress(r, rank), s->progress);
    return true;
}

void nmrt_mirror_release(nmrt_mirror *m) { free(m->group); }
