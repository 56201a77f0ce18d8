// One rank's file. Its layout is that of the copy, so writing it is one header and one run of
// bytes; a piece is row-major in it, whatever it was in the rank's memory.
#define _GNU_SOURCE
#include "runtime/checkpoint_part.h"

#include "runtime/dtype.h"
#include "runtime/hash.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// --- which pieces ------------------------------------------------------------------------------

static nmrt_status add_pieces(nmrt_save_part *part, int64_t param, const nmrt_slot *slot,
                              const nmrt_part *held, nmrt_error *e)
{
    nmrt_own *more = realloc(part->own, (size_t)(part->n + held->n + 1) * sizeof *more);
    if (!more)
        return nmrt_fail(e, NMRT_WORLD, "no memory for the checkpoint's index");
    part->own = more;
    for (int i = 0; i < held->n; i++) {
        nmrt_own *o = &part->own[part->n++];
        *o = (nmrt_own){.param = param, .slot = slot, .held = held->held[i], .begin = part->bytes};
        memcpy(o->shape, held->shape, sizeof o->shape);
        part->bytes += nmrt_box_elements(&o->held.box) * nmrt_dtype(slot->arg->dtype)->bits / 8;
        o->end = part->bytes;
    }
    return NMRT_OK;
}

static nmrt_status add_param(nmrt_save_part *part, int64_t param, const nmrt_plan *plan,
                             const nmrt_shares *shares, nmrt_error *e)
{
    const nmdrv_param *row = &part->program->param[param];
    const nmrt_slot *slot = nmrt_checkpoint_slot(plan, row);
    nmrt_part held;
    if (!slot)
        return NMRT_OK; // another pipeline stage's; that somebody has it is checked with the index
    if (!nmrt_dtype(row->dtype)->safetensors || row->dtype != slot->arg->dtype)
        return nmrt_fail(e, NMRT_CORRUPT, "the program is inconsistent: %s cannot be saved",
                         row->path);
    NMRT_TRY(nmrt_part_init(&held, part->program, param, slot, shares, e));
    nmrt_status status = held.first ? add_pieces(part, param, slot, &held, e) : NMRT_OK;
    nmrt_part_release(&held);
    return status;
}

static nmrt_status describe(const nmrt_save_part *part, const nmrt_own *o, nmrt_tensor *t,
                            nmrt_error *e)
{
    const nmdrv_param *row = &part->program->param[o->param];
    char name[NMRT_MAX_TENSOR_NAME];
    nmrt_checkpoint_tensor_name(row, name);
    *t = (nmrt_tensor){.dtype = nmrt_dtype(row->dtype)->safetensors,
                       .rank = (int)row->rank,
                       .begin = o->begin,
                       .end = o->end};
    memcpy(t->shape, o->held.box.n, sizeof t->shape);
    if (!nmrt_checkpoint_piece_name(name, &o->held.box, row->shape, t->name))
        return nmrt_fail(e, NMRT_CORRUPT, "the name %.60s... is too long for a checkpoint", name);
    return NMRT_OK;
}

static nmrt_status make_header(nmrt_save_part *part, nmrt_error *e)
{
    nmrt_tensor *tensor = calloc((size_t)part->n + 1, sizeof *tensor);
    nmrt_status status = NMRT_OK;
    for (int i = 0; tensor && i < part->n && status == NMRT_OK; i++)
        status = describe(part, &part->own[i], &tensor[i], e);
    if (tensor && status == NMRT_OK)
        nmrt_safetensors_header(tensor, part->n, &part->header);
    free(tensor);
    return status == NMRT_OK && (!tensor || part->header.failed)
               ? nmrt_fail(e, NMRT_WORLD, "no memory for the checkpoint's index")
               : status;
}

nmrt_status nmrt_save_part_init(nmrt_save_part *part, const nmrt_plan *plan,
                                const nmrt_shares *shares, nmrt_error *e)
{
    *part =
        (nmrt_save_part){.program = plan->program, .rank = shares->comm ? shares->comm->rank : 0};
    for (int64_t i = 0; i < plan->program->n_params; i++)
        NMRT_TRY(add_param(part, i, plan, shares, e));
    return make_header(part, e);
}

nmrt_status nmrt_save_part_alloc(nmrt_save_part *part, nmrt_error *e)
{
    part->copy = malloc((size_t)part->bytes + 1);
    return part->copy ? NMRT_OK
                      : nmrt_fail(e, NMRT_WORLD, "no memory for the checkpoints' copy: %s",
                                  nmrt_bytes(part->bytes).s);
}

