// The verb info: what this binary holds, for people and as JSON.
#include "runtime/info.h"

#include "runtime/choose.h"
#include "runtime/dtype.h"
#include "runtime/recompute.h"

#include <string.h>

static int64_t elements(const nmdrv_param *p)
{
    int64_t n = 1;
    for (int64_t i = 0; i < p->rank; i++)
        n *= p->shape[i];
    return n;
}

static int64_t total(const nmdrv_program *p, bool states)
{
    int64_t n = 0;
    for (int64_t i = 0; i < p->n_params; i++)
        if ((p->param[i].is_state != 0) == states)
            n += elements(&p->param[i]);
    return n;
}

// Of the model file's dims, fixed ones are in the table of dims and run-time ones in that of
// symbols. What else is there are parts of these on a rank, and axes.
static bool is_fixed(const nmdrv_dim *d) { return d->extent > 0 && *d->where; }

static bool is_runtime(const nmdrv_sym_info *s) { return *s->where && !*s->of && !s->n_axes; }

// What gives a run-time dim its size.
static const char *flags_of(const nmdrv_program *p, const char *dim)
{
    if (strcmp(dim, p->batch) == 0)
        return ": --micro-batch, --global-batch";
    return strcmp(dim, p->seq) == 0 ? ": --seq" : "";
}

static void print_runtime(const nmdrv_program *p, const nmdrv_sym_info *s, nmrt_text *out)
{
    nmrt_text_add(out, "  %-24s %8s   %s", s->name, "?", s->where);
    nmrt_text_add(out, s->max > 0 ? ", from %lld to %lld" : ", from %lld", (long long)s->min,
                  (long long)s->max);
    if (s->multiple > 1)
        nmrt_text_add(out, ", a multiple of %lld", (long long)s->multiple);
    nmrt_text_add(out, "%s\n", flags_of(p, s->name));
}

static void print_dims(const nmdrv_program *p, nmrt_text *out)
{
    nmrt_text_add(out, "\ndims:\n");
    for (int64_t i = 0; i < p->n_dims; i++)
        if (is_fixed(&p->dim[i]))
            nmrt_text_add(out, "  %-24s %8lld   %s\n", p->dim[i].name, (long long)p->dim[i].extent,
                          p->dim[i].where);
    for (int64_t i = 0; i < p->n_syms; i++)
        if (is_runtime(&p->sym[i]))
            print_runtime(p, &p->sym[i], out);
}

static void print_params(const nmdrv_program *p, nmrt_text *out)
{
    nmrt_text_add(out, "\nparameters: %lld (%s), optimizer state: %lld\n",
                  (long long)total(p, false), nmrt_count((double)total(p, false)).s,
                  (long long)total(p, true));
    for (int64_t i = 0; i < p->n_params; i++) {
        const nmdrv_param *r = &p->param[i];
        if (r->is_state)
            continue;
        nmrt_text_add(out, "  %-32s %s[", r->path, nmrt_dtype(r->dtype)->name);
        for (int64_t k = 0; k < r->rank; k++)
            nmrt_text_add(out, "%s%s=%lld", k ? ", " : "", p->dim[r->dim[k]].name,
                          (long long)r->shape[k]);
        nmrt_text_add(out, "]%s%s\n", r->frozen ? " frozen" : "", r->no_decay ? " no decay" : "");
    }
}

// Which meshes the program has texts for, in the flags' words.
static void print_modes(const nmdrv_program *p, nmrt_text *out)
{
    static const char *const axis[NMDRV_N_AXES] = {
        [NMDRV_PP] = "pp", [NMDRV_DPR] = "dp", [NMDRV_CPR] = "cp", [NMDRV_TPK] = "tp"};
    if (p->n_modes)
        nmrt_text_add(out, "\nmeshes (flags of train):\n");
    for (int64_t i = 0; i < p->n_modes; i++) {
        const nmdrv_mode *m = &p->mode[i];
        bool cut = m->axes & ~(INT64_C(1) << NMDRV_PP);
        nmrt_text_add(out, "  %-24s", m->name);
        for (int a = 0; a < NMDRV_N_AXES; a++)
            if (axis[a] && m->axes >> a & 1)
                nmrt_text_add(out, " --%s", axis[a]);
        nmrt_text_add(out, "%s%s\n", cut && !m->sp ? ", --sp 0" : "",
                      m->ring ? ", --cp-comm ring" : "");
    }
    if (p->n_modes && p->pp_turns)
        nmrt_text_add(out, "  at most %lld stages, of %s\n", (long long)p->pp_turns, p->pp_where);
}

