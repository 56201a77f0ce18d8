// Connectionist temporal classification (Graves et al. 2006): minus the logarithm of the
// probability that `frames` rows of logp spell `letters` labels, over all alignments. A path goes
// through states: state 2 i + 1 is letter i, the even ones around them are blanks; from one frame
// to the next it stays, goes on by one, or by two from a letter to another letter. alpha and beta
// are sums over paths up to and from a state, as logarithms.
//
// Where no alignment exists (too few frames), loss and gradient are 0, as in NeMo (zero_infinity).
#include "nemocc/op.h"

#define NEVER (-1e30f) // the logarithm of 0, of which differences are finite

typedef struct sample { // one of the batch
    const float *logp;  // [time, vocab]
    const int32_t *labels;
    int64_t frames, letters, states, vocab, row, blank;
    float *alpha; // [frames, row], and behind all frames a row for shares
} sample;

static int64_t at_most(int64_t n, int64_t most) { return n < 0 ? 0 : n < most ? n : most; }

static int64_t label_of(const sample *s, int64_t state)
{
    return state & 1 ? at_most(s->labels[state / 2], s->vocab - 1) : s->blank;
}

static float emits(const sample *s, int64_t t, int64_t state)
{
    return s->logp[t * s->vocab + label_of(s, state)];
}

// May a path go from state - 2 to the state? Not over a blank, nor between equal letters.
static int skips(const sample *s, int64_t state)
{
    return state >= 2 && state < s->states && (state & 1) &&
           label_of(s, state) != label_of(s, state - 2);
}

static float larger(float a, float b) { return a > b ? a : b; }

static float log_sum(float a, float b, float c)
{
    float most = larger(a, larger(b, c));
    if (most <= NEVER / 2)
        return NEVER;
    return most + op_log(op_exp(a - most) + op_exp(b - most) + op_exp(c - most));
}

typedef struct inputs { // of all
    const float *logp;
    const int32_t *labels, *frames, *letters;
    int64_t blank;
    float *alpha;
    int64_t time, vocab, text, rows, states;
} inputs;

static sample sample_of(const inputs *x, int64_t b)
{
    sample s = {.logp = x->logp + b * x->time * x->vocab,
                .labels = x->labels + b * x->text,
                .frames = at_most(x->frames[b], x->time),
                .letters = at_most(x->letters[b], x->text),
                .vocab = x->vocab,
                .row = x->states,
                .blank = at_most(x->blank, x->vocab - 1),
                .alpha = x->alpha + b * x->rows * x->states};
    s.states = 2 * s.letters + 1;
    return s;
}

static void forward(const sample *s)
{
    for (int64_t t = 0; t < s->frames; t++) {
        float *to = s->alpha + t * s->row;
        const float *from = to - s->row;
        OP_EACH(i, s->states)
        {
            float sum = i < 2 ? 0 : NEVER;
            if (t)
                sum = log_sum(from[i], i ? from[i - 1] : NEVER, skips(s, i) ? from[i - 2] : NEVER);
            to[i] = sum <= NEVER / 2 ? NEVER : sum + emits(s, t, i);
        }
        op_sync();
    }
}

// The logarithm of the probability of all paths; NEVER: there is none.
static float total(const sample *s)
{
    if (!s->frames)
        return s->letters ? NEVER : 0;
    const float *last = s->alpha + (s->frames - 1) * s->row + s->states - 1;
    return log_sum(last[0], s->letters ? last[-1] : NEVER, NEVER);
}

void ctc_loss(const float *logp, const int32_t *labels, const int32_t *frames,
              const int32_t *letters, int64_t blank, float *loss, float *alpha, float *links,
              int64_t batch, int64_t time, int64_t vocab, int64_t text, int64_t rows,
              int64_t states)
{
    (void)links;
    for (int64_t b = 0; b < batch; b++) {
        sample s = sample_of(
            &(inputs){logp, labels, frames, letters, blank, alpha, time, vocab, text, rows, states},
            b);
        forward(&s);
        float all = total(&s);
        if (op_lane() == 0)
            loss[b] = all <= NEVER / 2 ? 0 : -all;
        op_sync();
    }
}

