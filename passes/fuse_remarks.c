// What merging clusters came to: the kernels of several ops, and the pairs that stay apart.
#include "passes/fuse_pick.h"
#include "passes/remarks.h"

const char nm_fuse_apart[] = "no kernel does both";

// "row kernel of 3: sum div mul"
static const char *describe(const nm_fuse *g, const nm_cluster *c)
{
    static const char *const kind[] = {"map", "row", "column", "product", "scatter", "fixed"};
    const char *list = "";
    for (int i = 0; i < c->n; i++)
        list = nm_arena_fmt(g->scratch, "%s %s", list, nm_info(g->unit[c->unit[i]].op)->name);
    return nm_arena_fmt(g->scratch, "%s kernel of %d:%s", kind[c->kind], c->n, list);
}

static const char *name_of(const nm_fuse *g, int unit) { return nm_info(g->unit[unit].op)->name; }

static const char *value_name(const nm_fuse *g, const nm_value *v)
{
    return v->name ? nm_arena_fmt(g->scratch, "%%%s", v->name)
                   : nm_arena_fmt(g->scratch, "%%%u", v->id);
}

// Worth a line for who did not ask about the two.
static bool is_near(const nm_pair *x)
{
    return x->refused && x->refused != nm_fuse_apart && !x->siblings && x->saves >= 1;
}

// Behind the pair `last` (NULL: first) the one that would save most; of equals in order. NULL:
// none.
static const nm_pair *next_near(const nm_pairs *k, const nm_pair *last)
{
    const nm_pair *next = NULL;
    for (const nm_pair *x = k->pair; x < k->pair + k->n; x++) {
        bool behind = !last || x->saves < last->saves || (x->saves == last->saves && x > last);
        if (behind && is_near(x) && (!next || x->saves > next->saves))
            next = x;
    }
    return next;
}

enum { MOST_NEAR = 3 }; // pairs of a body that are said without being asked

static void remark(nm_fuse *g, const nm_pairs *k)
{
    nm_remarks *r = g->f->module->remarks;
    for (int i = 0; i < g->n_units; i++)
        if (g->cluster[i].n > 1)
            nm_remark_done(r, g->unit[g->cluster[i].anchor].op->loc, "fuse: %s",
                           describe(g, &g->cluster[i]));
    const nm_pair *nearest = NULL;
    for (int i = 0; i < MOST_NEAR && (nearest = next_near(k, nearest)); i++)
        nm_remark_missed(r, g->unit[nearest->q].op->loc, nearest->saves,
                         "fuse: %s and %s stay apart: %s", name_of(g, nearest->p),
                         name_of(g, nearest->q), nearest->refused);
}

// Its kernel, and why each unit that it might have merged with is in another.
static void answer(nm_fuse *g, const nm_pairs *k, int unit, const nm_value *v)
{
    const nm_remarks *r = g->f->module->remarks;
    nm_remark_answer(r, v, "%s", describe(g, &g->cluster[g->unit[unit].cluster]));
    for (int i = 0; i < k->n; i++) {
        const nm_pair *x = &k->pair[i];
        if (!x->refused || (x->p != unit && x->q != unit))
            continue;
        const nm_value *other = &g->unit[x->p == unit ? x->q : x->p].op->out[0];
        nm_remark_answer(r, v, "apart from %s (%s), %.3g elements: %s", value_name(g, other),
                         nm_info(other->def)->name, x->saves, x->refused);
    }
}

void nm_fuse_remark(nm_fuse *g, const nm_pairs *k)
{
    nm_remarks *r = g->f->module->remarks;
    if (!r)
        return;
    remark(g, k);
    nm_each_op(op, g->f)
        for (int i = 0; i < op->n_out; i++) {
            const nm_value *v = &op->out[i];
            if (!nm_remark_asked(r, "fuse", v))
                continue;
            if (g->unit_of[v->id] >= 0)
                answer(g, k, g->unit_of[v->id], v);
            else
                nm_remark_answer(r, v, "every kernel that reads it computes it");
        }
}
