// Reading the texts of a checkpoint: the index, and the notes of which it was made. Both are JSON,
// sealed by their own checksum, and have one reader of pieces, which believes nothing.
#include "runtime/checkpoint_format.h"

#include "runtime/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// --- names -------------------------------------------------------------------------------------

void nmrt_checkpoint_tensor_name(const nmdrv_param *param, char out[NMRT_MAX_TENSOR_NAME])
{
    snprintf(out, NMRT_MAX_TENSOR_NAME, "%s%s",
             param->is_state && *param->optimizer ? "optim." : "", param->path);
}

const nmrt_slot *nmrt_checkpoint_slot(const nmrt_plan *plan, const nmdrv_param *param)
{
    return nmrt_plan_slot(plan, param->is_state ? NMDRV_STATE : NMDRV_PARAM, param->path);
}

nmrt_box nmrt_checkpoint_whole(const nmdrv_param *param)
{
    nmrt_box whole = {.rank = (int)param->rank};
    for (int64_t k = 0; k < param->rank; k++)
        whole.n[k] = param->shape[k];
    return whole;
}

bool nmrt_checkpoint_piece_name(const char *tensor, const nmrt_box *box, const int64_t *whole,
                                char out[NMRT_MAX_TENSOR_NAME])
{
    nmrt_text range = {0};
    nmrt_box_print(box, whole, &range);
    int n = snprintf(out, NMRT_MAX_TENSOR_NAME, "%s%s", tensor, range.at ? range.at : "");
    bool fits = !range.failed && n >= 0 && n < NMRT_MAX_TENSOR_NAME;
    nmrt_text_release(&range);
    return fits;
}

// --- seals -------------------------------------------------------------------------------------

static void print_seal(char out[NMRT_SEAL + 1], const char *text, size_t n)
{
    snprintf(out, NMRT_SEAL + 1, ",\n  \"checksum\": \"xxh64:%016llx\"\n}\n",
             (unsigned long long)nmrt_hash_of(text, n));
}

void nmrt_seal(nmrt_text *text)
{
    char seal[NMRT_SEAL + 1];
    print_seal(seal, text->at ? text->at : "", text->n);
    nmrt_text_add(text, "%s", seal);
}

static nmrt_status broken(const char *path, nmrt_error *e, const char *what)
{
    return nmrt_fail(e, NMRT_CORRUPT, "%s is damaged: %s", path, what);
}

static nmrt_status check_seal(nmrt_index *x, const char *path, nmrt_error *e)
{
    char seal[NMRT_SEAL + 1];
    const char *text = (const char *)x->map.at;
    size_t n = x->map.n;
    nmrt_error inner;
    if (n < (size_t)NMRT_SEAL)
        return broken(path, e, "it is cut short");
    print_seal(seal, text, n - NMRT_SEAL);
    if (memcmp(seal, text + n - NMRT_SEAL, NMRT_SEAL) != 0)
        return broken(path, e, "its checksum does not fit");
    return nmrt_json_parse(&x->doc, text, n, &inner) == NMRT_OK ? NMRT_OK
                                                                : broken(path, e, inner.text);
}

nmrt_status nmrt_sealed_open(nmrt_index *x, const char *path, nmrt_error *e)
{
    *x = (nmrt_index){0};
    NMRT_TRY(nmrt_map_open(&x->map, path, e));
    nmrt_status status = check_seal(x, path, e);
    if (status != NMRT_OK)
        nmrt_index_close(x);
    return status;
}

// --- the index, opened -------------------------------------------------------------------------

static nmrt_status check_index(const nmrt_index *x, const char *folder, nmrt_error *e)
{
    char format[32];
    int64_t version;
    if (!nm_json_string(&x->doc, nm_json_get(&x->doc, 0, "format"), format, sizeof format) ||
        strcmp(format, "nemocc checkpoint") != 0 ||
        !nm_json_int(&x->doc, nm_json_get(&x->doc, 0, "version"), &version))
        return nmrt_fail(e, NMRT_CORRUPT,
                         "%s/index.json is damaged: it is no index of a nemocc checkpoint", folder);
    if (version < 1 || version > NMRT_VERSION)
        return nmrt_fail(e, NMRT_FOREIGN,
                         "%s has version %lld of the checkpoint format; this binary reads versions "
                         "1 to %d",
                         folder, (long long)version, NMRT_VERSION);
    return NMRT_OK;
}

nmrt_status nmrt_index_open(nmrt_index *x, const char *folder, nmrt_error *e)
{
    char path[NMRT_PATH];
    *x = (nmrt_index){0};
    NMRT_TRY(nmrt_path_join(path, folder, "index.json", e));
    NMRT_TRY(nmrt_sealed_open(x, path, e));
    nmrt_status status = check_index(x, folder, e);
    if (status != NMRT_OK)
        nmrt_index_close(x);
    return status;
}

