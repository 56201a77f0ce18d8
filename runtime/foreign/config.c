// The rows of a config block, compared with a file (driver_abi.h: nmdrv_config_row).
#include "runtime/foreign/config.h"

#include "runtime/file.h"

typedef struct check {
    const nm_json *file;
    const char *folder;
} check;

nm_json_row nmrt_config_row(const nmdrv_config_row *row)
{
    return (nm_json_row){row->n_keys, row->key, row->value, row->absent};
}

static nmrt_status check_row(const check *c, const nmdrv_config_row *row, nmrt_error *e)
{
    const nm_json_row compared = nmrt_config_row(row);
    int node;
    const char *key = row->written ? NULL : nm_json_differs(c->file, &compared, &node);
    if (!key)
        return NMRT_OK;
    char theirs[NM_JSON_BRIEF] = "";
    if (node >= 0)
        nm_json_brief(c->file, node, theirs);
    const char *absent = *row->absent ? "not there, which means " : "not there";
    const char *ours = *row->value || node < 0 ? row->value : row->absent;
    return nmrt_fail(e, NMRT_FOREIGN,
                     "%s/config.json: %s is %s%.200s, and this binary was compiled for %.200s "
                     "(%s): compile the model for it by `nemocc MODEL --hf-config %s/config.json`",
                     c->folder, key, node < 0 ? absent : "", node < 0 ? row->absent : theirs,
                     *ours ? ours : "nothing", row->where, c->folder);
}

// --- the file ----------------------------------------------------------------------------------

static nmrt_status check_rows(const nmdrv_weights *map, const check *c, nmrt_error *e)
{
    if (c->file->node[0].kind != NM_JSON_OBJECT)
        return nmrt_fail(e, NMRT_CORRUPT, "%s/config.json is not an object", c->folder);
    for (int64_t i = 0; i < map->n_config; i++)
        NMRT_TRY(check_row(c, &map->config[i], e));
    return NMRT_OK;
}

nmrt_status nmrt_config_check_text(const nmdrv_weights *map, const char *text, size_t n,
                                   const char *folder, nmrt_error *e)
{
    nm_json doc;
    nmrt_error why;
    nmrt_status status = nmrt_json_parse(&doc, text, n, &why);
    if (status != NMRT_OK)
        nmrt_fail(e, status, "%s/config.json: %s", folder, why.text);
    else
        status = check_rows(map, &(check){&doc, folder}, e);
    nm_json_release(&doc);
    return status;
}

nmrt_status nmrt_config_check(const nmdrv_weights *map, const char *folder, nmrt_text *notes,
                              nmrt_error *e)
{
    char path[NMRT_PATH];
    nmrt_map file;
    NMRT_TRY(nmrt_path_join(path, folder, "config.json", e));
    if (!nmrt_path_exists(path)) {
        nmrt_text_add(notes,
                      "note: there is no %s: whether its weights are of a model that "
                      "computes what this binary does is not checked\n",
                      path);
        return NMRT_OK;
    }
    NMRT_TRY(nmrt_map_open(&file, path, e));
    nmrt_status status = nmrt_config_check_text(map, (const char *)file.at, file.n, folder, e);
    nmrt_map_close(&file);
    return status;
}

static void note_seq(const nm_json *doc, const char *path, int64_t seq, nmrt_text *notes)
{
    int64_t most;
    if (nm_json_int(doc, nm_json_find(doc, "max_position_embeddings"), &most) && seq > most)
        nmrt_text_add(notes,
                      "note: samples have %lld tokens, and %s says max_position_embeddings %lld: "
                      "the weights may never have seen longer ones\n",
                      (long long)seq, path, (long long)most);
}

void nmrt_config_note_seq(const char *folder, int64_t seq, nmrt_text *notes)
{
    char path[NMRT_PATH];
    nmrt_map file;
    nm_json doc;
    nmrt_error e;
    if (nmrt_path_join(path, folder, "config.json", &e) != NMRT_OK || !nmrt_path_exists(path) ||
        nmrt_map_open(&file, path, &e) != NMRT_OK)
        return; // is told where it is checked
    if (nmrt_json_parse(&doc, (const char *)file.at, file.n, &e) == NMRT_OK) {
        note_seq(&doc, path, seq, notes);
        nm_json_release(&doc);
    }
    nmrt_map_close(&file);
}
