// Narrow: a compute dtype below f32. An activation, which is what has a run-time dim, is rounded
// where it is stored; all arithmetic is f32. What has no such dim stays f32: parameters, their
// gradients, the optimizer. Functions take and give f32, so a checkpoint does not know of this.
//
// Every `real` value has up to two forms, narrow and wide (f32); who reads it takes one:
//   dot, attention     read narrow and give narrow; a gradient of a parameter is a dot of the same
//                      numbers as f32, which is what accumulating it in f32 means
//   edges of a repeat  narrow: the residual stream, and what the backward pass reads; but of a
//                      repeat that stages share out, which keeps all that, what it would keep if it
//                      had to choose (ir/grad_save.c, selective): all else stays as it is
//   views              the form of their operand
//   all else           wide: maps, sums, norms' statistics; in between nothing is rounded
// A wide value that is read narrow, or that is both read by the language's own f32(x) and by
// others, is rounded once, behind its op, and all its readers see that: the residual stream again.
//
// A parameter is cast where it is read: the cast rides on the product's load, or on the gathering
// of its parts, which it halves. Of several micro-batches a second copy of the model in few bits
// may be kept instead: pass keep.
#include "passes/narrow.h"

#include "ir/attn.h"
#include "ir/grads.h"
#include "passes/build.h"

#include <string.h>

typedef struct forms {       // of one value; all zero: it has no other form than itself
    nm_value *narrow, *wide; // NULL: not made yet
    bool real;               // it was
    bool rounded;            // wide is what narrow holds
} forms;

typedef struct narrowing { // of one function and its bodies
    nm_module *m;
    nm_dtype low;
    uint32_t n; // values that there were
    bool changed;
    forms *form;  // [n + 1] by id; the last one is empty, and that of all casts made here
    bool *chosen; // [n + 1] by id: kept for backward even if that had to choose
} narrowing;

static bool is_real(const nm_value *v) { return v->type->dtype == NM_real; }

// --- forms ---------------------------------------------------------------------------------------

static forms *forms_of(narrowing *x, const nm_value *v)
{
    return &x->form[v->id < x->n ? v->id : x->n];
}

static nm_value *build_cast(narrowing *x, nm_value *v, nm_dtype to)
{
    const nm_op *def = v->def;
    if (def && def->code == NM_OP_cast && to == x->low && def->in[0]->type->dtype == to)
        return def->in[0];
    return nm_at_cast(nm_at_behind(v), v, to);
}

static nm_value *narrow_of(narrowing *x, nm_value *v)
{
    forms *f = forms_of(x, v);
    if (!f->narrow && f->wide)
        f->narrow = build_cast(x, f->wide, x->low);
    return f->narrow ? f->narrow : v;
}

static nm_value *wide_of(narrowing *x, nm_value *v)
{
    forms *f = forms_of(x, v);
    if (!f->wide && f->narrow)
        f->wide = build_cast(x, f->narrow, NM_f32);
    return f->wide ? f->wide : v;
}

static void retype(narrowing *x, nm_value *v, nm_dtype dtype)
{
    v->type = nm_type_with_dtype(x->m, v->type, dtype);
    x->changed = true;
}

static void be_narrow(narrowing *x, nm_value *v)
{
    retype(x, v, x->low);
    *forms_of(x, v) = (forms){.narrow = v, .real = true, .rounded = true};
}

static void be_wide(narrowing *x, nm_value *v)
{
    retype(x, v, NM_f32);
    *forms_of(x, v) = (forms){.wide = v, .real = true};
}

// --- who reads what ------------------------------------------------------------------------------

// The operands that are tensors of attention: q, k, v; out and dout of its gradient.
static bool is_tensor_operand(const nm_op *op, int i)
{
    return i < 3 || (op->code == NM_OP_attention_grad && (i == 3 || i == 5));
}

// Does the body's i-th result leave it for backward alone, which keeps all that it reads?
static bool is_kept(const nm_func *body, int i)
{
    return body->parent && nm_is_staged(body->parent) && nm_grad_is_kept(body->parent, i);
}

// Does the operand's reader, which has not been converted yet, take it narrow?
static bool reads_narrow(const nm_use *u)
{
    const nm_op *op = u->op;
    if (op->code == NM_OP_dot)
        return is_real(&op->out[0]);
    if (nm_is_attention(op))
        return is_real(&op->out[0]) && nm_type_is_activation(op->out[0].type) &&
               is_tensor_operand(op, u->index);
    if (op->code == NM_OP_repeat)
        return is_real(op->body->param[u->index]) &&
               nm_type_is_activation(op->body->param[u->index]->type);
    return op->code == NM_OP_ret && op->func->parent && !is_kept(op->func, u->index);
}

