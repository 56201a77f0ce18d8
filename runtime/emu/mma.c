// mma.sync: the warp's fragments are put together to matrices, multiplied in f32, and taken apart.
// prims.h draws them.
#include "runtime/emu/block.h"

typedef struct part { // what a lane brings
    float *d;
    const u32 *a;
    u32 b[2];
} part;

static void add_product(nmemu_warp *w, int k, float a[16][16], float b[16][8])
{
    for (int lane = 0; lane < 32; lane++)
        for (int i = 0; i < 4; i++) {
            int row = lane / 4 + 8 * (i >> 1), column = lane % 4 * 2 + (i & 1);
            float *d = &((part *)w->arg[lane])->d[i];
            for (int j = 0; j < k; j++)
                *d += a[row][j] * b[j][column];
        }
}

static void do_16_bit(nmemu_warp *w, float (*wide)(u16))
{
    float a[16][16], b[16][8];
    for (int lane = 0; lane < 32; lane++) {
        const part *p = w->arg[lane];
        for (int half = 0; half < 2; half++) {
            int k = lane % 4 * 2 + half;
            for (int i = 0; i < 4; i++)
                a[lane / 4 + 8 * (i & 1)][k + 8 * (i >> 1)] = wide((u16)(p->a[i] >> 16 * half));
            for (int i = 0; i < 2; i++)
                b[k + 8 * i][lane / 4] = wide((u16)(p->b[i] >> 16 * half));
        }
    }
    add_product(w, 16, a, b);
}

static void do_bf16(nmemu_warp *w) { do_16_bit(w, nmemu_from_bf16); }
static void do_f16(nmemu_warp *w) { do_16_bit(w, nmemu_from_f16); }

static void do_tf32(nmemu_warp *w)
{
    float a[16][16], b[16][8];
    for (int lane = 0; lane < 32; lane++) {
        const part *p = w->arg[lane];
        for (int i = 0; i < 4; i++)
            a[lane / 4 + 8 * (i & 1)][lane % 4 + 4 * (i >> 1)] = nmemu_from_tf32(p->a[i]);
        for (int i = 0; i < 2; i++)
            b[lane % 4 + 4 * i][lane / 4] = nmemu_from_tf32(p->b[i]);
    }
    add_product(w, 8, a, b);
}

void mma_bf16(float d[4], const u32 a[4], u32 b0, u32 b1)
{
    nmemu_meet("mma_bf16", &(part){d, a, {b0, b1}}, do_bf16);
}
void mma_f16(float d[4], const u32 a[4], u32 b0, u32 b1)
{
    nmemu_meet("mma_f16", &(part){d, a, {b0, b1}}, do_f16);
}
void mma_tf32(float d[4], const u32 a[4], u32 b0, u32 b1)
{
    nmemu_meet("mma_tf32", &(part){d, a, {b0, b1}}, do_tf32);
}
