// Evaluating all ranks of a mesh: places on axes, the symbols of a rank, and the collectives.
#include "ir/eval_mesh.h"

#include "ir/eval_run.h"
#include "ir/eval_walk.h"
#include "ir/form.h"

#include <math.h>
#include <string.h>

// --- places --------------------------------------------------------------------------------------

static int find_axis(const struct nm_eval_mesh *mesh, nm_sym name)
{
    for (int i = 0; mesh && i < mesh->n; i++)
        if (mesh->axis[i].name == name)
            return i;
    return -1;
}

static int64_t axis_size(const struct nm_eval_mesh *mesh, nm_sym name)
{
    int i = find_axis(mesh, name);
    return i < 0 ? 1 : mesh->axis[i].size;
}

// Ranks that follow each other along the axis differ by this number.
static int64_t axis_stride(const struct nm_eval_mesh *mesh, int axis)
{
    int64_t stride = 1;
    for (int i = mesh->n - 1; i > axis; i--)
        stride *= mesh->axis[i].size;
    return stride;
}

static int64_t axis_place(const struct nm_eval_mesh *mesh, nm_sym name, int64_t rank)
{
    int i = find_axis(mesh, name);
    return i < 0 ? 0 : rank / axis_stride(mesh, i) % mesh->axis[i].size;
}

int64_t nm_mesh_ranks(const struct nm_eval_mesh *mesh)
{
    int64_t n = 1;
    for (int i = 0; mesh && i < mesh->n; i++)
        n *= mesh->axis[i].size;
    return n;
}

int64_t nm_mesh_group(const struct nm_eval_mesh *mesh, const nm_axes *axes)
{
    int64_t n = 1;
    for (int i = 0; i < axes->n; i++)
        n *= axis_size(mesh, axes->axis[i]);
    return n;
}

int64_t nm_mesh_place(const struct nm_eval_mesh *mesh, const nm_axes *axes, int64_t rank)
{
    int64_t place = 0;
    for (int i = 0; i < axes->n; i++)
        place = place * axis_size(mesh, axes->axis[i]) + axis_place(mesh, axes->axis[i], rank);
    return place;
}

// The rank that stands at `place` of this rank's group.
static int64_t member(const struct nm_eval_mesh *mesh, const nm_axes *axes, int64_t rank,
                      int64_t place)
{
    for (int i = axes->n - 1; i >= 0; i--) {
        int axis = find_axis(mesh, axes->axis[i]);
        if (axis < 0)
            continue;
        int64_t size = mesh->axis[axis].size, own = axis_place(mesh, axes->axis[i], rank);
        rank += (place % size - own) * axis_stride(mesh, axis);
        place /= size;
    }
    return rank;
}

// --- collectives ---------------------------------------------------------------------------------

static const nm_dim *dim_of(const nm_tensor *t, nm_sym name)
{
    return &t->type->dim[nm_type_find(t->type, name)];
}

typedef struct exchange { // what one rank takes from one member of its group
    nm_eval_op *to, *from;
    nm_sym gather, scatter; // dims whose indices the ranks share otherwise afterwards; NULL: none
    enum { TAKE, ADD, MOST } how;
} exchange;

// The member's offset of the element at w in the result; -1: it is not the member's. Where a dim is
// cut otherwise than before, an index is found by the global one: blocks may lie in two runs.
static int64_t element_of(const exchange *x, const nm_walk *w)
{
    const nm_tensor *in = x->from->in[0];
    int64_t off = 0;
    for (int i = 0; i < w->n; i++) {
        int64_t at = w->at[i];
        if (w->name[i] == x->gather || w->name[i] == x->scatter) {
            int64_t global = nm_eval_global(x->to, dim_of(x->to->out, w->name[i]), at);
            at = nm_eval_local(x->from, dim_of(in, w->name[i]), global);
        }
        if (at < 0)
            return -1;
        off += at * nm_tensor_stride(in, w->name[i]);
    }
    return off;
}

static void take(const exchange *x)
{
    nm_walk w = {0};
    nm_walk_over(&w, x->to->out, NULL, NULL);
    nm_walk_read(&w, x->to->out);
    nm_each_element(w) {
        int64_t from = element_of(x, &w);
        if (from < 0)
            continue;
        double v = x->from->in[0]->data[from], *y = &x->to->out->data[w.off[0]];
        *y = x->how == ADD ? *y + v : x->how == MOST && *y >= v ? *y : v;
    }
}

static nm_axes axes_of(const nm_op *op)
{
    nm_syms list = nm_attr_dims(op, "axes");
    nm_axes axes = {.n = list.n};
    for (int i = 0; i < list.n; i++)
        axes.axis[i] = list.sym[i];
    return axes;
}

static exchange start_exchange(nm_eval_op *e)
{
    const nm_op *op = e->op;
    bool reduces = op->code == NM_OP_all_reduce || op->code == NM_OP_reduce_scatter;
    nm_sym over = nm_attr_sym(op, "over");
    exchange x = {.to = e, .how = reduces ? ADD : TAKE};
    if (nm_attr_bool(op, "max"))
        x.how = MOST;
    x.gather = op->code == NM_OP_all_gather ? over : nm_attr_sym(op, "from");
    x.scatter = op->code == NM_OP_all_gather   ? NULL
                : op->code == NM_OP_all_to_all ? nm_attr_sym(op, "to")
                                               : over;
    return x;
}

