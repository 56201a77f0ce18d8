// The tokenizer that a tokenizer.json describes, as huggingface/tokenizers reads it: added tokens
// are found, what is between them is normalized, cut into words, and words become ids. Offsets into
// the text, which that library keeps throughout, are not.
#include "runtime/tokenizer/added.h"
#include "runtime/tokenizer/cut.h"
#include "runtime/tokenizer/fields.h"
#include "runtime/tokenizer/kind.h"
#include "runtime/tokenizer/normalize.h"
#include "runtime/tokenizer/spell.h"
#include "runtime/tokenizer/template.h"

#include <stdlib.h>
#include <string.h>

static const nmrt_word_model_type *const model_types[] = {&nmrt_bpe_type, &nmrt_unigram_type};
enum { N_MODEL_TYPES = sizeof model_types / sizeof *model_types };

typedef struct pipeline {
    nmrt_tokenizer tokenizer;
    nmrt_added added;
    nmrt_normalizer normalizer;
    nmrt_cutter cutter;
    nmrt_word_model *model;
    nmrt_template around;
    nmrt_speller speller;
} pipeline;

// --- encoding ------------------------------------------------------------------------------------

typedef struct scratch {
    nmrt_regex_scratch *regex;
    nmrt_normal_scratch normal;
    nmrt_cut_scratch cut;
    int n_steps; // of the cutter
    nmrt_word_scratch *model;
} scratch;

static void scratch_close(void *opened)
{
    scratch *s = opened;
    nmrt_normal_scratch_release(&s->normal);
    for (int i = 0; i < s->n_steps; i++)
        nmrt_text_release(&s->cut.rewritten[i]);
    free(s->cut.rewritten);
    nmrt_regex_scratch_free(s->regex);
    nmrt_word_scratch_close(s->model);
    free(s);
}

static nmrt_status scratch_open(void **opened, const nmrt_tokenizer *t, nmrt_error *e)
{
    const pipeline *p = (const pipeline *)t;
    scratch *s = calloc(1, sizeof *s);
    if (!s)
        return nmrt_fail(e, NMRT_WORLD, "no memory to encode texts");
    s->n_steps = p->cutter.n;
    s->normal.regex = s->cut.regex = s->regex = nmrt_regex_scratch_new();
    s->cut.rewritten = calloc((size_t)p->cutter.n + 1, sizeof *s->cut.rewritten);
    nmrt_status status = s->regex && s->cut.rewritten
                             ? NMRT_OK
                             : nmrt_fail(e, NMRT_WORLD, "no memory to encode texts");
    if (status == NMRT_OK)
        status = nmrt_word_scratch_open(&s->model, p->model->type, e);
    if (status != NMRT_OK) {
        s->n_steps = s->cut.rewritten ? s->n_steps : 0;
        scratch_close(s);
        return status;
    }
    *opened = s;
    return NMRT_OK;
}

typedef struct encoding {
    const pipeline *p;
    scratch *s;
    nmrt_ids *out;
    nmrt_error *e;
} encoding;

static nmrt_status take_word(void *taker, const char *word, size_t n, nmrt_error *e)
{
    const encoding *x = taker;
    return nmrt_word_encode(x->p->model, x->s->model, word, n, x->out, e);
}

static nmrt_status encode_words(encoding *x, nmrt_normal_text text)
{
    return nmrt_cut(&x->p->cutter, &x->s->cut, (nmrt_cut_text){text.at, text.n, text.first},
                    take_word, x, x->e);
}

// Text between the tokens of one of the two trees.
static nmrt_status encode_between(encoding *x, const nmrt_added_tree *tree, nmrt_normal_text text,
                                  nmrt_status (*encode)(encoding *x, nmrt_normal_text text))
{
    nmrt_added_finder f = {.added = &x->p->added, .tree = tree, .text = text.at, .n = text.n};
    for (;;) {
        nmrt_span s = {text.n, text.n};
        size_t from = f.given;
        const nmrt_added_token *token = nmrt_added_next(&f, &s);
        if (s.from > from)
            NMRT_TRY(encode(
                x, (nmrt_normal_text){text.at + from, s.from - from, text.first && from == 0}));
        if (!token)
            return NMRT_OK;
        nmrt_ids_add(x->out, token->id);
    }
}

