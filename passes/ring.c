// Ring: attention over a split sequence without ever holding all of its keys. Where shard has
//
//     K = all_gather k over cp, V likewise;  out, lse = attention q, K, V
//
// each rank keeps its queries, and the blocks of keys and values go round: it meets its own block,
// then cp - 1 times takes the next rank's, and merges what it gets by the log-sum-exp (Liu et al.,
// Ring Attention, 2023). With m the larger of two log-sum-exps, a = exp(lse - m), b = exp(lse' -
// m):
//
//     out = (a out + b out') / (a + b)        lse = m + log(a + b)
//
// Backward, attention_grad with the final out and lse is right for each block by itself. dq is
// summed; dk and dv go round with their block, every rank adds its part, and after cp turns they
// are home: so they replace the reduce_scatter of the whole dk and dv, too.
//
// What stands in the text does not depend on the size of cp: a repeat over the dim cp.turns, cp - 1
// indices. The positions of a block's keys travel with it (`key_at`), so causal, window and dropout
// see what they would see of the whole, however a sequence is dealt (zigzag), and the kernel skips
// a block that lies in the future.
//
// After localize: a block that goes round has the local type of the own one, and no form says whose
// it is. An attention with a sink and the backward of one with a bias are left as they are, and so
// is one whose gathered keys or values somebody else reads: they are there, then.
#include "passes/ring.h"

#include "ir/attn.h"
#include "ir/form.h"
#include "ir/mode.h"
#include "passes/pass.h"

#include <string.h>

// --- what goes round -------------------------------------------------------------------------

bool nm_ring_mode(const nm_func *f)
{
    const nm_mode *mode = nm_mode_find(f->part.mode);
    return mode && mode->ring;
}

static bool is_lowered(nm_dtype t) { return t == NM_f32 || t == NM_bf16; }

static bool can_ring(const nm_op *op)
{
    if (!nm_is_attention(op) || !is_lowered(op->in[0]->type->dtype))
        return false;
    nm_attn a = nm_attn_of(op);
    return a.seq && !a.extra[NM_ATTN_sink] && !a.extra[NM_ATTN_segments] &&
           !a.extra[NM_ATTN_key_at] && (op->code == NM_OP_attention || !a.extra[NM_ATTN_bias]);
}

static bool is_over_cp(const nm_op *op, nm_opcode code, nm_sym over)
{
    nm_syms axes = nm_attr_dims(op, "axes");
    return op->code == code && nm_attr_sym(op, "over") == over &&
           nm_axes_are(axes.n, axes.sym, "cp");
}

// Is v gathered over cp, and read as keys or values alone?
static bool is_gathered(const nm_value *v, nm_sym over)
{
    if (!v->def || !is_over_cp(v->def, NM_OP_all_gather, over))
        return false;
    nm_each_use(u, v)
        if (!can_ring(u->op) || u->index < 1 || u->index > 2)
            return false;
    return true;
}

// The reduce_scatter over cp that v goes to, through renames, and nowhere else; or NULL.
static nm_op *scattered_by(const nm_value *v, nm_sym over)
{
    while (nm_used_once(v)) {
        nm_op *op = v->uses->op;
        if (op->n_out == 1 && is_over_cp(op, NM_OP_reduce_scatter, over))
            return op;
        if (op->code != NM_OP_rename)
            return NULL;
        over = over == nm_attr_sym(op, "from") ? nm_attr_sym(op, "to") : over;
        v = &op->out[0];
    }
    return NULL;
}

static bool goes_round(const nm_op *op)
{
    nm_sym over = nm_attr_sym(op, "over");
    if (!can_ring(op) || !is_gathered(op->in[1], over) || !is_gathered(op->in[2], over))
        return false;
    return op->code == NM_OP_attention ||
           (scattered_by(&op->out[1], over) && scattered_by(&op->out[2], over));
}

const nm_op *nm_ring_around(const nm_op *collective)
{
    const nm_op *op = NULL;
    if (collective->code == NM_OP_all_gather && collective->out[0].uses)
        op = collective->out[0].uses->op;
    if (collective->code == NM_OP_reduce_scatter) {
        op = collective->in[0]->def;
        while (op && op->code == NM_OP_rename)
            op = op->in[0]->def;
    }
    return op && nm_is_attention(op) && goes_round(op) ? op : NULL;
}

