// The emulated cuBLASLt: descriptors, layouts, and products in stream order. An algorithm is for
// the problem that it was found for, and for operands that are aligned as was promised then:
// another use is refused, as the real one may be wrong or slow there. A product whose operand
// leaves its buffer is a misuse, told when it runs.
#include "runtime/emu/driver_blas.h"

#include "runtime/emu/product.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct cublasLtContext {
    int unused;
};

struct cublasLtMatmulPreference {
    uint64_t workspace;
    uint32_t align[4]; // bytes: a, b, c, d
};

// --- attributes ----------------------------------------------------------------------------------

typedef struct attribute {
    int id;
    size_t bytes, at; // of the member
} attribute;

// An attribute's fields.
#define MEMBER(id, type, member) id, sizeof((type *)0)->member, offsetof(type, member)

static cublasStatus_t set(void *object, const attribute *list, size_t n, int id, const void *value,
                          size_t bytes)
{
    for (size_t i = 0; i < n; i++) {
        if (list[i].id != id)
            continue;
        if (list[i].bytes != bytes)
            return nmemu_say(CUBLAS_STATUS_INVALID_VALUE, "attribute %d has %zu bytes", id,
                             list[i].bytes);
        memcpy((char *)object + list[i].at, value, bytes);
        return CUBLAS_STATUS_SUCCESS;
    }
    return nmemu_say(CUBLAS_STATUS_NOT_SUPPORTED, "attribute %d is not emulated", id);
}

// The driver's error in cuBLAS's words.
static cublasStatus_t begin(const char *call)
{
    return nmemu_call(call) ? CUBLAS_STATUS_EXECUTION_FAILED : CUBLAS_STATUS_SUCCESS;
}

static cublasStatus_t make(const char *call, void *at, size_t bytes, const void *first)
{
    cublasStatus_t r = begin(call);
    void *made = r ? NULL : malloc(bytes);
    if (made)
        memcpy(made, first, bytes);
    else if (!r)
        r = nmemu_say(CUBLAS_STATUS_EXECUTION_FAILED, "no memory");
    memcpy(at, &made, sizeof made);
    return nmemu_done(r);
}

static cublasStatus_t create(cublasLtHandle_t *handle)
{
    return make("cublasLtCreate", handle, sizeof **handle, &(struct cublasLtContext){0});
}

static cublasStatus_t destroy(cublasLtHandle_t handle)
{
    free(handle);
    return CUBLAS_STATUS_SUCCESS;
}

static cublasStatus_t desc_create(cublasLtMatmulDesc_t *desc, cublasComputeType_t compute,
                                  cudaDataType_t scale)
{
    struct cublasLtMatmulDesc first = {.compute = compute,
                                       .scale = scale,
                                       .bias_type = -1,
                                       .aux_type = -1,
                                       .epilogue = CUBLASLT_EPILOGUE_DEFAULT};
    return make("cublasLtMatmulDescCreate", desc, sizeof first, &first);
}

static cublasStatus_t desc_destroy(cublasLtMatmulDesc_t desc)
{
    free(desc);
    return CUBLAS_STATUS_SUCCESS;
}

static const attribute desc_attributes[] = {
    {MEMBER(CUBLASLT_MATMUL_DESC_TRANSA, struct cublasLtMatmulDesc, transa)},
    {MEMBER(CUBLASLT_MATMUL_DESC_TRANSB, struct cublasLtMatmulDesc, transb)},
    {MEMBER(CUBLASLT_MATMUL_DESC_EPILOGUE, struct cublasLtMatmulDesc, epilogue)},
    {MEMBER(CUBLASLT_MATMUL_DESC_BIAS_POINTER, struct cublasLtMatmulDesc, bias)},
    {MEMBER(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, struct cublasLtMatmulDesc, bias_type)},
    {MEMBER(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, struct cublasLtMatmulDesc, aux)},
    {MEMBER(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, struct cublasLtMatmulDesc, aux_ld)},
    {MEMBER(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_BATCH_STRIDE, struct cublasLtMatmulDesc, aux_stride)},
    {MEMBER(CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, struct cublasLtMatmulDesc, a_scale)},
    {MEMBER(CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, struct cublasLtMatmulDesc, b_scale)},
    {MEMBER(CUBLASLT_MATMUL_DESC_FAST_ACCUM, struct cublasLtMatmulDesc, fast)},
};

