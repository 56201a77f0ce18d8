// The algorithm for a shape: what an earlier run has kept, where cuBLASLt still takes it; else the
// first that its heuristic names, which depends on the shape alone. With --tune-products it is what
// was measured, where an earlier run has; for the other shapes rank 0 measures the first few that
// the heuristic names: what was fastest is for later runs, as ranks must have equal ones.
#include "runtime/gpu/product.h"

#include "runtime/dtype.h"

#include <string.h>

enum { CANDIDATES = 8, ROUNDS = 3 };

// --- what it depends on --------------------------------------------------------------------------

static nmrt_choice_key key_of(const nmrt_device *d, const nmrt_gpu_shape *s)
{
    const nmdrv_product *p = &d->program->product[s->product];
    const bool fast = p->fast && d->fast_accum;
    const int64_t more[] = {p->a_dtype,   p->b_dtype,  p->c_dtype, p->bias_dtype,
                            p->adds,      p->epilogue, d->tf32,    NMRT_PRODUCT_ROOM,
                            s->align_a,   s->align_b,  s->align_c, s->align_bias,
                            s->align_aux, fast,        s->scaled};
    nmrt_choice_key key = {{0}};
    _Static_assert(sizeof s->geometry + sizeof more <= sizeof key, "a key holds all of them");
    memcpy(key.word, &s->geometry, sizeof s->geometry);
    memcpy(key.word + sizeof s->geometry / sizeof *key.word, more, sizeof more);
    return key;
}

// --- a product with an algorithm -----------------------------------------------------------------

typedef union factor { // in the type that a product computes in
    float f32;
    double f64;
} factor;

static factor factor_of(const nmdrv_product *p, double value)
{
    return p->c_dtype == NMDRV_F64 ? (factor){.f64 = value} : (factor){.f32 = (float)value};
}

cublasStatus_t nmrt_gpu_run_product(nmrt_device *d, const nmrt_gpu_made *x,
                                    const nmrt_gpu_buffers *at, void *to,
                                    const cublasLtMatmulAlgo_t *algo)
{
    const nmdrv_product *p = &d->program->product[x->shape.product];
    factor alpha = factor_of(p, p->alpha), beta = factor_of(p, p->adds ? 1 : 0);
    return d->api->cublasLtMatmul(d->products->handle, x->desc, &alpha, at->left, x->left,
                                  at->right, x->right, &beta, at->c, x->result, to, x->result, algo,
                                  d->products->workspace, NMRT_PRODUCT_ROOM, d->stream);
}

// --- the heuristic -------------------------------------------------------------------------------

static cublasStatus_t set_preference(const nmrt_gpu_api *api, cublasLtMatmulPreference_t preference,
                                     const nmrt_gpu_shape *key, const nmrt_gpu_operands *o)
{
    uint64_t workspace = NMRT_PRODUCT_ROOM;
    uint32_t left = (uint32_t)(o->swapped ? key->align_b : key->align_a),
             right = (uint32_t)(o->swapped ? key->align_a : key->align_b),
             result = (uint32_t)key->align_c;
    const struct {
        cublasLtMatmulPreferenceAttributes_t attribute;
        const void *value;
        size_t bytes;
    } set[] = {{CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace, sizeof workspace},
               {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &left, sizeof left},
               {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &right, sizeof right},
               {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, &result, sizeof result},
               {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &result, sizeof result}};
    cublasStatus_t s = CUBLAS_STATUS_SUCCESS;
    for (size_t i = 0; i < sizeof set / sizeof *set && s == CUBLAS_STATUS_SUCCESS; i++)
        s = api->cublasLtMatmulPreferenceSetAttribute(preference, set[i].attribute, set[i].value,
                                                      set[i].bytes);
    return s;
}

// The first `wanted` that it names, best first.
static cublasStatus_t ask(nmrt_device *d, const nmrt_gpu_made *x, const nmrt_gpu_operands *o,
                          int wanted, cublasLtMatmulHeuristicResult_t *result, int *found)
{
    const nmrt_gpu_api *api = d->api;
    cublasLtMatmulPreference_t preference;
    *found = 0;
    cublasStatus_t s = api->cublasLtMatmulPreferenceCreate(&preference);
    if (s != CUBLAS_STATUS_SUCCESS)
        return s;
    s = set_preference(api, preference, &x->shape, o);
    if (s == CUBLAS_STATUS_SUCCESS)
        s = api->cublasLtMatmulAlgoGetHeuristic(d->products->handle, x->desc, x->left, x->right,
                                                x->result, x->result, preference, wanted, result,
                                                found);
    api->cublasLtMatmulPreferenceDestroy(preference);
    if (s != CUBLAS_STATUS_SUCCESS)
        return s;
    return *found ? result->state : CUBLAS_STATUS_NOT_SUPPORTED;
}

// What a file says may be of a library that says the same of itself, and be no use all the same.
static bool is_taken(nmrt_device *d, const nmrt_gpu_made *x, const cublasLtMatmulAlgo_t *algo)
{
    cublasLtMatmulHeuristicResult_t result = {.state = CUBLAS_STATUS_NOT_SUPPORTED};
    cublasStatus_t s = d->api->cublasLtMatmulAlgoCheck(
        d->products->handle, x->desc, x->left, x->right, x->result, x->result, algo, &result);
    return s == CUBLAS_STATUS_SUCCESS && result.state == CUBLAS_STATUS_SUCCESS &&
           result.workspaceSize <= NMRT_PRODUCT_ROOM;
}

