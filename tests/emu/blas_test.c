// The emulated cuBLASLt: products of many shapes against a scalar loop, what is refused, and an
// operand that leaves its buffer.
#include "tests/emu/driver_rig.h"

typedef struct shape {
    int m, n, k, batch;
    bool ta, tb, tf32;
    cudaDataType_t type;
    uint32_t epilogue; // 0: none
    float alpha, beta;
} shape;

typedef struct matrix {
    int rows, cols, ld, batch, stride;
    cudaDataType_t type;
    CUdeviceptr at;
    cublasLtMatrixLayout_t layout;
    float *value; // on the host
    size_t n;
} matrix;

static CUstream s;
static cublasLtHandle_t lt;

static size_t width(cudaDataType_t type) { return type == CUDA_R_32F ? 4 : 2; }

static u16 narrowed(cudaDataType_t type, float x)
{
    return type == CUDA_R_16F ? to_f16(x) : to_bf16(x);
}

static double number(cudaDataType_t type, const void *at, size_t i)
{
    if (type == CUDA_R_32F)
        return ((const float *)at)[i];
    u16 half = ((const u16 *)at)[i];
    return type == CUDA_R_16F ? from_f16(half) : wide(half);
}

static void set_layout(matrix *m)
{
    OK(cu->cublasLtMatrixLayoutCreate(&m->layout, m->type, (uint64_t)m->rows, (uint64_t)m->cols,
                                      m->ld));
    int32_t batch = m->batch;
    int64_t stride = m->stride;
    OK(cu->cublasLtMatrixLayoutSetAttribute(m->layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &batch,
                                            sizeof batch));
    OK(cu->cublasLtMatrixLayoutSetAttribute(m->layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET,
                                            &stride, sizeof stride));
}

// Random numbers, with some room between columns and batches.
static matrix new_matrix(int rows, int cols, int batch, cudaDataType_t type)
{
    int ld = (rows + 10) / 8 * 8;
    matrix m = {rows, cols, ld, batch, ld * cols + 8, type, 0, NULL, NULL, 0};
    m.n = (size_t)(batch - 1) * (size_t)m.stride + (size_t)(cols - 1) * (size_t)m.ld + (size_t)rows;
    m.value = malloc(4 * m.n);
    u16 *narrow = malloc(2 * m.n);
    for (size_t i = 0; i < m.n; i++) {
        m.value[i] = (float)uniform();
        narrow[i] = narrowed(type, m.value[i]);
        if (type != CUDA_R_32F)
            m.value[i] = (float)number(type, narrow, i);
    }
    m.at = new_buffer(width(type) * m.n);
    OK(cu->cuMemcpyHtoDAsync(m.at, type == CUDA_R_32F ? (void *)m.value : (void *)narrow,
                             width(type) * m.n, s));
    free(narrow);
    set_layout(&m);
    return m;
}

static void free_matrix(matrix *m)
{
    OK(cu->cublasLtMatrixLayoutDestroy(m->layout));
    OK(cu->cuMemFree(m->at));
    free(m->value);
}

static double element(const matrix *m, int batch, int row, int col, bool transposed)
{
    int r = transposed ? col : row, c = transposed ? row : col;
    return m->value[batch * m->stride + c * m->ld + r];
}

typedef struct operands {
    matrix a, b, d, aux, bias; // of the result before, and what is beside it
} operands;

static void set(cublasLtMatmulDesc_t d, int attribute, const void *value, size_t bytes)
{
    OK(cu->cublasLtMatmulDescSetAttribute(d, attribute, value, bytes));
}

