// Choosing a token: softmax at a temperature, cut to the smallest set of probability top_p
// (Holtzman et al. 2019, "The Curious Case of Neural Text Degeneration"), one draw by inversion.
// The likeliest come first, from a heap: of a large vocabulary few are looked at.
#include "runtime/generate.h"

#include "runtime/permute.h"

#include <math.h>
#include <stdbool.h>

static bool is_likelier(const nmrt_next_token *a, const nmrt_next_token *b)
{
    return a->p > b->p || (a->p == b->p && a->token < b->token);
}

// Puts c[at] where it belongs below, in a heap of n.
static void sink(nmrt_next_token *c, int n, int at)
{
    nmrt_next_token x = c[at];
    for (int down; (down = 2 * at + 1) < n; at = down) {
        if (down + 1 < n && is_likelier(&c[down + 1], &c[down]))
            down++;
        if (!is_likelier(&c[down], &x))
            break;
        c[at] = c[down];
    }
    c[at] = x;
}

// Moves the likeliest of a heap of n behind the others.
static nmrt_next_token *take_likeliest(nmrt_next_token *c, int n)
{
    nmrt_next_token top = c[0];
    c[0] = c[n - 1];
    sink(c, n - 1, 0);
    c[n - 1] = top;
    return &c[n - 1];
}

static int likeliest(const double *logit, int n)
{
    int best = 0;
    for (int i = 1; i < n; i++)
        if (logit[i] > logit[best])
            best = i;
    return best;
}

// The heap of all; the sum of their p.
static double make_heap(const nmrt_sampler *s, const double *logit, int n, int best)
{
    double all = 0;
    for (int i = 0; i < n; i++) {
        s->room[i] = (nmrt_next_token){i, exp((logit[i] - logit[best]) / s->temperature)};
        all += s->room[i].p;
    }
    for (int i = n / 2 - 1; i >= 0; i--)
        sink(s->room, n, i);
    return all;
}

int nmrt_sample(const nmrt_sampler *s, const double *logit, int n, uint64_t index)
{
    int best = likeliest(logit, n), kept = 0;
    if (s->temperature <= 0)
        return best;
    double all = make_heap(s, logit, n, best), sum = s->top_p < 1 ? 0 : all;
    while (s->top_p < 1 && kept < n && (kept == 0 || sum < s->top_p * all))
        sum += take_likeliest(s->room, n - kept++)->p;
    double draw = (double)(nmrt_mix(nmrt_mix(s->seed) ^ index) >> 11) * 0x1p-53 * sum;
    const nmrt_next_token *c = &s->room[0];
    for (int i = 0; i < (s->top_p < 1 ? kept : n); i++) {
        c = i < kept ? &s->room[n - 1 - i] : take_likeliest(s->room, n - i);
        if ((draw -= c->p) < 0)
            break;
    }
    return c->token;
}
