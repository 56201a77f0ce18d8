// Saving, as a whole: the copy in the step, a thread that writes, and what the ranks agree on.
//
// The threads talk through the folder alone, as the communicator is the steps'. A rank's thread
// writes its file, then 00001.note, by a rename; or, if it cannot, 00001.failed, if it can. That of
// rank 0 looks for both until it has all notes. Where not even .failed can be written it would look
// for ever: whoever waits for a save asks all ranks, over the communicator, and calls it off.
#include "runtime/agree.h"
#include "runtime/checkpoint_part.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { NAP_MS = 20, MAX_NAP_MS = 1000, ROUND_MS = 500, MAX_LOGS = 4 };

struct nmrt_saver {
    const nmrt_engine *engine;
    const nmrt_options *options;
    nmrt_comm *comm; // NULL: one rank
    int rank, ranks, lock;
    const nmrt_log *log[MAX_LOGS]; // that a checkpoint promises
    int n_logs;
    nmrt_track *track; // of what its thread writes
    nmrt_save_part part;
    // The save under way, the same on all ranks.
    bool under_way, threaded, told;
    nmrt_checkpoint at; // path: its .part
    pthread_t thread;
    pthread_mutex_t mutex; // of all below
    pthread_cond_t changed;
    bool written, ended, called_off; // this rank's file; the thread; nobody else will come
    bool placed;                     // the folder is where it should be
    nmrt_status wrote, outcome;      // of `written`; of `ended`, on rank 0 that of all
    nmrt_error e;                    // why not
};

// --- opening -----------------------------------------------------------------------------------

static nmrt_status open_saver(nmrt_saver *s, int64_t step, const nmrt_text *passed, nmrt_error *e)
{
    nmrt_status status = NMRT_OK;
    if (!s->rank)
        status = nmrt_checkpoint_lock(s->options->save, step, passed, &s->lock, e);
    if (status == NMRT_OK)
        status = nmrt_save_part_init(&s->part, s->engine->plan, &s->engine->shares, e);
    if (status == NMRT_OK)
        status = nmrt_save_part_alloc(&s->part, e);
    return nmrt_agree(s->comm, status, e);
}

nmrt_status nmrt_saver_open(nmrt_saver **out, const nmrt_engine *en, const nmrt_options *options,
                            int64_t step, const nmrt_text *passed, nmrt_error *e)
{
    nmrt_saver *s = *out = calloc(1, sizeof *s);
    if (!s)
        return nmrt_fail(e, NMRT_WORLD, "no memory to save checkpoints");
    *s = (nmrt_saver){.engine = en,
                      .options = options,
                      .comm = en->shares.comm,
                      .ranks = 1,
                      .lock = -1,
                      .track = nmrt_trace_track(en->trace, NMRT_TRACK_FILES, "checkpoints"),
                      .mutex = PTHREAD_MUTEX_INITIALIZER,
                      .changed = PTHREAD_COND_INITIALIZER};
    if (s->comm) {
        s->rank = s->comm->rank;
        s->ranks = s->comm->ranks;
    }
    nmrt_status status = open_saver(s, step, passed, e);
    if (status != NMRT_OK) {
        nmrt_saver_close(s);
        *out = NULL;
    }
    return status;
}

void nmrt_saver_promise(nmrt_saver *s, const nmrt_log *log)
{
    if (s && s->n_logs < MAX_LOGS)
        s->log[s->n_logs++] = log;
}

nmrt_status nmrt_saver_bytes(const nmrt_plan *plan, const nmrt_shares *shares, int64_t *bytes,
                             nmrt_error *e)
{
    nmrt_save_part part;
    nmrt_status status = nmrt_save_part_init(&part, plan, shares, e);
    *bytes = part.bytes;
    nmrt_save_part_release(&part);
    return status;
}

// --- between threads ---------------------------------------------------------------------------

