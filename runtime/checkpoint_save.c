// Writing checkpoints: aside, synced, renamed.
#define _GNU_SOURCE
#include "runtime/checkpoint.h"

#include "runtime/dtype.h"
#include "runtime/hash.h"
#include "runtime/safetensors.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { CHUNK = 4 << 20 };
static const char data_file[] = "00000.safetensors";

// --- the folder --------------------------------------------------------------------------------

static int newest_first(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x < y) - (x > y);
}

static bool parse_folder(const char *name, const char *suffix, int64_t *step)
{
    if (strncmp(name, "step-", 5) != 0 || name[5] < '0' || name[5] > '9')
        return false;
    char *end;
    errno = 0;
    *step = strtoll(name + 5, &end, 10);
    return !errno && strcmp(end, suffix) == 0;
}

static int64_t *list_folders(const char *dir, const char *suffix, int *n)
{
    int64_t *steps = NULL, step;
    *n = 0;
    DIR *d = opendir(dir);
    if (!d)
        return NULL;
    for (struct dirent *entry; (entry = readdir(d));) {
        if (!parse_folder(entry->d_name, suffix, &step))
            continue;
        int64_t *more = realloc(steps, (size_t)(*n + 1) * sizeof *steps);
        if (!more)
            break;
        steps = more;
        steps[(*n)++] = step;
    }
    closedir(d);
    if (steps)
        qsort(steps, (size_t)*n, sizeof *steps, newest_first);
    return steps;
}

int64_t *nmrt_checkpoint_list(const char *dir, int *n) { return list_folders(dir, "", n); }

nmrt_status nmrt_checkpoint_folder(char out[NMRT_PATH], const char *dir, int64_t step,
                                   const char *suffix, nmrt_error *e)
{
    char name[64];
    snprintf(name, sizeof name, "step-%06lld%s", (long long)step, suffix);
    return nmrt_path_join(out, dir, name, e);
}

void nmrt_checkpoint_tensor_name(const nmdrv_param *param, char out[512])
{
    snprintf(out, 512, "%s%s", param->is_state && *param->optimizer ? "optim." : "", param->path);
}

// --- opening -----------------------------------------------------------------------------------

// Later checkpoints of another run would be taken for this one's by --resume auto.
static nmrt_status refuse_later(const char *dir, int64_t step, const nmrt_text *passed,
                                nmrt_error *e)
{
    int n;
    int64_t *steps = nmrt_checkpoint_list(dir, &n);
    nmrt_status status = NMRT_OK;
    for (int i = 0; i < n && status == NMRT_OK; i++) {
        char path[NMRT_PATH];
        status = nmrt_checkpoint_folder(path, dir, steps[i], "", e);
        if (status == NMRT_OK && steps[i] > step && !(passed->at && strstr(passed->at, path)))
            status = nmrt_fail(
                e, NMRT_USAGE,
                "%s is there already, from another run: go on from it with --resume auto, or give "
                "another folder to --save",
                path);
    }
    free(steps);
    return status;
}

nmrt_status nmrt_saver_open(nmrt_saver *s, int64_t step, const nmrt_text *passed, nmrt_error *e)
{
    const char *dir = s->options->save;
    NMRT_TRY(nmrt_dir_make(dir, e));
    s->lock = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->lock < 0)
        return nmrt_fail_errno(e, "cannot open the folder %s", dir);
    nmrt_status status = NMRT_OK;
    if (flock(s->lock, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK)
        status = nmrt_fail(e, NMRT_WORLD, "another run saves its checkpoints in %s now", dir);
    if (status == NMRT_OK && access(dir, W_OK))
        status = nmrt_fail_errno(e, "cannot write into the folder %s", dir);
    if (status == NMRT_OK)
        status = refuse_later(dir, step, passed, e);
    if (status != NMRT_OK)
        nmrt_saver_close(s);
    return status;
}

void nmrt_saver_close(nmrt_saver *s)
{
    if (s->lock >= 0)
        close(s->lock);
    s->lock = -1;
}

// --- the tensors -------------------------------------------------------------------------------

typedef struct entry {
    const nmdrv_param *param;
    const nmrt_slot *slot;
    uint64_t hash;
} entry;

typedef struct contents { // of one safetensors file
    entry *entry;
    nmrt_tensor *tensor;
    int n;
    int64_t bytes; // of the whole file
    uint64_t header_hash;
} contents;

