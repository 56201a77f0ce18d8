// Products through cuBLASLt. Its matrices are column-major, and of a geometry's strides one of each
// pair is 1, so every operand is a matrix or a transposed one as it lies; a row-major result is the
// product of the transposed operands in the other order. What a shape needs is made once and kept:
// descriptors, and the algorithm that cuBLASLt's heuristic names first, which depends on nothing
// but the shape, so that a run gives the same bits each time.
#include "runtime/gpu/gpu.h"

#include "runtime/dtype.h"
#include "runtime/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORKSPACE = 32 << 20, MOST_ALIGNMENT = 256, FIRST_PLACES = 256 };

typedef struct shape { // what an algorithm is chosen by
    int64_t product;
    nmdrv_geometry geometry;
    int64_t align_a, align_b, align_c, align_bias, align_aux; // bytes
} shape;

typedef struct made { // for a shape
    shape shape;
    cublasLtMatmulDesc_t desc; // NULL: the place is free
    cublasLtMatrixLayout_t left, right, result;
    cublasLtMatmulAlgo_t algo;
} made;

typedef struct nmrt_gpu_products {
    cublasLtHandle_t handle;
    void *workspace; // device memory
    made *at;        // [places], found by hashing
    size_t places, n;
} nmrt_gpu_products;

// --- failures ------------------------------------------------------------------------------------

// Of a call for this product.
static void must(nmrt_device *d, cublasStatus_t status, const nmdrv_product *p,
                 const nmdrv_geometry *g)
{
    nmrt_error e;
    const char *more = NULL;
    if (status == CUBLAS_STATUS_SUCCESS)
        return;
    more = d->api->message ? d->api->message() : NULL;
    nmrt_fail(&e, NMRT_WORLD, "%s (%s): cuBLASLt refuses %lld x [%lld, %lld] of %lld: %s%s%s",
              p->name, p->where, (long long)g->batch, (long long)g->m, (long long)g->n,
              (long long)g->k, d->api->cublasLtGetStatusString(status), more ? ": " : "",
              more ? more : "");
    nmrt_gpu_die(d, &e);
}

// --- a matrix as it lies -------------------------------------------------------------------------

typedef struct matrix { // rows x cols of the product, with its strides
    int64_t rows, cols, row, col, batch;
    int64_t dtype;
    bool transposed; // lies with its rows side by side
} matrix;

static matrix matrix_of(int64_t rows, int64_t cols, int64_t row, int64_t col, int64_t batch,
                        int64_t dtype)
{
    bool plain = row == 1 && (cols == 1 || col >= rows);
    return (matrix){rows, cols, row, col, batch, dtype, !plain};
}

static cudaDataType_t data_type(int64_t dtype)
{
    switch (dtype) {
    case NMDRV_F64: return CUDA_R_64F;
    case NMDRV_BF16: return CUDA_R_16BF;
    case NMDRV_F16: return CUDA_R_16F;
    default: return CUDA_R_32F;
    }
}

static cublasStatus_t make_layout(const nmrt_gpu_api *api, const matrix *m, int64_t batch,
                                  cublasLtMatrixLayout_t *out)
{
    int64_t rows = m->transposed ? m->cols : m->rows, cols = m->transposed ? m->rows : m->cols,
            ld = m->transposed ? m->row : m->col;
    int32_t count = (int32_t)batch;
    cublasStatus_t s = api->cublasLtMatrixLayoutCreate(out, data_type(m->dtype), (uint64_t)rows,
                                                       (uint64_t)cols, ld > rows ? ld : rows);
    if (s != CUBLAS_STATUS_SUCCESS || batch == 1)
        return s;
    s = api->cublasLtMatrixLayoutSetAttribute(*out, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count,
                                              sizeof count);
    if (s != CUBLAS_STATUS_SUCCESS)
        return s;
    return api->cublasLtMatrixLayoutSetAttribute(*out, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET,
                                                 &m->batch, sizeof m->batch);
}

// --- what a shape needs --------------------------------------------------------------------------

typedef struct operands { // left * right = result, column-major
    matrix left, right, result;
    bool swapped; // left is b
} operands;

static operands operands_of(const nmdrv_product *p, const nmdrv_geometry *g)
{
    matrix a = matrix_of(g->m, g->k, g->a_m, g->a_k, g->a_batch, p->a_dtype),
           b = matrix_of(g->k, g->n, g->b_k, g->b_n, g->b_batch, p->b_dtype),
           at = matrix_of(g->k, g->m, g->a_k, g->a_m, g->a_batch, p->a_dtype),
           bt = matrix_of(g->n, g->k, g->b_n, g->b_k, g->b_batch, p->b_dtype);
    if (g->c_n == 1)
        return (operands){bt, at, {g->n, g->m, 1, g->c_m, g->c_batch, p->c_dtype, false}, true};
    return (operands){a, b, {g->m, g->n, 1, g->c_n, g->c_batch, p->c_dtype, false}, false};
}

