// The flight recorder and the watchdog that reads it.
//
// Every rank writes only its own record; others read it while it waits, so a text read is one of an
// operation that is or was under way. Who is behind is a walk: from a rank that waits to a member
// of its group that has not come to the meeting, from there on if that one waits, too, until it
// comes to one that does not wait (it is stuck, or gone) or back to one it has seen (they diverge:
// each waits for the other in another operation). All on the way must have stood still for the
// timeout: what is noted of one that moves may be about to change.
#include "runtime/recorder.h"

#include "runtime/clock.h"
#include "runtime/text.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

typedef struct record { // what a rank does
    _Alignas(64) atomic_int inside;
    atomic_int group, peer, me, pid, silent;
    _Atomic int64_t meeting; // of the group, that it waits for
    _Atomic int64_t bytes;
    _Atomic(const char *) verb, name, where, last_verb, last_name, last_where;
    atomic_int last_peer;
    _Atomic int64_t progress;
    // by the watcher: the progress and the time on processors that it saw, and for how long neither
    // has moved
    _Alignas(64) _Atomic int64_t seen;
    double ran;
    _Atomic double still;
    // by who blames: since when, with this progress, the rank waits though all have come
    _Atomic int64_t free_at;
    _Atomic double free_since;
} record;

// A group's row is this and then, for each member, its world rank and how many meetings it came to.
typedef struct group_row {
    _Atomic int64_t id;
    atomic_int n; // set when the members are written
} group_row;

typedef struct member_row {
    atomic_int rank;
    _Atomic int64_t meetings;
} member_row;

struct nmrt_recorder {
    int ranks;
    double timeout;
    atomic_int stop, claimed, failure, failed_rank;
    char why[1024];
    _Alignas(64) record at[]; // [2 ranks]: of the ranks, then of their devices
};

static size_t group_stride(int ranks)
{
    return (sizeof(group_row) + (size_t)ranks * sizeof(member_row) + 63) / 64 * 64;
}

static size_t head_bytes(int ranks)
{
    return sizeof(nmrt_recorder) + 2 * (size_t)ranks * sizeof(record);
}

size_t nmrt_recorder_bytes(int ranks)
{
    return head_bytes(ranks) + NMRT_MAX_GROUPS * group_stride(ranks);
}

nmrt_recorder *nmrt_recorder_init(void *memory, int ranks, double timeout)
{
    nmrt_recorder *r = memory;
    r->ranks = ranks;
    r->timeout = timeout;
    atomic_store(&r->failed_rank, -1);
    return r;
}

double nmrt_recorder_timeout(const nmrt_recorder *r) { return r->timeout; }

void nmrt_recorder_set_pid(nmrt_recorder *r, int rank, int pid)
{
    atomic_store(&r->at[rank].pid, pid);
}

static group_row *group_at(const nmrt_recorder *r, int group)
{
    return (group_row *)((char *)r + head_bytes(r->ranks) + (size_t)group * group_stride(r->ranks));
}

static member_row *members_of(group_row *g) { return (member_row *)(g + 1); }

// --- by each rank ------------------------------------------------------------------------------

int nmrt_recorder_device(const nmrt_recorder *r, int rank) { return r->ranks + rank; }

// Open addressing by id. Whoever claims the row writes the members; all members write the same.
int nmrt_recorder_group(nmrt_recorder *r, const nmrt_group *group)
{
    for (int i = 0; i < NMRT_MAX_GROUPS; i++) {
        int at = (int)(((uint64_t)group->id + (uint64_t)i) % NMRT_MAX_GROUPS);
        group_row *g = group_at(r, at);
        int64_t id = 0;
        if (!atomic_compare_exchange_strong(&g->id, &id, group->id) && id != group->id)
            continue;
        for (int k = 0; k < group->n; k++)
            atomic_store(&members_of(g)[k].rank, group->rank[k]);
        atomic_store(&g->n, group->n);
        return at;
    }
    return -1;
}

void nmrt_recorder_enter(nmrt_recorder *r, int seat, const nmrt_note *note)
{
    record *at = &r->at[seat];
    atomic_store(&at->group, note->group);
    atomic_store(&at->peer, note->peer);
    atomic_store(&at->meeting, 0);
    atomic_store(&at->bytes, note->bytes);
    atomic_store(&at->verb, note->verb);
    atomic_store(&at->name, note->name);
    atomic_store(&at->where, note->where);
    atomic_fetch_add(&at->progress, 1);
    atomic_store(&at->inside, 1);
}

