// Import: of each parameter the boxes that this rank holds, from the folder's maps through a small
// scratch, which turns numbers into f32 and brings them into the parameter's order.
#include "runtime/foreign/import.h"

#include "runtime/agree.h"
#include "runtime/checkpoint_format.h"
#include "runtime/foreign/config.h"
#include "runtime/means.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { SCRATCH = 4 << 20 }; // elements

const char *nmrt_init_folder(const char *init, char map[32])
{
    size_t n = strcspn(init, ":");
    if (!init[n] || !n || n >= 32 || !init[n + 1])
        return NULL;
    memcpy(map, init, n);
    map[n] = 0;
    return init + n + 1;
}

// --- opening -----------------------------------------------------------------------------------

static nmrt_status check_folder(const char *folder, nmrt_error *e)
{
    struct stat st;
    if (stat(folder, &st) == 0 && S_ISDIR(st.st_mode))
        return NMRT_OK;
    if (nmrt_path_exists(folder))
        return nmrt_fail(e, NMRT_WORLD, "--init: %s is not a folder", folder);
    return nmrt_fail(e, NMRT_WORLD,
                     "--init: there is no folder %s here, and nothing is downloaded: get its "
                     "config.json and its safetensors files first",
                     folder);
}

nmrt_status nmrt_import_open(nmrt_import *x, const nmdrv_program *program, const char *init,
                             nmrt_text *notes, nmrt_error *e)
{
    const nmdrv_weights *map;
    char name[32];
    const char *folder = nmrt_init_folder(init, name);
    if (!folder)
        return nmrt_fail(e, NMRT_USAGE,
                         "--init takes hf:DIR, a weights map of the model and a "
                         "folder, not '%s'",
                         init);
    NMRT_TRY(nmrt_weights_find(&map, program, name, e));
    NMRT_TRY(check_folder(folder, e));
    NMRT_TRY(nmrt_config_check(map, folder, notes, e));
    NMRT_TRY(nmrt_foreign_open(&x->from, folder, e));
    return nmrt_match_init(&x->match, program, map, &x->from, e);
}

void nmrt_import_close(nmrt_import *x)
{
    nmrt_match_release(&x->match);
    nmrt_foreign_close(&x->from);
}

// --- one parameter into its slot ---------------------------------------------------------------

typedef struct landing { // where boxes of a parameter go
    const nmrt_import *x;
    nmrt_engine *en;
    int64_t param;
    char *to;             // device memory: the rank's own array ..
    const int64_t *shape; // .. of this shape
    float *scratch;       // [SCRATCH]
} landing;

static nmrt_status land_piece(const landing *l, const nmrt_held *h, nmrt_error *e)
{
    static const int64_t origin[NMRT_MAX_RANK];
    const nmrt_box *box = &h->box;
    NMRT_TRY(nmrt_match_read(&l->x->match, l->param, box, l->scratch, e));
    nmrt_comm_moved(l->en->shares.comm);
    nmrt_view theirs = {box->n, origin}, ours = {l->shape, h->at};
    for (nmrt_rows r = nmrt_rows_of(box->rank, box->n, theirs, ours); nmrt_rows_next(&r);)
        l->en->ops->copy_in(l->en->device, l->to + r.b * (int64_t)sizeof *l->scratch,
                            l->scratch + r.a, r.n * (int64_t)sizeof *l->scratch);
    return NMRT_OK;
}

// In halves of its outermost dim, until the scratch has room for one.
static nmrt_status land(const landing *l, const nmrt_held *h, nmrt_error *e)
{
    int k = 0;
    if (nmrt_box_elements(&h->box) <= SCRATCH)
        return land_piece(l, h, e);
    while (h->box.n[k] == 1)
        k++;
    nmrt_held first = *h, second = *h;
    first.box.n[k] /= 2;
    second.box.n[k] -= first.box.n[k];
    second.box.from[k] += first.box.n[k];
    second.at[k] += first.box.n[k];
    NMRT_TRY(land(l, &first, e));
    return land(l, &second, e);
}

// `row` is the parameter's, or that of a state which begins as the parameter.
static nmrt_status land_row(landing *l, int64_t row, nmrt_error *e)
{
    nmrt_engine *en = l->en;
    const nmrt_slot *slot = nmrt_checkpoint_slot(en->plan, &en->program->param[row]);
    nmrt_part part;
    if (!slot)
        return NMRT_OK; // another pipeline stage's
    nmrt_status status = nmrt_part_init(&part, en->program, row, slot, &en->shares, e);
    l->to = nmrt_engine_slot_at(en, slot);
    l->shape = part.shape;
    if (status == NMRT_OK && part.padded)
        en->ops->fill(en->device, l->to, slot->bytes, 0);
    for (int i = 0; i < part.n && status == NMRT_OK; i++)
        status = land(l, &part.held[i], e);
    nmrt_part_release(&part);
    return status;
}

static nmrt_status land_all(landing *l, nmrt_error *e)
{
    const nmdrv_program *p = l->en->program;
    for (l->param = 0; l->param < p->n_params; l->param++) {
        if (p->param[l->param].is_state || !nmrt_weights_have(l->x->match.map, l->param))
            continue;
        NMRT_TRY(land_row(l, l->param, e));
        int64_t average = nmrt_mean_of(p, l->param);
        if (average >= 0)
            NMRT_TRY(land_row(l, average, e));
    }
    return NMRT_OK;
}

// --- all of them -------------------------------------------------------------------------------

static nmrt_status copy(const nmrt_import *x, nmrt_engine *en, nmrt_error *e)
{
    landing l = {.x = x, .en = en, .scratch = malloc(SCRATCH * sizeof *l.scratch)};
    nmrt_status status =
        l.scratch ? land_all(&l, e) : nmrt_fail(e, NMRT_WORLD, "no memory to read weights");
    free(l.scratch);
    return status;
}

static nmrt_status open_all(nmrt_import *x, const nmdrv_program *program,
                            const nmrt_import_request *q, nmrt_text *notes, nmrt_error *e)
{
    const char *first = "";
    NMRT_TRY(nmrt_import_open(x, program, q->init, notes, e));
    char map[32];
    nmrt_config_note_seq(nmrt_init_folder(q->init, map), q->seq, notes);
    int64_t left = nmrt_weights_count_left(x->match.map, program, &first);
    if (left && q->whole)
        return nmrt_fail(e, NMRT_USAGE,
                         "%s is not enough for this model: %lld parameters, as %s, are not in the "
                         "weights map %s",
                         q->init, (long long)left, first, x->match.map->name);
    if (left)
        nmrt_text_add(notes,
                      "note: %lld parameters, as %s, are not in the weights map %s: they begin as "
                      "the model says\n",
                      (long long)left, first, x->match.map->name);
    nmrt_match_print_unused(&x->match, notes);
    return NMRT_OK;
}

nmrt_status nmrt_import_load(const nmrt_import_request *q, nmrt_engine *en, nmrt_text *notes,
                             nmrt_error *e)
{
    nmrt_import x = {0};
    nmrt_comm *comm = en->shares.comm;
    nmrt_status status = nmrt_agree_alike(comm, open_all(&x, en->program, q, notes, e), e);
    if (status == NMRT_OK)
        status = nmrt_agree_alike(comm, copy(&x, en, e), e);
    nmrt_import_close(&x);
    return status;
}