static void set_flag(nmrt_saver *s, bool *flag)
{
    pthread_mutex_lock(&s->mutex);
    *flag = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->mutex);
}

// Waits until the flag is set, for so long at most; is it?
static bool wait_flag(nmrt_saver *s, const bool *flag, int ms)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += (long)ms * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&s->mutex);
    for (int late = 0; !*flag && !late;)
        late = pthread_cond_timedwait(&s->changed, &s->mutex, &until);
    bool set = *flag;
    pthread_mutex_unlock(&s->mutex);
    return set;
}

// --- a rank's file and note --------------------------------------------------------------------

static nmrt_status leave_note(const nmrt_saver *s, const nmrt_text *note, nmrt_error *e)
{
    char path[NMRT_PATH], aside[NMRT_PATH];
    NMRT_TRY(nmrt_checkpoint_file(path, s->at.path, s->rank, ".note", e));
    NMRT_TRY(nmrt_checkpoint_file(aside, s->at.path, s->rank, ".note.part", e));
    NMRT_TRY(nmrt_dir_sync(s->at.path, e));
    NMRT_TRY(nmrt_file_create(aside, note->at, note->n, e));
    if (rename(aside, path))
        return nmrt_fail_errno(e, "cannot write %s", path);
    return NMRT_OK;
}

// So that rank 0 need not wait; what cannot be written is told when the save is waited for.
static void leave_failure(const nmrt_saver *s, const nmrt_error *why)
{
    char path[NMRT_PATH];
    nmrt_error e;
    if (s->rank && nmrt_checkpoint_file(path, s->at.path, s->rank, ".failed", &e) == NMRT_OK)
        nmrt_file_create(path, why->text, strlen(why->text), &e);
}

static nmrt_status write_own(nmrt_saver *s, nmrt_text *note, nmrt_error *e)
{
    nmrt_status status = nmrt_save_part_write(&s->part, s->at.path, note, e);
    if (status == NMRT_OK && s->rank)
        status = leave_note(s, note, e);
    if (status != NMRT_OK)
        leave_failure(s, e);
    return status;
}

// --- rank 0 makes it whole ---------------------------------------------------------------------

typedef struct notes { // [ranks] of all; 0's own has no file
    nmrt_index *of;
    nm_json *doc;
} notes;

static nmrt_status read_failure(const char *path, int rank, nmrt_error *e)
{
    nmrt_map map;
    NMRT_TRY(nmrt_map_open(&map, path, e));
    if (map.n)
        nmrt_fail(e, NMRT_WORLD, "rank %d: %.*s", rank, (int)(map.n < 900 ? map.n : 900),
                  (const char *)map.at);
    else // nor could it write why
        nmrt_fail(e, NMRT_WORLD, "rank %d could not write its part; is the disk full?", rank);
    nmrt_map_close(&map);
    return NMRT_WORLD;
}

static nmrt_status await_note(nmrt_saver *s, int rank, nmrt_index *note, nmrt_error *e)
{
    char path[NMRT_PATH], failed[NMRT_PATH];
    NMRT_TRY(nmrt_checkpoint_file(path, s->at.path, rank, ".note", e));
    NMRT_TRY(nmrt_checkpoint_file(failed, s->at.path, rank, ".failed", e));
    for (int nap = NAP_MS; !nmrt_path_exists(path); nap = nap < MAX_NAP_MS ? 2 * nap : nap) {
        if (nmrt_path_exists(failed))
            return read_failure(failed, rank, e);
        if (wait_flag(s, &s->called_off, nap))
            return nmrt_fail(e, NMRT_WORLD, "rank %d has not written its part", rank);
    }
    return nmrt_sealed_open(note, path, e);
}

