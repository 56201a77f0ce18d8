// A corpus to an indexed data set. One thread reads chunks and writes their tokens in order, the
// others tokenise; every few seconds the journal says how far all of it is on the disk.
#include "runtime/corpus/tokenize.h"

#include "runtime/clock.h"
#include "runtime/corpus/batch.h"
#include "runtime/corpus/journal.h"
#include "runtime/corpus/meter.h"
#include "runtime/corpus/ordered.h"
#include "runtime/corpus/settings.h"
#include "runtime/cpu.h"
#include "runtime/stop.h"
#include "runtime/tokenizer/ends.h"

#include <stdlib.h>
#include <string.h>

typedef struct job {
    const nmrt_tokenize *o;
    const nmrt_output *out;
    nmrt_batch_rules rules;
    nmrt_text settings;
    nmrt_tokenizer *tokenizer;
    nmrt_encoder **encoder; // [workers]
    nmrt_batch *batch;      // [batches]
    int workers, batches;
    nmrt_corpus reader;
    nmrt_indexed_writer writer;
    nmrt_corpus_journal done; // of what was written
    nmrt_meter meter;
    int64_t read_before; // bytes of the files before done.place.file
    double journalled;
    bool resumable; // the files can be read again: no pipe is among them
    bool finished;  // by an earlier run, which was killed when only its journal was left
} job;

// --- chunks through the threads ------------------------------------------------------------------

static nmrt_status read_batch(void *user, void *item, bool *end, nmrt_error *e)
{
    job *j = user;
    nmrt_batch *batch = item;
    NMRT_TRY(nmrt_stop_check(e));
    NMRT_TRY(nmrt_corpus_next(&j->reader, &batch->chunk, end, e));
    return *end ? nmrt_stop_check(e) : NMRT_OK; // who fills a pipe ends by the same signal
}

static nmrt_status fill_batch(void *user, int worker, void *item, nmrt_error *e)
{
    job *j = user;
    return nmrt_batch_fill(item, &j->rules, j->encoder[worker], e);
}

static nmrt_status write_journal(job *j, nmrt_error *e)
{
    if (!j->resumable)
        return NMRT_OK;
    NMRT_TRY(nmrt_indexed_sync(&j->writer, e));
    NMRT_TRY(nmrt_corpus_journal_write(&j->done, j->o->prefix, &j->settings, e));
    j->journalled = nmrt_seconds();
    return NMRT_OK;
}

static int64_t bytes_done(job *j, const nmrt_batch *batch)
{
    if (batch->chunk.to.file != j->done.place.file)
        j->read_before += j->done.place.byte;
    return j->read_before + batch->chunk.to.byte;
}

static void note_bad(job *j, const nmrt_batch *batch)
{
    if (batch->bad.n && !j->done.bad) {
        nmrt_meter_end(&j->meter);
        fprintf(j->out->note, "note: left out: %s\n", batch->bad.first);
    }
}

static nmrt_status write_batch(void *user, void *item, nmrt_error *e)
{
    job *j = user;
    nmrt_batch *b = item;
    int64_t bytes = b->n_tokens * nmrt_token_type_bytes(j->rules.type);
    NMRT_TRY(
        nmrt_indexed_append(&j->writer, b->ids.at, bytes, b->lengths.at, (int64_t)b->lengths.n, e));
    int64_t done = bytes_done(j, b);
    note_bad(j, b);
    j->done = (nmrt_corpus_journal){.place = b->chunk.to,
                                    .mark = j->writer.end,
                                    .documents = j->done.documents + b->documents,
                                    .tokens = j->done.tokens + b->n_tokens,
                                    .bad = j->done.bad + b->bad.n};
    nmrt_meter_move(&j->meter, done, j->done.documents, j->done.tokens);
    return nmrt_seconds() - j->journalled < j->o->journal_every ? NMRT_OK : write_journal(j, e);
}

// --- what was asked for --------------------------------------------------------------------------

