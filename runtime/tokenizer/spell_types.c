// The types of decoders.
#include "runtime/tokenizer/spell_types.h"

#include "runtime/tokenizer/byte_level.h"
#include "runtime/tokenizer/fields.h"
#include "runtime/tokenizer/utf8.h"

#include <string.h>

// The bytes that a piece's characters stand for; if one stands for none, the piece's own bytes.
static void add_bytes(nmrt_text *out, nmrt_word_piece p)
{
    size_t before = out->n;
    int length;
    for (size_t at = 0; at < p.n; at += (size_t)length) {
        int byte = nmrt_byte_level_byte(nmrt_utf8_get(p.at + at, p.n - at, &length));
        if (byte < 0) {
            out->n = before;
            nmrt_text_add_bytes(out, p.at, p.n);
            return;
        }
        nmrt_text_add_bytes(out, &(char){(char)byte}, 1);
    }
}

static nmrt_status spell_byte_level(const nmrt_spelling *s, nmrt_error *e)
{
    nmrt_text bytes = {0};
    for (size_t i = 0; i < s->from->n; i++)
        add_bytes(&bytes, nmrt_pieces_get(s->from, i));
    nmrt_utf8_mend(&s->to->text, bytes.at, bytes.n);
    nmrt_pieces_end(s->to);
    bool failed = bytes.failed;
    nmrt_text_release(&bytes);
    return failed ? nmrt_fail(e, NMRT_WORLD, "no memory to decode tokens") : NMRT_OK;
}

// The byte that "<0x41>" stands for; -1: the piece is no such one.
static int fallback_byte(nmrt_word_piece p)
{
    static const char digits[] = "0123456789abcdef";
    if (p.n != 6 || memcmp(p.at, "<0x", 3) != 0 || p.at[5] != '>')
        return -1;
    const char *high = p.at[3] ? strchr(digits, p.at[3] | 0x20) : NULL;
    const char *low = p.at[4] ? strchr(digits, p.at[4] | 0x20) : NULL;
    return high && low ? (int)((high - digits) << 4 | (low - digits)) : -1;
}

// Bytes side by side are one piece, or, if they are no UTF-8, a U+FFFD each.
static void add_run(nmrt_pieces *to, nmrt_text *run)
{
    if (run->n && nmrt_utf8_is_whole(run->at, run->n))
        nmrt_pieces_add(to, run->at, run->n);
    else
        for (size_t i = 0; i < run->n; i++)
            nmrt_pieces_add(to, "\xEF\xBF\xBD", 3);
    run->n = 0;
}

static nmrt_status spell_fallback(const nmrt_spelling *s, nmrt_error *e)
{
    nmrt_text run = {0};
    for (size_t i = 0; i < s->from->n; i++) {
        nmrt_word_piece p = nmrt_pieces_get(s->from, i);
        int byte = fallback_byte(p);
        if (byte >= 0) {
            nmrt_text_add_bytes(&run, &(char){(char)byte}, 1);
            continue;
        }
        add_run(s->to, &run);
        nmrt_pieces_add(s->to, p.at, p.n);
    }
    add_run(s->to, &run);
    bool failed = run.failed;
    nmrt_text_release(&run);
    return failed ? nmrt_fail(e, NMRT_WORLD, "no memory to decode tokens") : NMRT_OK;
}

static nmrt_status spell_fuse(const nmrt_spelling *s, nmrt_error *e)
{
    (void)e;
    nmrt_pieces_add(s->to, s->from->text.at ? s->from->text.at : "", s->from->text.n);
    return NMRT_OK;
}

static nmrt_status read_metaspace(nmrt_spell_step *s, const nm_json *doc, int node, nmrt_error *e)
{
    bool prepends = true;
    NMRT_TRY(nmrt_field_text(doc, node, "replacement", &s->content, e));
    NMRT_TRY(nmrt_field_bool(doc, node, "add_prefix_space", &prepends, e));
    s->drops_first = prepends && !nmrt_field_is(doc, node, "prepend_scheme", "never");
    return s->content.n ? NMRT_OK : nmrt_fail(e, NMRT_CORRUPT, "its replacement is empty");
}

static nmrt_status spell_metaspace(const nmrt_spelling *s, nmrt_error *e)
{
    const nmrt_text *meta = &s->step->content;
    (void)e;
    for (size_t i = 0; i < s->from->n; i++) {
        nmrt_word_piece p = nmrt_pieces_get(s->from, i);
        for (size_t at = 0; at < p.n;) {
            bool is = p.n - at >= meta->n && memcmp(p.at + at, meta->at, meta->n) == 0;
            if (!is)
                nmrt_text_add_bytes(&s->to->text, p.at + at, 1);
            else if (i > 0 || !s->step->drops_first)
                nmrt_text_add_bytes(&s->to->text, " ", 1);
            at += is ? meta->n : 1;
        }
        nmrt_pieces_end(s->to);
    }
    return NMRT_OK;
}

