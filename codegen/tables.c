// The tables: a program's, all that the runtime knows about this program, as constant data.
// Every field of runtime/driver_abi.h is 64 bits wide, so a struct is its fields in order.
#include "codegen/tables.h"
#include "codegen/image.h"
#include "runtime/driver_abi.h"

#include <llvm-c/BitWriter.h>
#include <string.h>

// --- constants -----------------------------------------------------------------------------------

LLVMValueRef nm_word(nm_table *t, int64_t v) { return LLVMConstInt(t->i64, (uint64_t)v, true); }

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

LLVMValueRef nm_string(nm_table *t, const char *s)
{
    s = s ? s : "";
    LLVMValueRef text = LLVMConstStringInContext2(t->ctx, s, strlen(s), false);
    LLVMValueRef global = constant(t, text, "s");
    LLVMSetUnnamedAddress(global, LLVMGlobalUnnamedAddr);
    return global;
}

LLVMValueRef nm_row(nm_table *t, int n, LLVMValueRef *field)
{
    return LLVMConstStructInContext(t->ctx, field, (unsigned)n, false);
}

LLVMValueRef nm_rows(nm_table *t, int n, LLVMValueRef *r, const char *name)
{
    if (n == 0)
        return LLVMConstNull(t->ptr);
    return constant(t, LLVMConstArray2(LLVMTypeOf(r[0]), r, (uint64_t)n), name);
}

LLVMValueRef *nm_row_list(nm_table *t, int n)
{
    return nm_new_n(t->p->m->arena, LLVMValueRef, (size_t)n + 1);
}

static const char *where(nm_table *t, nm_loc loc) { return nm_where(t->p->m, loc); }

// --- dims ----------------------------------------------------------------------------------------

