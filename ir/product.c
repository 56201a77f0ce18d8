// Which dot groups are a call of a library's product: see product.h.
//
// An operand is a view of what is stored (ir/view.h); each list of the dot's dims
// (ir/dot.h) has to be one stride: the list's dims lie in each other as they are walked.
#include "ir/product.h"
#include "ir/dot.h"
#include "ir/view.h"

#include <string.h>

static const nm_extent *one(nm_module *m) { return nm_extent_const(m, 1); }

static bool is_one(const nm_extent *e)
{
    int64_t n;
    return nm_extent_is_const(e, &n) && n == 1;
}

// --- the body ------------------------------------------------------------------------------------

static bool is_constant(const nm_value *v) { return v->def && v->def->code == NM_OP_const; }

typedef struct factors { // of a dot's result
    double alpha;        // a constant
    int n;               // and these numbers
    nm_value *scale[2];
} factors;

// Which operand is the number.
static int find_number(const nm_op *mul)
{
    return mul->in[0]->type->rank == 0 ? 0 : mul->in[1]->type->rank == 0 ? 1 : -1;
}

// v is the dot's result, times a constant and, of fp8, two numbers at most; NULL: it is something
// else.
static nm_op *scaled_dot(nm_value *v, factors *by)
{
    *by = (factors){.alpha = 1};
    for (int n = 0; v->def && v->def->code == NM_OP_mul; n++) {
        int number = is_constant(v->def->in[0]) ? 0 : find_number(v->def);
        if (number < 0 || n == 3)
            return NULL;
        nm_value *factor = v->def->in[number];
        if (is_constant(factor))
            by->alpha *= nm_attr_float(factor->def, "value", 1);
        else if (by->n < 2)
            by->scale[by->n++] = factor;
        else
            return NULL;
        v = v->def->in[1 - number];
    }
    return v->def && v->def->code == NM_OP_dot ? v->def : NULL;
}

// What the product is added to; NULL: nothing.
static nm_op *find_dot(nm_value *result, factors *by, nm_value **addend)
{
    *addend = NULL;
    nm_op *dot = scaled_dot(result, by);
    for (int i = 0; i < 2 && !dot && result->def && result->def->code == NM_OP_add; i++) {
        dot = scaled_dot(result->def->in[i], by);
        *addend = result->def->in[1 - i];
    }
    return dot;
}

static nm_value *before_rounding(nm_value *v)
{
    nm_op *op = v->def;
    bool rounds = op && op->code == NM_OP_cast && op->in[0]->type->dtype == NM_f32;
    return rounds && nm_dtype_table[v->type->dtype].bytes == 2 ? op->in[0] : v;
}

typedef struct body { // of a group that may be a call
    nm_op *dot;
    nm_value *sums; // what comes before the activation
    nm_value *addend, *slope;
    factors by;
    nm_op *sum; // of an operand; NULL: none
    bool gelu;
} body;

static int find_sums(const nm_op *ret, body *x)
{
    for (int i = 0; i < ret->n_in; i++) {
        nm_op *op = ret->in[i]->def;
        if (ret->n_in != 2 || !op || op->code != NM_OP_sum)
            continue;
        x->sum = op;
        return i;
    }
    return -1;
}

// The result that is a gelu of the other, or of what nobody else sees; its gradient; else the one.
static bool read_results(nm_op *group, nm_product_call *call, body *x)
{
    call->sums = find_sums(group->body->last, x);
    int n = group->n_out - (call->sums >= 0);
    for (int i = 0; i < group->n_out; i++) {
        if (i == call->sums)
            continue;
        nm_value *y = before_rounding(group->body->last->in[i]);
        nm_opcode code = y->def ? y->def->code : NM_OP_ret;
        x->gelu = code == NM_OP_gelu_tanh;
        x->slope = code == NM_OP_gelu_tanh_grad ? y->def->in[1] : NULL;
        x->sums = x->gelu || x->slope ? y->def->in[0] : y;
        call->result = i;
        call->kept = n == 2 ? 1 - i : -1;
        if (x->gelu || n == 1)
            break;
    }
    if (call->kept < 0)
        return n == 1;
    nm_value *kept = group->body->last->in[call->kept];
    return x->gelu && before_rounding(kept) == x->sums &&
           kept->type->dtype == group->out[call->result].type->dtype;
}

