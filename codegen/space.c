// Index spaces and the loops over them: see space.h.
#include "codegen/space.h"

enum { MOST_UNROLLED = 4 };

// --- which dims may be walked as one -------------------------------------------------------------

static bool sees_joined(const nm_type *t, nm_sym a, nm_sym b)
{
    int i = nm_type_find(t, a), k = nm_type_find(t, b);
    return (i < 0 && k < 0) || (i >= 0 && k == i + 1);
}

// A split into both, side by side, reads them as the one dim that they were.
static bool splits_into(const nm_op *op, nm_sym a, nm_sym b)
{
    nm_syms into = op->code == NM_OP_split ? nm_attr_dims(op, "into") : (nm_syms){0};
    for (int i = 0; i + 1 < into.n; i++)
        if (into.sym[i] == a && into.sym[i + 1] == b)
            return true;
    return false;
}

// A draw's number counts the whole tensor's elements: it runs on from a to b where this call sees
// all of both. Else an inner loop over b alone has it as a sum, not by divisions.
static bool counts_on(const nm_op *op, nm_sym a, nm_sym b)
{
    const nm_type *t = op->out[0].type;
    int i = nm_type_find(t, a), k = nm_type_find(t, b);
    int64_t extent;
    return op->code != NM_OP_random || i < 0 || k < 0 ||
           (nm_extent_is_const(t->dim[i].extent, &extent) &&
            nm_extent_is_const(t->dim[k].extent, &extent));
}

static bool op_joins(const nm_op *op, nm_sym a, nm_sym b)
{
    // a view that names a dim reads it in some other way than its result does
    if (nm_is(op, NM_VIEW) && (nm_op_names(op, a) || nm_op_names(op, b)) && !splits_into(op, a, b))
        return false;
    return !nm_is(op, NM_FREE) || (sees_joined(op->out[0].type, a, b) && counts_on(op, a, b));
}

bool nm_dims_join(nm_gen *g, nm_sym a, nm_sym b)
{
    const nm_func *body = g->group->body;
    for (int i = 0; i < body->n_params; i++)
        if (!sees_joined(body->param[i]->type, a, b))
            return false;
    for (int i = 0; i < g->group->n_out; i++)
        if (!sees_joined(g->group->out[i].type, a, b))
            return false;
    for (const nm_op *op = body->first; op; op = op->next)
        if (!op_joins(op, a, b))
            return false;
    return true;
}

// The same of what v is made of.
static bool value_joins(const nm_value *v, nm_sym a, nm_sym b)
{
    if (!v->def)
        return sees_joined(v->type, a, b);
    bool joins = op_joins(v->def, a, b);
    for (int i = 0; i < v->def->n_in && joins; i++)
        joins = value_joins(v->def->in[i], a, b);
    return joins;
}

static nm_space make_space(int n, const nm_dim *dim)
{
    nm_space s = {.n = n, .inner = n > 0 ? n - 1 : 0};
    for (int i = 0; i < n; i++)
        s.dim[i] = dim[i];
    return s;
}

static void find_inner(nm_gen *g, nm_space *s)
{
    s->inner = s->n > 0 ? s->n - 1 : 0;
    while (s->inner > 0 && nm_dims_join(g, s->dim[s->inner - 1].name, s->dim[s->inner].name))
        s->inner--;
}

nm_space nm_space_make(nm_gen *g, int n, const nm_dim *dim)
{
    nm_space s = make_space(n, dim);
    find_inner(g, &s);
    return s;
}

nm_space nm_space_to_read(const nm_value *v, int n, const nm_dim *dim)
{
    nm_space s = make_space(n, dim);
    while (s.inner > 0 && value_joins(v, s.dim[s.inner - 1].name, s.dim[s.inner].name))
        s.inner--;
    return s;
}

// --- merged dims of results ----------------------------------------------------------------------

static bool is_small(const nm_dim *d)
{
    int64_t extent;
    return nm_extent_is_const(d->extent, &extent) && extent <= MOST_UNROLLED;
}

static bool makes(const nm_op *op, const nm_dim *dim)
{
    if (op->code != NM_OP_merge || nm_attr_sym(op, "into") != dim->name)
        return false;
    const nm_type *t = op->out[0].type;
    return t->dim[nm_type_find(t, dim->name)].extent == dim->extent;
}