static bool is_read_narrow(const nm_value *v)
{
    nm_each_use(u, v)
        if (reads_narrow(u) ||
            (nm_is(u->op, NM_VIEW) && is_real(&u->op->out[0]) && is_read_narrow(&u->op->out[0])))
            return true;
    return false;
}

static bool is_cast_to_f32(const nm_op *op)
{
    return op->code == NM_OP_cast && op->out[0].type->dtype == NM_f32;
}

static bool is_shared_with_f32(const nm_value *v)
{
    bool f32 = false;
    nm_each_use(u, v)
        f32 |= is_cast_to_f32(u->op);
    return f32 && nm_n_uses(v) > 1;
}

// What a product gives, with what is added to it, is stored if several read it.
static bool is_shared_product(const nm_value *v)
{
    const nm_op *add = v->def;
    if (!add || add->code != NM_OP_add || nm_used_once(v))
        return false;
    for (int i = 0; i < 2; i++)
        if (add->in[i]->def && add->in[i]->def->code == NM_OP_dot)
            return true;
    return false;
}

static bool is_landmark(const narrowing *x, const nm_value *v)
{
    return nm_type_is_activation(v->type) &&
           (x->chosen[v->id] || is_read_narrow(v) || is_shared_with_f32(v) || is_shared_product(v));
}

// --- ops -----------------------------------------------------------------------------------------

static void read_wide(narrowing *x, nm_op *op)
{
    for (int i = 0; i < op->n_in; i++)
        nm_set_operand(op, i, wide_of(x, op->in[i]));
}

// The result's f32 is `wide`: it is rounded here and now if it has to be.
static void settle(narrowing *x, nm_value *v, nm_value *wide, bool rounds)
{
    forms *f = forms_of(x, v);
    *f = (forms){.wide = wide, .real = true};
    if (!rounds)
        return;
    *f = (forms){.narrow = build_cast(x, wide, x->low), .real = true, .rounded = true};
    if (v->def && !f->narrow->name) {
        f->narrow->name = v->name;
        v->name = NULL;
    }
}

static void convert_results(narrowing *x, nm_op *op)
{
    for (int i = 0; i < op->n_out; i++) {
        nm_value *v = &op->out[i];
        if (!is_real(v))
            continue;
        bool rounds = is_landmark(x, v);
        retype(x, v, NM_f32);
        settle(x, v, v, rounds);
    }
}

// A cast that changes nothing goes, once nobody reads it. A gradient that is cast to its
// parameter's dtype has its name from the cast.
static void convert_cast(narrowing *x, nm_op *op)
{
    nm_value *out = &op->out[0], *in = op->in[0];
    bool real = is_real(out), rounds = real && is_landmark(x, out);
    if (real) {
        retype(x, out, NM_f32);
        op->attr[0].u.dtype = NM_f32;
    }
    if (real && forms_of(x, in)->rounded) {
        *forms_of(x, out) = *forms_of(x, in);
        return;
    }
    nm_set_operand(op, 0, wide_of(x, in));
    in = op->in[0];
    bool changes = in->type != out->type;
    if (!changes && !rounds && in->def && !in->name)
        in->name = out->name;
    if (real)
        settle(x, out, changes ? out : in, rounds);
    else if (!changes)
        *forms_of(x, out) = (forms){.wide = in};
}

static void convert_dot(narrowing *x, nm_op *op)
{
    if (!is_real(&op->out[0]) || !nm_type_is_activation(op->out[0].type)) {
        read_wide(x, op);
        convert_results(x, op);
        return;
    }
    for (int i = 0; i < 2; i++)
        nm_set_operand(op, i, narrow_of(x, op->in[i]));
    be_narrow(x, &op->out[0]);
}

static void convert_attention(narrowing *x, nm_op *op)
{
    bool narrow = is_real(&op->out[0]) && nm_type_is_activation(op->out[0].type);
    for (int i = 0; i < op->n_in; i++)
        nm_set_operand(op, i,
                       narrow && is_tensor_operand(op, i) ? narrow_of(x, op->in[i])
                                                          : wide_of(x, op->in[i]));
    int n_tensors = op->code == NM_OP_attention ? 1 : 3;
    for (int i = 0; i < op->n_out; i++) {
        if (!is_real(&op->out[i]))
            continue;
        if (narrow && i < n_tensors)
            be_narrow(x, &op->out[i]);
        else
            be_wide(x, &op->out[i]);
    }
}

static bool all_rounded(narrowing *x, const nm_op *op)
{
    for (int i = 0; i < op->n_in; i++)
        if (nm_dtype_table[op->in[i]->type->dtype].is_float && !forms_of(x, op->in[i])->rounded)
            return false;
    return true;
}

