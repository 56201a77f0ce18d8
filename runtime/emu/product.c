// Products by tiles of 128 x 128: blocks of the operands are packed as panels of floats, a kernel
// of 8 x 4 multiplies two panels. An element's sum goes over k from the first to the last in one
// accumulator, so it does not depend on the tiles. Epilogues are computed in f64 from there.
#include "runtime/emu/product.h"

#include "runtime/emu/block.h"

#include <math.h>
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
    switch (type) {
    case NMEMU_F64: return 8;
    case NMEMU_F32: return 4;
    case NMEMU_E4M3:
    case NMEMU_E5M2: return 1;
    default: return 2;
    }
}

static double load(const nmemu_operand *o, int64_t i)
{
    switch (o->type) {
    case NMEMU_F64: return ((const double *)o->at)[i];
    case NMEMU_F32: return ((const float *)o->at)[i];
    case NMEMU_F16: return nmemu_from_f16(((const u16 *)o->at)[i]);
    case NMEMU_BF16: return nmemu_from_bf16(((const u16 *)o->at)[i]);
    case NMEMU_E4M3: return nmemu_from_e4m3(((const u8 *)o->at)[i]);
    case NMEMU_E5M2: return nmemu_from_e5m2(((const u8 *)o->at)[i]);
    }
    return 0;
}

static void store(const nmemu_operand *o, int64_t i, double x)
{
    if (o->type == NMEMU_F64)
        ((double *)o->at)[i] = x;
    else if (o->type == NMEMU_F32)
        ((float *)o->at)[i] = (float)x;
    else
        ((u16 *)o->at)[i] = o->type == NMEMU_BF16 ? to_bf16((float)x) : to_f16((float)x);
}

static nmemu_operand of_batch(nmemu_operand o, int64_t i)
{
    if (o.at)
        o.at = (char *)o.at + i * o.batch * (int64_t)nmemu_element_bytes(o.type);
    return o;
}

// --- epilogues -----------------------------------------------------------------------------------

static const double slope = 0.7978845608028654, cube = 0.044715; // sqrt(2 / pi)

static double gelu(double x) { return 0.5 * x * (1 + tanh(slope * (x + cube * x * x * x))); }

static double gelu_grad(double x)
{
    double t = tanh(slope * (x + cube * x * x * x));
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * slope * (1 + 3 * cube * x * x);
}

static double activate(const nmemu_product *p, int64_t i, int64_t j, double x)
{
    int64_t at = i + j * p->aux.col;
    if (p->activation == NMEMU_GELU_GRAD)
        return x * gelu_grad(load(&p->aux, at));
    if (p->aux.at)
        store(&p->aux, at, x);
    return p->activation == NMEMU_GELU ? gelu(x) : x;
}

static double factor(const nmemu_product *p)
{
    return p->alpha * (p->a_scale ? *p->a_scale : 1) * (p->b_scale ? *p->b_scale : 1);
}

static void finish_element(const nmemu_product *p, float *sums, int64_t i, int64_t j, double sum)
{
    double x = factor(p) * sum;
    if (p->beta != 0)
        x += p->beta * load(&p->c, i + j * p->c.col);
    if (p->bias.at)
        x += load(&p->bias, i);
    x = activate(p, i, j, x);
    if (p->sum == NMEMU_SUM_D)
        sums[i] += (float)x;
    store(&p->d, i + j * p->d.col, x);
}

// Of what a product reads, as it lies.
static void sum_operand(const nmemu_product *p, float *sums)
{
    const nmemu_operand *o = p->sum == NMEMU_SUM_A ? &p->a : &p->b;
    bool of_a = p->sum == NMEMU_SUM_A;
    int64_t n = of_a ? p->m : p->n, stride = of_a ? o->row : o->col, along = of_a ? o->col : o->row;
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < p->k; k++)
            sums[i] += (float)load(o, i * stride + k * along);
}

static void store_sums(const nmemu_product *p, const float *sums)
{
    int64_t n = p->sum == NMEMU_SUM_B ? p->n : p->m;
    for (int64_t i = 0; i < n && p->sum != NMEMU_SUM_NOTHING; i++)
        store(&p->sums, i, sums[i]);
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

static void run_tile(const nmemu_product *p, tile *t, float *sums, int64_t i, int64_t j)
{
    memset(t->sum, 0, sizeof t->sum);
    for (int64_t k = 0; k < p->k; k += DEPTH)
        add_block(p, t, i, j, k);
    for (int64_t y = 0; y < TILE && j + y < p->n; y++)
        for (int64_t x = 0; x < TILE && i + x < p->m; x++) {
            const quad *column = t->sum[y / COLS][x / ROWS][y % COLS];
            finish_element(p, sums, i + x, j + y, column[x % ROWS / 4][x % 4]);
        }
}

static void run_f32(const nmemu_product *p, tile *t, float *sums)
{
    for (int64_t j = 0; j < p->n; j += TILE)
        for (int64_t i = 0; i < p->m; i += TILE)
            run_tile(p, t, sums, i, j);
}

// --- f64, which is for comparisons and need not be fast ------------------------------------------

static void run_f64(const nmemu_product *p, float *sums)
{
    for (int64_t j = 0; j < p->n; j++)
        for (int64_t i = 0; i < p->m; i++) {
            double sum = 0;
            for (int64_t k = 0; k < p->k; k++)
                sum += load(&p->a, i * p->a.row + k * p->a.col) *
                       load(&p->b, k * p->b.row + j * p->b.col);
            finish_element(p, sums, i, j, sum);
        }
}

static nmemu_product batch_of(const nmemu_product *p, int64_t i)
{
    nmemu_product q = *p;
    nmemu_operand *all[] = {&q.a, &q.b, &q.c, &q.d, &q.bias, &q.aux, &q.sums};
    for (size_t k = 0; k < sizeof all / sizeof *all; k++)
        *all[k] = of_batch(*all[k], i);
    return q;
}

static void turn(nmemu_operand *o, int64_t *along, int64_t k)
{
    o->at = (char *)o->at + (k - 1) * *along * (int64_t)nmemu_element_bytes(o->type);
    *along = -*along;
}

static void run_batch(const nmemu_product *p, tile *t, float *sums)
{
    memset(sums, 0, sizeof *sums * (size_t)(p->m + p->n));
    if (p->sum == NMEMU_SUM_A || p->sum == NMEMU_SUM_B)
        sum_operand(p, sums);
    if (p->a.type == NMEMU_F64)
        run_f64(p, sums);
    else
        run_f32(p, t, sums);
    store_sums(p, sums);
}

bool nmemu_product_run(const nmemu_product *p)
{
    tile *t = malloc(sizeof *t);
    float *sums = malloc(sizeof *sums * (size_t)(p->m + p->n));
    bool ok = t && sums;
    for (int64_t i = 0; i < p->batch && ok; i++) {
        nmemu_product q = batch_of(p, i);
        if (p->backwards) {
            turn(&q.a, &q.a.col, q.k);
            turn(&q.b, &q.b.row, q.k);
        }
        run_batch(&q, t, sums);
    }
    free(sums);
    free(t);
    return ok;
}