static nmrt_status choose_eod(job *j, nmrt_error *e)
{
    int64_t id = -1;
    if (j->o->append_eod)
        NMRT_TRY(nmrt_end_find(j->o->eod, j->tokenizer, j->o->tokenizer, &id, e));
    j->rules.eod = (int32_t)id;
    return NMRT_OK;
}

static nmrt_status choose_type(job *j, nmrt_error *e)
{
    int64_t size = nmrt_tokenizer_size(j->tokenizer);
    bool automatic = strcmp(j->o->dtype, "auto") == 0;
    j->rules.type = automatic ? nmrt_token_type_for(size) : nmrt_token_type_find(j->o->dtype);
    if (size - 1 > nmrt_token_type_max(j->rules.type))
        return nmrt_fail(e, NMRT_USAGE, "--dtype %s holds ids up to %lld, and %s has %lld tokens",
                         j->o->dtype, (long long)nmrt_token_type_max(j->rules.type),
                         j->o->tokenizer, (long long)size);
    return NMRT_OK;
}

// --- beginning -----------------------------------------------------------------------------------

static nmrt_status open_workers(job *j, nmrt_error *e)
{
    enum { BATCHES = 3 }; // a worker
    j->workers = j->o->workers ? j->o->workers : nmrt_cpu_threads();
    j->batches = BATCHES * j->workers;
    j->encoder = calloc((size_t)j->workers, sizeof *j->encoder);
    j->batch = calloc((size_t)j->batches, sizeof *j->batch);
    if (!j->encoder || !j->batch)
        return nmrt_fail(e, NMRT_WORLD, "no memory for %d workers", j->workers);
    for (int i = 0; i < j->workers; i++)
        NMRT_TRY(nmrt_encoder_open(&j->encoder[i], j->tokenizer, e));
    return NMRT_OK;
}

// Where the interrupted run of the same command was, or at the start.
static nmrt_status open_writer(job *j, nmrt_error *e)
{
    const nmrt_tokenize *o = j->o;
    bool found = false;
    if (j->resumable && !o->fresh)
        NMRT_TRY(nmrt_corpus_journal_read(&j->done, o->prefix, &j->settings, &found, e));
    if (!found) {
        NMRT_TRY(nmrt_indexed_create(&j->writer, o->prefix, j->rules.type, o->fresh, e));
        NMRT_TRY(nmrt_corpus_journal_remove(o->prefix, e));
        return write_journal(j, e); // before the first token, which nobody could tell for ours
    }
    NMRT_TRY(nmrt_indexed_is_finished(o->prefix, j->done.mark, &j->finished, e));
    if (j->finished)
        return NMRT_OK;
    NMRT_TRY(nmrt_indexed_resume(&j->writer, o->prefix, j->rules.type, j->done.mark, e));
    fprintf(j->out->note, "note: going on after %s documents, %s tokens\n",
            nmrt_count((double)j->done.documents).s, nmrt_count((double)j->done.tokens).s);
    return NMRT_OK;
}

static nmrt_status open_job(job *j, nmrt_error *e)
{
    const nmrt_tokenize *o = j->o;
    j->resumable = nmrt_corpus_total(o->path, o->n_paths) >= 0;
    NMRT_TRY(nmrt_tokenizer_open(&j->tokenizer, o->tokenizer, e));
    NMRT_TRY(choose_eod(j, e));
    NMRT_TRY(choose_type(j, e));
    NMRT_TRY(nmrt_tokenize_settings(&j->settings, o, &j->rules, e));
    NMRT_TRY(open_workers(j, e));
    NMRT_TRY(open_writer(j, e));
    NMRT_TRY(nmrt_corpus_open(&j->reader, o->path, o->n_paths, o->rule, j->done.place, e));
    j->reader.chunk_bytes = o->chunk_bytes;
    j->read_before = nmrt_corpus_total(o->path, (int)j->done.place.file);
    j->meter = nmrt_meter_start(j->out, nmrt_corpus_total(o->path, o->n_paths),
                                j->read_before + j->done.place.byte);
    return NMRT_OK;
}