static nmrt_status read_replace(nmrt_spell_step *s, const nm_json *doc, int node, nmrt_error *e)
{
    NMRT_TRY(nmrt_pattern_read(&s->pattern, doc, node, "pattern", e));
    return nmrt_field_text(doc, node, "content", &s->content, e);
}

static nmrt_status spell_replace(const nmrt_spelling *s, nmrt_error *e)
{
    nmrt_text *out = &s->to->text;
    for (size_t i = 0; i < s->from->n; i++) {
        nmrt_word_piece p = nmrt_pieces_get(s->from, i);
        nmrt_finder f = {.pattern = &s->step->pattern, .scratch = s->regex, .text = p.at, .n = p.n};
        size_t from = 0;
        bool found = true;
        while (p.n && found) {
            nmrt_span match = {p.n, p.n};
            NMRT_TRY(nmrt_finder_next(&f, &match, &found, e));
            nmrt_text_add_bytes(out, p.at + from, match.from - from);
            if (found)
                nmrt_text_add_bytes(out, s->step->content.at, s->step->content.n);
            from = match.to;
        }
        nmrt_pieces_end(s->to);
    }
    return NMRT_OK;
}

static nmrt_status read_strip(nmrt_spell_step *s, const nm_json *doc, int node, nmrt_error *e)
{
    NMRT_TRY(nmrt_field_text(doc, node, "content", &s->content, e));
    NMRT_TRY(nmrt_field_int(doc, node, "start", &s->start, e));
    NMRT_TRY(nmrt_field_int(doc, node, "stop", &s->stop, e));
    return s->content.n ? NMRT_OK : nmrt_fail(e, NMRT_CORRUPT, "its content is empty");
}

static nmrt_status spell_strip(const nmrt_spelling *s, nmrt_error *e)
{
    const nmrt_text *c = &s->step->content;
    (void)e;
    for (size_t i = 0; i < s->from->n; i++) {
        nmrt_word_piece p = nmrt_pieces_get(s->from, i);
        for (int64_t k = 0; k < s->step->start && p.n >= c->n && !memcmp(p.at, c->at, c->n); k++)
            p.at += c->n, p.n -= c->n;
        for (int64_t k = 0; k < s->step->stop && p.n >= c->n; k++) {
            if (memcmp(p.at + p.n - c->n, c->at, c->n) != 0)
                break;
            p.n -= c->n;
        }
        nmrt_pieces_add(s->to, p.at, p.n);
    }
    return NMRT_OK;
}

static nmrt_status read_bpe(nmrt_spell_step *s, const nm_json *doc, int node, nmrt_error *e)
{
    NMRT_TRY(nmrt_field_text(doc, node, "suffix", &s->content, e));
    s->pattern.literal = s->content;
    s->content = (nmrt_text){0};
    return s->pattern.literal.n ? NMRT_OK : nmrt_fail(e, NMRT_CORRUPT, "its suffix is empty");
}

// The suffix of words is a space, but for the last piece.
static nmrt_status spell_bpe(const nmrt_spelling *s, nmrt_error *e)
{
    for (size_t i = 0; i < s->from->n; i++) {
        nmrt_word_piece p = nmrt_pieces_get(s->from, i);
        nmrt_finder f = {.pattern = &s->step->pattern, .text = p.at, .n = p.n};
        size_t from = 0;
        bool found = true;
        while (p.n && found) {
            nmrt_span match = {p.n, p.n};
            NMRT_TRY(nmrt_finder_next(&f, &match, &found, e));
            nmrt_text_add_bytes(&s->to->text, p.at + from, match.from - from);
            nmrt_text_add_bytes(&s->to->text, " ", found && i + 1 < s->from->n);
            from = match.to;
        }
        nmrt_pieces_end(s->to);
    }
    return NMRT_OK;
}

const nmrt_spell_type nmrt_spell_types[] = {
    {"ByteLevel", NULL, spell_byte_level},
    {"ByteFallback", NULL, spell_fallback},
    {"Fuse", NULL, spell_fuse},
    {"Metaspace", read_metaspace, spell_metaspace},
    {"Replace", read_replace, spell_replace},
    {"Strip", read_strip, spell_strip},
    {"BPEDecoder", read_bpe, spell_bpe},
    {NULL, NULL, NULL},
};