static nmrt_status encode_normal(encoding *x, nmrt_normal_text text)
{
    NMRT_TRY(nmrt_normalize(&x->p->normalizer, &x->s->normal, &text, x->e));
    return encode_between(x, &x->p->added.normal, text, encode_words);
}

static nmrt_status encode(const nmrt_tokenizer *t, void *opened, const char *text, size_t n,
                          bool special, nmrt_ids *out, nmrt_error *e)
{
    const pipeline *p = (const pipeline *)t;
    encoding x = {p, opened, out, e};
    if (special)
        nmrt_ids_add_all(out, p->around.before.at, p->around.before.n);
    NMRT_TRY(encode_between(&x, &p->added.raw, (nmrt_normal_text){text, n, true}, encode_normal));
    if (special)
        nmrt_ids_add_all(out, p->around.after.at, p->around.after.n);
    return NMRT_OK;
}

// --- decoding ------------------------------------------------------------------------------------

static nmrt_word_piece find_piece(const pipeline *p, int32_t id, bool skip_special)
{
    const nmrt_added_token *token = nmrt_added_find(&p->added, id);
    if (!token)
        return nmrt_vocabulary_piece(&p->model->vocabulary, id);
    return token->special && skip_special ? (nmrt_word_piece){0} : nmrt_added_piece(&p->added, id);
}

static nmrt_status decode(const nmrt_tokenizer *t, const int32_t *id, int64_t n, bool skip_special,
                          nmrt_text *out, nmrt_error *e)
{
    const pipeline *p = (const pipeline *)t;
    nmrt_pieces pieces = {0};
    for (int64_t i = 0; i < n; i++) {
        nmrt_word_piece piece = find_piece(p, id[i], skip_special);
        if (piece.at)
            nmrt_pieces_add(&pieces, piece.at, piece.n);
    }
    nmrt_status status = nmrt_spell(&p->speller, &pieces, out, e);
    nmrt_pieces_release(&pieces);
    return status;
}

static int64_t find_id(const nmrt_tokenizer *t, const char *piece, size_t n)
{
    const pipeline *p = (const pipeline *)t;
    int64_t id = nmrt_vocabulary_id(&p->added.content, piece, n);
    return id >= 0 ? id : nmrt_vocabulary_id(&p->model->vocabulary, piece, n);
}

// --- opening -------------------------------------------------------------------------------------

static void close_pipeline(nmrt_tokenizer *t)
{
    pipeline *p = (pipeline *)t;
    nmrt_added_release(&p->added);
    nmrt_normalizer_release(&p->normalizer);
    nmrt_cutter_release(&p->cutter);
    nmrt_word_model_close(p->model);
    nmrt_template_release(&p->around);
    nmrt_speller_release(&p->speller);
    free(p);
}

static nmrt_status read_model(pipeline *p, const nm_json *doc, int node, nmrt_error *e)
{
    if (node < 0)
        return nmrt_fail(e, NMRT_CORRUPT, "it is no tokenizer.json: it has no model");
    nmrt_type_name name = nmrt_field_type(doc, node);
    if (strcmp(name.s, "(no type)") == 0 && nm_json_get(doc, node, "merges") >= 0)
        strcpy(name.s, "BPE"); // files of early versions
    for (int i = 0; i < N_MODEL_TYPES; i++)
        if (strcmp(model_types[i]->name, name.s) == 0)
            return nmrt_word_model_open(&p->model, model_types[i], doc, node, e);
    return nmrt_fail(e, NMRT_FOREIGN, "models of the type %s are not supported", name.s);
}

static nmrt_status read_added(pipeline *p, const nm_json *doc, int node, nmrt_error *e)
{
    nmrt_normal_scratch scratch = {.regex = nmrt_regex_scratch_new()};
    if (!scratch.regex)
        return nmrt_fail(e, NMRT_WORLD, "no memory for its added tokens");
    nmrt_status status =
        nmrt_added_read(&p->added, doc, node, p->model, &p->normalizer, &scratch, e);
    nmrt_normal_scratch_release(&scratch);
    nmrt_regex_scratch_free(scratch.regex);
    return status;
}