// --- the gradient --------------------------------------------------------------------------------

// Letters that are the same: link[i] is 1 + the next letter like i (1 + letters: none), negative
// where an earlier one is like it, too. So one lane adds up all of a label's states, in order.
static void link_letters(const sample *s, float *link)
{
    OP_EACH(i, s->letters)
    {
        int64_t own = label_of(s, 2 * i + 1), next = i + 1, is_first = 1;
        while (next < s->letters && label_of(s, 2 * next + 1) != own)
            next++;
        for (int64_t k = 0; k < i; k++)
            is_first &= label_of(s, 2 * k + 1) != own;
        link[i] = (float)(is_first ? next + 1 : -next - 1);
    }
}

static int64_t next_like(const float *link, int64_t i)
{
    return (int64_t)(link[i] < 0 ? -link[i] : link[i]) - 1;
}

// Frame t, from the last one down: alpha of its row becomes beta with what the frame emits, as the
// row behind it has it already; share[i] is the part of all paths that is in state i now.
static void go_back(const sample *s, int64_t t, float all, float *share)
{
    float *own = s->alpha + t * s->row;
    const float *next = own + s->row;
    OP_EACH(i, s->states)
    {
        float beta = i >= s->states - 2 ? 0 : NEVER;
        if (t < s->frames - 1)
            beta = log_sum(next[i], i + 1 < s->states ? next[i + 1] : NEVER,
                           skips(s, i + 2) ? next[i + 2] : NEVER);
        share[i] = op_exp(own[i] + beta - all);
        own[i] = beta <= NEVER / 2 ? NEVER : beta + emits(s, t, i);
    }
    op_sync();
}

// d(loss) / d(logp) of a label is minus the share of the paths that are in one of its states.
static void add_shares(const sample *s, const float *share, const float *link, float dloss,
                       float *dlogp)
{
    float blanks = 0;
    OP_EACH(i, s->letters + 1)
    blanks += share[2 * i];
    blanks = op_sum(blanks);
    if (op_lane() == 0)
        dlogp[s->blank] -= dloss * blanks;
    op_sync();
    OP_EACH(i, s->letters)
    {
        float sum = 0;
        for (int64_t k = i; link[i] > 0 && k < s->letters; k = next_like(link, k))
            sum += share[2 * k + 1];
        if (link[i] > 0)
            dlogp[label_of(s, 2 * i + 1)] -= dloss * sum;
    }
    op_sync();
}

static void differentiate(const sample *s, float all, float dloss, float *share, float *link,
                          float *dlogp)
{
    link_letters(s, link);
    op_sync(); // all have read the last row of alpha for their total
    for (int64_t t = s->frames - 1; t >= 0; t--) {
        go_back(s, t, all, share);
        add_shares(s, share, link, dloss, dlogp + t * s->vocab);
    }
}

void ctc_loss_grad(const float *logp, const int32_t *labels, const int32_t *frames,
                   const int32_t *letters, int64_t blank, const float *loss, const float *dloss,
                   float *dlogp, float *alpha, float *links, int64_t batch, int64_t time,
                   int64_t vocab, int64_t text, int64_t rows, int64_t states)
{
    (void)loss;
    for (int64_t b = 0; b < batch; b++) {
        sample s = sample_of(
            &(inputs){logp, labels, frames, letters, blank, alpha, time, vocab, text, rows, states},
            b);
        float *d = dlogp + b * time * vocab;
        OP_EACH(i, time * vocab)
        d[i] = 0;
        forward(&s);
        float all = total(&s);
        if (all > NEVER / 2)
            differentiate(&s, all, dloss[b], s.alpha + time * states, links + b * text, d);
        op_sync();
    }
}
