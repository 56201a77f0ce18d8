// The kind of tokenizer that a SentencePiece .model is: SentencePiece's own library decides all
// that is decided here (src/sentencepiece_processor.cc). Nothing is put around a text: what a model
// begins with (<s>) its caller knows.
#include "runtime/tokenizer/kind.h"
#include "runtime/tokenizer/spm_cut.h"
#include "runtime/tokenizer/spm_rewrite.h"
#include "runtime/tokenizer/utf8.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct spm {
    nmrt_tokenizer base; // first
    nmrt_spm_model m;
    double *score; // [pieces], of a unigram model
} spm;

static spm *spm_of(const nmrt_tokenizer *t) { return (spm *)t; }

// --- encoding ------------------------------------------------------------------------------------

static nmrt_status cut_unigram(const spm *t, nmrt_spm_scratch *s, nmrt_spm_sink *sink,
                               nmrt_error *e)
{
    nmrt_unigram u = {
        .trie = &t->m.trie,
        .score = t->score,
        .unknown = t->m.unknown,
        .unknown_score = t->m.least - 10.0f,
        .singly = true,
    };
    NMRT_TRY(nmrt_unigram_cut(&u, s->text.at, s->text.n, &s->path, e));
    const char *at = s->text.at;
    for (size_t i = 0; i < s->path.n_step; at += s->path.step[i++].n)
        nmrt_spm_sink_add(sink, s->path.step[i].piece, at, (size_t)s->path.step[i].n);
    return NMRT_OK;
}

static nmrt_status encode(const nmrt_tokenizer *t, void *scratch, const char *text, size_t n,
                          bool special, nmrt_ids *out, nmrt_error *e)
{
    const nmrt_spm_model *m = &spm_of(t)->m;
    nmrt_spm_scratch *s = scratch;
    nmrt_spm_sink sink = {.m = m, .out = out};
    (void)special;
    s->text.n = 0;
    nmrt_spm_rewrite(&m->before, &m->user, text, n, &s->text);
    if (!s->text.failed && s->text.n > INT32_MAX)
        return nmrt_fail(e, NMRT_USAGE,
                         "a text of %zu bytes is too long for SentencePiece (2 GiB at most); split "
                         "it into documents",
                         n);
    if (!s->text.failed && s->text.n && m->unigram)
        NMRT_TRY(cut_unigram(spm_of(t), s, &sink, e));
    else if (!s->text.failed && s->text.n)
        nmrt_spm_bpe_cut(s, s->text.at, s->text.n, &sink);
    if (s->text.failed || s->failed)
        return nmrt_fail(e, NMRT_WORLD, "no memory to encode a text of %zu bytes", n);
    return NMRT_OK;
}

static nmrt_status scratch_open(void **scratch, const nmrt_tokenizer *t, nmrt_error *e)
{
    nmrt_spm_scratch *s = calloc(1, sizeof *s);
    bool keeps = !spm_of(t)->m.unigram; // a unigram model cuts no words apart
    *scratch = s;
    if (s && keeps)
        s->words = nmrt_words_new();
    if (s && (s->words || !keeps))
        return NMRT_OK;
    free(s);
    return nmrt_fail(e, NMRT_WORLD, "no memory to encode texts");
}

static void scratch_close(void *scratch)
{
    nmrt_spm_scratch_release(scratch);
    free(scratch);
}

// --- decoding ------------------------------------------------------------------------------------

typedef struct reading { // of ids, one by one
    const nmrt_spm_model *m;
    nmrt_text *out;
    size_t start;     // of out: where the text begins
    nmrt_text bytes;  // of byte pieces that are not characters yet
    bool prefix_gone; // the space that encoding put before the text has been taken off
} reading;

// Byte pieces as characters; a byte that is in none, as U+FFFD.
static void read_bytes(reading *r)
{
    for (size_t at = 0; at < r->bytes.n;) {
        int length;
        if (nmrt_utf8_get(r->bytes.at + at, r->bytes.n - at, &length) < 0) {
            nmrt_text_add_bytes(r->out, "\xEF\xBF\xBD", 3);
            at++;
            continue;
        }
        nmrt_text_add_bytes(r->out, r->bytes.at + at, (size_t)length);
        at += (size_t)length;
    }
    r->bytes.n = 0;
}

static void read_spaces(reading *r, const char *text, size_t n)
{
    for (size_t i = 0; i < n;) {
        bool space = n - i >= 3 && memcmp(text + i, NMRT_SPM_SPACE, 3) == 0;
        nmrt_text_add_bytes(r->out, space ? " " : text + i, 1);
        i += space ? 3 : 1;
    }
}

