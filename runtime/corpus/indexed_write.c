// Writing Megatron's indexed data sets. The index starts with all lengths and ends with documents,
// so it can only be made at the end: until then a side file has the lengths as they came, and
// memory stays flat whatever the size of the corpus.
#include "runtime/corpus/indexed.h"

#include "runtime/aside.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

// --- paths ---------------------------------------------------------------------------------------

typedef struct paths {
    char bin[NMRT_PATH], idx[NMRT_PATH], bin_part[NMRT_PATH], idx_part[NMRT_PATH],
        sequences[NMRT_PATH], journal[NMRT_PATH];
} paths;

static nmrt_status name_files(paths *p, const char *prefix, nmrt_error *e)
{
    NMRT_TRY(nmrt_path_append(p->bin, prefix, ".bin", e));
    NMRT_TRY(nmrt_path_append(p->idx, prefix, ".idx", e));
    NMRT_TRY(nmrt_path_append(p->bin_part, prefix, ".bin.part", e));
    NMRT_TRY(nmrt_path_append(p->idx_part, prefix, ".idx.part", e));
    NMRT_TRY(nmrt_path_append(p->sequences, prefix, ".sequences.part", e));
    return nmrt_path_append(p->journal, prefix, ".journal.part", e);
}

// --- a writer ------------------------------------------------------------------------------------

static nmrt_status open_part(int *fd, const char *path, int how, nmrt_error *e)
{
    *fd = open(path, O_RDWR | O_CLOEXEC | how, 0666);
    return *fd < 0 ? nmrt_fail_errno(e, "cannot open %s", path) : NMRT_OK;
}

// The part, cut to its first `bytes`; it must have them.
static nmrt_status cut_part(int fd, int64_t bytes, const char *path, nmrt_error *e)
{
    off_t now = lseek(fd, 0, SEEK_END);
    if (now < bytes)
        return nmrt_fail(e, NMRT_CORRUPT,
                         "%s has %lld bytes, and %lld were written: remove the .part files to "
                         "begin anew",
                         path, (long long)now, (long long)bytes);
    if (ftruncate(fd, (off_t)bytes) || lseek(fd, (off_t)bytes, SEEK_SET) < 0)
        return nmrt_fail_errno(e, "cannot write %s", path);
    return NMRT_OK;
}

