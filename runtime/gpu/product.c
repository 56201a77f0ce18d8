// Products through cuBLASLt. Its matrices are column-major, and of a geometry's strides one of each
// pair is 1, so every operand is a matrix or a transposed one as it lies; a row-major result is the
// product of the transposed operands in the other order. What a shape needs is made once and kept:
// descriptors, and an algorithm (product_choose.c).
#include "runtime/gpu/product.h"

#include "runtime/dtype.h"
#include "runtime/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_ALIGNMENT = 256, FIRST_PLACES = 256, FP8_CAPABILITY = 89 };

// --- failures ------------------------------------------------------------------------------------

static const char *name_epilogue(const nmdrv_product *p)
{
    static const char *const name[] = {[NMDRV_EPILOGUE_NONE] = "",
                                       [NMDRV_EPILOGUE_BIAS] = " with a bias",
                                       [NMDRV_EPILOGUE_GELU] = " with GELU",
                                       [NMDRV_EPILOGUE_GELU_BIAS] = " with a bias, GELU",
                                       [NMDRV_EPILOGUE_GELU_AUX] = " with GELU_AUX",
                                       [NMDRV_EPILOGUE_GELU_AUX_BIAS] = " with a bias, GELU_AUX",
                                       [NMDRV_EPILOGUE_DGELU] = " with DGELU",
                                       [NMDRV_EPILOGUE_BGRAD_A] = " with BGRAD of a",
                                       [NMDRV_EPILOGUE_BGRAD_B] = " with BGRAD of b"};
    return name[p->epilogue];
}

// Of a call for this product.
static void must(nmrt_device *d, cublasStatus_t status, const nmdrv_product *p,
                 const nmdrv_geometry *g)
{
    nmrt_error e;
    if (status == CUBLAS_STATUS_SUCCESS)
        return;
    const char *more = d->api->message ? d->api->message() : NULL,
               *hint = p->epilogue == NMDRV_EPILOGUE_NONE
                           ? ""
                           : "; compile it with --plain-products to do without";
    nmrt_fail(&e, NMRT_WORLD, "%s (%s): cuBLASLt refuses %lld x [%lld, %lld] of %lld%s: %s%s%s%s",
              p->name, p->where, (long long)g->batch, (long long)g->m, (long long)g->n,
              (long long)g->k, name_epilogue(p), d->api->cublasLtGetStatusString(status),
              more ? ": " : "", more ? more : "", hint);
    nmrt_gpu_die(d, &e);
}

// --- a matrix as it lies -------------------------------------------------------------------------

static nmrt_gpu_matrix matrix_of(int64_t rows, int64_t cols, int64_t row, int64_t col,
                                 int64_t batch, int64_t dtype)
{
    bool plain = row == 1 && (cols == 1 || col >= rows);
    return (nmrt_gpu_matrix){rows, cols, row, col, batch, dtype, !plain};
}

static cudaDataType_t data_type(int64_t dtype)
{
    switch (dtype) {
    case NMDRV_F64: return CUDA_R_64F;
    case NMDRV_BF16: return CUDA_R_16BF;
    case NMDRV_F16: return CUDA_R_16F;
    case NMDRV_E4M3: return CUDA_R_8F_E4M3;
    case NMDRV_E5M2: return CUDA_R_8F_E5M2;
    default: return CUDA_R_32F;
    }
}

static cublasStatus_t make_layout(const nmrt_gpu_api *api, const nmrt_gpu_matrix *m, int64_t batch,
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

static nmrt_gpu_operands operands_of(const nmdrv_product *p, const nmdrv_geometry *g)
{
    nmrt_gpu_matrix a = matrix_of(g->m, g->k, g->a_m, g->a_k, g->a_batch, p->a_dtype),
                    b = matrix_of(g->k, g->n, g->b_k, g->b_n, g->b_batch, p->b_dtype),
                    at = matrix_of(g->k, g->m, g->a_k, g->a_m, g->a_batch, p->a_dtype),
                    bt = matrix_of(g->n, g->k, g->b_n, g->b_k, g->b_batch, p->b_dtype);
    if (g->c_n == 1)
        return (nmrt_gpu_operands){
            bt, at, {g->n, g->m, 1, g->c_m, g->c_batch, p->c_dtype, false}, true};
    return (nmrt_gpu_operands){a, b, {g->m, g->n, 1, g->c_n, g->c_batch, p->c_dtype, false}, false};
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
    void *bias, *aux;
    const float *left, *right; // scales
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
    case NMDRV_EPILOGUE_BGRAD_A: return CUBLASLT_EPILOGUE_BGRADB; // the operands are swapped
    case NMDRV_EPILOGUE_BGRAD_B: return CUBLASLT_EPILOGUE_BGRADA;
    }
    return CUBLASLT_EPILOGUE_DEFAULT;
}