static void release_contents(contents *c)
{
    free(c->entry);
    free(c->tensor);
}

static nmrt_status list_contents(contents *c, const nmrt_engine *en, nmrt_error *e)
{
    const nmdrv_program *p = en->program;
    *c = (contents){.entry = calloc((size_t)p->n_params + 1, sizeof *c->entry),
                    .tensor = calloc((size_t)p->n_params + 1, sizeof *c->tensor)};
    if (!c->entry || !c->tensor)
        return nmrt_fail(e, NMRT_WORLD, "no memory for the checkpoint's index");
    int64_t at = 0;
    for (int64_t i = 0; i < p->n_params; i++) {
        const nmdrv_param *row = &p->param[i];
        const nmrt_slot *slot =
            nmrt_plan_slot(en->plan, row->is_state ? NMDRV_STATE : NMDRV_PARAM, row->path);
        if (!slot || !nmrt_dtype(row->dtype)->safetensors || row->rank > NMRT_MAX_RANK)
            return nmrt_fail(e, NMRT_CORRUPT, "the program is inconsistent: %s cannot be saved",
                             row->path);
        nmrt_tensor *t = &c->tensor[c->n];
        nmrt_checkpoint_tensor_name(row, t->name);
        t->dtype = nmrt_dtype(row->dtype)->safetensors;
        t->rank = (int)row->rank;
        int64_t bytes = nmrt_dtype(row->dtype)->bits / 8;
        for (int k = 0; k < t->rank; k++)
            bytes *= t->shape[k] = row->shape[k];
        t->begin = at;
        t->end = at += bytes;
        c->entry[c->n++] = (entry){row, slot, 0};
    }
    return NMRT_OK;
}

static nmrt_status write_tensor(const nmrt_engine *en, entry *item, int64_t bytes, int fd,
                                char *chunk, const char *path, nmrt_error *e)
{
    const char *at = nmrt_engine_slot_at(en, item->slot);
    nmrt_hash hash;
    nmrt_hash_init(&hash);
    for (int64_t i = 0; i < bytes; i += CHUNK) {
        int64_t some = bytes - i < CHUNK ? bytes - i : CHUNK;
        en->ops->copy_out(en->device, chunk, at + i, some);
        nmrt_hash_add(&hash, chunk, (size_t)some);
        NMRT_TRY(nmrt_write_all(fd, chunk, (size_t)some, path, e));
    }
    item->hash = nmrt_hash_value(&hash);
    return NMRT_OK;
}

static nmrt_status write_tensors(contents *c, const nmrt_engine *en, int fd, const char *path,
                                 nmrt_error *e)
{
    nmrt_text header = {0};
    nmrt_safetensors_header(c->tensor, c->n, &header);
    char *chunk = malloc(CHUNK);
    nmrt_status status = NMRT_OK;
    if (header.failed || !chunk)
        status = nmrt_fail(e, NMRT_WORLD, "no memory to write %s", path);
    else
        status = nmrt_write_all(fd, header.at, header.n, path, e);
    for (int i = 0; i < c->n && status == NMRT_OK; i++)
        status = write_tensor(en, &c->entry[i], c->tensor[i].end - c->tensor[i].begin, fd, chunk,
                              path, e);
    if (status == NMRT_OK && fsync(fd))
        status = nmrt_fail_errno(e, "cannot write %s", path);
    c->header_hash = header.failed ? 0 : nmrt_hash_of(header.at, header.n);
    c->bytes = (int64_t)header.n + (c->n ? c->tensor[c->n - 1].end : 0);
    free(chunk);
    nmrt_text_release(&header);
    return status;
}

static nmrt_status write_data(contents *c, const nmrt_engine *en, const char *folder, nmrt_error *e)
{
    char path[NMRT_PATH];
    NMRT_TRY(nmrt_path_join(path, folder, data_file, e));
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return nmrt_fail_errno(e, "cannot create %s", path);
    nmrt_status status = write_tensors(c, en, fd, path, e);
    if (close(fd) && status == NMRT_OK)
        status = nmrt_fail_errno(e, "cannot write %s", path);
    return status;
}

// --- the index ---------------------------------------------------------------------------------

