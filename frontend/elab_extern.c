// Calls of externs: the declaration becomes an op that says all that those below have to know of it
// (ir/extern.h). ext-3: each type lists its dims in one order, that in which they are first named.
#include "frontend/elab_internal.h"
#include "frontend/embedded.h"
#include "frontend/extern.h"
#include "ir/extern.h"

#include <string.h>
#include <unistd.h>

// --- the declaration -----------------------------------------------------------------------------

const nm_ast_row *nm_extern_row(const nm_ast_extern *ext, const char *label)
{
    for (int i = 0; i < ext->rows.n; i++)
        if (strcmp(ext->rows.row[i].label.sym, label) == 0)
            return &ext->rows.row[i];
    return NULL;
}

bool nm_extern_par_is_number(const nm_ast_par *par, bool *is_int)
{
    bool tensor = par->kind == NM_PAR_typed || par->type.shape.present;
    if (is_int)
        *is_int = par->of.sym && strcmp(par->of.sym, "int") == 0;
    return !tensor;
}

static const nm_embedded *find_carried(const char *name)
{
    for (const nm_embedded *e = nm_embedded_kernels; e->stem; e++)
        if (strcmp(e->name, name) == 0)
            return e;
    return NULL;
}

nm_sym nm_extern_path(nm_module *m, const nm_ast_extern *ext, const nm_ast_row *row)
{
    const char *user = ext->file->src->name, *slash = strrchr(user, '/');
    nm_sym path = nm_sym_fmt(m, "%.*s%s", slash ? (int)(slash - user) + 1 : 0, user, row->string);
    const nm_embedded *e = find_carried(row->string);
    if (!e || (slash && access(path, R_OK) == 0))
        return path;
    path = nm_sym_fmt(m, "nemocc:%s", row->string);
    nm_extern_carry(m, nm_source_text(m->arena, m->diag, path, e->text, strlen(e->text)));
    return path;
}

// --- its op --------------------------------------------------------------------------------------

typedef struct call { // of an extern
    nm_elab *e;
    nm_frame *f; // the callee's
    const nm_ast_extern *ext;
    nm_loc loc;
    int n_in, n_out, n_scratch;
    int64_t numbers;
    nm_value **in;
    const nm_type **type; // of results
    nm_sym *index_of;
    int n_dims;
    nm_sym dim[NM_EXTERN_MAX_DIMS];
} call;

// The dims of one type, behind those that are known; ext-3.
static bool note_dims(call *c, const nm_eshape *s, nm_loc loc)
{
    for (int i = 0, last = -1; i < s->rank; i++) {
        int at = 0;
        while (at < c->n_dims && c->dim[at] != s->dim[i].name)
            at++;
        if (at == NM_EXTERN_MAX_DIMS)
            return nm_elab_error(c->e, c->f, loc, "an extern has at most %d dims [ext-5]",
                                 NM_EXTERN_MAX_DIMS)
                       .kind != NM_EV_poison;
        if (at == c->n_dims)
            c->dim[c->n_dims++] = s->dim[i].name;
        if (at < last)
            return nm_elab_error(c->e, c->f, loc,
                                 "'%s' stands before '%s' in an earlier type of this extern, whose "
                                 "tensors all have one order of dims [ext-3]",
                                 s->dim[i].name, c->dim[last])
                       .kind != NM_EV_poison;
        last = at;
    }
    return true;
}

static bool read_shape(call *c, const nm_ast_type *t, nm_eshape *s)
{
    return nm_shape_read(c->e, c->f, &t->shape, s) && note_dims(c, s, t->shape.loc);
}

static const nm_type *read_type(call *c, const nm_ast_type *t, nm_sym *index_of)
{
    nm_elab *e = c->e;
    nm_eshape s;
    nm_type type = {.dtype = NM_real};
    if (t->elem.n && !nm_dtype_find(t->elem.sym, &type.dtype)) {
        nm_edim d;
        if (!nm_dim_single(e, c->f, nm_dims_of_name(e, c->f, &t->elem, t->elem.loc), t->elem.loc,
                           &d))
            return NULL;
        *index_of = d.name;
        type.dtype = NM_i32;
    }
    if (!read_shape(c, t, &s))
        return NULL;
    for (type.rank = 0; type.rank < s.rank; type.rank++)
        type.dim[type.rank] =
            (nm_dim){.name = s.dim[type.rank].name,
                     .extent = nm_dim_extent(e, c->f, s.dim[type.rank], t->shape.loc)};
    return nm_type_get(e->m, &type);
}

// In the dtype that the C function gets.
static nm_dtype operand_dtype(const nm_ast_par *par, nm_ev v)
{
    bool is_int;
    nm_dtype dtype = v.kind == NM_EV_tensor ? v.u.t->v->type->dtype : NM_f32;
    if (nm_extern_par_is_number(par, &is_int))
        return is_int ? NM_i32 : NM_f32;
    if (!par->type.elem.n)
        return dtype == NM_real ? NM_real : NM_f32;
    return nm_dtype_find(par->type.elem.sym, &dtype) ? dtype : NM_i32; // positions in a dim
}

// The next operand is a number.
static bool note_number(call *c, nm_loc loc)
{
    if (c->n_in >= NM_EXTERN_MAX_NUMBERED)
        return nm_elab_error(c->e, c->f, loc,
                             "a number is one of the first %d operands of an extern [ext-5]",
                             NM_EXTERN_MAX_NUMBERED)
                   .kind != NM_EV_poison;
    c->numbers |= (int64_t)1 << c->n_in;
    return true;
}

