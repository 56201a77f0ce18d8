// The chain of a micro-batch, dealt out to virtual stages.
#include "runtime/actions.h"

#include <stdlib.h>

static void set_turns(nmrt_stages *s, int unit, const nmdrv_sym_info *turns)
{
    s->turns[unit] = turns->extent;
    s->name[unit] = turns->of;
    s->row[unit] = turns->first;
    s->each[unit] = turns->each ? turns->each : 1;
}

static nmrt_status find_turns(nmrt_stages *s, const nmdrv_program *p, nmrt_error *e)
{
    s->n_units = p->n_units > 0 ? (int)p->n_units : 1;
    if (p->n_units > NMRT_MAX_UNITS || s->n_units % 2 == 0)
        return nmrt_fail(e, NMRT_CORRUPT, "the program is inconsistent: a chain of %d units",
                         (int)p->n_units);
    for (int u = 0; u < s->n_units; u++) {
        s->turns[u] = u % 2 == 0;
        s->name[u] = "";
    }
    for (int64_t i = 0; i < p->n_funcs; i++) {
        const nmdrv_func *f = &p->func[i];
        if (f->phase != NMDRV_FORWARD || f->turns < 0)
            continue;
        for (int u = 1; u < s->n_units; u += 2)
            if (f->units >> u & 1)
                set_turns(s, u, &p->sym[f->turns]);
    }
    for (int u = 1; u < s->n_units; u += 2)
        if (s->turns[u] < 1)
            return nmrt_fail(e, NMRT_CORRUPT, "the program is inconsistent: unit %d has no turns",
                             u);
    return NMRT_OK;
}

static int64_t all_turns(const nmrt_stages *s)
{
    int64_t n = 0;
    for (int u = 1; u < s->n_units; u += 2)
        n += s->turns[u];
    return n;
}

// How many turns, from turn `first` of `unit` on, are the next of so many stages: those with which
// its rows are nearest to an even share of what is left, but one at least, and one for each other.
static int64_t share_of(const nmrt_stages *s, int unit, int64_t first, int stages)
{
    int64_t rows = 0, turns = -first, n = 0, taken = 0;
    for (int u = unit; u < s->n_units; u += 2) {
        turns += s->turns[u];
        rows += s->each[u] * (s->turns[u] - (u == unit ? first : 0));
    }
    int64_t even = (rows + stages - 1) / stages;
    while (n <= turns - stages) {
        for (; first == s->turns[unit]; first = 0)
            unit += 2;
        int64_t then = taken + s->each[unit];
        if (n && then - even > even - taken)
            break;
        taken = then;
        first++;
        n++;
    }
    return n;
}

static void add_part(nmrt_stages *s, int unit, int64_t first, int64_t n)
{
    s->part[s->n_parts++] = (nmrt_stage_part){unit, first, n};
}

// Stage v gets `share` turns, beginning at turn *first of unit *unit.
static void deal(nmrt_stages *s, int v, int64_t share, int *unit, int64_t *first)
{
    s->at[v] = s->n_parts;
    if (!v)
        add_part(s, 0, 0, 1);
    while (share > 0) {
        int64_t left = s->turns[*unit] - *first, n = share < left ? share : left;
        add_part(s, *unit, *first, n);
        share -= n;
        *first += n;
        if (*first < s->turns[*unit])
            continue;
        if (*unit + 1 < s->n_units)
            add_part(s, *unit + 1, 0, 1);
        *unit += 2;
        *first = 0;
    }
}

nmrt_status nmrt_stages_init(nmrt_stages *s, const nmdrv_program *program, int pp, int vp,
                             nmrt_error *e)
{
    *s = (nmrt_stages){.pp = pp, .n = pp * vp};
    NMRT_TRY(find_turns(s, program, e));
    int64_t turns = all_turns(s);
    if (pp == 1 && vp > 1)
        return nmrt_fail(e, NMRT_USAGE, "--vp %d needs --pp: one stage has nothing to wait for",
                         vp);
    if (s->n > 1 && s->n > turns)
        return nmrt_fail(e, NMRT_USAGE,
                         "--pp %d%s is more stages than there are turns of %s to deal out", pp,
                         vp > 1 ? " with --vp" : "",
                         program->pp_where && *program->pp_where ? program->pp_where : "a repeat");
    s->part = calloc((size_t)(s->n + 2 * s->n_units), sizeof *s->part);
    s->at = calloc((size_t)s->n + 1, sizeof *s->at);
    if (!s->part || !s->at) {
        nmrt_stages_release(s);
        return nmrt_fail(e, NMRT_WORLD, "no memory for the pipeline's stages");
    }
    int unit = 1;
    int64_t first = 0;
    for (int v = 0; v < s->n; v++)
        deal(s, v, share_of(s, unit, first, s->n - v), &unit, &first);
    s->at[s->n] = s->n_parts;
    return NMRT_OK;
}

void nmrt_stages_release(nmrt_stages *s)
{
    free(s->part);
    free(s->at);
    *s = (nmrt_stages){0};
}

uint64_t nmrt_stages_units(const nmrt_stages *s, int rank)
{
    uint64_t units = 0;
    for (int v = rank; v < s->n; v += s->pp)
        for (int i = s->at[v]; i < s->at[v + 1]; i++)
            units |= (uint64_t)1 << s->part[i].unit;
    return units;
}

nmrt_run_of nmrt_stages_rows(const nmrt_stages *s, const nmrt_stage_part *part)
{
    int64_t each = s->each[part->unit];
    return (nmrt_run_of){s->row[part->unit] + part->first * each, part->n * each};
}

int64_t nmrt_stages_turns_of(const nmrt_stages *s, int unit, int64_t rows, int64_t most)
{
    if (rows <= 0)
        return 0;
    int64_t n = rows / s->each[unit] + (rows % s->each[unit] != 0);
    return n < most ? n : most;
}

int nmrt_stages_runs(const nmrt_stages *s, int rank, uint64_t units, nmrt_run_of *run)
{
    int n = 0;
    for (int v = rank; v < s->n; v += s->pp)
        for (int i = s->at[v]; i < s->at[v + 1]; i++)
            if (units >> s->part[i].unit & 1) {
                if (run)
                    run[n] = nmrt_stages_rows(s, &s->part[i]);
                n++;
            }
    return n;
}
