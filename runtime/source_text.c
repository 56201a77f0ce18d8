// A text whose bytes are the tokens: sample i is its bytes [i seq, i seq + seq]. It is read when a
// sample is asked for, so that a text that has changed is told and not believed.
#include "runtime/source.h"

#include "runtime/file.h"

#include <stdlib.h>
#include <unistd.h>

enum { ROOM = 1 << 16 };

typedef struct source {
    nmrt_source base;
    int fd;
    int64_t bytes;
    nmrt_range samples;
    unsigned char *raw; // [seq + 1 or ROOM, what is more]
} source;

static void close_source(nmrt_source *s)
{
    source *x = (source *)s;
    if (x->fd >= 0)
        close(x->fd);
    free(x->raw);
    free(x);
}

static nmrt_status read_sample(const nmrt_source *s, int64_t index, int64_t *token, nmrt_error *e)
{
    const source *x = (const source *)s;
    int64_t i = nmrt_stream_sample(&s->q, x->samples, index), n = s->q.seq + 1;
    NMRT_TRY(nmrt_read_at(x->fd, x->raw, (size_t)n, i * s->q.seq, s->q.path, e));
    for (int64_t k = 0; k < n; k++)
        token[k] = x->raw[k];
    return NMRT_OK;
}

// Of the byte that is in raw[k].
static void add_byte(const source *x, int64_t offset, int64_t k, nmrt_text *out)
{
    nmrt_text_add(out, "%s: byte %d at offset %lld, of sample %lld,", x->base.q.path, x->raw[k],
                  (long long)offset, (long long)(offset / x->base.q.seq));
}

static void locate(const nmrt_source *s, int64_t index, int64_t k, nmrt_text *out)
{
    const source *x = (const source *)s;
    add_byte(x, nmrt_stream_sample(&s->q, x->samples, index) * s->q.seq + k, k, out);
}

static nmrt_status scan(const nmrt_source *s, int64_t limit, nmrt_text *bad, nmrt_error *e)
{
    const source *x = (const source *)s;
    int64_t at = x->samples.first * s->q.seq, end = at + x->samples.n * s->q.seq + 1, n;
    for (; limit <= UINT8_MAX && at < end && !bad->n; at += n) {
        n = end - at < ROOM ? end - at : ROOM;
        NMRT_TRY(nmrt_read_at(x->fd, x->raw, (size_t)n, at, s->q.path, e));
        for (int64_t k = 0; k < n && !bad->n; k++)
            if (x->raw[k] >= limit)
                add_byte(x, at + k, k, bad);
    }
    return NMRT_OK;
}

static void describe(const nmrt_source *s, nmrt_text *out)
{
    nmrt_text_add(out, "%s", nmrt_bytes(((const source *)s)->bytes).s);
}

static nmrt_status open_source(nmrt_source *s, nmrt_error *e)
{
    source *x = (source *)s;
    x->fd = -1;
    x->raw = malloc((size_t)(s->q.seq + 1 > ROOM ? s->q.seq + 1 : ROOM));
    if (!x->raw)
        return nmrt_fail(e, NMRT_WORLD, "no memory for the data");
    NMRT_TRY(nmrt_file_open(&x->fd, &x->bytes, s->q.path, e));
    NMRT_TRY(nmrt_stream_samples(&s->q, x->bytes, "bytes", &x->samples, e));
    s->samples = x->samples.n;
    s->bytes = x->samples.n * s->q.seq;
    return NMRT_OK;
}

const nmrt_source_kind nmrt_text_source = {.bytes = sizeof(source),
                                           .open = open_source,
                                           .close = close_source,
                                           .read = read_sample,
                                           .locate = locate,
                                           .scan = scan,
                                           .describe = describe};
