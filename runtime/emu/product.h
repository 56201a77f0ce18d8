// Matrix products on the CPU, as the emulated cuBLASLt needs them.
#ifndef NMEMU_PRODUCT_H
#define NMEMU_PRODUCT_H

#include <stdbool.h>
#include <stdint.h>

typedef enum { NMEMU_F32, NMEMU_BF16, NMEMU_F64 } nmemu_element;

typedef struct nmemu_operand {
    nmemu_element type;
    int64_t row, col, batch; // strides in elements
    void *at;
} nmemu_operand;

// d[m, n] = alpha * sum over k of a[m, k] * b[k, n] + beta * c[m, n] + bias[m], in every batch. The
// row stride of c and d is 1. Sums are f32, in the order of k; f64 where a is.
typedef struct nmemu_product {
    int64_t m, n, k, batch;
    nmemu_operand a, b, c, d, bias; // bias.at NULL: none
    double alpha, beta;             // beta 0: c is not read
    bool tf32;                      // f32 operands are rounded to 10 bits of mantissa
} nmemu_product;

bool nmemu_product_run(const nmemu_product *p); // false: no memory
uint64_t nmemu_element_bytes(nmemu_element type);

#endif