bool nmrt_index_open_newest(nmrt_index *x, const char *path)
{
    nmrt_error e;
    if (nmrt_index_open(x, path, &e) == NMRT_OK)
        return true;
    int n;
    int64_t *steps = nmrt_checkpoint_list(path, &n);
    bool open = false;
    for (int i = 0; i < n && !open; i++) {
        char folder[NMRT_PATH];
        open = nmrt_checkpoint_find(folder, path, steps[i], &e) == NMRT_OK &&
               nmrt_index_open(x, folder, &e) == NMRT_OK;
    }
    free(steps);
    return open;
}

void nmrt_index_close(nmrt_index *x)
{
    nm_json_release(&x->doc);
    nmrt_map_close(&x->map);
}

void nmrt_index_print_mesh(const nmrt_index *x, char out[64])
{
    static const char *const axis[] = {"tp", "pp", "cp", "dp"};
    int mesh = nm_json_get(&x->doc, 0, "mesh");
    int64_t size[4] = {1, 1, 1, 1}, world = 1;
    for (int i = 0; i < 4; i++)
        nm_json_int(&x->doc, nm_json_get(&x->doc, mesh, axis[i]), &size[i]);
    nm_json_int(&x->doc, nm_json_get(&x->doc, mesh, "world"), &world);
    if (world == 1)
        snprintf(out, 64, "one rank");
    else
        snprintf(out, 64, "tp %lld, pp %lld, cp %lld, dp %lld", (long long)size[0],
                 (long long)size[1], (long long)size[2], (long long)size[3]);
}

// --- pieces ------------------------------------------------------------------------------------

bool nmrt_checksum_read(const nm_json *doc, int node, uint64_t *hash)
{
    char text[32], *end;
    if (!nm_json_string(doc, node, text, sizeof text) || strncmp(text, "xxh64:", 6) != 0 ||
        strlen(text) != 22)
        return false;
    *hash = strtoull(text + 6, &end, 16);
    return !*end;
}

static bool read_list(const nm_json *doc, int node, int n, int64_t *at)
{
    int i = 0;
    for (int k = nm_json_first(doc, node); k >= 0; k = doc->node[k].next)
        if (i == n || !nm_json_int(doc, k, &at[i++]))
            return false;
    return i == n && node >= 0;
}

static bool read_piece(nmrt_stored *s, const nm_json *doc, int node, const nmrt_box *whole,
                       int64_t width)
{
    int64_t offset[2];
    int from = nm_json_get(doc, node, "start"), n = nm_json_get(doc, node, "shape");
    if (!nm_json_string(doc, nm_json_get(doc, node, "file"), s->file, sizeof s->file) ||
        strchr(s->file, '/') || !read_list(doc, nm_json_get(doc, node, "offsets"), 2, offset))
        return false;
    s->begin = offset[0];
    s->end = offset[1];
    s->box = *whole; // as a piece of version 1 always is
    if ((from >= 0 || n >= 0) && (!read_list(doc, from, whole->rank, s->box.from) ||
                                  !read_list(doc, n, whole->rank, s->box.n)))
        return false;
    for (int k = 0; k < whole->rank; k++)
        if (s->box.n[k] < 0 || s->box.n[k] > whole->n[k])
            return false;
    return s->begin >= 0 && s->end >= s->begin &&
           s->end - s->begin == nmrt_box_elements(&s->box) * width;
}

nmrt_status nmrt_stored_read(nmrt_stored_list *list, const nm_json *doc, int node, int checksums,
                             const nmrt_box *whole, int64_t width, nmrt_error *e)
{
    int n = 0;
    for (int i = nm_json_first(doc, node); i >= 0; i = doc->node[i].next)
        n++;
    nmrt_stored *more = realloc(list->at, (size_t)(list->n + n + 1) * sizeof *more);
    if (!more)
        return nmrt_fail(e, NMRT_WORLD, "no memory for the checkpoint's index");
    list->at = more;
    for (int i = nm_json_first(doc, node); i >= 0; i = doc->node[i].next) {
        nmrt_stored *s = &list->at[list->n];
        if (!read_piece(s, doc, i, whole, width))
            return nmrt_fail(e, NMRT_CORRUPT, "the entry of a piece is wrong");
        s->checksums = checksums >= 0 ? checksums : nm_json_get(doc, i, "checksums");
        list->n++; // of those that are whole
    }
    return NMRT_OK;
}

nmrt_status nmrt_stored_check(const nmrt_stored_list *list, const nmrt_box *whole, const char *name,
                              nmrt_error *e)
{
    nmrt_box *box = malloc((size_t)(list->n + 1) * sizeof *box);
    if (!box)
        return nmrt_fail(e, NMRT_WORLD, "no memory for the checkpoint's index");
    for (int i = 0; i < list->n; i++)
        box[i] = list->at[i].box;
    nmrt_status status = nmrt_boxes_check(whole, box, list->n, name, e);
    free(box);
    return status;
}
