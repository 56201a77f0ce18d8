// The part of --dry-run that says what each --recompute needs and does: the run set up anew with
// each.
#include "runtime/setup.h"
#include "runtime/tally.h"

#include <stdlib.h>

enum { MAX_BLOCKS = 8, MAX_ROWS = MAX_BLOCKS + 4 };

typedef struct row { // a way of this run, as what a step of it is
    nmrt_recompute recompute;
    int64_t memory, saved, launches; // of a rank of the stage that needs most
    double flops, own;               // of all stages; own: without what is computed again
} row;

// --- what it needs -------------------------------------------------------------------------------

static nmrt_status add_memory(const nmrt_setup *s, row *r, int *most, nmrt_error *e)
{
    for (int pp = 0; pp < s->stages.pp; pp++) {
        nmrt_plan plan;
        nmrt_status status = nmrt_setup_plan(s, pp, &plan, e);
        if (plan.total > r->memory) {
            r->memory = plan.total;
            r->saved = plan.links;
            *most = pp;
        }
        nmrt_plan_release(&plan);
        NMRT_TRY(status);
    }
    return NMRT_OK;
}

static nmrt_status add_launches(const nmrt_setup *s, int pp, row *r, nmrt_error *e)
{
    nmrt_setup at = nmrt_setup_seen_from(s, pp);
    nmrt_tally t;
    NMRT_TRY(nmrt_tally_init(&t, &at.mesh, e));
    nmrt_status status = nmrt_setup_tally(&at, &t, e);
    for (int64_t i = 0; i < s->program->n_kernels; i++)
        r->launches += t.launches[i];
    r->launches += t.products.n;
    nmrt_tally_release(&t);
    return status;
}

static void add_flops(const nmrt_setup *s, row *r)
{
    for (int i = 0; i < s->train.n_calls; i++) {
        const nmrt_call *c = &s->train.call[i];
        nmrt_syms syms = nmrt_setup_call_syms(s, c);
        r->flops += (double)s->n_micro * (double)c->func->flops(syms.at);
        r->own += (double)s->n_micro * nmrt_texts_own_flops(s->program, c->func, syms.at);
    }
}

static nmrt_status measure(const nmrt_setup *s, row *r, nmrt_error *e)
{
    nmrt_run run = nmrt_setup_run(s);
    nmrt_setup other;
    int most = 0;
    run.recompute = &r->recompute;
    NMRT_TRY(nmrt_setup_init(&other, &run, e));
    nmrt_status status = add_memory(&other, r, &most, e);
    if (status == NMRT_OK)
        status = add_launches(&other, most, r, e);
    add_flops(&other, r);
    nmrt_setup_release(&other);
    return status;
}

// --- the table -----------------------------------------------------------------------------------

static nmrt_recompute way(nmrt_way_kind kind, int64_t layers)
{
    return (nmrt_recompute){1, {{.name = "", .kind = kind, .layers = layers}}};
}

// Do the layers of all stages run alike?
static bool are_same(const nmrt_stages *s, const nmrt_recompute *a, const nmrt_recompute *b)
{
    for (int v = 0; v < s->n; v++)
        for (int part = s->at[v]; part < s->at[v + 1]; part++) {
            nmrt_chunk one[2], other[2];
            int n = nmrt_recompute_chunks(a, s, v, part, one);
            if (s->part[part].unit % 2 == 0)
                continue;
            if (nmrt_recompute_chunks(b, s, v, part, other) != n)
                return false;
            for (int i = 0; i < n; i++)
                if (one[i].variant != other[i].variant || one[i].part.n != other[i].part.n)
                    return false;
        }
    return true;
}

// Turns are not cut: is a block of one layer more the same?
static bool is_short(const nmrt_stages *s, int64_t layers)
{
    nmrt_recompute this = way(NMRT_WAY_BLOCK, layers), next = way(NMRT_WAY_BLOCK, layers + 1);
    return are_same(s, &this, &next);
}

// Of blocks that are the same, the one of most layers; of few layers all, of many the quarters.
static int list_blocks(const nmrt_setup *s, row *r, int n)
{
    int64_t most = nmrt_recompute_most(&s->stages), last = 0, rows = most <= MAX_BLOCKS ? most : 4;
    for (int64_t k = 1; k < rows; k++) {
        int64_t layers = most * k / rows;
        while (layers < most && is_short(&s->stages, layers))
            layers++;
        if (layers > last && layers < most)
            r[n++].recompute = way(NMRT_WAY_BLOCK, last = layers);
    }
    return n;
}

// All variants, and blocks between selective and full.
static int list_rows(const nmrt_setup *s, row *r)
{
    int n = 0;
    for (int i = NMRT_WAY_NONE; i < NMRT_WAY_FULL; i++)
        if (nmrt_recompute_has(s->program, (nmdrv_recompute)i))
            r[n++].recompute = way((nmrt_way_kind)i, 0);
    if (nmrt_recompute_has_blocks(s->program))
        n = list_blocks(s, r, n);
    if (nmrt_recompute_has(s->program, NMDRV_RECOMPUTE_FULL))
        r[n++].recompute = way(NMRT_WAY_FULL, 0);
    return n;
}

static void print_row(const row *r, bool is_this_run, nmrt_text *out)
{
    nmrt_text name = {0};
    nmrt_recompute_print(&r->recompute, &name);
    nmrt_text_add(out, "%s %-16s %12s %12s %10lld %12s %9.1f %%\n", is_this_run ? " *" : "  ",
                  name.at ? name.at : "", nmrt_bytes(r->memory).s, nmrt_bytes(r->saved).s,
                  (long long)r->launches, nmrt_count(r->flops - r->own).s,
                  r->own > 0 ? 100 * (r->flops - r->own) / r->own : 0.0);
    nmrt_text_release(&name);
}

nmrt_status nmrt_setup_print_recompute(const nmrt_setup *s, nmrt_text *out, nmrt_error *e)
{
    row r[MAX_ROWS] = {0};
    if (!s->train.n_calls)
        return NMRT_OK;
    int n = list_rows(s, r);
    if (n < 2) // no choice
        return NMRT_OK;
    int own = 0;
    while (own < n && !are_same(&s->stages, &s->recompute, &r[own].recompute))
        own++;
    if (own == n)
        r[n++].recompute = s->recompute;
    nmrt_text_add(out, "\n   %-16s %12s %12s %10s %12s %11s\n", "--recompute", "memory", "saved",
                  "launches", "operations", "of a step");
    nmrt_text_add(out, "   %-16s %12s %12s %10s %12s\n", "", "a rank", "of it", "a rank", "again");
    for (int i = 0; i < n; i++) {
        NMRT_TRY(measure(s, &r[i], e));
        print_row(&r[i], i == own, out);
    }
    return NMRT_OK;
}
