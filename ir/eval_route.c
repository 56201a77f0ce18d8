// The meaning of dispatch and combine: each expert has the tokens that chose it in its slots, in
// the tokens' order. A token behind an expert's last slot is not seen by it.
#include "ir/eval_walk.h"

typedef struct route { // by tokens, row-major as the choices' type has them, and choices
    int64_t n_choices, n_slots;
    int64_t *expert, *slot; // slot -1: none is left, or a choice before has it
    nm_sym experts, slots, choice;
} route;

static nm_walk over_tokens(const nm_eval_op *e, const route *r)
{
    nm_walk w = {0};
    nm_walk_over(&w, e->in[1], r->choice, NULL);
    nm_walk_read(&w, e->in[1]);
    return w;
}

static int64_t earlier_slot(const route *r, int64_t token, int64_t choice)
{
    for (int64_t i = token * r->n_choices; i < token * r->n_choices + choice; i++)
        if (r->expert[i] == r->expert[token * r->n_choices + choice])
            return r->slot[i];
    return -1;
}

// The slot of every choice of an expert; of experts [.., experts, slot, ..].
static route routes(const nm_eval_op *e, const nm_tensor *slots)
{
    route r = {.experts = nm_attr_sym(e->op, "experts"),
               .slots = nm_attr_sym(e->op, "slot"),
               .choice = nm_attr_sym(e->op, "choice")};
    const nm_tensor *chosen = e->in[1];
    int64_t n = nm_tensor_extent(slots, r.experts), step = nm_tensor_stride(chosen, r.choice);
    int64_t *taken = nm_new_n(e->opts->arena, int64_t, n), token = 0;
    r.n_choices = nm_tensor_extent(chosen, r.choice);
    r.n_slots = nm_tensor_extent(slots, r.slots);
    r.expert = nm_new_n(e->opts->arena, int64_t, chosen->n);
    r.slot = nm_new_n(e->opts->arena, int64_t, chosen->n);
    nm_walk w = over_tokens(e, &r);
    nm_each_element(w) {
        for (int64_t i = 0; i < r.n_choices; i++) {
            double c = chosen->data[w.off[0] + i * step];
            int64_t k = token * r.n_choices + i;
            r.expert[k] = c < 0 ? 0 : c >= (double)n ? n - 1 : (int64_t)c;
            r.slot[k] = earlier_slot(&r, token, i);
            if (r.slot[k] < 0 && taken[r.expert[k]] < r.n_slots)
                r.slot[k] = taken[r.expert[k]]++;
        }
        token++;
    }
    return r;
}

// A token's elements beside its place: of a tensor of experts, and of one of tokens.
static nm_walk over_features(const route *r, const nm_tensor *slots, const nm_tensor *tokens)
{
    nm_walk w = {0};
    nm_walk_over(&w, slots, r->experts, r->slots);
    nm_walk_read(&w, slots);
    nm_walk_read(&w, tokens);
    return w;
}

static int64_t place_of(const route *r, const nm_tensor *slots, int64_t k)
{
    return r->expert[k] * nm_tensor_stride(slots, r->experts) +
           r->slot[k] * nm_tensor_stride(slots, r->slots);
}

void nm_eval_dispatch(nm_eval_op *e)
{
    if (!e->out->n)
        return;
    route r = routes(e, e->out);
    nm_walk w = over_tokens(e, &r);
    nm_walk_read(&w, e->in[0]);
    int64_t k = 0;
    nm_each_element(w) {
        for (int64_t i = 0; i < r.n_choices; i++, k++) {
            nm_walk f = over_features(&r, e->out, e->in[0]);
            if (r.slot[k] < 0)
                continue;
            double *to = e->out->data + place_of(&r, e->out, k);
            nm_each_element(f)
                to[f.off[0]] = e->in[0]->data[w.off[1] + f.off[1]];
        }
    }
}

void nm_eval_combine(nm_eval_op *e)
{
    const nm_tensor *y = e->in[0], *weight = e->in[2];
    if (!y->n)
        return;
    route r = routes(e, y);
    nm_walk w = over_tokens(e, &r);
    nm_walk_read(&w, weight);
    nm_walk_read(&w, e->out);
    int64_t k = 0;
    nm_each_element(w) {
        for (int64_t i = 0; i < r.n_choices; i++, k++) {
            nm_walk f = over_features(&r, y, e->out);
            if (r.slot[k] < 0)
                continue;
            double by = weight->data[w.off[1] + i * nm_tensor_stride(weight, r.choice)];
            const double *from = y->data + place_of(&r, y, k);
            nm_each_element(f)
                e->out->data[w.off[2] + f.off[1]] += by * from[f.off[0]];
        }
    }
}
