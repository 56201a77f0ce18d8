// The tables: `nemocc_program`, all that the runtime knows about this program, as constant data.
// Every field of runtime/driver_abi.h is 64 bits wide, so a struct is its fields in order.
#include "base/hash.h"
#include "codegen/program.h"
#include "runtime/driver_abi.h"

#include <stdlib.h>
#include <string.h>

typedef struct nm_table { // a constant array of equal structs, being filled
    nm_program *p;
    LLVMContextRef ctx;
    LLVMModuleRef mod;
    LLVMTypeRef i64, ptr;
    int n_dims, cap_dims; // declared ones first, then those that only types name
    nm_dim *dim;
} nm_table;

// --- constants
// ----------------------------------------------------------------------------------------------------

static LLVMValueRef word(nm_table *t, int64_t v) { return LLVMConstInt(t->i64, (uint64_t)v, true); }

static LLVMValueRef real(nm_table *t, double v)
{
    return LLVMConstReal(LLVMDoubleTypeInContext(t->ctx), v);
}

static LLVMValueRef constant(nm_table *t, LLVMValueRef value, const char *name)
{
    LLVMValueRef global = LLVMAddGlobal(t->mod, LLVMTypeOf(value), name);
    LLVMSetInitializer(global, value);
    LLVMSetGlobalConstant(global, true);
    LLVMSetLinkage(global, LLVMPrivateLinkage);
    return global;
}

static LLVMValueRef string(nm_table *t, const char *s)
{
    s = s ? s : "";
    LLVMValueRef text = LLVMConstStringInContext2(t->ctx, s, strlen(s), false);
    LLVMValueRef global = constant(t, text, "s");
    LLVMSetUnnamedAddress(global, LLVMGlobalUnnamedAddr);
    return global;
}

static LLVMValueRef row(nm_table *t, int n, LLVMValueRef *field)
{
    return LLVMConstStructInContext(t->ctx, field, (unsigned)n, false);
}
#define ROW(t, ...)                                                                                \
    row(t, (int)(sizeof((LLVMValueRef[]){__VA_ARGS__}) / sizeof(LLVMValueRef)),                    \
        (LLVMValueRef[]){__VA_ARGS__})

// A pointer to a constant array of the rows; NULL if there are none. The rows are of one type.
static LLVMValueRef rows(nm_table *t, int n, LLVMValueRef *r, const char *name)
{
    if (n == 0)
        return LLVMConstNull(t->ptr);
    return constant(t, LLVMConstArray2(LLVMTypeOf(r[0]), r, (uint64_t)n), name);
}

static LLVMValueRef *row_list(nm_table *t, int n)
{
    return nm_new_n(t->p->m->arena, LLVMValueRef, (size_t)n + 1);
}

static const char *where(nm_table *t, nm_loc loc) { return nm_where(t->p->m, loc); }

// --- dims
// ------------------------------------------------------------------------------------------------------------

static int add_dim(nm_table *t, nm_dim d)
{
    if (t->n_dims == t->cap_dims) {
        t->cap_dims = t->cap_dims ? 2 * t->cap_dims : 64;
        nm_dim *grown = nm_new_n(t->p->m->arena, nm_dim, (size_t)t->cap_dims);
        if (t->n_dims)
            memcpy(grown, t->dim, (size_t)t->n_dims * sizeof *grown);
        t->dim = grown;
    }
    t->dim[t->n_dims] = d;
    return t->n_dims++;
}

static int dim_index(nm_table *t, nm_dim d)
{
    for (int i = 0; i < t->n_dims; i++)
        if (t->dim[i].name == d.name && t->dim[i].extent == d.extent)
            return i;
    return add_dim(t, d);
}

// The symbol that the extent is, or -1.
static int extent_sym(nm_table *t, const nm_extent *e)
{
    bool plain = e->n_terms == 1 && e->term[0].factor == 1 && e->term[0].n_atoms == 1;
    return plain && e->term[0].atom[0].sym ? nm_sym_index(t->p->m, e->term[0].atom[0].sym) : -1;
}

static LLVMValueRef dim_rows(nm_table *t)
{
    LLVMValueRef *r = row_list(t, t->n_dims);
    for (int i = 0; i < t->n_dims; i++) {
        const nm_dim *d = &t->dim[i];
        nm_dim_decl *decl = nm_dim_lookup(t->p->m, d->name);
        int64_t extent = 0;
        nm_extent_is_const(d->extent, &extent);
        r[i] = ROW(t, string(t, d->name), string(t, decl ? where(t, decl->loc) : ""),
                   word(t, extent), word(t, extent_sym(t, d->extent)));
    }
    return rows(t, t->n_dims, r, "dims");
}

