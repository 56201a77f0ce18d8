// Normalizers of a tokenizer.json: the table of types, and lists of them.
#include "runtime/tokenizer/normalize.h"

#include "runtime/tokenizer/byte_level.h"
#include "runtime/tokenizer/fields.h"
#include "runtime/tokenizer/precompiled.h"
#include "runtime/tokenizer/utf8.h"

#include <stdlib.h>
#include <string.h>

// --- the types -----------------------------------------------------------------------------------

static nmrt_status read_prepend(nmrt_normal_step *s, const nm_json *doc, int node, nmrt_error *e)
{
    return nmrt_field_text(doc, node, "prepend", &s->content, e);
}

static nmrt_status prepend(const nmrt_normal_step *s, nmrt_regex_scratch *regex,
                           nmrt_normal_text *text, nmrt_text *out, nmrt_error *e)
{
    (void)regex, (void)e;
    nmrt_text_add_bytes(out, s->content.at, s->content.n);
    nmrt_text_add_bytes(out, text->at, text->n);
    return NMRT_OK;
}

static nmrt_status read_replace(nmrt_normal_step *s, const nm_json *doc, int node, nmrt_error *e)
{
    NMRT_TRY(nmrt_pattern_read(&s->pattern, doc, node, "pattern", e));
    return nmrt_field_text(doc, node, "content", &s->content, e);
}

static nmrt_status replace(const nmrt_normal_step *s, nmrt_regex_scratch *regex,
                           nmrt_normal_text *text, nmrt_text *out, nmrt_error *e)
{
    nmrt_finder f = {.pattern = &s->pattern, .scratch = regex, .text = text->at, .n = text->n};
    size_t from = 0;
    for (;;) {
        nmrt_span match;
        bool found;
        NMRT_TRY(nmrt_finder_next(&f, &match, &found, e));
        if (!found)
            break;
        text->first = text->first && !(match.from == 0 && match.to > 0 && !s->content.n);
        nmrt_text_add_bytes(out, text->at + from, match.from - from);
        nmrt_text_add_bytes(out, s->content.at, s->content.n);
        from = match.to;
    }
    nmrt_text_add_bytes(out, text->at + from, text->n - from);
    return NMRT_OK;
}

static nmrt_status read_strip(nmrt_normal_step *s, const nm_json *doc, int node, nmrt_error *e)
{
    NMRT_TRY(nmrt_field_bool(doc, node, "strip_left", &s->left, e));
    return nmrt_field_bool(doc, node, "strip_right", &s->right, e);
}

static nmrt_status strip(const nmrt_normal_step *s, nmrt_regex_scratch *regex,
                         nmrt_normal_text *text, nmrt_text *out, nmrt_error *e)
{
    size_t from = 0, to = text->n;
    int length;
    (void)regex, (void)e;
    while (s->left && from < to &&
           nmrt_is_white_space(nmrt_utf8_get(text->at + from, to - from, &length)))
        from += (size_t)length;
    while (s->right && to > from) {
        size_t last = to - 1;
        while (last > from && (text->at[last] & 0xC0) == 0x80)
            last--;
        if (!nmrt_is_white_space(nmrt_utf8_get(text->at + last, to - last, &length)))
            break;
        to = last;
    }
    text->first = text->first && from == 0;
    nmrt_text_add_bytes(out, text->at + from, to - from);
    return NMRT_OK;
}

static nmrt_status strip_accents(const nmrt_normal_step *s, nmrt_regex_scratch *regex,
                                 nmrt_normal_text *text, nmrt_text *out, nmrt_error *e)
{
    int length;
    (void)s, (void)regex, (void)e;
    for (size_t at = 0; at < text->n; at += (size_t)length)
        if (!nmrt_is_mark(nmrt_utf8_get(text->at + at, text->n - at, &length)))
            nmrt_text_add_bytes(out, text->at + at, (size_t)length);
        else if (at == 0)
            text->first = false;
    return NMRT_OK;
}

#define NORMAL_FORM(name, form)                                                                    \
    static nmrt_status name(const nmrt_normal_step *s, nmrt_regex_scratch *regex,                  \
                            nmrt_normal_text *text, nmrt_text *out, nmrt_error *e)                 \
    {                                                                                              \
        (void)s, (void)regex;                                                                      \
        return nmrt_normal_form_add(out, text->at, text->n, form, e);                              \
    }
