// Global value numbering over straight-line code: one walk, one hash table of the pure ops so far.
// Bodies are closed (they read their params alone), so each is numbered by itself. Where a
// parameter is gathered again it is meant to be (passes/shard_convert.c).
#include "passes/value_number.h"

#include "ir/launch.h"
#include "passes/rewrite.h"

#include <string.h>

typedef struct table {
    nm_op **slot; // open addressing
    size_t mask;
} table;

static uint64_t mix(uint64_t h, uint64_t x)
{
    h = (h ^ x) * 0x9e3779b97f4a7c15u;
    return h ^ h >> 29;
}

// The two operands of a commuting op count without their order.
static uint64_t hash_op(const nm_op *op)
{
    uint64_t h = mix(17, (uint64_t)op->code), operands = 0;
    for (int i = 0; i < op->n_in; i++) {
        uint64_t id = op->in[i]->id + 1u;
        operands = nm_is(op, NM_COMMUTES) ? operands + mix(3, id) : mix(operands, id);
    }
    h = mix(h, operands);
    for (int i = 0; i < op->n_attrs; i++) {
        const nm_attr *a = &op->attr[i];
        uint64_t bits = 0;
        if (a->kind == NM_ATTR_float)
            memcpy(&bits, &a->u.f, sizeof bits);
        else if (a->kind == NM_ATTR_int)
            bits = (uint64_t)a->u.i;
        h = mix(h, bits);
    }
    return h;
}

static bool same_operands(const nm_op *a, const nm_op *b)
{
    if (a->n_in != b->n_in)
        return false;
    if (nm_is(a, NM_COMMUTES) && a->in[0] == b->in[1] && a->in[1] == b->in[0])
        return true;
    for (int i = 0; i < a->n_in; i++)
        if (a->in[i] != b->in[i])
            return false;
    return true;
}

static bool same(const nm_op *a, const nm_op *b)
{
    if (a->code != b->code || a->n_out != b->n_out || !same_operands(a, b) || !nm_same_attrs(a, b))
        return false;
    for (int i = 0; i < a->n_out; i++)
        if (a->out[i].type != b->out[i].type)
            return false;
    return true;
}

// The op of the table that computes the same; else op goes in, and NULL.
static nm_op *find(table *t, nm_op *op)
{
    size_t i = hash_op(op) & t->mask;
    for (; t->slot[i]; i = (i + 1) & t->mask)
        if (same(t->slot[i], op))
            return t->slot[i];
    t->slot[i] = op;
    return NULL;
}

static void merge(nm_op *op, nm_op *into, bool *changed)
{
    for (int i = 0; i < op->n_out; i++) {
        if (!into->out[i].name)
            into->out[i].name = op->out[i].name;
        nm_replace(&op->out[i], &into->out[i]);
    }
    nm_erase(op);
    *changed = true;
}

void nm_value_number(nm_func *f, bool *changed)
{
    nm_arena scratch = {0};
    size_t n = 0, size = 16;
    nm_each_op(op, f)
        n++;
    while (size < 2 * n)
        size *= 2;
    table t = {.slot = nm_new_n(&scratch, nm_op *, size), .mask = size - 1};
    nm_each_op_safe(op, f) {
        if (op->body)
            nm_value_number(op->body, changed);
        if (op->body || !nm_is(op, NM_PURE) || nm_gathers_param(op))
            continue;
        nm_op *first = find(&t, op);
        if (first)
            merge(op, first, changed);
    }
    nm_arena_free(&scratch);
}
