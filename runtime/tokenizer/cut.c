// Cutting a text into words, depth first.
#include "runtime/tokenizer/cut.h"

#include "runtime/tokenizer/byte_level.h"

#include <string.h>

typedef struct cutting {
    const nmrt_cutter *cutter;
    nmrt_cut_scratch *scratch;
    nmrt_take_word take;
    void *taker;
    nmrt_error *e;
} cutting;

static nmrt_status run_steps(const cutting *c, int step, nmrt_cut_text text);

// --- splitting -----------------------------------------------------------------------------------

typedef struct joiner { // of matches and what is between them, one step's
    const cutting *c;
    int step;
    nmrt_cut_text text;
    bool holds, was_match; // is a span held back, and what was the last one?
    nmrt_span held;
} joiner;

static nmrt_status give(const joiner *j, nmrt_span s)
{
    if (s.from == s.to)
        return NMRT_OK;
    nmrt_cut_text piece = {j->text.at + s.from, s.to - s.from, j->text.first && s.from == 0};
    return run_steps(j->c, j->step + 1, piece);
}

static nmrt_status give_held(joiner *j)
{
    bool held = j->holds;
    j->holds = false;
    return held ? give(j, j->held) : NMRT_OK;
}

static nmrt_status hold(joiner *j, nmrt_span s)
{
    nmrt_span before = j->held;
    bool held = j->holds;
    j->held = s;
    j->holds = true;
    return held ? give(j, before) : NMRT_OK;
}

// The next span, from left to right.
static nmrt_status join(joiner *j, nmrt_span s, bool match)
{
    const nmrt_cut_step *step = &j->c->cutter->step[j->step];
    bool was_match = j->was_match;
    j->was_match = match = match != step->invert;
    switch (step->behavior) {
    case NMRT_CUT_ISOLATED: return give(j, s);
    case NMRT_CUT_REMOVED: return match ? NMRT_OK : give(j, s);
    case NMRT_CUT_CONTIGUOUS:
        if (!j->holds || match != was_match)
            return hold(j, s);
        break;
    case NMRT_CUT_MERGED_WITH_PREVIOUS:
        if (!j->holds || !match || was_match)
            return hold(j, s);
        break;
    case NMRT_CUT_MERGED_WITH_NEXT:
        if (match)
            return hold(j, s);
        if (!j->holds)
            return give(j, s);
        j->held.to = s.to;
        return give_held(j);
    }
    j->held.to = s.to;
    return NMRT_OK;
}

static nmrt_status split(const cutting *c, int step, nmrt_cut_text text)
{
    joiner j = {.c = c, .step = step, .text = text};
    nmrt_finder f = {.pattern = &c->cutter->step[step].pattern,
                     .scratch = c->scratch->regex,
                     .text = text.at,
                     .n = text.n};
    size_t from = 0;
    for (;;) {
        nmrt_span match;
        bool found;
        NMRT_TRY(nmrt_finder_next(&f, &match, &found, c->e));
        if (!found)
            break;
        if (match.from > from)
            NMRT_TRY(join(&j, (nmrt_span){from, match.from}, false));
        NMRT_TRY(join(&j, match, true));
        from = match.to;
    }
    if (from < text.n)
        NMRT_TRY(join(&j, (nmrt_span){from, text.n}, false));
    return give_held(&j);
}

// --- rewriting -----------------------------------------------------------------------------------

static bool begins_with(nmrt_cut_text text, const nmrt_text *with)
{
    return text.n >= with->n && memcmp(text.at, with->at, with->n) == 0;
}

static void add_meta(const nmrt_cut_step *step, nmrt_cut_text text, nmrt_text *out)
{
    bool wanted =
        step->prepend == NMRT_PREPEND_ALWAYS || (step->prepend == NMRT_PREPEND_FIRST && text.first);
    bool there = text.at[0] == ' ' || begins_with(text, &step->content);
    if (wanted && !there)
        nmrt_text_add_bytes(out, step->content.at, step->content.n);
    for (size_t at = 0; at < text.n;) {
        const char *space = memchr(text.at + at, ' ', text.n - at);
        size_t plain = space ? (size_t)(space - text.at) - at : text.n - at;
        nmrt_text_add_bytes(out, text.at + at, plain);
        if (space)
            nmrt_text_add_bytes(out, step->content.at, step->content.n);
        at += plain + (space != NULL);
    }
}

static nmrt_status rewrite(const cutting *c, int step, nmrt_cut_text text)
{
    nmrt_text *out = &c->scratch->rewritten[step];
    const nmrt_cut_step *s = &c->cutter->step[step];
    out->n = 0;
    if (s->kind == NMRT_CUT_META)
        add_meta(s, text, out);
    else if (s->kind == NMRT_CUT_BYTES)
        nmrt_byte_level_add(out, text.at, text.n);
    else {
        nmrt_text_add_bytes(out, " ", text.at[0] != ' ');
        nmrt_text_add_bytes(out, text.at, text.n);
    }
    if (out->failed)
        return nmrt_fail(c->e, NMRT_WORLD, "no memory to cut a text of %zu bytes", text.n);
    return run_steps(c, step + 1, (nmrt_cut_text){out->at, out->n, text.first});
}

static nmrt_status run_steps(const cutting *c, int step, nmrt_cut_text text)
{
    if (step == c->cutter->n)
        return c->take(c->taker, text.at, text.n, c->e);
    return c->cutter->step[step].kind == NMRT_CUT_SPLIT ? split(c, step, text)
                                                        : rewrite(c, step, text);
}

nmrt_status nmrt_cut(const nmrt_cutter *cutter, nmrt_cut_scratch *s, nmrt_cut_text text,
                     nmrt_take_word take, void *taker, nmrt_error *e)
{
    cutting c = {.cutter = cutter, .scratch = s, .take = take, .taker = taker, .e = e};
    return text.n ? run_steps(&c, 0, text) : NMRT_OK;
}
