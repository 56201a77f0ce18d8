// Local extents: what a dim that is split over axes counts on one rank.
//
// The extent of ff/tp is the symbol ff.tp, declared with where it comes from (nm_dim_decl.of,
// .axes), so that the runtime can bind it. Dims that are one dim under two names must get one
// extent, and a dim that was merged of parts the product of its parts': heads and hd, merged, over
// tpk count hd * heads.tpk. So every split dim of the module is a row; `rename` joins two rows,
// `merge` and `split` say that a row is a multiple of another, and the rows are solved from that.
#include "passes/localize.h"

#include "ir/form.h"

#include <string.h>

typedef struct row { // a dim that is split: no two have its name, extent and axes
    nm_dim dim;      // with all of its axes, pp included
    nm_loc loc;      // of a function that has it
    int same;        // another row with the same local extent, or itself
    const nm_extent *local;
    bool solving;
} row;

typedef struct product { // of rows: whole = major * minor
    int whole, major;
    const nm_extent *minor;
} product;

struct nm_splits {
    nm_module *m;
    int n_rows, n_products;
    row *row;
    product *product;
    const nm_func *f; // whose dims are looked at
};

// --- axes ----------------------------------------------------------------------------------------

nm_axes nm_split_axes(nm_module *m, const nm_func *f, const nm_dim *d)
{
    if (!f->part.units || !nm_dim_is_staged(m, d))
        return d->axes;
    nm_axes axes = {.n = 1, .axis = {nm_sym_get(m, "pp")}};
    for (int i = 0; i < d->axes.n && axes.n < NM_MAX_AXES; i++)
        axes.axis[axes.n++] = d->axes.axis[i];
    return axes;
}

// --- rows ----------------------------------------------------------------------------------------

static int find_row(const nm_splits *s, const nm_dim *d, const nm_axes *axes)
{
    for (int i = 0; i < s->n_rows; i++)
        if (s->row[i].dim.name == d->name && s->row[i].dim.extent == d->extent &&
            nm_axes_same(&s->row[i].dim.axes, axes))
            return i;
    return -1;
}

// The row of a dim, or -1: it is whole.
static int row_of(nm_splits *s, const nm_dim *d)
{
    nm_axes axes = nm_split_axes(s->m, s->f, d);
    if (!axes.n)
        return -1;
    int i = find_row(s, d, &axes);
    if (i >= 0)
        return i;
    s->row = nm_arena_grow(s->m->arena, s->row, s->n_rows, sizeof *s->row);
    i = s->n_rows++;
    s->row[i] = (row){.dim = *d, .loc = s->f->loc, .same = i};
    s->row[i].dim.axes = axes;
    return i;
}

static int first_of(const nm_splits *s, int i)
{
    while (s->row[i].same != i)
        i = s->row[i].same;
    return i;
}

static void join(nm_splits *s, int a, int b)
{
    if (a < 0 || b < 0)
        return;
    a = first_of(s, a), b = first_of(s, b);
    s->row[a > b ? a : b].same = a > b ? b : a;
}

static void add_product(nm_splits *s, product p)
{
    s->product = nm_arena_grow(s->m->arena, s->product, s->n_products, sizeof *s->product);
    s->product[s->n_products++] = p;
}

// --- what the module says ------------------------------------------------------------------------

static int row_in(nm_splits *s, const nm_type *t, nm_sym dim)
{
    int at = nm_type_find(t, dim);
    return at < 0 ? -1 : row_of(s, &t->dim[at]);
}

// `whole` is the dims `parts` of `t`, major first.
static void read_parts(nm_splits *s, int whole, const nm_type *t, nm_syms parts)
{
    const nm_extent *minor = nm_extent_const(s->m, 1);
    for (int i = 1; i < parts.n; i++)
        minor = nm_extent_mul(s->m, minor, t->dim[nm_type_find(t, parts.sym[i])].extent);
    int major = row_in(s, t, parts.sym[0]);
    if (whole >= 0 && major >= 0)
        add_product(s, (product){whole, major, minor});
}

static void read_op(nm_splits *s, const nm_op *op)
{
    const nm_type *out = op->n_out ? op->out[0].type : NULL;
    const nm_type *in = op->n_in ? op->in[0]->type : NULL;
    if (op->code == NM_OP_rename)
        join(s, row_in(s, in, nm_attr_sym(op, "from")), row_in(s, out, nm_attr_sym(op, "to")));
    if (op->code == NM_OP_merge)
        read_parts(s, row_in(s, out, nm_attr_sym(op, "into")), in, nm_attr_dims(op, "from"));
    if (op->code == NM_OP_split)
        read_parts(s, row_in(s, in, nm_attr_sym(op, "from")), out, nm_attr_dims(op, "into"));
}

static void declare_axis(nm_module *m, nm_sym axis)
{
    if (!nm_dim_lookup(m, axis))
        nm_dim_declare(m, (nm_dim_decl){.name = axis,
                                        .extent = nm_extent_sym(m, axis),
                                        .runtime = true,
                                        .min = 1,
                                        .axes = {.n = 1, .axis = {axis}}});
}

static void read_type(nm_splits *s, const nm_type *t)
{
    for (int i = 0; i < t->rank; i++)
        row_of(s, &t->dim[i]);
}

static void read_func(nm_splits *s, nm_func *f)
{
    for (int i = 0; i < f->n_params; i++)
        read_type(s, f->param[i]->type);
    nm_each_op(op, f) {
        for (int i = 0; i < op->n_out; i++)
            read_type(s, op->out[i].type);
        nm_syms axes = nm_is(op, NM_COLLECTIVE) ? nm_attr_dims(op, "axes") : (nm_syms){0};
        for (int i = 0; i < axes.n; i++)
            declare_axis(s->m, axes.sym[i]);
        read_op(s, op);
        if (op->body)
            read_func(s, op->body);
    }
}

