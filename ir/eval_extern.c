// The interpreter's extern: the host's C function itself, compiled into this process, on copies of
// the operands in the types and the order that it asks for. Where floats are not rounded, the C
// function's are doubles, too.
#include "base/clang.h"
#include "ir/eval.h"
#include "ir/extern.h"

#include <stdlib.h>
#include <string.h>

// --- the function --------------------------------------------------------------------------------

typedef void entry(void **words); // calls the function with them

struct nm_loaded { // of a module's extern functions that have been compiled
    nm_sym file, name;
    bool f64;
    const char *behind;
    entry *call;
    struct nm_loaded *next;
};

static const char *add_word(nm_module *m, const char *call, const char *type, int i)
{
    const char *comma = i ? ", " : "";
    if (!type)
        return nm_arena_fmt(m->arena, "%s%sw[%d]", call, comma, i);
    return nm_arena_fmt(m->arena, "%s%s*(%s *)w[%d]", call, comma, type, i);
}

// A function of one known type that calls it: pointers as they are, numbers by value.
static const char *caller_of(const nm_op *op)
{
    nm_module *m = op->func->module;
    const char *call = "";
    int n = 0;
    for (int i = 0; i < op->n_in; i++) {
        bool number = nm_extern_is_number(op, i);
        bool is_float = nm_dtype_table[op->in[i]->type->dtype].is_float;
        call = add_word(m, call, !number ? NULL : is_float ? "double" : "int64_t", n++);
    }
    for (int i = 0; i < op->n_out; i++)
        call = add_word(m, call, NULL, n++);
    for (int i = 0; i < nm_attr_dims(op, "dims").n; i++)
        call = add_word(m, call, "int64_t", n++);
    return nm_arena_fmt(m->arena, "void nm_call(void **w) { %s(%s); }\n", nm_attr_sym(op, "name"),
                        call);
}

static entry *load(const nm_op *op, bool f64)
{
    nm_module *m = op->func->module;
    nm_sym file = nm_attr_sym(op, "host"), name = nm_attr_sym(op, "name");
    if (!file) {
        nm_error(m->diag, op->loc, "extern %s has no host file, so it has no meaning here", name);
        return NULL;
    }
    const char *behind = caller_of(op);
    for (struct nm_loaded *l = m->loaded; l; l = l->next)
        if (l->file == file && l->name == name && l->f64 == f64 && !strcmp(l->behind, behind))
            return l->call;
    nm_clang_job job = {.kind = f64 ? NM_CLANG_LOAD_F64 : NM_CLANG_LOAD,
                        .source = nm_extern_source(m, file),
                        .behind = behind,
                        .loc = op->loc};
    void *found = job.source ? nm_clang_load(m->arena, m->diag, &job, "nm_call") : NULL;
    if (!found)
        return NULL;
    struct nm_loaded *l = nm_new(m->arena, struct nm_loaded);
    *l = (struct nm_loaded){
        .file = file, .name = name, .f64 = f64, .behind = behind, .next = m->loaded};
    memcpy(&l->call, &found, sizeof found);
    m->loaded = l;
    return l->call;
}

// --- tensors -------------------------------------------------------------------------------------

static bool is_lowered(nm_dtype t)
{
    return t == NM_f32 || t == NM_real || t == NM_f64 || t == NM_i64 || t == NM_i32;
}

static void put(void *to, nm_dtype dtype, int64_t i, double x)
{
    switch (dtype) {
    case NM_f64: ((double *)to)[i] = x; break;
    case NM_i64: ((int64_t *)to)[i] = (int64_t)x; break;
    case NM_i32: ((int32_t *)to)[i] = (int32_t)x; break;
    default: ((float *)to)[i] = (float)x; break;
    }
}

static double get(const void *from, nm_dtype dtype, int64_t i)
{
    switch (dtype) {
    case NM_f64: return ((const double *)from)[i];
    case NM_i64: return (double)((const int64_t *)from)[i];
    case NM_i32: return ((const int32_t *)from)[i];
    default: return ((const float *)from)[i];
    }
}

static nm_dtype dtype_of(const nm_eval_op *e, const nm_tensor *t)
{
    bool f64 = e->opts->f64 && nm_dtype_table[t->type->dtype].is_float;
    return f64 ? NM_f64 : t->type->dtype;
}

static nm_tensor in_its_order(const nm_eval_op *e, const nm_tensor *t)
{
    return nm_tensor_like(e->opts->arena, t, nm_extern_order(e->m, e->op, t->type));
}

static void *copy_in(nm_eval_op *e, const nm_tensor *t)
{
    nm_tensor ordered = in_its_order(e, t);
    nm_tensor_reorder(t, &ordered, 0);
    void *c = nm_arena_alloc(e->opts->arena, (size_t)(t->n + 1) * 8);
    for (int64_t i = 0; i < t->n; i++)
        put(c, dtype_of(e, t), i, ordered.data[i]);
    return c;
}

static void copy_out(nm_eval_op *e, nm_tensor *t, const void *c)
{
    nm_tensor ordered = in_its_order(e, t);
    for (int64_t i = 0; i < t->n; i++)
        ordered.data[i] = get(c, dtype_of(e, t), i);
    nm_tensor_reorder(&ordered, t, 0);
}

static void *number_word(nm_eval_op *e, const nm_tensor *t)
{
    void *word = nm_arena_alloc(e->opts->arena, 8);
    bool is_float = nm_dtype_table[t->type->dtype].is_float;
    put(word, is_float ? NM_f64 : NM_i64, 0, t->data[0]);
    return word;
}

static int64_t extent_here(const nm_tensor *t, nm_sym dim)
{
    int at = nm_type_find(t->type, dim);
    return at < 0 ? -1 : t->extent[at];
}

static void *extent_word(nm_eval_op *e, nm_sym dim)
{
    int64_t *word = nm_new(e->opts->arena, int64_t);
    *word = -1;
    for (int i = 0; i < e->op->n_in && *word < 0; i++)
        *word = extent_here(e->in[i], dim);
    for (int i = 0; i < e->op->n_out && *word < 0; i++)
        *word = extent_here(&e->out[i], dim);
    return word;
}

static bool check_dtypes(nm_eval_op *e)
{
    for (int i = 0; i < e->op->n_in + e->op->n_out; i++) {
        const nm_value *v = i < e->op->n_in ? e->op->in[i] : &e->op->out[i - e->op->n_in];
        if (!is_lowered(v->type->dtype))
            return nm_error(e->m->diag, e->op->loc, "extern: %s is not interpreted yet",
                            nm_dtype_table[v->type->dtype].name);
    }
    return true;
}

void nm_eval_extern(nm_eval_op *e)
{
    const nm_op *op = e->op;
    nm_syms dims = nm_attr_dims(op, "dims");
    entry *call = check_dtypes(e) ? load(op, e->opts->f64) : NULL;
    e->failed = !call;
    if (!call)
        return;
    void **w = nm_new_n(e->opts->arena, void *, op->n_in + op->n_out + dims.n);
    int n = 0;
    for (int i = 0; i < op->n_in; i++)
        w[n++] = nm_extern_is_number(op, i) ? number_word(e, e->in[i]) : copy_in(e, e->in[i]);
    for (int i = 0; i < op->n_out; i++)
        w[n++] = nm_arena_alloc(e->opts->arena, (size_t)(e->out[i].n + 1) * 8);
    for (int i = 0; i < dims.n; i++)
        w[n++] = extent_word(e, dims.sym[i]);
    call(w);
    for (int i = 0; i < op->n_out; i++)
        copy_out(e, &e->out[i], w[op->n_in + i]);
}