int64_t nmrt_recorder_arrive(nmrt_recorder *r, int rank, int group, int me)
{
    int64_t meeting = 1 + atomic_fetch_add(&members_of(group_at(r, group))[me].meetings, 1);
    atomic_store(&r->at[rank].meeting, meeting);
    return meeting;
}

void nmrt_recorder_count(nmrt_recorder *r, int group, int me, int64_t meetings)
{
    atomic_store(&members_of(group_at(r, group))[me].meetings, meetings);
}

void nmrt_recorder_attend(nmrt_recorder *r, int seat, int group, int me, int64_t meeting)
{
    nmrt_recorder_count(r, group, me, meeting);
    atomic_store(&r->at[seat].meeting, meeting);
}

void nmrt_recorder_set_silent(nmrt_recorder *r, int rank, bool silent)
{
    atomic_store(&r->at[rank].silent, silent);
}

void nmrt_recorder_leave(nmrt_recorder *r, int seat)
{
    record *at = &r->at[seat];
    atomic_store(&at->inside, 0);
    atomic_store(&at->last_verb, atomic_load(&at->verb));
    atomic_store(&at->last_name, atomic_load(&at->name));
    atomic_store(&at->last_where, atomic_load(&at->where));
    atomic_store(&at->last_peer, atomic_load(&at->peer));
}

_Atomic int64_t *nmrt_recorder_progress(nmrt_recorder *r, int rank)
{
    return &r->at[rank].progress;
}

// The seat that is in an operation, the device's before the rank's own; -1: neither.
static int seat_inside(const nmrt_recorder *r, int rank)
{
    int device = nmrt_recorder_device(r, rank);
    return atomic_load(&r->at[device].inside) ? device
           : atomic_load(&r->at[rank].inside) ? rank
                                              : -1;
}

// Outside of operations, what uses a processor is one long launch or copy. Inside, it waits; but a
// device's message may be awaited beside other work.
static bool computes(nmrt_recorder *r, int rank)
{
    record *at = &r->at[rank], *device = &r->at[nmrt_recorder_device(r, rank)];
    bool waits = atomic_load(&at->inside) ||
                 (atomic_load(&device->inside) && atomic_load(&device->group) >= 0);
    int pid = atomic_load(&at->pid); // 0: of another machine, or unknown; it counts this itself
    return pid && nmrt_process_ran(pid, &at->ran) && !waits;
}

// Of the rank and its device.
static int64_t progress_of(const nmrt_recorder *r, int rank)
{
    return atomic_load(&r->at[rank].progress) +
           atomic_load(&r->at[nmrt_recorder_device(r, rank)].progress);
}

void nmrt_recorder_watch(nmrt_recorder *r, double seconds)
{
    for (int i = 0; i < r->ranks; i++) {
        record *at = &r->at[i];
        int64_t now = progress_of(r, i);
        bool moved = computes(r, i) || now != atomic_load(&at->seen);
        atomic_store(&at->seen, now);
        atomic_store(&at->still, moved ? 0 : atomic_load(&at->still) + seconds);
    }
}

// --- texts -------------------------------------------------------------------------------------

nmrt_title nmrt_note_title(const nmrt_note *note)
{
    nmrt_title t;
    const char *name = note->name;
    char to[64] = "";
    int first = nmrt_stem(name);
    if (*note->verb)
        snprintf(to, sizeof to, "%s rank %d ", note->verb, note->peer), first = (int)strlen(name);
    snprintf(t.at, sizeof t.at, "%s%.*s%s%.160s%s%.100s%s", to, first < 100 ? first : 100, name,
             name[first] ? " " : "", name[first] ? name + first + 1 : "", *note->where ? " (" : "",
             note->where, *note->where ? ")" : "");
    return t;
}

static nmrt_title title_now(const nmrt_recorder *r, int seat)
{
    const record *at = &r->at[seat];
    return nmrt_note_title(&(nmrt_note){.verb = atomic_load(&at->verb),
                                        .name = atomic_load(&at->name),
                                        .where = atomic_load(&at->where),
                                        .peer = atomic_load(&at->peer)});
}

