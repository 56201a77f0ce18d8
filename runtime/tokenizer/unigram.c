// Viterbi over bytes: step[i] is the best way to cut the first i bytes. Every way passes through a
// character's end only if a piece ends there, and an unknown character is a piece of its own.
#include "runtime/tokenizer/unigram.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static nmrt_status make_room(nmrt_unigram_path *path, size_t n, nmrt_error *e)
{
    if (n > INT32_MAX - 1)
        return nmrt_fail(e, NMRT_USAGE,
                         "a text of %zu bytes is too long to be cut into pieces at once (2 GiB at "
                         "most): split it into documents",
                         n);
    if (n + 1 <= path->cap)
        return NMRT_OK;
    nmrt_unigram_step *step = realloc(path->step, (n + 1) * sizeof *step);
    if (!step)
        return nmrt_fail(e, NMRT_WORLD, "no memory to cut a text of %zu bytes", n);
    path->step = step;
    path->cap = n + 1;
    return NMRT_OK;
}

static void offer(nmrt_unigram_step *to, nmrt_unigram_step way, bool singly)
{
    if (singly)
        way.sum = (float)way.sum;
    if (!to->n || way.sum > to->sum)
        *to = way;
}

// All pieces that begin at `from`, which has bytes up to `n`.
static bool offer_pieces(const nmrt_unigram *u, const char *text, size_t from, size_t n,
                         size_t character, nmrt_unigram_step *step)
{
    bool whole_character = false;
    int32_t node = NMRT_TRIE_ROOT;
    for (size_t at = from; at < n;) {
        node = nmrt_trie_down(u->trie, node, (unsigned char)text[at++]);
        if (node == NMRT_TRIE_NONE)
            break;
        int32_t piece = u->trie->node[node].value;
        if (piece == NMRT_TRIE_NONE || u->score[piece] == -INFINITY)
            continue;
        double sum = u->score[piece] + step[from].sum;
        offer(&step[at], (nmrt_unigram_step){sum, piece, (int32_t)(at - from)}, u->singly);
        whole_character |= at - from == character;
    }
    return whole_character;
}

// SentencePiece's sums in f32 begin at 0 again where one is beyond this, or they would become too
// large for the differences between pieces. What lies ahead begins again with it.
static const double MOST_SUM = 100000;

static void begin_again(const nmrt_unigram *u, nmrt_unigram_step *step, size_t from, size_t n)
{
    size_t ahead = u->trie->longest > 4 ? u->trie->longest : 4; // an unknown character's bytes
    double sum = step[from].sum;
    for (size_t i = from; i <= n && i - from <= ahead; i++)
        if (i == from || step[i].n)
            step[i].sum = (float)(step[i].sum - sum);
}

// The steps of the best way, which are found from its end on, go to the front in order.
static void trace_back(nmrt_unigram_path *path, size_t n)
{
    nmrt_unigram_step *step = path->step;
    size_t first = n + 1; // they fill the array from its end: behind all that is yet to be read
    for (size_t at = n; at > 0; at -= (size_t)step[first].n)
        step[--first] = step[at];
    path->n_step = n + 1 - first;
    memmove(step, step + first, path->n_step * sizeof *step);
}

nmrt_status nmrt_unigram_cut(const nmrt_unigram *u, const char *text, size_t n,
                             nmrt_unigram_path *path, nmrt_error *e)
{
    path->n_step = 0;
    NMRT_TRY(make_room(path, n, e));
    memset(path->step, 0, (n + 1) * sizeof *path->step);
    for (size_t from = 0, character; from < n; from += character) {
        character = nmrt_character_bytes((unsigned char)text[from]);
        if (character > n - from)
            character = n - from;
        if (u->singly && fabs(path->step[from].sum) > MOST_SUM)
            begin_again(u, path->step, from, n);
        if (offer_pieces(u, text, from, n, character, path->step))
            continue;
        if (u->unknown < 0)
            return nmrt_fail(
                e, NMRT_USAGE,
                "the tokenizer has no piece for '%.*s', nor one for what it does not know",
                (int)character, text + from);
        double sum = u->unknown_score + path->step[from].sum;
        nmrt_unigram_step way = {sum, u->unknown, (int32_t)character};
        offer(&path->step[from + character], way, u->singly);
    }
    trace_back(path, n);
    return NMRT_OK;
}

void nmrt_unigram_path_release(nmrt_unigram_path *path)
{
    free(path->step);
    *path = (nmrt_unigram_path){0};
}
