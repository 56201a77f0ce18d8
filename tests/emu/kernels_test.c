// The test kernels under the emulator against f64 references, in eager, lazy and random orders of
// events.
//   emu_kernels_test             everything
//   emu_kernels_test fwd|bwd HD  one kernel at one head size, one length: for mutants.sh
#include "tests/emu/rig.h"

#include "tests/emu/kernels/attn.h"
#include "tests/emu/kernels/gemm.h"

typedef struct shape {
    int hd, batch, len, heads, kv_heads, causal;
} shape;

// [batch, len, heads, hd]
static u64 at(const shape *s, int heads, int b, int row, int h)
{
    return (((u64)b * (u64)s->len + (u64)row) * (u64)heads + (u64)h) * (u64)s->hd;
}

static double dot(const u16 *x, const u16 *y, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += wide(x[i]) * wide(y[i]);
    return sum;
}

static void make_map(tmap *m, u16 *p, const shape *s, int heads, u32 rows)
{
    u64 h = (u64)heads, n = (u64)s->len, d = (u64)s->hd;
    must(nmemu_tensor_map(m, &(nmemu_tensor){.base = p,
                                             .element_bytes = 2,
                                             .rank = 4,
                                             .dim = {d, n, h, (u64)s->batch},
                                             .stride = {2 * d * h, 2 * d, 2 * d * h * n},
                                             .box = {64, rows, 1, 1},
                                             .swizzle = 3}));
}

// Softmax of one query's scores: p[j] for the keys that it sees; returns the logarithm of the sum
// of exponentials.
static double softmax_row(const shape *s, const u16 *q, const u16 *k, int b, int h, int i,
                          double *p)
{
    int hk = h / (s->heads / s->kv_heads), end = s->causal ? i + 1 : s->len;
    double max = -INFINITY, sum = 0;
    for (int j = 0; j < end; j++) {
        p[j] = dot(q + at(s, s->heads, b, i, h), k + at(s, s->kv_heads, b, j, hk), s->hd) /
               sqrt(s->hd);
        max = fmax(max, p[j]);
    }
    for (int j = 0; j < end; j++)
        sum += p[j] = exp(p[j] - max);
    for (int j = 0; j < end; j++)
        p[j] /= sum;
    return max + log(sum);
}

static void say(const char *what, const shape *s, nmemu_mode mode)
{
    printf("%s d%d %s b%d len %d heads %d/%d %s: ", what, s->hd, s->causal ? "causal" : "full",
           s->batch, s->len, s->heads, s->kv_heads, mode_name[mode]);
}

// --- attention, forward --------------------------------------------------------------------------

typedef struct forward {
    u16 *q, *k, *v, *out;
    float *lse;
} forward;

static void compare_forward(const shape *s, const forward *f, double *worst, double *worst_lse)
{
    double *p = calloc((u64)s->len, sizeof *p);
    for (int x = 0; x < s->batch * s->heads * s->len; x++) {
        int b = x / s->len / s->heads, h = x / s->len % s->heads, i = x % s->len;
        int hk = h / (s->heads / s->kv_heads), end = s->causal ? i + 1 : s->len;
        *worst_lse = worse(*worst_lse, fabs(softmax_row(s, f->q, f->k, b, h, i, p) - f->lse[x]));
        for (int d = 0; d < s->hd; d++) {
            double y = 0;
            for (int j = 0; j < end; j++)
                y += p[j] * wide(f->v[at(s, s->kv_heads, b, j, hk) + (u64)d]);
            *worst = worse(*worst, fabs(y - wide(f->out[at(s, s->heads, b, i, h) + (u64)d])));
        }
    }
    free(p);
}

static void check_forward(shape s, nmemu_mode mode, u64 seed)
{
    nmemu *m = nmemu_new(1);
    u64 nq = at(&s, s.heads, s.batch, 0, 0), nk = at(&s, s.kv_heads, s.batch, 0, 0);
    forward f = {random_bf16(m, nq, 2), random_bf16(m, nk, 2), random_bf16(m, nk, 1),
                 nmemu_alloc(m, 2 * nq, "out"), nmemu_alloc(m, 4 * nq / (u64)s.hd, "lse")};
    tmap q, k, v, out;
    make_map(&q, f.q, &s, s.heads, 64);
    make_map(&out, f.out, &s, s.heads, 64);
    make_map(&k, f.k, &s, s.kv_heads, 128);
    make_map(&v, f.v, &s, s.kv_heads, 128);
    attn_fwd_params params = {&q,    &k,      &v,         &out,     f.lse,
                              s.len, s.heads, s.kv_heads, s.causal, (float)(M_LOG2E / sqrt(s.hd))};
    say("forward ", &s, mode);
    must(nmemu_run(m,
                   &(nmemu_launch){.name = "attn_fwd",
                                   .fn = s.hd == 64 ? attn_fwd_64 : attn_fwd_128,
                                   .params = &params,
                                   .grid = {((u32)s.len + 127) / 128, (u32)s.heads, (u32)s.batch},
                                   .threads = 384,
                                   .shared_bytes = (u32)s.hd / 64 * (16384 + 4 * 16384) + 128,
                                   .registers = 168,
                                   .mode = mode,
                                   .seed = seed},
                   NULL));
    double worst = 0, worst_lse = 0;
    compare_forward(&s, &f, &worst, &worst_lse);
    printf("error %.1e, lse %.1e\n", worst, worst_lse);
    HOLDS(worst < 1e-2 && worst_lse < 1e-4);
    nmemu_free(m);
}

