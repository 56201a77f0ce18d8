// Which tensors: every name of the map once, in its order; files are filled one after the other.
// A tensor is made whole in memory, by the rows of the map that lie in it, and written.
#define _GNU_SOURCE
#include "runtime/foreign/shards.h"

#include "runtime/foreign/convert.h"
#include "runtime/foreign/record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SCRATCH = 4 << 20 }; // elements

int64_t nmrt_shard_size(const char *text)
{
    static const struct {
        const char *name;
        double bytes;
    } unit[] = {{"", 1},         {"B", 1},       {"KB", 1e3},     {"MB", 1e6},
                {"GB", 1e9},     {"TB", 1e12},   {"KiB", 1024.0}, {"MiB", 1048576.0},
                {"GiB", 0x1p30}, {"TiB", 0x1p40}};
    char *end;
    double n = strtod(text, &end);
    for (size_t i = 0; i < sizeof unit / sizeof *unit; i++)
        if (end != text && strcmp(end, unit[i].name) == 0 && n * unit[i].bytes >= 1 &&
            n * unit[i].bytes < 0x1p62)
            return (int64_t)(n * unit[i].bytes);
    return -1;
}

// --- which tensors -----------------------------------------------------------------------------

static int64_t elements_of(const nmdrv_part_of *part)
{
    int64_t n = 1;
    for (int64_t i = 0; i < part->rank; i++)
        n *= part->shape[i];
    return n;
}

static bool grow(nmrt_shards *s)
{
    if (s->n & (s->n - 1)) // room is a power of 2
        return true;
    size_t room = s->n ? 2 * (size_t)s->n : 1;
    nmrt_tensor *tensor = realloc(s->tensor, room * sizeof *tensor);
    s->tensor = tensor ? tensor : s->tensor;
    const nmdrv_part_of **part = realloc(s->part, room * sizeof *part);
    s->part = part ? part : s->part;
    int *file = realloc(s->file, room * sizeof *file);
    s->file = file ? file : s->file;
    return tensor && part && file;
}

// *room: bytes that the last file has.
static nmrt_status add_tensor(nmrt_shards *s, const nmrt_shard_request *q, const nmrt_origin *from,
                              const nmdrv_part_of *part, const char *name, int64_t *full,
                              nmrt_error *e)
{
    const nmrt_tensor *own = nmrt_origin_find(from, name);
    int64_t bytes = 0;
    if (part->rank > NMRT_MAX_RANK || !grow(s))
        return nmrt_fail(e, NMRT_WORLD, "no memory for the list of tensors");
    nmrt_tensor *t = &s->tensor[s->n];
    *t = (nmrt_tensor){.dtype = q->dtype ? q->dtype
                                : own    ? own->dtype
                                         : q->otherwise,
                       .rank = (int)part->rank};
    name = own ? own->name : name;
    memcpy(t->name, name, strlen(name) + 1);
    memcpy(t->shape, part->shape, (size_t)part->rank * sizeof *t->shape);
    if (!nmrt_convert_knows(t->dtype, &bytes))
        return nmrt_fail(e, NMRT_CORRUPT,
                         "%s: it says that %s is of %s, which is no weight's dtype",
                         nmrt_record_name, t->name, t->dtype);
    bytes *= elements_of(part);
    if (!s->n_files || (*full && *full + bytes > q->most)) {
        s->n_files++;
        *full = 0;
    }
    t->begin = *full;
    t->end = *full += bytes;
    s->bytes += bytes;
    s->part[s->n] = part;
    s->file[s->n++] = s->n_files - 1;
    return NMRT_OK;
}

nmrt_status nmrt_shards_init(nmrt_shards *s, const nmrt_shard_request *q, const nmrt_origin *from,
                             nmrt_error *e)
{
    int64_t full = 0;
    *s = (nmrt_shards){0};
    for (int64_t i = 0; i < q->map->n_parts; i++) {
        const nmdrv_part_of *part = &q->map->part[i];
        nmrt_box box = nmrt_part_box(q->program, part);
        if (*part->codec)
            return nmrt_fail(e, NMRT_USAGE, "%s: weights are not packed as %s by an export",
                             part->where, part->codec);
        if (!nmrt_part_is_first(q->map, part))
            continue;
        for (nmrt_instance k = {0}; nmrt_instance_next(part, &box, &k);)
            NMRT_TRY(add_tensor(s, q, from, part, k.name, &full, e));
    }
    return NMRT_OK;
}

void nmrt_shards_release(nmrt_shards *s)
{
    free(s->tensor);
    free(s->part);
    free(s->file);
    *s = (nmrt_shards){0};
}

void nmrt_shard_name(const nmrt_shards *s, int file, char out[64])
{
    if (s->n_files < 2)
        snprintf(out, 64, "model.safetensors");
    else
        snprintf(out, 64, "model-%05d-of-%05d.safetensors", file + 1, s->n_files);
}

// --- a tensor ----------------------------------------------------------------------------------

typedef struct maker {
    const nmdrv_weights *map;
    nmrt_origin *from;
    float *scratch; // [SCRATCH]
} maker;

