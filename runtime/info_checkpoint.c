// The verb info of a checkpoint: what its index says. Nothing but the index is read.
#include "runtime/info.h"

#include "runtime/checkpoint.h"

typedef struct facts {
    char name[128], preset[128], hash[80], precision[16], mesh[64];
    int64_t step, samples, seed, files, bytes, tensors, pieces;
} facts;

static void read_program(const nm_json *doc, facts *f)
{
    int program = nm_json_get(doc, 0, "program");
    nm_json_string(doc, nm_json_get(doc, program, "name"), f->name, sizeof f->name);
    nm_json_string(doc, nm_json_get(doc, program, "preset"), f->preset, sizeof f->preset);
    nm_json_string(doc, nm_json_get(doc, program, "hash"), f->hash, sizeof f->hash);
    nm_json_string(doc, nm_json_get(doc, program, "precision"), f->precision, sizeof f->precision);
}

static void read_files(const nm_json *doc, facts *f)
{
    int files = nm_json_get(doc, 0, "files"), tensors = nm_json_get(doc, 0, "tensors");
    for (int i = nm_json_first(doc, files); i >= 0; i = doc->node[i].next) {
        int64_t bytes = 0;
        nm_json_int(doc, nm_json_get(doc, i, "bytes"), &bytes);
        f->bytes += bytes;
        f->files++;
    }
    for (int i = nm_json_first(doc, tensors); i >= 0; i = doc->node[i].next) {
        int pieces = nm_json_get(doc, i, "pieces");
        for (int k = nm_json_first(doc, pieces); k >= 0; k = doc->node[k].next)
            f->pieces++;
        f->tensors++;
    }
}

static facts read_facts(const nmrt_index *x)
{
    facts f = {0};
    nmrt_index_print_mesh(x, f.mesh);
    nm_json_int(&x->doc, nm_json_get(&x->doc, 0, "step"), &f.step);
    nm_json_int(&x->doc, nm_json_get(&x->doc, 0, "samples"), &f.samples);
    nm_json_int(&x->doc, nm_json_get(&x->doc, 0, "seed"), &f.seed);
    read_program(&x->doc, &f);
    read_files(&x->doc, &f);
    return f;
}

static void print_text(const facts *f, nmrt_text *out)
{
    nmrt_text_add(out, "model:      %s%s%s\nprogram:    %s\n", f->name,
                  *f->preset ? ", preset " : "", f->preset, f->hash);
    nmrt_text_add(out, "step:       %lld, %lld samples, seed %lld\nmesh:       %s\n",
                  (long long)f->step, (long long)f->samples, (long long)f->seed, f->mesh);
    nmrt_text_add(out, "computed:   in %s, stored in f32\n", f->precision);
    nmrt_text_add(out, "files:      %lld, %s; %lld tensors in %lld pieces\n", (long long)f->files,
                  nmrt_bytes(f->bytes).s, (long long)f->tensors, (long long)f->pieces);
}

static void print_json(const facts *f, nmrt_text *out)
{
    nmrt_text_add(out, "{\"model\": ");
    nmrt_text_add_json(out, f->name);
    nmrt_text_add(out, ", \"preset\": ");
    nmrt_text_add_json(out, f->preset);
    nmrt_text_add(out, ", \"hash\": ");
    nmrt_text_add_json(out, f->hash);
    nmrt_text_add(out, ", \"precision\": ");
    nmrt_text_add_json(out, f->precision);
    nmrt_text_add(out, ", \"step\": %lld, \"samples\": %lld, \"seed\": %lld, \"mesh\": \"%s\"",
                  (long long)f->step, (long long)f->samples, (long long)f->seed, f->mesh);
    nmrt_text_add(out, ", \"files\": %lld, \"bytes\": %lld, \"tensors\": %lld, \"pieces\": %lld}\n",
                  (long long)f->files, (long long)f->bytes, (long long)f->tensors,
                  (long long)f->pieces);
}

nmrt_status nmrt_info_print_checkpoint(const nmrt_options *o, nmrt_text *out, nmrt_error *e)
{
    nmrt_index x;
    if (!nmrt_index_open_newest(&x, o->checkpoint))
        return nmrt_fail(e, NMRT_WORLD, "there is no checkpoint in %s", o->checkpoint);
    facts f = read_facts(&x);
    (o->json ? print_json : print_text)(&f, out);
    nmrt_index_close(&x);
    return NMRT_OK;
}
