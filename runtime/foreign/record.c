// A record is written from the headers of an import's files, and read as one file without data.
#include "runtime/foreign/record.h"

#include "runtime/dtype.h"
#include "runtime/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char nmrt_record_name[] = "tensors.json";

// --- writing -----------------------------------------------------------------------------------

static void print(const nmrt_foreign *f, nmrt_text *out)
{
    nmrt_text_add(out, "{");
    for (int64_t i = 0; i < f->n; i++) {
        nmrt_text_add(out, i ? ",\n " : "");
        nmrt_text_add_json(out, f->tensor[i].is->name);
        nmrt_text_add(out, ": \"%s\"", f->tensor[i].is->dtype);
    }
    nmrt_text_add(out, "}\n");
}

nmrt_status nmrt_record_write(const char *from, const char *folder, nmrt_error *e)
{
    char path[NMRT_PATH];
    nmrt_foreign f = {0};
    nmrt_text text = {0};
    nmrt_status status = nmrt_foreign_open(&f, from, e);
    if (status == NMRT_OK)
        status = nmrt_path_join(path, folder, nmrt_record_name, e);
    if (status == NMRT_OK) {
        print(&f, &text);
        status = text.failed ? nmrt_fail(e, NMRT_WORLD, "no memory to write %s", path)
                             : nmrt_file_create(path, text.at, text.n, e);
    }
    nmrt_text_release(&text);
    nmrt_foreign_close(&f);
    return status;
}

// --- reading -----------------------------------------------------------------------------------

static const char *find_dtype(const char *word)
{
    for (int d = NMDRV_F64; d <= NMDRV_BOOL; d++)
        if (nmrt_dtype(d)->safetensors && strcmp(nmrt_dtype(d)->safetensors, word) == 0)
            return nmrt_dtype(d)->safetensors;
    return NULL;
}

static nmrt_status read_tensors(nmrt_safetensors *st, const nm_json *doc, const char *path,
                                nmrt_error *e)
{
    st->tensor = calloc((size_t)doc->n, sizeof *st->tensor);
    st->data = (const unsigned char *)"";
    if (!st->tensor)
        return nmrt_fail(e, NMRT_WORLD, "no memory to read %s", path);
    for (int i = nm_json_first(doc, 0); i >= 0; i = doc->node[i].next) {
        nmrt_tensor *t = &st->tensor[st->n++];
        char word[16];
        if (!doc->node[i].key ||
            !nm_json_unquote(doc->node[i].key, doc->node[i].n_key, t->name, sizeof t->name) ||
            !nm_json_string(doc, i, word, sizeof word) || !(t->dtype = find_dtype(word)))
            return nmrt_fail(e, NMRT_CORRUPT, "%s is damaged: it has the dtypes of tensors", path);
    }
    return NMRT_OK;
}

static nmrt_status read_file(nmrt_foreign *f, const char *path, nmrt_error *e)
{
    nmrt_map map;
    nm_json doc;
    nmrt_error why;
    NMRT_TRY(nmrt_map_open(&map, path, e));
    nmrt_status status = nmrt_json_parse(&doc, (const char *)map.at, map.n, &why);
    if (status != NMRT_OK)
        nmrt_fail(e, status, "%s: %s", path, why.text);
    else
        status = read_tensors(&f->file->st, &doc, path, e);
    nm_json_release(&doc);
    nmrt_map_close(&map);
    return status;
}

nmrt_status nmrt_record_open(nmrt_foreign *f, const char *folder, nmrt_error *e)
{
    char path[NMRT_PATH];
    *f = (nmrt_foreign){0};
    snprintf(f->path, sizeof f->path, "%s", folder);
    NMRT_TRY(nmrt_path_join(path, folder, nmrt_record_name, e));
    if (!nmrt_path_exists(path))
        return NMRT_OK;
    NMRT_TRY(nmrt_foreign_add(f, nmrt_record_name, e));
    NMRT_TRY(read_file(f, path, e));
    return nmrt_foreign_list(f, e);
}