// The heuristic reads alignments off the pointers, so they are set before it is asked.
static cublasStatus_t set_pointers(const nmrt_gpu_api *api, cublasLtMatmulDesc_t desc,
                                   const pointers *at)
{
    const setting set[] = {
        {CUBLASLT_MATMUL_DESC_BIAS_POINTER, &at->bias, sizeof at->bias},
        {CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, &at->aux, sizeof at->aux},
        {CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, &at->left, sizeof at->left},
        {CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, &at->right, sizeof at->right},
    };
    const bool is_some[] = {at->bias, at->aux, at->left, at->right};
    cublasStatus_t s = CUBLAS_STATUS_SUCCESS;
    for (int i = 0; i < 4 && s == CUBLAS_STATUS_SUCCESS; i++)
        if (is_some[i])
            s = set_all(api, desc, 1, set + i);
    return s;
}

static cublasStatus_t set_epilogue(const nmrt_gpu_api *api, cublasLtMatmulDesc_t desc,
                                   const nmdrv_product *p, const nmrt_gpu_matrix *result,
                                   const pointers *at)
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

static cublasStatus_t set_desc(const nmrt_device *d, nmrt_gpu_made *x, const nmdrv_product *p,
                               const nmrt_gpu_operands *o)
{
    const nmrt_gpu_api *api = d->api;
    cublasComputeType_t compute = p->c_dtype == NMDRV_F64 ? CUBLAS_COMPUTE_64F
                                  : d->tf32 && p->a_dtype == NMDRV_F32
                                      ? CUBLAS_COMPUTE_32F_FAST_TF32
                                      : CUBLAS_COMPUTE_32F;
    int32_t left = o->left.transposed ? CUBLAS_OP_T : CUBLAS_OP_N,
            right = o->right.transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
    int8_t fast = p->fast && d->fast_accum;
    const setting set[] = {{CUBLASLT_MATMUL_DESC_TRANSA, &left, sizeof left},
                           {CUBLASLT_MATMUL_DESC_TRANSB, &right, sizeof right},
                           {CUBLASLT_MATMUL_DESC_FAST_ACCUM, &fast, sizeof fast}};
    cublasStatus_t s = api->cublasLtMatmulDescCreate(
        &x->desc, compute, p->c_dtype == NMDRV_F64 ? CUDA_R_64F : CUDA_R_32F);
    return s == CUBLAS_STATUS_SUCCESS ? set_all(api, x->desc, fast ? 3 : 2, set) : s;
}

static void make(nmrt_device *d, nmrt_gpu_made *x, const nmrt_gpu_shape *key,
                 const pointers *beside, const nmrt_gpu_buffers *at)
{
    const nmdrv_product *p = &d->program->product[key->product];
    const nmdrv_geometry *g = &key->geometry;
    nmrt_gpu_operands o = operands_of(p, g);
    x->shape = *key;
    must(d, set_desc(d, x, p, &o), p, g);
    must(d, set_epilogue(d->api, x->desc, p, &o.result, beside), p, g);
    must(d, make_layout(d->api, &o.left, g->batch, &x->left), p, g);
    must(d, make_layout(d->api, &o.right, g->batch, &x->right), p, g);
    must(d, make_layout(d->api, &o.result, g->batch, &x->result), p, g);
    must(d, nmrt_gpu_choose(d, x, &o, at), p, g);
}

static void release(const nmrt_gpu_api *api, nmrt_gpu_made *x)
{
    api->cublasLtMatrixLayoutDestroy(x->left);
    api->cublasLtMatrixLayoutDestroy(x->right);
    api->cublasLtMatrixLayoutDestroy(x->result);
    api->cublasLtMatmulDescDestroy(x->desc);
}

