// A blend of corpora. With weights, samples come by Megatron's greedy rule (corpus/blend.h), from
// each corpus as often as it takes. Without them every sample comes at most once, from each corpus
// in proportion to what it has; so they do where all samples are asked for, as for an evaluation.
#include "runtime/source.h"

#include "runtime/corpus/blend.h"
#include "runtime/file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct source {
    nmrt_source base;
    int n;
    bool weighted;
    char *text; // the members' paths
    nmrt_source **member;
    double *weight; // [n], their sum 1 where it is weighted
    nmrt_blend blend;
} source;

static void close_source(nmrt_source *s)
{
    source *x = (source *)s;
    for (int i = 0; x->member && i < x->n; i++)
        nmrt_source_close(x->member[i]);
    nmrt_blend_release(&x->blend);
    free(x->member);
    free(x->weight);
    free(x->text);
    free(x);
}

// --- the order -----------------------------------------------------------------------------------

static void suggest_weights(const source *x, nmrt_text *out)
{
    for (int i = 0; i < x->n; i++)
        nmrt_text_add(out, "%s%.3g:%s", i ? "," : "",
                      (double)x->member[i]->samples / (double)x->base.samples,
                      x->member[i]->q.path);
}

static nmrt_status draw_once(source *x, int64_t samples, nmrt_error *e)
{
    if (samples > x->base.samples) {
        nmrt_text better = {0};
        suggest_weights(x, &better);
        nmrt_fail(e, NMRT_USAGE,
                  "%s: the run takes %lld samples, and a blend without weights has each of its "
                  "%lld once. To go through them again give weights; by their sizes: --data %s",
                  x->base.q.path, (long long)samples, (long long)x->base.samples,
                  better.at ? better.at : "");
        nmrt_text_release(&better);
        return NMRT_USAGE;
    }
    double *weight = malloc((size_t)x->n * sizeof *weight);
    if (!weight)
        return nmrt_fail(e, NMRT_WORLD, "no memory for the order of a blend");
    nmrt_status status = NMRT_OK;
    for (int i = 0; i < x->n && status == NMRT_OK; i++) {
        status = nmrt_source_draw(x->member[i], 0, e);
        weight[i] = (double)x->member[i]->drawn;
    }
    x->base.drawn = samples ? samples : x->base.samples;
    if (status == NMRT_OK)
        status = nmrt_blend_init(&x->blend, weight, x->n, x->base.drawn, e);
    free(weight);
    return status;
}

static nmrt_status draw_weighted(source *x, int64_t samples, nmrt_error *e)
{
    x->base.drawn = 0;
    for (int i = 0; i < x->n; i++) {
        NMRT_TRY(nmrt_source_draw(x->member[i], nmrt_blend_need(x->weight[i], samples), e));
        x->base.drawn += nmrt_blend_share(x->weight[i], samples);
    }
    return nmrt_blend_init(&x->blend, x->weight, x->n, x->base.drawn, e);
}

static nmrt_status draw(nmrt_source *s, int64_t samples, nmrt_error *e)
{
    source *x = (source *)s;
    nmrt_blend_release(&x->blend);
    if (x->weighted && !samples)
        fprintf(s->q.out->note,
                "note: of %s every sample is read once, whatever the weights: they are for runs "
                "that take a number of samples\n",
                s->q.path);
    return x->weighted && samples ? draw_weighted(x, samples, e) : draw_once(x, samples, e);
}

// The greedy rule itself looks at no later samples.
static bool same_order(const nmrt_source *s, int64_t a, int64_t b)
{
    const source *x = (const source *)s;
    bool same = true;
    for (int i = 0; i < x->n && x->weighted; i++)
        same = same && nmrt_source_same_order(x->member[i], nmrt_blend_need(x->weight[i], a),
                                              nmrt_blend_need(x->weight[i], b));
    return same;
}

// --- samples -------------------------------------------------------------------------------------

static nmrt_status read_sample(const nmrt_source *s, int64_t index, int64_t *token, nmrt_error *e)
{
    const source *x = (const source *)s;
    nmrt_blended b = nmrt_blend_get(&x->blend, index);
    const nmrt_source *member = x->member[b.from];
    return member->kind->read(member, b.index, token, e);
}

static void locate(const nmrt_source *s, int64_t index, int64_t k, nmrt_text *out)
{
    const source *x = (const source *)s;
    nmrt_blended b = nmrt_blend_get(&x->blend, index);
    const nmrt_source *member = x->member[b.from];
    member->kind->locate(member, b.index, k, out);
}