static void close_job(job *j)
{
    for (int i = 0; j->encoder && i < j->workers; i++)
        nmrt_encoder_close(j->encoder[i]);
    for (int i = 0; j->batch && i < j->batches; i++)
        nmrt_batch_release(&j->batch[i]);
    free(j->encoder);
    free(j->batch);
    nmrt_corpus_close(&j->reader);
    nmrt_indexed_abandon(&j->writer);
    nmrt_tokenizer_close(j->tokenizer);
    nmrt_text_release(&j->settings);
}

// --- the end -------------------------------------------------------------------------------------

static void print_result(job *j)
{
    const nmrt_corpus_journal *d = &j->done;
    double seconds = nmrt_meter_seconds(&j->meter);
    int64_t bytes = j->read_before + d->place.byte - j->meter.first;
    nmrt_meter_end(&j->meter);
    fprintf(j->out->text,
            "%s.bin, %s.idx: %lld documents, %lld tokens, %s, %s; %s in %s, %.1f MB/s\n",
            j->o->prefix, j->o->prefix, (long long)d->documents, (long long)d->tokens,
            nmrt_token_type_name(j->rules.type), nmrt_bytes(d->mark.bin).s, nmrt_bytes(bytes).s,
            nmrt_duration(seconds).s, seconds > 0 ? (double)bytes / seconds / 1e6 : 0);
    if (!d->documents)
        fprintf(j->out->note, "note: there was no document in what was read\n");
    if (d->bad)
        fprintf(j->out->note, "note: %lld lines were left out\n", (long long)d->bad);
}

// What was written before a failure stays, and the same command goes on behind it. On a full disk,
// what is cut off makes the room that the journal needs.
static nmrt_status keep(job *j, nmrt_status status, nmrt_error *e)
{
    nmrt_error unsaid, why = *e;
    bool kept = nmrt_indexed_cut(&j->writer, j->done.mark, &unsaid) == NMRT_OK &&
                write_journal(j, &unsaid) == NMRT_OK;
    if (!j->resumable)
        nmrt_indexed_discard(&j->writer);
    nmrt_meter_end(&j->meter);
    return nmrt_fail(e, status, "%s%s", why.text,
                     !j->resumable ? "; what a pipe gave must be given again"
                     : kept ? "; started again, it goes on from here"
                            : "; started again, it goes on from where it could last note it");
}

static nmrt_status finish(job *j, nmrt_error *e)
{
    if (!j->finished) {
        NMRT_TRY(write_journal(j, e));
        NMRT_TRY(nmrt_indexed_finish(&j->writer, e));
    }
    NMRT_TRY(nmrt_indexed_clean(j->o->prefix, e));
    return nmrt_corpus_journal_remove(j->o->prefix, e);
}

static nmrt_status run(job *j, nmrt_error *e)
{
    NMRT_TRY(open_job(j, e));
    nmrt_ordered ordered = {.item = j->batch,
                            .item_bytes = sizeof *j->batch,
                            .n_items = j->batches,
                            .workers = j->workers,
                            .user = j,
                            .read = read_batch,
                            .work = fill_batch,
                            .write = write_batch};
    nmrt_status status = j->finished ? NMRT_OK : nmrt_ordered_run(&ordered, e);
    if (status == NMRT_OK)
        status = finish(j, e);
    if (status != NMRT_OK)
        return keep(j, status, e);
    print_result(j);
    return NMRT_OK;
}

nmrt_status nmrt_tokenize_run(const nmrt_tokenize *o, const nmrt_output *out, nmrt_error *e)
{
    job j = {.o = o,
             .out = out,
             .rules = {.texts = {o->json_key, o->skip_bad}, .special = o->special},
             .reader = {.fd = -1},
             .writer = {.bin = -1, .sequences = -1}};
    nmrt_status status = run(&j, e);
    close_job(&j);
    return status;
}