static cublasStatus_t desc_set(cublasLtMatmulDesc_t desc, cublasLtMatmulDescAttributes_t id,
                               const void *value, size_t bytes)
{
    cublasStatus_t r = begin("cublasLtMatmulDescSetAttribute");
    size_t n = sizeof desc_attributes / sizeof *desc_attributes;
    return nmemu_done(r ? r : set(desc, desc_attributes, n, id, value, bytes));
}

static cublasStatus_t layout_create(cublasLtMatrixLayout_t *layout, cudaDataType_t type,
                                    uint64_t rows, uint64_t cols, int64_t ld)
{
    struct cublasLtMatrixLayout first = {type, rows, cols, ld, 0, 1};
    return make("cublasLtMatrixLayoutCreate", layout, sizeof first, &first);
}

static cublasStatus_t layout_destroy(cublasLtMatrixLayout_t layout)
{
    free(layout);
    return CUBLAS_STATUS_SUCCESS;
}

static const attribute layout_attributes[] = {
    {MEMBER(CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, struct cublasLtMatrixLayout, batch)},
    {MEMBER(CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, struct cublasLtMatrixLayout, stride)},
};

static cublasStatus_t layout_set(cublasLtMatrixLayout_t layout, cublasLtMatrixLayoutAttribute_t id,
                                 const void *value, size_t bytes)
{
    cublasStatus_t r = begin("cublasLtMatrixLayoutSetAttribute");
    size_t n = sizeof layout_attributes / sizeof *layout_attributes;
    return nmemu_done(r ? r : set(layout, layout_attributes, n, id, value, bytes));
}

static cublasStatus_t preference_create(cublasLtMatmulPreference_t *preference)
{
    struct cublasLtMatmulPreference first = {0, {256, 256, 256, 256}};
    return make("cublasLtMatmulPreferenceCreate", preference, sizeof first, &first);
}

static cublasStatus_t preference_destroy(cublasLtMatmulPreference_t preference)
{
    free(preference);
    return CUBLAS_STATUS_SUCCESS;
}

static const attribute preference_attributes[] = {
    {MEMBER(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, struct cublasLtMatmulPreference, workspace)},
    {MEMBER(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, struct cublasLtMatmulPreference, align[0])},
    {MEMBER(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, struct cublasLtMatmulPreference, align[1])},
    {MEMBER(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, struct cublasLtMatmulPreference, align[2])},
    {MEMBER(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, struct cublasLtMatmulPreference, align[3])},
};

static cublasStatus_t preference_set(cublasLtMatmulPreference_t preference,
                                     cublasLtMatmulPreferenceAttributes_t id, const void *value,
                                     size_t bytes)
{
    cublasStatus_t r = begin("cublasLtMatmulPreferenceSetAttribute");
    size_t n = sizeof preference_attributes / sizeof *preference_attributes;
    return nmemu_done(r ? r : set(preference, preference_attributes, n, id, value, bytes));
}

// --- algorithms ----------------------------------------------------------------------------------

static uint64_t hash(uint64_t h, const void *data, size_t n)
{
    for (size_t i = 0; i < n; i++)
        h = (h ^ ((const unsigned char *)data)[i]) * 0x100000001b3;
    return h;
}

static uint64_t hash_layout(uint64_t h, const struct cublasLtMatrixLayout *l)
{
    uint64_t words[] = {(uint64_t)l->type,   l->rows,           l->cols, (uint64_t)l->ld,
                        (uint64_t)l->stride, (uint64_t)l->batch};
    return hash(h, words, sizeof words);
}

static uint64_t sign(const nmemu_problem *p)
{
    const struct cublasLtMatmulDesc *d = p->desc;
    int64_t words[] = {d->compute, d->scale,      d->transa, d->transb,   d->epilogue,
                       d->aux_ld,  d->aux_stride, d->fast,   !d->a_scale, !d->b_scale};
    uint64_t h = hash(0xcbf29ce484222325, words, sizeof words);
    h = hash_layout(hash_layout(h, p->a), p->b);
    return hash_layout(hash_layout(h, p->c), p->d);
}

