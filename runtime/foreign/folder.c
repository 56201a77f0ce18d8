// Opening a foreign folder: which files, their headers, one sorted list of their tensors.
#define _GNU_SOURCE
#include "runtime/foreign/folder.h"

#include "runtime/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char WHOLE[] = "model.safetensors", INDEX[] = "model.safetensors.index.json";

// --- which files -------------------------------------------------------------------------------

nmrt_status nmrt_foreign_add(nmrt_foreign *f, const char *name, nmrt_error *e)
{
    for (int i = 0; i < f->n_files; i++)
        if (strcmp(f->file[i].name, name) == 0)
            return NMRT_OK;
    nmrt_foreign_file *more = realloc(f->file, ((size_t)f->n_files + 1) * sizeof *more);
    if (!more)
        return nmrt_fail(e, NMRT_WORLD, "no memory to read %s", f->path);
    f->file = more;
    f->file[f->n_files] = (nmrt_foreign_file){0};
    snprintf(f->file[f->n_files++].name, sizeof more->name, "%s", name);
    return NMRT_OK;
}

// The files of the index: weight_map has a member a tensor, its value is the file's name.
static nmrt_status list_files(nmrt_foreign *f, const nm_json *doc, nmrt_error *e)
{
    int map = nm_json_get(doc, 0, "weight_map");
    if (nm_json_first(doc, map) < 0)
        return nmrt_fail(e, NMRT_CORRUPT, "%s/%s: there is no weight_map", f->path, INDEX);
    for (int i = nm_json_first(doc, map); i >= 0; i = doc->node[i].next) {
        char name[sizeof f->file->name];
        if (!nm_json_string(doc, i, name, sizeof name) || strchr(name, '/') || !*name)
            return nmrt_fail(
                e, NMRT_CORRUPT,
                "%s/%s: weight_map has a value that is not the name of a file beside it", f->path,
                INDEX);
        NMRT_TRY(nmrt_foreign_add(f, name, e));
    }
    return NMRT_OK;
}

// --- their tensors -----------------------------------------------------------------------------

static bool is_pointer(const nmrt_map *map)
{
    static const char text[] = "version https://git-lfs";
    return map->n >= sizeof text - 1 && memcmp(map->at, text, sizeof text - 1) == 0;
}

static nmrt_status open_file(const nmrt_foreign *f, nmrt_foreign_file *file, nmrt_error *e)
{
    char path[NMRT_PATH];
    nmrt_error why;
    NMRT_TRY(nmrt_path_join(path, f->path, file->name, e));
    NMRT_TRY(nmrt_map_open(&file->map, path, e));
    if (is_pointer(&file->map))
        return nmrt_fail(e, NMRT_CORRUPT,
                         "%s is a pointer of Git LFS, not the file: get it by `git lfs pull`",
                         path);
    if (nmrt_safetensors_parse(&file->st, file->map.at, file->map.n, &why) != NMRT_OK)
        return nmrt_fail(e, NMRT_CORRUPT, "%s: %.700s; was it downloaded wholly?", path, why.text);
    return NMRT_OK;
}

static int by_name(const void *a, const void *b)
{
    const nmrt_foreign_tensor *x = a, *y = b;
    return strcmp(x->is->name, y->is->name);
}

nmrt_status nmrt_foreign_list(nmrt_foreign *f, nmrt_error *e)
{
    int64_t n = 0;
    for (int i = 0; i < f->n_files; i++)
        n += f->file[i].st.n;
    f->tensor = malloc(((size_t)n + 1) * sizeof *f->tensor);
    if (!f->tensor)
        return nmrt_fail(e, NMRT_WORLD, "no memory to read %s", f->path);
    for (int i = 0; i < f->n_files; i++)
        for (int k = 0; k < f->file[i].st.n; k++) {
            const nmrt_tensor *t = &f->file[i].st.tensor[k];
            f->tensor[f->n++] =
                (nmrt_foreign_tensor){t, &f->file[i], f->file[i].st.data + t->begin};
        }
    qsort(f->tensor, (size_t)f->n, sizeof *f->tensor, by_name);
    for (int64_t i = 1; i < f->n; i++)
        if (by_name(&f->tensor[i - 1], &f->tensor[i]) == 0)
            return nmrt_fail(e, NMRT_CORRUPT, "%s: %.300s is twice there, in %s and in %s", f->path,
                             f->tensor[i].is->name, f->tensor[i - 1].file->name,
                             f->tensor[i].file->name);
    return NMRT_OK;
}