// Where both have done something, the device's says more: in a step it has most.
nmrt_title nmrt_recorder_title(const nmrt_recorder *r, int rank)
{
    int seat = seat_inside(r, rank), device = nmrt_recorder_device(r, rank);
    if (seat >= 0)
        return title_now(r, seat);
    const record *at = &r->at[atomic_load(&r->at[device].last_name) ? device : rank];
    const char *name = atomic_load(&at->last_name);
    if (!name)
        return (nmrt_title){"none"};
    return nmrt_note_title(&(nmrt_note){.verb = atomic_load(&at->last_verb),
                                        .name = name,
                                        .where = atomic_load(&at->last_where),
                                        .peer = atomic_load(&at->last_peer)});
}

// Is the process stopped by a signal (the third field of its stat)?
static bool is_stopped(const nmrt_recorder *r, int rank)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", atomic_load(&r->at[rank].pid));
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = 0;
    const char *name_end = strrchr(text, ')');
    return name_end && strlen(name_end) > 2 && (name_end[2] == 'T' || name_end[2] == 't');
}

static const char *state_of(const nmrt_recorder *r, int rank)
{
    return atomic_load(&r->at[rank].silent) ? "no sign of life: stopped, or cut off"
           : is_stopped(r, rank)            ? "stopped"
                                            : "stuck";
}

static bool is_frozen(const nmrt_recorder *r, int rank)
{
    return atomic_load(&r->at[rank].silent) || is_stopped(r, rank);
}

// --- who is behind -----------------------------------------------------------------------------

// The first that this seat waits for, or -1.
static int awaited_at(const nmrt_recorder *r, int seat)
{
    const record *at = &r->at[seat];
    if (!atomic_load(&at->inside))
        return -1;
    int group = atomic_load(&at->group);
    if (group < 0)
        return atomic_load(&at->peer);
    group_row *g = group_at(r, group);
    for (int i = 0; i < atomic_load(&g->n); i++)
        if (atomic_load(&members_of(g)[i].meetings) < atomic_load(&at->meeting))
            return atomic_load(&members_of(g)[i].rank);
    return -1;
}

// The first that `rank` waits for, or -1; *seat: where it does, if it is inside of anything.
static int awaited_by(const nmrt_recorder *r, int rank, int *seat)
{
    int device = nmrt_recorder_device(r, rank), who = awaited_at(r, device);
    bool own = atomic_load(&r->at[rank].inside);
    *seat = who >= 0 || (!own && atomic_load(&r->at[device].inside)) ? device : rank;
    return who >= 0 ? who : awaited_at(r, rank);
}

bool nmrt_recorder_awaits(const nmrt_recorder *r, int rank)
{
    int seat;
    for (int i = 0; i < r->ranks; i++)
        if (i != rank && awaited_by(r, i, &seat) == rank)
            return true;
    return false;
}

nmrt_failure nmrt_failure_kind(nmrt_status status)
{
    return status == NMRT_USAGE ? NMRT_FAILED_FLAGS : NMRT_FAILED_RANK;
}

int nmrt_failure_rank(nmrt_status status, const nmrt_error *e, int rank)
{
    return status == NMRT_USAGE || e->everyones ? -1 : rank;
}

bool nmrt_recorder_fail(nmrt_recorder *r, nmrt_failure kind, int rank, const char *why)
{
    int nobody = 0;
    if (!atomic_compare_exchange_strong(&r->claimed, &nobody, 1))
        return false;
    snprintf(r->why, sizeof r->why, "%s", why);
    atomic_store(&r->failed_rank, rank);
    atomic_store(&r->failure, (int)kind);
    return true;
}

nmrt_failure nmrt_recorder_failure(const nmrt_recorder *r)
{
    return (nmrt_failure)atomic_load(&r->failure);
}

const char *nmrt_recorder_why(const nmrt_recorder *r) { return r->why; }
int nmrt_recorder_failed_rank(const nmrt_recorder *r) { return atomic_load(&r->failed_rank); }

void nmrt_recorder_diverge(nmrt_recorder *r, int rank, int other)
{
    char why[sizeof r->why];
    int low = rank < other ? rank : other, high = rank < other ? other : rank;
    snprintf(why, sizeof why, "rank %d is in %.400s, rank %d in %.400s: they diverge", low,
             nmrt_recorder_title(r, low).at, high, nmrt_recorder_title(r, high).at);
    nmrt_recorder_fail(r, NMRT_FAILED_RANK, -1, why);
}