enum { SIGN, ALIGN, ORDER = ALIGN + 4, ALGORITHMS = 2 }; // words of an algorithm

// Two: the second sums the other way round.
static cublasStatus_t find(const nmemu_problem *p,
                           const struct cublasLtMatmulPreference *preference, int wanted,
                           cublasLtMatmulHeuristicResult_t *result, int *found)
{
    *found = 0;
    cublasStatus_t r = nmemu_blas_check(p);
    if (r)
        return r;
    for (; *found < wanted && *found < ALGORITHMS; ++*found, result++) {
        *result = (cublasLtMatmulHeuristicResult_t){.wavesCount = 1};
        result->algo.data[SIGN] = sign(p);
        for (int i = 0; i < 4; i++)
            result->algo.data[ALIGN + i] = preference->align[i];
        result->algo.data[ORDER] = (uint64_t)*found;
    }
    return CUBLAS_STATUS_SUCCESS;
}

static cublasStatus_t heuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                cublasLtMatmulPreference_t preference, int wanted,
                                cublasLtMatmulHeuristicResult_t *result, int *found)
{
    cublasStatus_t r = begin("cublasLtMatmulAlgoGetHeuristic");
    if (!r && (!handle || wanted < 1))
        r = nmemu_say(CUBLAS_STATUS_INVALID_VALUE, "no handle, or no result is wanted");
    return nmemu_done(
        r ? r : find(&(nmemu_problem){desc, a, b, c, d}, preference, wanted, result, found));
}

static cublasStatus_t check_kind(const nmemu_problem *p, const cublasLtMatmulAlgo_t *algo)
{
    if (algo->data[SIGN] != sign(p) || algo->data[ORDER] >= ALGORITHMS)
        return nmemu_say(CUBLAS_STATUS_INVALID_VALUE,
                         "the algorithm was found for another problem");
    return CUBLAS_STATUS_SUCCESS;
}

static cublasStatus_t algo_check(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                 cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                 cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                 const cublasLtMatmulAlgo_t *algo,
                                 cublasLtMatmulHeuristicResult_t *result)
{
    const nmemu_problem p = {desc, a, b, c, d};
    cublasStatus_t r = begin("cublasLtMatmulAlgoCheck");
    if (!r && !handle)
        r = nmemu_say(CUBLAS_STATUS_INVALID_VALUE, "no handle");
    r = r ? r : nmemu_blas_check(&p);
    r = r ? r : check_kind(&p, algo);
    *result = (cublasLtMatmulHeuristicResult_t){.algo = *algo, .state = r, .wavesCount = 1};
    return nmemu_done(r);
}

static cublasStatus_t check_algo(const nmemu_problem *p, const cublasLtMatmulAlgo_t *algo,
                                 const void *const operand[4])
{
    cublasStatus_t r = algo ? check_kind(p, algo) : CUBLAS_STATUS_SUCCESS;
    if (r || !algo)
        return r;
    for (int i = 0; i < 4; i++) {
        unsigned long long align = algo->data[ALIGN + i];
        if (align && (uintptr_t)operand[i] % align)
            return nmemu_say(CUBLAS_STATUS_INVALID_VALUE,
                             "operand %c is not aligned to the %llu bytes that were promised",
                             "abcd"[i], align);
    }
    return CUBLAS_STATUS_SUCCESS;
}

// --- products ------------------------------------------------------------------------------------

typedef struct multiplying {
    nmemu_work work;
    nmemu_product product;
} multiplying;

// The bytes from the operand's first element to its last, over all batches.
static uint64_t span(const nmemu_product *p, const nmemu_operand *o, int64_t rows, int64_t cols)
{
    int64_t last = (rows - 1) * o->row + (cols - 1) * o->col + (p->batch - 1) * o->batch;
    return (uint64_t)(last + 1) * nmemu_element_bytes(o->type);
}

static const char *leaves(const nmemu *m, const nmemu_product *p, char name, const nmemu_operand *o,
                          int64_t rows, int64_t cols)
{
    static char text[1024];
    char words[512];
    if (!o->at || nmemu_holds(m, o->at, span(p, o, rows, cols), words, sizeof words))
        return NULL;
    snprintf(text, sizeof text, "product of %ld x %ld x %ld, %ld of them: operand %c leaves: %s",
             p->m, p->n, p->k, p->batch, name, words);
    return text;
}