// --- attention, backward -------------------------------------------------------------------------

typedef struct backward {
    u16 *q, *k, *v, *grad, *dk, *dv;
    float *lse, *delta, *dq;
    double *want_q, *want_k, *want_v;
} backward;

// Query i's share in everybody's gradient.
static void reference_row(const shape *s, backward *w, int b, int h, int i, double *p)
{
    int hk = h / (s->heads / s->kv_heads), end = s->causal ? i + 1 : s->len, hd = s->hd;
    u64 row = ((u64)b * (u64)s->heads + (u64)h) * (u64)s->len + (u64)i,
        qi = at(s, s->heads, b, i, h);
    double lse = softmax_row(s, w->q, w->k, b, h, i, p), delta = 0;
    for (int j = 0; j < end; j++)
        delta += p[j] * dot(w->v + at(s, s->kv_heads, b, j, hk), w->grad + qi, hd);
    w->lse[row] = (float)lse;
    w->delta[row] = (float)delta;
    for (int j = 0; j < end; j++) {
        u64 kj = at(s, s->kv_heads, b, j, hk);
        double ds = p[j] * (dot(w->grad + qi, w->v + kj, hd) - delta) / sqrt(hd);
        for (u64 d = 0; d < (u64)hd; d++) {
            w->want_v[kj + d] += p[j] * wide(w->grad[qi + d]);
            w->want_q[qi + d] += ds * wide(w->k[kj + d]);
            w->want_k[kj + d] += ds * wide(w->q[qi + d]);
        }
    }
}

static void reference_backward(const shape *s, backward *w)
{
    double *p = calloc((u64)s->len, sizeof *p);
    for (int x = 0; x < s->batch * s->heads * s->len; x++)
        reference_row(s, w, x / s->len / s->heads, x / s->len % s->heads, x % s->len, p);
    free(p);
}

static double relative(double worst, double max)
{
    return worst / fmax(max, 0.1);
} // (one key: only rounding)

static double compare_bf16(const u16 *got, const double *want, u64 n)
{
    double worst = 0, max = 0;
    for (u64 i = 0; i < n; i++) {
        worst = worse(worst, fabs(wide(got[i]) - want[i]));
        max = fmax(max, fabs(want[i]));
    }
    return relative(worst, max);
}

// dQ comes in tiles of 64 rows, in the order of the accumulators.
static double compare_dq(const shape *s, const backward *w)
{
    double worst = 0, max = 0;
    int tiles = (s->len + 63) / 64, half = s->hd / 2;
    for (int x = 0; x < s->batch * s->heads * tiles * half * 128; x++) {
        int t = x % 128, e = x / 128 % half, tile = x / 128 / half % tiles,
            bh = x / 128 / half / tiles;
        int row = tile * 64 + t / 32 * 16 + t % 32 / 4 + e / 2 % 2 * 8,
            c = e / 4 * 8 + t % 4 * 2 + e % 2;
        if (row >= s->len)
            continue;
        double want = w->want_q[at(s, s->heads, bh / s->heads, row, bh % s->heads) + (u64)c];
        worst = worse(worst, fabs(want - w->dq[x] / sqrt(s->hd)));
        max = fmax(max, fabs(want));
    }
    return relative(worst, max);
}

static const char *run_backward(nmemu *m, const shape *s, backward *w, nmemu_mode mode, u64 seed)
{
    tmap q, k, v, grad, dk, dv;
    make_map(&q, w->q, s, s->heads, 64);
    make_map(&grad, w->grad, s, s->heads, 64);
    make_map(&k, w->k, s, s->kv_heads, 64);
    make_map(&v, w->v, s, s->kv_heads, 64);
    make_map(&dk, w->dk, s, s->kv_heads, 64);
    make_map(&dv, w->dv, s, s->kv_heads, 64);
    attn_bwd_params params = {
        &q,       &k,    &v,     &grad,    &dk,         &dv,       w->lse,
        w->delta, w->dq, s->len, s->heads, s->kv_heads, s->causal, (float)(1 / sqrt(s->hd))};
    return nmemu_run(
        m,
        &(nmemu_launch){.name = "attn_bwd",
                        .fn = s->hd == 64 ? attn_bwd_64 : attn_bwd_128,
                        .params = &params,
                        .grid = {((u32)s->len + 127) / 128, (u32)s->kv_heads, (u32)s->batch},
                        .threads = 384,
                        .shared_bytes = (u32)s->hd / 64 * 98304 + 2 * 8192 + 128,
                        .registers = 168,
                        .mode = mode,
                        .seed = seed},
        NULL);
}

