// Each primitive's emulated body against a scalar reference of what PTX documents. The kernels are
// in tests/emu/kernels/probe_*.c; ptxas.sh sends the same ones through ptxas.
#include "tests/emu/rig.h"

#include "tests/emu/kernels/probe.h"

#include <stdbool.h>

static nmemu *m;

static void run(const char *name, void (*fn)(const void *), const void *params, u32 blocks,
                u32 threads)
{
    for (nmemu_mode mode = NMEMU_EAGER; mode <= NMEMU_RANDOM; mode++)
        must(nmemu_run(m,
                       &(nmemu_launch){.name = name,
                                       .fn = fn,
                                       .params = params,
                                       .grid = {blocks, 1, 1},
                                       .threads = threads,
                                       .shared_bytes = 65536,
                                       .mode = mode,
                                       .seed = 3},
                       NULL));
}

#define RUN(name, params, blocks, threads) run(#name, probe_##name, params, blocks, threads)
#define DEVICE(type, n)                    ((type *)nmemu_alloc(m, sizeof(type) * (n), #type))

// --- threads, shared memory, warps ---------------------------------------------------------------

static void test_where(void)
{
    probe_where_params p = {nmemu_alloc(m, 2 * 3 * 4 * 64 * 36, "out")};
    must(nmemu_run(
        m,
        &(nmemu_launch){
            .name = "where", .fn = probe_where, .params = &p, .grid = {4, 3, 2}, .threads = 64},
        NULL));
    for (u32 i = 0; i < 24 * 64; i++) {
        u32 t = i % 64, x = i / 64 % 4, y = i / 256 % 3, z = i / 768;
        const u32 want[9] = {t, 64, t % 32, x, y, z, 4, 3, 2};
        HOLDS(!memcmp(p.out[i], want, sizeof want));
    }
}

static void test_shared(void)
{
    probe_shared_params p = {DEVICE(u32, 4 * 96)};
    RUN(shared, &p, 1, 96);
    for (u32 i = 0; i < 4 * 96; i++)
        HOLDS(p.out[i] == 4 * (95 - i / 4) + i % 4);
}

static void expect_lane(const u32 *v, u32 lane, u32 want[16])
{
    u32 any = 0, all = 1, bits = 0, sum = 0, min = ~0u, max = 0;
    for (u32 i = 0; i < 32; i++) {
        any |= v[i] % 64 == 1;
        all &= v[i] < 5000;
        bits |= (v[i] & 1) << i;
        sum += v[i];
        min = v[i] < min ? v[i] : min;
        max = v[i] > max ? v[i] : max;
    }
    const u32 expected[16] = {v[lane ^ 5],
                              v[lane ^ 16],
                              v[7],
                              v[lane / 2],
                              v[lane < 3 ? lane : lane - 3],
                              v[lane < 1 ? lane : lane - 1],
                              v[lane + 3 > 31 ? lane : lane + 3],
                              v[lane + 1 > 31 ? lane : lane + 1],
                              any,
                              all,
                              bits,
                              sum,
                              min,
                              max,
                              0,
                              1};
    memcpy(want, expected, sizeof expected);
}

static void test_warp(void)
{
    u32 *v = DEVICE(u32, 96), want[16];
    for (u32 i = 0; i < 96; i++)
        v[i] = i * 37 % 101 + (i / 32) * 2500;
    probe_warp_params p = {v, nmemu_alloc(m, 96 * 64, "out")};
    RUN(warp, &p, 1, 96);
    for (u32 i = 0; i < 96; i++) {
        expect_lane(v + i / 32 * 32, i % 32, want);
        HOLDS(!memcmp(p.out[i], want, sizeof want));
    }
    RUN(elect, &p, 1, 96);
    for (u32 w = 0; w < 3; w++) {
        u32 leaders = 0;
        for (u32 i = 32 * w; i < 32 * w + 32; i++) {
            HOLDS(p.out[i][0] == p.out[i][1]);
            leaders += p.out[i][0];
        }
        HOLDS(leaders == 1);
    }
}

