// What may be one row or one column kernel: sums and maxes over one set of dims C.
//
// Row: reductions may follow on each other (mean, then variance); all is computed row by row, so
// that any value of R, or of R + C, may be a result: softmax, norms, cross-entropy with its
// gradient. Column: one pass over C, whose sums stay in registers while the rows go by; only maps
// of the finished sums are results.
#include "passes/fuse.h"

static nm_syms reduced(const nm_fuse *g, const nm_cluster *c)
{
    return nm_attr_dims(g->unit[c->anchor].op, "over");
}

static bool same_names(nm_syms a, nm_syms b)
{
    bool same = a.n == b.n;
    for (int i = 0; i < a.n && same; i++)
        same = a.sym[i] == b.sym[i];
    return same;
}

// The dims R + C, and R, of the kernel.
typedef struct space {
    const nm_type *all, *kept;
    nm_syms over;
} space;

static space space_of(const nm_fuse *g, const nm_cluster *c)
{
    const nm_op *op = g->unit[c->anchor].op;
    return (space){op->in[0]->type, op->out[0].type, reduced(g, c)};
}

// Another order of these dims would be another sum's (nm_fuse_prepare).
static bool fits_anchor(const space *s, const nm_op *op)
{
    return same_names(nm_attr_dims(op, "over"), s->over) &&
           nm_fuse_same_dims(op->in[0]->type, s->all);
}

static int place_in(const nm_cluster *c, int unit)
{
    for (int i = 0; i < c->n; i++)
        if (c->unit[i] == unit)
            return i;
    return -1;
}

// On a GPU sums of everything are one launch where none waits for another (passes/bundle.c): what
// adds them up is a kernel of its own.
static const char *chain_law(const nm_fuse *g, const nm_cluster *c, const bool *after)
{
    bool *other = nm_new_n(g->scratch, bool, c->n); // it needs a sum that is not the cluster's
    for (int i = 0; i < c->n; i++) {
        const nm_unit *u = &g->unit[c->unit[i]];
        for (const nm_read *r = u->reads; r && !nm_fuse_is_anchor(u); r = r->next_of_reader) {
            int at = place_in(c, r->from);
            other[i] |= at < 0 ? g->summed[r->value->id] : other[at];
        }
        if (other[i] && after[i])
            return "it needs another sum, too, which can be computed beside this one";
    }
    return NULL;
}

// A value that needs a reduction's result must be computed where that is: in the row.
static const char *row_unit_law(const space *s, const nm_unit *u, bool after, bool reduced_before)
{
    if (nm_fuse_is_anchor(u) && !fits_anchor(s, u->op))
        return "it reduces over other dims, or in another order";
    if (nm_fuse_is_anchor(u) && reduced_before && s->kept->rank == 0)
        return "a sum of all rows is needed before it";
    bool within = nm_fuse_within(u->op->out[0].type, s->all);
    if (after && !within)
        return "its result has dims that the row has not";
    bool gpu = u->op->func->module->options.flavour == NM_FLAVOUR_gpu;
    if (gpu && u->op->code == NM_OP_pad && !within)
        return "it puts parts side by side, which a map's kernel does without asking which is "
               "which";
    return NULL;
}

static bool reads_reduced(const nm_fuse *g, const nm_cluster *c, const bool *after, int i)
{
    for (const nm_read *r = g->unit[c->unit[i]].reads; r; r = r->next_of_reader)
        for (int k = 0; k < i; k++)
            if (after[k] && c->unit[k] == r->from)
                return true;
    return false;
}

static const char *row_result_law(const space *s, const nm_type *t)
{
    bool row = nm_fuse_same_dims(t, s->kept);
    if (!row && !nm_fuse_same_dims(t, s->all))
        return "its result has neither the dims of the row nor of its sums";
    if (!row && s->kept->rank == 0)
        return "it needs the sum of everything first";
    return NULL;
}

const char *nm_fuse_row_law(const nm_fuse *g, const nm_cluster *c)
{
    space s = space_of(g, c);
    const nm_read *viewed;
    bool *after = nm_fuse_after_anchor(g, c, &viewed);
    if (viewed)
        return "a result of the row is read through a view";
    for (int i = 0; i < c->n; i++) {
        const nm_unit *u = &g->unit[c->unit[i]];
        const char *no = row_unit_law(&s, u, after[i], reads_reduced(g, c, after, i));
        if (!no && nm_fuse_is_result(g, &u->op->out[0], c))
            no = row_result_law(&s, u->op->out[0].type);
        if (no)
            return no;
    }
    bool chained = s.kept->rank == 0 && g->f->module->options.flavour == NM_FLAVOUR_gpu;
    return chained ? chain_law(g, c, after) : NULL;
}

static const char *column_unit_law(const nm_fuse *g, const nm_cluster *c, const space *s, int i,
                                   const bool *after)
{
    const nm_unit *u = &g->unit[c->unit[i]];
    bool anchor = nm_fuse_is_anchor(u);
    if (anchor && !fits_anchor(s, u->op))
        return "it sums over other dims, or in another order";
    if (anchor && reads_reduced(g, c, after, i))
        return "it sums what depends on a sum over all rows";
    if (after[i] && !nm_fuse_same_dims(u->op->out[0].type, s->kept))
        return "it has the dims of the rows and needs their sums";
    if (!after[i] && nm_fuse_is_result(g, &u->op->out[0], c))
        return "it is read elsewhere, too, and a column kernel stores sums alone";
    return NULL;
}

const char *nm_fuse_column_law(const nm_fuse *g, const nm_cluster *c)
{
    space s = space_of(g, c);
    const nm_read *viewed;
    bool *after = nm_fuse_after_anchor(g, c, &viewed);
    if (viewed)
        return "a sum is read through a view";
    for (int i = 0; i < c->n; i++) {
        const char *no = column_unit_law(g, c, &s, i, after);
        if (no)
            return no;
    }
    return NULL;
}