// --- shapes that were met ------------------------------------------------------------------------

static nmrt_gpu_made *place_of(nmrt_gpu_made *at, size_t places, const nmrt_gpu_shape *key)
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
    nmrt_gpu_made *at = calloc(places, sizeof *at);
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

static nmrt_gpu_made *find(nmrt_device *d, const nmrt_gpu_shape *key, const pointers *beside,
                           const nmrt_gpu_buffers *at)
{
    nmrt_gpu_products *all = d->products;
    if (2 * all->n >= all->places)
        grow(d);
    nmrt_gpu_made *x = place_of(all->at, all->places, key);
    if (!x->desc) {
        make(d, x, key, beside, at);
        all->n++;
    }
    return x;
}

// --- the call ------------------------------------------------------------------------------------

static void run(nmrt_device *d, const nmrt_gpu_made *x, const nmrt_gpu_buffers *at)
{
    must(d, nmrt_gpu_run_product(d, x, at, at->c, &x->algo), &d->program->product[x->shape.product],
         &x->shape.geometry);
}

static bool sums_operand(const nmdrv_product *p)
{
    return p->epilogue == NMDRV_EPILOGUE_BGRAD_A || p->epilogue == NMDRV_EPILOGUE_BGRAD_B;
}

// A bias' gradient where there is nothing to sum.
static void clear_sums(nmrt_device *d, const nmdrv_product *p, const nmdrv_geometry *g, void *bias)
{
    int64_t n = p->epilogue == NMDRV_EPILOGUE_BGRAD_A ? g->m : g->n;
    if (sums_operand(p) && !g->k)
        nmrt_gpu_fill(d, bias, n * nmrt_dtype(p->bias_dtype)->bits / 8, 0);
}

// A sum of nothing. The result of one that adds stays as it is.
static void run_empty(nmrt_device *d, const nmdrv_product *p, const nmdrv_geometry *g, void *c)
{
    int64_t bytes = g->batch * g->m * g->n * nmrt_dtype(p->c_dtype)->bits / 8;
    nmrt_error e;
    if (!p->adds && (p->epilogue == NMDRV_EPILOGUE_NONE || sums_operand(p))) {
        nmrt_gpu_fill(d, c, bytes, 0);
    } else if (!p->adds) {
        nmrt_fail(&e, NMRT_CORRUPT, "%s (%s): an epilogue of a product of nothing", p->name,
                  p->where);
        nmrt_gpu_die(d, &e);
    }
}

void nmrt_gpu_product(nmdrv_frame *f, int64_t product, const nmdrv_geometry *g, void *c,
                      const void *a, const void *b, void *bias, void *aux, const float *a_scale,
                      const float *b_scale)
{
    nmrt_device *d = f->device;
    const nmdrv_product *p = &d->program->product[product];
    bool swapped = g->c_n == 1;
    const pointers beside = {bias, aux, swapped ? b_scale : a_scale, swapped ? a_scale : b_scale};
    const nmrt_gpu_buffers at = {swapped ? b : a, swapped ? a : b, c};
    nmrt_gpu_shape key = {product,        *g,
                          alignment(a),   alignment(b),
                          alignment(c),   alignment(bias),
                          alignment(aux), (a_scale ? 1 : 0) | (b_scale ? 2 : 0)};
    nmrt_comm_moved(d->comm);
    clear_sums(d, p, g, bias);
    if (!(g->batch && g->m && g->n))
        return;
    if (!g->k) {
        run_empty(d, p, g, c);
        return;
    }
    nmrt_gpu_made *x = find(d, &key, &beside, &at);
    must(d, set_pointers(d->api, x->desc, &beside), p, g);
    int64_t begin = nmrt_gpu_trace_begin(d, d->stream);
    run(d, x, &at);
    nmrt_gpu_trace_end(d, d->stream, begin,
                       &(nmrt_span){.kind = NMRT_SPAN_KERNEL,
                                    .name = p->name,
                                    .where = p->where,
                                    .number = {{"flops", 2 * g->batch * g->m * g->n * g->k}}});
}

// --- open and close ------------------------------------------------------------------------------

