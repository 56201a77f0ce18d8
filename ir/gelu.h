// GELU in the tanh form: x / 2 * (1 + tanh(NM_GELU_SCALE * (x + NM_GELU_CUBE x^3))).
#ifndef NM_IR_GELU_H
#define NM_IR_GELU_H

#include <math.h>

#define NM_GELU_SCALE 0.7978845608028654 // sqrt(2 / pi)
#define NM_GELU_CUBE  0.044715

static inline double nm_gelu_tail(double x)
{
    return tanh(NM_GELU_SCALE * (x + NM_GELU_CUBE * x * x * x));
}
static inline double nm_gelu_tanh(double x) { return 0.5 * x * (1 + nm_gelu_tail(x)); }

#endif
