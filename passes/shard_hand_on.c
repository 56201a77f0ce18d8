// A gradient that is pending when the step ends is completed by its owners' function before the
// middle, for the global norm, and read again by theirs after it: the first hands it on as a link,
// complete, so that it is reduced once.
#include "passes/shard.h"

static int find_acc(const nm_func *f, nm_sym name)
{
    for (int i = 0; i < f->n_params; i++)
        if (f->param_bind[i].kind == NM_BIND_acc && f->param_bind[i].name == name)
            return i;
    return -1;
}

static nm_bind *find_result(const nm_func *f, nm_sym name)
{
    for (int i = 0; i < f->n_results; i++)
        if (f->result_bind[i].kind == NM_BIND_acc && f->result_bind[i].name == name)
            return &f->result_bind[i];
    return NULL;
}

static void give(nm_func *f, nm_value *v, nm_bind bind)
{
    nm_module *m = f->module;
    nm_op *ret = f->last;
    int n = ret->n_in;
    nm_value **value = nm_new_n(m->arena, nm_value *, n + 1);
    nm_bind *binds = nm_new_n(m->arena, nm_bind, n + 1);
    for (int i = 0; i < n; i++)
        value[i] = ret->in[i], binds[i] = f->result_bind[i];
    value[n] = v, binds[n] = bind;
    nm_loc loc = ret->loc;
    nm_erase(ret);
    nm_func_ret(f, loc, n + 1, value, binds);
}

void nm_shard_hand_on(nm_func *before, nm_func *after)
{
    if (before->part.phase != NM_PHASE_before || after->part.phase != NM_PHASE_after ||
        before->part.units != after->part.units)
        return;
    for (int i = 0; i < before->n_params; i++) {
        nm_bind acc = before->param_bind[i];
        int there = acc.kind == NM_BIND_acc ? find_acc(after, acc.name) : -1;
        if (there < 0)
            continue;
        nm_bind link = {.kind = NM_BIND_link,
                        .name = nm_sym_fmt(before->module, "finish.%s", acc.name)};
        if (find_result(before, acc.name)) // what its owners have added up
            *find_result(before, acc.name) = link;
        else
            give(before, before->param[i], link);
        after->param_bind[there] = link;
    }
}
