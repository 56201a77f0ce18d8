// Reading checkpoints. Two passes over the tensors: the first believes nothing and changes nothing,
// the second copies. So a damaged checkpoint can be passed over for an older one, or refused,
// safely.
#include "runtime/checkpoint.h"

#include "runtime/dtype.h"
#include "runtime/hash.h"
#include "runtime/json.h"
#include "runtime/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_FILES = 64, MAX_FILE_NAME = 128 };

typedef struct data_file {
    char name[MAX_FILE_NAME];
    nmrt_map map;
    nmrt_safetensors st;
} data_file;

typedef struct reader { // one checkpoint folder, open
    const char *folder;
    nmrt_index index;
    data_file file[MAX_FILES];
    int n_files;
} reader;

static nmrt_status broken(const char *folder, nmrt_error *e, const char *what)
{
    return nmrt_fail(e, NMRT_CORRUPT, "%s/index.json is damaged: %s", folder, what);
}

// --- the index ---------------------------------------------------------------------------------

static nmrt_status check_index(nmrt_index *x, const char *folder, nmrt_error *e)
{
    char seal[NMRT_SEAL + 1], format[32];
    const char *text = (const char *)x->map.at;
    size_t n = x->map.n;
    int64_t version;
    nmrt_error inner;
    if (n < (size_t)NMRT_SEAL)
        return broken(folder, e, "it is cut short");
    nmrt_checkpoint_seal(seal, text, n - NMRT_SEAL);
    if (memcmp(seal, text + n - NMRT_SEAL, NMRT_SEAL) != 0)
        return broken(folder, e, "its checksum does not fit");
    if (nmrt_json_parse(&x->doc, text, n, &inner) != NMRT_OK)
        return broken(folder, e, inner.text);
    if (!nmrt_json_string(&x->doc, nmrt_json_get(&x->doc, 0, "format"), format, sizeof format) ||
        strcmp(format, "nemocc checkpoint") != 0 ||
        !nmrt_json_int(&x->doc, nmrt_json_get(&x->doc, 0, "version"), &version))
        return broken(folder, e, "it is no index of a nemocc checkpoint");
    if (version != 1)
        return nmrt_fail(
            e, NMRT_FOREIGN,
            "%s has version %lld of the checkpoint format; this binary reads version 1", folder,
            (long long)version);
    return NMRT_OK;
}

nmrt_status nmrt_index_open(nmrt_index *x, const char *folder, nmrt_error *e)
{
    char path[NMRT_PATH];
    *x = (nmrt_index){0};
    NMRT_TRY(nmrt_path_join(path, folder, "index.json", e));
    NMRT_TRY(nmrt_map_open(&x->map, path, e));
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
        open = nmrt_checkpoint_folder(folder, path, steps[i], "", &e) == NMRT_OK &&
               nmrt_index_open(x, folder, &e) == NMRT_OK;
    }
    free(steps);
    return open;
}

void nmrt_index_close(nmrt_index *x)
{
    nmrt_json_release(&x->doc);
    nmrt_map_close(&x->map);
}

// --- the files ---------------------------------------------------------------------------------

static bool read_hash(const nmrt_json *doc, int node, uint64_t *hash)
{
    char text[32], *end;
    if (!nmrt_json_string(doc, node, text, sizeof text) || strncmp(text, "xxh64:", 6) != 0 ||
        strlen(text) != 22)
        return false;
    *hash = strtoull(text + 6, &end, 16);
    return !*end;
}