// The merge that made this dim, name and extent, if one of its parts is small; NULL: none. Another
// dim of the name, of which a slice or a gather takes this one, has other indices.
static const nm_op *find_merge(nm_gen *g, const nm_dim *dim)
{
    for (const nm_op *op = g->group->body->first; op; op = op->next) {
        if (!makes(op, dim))
            continue;
        nm_syms from = nm_attr_dims(op, "from");
        for (int i = 0; i < from.n; i++)
            if (is_small(&op->in[0]->type->dim[nm_type_find(op->in[0]->type, from.sym[i])]))
                return op;
    }
    return NULL;
}

static bool has(int n, const nm_dim *dim, nm_sym name)
{
    for (int i = 0; i < n; i++)
        if (dim[i].name == name)
            return true;
    return false;
}

static bool add_dim(nm_space *s, const nm_dim *d, bool part)
{
    if (has(s->n, s->dim, d->name) || has(s->n_unrolled, s->unrolled, d->name))
        return false;
    if (part && is_small(d))
        s->unrolled[s->n_unrolled++] = *d;
    else
        s->dim[s->n++] = *d;
    return true;
}

static bool add_merged(nm_space *s, const nm_op *merge)
{
    nm_syms from = nm_attr_dims(merge, "from");
    const nm_type *t = merge->in[0]->type;
    for (int i = 0; i < from.n; i++)
        if (!add_dim(s, &t->dim[nm_type_find(t, from.sym[i])], true))
            return false;
    s->merged[s->n_merged++] = merge;
    return true;
}

nm_space nm_space_of_map(nm_gen *g, const nm_type *t)
{
    nm_space s = {0};
    bool ok = true;
    for (int i = 0; i < t->rank && ok; i++) {
        const nm_op *merge = find_merge(g, &t->dim[i]);
        ok = merge ? add_merged(&s, merge) : add_dim(&s, &t->dim[i], false);
    }
    if (!ok || s.n == 0) // a name stands for two dims, or nothing is left to loop over
        return nm_space_make(g, t->rank, t->dim);
    find_inner(g, &s);
    return s;
}

int nm_space_copies(const nm_space *s)
{
    int64_t n = 1, extent;
    for (int i = 0; i < s->n_unrolled; i++)
        n *= nm_extent_is_const(s->unrolled[i].extent, &extent) ? extent : 1;
    return (int)n;
}

void nm_space_copy(nm_gen *g, const nm_space *s, int k, nm_coords *at)
{
    for (int i = s->n_unrolled; i-- > 0;) {
        int64_t extent = 1;
        nm_extent_is_const(s->unrolled[i].extent, &extent);
        nm_coords_set(at, s->unrolled[i].name, nm_index_const(g, k % (int)extent));
        k /= (int)extent;
    }
    const nm_coords parts = *at; // a merged dim may have the name of a part
    for (int i = 0; i < s->n_merged; i++) {
        nm_syms from = nm_attr_dims(s->merged[i], "from");
        const nm_type *t = s->merged[i]->in[0]->type;
        nm_dim part[NM_MAX_RANK];
        for (int p = 0; p < from.n; p++)
            part[p] = t->dim[nm_type_find(t, from.sym[p])];
        nm_coords_set(at, nm_attr_sym(s->merged[i], "into"), nm_index_of(g, &parts, from.n, part));
    }
}

// --- sizes ---------------------------------------------------------------------------------------

static const nm_extent *product(nm_gen *g, const nm_dim *dim, int n)
{
    const nm_extent *e = nm_extent_const(g->fn.m, 1);
    for (int i = 0; i < n; i++)
        e = nm_extent_mul(g->fn.m, e, dim[i].extent);
    return e;
}

const nm_extent *nm_space_extent(nm_gen *g, const nm_space *s) { return product(g, s->dim, s->n); }

void nm_space_prove(nm_gen *g, int result, int n, const nm_space *const *s)
{
    nm_module *m = g->fn.m;
    const nm_type *t = g->group->out[result].type;
    const nm_extent *points = nm_extent_const(m, 1);
    for (int i = 0; i < n; i++) {
        points = nm_extent_mul(m, points, nm_space_extent(g, s[i]));
        points = nm_extent_mul(m, points, nm_extent_const(m, nm_space_copies(s[i])));
    }
    if (points != product(g, t->dim, t->rank))
        nm_bug("codegen: %s is stored at %s points", nm_type_str(m, t), nm_extent_str(m, points));
}

