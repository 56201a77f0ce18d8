// The order of documents and samples. What is drawn, and when, is Megatron's: first the documents,
// then the samples, from one generator. Of where samples begin only every 64th is kept; the walk to
// the others costs less than the memory would.
#include "runtime/corpus/order.h"

#include "runtime/corpus/mt19937.h"

#include <stdlib.h>
#include <string.h>

// The last epoch is apart where less than this of it is needed.
static const double FEW = 0.80;

// Far above any corpus; products of two stay in 63 bits.
static const int64_t MOST_TOKENS = (int64_t)1 << 62, MOST_SAMPLES = (int64_t)1 << 32;

static int64_t length_of(const nmrt_order *o, int64_t document)
{
    int32_t n;
    memcpy(&n, (const char *)o->q.lengths + document * (int64_t)sizeof n, sizeof n);
    return n;
}

int64_t nmrt_order_length(const nmrt_order *o, int64_t at) { return length_of(o, o->document[at]); }

// --- how much ------------------------------------------------------------------------------------

// Whole epochs, of at least so many samples.
static nmrt_status count_epochs(nmrt_order *o, nmrt_error *e)
{
    int64_t seq = o->q.seq, samples = o->q.samples;
    o->epochs = 1;
    if (samples >= MOST_SAMPLES || samples > (MOST_TOKENS - 1) / seq)
        return nmrt_fail(e, NMRT_USAGE,
                         "%lld samples are too many to be drawn at once: at most %lld",
                         (long long)samples, (long long)MOST_SAMPLES - 1);
    if (samples > 0)
        o->epochs = (samples * seq + o->tokens) / o->tokens; // ceil((samples seq + 1) / tokens)
    if (o->epochs > MOST_TOKENS / o->tokens || o->epochs > MOST_SAMPLES / o->q.n)
        return nmrt_fail(e, NMRT_USAGE,
                         "%lld samples of %lld tokens go %lld times through %lld documents, which "
                         "are too few for so many",
                         (long long)samples, (long long)seq, (long long)o->epochs,
                         (long long)o->q.n);
    o->samples = (o->epochs * o->tokens - 1) / seq;
    return NMRT_OK;
}

static void find_last(nmrt_order *o)
{
    if (o->epochs == 1)
        return;
    int64_t whole = (o->tokens - 1) / o->q.seq;
    o->before = ((o->epochs - 1) * o->tokens - 1) / o->q.seq;
    o->last_apart = o->q.samples - o->before < (int64_t)(FEW * (double)whole);
}

nmrt_status nmrt_order_measure(nmrt_order *o, const nmrt_order_request *q, nmrt_error *e)
{
    *o = (nmrt_order){.q = *q};
    for (int64_t i = 0; i < q->n; i++)
        o->tokens += length_of(o, q->first + i);
    if (o->tokens < (q->samples ? 1 : q->seq + 1))
        return nmrt_fail(
            e, NMRT_USAGE, "%lld tokens in %lld documents; one sample of seq = %lld needs %lld",
            (long long)o->tokens, (long long)q->n, (long long)q->seq, (long long)q->seq + 1);
    NMRT_TRY(count_epochs(o, e));
    find_last(o);
    return NMRT_OK;
}

// --- drawing -------------------------------------------------------------------------------------

static void draw_documents(nmrt_order *o, nmrt_mt19937 *g)
{
    int64_t n = o->q.n, last = (o->epochs - 1) * n;
    for (int64_t k = 0; k < o->epochs; k++)
        for (int64_t i = 0; i < n; i++)
            o->document[k * n + i] = (uint32_t)(o->q.first + i);
    if (!o->q.shuffle)
        return;
    nmrt_mt19937_shuffle(g, o->document, o->last_apart ? last : last + n);
    if (o->last_apart)
        nmrt_mt19937_shuffle(g, o->document + last, n);
}

static void draw_samples(nmrt_order *o, nmrt_mt19937 *g)
{
    for (int64_t i = 0; i < o->samples; i++)
        o->sample[i] = (uint32_t)i;
    if (!o->q.shuffle)
        return;
    nmrt_mt19937_shuffle(g, o->sample, o->last_apart ? o->before : o->samples);
    if (o->last_apart)
        nmrt_mt19937_shuffle(g, o->sample + o->before, o->samples - o->before);
}

// `samples` samples further.
static void go_on(const nmrt_order *o, nmrt_place *p, int64_t samples)
{
    int64_t last = o->epochs * o->q.n - 1;
    p->offset += samples * o->q.seq;
    for (int64_t n; p->at < last && p->offset >= (n = nmrt_order_length(o, p->at)); p->at++)
        p->offset -= n;
}

static void mark_samples(nmrt_order *o)
{
    nmrt_place p = {0};
    for (int64_t i = 0; i <= o->samples / NMRT_ORDER_STRIDE; i++) {
        o->mark[i] = p;
        go_on(o, &p, NMRT_ORDER_STRIDE);
    }
}

nmrt_status nmrt_order_draw(nmrt_order *o, nmrt_error *e)
{
    nmrt_mt19937 g;
    size_t marks = (size_t)(o->samples / NMRT_ORDER_STRIDE + 1);
    if (o->samples >= MOST_SAMPLES)
        return nmrt_fail(e, NMRT_USAGE, "%lld samples are too many: at most %lld",
                         (long long)o->samples, (long long)MOST_SAMPLES - 1);
    o->document = malloc((size_t)(o->epochs * o->q.n) * sizeof *o->document);
    o->sample = malloc((size_t)(o->samples ? o->samples : 1) * sizeof *o->sample);
    o->mark = malloc(marks * sizeof *o->mark);
    if (!o->document || !o->sample || !o->mark)
        return nmrt_fail(e, NMRT_WORLD, "no memory for the order of %lld samples of %lld documents",
                         (long long)o->samples, (long long)(o->epochs * o->q.n));
    nmrt_mt19937_seed(&g, o->q.seed);
    draw_documents(o, &g);
    draw_samples(o, &g);
    mark_samples(o);
    return NMRT_OK;
}

void nmrt_order_release(nmrt_order *o)
{
    free(o->document);
    free(o->sample);
    free(o->mark);
    *o = (nmrt_order){0};
}

nmrt_place nmrt_order_place(const nmrt_order *o, int64_t s)
{
    nmrt_place p = o->mark[s / NMRT_ORDER_STRIDE];
    if (s % NMRT_ORDER_STRIDE)
        go_on(o, &p, s % NMRT_ORDER_STRIDE);
    return p;
}
