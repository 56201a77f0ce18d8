// Chunks of a corpus go to whichever worker is free; what all have counted is added up at the end,
// so the counts do not depend on who had which chunk.
#include "runtime/corpus/count_words.h"

#include "runtime/corpus/ordered.h"
#include "runtime/stop.h"
#include "runtime/tokenizer/utf8.h"

#include <stdlib.h>
#include <string.h>

enum { LEAST_WORDS = 1000 }; // in a table with a limit: below, nothing common is found

typedef struct worker {
    const nmrt_cutter *cutter;
    nmrt_counts counts;
    nmrt_cut_scratch cut;
    nmrt_text mended;
} worker;

typedef struct item {
    nmrt_chunk chunk;
    int64_t texts;
    nmrt_bad_lines bad;
} item;

typedef struct counting {
    nmrt_count_words *c;
    nmrt_corpus corpus;
    worker *worker; // [c->workers]
    item *item;     // [n_items]
    int n_items;
} counting;

// --- by a worker ---------------------------------------------------------------------------------

static nmrt_status take_word(void *taker, const char *word, size_t n, nmrt_error *e)
{
    nmrt_counts *counts = taker;
    if (n > UINT32_MAX)
        return nmrt_fail(e, NMRT_CORRUPT, "a word of %zu bytes: is this text?", n);
    nmrt_counts_add(counts, word, n, 1);
    return NMRT_OK;
}

static nmrt_status add_text(void *taker, const char *text, size_t n, nmrt_error *e)
{
    worker *w = taker;
    if (!nmrt_utf8_is_whole(text, n)) {
        w->mended.n = 0;
        nmrt_utf8_mend(&w->mended, text, n);
        if (w->mended.failed)
            return nmrt_fail(e, NMRT_WORLD, "no memory for a text of %zu bytes", n);
        text = w->mended.at;
        n = w->mended.n;
    }
    return n ? nmrt_cut(w->cutter, &w->cut, (nmrt_cut_text){text, n, true}, take_word, &w->counts,
                        e)
             : NMRT_OK;
}

static nmrt_status add_lines(worker *w, item *x, nmrt_error *e)
{
    const char *at = x->chunk.text.at, *end = at + x->chunk.text.n;
    for (const char *next; at < end; at = next, x->texts++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        next = newline ? newline + 1 : end;
        NMRT_TRY(add_text(w, at, (size_t)(next - at), e));
    }
    return NMRT_OK;
}

static nmrt_status add_documents(const counting *k, worker *w, item *x, nmrt_error *e)
{
    nmrt_documents documents = {.chunk = &x->chunk};
    nmrt_document d;
    for (; nmrt_documents_next(&documents, &d); x->texts++)
        NMRT_TRY(nmrt_document_texts(&x->chunk, &d, &k->c->rules, add_text, w, &x->bad, e));
    return NMRT_OK;
}

static nmrt_status work(void *user, int index, void *taken, nmrt_error *e)
{
    const counting *k = user;
    worker *w = &k->worker[index];
    item *x = taken;
    x->texts = 0;
    x->bad = (nmrt_bad_lines){0};
    NMRT_TRY(x->chunk.rule == NMRT_DOCUMENTS_LINES ? add_lines(w, x, e)
                                                   : add_documents(k, w, x, e));
    return w->counts.failed
               ? nmrt_fail(e, NMRT_WORLD,
                           "no memory for more than %zu words; --max-words bounds them",
                           w->counts.n)
               : NMRT_OK;
}

// --- by the calling thread -----------------------------------------------------------------------

static nmrt_status read_chunk(void *user, void *free_item, bool *end, nmrt_error *e)
{
    NMRT_TRY(nmrt_stop_check(e));
    NMRT_TRY(nmrt_corpus_next(&((counting *)user)->corpus, &((item *)free_item)->chunk, end, e));
    return *end ? nmrt_stop_check(e) : NMRT_OK; // who fills a pipe ends by the same signal
}

static nmrt_status tell(void *user, void *done, nmrt_error *e)
{
    nmrt_count_words *c = ((counting *)user)->c;
    const item *x = done;
    (void)e;
    int64_t bad = c->bad.n + x->bad.n;
    c->bad = c->bad.n ? c->bad : x->bad;
    c->bad.n = bad;
    c->texts += x->texts;
    c->bytes += (int64_t)x->chunk.text.n;
    nmrt_meter_move(c->meter, c->bytes, c->texts, -1);
    return NMRT_OK;
}

static void release(counting *k)
{
    for (int i = 0; k->worker && i < k->c->workers; i++) {
        worker *w = &k->worker[i];
        nmrt_counts_release(&w->counts);
        for (int s = 0; w->cut.rewritten && s < k->c->cutter->n; s++)
            nmrt_text_release(&w->cut.rewritten[s]);
        free(w->cut.rewritten);
        nmrt_regex_scratch_free(w->cut.regex);
        nmrt_text_release(&w->mended);
    }
    for (int i = 0; k->item && i < k->n_items; i++)
        nmrt_chunk_release(&k->item[i].chunk);
    free(k->worker);
    free(k->item);
}

// Of the words of all tables, how many a worker's may have.
static size_t share_of(const nmrt_count_words *c)
{
    size_t share = c->most / (size_t)c->workers;
    return c->most && share < LEAST_WORDS ? LEAST_WORDS : share;
}

static nmrt_status prepare(counting *k, nmrt_error *e)
{
    bool ok;
    k->n_items = 2 * k->c->workers;
    k->worker = calloc((size_t)k->c->workers, sizeof *k->worker);
    k->item = calloc((size_t)k->n_items, sizeof *k->item);
    ok = k->worker && k->item;
    for (int i = 0; ok && i < k->c->workers; i++) {
        worker *w = &k->worker[i];
        w->cutter = k->c->cutter;
        w->counts.most = share_of(k->c);
        w->cut.regex = nmrt_regex_scratch_new();
        w->cut.rewritten = calloc((size_t)k->c->cutter->n + 1, sizeof *w->cut.rewritten);
        ok = w->cut.regex && w->cut.rewritten;
    }
    return ok ? NMRT_OK : nmrt_fail(e, NMRT_WORLD, "no memory for %d threads", k->c->workers);
}

static nmrt_status run(counting *k, nmrt_counts *counts, nmrt_error *e)
{
    nmrt_ordered ordered = {.item = k->item,
                            .item_bytes = sizeof *k->item,
                            .n_items = k->n_items,
                            .workers = k->c->workers,
                            .user = k,
                            .read = read_chunk,
                            .work = work,
                            .write = tell};
    NMRT_TRY(nmrt_ordered_run(&ordered, e));
    for (int i = 0; i < k->c->workers; i++) {
        nmrt_counts_add_all(counts, &k->worker[i].counts);
        nmrt_counts_release(&k->worker[i].counts);
    }
    return counts->failed ? nmrt_fail(e, NMRT_WORLD, "no memory for the words of the corpus")
                          : NMRT_OK;
}

nmrt_status nmrt_count_words_of(nmrt_count_words *c, const char *const *path, int n_paths,
                                nmrt_documents_rule rule, nmrt_counts *counts, nmrt_error *e)
{
    counting k = {.c = c};
    NMRT_TRY(nmrt_corpus_open(&k.corpus, path, n_paths, rule, (nmrt_place){0}, e));
    k.corpus.chunk_bytes = c->chunk_bytes;
    nmrt_status status = prepare(&k, e);
    if (status == NMRT_OK)
        status = run(&k, counts, e);
    release(&k);
    nmrt_corpus_close(&k.corpus);
    return status;
}
