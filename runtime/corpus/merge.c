// Several indexed data sets as one: sequences in their order; what lies together in .bin is
// copied together.
#include "runtime/corpus/merge.h"

#include "runtime/corpus/indexed.h"
#include "runtime/stop.h"
#include "runtime/text.h"
#include "runtime/tokenizer/ids.h"

#include <unistd.h>

enum { BLOCK = 1 << 20, RUN = 1 << 24, RUN_LENGTHS = 1 << 20 }; // to copy at a time

typedef struct source { // a set that is copied: through a buffer, as pages of a map would stay
    nmrt_indexed set;
    char path[NMRT_PATH]; // of its .bin
    int fd;
    int64_t from, bytes; // of .bin: sequences that lie behind each other, not written yet
    nmrt_ids lengths;    // as nmrt_indexed_append takes them
} source;

static nmrt_status write_run(nmrt_indexed_writer *w, source *s, nmrt_error *e)
{
    unsigned char block[BLOCK];
    if (s->lengths.failed)
        return nmrt_fail(e, NMRT_WORLD, "no memory for lengths of sequences");
    for (int64_t at = 0; at < s->bytes; at += BLOCK) {
        int64_t n = s->bytes - at < BLOCK ? s->bytes - at : BLOCK;
        NMRT_TRY(nmrt_stop_check(e));
        NMRT_TRY(nmrt_read_at(s->fd, block, (size_t)n, s->from + at, s->path, e));
        NMRT_TRY(nmrt_indexed_append(w, block, n, NULL, 0, e));
    }
    NMRT_TRY(nmrt_indexed_append(w, NULL, 0, s->lengths.at, (int64_t)s->lengths.n, e));
    s->bytes = 0;
    s->lengths.n = 0;
    return NMRT_OK;
}

static nmrt_status add_sequence(nmrt_indexed_writer *w, source *s, int64_t i, nmrt_error *e)
{
    int64_t at = nmrt_indexed_offset(&s->set, i), n = nmrt_indexed_length(&s->set, i);
    bool apart = s->bytes && at != s->from + s->bytes;
    if (apart || s->bytes > RUN || s->lengths.n > RUN_LENGTHS)
        NMRT_TRY(write_run(w, s, e));
    if (!s->bytes)
        s->from = at;
    s->bytes += n * nmrt_token_type_bytes(s->set.type);
    nmrt_ids_add(&s->lengths, (int32_t)n);
    return NMRT_OK;
}

static nmrt_status add_documents(nmrt_indexed_writer *w, source *s, nmrt_error *e)
{
    const nmrt_indexed *set = &s->set;
    for (int64_t d = 0; d < set->n_documents; d++) {
        for (int64_t i = nmrt_indexed_first(set, d); i < nmrt_indexed_first(set, d + 1); i++)
            NMRT_TRY(add_sequence(w, s, i, e));
        nmrt_ids_add(&s->lengths, NMRT_DOCUMENT_END);
    }
    return write_run(w, s, e);
}

static nmrt_status open_source(source *s, const char *name, nmrt_error *e)
{
    char prefix[NMRT_PATH];
    int64_t bytes;
    *s = (source){.fd = -1};
    NMRT_TRY(nmrt_indexed_prefix(prefix, name, e));
    NMRT_TRY(nmrt_path_append(s->path, prefix, ".bin", e));
    NMRT_TRY(nmrt_indexed_open(&s->set, prefix, e));
    return nmrt_file_open(&s->fd, &bytes, s->path, e);
}

static void close_source(source *s)
{
    if (s->fd >= 0)
        close(s->fd);
    nmrt_indexed_close(&s->set);
    nmrt_ids_release(&s->lengths);
}

static nmrt_status add_set(nmrt_indexed_writer *w, const char *prefix, nmrt_error *e)
{
    source s;
    nmrt_status status = open_source(&s, prefix, e);
    if (status == NMRT_OK && s.set.type != w->type)
        status = nmrt_fail(e, NMRT_USAGE,
                           "%s is of %s, and the set before it of %s: tokenise one anew, with the "
                           "other's --dtype",
                           prefix, nmrt_token_type_name(s.set.type), nmrt_token_type_name(w->type));
    if (status == NMRT_OK)
        status = add_documents(w, &s, e);
    close_source(&s);
    return status;
}

static nmrt_status type_of(const char *prefix, nmrt_token_type *type, nmrt_error *e)
{
    nmrt_indexed set;
    NMRT_TRY(nmrt_indexed_open(&set, prefix, e));
    *type = set.type;
    nmrt_indexed_close(&set);
    return NMRT_OK;
}

nmrt_status nmrt_indexed_merge(const char *prefix, const char *const *from, int n_from,
                               const nmrt_output *out, nmrt_error *e)
{
    nmrt_token_type type;
    nmrt_indexed_writer w;
    NMRT_TRY(type_of(from[0], &type, e));
    NMRT_TRY(nmrt_indexed_create(&w, prefix, type, false, e));
    nmrt_status status = NMRT_OK;
    for (int i = 0; i < n_from && status == NMRT_OK; i++)
        status = add_set(&w, from[i], e);
    nmrt_indexed_mark end = w.end;
    if (status == NMRT_OK)
        status = nmrt_indexed_finish(&w, e);
    nmrt_indexed_discard(&w);
    if (status == NMRT_OK)
        fprintf(out->text, "%s.bin, %s.idx: %d sets, %s of %s\n", prefix, prefix, n_from,
                nmrt_bytes(end.bin).s, nmrt_token_type_name(type));
    return status;
}
