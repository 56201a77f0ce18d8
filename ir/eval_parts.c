// Whole values and the parts of them that the ranks of a mesh hold: what the runtime's loading and
// saving do, for tests.
#include "ir/eval_mesh.h"

#include "ir/eval_walk.h"

#include <math.h>
#include <string.h>

// --- places --------------------------------------------------------------------------------------

// The extent with every local one in it replaced by that of which it is a part.
static const nm_extent *whole_extent(nm_module *m, const nm_extent *x)
{
    const nm_extent *sum = nm_extent_const(m, 0);
    for (int i = 0; i < x->n_terms; i++) {
        const nm_extent *product = nm_extent_const(m, x->term[i].factor);
        for (int k = 0; k < x->term[i].n_atoms; k++) {
            const nm_atom *a = &x->term[i].atom[k];
            const nm_dim_decl *d = a->sym ? nm_dim_lookup(m, a->sym) : NULL;
            const nm_extent *atom =
                !a->sym      ? nm_extent_div(m, whole_extent(m, a->num), whole_extent(m, a->den))
                : d && d->of ? nm_dim_of(m, d->of).extent
                             : nm_extent_sym(m, a->sym);
            product = nm_extent_mul(m, product, atom);
        }
        sum = nm_extent_add(m, sum, product);
    }
    return sum;
}

// The index in the whole value of index i of a rank's part. Of a call that sees some of the whole
// (a micro-batch) the whole is what the call sees.
static int64_t whole_index(nm_eval_op *e, const nm_dim *d, int64_t i)
{
    return nm_eval_global(e, d, i) - nm_eval_offset_of(e, whole_extent(e->m, d->extent));
}

typedef struct places { // of the elements of a part in the whole: [dim of the part][index]
    int rank;
    int64_t *offset[NM_MAX_RANK]; // in elements; -1: behind the end, where a part is padded
} places;

static places places_of(nm_eval_op *e, const nm_tensor *part, const nm_tensor *whole)
{
    places p = {.rank = part->type->rank};
    for (int d = 0; d < p.rank; d++) {
        const nm_dim *dim = &part->type->dim[d];
        p.offset[d] = nm_new_n(e->opts->arena, int64_t, part->extent[d]);
        for (int64_t i = 0; i < part->extent[d]; i++) {
            int64_t at = whole_index(e, dim, i);
            bool behind = at >= nm_tensor_extent(whole, dim->name);
            p.offset[d][i] = behind ? -1 : at * nm_tensor_stride(whole, dim->name);
        }
    }
    return p;
}

// The offset in the whole of the part's element at w, whose dims are the part's; or -1.
static int64_t whole_offset(const places *p, const nm_walk *w)
{
    int64_t off = 0;
    for (int d = 0; d < p->rank; d++) {
        int64_t at = p->offset[d][w->at[d]];
        if (at < 0)
            return -1;
        off += at;
    }
    return off;
}

// --- cutting -------------------------------------------------------------------------------------

// Of v, the part that stands at `place` of n: the first takes what the others leave.
static double share(const nm_type *t, double v, int64_t place, int64_t n, int64_t element)
{
    double others = 0, sign = element % 2 ? 1 : -1;
    if (t->kind == NM_PENDING_MAX)
        return place ? v - (double)(place + element % 3) : v;
    if (place)
        return sign * (double)place * 0.5;
    for (int64_t k = 1; k < n; k++)
        others += sign * (double)k * 0.5;
    return v - others;
}

static bool cut_one(nm_module *m, const nm_eval_opts *opts, const nm_type *t,
                    const nm_tensor *whole, nm_tensor *part)
{
    nm_eval_op e = {.m = m, .opts = opts, .op = &(nm_op){0}};
    int64_t n = nm_mesh_group(opts->mesh, &t->pending);
    int64_t place = nm_mesh_place(opts->mesh, &t->pending, opts->rank);
    if (!nm_tensor_new(m, (nm_loc){0}, opts, t, part))
        return false;
    places p = places_of(&e, part, whole);
    nm_walk w = {0};
    nm_walk_over(&w, part, NULL, NULL);
    nm_walk_read(&w, part);
    nm_each_element(w) {
        int64_t at = whole_offset(&p, &w);
        if (at >= 0)
            part->data[w.off[0]] = share(t, whole->data[at], place, n, at);
    }
    return !e.failed;
}