static LLVMValueRef sym_rows(nm_table *t)
{
    const nm_module *m = t->p->m;
    LLVMValueRef *r = row_list(t, m->n_dims);
    int n = 0;
    for (int i = 0; i < m->n_dims; i++) {
        const nm_dim_decl *d = &m->dim[i];
        if (d->runtime)
            r[n++] = ROW(t, string(t, d->name), string(t, where(t, d->loc)), word(t, d->min),
                         word(t, d->max), word(t, d->multiple), string(t, d->of), word(t, 0),
                         word(t, -1), word(t, 0), word(t, 0), LLVMConstNull(t->ptr));
    }
    return rows(t, n, r, "syms");
}

// --- parameters and hyperparameters
// -----------------------------------------------------------------------------------

static int64_t abi_dtype(nm_dtype t)
{
    return t == NM_real ? NMDRV_F32 : (int64_t)t - (int64_t)NM_f64; // the ABI has no `real`
}

static LLVMValueRef dim_list(nm_table *t, const nm_type *type)
{
    LLVMValueRef r[NM_MAX_RANK];
    for (int i = 0; i < type->rank; i++)
        r[i] = word(t, dim_index(t, type->dim[i]));
    return rows(t, type->rank, r, "dim");
}

static LLVMValueRef shape_list(nm_table *t, const nm_type *type)
{
    LLVMValueRef r[NM_MAX_RANK];
    for (int i = 0; i < type->rank; i++) {
        int64_t extent = 0;
        nm_extent_is_const(type->dim[i].extent, &extent);
        r[i] = word(t, extent);
    }
    return rows(t, type->rank, r, "shape");
}

static LLVMValueRef param_rows(nm_table *t)
{
    const nm_module *m = t->p->m;
    LLVMValueRef *r = row_list(t, m->n_params);
    for (int i = 0; i < m->n_params; i++) {
        const nm_param *q = &m->param[i];
        r[i] = ROW(t, string(t, q->path), word(t, q->state), word(t, q->frozen),
                   word(t, q->no_decay), word(t, abi_dtype(q->type->dtype)), word(t, q->type->rank),
                   dim_list(t, q->type), shape_list(t, q->type), string(t, q->optimizer));
    }
    return rows(t, m->n_params, r, "params");
}

static LLVMValueRef hyper_rows(nm_table *t)
{
    const nm_module *m = t->p->m;
    LLVMValueRef *r = row_list(t, m->n_hypers);
    for (int i = 0; i < m->n_hypers; i++) {
        const nm_hyper *h = &m->hyper[i];
        r[i] = ROW(t, string(t, h->name), real(t, h->value), real(t, h->per_step),
                   string(t, h->schedule));
    }
    return rows(t, m->n_hypers, r, "hypers");
}

// --- functions
// ----------------------------------------------------------------------------------------------------------

static int64_t index_of_dim(nm_table *t, nm_sym dim)
{
    return dim && nm_dim_lookup(t->p->m, dim) ? dim_index(t, nm_dim_of(t->p->m, dim)) : -1;
}

static LLVMValueRef arg_row(nm_table *t, const nm_driver *d, const nm_value *v, const nm_bind *bind)
{
    int buffer = d->func->plan->place[v->id].buffer;
    return ROW(t, word(t, bind->kind), string(t, bind->name), word(t, buffer),
               word(t, abi_dtype(v->type->dtype)), word(t, v->type->rank), dim_list(t, v->type),
               word(t, index_of_dim(t, bind->index_of)), string(t, bind->next), word(t, 0));
}

static LLVMValueRef arg_rows(nm_table *t, const nm_driver *d)
{
    const nm_func *f = d->func;
    LLVMValueRef *r = row_list(t, f->n_params);
    for (int i = 0; i < f->n_params; i++)
        r[i] = arg_row(t, d, f->param[i], &f->param_bind[i]);
    return rows(t, f->n_params, r, "args");
}

static LLVMValueRef result_rows(nm_table *t, const nm_driver *d)
{
    const nm_func *f = d->func;
    LLVMValueRef *r = row_list(t, f->n_results);
    for (int i = 0; i < f->n_results; i++)
        r[i] = arg_row(t, d, f->last->in[i], &f->result_bind[i]);
    return rows(t, f->n_results, r, "results");
}