NORMAL_FORM(nfc, NMRT_NFC)
NORMAL_FORM(nfd, NMRT_NFD)
NORMAL_FORM(nfkc, NMRT_NFKC)
NORMAL_FORM(nfkd, NMRT_NFKD)

static nmrt_status lower(const nmrt_normal_step *s, nmrt_regex_scratch *regex,
                         nmrt_normal_text *text, nmrt_text *out, nmrt_error *e)
{
    (void)s, (void)regex, (void)e;
    nmrt_lower_add(out, text->at, text->n);
    return NMRT_OK;
}

static nmrt_status map_bytes(const nmrt_normal_step *s, nmrt_regex_scratch *regex,
                             nmrt_normal_text *text, nmrt_text *out, nmrt_error *e)
{
    (void)s, (void)regex, (void)e;
    nmrt_byte_level_add(out, text->at, text->n);
    return NMRT_OK;
}

static const nmrt_normal_type types[] = {
    {"Prepend", read_prepend, prepend, NULL},
    {"Replace", read_replace, replace, NULL},
    {"Strip", read_strip, strip, NULL},
    {"StripAccents", NULL, strip_accents, NULL},
    {"NFC", NULL, nfc, NULL},
    {"NFD", NULL, nfd, NULL},
    {"NFKC", NULL, nfkc, NULL},
    {"NFKD", NULL, nfkd, NULL},
    {"Lowercase", NULL, lower, NULL},
    {"ByteLevel", NULL, map_bytes, NULL},
    {"Precompiled", nmrt_precompiled_read, nmrt_precompiled_apply, nmrt_precompiled_release},
};
enum { N_TYPES = sizeof types / sizeof *types };

// --- lists of steps ------------------------------------------------------------------------------

static nmrt_status add_step(nmrt_normalizer *z, const nm_json *doc, int node, nmrt_error *e)
{
    nmrt_type_name name = nmrt_field_type(doc, node);
    nmrt_normal_step *step = realloc(z->step, ((size_t)z->n + 1) * sizeof *step);
    if (!step)
        return nmrt_fail(e, NMRT_WORLD, "no memory for its normalizer");
    z->step = step;
    for (int i = 0; i < N_TYPES; i++)
        if (strcmp(types[i].name, name.s) == 0) {
            nmrt_normal_step *s = &step[z->n++];
            *s = (nmrt_normal_step){.type = &types[i]};
            return s->type->read ? s->type->read(s, doc, node, e) : NMRT_OK;
        }
    return nmrt_fail(e, NMRT_FOREIGN, "normalizers of the type %s are not supported", name.s);
}

nmrt_status nmrt_normalizer_read(nmrt_normalizer *z, const nm_json *doc, int node, nmrt_error *e)
{
    if (node < 0 || doc->node[node].kind == NM_JSON_NULL)
        return NMRT_OK;
    if (!nmrt_field_is(doc, node, "type", "Sequence"))
        return add_step(z, doc, node, e);
    int list = nm_json_get(doc, node, "normalizers");
    for (int i = nm_json_first(doc, list); i >= 0; i = doc->node[i].next)
        NMRT_TRY(nmrt_normalizer_read(z, doc, i, e));
    return NMRT_OK;
}

void nmrt_normalizer_release(nmrt_normalizer *z)
{
    for (int i = 0; i < z->n; i++) {
        if (z->step[i].type->release)
            z->step[i].type->release(&z->step[i]);
        nmrt_pattern_release(&z->step[i].pattern);
        nmrt_text_release(&z->step[i].content);
    }
    free(z->step);
    *z = (nmrt_normalizer){0};
}

nmrt_status nmrt_normalize(const nmrt_normalizer *z, nmrt_normal_scratch *s, nmrt_normal_text *text,
                           nmrt_error *e)
{
    for (int i = 0; i < z->n && text->n; i++) {
        nmrt_text *out = &s->out[i % 2]; // the other has the text
        out->n = 0;
        NMRT_TRY(z->step[i].type->apply(&z->step[i], s->regex, text, out, e));
        if (out->failed)
            return nmrt_fail(e, NMRT_WORLD, "no memory to normalize a text of %zu bytes", text->n);
        text->at = out->at;
        text->n = out->n;
    }
    return NMRT_OK;
}

void nmrt_normal_scratch_release(nmrt_normal_scratch *s)
{
    nmrt_text_release(&s->out[0]);
    nmrt_text_release(&s->out[1]);
}