static nmrt_status scan(const nmrt_source *s, int64_t limit, nmrt_text *bad, nmrt_error *e)
{
    const source *x = (const source *)s;
    for (int i = 0; i < x->n && !bad->n; i++)
        NMRT_TRY(x->member[i]->kind->scan(x->member[i], limit, bad, e));
    return NMRT_OK;
}

static void describe(const nmrt_source *s, nmrt_text *out)
{
    const source *x = (const source *)s;
    for (int i = 0; i < x->n; i++) {
        nmrt_text_add(out, "%s%s: ", i ? "; " : "", x->member[i]->q.path);
        x->member[i]->kind->describe(x->member[i], out);
    }
}

// --- what --data says ----------------------------------------------------------------------------

// "0.7:prefix" or "prefix"; cuts the text at the comma behind it and returns what follows, or NULL.
static char *cut_member(char *text, double *weight, char **prefix)
{
    char *comma = strchr(text, ','), *end;
    if (comma)
        *comma = 0;
    *weight = strtod(text, &end);
    bool weighted = end != text && *end == ':';
    *weight = weighted ? *weight : 0;
    *prefix = weighted ? end + 1 : text;
    if (weighted && (!isfinite(*weight) || *weight <= 0))
        *weight = -1;
    return comma ? comma + 1 : NULL;
}

static nmrt_status check_member(const source *x, const char *prefix, double weight, nmrt_error *e)
{
    if (weight < 0)
        return nmrt_fail(e, NMRT_USAGE, "--data %s: the weight of %s is not above 0",
                         x->base.q.path, prefix);
    if (!*prefix)
        return nmrt_fail(e, NMRT_USAGE,
                         "--data %s: there is neither a file of this name nor, as a blend such as "
                         "0.7:a,0.3:b, a path in each of its parts",
                         x->base.q.path);
    if (nmrt_source_is_corpus(prefix))
        return NMRT_OK;
    if (nmrt_path_exists(prefix))
        return nmrt_fail(e, NMRT_USAGE,
                         "--data %s: %s is no corpus, of which blends are; nemocc-data tokenize "
                         "makes one of a text",
                         x->base.q.path, prefix);
    return nmrt_fail(e, NMRT_USAGE, "--data %s: there is neither %s.bin nor %s.idx", x->base.q.path,
                     prefix, prefix);
}

static nmrt_status open_member(source *x, const char *prefix, nmrt_error *e)
{
    nmrt_source_request q = x->base.q;
    q.path = prefix;
    NMRT_TRY(nmrt_source_new(&x->member[x->n], &nmrt_corpus_source, &q, e));
    x->base.samples += x->member[x->n]->samples;
    x->base.bytes += x->member[x->n]->bytes;
    x->n++;
    return NMRT_OK;
}

static nmrt_status open_members(source *x, nmrt_error *e)
{
    int with = 0;
    for (char *text = x->text, *prefix; text;) {
        double weight;
        text = cut_member(text, &weight, &prefix);
        NMRT_TRY(check_member(x, prefix, weight, e));
        x->weight[x->n] = weight;
        with += weight > 0;
        NMRT_TRY(open_member(x, prefix, e));
    }
    x->weighted = with > 0;
    if (with && with < x->n)
        return nmrt_fail(e, NMRT_USAGE,
                         "--data %s: %d of %d corpora have a weight: all must, or none",
                         x->base.q.path, with, x->n);
    if (with)
        nmrt_blend_normalise(x->weight, x->n);
    return NMRT_OK;
}

static nmrt_status make_rooms(source *x, nmrt_error *e)
{
    size_t most = 1;
    for (const char *c = x->base.q.path; *c; c++)
        most += *c == ',';
    if (most > NMRT_BLEND_MOST)
        return nmrt_fail(e, NMRT_USAGE, "--data: a blend is of at most %d corpora",
                         NMRT_BLEND_MOST);
    x->text = strdup(x->base.q.path);
    x->member = calloc(most, sizeof(nmrt_source *));
    x->weight = calloc(most, sizeof *x->weight);
    if (!x->text || !x->member || !x->weight)
        return nmrt_fail(e, NMRT_WORLD, "no memory for the data");
    return NMRT_OK;
}

static nmrt_status open_source(nmrt_source *s, nmrt_error *e)
{
    NMRT_TRY(make_rooms((source *)s, e));
    return open_members((source *)s, e);
}

const nmrt_source_kind nmrt_blend_source = {.bytes = sizeof(source),
                                            .open = open_source,
                                            .close = close_source,
                                            .draw = draw,
                                            .same_order = same_order,
                                            .read = read_sample,
                                            .locate = locate,
                                            .scan = scan,
                                            .describe = describe};