static bool is_fp8_row(const nmdrv_product *r)
{
    bool result = r->c_dtype == NMDRV_F32 || r->c_dtype == NMDRV_BF16 || r->c_dtype == NMDRV_F16;
    return nmrt_is_fp8(r->a_dtype) && nmrt_is_fp8(r->b_dtype) && result &&
           !(r->a_dtype == NMDRV_E5M2 && r->b_dtype == NMDRV_E5M2);
}

static bool is_known_row(const nmdrv_product *r)
{
    bool known = r->a_dtype == NMDRV_F32 || r->a_dtype == NMDRV_F64 || r->a_dtype == NMDRV_BF16 ||
                 r->a_dtype == NMDRV_F16;
    bool wider = r->c_dtype == NMDRV_F32 && r->a_dtype != NMDRV_F64;
    return known && r->a_dtype == r->b_dtype && (r->c_dtype == r->a_dtype || wider);
}

// What cuBLASLt is asked for is known before the first step. Products of fp8 are training's alone:
// the other verbs multiply the same numbers in bf16.
static nmrt_status check_rows(const nmrt_device *d, bool trains, nmrt_error *e)
{
    const nmdrv_program *p = d->program;
    for (int64_t i = 0; i < p->n_products; i++) {
        const nmdrv_product *r = &p->product[i];
        if (is_fp8_row(r) && trains && d->capability < FP8_CAPABILITY)
            return nmrt_fail(e, NMRT_USAGE,
                             "%s: products of fp8 want a GPU of compute capability 8.9: train with "
                             "--precision bf16, which goes on from the same checkpoints, or a "
                             "binary that nemocc made with --arch sm_80: it multiplies in bf16",
                             d->title);
        if (!is_known_row(r) && !is_fp8_row(r))
            return nmrt_fail(e, NMRT_CORRUPT, "%s (%s): cuBLASLt has no product of %s and %s to %s",
                             r->name, r->where, nmrt_dtype(r->a_dtype)->name,
                             nmrt_dtype(r->b_dtype)->name, nmrt_dtype(r->c_dtype)->name);
    }
    return NMRT_OK;
}

// What may be another algorithm, with other bits, than a run without the flag has.
static void tell_measured(nmrt_device *d)
{
    size_t n = strlen(d->title);
    if (d->products->tunes)
        snprintf(d->title + n, sizeof d->title - n, ", products %s",
                 nmrt_choices_any_measured(&d->products->choices)
                     ? "by measured algorithms"
                     : "to be measured for later runs");
}

nmrt_status nmrt_gpu_products_open(nmrt_device *d, const nmrt_device_request *request,
                                   nmrt_error *e)
{
    if (!d->program->n_products)
        return NMRT_OK;
    NMRT_TRY(check_rows(d, request->trains, e));
    if (d->libraries)
        NMRT_TRY(nmrt_gpu_load(d->libraries, NMRT_GPU_CUBLASLT, e));
    nmrt_gpu_products *all = d->products = calloc(1, sizeof *all);
    if (!all || !(all->at = calloc(FIRST_PLACES, sizeof *all->at)))
        return nmrt_fail(e, NMRT_WORLD, "no memory for the products' shapes");
    all->places = FIRST_PLACES;
    all->tunes = request->tunes;
    cublasStatus_t s = d->api->cublasLtCreate(&all->handle);
    if (s != CUBLAS_STATUS_SUCCESS)
        return nmrt_fail(e, NMRT_WORLD, "cuBLASLt does not start: %s",
                         d->api->cublasLtGetStatusString(s));
    NMRT_TRY(nmrt_choices_open(d, &all->choices, e));
    tell_measured(d);
    return NMRT_OK;
}

void nmrt_gpu_products_furnish(nmrt_device *d, void *workspace)
{
    if (d->products)
        d->products->workspace = workspace;
}

static void keep_choices(nmrt_device *d)
{
    nmrt_error e;
    if (nmrt_choices_close(&d->products->choices, &e) != NMRT_OK)
        fprintf(stderr, "warning: %s\n", e.text);
}

void nmrt_gpu_products_close(nmrt_device *d)
{
    nmrt_gpu_products *all = d->products;
    if (!all)
        return;
    keep_choices(d);
    for (size_t i = 0; i < all->places && all->at; i++)
        if (all->at[i].desc)
            release(d->api, &all->at[i]);
    if (all->handle)
        d->api->cublasLtDestroy(all->handle);
    free(all->at);
    free(all);
}
