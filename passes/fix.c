// fix: what `nemocc --fix NAME=VALUE` bakes into the binary.
//
// Why here: before units and shard, which deal a step out to stages and ranks. An axis that is
// known to be 1 leaves the mesh table, so nothing is split over it: its collectives never come to
// be, and what they would have kept apart is fused. A run-time dim keeps its symbol, for the
// numbers that micro-batches and other functions (generation) have of it; train functions know its
// size. The binary refuses other values.
#include "passes/pass.h"

#include <string.h>

static bool is_axis(const char *name)
{
    static const char *const axes[] = {"tp", "cp", "dp", "pp"};
    for (size_t i = 0; i < sizeof axes / sizeof *axes; i++)
        if (!strcmp(name, axes[i]))
            return true;
    return false;
}

static int find_row(const nm_module *m, const char *axis)
{
    int i = 0;
    while (i < m->n_mesh && strcmp(m->mesh[i].axis, axis) != 0)
        i++;
    return i < m->n_mesh ? i : -1;
}

static bool drop_axis(nm_module *m, const nm_fix *fix, bool *changed)
{
    if (fix->value != 1)
        return nm_error(m->diag, (nm_loc){0}, "--fix %s=%lld: of a mesh's axis only 1 can be fixed",
                        fix->name, (long long)fix->value);
    int i = find_row(m, fix->name);
    if (i < 0)
        return true;
    m->n_mesh--;
    memmove(&m->mesh[i], &m->mesh[i + 1], sizeof *m->mesh * (size_t)(m->n_mesh - i));
    *changed = true;
    return true;
}

// Ranks of dp share a micro-batch, so its part in a call is not known before they are.
static bool is_shared(const nm_module *m, nm_sym dim)
{
    int dp = find_row(m, "dp");
    return dp >= 0 && nm_syms_has(m->mesh[dp].dims, dim);
}

static bool check_bounds(nm_module *m, const nm_dim_decl *d, int64_t value)
{
    if (value < d->min || (d->max && value > d->max) || value < 1)
        return nm_error(m->diag, d->loc, "--fix %s=%lld is outside of its bounds", d->name,
                        (long long)value);
    if (d->multiple > 1 && value % d->multiple)
        return nm_error(m->diag, d->loc, "--fix %s=%lld is not a multiple of %lld", d->name,
                        (long long)value, (long long)d->multiple);
    return true;
}

static bool fix_dim(nm_module *m, const nm_fix *fix, bool *changed)
{
    nm_dim_decl *d = nm_dim_lookup(m, fix->name);
    if (!d || !d->runtime)
        return nm_error(m->diag, (nm_loc){0},
                        "--fix %s: this is neither an axis (tp, cp, dp, pp) nor a dim that is "
                        "bound when the binary starts",
                        fix->name);
    if (is_shared(m, d->name))
        return nm_error(m->diag, d->loc, "--fix %s: ranks of dp share it; fix dp=1 before",
                        fix->name);
    if (!check_bounds(m, d, fix->value))
        return false;
    d->fixed = d->min = d->max = fix->value;
    *changed = true;
    return true;
}

bool nm_pass_fix(nm_module *m, bool *changed)
{
    bool ok = true;
    for (int i = 0; i < m->options.n_fixes; i++) {
        const nm_fix *fix = &m->options.fix[i];
        ok = (is_axis(fix->name) ? drop_axis : fix_dim)(m, fix, changed) && ok;
    }
    return ok;
}