LLVMValueRef nm_space_inner(nm_gen *g, const nm_space *s)
{
    if (s->inner == 0)
        return NULL;
    return nm_fn_extent_value(&g->fn, product(g, s->dim + s->inner, s->n - s->inner), NM_SYM_SIZE);
}

// --- loops ---------------------------------------------------------------------------------------

static void spread_rows(nm_gen *g, nm_sweep *w, LLVMValueRef row)
{
    nm_index_spread(g, &w->at, w->space->inner, w->space->dim, row);
}

// What is in front of the inner run's row, where that matters for the lanes; NULL: whole rounds.
static LLVMValueRef lanes_before(nm_gen *g, LLVMValueRef row, LLVMValueRef length)
{
    int64_t n;
    if (!g->deal.lanes || (nm_fn_is_const(length, &n) && n % g->deal.lanes == 0))
        return NULL;
    return LLVMBuildMul(g->fn.b, row, length, "");
}

// A piece ends in front of the next element of lane 0. Indices of the inner run in it.
static LLVMValueRef begin_piece(nm_gen *g, nm_sweep *w, LLVMValueRef before, LLVMValueRef from,
                                LLVMValueRef to)
{
    LLVMBuilderRef b = g->fn.b;
    LLVMValueRef lanes = nm_fn_i64(&g->fn, g->deal.lanes), first = nm_fn_i64(&g->fn, 0);
    w->piece = nm_loop_begin(&g->fn, from, to, "piece");
    if (before) {
        LLVMValueRef flat = LLVMBuildAdd(b, before, w->piece.i, "");
        first = LLVMBuildAnd(b, flat, nm_fn_i64(&g->fn, g->deal.lanes - 1), "");
    }
    w->piece.step = LLVMBuildSub(b, lanes, first, "");
    LLVMValueRef left = LLVMBuildSub(b, to, w->piece.i, "");
    int64_t begin, end;
    bool whole = !before && nm_fn_is_const(from, &begin) && nm_fn_is_const(to, &end) &&
                 (end - begin) % g->deal.lanes == 0;
    LLVMValueRef n = whole ? lanes : nm_fn_min(&g->fn, w->piece.step, left);
    w->inner = nm_loop_begin(&g->fn, nm_fn_i64(&g->fn, 0), n, "i");
    w->lane = LLVMBuildAdd(b, first, w->inner.i, "");
    return nm_index_add(g, w->piece.i, w->inner.i);
}

static void begin_inner(nm_gen *g, nm_sweep *w, LLVMValueRef before, LLVMValueRef from,
                        LLVMValueRef to)
{
    const nm_space *s = w->space;
    LLVMValueRef i;
    if (g->deal.lanes) {
        i = begin_piece(g, w, before, from, to);
    } else {
        w->inner = nm_loop_begin(&g->fn, from, to, "i");
        i = w->inner.i;
    }
    nm_index_spread(g, &w->at, s->n - s->inner, s->dim + s->inner, i);
}

// --- dealt to threads ----------------------------------------------------------------------------

bool nm_space_has_runs(const nm_space *s, int64_t n)
{
    int64_t extent;
    return s->n > 0 && nm_extent_is_const(s->dim[s->n - 1].extent, &extent) && extent % n == 0;
}

nm_coords nm_space_neighbour(nm_gen *g, const nm_space *s, const nm_coords *at, int k)
{
    nm_coords p = *at;
    if (k == 0)
        return p;
    nm_sym last = s->dim[s->n - 1].name;
    nm_coords_set(&p, last, nm_index_add(g, nm_coords_get(at, last), nm_index_const(g, k)));
    return p;
}

// Elements of a thread, if all threads have as many and registers may keep them; else 0.
static int share(nm_gen *g, const nm_sweep *w, LLVMValueRef from, LLVMValueRef to)
{
    int64_t first, end, turn = (int64_t)g->deal.n * w->run;
    if (!nm_fn_is_const(from, &first) || !nm_fn_is_const(to, &end) || (end - first) % turn)
        return 0;
    int64_t n = (end - first) / g->deal.n;
    return n <= g->deal.most ? (int)n : 0;
}

