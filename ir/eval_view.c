// The meaning of views: for every element of the result, which element of the operand it is. The
// rule of each op takes named coordinates of the result to those of the operand.
#include "ir/eval_walk.h"

#include <string.h>

typedef struct source { // one operand element, or none: the constant 0
    const nm_tensor *t;
    int64_t at[NM_MAX_RANK];
    bool none;
} source;

static int64_t coordinate(const nm_walk *w, nm_sym name)
{
    for (int i = 0; i < w->n; i++)
        if (w->name[i] == name)
            return w->at[i];
    return 0;
}

static void set(source *s, nm_sym name, int64_t at) { s->at[nm_type_find(s->t->type, name)] = at; }

// The dims that result and operand share are the same coordinate.
static source same_place(const nm_tensor *t, const nm_walk *w)
{
    source s = {.t = t};
    for (int i = 0; i < t->type->rank; i++)
        s.at[i] = coordinate(w, t->type->dim[i].name);
    return s;
}

static int64_t offset(const source *s)
{
    int64_t off = 0;
    for (int i = 0; i < s->t->type->rank; i++)
        off = off * s->t->extent[i] + s->at[i];
    return off;
}

static void from_merged(nm_eval_op *e, const nm_walk *w, source *s)
{
    nm_syms parts = nm_attr_dims(e->op, "from");
    int64_t at = coordinate(w, nm_attr_sym(e->op, "into"));
    for (int i = parts.n - 1; i >= 0; i--) {
        int64_t extent = nm_tensor_extent(s->t, parts.sym[i]);
        set(s, parts.sym[i], at % extent);
        at /= extent;
    }
}

static int64_t from_parts(nm_eval_op *e, const nm_walk *w)
{
    nm_syms parts = nm_attr_dims(e->op, "into");
    int64_t at = 0;
    for (int i = 0; i < parts.n; i++)
        at = at * nm_tensor_extent(e->out, parts.sym[i]) + coordinate(w, parts.sym[i]);
    return at;
}

static void from_padded(nm_eval_op *e, const nm_walk *w, source *s)
{
    nm_sym over = nm_attr_sym(e->op, "over");
    int64_t n = nm_tensor_extent(s->t, over);
    int64_t at = coordinate(w, over) - nm_eval_size_of(e, nm_attr_get(e->op, "before")->u.extent);
    if (!strcmp(nm_attr_sym(e->op, "mode"), "reflect"))
        at = at < 0 ? -at : at >= n ? 2 * (n - 1) - at : at;
    s->none = at < 0 || at >= n;
    set(s, over, s->none ? 0 : at);
}

static source from_joined(nm_eval_op *e, const nm_walk *w)
{
    nm_sym over = nm_attr_sym(e->op, "over");
    int64_t at = coordinate(w, over);
    int i = 0;
    for (; at >= nm_tensor_extent(e->in[i], over); i++)
        at -= nm_tensor_extent(e->in[i], over);
    source s = same_place(e->in[i], w);
    set(&s, over, at);
    return s;
}

static void from_index(nm_eval_op *e, const nm_walk *w, source *s)
{
    nm_sym over = nm_attr_sym(e->op, "over");
    source index = same_place(e->in[1], w);
    double at = e->in[1]->data[offset(&index)];
    const nm_dim *d = &s->t->type->dim[nm_type_find(s->t->type, over)];
    int64_t n = nm_eval_total_of(e, d->extent);
    int64_t local = nm_eval_local(e, d,
                                  at < 0 || n < 1   ? 0
                                  : at >= (double)n ? n - 1
                                                    : (int64_t)at);
    s->none = n < 1 || local < 0; // another rank's
    set(s, over, s->none ? 0 : local);
}

static void from_window(nm_eval_op *e, const nm_walk *w, source *s)
{
    nm_sym over = nm_attr_sym(e->op, "over");
    int64_t at = coordinate(w, nm_attr_sym(e->op, "into")) * nm_attr_int(e->op, "stride", 1) +
                 coordinate(w, nm_attr_sym(e->op, "tap")) * nm_attr_int(e->op, "dilate", 1) -
                 nm_attr_int(e->op, "before", 0);
    s->none = at < 0 || at >= nm_tensor_extent(s->t, over);
    set(s, over, s->none ? 0 : at);
}

static source find_source(nm_eval_op *e, const nm_walk *w)
{
    const nm_op *op = e->op;
    if (op->code == NM_OP_concat)
        return from_joined(e, w);
    source s = same_place(e->in[0], w);
    switch (op->code) {
    case NM_OP_broadcast: break;
    case NM_OP_rename:
        set(&s, nm_attr_sym(op, "from"), coordinate(w, nm_attr_sym(op, "to")));
        break;
    case NM_OP_split: set(&s, nm_attr_sym(op, "from"), from_parts(e, w)); break;
    case NM_OP_merge: from_merged(e, w, &s); break;
    case NM_OP_slice:
        set(&s, nm_attr_sym(op, "over"),
            coordinate(w, nm_attr_sym(op, "over")) +
                nm_eval_size_of(e, nm_attr_get(op, "start")->u.extent));
        break;
    case NM_OP_pad: from_padded(e, w, &s); break;
    case NM_OP_gather: from_index(e, w, &s); break;
    case NM_OP_windows: from_window(e, w, &s); break;
    default: nm_bug("%s is not a view", nm_info(op)->name);
    }
    return s;
}

// A slice or a reflection of run-time sizes may ask for what is not there.
static bool is_inside(const source *s)
{
    for (int i = 0; i < s->t->type->rank; i++)
        if (s->at[i] < 0 || s->at[i] >= s->t->extent[i])
            return false;
    return true;
}

void nm_eval_view(nm_eval_op *e)
{
    nm_walk w = {0};
    nm_walk_over(&w, e->out, NULL, NULL);
    nm_walk_read(&w, e->out);
    nm_each_element(w) {
        source s = find_source(e, &w);
        if (s.none)
            continue;
        if (!is_inside(&s)) {
            nm_error(e->m->diag, e->op->loc, "%s: the sizes of this call reach beyond its operand",
                     nm_info(e->op)->name);
            e->failed = true;
            return;
        }
        e->out->data[w.off[0]] = s.t->data[offset(&s)];
    }
}
