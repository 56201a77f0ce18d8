// Reading one checkpoint: the boxes that this rank holds, from the pieces that they meet. Two
// passes over the tensors: the first believes nothing and changes nothing, the second copies. So a
// damaged checkpoint can be passed over for an older one, or refused, safely. Of a piece only those
// blocks are touched in which rows of a box lie, and each of these is checked first.
#include "runtime/checkpoint_read.h"

#include "runtime/checkpoint_files.h"
#include "runtime/dtype.h"
#include "runtime/hash.h"
#include "runtime/means.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct nmrt_reader {
    nmrt_reading reading;
    int64_t absent, left; // as nmrt_checkpoint has them
    bool begins_means, drops_means;
    const char *folder;
    nmrt_engine *en;
    nmrt_index index;
    int64_t block; // bytes that a checksum is of; 0: of all
    nmrt_data_files files;
};

typedef struct tensor { // one of the program's rows, in this checkpoint
    const nmdrv_param *param;
    char name[NMRT_MAX_TENSOR_NAME];
    const nmrt_slot *slot;
    int64_t width; // bytes of an element
    nmrt_stored_list stored;
    nmrt_part part;
} tensor;

static nmrt_status broken(const nmrt_reader *r, nmrt_error *e, const char *what)
{
    return nmrt_index_broken(r->folder, what, e);
}

static nmrt_status find_piece(nmrt_reader *r, const tensor *t, const nmrt_stored *s,
                              const unsigned char **at, nmrt_error *e)
{
    char name[NMRT_MAX_TENSOR_NAME];
    if (!nmrt_checkpoint_piece_name(t->name, &s->box, t->param->shape, name))
        *name = 0; // too long: no file has it
    return nmrt_data_files_find(&r->files, s, name, at, e);
}

// --- what the index says of a tensor -----------------------------------------------------------

static int find_entry(const nmrt_reader *r, const char *name)
{
    const nm_json *doc = &r->index.doc;
    int tensors = nm_json_get(doc, 0, "tensors");
    char path[NMRT_MAX_TENSOR_NAME];
    for (int i = nm_json_first(doc, tensors); i >= 0; i = doc->node[i].next)
        if (nm_json_string(doc, nm_json_get(doc, i, "path"), path, sizeof path) &&
            strcmp(path, name) == 0)
            return i;
    return -1;
}

// A mean that the checkpoint lacks begins as its parameter does here.
static int find_averaged(nmrt_reader *r, tensor *t)
{
    const char *path = nmrt_mean_averages(t->param);
    int entry = path ? find_entry(r, path) : -1;
    if (entry < 0)
        return -1;
    snprintf(t->name, sizeof t->name, "%s", path);
    r->begins_means = true;
    return entry;
}

// The entry of what is read of the parameter or state, and its name.
static int find_source(nmrt_reader *r, tensor *t)
{
    if (r->reading == NMRT_READ_MEANS && !t->param->is_state &&
        nmrt_mean_name(t->param->path, t->name, sizeof t->name)) {
        int entry = find_entry(r, t->name);
        if (entry >= 0)
            return entry;
    }
    nmrt_checkpoint_tensor_name(t->param, t->name);
    int entry = find_entry(r, t->name);
    return entry < 0 ? find_averaged(r, t) : entry;
}

static void print_shape(nmrt_text *out, const char *dtype, int64_t rank, const int64_t *shape)
{
    nmrt_text_add(out, "%s[", dtype);
    for (int64_t i = 0; i < rank; i++)
        nmrt_text_add(out, "%s%lld", i ? ", " : "", (long long)shape[i]);
    nmrt_text_add(out, "]");
}

static nmrt_status check_shape(const nmrt_reader *r, int entry, const tensor *t, nmrt_error *e)
{
    const nm_json *doc = &r->index.doc;
    const nmdrv_param *p = t->param;
    const char *ours = nmrt_dtype(p->dtype)->safetensors;
    char theirs[16];
    int64_t shape[NMRT_MAX_RANK], rank = 0;
    int list = nm_json_get(doc, entry, "shape");
    if (!nm_json_string(doc, nm_json_get(doc, entry, "dtype"), theirs, sizeof theirs))
        return broken(r, e, "a tensor has no dtype");
    for (int i = nm_json_first(doc, list); i >= 0; i = doc->node[i].next)
        if (rank == NMRT_MAX_RANK || !nm_json_int(doc, i, &shape[rank++]))
            return broken(r, e, "a tensor's shape is wrong");
    bool same = ours && strcmp(theirs, ours) == 0 && rank == p->rank;
    for (int64_t i = 0; same && i < rank; i++)
        same = shape[i] == p->shape[i];
    if (same)
        return NMRT_OK;
    nmrt_text there = {0}, here = {0};
    print_shape(&there, theirs, rank, shape);
    print_shape(&here, ours ? ours : "?", p->rank, p->shape);
    nmrt_fail(e, NMRT_FOREIGN, "%s is of another model: %s is %s there and %s here", r->folder,
              t->name, there.at ? there.at : "", here.at ? here.at : "");
    nmrt_text_release(&there);
    nmrt_text_release(&here);
    return NMRT_FOREIGN;
}