static void check_backward(shape s, nmemu_mode mode, u64 seed)
{
    nmemu *m = nmemu_new(1);
    u64 nq = at(&s, s.heads, s.batch, 0, 0), nk = at(&s, s.kv_heads, s.batch, 0, 0),
        nl = nq / (u64)s.hd;
    u64 dq_bytes = 4ul * (u64)(s.batch * s.heads * ((s.len + 63) / 64) * 64 * s.hd);
    backward w = {random_bf16(m, nq, 2),          random_bf16(m, nk, 2),
                  random_bf16(m, nk, 1),          random_bf16(m, nq, 1),
                  nmemu_alloc(m, 2 * nk, "dk"),   nmemu_alloc(m, 2 * nk, "dv"),
                  nmemu_alloc(m, 4 * nl, "lse"),  nmemu_alloc(m, 4 * nl, "delta"),
                  nmemu_alloc(m, dq_bytes, "dq"), calloc(nq, sizeof(double)),
                  calloc(nk, sizeof(double)),     calloc(nk, sizeof(double))};
    memset(w.dq, 0, dq_bytes);
    reference_backward(&s, &w);
    say("backward", &s, mode);
    must(run_backward(m, &s, &w, mode, seed));
    double q = compare_dq(&s, &w), k = compare_bf16(w.dk, w.want_k, nk),
           v = compare_bf16(w.dv, w.want_v, nk);
    printf("dq %.1e, dk %.1e, dv %.1e\n", q, k, v);
    HOLDS(q < 1e-2 && k < 1e-2 && v < 1e-2);
    free(w.want_q);
    free(w.want_k);
    free(w.want_v);
    nmemu_free(m);
}

// --- a matrix product for sm_80 ------------------------------------------------------------------

// Also on two CPU threads: the same bits.
static void check_gemm(int rows, int columns, int k, nmemu_mode mode)
{
    nmemu *m = nmemu_new(1), *two = nmemu_new(2);
    u64 bytes = 4ul * (u64)rows * (u64)columns;
    gemm_params p = {random_bf16(m, (u64)rows * (u64)k, 1),
                     random_bf16(m, (u64)k * (u64)columns, 1),
                     nmemu_alloc(m, bytes, "c"),
                     rows,
                     columns,
                     k};
    gemm_params other = p;
    other.c = nmemu_alloc(two, bytes, "c");
    nmemu_launch l = {.name = "gemm_sm80",
                      .fn = gemm_sm80,
                      .params = &p,
                      .grid = {((u32)columns + 63) / 64, ((u32)rows + 63) / 64, 1},
                      .threads = 128,
                      .shared_bytes = 4 * 8192,
                      .mode = mode,
                      .seed = 7};
    must(nmemu_run(m, &l, NULL));
    l.params = &other;
    must(nmemu_run(two, &l, NULL));
    HOLDS(!memcmp(p.c, other.c, bytes));
    double worst = 0;
    for (int i = 0; i < rows * columns; i++) {
        double y = 0;
        for (int x = 0; x < k; x++)
            y += wide(p.a[i / columns * k + x]) * wide(p.b[x * columns + i % columns]);
        worst = worse(worst, fabs(y - p.c[i]));
    }
    printf("gemm_sm80 %d x %d x %d %s: error %.1e\n", rows, columns, k, mode_name[mode], worst);
    HOLDS(worst < 1e-4);
    nmemu_free(m);
    nmemu_free(two);
}

static void check_all(int hd, int causal, nmemu_mode mode)
{
    check_forward((shape){hd, 1, 512, 2, 1, causal}, mode, 1);
    check_forward((shape){hd, 2, 333, 2, 2, causal}, mode, 2);
    check_forward((shape){hd, 1, 1, 1, 1, causal}, mode, 3);
    check_backward((shape){hd, 1, 300, 2, 1, causal}, mode, 4);
    check_backward((shape){hd, 2, 128, 1, 1, causal}, mode, 5);
    check_backward((shape){hd, 1, 1, 1, 1, causal}, mode, 6);
}

static void check_one(const char *kernel, int hd)
{
    for (nmemu_mode mode = NMEMU_EAGER; mode <= NMEMU_RANDOM; mode++)
        for (int causal = 0; causal < 2; causal++)
            if (!strcmp(kernel, "fwd"))
                check_forward((shape){hd, 1, 600, 2, 1, causal}, mode, 1);
            else
                check_backward((shape){hd, 1, 300, 2, 1, causal}, mode, 4);
}

int main(int argc, char **argv)
{
    if (argc == 3) {
        check_one(argv[1], atoi(argv[2]));
        return rig_failures != 0;
    }
    for (nmemu_mode mode = NMEMU_EAGER; mode <= NMEMU_RANDOM; mode++) {
        for (int i = 0; i < 4; i++)
            check_all(i & 1 ? 128 : 64, i >> 1, mode);
        check_gemm(128, 128, 128, mode);
        check_gemm(100, 72, 200, mode);
        check_gemm(1, 8, 8, mode);
    }
    return rig_failures != 0;
}