// --- names ---------------------------------------------------------------------------------------

// The symbol that an extent is, or NULL.
static nm_sym plain_sym(const nm_extent *e)
{
    bool plain = e->n_terms == 1 && e->term[0].factor == 1 && e->term[0].n_atoms == 1;
    return plain ? e->term[0].atom[0].sym : NULL;
}

// A declared dim of this extent: the symbol, or a dim that a row of the class is called by.
static nm_sym find_base(const nm_splits *s, int first)
{
    nm_module *m = s->m;
    const nm_extent *e = s->row[first].dim.extent;
    nm_sym sym = plain_sym(e);
    for (int i = first; i < s->n_rows && !sym; i++) {
        if (first_of(s, i) != first)
            continue;
        size_t n = strcspn(s->row[i].dim.name, "'");
        nm_dim_decl *d = nm_dim_lookup(m, nm_sym_fmt(m, "%.*s", (int)n, s->row[i].dim.name));
        sym = d && d->extent == e ? d->name : NULL;
    }
    return sym;
}

// The name, or with a number behind it if another declaration has it.
static nm_sym free_name(nm_module *m, nm_sym name, nm_sym of, const nm_axes *axes)
{
    nm_sym sym = name;
    for (int i = 2;; i++) {
        const nm_dim_decl *d = nm_dim_lookup(m, sym);
        if (!d || (of && d->of == of && nm_axes_same(&d->axes, axes)))
            return sym;
        sym = nm_sym_fmt(m, "%s.%d", name, i);
    }
}

static nm_sym declare_base(nm_splits *s, int first)
{
    const row *r = &s->row[first];
    nm_sym name = free_name(s->m, r->dim.name, NULL, NULL);
    nm_dim_declare(s->m, (nm_dim_decl){.name = name, .loc = r->loc, .extent = r->dim.extent});
    return name;
}

static const nm_extent *declare_local(nm_splits *s, nm_sym of, const nm_axes *axes)
{
    nm_module *m = s->m;
    nm_sym plain = nm_sym_fmt(m, "%s.%s", of, nm_axes_str(m, axes));
    nm_sym name = free_name(m, plain, of, axes);
    const nm_dim_decl base = *nm_dim_lookup(m, of);
    const nm_extent *e = nm_extent_sym(m, name);
    nm_dim_declare(m, (nm_dim_decl){.name = name,
                                    .loc = base.loc,
                                    .extent = e,
                                    .runtime = true,
                                    .min = 1,
                                    .pad = base.pad,
                                    .of = of,
                                    .axes = *axes});
    for (int i = 0; i < axes->n; i++)
        declare_axis(m, axes->axis[i]);
    return e;
}

// --- solving -------------------------------------------------------------------------------------

static const nm_extent *solve(nm_splits *s, int i);

static const nm_extent *from_products(nm_splits *s, int first)
{
    for (int i = 0; i < s->n_products; i++) {
        product p = s->product[i];
        if (first_of(s, p.whole) != first || s->row[first_of(s, p.major)].solving)
            continue;
        const nm_extent *major = solve(s, p.major);
        return major ? nm_extent_mul(s->m, major, p.minor) : NULL;
    }
    return NULL;
}

// A multiple of one run-time dim is that multiple of its local extent.
static const nm_extent *from_name(nm_splits *s, int first)
{
    const row *r = &s->row[first];
    const nm_term *t = r->dim.extent->term;
    bool multiple = r->dim.extent->n_terms == 1 && t->n_atoms == 1 && t->atom[0].sym;
    if (multiple && t->factor != 1) {
        const nm_extent *part = declare_local(s, t->atom[0].sym, &r->dim.axes);
        return nm_extent_mul(s->m, nm_extent_const(s->m, t->factor), part);
    }
    nm_sym base = find_base(s, first);
    int64_t fixed;
    if (!base && nm_extent_is_const(r->dim.extent, &fixed))
        base = declare_base(s, first);
    if (base && nm_dim_lookup(s->m, base))
        return declare_local(s, base, &r->dim.axes);
    nm_error(s->m->diag, r->loc, "'%s' = %s cannot be split over %s", r->dim.name,
             nm_extent_str(s->m, r->dim.extent), nm_axes_str(s->m, &r->dim.axes));
    return NULL;
}

static const nm_extent *solve(nm_splits *s, int i)
{
    int first = first_of(s, i);
    if (s->row[first].local)
        return s->row[first].local;
    s->row[first].solving = true;
    const nm_extent *e = from_products(s, first);
    e = e ? e : from_name(s, first);
    s->row[first].solving = false;
    return s->row[first].local = e;
}

nm_splits *nm_splits_find(nm_module *m)
{
    nm_splits *s = nm_new(m->arena, nm_splits);
    s->m = m;
    nm_each_func(f, m) {
        s->f = f;
        read_func(s, f);
    }
    for (int i = 0; i < s->n_rows; i++)
        if (!solve(s, i))
            return NULL;
    return s;
}

const nm_extent *nm_split_local(nm_splits *s, const nm_func *f, const nm_dim *d)
{
    nm_axes axes = nm_split_axes(s->m, f, d);
    int i = axes.n ? find_row(s, d, &axes) : -1;
    return i < 0 ? d->extent : s->row[first_of(s, i)].local;
}