static nmrt_status write_index(nmrt_saver *s, const notes *n, nmrt_error *e)
{
    char path[NMRT_PATH];
    nmrt_text text = {0};
    nmrt_index_facts facts = {s->engine->program, s->options, s->engine->shares.mesh, s->at};
    NMRT_TRY(nmrt_path_join(path, s->at.path, "index.json", e));
    for (int i = 0; i < s->ranks; i++)
        n->doc[i] = n->of[i].doc;
    nmrt_status status = nmrt_index_print(&facts, n->doc, s->ranks, &text, e);
    if (status == NMRT_OK)
        status = nmrt_file_create(path, text.at, text.n, e);
    nmrt_text_release(&text);
    return status;
}

static nmrt_status remove_notes(const nmrt_saver *s, nmrt_error *e)
{
    for (int i = 1; i < s->ranks; i++) {
        char path[NMRT_PATH];
        NMRT_TRY(nmrt_checkpoint_file(path, s->at.path, i, ".note", e));
        if (unlink(path))
            return nmrt_fail_errno(e, "cannot remove %s", path);
    }
    return nmrt_dir_sync(s->at.path, e);
}

static nmrt_status sync_logs(const nmrt_saver *s, nmrt_error *e)
{
    for (int i = 0; i < s->n_logs; i++)
        NMRT_TRY(nmrt_log_sync(s->log[i], e));
    return NMRT_OK;
}

static nmrt_status collect(nmrt_saver *s, const notes *n, const nmrt_text *own, nmrt_error *e)
{
    NMRT_TRY(nmrt_json_parse(&n->of[0].doc, own->at, own->n, e));
    for (int i = 1; i < s->ranks; i++)
        NMRT_TRY(await_note(s, i, &n->of[i], e));
    NMRT_TRY(write_index(s, n, e));
    NMRT_TRY(remove_notes(s, e));
    nmrt_error why;
    nmrt_status synced = sync_logs(s, &why);
    NMRT_TRY(nmrt_checkpoint_place(s->options->save, s->at.step, e));
    s->placed = true;
    NMRT_TRY(nmrt_checkpoint_tidy(s->options->save, s->at.step, s->options->keep, e));
    if (synced != NMRT_OK)
        *e = why;
    return synced;
}

static nmrt_status complete(nmrt_saver *s, const nmrt_text *own, nmrt_error *e)
{
    notes n = {calloc((size_t)s->ranks, sizeof *n.of), calloc((size_t)s->ranks, sizeof *n.doc)};
    nmrt_status status = n.of && n.doc
                             ? collect(s, &n, own, e)
                             : nmrt_fail(e, NMRT_WORLD, "no memory for the checkpoint's index");
    for (int i = 0; n.of && i < s->ranks; i++)
        nmrt_index_close(&n.of[i]);
    free(n.of);
    free(n.doc);
    return status;
}

// --- the thread --------------------------------------------------------------------------------

static void *write_part(void *arg)
{
    nmrt_saver *s = arg;
    nmrt_text note = {0};
    int64_t begin = nmrt_trace_begin(s->track, "checkpoint");
    s->outcome = s->wrote = write_own(s, &note, &s->e);
    nmrt_trace_end(s->track, begin,
                   &(nmrt_span){.kind = NMRT_SPAN_FILE,
                                .name = "checkpoint",
                                .number = {{"step", s->at.step}, {"bytes", s->part.bytes}}});
    set_flag(s, &s->written);
    if (!s->rank && s->wrote == NMRT_OK)
        s->outcome = complete(s, &note, &s->e);
    nmrt_text_release(&note);
    set_flag(s, &s->ended);
    return NULL;
}

static nmrt_status make_folder(const nmrt_saver *s, nmrt_error *e)
{
    if (s->rank)
        return NMRT_OK;
    NMRT_TRY(nmrt_dir_remove(s->at.path, e)); // of a run that was killed
    return nmrt_dir_make(s->at.path, e);
}

