// Writing the texts of a checkpoint. A note says what a rank has written; the index is made of all
// notes and of what is known of the run.
#include "runtime/checkpoint_format.h"

#include "runtime/dtype.h"
#include "runtime/hash.h"

#include <stdio.h>
#include <stdlib.h>

// --- pieces ------------------------------------------------------------------------------------

static void print_list(const char *key, const int64_t *at, int n, nmrt_text *out)
{
    nmrt_text_add(out, "\"%s\": [", key);
    for (int i = 0; i < n; i++)
        nmrt_text_add(out, "%s%lld", i ? ", " : "", (long long)at[i]);
    nmrt_text_add(out, "], ");
}

static void print_checksum(uint64_t hash, nmrt_text *out)
{
    nmrt_text_add(out, "\"xxh64:%016llx\"", (unsigned long long)hash);
}

void nmrt_stored_print(const nmrt_stored *s, const uint64_t *hash, int64_t n, nmrt_text *out)
{
    nmrt_text_add(out, "{\"file\": \"%s\", ", s->file);
    print_list("offsets", (const int64_t[]){s->begin, s->end}, 2, out);
    print_list("start", s->box.from, s->box.rank, out);
    print_list("shape", s->box.n, s->box.rank, out);
    nmrt_text_add(out, "\"checksums\": [");
    for (int64_t i = 0; i < n; i++) {
        nmrt_text_add(out, i ? ", " : "");
        print_checksum(hash[i], out);
    }
    nmrt_text_add(out, "]}");
}

// --- notes -------------------------------------------------------------------------------------

void nmrt_written_print(const nmrt_written *w, int64_t n_params, nmrt_text *out)
{
    nmrt_text_add(out, "{\n  \"files\": [");
    if (w->file) {
        nmrt_text_add(out, "{\"file\": \"%s\", \"bytes\": %lld, \"header\": ", w->file,
                      (long long)w->bytes);
        print_checksum(w->header, out);
        nmrt_text_add(out, "}");
    }
    nmrt_text_add(out, "],\n  \"tensors\": [");
    for (int64_t i = 0; i < n_params; i++)
        nmrt_text_add(out, "%s\n    [%s]", i ? "," : "", w->piece[i].at ? w->piece[i].at : "");
    nmrt_text_add(out, "\n  ]");
    nmrt_seal(out);
}

// The checksums of a note's piece; it is our own and sealed.
static nmrt_status print_stored_again(const nm_json *doc, const nmrt_stored *s, nmrt_text *out,
                                      nmrt_error *e)
{
    int64_t n = (s->end - s->begin + NMRT_BLOCK - 1) / NMRT_BLOCK, i = 0;
    uint64_t *hash = malloc((size_t)(n + 1) * sizeof *hash);
    bool good = hash != NULL;
    for (int k = nm_json_first(doc, s->checksums); good && k >= 0; k = doc->node[k].next)
        good = i < n && nmrt_checksum_read(doc, k, &hash[i++]);
    if (good)
        nmrt_stored_print(s, hash, n, out);
    free(hash);
    return good && i == n ? NMRT_OK
                          : nmrt_fail(e, NMRT_CORRUPT, "a rank's note has wrong checksums");
}

// --- the index, written ------------------------------------------------------------------------