bool nm_mesh_cut(nm_module *m, const nm_eval_opts *opts, const struct nm_eval_mesh *mesh,
                 const nm_type *t, const nm_tensor *whole, nm_tensor *parts)
{
    for (int64_t r = 0; r < nm_mesh_ranks(mesh); r++) {
        nm_eval_opts own = nm_mesh_opts(opts, mesh, r);
        if (!cut_one(m, &own, t, whole, &parts[r]))
            return false;
    }
    return true;
}

// --- joining -------------------------------------------------------------------------------------

typedef struct joint {
    nm_module *m;
    nm_loc loc;
    const nm_type *type;
    nm_tensor *whole;
    int64_t *holder; // [whole->n] rank + 1 of the first that holds the element at a place of the
                     // pending group; 0: nobody yet
} joint;

static bool same_bits(double a, double b) { return !memcmp(&a, &b, sizeof a); }

static void complete(const joint *j, int64_t at, double v)
{
    double *y = &j->whole->data[at];
    *y = j->type->kind == NM_PENDING_MAX ? (v > *y ? v : *y) : *y + v;
}

// Adds what one place of the pending group holds; ranks at that place that hold the same element
// are replicas.
static bool join_place(const joint *j, const nm_eval_opts *opts, const struct nm_eval_mesh *mesh,
                       int64_t place, const nm_tensor *parts)
{
    double *seen = nm_new_n(opts->arena, double, j->whole->n);
    memset(j->holder, 0, (size_t)j->whole->n * sizeof *j->holder);
    for (int64_t r = 0; r < nm_mesh_ranks(mesh); r++) {
        nm_eval_opts own = nm_mesh_opts(opts, mesh, r);
        nm_eval_op e = {.m = j->m, .opts = &own, .op = &(nm_op){0}};
        if (nm_mesh_place(mesh, &j->type->pending, r) != place)
            continue;
        places p = places_of(&e, &parts[r], j->whole);
        nm_walk w = {0};
        nm_walk_over(&w, &parts[r], NULL, NULL);
        nm_walk_read(&w, &parts[r]);
        nm_each_element(w) {
            int64_t at = whole_offset(&p, &w);
            double v = parts[r].data[w.off[0]];
            if (at >= 0 && j->holder[at] && !same_bits(v, seen[at]))
                return nm_error(j->m->diag, j->loc,
                                "ranks %lld and %lld hold %.17g and %.17g of one element of %s",
                                (long long)j->holder[at] - 1, (long long)r, seen[at], v,
                                nm_type_str(j->m, j->type));
            if (at < 0 || j->holder[at])
                continue;
            seen[at] = v;
            j->holder[at] = r + 1;
            complete(j, at, v);
        }
    }
    return true;
}

const nm_type *nm_mesh_whole_type(nm_module *m, const nm_type *t)
{
    nm_type n = *nm_type_bare(m, t);
    for (int i = 0; i < n.rank; i++)
        n.dim[i].extent = whole_extent(m, n.dim[i].extent);
    return nm_type_get(m, &n);
}

bool nm_mesh_join(nm_module *m, nm_loc loc, const nm_eval_opts *opts,
                  const struct nm_eval_mesh *mesh, const nm_type *t, const nm_tensor *parts,
                  nm_tensor *whole)
{
    joint j = {.m = m, .loc = loc, .type = t, .whole = whole};
    if (!nm_tensor_new(m, loc, opts, nm_mesh_whole_type(m, t), whole))
        return false;
    j.holder = nm_new_n(opts->arena, int64_t, whole->n);
    for (int64_t i = 0; t->kind == NM_PENDING_MAX && i < whole->n; i++)
        whole->data[i] = -INFINITY;
    for (int64_t k = 0; k < nm_mesh_group(mesh, &t->pending); k++)
        if (!join_place(&j, opts, mesh, k, parts))
            return false;
    return true;
}
