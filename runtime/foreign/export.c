// Export: weights, config.json, companions, into OUT.part, which becomes OUT.
#include "runtime/foreign/export.h"

#include "runtime/aside.h"
#include "runtime/foreign/companions.h"
#include "runtime/foreign/config_print.h"
#include "runtime/foreign/shards.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct words { // of a dtype: the flag's, safetensors', PyTorch's
    const char *flag, *file, *config;
} words;

static const words dtypes[] = {{"f32", "F32", "float32"},
                               {"bf16", "BF16", "bfloat16"},
                               {"f16", "F16", "float16"},
                               {"f64", "F64", "float64"}};
enum { N_DTYPES = sizeof dtypes / sizeof *dtypes };

typedef struct exporter {
    const nmdrv_program *program;
    const nmrt_options *o;
    const nmdrv_weights *map;
    nmrt_origin from;
    nmrt_shards shards;
    char companions[NMRT_PATH]; // "": there are none
    nmrt_map config;            // of them; empty: none
    char folder[NMRT_PATH];     // OUT.part
} exporter;

// --- what to write -----------------------------------------------------------------------------

static nmrt_status find_companions(exporter *x, nmrt_error *e)
{
    char path[NMRT_PATH];
    if (!nmrt_companions_find(x->from.path, x->companions)) {
        *x->companions = 0;
        return NMRT_OK;
    }
    NMRT_TRY(nmrt_path_join(path, x->companions, "config.json", e));
    return nmrt_path_exists(path) ? nmrt_map_open(&x->config, path, e) : NMRT_OK;
}

// What the model that was imported was stored in; f32 where nobody says.
static const words *find_dtype(const exporter *x)
{
    static const char *const key[] = {"dtype", "torch_dtype"};
    nm_json doc;
    nmrt_error e;
    const words *found = &dtypes[0];
    if (nmrt_json_parse(&doc, (const char *)x->config.at, x->config.n, &e) != NMRT_OK)
        return found;
    for (int k = 1; k >= 0; k--)
        for (int i = 0; i < N_DTYPES; i++) {
            char word[32] = "";
            nm_json_string(&doc, nm_json_find(&doc, key[k]), word, sizeof word);
            if (strcmp(word, dtypes[i].config) == 0)
                found = &dtypes[i];
        }
    nm_json_release(&doc);
    return found;
}

static nmrt_status list_tensors(exporter *x, nmrt_error *e)
{
    nmrt_shard_request q = {.program = x->program,
                            .map = x->map,
                            .otherwise = find_dtype(x)->file,
                            .most = nmrt_shard_size(x->o->max_shard_size)};
    for (int i = 0; i < N_DTYPES; i++)
        if (strcmp(x->o->dtype, dtypes[i].flag) == 0)
            q.dtype = dtypes[i].file;
    return nmrt_shards_init(&x->shards, &q, &x->from, e);
}

static void note_left(const exporter *x, nmrt_text *notes)
{
    const char *first = "";
    int64_t n = nmrt_weights_count_left(x->map, x->program, &first);
    if (n)
        nmrt_text_add(notes,
                      "note: %lld parameters, as %s, are not in the weights map %s: the export "
                      "has none of them\n",
                      (long long)n, first, x->map->name);
}

static nmrt_status open_all(exporter *x, nmrt_text *notes, nmrt_error *e)
{
    NMRT_TRY(nmrt_weights_find(&x->map, x->program, x->o->format, e));
    NMRT_TRY(nmrt_origin_open(&x->from, x->program, x->map, x->o, notes, e));
    note_left(x, notes);
    NMRT_TRY(find_companions(x, e));
    return list_tensors(x, e);
}

// --- writing it --------------------------------------------------------------------------------

// The dtype that most bytes have.
static const words *main_dtype(const nmrt_shards *s)
{
    int64_t bytes[N_DTYPES] = {0};
    int most = 0;
    for (int i = 0; i < s->n; i++)
        for (int k = 0; k < N_DTYPES; k++)
            if (strcmp(s->tensor[i].dtype, dtypes[k].file) == 0)
                bytes[k] += s->tensor[i].end - s->tensor[i].begin;
    for (int k = 1; k < N_DTYPES; k++)
        if (bytes[k] > bytes[most])
            most = k;
    return &dtypes[most];
}

static nmrt_status write_config(const exporter *x, nmrt_error *e)
{
    char path[NMRT_PATH];
    nmrt_text text = {0};
    nmrt_error why;
    NMRT_TRY(nmrt_path_join(path, x->folder, "config.json", e));
    nmrt_status status = nmrt_config_print(x->map, (const char *)x->config.at, x->config.n,
                                           main_dtype(&x->shards)->config, &text, &why);
    if (status != NMRT_OK)
        nmrt_fail(e, status, "%s: %.700s", x->companions, why.text);
    else
        status = nmrt_file_create(path, text.at, text.n, e);
    nmrt_text_release(&text);
    return status;
}

static nmrt_status write_all(exporter *x, nmrt_error *e)
{
    NMRT_TRY(nmrt_shards_write(&x->shards, x->map, &x->from, x->folder, e));
    NMRT_TRY(write_config(x, e));
    if (*x->companions)
        NMRT_TRY(nmrt_companions_copy(x->companions, x->folder, e));
    NMRT_TRY(nmrt_dir_sync(x->folder, e));
    return nmrt_aside_place(x->folder, x->o->out, e);
}

static nmrt_status write_folder(exporter *x, nmrt_error *e)
{
    nmrt_error late;
    NMRT_TRY(nmrt_aside_make(x->folder, e));
    nmrt_status status = write_all(x, e);
    if (status != NMRT_OK)
        nmrt_dir_remove(x->folder, &late); // the first failure is the one to tell
    return status;
}

static nmrt_status run(exporter *x, const nmrt_output *out, nmrt_error *e)
{
    nmrt_text notes = {0};
    NMRT_TRY(nmrt_aside_folder(x->folder, x->o->out, e));
    nmrt_status status = open_all(x, &notes, e);
    if (notes.n)
        fprintf(out->note, "%s", notes.at);
    nmrt_text_release(&notes);
    NMRT_TRY(status);
    NMRT_TRY(write_folder(x, e));
    fprintf(out->text, "%s: %d tensors of %s, %s in %d file%s, from %s\n", x->o->out, x->shards.n,
            main_dtype(&x->shards)->config, nmrt_bytes(x->shards.bytes).s, x->shards.n_files,
            x->shards.n_files == 1 ? "" : "s", x->from.path);
    return NMRT_OK;
}

nmrt_status nmrt_export(const nmdrv_program *program, const nmrt_options *o, const nmrt_output *out,
                        nmrt_error *e)
{
    exporter *x = calloc(1, sizeof *x);
    if (!x)
        return nmrt_fail(e, NMRT_WORLD, "no memory to export");
    x->program = program;
    x->o = o;
    nmrt_status status = run(x, out, e);
    nmrt_shards_release(&x->shards);
    nmrt_map_close(&x->config);
    nmrt_origin_close(&x->from);
    free(x);
    return status;
}