// Dims may have other names in a program that was changed; the same names in another order are a
// mistake that equal extents would hide.
static nmrt_status check_dims(const nmrt_reader *r, int entry, const tensor *t, nmrt_error *e)
{
    const nm_json *doc = &r->index.doc;
    const nmdrv_dim *dim = r->en->program->dim;
    int64_t k = 0, at = 0, moved = 0;
    for (int i = nm_json_first(doc, nm_json_get(doc, entry, "dims")); i >= 0;
         i = doc->node[i].next, k++) {
        char name[128] = "";
        nm_json_string(doc, i, name, sizeof name);
        for (at = 0; at < t->param->rank && strcmp(dim[t->param->dim[at]].name, name) != 0; at++)
            ;
        if (at == t->param->rank)
            return NMRT_OK;
        if (k < t->param->rank && strcmp(dim[t->param->dim[k]].name, name) != 0)
            moved++;
    }
    return moved ? nmrt_fail(e, NMRT_FOREIGN,
                             "%s is of another model: %s has its dims in another order there",
                             r->folder, t->name)
                 : NMRT_OK;
}

// All but what this rank holds of it.
static nmrt_status read_stored(nmrt_reader *r, int entry, tensor *t, nmrt_error *e)
{
    const nm_json *doc = &r->index.doc;
    nmrt_box whole = nmrt_checkpoint_whole(t->param);
    nmrt_error why;
    NMRT_TRY(check_shape(r, entry, t, e));
    NMRT_TRY(check_dims(r, entry, t, e));
    nmrt_status status =
        nmrt_stored_read(&t->stored, doc, nm_json_get(doc, entry, "pieces"),
                         nm_json_get(doc, entry, "checksum"), &whole, t->width, &why);
    if (status == NMRT_OK)
        status = nmrt_stored_check(&t->stored, &whole, t->name, &why);
    if (status != NMRT_OK)
        return status == NMRT_CORRUPT ? broken(r, e, why.text)
                                      : nmrt_fail(e, status, "%s", why.text);
    return NMRT_OK;
}

static nmrt_status read_tensor(nmrt_reader *r, int entry, tensor *t, nmrt_error *e)
{
    NMRT_TRY(read_stored(r, entry, t, e));
    return nmrt_part_init(&t->part, r->en->program, t->param - r->en->program->param, t->slot,
                          &r->en->shares, e);
}

static void release_tensor(tensor *t)
{
    free(t->stored.at);
    nmrt_part_release(&t->part);
}

// --- where a piece meets what this rank holds --------------------------------------------------

static nmrt_rows rows_of(const tensor *t, const nmrt_stored *s, const nmrt_held *h,
                         const nmrt_box *both)
{
    int64_t there[NMRT_MAX_RANK], here[NMRT_MAX_RANK];
    for (int k = 0; k < both->rank; k++) {
        there[k] = both->from[k] - s->box.from[k];
        here[k] = both->from[k] - h->box.from[k] + h->at[k];
    }
    return nmrt_rows_of(both->rank, both->n, (nmrt_view){s->box.n, there},
                        (nmrt_view){t->part.shape, here});
}

typedef struct blocks { // of a piece
    int64_t bytes, n;   // of a block; blocks
    bool *used;         // [n]
    bool any;
} blocks;

static void mark_blocks(const tensor *t, const nmrt_stored *s, blocks *b)
{
    nmrt_box both;
    for (int i = 0; i < t->part.n; i++) {
        const nmrt_held *h = &t->part.held[i];
        if (!nmrt_box_meet(&s->box, &h->box, &both))
            continue;
        b->any = true;
        for (nmrt_rows row = rows_of(t, s, h, &both); nmrt_rows_next(&row);)
            for (int64_t k = row.a * t->width / b->bytes;
                 k <= ((row.a + row.n) * t->width - 1) / b->bytes; k++)
                b->used[k] = true;
    }
}