static bool is_split_over_cp(const nm_module *m, nm_sym dim)
{
    for (int i = 0; i < m->n_mesh; i++)
        if (!strcmp(m->mesh[i].axis, "cp") && nm_syms_has(m->mesh[i].dims, dim))
            return true;
    return false;
}

static bool has_candidate(const nm_func *f)
{
    nm_each_op(op, f) {
        if (op->body && has_candidate(op->body))
            return true;
        if (can_ring(op) && is_split_over_cp(f->module, nm_attn_of(op).seq))
            return true;
    }
    return false;
}

bool nm_ring_wanted(nm_module *m)
{
    nm_each_func(f, m)
        if (has_candidate(f))
            return true;
    return false;
}

// --- building --------------------------------------------------------------------------------

enum { K, V, KEY_AT, OUT, LSE, DQ = OUT, DK, DV, MAX_CARRIED }; // what a turn takes and gives

typedef struct ring {
    nm_module *m;
    nm_op *op;
    nm_attn a;   // of op
    int n;       // carried values
    nm_func *at; // where is built, before `before`: the op's function, or the turn's body
    nm_op *before;
    nm_value *in[6];            // op's operands there; in[1], in[2]: of the block
    nm_value *extra[NM_N_ATTN]; // likewise; key_at: of the block
} ring;

static nm_value *build(const ring *r, nm_proto p)
{
    p.loc = r->op->loc;
    return nm_build(r->at, r->before, &p);
}

static nm_value *build2(const ring *r, nm_opcode code, nm_value *a, nm_value *b)
{
    return nm_build2(r->at, r->before, r->op->loc, code, a, b);
}

static nm_value *build1(const ring *r, nm_opcode code, nm_value *a)
{
    return nm_build1(r->at, r->before, r->op->loc, code, a);
}

static nm_value *build_number(const ring *r, double x)
{
    return nm_build_const(r->at, r->before, r->op->loc, NM_f32, x);
}

static nm_value *cast(const ring *r, nm_value *v, nm_dtype to)
{
    if (v->type->dtype == to)
        return v;
    nm_attr attr = nm_mk_dtype(r->m, "to", to);
    return build(r,
                 (nm_proto){.code = NM_OP_cast, .n_in = 1, .in = &v, .n_attrs = 1, .attr = &attr});
}

// What grows from turn to turn does so in f32.
static nm_value *widen(const ring *r, nm_value *v) { return cast(r, v, NM_f32); }

static nm_value *rotate(const ring *r, nm_value *v)
{
    nm_axes cp = {0};
    nm_axes_append(r->m, &cp, nm_sym_get(r->m, "cp"));
    nm_attr axes = nm_mk_dims(r->m, "axes", (nm_syms){cp.n, cp.axis});
    return build(
        r, (nm_proto){.code = NM_OP_rotate, .n_in = 1, .in = &v, .n_attrs = 1, .attr = &axes});
}

static const nm_dim *dim_of_keys(const ring *r)
{
    const nm_type *k = r->in[1]->type;
    return &k->dim[nm_type_find(k, r->a.over)];
}

static nm_value *own_positions(const ring *r)
{
    nm_type t = {.dtype = NM_i32, .rank = 1, .dim = {*dim_of_keys(r)}};
    nm_attr dim = nm_mk_sym(r->m, "dim", r->a.over);
    return build(
        r,
        (nm_proto){.code = NM_OP_index, .n_attrs = 1, .attr = &dim, .type = nm_type_get(r->m, &t)});
}

// What a bias or a mask of all keys says of the block's.
static nm_value *of_block(const ring *r, nm_value *v)
{
    int at = v ? nm_type_find(v->type, r->a.over) : -1;
    if (at < 0)
        return v;
    nm_type t = *v->type;
    t.dim[at] = *dim_of_keys(r);
    nm_value *in[] = {v, r->extra[NM_ATTN_key_at]};
    nm_attr over = nm_mk_sym(r->m, "over", r->a.over);
    return build(r, (nm_proto){.code = NM_OP_gather,
                               .n_in = 2,
                               .in = in,
                               .n_attrs = 1,
                               .attr = &over,
                               .type = nm_type_get(r->m, &t)});
}

// The op on the block.
static nm_op *build_part(const ring *r)
{
    nm_attn a = r->a;
    for (int i = 0; i < NM_N_ATTN; i++)
        a.extra[i] = i == NM_ATTN_key_at ? r->extra[i] : of_block(r, r->extra[i]);
    nm_op *part = nm_attn_build(r->at, r->before, r->op, r->in, &a);
    if (!part)
        nm_bug("an attention with a block of its keys does not type");
    return part;
}