static bool read_body(nm_op *group, nm_product_call *call, body *x)
{
    if (!read_results(group, call, x))
        return false;
    x->dot = find_dot(x->sums, &x->by, &x->addend);
    call->alpha = x->by.alpha;
    return x->dot != NULL;
}

bool nm_is_fp8(nm_dtype t) { return t == NM_e4m3 || t == NM_e5m2; }

// Sums of fp8 are f32; one of the two has e4m3.
static bool fit_fp8(const nm_view *a, const nm_view *b, nm_dtype sums, nm_dtype c)
{
    return nm_is_fp8(a->dtype) && nm_is_fp8(b->dtype) &&
           !(a->dtype == NM_e5m2 && b->dtype == NM_e5m2) && sums == NM_f32 &&
           (c == NM_f32 || c == NM_bf16);
}

// The result is rounded once: by the product, or where that is f32, behind it.
static bool fit_dtypes(const nm_op *dot, const nm_view *a, const nm_view *b, nm_dtype c)
{
    nm_dtype t = a->dtype, sums = dot->out[0].type->dtype;
    if (nm_is_fp8(t))
        return fit_fp8(a, b, sums, c);
    bool known = t == NM_f32 || t == NM_bf16 || t == NM_f16;
    return known && b->dtype == t && (c == t || c == NM_f32) && (sums == c || sums == NM_f32);
}

// --- the geometry --------------------------------------------------------------------------------

enum { BATCH, M, N, K, A_BATCH, A_M, A_K, B_BATCH, B_N, B_K, C_BATCH, C_M, C_N }; // nmdrv_geometry

static bool is_zero(const nm_extent *e)
{
    int64_t n;
    return nm_extent_is_const(e, &n) && n == 0;
}

// Where a list has one index its stride is free: as if the matrix were dense. One of the two has to
// be 1. An operand without the dims of a list of more has the same element again and again: no
// matrix.
static bool settle(nm_module *m, const nm_extent **stride, const nm_extent *const *extent)
{
    for (int i = 0; i < 2; i++)
        if (is_zero(stride[i]) && !is_one(extent[i]))
            return false;
    for (int i = 0; i < 2; i++)
        if (is_zero(stride[i]))
            stride[i] = is_one(stride[1 - i]) ? extent[1 - i] : one(m);
    return is_one(stride[0]) || is_one(stride[1]);
}

// The strides of batch, and of the matrix's two lists, to stride[0..2].
static bool find_strides(nm_module *m, const nm_dot *d, const nm_view *s, nm_dot_list row,
                         nm_dot_list col, const nm_extent *const *extent, const nm_extent **stride)
{
    const nm_dot_list list[] = {NM_DOT_BATCH, row, col};
    for (int i = 0; i < 3; i++) {
        stride[i] = nm_view_stride(m, s, d->n[list[i]], d->dim[list[i]]);
        if (!stride[i])
            return false;
    }
    const nm_extent *size[] = {extent[row], extent[col]};
    return settle(m, stride + 1, size);
}

static const nm_extent *elements(nm_module *m, int n, const nm_dim *dim)
{
    const nm_extent *e = one(m);
    for (int i = 0; i < n; i++)
        e = nm_extent_mul(m, e, dim[i].extent);
    return e;
}

