// Of products whose numbers have 8 bits each size is a multiple of 16. nemocc multiplies otherwise
// where it knows a size that is none; those that a run decides, the tokens of a micro-batch and the
// parts of a rank, are looked at here: the drivers of a training step are run on a device that
// launches nothing.
#include "runtime/dtype.h"
#include "runtime/mesh_check.h"
#include "runtime/null_device.h"
#include "runtime/setup.h"

enum { GRAIN = 16 };

typedef struct looking { // the frame's device
    const nmdrv_program *program;
    const nmdrv_product *odd; // the first that is met; NULL: none
    nmdrv_geometry at;
} looking;

// --- what is met ---------------------------------------------------------------------------------

// A product of nothing is not called.
static bool is_odd(const nmdrv_geometry *g)
{
    bool some = g->batch && g->m && g->n && g->k;
    return some && (g->m % GRAIN || g->n % GRAIN || g->k % GRAIN);
}

static void look_at_product(nmdrv_frame *f, int64_t product, const nmdrv_geometry *g, void *c,
                            const void *a, const void *b, void *bias, void *aux,
                            const float *a_scale, const float *b_scale)
{
    looking *x = (looking *)f->device;
    const nmdrv_product *p = &x->program->product[product];
    (void)c, (void)a, (void)b, (void)bias, (void)aux, (void)a_scale, (void)b_scale;
    if (x->odd || !nmrt_is_fp8(p->a_dtype) || !is_odd(g))
        return;
    x->odd = p;
    x->at = *g;
}

static void *pass_collective(nmdrv_frame *f, int64_t collective, const int64_t *geometry, void *out,
                             void *in)
{
    (void)f, (void)collective, (void)geometry, (void)in;
    return out;
}

static nmrt_status look_at(const nmrt_setup *s, int pp, const nmdrv_func *f, looking *x,
                           nmrt_error *e)
{
    nmrt_setup at = nmrt_setup_seen_from(s, pp);
    nmdrv_calls calls = nmrt_null_calls(pass_collective);
    calls.product = look_at_product;
    if (f->turns >= 0)
        at.syms.at[f->turns].size = nmrt_setup_turns(s, pp, f).chunk;
    return nmrt_null_run(f, at.syms.at, &calls, x, e);
}

// --- what to do ----------------------------------------------------------------------------------

// By how much to multiply n, at least, for a multiple.
static int64_t lacks(int64_t n) { return GRAIN / nmrt_gcd(GRAIN, n); }

static int64_t odd_size(const nmdrv_geometry *g)
{
    return g->m % GRAIN ? g->m : g->n % GRAIN ? g->n : g->k;
}

// Is it a fixed dim's part on tp?
static bool is_part(const nmrt_setup *s, const nmdrv_sym_info *info)
{
    int64_t axes = nmrt_sym_axes(info);
    return nmrt_sym_is_local(info) && info->of_sym < 0 && !info->each &&
           !(axes & ~(int64_t)NMRT_TP_AXES) && nmrt_mesh_ranks(&s->mesh, axes) > 1;
}

// The largest part that is a factor of the size; -1: none.
static int find_part(const nmrt_setup *s, int64_t size)
{
    int found = -1;
    for (int i = 0; i < s->program->n_syms; i++) {
        int64_t part = s->syms.at[i].size;
        if (is_part(s, &s->program->sym[i]) && part > 0 && size % part == 0 &&
            (found < 0 || part > s->syms.at[found].size))
            found = i;
    }
    return found;
}

static void explain_tokens(const nmrt_setup *s, nmrt_text *out)
{
    int64_t cp = nmrt_mesh_cp(&s->mesh), seq = s->seq / cp;
    nmrt_text_add(
        out,
        "a rank has %lld tokens of a micro-batch; take a --micro-batch that is a multiple "
        "of %lld, a --seq that is a multiple of %lld, or --precision bf16",
        (long long)(s->micro_batch * seq), (long long)lacks(seq),
        (long long)(cp * lacks(s->micro_batch)));
}

static void explain_part(const nmrt_setup *s, int64_t size, nmrt_text *out)
{
    int part = find_part(s, size);
    const nmdrv_sym_info *info = part < 0 ? NULL : &s->program->sym[part];
    if (info)
        nmrt_text_add(out, "a rank has %lld of %s = %lld (%s); take another --tp",
                      (long long)s->syms.at[part].size, info->of, (long long)info->extent,
                      info->where);
    else
        nmrt_text_add(out, "take another --micro-batch, --seq or --tp");
    nmrt_text_add(out, ", or --precision bf16");
}

static nmrt_status refuse(const nmrt_setup *s, const looking *x, nmrt_error *e)
{
    const nmdrv_geometry *g = &x->at;
    int64_t tokens = s->micro_batch * (s->seq / nmrt_mesh_cp(&s->mesh));
    nmrt_text why = {0};
    if (odd_size(g) == tokens)
        explain_tokens(s, &why);
    else
        explain_part(s, odd_size(g), &why);
    nmrt_status status =
        nmrt_fail(e, NMRT_USAGE,
                  "%s (%s): on GPUs products of fp8 have sizes that are multiples of 16, and this "
                  "one is [%lld, %lld] of %lld: %s",
                  x->odd->name, x->odd->where, (long long)g->m, (long long)g->n, (long long)g->k,
                  why.failed ? "" : why.at);
    nmrt_text_release(&why);
    return status;
}

static bool has_fp8(const nmdrv_program *p)
{
    for (int64_t i = 0; i < p->n_products; i++)
        if (nmrt_is_fp8(p->product[i].a_dtype))
            return true;
    return false;
}

// On all stages, so that every rank says the same.
nmrt_status nmrt_setup_check_products(const nmrt_setup *s, nmrt_error *e)
{
    const nmdrv_program *p = s->program;
    looking x = {.program = p};
    if (s->options->verb != NMRT_TRAIN || !has_fp8(p))
        return NMRT_OK;
    for (int pp = 0; pp < s->stages.pp; pp++)
        for (int64_t i = 0; i < p->n_funcs && !x.odd; i++)
            if (p->func[i].role == NMDRV_MICRO && nmrt_setup_runs(s, pp, &p->func[i]))
                NMRT_TRY(look_at(s, pp, &p->func[i], &x, e));
    return x.odd ? refuse(s, &x, e) : NMRT_OK;
}