static nmrt_status refuse(const nm_json *doc, const char *key, nmrt_error *e)
{
    if (nmrt_field_absent(doc, 0, key))
        return NMRT_OK;
    return nmrt_fail(e, NMRT_FOREIGN,
                     "it has %s, which cuts or fills every text; set it to null: a sample's length "
                     "is --seq's",
                     key);
}

static nmrt_status check_ids(const pipeline *p, const nmrt_ids *ids, nmrt_error *e)
{
    for (size_t i = 0; i < ids->n; i++)
        if (ids->at[i] >= p->tokenizer.size)
            return nmrt_fail(e, NMRT_CORRUPT, "post_processor: no token has the id %d", ids->at[i]);
    return NMRT_OK;
}

// A part of the file by its key; a failure names it.
#define READ(key, call)                                                                            \
    do {                                                                                           \
        int node = nm_json_get(doc, 0, key);                                                       \
        nmrt_error why;                                                                            \
        nmrt_status status_ = call;                                                                \
        if (status_ != NMRT_OK)                                                                    \
            return nmrt_fail(e, status_, key ": %s", why.text);                                    \
    } while (0)

static nmrt_status read_parts(pipeline *p, const nm_json *doc, nmrt_error *e)
{
    NMRT_TRY(refuse(doc, "truncation", e));
    NMRT_TRY(refuse(doc, "padding", e));
    READ("model", read_model(p, doc, node, &why));
    READ("normalizer", nmrt_normalizer_read(&p->normalizer, doc, node, &why));
    READ("pre_tokenizer", nmrt_cutter_read(&p->cutter, doc, node, &why));
    READ("post_processor", nmrt_template_read(&p->around, doc, node, &why));
    READ("decoder", nmrt_speller_read(&p->speller, doc, node, &why));
    READ("added_tokens", read_added(p, doc, node, &why));
    p->model->bytes = p->model->type->maps_bytes && nmrt_cutter_leave_bytes(&p->cutter);
    int64_t pieces = p->model->vocabulary.size, added = p->added.content.size;
    p->tokenizer.size = pieces > added ? pieces : added;
    NMRT_TRY(check_ids(p, &p->around.before, e));
    return check_ids(p, &p->around.after, e);
}

static nmrt_status read_text(pipeline *p, const char *text, size_t n, nmrt_error *e)
{
    nm_json doc;
    NMRT_TRY(nmrt_json_parse(&doc, text, n, e));
    nmrt_status status = read_parts(p, &doc, e);
    nm_json_release(&doc);
    return status;
}

nmrt_status nmrt_json_tokenizer_make(nmrt_tokenizer **t, const char *text, size_t n,
                                     const char *name, nmrt_error *e)
{
    static const nmrt_tokenizer_kind kind = {.close = close_pipeline,
                                             .id = find_id,
                                             .scratch_open = scratch_open,
                                             .scratch_close = scratch_close,
                                             .encode = encode,
                                             .decode = decode};
    pipeline *p = calloc(1, sizeof *p);
    nmrt_error why;
    *t = NULL;
    if (!p)
        return nmrt_fail(e, NMRT_WORLD, "no memory for a tokenizer");
    p->tokenizer = (nmrt_tokenizer){.kind = &kind, .eos = -1};
    nmrt_status status = read_text(p, text, n, &why);
    if (status == NMRT_OK) {
        *t = &p->tokenizer;
        return NMRT_OK;
    }
    close_pipeline(&p->tokenizer);
    return nmrt_fail(e, status, "%s: %s", name, why.text);
}

nmrt_status nmrt_json_tokenizer_open(nmrt_tokenizer **t, const char *path, nmrt_error *e)
{
    nmrt_map map;
    NMRT_TRY(nmrt_map_open(&map, path, e));
    nmrt_status status = nmrt_json_tokenizer_make(t, (const char *)map.at, map.n, path, e);
    nmrt_map_close(&map);
    return status;
}