// The checksum of block k, which is `at` here or a text for all.
static bool read_checksum(const nmrt_reader *r, const nmrt_stored *s, int at, uint64_t *hash)
{
    return nmrt_checksum_read(&r->index.doc, r->block ? at : s->checksums, hash);
}

static nmrt_status check_blocks(nmrt_reader *r, const tensor *t, const nmrt_stored *s,
                                const blocks *b, nmrt_error *e)
{
    const nm_json *doc = &r->index.doc;
    const unsigned char *at;
    int node = nm_json_first(doc, s->checksums);
    NMRT_TRY(find_piece(r, t, s, &at, e));
    for (int64_t k = 0; k < b->n; k++, node = node < 0 ? -1 : doc->node[node].next) {
        int64_t begin = k * b->bytes, end = begin + b->bytes;
        uint64_t hash;
        if (!b->used[k])
            continue;
        nmrt_comm_moved(r->en->shares.comm);
        if (!read_checksum(r, s, node, &hash))
            return broken(r, e, "a tensor has no checksum");
        end = end < s->end - s->begin ? end : s->end - s->begin;
        if (nmrt_hash_of(at + begin, (size_t)(end - begin)) != hash)
            return nmrt_fail(e, NMRT_CORRUPT, "%s is damaged: the checksum of %s does not fit (%s)",
                             r->folder, t->name, s->file);
        nmrt_map_forget(at + begin, (size_t)(end - begin));
    }
    return NMRT_OK;
}

static nmrt_status verify_piece(nmrt_reader *r, const tensor *t, const nmrt_stored *s,
                                nmrt_error *e)
{
    int64_t bytes = s->end - s->begin;
    blocks b = {.bytes = r->block ? r->block : bytes};
    if (!bytes)
        return NMRT_OK;
    b.n = (bytes - 1) / b.bytes + 1;
    b.used = calloc((size_t)b.n, sizeof *b.used);
    if (!b.used)
        return nmrt_fail(e, NMRT_WORLD, "no memory to read %s", r->folder);
    mark_blocks(t, s, &b);
    nmrt_status status = b.any ? check_blocks(r, t, s, &b, e) : NMRT_OK;
    free(b.used);
    return status;
}

// A file's pages are not kept beside the copy: the plan has no room for both.
static void copy_run(nmrt_reader *r, char *to, const unsigned char *from, int64_t n)
{
    for (int64_t at = 0; at < n; at += NMRT_BLOCK) {
        int64_t some = n - at < NMRT_BLOCK ? n - at : NMRT_BLOCK;
        r->en->ops->copy_in(r->en->device, to + at, from + at, some);
        if (some == NMRT_BLOCK)
            nmrt_map_forget(from + at, (size_t)some);
    }
}

static nmrt_status copy_piece(nmrt_reader *r, const tensor *t, const nmrt_stored *s, char *to,
                              nmrt_error *e)
{
    nmrt_box both;
    const unsigned char *from = NULL;
    for (int i = 0; i < t->part.n; i++) {
        const nmrt_held *h = &t->part.held[i];
        if (!nmrt_box_meet(&s->box, &h->box, &both))
            continue;
        if (!from)
            NMRT_TRY(find_piece(r, t, s, &from, e));
        nmrt_comm_moved(r->en->shares.comm);
        for (nmrt_rows row = rows_of(t, s, h, &both); nmrt_rows_next(&row);)
            copy_run(r, to + row.b * t->width, from + row.a * t->width, row.n * t->width);
    }
    if (from)
        nmrt_map_forget(from, (size_t)(s->end - s->begin));
    return NMRT_OK;
}

static nmrt_status verify_tensor(nmrt_reader *r, const tensor *t, nmrt_error *e)
{
    for (int i = 0; i < t->stored.n; i++)
        NMRT_TRY(verify_piece(r, t, &t->stored.at[i], e));
    return NMRT_OK;
}

static nmrt_status copy_tensor(nmrt_reader *r, const tensor *t, nmrt_error *e)
{
    char *to = nmrt_engine_slot_at(r->en, t->slot);
    if (t->part.padded)
        r->en->ops->fill(r->en->device, to, t->slot->bytes, 0);
    for (int i = 0; i < t->stored.n; i++)
        NMRT_TRY(copy_piece(r, t, &t->stored.at[i], to, e));
    return NMRT_OK;
}

typedef nmrt_status visit(nmrt_reader *r, const tensor *t, nmrt_error *e);

