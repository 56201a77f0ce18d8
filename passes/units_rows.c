// Rows: the indices of a dim whose repeat is grouped, `layers` of layers.o and layers.o24. A repeat
// of turns of several layers takes a parameter cut to its layers and split into turns; units take
// it in that form, so that each has rows of its own, in turns of its own. The gradients that the
// repeats add up, side by side again, are one accumulator of all rows, of which each unit adds to
// its own: a step's end sees rows alone.
//
// The memory is the same: a run of rows is a run of turns. The runtime learns from the dims of
// turns which rows a unit has.
#include "ir/names.h"
#include "passes/parts.h"
#include "passes/units.h"

#include <string.h>

nm_row_run nm_rows_of(const nm_units *u, nm_sym over)
{
    const nm_dim_decl *d = over ? nm_dim_lookup(u->m, over) : NULL;
    int64_t n = 0;
    if (!d || !nm_extent_is_const(d->extent, &n))
        return (nm_row_run){0};
    return d->turns_of ? (nm_row_run){d->turns_of, d->first, d->first + d->each * n}
                       : (nm_row_run){over, 0, n};
}

bool nm_rows_meet(nm_row_run a, nm_row_run b)
{
    return a.dim && a.dim == b.dim && a.first < b.end && b.first < a.end;
}

static const nm_dim_decl *turns_in(const nm_units *u, const nm_type *t)
{
    const nm_dim_decl *d = t->rank ? nm_dim_lookup(u->m, t->dim[0].name) : NULL;
    return d && d->turns_of && nm_units_is_dim(u, d->name) && d->extent == t->dim[0].extent ? d
                                                                                            : NULL;
}

// [layers, d] is [layers.o, layers=2, d], the layers but once.
static bool same_but_rows(const nm_type *turns, const nm_type *rows)
{
    bool same = turns->rank == rows->rank + 1 && turns->dim[1].name == rows->dim[0].name;
    for (int i = 1; same && i < rows->rank; i++)
        same = !memcmp(&turns->dim[i + 1], &rows->dim[i], sizeof rows->dim[i]);
    return same;
}

static bool names_turns(const nm_op *op, const char *attr, const nm_dim_decl *turns)
{
    nm_syms dims = nm_attr_dims(op, attr);
    return dims.n == 2 && dims.sym[0] == turns->name && dims.sym[1] == turns->turns_of;
}

static int64_t constant(const nm_extent *e)
{
    int64_t value = -1;
    return e && nm_extent_is_const(e, &value) ? value : -1;
}

static int64_t start_of(const nm_op *op, const char *attr)
{
    const nm_attr *a = nm_attr_get(op, attr);
    return !a ? 0 : a->kind == NM_ATTR_extent ? constant(a->u.extent) : a->u.i;
}

// --- parameters of a micro-batch ---------------------------------------------------------------

// Does op split the rows from `first` on, which it reads, into turns that have just these?
static bool is_turns(const nm_units *u, const nm_op *op, const nm_type *rows, int64_t first)
{
    if (op->code != NM_OP_split)
        return false;
    const nm_dim_decl *d = turns_in(u, op->out[0].type);
    return d && d->first == first && names_turns(op, "into", d) &&
           constant(op->out[0].type->dim[1].extent) == d->each &&
           same_but_rows(op->out[0].type, rows);
}

static void take_turns(nm_func *f, const nm_value *param, nm_op *op)
{
    nm_bind bind = f->param_bind[param->index];
    nm_replace(&op->out[0], nm_func_param(f, op->out[0].type, param->name, bind));
}

// The turns among the readers of v, which is param's rows from `first` on.
static void take_readers(nm_units *u, nm_func *f, const nm_value *param, nm_value *v, int64_t first)
{
    for (nm_use *use = v->uses, *next; use; use = next) {
        nm_op *op = use->op;
        next = use->next;
        bool cut = op->code == NM_OP_slice && v == param &&
                   nm_attr_sym(op, "over") == param->type->dim[0].name;
        if (cut && op->out[0].type->rank == param->type->rank)
            take_readers(u, f, param, &op->out[0], start_of(op, "start"));
        else if (is_turns(u, op, param->type, first))
            take_turns(f, param, op);
    }
}

static void join_params(nm_units *u, nm_func *f)
{
    int n = f->n_params;
    for (int i = 0; i < n; i++) {
        nm_bind_kind kind = f->param_bind[i].kind;
        bool kept = kind == NM_BIND_param || kind == NM_BIND_state;
        if (kept && nm_units_dim_in(u, f->param[i]->type))
            take_readers(u, f, f->param[i], f->param[i], 0);
    }
    nm_part_clean(f);
    nm_part_drop_params(f);
}

