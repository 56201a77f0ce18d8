// The interpreter's sizes: extents in a call, of a rank, of the whole; which index of the whole
// tensor a local one is.
//
// A dim is cut in two ways, one within the other: its extent's symbol says which indices this call
// sees (a micro-batch; after localize also a rank's part), its axes which block of them is this
// rank's (before localize).
#include "ir/eval_mesh.h"
#include "ir/eval_walk.h"

#include <string.h>

typedef struct lookup {
    const nm_eval_opts *opts;
    bool total;
    nm_sym unknown;
} lookup;

const nm_eval_sym *nm_eval_find_sym(const nm_eval_opts *opts, nm_sym name)
{
    for (int i = 0; i < opts->n_syms; i++)
        if (opts->sym[i].name == name)
            return &opts->sym[i];
    return NULL;
}

static int64_t look_up(void *user, nm_sym name)
{
    lookup *l = user;
    const nm_eval_sym *s = nm_eval_find_sym(l->opts, name);
    if (s)
        return l->total ? s->total : s->size;
    l->unknown = name;
    return 0;
}

bool nm_eval_resolve(nm_module *m, nm_loc loc, const nm_eval_opts *opts, bool total,
                     const nm_extent *e, int64_t *out)
{
    lookup l = {.opts = opts, .total = total};
    *out = nm_extent_eval(e, look_up, &l);
    return !l.unknown || nm_error(m->diag, loc, "the size of '%s' is not given", l.unknown);
}

static int64_t extent_of(nm_eval_op *e, const nm_extent *x, bool total)
{
    int64_t v = 0;
    e->failed |= !nm_eval_resolve(e->m, e->op->loc, e->opts, total, x, &v);
    return v;
}

int64_t nm_eval_size_of(nm_eval_op *e, const nm_extent *x) { return extent_of(e, x, false); }
int64_t nm_eval_total_of(nm_eval_op *e, const nm_extent *x) { return extent_of(e, x, true); }

// A product of dims of which one is split: as many whole parts come before this call's first.
int64_t nm_eval_offset_of(nm_eval_op *e, const nm_extent *x)
{
    if (x->n_terms != 1 || nm_extent_is_stored(e->m, x))
        return 0;
    const nm_term *t = &x->term[0];
    int64_t first = t->factor;
    bool split = false;
    for (int i = 0; i < t->n_atoms; i++) {
        const nm_eval_sym *s = t->atom[i].sym ? nm_eval_find_sym(e->opts, t->atom[i].sym) : NULL;
        if (!s)
            return 0;
        bool splits = s->offset || s->size != s->total;
        first *= splits ? s->offset : s->size;
        split |= splits;
    }
    return split ? first : 0;
}

// --- blocks --------------------------------------------------------------------------------------

// An undeclared d' is padded as d.
static int64_t pad_of(nm_module *m, nm_sym name)
{
    const nm_dim_decl *d = nm_dim_lookup(m, name);
    for (size_t n = strlen(name); !d && n > 1 && name[n - 1] == '\''; n--)
        d = nm_dim_lookup(m, nm_intern(m->syms, name, n - 1));
    return d && d->pad ? d->pad : 1;
}

int64_t nm_eval_block(nm_module *m, const nm_eval_opts *opts, const nm_dim *d, int64_t n)
{
    int64_t ranks = nm_mesh_group(opts->mesh, &d->axes), pad = pad_of(m, d->name);
    return ranks > 1 ? (n + pad - 1) / pad * pad / ranks : n;
}

int64_t nm_eval_block_start(nm_module *m, const nm_eval_opts *opts, const nm_dim *d, int64_t n)
{
    return nm_eval_block(m, opts, d, n) * nm_mesh_place(opts->mesh, &d->axes, opts->rank);
}

// --- global indices ------------------------------------------------------------------------------

typedef struct runs { // indices from half on are jump further
    int64_t half, jump;
} runs;

// Of a product, the dim that lies in two runs is the outermost.
static runs runs_of(const nm_eval_op *e, const nm_extent *x)
{
    const nm_eval_opts *opts = e->opts;
    runs r = {INT64_MAX, 0};
    const nm_term *t = x->term;
    bool product = x->n_terms == 1 && !nm_extent_is_stored(e->m, x);
    for (int i = 0; product && i < t->n_atoms; i++) {
        const nm_eval_sym *s = t->atom[i].sym ? nm_eval_find_sym(opts, t->atom[i].sym) : NULL;
        if (!s || !s->jump)
            continue;
        int64_t others = t->factor;
        for (int k = 0; k < t->n_atoms; k++) {
            const nm_eval_sym *o = t->atom[k].sym ? nm_eval_find_sym(opts, t->atom[k].sym) : NULL;
            others *= k != i && o ? o->size : 1;
        }
        r = (runs){s->half * others, s->jump * others};
    }
    return r;
}

int64_t nm_eval_global(nm_eval_op *e, const nm_dim *d, int64_t i)
{
    runs r = runs_of(e, d->extent);
    int64_t in_call = i + nm_eval_block_start(e->m, e->opts, d, nm_eval_size_of(e, d->extent));
    return in_call + nm_eval_offset_of(e, d->extent) + (in_call >= r.half ? r.jump : 0);
}

int64_t nm_eval_local(nm_eval_op *e, const nm_dim *d, int64_t global)
{
    runs r = runs_of(e, d->extent);
    int64_t n = nm_eval_size_of(e, d->extent), in_call = global - nm_eval_offset_of(e, d->extent);
    if (in_call >= r.half)
        in_call = in_call - r.jump < r.half ? -1 : in_call - r.jump;
    int64_t i = in_call - nm_eval_block_start(e->m, e->opts, d, n);
    return in_call < 0 || in_call >= n || i < 0 || i >= nm_eval_block(e->m, e->opts, d, n) ? -1 : i;
}