static const char *leaves_scale(const nmemu *m, const nmemu_product *p, const char *name,
                                const float *at)
{
    static char text[1024];
    char words[512];
    if (!at || nmemu_holds(m, at, sizeof *at, words, sizeof words))
        return NULL;
    snprintf(text, sizeof text, "product of %ld x %ld x %ld: the scale of %s leaves: %s", p->m,
             p->n, p->k, name, words);
    return text;
}

static const char *do_product(nmemu_work *w)
{
    const nmemu_product *p = &((multiplying *)w)->product;
    const nmemu *m = w->context->machine;
    const char *text = leaves(m, p, 'a', &p->a, p->m, p->k);
    text = text ? text : leaves(m, p, 'b', &p->b, p->k, p->n);
    text = text || p->beta == 0 ? text : leaves(m, p, 'c', &p->c, p->m, p->n);
    text = text ? text : leaves(m, p, 'd', &p->d, p->m, p->n);
    text = text ? text : leaves(m, p, '+', &p->bias, p->m, 1);
    text = text ? text : leaves(m, p, 'x', &p->aux, p->m, p->n);
    text = text ? text : leaves(m, p, 's', &p->sums, p->sum == NMEMU_SUM_B ? p->n : p->m, 1);
    text = text ? text : leaves_scale(m, p, "a", p->a_scale);
    text = text ? text : leaves_scale(m, p, "b", p->b_scale);
    if (text)
        return text;
    return nmemu_product_run(p) ? NULL : "a product: no memory";
}

static const nmemu_work_kind products = {.run = do_product};

static nmemu_element element_of(cudaDataType_t t)
{
    switch (t) {
    case CUDA_R_64F: return NMEMU_F64;
    case CUDA_R_16BF: return NMEMU_BF16;
    case CUDA_R_16F: return NMEMU_F16;
    case CUDA_R_8F_E4M3: return NMEMU_E4M3;
    case CUDA_R_8F_E5M2: return NMEMU_E5M2;
    default: return NMEMU_F32;
    }
}

static nmemu_operand operand_of(const struct cublasLtMatrixLayout *l, bool transposed,
                                const void *at)
{
    nmemu_operand o = {
        .type = element_of(l->type), .row = 1, .col = l->ld, .batch = l->stride, .at = (void *)at};
    if (transposed) {
        o.row = l->ld;
        o.col = 1;
    }
    return o;
}

static double factor(const nmemu_problem *p, const void *at)
{
    return p->desc->scale == CUDA_R_64F ? *(const double *)at : *(const float *)at;
}

static void add_epilogue(nmemu_product *x, const nmemu_problem *p)
{
    const struct cublasLtMatmulDesc *d = p->desc;
    uint32_t e = d->epilogue;
    nmemu_operand vector = {.type = element_of(nmemu_blas_bias_type(p)), .row = 1, .at = d->bias};
    if (nmemu_blas_adds_bias(e))
        x->bias = vector;
    if (nmemu_blas_stores_sums(e))
        x->sums = vector;
    if (nmemu_blas_has_aux(e))
        x->aux = (nmemu_operand){x->d.type, 1, d->aux_ld, d->aux_stride, d->aux};
    if (e == CUBLASLT_EPILOGUE_DGELU || e == CUBLASLT_EPILOGUE_DGELU_BGRAD)
        x->activation = NMEMU_GELU_GRAD;
    else if (e & CUBLASLT_EPILOGUE_GELU)
        x->activation = NMEMU_GELU;
    x->sum = e == CUBLASLT_EPILOGUE_BGRADA        ? NMEMU_SUM_A
             : e == CUBLASLT_EPILOGUE_BGRADB      ? NMEMU_SUM_B
             : e == CUBLASLT_EPILOGUE_DGELU_BGRAD ? NMEMU_SUM_D
                                                  : NMEMU_SUM_NOTHING;
}

