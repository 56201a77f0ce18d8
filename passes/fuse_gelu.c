// gelu_tanh and its gradient as plain ops, for kernels of our own: maps, whose parts are shared.
#include "ir/gelu.h"
#include "passes/fuse.h"

static nm_value *put2(nm_op *at, nm_opcode code, nm_value *a, nm_value *b)
{
    return nm_build2(at->func, at, at->loc, code, a, b);
}

static nm_value *number(nm_op *at, double value)
{
    return nm_build_const(at->func, at, at->loc, at->in[0]->type->dtype, value);
}

static nm_value *put_tanh(nm_op *at, nm_value *x, nm_value *square)
{
    nm_value *cube = put2(at, NM_OP_mul, square, x);
    nm_value *bent = put2(at, NM_OP_mul, number(at, NM_GELU_CUBE), cube);
    nm_value *inner = put2(at, NM_OP_mul, number(at, NM_GELU_SCALE), put2(at, NM_OP_add, x, bent));
    nm_proto tanh = {.code = NM_OP_tanh, .loc = at->loc, .n_in = 1, .in = &inner};
    return nm_build(at->func, at, &tanh);
}

// x/2 (1 + t)
static nm_value *put_gelu(nm_op *at, nm_value *x)
{
    nm_value *half = put2(at, NM_OP_mul, number(at, 0.5), x);
    nm_value *t = put_tanh(at, x, put2(at, NM_OP_mul, x, x));
    return put2(at, NM_OP_mul, half, put2(at, NM_OP_add, number(at, 1), t));
}

// dy (1/2 (1 + t) + x/2 (1 - t t) (k + 3 k c x x))
static nm_value *put_gelu_grad(nm_op *at, nm_value *dy, nm_value *x)
{
    nm_value *one = number(at, 1), *half = put2(at, NM_OP_mul, number(at, 0.5), x);
    nm_value *square = put2(at, NM_OP_mul, x, x), *t = put_tanh(at, x, square);
    nm_value *level = put2(at, NM_OP_mul, number(at, 0.5), put2(at, NM_OP_add, one, t));
    nm_value *curve = put2(at, NM_OP_mul, number(at, 3 * NM_GELU_SCALE * NM_GELU_CUBE), square);
    nm_value *inner = put2(at, NM_OP_add, number(at, NM_GELU_SCALE), curve);
    nm_value *rest = put2(at, NM_OP_sub, one, put2(at, NM_OP_mul, t, t));
    nm_value *slope = put2(at, NM_OP_mul, put2(at, NM_OP_mul, half, rest), inner);
    return put2(at, NM_OP_mul, dy, put2(at, NM_OP_add, level, slope));
}

void nm_fuse_write_gelu(nm_op *op)
{
    nm_replace(&op->out[0], op->code == NM_OP_gelu_tanh ? put_gelu(op, op->in[0])
                                                        : put_gelu_grad(op, op->in[0], op->in[1]));
    nm_erase(op);
}

static bool is_rounded(const nm_value *v)
{
    const nm_op *reader = nm_used_once(v) ? v->uses->op : NULL;
    return reader && reader->code == NM_OP_cast && nm_fuse_is_half(reader->out[0].type->dtype);
}

void nm_fuse_write_gelus(nm_func *f)
{
    bool library = nm_fuse_has_epilogues(f->module);
    nm_each_op_safe(op, f) {
        if (op->body)
            nm_fuse_write_gelus(op->body);
        bool gelu = op->code == NM_OP_gelu_tanh || op->code == NM_OP_gelu_tanh_grad;
        if (gelu && !(library && is_rounded(&op->out[0])))
            nm_fuse_write_gelu(op);
    }
}