// --- numbers -------------------------------------------------------------------------------------

static float from_parts(double sign, int exponent, int fraction, int fraction_bits, int bias)
{
    double f = ldexp(fraction, -fraction_bits);
    return (float)(sign * (exponent ? ldexp(1 + f, exponent - bias) : ldexp(f, 1 - bias)));
}

static float value_of_f16(u16 h)
{
    int exponent = h >> 10 & 31, fraction = h & 1023;
    if (exponent == 31)
        return fraction ? NAN : h >> 15 ? -INFINITY : INFINITY;
    return from_parts(h >> 15 ? -1 : 1, exponent, fraction, 10, 15);
}

// The nearest of all 65,536, the even one of two: in double, by search.
static bool is_nearest_f16(float x, u16 h)
{
    u16 below = (u16)(h - 1), above = (u16)(h + 1);
    double e = fabs((double)value_of_f16(h) - x);
    if (isinf(value_of_f16(h)))
        return fabs(x) >= 65520;
    double down = h & 0x7fff ? fabs((double)value_of_f16(below) - x) : INFINITY;
    double up = isinf(value_of_f16(above)) ? fabs(65536 - fabs((double)x))
                                           : fabs((double)value_of_f16(above) - x);
    return e < down && e < up ? true : !(h & 1) && e <= down && e <= up;
}

static bool is_nearest_bf16(float x, u16 h)
{
    double e = fabs(wide(h) - x), down = fabs(wide((u16)(h - 1)) - x),
           up = fabs(wide((u16)(h + 1)) - x);
    return e < down && e < up ? true : !(h & 1) && e <= down && e <= up;
}

static bool close_to(double got, double want)
{
    return fabs(got - want) <= 1e-6 * fabs(want) + 1e-30 || got == want;
}

static void check_number(float x, const float f[8], const u32 u[8])
{
    u32 bits;
    float t;
    memcpy(&bits, &x, 4);
    memcpy(&t, &u[4], 4);
    HOLDS(close_to(f[0], (float)exp2(x)) && (x <= 0 || close_to(f[1], log2(x))) &&
          close_to(f[2], 1.0 / x));
    HOLDS(x <= 0 || (close_to(f[3], 1 / sqrt(x)) && close_to(f[4], sqrt(x))));
    HOLDS(close_to(f[5], tanh(x)));
    HOLDS(is_nearest_f16(x, (u16)u[1]) && f[7] == value_of_f16((u16)u[1]));
    HOLDS(is_nearest_bf16(x, (u16)u[0]) && f[6] == (float)wide((u16)u[0]));
    HOLDS(u[2] == (u[0] | (u[0] ^ 0x8000) << 16) && u[3] == (u[1] | (u[1] ^ 0x8000) << 16));
    HOLDS((u[4] & 0x1fff) == 0 && fabs((double)t - x) <= ldexp(1, ilogb(x) - 11));
}

static void test_numbers(void)
{
    enum { N = 1024 };
    static const float edges[] = {1,
                                  -1,
                                  0.5f,
                                  65504,
                                  65519.9f,
                                  65520,
                                  1e5f,
                                  6.1e-5f,
                                  6.0e-8f,
                                  2.9e-8f,
                                  3.1e-8f,
                                  1.00048828125f,
                                  1.00146484375f,
                                  1.00390625f,
                                  1.01171875f,
                                  0x1.001p0f,
                                  0x1.003p0f,
                                  -0x1.ffcp-15f,
                                  -1e-7f,
                                  100};
    float *x = DEVICE(float, N);
    probe_numbers_params p = {x, nmemu_alloc(m, N * 32, "f"), nmemu_alloc(m, N * 32, "u")};
    for (u32 i = 0; i < N; i++)
        x[i] = i < sizeof edges / sizeof *edges ? edges[i]
                                                : (float)ldexp(uniform(), (int)(i % 40) - 30);
    RUN(numbers, &p, 1, N);
    for (u32 i = 0; i < N; i++)
        check_number(x[i], p.f[i], p.u[i]);
    x[0] = NAN, x[1] = INFINITY, x[2] = -INFINITY, x[3] = 0;
    RUN(numbers, &p, 1, N);
    HOLDS(p.u[0][0] == 0x7fff && p.u[0][1] == 0x7fff && p.u[0][4] == 0x7fffffff);
    HOLDS(p.u[1][0] == 0x7f80 && p.u[1][1] == 0x7c00 && p.f[1][7] == INFINITY && p.f[2][0] == 0);
    HOLDS(p.u[2][1] == 0xfc00 && p.u[3][1] == 0 && p.f[3][7] == 0 && isnan(p.f[0][7]));
}

