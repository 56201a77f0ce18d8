// What may be one product kernel, or one scatter kernel.
//
// A product takes maps of its result as its epilogue (bias, gelu, residual add, acc + dot), with
// all their results. Maps before it are pulled, not merged (fuse_pull.c: the cost rule).
// A scatter_add takes one add of its result, which is then done in place and touches few rows.
#include "passes/fuse.h"

static int count_anchors(const nm_fuse *g, const nm_cluster *c)
{
    int n = 0;
    for (int i = 0; i < c->n; i++)
        n += nm_fuse_is_anchor(&g->unit[c->unit[i]]);
    return n;
}

// Does the anchor read, through others of c, unit `from`?
static bool feeds_anchor(const nm_fuse *g, const nm_cluster *c)
{
    for (const nm_read *r = g->unit[c->anchor].reads; r; r = r->next_of_reader)
        for (int i = 0; i < c->n; i++)
            if (c->unit[i] == r->from)
                return true;
    return false;
}

const char *nm_fuse_dot_law(const nm_fuse *g, const nm_cluster *c)
{
    const nm_type *result = g->unit[c->anchor].op->out[0].type;
    const nm_read *viewed;
    bool *after = nm_fuse_after_anchor(g, c, &viewed);
    if (count_anchors(g, c) > 1)
        return "one kernel makes one product";
    if (feeds_anchor(g, c))
        return "the product reads an operand once a block: it would be computed again each time";
    if (viewed)
        return "the product's result is read through a view";
    for (int i = 0; i < c->n; i++) {
        const nm_value *v = &g->unit[c->unit[i]].op->out[0];
        if ((after[i] || nm_fuse_is_result(g, v, c)) && !nm_fuse_same_dims(v->type, result))
            return "it has other dims than the product";
    }
    return NULL;
}

const char *nm_fuse_scatter_law(const nm_fuse *g, const nm_cluster *c)
{
    if (c->n == 1)
        return NULL;
    const nm_op *put = g->unit[c->anchor].op, *add = g->unit[c->unit[c->n - 1]].op;
    if (c->n > 2 || add->code != NM_OP_add || c->unit[0] != c->anchor)
        return "a scatter takes one add of its result to what another kernel has stored";
    const nm_value *other = add->in[0] == &put->out[0] ? add->in[1] : add->in[0];
    if (other == &put->out[0] || !nm_fuse_same_dims(other->type, add->out[0].type))
        return "what it is added to has other dims";
    if (nm_fuse_is_result(g, &put->out[0], c))
        return "the sum without the addend is read, too";
    return NULL;
}