// Those of a run that goes on from it, too, unless it is given others: an import decides none.
static void print_flags(const nmrt_options *o, nmrt_text *out)
{
    const char *comma = "";
    if (o->imports)
        return;
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

static void print_mesh(const nmrt_mesh *m, nmrt_text *out)
{
    static const nmrt_mesh one = {.size = {1, 1, 1, 1, 1, 1, 1, 1, 1}, .world = 1, .vp = 1};
    m = m ? m : &one;
    const int64_t *n = m->size;
    nmrt_text_add(out,
                  "{\"world\": %lld, \"tp\": %lld, \"pp\": %lld, \"vp\": %lld, \"cp\": %lld, "
                  "\"ep\": %lld, \"dp\": %lld, \"zero\": %lld}",
                  (long long)m->world, (long long)(n[NMDRV_TPK] * n[NMDRV_TPR]),
                  (long long)n[NMDRV_PP], (long long)m->vp, (long long)nmrt_mesh_cp(m),
                  (long long)n[NMDRV_EP], (long long)(n[NMDRV_DPR] * n[NMDRV_DPS] * n[NMDRV_DPP]),
                  (long long)m->zero);
}

static void print_facts(const nmrt_index_facts *f, nmrt_text *out)
{
    const nmdrv_program *p = f->program;
    nmrt_text_add(
        out, "{\n  \"format\": \"nemocc checkpoint\", \"version\": %d,\n  \"program\": {\"name\": ",
        NMRT_VERSION);
    nmrt_text_add_json(out, p->name);
    nmrt_text_add(out, ", \"preset\": ");
    nmrt_text_add_json(out, p->preset);
    nmrt_text_add(out, ", \"hash\": ");
    nmrt_text_add_json(out, p->hash);
    nmrt_text_add(out, ", \"compiler\": ");
    nmrt_text_add_json(out, p->compiler);
    nmrt_text_add(out, ", \"precision\": \"%s\", \"recipe\": \"%s\"", p->precision, p->recipe);
    nmrt_text_add(out,
                  "},\n  \"step\": %lld, \"samples\": %lld, \"drawn\": %lld, \"seed\": %lld,\n  "
                  "\"flags\": {",
                  (long long)f->at.step, (long long)f->at.samples, (long long)f->at.drawn,
                  (long long)f->at.seed);
    print_flags(f->options, out);
    nmrt_text_add(out, "\n  },\n  \"mesh\": ");
    print_mesh(f->mesh, out);
    nmrt_text_add(out, ",\n  \"block\": %d,\n", NMRT_BLOCK);
}

static void print_files(const nm_json *note, int n, nmrt_text *out)
{
    const char *comma = "";
    nmrt_text_add(out, "  \"files\": [");
    for (int i = 0; i < n; i++) {
        int files = nm_json_get(&note[i], 0, "files");
        char name[NMRT_FILE_NAME];
        int64_t bytes;
        uint64_t header;
        for (int k = nm_json_first(&note[i], files); k >= 0; k = note[i].node[k].next) {
            if (!nm_json_string(&note[i], nm_json_get(&note[i], k, "file"), name, sizeof name) ||
                !nm_json_int(&note[i], nm_json_get(&note[i], k, "bytes"), &bytes) ||
                !nmrt_checksum_read(&note[i], nm_json_get(&note[i], k, "header"), &header))
                continue; // its pieces are told to be in no file when the index is read
            nmrt_text_add(out, "%s\n    {\"file\": \"%s\", \"bytes\": %lld, \"header\": ", comma,
                          name, (long long)bytes);
            print_checksum(header, out);
            nmrt_text_add(out, "}");
            comma = ",";
        }
    }
    nmrt_text_add(out, "\n  ],\n  \"tensors\": [");
}

static void print_tensor(const nmdrv_program *p, const nmdrv_param *row, const char *name,
                         nmrt_text *out)
{
    nmrt_text_add(out, "{\"path\": ");
    nmrt_text_add_json(out, name);
    nmrt_text_add(out, ", \"dtype\": \"%s\", \"dims\": [", nmrt_dtype(row->dtype)->safetensors);
    for (int64_t k = 0; k < row->rank; k++) {
        nmrt_text_add(out, k ? ", " : "");
        nmrt_text_add_json(out, p->dim[row->dim[k]].name);
    }
    nmrt_text_add(out, "], ");
    print_list("shape", row->shape, (int)row->rank, out);
    nmrt_text_add(out, row->own ? "\"own\": true, " : "");
    nmrt_text_add(out, "\"pieces\": [");
}

// cursor[i]: the list of this tensor's pieces in note i; moved on to that of the next tensor.
static nmrt_status print_pieces(const nmdrv_param *row, const char *name, const nm_json *note,
                                int *cursor, int n, nmrt_text *out, nmrt_error *e)
{
    nmrt_box whole = nmrt_checkpoint_whole(row);
    nmrt_stored_list list = {0};
    nmrt_status status = NMRT_OK;
    for (int i = 0, first = 0; i < n && status == NMRT_OK; i++) {
        status = nmrt_stored_read(&list, &note[i], cursor[i], -1, &whole,
                                  nmrt_dtype(row->dtype)->bits / 8, e);
        for (; first < list.n && status == NMRT_OK; first++) {
            nmrt_text_add(out, first ? ", " : "");
            status = print_stored_again(&note[i], &list.at[first], out, e);
        }
        cursor[i] = cursor[i] < 0 ? -1 : note[i].node[cursor[i]].next;
    }
    if (status == NMRT_OK)
        status = nmrt_stored_check(&list, &whole, name, e);
    free(list.at);
    return status;
}

static nmrt_status print_tensors(const nmdrv_program *p, const nm_json *note, int *cursor, int n,
                                 nmrt_text *out, nmrt_error *e)
{
    for (int i = 0; i < n; i++)
        cursor[i] = nm_json_first(&note[i], nm_json_get(&note[i], 0, "tensors"));
    for (int64_t i = 0; i < p->n_params; i++) {
        char name[NMRT_MAX_TENSOR_NAME];
        nmrt_checkpoint_tensor_name(&p->param[i], name);
        nmrt_text_add(out, i ? ",\n    " : "\n    ");
        print_tensor(p, &p->param[i], name, out);
        NMRT_TRY(print_pieces(&p->param[i], name, note, cursor, n, out, e));
        nmrt_text_add(out, "]}");
    }
    nmrt_text_add(out, "\n  ]");
    return NMRT_OK;
}

nmrt_status nmrt_index_print(const nmrt_index_facts *facts, const nm_json *note, int n,
                             nmrt_text *out, nmrt_error *e)
{
    int *cursor = malloc((size_t)n * sizeof *cursor);
    if (!cursor)
        return nmrt_fail(e, NMRT_WORLD, "no memory for the checkpoint's index");
    print_facts(facts, out);
    print_files(note, n, out);
    nmrt_status status = print_tensors(facts->program, note, cursor, n, out, e);
    free(cursor);
    nmrt_seal(out);
    return status == NMRT_OK && out->failed
               ? nmrt_fail(e, NMRT_WORLD, "no memory for the checkpoint's index")
               : status;
}