typedef struct setting {
    cublasLtMatmulDescAttributes_t attribute;
    const void *value;
    size_t bytes;
} setting;

static cublasStatus_t set_all(const nmrt_gpu_api *api, cublasLtMatmulDesc_t desc, int n,
                              const setting *set)
{
    cublasStatus_t s = CUBLAS_STATUS_SUCCESS;
    for (int i = 0; i < n && s == CUBLAS_STATUS_SUCCESS; i++)
        s = api->cublasLtMatmulDescSetAttribute(desc, set[i].attribute, set[i].value, set[i].bytes);
    return s;
}

// --- epilogues: bias is along the rows of a column-major result, aux lies as that does -----------

typedef struct pointers { // beside the operands; NULL: there is none
    const void *bias;
    void *aux;
} pointers;

static uint32_t epilogue_of(const nmdrv_product *p)
{
    switch ((nmdrv_epilogue)p->epilogue) {
    case NMDRV_EPILOGUE_NONE: return CUBLASLT_EPILOGUE_DEFAULT;
    case NMDRV_EPILOGUE_BIAS: return CUBLASLT_EPILOGUE_BIAS;
    case NMDRV_EPILOGUE_GELU: return CUBLASLT_EPILOGUE_GELU;
    case NMDRV_EPILOGUE_GELU_BIAS: return CUBLASLT_EPILOGUE_GELU_BIAS;
    case NMDRV_EPILOGUE_GELU_AUX: return CUBLASLT_EPILOGUE_GELU_AUX;
    case NMDRV_EPILOGUE_GELU_AUX_BIAS: return CUBLASLT_EPILOGUE_GELU_AUX_BIAS;
    case NMDRV_EPILOGUE_DGELU: return CUBLASLT_EPILOGUE_DGELU;
    }
    return CUBLASLT_EPILOGUE_DEFAULT;
}

// The heuristic reads alignments off the pointers, so they are set before it is asked.
static cublasStatus_t set_pointers(const nmrt_gpu_api *api, cublasLtMatmulDesc_t desc,
                                   const pointers *at)
{
    const setting set[] = {{CUBLASLT_MATMUL_DESC_BIAS_POINTER, &at->bias, sizeof at->bias},
                           {CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, &at->aux, sizeof at->aux}};
    cublasStatus_t s = at->bias ? set_all(api, desc, 1, set) : CUBLAS_STATUS_SUCCESS;
    return s == CUBLAS_STATUS_SUCCESS && at->aux ? set_all(api, desc, 1, set + 1) : s;
}

static cublasStatus_t set_epilogue(const nmrt_gpu_api *api, cublasLtMatmulDesc_t desc,
                                   const nmdrv_product *p, const matrix *result, const pointers *at)
{
    uint32_t epilogue = epilogue_of(p);
    int32_t bias = data_type(p->bias_dtype);
    int64_t ld = result->col > result->rows ? result->col : result->rows;
    const setting set[] = {
        {CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue},
        {CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &bias, sizeof bias},
        {CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, &ld, sizeof ld},
        {CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_BATCH_STRIDE, &result->batch, sizeof result->batch}};
    cublasStatus_t s = set_all(api, desc, 1, set);
    if (s == CUBLAS_STATUS_SUCCESS && at->bias)
        s = set_all(api, desc, 1, set + 1);
    if (s == CUBLAS_STATUS_SUCCESS && at->aux)
        s = set_all(api, desc, 2, set + 2);
    return s == CUBLAS_STATUS_SUCCESS ? set_pointers(api, desc, at) : s;
}

// --- a problem -----------------------------------------------------------------------------------

static cublasStatus_t set_desc(const nmrt_device *d, made *x, const nmdrv_product *p,
                               const operands *o)
{
    const nmrt_gpu_api *api = d->api;
    cublasComputeType_t compute = p->c_dtype == NMDRV_F64 ? CUBLAS_COMPUTE_64F
                                  : d->tf32 && p->a_dtype == NMDRV_F32
                                      ? CUBLAS_COMPUTE_32F_FAST_TF32
                                      : CUBLAS_COMPUTE_32F;
    int32_t left = o->left.transposed ? CUBLAS_OP_T : CUBLAS_OP_N,
            right = o->right.transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
    const setting set[] = {{CUBLASLT_MATMUL_DESC_TRANSA, &left, sizeof left},
                           {CUBLASLT_MATMUL_DESC_TRANSB, &right, sizeof right}};
    cublasStatus_t s = api->cublasLtMatmulDescCreate(
        &x->desc, compute, p->c_dtype == NMDRV_F64 ? CUDA_R_64F : CUDA_R_32F);
    return s == CUBLAS_STATUS_SUCCESS ? set_all(api, x->desc, 2, set) : s;
}