static void print_flags(const nmrt_options *o, nmrt_text *out)
{
    const char *comma = "";
    for (int i = 0; i < nmrt_n_options; i++)
        if (nmrt_option_table[i].verbs & NMRT_TRAIN) {
            nmrt_text_add(out, "%s\n    \"%s\": ", comma, nmrt_option_table[i].name);
            nmrt_option_print_json(o, &nmrt_option_table[i], out);
            comma = ",";
        }
    for (int i = 0; i < o->hypers.n; i++) {
        if (o->hypers.hyper[i].needed && !o->hypers.hyper[i].set)
            continue;
        nmrt_text_add(out, ",\n    ");
        nmrt_text_add_json(out, o->hypers.hyper[i].name);
        nmrt_text_add(out, ": ");
        nmrt_text_add_real(out, o->hypers.hyper[i].value);
    }
}

static void print_tensor(const nmdrv_program *p, const nmrt_tensor *t, const entry *en,
                         nmrt_text *out)
{
    nmrt_text_add(out, "{\"path\": ");
    nmrt_text_add_json(out, t->name);
    nmrt_text_add(out, ", \"dtype\": \"%s\", \"dims\": [", t->dtype);
    for (int k = 0; k < t->rank; k++) {
        nmrt_text_add(out, k ? ", " : "");
        nmrt_text_add_json(out, p->dim[en->param->dim[k]].name);
    }
    nmrt_text_add(out, "], \"shape\": [");
    for (int k = 0; k < t->rank; k++)
        nmrt_text_add(out, "%s%lld", k ? ", " : "", (long long)t->shape[k]);
    nmrt_text_add(out,
                  "], \"pieces\": [{\"file\": \"%s\", \"offsets\": [%lld, %lld]}], \"checksum\": "
                  "\"xxh64:%016llx\"}",
                  data_file, (long long)t->begin, (long long)t->end, (unsigned long long)en->hash);
}

static void print_index(const contents *c, const nmrt_checkpoint *at, const nmrt_saver *s,
                        nmrt_text *out)
{
    const nmdrv_program *p = s->engine->program;
    nmrt_text_add(
        out, "{\n  \"format\": \"nemocc checkpoint\", \"version\": 1,\n  \"program\": {\"name\": ");
    nmrt_text_add_json(out, p->name);
    nmrt_text_add(out, ", \"preset\": ");
    nmrt_text_add_json(out, p->preset);
    nmrt_text_add(out, ", \"hash\": ");
    nmrt_text_add_json(out, p->hash);
    nmrt_text_add(out, ", \"compiler\": ");
    nmrt_text_add_json(out, p->compiler);
    nmrt_text_add(out, "},\n  \"step\": %lld, \"samples\": %lld, \"seed\": %lld,\n  \"flags\": {",
                  (long long)at->step, (long long)at->samples, (long long)at->seed);
    print_flags(s->options, out);
    nmrt_text_add(out,
                  "\n  },\n  \"files\": [{\"file\": \"%s\", \"bytes\": %lld, \"header\": "
                  "\"xxh64:%016llx\"}],\n"
                  "  \"tensors\": [",
                  data_file, (long long)c->bytes, (unsigned long long)c->header_hash);
    for (int i = 0; i < c->n; i++) {
        nmrt_text_add(out, i ? ",\n    " : "\n    ");
        print_tensor(p, &c->tensor[i], &c->entry[i], out);
    }
    nmrt_text_add(out, "\n  ]");
}

void nmrt_checkpoint_seal(char out[NMRT_SEAL + 1], const char *text, size_t n)
{
    snprintf(out, NMRT_SEAL + 1, ",\n  \"checksum\": \"xxh64:%016llx\"\n}\n",
             (unsigned long long)nmrt_hash_of(text, n));
}

static nmrt_status write_index(const contents *c, const nmrt_checkpoint *at, const nmrt_saver *s,
                               const char *folder, nmrt_error *e)
{
    char path[NMRT_PATH], seal[NMRT_SEAL + 1];
    NMRT_TRY(nmrt_path_join(path, folder, "index.json", e));
    nmrt_text text = {0};
    print_index(c, at, s, &text);
    nmrt_checkpoint_seal(seal, text.at ? text.at : "", text.n);
    nmrt_text_add(&text, "%s", seal);
    nmrt_status status = text.failed ? nmrt_fail(e, NMRT_WORLD, "no memory to write %s", path)
                                     : nmrt_file_create(path, text.at, text.n, e);
    nmrt_text_release(&text);
    return status;
}