// Which variants the program has of what backward computes again.
static void print_variants(const nmdrv_program *p, nmrt_text *out)
{
    if (!nmrt_recompute_any(p))
        return;
    nmrt_text_add(out, "\nrecomputation (flags of train):\n  --recompute             ");
    for (int i = NMDRV_RECOMPUTE_NONE; i <= NMDRV_RECOMPUTE_FULL; i++)
        if (nmrt_recompute_has(p, (nmdrv_recompute)i))
            nmrt_text_add(out, " %s", nmrt_recompute_name((nmdrv_recompute)i));
    nmrt_text_add(out, "%s\n", nmrt_recompute_has_blocks(p) ? " block:N auto" : "");
}

static void print_hypers(const nmdrv_program *p, const nmrt_hypers *h, nmrt_text *out)
{
    nmrt_text_add(out, "\nhyperparameters (flags of train):\n");
    for (int i = 0; i < h->n_flags; i++) {
        nmrt_text value = {0};
        nmrt_hyper_print(h, &h->flag[i], &value);
        const char *schedule =
            h->flag[i].first < p->n_hypers ? p->hyper[h->flag[i].first].schedule : "";
        nmrt_text_add(out, "  --%-22s %s%s%s\n", h->flag[i].name,
                      h->hyper[h->flag[i].first].needed ? "-" : value.at,
                      *schedule ? ", schedule " : "", schedule);
        nmrt_text_release(&value);
    }
}

// --- code --------------------------------------------------------------------------------------

static bool is_emulated(const nmdrv_program *p) { return p->n_kernels && p->kernel[0].block; }

// The values of --device that the flavour gpu is there for.
static void print_devices(const nmdrv_program *p, const char *sep, nmrt_text *out)
{
    if (p->image && p->image->data)
        nmrt_text_add(out, "cuda%s", sep);
    if (is_emulated(p))
        nmrt_text_add(out, "emu%s", sep);
    nmrt_text_add(out, "null");
}

static void print_images(const nmdrv_program *p, nmrt_text *out)
{
    for (const nmdrv_image *i = p->image; i && i->data; i++)
        nmrt_text_add(out, "  sm_%lld%-21s %10s of %s\n", (long long)i->arch,
                      i->specific ? "a" : "", nmrt_bytes(i->size).s,
                      i->is_cubin ? "machine code" : "PTX");
}

static void print_program(const nmdrv_program *p, nmrt_text *out)
{
    nmrt_text_add(out, "\ncode for ");
    if (p->flavour == NMDRV_HOST)
        nmrt_text_add(out, "host");
    else
        print_devices(p, ", ", out);
    nmrt_text_add(out, ", in %s%s%s: %lld functions, %lld kernels", p->precision,
                  *p->recipe ? " " : "", p->recipe, (long long)p->n_funcs, (long long)p->n_kernels);
    if (p->flavour == NMDRV_HOST)
        nmrt_text_add(out, " with %s of scratch a thread", nmrt_bytes(p->scratch).s);
    if (p->n_products)
        nmrt_text_add(out, ", %lld products of cuBLASLt", (long long)p->n_products);
    nmrt_text_add(out, "; info --json names them\n");
    print_images(p, out);
}

static void print_programs(nmrt_text *out)
{
    for (const nmdrv_program *const *p = nemocc_programs; *p; p++)
        print_program(*p, out);
}

static void print_weights(const nmdrv_program *p, nmrt_text *out)
{
    for (int64_t i = 0; i < p->n_weights; i++) {
        const nmdrv_weights *w = &p->weights[i];
        nmrt_text_add(out, "weights:  %s (%s)%s%s\n", w->name, w->where,
                      *w->misfit ? ", does not fit: " : "", w->misfit);
    }
}

void nmrt_info_print(const nmdrv_program *p, const nmrt_hypers *h, nmrt_text *out)
{
    nmrt_text_add(out,
                  "model:    %s%s%s\ncompiler: %s\ncpu:      %s (x86-64-v%lld)\nprogram:  %s\n",
                  p->name, *p->preset ? ", preset " : "", p->preset, p->compiler, p->cpu,
                  (long long)p->cpu_level, p->hash);
    print_dims(p, out);
    print_params(p, out);
    print_hypers(p, h, out);
    print_modes(p, out);
    print_variants(p, out);
    print_programs(out);
    print_weights(p, out);
    if (p->no_decode && *p->no_decode)
        nmrt_text_add(out, "no generation: %s\n", p->no_decode);
}

