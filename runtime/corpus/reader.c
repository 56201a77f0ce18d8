// Reading a corpus by chunks. A file is read in blocks; a chunk is all that was read up to the last
// end of a document, and what stands behind that is kept for the next.
#define _GNU_SOURCE // memrchr
#include "runtime/corpus/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// --- rules ---------------------------------------------------------------------------------------

nmrt_documents_rule nmrt_documents_rule_find(const char *name)
{
    static const char *const names[] = {"auto", "jsonl", "lines", "paragraphs", "file"};
    for (int i = 0; i < 5; i++)
        if (strcmp(name, names[i]) == 0)
            return (nmrt_documents_rule)i;
    return NMRT_DOCUMENTS_AUTO;
}

// Standard input, also where a file is called so.
static bool is_standard(const char *path) { return strcmp(path, "-") == 0; }

static bool ends_in(const char *path, const char *suffix)
{
    size_t n = strlen(path), k = strlen(suffix);
    return n >= k && strcmp(path + n - k, suffix) == 0;
}

nmrt_documents_rule nmrt_documents_rule_of(const char *path)
{
    bool jsonl = is_standard(path) || ends_in(path, ".jsonl") || ends_in(path, ".ndjson") ||
                 ends_in(path, ".json");
    return jsonl ? NMRT_DOCUMENTS_JSONL : NMRT_DOCUMENTS_FILE;
}

// --- where documents end -------------------------------------------------------------------------

static bool is_blank(const char *line, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (line[i] != ' ' && line[i] != '\t' && line[i] != '\r')
            return false;
    return true;
}

// How much of the text is whole lines.
static size_t cut_lines(const char *text, size_t n)
{
    const char *last = n ? memrchr(text, '\n', n) : NULL;
    return last ? (size_t)(last - text) + 1 : 0;
}

// How much of the text is whole paragraphs: up to behind the last blank line.
static size_t cut_paragraphs(const char *text, size_t n)
{
    for (size_t end = cut_lines(text, n); end;) {
        size_t begin = cut_lines(text, end - 1);
        if (is_blank(text + begin, end - 1 - begin))
            return end;
        end = begin;
    }
    return 0;
}

static size_t cut(nmrt_documents_rule rule, const char *text, size_t n)
{
    return rule == NMRT_DOCUMENTS_FILE         ? 0
           : rule == NMRT_DOCUMENTS_PARAGRAPHS ? cut_paragraphs(text, n)
                                               : cut_lines(text, n);
}

static int64_t count_lines(const char *text, size_t n)
{
    int64_t lines = 0;
    for (const char *at = text, *end = text + n; n && (at = memchr(at, '\n', (size_t)(end - at)));
         at++)
        lines++;
    return lines;
}

// --- files ---------------------------------------------------------------------------------------

int64_t nmrt_corpus_total(const char *const *path, int n_paths)
{
    int64_t total = 0;
    for (int i = 0; i < n_paths; i++) {
        struct stat st;
        if (is_standard(path[i]) || stat(path[i], &st) || !S_ISREG(st.st_mode))
            return -1;
        total += st.st_size;
    }
    return total;
}

static const char *path_of(const nmrt_corpus *r) { return r->path[r->at.file]; }

// Compressed texts would be read as nonsense.
static nmrt_status check_start(const nmrt_corpus *r, nmrt_error *e)
{
    const char *tool = NULL;
    if (r->rest.n >= 2 && memcmp(r->rest.at, "\x1f\x8b", 2) == 0)
        tool = "zcat";
    else if (r->rest.n >= 4 && memcmp(r->rest.at, "\x28\xb5\x2f\xfd", 4) == 0)
        tool = "zstdcat";
    if (!tool || r->at.byte)
        return NMRT_OK;
    return nmrt_fail(e, NMRT_FOREIGN, "%s is compressed: give what `%s %s` writes, by a pipe to -",
                     path_of(r), tool, path_of(r));
}

// Appends up to `most` bytes to r->rest.
static nmrt_status read_block(nmrt_corpus *r, size_t most, nmrt_error *e)
{
    enum { BLOCK = 1 << 18 };
    char block[BLOCK];
    ssize_t n;
    do
        n = read(r->fd, block, most < sizeof block ? most : sizeof block);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return nmrt_fail_errno(e, "cannot read %s", path_of(r));
    r->ended = n == 0;
    nmrt_text_add_bytes(&r->rest, block, (size_t)n);
    if (r->rest.failed)
        return nmrt_fail(e, NMRT_WORLD, "no memory for a document of %s, from line %lld on",
                         path_of(r), (long long)r->at.line + 1);
    return check_start(r, e);
}

// To where r->at.byte is.
static nmrt_status skip_bytes(nmrt_corpus *r, nmrt_error *e)
{
    if (!r->at.byte || lseek(r->fd, (off_t)r->at.byte, SEEK_SET) == r->at.byte)
        return NMRT_OK;
    return nmrt_fail(e, NMRT_WORLD, "cannot go on in %s, which is no plain file", path_of(r));
}

static nmrt_status open_file(nmrt_corpus *r, nmrt_error *e)
{
    r->fd = is_standard(path_of(r)) ? dup(STDIN_FILENO) : open(path_of(r), O_RDONLY | O_CLOEXEC);
    if (r->fd < 0)
        return nmrt_fail_errno(e, "cannot open %s", path_of(r));
    r->ended = false;
    r->rest.n = 0;
    return skip_bytes(r, e);
}

static void next_file(nmrt_corpus *r)
{
    close(r->fd);
    r->fd = -1;
    r->at = (nmrt_place){.file = r->at.file + 1};
}