static int add_dim(nm_table *t, nm_dim d)
{
    t->dim = nm_arena_grow(t->p->m->arena, t->dim, t->n_dims, sizeof *t->dim);
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

static LLVMValueRef dim_rows(nm_table *t)
{
    LLVMValueRef *r = nm_row_list(t, t->n_dims);
    for (int i = 0; i < t->n_dims; i++) {
        const nm_dim *d = &t->dim[i];
        nm_dim_decl *decl = nm_dim_lookup(t->p->m, d->name);
        int64_t extent = 0;
        nm_extent_is_const(d->extent, &extent);
        r[i] = NM_ROW(t, nm_string(t, d->name), nm_string(t, decl ? where(t, decl->loc) : ""),
                      nm_word(t, extent), nm_word(t, nm_extent_sym_index(t->p->m, d->extent)));
    }
    return nm_rows(t, t->n_dims, r, "dims");
}

// --- parameters and hyperparameters --------------------------------------------------------------

int64_t nm_abi_dtype(nm_dtype t)
{
    return t == NM_real ? NMDRV_F32 : (int64_t)t - (int64_t)NM_f64; // the ABI has no `real`
}

static LLVMValueRef dim_list(nm_table *t, const nm_type *type)
{
    LLVMValueRef r[NM_MAX_RANK];
    for (int i = 0; i < type->rank; i++)
        r[i] = nm_word(t, dim_index(t, type->dim[i]));
    return nm_rows(t, type->rank, r, "dim");
}

static LLVMValueRef shape_list(nm_table *t, const nm_type *type)
{
    LLVMValueRef r[NM_MAX_RANK];
    for (int i = 0; i < type->rank; i++) {
        int64_t extent = 0;
        nm_extent_is_const(type->dim[i].extent, &extent);
        r[i] = nm_word(t, extent);
    }
    return nm_rows(t, type->rank, r, "shape");
}

static LLVMValueRef param_rows(nm_table *t)
{
    const nm_module *m = t->p->m;
    LLVMValueRef *r = nm_row_list(t, m->n_params);
    for (int i = 0; i < m->n_params; i++) {
        const nm_param *q = &m->param[i];
        r[i] = NM_ROW(t, nm_string(t, q->path), nm_word(t, q->state), nm_word(t, q->frozen),
                      nm_word(t, q->no_decay), nm_word(t, nm_abi_dtype(q->type->dtype)),
                      nm_word(t, q->type->rank), dim_list(t, q->type), shape_list(t, q->type),
                      nm_string(t, q->optimizer), nm_word(t, q->own));
    }
    return nm_rows(t, m->n_params, r, "params");
}

static LLVMValueRef hyper_rows(nm_table *t)
{
    const nm_module *m = t->p->m;
    LLVMValueRef *r = nm_row_list(t, m->n_hypers);
    for (int i = 0; i < m->n_hypers; i++) {
        const nm_hyper *h = &m->hyper[i];
        r[i] = NM_ROW(t, nm_string(t, h->name), real(t, h->value), real(t, h->per_step),
                      nm_string(t, h->schedule));
    }
    return nm_rows(t, m->n_hypers, r, "hypers");
}

// --- functions -----------------------------------------------------------------------------------

static int64_t index_of_dim(nm_table *t, nm_sym dim)
{
    return dim && nm_dim_lookup(t->p->m, dim) ? dim_index(t, nm_dim_of(t->p->m, dim)) : -1;
}

static LLVMValueRef arg_row(nm_table *t, const nm_driver *d, const nm_value *v, const nm_bind *bind)
{
    int buffer = d->func->plan->place[v->id].buffer;
    return NM_ROW(t, nm_word(t, bind->kind), nm_string(t, bind->name), nm_word(t, buffer),
                  nm_word(t, nm_abi_dtype(v->type->dtype)), nm_word(t, v->type->rank),
                  dim_list(t, v->type), nm_word(t, index_of_dim(t, bind->index_of)),
                  nm_string(t, bind->next), nm_word(t, nm_is_chunked(d->func, v)));
}

static LLVMValueRef arg_rows(nm_table *t, const nm_driver *d)
{
    const nm_func *f = d->func;
    LLVMValueRef *r = nm_row_list(t, f->n_params);
    for (int i = 0; i < f->n_params; i++)
        r[i] = arg_row(t, d, f->param[i], &f->param_bind[i]);
    return nm_rows(t, f->n_params, r, "args");
}

static LLVMValueRef result_rows(nm_table *t, const nm_driver *d)
{
    const nm_func *f = d->func;
    LLVMValueRef *r = nm_row_list(t, f->n_results);
    for (int i = 0; i < f->n_results; i++)
        r[i] = arg_row(t, d, f->last->in[i], &f->result_bind[i]);
    return nm_rows(t, f->n_results, r, "results");
}

static LLVMValueRef buf_rows(nm_table *t, const nm_driver *d)
{
    const nm_plan *plan = d->func->plan;
    LLVMValueRef *r = nm_row_list(t, plan->n_buffers + d->n_workspaces);
    for (int i = 0; i < plan->n_buffers; i++) {
        const nm_buffer *b = &plan->buffer[i];
        r[i] = NM_ROW(t, nm_word(t, b->bound ? NMDRV_BUF_BOUND : NMDRV_BUF_TRANSIENT),
                      nm_word(t, b->first), nm_word(t, b->last), nm_string(t, b->name),
                      nm_string(t, where(t, b->loc)));
    }
    for (int i = 0; i < d->n_workspaces; i++) {
        const nm_workspace *w = &d->workspace[i];
        r[plan->n_buffers + i] =
            NM_ROW(t, nm_word(t, NMDRV_BUF_TRANSIENT), nm_word(t, w->position),
                   nm_word(t, w->position), nm_string(t, w->name), nm_string(t, w->where));
    }
    return nm_rows(t, plan->n_buffers + d->n_workspaces, r, "bufs");
}

static int64_t phase_of(const nm_part *part)
{
    return (int64_t)part->phase - NM_PHASE_none + NMDRV_WHOLE; // in the same order
}

static int64_t recompute_of(const nm_part *part)
{
    return (int64_t)part->recompute - NM_RECOMPUTE_none + NMDRV_RECOMPUTE_NONE; // any: -1
}

static int64_t products_of(const nm_part *part)
{
    return (int64_t)part->products - NM_PRODUCTS_fp8 + NMDRV_PRODUCTS_FP8; // any: -1
}

static LLVMValueRef func_rows(nm_table *t)
{
    nm_program *p = t->p;
    LLVMValueRef *r = nm_row_list(t, p->n_drivers);
    for (int i = 0; i < p->n_drivers; i++) {
        const nm_driver *d = &p->driver[i];
        const nm_part *part = &d->func->part;
        const nm_dim_decl *turns = nm_func_turns(d->func);
        int n_bufs = d->func->plan->n_buffers + d->n_workspaces;
        r[i] =
            NM_ROW(t, nm_string(t, d->func->name), nm_word(t, d->role), nm_string(t, d->entry),
                   nm_word(t, part->mode ? nm_mode_index(p->m, part->mode) : -1),
                   nm_word(t, phase_of(part)), nm_word(t, (int64_t)part->units),
                   nm_word(t, turns ? nm_sym_index(p->m, turns->name) : -1),
                   nm_word(t, (int64_t)part->sums), d->run, d->sizes, d->flops, nm_word(t, n_bufs),
                   nm_word(t, d->func->n_params), nm_word(t, d->func->n_results), buf_rows(t, d),
                   arg_rows(t, d), result_rows(t, d), nm_word(t, recompute_of(part)),
                   nm_word(t, products_of(part)), nm_word(t, part->kept));
    }
    return nm_rows(t, p->n_drivers, r, "funcs");
}

// The code of a kernel on this machine, or NULL; between: what its name is joined with.
static LLVMValueRef kernel_function(nm_table *t, const nm_kernel *k, char between, bool wanted)
{
    const char *code = t->p->codes->code[k->code].name;
    const char *symbol = nm_arena_fmt(t->p->m->arena, "%s%c%s", code, between, k->function);
    LLVMValueRef fn = LLVMGetNamedFunction(t->mod, symbol);
    if (fn || !wanted)
        return wanted ? fn : LLVMConstNull(t->ptr);
    LLVMTypeRef nothing = LLVMVoidTypeInContext(t->ctx);
    return LLVMAddFunction(t->mod, symbol, LLVMFunctionType(nothing, NULL, 0, false)); // any type
}

static LLVMValueRef form_of(nm_table *t, const nm_kernel *k)
{
    const nm_form *f = &k->form;
    if (!f->threads)
        return LLVMConstNull(t->ptr);
    return nm_form_row(t, kernel_function(t, k, NM_SM90A_MARK, t->p->opts->emu), f);
}

static LLVMValueRef kernel_rows(nm_table *t)
{
    nm_program *p = t->p;
    bool is_gpu = p->m->options.flavour == NM_FLAVOUR_gpu;
    LLVMValueRef *r = nm_row_list(t, p->n_kernels);
    for (int i = 0; i < p->n_kernels; i++) {
        const nm_kernel *k = &p->kernel[i];
        const char *code = p->codes->code[k->code].name;
        r[i] =
            NM_ROW(t, nm_string(t, k->name), nm_string(t, k->where),
                   kernel_function(t, k, '.', !is_gpu), nm_word(t, k->grain), nm_word(t, k->chunk),
                   nm_string(t, nm_arena_fmt(p->m->arena, "%s_%s", code, k->function)),
                   kernel_function(t, k, '.', is_gpu && p->opts->emu), nm_word(t, k->n_args),
                   nm_word(t, k->syms_at), nm_word(t, k->n_syms), nm_word(t, k->threads),
                   nm_word(t, k->per_block), nm_word(t, k->shared), nm_word(t, k->unordered),
                   form_of(t, k));
    }
    return nm_rows(t, p->n_kernels, r, "kernels");
}

// --- products ------------------------------------------------------------------------------------

static LLVMValueRef product_rows(nm_table *t)
{
    const nm_program *p = t->p;
    LLVMValueRef *r = nm_row_list(t, p->n_products);
    for (int i = 0; i < p->n_products; i++) {
        const nm_product *x = &p->product[i];
        r[i] = NM_ROW(t, nm_string(t, x->name), nm_string(t, x->where),
                      nm_word(t, nm_abi_dtype(x->a_dtype)), nm_word(t, nm_abi_dtype(x->b_dtype)),
                      nm_word(t, nm_abi_dtype(x->c_dtype)), nm_word(t, nm_abi_dtype(x->c_dtype)),
                      nm_word(t, x->adds), nm_word(t, x->epilogue), real(t, x->alpha),
                      nm_word(t, x->fast));
    }
    return nm_rows(t, p->n_products, r, "products");
}

// --- the program ---------------------------------------------------------------------------------

// Of the model, so that two builds of one agree, in all flavours, and two models do not.
static const char *hash_of(nm_module *m)
{
    return nm_arena_fmt(m->arena, "%016llx", (unsigned long long)m->hash);
}

// All gpu programs of a binary share its images.
static LLVMValueRef images_of(nm_table *t)
{
    if (t->p->m->options.flavour != NM_FLAVOUR_gpu)
        return LLVMConstNull(t->ptr);
    LLVMValueRef images = LLVMAddGlobal(t->mod, t->i64, "nemocc.images");
    LLVMSetVisibility(images, LLVMHiddenVisibility);
    return images;
}

// The other dim of a field of whole numbers [batch, seq], whatever it is called.
static nm_sym seq_in(const nm_func *f, nm_sym batch)
{
    for (int i = 0; i < f->n_params; i++) {
        const nm_type *t = f->param[i]->type;
        int at = t->rank == 2 ? nm_type_find(t, batch) : -1;
        if (f->param_bind[i].kind == NM_BIND_data && !nm_dtype_table[t->dtype].is_float && at >= 0)
            return t->dim[1 - at].name;
    }
    return NULL;
}

static nm_sym seq_of(const nm_module *m, nm_sym batch)
{
    nm_each_func(f, m) {
        nm_sym seq = seq_in(f, batch);
        if (seq)
            return seq;
    }
    return NULL;
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
    int n_modes;
    LLVMValueRef modes = nm_mode_rows(&t, &n_modes);
    nm_pipe pipe = nm_pipe_of(m);
    nm_sym batch = nm_sym_get(m, "batch"); // the language fixes this name
    LLVMValueRef program = NM_ROW(
        &t, nm_word(&t, NMDRV_VERSION), nm_word(&t, m->options.flavour == NM_FLAVOUR_gpu),
        nm_string(&t, nm_precision_name[m->options.precision]), nm_string(&t, m->name),
        nm_string(&t, m->preset), nm_string(&t, hash_of(m)), nm_string(&t, p->opts->version),
        nm_string(&t, p->target->name), nm_word(&t, p->target->level), nm_word(&t, p->scratch),
        nm_word(&t, nm_sym_count(m)), nm_word(&t, t.n_dims), nm_word(&t, m->n_params),
        nm_word(&t, m->n_hypers), nm_word(&t, p->n_drivers), nm_word(&t, p->n_kernels),
        nm_sym_rows(&t), dim_rows(&t), params, hyper_rows(&t), funcs, kernel_rows(&t),
        nm_word(&t, n_modes), nm_word(&t, p->n_collectives), nm_word(&t, pipe.n_units), modes,
        nm_collective_rows(&t), nm_word(&t, pipe.turns), nm_string(&t, pipe.where),
        nm_word(&t, nm_kv_extent(m)), nm_string(&t, m->no_decode), nm_string(&t, batch),
        nm_string(&t, seq_of(m, batch)), images_of(&t), nm_word(&t, p->n_products),
        product_rows(&t), nm_string(&t, nm_recipe_name[m->options.recipe]),
        nm_word(&t, m->n_weights), nm_weights_rows(&t));
    LLVMValueRef global = constant(&t, program, p->symbol);
    LLVMSetLinkage(global, LLVMExternalLinkage);
    LLVMSetVisibility(global, LLVMHiddenVisibility);
}

// --- the binary ----------------------------------------------------------------------------------

static LLVMValueRef image_row(nm_table *t, const nm_image *image)
{
    size_t size = image->size + !image->is_cubin; // and the zero behind a text
    LLVMValueRef bytes = LLVMConstStringInContext2(t->ctx, image->data, size, true);
    LLVMValueRef data = constant(t, bytes, "image");
    LLVMSetAlignment(data, 64);
    return NM_ROW(t, nm_word(t, image->target->arch), nm_word(t, image->target->is_specific),
                  nm_word(t, image->is_cubin), data, nm_word(t, (int64_t)size));
}

static LLVMValueRef export(LLVMValueRef global, LLVMVisibility visibility)
{
    LLVMSetLinkage(global, LLVMExternalLinkage);
    LLVMSetVisibility(global, visibility);
    return global;
}

static void write_images(nm_table *t, const nm_images *images)
{
    LLVMValueRef row[NM_MAX_IMAGES + 1];
    for (int i = 0; i < images->n; i++)
        row[i] = image_row(t, &images->image[i]);
    row[images->n] = NM_ROW(t, nm_word(t, 0), nm_word(t, 0), nm_word(t, 0), LLVMConstNull(t->ptr),
                            nm_word(t, 0));
    LLVMTypeRef type = LLVMTypeOf(row[images->n]);
    LLVMValueRef all = LLVMConstArray2(type, row, (uint64_t)images->n + 1);
    export(constant(t, all, "nemocc.images"), LLVMHiddenVisibility);
}

nm_object nm_programs_object(nm_module *m, const nm_target *target, int n, const nm_program *p,
                             const nm_images *images)
{
    nm_program none = {.m = m};
    nm_table t = {.p = &none, .ctx = LLVMContextCreate()};
    t.mod = LLVMModuleCreateWithNameInContext("programs", t.ctx);
    t.i64 = LLVMInt64TypeInContext(t.ctx);
    t.ptr = LLVMPointerTypeInContext(t.ctx, 0);
    write_images(&t, images);
    LLVMValueRef *row = nm_row_list(&t, n + 1);
    for (int i = 0; i < n; i++) {
        row[i] = LLVMAddGlobal(t.mod, t.i64, p[i].symbol);
        LLVMSetVisibility(row[i], LLVMHiddenVisibility);
    }
    row[n] = LLVMConstNull(t.ptr);
    LLVMValueRef list = LLVMConstArray2(t.ptr, row, (uint64_t)n + 1);
    export(constant(&t, list, "nemocc_programs"), LLVMDefaultVisibility);
    LLVMMemoryBufferRef bitcode = LLVMWriteBitcodeToMemoryBuffer(t.mod);
    LLVMDisposeModule(t.mod);
    LLVMContextDispose(t.ctx);
    return (nm_object){.target = target, .bitcode = bitcode};
}