// --- as JSON -------------------------------------------------------------------------------------

static void json_dim(const char *name, int64_t extent, const char **sep, nmrt_text *out)
{
    nmrt_text_add(out, "%s", *sep);
    nmrt_text_add_json(out, name);
    nmrt_text_add(out, extent > 0 ? ": %lld" : ": null", (long long)extent);
    *sep = ", ";
}

static void json_dims(const nmdrv_program *p, nmrt_text *out)
{
    const char *sep = "";
    nmrt_text_add(out, "\"dims\": {");
    for (int64_t i = 0; i < p->n_dims; i++)
        if (is_fixed(&p->dim[i]))
            json_dim(p->dim[i].name, p->dim[i].extent, &sep, out);
    for (int64_t i = 0; i < p->n_syms; i++)
        if (is_runtime(&p->sym[i]))
            json_dim(p->sym[i].name, 0, &sep, out);
    nmrt_text_add(out, "}, ");
}

static void json_params(const nmdrv_program *p, nmrt_text *out)
{
    nmrt_text_add_count(out, "parameters", total(p, false));
    nmrt_text_add_count(out, "state", total(p, true));
    nmrt_text_add(out, "\"tensors\": [");
    for (int64_t i = 0; i < p->n_params; i++) {
        const nmdrv_param *r = &p->param[i];
        nmrt_text_add(out, i ? ", {" : "{");
        nmrt_text_add_pair(out, "path", r->path);
        nmrt_text_add_pair(out, "dtype", nmrt_dtype(r->dtype)->name);
        nmrt_text_add(out, "\"dims\": [");
        for (int64_t k = 0; k < r->rank; k++) {
            nmrt_text_add(out, k ? ", " : "");
            nmrt_text_add_json(out, p->dim[r->dim[k]].name);
        }
        nmrt_text_add(out, "], \"shape\": [");
        for (int64_t k = 0; k < r->rank; k++)
            nmrt_text_add(out, "%s%lld", k ? ", " : "", (long long)r->shape[k]);
        nmrt_text_add(out, "], \"state\": %s, \"frozen\": %s}", r->is_state ? "true" : "false",
                      r->frozen ? "true" : "false");
    }
    nmrt_text_add(out, "], ");
}

static void json_hypers(const nmrt_hypers *h, nmrt_text *out)
{
    nmrt_text_add(out, "\"hyperparameters\": {");
    for (int i = 0; i < h->n; i++) {
        nmrt_text_add(out, i ? ", " : "");
        nmrt_text_add_json(out, h->hyper[i].name);
        nmrt_text_add(out, ": ");
        nmrt_text_add_f32(out, (float)h->hyper[i].value);
    }
    nmrt_text_add(out, "}, ");
}

static void json_kernels(const nmdrv_program *p, nmrt_text *out)
{
    nmrt_text_add(out, "\"kernels\": [");
    for (int64_t i = 0; i < p->n_kernels; i++) {
        const nmdrv_kernel *k = &p->kernel[i];
        nmrt_text_add(out, i ? ", {" : "{");
        nmrt_text_add_pair(out, "name", k->name);
        nmrt_text_add(out, "\"where\": ");
        nmrt_text_add_json(out, k->where);
        if (p->flavour == NMDRV_GPU)
            nmrt_text_add(out, ", \"threads\": %lld, \"per_block\": %lld, \"shared\": %lld",
                          (long long)k->threads, (long long)k->per_block, (long long)k->shared);
        nmrt_text_add(out, "}");
    }
    nmrt_text_add(out, "]");
}

static void json_variants(const nmdrv_program *p, nmrt_text *out)
{
    const char *sep = "";
    nmrt_text_add(out, "\"recompute\": [");
    for (int i = NMDRV_RECOMPUTE_NONE; i <= NMDRV_RECOMPUTE_FULL; i++)
        if (nmrt_recompute_has(p, (nmdrv_recompute)i)) {
            nmrt_text_add(out, "%s\"%s\"", sep, nmrt_recompute_name((nmdrv_recompute)i));
            sep = ", ";
        }
    nmrt_text_add(out, "], ");
}

