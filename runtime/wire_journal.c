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

typedef struct doing {
    nmrt_note now, last; // .group is one of ours
    bool inside;
    int64_t steps, seen; // operations and moves so far; those at the last state
    double waited;
} doing;

struct nmrt_journal {
    pthread_mutex_t lock;
    doing at[NMRT_N_SEATS];
    double ran;               // of nmrt_process_ran
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

// Holds the lock.
static void enter(nmrt_journal *j, nmrt_seat seat, const nmrt_note *note, const nmrt_group *group)
{
    doing *at = &j->at[seat];
    at->now = *note;
    at->now.group = group ? find_group(j, group) : -1;
    at->inside = true;
    at->steps++;
}

static void leave(nmrt_journal *j, nmrt_seat seat)
{
    pthread_mutex_lock(&j->lock);
    j->at[seat].inside = false;
    j->at[seat].last = j->at[seat].now;
    pthread_mutex_unlock(&j->lock);
}

int64_t nmrt_journal_enter(nmrt_journal *j, const nmrt_note *note, const nmrt_group *group)
{
    int64_t meeting = 0;
    pthread_mutex_lock(&j->lock);
    enter(j, NMRT_SEAT_RANK, note, group);
    int at = j->at[NMRT_SEAT_RANK].now.group;
    if (group)
        meeting = at < 0 ? -1 : ++j->group[at].meetings;
    pthread_mutex_unlock(&j->lock);
    return meeting;
}

void nmrt_journal_leave(nmrt_journal *j) { leave(j, NMRT_SEAT_RANK); }

void nmrt_journal_moved(nmrt_journal *j)
{
    pthread_mutex_lock(&j->lock);
    j->at[NMRT_SEAT_RANK].steps++;
    pthread_mutex_unlock(&j->lock);
}

void nmrt_journal_attend(nmrt_journal *j, const nmrt_group *group, int64_t meeting)
{
    pthread_mutex_lock(&j->lock);
    int at = find_group(j, group);
    if (at >= 0)
        j->group[at].meetings = meeting;
    pthread_mutex_unlock(&j->lock);
}

void nmrt_journal_device_enter(nmrt_journal *j, const nmrt_note *note, const nmrt_group *group)
{
    pthread_mutex_lock(&j->lock);
    enter(j, NMRT_SEAT_DEVICE, note, group);
    pthread_mutex_unlock(&j->lock);
}

void nmrt_journal_device_leave(nmrt_journal *j) { leave(j, NMRT_SEAT_DEVICE); }

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

// Since the last time.
static nmrt_doing doing_now(doing *at, double seconds)
{
    bool waits = at->inside && at->steps == at->seen;
    at->waited = waits ? at->waited + (seconds < LONGEST ? seconds : LONGEST) : 0;
    at->seen = at->steps;
    return (nmrt_doing){at->waited, at->inside, deed_of(&at->now), deed_of(&at->last)};
}

static void add_state(nmrt_journal *j, double seconds, nmrt_text *out)
{
    doing *own = &j->at[NMRT_SEAT_RANK], *device = &j->at[NMRT_SEAT_DEVICE];
    bool waits = own->inside || (device->inside && device->now.group >= 0);
    if (nmrt_process_ran(0, &j->ran) && !waits) // one long launch
        own->steps++;
    nmrt_state s = {.progress = own->steps + device->steps + atomic_load(&j->progress),
                    .n_groups = j->n_groups};
    for (int i = 0; i < NMRT_N_SEATS; i++)
        s.at[i] = doing_now(&j->at[i], seconds);
    nmrt_text_add_bytes(out, &s, sizeof s);
    for (int i = 0; i < j->n_groups; i++)
        nmrt_text_add_bytes(out, &j->group[i].meetings, sizeof j->group[i].meetings);
}

bool nmrt_journal_add_state(nmrt_journal *j, int told, double seconds, nmrt_text *out)
{
    pthread_mutex_lock(&j->lock);
    bool known = j->n_groups <= told;
    if (known)
        add_state(j, seconds, out);
    pthread_mutex_unlock(&j->lock);
    return known;
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
    return d->group < 0 || (d->group < m->n_groups && d->group < m->state.n_groups &&
                            m->group[d->group].group >= 0);
}

static int64_t meetings_of(const char *meetings, int64_t group)
{
    int64_t n;
    memcpy(&n, meetings + (size_t)group * sizeof n, sizeof n);
    return n;
}

static void count_meetings(const nmrt_mirror *m, nmrt_recorder *r, const char *meetings)
{
    for (int64_t i = 0; i < m->state.n_groups; i++)
        if (m->group[i].group >= 0)
            nmrt_recorder_count(r, m->group[i].group, m->group[i].me, meetings_of(meetings, i));
}

// What it is in, which entering counts as progress.
static void take_deeds(const nmrt_mirror *m, nmrt_recorder *r, const nmrt_doing *at, int seat,
                       const char *meetings)
{
    if (at->last.name[0]) {
        nmrt_note last = note_of(m, &at->last);
        nmrt_recorder_enter(r, seat, &last);
        nmrt_recorder_leave(r, seat);
    }
    if (!at->inside)
        return;
    nmrt_note now = note_of(m, &at->now);
    nmrt_recorder_enter(r, seat, &now);
    if (at->now.group >= 0)
        nmrt_recorder_attend(r, seat, now.group, m->group[at->now.group].me,
                             meetings_of(meetings, at->now.group));
}

static bool are_known(nmrt_mirror *m)
{
    bool all = true;
    for (int i = 0; i < NMRT_N_SEATS; i++) {
        terminate(&m->state.at[i].now);
        terminate(&m->state.at[i].last);
        all = all && is_known(m, &m->state.at[i].now) && is_known(m, &m->state.at[i].last);
    }
    return all;
}

bool nmrt_mirror_take_state(nmrt_mirror *m, nmrt_recorder *r, int rank, const void *at, size_t n)
{
    nmrt_state *s = &m->state;
    const char *meetings = (const char *)at + sizeof *s;
    const int seat[NMRT_N_SEATS] = {rank, nmrt_recorder_device(r, rank)};
    if (n < sizeof *s)
        return false;
    memcpy(s, at, sizeof *s);
    if (!are_known(m) || s->n_groups < 0 || s->n_groups > m->n_groups ||
        n != sizeof *s + (size_t)s->n_groups * sizeof(int64_t))
        return false;
    count_meetings(m, r, meetings);
    for (int i = 0; i < NMRT_N_SEATS; i++) {
        take_deeds(m, r, &s->at[i], seat[i], meetings);
        atomic_store(nmrt_recorder_progress(r, seat[i]), i ? 0 : s->progress);
    }
    return true;
}

double nmrt_mirror_waited(const nmrt_mirror *m)
{
    double own = m->state.at[NMRT_SEAT_RANK].waited, device = m->state.at[NMRT_SEAT_DEVICE].waited;
    return own > device ? own : device;
}

void nmrt_mirror_release(nmrt_mirror *m) { free(m->group); }