const nmrt_foreign_tensor *nmrt_foreign_find(const nmrt_foreign *f, const char *name)
{
    int64_t low = 0, high = f->n;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        int order = strcmp(name, f->tensor[middle].is->name);
        if (order == 0)
            return &f->tensor[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

static nmrt_status check_index(const nmrt_foreign *f, const nm_json *doc, nmrt_error *e)
{
    int map = nm_json_get(doc, 0, "weight_map");
    for (int i = nm_json_first(doc, map); i >= 0; i = doc->node[i].next) {
        char name[NMRT_MAX_TENSOR_NAME], file[sizeof f->file->name] = "";
        if (!nm_json_unquote(doc->node[i].key, doc->node[i].n_key, name, sizeof name))
            return nmrt_fail(e, NMRT_CORRUPT, "%s/%s: a tensor has no proper name", f->path, INDEX);
        nm_json_string(doc, i, file, sizeof file);
        const nmrt_foreign_tensor *t = nmrt_foreign_find(f, name);
        if (!t || strcmp(t->file->name, file) != 0)
            return nmrt_fail(e, NMRT_CORRUPT, "%s/%s says that %.300s is in %s, which has none",
                             f->path, INDEX, name, file);
    }
    return NMRT_OK;
}

// --- the folder --------------------------------------------------------------------------------

static nmrt_status open_files(nmrt_foreign *f, nmrt_error *e)
{
    for (int i = 0; i < f->n_files; i++)
        NMRT_TRY(open_file(f, &f->file[i], e));
    return nmrt_foreign_list(f, e);
}

static nmrt_status open_by_index(nmrt_foreign *f, const nm_json *doc, nmrt_error *e)
{
    NMRT_TRY(list_files(f, doc, e));
    NMRT_TRY(open_files(f, e));
    return check_index(f, doc, e);
}

static nmrt_status read_index(nmrt_foreign *f, const char *path, nmrt_error *e)
{
    nmrt_map map;
    nm_json doc;
    nmrt_error why;
    NMRT_TRY(nmrt_map_open(&map, path, e));
    nmrt_status status = nmrt_json_parse(&doc, (const char *)map.at, map.n, &why);
    if (status != NMRT_OK)
        nmrt_fail(e, status, "%s: %s", path, why.text);
    else
        status = open_by_index(f, &doc, e);
    nm_json_release(&doc);
    nmrt_map_close(&map);
    return status;
}

nmrt_status nmrt_foreign_open(nmrt_foreign *f, const char *path, nmrt_error *e)
{
    char whole[NMRT_PATH], index[NMRT_PATH];
    *f = (nmrt_foreign){0};
    NMRT_TRY(nmrt_path_join(whole, path, WHOLE, e));
    NMRT_TRY(nmrt_path_join(index, path, INDEX, e));
    snprintf(f->path, sizeof f->path, "%s", path);
    if (nmrt_path_exists(whole)) {
        NMRT_TRY(nmrt_foreign_add(f, WHOLE, e));
        return open_files(f, e);
    }
    if (nmrt_path_exists(index))
        return read_index(f, index, e);
    return nmrt_fail(e, NMRT_WORLD,
                     "%s has neither %s nor %s: other formats of weights are not read; "
                     "transformers' save_pretrained writes these files",
                     path, WHOLE, INDEX);
}

void nmrt_foreign_close(nmrt_foreign *f)
{
    for (int i = 0; i < f->n_files; i++) {
        nmrt_safetensors_release(&f->file[i].st);
        nmrt_map_close(&f->file[i].map);
    }
    free(f->file);
    free(f->tensor);
    *f = (nmrt_foreign){0};
}