void nmrt_save_part_release(nmrt_save_part *part)
{
    free(part->own);
    free(part->copy);
    nmrt_text_release(&part->header);
    *part = (nmrt_save_part){0};
}

// --- the copy ----------------------------------------------------------------------------------

static void copy_piece(const nmrt_own *o, const nmrt_engine *en, char *to)
{
    static const int64_t origin[NMRT_MAX_RANK];
    const char *from = nmrt_engine_slot_at(en, o->slot);
    const nmrt_box *box = &o->held.box;
    int64_t width = nmrt_dtype(o->slot->arg->dtype)->bits / 8;
    nmrt_comm_moved(en->shares.comm);
    nmrt_view theirs = {o->shape, o->held.at}, ours = {box->n, origin};
    for (nmrt_rows r = nmrt_rows_of(box->rank, box->n, theirs, ours); nmrt_rows_next(&r);)
        en->ops->copy_out(en->device, to + r.b * width, from + r.a * width, r.n * width);
}

void nmrt_save_part_copy(nmrt_save_part *part, const nmrt_engine *en)
{
    for (int i = 0; i < part->n; i++)
        copy_piece(&part->own[i], en, part->copy + part->own[i].begin);
}

// --- the file ----------------------------------------------------------------------------------

static nmrt_status write_file(const nmrt_save_part *part, const char *path, nmrt_error *e)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return nmrt_fail_errno(e, "cannot create %s", path);
    nmrt_status status = nmrt_write_all(fd, part->header.at, part->header.n, path, e);
    if (status == NMRT_OK)
        status = nmrt_write_all(fd, part->copy, (size_t)part->bytes, path, e);
    if (status == NMRT_OK && fsync(fd))
        status = nmrt_fail_errno(e, "cannot write %s", path);
    if (close(fd) && status == NMRT_OK)
        status = nmrt_fail_errno(e, "cannot write %s", path);
    return status;
}

static bool print_piece(const nmrt_save_part *part, const nmrt_own *o, const char *file,
                        nmrt_text *out)
{
    nmrt_stored s = {.begin = o->begin, .end = o->end, .box = o->held.box};
    int64_t n = 0;
    uint64_t *hash = malloc((size_t)((o->end - o->begin) / NMRT_BLOCK + 1) * sizeof *hash);
    if (!hash)
        return false;
    snprintf(s.file, sizeof s.file, "%s", file);
    for (int64_t at = o->begin; at < o->end; at += NMRT_BLOCK) {
        int64_t some = o->end - at < NMRT_BLOCK ? o->end - at : NMRT_BLOCK;
        hash[n++] = nmrt_hash_of(part->copy + at, (size_t)some);
    }
    nmrt_text_add(out, out->n ? ", " : "");
    nmrt_stored_print(&s, hash, n, out);
    free(hash);
    return true;
}

static nmrt_status print_note(const nmrt_save_part *part, const char *file, nmrt_text *note,
                              nmrt_error *e)
{
    int64_t n = part->program->n_params;
    nmrt_text *piece = calloc((size_t)n + 1, sizeof *piece);
    bool good = piece != NULL;
    for (int i = 0; good && i < part->n; i++)
        good = print_piece(part, &part->own[i], file, &piece[part->own[i].param]);
    nmrt_written w = {part->n ? file : NULL, (int64_t)part->header.n + part->bytes,
                      nmrt_hash_of(part->header.at, part->header.n), piece};
    if (good)
        nmrt_written_print(&w, n, note);
    for (int64_t i = 0; piece && i < n; i++) {
        good = good && !piece[i].failed;
        nmrt_text_release(&piece[i]);
    }
    free(piece);
    return good && !note->failed ? NMRT_OK
                                 : nmrt_fail(e, NMRT_WORLD, "no memory for the checkpoint's index");
}

nmrt_status nmrt_save_part_write(const nmrt_save_part *part, const char *folder, nmrt_text *note,
                                 nmrt_error *e)
{
    char path[NMRT_PATH];
    NMRT_TRY(nmrt_checkpoint_file(path, folder, part->rank, ".safetensors", e));
    if (part->n)
        NMRT_TRY(write_file(part, path, e));
    return print_note(part, strrchr(path, '/') + 1, note, e);
}
