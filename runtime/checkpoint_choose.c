// Which checkpoint is loaded: the newest that every rank can use. Rank 0 lists the folders, as file
// systems may show them to others later; every rank verifies its own part of a candidate, and one
// that a single rank cannot use is passed over by all.
#include "runtime/agree.h"
#include "runtime/checkpoint_read.h"

#include <stdio.h>
#include <stdlib.h>

static nmrt_status load_folder(const char *folder, nmrt_engine *en, nmrt_reading reading,
                               nmrt_checkpoint *c, nmrt_error *e)
{
    nmrt_reader *r;
    nmrt_status status = nmrt_reader_open(&r, folder, en, reading, c, e);
    status = nmrt_agree(en->shares.comm, status, e);
    if (status == NMRT_OK)
        status = nmrt_reader_copy(r, e);
    if (status == NMRT_OK)
        snprintf(c->path, sizeof c->path, "%s", folder);
    nmrt_reader_close(r);
    return status;
}

static nmrt_status load_newest(const char *dir, const int64_t *steps, int n, nmrt_engine *en,
                               nmrt_reading reading, nmrt_checkpoint *c, nmrt_text *passed,
                               nmrt_error *e)
{
    nmrt_error first;
    int n_foreign = 0;
    size_t n_passed = passed->n;
    for (int i = 0; i < n; i++) {
        char folder[NMRT_PATH];
        nmrt_error why;
        NMRT_TRY(nmrt_checkpoint_find(folder, dir, steps[i], e));
        nmrt_status status = load_folder(folder, en, reading, c, &why);
        if (status == NMRT_OK)
            return NMRT_OK;
        n_foreign += status == NMRT_FOREIGN;
        if (!i)
            first = why;
        nmrt_text_add(passed, "passing over %s: %s\n", folder, why.text);
    }
    if (n_foreign == n) { // one run's, so one reason
        if (passed->at)
            passed->at[passed->n = n_passed] = 0;
        return nmrt_everyones(nmrt_fail(e, NMRT_FOREIGN, "%s", first.text), e);
    }
    return nmrt_everyones(
        nmrt_fail(e, NMRT_CORRUPT,
                  "none of the %d checkpoints in %s can be used; a run with another --save starts "
                  "anew",
                  n, dir),
        e);
}

typedef struct choice { // rank 0's
    int64_t single, n;  // `path` is itself a checkpoint; or the folders in it
} choice;

static choice look(const char *path, int64_t **steps, nmrt_error *e)
{
    char index[NMRT_PATH];
    int n = 0;
    choice found = {.single = nmrt_path_join(index, path, "index.json", e) == NMRT_OK &&
                              nmrt_path_exists(index)};
    *steps = found.single ? NULL : nmrt_checkpoint_list(path, &n);
    found.n = n;
    return found;
}

static nmrt_status agree_on_steps(nmrt_comm *comm, int64_t **steps, int64_t n, nmrt_error *e)
{
    if (comm && comm->rank && n) {
        *steps = calloc((size_t)n, sizeof **steps);
        if (!*steps)
            return nmrt_fail(e, NMRT_WORLD, "no memory to list checkpoints");
    }
    return n ? nmrt_agree_on(comm, *steps, n * (int64_t)sizeof **steps, e) : NMRT_OK;
}

nmrt_status nmrt_checkpoint_load(const char *path, nmrt_engine *en, nmrt_reading reading,
                                 nmrt_checkpoint *c, nmrt_text *passed, nmrt_error *e)
{
    nmrt_comm *comm = en->shares.comm;
    int64_t *steps = NULL;
    choice found = {0};
    *c = (nmrt_checkpoint){0};
    if (!comm || !comm->rank)
        found = look(path, &steps, e);
    nmrt_status status = nmrt_agree_on(comm, &found, sizeof found, e);
    if (status == NMRT_OK)
        status = agree_on_steps(comm, &steps, found.n, e);
    if (status == NMRT_OK && found.single)
        status = load_folder(path, en, reading, c, e);
    else if (status == NMRT_OK && found.n)
        status = load_newest(path, steps, (int)found.n, en, reading, c, passed, e);
    free(steps);
    return status;
}
