// What a path names, and what streams of tokens have in common.
#include "runtime/source.h"

#include "runtime/corpus/indexed.h"
#include "runtime/permute.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static bool is_blend(const char *path)
{
    char *end;
    strtod(path, &end);
    return strchr(path, ',') || (end != path && *end == ':');
}

// Half of one counts, too: opening it says what is missing.
bool nmrt_source_is_corpus(const char *path)
{
    return is_file(path) ? nmrt_indexed_is_file(path) : nmrt_indexed_exists(path);
}

static bool names_blend(const char *path) { return !nmrt_path_exists(path) && is_blend(path); }

bool nmrt_source_is_text(const char *path)
{
    return !nmrt_source_is_corpus(path) && !names_blend(path);
}

nmrt_status nmrt_source_new(nmrt_source **s, const nmrt_source_kind *kind,
                            const nmrt_source_request *q, nmrt_error *e)
{
    nmrt_source *new = calloc(1, kind->bytes);
    *s = NULL;
    if (!new)
        return nmrt_fail(e, NMRT_WORLD, "no memory for the data");
    new->kind = kind;
    new->q = *q;
    new->drawn = kind->draw ? 0 : INT64_MAX;
    nmrt_status status = kind->open(new, e);
    if (status == NMRT_OK)
        *s = new;
    else
        kind->close(new);
    return status;
}

static const nmrt_source_kind *kind_of(const nmrt_source_request *q)
{
    if (nmrt_source_is_corpus(q->path))
        return &nmrt_corpus_source;
    if (names_blend(q->path))
        return &nmrt_blend_source;
    return q->tokenizer ? &nmrt_tokens_source : &nmrt_text_source;
}

nmrt_status nmrt_source_open(nmrt_source **s, const nmrt_source_request *q, nmrt_error *e)
{
    return nmrt_source_new(s, kind_of(q), q, e);
}

void nmrt_source_close(nmrt_source *s)
{
    if (s)
        s->kind->close(s);
}

nmrt_status nmrt_source_draw(nmrt_source *s, int64_t samples, nmrt_error *e)
{
    return s->kind->draw ? s->kind->draw(s, samples, e) : NMRT_OK;
}

bool nmrt_source_same_order(const nmrt_source *s, int64_t a, int64_t b)
{
    return !s->kind->same_order || s->kind->same_order(s, a, b);
}

nmrt_status nmrt_stream_samples(const nmrt_source_request *q, int64_t tokens, const char *unit,
                                nmrt_range *samples, nmrt_error *e)
{
    int64_t all = tokens ? (tokens - 1) / q->seq : 0;
    if (!all)
        return nmrt_fail(e, NMRT_USAGE, "%s has %lld %s; one sample of seq = %lld needs %lld",
                         q->path, (long long)tokens, unit, (long long)q->seq,
                         (long long)q->seq + 1);
    *samples = nmrt_split_range(&q->split, q->part, all);
    if (!samples->n)
        return nmrt_fail(e, NMRT_USAGE, "the part %s of %s has none of its %lld samples",
                         nmrt_split_part_name(q->part), q->path, (long long)all);
    return NMRT_OK;
}

int64_t nmrt_stream_sample(const nmrt_source_request *q, nmrt_range samples, int64_t index)
{
    int64_t epoch = index / samples.n, i = index % samples.n;
    if (!q->shuffle)
        return samples.first + i;
    uint64_t key = nmrt_mix(nmrt_mix(q->seed) ^ (uint64_t)epoch);
    return samples.first + (int64_t)nmrt_permute((uint64_t)samples.n, key, (uint64_t)i);
}