// x NULL: an epilogue has no pointers yet.
static cublasLtMatmulDesc_t new_desc(const shape *p, const operands *x)
{
    cublasLtMatmulDesc_t d = NULL;
    int32_t ta = p->ta, tb = p->tb;
    OK(cu->cublasLtMatmulDescCreate(&d, p->tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F,
                                    CUDA_R_32F));
    set(d, CUBLASLT_MATMUL_DESC_TRANSA, &ta, 4);
    set(d, CUBLASLT_MATMUL_DESC_TRANSB, &tb, 4);
    if (p->epilogue)
        set(d, CUBLASLT_MATMUL_DESC_EPILOGUE, &p->epilogue, 4);
    if (x) {
        int64_t ld = x->aux.ld, stride = x->aux.stride;
        set(d, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &x->bias.at, 8);
        set(d, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, &x->aux.at, 8);
        set(d, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, &ld, 8);
        set(d, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_BATCH_STRIDE, &stride, 8);
    }
    return d;
}

// --- what has to come out ------------------------------------------------------------------------

static double gelu(double x)
{
    return 0.5 * x * (1 + tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
}

static double slope_of_gelu(double x) { return (gelu(x + 1e-4) - gelu(x - 1e-4)) / 2e-4; }

static bool is_dgelu(const shape *p)
{
    return p->epilogue == CUBLASLT_EPILOGUE_DGELU || p->epilogue == CUBLASLT_EPILOGUE_DGELU_BGRAD;
}

// Before the activation.
static double product_at(const shape *p, const operands *x, int batch, int i, int j)
{
    bool biased = p->epilogue == CUBLASLT_EPILOGUE_BIAS ||
                  p->epilogue == CUBLASLT_EPILOGUE_GELU_BIAS ||
                  p->epilogue == CUBLASLT_EPILOGUE_GELU_AUX_BIAS;
    double sum = 0;
    for (int k = 0; k < p->k; k++)
        sum += element(&x->a, batch, i, k, p->ta) * element(&x->b, batch, k, j, p->tb);
    sum = p->alpha * sum + (biased ? x->bias.value[i] : 0);
    return p->beta != 0 ? sum + p->beta * element(&x->d, batch, i, j, false) : sum;
}

static double result_at(const shape *p, const operands *x, int batch, int i, int j)
{
    double sum = product_at(p, x, batch, i, j);
    if (is_dgelu(p))
        return sum * slope_of_gelu(element(&x->aux, batch, i, j, false));
    return p->epilogue & CUBLASLT_EPILOGUE_GELU ? gelu(sum) : sum;
}

static double sum_at(const shape *p, const operands *x, int i)
{
    double sum = 0;
    if (p->epilogue == CUBLASLT_EPILOGUE_DGELU_BGRAD)
        for (int j = 0; j < p->n; j++)
            sum += result_at(p, x, 0, i, j);
    else
        for (int k = 0; k < p->k; k++)
            sum += p->epilogue == CUBLASLT_EPILOGUE_BGRADA ? element(&x->a, 0, i, k, p->ta)
                                                           : element(&x->b, 0, k, i, p->tb);
    return sum;
}

static void *fetch(const matrix *m)
{
    void *got = malloc(width(m->type) * m->n);
    OK(cu->cuMemcpyDtoHAsync(got, m->at, width(m->type) * m->n, s));
    return got;
}

typedef double expected(const shape *p, const operands *x, int batch, int i, int j);

static double worst_error(const shape *p, const operands *x, const matrix *m, expected *of)
{
    double worst = 0;
    void *got = fetch(m);
    for (int b = 0; b < p->batch; b++)
        for (int j = 0; j < p->n; j++)
            for (int i = 0; i < p->m; i++) {
                double y = number(m->type, got, (size_t)(b * m->stride + j * m->ld + i));
                worst = worse(worst, fabs(y - of(p, x, b, i, j)));
            }
    free(got);
    return worst;
}

static double worst_sum(const shape *p, const operands *x)
{
    double worst = 0;
    void *got = fetch(&x->bias);
    for (int i = 0; i < x->bias.rows; i++)
        worst = worse(worst, fabs(number(x->bias.type, got, (size_t)i) - sum_at(p, x, i)));
    free(got);
    return worst;
}

static double worst_of(const shape *p, const operands *x)
{
    double worst = worst_error(p, x, &x->d, result_at);
    bool keeps =
        p->epilogue == CUBLASLT_EPILOGUE_GELU_AUX || p->epilogue == CUBLASLT_EPILOGUE_GELU_AUX_BIAS;
    bool sums = p->epilogue == CUBLASLT_EPILOGUE_DGELU_BGRAD ||
                p->epilogue == CUBLASLT_EPILOGUE_BGRADA || p->epilogue == CUBLASLT_EPILOGUE_BGRADB;
    if (keeps)
        worst = worse(worst, worst_error(p, x, &x->aux, product_at));
    return sums ? worse(worst, worst_sum(p, x)) : worst;
}

static void check_shape(const shape *p)
{
    bool of_b = p->epilogue == CUBLASLT_EPILOGUE_BGRADB;
    operands x = {new_matrix(p->ta ? p->k : p->m, p->ta ? p->m : p->k, p->batch, p->type),
                  new_matrix(p->tb ? p->n : p->k, p->tb ? p->k : p->n, p->batch, p->type),
                  new_matrix(p->m, p->n, p->batch, p->type),
                  new_matrix(p->m, p->n, p->batch, p->type),
                  new_matrix(of_b ? p->n : p->m, 1, 1, p->type)};
    cublasLtMatmulDesc_t desc = new_desc(p, &x);
    OK(cu->cublasLtMatmul(lt, desc, &p->alpha, (void *)x.a.at, x.a.layout, (void *)x.b.at,
                          x.b.layout, &p->beta, (void *)x.d.at, x.d.layout, (void *)x.d.at,
                          x.d.layout, NULL, NULL, 0, s));
    double e = worst_of(p, &x), scale = p->type == CUDA_R_16F ? 0.0025 : 0.02;
    double bound = p->type != CUDA_R_32F ? scale * sqrt(p->k) + scale
                   : p->tf32             ? 2e-3 * sqrt(p->k)
                                         : 2e-5;
    bool rounds = (!p->tf32 && p->type == CUDA_R_32F) || e > 1e-5; // f32 would not do for others
    if (!(e < bound) || !rounds) {
        printf("FAIL %d x %d x %d, epilogue %u: an error of %g\n", p->m, p->n, p->k, p->epilogue,
               e);
        rig_failures++;
    }
    OK(cu->cublasLtMatmulDescDestroy(desc));
    free_matrix(&x.a), free_matrix(&x.b), free_matrix(&x.d), free_matrix(&x.aux),
        free_matrix(&x.bias);
}

static void products(void)
{
    static const shape shapes[] = {
        {1, 1, 1, 1, .alpha = 1},
        {37, 29, 23, 1, .alpha = 1},
        {130, 140, 300, 1, .alpha = 0.5f, .beta = 1},
        {130, 7, 65, 2, .ta = true, .alpha = 1, .epilogue = CUBLASLT_EPILOGUE_BIAS},
        {5, 133, 70, 3, .tb = true, .alpha = 2, .beta = -0.5f},
        {64, 64, 257, 2, true, true, .alpha = 1, .beta = 1, .epilogue = CUBLASLT_EPILOGUE_BIAS},
        {61, 47, 129, 2, true, false, false, CUDA_R_16BF, CUBLASLT_EPILOGUE_BIAS, 1, 0},
        {61, 47, 129, 1, false, true, false, CUDA_R_16BF, 0, 1, 1},
        {61, 47, 129, 2, true, false, false, CUDA_R_16F, CUBLASLT_EPILOGUE_BIAS, 1, 0},
        {61, 47, 129, 1, false, true, false, CUDA_R_16F, 0, 1, 1},
        {40, 50, 60, 1, .tf32 = true, .alpha = 1},
        {24, 9, 17, 1, .alpha = 1, .epilogue = CUBLASLT_EPILOGUE_GELU},
        {24, 9, 17, 2, .ta = true, .alpha = 1, .epilogue = CUBLASLT_EPILOGUE_GELU_BIAS},
        {24, 139, 17, 2, .alpha = 0.5f, .beta = 1, .epilogue = CUBLASLT_EPILOGUE_GELU_AUX},
        {139, 24, 17, 1, .alpha = 1, .epilogue = CUBLASLT_EPILOGUE_GELU_AUX_BIAS},
        {24, 9, 17, 2, .alpha = 1, .beta = 1, .epilogue = CUBLASLT_EPILOGUE_DGELU},
        {139, 141, 17, 1, .alpha = 1, .epilogue = CUBLASLT_EPILOGUE_DGELU_BGRAD},
        {24, 9, 300, 1, .alpha = 2, .beta = 1, .epilogue = CUBLASLT_EPILOGUE_BGRADA},
        {24, 9, 17, 1, .tb = true, .alpha = 1, .epilogue = CUBLASLT_EPILOGUE_BGRADB},
        {24, 9, 17, 1, false, false, false, CUDA_R_16BF, CUBLASLT_EPILOGUE_GELU_AUX_BIAS, 1, 0},
        {24, 9, 17, 1, false, false, false, CUDA_R_16BF, CUBLASLT_EPILOGUE_DGELU, 1, 0},
        {24, 9, 17, 1, false, false, false, CUDA_R_16F, CUBLASLT_EPILOGUE_BGRADA, 1, 0},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        check_shape(&shapes[i]);
}

// --- what is refused -----------------------------------------------------------------------------

static cublasStatus_t multiply(cublasLtMatmulDesc_t desc, const matrix *a, const matrix *b,
                               const matrix *d, CUdeviceptr at, const cublasLtMatmulAlgo_t *algo)
{
    float one = 1, zero = 0;
    return cu->cublasLtMatmul(lt, desc, &one, (void *)at, a->layout, (void *)b->at, b->layout,
                              &zero, (void *)d->at, d->layout, (void *)d->at, d->layout, algo, NULL,
                              0, s);
}

static cublasStatus_t ask(cublasLtMatmulDesc_t desc, const matrix *a, const matrix *b,
                          const matrix *d, cublasLtMatmulHeuristicResult_t *result)
{
    cublasLtMatmulPreference_t preference;
    int found;
    uint32_t align = 16;
    OK(cu->cublasLtMatmulPreferenceCreate(&preference));
    OK(cu->cublasLtMatmulPreferenceSetAttribute(
        preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &align, 4));
    cublasStatus_t r = cu->cublasLtMatmulAlgoGetHeuristic(lt, desc, a->layout, b->layout, d->layout,
                                                          d->layout, preference, 1, result, &found);
    OK(cu->cublasLtMatmulPreferenceDestroy(preference));
    return r;
}

// What GPUs answer, in the heuristic and in the product.
static void refused_epilogues(void)
{
    static const struct {
        uint32_t epilogue;
        bool ta, tb;
        int m, k;
        int64_t ld;
        cublasStatus_t asked, done; // without pointers
        const char *words;
    } row[] = {
        {CUBLASLT_EPILOGUE_GELU_AUX, 0, 0, 16, 8, 8, 7, 7, "the aux' ld is less"},
        {CUBLASLT_EPILOGUE_DGELU, 0, 0, 8, 8, 12, 7, 7, "no multiple of 8"},
        {CUBLASLT_EPILOGUE_DGELU, 0, 0, 8, 8, 8, 0, 7, "an aux without a pointer"},
        {CUBLASLT_EPILOGUE_DGELU, 0, 0, 8, 1, 8, 15, 15, "over one element"},
        {CUBLASLT_EPILOGUE_BGRADA, 1, 0, 8, 8, 0, 15, 15, "BGRADA of a transposed a"},
        {CUBLASLT_EPILOGUE_BGRADB, 0, 0, 8, 8, 0, 15, 15, "BGRADB of a b that is not transposed"},
        {CUBLASLT_EPILOGUE_BGRADB, 0, 1, 8, 8, 0, 0, 7, "a bias without a pointer"},
        {2, 0, 0, 8, 8, 0, 15, 15, "this epilogue is not emulated"}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        shape p = {row[i].m, 8, row[i].k, 1, row[i].ta, row[i].tb, .epilogue = row[i].epilogue};
        operands x = {.a = new_matrix(p.ta ? p.k : p.m, p.ta ? p.m : p.k, 1, CUDA_R_32F),
                      .b = new_matrix(p.tb ? 8 : p.k, p.tb ? p.k : 8, 1, CUDA_R_32F),
                      .d = new_matrix(p.m, 8, 1, CUDA_R_32F)};
        cublasLtMatmulHeuristicResult_t result;
        cublasLtMatmulDesc_t desc = new_desc(&p, NULL);
        set(desc, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, &row[i].ld, 8);
        IS(ask(desc, &x.a, &x.b, &x.d, &result), row[i].asked);
        IS(multiply(desc, &x.a, &x.b, &x.d, x.a.at, NULL), row[i].done);
        SAYS(row[i].words);
        OK(cu->cublasLtMatmulDescDestroy(desc));
        free_matrix(&x.a), free_matrix(&x.b), free_matrix(&x.d);
    }
}

static void refusals(void)
{
    shape p = {.m = 8, .n = 8, .k = 8, .batch = 1};
    matrix a = new_matrix(8, 8, 1, CUDA_R_32F), b = new_matrix(8, 8, 1, CUDA_R_32F);
    matrix d = new_matrix(8, 8, 1, CUDA_R_32F), odd = new_matrix(9, 8, 1, CUDA_R_32F);
    cublasLtMatmulDesc_t desc = new_desc(&p, NULL);
    cublasLtMatmulHeuristicResult_t result;
    IS(cu->cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_TRANSA, &p.m, 8),
       CUBLAS_STATUS_INVALID_VALUE);
    IS(cu->cublasLtMatmulDescSetAttribute(desc, 99, &p.m, 4), CUBLAS_STATUS_NOT_SUPPORTED);
    OK(ask(desc, &a, &b, &d, &result));
    OK(multiply(desc, &a, &b, &d, a.at, &result.algo));
    IS(multiply(desc, &a, &b, &d, a.at + 4, &result.algo), CUBLAS_STATUS_INVALID_VALUE);
    SAYS("operand a is not aligned to the 16 bytes");
    IS(multiply(desc, &a, &odd, &d, a.at, NULL), CUBLAS_STATUS_INVALID_VALUE);
    OK(cu->cublasLtMatmulDescDestroy(desc));
    desc = new_desc(&(shape){.m = 8, .n = 8, .k = 8, .batch = 1, .ta = true}, NULL);
    IS(multiply(desc, &a, &b, &d, a.at, &result.algo), CUBLAS_STATUS_INVALID_VALUE);
    SAYS("another problem");
    OK(multiply(desc, &a, &b, &d, a.at + 64, NULL)); // told when it runs
    IS(cu->cuStreamSynchronize(s), CUDA_ERROR_LAUNCH_FAILED);
    SAYS("operand a leaves: 480 bytes at offset 64 of buffer allocation");
    cu->cublasLtMatmulDescDestroy(desc);
    matrix *all[] = {&a, &b, &d, &odd};
    for (int i = 0; i < 4; i++) {
        cu->cublasLtMatrixLayoutDestroy(all[i]->layout);
        free(all[i]->value);
    }
}

int main(void)
{
    open_driver("lazy");
    s = new_stream();
    OK(cu->cublasLtCreate(&lt));
    products();
    refused_epilogues();
    refusals();
    OK(cu->cublasLtDestroy(lt));
    close_driver();
    return rig_failures != 0;
}
