// The emulated cuBLASLt's products of e4m3 and e5m2: every number that the two formats have, sums
// that are exact, scales, a bias; and what a GPU of compute capability 9.0 refuses.
#include "tests/emu/driver_rig.h"

enum { M = 32, N = 48, K = 64, MOST = K * N };

typedef struct product {
    cudaDataType_t a, b, d;
    float alpha, beta, a_scale, b_scale; // scale 0: none
    bool bias, fast;
    int32_t ta, tb;
    int m, n, k, off; // off: bytes that a is moved by
    int64_t more;     // between two columns of a
} product;

typedef struct buffers {
    CUdeviceptr a, b, d, bias, scale;
    u8 a_bytes[MOST], b_bytes[MOST];
} buffers;

static CUstream s;
static cublasLtHandle_t lt;

static double number(cudaDataType_t type, u8 byte)
{
    int digits = type == CUDA_R_8F_E4M3 ? 3 : 2, bias = type == CUDA_R_8F_E4M3 ? 7 : 15;
    int mantissa = byte & ((1 << digits) - 1), exponent = (byte & 0x7f) >> digits;
    double x = exponent ? ldexp(1 + ldexp(mantissa, -digits), exponent - bias)
                        : ldexp(mantissa, 1 - bias - digits);
    return byte & 0x80 ? -x : x;
}

static bool is_finite(cudaDataType_t type, u8 byte)
{
    return (byte & 0x7f) < (type == CUDA_R_8F_E4M3 ? 0x7f : 0x7c);
}

static cublasLtMatrixLayout_t layout_of(cudaDataType_t type, int rows, int cols, int64_t more)
{
    cublasLtMatrixLayout_t l = NULL;
    OK(cu->cublasLtMatrixLayoutCreate(&l, type, (uint64_t)rows, (uint64_t)cols, rows + more));
    return l;
}

static void set(cublasLtMatmulDesc_t d, int attribute, const void *value, size_t bytes)
{
    OK(cu->cublasLtMatmulDescSetAttribute(d, attribute, value, bytes));
}

static cublasLtMatmulDesc_t desc_of(const product *p, const buffers *x)
{
    cublasLtMatmulDesc_t d = NULL;
    int8_t fast = p->fast;
    uint32_t epilogue = CUBLASLT_EPILOGUE_BIAS;
    CUdeviceptr scale = x->scale + 4;
    OK(cu->cublasLtMatmulDescCreate(&d, CUBLAS_COMPUTE_32F, CUDA_R_32F));
    set(d, CUBLASLT_MATMUL_DESC_TRANSA, &p->ta, 4);
    set(d, CUBLASLT_MATMUL_DESC_TRANSB, &p->tb, 4);
    set(d, CUBLASLT_MATMUL_DESC_FAST_ACCUM, &fast, 1);
    if (p->a_scale != 0)
        set(d, CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, &x->scale, 8);
    if (p->b_scale != 0)
        set(d, CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, &scale, 8);
    if (p->bias) {
        set(d, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, 4);
        set(d, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &x->bias, 8);
    }
    return d;
}

static cublasStatus_t multiply(const product *p, const buffers *x)
{
    cublasLtMatmulDesc_t desc = desc_of(p, x);
    cublasLtMatrixLayout_t a = layout_of(p->a, p->ta ? p->k : p->m, p->ta ? p->m : p->k, p->more),
                           b = layout_of(p->b, p->tb ? p->n : p->k, p->tb ? p->k : p->n, 0),
                           d = layout_of(p->d, p->m, p->n, 0);
    cublasStatus_t r = cu->cublasLtMatmul(lt, desc, &p->alpha, (void *)(x->a + (CUdeviceptr)p->off),
                                          a, (void *)x->b, b, &p->beta, (void *)x->d, d,
                                          (void *)x->d, d, NULL, NULL, 0, s);
    OK(cu->cublasLtMatmulDescDestroy(desc));
    OK(cu->cublasLtMatrixLayoutDestroy(a));
    OK(cu->cublasLtMatrixLayoutDestroy(b));
    OK(cu->cublasLtMatrixLayoutDestroy(d));
    return r;
}

static void copy_in(CUdeviceptr to, const void *from, size_t bytes)
{
    OK(cu->cuMemcpyHtoDAsync(to, from, bytes, s));
}

// The result is 2 before, the bias 1, 2, 3, ... along the rows.
static void fill(const product *p, buffers *x)
{
    float scale[2] = {p->a_scale, p->b_scale}, two[MOST];
    u16 half[MOST], bias[M];
    for (int i = 0; i < M; i++)
        bias[i] = to_bf16((float)(i + 1));
    for (int i = 0; i < MOST; i++) {
        two[i] = 2;
        half[i] = to_bf16(2);
    }
    copy_in(x->a, x->a_bytes, sizeof x->a_bytes);
    copy_in(x->b, x->b_bytes, sizeof x->b_bytes);
    copy_in(x->d, p->d == CUDA_R_32F ? (void *)two : (void *)half,
            p->d == CUDA_R_32F ? 4096 : 2048);
    copy_in(x->bias, bias, sizeof bias);
    copy_in(x->scale, scale, sizeof scale);
}

static double expected(const product *p, const buffers *x, int i, int j)
{
    double sum = 0;
    for (int k = 0; k < p->k; k++)
        sum += number(p->a, x->a_bytes[i * p->k + k]) * number(p->b, x->b_bytes[j * p->k + k]);
    sum *= p->alpha * (p->a_scale != 0 ? p->a_scale : 1) * (p->b_scale != 0 ? p->b_scale : 1);
    return sum + 2 * p->beta + (p->bias ? i + 1 : 0);
}