// x = a x + b y, over c.
static nm_value *mix(const ring *r, nm_value *x, nm_value *a, nm_value *y, nm_value *b, nm_value *c)
{
    nm_value *sum = build2(r, NM_OP_add, build2(r, NM_OP_mul, x, a), build2(r, NM_OP_mul, y, b));
    return build2(r, NM_OP_div, sum, c);
}

// A row that has seen nothing has out 0 and lse -inf: numbers are kept finite, and a sum of
// exponentials is at least 1 where there is one.
static void merge(const ring *r, nm_op *part, nm_value **v)
{
    nm_value *lse = v[LSE], *other = &part->out[1];
    nm_value *most = build2(r, NM_OP_maximum, lse, other);
    most = build2(r, NM_OP_maximum, most, build_number(r, -3e38));
    nm_value *a = build1(r, NM_OP_exp, build2(r, NM_OP_sub, lse, most));
    nm_value *b = build1(r, NM_OP_exp, build2(r, NM_OP_sub, other, most));
    nm_value *sum = build2(r, NM_OP_add, a, b);
    nm_value *by = build2(r, NM_OP_maximum, sum, build_number(r, 1));
    v[OUT] = mix(r, v[OUT], a, widen(r, &part->out[0]), b, by);
    v[LSE] = build2(r, NM_OP_add, most, build1(r, NM_OP_log, sum));
}

static bool is_backward(const ring *r) { return r->op->code == NM_OP_attention_grad; }

static bool travels(const ring *r, int i) { return i <= KEY_AT || (is_backward(r) && i >= DK); }

// --- the turns -------------------------------------------------------------------------------

// The own block: what goes into the first turn.
static void begin(ring *r, nm_value **v)
{
    r->extra[NM_ATTN_key_at] = own_positions(r);
    nm_op *part = build_part(r);
    v[K] = r->in[1];
    v[V] = r->in[2];
    v[KEY_AT] = r->extra[NM_ATTN_key_at];
    r->n = OUT + part->n_out;
    for (int i = 0; i < part->n_out; i++)
        v[OUT + i] = widen(r, &part->out[i]);
}

// One turn: the next rank's block, and its part.
static void turn(ring *r, nm_value **v)
{
    for (int i = 0; i < r->n; i++)
        v[i] = travels(r, i) ? rotate(r, v[i]) : v[i];
    r->in[1] = v[K];
    r->in[2] = v[V];
    r->extra[NM_ATTN_key_at] = v[KEY_AT];
    nm_op *part = build_part(r);
    if (!is_backward(r))
        merge(r, part, v);
    for (int i = 0; i < part->n_out && is_backward(r); i++)
        v[DQ + i] = build2(r, NM_OP_add, v[DQ + i], widen(r, &part->out[i]));
}

typedef struct operands { // of the repeat
    int n;
    nm_value *v[MAX_CARRIED + 6 + NM_N_ATTN];
} operands;

static nm_value *enter(operands *o, nm_func *body, nm_value *v)
{
    o->v[o->n++] = v;
    return nm_func_param(body, v->type, v->name, (nm_bind){0});
}

// r as a turn sees it, its carried values in v.
static ring enter_turn(const ring *r, operands *o, nm_value **v)
{
    ring in = *r;
    in.at = nm_body_new(r->at, r->op->loc);
    in.before = NULL;
    for (int i = 0; i < r->n; i++)
        v[i] = enter(o, in.at, v[i]);
    for (int i = 0; i < r->a.first_extra; i++)
        if (i != 1 && i != 2)
            in.in[i] = enter(o, in.at, r->in[i]);
    for (int i = 0; i < NM_N_ATTN; i++)
        if (r->extra[i] && i != NM_ATTN_key_at)
            in.extra[i] = enter(o, in.at, r->extra[i]);
    return in;
}

static nm_sym declare_turns(nm_module *m)
{
    nm_sym name = nm_sym_get(m, "cp.turns");
    const nm_extent *cp = nm_extent_mul(m, nm_extent_sym(m, nm_sym_get(m, "cpr")),
                                        nm_extent_sym(m, nm_sym_get(m, "cps")));
    if (!nm_dim_lookup(m, name))
        nm_dim_declare(
            m, (nm_dim_decl){.name = name, .extent = nm_extent_add(m, cp, nm_extent_const(m, -1))});
    return name;
}

