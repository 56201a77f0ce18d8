// What is rounded to 8 bits by a scale that waits for its own maximum is read twice, by the sum
// that finds it and by the cast. The cast computes it again, on a GPU:
//
//   a = max |n|    q = cast(n * s(a)), n = f(x)   =>   q = cast(f(x) * s(a))
//
// where x is one value that is stored anyway and takes fewer bytes than n, stored and read, would,
// and f is some plain maps: the row of a norm, from its statistics. So n is nobody's to store. An
// activation is made of two values, or costs too much.
#include "ir/product.h"
#include "passes/fuse.h"

enum {
    CHEAP = 12,  // additions
    MOST_IN = 4, // operands of a map
};

typedef struct chain { // the maps up to a value
    const nm_type *like;
    const nm_value *source; // the large value that they read; NULL: none yet
    double cost;
    bool ok;
} chain;

static bool is_small(const nm_value *v, const nm_type *beside)
{
    return nm_fuse_elems(v->type) < nm_fuse_elems(beside) / 4;
}

static bool is_stored(const nm_value *v)
{
    if (!v->def || (!nm_is(v->def, NM_MAP) && !nm_is(v->def, NM_VIEW)))
        return true;
    nm_each_use(u, v)
        if (nm_fuse_reads_stored(u->op, u->index))
            return true;
    return false;
}

static void look(chain *c, const nm_value *v)
{
    if (is_small(v, c->like))
        return;
    if (is_stored(v)) {
        c->ok &= !c->source || c->source == v;
        c->source = v;
        return;
    }
    c->ok &= nm_is(v->def, NM_MAP) && v->def->n_in <= MOST_IN;
    c->cost += nm_fuse_cost(v->def);
    for (int i = 0; i < v->def->n_in && c->ok && c->cost <= CHEAP; i++)
        look(c, v->def->in[i]);
}

static bool pays(const nm_value *n)
{
    chain c = {.like = n->type, .ok = !is_stored(n)};
    if (c.ok)
        look(&c, n);
    return c.ok && c.source && c.cost <= CHEAP &&
           nm_fuse_traffic(c.source->type) < 2 * nm_fuse_traffic(n->type);
}

static nm_value *compute_again(nm_value *v, const nm_type *like, nm_op *before)
{
    if (is_small(v, like) || is_stored(v))
        return v;
    nm_proto proto = nm_proto_of(v->def);
    nm_value *in[MOST_IN];
    for (int i = 0; i < proto.n_in; i++)
        in[i] = compute_again(proto.in[i], like, before);
    proto.in = in;
    proto.name = NULL;
    return nm_build(before->func, before, &proto);
}

// Is it a number that is made of a maximum found here?
static bool waits(const nm_value *s)
{
    if (s->type->rank || !s->def)
        return false;
    if (s->def->code == NM_OP_max)
        return true;
    for (int i = 0; i < s->def->n_in; i++)
        if (waits(s->def->in[i]))
            return true;
    return false;
}

static void round_again(nm_op *cast)
{
    nm_op *scaled = cast->in[0]->def;
    if (!nm_is_fp8(cast->out[0].type->dtype) || !scaled || scaled->code != NM_OP_mul)
        return;
    for (int i = 0; i < 2; i++) {
        const nm_op *wide = scaled->in[i]->def;
        if (!wide || wide->code != NM_OP_cast || !waits(scaled->in[1 - i]) || !pays(wide->in[0]))
            continue;
        nm_value *f = scaled->in[i];
        nm_set_operand(scaled, i, compute_again(f, f->type, scaled));
        return;
    }
}

void nm_fuse_again(nm_func *f)
{
    nm_each_op(op, f)
        if (op->code == NM_OP_cast)
            round_again(op);
}