static void check(const product *p, buffers *x)
{
    float got[M * N];
    u16 half[M * N];
    fill(p, x);
    OK(multiply(p, x));
    OK(cu->cuMemcpyDtoHAsync(p->d == CUDA_R_32F ? (void *)got : (void *)half, x->d,
                             p->d == CUDA_R_32F ? sizeof got : sizeof half, s));
    for (int i = 0; i < p->m; i++)
        for (int j = 0; j < p->n; j++) {
            int at = j * p->m + i;
            double want = expected(p, x, i, j), y = p->d == CUDA_R_32F ? got[at] : wide(half[at]);
            want = p->d == CUDA_R_32F ? want : wide(to_bf16((float)want));
            if (y == want)
                continue;
            printf("FAIL [%d, %d] of %d and %d: %g, not %g\n", i, j, p->a, p->b, y, want);
            rig_failures++;
            return;
        }
}

// Finite numbers of both formats near 1: their sums are exact in f32.
static void draw(buffers *x)
{
    for (int i = 0; i < MOST; i++) {
        x->a_bytes[i] = (u8)((i * 37 + i / 7) & 0x87) | 0x38;
        x->b_bytes[i] = (u8)((i * 91 + i / 5) & 0x87) | 0x38;
    }
}

static void products(buffers *x)
{
    static const product list[] = {
        {CUDA_R_8F_E4M3, CUDA_R_8F_E4M3, CUDA_R_32F, 1, 0, .ta = 1, .m = M, .n = N, .k = K},
        {CUDA_R_8F_E5M2, CUDA_R_8F_E4M3, CUDA_R_32F, 0.5f, 1, 0.25f, 8, .ta = 1, .m = 16, .n = N,
         .k = 32},
        {CUDA_R_8F_E4M3, CUDA_R_8F_E5M2, CUDA_R_32F, 1, 1, 0, 4, .fast = true, .ta = 1, .m = M,
         .n = 16, .k = 16},
        {CUDA_R_8F_E4M3, CUDA_R_8F_E4M3, CUDA_R_16BF, 1, 0, 2, 0.5f, .bias = true, .ta = 1, .m = M,
         .n = 16, .k = K},
        {CUDA_R_8F_E4M3, CUDA_R_8F_E4M3, CUDA_R_32F, 1, 0, 2, 0, .bias = true, .ta = 1, .m = M,
         .n = 16, .k = K}};
    draw(x);
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        check(&list[i], x);
}

// a is all codes of a format but those that are not finite, b the unit matrix: 1 is 0x38 in e4m3.
static void numbers(buffers *x)
{
    static const cudaDataType_t type[] = {CUDA_R_8F_E4M3, CUDA_R_8F_E5M2};
    for (int t = 0; t < 2; t++) {
        const product p = {type[t], CUDA_R_8F_E4M3, CUDA_R_32F, 1,      0,
                           .ta = 1, .m = 16,        .n = 16,    .k = 16};
        for (int i = 0; i < 256; i++) {
            x->a_bytes[i] = is_finite(type[t], (u8)i) ? (u8)i : 0;
            x->b_bytes[i] = i / 16 == i % 16 ? 0x38 : 0;
        }
        check(&p, x);
    }
}

static void refusals(const buffers *x)
{
    const product good = {CUDA_R_8F_E4M3, CUDA_R_8F_E4M3, CUDA_R_32F, 1,      0,
                          .ta = 1,        .m = 16,        .n = 16,    .k = 16};
    product p = good;
    p.tb = 1;
    IS(multiply(&p, x), CUBLAS_STATUS_NOT_SUPPORTED);
    SAYS("a has to be transposed");
    p = good, p.k = 24;
    IS(multiply(&p, x), CUBLAS_STATUS_NOT_SUPPORTED);
    SAYS("no multiple of 16");
    p = good, p.more = 8;
    IS(multiply(&p, x), CUBLAS_STATUS_NOT_SUPPORTED);
    p = good, p.off = 8;
    IS(multiply(&p, x), CUBLAS_STATUS_NOT_SUPPORTED);
    SAYS("not aligned to 16 bytes");
    p = good, p.a = p.b = CUDA_R_8F_E5M2;
    IS(multiply(&p, x), CUBLAS_STATUS_NOT_SUPPORTED);
    SAYS("e5m2 with itself");
    p = good, p.b = CUDA_R_16BF;
    IS(multiply(&p, x), CUBLAS_STATUS_NOT_SUPPORTED);
    p = good, p.a = p.b = CUDA_R_16BF, p.a_scale = 1;
    IS(multiply(&p, x), CUBLAS_STATUS_INVALID_VALUE);
    SAYS("not fp8");
}

int main(void)
{
    static buffers x;
    open_driver("lazy");
    s = new_stream();
    OK(cu->cublasLtCreate(&lt));
    x.a = new_buffer(MOST), x.b = new_buffer(MOST), x.d = new_buffer(4 * MOST);
    x.bias = new_buffer(4 * M), x.scale = new_buffer(8);
    products(&x);
    numbers(&x);
    refusals(&x);
    x.scale += 4; // b's is outside
    OK(multiply(&(product){CUDA_R_8F_E4M3, CUDA_R_8F_E4M3, CUDA_R_32F, 1, 0, 1, 1, .ta = 1, .m = 16,
                           .n = 16, .k = 16},
                &x));
    IS(cu->cuStreamSynchronize(s), CUDA_ERROR_LAUNCH_FAILED);
    SAYS("the scale of b leaves");
    return rig_failures != 0;
}