nmrt_status nmrt_corpus_open(nmrt_corpus *r, const char *const *path, int n_paths,
                             nmrt_documents_rule rule, nmrt_place from, nmrt_error *e)
{
    *r = (nmrt_corpus){.path = path,
                       .n_paths = n_paths,
                       .rule = rule,
                       .chunk_bytes = NMRT_CHUNK_BYTES,
                       .at = from,
                       .fd = -1};
    for (int i = 0; i < n_paths; i++)
        if (!is_standard(path[i]) && access(path[i], R_OK))
            return nmrt_fail_errno(e, "cannot open %s", path[i]);
    return NMRT_OK;
}

void nmrt_corpus_close(nmrt_corpus *r)
{
    if (r->fd >= 0)
        close(r->fd);
    r->fd = -1;
    nmrt_text_release(&r->rest);
}

void nmrt_chunk_release(nmrt_chunk *chunk) { nmrt_text_release(&chunk->text); }

// --- chunks --------------------------------------------------------------------------------------

static nmrt_status too_long(const nmrt_corpus *r, nmrt_documents_rule rule, nmrt_error *e)
{
    return nmrt_fail(e, NMRT_CORRUPT, "%s:%lld: a document of more than %s begins here%s",
                     path_of(r), (long long)r->at.line + 1, nmrt_bytes(NMRT_DOCUMENT_BYTES).s,
                     rule == NMRT_DOCUMENTS_FILE
                         ? "; --documents lines or paragraphs cuts files into more"
                         : "");
}

// Reads until there is something to give: *n bytes of r->rest; 0: the file has no more.
static nmrt_status fill(nmrt_corpus *r, nmrt_documents_rule rule, size_t *n, nmrt_error *e)
{
    *n = 0;
    for (size_t want = r->chunk_bytes; !*n; want = 2 * r->rest.n) {
        while (!r->ended && r->rest.n < want)
            NMRT_TRY(read_block(r, want - r->rest.n, e));
        *n = r->ended ? r->rest.n : cut(rule, r->rest.at, r->rest.n);
        if (r->ended)
            break;
        if (!*n && r->rest.n > NMRT_DOCUMENT_BYTES)
            return too_long(r, rule, e);
    }
    return NMRT_OK;
}

static nmrt_status give(nmrt_corpus *r, nmrt_chunk *chunk, size_t n, nmrt_error *e)
{
    chunk->text.n = 0;
    chunk->path = path_of(r);
    chunk->from = r->at;
    nmrt_text whole = r->rest; // given without a copy; what stands behind the cut is copied
    r->rest = chunk->text;
    nmrt_text_add_bytes(&r->rest, whole.at + n, whole.n - n);
    chunk->text = whole;
    chunk->text.n = n;
    if (r->rest.failed)
        return nmrt_fail(e, NMRT_WORLD, "no memory for a part of %s", path_of(r));
    r->at.byte += (int64_t)n;
    r->at.line += count_lines(chunk->text.at, n);
    chunk->to = r->at;
    return NMRT_OK;
}

nmrt_status nmrt_corpus_next(nmrt_corpus *r, nmrt_chunk *chunk, bool *end, nmrt_error *e)
{
    for (*end = false; r->at.file < r->n_paths; next_file(r)) {
        size_t n;
        if (r->fd < 0)
            NMRT_TRY(open_file(r, e));
        chunk->rule = r->rule ? r->rule : nmrt_documents_rule_of(path_of(r));
        NMRT_TRY(fill(r, chunk->rule, &n, e));
        if (n)
            return give(r, chunk, n, e);
    }
    *end = true;
    return NMRT_OK;
}

// --- documents -----------------------------------------------------------------------------------

// The line that begins at `at`, without its end. False: there is none.
static bool next_line(nmrt_documents *d, const char **line, size_t *n)
{
    const nmrt_text *text = &d->chunk->text;
    if (d->at >= text->n)
        return false;
    *line = text->at + d->at;
    const char *end = memchr(*line, '\n', text->n - d->at);
    *n = end ? (size_t)(end - *line) : text->n - d->at;
    d->at += *n + (end != NULL);
    d->lines++;
    return true;
}

static size_t without_return(const char *line, size_t n)
{
    return n && line[n - 1] == '\r' ? n - 1 : n;
}

static bool next_paragraph(nmrt_documents *d, nmrt_document *document)
{
    const char *line;
    size_t n;
    *document = (nmrt_document){0};
    while (next_line(d, &line, &n)) {
        bool blank = is_blank(line, n);
        if (blank && document->text)
            break;
        if (blank)
            continue;
        if (!document->text)
            *document = (nmrt_document){line, 0, d->chunk->from.line + d->lines};
        document->n = (size_t)(line - document->text) + without_return(line, n);
    }
    return document->text != NULL;
}

bool nmrt_documents_next(nmrt_documents *d, nmrt_document *document)
{
    const nmrt_chunk *chunk = d->chunk;
    if (chunk->rule == NMRT_DOCUMENTS_PARAGRAPHS)
        return next_paragraph(d, document);
    if (chunk->rule == NMRT_DOCUMENTS_FILE) {
        *document = (nmrt_document){chunk->text.at, chunk->text.n, 1};
        bool first = !d->at;
        d->at = chunk->text.n;
        return first;
    }
    const char *line;
    size_t n;
    while (next_line(d, &line, &n))
        if (!is_blank(line, n)) {
            *document = (nmrt_document){line, without_return(line, n), chunk->from.line + d->lines};
            return true;
        }
    return false;
}