static nmrt_status open_file(reader *r, int node, nmrt_error *e)
{
    if (r->n_files == MAX_FILES)
        return broken(r->folder, e, "it names too many files");
    data_file *f = &r->file[r->n_files++];
    *f = (data_file){0};
    int64_t bytes;
    uint64_t header;
    if (!nmrt_json_string(&r->index.doc, nmrt_json_get(&r->index.doc, node, "file"), f->name,
                          sizeof f->name) ||
        strchr(f->name, '/') ||
        !nmrt_json_int(&r->index.doc, nmrt_json_get(&r->index.doc, node, "bytes"), &bytes) ||
        !read_hash(&r->index.doc, nmrt_json_get(&r->index.doc, node, "header"), &header))
        return broken(r->folder, e, "a file's entry is wrong");
    char path[NMRT_PATH];
    nmrt_error inner;
    NMRT_TRY(nmrt_path_join(path, r->folder, f->name, e));
    NMRT_TRY(nmrt_map_open(&f->map, path, e));
    if ((int64_t)f->map.n != bytes)
        return nmrt_fail(e, NMRT_CORRUPT, "%s is damaged: it has %lld of %lld bytes", path,
                         (long long)f->map.n, (long long)bytes);
    if (nmrt_safetensors_parse(&f->st, f->map.at, f->map.n, &inner) != NMRT_OK)
        return nmrt_fail(e, NMRT_CORRUPT, "%s is damaged: %s", path, inner.text);
    if (nmrt_hash_of(f->map.at, (size_t)f->st.n_header) != header)
        return nmrt_fail(e, NMRT_CORRUPT, "%s is damaged: its header's checksum does not fit",
                         path);
    return NMRT_OK;
}

static nmrt_status open_reader(reader *r, const char *folder, nmrt_error *e)
{
    *r = (reader){.folder = folder};
    NMRT_TRY(nmrt_index_open(&r->index, folder, e));
    int files = nmrt_json_get(&r->index.doc, 0, "files");
    for (int i = nmrt_json_first(&r->index.doc, files); i >= 0; i = r->index.doc.node[i].next)
        NMRT_TRY(open_file(r, i, e));
    return NMRT_OK;
}

static void close_reader(reader *r)
{
    for (int i = 0; i < r->n_files; i++) {
        nmrt_safetensors_release(&r->file[i].st);
        nmrt_map_close(&r->file[i].map);
    }
    nmrt_index_close(&r->index);
}

// --- tensors -----------------------------------------------------------------------------------

static int find_entry(const reader *r, const char *name)
{
    int tensors = nmrt_json_get(&r->index.doc, 0, "tensors");
    char path[NMRT_MAX_TENSOR_NAME];
    for (int i = nmrt_json_first(&r->index.doc, tensors); i >= 0; i = r->index.doc.node[i].next)
        if (nmrt_json_string(&r->index.doc, nmrt_json_get(&r->index.doc, i, "path"), path,
                             sizeof path) &&
            strcmp(path, name) == 0)
            return i;
    return -1;
}

// The tensor of an index entry: one piece, as the file's own header describes it.
static nmrt_status find_tensor(const reader *r, int entry, const char *name,
                               const unsigned char **at, const nmrt_tensor **tensor, nmrt_error *e)
{
    int pieces = nmrt_json_get(&r->index.doc, entry, "pieces"),
        piece = nmrt_json_first(&r->index.doc, pieces);
    char file[MAX_FILE_NAME];
    if (piece < 0 || r->index.doc.node[piece].next >= 0)
        return nmrt_fail(e, NMRT_FOREIGN, "%s stores %s in pieces; this binary reads whole tensors",
                         r->folder, name);
    if (!nmrt_json_string(&r->index.doc, nmrt_json_get(&r->index.doc, piece, "file"), file,
                          sizeof file))
        return broken(r->folder, e, "a piece names no file");
    for (int i = 0; i < r->n_files; i++) {
        if (strcmp(r->file[i].name, file) != 0)
            continue;
        *tensor = nmrt_safetensors_find(&r->file[i].st, name);
        if (!*tensor)
            break;
        *at = r->file[i].st.data + (*tensor)->begin;
        return NMRT_OK;
    }
    return nmrt_fail(e, NMRT_CORRUPT, "%s is damaged: %s has no %s", r->folder, file, name);
}

static void print_shape(nmrt_text *out, const char *dtype, int64_t rank, const int64_t *shape)
{
    nmrt_text_add(out, "%s[", dtype);
    for (int64_t i = 0; i < rank; i++)
        nmrt_text_add(out, "%s%lld", i ? ", " : "", (long long)shape[i]);
    nmrt_text_add(out, "]");
}

