// 8x8 matrices of 16-bit elements between shared memory and a warp's registers.
#include "runtime/emu/block.h"

#include <string.h>

typedef struct part { // what a lane brings
    u32 *r;
    const u32 *in;
    smem row;
    u32 count; // matrices
    bool trans;
} part;

// Element [row][column] of a matrix from the lanes' registers: lane l holds row l / 4, columns 2 (l
// % 4) and + 1.
static u16 element(const nmemu_warp *w, u32 k, int row, int column)
{
    return (u16)(((const part *)w->arg[4 * row + column / 2])->in[k] >> 16 * (column & 1));
}

// Registers k of all lanes from the matrix, or its transpose.
static void spread(nmemu_warp *w, u32 k, u16 (*const m)[8], bool trans)
{
    for (int lane = 0; lane < 32; lane++) {
        int r = lane / 4, c = lane % 4 * 2;
        u32 lo = trans ? m[c][r] : m[r][c], hi = trans ? m[c + 1][r] : m[r][c + 1];
        ((part *)w->arg[lane])->r[k] = lo | hi << 16;
    }
}

static void do_load(nmemu_warp *w)
{
    const part *first = w->arg[0];
    for (u32 k = 0; k < first->count; k++) {
        u16 m[8][8];
        for (u32 i = 0; i < 8; i++)
            memcpy(m[i], nmemu_for_reading(((const part *)w->arg[8 * k + i])->row, 16, w->what),
                   16);
        spread(w, k, m, first->trans);
    }
}

static void do_store(nmemu_warp *w) // reports name one lane for all 32
{
    const part *first = w->arg[0];
    for (u32 k = 0; k < first->count; k++)
        for (int i = 0; i < 8; i++) {
            u16 *to = nmemu_for_writing(((const part *)w->arg[8 * k + (u32)i])->row, 16, w->what);
            for (int c = 0; c < 8; c++)
                to[c] = first->trans ? element(w, k, c, i) : element(w, k, i, c);
        }
}

static void do_transpose(nmemu_warp *w)
{
    u16 m[8][8];
    for (int i = 0; i < 64; i++)
        m[i / 8][i % 8] = element(w, 0, i / 8, i % 8);
    spread(w, 0, m, true);
}

#define LOAD(name, n, transposed)                                                                  \
    void name(u32 r[n], smem row)                                                                  \
    {                                                                                              \
        nmemu_meet(#name, &(part){.r = r, .row = row, .count = n, .trans = transposed}, do_load);  \
    }
#define STORE(name, n, transposed)                                                                 \
    void name(smem row, const u32 r[n])                                                            \
    {                                                                                              \
        nmemu_meet(#name, &(part){.in = r, .row = row, .count = n, .trans = transposed},           \
                   do_store);                                                                      \
    }
LOAD(ldmatrix_x1, 1, false)
LOAD(ldmatrix_x2, 2, false)
LOAD(ldmatrix_x4, 4, false)
LOAD(ldmatrix_x1_trans, 1, true)
LOAD(ldmatrix_x2_trans, 2, true)
LOAD(ldmatrix_x4_trans, 4, true)
STORE(stmatrix_x2, 2, false)
STORE(stmatrix_x4, 4, false)
STORE(stmatrix_x2_trans, 2, true)
STORE(stmatrix_x4_trans, 4, true)

u32 movmatrix(u32 a)
{
    u32 r;
    nmemu_meet("movmatrix", &(part){.r = &r, .in = &a}, do_transpose);
    return r;
}
