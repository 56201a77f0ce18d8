// Which problems the emulated cuBLASLt takes. What the header, NVIDIA's documentation or a GPU says
// that the real one refuses is refused with its status; the rest of what nemocc does not ask for,
// as unsupported.
#include "runtime/emu/driver_blas.h"

static cublasStatus_t refuse(const char *why)
{
    return nmemu_say(CUBLAS_STATUS_NOT_SUPPORTED, "%s is not emulated", why);
}

static cublasStatus_t wrong(const char *why)
{
    return nmemu_say(CUBLAS_STATUS_INVALID_VALUE, "%s", why);
}

static bool is_half(cudaDataType_t t) { return t == CUDA_R_16BF || t == CUDA_R_16F; }

bool nmemu_blas_is_fp8(cudaDataType_t t) { return t == CUDA_R_8F_E4M3 || t == CUDA_R_8F_E5M2; }

cudaDataType_t nmemu_blas_bias_type(const nmemu_problem *p)
{
    return nmemu_blas_is_fp8(p->a->type) && p->d->type == CUDA_R_32F ? CUDA_R_16BF : p->d->type;
}

static cublasStatus_t check_fp8_types(const nmemu_problem *p)
{
    const struct cublasLtMatmulDesc *d = p->desc;
    if (!nmemu_blas_is_fp8(p->a->type) || !nmemu_blas_is_fp8(p->b->type) ||
        (p->a->type == CUDA_R_8F_E5M2 && p->b->type == CUDA_R_8F_E5M2))
        return nmemu_say(CUBLAS_STATUS_NOT_SUPPORTED, "fp8 with another type, or e5m2 with itself");
    if (d->compute != CUBLAS_COMPUTE_32F || d->scale != CUDA_R_32F)
        return nmemu_say(CUBLAS_STATUS_NOT_SUPPORTED, "fp8 is computed and scaled in f32");
    if (p->c->type != p->d->type || (p->d->type != CUDA_R_32F && !is_half(p->d->type)))
        return refuse("a result of fp8 other than f32, bf16 and f16, or of another type than c");
    return CUBLAS_STATUS_SUCCESS;
}

static cublasStatus_t check_types(const nmemu_problem *p)
{
    const struct cublasLtMatmulDesc *d = p->desc;
    if (nmemu_blas_is_fp8(p->a->type) || nmemu_blas_is_fp8(p->b->type))
        return check_fp8_types(p);
    if (d->a_scale || d->b_scale)
        return wrong("a scale of an operand that is not fp8");
    if (p->a->type != p->b->type || p->c->type != p->d->type)
        return refuse("a product of two types, or a result of another type than c");
    if (d->compute == CUBLAS_COMPUTE_64F) {
        bool all = p->a->type == CUDA_R_64F && p->d->type == CUDA_R_64F && d->scale == CUDA_R_64F;
        return all ? CUBLAS_STATUS_SUCCESS : refuse("f64 in part");
    }
    if (d->compute != CUBLAS_COMPUTE_32F && d->compute != CUBLAS_COMPUTE_32F_FAST_TF32)
        return refuse("this compute type");
    if ((p->a->type != CUDA_R_32F && !is_half(p->a->type)) || d->scale != CUDA_R_32F)
        return refuse("a type other than f32, bf16 and f16");
    if (p->d->type != CUDA_R_32F && p->d->type != p->a->type)
        return refuse("a result that is neither f32 nor of the operands' type");
    return CUBLAS_STATUS_SUCCESS;
}

static bool is_layout(const struct cublasLtMatrixLayout *l)
{
    return l->rows && l->cols && l->ld >= (int64_t)l->rows && l->batch > 0 && l->stride >= 0;
}

static cublasStatus_t check_shapes(const nmemu_problem *p)
{
    bool ta = p->desc->transa == CUBLAS_OP_T, tb = p->desc->transb == CUBLAS_OP_T;
    if ((!ta && p->desc->transa) || (!tb && p->desc->transb))
        return refuse("this transposition");
    if (!is_layout(p->a) || !is_layout(p->b) || !is_layout(p->c) || !is_layout(p->d))
        return wrong("a layout has no rows, or ld is less than they are");
    if (p->c->rows != p->d->rows || p->c->cols != p->d->cols)
        return wrong("c and d differ in size");
    if ((ta ? p->a->cols : p->a->rows) != p->d->rows ||
        (tb ? p->b->rows : p->b->cols) != p->d->cols ||
        (ta ? p->a->rows : p->a->cols) != (tb ? p->b->cols : p->b->rows))
        return wrong("the sizes of a, b and d do not fit");
    if (p->a->batch != p->d->batch || p->b->batch != p->d->batch || p->c->batch != p->d->batch)
        return wrong("the operands' batch counts differ");
    return CUBLAS_STATUS_SUCCESS;
}

// NVIDIA's documentation, "to use FP8 kernels" before compute capability 10: sums along what lies
// side by side in both operands, and every dim, column and address a multiple of 16 bytes.
static cublasStatus_t check_fp8_shapes(const nmemu_problem *p)
{
    const struct cublasLtMatmulDesc *d = p->desc;
    if (d->transa != CUBLAS_OP_T || d->transb == CUBLAS_OP_T)
        return nmemu_say(CUBLAS_STATUS_NOT_SUPPORTED,
                         "of fp8, a has to be transposed and b must not be");
    const uint64_t size[] = {p->a->rows, p->a->cols, p->b->cols};
    const int64_t ld[] = {p->a->ld, p->b->ld, p->d->ld};
    for (int i = 0; i < 3; i++)
        if (size[i] % 16 || ld[i] % 16)
            return nmemu_say(CUBLAS_STATUS_NOT_SUPPORTED, "a size of fp8 is no multiple of 16");
    if (p->a->stride % 16 || p->b->stride % 16)
        return nmemu_say(CUBLAS_STATUS_NOT_SUPPORTED, "a batch of fp8 is no multiple of 16");
    return CUBLAS_STATUS_SUCCESS;
}