// --- global memory -------------------------------------------------------------------------------

static void test_atomics(void)
{
    enum { BLOCKS = 5, THREADS = 64, N = BLOCKS * THREADS };
    static u8 seen[9 * N];
    u32 *word = DEVICE(u32, 8), *in = DEVICE(u32, 4 * THREADS);
    u64 *wide_word = DEVICE(u64, 2);
    memset(word, 0, 32);
    wide_word[0] = 0, wide_word[1] = 1;
    for (u32 i = 0; i < 4 * THREADS; i++)
        in[i] = i * i;
    probe_atomics_params p = {word,
                              word + 1,
                              word + 2,
                              word + 3,
                              word + 4,
                              wide_word,
                              wide_word + 1,
                              (float *)(word + 5),
                              DEVICE(u32, N),
                              word + 6,
                              in,
                              DEVICE(u32, 4 * THREADS)};
    for (u32 round = 0; round < 3; round++) {
        RUN(atomics, &p, BLOCKS, THREADS);
        for (u32 i = 0; i < N; i++)
            HOLDS(p.ticket[i] < 9 * N && !seen[p.ticket[i]]++);
    }
    u64 product = 1;
    for (u32 i = 0; i < 9 * N; i++)
        product *= 3;
    HOLDS(word[0] == 9 * N && word[1] == 9 * N % 7 && word[6] == 9 * N / 32 && word[4] == 0);
    HOLDS(wide_word[0] == 9ul * N << 32 && wide_word[1] == product && *p.sum_f32 == 9.0f * N);
    HOLDS(word[2] == 995); // the largest i * 7 % 1000 of i < 320
    HOLDS(word[3] < N && !memcmp(in, p.copy, 16 * THREADS));
}

// --- matrices ------------------------------------------------------------------------------------

static u32 pair(const u16 *matrix, u32 lane, bool trans) // what lane holds of an 8x8 matrix
{
    u32 r = lane / 4, c = lane % 4 * 2;
    return trans ? matrix[c * 8 + r] | (u32)matrix[(c + 1) * 8 + r] << 16
                 : matrix[r * 8 + c] | (u32)matrix[r * 8 + c + 1] << 16;
}

static void test_matrix(void)
{
    u16 *a = DEVICE(u16, 256);
    for (u32 i = 0; i < 256; i++)
        a[i] = (u16)(i * 257 + 3);
    probe_matrix_params p = {a, nmemu_alloc(m, 32 * 60, "out"), DEVICE(u16, 768)};
    RUN(matrix, &p, 1, 32);
    static const u32 matrix_of[15] = {0, 0, 1, 0, 1, 2, 3, 0, 0, 1, 0, 1, 2, 3, 0};
    for (u32 i = 0; i < 32 * 15; i++)
        HOLDS(p.out[i / 15][i % 15] == pair(a + 64 * matrix_of[i % 15], i / 15, i % 15 >= 7));
    RUN(stmatrix, &p, 1, 32);
    for (u32 i = 0; i < 256; i++) {
        u32 turned = i / 64 * 64 + i % 8 * 8 + i % 64 / 8;
        HOLDS(p.stored[i] == a[i] && p.stored[256 + i] == a[turned]);
        HOLDS(i >= 128 || (p.stored[512 + i] == a[i] && p.stored[640 + i] == a[turned]));
    }
}