void nm_sweep_begin_dealt(nm_gen *g, nm_sweep *w, const nm_space *s, const nm_coords *outer,
                          LLVMValueRef from, LLVMValueRef to)
{
    *w = (nm_sweep){.space = s, .at = *outer, .scope = nm_gen_open(g)};
    w->run = nm_space_has_runs(s, g->deal.run) ? g->deal.run : 1;
    w->copies = share(g, w, from, to);
    w->loops = w->copies == 0;
    LLVMValueRef lane = nm_index_mul(g, g->deal.lane, nm_index_const(g, w->run));
    w->inner.i = nm_index_add(g, from, lane);
    if (w->loops) {
        w->copies = w->run;
        LLVMValueRef first = w->inner.i;
        w->inner = nm_loop_begin(&g->fn, first, to, "i");
        if (nm_index_is_multiple(g, first, w->run))
            nm_index_know_multiple(g, w->inner.i, w->run);
        w->inner.step = nm_fn_i64(&g->fn, (int64_t)g->deal.n * w->run);
        w->inner.unroll = g->deal.ahead / w->run;
    }
    nm_index_spread(g, &w->at, s->n, s->dim, w->inner.i);
}

nm_coords nm_sweep_point(nm_gen *g, const nm_sweep *w, int k)
{
    const nm_space *s = w->space;
    nm_coords at = w->at;
    if (k >= w->run) {
        int64_t ahead = (int64_t)(k / w->run) * w->run * g->deal.n;
        LLVMValueRef i = nm_index_add(g, w->inner.i, nm_index_const(g, ahead));
        nm_index_spread(g, &at, s->n, s->dim, i);
    }
    return nm_space_neighbour(g, s, &at, k % w->run);
}

// --- a sweep -------------------------------------------------------------------------------------

static nm_sweep make_sweep(nm_gen *g, const nm_space *s)
{
    return (nm_sweep){.space = s,
                      .rows = s->inner > 0,
                      .loops = true,
                      .copies = 1,
                      .run = 1,
                      .scope = nm_gen_open(g)};
}

void nm_sweep_begin(nm_gen *g, nm_sweep *w, const nm_space *s, const nm_coords *outer)
{
    if (g->deal.lane) {
        nm_sweep_begin_dealt(g, w, s, outer, nm_index_const(g, 0),
                             nm_fn_product(&g->fn, s->n, s->dim));
        return;
    }
    *w = make_sweep(g, s);
    w->at = *outer;
    LLVMValueRef zero = nm_index_const(g, 0), before = NULL;
    LLVMValueRef length = nm_fn_product(&g->fn, s->n - s->inner, s->dim + s->inner);
    if (w->rows) {
        LLVMValueRef rows = nm_fn_product(&g->fn, s->inner, s->dim);
        w->outer = nm_loop_begin(&g->fn, zero, rows, "row");
        spread_rows(g, w, w->outer.i);
        before = lanes_before(g, w->outer.i, length);
    }
    begin_inner(g, w, before, zero, length);
}

void nm_sweep_begin_range(nm_gen *g, nm_sweep *w, const nm_space *s, LLVMValueRef from,
                          LLVMValueRef to)
{
    if (g->deal.lane) {
        nm_sweep_begin_dealt(g, w, s, &(nm_coords){0}, from, to);
        return;
    }
    *w = make_sweep(g, s);
    LLVMValueRef length = nm_space_inner(g, s);
    if (!length) {
        begin_inner(g, w, NULL, from, to);
        return;
    }
    w->outer = nm_loop_begin(&g->fn, from, to, "row");
    LLVMValueRef row = nm_index_div(g, w->outer.i, length);
    LLVMValueRef first = nm_index_rem(g, w->outer.i, length);
    LLVMValueRef left = LLVMBuildSub(g->fn.b, to, w->outer.i, "");
    LLVMValueRef end = nm_fn_min(&g->fn, length, LLVMBuildAdd(g->fn.b, first, left, ""));
    w->outer.step = LLVMBuildSub(g->fn.b, end, first, "");
    spread_rows(g, w, row);
    begin_inner(g, w, lanes_before(g, row, length), first, end);
}

void nm_sweep_end(nm_gen *g, nm_sweep *w)
{
    if (!w->loops)
        return; // what was written dominates all that follows
    nm_loop_end(&g->fn, &w->inner);
    if (w->lane)
        nm_loop_end(&g->fn, &w->piece);
    if (w->rows)
        nm_loop_end(&g->fn, &w->outer);
    nm_gen_close(g, w->scope);
}
