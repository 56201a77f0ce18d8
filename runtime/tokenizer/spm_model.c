// Reads a SentencePiece .model. Pass one goes over the messages and takes what it knows, as
// protocol buffers are read: of a value that is there twice the last counts, unknown fields are
// skipped. Then what has been read is checked as a whole.
#include "runtime/tokenizer/spm_model.h"

#include "runtime/tokenizer/protobuf.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

// Fields by their numbers in sentencepiece_model.proto.
enum { MODEL_PIECE = 1, MODEL_TRAINER = 2, MODEL_NORMALIZER = 3, MODEL_DENORMALIZER = 5 };
enum { PIECE_TEXT = 1, PIECE_SCORE = 2, PIECE_TYPE = 3 };
enum {
    TRAINER_ALGORITHM = 3,
    TRAINER_SPACE_BEHIND = 24,
    TRAINER_BYTE_FALLBACK = 35,
    TRAINER_UNKNOWN_TEXT = 44,
    TRAINER_EOS = 47,
};
enum { NORMALIZER_CHARSMAP = 2, NORMALIZER_PREFIX, NORMALIZER_REMOVE, NORMALIZER_ESCAPE };
enum { ALGORITHM_UNIGRAM = 1, ALGORITHM_BPE = 2 };

typedef struct reader {
    nmrt_spm_model *m;
    uint64_t algorithm;
    int32_t cap; // of m->piece
    const char *name;
    nmrt_error *e;
} reader;

static nmrt_status bad_message(const reader *r, const nmrt_protobuf *message, const char *what)
{
    return nmrt_fail(r->e, NMRT_CORRUPT,
                     "%s is no SentencePiece model: byte %td, in its %s, is not what a protocol "
                     "buffer goes on with; is the file whole?",
                     r->name, message->at - (const unsigned char *)r->m->bytes, what);
}

static nmrt_status add_piece(reader *r, nmrt_spm_piece **piece)
{
    nmrt_spm_model *m = r->m;
    if (m->n == r->cap) {
        int32_t cap = r->cap ? r->cap * 2 : 1024; // a piece takes bytes of the file: no overflow
        nmrt_spm_piece *grown = realloc(m->piece, (size_t)cap * sizeof *grown);
        if (!grown)
            return nmrt_fail(r->e, NMRT_WORLD, "no memory for the pieces of %s", r->name);
        m->piece = grown;
        r->cap = cap;
    }
    *piece = &m->piece[m->n++];
    **piece = (nmrt_spm_piece){.text = m->bytes, .type = NMRT_SPM_NORMAL};
    return NMRT_OK;
}

static float float_of(uint64_t bits)
{
    uint32_t low = (uint32_t)bits;
    float x;
    memcpy(&x, &low, 4);
    return x;
}

static nmrt_status read_piece(reader *r, nmrt_protobuf message)
{
    nmrt_protobuf_field f;
    nmrt_spm_piece *p;
    NMRT_TRY(add_piece(r, &p));
    uint64_t type = NMRT_SPM_NORMAL;
    while (nmrt_protobuf_next(&message, &f))
        if (f.number == PIECE_TEXT && f.wire == NMRT_PROTOBUF_BYTES) {
            p->text = (const char *)f.bytes;
            p->n = (uint32_t)f.n;
        } else if (f.number == PIECE_SCORE && f.wire == NMRT_PROTOBUF_FIXED32)
            p->score = float_of(f.value);
        else if (f.number == PIECE_TYPE && f.wire == NMRT_PROTOBUF_VARINT)
            type = f.value;
    if (message.damaged)
        return bad_message(r, &message, "list of pieces");
    if (type < NMRT_SPM_NORMAL || type > NMRT_SPM_BYTE)
        return nmrt_fail(r->e, NMRT_FOREIGN,
                         "%s: piece %d is of type %llu, which nemocc does not know", r->name,
                         r->m->n - 1, (unsigned long long)type);
    p->type = (nmrt_spm_type)type;
    return NMRT_OK;
}

static nmrt_spm_name name_of(const nmrt_protobuf_field *f)
{
    return (nmrt_spm_name){(const char *)f->bytes, f->n};
}

static nmrt_status read_trainer(reader *r, nmrt_protobuf message)
{
    nmrt_protobuf_field f;
    nmrt_spm_model *m = r->m;
    while (nmrt_protobuf_next(&message, &f)) {
        bool number = f.wire == NMRT_PROTOBUF_VARINT, text = f.wire == NMRT_PROTOBUF_BYTES;
        switch (f.number) {
        case TRAINER_ALGORITHM:
            if (number)
                r->algorithm = f.value;
            break;
        case TRAINER_SPACE_BEHIND:
            if (number)
                m->before.space_behind = f.value != 0;
            break;
        case TRAINER_BYTE_FALLBACK:
            if (number)
                m->byte_fallback = f.value != 0;
            break;
        case TRAINER_UNKNOWN_TEXT:
            if (text)
                m->unknown_text = name_of(&f);
            break;
        case TRAINER_EOS:
            if (text && f.n)
                m->eos = name_of(&f);
            break;
        }
    }
    return message.damaged ? bad_message(r, &message, "trainer_spec") : NMRT_OK;
}

static nmrt_status read_charsmap(reader *r, nmrt_spm_rewriting *w, const nmrt_protobuf_field *f)
{
    nmrt_error why;
    nmrt_charsmap_release(&w->charsmap);
    nmrt_status status = nmrt_charsmap_open(&w->charsmap, f->bytes, f->n, &why);
    if (status != NMRT_OK)
        return nmrt_fail(r->e, status, "%s: its precompiled_charsmap: %s", r->name, why.text);
    return NMRT_OK;
}