static void read_piece(reading *r, int32_t id)
{
    const nmrt_spm_piece *p = &r->m->piece[id];
    const nmrt_spm_rewriting *w = &r->m->before;
    if (p->type == NMRT_SPM_UNKNOWN)
        nmrt_text_add_bytes(r->out, r->m->unknown_text.text, r->m->unknown_text.n);
    if (p->type == NMRT_SPM_UNKNOWN || p->type == NMRT_SPM_CONTROL)
        return;
    const char *text = p->text;
    size_t n = p->n;
    bool at_start = r->out->n == r->start && !r->prefix_gone;
    if (at_start && (w->dummy_prefix || w->remove_extra_spaces) && n >= 3 &&
        memcmp(text, NMRT_SPM_SPACE, 3) == 0) {
        text += 3;
        n -= 3;
        r->prefix_gone = !w->remove_extra_spaces; // else all that the text begins with go
    }
    read_spaces(r, text, n);
}

static void read_ids(reading *r, const int32_t *id, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        if (id[i] < 0 || id[i] >= r->m->n)
            continue;
        const nmrt_spm_piece *p = &r->m->piece[id[i]];
        if (p->type == NMRT_SPM_BYTE) {
            unsigned char byte = (unsigned char)nmrt_spm_byte_of(p);
            nmrt_text_add_bytes(&r->bytes, &byte, 1);
            continue;
        }
        read_bytes(r);
        read_piece(r, id[i]);
    }
    read_bytes(r);
}

static nmrt_status decode(const nmrt_tokenizer *t, const int32_t *id, int64_t n, bool skip_special,
                          nmrt_text *out, nmrt_error *e)
{
    const nmrt_spm_model *m = &spm_of(t)->m;
    bool rewrite = m->after.charsmap.n_unit > 0;
    nmrt_text plain = {0};
    reading r = {.m = m, .out = rewrite ? &plain : out, .start = rewrite ? 0 : out->n};
    (void)skip_special; // control pieces have no text
    read_ids(&r, id, n);
    if (rewrite)
        nmrt_spm_rewrite(&m->after, NULL, plain.at, plain.n, out);
    out->failed |= plain.failed || r.bytes.failed;
    nmrt_text_release(&plain);
    nmrt_text_release(&r.bytes);
    (void)e;
    return NMRT_OK;
}

// --- opening -------------------------------------------------------------------------------------

static int64_t find_id(const nmrt_tokenizer *t, const char *piece, size_t n)
{
    return nmrt_spm_model_find(&spm_of(t)->m, piece, n);
}

static void close_spm(nmrt_tokenizer *t)
{
    spm *s = spm_of(t);
    nmrt_spm_model_release(&s->m);
    free(s->score);
    free(s);
}

static int64_t control(const nmrt_spm_model *m, nmrt_spm_name name)
{
    int32_t id = nmrt_spm_model_find(m, name.text, name.n);
    return id >= 0 && m->piece[id].type == NMRT_SPM_CONTROL ? id : -1;
}

// A user-defined piece counts more than any way to cut its text otherwise.
static nmrt_status take_scores(spm *s, nmrt_error *e)
{
    const nmrt_spm_model *m = &s->m;
    s->score = malloc((size_t)m->n * sizeof *s->score);
    if (!s->score)
        return nmrt_fail(e, NMRT_WORLD, "no memory for the scores of a tokenizer");
    for (int32_t i = 0; i < m->n; i++) {
        const nmrt_spm_piece *p = &m->piece[i];
        s->score[i] = p->type == NMRT_SPM_NORMAL ? (double)p->score
                      : p->type == NMRT_SPM_USER ? 0.1f * (float)(p->n - 1)
                                                 : -INFINITY;
    }
    return NMRT_OK;
}

static nmrt_status open_bytes(spm *s, const void *bytes, size_t n, const char *name, nmrt_error *e)
{
    static const nmrt_tokenizer_kind kind = {.close = close_spm,
                                             .id = find_id,
                                             .scratch_open = scratch_open,
                                             .scratch_close = scratch_close,
                                             .encode = encode,
                                             .decode = decode,
                                             .takes_bytes = true};
    NMRT_TRY(nmrt_spm_model_read(&s->m, bytes, n, name, e));
    s->base = (nmrt_tokenizer){.kind = &kind, .size = s->m.n};
    s->base.eos = control(&s->m, s->m.eos);
    return s->m.unigram ? take_scores(s, e) : NMRT_OK;
}

nmrt_status nmrt_spm_tokenizer_make(nmrt_tokenizer **t, const void *bytes, size_t n,
                                    const char *name, nmrt_error *e)
{
    spm *s = calloc(1, sizeof *s);
    *t = NULL;
    if (!s)
        return nmrt_fail(e, NMRT_WORLD, "no memory for a tokenizer");
    nmrt_status status = open_bytes(s, bytes, n, name, e);
    if (status == NMRT_OK)
        *t = &s->base;
    else
        close_spm(&s->base);
    return status;
}

nmrt_status nmrt_spm_tokenizer_open(nmrt_tokenizer **t, const char *path, nmrt_error *e)
{
    nmrt_map map;
    *t = NULL;
    NMRT_TRY(nmrt_map_open(&map, path, e));
    nmrt_status status = nmrt_spm_tokenizer_make(t, map.at, map.n, path, e);
    nmrt_map_close(&map);
    return status;
}