static void json_code(const nmdrv_program *p, nmrt_text *out)
{
    nmrt_text_add(out, "\"modes\": [");
    for (int64_t i = 0; i < p->n_modes; i++) {
        nmrt_text_add(out, i ? ", " : "");
        nmrt_text_add_json(out, p->mode[i].name);
    }
    nmrt_text_add(out, "], \"stages\": %lld, ", (long long)(p->pp_turns ? p->pp_turns : 1));
    json_variants(p, out);
    nmrt_text_add(out, "\"functions\": [");
    for (int64_t i = 0; i < p->n_funcs; i++) {
        nmrt_text_add(out, i ? ", " : "");
        nmrt_text_add_json(out, p->func[i].name);
    }
    nmrt_text_add(out, "], ");
    json_kernels(p, out);
}

static void json_images(const nmdrv_program *p, nmrt_text *out)
{
    nmrt_text_add(out, "\"images\": [");
    for (const nmdrv_image *i = p->image; i && i->data; i++) {
        nmrt_text_add(out, i > p->image ? ", {" : "{");
        nmrt_text_add(out, "\"arch\": \"sm_%lld%s\", \"kind\": \"%s\", \"bytes\": %lld}",
                      (long long)i->arch, i->specific ? "a" : "", i->is_cubin ? "cubin" : "ptx",
                      (long long)i->size);
    }
    nmrt_text_add(out, "], ");
}

static void json_products(const nmdrv_program *p, nmrt_text *out)
{
    nmrt_text_add(out, "\"products\": [");
    for (int64_t i = 0; i < p->n_products; i++) {
        nmrt_text_add(out, i ? ", {" : "{");
        nmrt_text_add_pair(out, "name", p->product[i].name);
        nmrt_text_add(out, "\"where\": ");
        nmrt_text_add_json(out, p->product[i].where);
        nmrt_text_add(out, "}");
    }
    nmrt_text_add(out, "], ");
}

static void json_programs(nmrt_text *out)
{
    nmrt_text_add(out, ", \"programs\": [");
    for (const nmdrv_program *const *p = nemocc_programs; *p; p++) {
        nmrt_text_add(out, p == nemocc_programs ? "{" : ", {");
        nmrt_text_add_pair(out, "flavour", (*p)->flavour == NMDRV_GPU ? "gpu" : "host");
        nmrt_text_add_pair(out, "precision", (*p)->precision);
        nmrt_text_add_pair(out, "recipe", (*p)->recipe);
        nmrt_text_add(out, "\"functions\": %lld, \"kernels\": %lld}", (long long)(*p)->n_funcs,
                      (long long)(*p)->n_kernels);
    }
    nmrt_text_add(out, "]");
}

static void json_weights(const nmdrv_program *p, nmrt_text *out)
{
    nmrt_text_add(out, ", \"weights\": [");
    for (int64_t i = 0; i < p->n_weights; i++) {
        nmrt_text_add(out, i ? ", {\"name\": " : "{\"name\": ");
        nmrt_text_add_json(out, p->weights[i].name);
        nmrt_text_add(out, ", \"misfit\": ");
        nmrt_text_add_json(out, p->weights[i].misfit);
        nmrt_text_add(out, "}");
    }
    nmrt_text_add(out, "]");
}

// What the flavour gpu has besides, of its first program.
static void json_gpu(const nmdrv_program *p, nmrt_text *out)
{
    nmrt_text_add(out, ", \"gpu\": {\"devices\": \"");
    print_devices(p, " ", out);
    nmrt_text_add(out, "\", ");
    nmrt_text_add_pair(out, "precision", p->precision);
    json_images(p, out);
    json_products(p, out);
    json_kernels(p, out);
    nmrt_text_add(out, "}");
}

void nmrt_info_print_json(const nmdrv_program *p, const nmrt_hypers *h, nmrt_text *out)
{
    const struct {
        const char *key, *value;
    } text[] = {{"model", p->name},
                {"preset", p->preset},
                {"hash", p->hash},
                {"compiler", p->compiler},
                {"cpu", p->cpu}};
    nmrt_text_add(out, "{");
    for (size_t i = 0; i < sizeof text / sizeof *text; i++)
        nmrt_text_add_pair(out, text[i].key, text[i].value);
    nmrt_text_add_count(out, "cpu_level", p->cpu_level);
    json_dims(p, out);
    json_params(p, out);
    json_hypers(h, out);
    json_code(p, out);
    json_programs(out);
    json_weights(p, out);
    const nmdrv_program *gpu = nmrt_program_find(NMDRV_GPU, (nmrt_numbers){"auto", "auto"});
    if (gpu)
        json_gpu(gpu, out);
    nmrt_text_add(out, "}\n");
}
