// The gradient of a weight that a scan reads, as one product behind the scan.
//
// Backward through `scan t { ... dot(h, w) ... }` adds to w's gradient in every turn:
//
//     dw' = add dw, dot(h[t], dg[t])            # dw is carried: loaded and stored in each turn
//
// which is a thin product (a batch of rows) and, for a large w, mostly the traffic of dw itself.
// The sum of thin products over the turns is one product over turns and batch together:
//
//     dw = dot(h, dg) {over = [t, batch]}       # dw is stored once, h and dg are read once
//
// as cuDNN computes the weight gradients of its recurrent layers (Appleyard et al. 2016, section
// 3.3). h is kept for backward anyway, and dg is what the input's projection gets, so mostly
// nothing new is stored; where something is, that has to cost less than what it saves. The sums
// have another order: last bits differ.
//
// It does not look into the scan of a weight that differs from turn to turn (the layers of a
// stack): there, each turn's gradient is another one.
#include "passes/plugin.h"

typedef struct found { // a carried sum of products
    int row;           // in loop.carried
    nm_op *dot;        // one turn's product
    nm_value *sum;     // one turn's sum: the product's only reader
    nm_value *first;   // what it begins with
} found;

// --- one carried value ---------------------------------------------------------------------------

// The product that is added to the row's value in each turn; NULL: another thing happens to it.
static nm_op *added_product(const nm_loop_row *row)
{
    nm_op *add = row->result->def;
    if (!add || add->code != NM_OP_add || !nm_used_once(row->param) || !nm_used_once(row->result))
        return NULL;
    int carried = add->in[1] == row->param;
    nm_value *part = add->in[1 - carried];
    bool fits = add->in[carried] == row->param && part->def && part->def->code == NM_OP_dot &&
                part->type == row->param->type && nm_used_once(part);
    return fits ? part->def : NULL;
}

// All turns' values of v, a value of the body, as the repeat has them already; NULL: it has not.
static nm_value *all_turns(const nm_loop *l, const nm_value *v)
{
    for (int i = 0; i < l->stacked.n; i++)
        if (l->stacked.row[i].param == v)
            return l->stacked.row[i].operand;
    for (int i = 0; i < l->result.n; i++)
        if (l->result.row[i].result == v)
            return l->result.row[i].out;
    return NULL;
}

// Elements of one turn, at sizes as the compiler assumes them.
static double elements(const nm_value *v)
{
    double n = 1;
    for (int i = 0; i < v->type->rank; i++)
        n *= (double)nm_extent_nominal(v->type->dim[i].extent);
    return n;
}

// A turn loads and stores the sum; instead it may have to store the factors, for the product to
// load.
static bool pays(const nm_loop *l, const nm_op *dot)
{
    double kept = 0;
    for (int i = 0; i < 2; i++)
        kept += all_turns(l, dot->in[i]) ? 0 : elements(dot->in[i]);
    return kept < elements(&dot->out[0]);
}

static bool is_whole(const nm_loop *l, const nm_value *v)
{
    for (int i = 0; i < l->whole.n; i++)
        if (l->whole.row[i].param == v)
            return true;
    return false;
}

static const char *refuse(const nm_loop *l, const nm_op *dot)
{
    if (is_whole(l, dot->in[0]) || is_whole(l, dot->in[1]))
        return "a factor is the same in all turns";
    return pays(l, dot) ? NULL : "its factors are larger than the sum";
}

// --- one repeat ----------------------------------------------------------------------------------

static int find_sums(nm_loop *l, found *sum)
{
    nm_remarks *remarks = l->body->module->remarks;
    int n = 0;
    for (int i = 0; i < l->carried.n; i++) {
        const nm_loop_row *row = &l->carried.row[i];
        nm_op *dot = added_product(row);
        const char *why = dot ? refuse(l, dot) : NULL;
        if (why)
            nm_remark_missed(remarks, dot->loc, 2 * elements(row->param),
                             "scan_grads: a product in each turn: %s", why);
        if (!dot || why)
            continue;
        nm_remark_done(remarks, dot->loc, "scan_grads: one product behind the scan");
        sum[n++] = (found){i, dot, row->result, row->operand};
    }
    return n;
}

// The repeat gives all turns of the products' factors.
static void give_factors(nm_loop *l, const found *sum, int n)
{
    for (int i = 0; i < n; i++)
        for (int k = 0; k < 2; k++)
            if (!all_turns(l, sum[i].dot->in[k]))
                nm_loop_give(l, sum[i].dot->in[k]);
    nm_loop_close(l);
}

static nm_value *product_of_all(const nm_loop *l, const nm_op *dot, nm_op *before)
{
    nm_module *m = l->body->module;
    nm_syms each = nm_attr_dims(dot, "over");
    nm_sym over[NM_MAX_RANK + 1] = {nm_attr_sym(l->op, "over")};
    for (int i = 0; i < each.n; i++)
        over[1 + i] = each.sym[i];
    nm_attr attr = nm_mk_dims(m, "over", (nm_syms){1 + each.n, over});
    nm_value *in[] = {all_turns(l, dot->in[0]), all_turns(l, dot->in[1])};
    nm_proto proto = nm_proto_of(dot);
    proto.in = in;
    proto.attr = &attr;
    proto.type = dot->out[0].type;
    return nm_build(l->op->func, before, &proto);
}

// What was carried is no more: its last value is the product, and what it began with.
static void replace_sum(nm_loop *l, const found *sum)
{
    const nm_loop_row *row = &l->carried.row[sum->row];
    nm_op *before = l->op->next;
    nm_value *all = product_of_all(l, sum->dot, before);
    if (!nm_is_zero(row->operand))
        all = nm_build2(l->op->func, before, l->op->loc, NM_OP_add, row->operand, all);
    all->name = row->out->name;
    nm_replace(row->out, all);
}

static void lift_sums(nm_op *repeat, bool *changed)
{
    nm_loop l = nm_loop_open(repeat);
    found *sum = nm_new_n(l.body->module->arena, found, l.carried.n + 1);
    int n = find_sums(&l, sum);
    if (!n)
        return;
    give_factors(&l, sum, n);
    for (int i = 0; i < n; i++)
        replace_sum(&l, &sum[i]);
    for (int i = n - 1; i >= 0; i--)
        nm_loop_drop(&l.carried, sum[i].row);
    nm_loop_close(&l);
    for (int i = 0; i < n; i++) {
        nm_erase_dead(sum[i].sum);
        nm_erase_dead(sum[i].first);
    }
    *changed = true;
}

static void lift_in(nm_func *f, bool *changed)
{
    nm_each_op_safe(op, f) {
        if (op->body)
            lift_in(op->body, changed);
        if (op->code == NM_OP_repeat)
            lift_sums(op, changed);
    }
}

static bool run(nm_module *m, bool *changed)
{
    nm_each_func(f, m)
        lift_in(f, changed);
    return true;
}

NM_PLUGIN(.after = "tidy", .pass = {.name = "scan_grads",
                                    .run = run,
                                    .needs = GRADS | CANONICAL,
                                    .why = "once gradients exist, and before a step is cut: a "
                                           "scan's weight gets its gradient from one product"})