static nmrt_status open_parts(nmrt_indexed_writer *w, const char *prefix, nmrt_token_type type,
                              int how, nmrt_error *e)
{
    paths p;
    *w = (nmrt_indexed_writer){.type = type, .bin = -1, .sequences = -1};
    NMRT_TRY(name_files(&p, prefix, e));
    NMRT_TRY(nmrt_path_append(w->prefix, prefix, "", e));
    NMRT_TRY(open_part(&w->bin, p.bin_part, how, e));
    if (flock(w->bin, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK) // some file systems have no locks
        return nmrt_fail(e, NMRT_WORLD, "another process writes %s", p.bin_part);
    return open_part(&w->sequences, p.sequences, how, e);
}

static bool is_empty(int fd) { return lseek(fd, 0, SEEK_END) == 0; }

// Parts with a journal are work that somebody means to go on with; others may be anybody's
// (aside.h). Asked while they are locked.
static nmrt_status check_parts(const nmrt_indexed_writer *w, const paths *p, nmrt_error *e)
{
    if (nmrt_path_exists(p->journal))
        return nmrt_fail(e, NMRT_WORLD,
                         "%s is of a tokenize that was interrupted: give its command to go on, "
                         "with --fresh to begin anew, or write elsewhere",
                         p->journal);
    const char *there = !is_empty(w->bin)               ? p->bin_part
                        : !is_empty(w->sequences)       ? p->sequences
                        : nmrt_path_exists(p->idx_part) ? p->idx_part
                                                        : NULL;
    if (!there)
        return NMRT_OK;
    if (is_empty(w->bin)) // made with this writer
        unlink(p->bin_part);
    if (is_empty(w->sequences))
        unlink(p->sequences);
    return nmrt_aside_refuse(there, e);
}

nmrt_status nmrt_indexed_create(nmrt_indexed_writer *w, const char *prefix, nmrt_token_type type,
                                bool fresh, nmrt_error *e)
{
    paths p;
    *w = (nmrt_indexed_writer){.bin = -1, .sequences = -1};
    NMRT_TRY(name_files(&p, prefix, e));
    if (nmrt_path_exists(p.bin) || nmrt_path_exists(p.idx))
        return nmrt_fail(e, NMRT_WORLD, "%s is there already: remove it, or write elsewhere",
                         nmrt_path_exists(p.bin) ? p.bin : p.idx);
    nmrt_status status = open_parts(w, prefix, type, O_CREAT, e);
    if (status == NMRT_OK && !fresh)
        status = check_parts(w, &p, e);
    if (status == NMRT_OK)
        status = nmrt_indexed_cut(w, (nmrt_indexed_mark){0}, e); // not before they are locked
    if (status != NMRT_OK)
        nmrt_indexed_abandon(w);
    return status;
}

nmrt_status nmrt_indexed_cut(nmrt_indexed_writer *w, nmrt_indexed_mark mark, nmrt_error *e)
{
    paths p;
    NMRT_TRY(name_files(&p, w->prefix, e));
    NMRT_TRY(cut_part(w->bin, mark.bin, p.bin_part, e));
    w->end = mark;
    return cut_part(w->sequences, mark.sequences, p.sequences, e);
}

nmrt_status nmrt_indexed_resume(nmrt_indexed_writer *w, const char *prefix, nmrt_token_type type,
                                nmrt_indexed_mark mark, nmrt_error *e)
{
    nmrt_status status = open_parts(w, prefix, type, 0, e);
    if (status == NMRT_OK)
        status = nmrt_indexed_cut(w, mark, e);
    if (status != NMRT_OK)
        nmrt_indexed_abandon(w);
    return status;
}

nmrt_status nmrt_indexed_append(nmrt_indexed_writer *w, const void *tokens, int64_t bytes,
                                const int32_t *length, int64_t n_lengths, nmrt_error *e)
{
    paths p;
    NMRT_TRY(name_files(&p, w->prefix, e));
    size_t n = (size_t)n_lengths * sizeof *length;
    NMRT_TRY(nmrt_write_all(w->bin, tokens, (size_t)bytes, p.bin_part, e));
    NMRT_TRY(nmrt_write_all(w->sequences, length, n, p.sequences, e));
    w->end.bin += bytes;
    w->end.sequences += (int64_t)n;
    return NMRT_OK;
}

nmrt_status nmrt_indexed_sync(nmrt_indexed_writer *w, nmrt_error *e)
{
    if (fdatasync(w->bin) || fdatasync(w->sequences))
        return nmrt_fail_errno(e, "cannot write %s.bin.part", w->prefix);
    return NMRT_OK;
}

void nmrt_indexed_abandon(nmrt_indexed_writer *w)
{
    if (w->bin >= 0)
        close(w->bin);
    if (w->sequences >= 0)
        close(w->sequences);
    w->bin = w->sequences = -1;
}

void nmrt_indexed_discard(nmrt_indexed_writer *w)
{
    paths p;
    nmrt_error ignored;
    if (w->bin < 0 || name_files(&p, w->prefix, &ignored) != NMRT_OK)
        return;
    unlink(p.idx_part);
    unlink(p.sequences);
    if (!nmrt_path_exists(p.bin))
        unlink(p.idx); // named by a finish that failed behind it
    unlink(p.bin_part);
    nmrt_indexed_abandon(w);
}

// --- the index -----------------------------------------------------------------------------------

typedef struct out { // a file that is written through a buffer; the first failure stays
    int fd;
    const char *path;
    size_t n;
    nmrt_status status;
    nmrt_error *e;
    unsigned char buffer[1 << 16];
} out;

static void flush(out *o)
{
    if (o->status == NMRT_OK)
        o->status = nmrt_write_all(o->fd, o->buffer, o->n, o->path, o->e);
    o->n = 0;
}

static void put(out *o, const void *bytes, size_t n)
{
    if (o->n + n > sizeof o->buffer)
        flush(o);
    memcpy(o->buffer + o->n, bytes, n);
    o->n += n;
}

static void put_i64(out *o, int64_t x) { put(o, &x, sizeof x); }

typedef struct lengths { // the side file: a length a sequence, NMRT_DOCUMENT_END behind documents
    const int32_t *at;
    int64_t n;
} lengths;

static void put_header(out *o, nmrt_token_type type, lengths l)
{
    int64_t ends = 0;
    for (int64_t i = 0; i < l.n; i++)
        ends += l.at[i] == NMRT_DOCUMENT_END;
    unsigned char code = (unsigned char)type;
    put(o, "MMIDIDX\0", 9);
    put_i64(o, 1);
    put(o, &code, 1);
    put_i64(o, l.n - ends);
    put_i64(o, ends + 1);
}

static void put_lengths(out *o, lengths l)
{
    for (int64_t i = 0; i < l.n; i++)
        if (l.at[i] != NMRT_DOCUMENT_END)
            put(o, &l.at[i], sizeof *l.at);
}

static void put_offsets(out *o, nmrt_token_type type, lengths l)
{
    int64_t at = 0, bytes = nmrt_token_type_bytes(type);
    for (int64_t i = 0; i < l.n; i++) {
        if (l.at[i] == NMRT_DOCUMENT_END)
            continue;
        put_i64(o, at);
        at += l.at[i] * bytes;
    }
}

static void put_documents(out *o, lengths l)
{
    int64_t sequences = 0;
    put_i64(o, 0);
    for (int64_t i = 0; i < l.n; i++)
        if (l.at[i] == NMRT_DOCUMENT_END)
            put_i64(o, sequences);
        else
            sequences++;
}

static nmrt_status write_index(const nmrt_indexed_writer *w, const paths *p, nmrt_error *e)
{
    nmrt_map map;
    out o = {.path = p->idx_part, .e = e};
    NMRT_TRY(open_part(&o.fd, p->idx_part, O_CREAT | O_TRUNC, e));
    o.status = nmrt_map_open(&map, p->sequences, e);
    if (o.status == NMRT_OK) {
        lengths l = {(const int32_t *)(const void *)map.at, (int64_t)map.n / 4};
        put_header(&o, w->type, l);
        put_lengths(&o, l);
        put_offsets(&o, w->type, l);
        put_documents(&o, l);
        flush(&o);
        nmrt_map_close(&map);
    }
    if (o.status == NMRT_OK && fsync(o.fd))
        o.status = nmrt_fail_errno(e, "cannot write %s", p->idx_part);
    if (close(o.fd) && o.status == NMRT_OK)
        o.status = nmrt_fail_errno(e, "cannot write %s", p->idx_part);
    return o.status;
}

nmrt_status nmrt_indexed_finish(nmrt_indexed_writer *w, nmrt_error *e)
{
    paths p;
    NMRT_TRY(name_files(&p, w->prefix, e));
    NMRT_TRY(nmrt_indexed_sync(w, e));
    NMRT_TRY(write_index(w, &p, e));
    NMRT_TRY(nmrt_aside_place(p.idx_part, p.idx, e)); // before .bin, which says that all is done
    NMRT_TRY(nmrt_aside_place(p.bin_part, p.bin, e));
    nmrt_indexed_abandon(w);
    return nmrt_indexed_clean(w->prefix, e);
}

nmrt_status nmrt_indexed_is_finished(const char *prefix, nmrt_indexed_mark end, bool *finished,
                                     nmrt_error *e)
{
    paths p;
    nmrt_indexed set;
    NMRT_TRY(name_files(&p, prefix, e));
    *finished = nmrt_path_exists(p.bin);
    if (!*finished)
        return NMRT_OK;
    NMRT_TRY(nmrt_indexed_open(&set, prefix, e));
    int64_t lengths = (set.n_sequences + set.n_documents) * (int64_t)sizeof(int32_t);
    bool same = (int64_t)set.bin.n == end.bin && lengths == end.sequences;
    nmrt_indexed_close(&set);
    if (same && !nmrt_path_exists(p.bin_part))
        return NMRT_OK;
    return nmrt_fail(e, NMRT_WORLD,
                     "%s is there already, and is not what %s tells of: remove it to go on, or "
                     "write elsewhere",
                     p.bin, p.journal);
}

nmrt_status nmrt_indexed_clean(const char *prefix, nmrt_error *e)
{
    paths p;
    NMRT_TRY(name_files(&p, prefix, e));
    if (unlink(p.sequences) && errno != ENOENT)
        return nmrt_fail_errno(e, "cannot remove %s", p.sequences);
    return NMRT_OK;
}
