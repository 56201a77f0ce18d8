// The meaning of free values and of maps.
#include "base/philox.h"
#include "ir/eval_walk.h"
#include "ir/gelu.h"

#include <math.h>
#include <string.h>

// --- free values ---------------------------------------------------------------------------------

void nm_eval_const(nm_eval_op *e)
{
    double value = nm_attr_float(e->op, "value", 0);
    for (int64_t i = 0; i < e->out->n; i++)
        e->out->data[i] = value;
}

void nm_eval_size(nm_eval_op *e)
{
    e->out->data[0] = (double)nm_eval_total_of(e, nm_attr_get(e->op, "of")->u.extent);
}

void nm_eval_offset(nm_eval_op *e)
{
    e->out->data[0] = (double)nm_eval_offset_of(e, nm_attr_get(e->op, "of")->u.extent);
}

void nm_eval_index(nm_eval_op *e)
{
    for (int64_t i = 0; i < e->out->n; i++)
        e->out->data[i] = (double)nm_eval_global(e, &e->out->type->dim[0], i);
}

// The element's index in the whole tensor, row-major in the order of the type's dims.
static uint64_t global_index(nm_eval_op *e, const nm_walk *w)
{
    const nm_type *t = e->out->type;
    uint64_t index = 0;
    for (int i = 0; i < t->rank; i++)
        index = index * (uint64_t)nm_eval_total_of(e, t->dim[i].extent) +
                (uint64_t)nm_eval_global(e, &t->dim[i], w->at[i]);
    return index;
}

void nm_eval_random(nm_eval_op *e)
{
    const char *key = nm_attr_get(e->op, "key")->u.sym;
    bool normal = !strcmp(nm_attr_sym(e->op, "dist"), "normal");
    uint64_t hash = nm_hash64(key, strlen(key)), seed = (uint64_t)(int64_t)e->in[0]->data[0];
    uint32_t step = (uint32_t)(int64_t)e->in[1]->data[0];
    uint32_t turn = e->op->n_in > 2 ? (uint32_t)(int64_t)e->in[2]->data[0] : 0;
    nm_walk w = {0};
    nm_walk_over(&w, e->out, NULL, NULL);
    nm_walk_read(&w, e->out);
    nm_each_element(w) {
        nm_philox p = nm_philox_draw(seed, hash, step, turn, global_index(e, &w));
        e->out->data[w.off[0]] =
            normal ? NM_PHILOX_NORMAL(double, p, sqrt, log, cos) : nm_philox_uniform(p);
    }
}

// --- maps ----------------------------------------------------------------------------------------

static double floor_div(double a, double b) { return b == 0 ? 0 : floor(a / b); }

static double to_int(nm_dtype dtype, double v)
{
    static const struct {
        double low, high;
    } range[NM_N_DTYPES] = {
        [NM_i64] = {-0x1p63, 0x1.fffffffffffffp62},
        [NM_i32] = {-0x1p31, 0x1p31 - 1},
        [NM_i16] = {-32768, 32767},
        [NM_i8] = {-128, 127},
        [NM_u8] = {0, 255},
        [NM_u4] = {0, 15},
    };
    if (isnan(v))
        return 0;
    v = trunc(v);
    return v < range[dtype].low ? range[dtype].low : v > range[dtype].high ? range[dtype].high : v;
}

static double cast(const nm_op *op, double v)
{
    nm_dtype to = op->out[0].type->dtype, from = op->in[0]->type->dtype;
    bool float_to_int =
        nm_dtype_table[from].is_float && !nm_dtype_table[to].is_float && to != NM_bool;
    return float_to_int ? to_int(to, v) : v;
}

static double gelu_slope(double a)
{
    double t = nm_gelu_tail(a), inner = NM_GELU_SCALE * (1 + 3 * NM_GELU_CUBE * a * a);
    return 0.5 * (1 + t) + 0.5 * a * (1 - t * t) * inner;
}

static double map(const nm_op *op, double a, double b, double c)
{
    switch (op->code) {
    case NM_OP_neg: return -a;
    case NM_OP_abs: return fabs(a);
    case NM_OP_sign: return (a > 0) - (a < 0);
    case NM_OP_floor: return floor(a);
    case NM_OP_floor_pow2: return nm_floor_pow2(a);
    case NM_OP_exp: return exp(a);
    case NM_OP_log: return log(a);
    case NM_OP_sqrt: return sqrt(a);
    case NM_OP_sin: return sin(a);
    case NM_OP_cos: return cos(a);
    case NM_OP_tanh: return tanh(a);
    case NM_OP_erf: return erf(a);
    case NM_OP_gelu_tanh: return nm_gelu_tanh(a);
    case NM_OP_gelu_tanh_grad: return a * gelu_slope(b);
    case NM_OP_cast: return cast(op, a);
    case NM_OP_not: return a == 0;
    case NM_OP_stop: return a;
    case NM_OP_add: return a + b;
    case NM_OP_sub: return a - b;
    case NM_OP_mul: return a * b;
    case NM_OP_div: return a / b;
    case NM_OP_idiv: return floor_div(a, b);
    case NM_OP_mod: return a - b * floor_div(a, b);
    case NM_OP_pow: return pow(a, b);
    case NM_OP_maximum: return a >= b ? a : b;
    case NM_OP_minimum: return a <= b ? a : b;
    case NM_OP_lt: return a < b;
    case NM_OP_le: return a <= b;
    case NM_OP_eq: return a == b;
    case NM_OP_and: return a != 0 && b != 0;
    case NM_OP_or: return a != 0 || b != 0;
    case NM_OP_select: return a != 0 ? b : c;
    default: nm_bug("%s is not a map", nm_info(op)->name);
    }
}

double nm_opcode_map(nm_opcode code, double a) { return map(&(nm_op){.code = code}, a, 0, 0); }

void nm_eval_map(nm_eval_op *e)
{
    nm_walk w = {0};
    double x[3] = {0};
    nm_walk_over(&w, e->out, NULL, NULL);
    for (int i = 0; i < e->op->n_in; i++)
        nm_walk_read(&w, e->in[i]);
    nm_walk_read(&w, e->out);
    nm_each_element(w) {
        for (int i = 0; i < e->op->n_in; i++)
            x[i] = e->in[i]->data[w.off[i]];
        e->out->data[w.off[e->op->n_in]] = map(e->op, x[0], x[1], x[2]);
    }
}
