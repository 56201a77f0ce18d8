// Draws for kernels: base/philox.h with the templates' own logarithm and cosine.
//
// A loop over draws vectorises only if all of Philox is inlined into it, and it is too large for
// that to happen by itself.
#pragma clang attribute push(__attribute__((always_inline)), apply_to = function)
#include "base/philox.h"
#pragma clang attribute pop
#include "codegen/templates/simd.h"

NMK_INLINE nm_philox draw(uint64_t key, uint32_t step, uint32_t turn, int64_t index)
{
    return nm_philox_draw(key, 0, step, turn, (uint64_t)index);
}

NMK_ENTRY float nmk_uniform(uint64_t key, uint32_t step, uint32_t turn, int64_t index)
{
    return nm_philox_uniform(draw(key, step, turn, index));
}

NMK_ENTRY float nmk_normal(uint64_t key, uint32_t step, uint32_t turn, int64_t index)
{
    nm_philox p = draw(key, step, turn, index);
    return NM_PHILOX_NORMAL(float, p, nmk_sqrtf, nmk_logf, nmk_cosf);
}
