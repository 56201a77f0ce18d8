// Matrix products on the CPU, as the emulated cuBLASLt needs them.
#ifndef NMEMU_PRODUCT_H
#define NMEMU_PRODUCT_H

#include <stdbool.h>
#include <stdint.h>

typedef enum {
    NMEMU_F32,
    NMEMU_BF16,
    NMEMU_F16,
    NMEMU_F64,
    NMEMU_E4M3, // of operands alone
    NMEMU_E5M2,
} nmemu_element;

typedef struct nmemu_operand {
    nmemu_element type;
    int64_t row, col, batch; // strides in elements
    void *at;
} nmemu_operand;

typedef enum { // what is summed to `sums`
    NMEMU_SUM_NOTHING,
    NMEMU_SUM_D, // sums[m] = sum over n of d
    NMEMU_SUM_A, // sums[m] = sum over k of a
    NMEMU_SUM_B, // sums[n] = sum over k of b
} nmemu_sum;

typedef enum {
    NMEMU_AS_IT_IS,
    NMEMU_GELU,      // d = gelu(x), the tanh form; aux = x where there is one
    NMEMU_GELU_GRAD, // d = gelu'(aux) * x
} nmemu_activation;

// x[m, n] = alpha * scales * sum over k of a[m, k] * b[k, n] + beta * c[m, n] + bias[m], and d is x
// or what the activation makes of it, in every batch. The row stride of c, d and aux is 1. Sums are
// f32, in the order of k; f64 where a is.
typedef struct nmemu_product {
    int64_t m, n, k, batch;
    nmemu_operand a, b, c, d, bias, aux, sums; // bias, aux, sums: at NULL: none
    nmemu_activation activation;
    nmemu_sum sum;
    double alpha, beta;             // beta 0: c is not read
    const float *a_scale, *b_scale; // each a number in the device's memory; NULL: 1
    bool tf32;                      // f32 operands are rounded to 10 bits of mantissa
    bool backwards; // sums begin at the last k: other bits, as another algorithm would give
} nmemu_product;

bool nmemu_product_run(const nmemu_product *p); // false: no memory
uint64_t nmemu_element_bytes(nmemu_element type);

#endif