// --- by the clock --------------------------------------------------------------------------------

typedef struct stopwatch {
    CUevent begin, end;
} stopwatch;

// Milliseconds of ROUNDS products, after one that nobody looks at; below 0: it cannot be done.
static float time_of(nmrt_device *d, const stopwatch *w, const nmrt_gpu_made *x,
                     const nmrt_gpu_buffers *at, void *to, const cublasLtMatmulAlgo_t *algo)
{
    float ms = -1;
    bool ok = nmrt_gpu_run_product(d, x, at, to, algo) == CUBLAS_STATUS_SUCCESS &&
              d->api->cuEventRecord(w->begin, d->stream) == CUDA_SUCCESS;
    for (int i = 0; i < ROUNDS && ok; i++)
        ok = nmrt_gpu_run_product(d, x, at, to, algo) == CUBLAS_STATUS_SUCCESS;
    ok = ok && d->api->cuEventRecord(w->end, d->stream) == CUDA_SUCCESS &&
         d->api->cuEventSynchronize(w->end) == CUDA_SUCCESS &&
         d->api->cuEventElapsedTime(&ms, w->begin, w->end) == CUDA_SUCCESS;
    return ok ? ms : -1;
}

static const cublasLtMatmulAlgo_t *find_fastest(nmrt_device *d, const nmrt_gpu_made *x,
                                                const nmrt_gpu_buffers *at, void *to, int n,
                                                const cublasLtMatmulHeuristicResult_t *result)
{
    const cublasLtMatmulAlgo_t *best = NULL;
    float least = 0;
    stopwatch w = {0};
    bool ok = d->api->cuEventCreate(&w.begin, CU_EVENT_DEFAULT) == CUDA_SUCCESS &&
              d->api->cuEventCreate(&w.end, CU_EVENT_DEFAULT) == CUDA_SUCCESS;
    for (int i = 0; i < n && ok; i++) {
        float ms = result[i].state == CUBLAS_STATUS_SUCCESS
                       ? time_of(d, &w, x, at, to, &result[i].algo)
                       : -1;
        if (ms < 0 || (best && ms >= least))
            continue;
        best = &result[i].algo;
        least = ms;
    }
    if (w.begin)
        d->api->cuEventDestroy(w.begin);
    if (w.end)
        d->api->cuEventDestroy(w.end);
    return best;
}

// Into memory of its own: what a product adds to is still wanted.
static void measure(nmrt_device *d, const nmrt_gpu_made *x, const nmrt_gpu_operands *o,
                    const nmrt_gpu_buffers *at, const nmrt_choice_key *key)
{
    const nmdrv_geometry *g = &x->shape.geometry;
    const nmdrv_product *p = &d->program->product[x->shape.product];
    int64_t elements = (g->batch - 1) * g->c_batch + (g->m - 1) * g->c_m + (g->n - 1) * g->c_n + 1;
    int64_t bytes = elements * nmrt_dtype(p->c_dtype)->bits / 8;
    cublasLtMatmulHeuristicResult_t result[CANDIDATES];
    void *to = NULL;
    nmrt_error e;
    int found = 0;
    if (!d->products->choices.writes || nmrt_choices_is_measured(&d->products->choices, key) ||
        ask(d, x, o, CANDIDATES, result, &found) != CUBLAS_STATUS_SUCCESS ||
        nmrt_gpu_alloc(d, bytes, &to, &e) != NMRT_OK)
        return;
    const cublasLtMatmulAlgo_t *best = find_fastest(d, x, at, to, found, result);
    if (best)
        nmrt_choices_measured(&d->products->choices, key, best);
    nmrt_gpu_free(d, to, bytes);
}

// --- the choice ----------------------------------------------------------------------------------

static bool take_kept(nmrt_device *d, nmrt_gpu_made *x, const nmrt_choice_key *key, bool measured)
{
    const nmrt_choice *kept = nmrt_choices_find(&d->products->choices, key, measured);
    if (!kept || !is_taken(d, x, &kept->algo))
        return false;
    x->algo = kept->algo;
    return true;
}

cublasStatus_t nmrt_gpu_choose(nmrt_device *d, nmrt_gpu_made *x, const nmrt_gpu_operands *o,
                               const nmrt_gpu_buffers *at)
{
    nmrt_choice_key key = key_of(d, &x->shape);
    cublasLtMatmulHeuristicResult_t first;
    int found;
    if (d->products->tunes && take_kept(d, x, &key, true))
        return CUBLAS_STATUS_SUCCESS;
    if (!take_kept(d, x, &key, false)) {
        cublasStatus_t s = ask(d, x, o, 1, &first, &found);
        if (s != CUBLAS_STATUS_SUCCESS)
            return s;
        x->algo = first.algo;
        nmrt_choices_add(&d->products->choices, &key, &x->algo);
    }
    if (d->products->tunes)
        measure(d, x, o, at, &key);
    return CUBLAS_STATUS_SUCCESS;
}
