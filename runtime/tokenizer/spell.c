// Decoders of a tokenizer.json: the table of types, and lists of them.
#include "runtime/tokenizer/spell.h"

#include "runtime/tokenizer/byte_level.h"
#include "runtime/tokenizer/fields.h"
#include "runtime/tokenizer/utf8.h"

#include <stdlib.h>
#include <string.h>

typedef struct spelling { // one step's
    const nmrt_spell_step *step;
    nmrt_regex_scratch *regex; // NULL: no step needs one
    const nmrt_pieces *from;
    nmrt_pieces *to;
} spelling;

typedef struct spell_type {
    const char *name;
    nmrt_status (*read)(nmrt_spell_step *s, const nmrt_json *doc, int node, nmrt_error *e);
    nmrt_status (*apply)(const spelling *s, nmrt_error *e);
} spell_type;

struct nmrt_spell_step {
    const spell_type *type;
    nmrt_pattern pattern;
    nmrt_text content;
    int64_t start, stop;
    bool drops_first; // of Metaspace: what is put before a text is taken away
};

// --- pieces --------------------------------------------------------------------------------------

// Ends the piece that was added to the text.
static void end_piece(nmrt_pieces *p)
{
    if (p->n == p->cap) {
        size_t cap = p->cap ? p->cap * 2 : 64;
        size_t *end = realloc(p->end, cap * sizeof *end);
        p->text.failed = p->text.failed || !end;
        if (!end)
            return;
        p->end = end;
        p->cap = cap;
    }
    p->end[p->n++] = p->text.n;
}

void nmrt_pieces_add(nmrt_pieces *p, const char *piece, size_t n)
{
    nmrt_text_add_bytes(&p->text, piece, n);
    end_piece(p);
}

void nmrt_pieces_release(nmrt_pieces *p)
{
    nmrt_text_release(&p->text);
    free(p->end);
    *p = (nmrt_pieces){0};
}

typedef struct piece {
    const char *at;
    size_t n;
} piece;

static piece get(const nmrt_pieces *p, size_t i)
{
    size_t from = i ? p->end[i - 1] : 0;
    return (piece){p->text.at + from, p->end[i] - from};
}

// --- the types -----------------------------------------------------------------------------------

// The bytes that a piece's characters stand for; if one stands for none, the piece's own bytes.
static void add_bytes(nmrt_text *out, piece p)
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

static nmrt_status spell_byte_level(const spelling *s, nmrt_error *e)
{
    nmrt_text bytes = {0};
    for (size_t i = 0; i < s->from->n; i++)
        add_bytes(&bytes, get(s->from, i));
    nmrt_utf8_mend(&s->to->text, bytes.at, bytes.n);
    end_piece(s->to);
    bool failed = bytes.failed;
    nmrt_text_release(&bytes);
    return failed ? nmrt_fail(e, NMRT_WORLD, "no memory to decode tokens") : NMRT_OK;
}

// The byte that "<0x41>" stands for; -1: the piece is no such one.
static int fallback_byte(piece p)
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

