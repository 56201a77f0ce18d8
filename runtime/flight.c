// A device's part of the flight recorder: at once in the memory that forked ranks share, or in the
// journal that goes to rank 0, which finds who is behind.
#include "runtime/flight.h"

#include "runtime/local.h"
#include "runtime/wire.h"
#include "runtime/wire_journal.h"

static const int64_t APART = 0x4E43434C; // its meetings are counted apart from the communicator's

static nmrt_group apart(const nmrt_group *group)
{
    nmrt_group g = *group;
    g.id ^= APART;
    return g;
}

static int seat_of(const nmrt_flight *f)
{
    return nmrt_recorder_device(f->local->recorder, f->rank);
}

void nmrt_flight_attend(const nmrt_flight *f, const nmrt_group *group, int64_t meetings)
{
    nmrt_group g = apart(group);
    if (f->health)
        nmrt_journal_attend(nmrt_health_journal(f->health), &g, meetings);
    if (!f->local)
        return;
    int at = nmrt_recorder_group(f->local->recorder, &g);
    if (at >= 0)
        nmrt_recorder_count(f->local->recorder, at, g.me, meetings);
}

void nmrt_flight_enter(const nmrt_flight *f, const nmrt_note *note, const nmrt_group *group,
                       int64_t meetings)
{
    nmrt_group g = group ? apart(group) : (nmrt_group){0};
    nmrt_note at = *note;
    if (f->health)
        nmrt_journal_device_enter(nmrt_health_journal(f->health), note, group ? &g : NULL);
    if (!f->local)
        return;
    at.group = group ? nmrt_recorder_group(f->local->recorder, &g) : -1;
    nmrt_recorder_enter(f->local->recorder, seat_of(f), &at);
    if (at.group >= 0)
        nmrt_recorder_attend(f->local->recorder, seat_of(f), at.group, g.me, meetings);
}

void nmrt_flight_leave(const nmrt_flight *f)
{
    if (f->health)
        nmrt_journal_device_leave(nmrt_health_journal(f->health));
    if (f->local)
        nmrt_recorder_leave(f->local->recorder, seat_of(f));
}

nmrt_status nmrt_flight_look(const nmrt_flight *f, double waited, nmrt_error *e)
{
    nmrt_recorder *r = f->local ? f->local->recorder : NULL;
    if (f->health && nmrt_health_has_failed(f->health))
        return nmrt_fail(e, NMRT_WORLD, "%s", nmrt_health_why(f->health));
    if (!r)
        return NMRT_OK;
    if (waited > nmrt_recorder_timeout(r))
        nmrt_recorder_blame(r, f->rank);
    return nmrt_recorder_failure(r) == NMRT_FAILED_NOT
               ? NMRT_OK
               : nmrt_fail(e, NMRT_WORLD, "%s", nmrt_recorder_why(r));
}
