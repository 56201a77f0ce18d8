// Rewriting from left to right: the longest user-defined piece, else the longest text of the table,
// else a character as it is.
#include "runtime/tokenizer/spm_rewrite.h"

#include "runtime/tokenizer/utf8.h"

#include <string.h>

typedef struct part { // what the first `taken` bytes of a text become
    size_t taken, n;
    const char *text;
} part;

typedef struct rewriter {
    const nmrt_spm_rewriting *w;
    const nmrt_trie *user;
    const char *at, *end;
    nmrt_text *out;
} rewriter;

static part first_part(const rewriter *r)
{
    size_t n = (size_t)(r->end - r->at);
    size_t user = r->user ? nmrt_trie_longest(r->user, r->at, n) : 0;
    if (user)
        return (part){user, user, r->at};
    nmrt_charsmap_match match = nmrt_charsmap_longest(&r->w->charsmap, r->at, n);
    if (match.n)
        return (part){match.n, strlen(match.to), match.to};
    int length;
    if (nmrt_utf8_get(r->at, n, &length) < 0)
        return (part){1, 3, "\xEF\xBF\xBD"};
    return (part){(size_t)length, (size_t)length, r->at};
}

static void skip_spaces(rewriter *r)
{
    while (r->at < r->end) {
        part p = first_part(r);
        if (p.n != 1 || *p.text != ' ')
            return;
        r->at += p.taken;
    }
}

static const char *space_of(const nmrt_spm_rewriting *w)
{
    return w->escape_spaces ? NMRT_SPM_SPACE : " ";
}

static void add_space(rewriter *r)
{
    nmrt_text_add_bytes(r->out, space_of(r->w), strlen(space_of(r->w)));
}

static void add_part(rewriter *r, const char *text, size_t n)
{
    if (!r->w->escape_spaces || !memchr(text, ' ', n)) {
        nmrt_text_add_bytes(r->out, text, n);
        return;
    }
    for (size_t i = 0; i < n; i++)
        if (text[i] == ' ')
            add_space(r);
        else
            nmrt_text_add_bytes(r->out, text + i, 1);
}

static void add_parts(rewriter *r)
{
    bool behind_space = r->w->remove_extra_spaces;
    while (r->at < r->end) {
        part p = first_part(r);
        r->at += p.taken;
        for (; behind_space && p.n && *p.text == ' '; p.n--)
            p.text++;
        if (!p.n)
            continue; // it leaves open whether a space stands before
        add_part(r, p.text, p.n);
        behind_space = r->w->remove_extra_spaces && p.text[p.n - 1] == ' ';
    }
}

static void remove_spaces_behind(rewriter *r, size_t start)
{
    const char *space = space_of(r->w);
    size_t n = strlen(space);
    while (r->out->n - start >= n && memcmp(r->out->at + r->out->n - n, space, n) == 0)
        r->out->n -= n;
}

void nmrt_spm_rewrite(const nmrt_spm_rewriting *w, const nmrt_trie *user, const char *text,
                      size_t n, nmrt_text *out)
{
    rewriter r = {.w = w, .user = user, .at = text, .end = text + n, .out = out};
    size_t start = out->n;
    if (w->remove_extra_spaces)
        skip_spaces(&r);
    if (r.at == r.end)
        return;
    if (w->dummy_prefix && !w->space_behind)
        add_space(&r);
    add_parts(&r);
    if (out->failed)
        return;
    if (w->remove_extra_spaces)
        remove_spaces_behind(&r, start);
    if (w->dummy_prefix && w->space_behind)
        add_space(&r);
}
