// Products as calls of a library: which dot groups of the flavour gpu are one (docs/gpu.md), and
// what is said of it: nmdrv_product and nmdrv_geometry of runtime/driver_abi.h.
#ifndef NM_IR_PRODUCT_H
#define NM_IR_PRODUCT_H

#include "ir/ir.h"

enum { NM_GEOMETRY_WORDS = 13 }; // of nmdrv_geometry

typedef struct nm_product_operand { // of the group
    int index;                      // into its operands; -1: there is none
    const nm_extent *offset;        // elements in front of its first
} nm_product_operand;

typedef enum { // behind alpha and what is added; as nmdrv_epilogue
    NM_EPILOGUE_none,
    NM_EPILOGUE_bias,
    NM_EPILOGUE_gelu,
    NM_EPILOGUE_gelu_bias,
    NM_EPILOGUE_gelu_aux,
    NM_EPILOGUE_gelu_aux_bias,
    NM_EPILOGUE_dgelu,
    NM_EPILOGUE_bgrad_a, // a summed over k
    NM_EPILOGUE_bgrad_b,
} nm_epilogue;

typedef struct nm_product_call {
    nm_product_operand a, b, bias;
    nm_product_operand slope;    // what a gelu's gradient is taken at; it lies as the result
    nm_product_operand scale[2]; // of fp8: numbers that the sums are multiplied by, as a's and b's
    int result, kept, sums; // of the group's results: the product's, a gelu's operand, the sums of
                            // an epilogue; -1: none
    int sum;                // the operand that is added to, of the result's type; -1: none
    nm_epilogue epilogue;
    double alpha;
    const nm_extent *geometry[NM_GEOMETRY_WORDS]; // in the order of nmdrv_geometry
    // A batch whose dims lie apart is several calls: how many, and from one to the next the
    // elements in a, b and the result.
    const nm_extent *turns, *step[3];
} nm_product_call;

// Is the group a product whose operands lie in memory with one stride for each list of its dims?
// false: it is not, and a kernel does it.
bool nm_product_of(nm_module *m, nm_op *group, nm_product_call *call);

bool nm_is_fp8(nm_dtype t); // e4m3 or e5m2
// May rows, columns or what is summed of a product of fp8 be so many? The law of GPUs' libraries:
// multiples of 16. What only a run knows, or nobody (NULL), may be: the run has to see to it.
bool nm_fp8_fits(const nm_extent *e);

#endif
