// Turns of a repeat that specialise alike. Every turn is tried once: what it builds is thrown away,
// and the hash of its ops is its signature. A stretch is r * p turns from one on whose signatures
// repeat with period p; its repeat runs over a dim of its own.
#include "frontend/elab_loops.h"

#include "base/hash.h"

// --- signatures ----------------------------------------------------------------------------------

static uint64_t try_turn(nm_elab *e, nm_eloop *l, int64_t turn, bool *read)
{
    nm_trial *t = nm_trial_begin(e, l->s->loc);
    nm_var *vars = nm_new_n(e->a, nm_var, (size_t)l->f->n_vars);
    for (int i = 0; i < l->f->n_vars; i++)
        vars[i] = l->f->var[i];
    bool outer_read = e->turn_read;
    e->turn_read = false;
    nm_value **start = nm_eloop_start(e, l);
    bool ok = true;
    for (int i = 0; i < l->n_carried; i++)
        ok &= start[i] != NULL;
    nm_region *r = nm_region_open(e, l->dim, false, l->s->loc);
    if (ok)
        nm_eloop_params(e, l, r, start);
    e->trace = nm_hash64("", 0);
    if (ok)
        nm_eloop_turn(e, l, turn);
    uint64_t own = e->trace;
    for (int i = 0; i < l->n_carried; i++) { // what is carried on is part of what a turn is
        nm_var *v = nm_frame_var(l->f, l->carried[i]->sym);
        if (v->value.kind == NM_EV_tensor)
            own = nm_hash64_more(own, &v->value.u.t->v->id, sizeof v->value.u.t->v->id);
    }
    *read = e->turn_read;
    e->turn_read |= outer_read;
    nm_trial_end(e, t);
    l->f->n_vars = l->n_vars;
    for (int i = 0; i < l->n_vars; i++)
        l->f->var[i] = vars[i];
    l->f->n_labels = l->n_labels;
    return own;
}

static bool params_in_all_turns(nm_elab *e, nm_eloop *l)
{
    for (nm_pvar *p = e->param; p; p = p->next) {
        if (!p->visits || p->visits >= l->turns)
            continue;
        nm_elab_error(e, l->f, l->s->loc,
                      "%s is a parameter of some turns of this repeat alone; that is not built yet "
                      "[loop-3]",
                      p->path);
        return false;
    }
    return true;
}

uint64_t *nm_turns_signatures(nm_elab *e, nm_eloop *l)
{
    bool read, differ = false;
    unsigned fails = e->fails;
    try_turn(e, l, 0, &read); // declares parameters, which the others find
    if (!read || e->fails != fails)
        return NULL;
    for (nm_pvar *p = e->param; p; p = p->next)
        p->visits = 0;
    uint64_t first = try_turn(e, l, 0, &read);
    uint64_t *sig = nm_new_n(e->a, uint64_t, (size_t)l->turns);
    sig[0] = first;
    for (int64_t k = 1; k < l->turns && e->fails == fails; k++) {
        sig[k] = try_turn(e, l, k, &read);
        differ |= sig[k] != first;
    }
    return differ && params_in_all_turns(e, l) ? sig : NULL;
}

// --- stretches -----------------------------------------------------------------------------------

static int64_t count_repeats(const uint64_t *sig, int64_t n, int64_t first, int64_t period)
{
    int64_t k = first + period;
    while (k < n && sig[k] == sig[k - period])
        k++;
    return (k - first) / period;
}

enum { MAX_PERIOD = 16 };

nm_stretch nm_turns_stretch(const uint64_t *sig, int64_t n, int64_t first)
{
    nm_stretch best = {first, 1, 1};
    for (int64_t p = 1; p <= MAX_PERIOD && first + p <= n; p++) {
        int64_t r = count_repeats(sig, n, first, p);
        if (r > 1 && r * p > best.repeats * best.period)
            best = (nm_stretch){first, r, p};
    }
    return best;
}

// The dim of a stretch's repeat. Another loop over the same dim may have been cut otherwise, and
// has the name.
nm_edim nm_turns_dim(nm_elab *e, nm_eloop *l, nm_stretch s)
{
    const nm_dim_decl *of = nm_dim_lookup(e->m, l->dim.name);
    nm_dim_decl d = {.loc = l->s->loc, .extent = nm_extent_const(e->m, s.repeats)};
    if (of && of->extent == l->dim.extent)
        d.turns_of = of->name, d.first = s.first, d.each = s.period;
    nm_sym name = nm_sym_fmt(e->m, s.first ? "%s.o%lld" : "%s.o", l->dim.name, (long long)s.first);
    d.name = name;
    for (int n = 2;; n++) {
        const nm_dim_decl *has = nm_dim_lookup(e->m, d.name);
        if (!has || (has->turns_of == d.turns_of && has->extent == d.extent &&
                     has->first == d.first && has->each == d.each))
            break;
        d.name = nm_sym_fmt(e->m, "%s.%d", name, n);
    }
    nm_dim_declare(e->m, d);
    return (nm_edim){.name = d.name, .extent = d.extent};
}