static nmemu_product product_of(const nmemu_problem *p, const void *const operand[4],
                                const void *alpha, const void *beta)
{
    const struct cublasLtMatmulDesc *d = p->desc;
    bool ta = d->transa == CUBLAS_OP_T;
    nmemu_product x = {.m = (int64_t)p->d->rows,
                       .n = (int64_t)p->d->cols,
                       .k = (int64_t)(ta ? p->a->rows : p->a->cols),
                       .batch = p->d->batch,
                       .a = operand_of(p->a, ta, operand[0]),
                       .b = operand_of(p->b, d->transb == CUBLAS_OP_T, operand[1]),
                       .c = operand_of(p->c, false, operand[2]),
                       .d = operand_of(p->d, false, operand[3]),
                       .alpha = factor(p, alpha),
                       .beta = factor(p, beta),
                       .a_scale = d->a_scale,
                       .b_scale = d->b_scale,
                       .tf32 = d->compute == CUBLAS_COMPUTE_32F_FAST_TF32};
    add_epilogue(&x, p);
    return x;
}

static cublasStatus_t issue(const nmemu_product *p, CUstream s)
{
    if (nmemu_check_stream(s))
        return CUBLAS_STATUS_INVALID_VALUE;
    multiplying *k = nmemu_work_new(&products, sizeof *k);
    if (k)
        k->product = *p;
    return nmemu_enqueue(s, (nmemu_work *)k) ? CUBLAS_STATUS_EXECUTION_FAILED
                                             : CUBLAS_STATUS_SUCCESS;
}

static cublasStatus_t matmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, const void *alpha,
                             const void *a, cublasLtMatrixLayout_t a_layout, const void *b,
                             cublasLtMatrixLayout_t b_layout, const void *beta, const void *c,
                             cublasLtMatrixLayout_t c_layout, void *d,
                             cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t *algo,
                             void *workspace, size_t bytes, CUstream stream)
{
    nmemu_problem p = {desc, a_layout, b_layout, c_layout, d_layout};
    const void *const operand[4] = {a, b, c, d};
    cublasStatus_t r = begin("cublasLtMatmul");
    (void)workspace, (void)bytes; // nothing is kept there
    if (!r && !handle)
        r = nmemu_say(CUBLAS_STATUS_INVALID_VALUE, "no handle");
    r = r ? r : nmemu_blas_check(&p);
    r = r ? r : nmemu_blas_check_pointers(&p, operand);
    r = r ? r : check_algo(&p, algo, operand);
    if (r)
        return nmemu_done(r);
    nmemu_product x = product_of(&p, operand, alpha, beta);
    x.backwards = algo && algo->data[ORDER];
    return nmemu_done(issue(&x, stream));
}

// --- the table -----------------------------------------------------------------------------------

static size_t version(void) { return 130000; }

static const char *status_string(cublasStatus_t status)
{
    switch (status) {
    case CUBLAS_STATUS_SUCCESS: return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_INVALID_VALUE: return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_EXECUTION_FAILED: return "CUBLAS_STATUS_EXECUTION_FAILED";
    case CUBLAS_STATUS_NOT_SUPPORTED: return "CUBLAS_STATUS_NOT_SUPPORTED";
    default: return "unknown status";
    }
}

void nmemu_fill_blas(nmrt_gpu_api *t)
{
    t->cublasLtGetVersion = version;
    t->cublasLtGetStatusString = status_string;
    t->cublasLtCreate = create;
    t->cublasLtDestroy = destroy;
    t->cublasLtMatmulDescCreate = desc_create;
    t->cublasLtMatmulDescDestroy = desc_destroy;
    t->cublasLtMatmulDescSetAttribute = desc_set;
    t->cublasLtMatrixLayoutCreate = layout_create;
    t->cublasLtMatrixLayoutDestroy = layout_destroy;
    t->cublasLtMatrixLayoutSetAttribute = layout_set;
    t->cublasLtMatmulPreferenceCreate = preference_create;
    t->cublasLtMatmulPreferenceDestroy = preference_destroy;
    t->cublasLtMatmulPreferenceSetAttribute = preference_set;
    t->cublasLtMatmulAlgoGetHeuristic = heuristic;
    t->cublasLtMatmulAlgoCheck = algo_check;
    t->cublasLtMatmul = matmul;
}
