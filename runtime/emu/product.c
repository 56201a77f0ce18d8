// Products by tiles of 128 x 128: blocks of the operands are packed as panels of floats, a kernel
// of 8 x 4 multiplies two panels. An element's sum goes over k from the first to the last in one
// accumulator, so it does not depend on the tiles.
#include "runtime/emu/product.h"

#include "runtime/emu/prims.h"

#include <stdlib.h>
#include <string.h>

enum { TILE = 128, DEPTH = 256, ROWS = 8, COLS = 4 };

typedef float quad __attribute__((vector_size(16)));

typedef struct tile {
    quad sum[TILE / COLS][TILE / ROWS][COLS][ROWS / 4];
    quad a[TILE / ROWS][DEPTH][ROWS / 4];
    float b[TILE / COLS][DEPTH][COLS];
} tile;

uint64_t nmemu_element_bytes(nmemu_element type)
{
    return type == NMEMU_F64 ? 8 : type == NMEMU_F32 ? 4 : 2;
}

static double load(const nmemu_operand *o, int64_t i)
{
    if (o->type == NMEMU_F64)
        return ((const double *)o->at)[i];
    if (o->type == NMEMU_F32)
        return ((const float *)o->at)[i];
    u32 bits = (u32)((const u16 *)o->at)[i] << 16;
    float x;
    memcpy(&x, &bits, 4);
    return x;
}

static void store(const nmemu_operand *o, int64_t i, double x)
{
    if (o->type == NMEMU_F64)
        ((double *)o->at)[i] = x;
    else if (o->type == NMEMU_F32)
        ((float *)o->at)[i] = (float)x;
    else
        ((u16 *)o->at)[i] = to_bf16((float)x);
}

static nmemu_operand of_batch(nmemu_operand o, int64_t i)
{
    if (o.at)
        o.at = (char *)o.at + i * o.batch * (int64_t)nmemu_element_bytes(o.type);
    return o;
}

static void finish_element(const nmemu_product *p, int64_t i, int64_t j, double sum)
{
    double x = p->alpha * sum;
    if (p->beta != 0)
        x += p->beta * load(&p->c, i + j * p->c.col);
    if (p->bias.at)
        x += load(&p->bias, i);
    store(&p->d, i + j * p->d.col, x);
}

// --- f32 -----------------------------------------------------------------------------------------

static float rounded(float x)
{
    u32 bits;
    memcpy(&bits, &x, 4);
    bits = (bits & 0x7f800000) == 0x7f800000 ? bits : (bits + 0x1000) & ~0x1fffu;
    memcpy(&x, &bits, 4);
    return x;
}

// to[panel][0 .. depth)[0 .. width) = o[from ..][at ..], zeros behind `end`.
static void pack(const nmemu_operand *o, int64_t stride, int64_t along, int64_t from, int64_t end,
                 int64_t at, int64_t depth, int width, bool tf32, float *to)
{
    int64_t left = end - from < TILE ? end - from : TILE;
    for (int64_t i = 0; i < (left + width - 1) / width * width; i++) {
        float *column = to + (i / width * DEPTH) * width + i % width;
        for (int64_t k = 0; k < depth; k++) {
            float x = i < left ? (float)load(o, (from + i) * stride + (at + k) * along) : 0;
            column[k * width] = tf32 ? rounded(x) : x;
        }
    }
}

static void multiply(quad sum[COLS][ROWS / 4], const quad (*a)[ROWS / 4], const float (*b)[COLS],
                     int64_t depth)
{
    quad s[COLS][ROWS / 4];
    memcpy(s, sum, sizeof s);
    for (int64_t k = 0; k < depth; k++)
        UNROLL
    for (int j = 0; j < COLS; j++)
        UNROLL
    for (int i = 0; i < ROWS / 4; i++)
        s[j][i] += a[k][i] * b[k][j];
    memcpy(sum, s, sizeof s);
}

static void add_block(const nmemu_product *p, tile *t, int64_t i, int64_t j, int64_t k)
{
    int64_t depth = p->k - k < DEPTH ? p->k - k : DEPTH;
    int64_t rows = p->m - i < TILE ? p->m - i : TILE, cols = p->n - j < TILE ? p->n - j : TILE;
    pack(&p->a, p->a.row, p->a.col, i, p->m, k, depth, ROWS, p->tf32, (float *)t->a);
    pack(&p->b, p->b.col, p->b.row, j, p->n, k, depth, COLS, p->tf32, (float *)t->b);
    for (int64_t y = 0; y < cols; y += COLS)
        for (int64_t x = 0; x < rows; x += ROWS)
            multiply(t->sum[y / COLS][x / ROWS], t->a[x / ROWS], t->b[y / COLS], depth);
}

static void run_tile(const nmemu_product *p, tile *t, int64_t i, int64_t j)
{
    memset(t->sum, 0, sizeof t->sum);
    for (int64_t k = 0; k < p->k; k += DEPTH)
        add_block(p, t, i, j, k);
    for (int64_t y = 0; y < TILE && j + y < p->n; y++)
        for (int64_t x = 0; x < TILE && i + x < p->m; x++) {
            const quad *column = t->sum[y / COLS][x / ROWS][y % COLS];
            finish_element(p, i + x, j + y, column[x % ROWS / 4][x % 4]);
        }
}

static void run_f32(const nmemu_product *p, tile *t)
{
    for (int64_t j = 0; j < p->n; j += TILE)
        for (int64_t i = 0; i < p->m; i += TILE)
            run_tile(p, t, i, j);
}

// --- f64, which is for comparisons and need not be fast ------------------------------------------

static void run_f64(const nmemu_product *p)
{
    for (int64_t j = 0; j < p->n; j++)
        for (int64_t i = 0; i < p->m; i++) {
            double sum = 0;
            for (int64_t k = 0; k < p->k; k++)
                sum += load(&p->a, i * p->a.row + k * p->a.col) *
                       load(&p->b, k * p->b.row + j * p->b.col);
            finish_element(p, i, j, sum);
        }
}

bool nmemu_product_run(const nmemu_product *p)
{
    tile *t = malloc(sizeof *t);
    if (!t)
        return false;
    for (int64_t i = 0; i < p->batch; i++) {
        nmemu_product q = *p;
        q.a = of_batch(p->a, i);
        q.b = of_batch(p->b, i);
        q.c = of_batch(p->c, i);
        q.d = of_batch(p->d, i);
        q.bias = of_batch(p->bias, i);
        if (p->a.type == NMEMU_F64)
            run_f64(&q);
        else
            run_f32(&q, t);
    }
    free(t);
    return true;
}
