// How a run over sockets is found to have failed. Rank 0 judges by what it has heard of all: who is
// missed, who is behind, who has said that it failed. The others follow: they take its verdict, and
// decide alone where it gives no sign of life.
#include "runtime/wire_health.h"

#include "runtime/clock.h"

#include <stdio.h>

// Seconds. A death is told when it is known who waits for the dead; this is the longest wait.
static const double NOTICE = 2.5;

void nmrt_health_decide(nmrt_health *h, const nmrt_verdict *v)
{
    if (atomic_load(&h->failed))
        return;
    h->final = *v;
    h->final.why[sizeof h->final.why - 1] = 0;
    h->decided = nmrt_seconds();
    atomic_store(&h->failed, true);
}

// --- rank 0 judges -------------------------------------------------------------------------------

// Somebody has waited too long: for one who has left, or one who is behind.
static void blame(nmrt_health *h, int waiting)
{
    for (int i = 0; i < h->ranks; i++)
        if (h->peer[i].bye && nmrt_recorder_awaits(h->recorder, i))
            nmrt_recorder_mourn(h->recorder, i, "ended with code 0");
    nmrt_recorder_blame(h->recorder, waiting);
}

void nmrt_health_look_for_stalled(nmrt_health *h)
{
    char how[96];
    for (int i = 0; i < h->ranks; i++)
        if (nmrt_mirror_waited(&h->peer[i].mirror) > h->timeout && h->peer[i].silence < NMRT_SILENT)
            blame(h, i);
    snprintf(how, sizeof how, "no sign of life for %g s: stopped, or cut off", h->timeout);
    for (int i = 1; i < h->ranks; i++)
        if (h->peer[i].silence > h->timeout + NMRT_SILENT)
            nmrt_recorder_mourn(h->recorder, i, how);
}

// Does anyone wait for longer than this?
static bool is_late(const nmrt_health *h, double seconds)
{
    for (int i = 0; i < h->ranks; i++)
        if (nmrt_mirror_waited(&h->peer[i].mirror) > seconds)
            return true;
    return false;
}

// A rank that has said farewell, or is gone, while another waits for it. Who waits for whom costs
// a look at all ranks' groups: it is asked only of those that are gone, and of those that have
// said farewell once somebody has waited for long.
static void look_for_missed(nmrt_health *h)
{
    double now = nmrt_seconds();
    bool late = is_late(h, h->timeout / 2);
    for (int i = 0; i < h->ranks; i++) {
        nmrt_peer *p = &h->peer[i];
        if (!p->how && (!p->bye || !late)) {
            p->gone = 0;
            continue;
        }
        bool awaited = nmrt_recorder_awaits(h->recorder, i);
        if (p->how && (awaited || now - p->gone > NOTICE))
            nmrt_recorder_mourn(h->recorder, i, p->how);
        else if (!p->how && p->bye && !awaited)
            p->gone = 0;
        else if (!p->how && p->bye && !p->gone)
            p->gone = now;
        else if (!p->how && p->bye && now - p->gone > NOTICE)
            nmrt_recorder_mourn(h->recorder, i, "ended with code 0");
    }
}

static bool have_all_left(const nmrt_health *h)
{
    for (int i = 0; i < h->ranks; i++)
        if (!h->peer[i].bye)
            return false;
    return true;
}

void nmrt_health_judge(nmrt_health *h)
{
    if (atomic_load(&h->asked_fail))
        nmrt_recorder_fail(h->recorder, (nmrt_failure)h->asked.kind, h->asked.rank, h->asked.why);
    h->peer[0].bye = atomic_load(&h->leaves);
    if (have_all_left(h) && !h->left) {
        nmrt_health_tell_all(h, NMRT_SAY_BYE, NULL, 0);
        h->left = nmrt_seconds();
        atomic_store(&h->may_leave, true);
    }
    if (!h->left)
        look_for_missed(h);
    if (nmrt_recorder_failure(h->recorder) == NMRT_FAILED_NOT || h->said_verdict || h->left)
        return;
    nmrt_verdict v = {.kind = (int32_t)nmrt_recorder_failure(h->recorder),
                      .rank = nmrt_recorder_failed_rank(h->recorder)};
    snprintf(v.why, sizeof v.why, "%.990s", nmrt_recorder_why(h->recorder));
    nmrt_health_tell_all(h, NMRT_SAY_VERDICT, &v, sizeof v);
    h->said_verdict = true;
    nmrt_health_decide(h, &v);
}

// --- the others ----------------------------------------------------------------------------------

static void decide_alone(nmrt_health *h, const char *what)
{
    nmrt_verdict v = {.kind = NMRT_FAILED_LOST, .rank = -1};
    nmrt_title title = nmrt_recorder_title(h->recorder, h->rank);
    snprintf(v.why, sizeof v.why, "rank 0 %s; rank %d's last operation is %.400s", what, h->rank,
             title.at);
    atomic_store(&h->alone, true);
    nmrt_health_decide(h, &v);
}

void nmrt_health_follow(nmrt_health *h)
{
    char what[96];
    nmrt_peer *first = &h->peer[0];
    if (atomic_load(&h->asked_fail) && !h->told_fail) {
        nmrt_health_tell(first, NMRT_SAY_FAIL, &h->asked, sizeof h->asked);
        h->told_fail = nmrt_seconds();
    } else if (h->told_fail && !h->decided && nmrt_seconds() - h->told_fail > NMRT_TELL) {
        atomic_store(&h->alone, true);
        nmrt_health_decide(h, &h->asked);
    }
    if (atomic_load(&h->leaves) && !h->said_bye) {
        nmrt_health_tell(first, NMRT_SAY_BYE, NULL, 0);
        h->said_bye = true;
    }
    if (first->bye)
        atomic_store(&h->may_leave, true);
    else if (h->decided)
        return;
    else if (first->how) {
        snprintf(what, sizeof what, "is gone (%s)", first->how);
        nmrt_health_tell_state(h, 0);
        decide_alone(h, what);
    } else if (first->silence > h->timeout + NMRT_SILENT) {
        snprintf(what, sizeof what, "gives no sign of life for %g s (stopped, or cut off)",
                 h->timeout);
        decide_alone(h, what);
    }
}