static cublasStatus_t set_preference(const nmrt_gpu_api *api, cublasLtMatmulPreference_t preference,
                                     const shape *key, const operands *o)
{
    uint64_t workspace = WORKSPACE;
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

static cublasStatus_t choose_algorithm(nmrt_device *d, made *x, const operands *o)
{
    const nmrt_gpu_api *api = d->api;
    cublasLtMatmulPreference_t preference;
    cublasLtMatmulHeuristicResult_t best = {.state = CUBLAS_STATUS_NOT_SUPPORTED};
    int found = 0;
    cublasStatus_t s = api->cublasLtMatmulPreferenceCreate(&preference);
    if (s != CUBLAS_STATUS_SUCCESS)
        return s;
    s = set_preference(api, preference, &x->shape, o);
    if (s == CUBLAS_STATUS_SUCCESS)
        s = api->cublasLtMatmulAlgoGetHeuristic(d->products->handle, x->desc, x->left, x->right,
                                                x->result, x->result, preference, 1, &best, &found);
    api->cublasLtMatmulPreferenceDestroy(preference);
    x->algo = best.algo;
    return s != CUBLAS_STATUS_SUCCESS ? s : found ? best.state : CUBLAS_STATUS_NOT_SUPPORTED;
}

static void make(nmrt_device *d, made *x, const shape *key, const pointers *at)
{
    const nmdrv_product *p = &d->program->product[key->product];
    const nmdrv_geometry *g = &key->geometry;
    operands o = operands_of(p, g);
    x->shape = *key;
    must(d, set_desc(d, x, p, &o), p, g);
    must(d, set_epilogue(d->api, x->desc, p, &o.result, at), p, g);
    must(d, make_layout(d->api, &o.left, g->batch, &x->left), p, g);
    must(d, make_layout(d->api, &o.right, g->batch, &x->right), p, g);
    must(d, make_layout(d->api, &o.result, g->batch, &x->result), p, g);
    must(d, choose_algorithm(d, x, &o), p, g);
}

static void release(const nmrt_gpu_api *api, made *x)
{
    api->cublasLtMatrixLayoutDestroy(x->left);
    api->cublasLtMatrixLayoutDestroy(x->right);
    api->cublasLtMatrixLayoutDestroy(x->result);
    api->cublasLtMatmulDescDestroy(x->desc);
}

// --- shapes that were met ------------------------------------------------------------------------

static made *place_of(made *at, size_t places, const shape *key)
{
    size_t i = (size_t)nmrt_hash_of(key, sizeof *key) % places;
    while (at[i].desc && memcmp(&at[i].shape, key, sizeof *key) != 0)
        i = (i + 1) % places;
    return &at[i];
}

static void grow(nmrt_device *d)
{
    nmrt_gpu_products *all = d->products;
    size_t places = 2 * all->places;
    made *at = calloc(places, sizeof *at);
    nmrt_error e;
    if (!at) {
        nmrt_fail(&e, NMRT_WORLD, "no memory for the products' shapes");
        nmrt_gpu_die(d, &e);
    }
    for (size_t i = 0; i < all->places; i++)
        if (all->at[i].desc)
            *place_of(at, places, &all->at[i].shape) = all->at[i];
    free(all->at);
    all->at = at;
    all->places = places;
}

static int64_t alignment(const void *at)
{
    uintptr_t low = (uintptr_t)at & -(uintptr_t)at;
    return low && low < MOST_ALIGNMENT ? (int64_t)low : MOST_ALIGNMENT;
}

static made *find(nmrt_device *d, const shape *key, const pointers *at)
{
    nmrt_gpu_products *all = d->products;
    if (2 * all->n >= all->places)
        grow(d);
    made *x = place_of(all->at, all->places, key);
    if (!x->desc) {
        make(d, x, key, at);
        all->n++;
    }
    return x;
}

// --- the call ------------------------------------------------------------------------------------

typedef union factor { // in the type that a product computes in
    float f32;
    double f64;
} factor;

static factor factor_of(const nmdrv_product *p, double value)
{
    return p->c_dtype == NMDRV_F64 ? (factor){.f64 = value} : (factor){.f32 = (float)value};
}

static void run(nmrt_device *d, const made *x, void *c, const void *left, const void *right)
{
    const nmdrv_product *p = &d->program->product[x->shape.product];
    factor alpha = factor_of(p, p->alpha), beta = factor_of(p, p->adds ? 1 : 0);
    must(d,
         d->api->cublasLtMatmul(d->products->handle, x->desc, &alpha, left, x->left, right,
                                x->right, &beta, c, x->result, c, x->result, &x->algo,
                                d->products->workspace, WORKSPACE, d->stream),
         p, &x->shape.geometry);
}

// A sum of nothing. The result of one that adds stays as it is.
static void run_empty(nmrt_device *d, const nmdrv_product *p, const nmdrv_geometry *g, void *c)
{
    int64_t bytes = g->batch * g->m * g->n * nmrt_dtype(p->c_dtype)->bits / 8;
    nmrt_error e;
    if (!p->adds && p->epilogue == NMDRV_EPILOGUE_NONE) {
        nmrt_gpu_fill(d, c, bytes, 0);
    } else if (!p->adds) {
        nmrt_fail(&e, NMRT_CORRUPT, "%s (%s): an epilogue of a product of nothing", p->name,
                  p->where);
        nmrt_gpu_die(d, &e);
    }
}

void nmrt_gpu_product(nmdrv_frame *f, int64_t product, const nmdrv_geometry *g, void *c,
                      const void *a, const void *b, const void *bias, void *aux)
{
    nmrt_device *d = f->device;
    const nmdrv_product *p = &d->program->product[product];
    const pointers at = {bias, aux};
    shape key = {product,       *g, alignment(a), alignment(b), alignment(c), alignment(bias),
                 alignment(aux)};
    nmrt_comm_moved(d->comm);
    if (!(g->batch && g->m && g->n))
        return;
    if (!g->k) {
        run_empty(d, p, g, c);
        return;
    }
    made *x = find(d, &key, &at);
    must(d, set_pointers(d->api, x->desc, &at), p, g);
    bool swapped = g->c_n == 1;
    int64_t begin = nmrt_gpu_trace_begin(d, d->stream);
    run(d, x, c, swapped ? b : a, swapped ? a : b);
    nmrt_gpu_trace_end(d, d->stream, begin,
                       &(nmrt_span){.kind = NMRT_SPAN_KERNEL,
                                    .name = p->name,
                                    .where = p->where,
                                    .number = {{"flops", 2 * g->batch * g->m * g->n * g->k}}});
}

// --- open and close ------------------------------------------------------------------------------

// What cuBLASLt is asked for is known before the first step.
static nmrt_status check_rows(const nmdrv_program *p, nmrt_error *e)
{
    for (int64_t i = 0; i < p->n_products; i++) {
        const nmdrv_product *r = &p->product[i];
        bool known = r->a_dtype == NMDRV_F32 || r->a_dtype == NMDRV_F64 ||
                     r->a_dtype == NMDRV_BF16 || r->a_dtype == NMDRV_F16;
        bool wider = r->c_dtype == NMDRV_F32 && r->a_dtype != NMDRV_F64;
        if (r->a_dtype != r->b_dtype || !known || (r->c_dtype != r->a_dtype && !wider))
            return nmrt_fail(e, NMRT_CORRUPT, "%s (%s): cuBLASLt has no product of %s and %s to %s",
                             r->name, r->where, nmrt_dtype(r->a_dtype)->name,
                             nmrt_dtype(r->b_dtype)->name, nmrt_dtype(r->c_dtype)->name);
    }
    return NMRT_OK;
}

nmrt_status nmrt_gpu_products_open(nmrt_device *d, nmrt_error *e)
{
    if (!d->program->n_products)
        return NMRT_OK;
    NMRT_TRY(check_rows(d->program, e));
    if (d->libraries)
        NMRT_TRY(nmrt_gpu_load(d->libraries, NMRT_GPU_CUBLASLT, e));
    nmrt_gpu_products *all = d->products = calloc(1, sizeof *all);
    if (!all || !(all->at = calloc(FIRST_PLACES, sizeof *all->at)))
        return nmrt_fail(e, NMRT_WORLD, "no memory for the products' shapes");
    all->places = FIRST_PLACES;
    cublasStatus_t s = d->api->cublasLtCreate(&all->handle);
    if (s != CUBLAS_STATUS_SUCCESS)
        return nmrt_fail(e, NMRT_WORLD, "cuBLASLt does not start: %s",
                         d->api->cublasLtGetStatusString(s));
    return nmrt_gpu_alloc(d, WORKSPACE, &all->workspace, e);
}

void nmrt_gpu_products_close(nmrt_device *d)
{
    nmrt_gpu_products *all = d->products;
    if (!all)
        return;
    for (size_t i = 0; i < all->places && all->at; i++)
        if (all->at[i].desc)
            release(d->api, &all->at[i]);
    nmrt_gpu_free(d, all->workspace, WORKSPACE);
    if (all->handle)
        d->api->cublasLtDestroy(all->handle);
    free(all->at);
    free(all);
}