nmrt_status nmrt_checkpoint_begin(nmrt_saver *s, const nmrt_checkpoint *c, nmrt_error *e)
{
    if (!s)
        return NMRT_OK;
    s->at = *c;
    NMRT_TRY(nmrt_checkpoint_folder(s->at.path, s->options->save, c->step, ".part", e));
    NMRT_TRY(nmrt_agree(s->comm, make_folder(s, e), e));
    nmrt_save_part_copy(&s->part, s->engine);
    s->under_way = true;
    s->told = s->written = s->ended = s->called_off = s->placed = false;
    s->threaded = pthread_create(&s->thread, NULL, write_part, s) == 0;
    if (!s->threaded)
        write_part(s); // the step waits, then
    return NMRT_OK;
}

// --- its end -----------------------------------------------------------------------------------

static void join(nmrt_saver *s)
{
    if (s->threaded)
        pthread_join(s->thread, NULL);
    s->threaded = false;
}

static nmrt_status tell(const nmrt_saver *s, nmrt_status status, const char *why, nmrt_error *e)
{
    return nmrt_fail(e, status, "step %lld is %s: %.900s", (long long)s->at.step,
                     s->placed ? "saved, but" : "not saved", why);
}

nmrt_status nmrt_checkpoint_poll(nmrt_saver *s, nmrt_error *e)
{
    if (!s || !s->under_way || s->told || !wait_flag(s, &s->ended, 0) || s->outcome == NMRT_OK)
        return NMRT_OK;
    s->told = true;
    return tell(s, s->outcome, s->e.text, e);
}

// Until the flag is set on every rank. They ask each other again and again, so that nobody seems
// stuck while another writes, and a rank that died is noticed.
static nmrt_status await_all(nmrt_saver *s, const bool *flag, nmrt_error *e)
{
    nmrt_status status;
    do {
        e->text[0] = 0;
        status = nmrt_agree(s->comm, wait_flag(s, flag, ROUND_MS) ? NMRT_OK : NMRT_STOPPED, e);
    } while (status == NMRT_STOPPED);
    return status;
}

// What all ranks say together of what their threads did.
static nmrt_status sum_up(nmrt_saver *s, nmrt_status mine, nmrt_error *e)
{
    if (mine != NMRT_OK && s->rank)
        nmrt_fail(e, mine, "rank %d: %.900s", s->rank, s->e.text);
    else if (mine != NMRT_OK)
        *e = s->e;
    return nmrt_agree(s->comm, mine, e);
}

nmrt_status nmrt_checkpoint_wait(nmrt_saver *s, nmrt_checkpoint *c, nmrt_error *e)
{
    nmrt_error why, ended;
    if (!s || !s->under_way)
        return NMRT_OK;
    NMRT_TRY(await_all(s, &s->written, e));
    nmrt_status status = sum_up(s, s->wrote, &why);
    if (status != NMRT_OK)
        set_flag(s, &s->called_off);
    NMRT_TRY(await_all(s, &s->ended, e));
    join(s);
    s->under_way = false;
    if (!s->rank && s->outcome != NMRT_OK)
        nmrt_dir_remove(s->at.path, e);                  // the first failure is the one to tell
    nmrt_status outcome = sum_up(s, s->outcome, &ended); // nobody leaves before that is removed
    if (status == NMRT_OK) {
        status = outcome;
        why = ended;
    }
    if (status == NMRT_OK || s->placed)
        nmrt_checkpoint_folder(c->path, s->options->save, s->at.step, "", e);
    if (status != NMRT_OK)
        tell(s, status, why.text, e);
    if (s->told)
        e->text[0] = 0;
    return nmrt_everyones(status, e);
}

void nmrt_saver_close(nmrt_saver *s)
{
    if (!s)
        return;
    if (s->ranks > 1) // nobody is waited for who may be gone
        set_flag(s, &s->called_off);
    join(s);
    if (s->lock >= 0)
        close(s->lock);
    nmrt_save_part_release(&s->part);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->mutex);
    free(s);
}