static bool add_operand(call *c, const nm_ast_par *par)
{
    nm_eshape s;
    nm_var *v = nm_frame_var(c->f, par->name.sym);
    if (!v)
        return true;
    if (nm_extern_par_is_number(par, NULL) ? !note_number(c, par->name.loc)
                                           : !read_shape(c, &par->type, &s))
        return false;
    nm_ev x = nm_ev_number(c->e, c->f, v->value);
    c->in[c->n_in] = nm_ev_materialise(c->e, x, operand_dtype(par, x), c->loc);
    return c->in[c->n_in++] != NULL;
}

static bool read_call(call *c)
{
    const nm_ast_extern *ext = c->ext;
    size_t most = (size_t)(ext->n_types + ext->rows.n);
    c->in = nm_new_n(c->e->a, nm_value *, (size_t)ext->pars.n + 1);
    c->type = nm_new_n(c->e->a, const nm_type *, most);
    c->index_of = nm_new_n(c->e->a, nm_sym, most);
    for (int i = 0; i < ext->pars.n; i++)
        if (!add_operand(c, &ext->pars.par[i]))
            return false;
    for (int i = 0; i < ext->n_types; i++, c->n_out++)
        if (!(c->type[c->n_out] = read_type(c, &ext->type[i], &c->index_of[c->n_out])))
            return false;
    for (int i = 0; i < ext->rows.n; i++) {
        const nm_ast_row *row = &ext->rows.row[i];
        if (!row->type.shape.present)
            continue;
        if (!(c->type[c->n_out] = read_type(c, &row->type, &c->index_of[c->n_out])))
            return false;
        c->n_out++;
        c->n_scratch++;
    }
    return true;
}

static nm_syms whole_dims(call *c)
{
    const nm_ast_row *row = nm_extern_row(c->ext, "whole");
    nm_edims dims = row ? nm_dims_of_names(c->e, c->f, &row->names) : (nm_edims){0};
    nm_sym *sym = nm_new_n(c->e->a, nm_sym, (size_t)dims.n + 1);
    int n = 0;
    for (int i = 0; i < dims.n; i++)
        for (int k = 0; k < c->n_dims; k++)
            if (c->dim[k] == dims.dim[i].name)
                sym[n++] = dims.dim[i].name;
    return (nm_syms){n, sym};
}

static int list_attrs(call *c, nm_attr *attr)
{
    nm_module *m = c->e->m;
    const nm_ast_row *grad = nm_extern_row(c->ext, "grad");
    int n = 0;
    attr[n++] = nm_mk_sym(m, "name", c->ext->name.sym);
    attr[n++] = nm_mk_dims(m, "dims", (nm_syms){c->n_dims, c->dim});
    attr[n++] = nm_mk_dims(m, "whole", whole_dims(c));
    if (c->numbers)
        attr[n++] = nm_mk_int(m, "numbers", c->numbers);
    if (c->n_scratch)
        attr[n++] = nm_mk_int(m, "scratch", c->n_scratch);
    if (grad)
        attr[n++] = nm_mk_sym(m, "grad", grad->names.name[0].sym);
    static const char *const files[] = {"host", "cuda"};
    for (int i = 0; i < 2; i++) {
        const nm_ast_row *row = nm_extern_row(c->ext, files[i]);
        if (row)
            attr[n++] = nm_mk_string(m, files[i], nm_extern_path(m, c->ext, row));
    }
    return n;
}

static nm_ev build_call(call *c)
{
    nm_elab *e = c->e;
    nm_attr attr[8];
    int n_attrs = list_attrs(c, attr), n = c->ext->n_types;
    nm_op *op = nm_elab_op_many(e, (nm_proto){.code = NM_OP_extern,
                                              .loc = c->loc,
                                              .n_in = c->n_in,
                                              .in = c->in,
                                              .n_attrs = n_attrs,
                                              .attr = attr,
                                              .n_types = c->n_out,
                                              .types = c->type});
    nm_ev *out = nm_new_n(e->a, nm_ev, (size_t)n);
    for (int i = 0; op && i < n; i++)
        out[i] = nm_ev_tensor(e, (nm_tensor){.v = &op->out[i], .index_of = c->index_of[i]});
    return !op ? nm_ev_poison() : n == 1 ? out[0] : nm_ev_tuple(e, n, out);
}

nm_ev nm_call_extern(nm_elab *e, nm_frame *f, const nm_ast_extern *ext, nm_unit *unit,
                     const nm_args *args)
{
    nm_binding b = {.name = ext->name.sym, .pars = &ext->pars};
    if (!nm_args_bind(e, f, args, &b))
        return nm_ev_poison();
    nm_frame *callee = nm_frame_new(e, f, unit, args->loc);
    callee->what = ext->name.sym;
    callee->is_fn = true;
    if (callee->user_frame && !callee->user_fn)
        callee->user_fn = ext->name.sym;
    if (!nm_call_set_pars(e, f, callee, &b, args))
        return nm_ev_poison();
    call c = {.e = e, .f = callee, .ext = ext, .loc = args->loc};
    return read_call(&c) ? build_call(&c) : nm_ev_poison();
}