static nmrt_status visit_tensors(nmrt_reader *r, visit *do_it, nmrt_error *e)
{
    r->absent = 0;
    for (int64_t i = 0; i < r->en->program->n_params; i++) {
        tensor t = {.param = &r->en->program->param[i]};
        t.slot = nmrt_checkpoint_slot(r->en->plan, t.param);
        t.width = nmrt_dtype(t.param->dtype)->bits / 8;
        if (!t.slot)
            continue;
        int entry = find_source(r, &t);
        r->absent += entry < 0 && t.param->own;
        if (entry < 0 && t.param->own)
            continue;
        if (entry < 0)
            return nmrt_fail(e, NMRT_FOREIGN, "%s is of another program: it has no %s", r->folder,
                             t.name);
        nmrt_status status = read_tensor(r, entry, &t, e);
        if (status == NMRT_OK)
            status = do_it(r, &t, e);
        release_tensor(&t);
        NMRT_TRY(status);
    }
    return NMRT_OK;
}

// As far as the index and the blocks that the box meets say, without an engine's slot.
static nmrt_status read_box(nmrt_reader *r, tensor *t, const nmrt_box *box, char *to, nmrt_error *e)
{
    nmrt_held held = {.box = *box};
    int entry = find_source(r, t);
    if (entry < 0)
        return nmrt_fail(e, NMRT_FOREIGN, "%s is of another program: it has no %s", r->folder,
                         t->name);
    NMRT_TRY(read_stored(r, entry, t, e));
    t->part = (nmrt_part){.held = &held, .n = 1};
    memcpy(t->part.shape, box->n, sizeof t->part.shape);
    nmrt_status status = verify_tensor(r, t, e);
    for (int i = 0; i < t->stored.n && status == NMRT_OK; i++)
        status = copy_piece(r, t, &t->stored.at[i], to, e);
    t->part = (nmrt_part){0};
    return status;
}

// The mean of a parameter of ours, which this program does not keep.
static bool is_dropped(const nmrt_reader *r, const char *name)
{
    const nmdrv_program *p = r->en->program;
    const char *path = nmrt_mean_tensor(name);
    for (int64_t i = 0; path && i < p->n_params; i++)
        if (!p->param[i].is_state && strcmp(p->param[i].path, path) == 0)
            return true;
    return false;
}

static nmrt_status check_no_more(nmrt_reader *r, nmrt_error *e)
{
    const nm_json *doc = &r->index.doc;
    const nmdrv_program *p = r->en->program;
    int tensors = nm_json_get(doc, 0, "tensors");
    for (int i = nm_json_first(doc, tensors); i >= 0; i = doc->node[i].next) {
        char path[NMRT_MAX_TENSOR_NAME] = "", name[NMRT_MAX_TENSOR_NAME];
        bool known = false;
        nm_json_string(doc, nm_json_get(doc, i, "path"), path, sizeof path);
        for (int64_t k = 0; k < p->n_params && !known; k++) {
            nmrt_checkpoint_tensor_name(&p->param[k], name);
            known = strcmp(path, name) == 0;
        }
        bool own = nm_json_get(doc, i, "own") >= 0; // of the program that wrote it
        bool dropped = !known && is_dropped(r, path);
        r->left += !known && own;
        r->drops_means |= dropped;
        if (!known && !own && !dropped)
            return nmrt_fail(e, NMRT_FOREIGN, "%s is of another program: this one has no %s",
                             r->folder, path);
    }
    return NMRT_OK;
}

static nmrt_status check_means(const nmrt_reader *r, nmrt_error *e)
{
    const nm_json *doc = &r->index.doc;
    char path[NMRT_MAX_TENSOR_NAME];
    for (int i = nm_json_first(doc, nm_json_get(doc, 0, "tensors")); i >= 0; i = doc->node[i].next)
        if (nm_json_string(doc, nm_json_get(doc, i, "path"), path, sizeof path) &&
            nmrt_mean_tensor(path))
            return NMRT_OK;
    return nmrt_fail(
        e, NMRT_FOREIGN,
        "--weights ema: %s has no running means of its weights; a model has them whose "
        "minimize says ema = 0.9999",
        r->folder);
}

// --- the reader --------------------------------------------------------------------------------