static nmrt_status check_shape(const reader *r, const nmrt_tensor *t, const nmdrv_param *p,
                               nmrt_error *e)
{
    const char *dtype = nmrt_dtype(p->dtype)->safetensors;
    bool same = dtype && strcmp(t->dtype, dtype) == 0 && t->rank == p->rank;
    for (int i = 0; same && i < t->rank; i++)
        same = t->shape[i] == p->shape[i];
    if (same)
        return NMRT_OK;
    nmrt_text theirs = {0}, ours = {0};
    print_shape(&theirs, t->dtype, t->rank, t->shape);
    print_shape(&ours, dtype ? dtype : "?", p->rank, p->shape);
    nmrt_fail(e, NMRT_FOREIGN, "%s is of another model: %s is %s there and %s here", r->folder,
              t->name, theirs.at ? theirs.at : "", ours.at ? ours.at : "");
    nmrt_text_release(&theirs);
    nmrt_text_release(&ours);
    return NMRT_FOREIGN;
}

static nmrt_status check_tensor(const reader *r, int entry, const nmdrv_param *p, const char *name,
                                nmrt_error *e)
{
    const unsigned char *at;
    const nmrt_tensor *t;
    uint64_t hash;
    NMRT_TRY(find_tensor(r, entry, name, &at, &t, e));
    NMRT_TRY(check_shape(r, t, p, e));
    if (!read_hash(&r->index.doc, nmrt_json_get(&r->index.doc, entry, "checksum"), &hash))
        return broken(r->folder, e, "a tensor has no checksum");
    if (nmrt_hash_of(at, (size_t)(t->end - t->begin)) != hash)
        return nmrt_fail(e, NMRT_CORRUPT, "%s is damaged: the checksum of %s does not fit",
                         r->folder, name);
    return NMRT_OK;
}

static const nmrt_slot *slot_of(const nmrt_engine *en, const nmdrv_param *p)
{
    return nmrt_plan_slot(en->plan, p->is_state ? NMDRV_STATE : NMDRV_PARAM, p->path);
}

static nmrt_status check_tensors(const reader *r, const nmrt_engine *en, nmrt_error *e)
{
    for (int64_t i = 0; i < en->program->n_params; i++) {
        const nmdrv_param *p = &en->program->param[i];
        char name[NMRT_MAX_TENSOR_NAME];
        if (!slot_of(en, p))
            continue;
        nmrt_checkpoint_tensor_name(p, name);
        int entry = find_entry(r, name);
        if (entry < 0)
            return nmrt_fail(e, NMRT_FOREIGN, "%s is of another program: it has no %s", r->folder,
                             name);
        NMRT_TRY(check_tensor(r, entry, p, name, e));
    }
    return NMRT_OK;
}

static nmrt_status check_no_more(const reader *r, const nmrt_engine *en, nmrt_error *e)
{
    int tensors = nmrt_json_get(&r->index.doc, 0, "tensors");
    for (int i = nmrt_json_first(&r->index.doc, tensors); i >= 0; i = r->index.doc.node[i].next) {
        char path[NMRT_MAX_TENSOR_NAME] = "", name[NMRT_MAX_TENSOR_NAME];
        bool known = false;
        nmrt_json_string(&r->index.doc, nmrt_json_get(&r->index.doc, i, "path"), path, sizeof path);
        for (int64_t k = 0; k < en->program->n_params && !known; k++) {
            nmrt_checkpoint_tensor_name(&en->program->param[k], name);
            known = strcmp(path, name) == 0;
        }
        if (!known)
            return nmrt_fail(e, NMRT_FOREIGN, "%s is of another program: this one has no %s",
                             r->folder, path);
    }
    return NMRT_OK;
}

static nmrt_status copy_tensors(const reader *r, nmrt_engine *en, nmrt_error *e)
{
    for (int64_t i = 0; i < en->program->n_params; i++) {
        const nmrt_slot *slot = slot_of(en, &en->program->param[i]);
        char name[NMRT_MAX_TENSOR_NAME];
        const unsigned char *at;
        const nmrt_tensor *t;
        if (!slot)
            continue;
        nmrt_checkpoint_tensor_name(&en->program->param[i], name);
        NMRT_TRY(find_tensor(r, find_entry(r, name), name, &at, &t, e));
        en->ops->copy_in(en->device, nmrt_engine_slot_at(en, slot), at, t->end - t->begin);
    }
    return NMRT_OK;
}