static double product_16(const u16 *a, const u16 *b, int i, bool half)
{
    double sum = 0;
    for (int k = 0; k < 16; k++) {
        u16 x = a[i / 8 * 16 + k], y = b[k * 8 + i % 8];
        sum += half ? (double)value_of_f16(x) * value_of_f16(y) : wide(x) * wide(y);
    }
    return sum;
}

static void test_mma(void)
{
    u16 *a = DEVICE(u16, 256), *b = DEVICE(u16, 128), *ah = DEVICE(u16, 256),
        *bh = DEVICE(u16, 128);
    float *at = DEVICE(float, 128), *bt = DEVICE(float, 64);
    for (int i = 0; i < 256; i++)
        a[i] = to_bf16((float)uniform()), ah[i] = to_f16((float)uniform());
    for (int i = 0; i < 128; i++)
        b[i] = to_bf16((float)uniform()), bh[i] = to_f16((float)uniform()),
        at[i] = (float)uniform();
    for (int i = 0; i < 64; i++)
        bt[i] = (float)uniform();
    probe_mma_params p = {
        a, b, ah, bh, at, bt, DEVICE(float, 128), DEVICE(float, 128), DEVICE(float, 128)};
    RUN(mma, &p, 1, 32);
    for (int i = 0; i < 128; i++) {
        double y = 0;
        for (int k = 0; k < 8; k++)
            y += (double)at[i / 8 * 8 + k] * bt[k * 8 + i % 8];
        HOLDS(fabs(p.d_bf16[i] - 2 * product_16(a, b, i, false)) < 1e-5);
        HOLDS(fabs(p.d_f16[i] - product_16(ah, bh, i, true)) < 1e-5);
        HOLDS(fabs(p.d_tf32[i] - y) < 4e-3 &&
              p.d_tf32[i] != (float)y); // rounded to 11 bits, so not quite
    }
}

// --- copies --------------------------------------------------------------------------------------

static void test_cp_async(void)
{
    enum { N = 64 };
    u32 *in = DEVICE(u32, 4 * N);
    for (u32 i = 0; i < 4 * N; i++)
        in[i] = i + 1;
    probe_copies_params p = {.in = in, .out = DEVICE(u32, 5 * N)};
    RUN(cp_async, &p, 1, N);
    for (u32 i = 0; i < 4 * N; i++) {
        u32 from = 4 * (N - 1 - i / 4) + i % 4;
        HOLDS(p.out[i] == (from / 4 % 2 && from % 4 >= 2 ? 0 : from + 1));
    }
    for (u32 t = 0; t < N; t++)
        HOLDS(p.out[4 * N + t] == ((N - 1 - t) % 3 ? N - t : 0));
}

static void test_bulk(void)
{
    u32 *in = DEVICE(u32, 1024), *out = DEVICE(u32, 512);
    for (u32 i = 0; i < 1024; i++) {
        float f = (float)i;
        memcpy(in + i, &f, 4);
    }
    memset(out, 0, 2048);
    probe_copies_params p = {.in = in, .out = out};
    RUN(bulk, &p, 1, 32);
    for (u32 i = 0; i < 256; i++)
        HOLDS(out[i] == in[i] && ((float *)out)[256 + i] == 3 * (float)(512 + i));
}

// A tensor of u32 with 20, 3, 4, 3, 3 elements in the dimensions that it has; boxes of 128
// elements.
typedef struct box {
    u64 dim[5];
    u32 size[5];
} box;

static box box_of(u32 rank)
{
    static const u32 size[6][5] = {{0}, {128}, {32, 4}, {16, 4, 2}, {8, 4, 2, 2}, {8, 2, 2, 2, 2}};
    box b = {{20, 3, 4, 3, 3}, {0}};
    for (u32 i = 0; i < rank; i++)
        b.size[i] = size[rank][i];
    return b;
}