// What rank r takes from its group, in the order of places: so replicas are equal to the last bit.
static void collect(nm_eval_op *all, int64_t r)
{
    nm_eval_op *e = &all[r];
    const struct nm_eval_mesh *mesh = e->opts->mesh;
    nm_axes axes = axes_of(e->op);
    exchange x = start_exchange(e);
    bool alone = e->op->code == NM_OP_shard || e->op->code == NM_OP_first;
    int64_t n = nm_mesh_group(mesh, &axes), own = nm_mesh_place(mesh, &axes, e->opts->rank);
    for (int64_t i = 0; x.how == MOST && i < e->out->n; i++)
        e->out->data[i] = -INFINITY;
    for (int64_t k = 0; k < n; k++) {
        bool next = e->op->code != NM_OP_rotate || k == (own + 1) % n;
        if (!next || (alone && k != own) || (e->op->code == NM_OP_first && k))
            continue;
        x.from = &all[r + member(mesh, &axes, e->opts->rank, k) - e->opts->rank];
        take(&x);
    }
}

void nm_eval_collective(nm_eval_op *e)
{
    for (int64_t r = 0; r < nm_eval_ranks(e); r++)
        collect(e, r);
}

void nm_eval_nothing(nm_eval_op *e) { (void)e; }

// --- runs ----------------------------------------------------------------------------------------

nm_eval_opts nm_mesh_opts(const nm_eval_opts *opts, const struct nm_eval_mesh *mesh, int64_t rank)
{
    nm_eval_opts own = *opts;
    own.mesh = mesh;
    own.rank = rank;
    if (mesh->sym)
        own.sym = mesh->sym[rank];
    return own;
}

bool nm_eval_mesh(nm_func *f, const nm_eval_opts *opts, const struct nm_eval_mesh *mesh,
                  const nm_tensor *const *args, nm_tensor *const *results)
{
    int64_t n = nm_mesh_ranks(mesh);
    nm_eval_opts *own = nm_new_n(opts->arena, nm_eval_opts, n);
    for (int64_t r = 0; r < n; r++)
        own[r] = nm_mesh_opts(opts, mesh, r);
    return nm_eval_func(f, n, own, 0, args, results);
}

// --- symbols -------------------------------------------------------------------------------------

static const nm_eval_sym *find_base(int n, const nm_eval_sym *base, nm_sym name)
{
    for (int i = 0; i < n; i++)
        if (base[i].name == name)
            return &base[i];
    return NULL;
}

// cp deals a dim in 2 cp chunks, rank i gets chunks i and 2 cp - 1 - i; the axes behind it cut that
// list in blocks, of which this is the one from `start`.
static void deal(nm_eval_sym *s, int64_t chunk, int64_t n_cp, int64_t place, int64_t start)
{
    int64_t first = place * chunk, second = (2 * n_cp - 1 - place) * chunk;
    if (start >= chunk) {
        s->offset += second + start - chunk;
        return;
    }
    s->offset += first + start;
    s->half = chunk - start;
    s->jump = second - first - chunk;
}

static nm_eval_sym local_sym(const nm_dim_decl *d, const struct nm_eval_mesh *mesh, int64_t rank,
                             bool zigzag, const nm_dim_decl *of, const nm_eval_sym *base)
{
    int64_t size = base ? base->size : 0, pad = of->pad ? of->pad : 1;
    if (!base)
        nm_extent_is_const(of->extent, &size);
    nm_eval_sym s = {.name = d->name, .offset = base ? base->offset : 0};
    s.total = base ? base->total : size;
    s.size = (size + pad - 1) / pad * pad / nm_mesh_group(mesh, &d->axes);
    const char *first;
    nm_axes cp = {.n = nm_axes_word(d->axes.n, d->axes.axis, &first)},
            rest = {.n = d->axes.n - cp.n};
    if (!zigzag || !base || strcmp(first, "cp")) { // run-time dims alone, as the runtime does
        s.offset += s.size * nm_mesh_place(mesh, &d->axes, rank);
        return s;
    }
    memcpy(cp.axis, d->axes.axis, (size_t)cp.n * sizeof *cp.axis);
    memcpy(rest.axis, d->axes.axis + cp.n, (size_t)rest.n * sizeof *rest.axis);
    int64_t n_cp = nm_mesh_group(mesh, &cp);
    deal(&s, size / (2 * n_cp), n_cp, nm_mesh_place(mesh, &cp, rank),
         s.size * nm_mesh_place(mesh, &rest, rank));
    return s;
}

int nm_mesh_syms(nm_module *m, const struct nm_eval_mesh *mesh, int64_t rank, bool zigzag,
                 int n_base, const nm_eval_sym *base, nm_eval_sym *out)
{
    int n = 0;
    for (int i = 0; i < m->n_dims; i++) {
        const nm_dim_decl *d = &m->dim[i];
        const nm_eval_sym *known = find_base(n_base, base, d->name);
        if (known)
            out[n++] = *known;
        else if (d->of)
            out[n++] = local_sym(d, mesh, rank, zigzag, nm_dim_lookup(m, d->of),
                                 find_base(n_base, base, d->of));
        else if (d->axes.n)
            out[n++] = (nm_eval_sym){.name = d->name,
                                     .size = axis_size(mesh, d->name),
                                     .offset = axis_place(mesh, d->name, rank),
                                     .total = axis_size(mesh, d->name)};
    }
    return n;
}