static LLVMValueRef buf_rows(nm_table *t, const nm_driver *d)
{
    const nm_plan *plan = d->func->plan;
    LLVMValueRef *r = row_list(t, plan->n_buffers + d->n_workspaces);
    for (int i = 0; i < plan->n_buffers; i++) {
        const nm_buffer *b = &plan->buffer[i];
        r[i] = ROW(t, word(t, b->bound ? NMDRV_BUF_BOUND : NMDRV_BUF_TRANSIENT), word(t, b->first),
                   word(t, b->last), string(t, b->name), string(t, where(t, b->loc)));
    }
    for (int i = 0; i < d->n_workspaces; i++) {
        const nm_workspace *w = &d->workspace[i];
        r[plan->n_buffers + i] = ROW(t, word(t, NMDRV_BUF_TRANSIENT), word(t, w->position),
                                     word(t, w->position), string(t, w->name), string(t, w->where));
    }
    return rows(t, plan->n_buffers + d->n_workspaces, r, "bufs");
}

static LLVMValueRef func_rows(nm_table *t)
{
    nm_program *p = t->p;
    LLVMValueRef *r = row_list(t, p->n_drivers);
    for (int i = 0; i < p->n_drivers; i++) {
        const nm_driver *d = &p->driver[i];
        int n_bufs = d->func->plan->n_buffers + d->n_workspaces;
        r[i] = ROW(t, string(t, d->func->name), word(t, d->role), string(t, d->entry), word(t, -1),
                   word(t, NMDRV_WHOLE), word(t, 0), word(t, -1), d->run, d->sizes, d->flops,
                   word(t, n_bufs), word(t, d->func->n_params), word(t, d->func->n_results),
                   buf_rows(t, d), arg_rows(t, d), result_rows(t, d));
    }
    return rows(t, p->n_drivers, r, "funcs");
}

static LLVMValueRef kernel_function(nm_table *t, const char *symbol)
{
    LLVMValueRef fn = LLVMGetNamedFunction(t->mod, symbol);
    if (fn)
        return fn;
    LLVMTypeRef param[] = {t->ptr, t->ptr, t->i64, t->i64, t->ptr};
    return LLVMAddFunction(t->mod, symbol,
                           LLVMFunctionType(LLVMVoidTypeInContext(t->ctx), param, 5, false));
}

static LLVMValueRef kernel_rows(nm_table *t)
{
    nm_program *p = t->p;
    LLVMValueRef *r = row_list(t, p->n_kernels);
    for (int i = 0; i < p->n_kernels; i++) {
        const nm_kernel *k = &p->kernel[i];
        r[i] = ROW(t, string(t, k->name), string(t, k->where), kernel_function(t, k->symbol),
                   word(t, k->grain));
    }
    return rows(t, p->n_kernels, r, "kernels");
}

// --- the program
// ------------------------------------------------------------------------------------------------------------

// Of the lowered text, so that two builds of one model agree and two models do not.
static const char *hash_module(nm_module *m)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        nm_bug("no memory for the module's text");
    nm_print(out, m, (nm_print_opts){0});
    fclose(out);
    uint64_t hash = nm_hash64(text, size);
    free(text);
    return nm_arena_fmt(m->arena, "%016llx", (unsigned long long)hash);
}

void nm_program_tables(nm_program *p)
{
    nm_module *m = p->m;
    nm_table t = {.p = p, .ctx = p->ctx, .mod = p->driver_mod};
    t.i64 = LLVMInt64TypeInContext(t.ctx);
    t.ptr = LLVMPointerTypeInContext(t.ctx, 0);
    for (int i = 0; i < m->n_dims; i++)
        add_dim(&t, (nm_dim){.name = m->dim[i].name, .extent = m->dim[i].extent});
    LLVMValueRef funcs = func_rows(&t), params = param_rows(&t); // they may add dims
    LLVMValueRef program =
        ROW(&t, word(&t, NMDRV_VERSION), string(&t, m->name), string(&t, m->preset),
            string(&t, hash_module(m)), string(&t, p->opts->version), string(&t, p->target.name),
            word(&t, p->target.level), word(&t, p->scratch), word(&t, nm_sym_count(m)),
            word(&t, t.n_dims), word(&t, m->n_params), word(&t, m->n_hypers),
            word(&t, p->n_drivers), word(&t, p->n_kernels), sym_rows(&t), dim_rows(&t), params,
            hyper_rows(&t), funcs, kernel_rows(&t), word(&t, 0), word(&t, 0), word(&t, 0),
            LLVMConstNull(t.ptr), LLVMConstNull(t.ptr), word(&t, 0), string(&t, ""), string(&t, ""),
            word(&t, 0), string(&t, m->no_decode));
    LLVMValueRef global = constant(&t, program, "nemocc_program");
    LLVMSetLinkage(global, LLVMExternalLinkage);
}
