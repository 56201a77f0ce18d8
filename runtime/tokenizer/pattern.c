// What a step of a tokenizer.json looks for.
#define _GNU_SOURCE // memmem
#include "runtime/tokenizer/pattern.h"

#include "runtime/tokenizer/fields.h"
#include "runtime/tokenizer/utf8.h"

#include <string.h>

nmrt_status nmrt_pattern_read(nmrt_pattern *p, const nm_json *doc, int object, const char *key,
                              nmrt_error *e)
{
    int node = nm_json_get(doc, object, key);
    int string = nm_json_get(doc, node, "String"), regex = nm_json_get(doc, node, "Regex");
    if (string < 0 && regex < 0)
        return nmrt_fail(e, NMRT_CORRUPT, "%s is neither {\"String\": ...} nor {\"Regex\": ...}",
                         key);
    nmrt_text text = {0};
    nmrt_status status = nmrt_field_unescape(doc, string >= 0 ? string : regex, &text, e);
    if (status == NMRT_OK && !text.n)
        status = nmrt_fail(e, NMRT_CORRUPT, "%s is empty", key);
    if (status == NMRT_OK && string < 0)
        status = nmrt_regex_open(&p->regex, text.at, text.n, e);
    if (status == NMRT_OK && string >= 0)
        p->literal = text;
    else
        nmrt_text_release(&text);
    return status;
}

void nmrt_pattern_release(nmrt_pattern *p)
{
    nmrt_regex_close(p->regex);
    nmrt_text_release(&p->literal);
    *p = (nmrt_pattern){0};
}

static bool find_literal(nmrt_finder *f, nmrt_span *match)
{
    const nmrt_text *l = &f->pattern->literal;
    const char *at = memmem(f->text + f->at, f->n - f->at, l->at, l->n);
    if (!at)
        return false;
    *match = (nmrt_span){(size_t)(at - f->text), (size_t)(at - f->text) + l->n};
    return true;
}

static bool find_character(nmrt_finder *f, nmrt_span *match)
{
    int length;
    for (size_t at = f->at; at < f->n; at += (size_t)length)
        if (f->pattern->is(nmrt_utf8_get(f->text + at, f->n - at, &length))) {
            *match = (nmrt_span){at, at + (size_t)length};
            return true;
        }
    return false;
}

// An empty match right behind another is passed over, by a character.
static nmrt_status find_regex(nmrt_finder *f, nmrt_span *match, bool *found, nmrt_error *e)
{
    for (;;) {
        NMRT_TRY(
            nmrt_regex_find(f->pattern->regex, f->scratch, f->text, f->n, f->at, match, found, e));
        if (!*found || match->to > match->from || !f->matched || match->from != f->at)
            return NMRT_OK;
        int length = 1;
        if (f->at >= f->n) {
            *found = false;
            return NMRT_OK;
        }
        nmrt_utf8_get(f->text + f->at, f->n - f->at, &length);
        f->at += (size_t)length;
        f->matched = false;
    }
}

nmrt_status nmrt_finder_next(nmrt_finder *f, nmrt_span *match, bool *found, nmrt_error *e)
{
    *found = false;
    if (f->pattern->regex)
        NMRT_TRY(find_regex(f, match, found, e));
    else
        *found = f->pattern->is ? find_character(f, match) : find_literal(f, match);
    if (*found) {
        f->at = match->to;
        f->matched = true;
    }
    return NMRT_OK;
}
