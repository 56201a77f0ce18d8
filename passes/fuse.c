// fuse: every op into exactly one group, a group into one kernel.
//
// Why here: after autodiff and accumulate all that a step computes exists; before layout, which
// wants to know what is stored. Functions and bodies of repeats are fused one at a time: first
// gelus are written out where products are no library's (fuse_gelu.c), what moves over the edges of
// repeats (fuse_hoist.c, fuse_sink.c, fuse_views.c) and rewrites that make more fusible
// (fuse_prepare.c); then copies where a result would have no kernel (fuse_store.c); what is
// computed where it is read (fuse_pull.c) and what is not (fuse_units.c); merging (fuse_pick.c,
// under the laws of fuse_map.c, fuse_row.c and fuse_dot.c); fuse_emit.c. Nothing is fused across
// the edge of a repeat, or across a collective: those stay bare ops between the groups.
#include "passes/fuse.h"

#include "passes/fusion.h"
#include "passes/pass.h"
#include "passes/simplify.h"
#include "passes/value_number.h"

// Ids in program order from `next`: fusion leaves holes, and tables are as long as the last id.
static uint32_t number(nm_func *f, uint32_t next)
{
    for (int i = 0; i < f->n_params; i++)
        f->param[i]->id = next++;
    nm_each_op(op, f) {
        if (op->body)
            next = number(op->body, next);
        for (int i = 0; i < op->n_out; i++)
            op->out[i].id = next++;
    }
    return next;
}

// Dumps and plans name buffers: what a repeat hands on is called as it is in its body, and back.
static void name_repeat(nm_op *repeat)
{
    nm_func *body = repeat->body;
    for (int i = 0; i < repeat->n_out; i++)
        if (!repeat->out[i].name)
            repeat->out[i].name = body->last->in[i]->name;
    for (int i = 0; i < repeat->n_in; i++)
        if (!body->param[i]->name)
            body->param[i]->name = repeat->in[i]->name;
}

static bool check_op(nm_func *f, const nm_op *op)
{
    switch (op->code) {
    case NM_OP_dispatch:
    case NM_OP_combine:
    case NM_OP_first: // localize makes it a select
        return nm_error(f->module->diag, op->loc, "no target lowers '%s' yet", nm_info(op)->name);
    case NM_OP_call:
    case NM_OP_grad: nm_bug("fuse: '%s' is left", nm_info(op)->name);
    default: return true;
    }
}

static bool is_fused(const nm_func *f)
{
    nm_each_op(op, f)
        if (op->code == NM_OP_group)
            return true;
    return false;
}

static void group_ops(nm_func *f, const nm_rank *rank, nm_arena *scratch)
{
    nm_arena_mark mark = nm_arena_mark_get(scratch);
    nm_fuse before = {.f = f, .scratch = scratch, .rank = rank};
    nm_fuse_classify(&before);
    nm_fuse_store(&before);
    nm_fuse g = {.f = f, .scratch = scratch, .rank = rank};
    nm_fuse_classify(&g);
    nm_fuse_units(&g);
    nm_fuse_pick(&g);
    nm_fuse_emit(&g);
    nm_arena_reset(scratch, mark);
}

static bool fuse_body(nm_func *f, const nm_rank *rank, nm_arena *scratch)
{
    nm_fuse_prepare(f);
    nm_fuse_maxes(f, rank);
    if (f->module->options.flavour == NM_FLAVOUR_gpu)
        nm_fuse_again(f);
    nm_fuse_sink(f, scratch);
    nm_fuse_views(f, scratch);
    nm_drop_dead(f, NULL);
    bool ok = true;
    nm_each_op(op, f) {
        ok = check_op(f, op) && ok;
        if (op->code != NM_OP_repeat)
            continue;
        name_repeat(op);
        ok = fuse_body(op->body, rank, scratch) && ok;
    }
    if (ok)
        group_ops(f, rank, scratch);
    return ok;
}

bool nm_fuse_has_epilogues(const nm_module *m)
{
    return m->options.flavour == NM_FLAVOUR_gpu && !m->options.plain_products &&
           !nm_fusion_is_off(m, NM_FUSION_bias) && !nm_fusion_is_off(m, NM_FUSION_activation);
}

bool nm_fuse_is_half(nm_dtype t) { return t == NM_bf16 || t == NM_f16; }

bool nm_pass_fuse(nm_module *m, bool *changed)
{
    nm_arena scratch = {0};
    nm_rank *rank = nm_rank_new(m, &scratch);
    bool ok = true;
    nm_each_func(f, m) {
        if (is_fused(f))
            continue;
        *changed = true;
        nm_fuse_write_gelus(f);
        nm_fuse_hoist(f, &scratch);
        nm_value_number(f,
                        changed); // what was hoisted out of several repeats, or written out twice
        ok = fuse_body(f, rank, &scratch) && ok;
        f->n_values = number(f, 0);
    }
    nm_arena_free(&scratch);
    return ok;
}