// --- a whole save ------------------------------------------------------------------------------

static nmrt_status write_folder(nmrt_saver *s, const nmrt_checkpoint *at, const char *folder,
                                nmrt_error *e)
{
    contents c;
    NMRT_TRY(nmrt_dir_remove(folder, e)); // of a run that was killed
    NMRT_TRY(nmrt_dir_make(folder, e));
    nmrt_status status = list_contents(&c, s->engine, e);
    if (status == NMRT_OK)
        status = write_data(&c, s->engine, folder, e);
    if (status == NMRT_OK)
        status = s->comm->barrier(s->comm, e);
    if (status == NMRT_OK)
        status = write_index(&c, at, s, folder, e);
    if (status == NMRT_OK)
        status = nmrt_dir_sync(folder, e);
    release_contents(&c);
    return status;
}

static nmrt_status move_latest(const char *dir, const char *folder, nmrt_error *e)
{
    char link[NMRT_PATH], aside[NMRT_PATH];
    NMRT_TRY(nmrt_path_join(link, dir, "latest", e));
    NMRT_TRY(nmrt_path_join(aside, dir, "latest.part", e));
    unlink(aside);
    if (symlink(strrchr(folder, '/') + 1, aside) || rename(aside, link))
        return nmrt_fail_errno(e, "cannot write the link %s", link);
    return nmrt_dir_sync(dir, e);
}

// Renamed before it is emptied, so that a folder without .part stays whole.
static nmrt_status remove_step(const char *dir, int64_t step, nmrt_error *e)
{
    char folder[NMRT_PATH], part[NMRT_PATH];
    NMRT_TRY(nmrt_checkpoint_folder(folder, dir, step, "", e));
    NMRT_TRY(nmrt_checkpoint_folder(part, dir, step, ".part", e));
    NMRT_TRY(nmrt_dir_remove(part, e));
    if (rename(folder, part))
        return nmrt_fail_errno(e, "cannot rename %s", folder);
    return nmrt_dir_remove(part, e);
}

// Those of later steps than `now` were passed over at the start: they neither count nor go.
static nmrt_status remove_old(const char *dir, int64_t now, int64_t keep, nmrt_error *e)
{
    int n;
    int64_t *steps = nmrt_checkpoint_list(dir, &n), kept = 0;
    nmrt_status status = NMRT_OK;
    for (int i = 0; i < n && keep > 0 && status == NMRT_OK; i++)
        if (steps[i] <= now && ++kept > keep)
            status = remove_step(dir, steps[i], e);
    free(steps);
    return status;
}

static nmrt_status remove_parts(const char *dir, nmrt_error *e)
{
    int n;
    int64_t *steps = list_folders(dir, ".part", &n);
    nmrt_status status = NMRT_OK;
    for (int i = 0; i < n && status == NMRT_OK; i++) {
        char part[NMRT_PATH];
        status = nmrt_checkpoint_folder(part, dir, steps[i], ".part", e);
        if (status == NMRT_OK)
            status = nmrt_dir_remove(part, e);
    }
    free(steps);
    return status;
}

nmrt_status nmrt_checkpoint_save(nmrt_saver *s, nmrt_checkpoint *c, nmrt_error *e)
{
    const char *dir = s->options->save;
    char folder[NMRT_PATH], part[NMRT_PATH];
    NMRT_TRY(nmrt_checkpoint_folder(folder, dir, c->step, "", e));
    NMRT_TRY(nmrt_checkpoint_folder(part, dir, c->step, ".part", e));
    nmrt_status status = write_folder(s, c, part, e);
    if (status != NMRT_OK) {
        nmrt_dir_remove(part, &(nmrt_error){""}); // the first failure is the one to tell
        return status;
    }
    NMRT_TRY(nmrt_dir_replace(part, folder, e));
    NMRT_TRY(nmrt_dir_sync(dir, e));
    snprintf(c->path, sizeof c->path, "%s", folder);
    NMRT_TRY(move_latest(dir, folder, e));
    NMRT_TRY(remove_parts(dir, e));
    return remove_old(dir, c->step, s->options->keep, e);
}
