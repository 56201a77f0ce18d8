// Data files of a checkpoint: found by name, checked, mapped.
#include "runtime/checkpoint_files.h"

#include "runtime/hash.h"

#include <stdlib.h>
#include <string.h>

struct nmrt_data_file {
    char name[NMRT_FILE_NAME];
    int node;
    bool open;
    nmrt_map map;
    nmrt_safetensors st;
};

nmrt_status nmrt_index_broken(const char *folder, const char *what, nmrt_error *e)
{
    return nmrt_fail(e, NMRT_CORRUPT, "%s/index.json is damaged: %s", folder, what);
}

nmrt_status nmrt_data_files_list(nmrt_data_files *f, const char *folder, const nm_json *doc,
                                 nmrt_error *e)
{
    int files = nm_json_get(doc, 0, "files"), n = 0;
    *f = (nmrt_data_files){.folder = folder, .doc = doc};
    for (int i = nm_json_first(doc, files); i >= 0; i = doc->node[i].next)
        n++;
    f->at = calloc((size_t)n + 1, sizeof *f->at);
    if (!f->at)
        return nmrt_fail(e, NMRT_WORLD, "no memory to read %s", folder);
    for (int i = nm_json_first(doc, files); i >= 0; i = doc->node[i].next) {
        nmrt_data_file *file = &f->at[f->n++];
        file->node = i;
        if (!nm_json_string(doc, nm_json_get(doc, i, "file"), file->name, sizeof file->name) ||
            strchr(file->name, '/'))
            return nmrt_index_broken(folder, "a file's entry is wrong", e);
    }
    return NMRT_OK;
}

static nmrt_status open_file(const nmrt_data_files *f, nmrt_data_file *file, nmrt_error *e)
{
    char path[NMRT_PATH];
    int64_t bytes;
    uint64_t header;
    nmrt_error inner;
    if (!nm_json_int(f->doc, nm_json_get(f->doc, file->node, "bytes"), &bytes) ||
        !nmrt_checksum_read(f->doc, nm_json_get(f->doc, file->node, "header"), &header))
        return nmrt_index_broken(f->folder, "a file's entry is wrong", e);
    NMRT_TRY(nmrt_path_join(path, f->folder, file->name, e));
    NMRT_TRY(nmrt_map_open(&file->map, path, e));
    if ((int64_t)file->map.n != bytes)
        return nmrt_fail(e, NMRT_CORRUPT, "%s is damaged: it has %lld of %lld bytes", path,
                         (long long)file->map.n, (long long)bytes);
    if (nmrt_safetensors_parse(&file->st, file->map.at, file->map.n, &inner) != NMRT_OK)
        return nmrt_fail(e, NMRT_CORRUPT, "%s is damaged: %s", path, inner.text);
    if (nmrt_hash_of(file->map.at, (size_t)file->st.n_header) != header)
        return nmrt_fail(e, NMRT_CORRUPT, "%s is damaged: its header's checksum does not fit",
                         path);
    file->open = true;
    return NMRT_OK;
}

nmrt_status nmrt_data_files_find(nmrt_data_files *f, const nmrt_stored *s, const char *name,
                                 const unsigned char **at, nmrt_error *e)
{
    nmrt_data_file *file = NULL;
    for (int i = 0; i < f->n && !file; i++)
        file = strcmp(f->at[i].name, s->file) == 0 ? &f->at[i] : NULL;
    if (!file)
        return nmrt_index_broken(f->folder, "a piece is in a file that it does not list", e);
    if (!file->open)
        NMRT_TRY(open_file(f, file, e));
    const nmrt_tensor *found = nmrt_safetensors_find(&file->st, name);
    if (!found || found->begin != s->begin || found->end != s->end)
        return nmrt_fail(e, NMRT_CORRUPT, "%s is damaged: %s has no %s", f->folder, s->file, name);
    *at = file->st.data + found->begin;
    return NMRT_OK;
}

void nmrt_data_files_close(nmrt_data_files *f)
{
    for (int i = 0; i < f->n; i++) {
        nmrt_safetensors_release(&f->at[i].st);
        nmrt_map_close(&f->at[i].map);
    }
    free(f->at);
    *f = (nmrt_data_files){0};
}