static void convert_view(narrowing *x, nm_op *op)
{
    if (!is_real(&op->out[0]) || !all_rounded(x, op)) {
        read_wide(x, op);
        convert_results(x, op);
        return;
    }
    for (int i = 0; i < op->n_in; i++)
        nm_set_operand(op, i, narrow_of(x, op->in[i]));
    be_narrow(x, &op->out[0]);
}

// --- bodies --------------------------------------------------------------------------------------

static void convert(narrowing *x, nm_func *f);

// Of a repeat's results that are activations and were `real`, only what is_kept stays wide.
static bool is_kept_wide(const nm_value *v)
{
    return v->def && v->def->code == NM_OP_repeat && v->type->dtype == NM_f32;
}

static void convert_operands(narrowing *x, nm_op *repeat)
{
    for (int i = 0; i < repeat->n_in; i++) {
        nm_value *p = repeat->body->param[i], *v = repeat->in[i];
        bool narrow = is_real(p) && nm_type_is_activation(p->type) && !is_kept_wide(v);
        nm_set_operand(repeat, i, narrow ? narrow_of(x, v) : wide_of(x, v));
        if (narrow)
            be_narrow(x, p);
        else if (is_real(p))
            be_wide(x, p);
    }
}

static void convert_ret(narrowing *x, nm_op *ret)
{
    for (int i = 0; i < ret->n_in; i++) {
        nm_value *v = ret->in[i];
        const forms *f = forms_of(x, v);
        bool narrow = ret->func->parent && f->real && nm_type_is_activation(v->type) &&
                      (f->rounded || !is_kept(ret->func, i));
        nm_set_operand(ret, i, narrow ? narrow_of(x, v) : wide_of(x, v));
    }
}

static void choose(narrowing *x, const nm_op *repeat)
{
    nm_arena scratch = {0};
    nm_value_list all = nm_grad_values(repeat->body, &scratch);
    bool *need = nm_new_n(&scratch, bool, all.n + 1), *save = nm_new_n(&scratch, bool, all.n + 1);
    for (int i = 0; i < repeat->n_out; i++)
        if (is_kept(repeat->body, i))
            need[nm_grad_number(&all, repeat->body->last->in[i])] = true;
    nm_grad_save(&all, (int)nm_attr_int(repeat, "carried", 0), NM_RECOMPUTE_selective, need, save);
    for (int i = 0; i < all.n; i++)
        x->chosen[all.v[i]->id] = save[i];
    nm_arena_free(&scratch);
}

static void convert_repeat(narrowing *x, nm_op *op)
{
    if (nm_is_staged(op))
        choose(x, op);
    convert_operands(x, op);
    convert(x, op->body);
    for (int i = 0; i < op->n_out; i++) {
        if (!is_real(&op->out[i]))
            continue;
        if (op->body->last->in[i]->type->dtype == x->low)
            be_narrow(x, &op->out[i]);
        else
            be_wide(x, &op->out[i]);
    }
}

static void convert_op(narrowing *x, nm_op *op)
{
    if (op->code == NM_OP_cast)
        convert_cast(x, op);
    else if (op->code == NM_OP_dot)
        convert_dot(x, op);
    else if (nm_is_attention(op))
        convert_attention(x, op);
    else if (op->code == NM_OP_repeat)
        convert_repeat(x, op);
    else if (op->code == NM_OP_ret)
        convert_ret(x, op);
    else if (nm_is(op, NM_VIEW))
        convert_view(x, op);
    else {
        read_wide(x, op);
        convert_results(x, op);
    }
}

static void drop_idle_casts(nm_func *f)
{
    for (nm_op *op = f->last->prev, *prev; op; op = prev) {
        prev = op->prev;
        if (op->code == NM_OP_cast && !op->out[0].uses)
            nm_erase(op);
    }
}

static void convert(narrowing *x, nm_func *f)
{
    nm_each_op_safe(op, f)
        if (op->n_out == 0 || op->out[0].id < x->n) // those made here are what they are to be
            convert_op(x, op);
    drop_idle_casts(f);
}

static void convert_param(narrowing *x, nm_value *p)
{
    bool rounds = is_landmark(x, p);
    retype(x, p, NM_f32);
    settle(x, p, p, rounds);
}

bool nm_narrow_func(nm_func *f, nm_dtype low)
{
    narrowing x = {.m = f->module, .low = low, .n = f->n_values};
    x.form = nm_new_n(f->module->arena, forms, (size_t)x.n + 1);
    x.chosen = nm_new_n(f->module->arena, bool, (size_t)x.n + 1);
    for (int i = 0; i < f->n_params; i++)
        if (is_real(f->param[i]))
            convert_param(&x, f->param[i]);
    convert(&x, f);
    return x.changed;
}