// --- epilogues -----------------------------------------------------------------------------------

bool nmemu_blas_adds_bias(uint32_t e)
{
    return e == CUBLASLT_EPILOGUE_BIAS || e == CUBLASLT_EPILOGUE_GELU_BIAS ||
           e == CUBLASLT_EPILOGUE_GELU_AUX_BIAS;
}

bool nmemu_blas_has_aux(uint32_t e)
{
    return e == CUBLASLT_EPILOGUE_GELU_AUX || e == CUBLASLT_EPILOGUE_GELU_AUX_BIAS ||
           e == CUBLASLT_EPILOGUE_DGELU || e == CUBLASLT_EPILOGUE_DGELU_BGRAD;
}

bool nmemu_blas_stores_sums(uint32_t e)
{
    return e == CUBLASLT_EPILOGUE_DGELU_BGRAD || e == CUBLASLT_EPILOGUE_BGRADA ||
           e == CUBLASLT_EPILOGUE_BGRADB;
}

static bool is_known(uint32_t e)
{
    return e == CUBLASLT_EPILOGUE_DEFAULT || e == CUBLASLT_EPILOGUE_GELU ||
           nmemu_blas_adds_bias(e) || nmemu_blas_has_aux(e) || nmemu_blas_stores_sums(e);
}

// cublasLt.h: at least the rows of d, and a multiple of 8.
static cublasStatus_t check_aux(const nmemu_problem *p)
{
    const struct cublasLtMatmulDesc *d = p->desc;
    if (d->aux_type >= 0 && d->aux_type != p->d->type)
        return wrong("the aux is of another type than d");
    if (d->aux_ld < (int64_t)p->d->rows || d->aux_ld % 8)
        return wrong("the aux' ld is less than d's rows, or no multiple of 8");
    if (p->d->batch > 1 && (d->aux_stride <= 0 || d->aux_stride % 8))
        return wrong("the aux' batch stride is no multiple of 8");
    return CUBLAS_STATUS_SUCCESS;
}

// Found on GPUs: a bias' gradient is summed out of an operand as it streams by, along its columns.
static cublasStatus_t check_sums(const nmemu_problem *p)
{
    const struct cublasLtMatmulDesc *d = p->desc;
    if (d->epilogue == CUBLASLT_EPILOGUE_BGRADA && d->transa == CUBLAS_OP_T)
        return nmemu_say(CUBLAS_STATUS_NOT_SUPPORTED, "BGRADA of a transposed a");
    if (d->epilogue == CUBLASLT_EPILOGUE_BGRADB && d->transb != CUBLAS_OP_T)
        return nmemu_say(CUBLAS_STATUS_NOT_SUPPORTED, "BGRADB of a b that is not transposed");
    if (p->d->batch > 1)
        return refuse("a bias' gradient of batches");
    return CUBLAS_STATUS_SUCCESS;
}

static bool has_depth_one(const nmemu_problem *p)
{
    return (p->desc->transa == CUBLAS_OP_T ? p->a->rows : p->a->cols) == 1;
}

static cublasStatus_t check_epilogue(const nmemu_problem *p)
{
    uint32_t e = p->desc->epilogue;
    cublasStatus_t r = CUBLAS_STATUS_SUCCESS;
    if (!is_known(e))
        return refuse("this epilogue");
    bool read = nmemu_blas_adds_bias(e) || nmemu_blas_stores_sums(e);
    if (read && p->desc->bias_type >= 0 && p->desc->bias_type != nmemu_blas_bias_type(p))
        return refuse("a bias of another type than d, or for fp8 and f32 than bf16");
    if (nmemu_blas_is_fp8(p->a->type) && e != CUBLASLT_EPILOGUE_DEFAULT &&
        e != CUBLASLT_EPILOGUE_BIAS)
        return refuse("an epilogue of fp8 other than a bias");
    if ((e == CUBLASLT_EPILOGUE_DGELU || e == CUBLASLT_EPILOGUE_DGELU_BGRAD) && has_depth_one(p))
        return nmemu_say(CUBLAS_STATUS_NOT_SUPPORTED, "DGELU of a product over one element");
    if (nmemu_blas_has_aux(e))
        r = check_aux(p);
    return r || !nmemu_blas_stores_sums(e) ? r : check_sums(p);
}

cublasStatus_t nmemu_blas_check(const nmemu_problem *p)
{
    cublasStatus_t r = check_types(p);
    r = r ? r : check_shapes(p);
    if (!r && nmemu_blas_is_fp8(p->a->type))
        r = check_fp8_shapes(p);
    return r ? r : check_epilogue(p);
}

cublasStatus_t nmemu_blas_check_pointers(const nmemu_problem *p, const void *const operand[4])
{
    uint32_t e = p->desc->epilogue;
    for (int i = 0; i < 4; i++)
        if (!operand[i])
            return wrong("an operand is NULL");
        else if (nmemu_blas_is_fp8(p->a->type) && (uintptr_t)operand[i] % 16)
            return nmemu_say(CUBLAS_STATUS_NOT_SUPPORTED,
                             "an operand of fp8 is not aligned to 16 bytes");
    if ((nmemu_blas_adds_bias(e) || nmemu_blas_stores_sums(e)) && !p->desc->bias)
        return wrong("a bias without a pointer");
    if (nmemu_blas_has_aux(e) && !p->desc->aux)
        return wrong("an aux without a pointer");
    return CUBLAS_STATUS_SUCCESS;
}