// --- accumulators ------------------------------------------------------------------------------

typedef struct rows { // that accumulators of turns make together
    const nm_units *u;
    int n;
    nm_value *acc[NM_MAX_UNITS];
} rows;

static bool is_acc(const nm_value *v)
{
    return !v->def && v->func->param_bind[v->index].kind == NM_BIND_acc;
}

// v is the rows of one accumulator, their places from `first` on.
static bool add_acc(rows *r, nm_value *v, int64_t first)
{
    nm_op *op = v->def;
    if (!op || op->code != NM_OP_merge || !is_acc(op->in[0]) || !nm_used_once(op->in[0]) ||
        r->n == NM_MAX_UNITS)
        return false;
    const nm_dim_decl *d = turns_in(r->u, op->in[0]->type);
    if (!d || d->first != first || !names_turns(op, "from", d) ||
        !same_but_rows(op->in[0]->type, v->type))
        return false;
    r->acc[r->n++] = op->in[0];
    return true;
}

// v is a sum of accumulators' rows, each padded to all rows.
static bool add_rows(rows *r, nm_value *v)
{
    nm_op *op = v->def;
    if (op && op->code == NM_OP_add)
        return add_rows(r, op->in[0]) && add_rows(r, op->in[1]);
    bool padded = op && op->code == NM_OP_pad;
    return add_acc(r, padded ? op->in[0] : v, padded ? start_of(op, "before") : 0);
}

// Is every row in one accumulator?
static bool is_whole(const rows *r, const nm_value *v)
{
    int64_t n = 0;
    for (int i = 0; i < r->n; i++) {
        nm_row_run a = nm_rows_of(r->u, r->acc[i]->type->dim[0].name);
        n += a.end - a.first;
        for (int k = 0; k < i; k++)
            if (nm_rows_meet(a, nm_rows_of(r->u, r->acc[k]->type->dim[0].name)))
                return false;
    }
    return n == constant(v->type->dim[0].extent);
}

// The value of all rows that an accumulator is in; NULL: there is none. *r: all that are in it.
static nm_value *find_whole(const nm_units *u, nm_value *acc, rows *r)
{
    for (nm_value *v = acc; nm_used_once(v) && v->uses->op->n_out == 1;) {
        v = &v->uses->op->out[0];
        *r = (rows){.u = u};
        if (add_rows(r, v) && is_whole(r, v))
            return v;
    }
    return NULL;
}

static void rename_acc(nm_func *f, nm_sym old, nm_sym name)
{
    int param = nm_func_find_param(f, NM_BIND_acc, old);
    int result = nm_func_find_result(f, NM_BIND_acc, old);
    if (param >= 0) {
        f->param_bind[param].name = name;
        f->param[param]->name = nm_sym_fmt(f->module, "acc.%s", name);
    }
    if (result >= 0)
        f->result_bind[result].name = name;
}

static nm_sym name_of(const nm_func *f, const nm_value *whole, const nm_value *acc)
{
    return nm_gradient_path(f->module, whole->name) &&
                   nm_func_find_param(f, NM_BIND_acc, whole->name) < 0
               ? whole->name
               : f->param_bind[acc->index].name;
}

static void join_acc(nm_func *finish, nm_func *micro, const rows *r, nm_value *whole)
{
    nm_sym name = name_of(finish, whole, r->acc[0]);
    for (int i = 0; i < r->n; i++)
        rename_acc(micro, finish->param_bind[r->acc[i]->index].name, name);
    nm_replace(whole, nm_func_param(finish, whole->type, nm_sym_fmt(finish->module, "acc.%s", name),
                                    (nm_bind){.kind = NM_BIND_acc, .name = name}));
}

static void join_accs(nm_units *u, nm_func *finish, nm_func *micro)
{
    int n = finish->n_params;
    for (int i = 0; i < n; i++) {
        rows r;
        nm_value *acc = finish->param[i];
        nm_value *whole = is_acc(acc) && turns_in(u, acc->type) ? find_whole(u, acc, &r) : NULL;
        if (whole && whole->uses)
            join_acc(finish, micro, &r, whole);
    }
    nm_part_clean(finish);
    nm_part_drop_params(finish);
}

void nm_units_join_rows(nm_units *u)
{
    nm_each_func(micro, u->m) {
        nm_sym role = nm_units_role(micro, ".micro");
        if (!role)
            continue;
        join_params(u, micro);
        nm_each_func(finish, u->m)
            if (nm_units_role(finish, ".finish") == role)
                join_accs(u, finish, micro);
    }
}