// Element i of the box at x: its index in the tensor, or -1 outside.
static long inside(const box *b, u32 rank, const int x[5], u32 i)
{
    long index = 0, stride = 1;
    for (u32 d = 0; d < rank; d++) {
        long c = x[d] + (long)(i % b->size[d]);
        i /= b->size[d];
        if (c < 0 || c >= (long)b->dim[d])
            return -1;
        index += c * stride;
        stride *= (long)b->dim[d];
    }
    return index;
}

static void make_tma_map(tmap *map, u32 *base, const box *b, u32 rank)
{
    nmemu_tensor t = {.base = base, .element_bytes = 4, .rank = (int)rank};
    u64 stride = 4;
    for (u32 i = 0; i < rank; i++) {
        t.dim[i] = b->dim[i];
        t.box[i] = b->size[i];
        stride *= b->dim[i];
        if (i + 1 < rank)
            t.stride[i] = stride;
    }
    must(nmemu_tensor_map(map, &t));
}

static void test_tma(void)
{
    enum { ALL = 20 * 3 * 4 * 3 * 3 };
    static const int at[3][5] = {{0, 0, 0, 0, 0}, {-3, 1, 2, 2, -1}, {13, -1, 3, -1, 2}};
    tmap map[12];
    u32 *in = DEVICE(u32, ALL), *to[6];
    probe_copies_params p = {.in = in, .out = DEVICE(u32, 6 * 128)};
    for (u32 i = 0; i < ALL; i++)
        in[i] = i + 1;
    for (u32 rank = 1; rank <= 5; rank++) {
        box b = box_of(rank);
        make_tma_map(&map[rank], in, &b, rank);
        make_tma_map(&map[6 + rank], to[rank] = DEVICE(u32, ALL), &b, rank);
        p.from[rank] = &map[rank], p.to[rank] = &map[6 + rank];
    }
    for (int k = 0; k < 3; k++) {
        memcpy(p.at, at[k], sizeof p.at);
        for (u32 rank = 1; rank <= 5; rank++)
            memset(to[rank], 0, ALL * 4);
        RUN(tma, &p, 1, 64);
        for (u32 i = 0; i < 5 * 128; i++) {
            u32 rank = i / 128 + 1;
            box b = box_of(rank);
            long from = inside(&b, rank, at[k], i % 128);
            HOLDS(p.out[128 * rank + i % 128] == (from < 0 ? 0 : (u32)from + 1));
            if (from >= 0)
                HOLDS(to[rank][from] == (u32)from + 1), to[rank][from] = 0;
        }
        for (u32 i = 0; i < 5 * ALL; i++) // and nothing else was written
            HOLDS(to[i / ALL + 1][i % ALL] == 0);
    }
}

static void test_tensor_map_refusals(void)
{
    _Alignas(64) tmap map;
    float *base = DEVICE(float, 64);
    const nmemu_tensor good = {
        .base = base, .element_bytes = 4, .rank = 2, .dim = {8, 8}, .stride = {32}, .box = {8, 8}};
    nmemu_tensor t[8] = {good, good, good, good, good, good, good, good};
    t[0].rank = 6, t[1].base = base + 1, t[2].dim[1] = 0, t[3].box[0] = 257, t[4].stride[0] = 24,
    t[5].box[0] = 3;
    t[6].swizzle = 1, t[6].box[0] = 16, t[7].element_bytes = 3;
    HOLDS(!nmemu_tensor_map(&map, &good));
    for (int i = 0; i < 8; i++)
        HOLDS(nmemu_tensor_map(&map, &t[i]));
    HOLDS(nmemu_tensor_map((char *)&map + 8, &good));
}

// --- wgmma ---------------------------------------------------------------------------------------