// Outer dims of m or n that lie apart from the others, in the operand that has them or in the
// result, become the batch's: the other operand stands still then.
static void move_apart(nm_module *m, nm_dot *d, nm_dot_list l, const nm_view *own, const nm_view *c)
{
    nm_dim *dim = d->dim[l];
    while (!nm_view_stride(m, own, d->n[l], dim) || !nm_view_stride(m, c, d->n[l], dim)) {
        d->dim[NM_DOT_BATCH][d->n[NM_DOT_BATCH]++] = dim[0];
        memmove(dim, dim + 1, sizeof *dim * (size_t)--d->n[l]);
    }
}

// Is each operand's stride over these dims, as one index, known?
static bool are_one(nm_module *m, const nm_view *const s[3], int n, const nm_dim *dim)
{
    return nm_view_stride(m, s[0], n, dim) && nm_view_stride(m, s[1], n, dim) &&
           nm_view_stride(m, s[2], n, dim);
}

// As many of the batch's dims as are one index stay in d, the innermost; the others are turns.
static bool find_turns(nm_module *m, nm_dot *d, const nm_view *const s[3], nm_product_call *call)
{
    nm_dim *dim = d->dim[NM_DOT_BATCH];
    int n = d->n[NM_DOT_BATCH], outer = 0;
    while (!are_one(m, s, n - outer, dim + outer))
        outer++;
    call->turns = elements(m, outer, dim);
    for (int i = 0; i < 3; i++)
        call->step[i] = nm_view_stride(m, s[i], outer, dim);
    bool ok = call->turns && are_one(m, s, outer, dim);
    d->n[NM_DOT_BATCH] = n - outer;
    memmove(dim, dim + outer, sizeof *dim * (size_t)(n - outer));
    return ok;
}

static bool find_geometry(nm_module *m, const nm_dot *d, const nm_view *a, const nm_view *b,
                          const nm_view *c, const nm_extent **word)
{
    _Static_assert(NM_DOT_BATCH == BATCH && NM_DOT_M == M && NM_DOT_N == N && NM_DOT_K == K,
                   "the lists' sizes are the first words");
    for (int i = 0; i < NM_DOT_LISTS; i++) {
        word[i] = elements(m, d->n[i], d->dim[i]);
        if (!word[i])
            return false;
    }
    return find_strides(m, d, a, NM_DOT_M, NM_DOT_K, word, word + A_BATCH) &&
           find_strides(m, d, b, NM_DOT_N, NM_DOT_K, word, word + B_BATCH) &&
           find_strides(m, d, c, NM_DOT_M, NM_DOT_N, word, word + C_BATCH) && is_one(word[C_N]);
}

// --- fp8 -----------------------------------------------------------------------------------

bool nm_fp8_fits(const nm_extent *e)
{
    int64_t n;
    return !e || !nm_extent_is_const(e, &n) || n % 16 == 0;
}

// Both operands lie along k, and no size is odd: GPUs before 10.0 have no other products of fp8.
static bool lie_along_k(const nm_product_call *call)
{
    const nm_extent *const *word = call->geometry;
    for (int i = M; i <= K; i++)
        if (!nm_fp8_fits(word[i]))
            return false;
    return is_one(word[A_K]) && is_one(word[B_K]) && nm_fp8_fits(word[A_M]) &&
           nm_fp8_fits(word[B_N]) && nm_fp8_fits(word[C_M]);
}

// The numbers as they are stored. A library multiplies by one for each operand; of a single one the
// other is 1.
static bool find_scales(nm_module *m, const factors *by, nm_product_call *call)
{
    for (int i = 0; i < by->n; i++) {
        nm_view s;
        if (!nm_view_follow(m, by->scale[i], &s) || s.dtype != NM_f32)
            return false;
        call->scale[i] = (nm_product_operand){s.index, s.offset};
    }
    return true;
}

// A product of something else has no numbers behind it; one of fp8 has a bias at most.
static bool fits_fp8(nm_module *m, nm_op *group, const body *x, nm_product_call *call)
{
    bool plain = !x->gelu && !x->slope && !x->sum;
    if (!nm_is_fp8(group->in[call->a.index]->type->dtype))
        return !x->by.n;
    bool narrow = group->out[call->result].type->dtype == NM_bf16;
    return plain && (call->bias.index < 0 || narrow) && lie_along_k(call) &&
           find_scales(m, &x->by, call);
}

