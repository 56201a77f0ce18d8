// The emulated cuBLASLt: products of many shapes against a scalar loop, what is refused, and an
// operand that leaves its buffer.
#include "tests/emu/driver_rig.h"

typedef struct shape {
    int m, n, k, batch;
    bool ta, tb, bf16, bias, tf32;
    float alpha, beta;
} shape;

typedef struct matrix {
    int rows, cols, ld, batch, stride;
    bool bf16;
    CUdeviceptr at;
    cublasLtMatrixLayout_t layout;
    float *value; // on the host
    size_t n;
} matrix;

static CUstream s;
static cublasLtHandle_t lt;

static void set_layout(matrix *m)
{
    OK(cu->cublasLtMatrixLayoutCreate(&m->layout, m->bf16 ? CUDA_R_16BF : CUDA_R_32F,
                                      (uint64_t)m->rows, (uint64_t)m->cols, m->ld));
    int32_t batch = m->batch;
    int64_t stride = m->stride;
    OK(cu->cublasLtMatrixLayoutSetAttribute(m->layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &batch,
                                            sizeof batch));
    OK(cu->cublasLtMatrixLayoutSetAttribute(m->layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET,
                                            &stride, sizeof stride));
}

// Random numbers, with some room between columns and batches.
static matrix new_matrix(int rows, int cols, int batch, bool bf16)
{
    matrix m = {rows, cols, rows + 3, batch, (rows + 3) * cols + 5, bf16, 0, NULL, NULL, 0};
    m.n = (size_t)(batch - 1) * (size_t)m.stride + (size_t)(cols - 1) * (size_t)m.ld + (size_t)rows;
    m.value = malloc(4 * m.n);
    u16 *narrow = malloc(2 * m.n);
    for (size_t i = 0; i < m.n; i++) {
        narrow[i] = to_bf16((float)uniform());
        m.value[i] = bf16 ? (float)wide(narrow[i]) : (float)uniform();
    }
    m.at = new_buffer((bf16 ? 2 : 4) * m.n);
    OK(cu->cuMemcpyHtoDAsync(m.at, bf16 ? (void *)narrow : (void *)m.value, (bf16 ? 2 : 4) * m.n,
                             s));
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

static cublasLtMatmulDesc_t new_desc(const shape *p, CUdeviceptr bias)
{
    cublasLtMatmulDesc_t d = NULL;
    int32_t ta = p->ta, tb = p->tb;
    uint32_t epilogue = CUBLASLT_EPILOGUE_BIAS;
    void *at = (void *)bias;
    OK(cu->cublasLtMatmulDescCreate(&d, p->tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F,
                                    CUDA_R_32F));
    OK(cu->cublasLtMatmulDescSetAttribute(d, CUBLASLT_MATMUL_DESC_TRANSA, &ta, 4));
    OK(cu->cublasLtMatmulDescSetAttribute(d, CUBLASLT_MATMUL_DESC_TRANSB, &tb, 4));
    if (p->bias) {
        OK(cu->cublasLtMatmulDescSetAttribute(d, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, 4));
        OK(cu->cublasLtMatmulDescSetAttribute(d, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &at, 8));
    }
    return d;
}

static double reference(const shape *p, const matrix *a, const matrix *b, const matrix *d,
                        const matrix *bias, int x, int i, int j)
{
    double sum = 0;
    for (int k = 0; k < p->k; k++)
        sum += element(a, x, i, k, p->ta) * element(b, x, k, j, p->tb);
    sum = p->alpha * sum + (p->bias ? bias->value[i] : 0);
    return p->beta != 0 ? sum + p->beta * element(d, x, i, j, false) : sum;
}

static double worst_error(const shape *p, const matrix *a, const matrix *b, const matrix *d,
                          const matrix *bias)
{
    double worst = 0;
    size_t width = p->bf16 ? 2 : 4;
    char *got = malloc(width * d->n);
    OK(cu->cuMemcpyDtoHAsync(got, d->at, width * d->n, s));
    for (int x = 0; x < p->batch; x++)
        for (int j = 0; j < p->n; j++)
            for (int i = 0; i < p->m; i++) {
                int at = x * d->stride + j * d->ld + i;
                double y = p->bf16 ? wide(((u16 *)got)[at]) : ((float *)got)[at];
                worst = worse(worst, fabs(y - reference(p, a, b, d, bias, x, i, j)));
            }
    free(got);
    return worst;
}

static void check_shape(const shape *p)
{
    matrix a = new_matrix(p->ta ? p->k : p->m, p->ta ? p->m : p->k, p->batch, p->bf16);
    matrix b = new_matrix(p->tb ? p->n : p->k, p->tb ? p->k : p->n, p->batch, p->bf16);
    matrix d = new_matrix(p->m, p->n, p->batch, p->bf16), bias = new_matrix(p->m, 1, 1, p->bf16);
    cublasLtMatmulDesc_t desc = new_desc(p, bias.at);
    OK(cu->cublasLtMatmul(lt, desc, &p->alpha, (void *)a.at, a.layout, (void *)b.at, b.layout,
                          &p->beta, (void *)d.at, d.layout, (void *)d.at, d.layout, NULL, NULL, 0,
                          s));
    double e = worst_error(p, &a, &b, &d, &bias);
    double bound = p->bf16 ? 0.02 * sqrt(p->k) + 0.02 : p->tf32 ? 2e-3 * sqrt(p->k) : 2e-5;
    bool rounds = !p->tf32 || e > 1e-5; // f32 would not do for what says tf32
    if (!(e < bound) || !rounds) {
        printf("FAIL %d x %d x %d: an error of %g\n", p->m, p->n, p->k, e);
        rig_failures++;
    }
    OK(cu->cublasLtMatmulDescDestroy(desc));
    free_matrix(&a), free_matrix(&b), free_matrix(&d), free_matrix(&bias);
}

static void products(void)
{
    static const shape shapes[] = {
        {1, 1, 1, 1, .alpha = 1},
        {37, 29, 23, 1, .alpha = 1},
        {130, 140, 300, 1, .alpha = 0.5f, .beta = 1},
        {130, 7, 65, 2, .ta = true, .alpha = 1, .bias = true},
        {5, 133, 70, 3, .tb = true, .alpha = 2, .beta = -0.5f},
        {64, 64, 257, 2, .ta = true, .tb = true, .alpha = 1, .beta = 1, .bias = true},
        {61, 47, 129, 2, .ta = true, .bf16 = true, .alpha = 1, .bias = true},
        {61, 47, 129, 1, .tb = true, .bf16 = true, .alpha = 1, .beta = 1},
        {40, 50, 60, 1, .tf32 = true, .alpha = 1},
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

static void refusals(void)
{
    shape p = {.m = 8, .n = 8, .k = 8, .batch = 1};
    matrix a = new_matrix(8, 8, 1, false), b = new_matrix(8, 8, 1, false);
    matrix d = new_matrix(8, 8, 1, false), odd = new_matrix(9, 8, 1, false);
    cublasLtMatmulDesc_t desc = new_desc(&p, 0);
    cublasLtMatmulPreference_t preference;
    cublasLtMatmulHeuristicResult_t result;
    int found;
    uint32_t gelu = 32, align = 16;
    IS(cu->cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_TRANSA, &gelu, 8),
       CUBLAS_STATUS_INVALID_VALUE);
    IS(cu->cublasLtMatmulDescSetAttribute(desc, 99, &gelu, 4), CUBLAS_STATUS_NOT_SUPPORTED);
    OK(cu->cublasLtMatmulPreferenceCreate(&preference));
    OK(cu->cublasLtMatmulPreferenceSetAttribute(
        preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &align, 4));
    OK(cu->cublasLtMatmulAlgoGetHeuristic(lt, desc, a.layout, b.layout, d.layout, d.layout,
                                          preference, 1, &result, &found));
    OK(multiply(desc, &a, &b, &d, a.at, &result.algo));
    IS(multiply(desc, &a, &b, &d, a.at + 4, &result.algo), CUBLAS_STATUS_INVALID_VALUE);
    SAYS("operand a is not aligned to the 16 bytes");
    IS(multiply(desc, &a, &odd, &d, a.at, NULL), CUBLAS_STATUS_INVALID_VALUE);
    OK(cu->cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_EPILOGUE, &gelu, 4));
    IS(multiply(desc, &a, &b, &d, a.at, NULL), CUBLAS_STATUS_NOT_SUPPORTED);
    OK(cu->cublasLtMatmulDescDestroy(desc));
    desc = new_desc(&(shape){.m = 8, .n = 8, .k = 8, .batch = 1, .ta = true}, 0);
    IS(multiply(desc, &a, &b, &d, a.at, &result.algo), CUBLAS_STATUS_INVALID_VALUE);
    SAYS("another problem");
    OK(multiply(desc, &a, &b, &d, a.at + 64, NULL)); // told when it runs
    IS(cu->cuStreamSynchronize(s), CUDA_ERROR_LAUNCH_FAILED);
    SAYS("operand a leaves: 340 bytes at offset 64 of buffer allocation");
    cu->cublasLtMatmulDescDestroy(desc);
    cu->cublasLtMatmulPreferenceDestroy(preference);
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
    refusals();
    OK(cu->cublasLtDestroy(lt));
    close_driver();
    return rig_failures != 0;
}