static nmrt_status read_rewriting(reader *r, nmrt_spm_rewriting *w, nmrt_protobuf message)
{
    nmrt_protobuf_field f;
    w->there = true;
    while (nmrt_protobuf_next(&message, &f)) {
        bool number = f.wire == NMRT_PROTOBUF_VARINT;
        if (f.number == NORMALIZER_CHARSMAP && f.wire == NMRT_PROTOBUF_BYTES)
            NMRT_TRY(read_charsmap(r, w, &f));
        else if (f.number == NORMALIZER_PREFIX && number)
            w->dummy_prefix = f.value != 0;
        else if (f.number == NORMALIZER_REMOVE && number)
            w->remove_extra_spaces = f.value != 0;
        else if (f.number == NORMALIZER_ESCAPE && number)
            w->escape_spaces = f.value != 0;
    }
    return message.damaged ? bad_message(r, &message, "normalizer_spec") : NMRT_OK;
}

static nmrt_status read_field(reader *r, const nmrt_protobuf_field *f)
{
    if (f->wire != NMRT_PROTOBUF_BYTES)
        return NMRT_OK;
    nmrt_protobuf inside = nmrt_protobuf_inside(f);
    switch (f->number) {
    case MODEL_PIECE: return read_piece(r, inside);
    case MODEL_TRAINER: return read_trainer(r, inside);
    case MODEL_NORMALIZER: return read_rewriting(r, &r->m->before, inside);
    case MODEL_DENORMALIZER: return read_rewriting(r, &r->m->after, inside);
    }
    return NMRT_OK;
}

static nmrt_status read_model(reader *r, size_t n)
{
    const unsigned char *bytes = (const unsigned char *)r->m->bytes;
    nmrt_protobuf message = {.at = bytes, .end = bytes + n};
    nmrt_protobuf_field f;
    while (nmrt_protobuf_next(&message, &f))
        NMRT_TRY(read_field(r, &f));
    if (message.damaged)
        return bad_message(r, &message, "outermost message");
    if (!r->m->n)
        return nmrt_fail(r->e, NMRT_CORRUPT, "%s is no SentencePiece model: it has no pieces",
                         r->name);
    if (r->algorithm != ALGORITHM_UNIGRAM && r->algorithm != ALGORITHM_BPE)
        return nmrt_fail(r->e, NMRT_FOREIGN,
                         "%s cuts texts by the SentencePiece model type %llu (3 is word, 4 char); "
                         "nemocc knows 1 (unigram) and 2 (bpe)",
                         r->name, (unsigned long long)r->algorithm);
    r->m->unigram = r->algorithm == ALGORITHM_UNIGRAM;
    return NMRT_OK;
}

// tiktoken's files, which Llama 3 was first given with under this name: "IQ== 0\n", base64 and
// ranks.
static bool is_list_of_ranks(const char *text, size_t n)
{
    size_t at = 0, digits = 0;
    while (at < n && at < 64 && text[at] > ' ' && text[at] < 0x7F)
        at++;
    bool spaced = at > 0 && at < n && text[at] == ' ';
    while (spaced && at + 1 + digits < n && text[at + 1 + digits] >= '0' &&
           text[at + 1 + digits] <= '9')
        digits++;
    return digits > 0 && at + 1 + digits < n && text[at + 1 + digits] == '\n';
}

nmrt_status nmrt_spm_model_read(nmrt_spm_model *m, const void *bytes, size_t n, const char *name,
                                nmrt_error *e)
{
    *m = (nmrt_spm_model){
        .unknown_text = {" \xE2\x81\x87 ", 5},
        .eos = {"</s>", 4},
        .before = {.dummy_prefix = true, .remove_extra_spaces = true, .escape_spaces = true},
        .after = {.dummy_prefix = true, .remove_extra_spaces = true, .escape_spaces = true},
    };
    reader r = {.m = m, .algorithm = ALGORITHM_UNIGRAM, .name = name, .e = e};
    if (is_list_of_ranks(bytes, n))
        return nmrt_fail(
            e, NMRT_FOREIGN,
            "%s is no SentencePiece model but tiktoken's list of ranks, which does not "
            "say how texts are cut into words: give the model's tokenizer.json",
            name);
    if (n > INT32_MAX)
        return nmrt_fail(e, NMRT_CORRUPT, "%s is no SentencePiece model: it has %zu bytes", name,
                         n);
    m->bytes = malloc(n + 1);
    if (!m->bytes)
        return nmrt_fail(e, NMRT_WORLD, "no memory for %s", name);
    memcpy(m->bytes, bytes, n);
    nmrt_status status = read_model(&r, n);
    if (status == NMRT_OK)
        status = nmrt_spm_model_check(m, name, e);
    if (status != NMRT_OK)
        nmrt_spm_model_release(m);
    return status;
}

void nmrt_spm_model_release(nmrt_spm_model *m)
{
    nmrt_charsmap_release(&m->before.charsmap);
    nmrt_charsmap_release(&m->after.charsmap);
    nmrt_trie_release(&m->trie);
    nmrt_trie_release(&m->user);
    free(m->piece);
    free(m->bytes);
    *m = (nmrt_spm_model){0};
}

int32_t nmrt_spm_model_find(const nmrt_spm_model *m, const char *text, size_t n)
{
    return nmrt_trie_find(&m->trie, text, n);
}