// --- what is beside the product ------------------------------------------------------------------

// The addend: a value of the result's type, or a bias: dense along n.
static bool find_addend(nm_module *m, const nm_dot *d, const nm_value *addend, const nm_type *c,
                        nm_product_call *call)
{
    nm_view s;
    if (!addend)
        return true;
    if (!addend->def && addend->type == c) {
        call->sum = addend->index;
        return true;
    }
    if (addend->type->rank != d->n[NM_DOT_N] || !nm_view_follow(m, addend, &s) ||
        s.dtype != c->dtype)
        return false;
    const nm_extent *stride = nm_view_stride(m, &s, d->n[NM_DOT_N], d->dim[NM_DOT_N]);
    call->bias = (nm_product_operand){s.index, s.offset};
    return stride && is_one(stride);
}

static bool is_even(const nm_extent *e)
{
    int64_t n;
    return nm_extent_is_const(e, &n) && n % 8 == 0;
}

// A gelu's operand, kept or read: a matrix that lies as the result, its rows a multiple of 8 apart.
static bool lies_as_result(nm_module *m, const nm_dot *d, const nm_view *s,
                           const nm_product_call *call)
{
    const nm_extent *word[3], *const *c = call->geometry + C_BATCH, *const *size = call->geometry;
    return find_strides(m, d, s, NM_DOT_M, NM_DOT_N, size, word) && is_even(c[1]) &&
           word[0] == c[0] && word[1] == c[1] && is_one(word[2]) && is_one(call->turns);
}

static bool find_aux(nm_module *m, const nm_dot *d, const nm_op *group, const body *x,
                     nm_product_call *call)
{
    nm_view s;
    const nm_type *result = group->out[call->result].type;
    if (call->kept >= 0)
        return nm_view_dense(m, group->out[call->kept].type, &s) && lies_as_result(m, d, &s, call);
    if (!x->slope)
        return true;
    bool ok = !is_one(call->geometry[K]) && nm_view_follow(m, x->slope, &s) &&
              s.dtype == result->dtype && !x->addend;
    call->slope = (nm_product_operand){s.index, s.offset};
    return ok && lies_as_result(m, d, &s, call);
}

// --- a bias' gradient -----------------------------------------------------------------------

static bool is_over(const nm_dot *d, nm_dot_list l, nm_syms over)
{
    for (int i = 0; i < d->n[l]; i++)
        if (!nm_syms_has(over, d->dim[l][i].name))
            return false;
    return over.n == d->n[l];
}

static bool is_some(const nm_extent *e, int64_t at_least)
{
    int64_t n;
    return nm_extent_is_const(e, &n) && n >= at_least;
}

// The sums lie one after the other along the list.
static bool is_vector(nm_module *m, const nm_dot *d, nm_dot_list l, const nm_type *t)
{
    nm_view s;
    if (t->rank != d->n[l] || t->dtype != NM_f32 || !nm_view_dense(m, t, &s))
        return false;
    const nm_extent *stride = nm_view_stride(m, &s, d->n[l], d->dim[l]);
    return stride && is_one(stride);
}

// Does the sum read the operand as the product does? K and the operand's own list lie the same.
static bool reads_alike(nm_module *m, const nm_dot *d, const body *x, const nm_product_call *call,
                        nm_dot_list own)
{
    bool of_a = own == NM_DOT_M;
    const nm_product_operand *operand = of_a ? &call->a : &call->b;
    const nm_extent *const *word = call->geometry;
    nm_view s;
    if (!nm_view_follow(m, x->sum->in[0], &s) || s.index != operand->index ||
        s.offset != operand->offset)
        return false;
    return nm_view_stride(m, &s, d->n[NM_DOT_K], d->dim[NM_DOT_K]) == word[of_a ? A_K : B_K] &&
           nm_view_stride(m, &s, d->n[own], d->dim[own]) == word[of_a ? A_M : B_N];
}

