// Decoders of a tokenizer.json: lists of steps, and the pieces that go through them.
#include "runtime/tokenizer/spell.h"

#include "runtime/tokenizer/fields.h"
#include "runtime/tokenizer/spell_types.h"

#include <stdlib.h>
#include <string.h>

// --- pieces --------------------------------------------------------------------------------------

void nmrt_pieces_end(nmrt_pieces *p)
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
    nmrt_pieces_end(p);
}

void nmrt_pieces_release(nmrt_pieces *p)
{
    nmrt_text_release(&p->text);
    free(p->end);
    *p = (nmrt_pieces){0};
}

nmrt_word_piece nmrt_pieces_get(const nmrt_pieces *p, size_t i)
{
    size_t from = i ? p->end[i - 1] : 0;
    return (nmrt_word_piece){p->text.at + from, p->end[i] - from};
}

// --- lists of steps ------------------------------------------------------------------------------

nmrt_status nmrt_speller_read(nmrt_speller *s, const nm_json *doc, int node, nmrt_error *e)
{
    if (node < 0 || doc->node[node].kind == NM_JSON_NULL)
        return NMRT_OK;
    nmrt_type_name name = nmrt_field_type(doc, node);
    if (strcmp(name.s, "Sequence") == 0) {
        int list = nm_json_get(doc, node, "decoders");
        for (int i = nm_json_first(doc, list); i >= 0; i = doc->node[i].next)
            NMRT_TRY(nmrt_speller_read(s, doc, i, e));
        return NMRT_OK;
    }
    nmrt_spell_step *step = realloc(s->step, ((size_t)s->n + 1) * sizeof *step);
    if (!step)
        return nmrt_fail(e, NMRT_WORLD, "no memory for its decoder");
    s->step = step;
    for (const nmrt_spell_type *t = nmrt_spell_types; t->name; t++)
        if (strcmp(t->name, name.s) == 0) {
            step[s->n] = (nmrt_spell_step){.type = t};
            s->n++;
            return t->read ? t->read(&step[s->n - 1], doc, node, e) : NMRT_OK;
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
        NMRT_TRY(s->step[i].type->apply(&(nmrt_spelling){&s->step[i], regex, pieces, other}, e));
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
        nmrt_word_piece p = nmrt_pieces_get(pieces, i);
        nmrt_text_add_bytes(out, " ", !s->n && i > 0);
        nmrt_text_add_bytes(out, p.at, p.n);
    }
    nmrt_pieces_release(&other);
    nmrt_regex_scratch_free(regex);
    return status;
}