static nmrt_status read_facts(const reader *r, nmrt_checkpoint *c, nmrt_error *e)
{
    const nmrt_json *doc = &r->index.doc;
    if (!nmrt_json_int(doc, nmrt_json_get(doc, 0, "step"), &c->step) ||
        !nmrt_json_int(doc, nmrt_json_get(doc, 0, "samples"), &c->samples) ||
        !nmrt_json_int(doc, nmrt_json_get(doc, 0, "seed"), &c->seed) ||
        !nmrt_json_string(doc, nmrt_json_get(doc, nmrt_json_get(doc, 0, "program"), "hash"),
                          c->hash, sizeof c->hash))
        return broken(r->folder, e, "step, samples, seed or the program's hash is missing");
    if (c->step < 0 || c->samples < 0)
        return broken(r->folder, e, "its step is negative");
    return NMRT_OK;
}

// Of what differs between two models, their names say the most.
static nmrt_status name_models(const reader *r, const nmdrv_program *p, nmrt_error *e)
{
    const nmrt_json *doc = &r->index.doc;
    int program = nmrt_json_get(doc, 0, "program");
    char name[128], preset[128];
    if (nmrt_json_string(doc, nmrt_json_get(doc, program, "name"), name, sizeof name) &&
        nmrt_json_string(doc, nmrt_json_get(doc, program, "preset"), preset, sizeof preset) &&
        (strcmp(name, p->name) != 0 || strcmp(preset, p->preset) != 0))
        nmrt_fail(e, NMRT_FOREIGN, "%s is of the model %s%s%s; this binary is %s%s%s", r->folder,
                  name, *preset ? " " : "", preset, p->name, *p->preset ? " " : "", p->preset);
    return NMRT_FOREIGN;
}

static nmrt_status load_folder(const char *folder, nmrt_engine *en, bool whole, nmrt_checkpoint *c,
                               nmrt_error *e)
{
    reader *r = malloc(sizeof *r);
    if (!r)
        return nmrt_fail(e, NMRT_WORLD, "no memory to read %s", folder);
    nmrt_status status = open_reader(r, folder, e);
    if (status == NMRT_OK)
        status = read_facts(r, c, e);
    if (status == NMRT_OK)
        status = check_tensors(r, en, e);
    if (status == NMRT_OK && whole)
        status = check_no_more(r, en, e);
    if (status == NMRT_FOREIGN && r->index.doc.n)
        status = name_models(r, en->program, e);
    if (status == NMRT_OK)
        status = copy_tensors(r, en, e);
    if (status == NMRT_OK)
        snprintf(c->path, sizeof c->path, "%s", folder);
    close_reader(r);
    free(r);
    return status;
}

// --- which one ---------------------------------------------------------------------------------

static nmrt_status load_newest(const char *dir, const int64_t *steps, int n, nmrt_engine *en,
                               bool whole, nmrt_checkpoint *c, nmrt_text *passed, nmrt_error *e)
{
    nmrt_error first;
    int n_foreign = 0;
    size_t n_passed = passed->n;
    for (int i = 0; i < n; i++) {
        char folder[NMRT_PATH];
        nmrt_error why;
        NMRT_TRY(nmrt_checkpoint_folder(folder, dir, steps[i], "", e));
        nmrt_status status = load_folder(folder, en, whole, c, &why);
        if (status == NMRT_OK)
            return NMRT_OK;
        n_foreign += status == NMRT_FOREIGN;
        if (!i)
            first = why;
        nmrt_text_add(passed, "passing over %s: %s\n", folder, why.text);
    }
    if (n_foreign == n) { // one run's, so one reason
        if (passed->at)
            passed->at[passed->n = n_passed] = 0;
        return nmrt_fail(e, NMRT_FOREIGN, "%s", first.text);
    }
    return nmrt_fail(e, NMRT_CORRUPT, "none of the %d checkpoints in %s can be used", n, dir);
}

nmrt_status nmrt_checkpoint_load(const char *path, nmrt_engine *en, bool whole, nmrt_checkpoint *c,
                                 nmrt_text *passed, nmrt_error *e)
{
    char index[NMRT_PATH];
    *c = (nmrt_checkpoint){0};
    NMRT_TRY(nmrt_path_join(index, path, "index.json", e));
    if (nmrt_path_exists(index))
        return load_folder(path, en, whole, c, e);
    int n;
    int64_t *steps = nmrt_checkpoint_list(path, &n);
    nmrt_status status = n ? load_newest(path, steps, n, en, whole, c, passed, e) : NMRT_OK;
    free(steps);
    return status;
}