static void repeat(const ring *r, nm_value **v)
{
    operands o = {0};
    ring in = enter_turn(r, &o, v);
    turn(&in, v);
    nm_func_ret(in.at, r->op->loc, r->n, v, NULL);
    nm_attr attr[] = {nm_mk_sym(r->m, "over", declare_turns(r->m)),
                      nm_mk_int(r->m, "carried", r->n), nm_mk_int(r->m, "stacked", 0)};
    nm_op *op = nm_build_op(r->at, r->before,
                            &(nm_proto){.code = NM_OP_repeat,
                                        .loc = r->op->loc,
                                        .n_in = o.n,
                                        .in = o.v,
                                        .n_attrs = 3,
                                        .attr = attr,
                                        .body = in.at});
    if (!op)
        nm_bug("the turns of a ring do not type");
    for (int i = 0; i < r->n; i++)
        v[i] = &op->out[i];
}

// --- in the op's place -------------------------------------------------------------------------

static ring open_ring(nm_op *op)
{
    ring r = {.m = op->func->module, .op = op, .a = nm_attn_of(op), .at = op->func, .before = op};
    for (int i = 0; i < r.a.first_extra; i++)
        r.in[i] = op->in[i];
    r.in[1] = op->in[1]->def->in[0];
    r.in[2] = op->in[2]->def->in[0];
    for (int i = 0; i < NM_N_ATTN; i++)
        r.extra[i] = r.a.extra[i];
    return r;
}

static void replace(nm_value *old, nm_value *with)
{
    with->name = old->name;
    nm_replace(old, with);
}

static nm_value *build_rename(const ring *r, nm_value *v, nm_sym to)
{
    nm_attr attr[] = {nm_mk_sym(r->m, "from", r->a.over), nm_mk_sym(r->m, "to", to)};
    return build(r,
                 (nm_proto){.code = NM_OP_rename, .n_in = 1, .in = &v, .n_attrs = 2, .attr = attr});
}

static nm_value *reorder(const ring *r, nm_value *v, const nm_type *t)
{
    return build(r, (nm_proto){.code = NM_OP_broadcast, .n_in = 1, .in = &v, .type = t});
}

// The gradient of the own block stands where that of all of them was scattered.
static void replace_scattered(const ring *r, nm_value *whole, nm_value *own)
{
    nm_op *scatter = scattered_by(whole, r->a.over);
    nm_sym name = nm_attr_sym(scatter, "over");
    own = cast(r, own, whole->type->dtype);
    own = name == r->a.over ? own : build_rename(r, own, name);
    own = own->type == scatter->out[0].type ? own : reorder(r, own, scatter->out[0].type);
    replace(&scatter->out[0], own);
    for (nm_op *op = scatter, *before; op != r->op; op = before) {
        before = op->in[0]->def;
        nm_erase(op);
    }
}

static void erase_gather(nm_value *v)
{
    if (!v->uses)
        nm_erase(v->def);
}

static void ring_attention(nm_op *op)
{
    ring r = open_ring(op);
    nm_value *v[MAX_CARRIED], *k = op->in[1], *all = op->in[2];
    begin(&r, v);
    repeat(&r, v);
    replace(&op->out[0], cast(&r, v[OUT], op->out[0].type->dtype));
    if (is_backward(&r)) {
        replace_scattered(&r, &op->out[1], rotate(&r, v[DK]));
        replace_scattered(&r, &op->out[2], rotate(&r, v[DV]));
    } else {
        replace(&op->out[1], v[LSE]);
    }
    nm_erase(op);
    erase_gather(k);
    if (all != k)
        erase_gather(all);
}

static nm_op *find(nm_func *f)
{
    nm_each_op(op, f)
        if (goes_round(op))
            return op;
    return NULL;
}

static bool ring_func(nm_func *f)
{
    bool changed = false;
    nm_each_op(op, f)
        if (op->body)
            changed |= ring_func(op->body);
    for (nm_op *op; (op = find(f)); changed = true)
        ring_attention(op);
    return changed;
}

bool nm_pass_ring(nm_module *m, bool *changed)
{
    nm_each_func(f, m)
        if (nm_ring_mode(f))
            *changed |= ring_func(f);
    return true;
}