static nmrt_status read_facts(const nmrt_reader *r, nmrt_checkpoint *c, nmrt_error *e)
{
    const nm_json *doc = &r->index.doc;
    if (!nm_json_int(doc, nm_json_get(doc, 0, "step"), &c->step) ||
        !nm_json_int(doc, nm_json_get(doc, 0, "samples"), &c->samples) ||
        !nm_json_int(doc, nm_json_get(doc, 0, "seed"), &c->seed) ||
        !nm_json_string(doc, nm_json_get(doc, nm_json_get(doc, 0, "program"), "hash"), c->hash,
                        sizeof c->hash))
        return broken(r, e, "step, samples, seed or the program's hash is missing");
    int program = nm_json_get(doc, 0, "program"), drawn = nm_json_get(doc, 0, "drawn");
    if (drawn >= 0 && (!nm_json_int(doc, drawn, &c->drawn) || c->drawn < 0))
        return broken(r, e, "drawn is no number of samples");
    nm_json_string(doc, nm_json_get(doc, program, "precision"), c->precision, sizeof c->precision);
    nm_json_string(doc, nm_json_get(doc, program, "recipe"), c->recipe, sizeof c->recipe);
    nmrt_index_print_mesh(&r->index, c->mesh);
    if (c->step < 0 || c->samples < 0)
        return broken(r, e, "its step is negative");
    return NMRT_OK;
}

// Of what differs between two models, their names say the most.
static nmrt_status name_models(const nmrt_reader *r, nmrt_error *e)
{
    const nm_json *doc = &r->index.doc;
    const nmdrv_program *p = r->en->program;
    int program = nm_json_get(doc, 0, "program");
    char name[128], preset[128];
    if (nm_json_string(doc, nm_json_get(doc, program, "name"), name, sizeof name) &&
        nm_json_string(doc, nm_json_get(doc, program, "preset"), preset, sizeof preset) &&
        (strcmp(name, p->name) != 0 || strcmp(preset, p->preset) != 0))
        nmrt_fail(e, NMRT_FOREIGN, "%s is of the model %s%s%s; this binary is %s%s%s", r->folder,
                  name, *preset ? " " : "", preset, p->name, *p->preset ? " " : "", p->preset);
    return NMRT_FOREIGN;
}

static nmrt_status read_block(nmrt_reader *r, nmrt_error *e)
{
    const nm_json *doc = &r->index.doc;
    int64_t version = 0;
    nm_json_int(doc, nm_json_get(doc, 0, "version"), &version);
    if (version > 1 && (!nm_json_int(doc, nm_json_get(doc, 0, "block"), &r->block) || r->block < 1))
        return broken(r, e, "it does not say what its checksums are of");
    return NMRT_OK;
}

static nmrt_status verify(nmrt_reader *r, nmrt_reading reading, nmrt_checkpoint *c, nmrt_error *e)
{
    NMRT_TRY(nmrt_index_open(&r->index, r->folder, e));
    NMRT_TRY(read_block(r, e));
    NMRT_TRY(read_facts(r, c, e));
    NMRT_TRY(nmrt_data_files_list(&r->files, r->folder, &r->index.doc, e));
    if (reading == NMRT_READ_MEANS)
        NMRT_TRY(check_means(r, e));
    nmrt_status status = visit_tensors(r, verify_tensor, e);
    if (status == NMRT_OK && reading == NMRT_READ_WHOLE)
        status = check_no_more(r, e);
    c->absent = r->absent;
    c->left = r->left;
    c->begins_means = r->begins_means;
    c->drops_means = r->drops_means;
    return status == NMRT_FOREIGN ? name_models(r, e) : status;
}

nmrt_status nmrt_reader_open(nmrt_reader **out, const char *folder, nmrt_engine *en,
                             nmrt_reading reading, nmrt_checkpoint *c, nmrt_error *e)
{
    nmrt_reader *r = *out = calloc(1, sizeof *r);
    if (!r)
        return nmrt_fail(e, NMRT_WORLD, "no memory to read %s", folder);
    r->folder = folder;
    r->en = en;
    r->reading = reading;
    return verify(r, reading, c, e);
}

nmrt_status nmrt_reader_copy(nmrt_reader *r, nmrt_error *e)
{
    return visit_tensors(r, copy_tensor, e);
}

nmrt_status nmrt_reader_box(nmrt_reader *r, int64_t param, const nmrt_box *box, void *to,
                            nmrt_error *e)
{
    tensor t = {.param = &r->en->program->param[param]};
    t.width = nmrt_dtype(t.param->dtype)->bits / 8;
    nmrt_status status = read_box(r, &t, box, to, e);
    release_tensor(&t);
    return status == NMRT_FOREIGN ? name_models(r, e) : status;
}

void nmrt_reader_close(nmrt_reader *r)
{
    if (r) {
        nmrt_data_files_close(&r->files);
        nmrt_index_close(&r->index);
    }
    free(r);
}