static void matrix_map(tmap *map, const u16 *base, u32 columns, u32 rows, u32 box_columns,
                       int swizzle)
{
    must(nmemu_tensor_map(map, &(nmemu_tensor){.base = (void *)base,
                                               .element_bytes = 2,
                                               .rank = 2,
                                               .dim = {columns, rows},
                                               .stride = {2 * columns},
                                               .box = {box_columns, rows},
                                               .swizzle = swizzle}));
}

static double product(const u16 *a, u32 a_row, u32 a_k, const u16 *b, u32 b_column, u32 b_k)
{
    double sum = 0;
    for (u32 k = 0; k < 16; k++)
        sum += wide(a[a_row + a_k * k]) * wide(b[b_column + b_k * k]);
    return sum;
}

static void test_wgmma(const char *name, void (*fn)(const void *), u32 n)
{
    const u16 *a = random_bf16(m, 64 * 16, 1), *b = random_bf16(m, n * 16, 1),
              *bt = random_bf16(m, n * 16, 1);
    u32 *registers = DEVICE(u32, 512);
    tmap ma, mb, mbt;
    matrix_map(&ma, a, 16, 64, 16, 1);
    matrix_map(&mb, b, 16, n, 16, 1);
    matrix_map(&mbt, bt, n, 16, 16, 1);
    for (u32 i = 0; i < 1024; i++) { // half i of the threads' registers
        u32 t = i / 8, e = i % 8, row = t / 32 * 16 + t % 32 / 4 + 8 * (e >> 1 & 1),
            k = e / 4 * 8 + t % 4 * 2 + (e & 1);
        ((u16 *)registers)[i] = a[row * 16 + k];
    }
    probe_wgmma_params p = {
        &ma, &mb, &mbt, registers, DEVICE(float, 64 * n), DEVICE(float, 64 * n)};
    run(name, fn, &p, 1, 128);
    for (u32 i = 0; i < 64 * n; i++) {
        HOLDS(fabs(p.d_k[i] - product(a, i / n * 16, 1, b, i % n * 16, 1)) < 1e-5);
        HOLDS(fabs(p.d_mn[i] - product(a, i / n * 16, 1, bt, i % n, n) - 1) < 1e-5);
    }
}

static void test_layout(int w, int a_mn, int b_mn)
{
    const u16 *a = random_bf16(m, 64 * 64, 1), *b = random_bf16(m, 64 * 64, 1); // rows of 128 bytes
    int swizzle = w == 16 ? 0 : w == 32 ? 1 : w == 64 ? 2 : 3;
    tmap ma, mb;
    matrix_map(&ma, a, 64, a_mn ? 16 : 64, (u32)w / 2, swizzle);
    matrix_map(&mb, b, 64, b_mn ? 16 : 64, (u32)w / 2, swizzle);
    probe_layout_params p = {&ma, &mb, DEVICE(float, 4096), w, a_mn, b_mn};
    RUN(layout, &p, 1, 128);
    for (u32 i = 0; i < 4096; i++) {
        double want = product(a, i / 64 * (a_mn ? 1 : 64), a_mn ? 64 : 1, b,
                              i % 64 * (b_mn ? 1 : 64), b_mn ? 64 : 1);
        HOLDS(fabs(p.d[i] - want) < 1e-5);
    }
}

int main(void)
{
    m = nmemu_new(1);
    test_where();
    test_shared();
    test_warp();
    test_numbers();
    test_atomics();
    test_matrix();
    test_mma();
    test_cp_async();
    test_bulk();
    test_tma();
    test_tensor_map_refusals();
#define WGMMA(n) test_wgmma("wgmma_" #n, probe_wgmma_##n, n)
    WGMMA(16), WGMMA(32), WGMMA(64), WGMMA(80), WGMMA(96), WGMMA(128), WGMMA(192), WGMMA(256);
    for (int i = 0; i < 16; i++)
        test_layout(16 << i / 4, i & 1, i >> 1 & 1);
    nmemu_free(m);
    return rig_failures != 0;
}