// `box` is of the parameter, and lies in the tensor `at`; halved until the scratch has room for it.
static nmrt_status put_box(const maker *m, const nmdrv_part_of *part, const nmrt_box *box,
                           const char *dtype, char *at, nmrt_error *e)
{
    int64_t file, first, bytes = 0;
    int k = 0;
    if (nmrt_box_elements(box) <= SCRATCH) {
        NMRT_TRY(nmrt_origin_read(m->from, part->param, box, m->scratch, e));
        nmrt_strides s = nmrt_instance_strides(part, box, box, &file, &first);
        nmrt_convert_knows(dtype, &bytes);
        nmrt_strides_write(&s, dtype, at + file * bytes, m->scratch + first);
        return NMRT_OK;
    }
    while (box->n[k] == 1)
        k++;
    nmrt_box low = *box, high = *box;
    low.n[k] /= 2;
    high.n[k] -= low.n[k];
    high.from[k] += low.n[k];
    NMRT_TRY(put_box(m, part, &low, dtype, at, e));
    return put_box(m, part, &high, dtype, at, e);
}

// All rows of the map that lie in the tensor have its pattern of a name.
static nmrt_status make_tensor(const maker *m, const nmrt_tensor *t, const nmdrv_part_of *first,
                               char *at, nmrt_error *e)
{
    for (const nmdrv_part_of *part = first; part < m->map->part + m->map->n_parts; part++) {
        nmrt_box box = nmrt_part_box(m->from->program, part);
        if (strcmp(part->name, first->name) != 0)
            continue;
        for (nmrt_instance i = {0}; nmrt_instance_next(part, &box, &i);) {
            const nmrt_tensor *own = nmrt_origin_find(m->from, i.name);
            if (strcmp(own ? own->name : i.name, t->name) == 0)
                NMRT_TRY(put_box(m, part, &i.box, t->dtype, at, e));
        }
    }
    return NMRT_OK;
}

static nmrt_status write_tensor(const maker *m, const nmrt_tensor *t, const nmdrv_part_of *first,
                                int fd, const char *path, nmrt_error *e)
{
    size_t n = (size_t)(t->end - t->begin);
    char *bytes = calloc(n + 1, 1);
    if (!bytes)
        return nmrt_fail(e, NMRT_WORLD, "no memory for %s: %s", t->name,
                         nmrt_bytes(t->end - t->begin).s);
    nmrt_status status = make_tensor(m, t, first, bytes, e);
    if (status == NMRT_OK)
        status = nmrt_write_all(fd, bytes, n, path, e);
    free(bytes);
    return status;
}

// --- the files ---------------------------------------------------------------------------------

// The tensors of a file are [from, to).
static nmrt_status fill_file(const nmrt_shards *s, const maker *m, int from, int to, int fd,
                             const char *path, nmrt_error *e)
{
    nmrt_text header = {0};
    nmrt_safetensors_header(&s->tensor[from], to - from, &header);
    nmrt_status status = header.failed ? nmrt_fail(e, NMRT_WORLD, "no memory to write %s", path)
                                       : nmrt_write_all(fd, header.at, header.n, path, e);
    nmrt_text_release(&header);
    for (int i = from; i < to && status == NMRT_OK; i++)
        status = write_tensor(m, &s->tensor[i], s->part[i], fd, path, e);
    if (status == NMRT_OK && fsync(fd))
        status = nmrt_fail_errno(e, "cannot write %s", path);
    return status;
}

static nmrt_status write_file(const nmrt_shards *s, const maker *m, int from, int to,
                              const char *folder, nmrt_error *e)
{
    char name[64], path[NMRT_PATH];
    nmrt_shard_name(s, s->file[from], name);
    NMRT_TRY(nmrt_path_join(path, folder, name, e));
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return nmrt_fail_errno(e, "cannot create %s", path);
    nmrt_status status = fill_file(s, m, from, to, fd, path, e);
    if (close(fd) && status == NMRT_OK)
        status = nmrt_fail_errno(e, "cannot write %s", path);
    return status;
}

static nmrt_status write_index(const nmrt_shards *s, const char *folder, nmrt_error *e)
{
    char path[NMRT_PATH], name[64];
    nmrt_text text = {0};
    NMRT_TRY(nmrt_path_join(path, folder, "model.safetensors.index.json", e));
    nmrt_text_add(&text,
                  "{\n  \"metadata\": {\n    \"total_size\": %lld\n  },\n  \"weight_map\": {",
                  (long long)s->bytes);
    for (int i = 0; i < s->n; i++) {
        nmrt_shard_name(s, s->file[i], name);
        nmrt_text_add(&text, "%s\n    ", i ? "," : "");
        nmrt_text_add_json(&text, s->tensor[i].name);
        nmrt_text_add(&text, ": \"%s\"", name);
    }
    nmrt_text_add(&text, "\n  }\n}\n");
    nmrt_status status = text.failed ? nmrt_fail(e, NMRT_WORLD, "no memory to write %s", path)
                                     : nmrt_file_create(path, text.at, text.n, e);
    nmrt_text_release(&text);
    return status;
}

nmrt_status nmrt_shards_write(const nmrt_shards *s, const nmdrv_weights *map, nmrt_origin *from,
                              const char *folder, nmrt_error *e)
{
    maker m = {map, from, malloc(SCRATCH * sizeof *m.scratch)};
    nmrt_status status =
        m.scratch ? NMRT_OK : nmrt_fail(e, NMRT_WORLD, "no memory to write %s", folder);
    for (int i = 0, k; i < s->n && status == NMRT_OK; i = k) {
        for (k = i; k < s->n && s->file[k] == s->file[i]; k++)
            ;
        status = write_file(s, &m, i, k, folder, e);
    }
    free(m.scratch);
    return status == NMRT_OK && s->n_files > 1 ? write_index(s, folder, e) : status;
}
