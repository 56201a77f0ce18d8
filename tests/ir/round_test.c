// Rounding to dtypes, at the places where formats differ: ties, subnormals, overflow.
#include "ir/eval.h"
#include "tests/expect.h"

#include <math.h>

int main(void)
{
    EXPECT(nm_round_to(NM_bf16, 1 + 0x1p-8) == 1 && nm_round_to(NM_bf16, 1 + 0x3p-8) == 1 + 0x1p-6);
    EXPECT(nm_round_to(NM_bf16, 1 + 0x1p-8 + 0x1p-40) == 1 + 0x1p-7); // not twice, through f32
    EXPECT(nm_round_to(NM_bf16, 0x1p-134) == 0 && nm_round_to(NM_bf16, 0x1.8p-134) == 0x1p-133);
    EXPECT(isinf(nm_round_to(NM_bf16, 0x1.ffp127)) && isnan(nm_round_to(NM_bf16, NAN)));
    EXPECT(nm_round_to(NM_f16, 65519) == 65504 && isinf(nm_round_to(NM_f16, 65520)));
    EXPECT(nm_round_to(NM_f16, 0x1p-24) == 0x1p-24 && nm_round_to(NM_f16, 0x1p-25) == 0);
    EXPECT(nm_round_to(NM_e4m3, 1000) == 448 && nm_round_to(NM_e4m3, -INFINITY) == -448);
    EXPECT(nm_round_to(NM_e4m3, 17) == 16 && nm_round_to(NM_e4m3, 19) == 20);
    EXPECT(nm_round_to(NM_e4m3, 0x1p-9) == 0x1p-9 && nm_round_to(NM_e4m3, 0x1p-10) == 0);
    EXPECT(nm_round_to(NM_e5m2, 61440) == INFINITY && nm_round_to(NM_e5m2, 61439) == 57344);
    EXPECT(nm_round_to(NM_f32, 0.1) == (double)0.1f && nm_round_to(NM_f64, 0.1) == 0.1);
    EXPECT(nm_round_to(NM_i8, 128) == -128 && nm_round_to(NM_u8, -1) == 255);
    EXPECT(nm_round_to(NM_i32, 0x1p31) == -0x1p31 && nm_round_to(NM_u4, 17) == 1);
    EXPECT(signbit(nm_round_to(NM_bf16, -0.0)) && nm_round_to(NM_bool, 0.5) == 1);
    return expect_failed;
}