// Nobody is behind, and yet the rank waits: it is about to go on, unless that lasts.
static bool is_forgotten(nmrt_recorder *r, int rank)
{
    record *at = &r->at[rank];
    int64_t progress = progress_of(r, rank);
    if (atomic_exchange(&at->free_at, progress) != progress)
        atomic_store(&at->free_since, nmrt_seconds());
    return nmrt_seconds() - atomic_load(&at->free_since) > r->timeout;
}

// What rank `waiting`, at `seat`, has not got from `behind`.
static void print_blame(const nmrt_recorder *r, int waiting, int seat, int behind, char *why,
                        size_t n)
{
    const record *at = &r->at[seat];
    const char *verb = atomic_load(&at->verb), *state = state_of(r, behind);
    nmrt_title last = nmrt_recorder_title(r, behind);
    if (!*verb) {
        snprintf(why, n,
                 "rank %d has not entered %.350s for %g s (%s); its last operation was %.350s",
                 behind, title_now(r, seat).at, r->timeout, state, last.at);
        return;
    }
    bool receives = strcmp(verb, "receive from") == 0;
    const char *where = atomic_load(&at->where);
    snprintf(
        why, n,
        "rank %d waits %s %.160s%s%.100s%s %s rank %d, which has not %s for %g s (%s); its last "
        "operation was %.300s",
        waiting, receives ? "for" : "to send", atomic_load(&at->name), *where ? " (" : "", where,
        *where ? ")" : "", receives ? "from" : "to", behind,
        receives ? "sent it" : "taken what it was sent before", r->timeout, state, last.at);
}

// All have come, and it does not end: a rank that does not move may stand in the middle of it.
static void print_riddle(const nmrt_recorder *r, int waiting, int seat, char *why, size_t n)
{
    int frozen = 0;
    while (frozen < r->ranks && (frozen == waiting || !is_frozen(r, frozen)))
        frozen++;
    int at = snprintf(why, n, "rank %d waits in %.400s for %g s, and nobody is behind", waiting,
                      title_now(r, seat).at, r->timeout);
    if (frozen < r->ranks)
        snprintf(why + at, n - (size_t)at,
                 "; but rank %d does not move (%s): its last operation was %.300s", frozen,
                 state_of(r, frozen), nmrt_recorder_title(r, frozen).at);
}

void nmrt_recorder_blame(nmrt_recorder *r, int rank)
{
    char why[sizeof r->why], seen[4096] = {0};
    int waiting = rank, behind, seat;
    for (;;) {
        seen[waiting] = 1;
        behind = awaited_by(r, waiting, &seat);
        if (behind >= 0 && atomic_load(&r->at[behind].still) < r->timeout)
            return;
        if (behind < 0 || seat_inside(r, behind) < 0 || is_frozen(r, behind))
            break;
        if (seen[behind]) {
            nmrt_recorder_diverge(r, waiting, behind);
            return;
        }
        waiting = behind;
    }
    if (behind < 0 && !is_forgotten(r, waiting))
        return;
    if (behind < 0)
        print_riddle(r, waiting, seat, why, sizeof why);
    else
        print_blame(r, waiting, seat, behind, why, sizeof why);
    nmrt_recorder_fail(r, NMRT_FAILED_LOST, -1, why);
}

void nmrt_recorder_mourn(nmrt_recorder *r, int rank, const char *how)
{
    char why[sizeof r->why];
    int seat = -1, at;
    for (int i = 0; i < r->ranks && seat < 0; i++)
        if (i != rank && awaited_by(r, i, &at) == rank)
            seat = at;
    int n = snprintf(why, sizeof why, "rank %d is gone (%s)", rank, how);
    if (seat >= 0)
        n += snprintf(why + n, sizeof why - (size_t)n, " while the others wait in %.350s",
                      title_now(r, seat).at);
    snprintf(why + n, sizeof why - (size_t)n, "; its last operation was %.350s",
             nmrt_recorder_title(r, rank).at);
    nmrt_recorder_fail(r, NMRT_FAILED_LOST, -1, why);
}

void nmrt_recorder_ask_stop(nmrt_recorder *r) { atomic_store(&r->stop, 1); }
bool nmrt_recorder_stop_asked(const nmrt_recorder *r) { return atomic_load(&r->stop); }