// Of an operand, over k. A library sums it as it lies, along columns of its own dims; and where the
// product is of nothing in the other's, it does nothing.
static bool sums_operand(nm_module *m, const nm_dot *d, const body *x, const nm_product_call *call,
                         nm_dot_list own)
{
    bool of_a = own == NM_DOT_M;
    const nm_extent *const *word = call->geometry;
    return !x->slope && !x->gelu && call->bias.index < 0 && call->alpha == 1 &&
           is_one(word[of_a ? A_M : B_N]) && is_some(word[own], 2) &&
           is_some(word[of_a ? N : M], 1) && is_over(d, NM_DOT_K, nm_attr_dims(x->sum, "over")) &&
           reads_alike(m, d, x, call, own);
}

static bool find_gradient(nm_module *m, const nm_dot *d, const nm_op *group, const body *x,
                          nm_product_call *call)
{
    if (!x->sum)
        return true;
    const nm_type *t = group->out[call->sums].type;
    bool a = sums_operand(m, d, x, call, NM_DOT_M);
    bool b = !a && sums_operand(m, d, x, call, NM_DOT_N);
    call->epilogue = a ? NM_EPILOGUE_bgrad_a : NM_EPILOGUE_bgrad_b;
    return (a || b) && is_vector(m, d, a ? NM_DOT_M : NM_DOT_N, t) &&
           group->out[call->result].type->dtype == NM_f32 && is_one(call->geometry[BATCH]) &&
           is_one(call->turns) && is_some(call->geometry[a ? M : N], 1);
}

// --- the whole -----------------------------------------------------------------------------------

static nm_epilogue epilogue_of(const body *x, const nm_product_call *call)
{
    bool bias = call->bias.index >= 0, kept = call->kept >= 0;
    if (x->slope)
        return NM_EPILOGUE_dgelu;
    if (!x->gelu)
        return bias ? NM_EPILOGUE_bias : NM_EPILOGUE_none;
    if (kept)
        return bias ? NM_EPILOGUE_gelu_aux_bias : NM_EPILOGUE_gelu_aux;
    return bias ? NM_EPILOGUE_gelu_bias : NM_EPILOGUE_gelu;
}

bool nm_product_of(nm_module *m, nm_op *group, nm_product_call *call)
{
    body x = {0};
    nm_view a, b, c;
    *call = (nm_product_call){.bias.index = -1,
                              .slope.index = -1,
                              .sums = -1,
                              .sum = -1,
                              .scale = {{.index = -1}, {.index = -1}}};
    if (!read_body(group, call, &x))
        return false;
    const nm_type *type = group->out[call->result].type;
    nm_dot d = nm_dot_of(group, x.dot);
    if (!nm_view_follow(m, d.a, &a) || !nm_view_follow(m, d.b, &b) || !nm_view_dense(m, type, &c) ||
        !fit_dtypes(x.dot, &a, &b, type->dtype))
        return false;
    move_apart(m, &d, NM_DOT_M, &a, &c);
    move_apart(m, &d, NM_DOT_N, &b, &c);
    call->a = (nm_product_operand){a.index, a.offset};
    call->b = (nm_product_operand){b.index, b.offset};
    const nm_view *const all[] = {&a, &b, &c};
    bool ok = find_addend(m, &d, x.addend, type, call) && find_turns(m, &d, all, call) &&
              find_geometry(m, &d, &a, &b, &c, call->geometry) && fits_fp8(m, group, &x, call) &&
              find_aux(m, &d, group, &x, call);
    call->epilogue = epilogue_of(&x, call);
    bool summed = call->sum >= 0 && call->epilogue != NM_EPILOGUE_none;
    return ok && !summed && find_gradient(m, &d, group, &x, call);
}
