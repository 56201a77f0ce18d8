// What must hold in a SentencePiece .model as a whole, and what is looked up in it: its pieces by
// their texts.
#include "runtime/tokenizer/spm_model.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct checker {
    nmrt_spm_model *m;
    const char *name; // of the file
    nmrt_error *e;
} checker;

static nmrt_status bad_piece(const checker *c, int32_t i, const char *what)
{
    const nmrt_spm_piece *p = &c->m->piece[i];
    return nmrt_fail(c->e, NMRT_CORRUPT, "%s: its piece %d, '%.*s', %s", c->name, i,
                     p->n < 100 ? (int)p->n : 100, p->text, what);
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int nmrt_spm_byte_of(const nmrt_spm_piece *p)
{
    if (p->n != 6 || memcmp(p->text, "<0x", 3) != 0 || p->text[5] != '>')
        return -1;
    int high = hex_digit(p->text[3]), low = hex_digit(p->text[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

static bool space_leads(const nmrt_spm_piece *p)
{
    bool behind_other = false;
    for (uint32_t i = 0; i < p->n; i++) {
        bool space = p->n - i >= 3 && memcmp(p->text + i, NMRT_SPM_SPACE, 3) == 0;
        if (space && behind_other)
            return false;
        behind_other = !space;
        i += space ? 2 : 0;
    }
    return true;
}

static nmrt_status check_piece(checker *c, int32_t i)
{
    nmrt_spm_model *m = c->m;
    const nmrt_spm_piece *p = &m->piece[i];
    if (!p->n)
        return bad_piece(c, i, "has no text");
    if (!isfinite(p->score))
        return bad_piece(c, i, "has a score that is no number");
    if (p->type == NMRT_SPM_NORMAL) {
        m->least = fminf(m->least, p->score);
        m->spaces_lead &= space_leads(p);
    }
    m->has_unused |= p->type == NMRT_SPM_UNUSED;
    if (p->type == NMRT_SPM_UNKNOWN) {
        if (m->unknown >= 0)
            return bad_piece(c, i, "is a second one for what is unknown");
        m->unknown = i;
    }
    if (p->type == NMRT_SPM_BYTE) {
        int byte = nmrt_spm_byte_of(p);
        if (!m->byte_fallback)
            return bad_piece(c, i, "is a byte, but the model has no byte_fallback");
        if (byte < 0)
            return bad_piece(c, i, "is said to be a byte");
        m->byte[byte] = i;
    }
    return NMRT_OK;
}

static nmrt_status check_pieces(checker *c)
{
    nmrt_spm_model *m = c->m;
    m->least = FLT_MAX; // also where there is no normal piece, as in SentencePiece
    m->unknown = -1;
    m->spaces_lead = true;
    for (int byte = 0; byte < 256; byte++)
        m->byte[byte] = -1;
    for (int32_t i = 0; i < m->n; i++)
        NMRT_TRY(check_piece(c, i));
    m->spaces_lead &= !m->has_unused;
    if (m->unknown < 0)
        return nmrt_fail(c->e, NMRT_CORRUPT, "%s has no piece for what is unknown", c->name);
    for (int byte = 0; byte < 256 && m->byte_fallback; byte++)
        if (m->byte[byte] < 0)
            return nmrt_fail(c->e, NMRT_CORRUPT, "%s has byte_fallback, but no piece <0x%02X>",
                             c->name, (unsigned)byte);
    return NMRT_OK;
}

static nmrt_status build_tries(checker *c)
{
    nmrt_spm_model *m = c->m;
    nmrt_trie_key *key = malloc((size_t)m->n * sizeof *key);
    if (!key)
        return nmrt_fail(c->e, NMRT_WORLD, "no memory for the pieces of %s", c->name);
    int32_t n_user = 0, twice = NMRT_TRIE_NONE;
    for (int32_t i = 0; i < m->n; i++)
        if (m->piece[i].type == NMRT_SPM_USER)
            key[n_user++] = (nmrt_trie_key){m->piece[i].text, m->piece[i].n, i};
    nmrt_status status = n_user ? nmrt_trie_build(&m->user, key, n_user, NULL, c->e) : NMRT_OK;
    for (int32_t i = 0; i < m->n; i++)
        key[i] = (nmrt_trie_key){m->piece[i].text, m->piece[i].n, i};
    if (status == NMRT_OK)
        status = nmrt_trie_build(&m->trie, key, m->n, &twice, c->e);
    free(key);
    if (status == NMRT_OK && twice != NMRT_TRIE_NONE)
        status = bad_piece(c, twice, "is there twice");
    return status;
}

nmrt_status nmrt_spm_model_check(nmrt_spm_model *m, const char *name, nmrt_error *e)
{
    checker c = {.m = m, .name = name, .e = e};
    NMRT_TRY(check_pieces(&c));
    return build_tries(&c);
}