static nmrt_status spell_fallback(const spelling *s, nmrt_error *e)
{
    nmrt_text run = {0};
    for (size_t i = 0; i < s->from->n; i++) {
        piece p = get(s->from, i);
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

static nmrt_status spell_fuse(const spelling *s, nmrt_error *e)
{
    (void)e;
    nmrt_pieces_add(s->to, s->from->text.at ? s->from->text.at : "", s->from->text.n);
    return NMRT_OK;
}

static nmrt_status read_metaspace(nmrt_spell_step *s, const nmrt_json *doc, int node, nmrt_error *e)
{
    bool prepends = true;
    NMRT_TRY(nmrt_field_text(doc, node, "replacement", &s->content, e));
    NMRT_TRY(nmrt_field_bool(doc, node, "add_prefix_space", &prepends, e));
    s->drops_first = prepends && !nmrt_field_is(doc, node, "prepend_scheme", "never");
    return s->content.n ? NMRT_OK : nmrt_fail(e, NMRT_CORRUPT, "its replacement is empty");
}

static nmrt_status spell_metaspace(const spelling *s, nmrt_error *e)
{
    const nmrt_text *meta = &s->step->content;
    (void)e;
    for (size_t i = 0; i < s->from->n; i++) {
        piece p = get(s->from, i);
        for (size_t at = 0; at < p.n;) {
            bool is = p.n - at >= meta->n && memcmp(p.at + at, meta->at, meta->n) == 0;
            if (!is)
                nmrt_text_add_bytes(&s->to->text, p.at + at, 1);
            else if (i > 0 || !s->step->drops_first)
                nmrt_text_add_bytes(&s->to->text, " ", 1);
            at += is ? meta->n : 1;
        }
        end_piece(s->to);
    }
    return NMRT_OK;
}

static nmrt_status read_replace(nmrt_spell_step *s, const nmrt_json *doc, int node, nmrt_error *e)
{
    NMRT_TRY(nmrt_pattern_read(&s->pattern, doc, node, "pattern", e));
    return nmrt_field_text(doc, node, "content", &s->content, e);
}

static nmrt_status spell_replace(const spelling *s, nmrt_error *e)
{
    nmrt_text *out = &s->to->text;
    for (size_t i = 0; i < s->from->n; i++) {
        piece p = get(s->from, i);
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
        end_piece(s->to);
    }
    return NMRT_OK;
}

static nmrt_status read_strip(nmrt_spell_step *s, const nmrt_json *doc, int node, nmrt_error *e)
{
    NMRT_TRY(nmrt_field_text(doc, node, "content", &s->content, e));
    NMRT_TRY(nmrt_field_int(doc, node, "start", &s->start, e));
    NMRT_TRY(nmrt_field_int(doc, node, "stop", &s->stop, e));
    return s->content.n ? NMRT_OK : nmrt_fail(e, NMRT_CORRUPT, "its content is empty");
}

static nmrt_status spell_strip(const spelling *s, nmrt_error *e)
{
    const nmrt_text *c = &s->step->content;
    (void)e;
    for (size_t i = 0; i < s->from->n; i++) {
        piece p = get(s->from, i);
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

static nmrt_status read_bpe(nmrt_spell_step *s, const nmrt_json *doc, int node, nmrt_error *e)
{
    NMRT_TRY(nmrt_field_text(doc, node, "suffix", &s->content, e));
    s->pattern.literal = s->content;
    s->content = (nmrt_text){0};
    return s->pattern.literal.n ? NMRT_OK : nmrt_fail(e, NMRT_CORRUPT, "its suffix is empty");
}

// The suffix of words is a space, but for the last piece.
static nmrt_status spell_bpe(const spelling *s, nmrt_error *e)
{
    for (size_t i = 0; i < s->from->n; i++) {
        piece p = get(s->from, i);
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
        end_piece(s->to);
    }
    return NMRT_OK;
}

static const spell_type types[] = {
    {"ByteLevel", NULL, spell_byte_level},
    {"ByteFallback", NULL, spell_fallback},
    {"Fuse", NULL, spell_fuse},
    {"Metaspace", read_metaspace, spell_metaspace},
    {"Replace", read_replace, spell_replace},
    {"Strip", read_strip, spell_strip},
    {"BPEDecoder", read_bpe, spell_bpe},
};

// --- lists of steps ------------------------------------------------------------------------------

nmrt_status nmrt_speller_read(nmrt_speller *s, const nmrt_json *doc, int node, nmrt_error *e)
{
    if (node < 0 || doc->node[node].kind == NMRT_JSON_NULL)
        return NMRT_OK;
    nmrt_type_name name = nmrt_field_type(doc, node);
    if (strcmp(name.s, "Sequence") == 0) {
        int list = nmrt_json_get(doc, node, "decoders");
        for (int i = nmrt_json_first(doc, list); i >= 0; i = doc->node[i].next)
            NMRT_TRY(nmrt_speller_read(s, doc, i, e));
        return NMRT_OK;
    }
    nmrt_spell_step *step = realloc(s->step, ((size_t)s->n + 1) * sizeof *step);
    if (!step)
        return nmrt_fail(e, NMRT_WORLD, "no memory for its decoder");
    s->step = step;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i].name, name.s) == 0) {
            step[s->n] = (nmrt_spell_step){.type = &types[i]};
            return types[i].read ? types[i].read(&step[s->n++], doc, node, e) : (s->n++, NMRT_OK);
        }
    return nmrt_fail(e, NMRT_FOREIGN, "decoders of the type %s are not supported", name.s);
}

void nmrt_speller_release(nmrt_speller *s)
{
    for (int i = 0; i < s->n; i++) {
        nmrt_pattern_release(&s->step[i].pattern);
        nmrt_text_release(&s->step[i].content);
    }
    free(s->step);
    *s = (nmrt_speller){0};
}

static nmrt_status run_steps(const nmrt_speller *s, nmrt_regex_scratch *regex, nmrt_pieces *pieces,
                             nmrt_pieces *other, nmrt_error *e)
{
    for (int i = 0; i < s->n; i++) {
        other->text.n = other->n = 0;
        NMRT_TRY(s->step[i].type->apply(&(spelling){&s->step[i], regex, pieces, other}, e));
        nmrt_pieces swap = *pieces;
        *pieces = *other;
        *other = swap;
    }
    if (pieces->text.failed || other->text.failed)
        return nmrt_fail(e, NMRT_WORLD, "no memory to decode tokens");
    return NMRT_OK;
}

static bool needs_regex(const nmrt_speller *s)
{
    for (int i = 0; i < s->n; i++)
        if (s->step[i].pattern.regex)
            return true;
    return false;
}

nmrt_status nmrt_spell(const nmrt_speller *s, nmrt_pieces *pieces, nmrt_text *out, nmrt_error *e)
{
    nmrt_pieces other = {0};
    nmrt_regex_scratch *regex = needs_regex(s) ? nmrt_regex_scratch_new() : NULL;
    if (!regex && needs_regex(s))
        return nmrt_fail(e, NMRT_WORLD, "no memory to decode tokens");
    nmrt_status status = run_steps(s, regex, pieces, &other, e);
    for (size_t i = 0; i < pieces->n && status == NMRT_OK; i++) {
        piece p = get(pieces, i);
        nmrt_text_add_bytes(out, " ", !s->n && i > 0);
        nmrt_text_add_bytes(out, p.at, p.n);
    }
    nmrt_pieces_release(&other);
    nmrt_regex_scratch_free(regex);
    return status;
}
