// One checker a fact. Each is a predicate of one op or one function: cheap, and obviously right.
#include "passes/facts.h"

#include "ir/names.h"
#include "passes/pass.h"

typedef const char *checker(nm_op *op); // what is wrong with the op, or NULL

static const char *walk(nm_func *f, checker *check)
{
    nm_each_op(op, f) {
        const char *wrong = op->body ? walk(op->body, check) : NULL;
        if (wrong || (wrong = check(op)))
            return wrong;
    }
    return NULL;
}

static bool has_readers(const nm_op *op)
{
    for (int i = 0; i < op->n_out; i++)
        if (op->out[i].uses)
            return true;
    return false;
}

static const char *check_canonical(nm_op *op)
{
    if (op->code == NM_OP_call)
        return "a call is left [canonical]";
    return nm_is(op, NM_PURE) && !has_readers(op) ? "an op computes for nobody [canonical]" : NULL;
}

static const char *check_grads(nm_op *op)
{
    return op->code == NM_OP_grad ? "a grad op is left [grads]" : NULL;
}

// A dim of q or k alone (but for positions and hd): one on each side would be heads and kv.
static const char *check_heads(nm_op *op)
{
    if (op->code != NM_OP_attention)
        return NULL;
    const nm_type *q = op->in[0]->type, *k = op->in[1]->type;
    nm_sym over = nm_attr_sym(op, "over");
    for (int i = 0; i < k->rank; i++)
        if (k->dim[i].name != over && !nm_has_dim(q, k->dim[i].name))
            return "keys have a dim that queries lack [heads]";
    return NULL;
}

static const char *check_concrete(nm_op *op)
{
    for (int i = 0; i < op->n_out; i++)
        if (op->out[i].type->dtype == NM_real)
            return "a type is still real [concrete]";
    return NULL;
}

static bool is_short(nm_dtype d)
{
    return nm_dtype_table[d].is_float && nm_dtype_table[d].bytes < nm_dtype_table[NM_f32].bytes;
}

// A map that gives less than f32 would round by itself: casts do, and say so. A program in f32 is
// rounded where its author says so, in a map of 16 bits, too.
static const char *check_rounded(nm_op *op)
{
    bool rounds = op->code == NM_OP_cast || op->code == NM_OP_qdq;
    bool narrowed = op->func->module->options.precision > NM_PRECISION_f32;
    return narrowed && nm_is(op, NM_MAP) && !rounds && is_short(op->out[0].type->dtype)
               ? "a map rounds what it computes [rounded]"
               : NULL;
}

static const char *check_quantised(nm_op *op)
{
    return op->code == NM_OP_qdq ? "a qdq is left [quantised]" : NULL;
}

static bool is_local(const nm_type *t)
{
    for (int i = 0; i < t->rank; i++)
        if (t->dim[i].axes.n)
            return false;
    return !t->pending.n;
}

static const char *check_local(nm_op *op)
{
    for (int i = 0; i < op->n_in; i++)
        if (!is_local(op->in[i]->type))
            return "a type is a whole tensor's, and split or pending over axes [local]";
    return NULL;
}

static const char *check_grouped(nm_op *op)
{
    bool in_group = op->func->parent && op->func->parent->code == NM_OP_group;
    bool fine = op->code == NM_OP_group || op->code == NM_OP_repeat || op->code == NM_OP_ret ||
                nm_is(op, NM_VIEW) || nm_is(op, NM_FREE) || nm_is(op, NM_COLLECTIVE) ||
                op->code == NM_OP_wait;
    return in_group || fine ? NULL : "an op stands in no group [grouped]";
}

// What a repeat stacks: a turn's part is one stretch of it.
static const char *check_ordered(nm_op *op)
{
    for (int i = op->code == NM_OP_repeat ? (int)nm_attr_int(op, "carried", 0) : op->n_out;
         i < op->n_out; i++)
        if (op->out[i].type->dim[0].name != nm_attr_sym(op, "over"))
            return "the dim of a repeat's turns is not the first of what it stacks [ordered]";
    return NULL;
}

static const char *check_experts(nm_op *op)
{
    return op->code == NM_OP_dispatch || op->code == NM_OP_combine
               ? "a dispatch or combine is left [experts]"
               : NULL;
}

static const char *check_cut(nm_module *m)
{
    nm_each_func(f, m)
        if ((nm_func_has_role(f, "train") || nm_func_has_role(f, "eval")) && !nm_func_step(f))
            return "a step is whole [cut]";
    return NULL;
}

static const char *check_planned(nm_module *m)
{
    nm_each_func(f, m)
        if (!f->plan)
            return "a function has no plan [planned]";
    return NULL;
}

static const char *each_op(nm_module *m, checker *check)
{
    const char *wrong = NULL;
    for (nm_func *f = m->first_func; f && !wrong; f = f->next)
        wrong = walk(f, check);
    return wrong;
}

static const struct {
    unsigned fact;
    const char *name;
    checker *op;
    const char *(*module)(nm_module *m);
} checks[] = {
    {HEADS, "heads", check_heads, NULL},
    {CANONICAL, "canonical", check_canonical, NULL},
    {GRADS, "grads", check_grads, NULL},
    {CONCRETE, "concrete", check_concrete, NULL},
    {CUT, "cut", NULL, check_cut},
    {GROUPED, "grouped", check_grouped, NULL},
    {PLANNED, "planned", NULL, check_planned},
    {ROUNDED, "rounded", check_rounded, NULL},
    {EXPERTS, "experts", check_experts, NULL},
    {LOCAL, "local", check_local, NULL},
    {QUANTISED, "quantised", check_quantised, NULL},
    {ORDERED, "ordered", check_ordered, NULL},
};
enum { N_FACTS = sizeof checks / sizeof *checks };

const char *nm_facts_disprove(nm_module *m, unsigned facts)
{
    for (size_t i = 0; i < N_FACTS; i++) {
        if (!(facts & checks[i].fact))
            continue;
        const char *wrong = checks[i].op ? each_op(m, checks[i].op) : checks[i].module(m);
        if (wrong)
            return wrong;
    }
    return NULL;
}

const char *nm_facts_name(unsigned facts)
{
    for (size_t i = 0; i < N_FACTS; i++)
        if (facts & checks[i].fact)
            return checks[i].name;
    return "without a name"; // a plug-in may need anything
}

static int count(nm_func *f)
{
    int n = 0;
    nm_each_op(op, f)
        n += 1 + (op->body ? count(op->body) : 0);
    return n;
}

int nm_facts_count_ops(nm_module *m)
{
    int n = 0;
    nm_each_func(f, m)
        n += count(f);
    return n;
}
