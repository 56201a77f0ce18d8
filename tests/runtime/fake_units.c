// A program that is cut into units and for a mesh, as nemocc would emit it, written by hand: two
// repeats (10 and 12 turns), so five units,
//
//     x = E[token]                      unit 0        x += tanh(w1[turn] x) (1 + turn / 100)   1
//     x = g x                           unit 2        the same with w2                         3
//     loss = mean over tokens of |x + E[token] / 10 - E[label]|^2 / 2                          4
//
// trained by SGD with momentum and clipping. E is read at both ends, so it has two owners; the
// first unit's value and its gradient pass all stages. All is elementwise in batch, seq and d,
// which are split over dp, cp and tp. A repeat's turns keep three, two or one value. Every function
// runs in every mode: a collective over axes of size one does nothing.
#include "tests/runtime/fake.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { V = 256, D = 64, L1 = 10, L2 = 12, CONTEXT = 64 };
enum { BATCH, SEQ, BATCH_DP, SEQ_CP, D_TP, L1_PP, L2_PP, PP, N_SYMS };
enum { DIM_BATCH, DIM_SEQ, DIM_D, DIM_L1, DIM_L2, DIM_VOCAB, N_DIMS };
enum { SUM_DATA, SUM_DATA_TIED, SUM_NORM, SUM_LOSS };

static int64_t width(const nmdrv_sym *s) { return s[D_TP].size; }
static int64_t rows(const nmdrv_sym *s) { return s[BATCH_DP].size * s[SEQ_CP].size; }
static int64_t global(const nmdrv_sym *s, int64_t i)
{
    return s->offset + i + (i >= s->half ? s->jump : 0);
}

// A function is one kernel, but for the collectives before it; a driver touches no memory itself.
// clang-format off
#define KERNELS(K)                                                                                 \
    K(embed)                                                                                       \
    K(forward_1_none)                                                                              \
    K(forward_1_selective)                                                                         \
    K(forward_1_full)                                                                              \
    K(forward_3_none)                                                                              \
    K(forward_3_selective)                                                                         \
    K(forward_3_full)                                                                              \
    K(backward_1_none)                                                                             \
    K(backward_1_selective)                                                                        \
    K(backward_1_full)                                                                             \
    K(backward_3_none)                                                                             \
    K(backward_3_selective)                                                                        \
    K(backward_3_full)                                                                             \
    K(scale)                                                                                       \
    K(scale_back) K(turn) K(embed_back) K(eval_turn) K(count) K(init_e) K(init_1) K(init_2)        \
        K(init_3) K(before_e) K(before_1) K(before_2) K(before_3) K(middle) K(after_e) K(after_1)  \
            K(after_2) K(after_3) K(eval_middle) K(last)
// clang-format on
enum {
#define K(name) K_##name,
    KERNELS(K)
#undef K
};

typedef struct call { // a kernel's arguments
    const nmdrv_sym *sym;
    void *const *buf;
} call;

// --- a micro-batch -------------------------------------------------------------------------------

// tokens [rows], E [V, d] -> x [rows, d]
static void embed(const call *f)
{
    const int32_t *token = f->buf[0];
    const float *e = f->buf[1];
    float *x = f->buf[2];
    for (int64_t r = 0, d = width(f->sym); r < rows(f->sym); r++)
        memcpy(x + r * d, e + token[r] * d, (size_t)d * sizeof *x);
}

static float weight_of(const nmdrv_sym *turns, int64_t turn)
{
    return 1 + (float)global(turns, turn) / 100;
}

// What each turn keeps for backward [turns, rows, d], by how many of them: x, tanh, its slope. FULL
// has one, SELECTIVE two, NONE all.
enum { KEPT_X, KEPT_TANH, KEPT_SLOPE, ALL_KEPT };

static float slope_of(float y, float weight) { return (1 - y * y) * weight; }

// x, w [turns, d] -> x', kept
static void forward_repeat(const call *f, int turns, int n_kept)
{
    const nmdrv_sym *s = f->sym;
    int64_t d = width(s), n = rows(s) * d;
    const float *w = f->buf[1];
    float *x = f->buf[2], *kept[ALL_KEPT] = {NULL};
    for (int k = 0; k < n_kept; k++)
        kept[k] = f->buf[3 + k];
    memcpy(x, f->buf[0], (size_t)n * sizeof *x);
    for (int64_t t = 0; t < s[turns].size; t++)
        for (int64_t i = 0; i < n; i++) {
            float weight = weight_of(&s[turns], t), y = tanhf(w[t * d + i % d] * x[i]);
            kept[KEPT_X][t * n + i] = x[i];
            if (n_kept > KEPT_TANH)
                kept[KEPT_TANH][t * n + i] = y;
            if (n_kept > KEPT_SLOPE)
                kept[KEPT_SLOPE][t * n + i] = slope_of(y, weight);
            x[i] += y * weight;
        }
}

// dx', w, dw +=, -> dx; kept
static void backward_repeat(const call *f, int turns, int n_kept)
{
    const nmdrv_sym *s = f->sym;
    int64_t d = width(s), n = rows(s) * d;
    const float *w = f->buf[1], *kept[ALL_KEPT] = {NULL};
    float *dw = f->buf[2], *dx = f->buf[3];
    for (int k = 0; k < n_kept; k++)
        kept[k] = f->buf[4 + k];
    memcpy(dx, f->buf[0], (size_t)n * sizeof *dx);
    for (int64_t t = s[turns].size - 1; t >= 0; t--)
        for (int64_t i = 0; i < n; i++) {
            float x = kept[KEPT_X][t * n + i], wi = w[t * d + i % d];
            float y = n_kept > KEPT_TANH ? kept[KEPT_TANH][t * n + i] : tanhf(wi * x);
            float slope = n_kept > KEPT_SLOPE ? kept[KEPT_SLOPE][t * n + i]
                                              : slope_of(y, weight_of(&s[turns], t));
            slope *= dx[i];
            dw[t * d + i % d] += slope * x;
            dx[i] += slope * wi;
        }
}
#define REPEAT(unit, turns, variant, n_kept)                                                       \
    static void forward_##unit##_##variant(const call *f) { forward_repeat(f, turns, n_kept); }    \
    static void backward_##unit##_##variant(const call *f) { backward_repeat(f, turns, n_kept); }
REPEAT(1, L1_PP, none, 3)
REPEAT(1, L1_PP, selective, 2)
REPEAT(1, L1_PP, full, 1)
REPEAT(3, L2_PP, none, 3)
REPEAT(3, L2_PP, selective, 2)
REPEAT(3, L2_PP, full, 1)

// x, g [d] -> g x
static void scale(const call *f)
{
    const float *x = f->buf[0], *g = f->buf[1];
    float *y = f->buf[2];
    for (int64_t i = 0, d = width(f->sym); i < rows(f->sym) * d; i++)
        y[i] = g[i % d] * x[i];
}

// dy, x, g, dg += -> dx
static void scale_back(const call *f)
{
    const float *dy = f->buf[0], *x = f->buf[1], *g = f->buf[2];
    float *dg = f->buf[3], *dx = f->buf[4];
    for (int64_t i = 0, d = width(f->sym); i < rows(f->sym) * d; i++) {
        dg[i % d] += dy[i] * x[i];
        dx[i] = dy[i] * g[i % d];
    }
}

// x, first [rows, d], E, labels -> y = x + first / 10 - E[label]; returns the sum of squares
static float miss(const call *f, float *y)
{
    const float *x = f->buf[0], *first = f->buf[1], *e = f->buf[2];
    const int32_t *label = f->buf[3];
    float sum = 0;
    for (int64_t i = 0, d = width(f->sym); i < rows(f->sym) * d; i++) {
        y[i] = x[i] + first[i] / 10 - e[label[i / d] * d + i % d];
        sum += y[i] * y[i];
    }
    return sum;
}

// x, first, E, labels, count, loss +=, dE += -> dx, dfirst
static void turn(const call *f)
{
    const int32_t *label = f->buf[3];
    float count = *(float *)f->buf[4], *de = f->buf[6], *dx = f->buf[7], *dfirst = f->buf[8];
    *(float *)f->buf[5] += miss(f, f->buf[9]) / (2 * count);
    for (int64_t i = 0, d = width(f->sym); i < rows(f->sym) * d; i++) {
        dx[i] = ((float *)f->buf[9])[i] / count;
        dfirst[i] = dx[i] / 10;
        de[label[i / d] * d + i % d] -= dx[i];
    }
}

// dx, dfirst, tokens, dE +=
static void embed_back(const call *f)
{
    const float *dx = f->buf[0], *dfirst = f->buf[1];
    const int32_t *token = f->buf[2];
    float *de = f->buf[3];
    for (int64_t i = 0, d = width(f->sym); i < rows(f->sym) * d; i++)
        de[token[i / d] * d + i % d] += dx[i] + dfirst[i];
}

// x, first, E, labels, loss +=, rows +=
static void eval_turn(const call *f)
{
    *(float *)f->buf[4] += miss(f, f->buf[6]);
    *(float *)f->buf[5] += (float)(rows(f->sym) * width(f->sym));
}

// labels, count +=
static void count(const call *f) { *(float *)f->buf[1] += (float)rows(f->sym); }

// --- the ends of a step --------------------------------------------------------------------------

// seed -> w [n, d], m: by global index of both dims
static void init_rows(const call *f, const nmdrv_sym *outer, int64_t n, float base)
{
    const nmdrv_sym *s = f->sym;
    uint64_t seed = (uint64_t)((int64_t *)f->buf[0])[0];
    float *w = f->buf[1];
    for (int64_t i = 0, d = width(s); i < n * d; i++) {
        int64_t row = outer ? global(outer, i / d) : i / d;
        w[i] = base + 0.3f * noise(seed * 977 + (uint64_t)(row * D + global(&s[D_TP], i % d)));
    }
    memset(f->buf[2], 0, (size_t)(n * width(s)) * sizeof *w);
}
static void init_e(const call *f) { init_rows(f, NULL, V, 0); }
static void init_1(const call *f) { init_rows(f, &f->sym[L1_PP], f->sym[L1_PP].size, 0.1f); }
static void init_2(const call *f) { init_rows(f, NULL, 1, 1); }
static void init_3(const call *f) { init_rows(f, &f->sym[L2_PP], f->sym[L2_PP].size, -0.1f); }

// gradient, norm +=: its squares; of several owners, the first one's
static void squares(const call *f, int64_t n, bool counts)
{
    const float *g = f->buf[0];
    for (int64_t i = 0; counts && i < n; i++)
        *(float *)f->buf[1] += g[i] * g[i];
}
static void before_e(const call *f) { squares(f, V * width(f->sym), f->sym[PP].offset == 0); }
static void before_1(const call *f) { squares(f, f->sym[L1_PP].size * width(f->sym), true); }
static void before_2(const call *f) { squares(f, width(f->sym), true); }
static void before_3(const call *f) { squares(f, f->sym[L2_PP].size * width(f->sym), true); }

// loss, norm, clip -> loss, grad_norm, scale
static void middle(const call *f)
{
    float norm = sqrtf(*(float *)f->buf[1]), clip = *(float *)f->buf[2];
    *(float *)f->buf[3] = *(float *)f->buf[0];
    *(float *)f->buf[4] = norm;
    *(float *)f->buf[5] = clip > 0 && norm > clip ? clip / norm : 1;
}

// scale, lr, momentum, gradient, w, m
static void update(const call *f, int64_t n)
{
    float scale = *(float *)f->buf[0], lr = *(float *)f->buf[1], keep = *(float *)f->buf[2];
    float *g = f->buf[3], *w = f->buf[4], *m = f->buf[5];
    for (int64_t i = 0; i < n; i++) {
        m[i] = keep * m[i] + scale * g[i];
        w[i] -= lr * m[i];
    }
}
static void after_e(const call *f) { update(f, V * width(f->sym)); }
static void after_1(const call *f) { update(f, f->sym[L1_PP].size * width(f->sym)); }
static void after_2(const call *f) { update(f, width(f->sym)); }
static void after_3(const call *f) { update(f, f->sym[L2_PP].size * width(f->sym)); }

// loss, rows -> loss
static void eval_middle(const call *f)
{
    *(float *)f->buf[2] = *(float *)f->buf[0] / *(float *)f->buf[1];
}

// One launch that computes for FAKE_LAUNCH seconds; or, below 0, that never ends and does nothing.
static void last(const call *f)
{
    (void)f;
    struct timespec start, now;
    double seconds = atof(getenv("FAKE_LAUNCH"));
    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (seconds < 0)
            nanosleep(&(struct timespec){1, 0}, NULL);
    } while (seconds < 0 ||
             (double)(now.tv_sec - start.tv_sec) + 1e-9 * (double)(now.tv_nsec - start.tv_nsec) <
                 seconds);
}

// --- drivers -------------------------------------------------------------------------------------

#define K(name)                                                                                    \
    static void k_##name(const nmdrv_sym *sym, void *const *arg, int64_t from, int64_t to,         \
                         void *scratch)                                                            \
    {                                                                                              \
        (void)from, (void)to, (void)scratch;                                                       \
        name(&(call){sym, arg});                                                                   \
    }                                                                                              \
    static void launch_##name(nmdrv_frame *f) { f->call->launch(f, K_##name, 1, f->buf); }
KERNELS(K)
#undef K
static const nmdrv_kernel kernels[] = {
#define K(x) [K_##x] = {.name = "map." #x, .where = "units.nm:4", .fn = k_##x, .grain = 1},
    KERNELS(K)
#undef K
};

static void all_reduce(nmdrv_frame *f, int collective, int buf, int64_t n)
{
    f->call->collective(f, collective, &n, f->buf[buf], f->buf[buf]);
}
static void run_counted(nmdrv_frame *f) { all_reduce(f, SUM_DATA, 0, 1); }
static void run_before_e(nmdrv_frame *f)
{
    all_reduce(f, SUM_DATA_TIED, 0, V * width(f->sym));
    launch_before_e(f);
}
static void run_before_1(nmdrv_frame *f)
{
    all_reduce(f, SUM_DATA, 0, f->sym[L1_PP].size * width(f->sym));
    launch_before_1(f);
}
static void run_before_2(nmdrv_frame *f)
{
    all_reduce(f, SUM_DATA, 0, width(f->sym));
    launch_before_2(f);
}
static void run_before_3(nmdrv_frame *f)
{
    all_reduce(f, SUM_DATA, 0, f->sym[L2_PP].size * width(f->sym));
    launch_before_3(f);
}

// A stage that computes for long, in many calls of the device or in one.
static void work(nmdrv_frame *f)
{
    const char *calls = getenv("FAKE_CALLS");
    const struct timespec tenth = {0, 100000000L};
    for (int i = 0; f->sym[PP].offset == 1 && calls && i < atoi(calls); i++) {
        nanosleep(&tenth, NULL);
        f->call->copy(f, f->buf[0], f->buf[0], 0);
    }
    if (f->sym[PP].offset == 1 && getenv("FAKE_LAUNCH"))
        launch_last(f);
}

// The sums go on while the rank dawdles.
static void run_middle(nmdrv_frame *f)
{
    work(f);
    all_reduce(f, SUM_NORM, 1, 1);
    all_reduce(f, SUM_LOSS, 0, 1);
    dawdle();
    f->call->wait(f, SUM_NORM);
    f->call->wait(f, SUM_LOSS);
    launch_middle(f);
}
static void run_eval_middle(nmdrv_frame *f)
{
    for (int buf = 0; buf < 2; buf++) {
        all_reduce(f, SUM_LOSS, buf, 1);
        f->call->wait(f, SUM_LOSS);
    }
    launch_eval_middle(f);
}

// --- tables --------------------------------------------------------------------------------------

static const int64_t ax_dp[] = {NMDRV_DPR, NMDRV_DPS, NMDRV_DPP}, ax_cp[] = {NMDRV_CPR, NMDRV_CPS},
                     ax_tp[] = {NMDRV_TPK, NMDRV_TPR}, ax_pp[] = {NMDRV_PP};
static const nmdrv_sym_info syms[N_SYMS] = {
    [BATCH] = {"batch", "units.nm:2", 1, 0, 1, "", 0, -1, 0, 0, NULL, 0, 0},
    [SEQ] = {"seq", "units.nm:2", 1, CONTEXT, 1, "", 0, -1, 0, 0, NULL, 0, 0},
    [BATCH_DP] = {"batch.dp", "units.nm:2", 1, 0, 1, "batch", 0, BATCH, 0, 3, ax_dp, 0, 0},
    [SEQ_CP] = {"seq.cp", "units.nm:2", 1, 0, 1, "seq", 0, SEQ, 0, 2, ax_cp, 0, 0},
    [D_TP] = {"d.tp", "units.nm:1", 1, 0, 1, "d", D, -1, 0, 2, ax_tp, 0, 0},
    [L1_PP] = {"l1.pp", "units.nm:1", 1, 0, 1, "l1", L1, -1, 0, 1, ax_pp, 0, 0},
    [L2_PP] = {"l2.pp", "units.nm:1", 1, 0, 1, "l2", L2, -1, 0, 1, ax_pp, 0, 0},
    [PP] = {"pp", "", 1, 0, 1, "", 0, -1, 0, 1, ax_pp, 0, 0},
};
static const nmdrv_dim dims[N_DIMS] = {
    [DIM_BATCH] = {"batch", "units.nm:2", 0, BATCH_DP},
    [DIM_SEQ] = {"seq", "units.nm:2", 0, SEQ_CP},
    [DIM_D] = {"d", "units.nm:1", 0, D_TP},
    [DIM_L1] = {"l1", "units.nm:1", 0, L1_PP},
    [DIM_L2] = {"l2", "units.nm:1", 0, L2_PP},
    [DIM_VOCAB] = {"vocab", "units.nm:1", V, -1},
};
static const int64_t tokens_dims[] = {DIM_BATCH, DIM_SEQ}, of_x[] = {DIM_BATCH, DIM_SEQ, DIM_D},
                     of_e[] = {DIM_VOCAB, DIM_D}, of_1[] = {DIM_L1, DIM_D}, of_2[] = {DIM_D},
                     of_3[] = {DIM_L2, DIM_D}, of_s1[] = {DIM_L1, DIM_BATCH, DIM_SEQ, DIM_D},
                     of_s3[] = {DIM_L2, DIM_BATCH, DIM_SEQ, DIM_D}, e_shape[] = {V, D},
                     w1_shape[] = {L1, D}, g_shape[] = {D}, w2_shape[] = {L2, D};
static const nmdrv_param params[] = {
    {"e", 0, 0, 0, NMDRV_F32, 2, of_e, e_shape, "sgd", 0},
    {"w1", 0, 0, 0, NMDRV_F32, 2, of_1, w1_shape, "sgd", 0},
    {"g", 0, 0, 0, NMDRV_F32, 1, of_2, g_shape, "sgd", 0},
    {"w2", 0, 0, 0, NMDRV_F32, 2, of_3, w2_shape, "sgd", 0},
    {"sgd.m.e", 1, 0, 0, NMDRV_F32, 2, of_e, e_shape, "sgd", 0},
    {"sgd.m.w1", 1, 0, 0, NMDRV_F32, 2, of_1, w1_shape, "sgd", 0},
    {"sgd.m.g", 1, 0, 0, NMDRV_F32, 1, of_2, g_shape, "sgd", 0},
    {"sgd.m.w2", 1, 0, 0, NMDRV_F32, 2, of_3, w2_shape, "sgd", 0},
};

// clang-format off
#define ROW(bind, name, buf, rank, dim, next, chunked)                                             \
    {bind, name, buf, NMDRV_F32, rank, dim, -1, next, chunked}
// clang-format on
#define E(bind, name, buf)       ROW(bind, name, buf, 2, of_e, "", 0)
#define W1(bind, name, buf)      ROW(bind, name, buf, 2, of_1, "", 1)
#define G(bind, name, buf)       ROW(bind, name, buf, 1, of_2, "", 0)
#define W2(bind, name, buf)      ROW(bind, name, buf, 2, of_3, "", 1)
#define NUMBER(bind, name, buf)  ROW(bind, name, buf, 0, NULL, "", 0)
#define LINK(name, buf)          ROW(NMDRV_LINK, name, buf, 3, of_x, "", 0)
#define CARRIED(name, next, buf) ROW(NMDRV_LINK, name, buf, 3, of_x, next, 0)
#define SAVED(name, buf, dim)    ROW(NMDRV_LINK, name, buf, 4, dim, "", 1)

// Bytes of a function's buffers, by what its rows say.
static int64_t bytes_of(const nmdrv_sym *s, const nmdrv_arg *a)
{
    int64_t n = a->dtype == NMDRV_I64 ? 8 : 4;
    for (int64_t i = 0; i < a->rank; i++)
        n *= dims[a->dim[i]].sym < 0 ? dims[a->dim[i]].extent : s[dims[a->dim[i]].sym].size;
    return n;
}
static void sizes_of(const nmdrv_sym *s, const nmdrv_arg *a, int64_t n, int64_t *bytes)
{
    for (int64_t i = 0; i < n; i++)
        bytes[a[i].buf] = bytes_of(s, &a[i]);
}
#define SIZES(f)                                                                                   \
    static void sizes_##f(const nmdrv_sym *s, int64_t *bytes)                                      \
    {                                                                                              \
        sizes_of(s, f##_args, COUNT(f##_args), bytes);                                             \
        sizes_of(s, f##_results, COUNT(f##_results), bytes);                                       \
    }
#define ARGS(f)    static const nmdrv_arg f##_args[]
#define RESULTS(f) static const nmdrv_arg f##_results[]

#define PARAM NMDRV_PARAM
#define STATE NMDRV_STATE
#define ACC   NMDRV_ACC

ARGS(f0) = {FIELD("tokens", 0), E(PARAM, "e", 1)};
RESULTS(f0) = {LINK("x0", 2)};
SIZES(f0)
// A repeat's variants: what its turns keep, in buffers from `at` on.
// clang-format off
#define KEEPS_full(unit, at)      SAVED("given" #unit, at, of_s##unit)
#define KEEPS_selective(unit, at) KEEPS_full(unit, at), SAVED("tanh" #unit, at + 1, of_s##unit)
#define KEEPS_none(unit, at)      KEEPS_selective(unit, at), SAVED("slope" #unit, at + 2, of_s##unit)
// clang-format on
#define REPEAT_ROWS(unit, variant, W, w, x, y, dy, dx)                                             \
    ARGS(f##unit##_##variant) = {CARRIED(x, y, 0), W(PARAM, w, 1)};                                \
    RESULTS(f##unit##_##variant) = {LINK(y, 2), KEEPS_##variant(unit, 3)};                         \
    SIZES(f##unit##_##variant)                                                                     \
    ARGS(b##unit##_##variant) = {CARRIED(dy, dx, 0), W(PARAM, w, 1), W(ACC, "grad." w, 2),         \
                                 KEEPS_##variant(unit, 4)};                                        \
    RESULTS(b##unit##_##variant) = {LINK(dx, 3), W(ACC, "grad." w, 2)};                            \
    SIZES(b##unit##_##variant)
REPEAT_ROWS(1, none, W1, "w1", "x0", "x1", "dx1", "dx0")
REPEAT_ROWS(1, selective, W1, "w1", "x0", "x1", "dx1", "dx0")
REPEAT_ROWS(1, full, W1, "w1", "x0", "x1", "dx1", "dx0")
REPEAT_ROWS(3, none, W2, "w2", "x2", "x3", "dx3", "dx2")
REPEAT_ROWS(3, selective, W2, "w2", "x2", "x3", "dx3", "dx2")
REPEAT_ROWS(3, full, W2, "w2", "x2", "x3", "dx3", "dx2")
ARGS(f2) = {LINK("x1", 0), G(PARAM, "g", 1)};
RESULTS(f2) = {LINK("x2", 2)};
SIZES(f2)
ARGS(turn) = {LINK("x3", 0),
              LINK("x0", 1),
              E(PARAM, "e", 2),
              FIELD("labels", 3),
              NUMBER(NMDRV_CNT, "count", 4),
              NUMBER(ACC, "loss", 5),
              E(ACC, "grad.e", 6)};
RESULTS(turn) = {LINK("dx3", 7), LINK("dfirst", 8), NUMBER(ACC, "loss", 5), E(ACC, "grad.e", 6)};
static void sizes_turn(const nmdrv_sym *s, int64_t *bytes)
{
    sizes_of(s, turn_args, COUNT(turn_args), bytes);
    sizes_of(s, turn_results, COUNT(turn_results), bytes);
    bytes[9] = bytes[0];
}
ARGS(b2) = {LINK("dx2", 0), LINK("x1", 1), G(PARAM, "g", 2), G(ACC, "grad.g", 3)};
RESULTS(b2) = {LINK("dx1", 4), G(ACC, "grad.g", 3)};
SIZES(b2)
ARGS(b0) = {LINK("dx0", 0), LINK("dfirst", 1), FIELD("tokens", 2), E(ACC, "grad.e", 3)};
RESULTS(b0) = {E(ACC, "grad.e", 3)};
SIZES(b0)
ARGS(eval_turn) = {LINK("x3", 0),      LINK("x0", 1),          E(PARAM, "e", 2),
                   FIELD("labels", 3), NUMBER(ACC, "loss", 4), NUMBER(ACC, "rows", 5)};
RESULTS(eval_turn) = {NUMBER(ACC, "loss", 4), NUMBER(ACC, "rows", 5)};
static void sizes_eval_turn(const nmdrv_sym *s, int64_t *bytes)
{
    sizes_of(s, eval_turn_args, COUNT(eval_turn_args), bytes);
    bytes[6] = bytes[0];
}
ARGS(count) = {FIELD("labels", 0), NUMBER(NMDRV_CNT, "count", 1)};
RESULTS(count) = {NUMBER(NMDRV_CNT, "count", 1)};
SIZES(count)
ARGS(counted) = {NUMBER(NMDRV_CNT, "count", 0)};
RESULTS(counted) = {NUMBER(NMDRV_CNT, "count", 0)};
SIZES(counted)

#define INIT(f, M, name)                                                                           \
    ARGS(f) = {SCALAR("seed", 0, NMDRV_I64)};                                                      \
    RESULTS(f) = {M(PARAM, name, 1), M(STATE, "sgd.m." name, 2)};                                  \
    SIZES(f)
#define BEFORE(f, M, name)                                                                         \
    ARGS(f) = {M(ACC, "grad." name, 0), NUMBER(ACC, "norm", 1)};                                   \
    RESULTS(f) = {M(ACC, "grad." name, 0), NUMBER(ACC, "norm", 1)};                                \
    SIZES(f)
#define AFTER(f, M, name)                                                                          \
    ARGS(f) = {NUMBER(NMDRV_LINK, "scale", 0),                                                     \
               NUMBER(NMDRV_SCALAR, "lr", 1),                                                      \
               NUMBER(NMDRV_SCALAR, "momentum", 2),                                                \
               M(ACC, "grad." name, 3),                                                            \
               M(PARAM, name, 4),                                                                  \
               M(STATE, "sgd.m." name, 5)};                                                        \
    RESULTS(f) = {M(PARAM, name, 4), M(STATE, "sgd.m." name, 5)};                                  \
    SIZES(f)
INIT(init_e, E, "e")
INIT(init_1, W1, "w1")
INIT(init_2, G, "g")
INIT(init_3, W2, "w2")
BEFORE(before_e, E, "e")
BEFORE(before_1, W1, "w1")
BEFORE(before_2, G, "g")
BEFORE(before_3, W2, "w2")
AFTER(after_e, E, "e")
AFTER(after_1, W1, "w1")
AFTER(after_2, G, "g")
AFTER(after_3, W2, "w2")
ARGS(middle) = {NUMBER(ACC, "loss", 0), NUMBER(ACC, "norm", 1), NUMBER(NMDRV_SCALAR, "clip", 2)};
RESULTS(middle) = {NUMBER(NMDRV_EMIT, "loss", 3), NUMBER(NMDRV_EMIT, "grad_norm", 4),
                   NUMBER(NMDRV_LINK, "scale", 5)};
SIZES(middle)
ARGS(eval_middle) = {NUMBER(ACC, "loss", 0), NUMBER(ACC, "rows", 1)};
RESULTS(eval_middle) = {NUMBER(NMDRV_EMIT, "loss", 2)};
SIZES(eval_middle)

static int64_t flops_repeat_1(const nmdrv_sym *s) { return rows(s) * width(s) * s[L1_PP].size; }
static int64_t flops_repeat_3(const nmdrv_sym *s) { return rows(s) * width(s) * s[L2_PP].size; }
static int64_t flops_back_1(const nmdrv_sym *s) { return 2 * flops_repeat_1(s); }
static int64_t flops_back_3(const nmdrv_sym *s) { return 2 * flops_repeat_3(s); }
static int64_t flops_full_1(const nmdrv_sym *s) { return 3 * flops_repeat_1(s); }
static int64_t flops_full_3(const nmdrv_sym *s) { return 3 * flops_repeat_3(s); }
// clang-format off
#define MISS {NMDRV_BUF_TRANSIENT, 0, 0, "miss", "units.nm:9"}
// clang-format on
static const nmdrv_buf bound[] = {BOUND, BOUND, BOUND, BOUND, BOUND, BOUND, BOUND};
static const nmdrv_buf turn_bufs[] = {BOUND, BOUND, BOUND, BOUND, BOUND,
                                      BOUND, BOUND, BOUND, BOUND, MISS};
static const nmdrv_buf eval_turn_bufs[] = {BOUND, BOUND, BOUND, BOUND, BOUND, BOUND, MISS};

// clang-format off
#define VARIANT(name, role, phase, units, turns, body, table, flops, bufs, n_bufs, recompute)      \
    {name,                                                                                         \
     role,                                                                                         \
     "",                                                                                           \
     -1,                                                                                           \
     phase,                                                                                        \
     units,                                                                                        \
     turns,                                                                                        \
     NMDRV_EACH,                                                                                   \
     body,                                                                                         \
     sizes_##table,                                                                                \
     flops,                                                                                        \
     n_bufs,                                                                                       \
     COUNT(table##_args),                                                                          \
     COUNT(table##_results),                                                                       \
     bufs,                                                                                         \
     table##_args,                                                                                 \
     table##_results,                                                                              \
     recompute,                                                                                    \
     -1,                                                                                           \
     0}
// clang-format on
#define FUNC(name, role, phase, units, turns, body, table, flops, bufs, n_bufs)                    \
    VARIANT(name, role, phase, units, turns, body, table, flops, bufs, n_bufs, -1)
#define MICRO(name, phase, unit, turns, body, table, flops, n)                                     \
    FUNC("train.micro." name, NMDRV_MICRO, phase, 1 << unit, turns, body, table, flops, bound, n)
#define FORWARD(unit, turns, variant, recompute)                                                   \
    VARIANT("train.micro.forward." #unit "." #variant, NMDRV_MICRO, NMDRV_FORWARD, 1 << unit,      \
            turns, launch_forward_##unit##_##variant, f##unit##_##variant, flops_repeat_##unit,    \
            bound, COUNT(f##unit##_##variant##_args) + COUNT(f##unit##_##variant##_results),       \
            NMDRV_RECOMPUTE_##recompute)
#define BACKWARD(unit, turns, variant, flops, recompute)                                           \
    VARIANT("train.micro.backward." #unit "." #variant, NMDRV_MICRO, NMDRV_BACKWARD, 1 << unit,    \
            turns, launch_backward_##unit##_##variant, b##unit##_##variant, flops, bound,          \
            COUNT(b##unit##_##variant##_args) + 1, NMDRV_RECOMPUTE_##recompute)
#define EVAL(name, unit, turns, body, table, flops, n)                                             \
    FUNC("eval.micro." name, NMDRV_EVAL_MICRO, NMDRV_FORWARD, 1 << unit, turns, body, table,       \
         flops, bound, n)
#define OF_E 1 << 0 | 1 << 4
#define OWNER(name, role, phase, units, turns, run, f, n)                                          \
    FUNC(name, role, phase, units, turns, run, f, no_flops, bound, n)
static const nmdrv_func funcs[] = {
    OWNER("init.0_4", NMDRV_INIT, NMDRV_WHOLE, OF_E, -1, launch_init_e, init_e, 3),
    OWNER("init.1", NMDRV_INIT, NMDRV_WHOLE, 1 << 1, L1_PP, launch_init_1, init_1, 3),
    OWNER("init.2", NMDRV_INIT, NMDRV_WHOLE, 1 << 2, -1, launch_init_2, init_2, 3),
    OWNER("init.3", NMDRV_INIT, NMDRV_WHOLE, 1 << 3, L2_PP, launch_init_3, init_3, 3),
    FUNC("train.count", NMDRV_COUNT, NMDRV_WHOLE, 0, -1, launch_count, count, no_flops, bound, 2),
    FUNC("train.counted", NMDRV_COUNT, NMDRV_MIDDLE, 0, -1, run_counted, counted, no_flops, bound,
         1),
    MICRO("forward.0", NMDRV_FORWARD, 0, -1, launch_embed, f0, no_flops, 3),
    FORWARD(1, L1_PP, none, NONE),
    FORWARD(1, L1_PP, selective, SELECTIVE),
    FORWARD(1, L1_PP, full, FULL),
    MICRO("forward.2", NMDRV_FORWARD, 2, -1, launch_scale, f2, no_flops, 3),
    FORWARD(3, L2_PP, none, NONE),
    FORWARD(3, L2_PP, selective, SELECTIVE),
    FORWARD(3, L2_PP, full, FULL),
    FUNC("train.micro.turn", NMDRV_MICRO, NMDRV_TURN, 1 << 4, -1, launch_turn, turn, no_flops,
         turn_bufs, 10),
    BACKWARD(3, L2_PP, none, flops_back_3, NONE),
    BACKWARD(3, L2_PP, selective, flops_back_3, SELECTIVE),
    BACKWARD(3, L2_PP, full, flops_full_3, FULL),
    MICRO("backward.2", NMDRV_BACKWARD, 2, -1, launch_scale_back, b2, no_flops, 5),
    BACKWARD(1, L1_PP, none, flops_back_1, NONE),
    BACKWARD(1, L1_PP, selective, flops_back_1, SELECTIVE),
    BACKWARD(1, L1_PP, full, flops_full_1, FULL),
    MICRO("backward.0", NMDRV_BACKWARD, 0, -1, launch_embed_back, b0, no_flops, 4),
    OWNER("train.finish.before.0_4", NMDRV_FINISH, NMDRV_BEFORE, OF_E, -1, run_before_e, before_e,
          2),
    OWNER("train.finish.before.1", NMDRV_FINISH, NMDRV_BEFORE, 1 << 1, L1_PP, run_before_1,
          before_1, 2),
    OWNER("train.finish.before.2", NMDRV_FINISH, NMDRV_BEFORE, 1 << 2, -1, run_before_2, before_2,
          2),
    OWNER("train.finish.before.3", NMDRV_FINISH, NMDRV_BEFORE, 1 << 3, L2_PP, run_before_3,
          before_3, 2),
    OWNER("train.finish.middle", NMDRV_FINISH, NMDRV_MIDDLE, 0, -1, run_middle, middle, 6),
    OWNER("train.finish.after.0_4", NMDRV_FINISH, NMDRV_AFTER, OF_E, -1, launch_after_e, after_e,
          6),
    OWNER("train.finish.after.1", NMDRV_FINISH, NMDRV_AFTER, 1 << 1, L1_PP, launch_after_1, after_1,
          6),
    OWNER("train.finish.after.2", NMDRV_FINISH, NMDRV_AFTER, 1 << 2, -1, launch_after_2, after_2,
          6),
    OWNER("train.finish.after.3", NMDRV_FINISH, NMDRV_AFTER, 1 << 3, L2_PP, launch_after_3, after_3,
          6),
    EVAL("forward.0", 0, -1, launch_embed, f0, no_flops, 3),
    EVAL("forward.1", 1, L1_PP, launch_forward_1_full, f1_full, flops_repeat_1, 4),
    EVAL("forward.2", 2, -1, launch_scale, f2, no_flops, 3),
    EVAL("forward.3", 3, L2_PP, launch_forward_3_full, f3_full, flops_repeat_3, 4),
    FUNC("eval.micro.turn", NMDRV_EVAL_MICRO, NMDRV_TURN, 1 << 4, -1, launch_eval_turn, eval_turn,
         no_flops, eval_turn_bufs, 7),
    OWNER("eval.finish.middle", NMDRV_EVAL_FINISH, NMDRV_MIDDLE, 0, -1, run_eval_middle,
          eval_middle, 3),
};

#define BIT(a) ((int64_t)1 << NMDRV_##a)
#define DATA   (BIT(DPR) | BIT(DPS) | BIT(DPP) | BIT(CPR) | BIT(CPS))
#define TP     (BIT(TPK) | BIT(TPR))
static const nmdrv_mode modes[] = {{"one", BIT(PP), 1, 0},
                                   {"mesh", (BIT(PP) | DATA | TP) & ~BIT(DPP), 1, 0}};
static const nmdrv_collective collectives[] = {
    [SUM_DATA] = {"all_reduce.grad", "units.nm:12", NMDRV_ALL_REDUCE, NMDRV_F32, 0, DATA, -1, 0, 0,
                  0, 0},
    [SUM_DATA_TIED] = {"all_reduce.grad.e", "units.nm:4", NMDRV_ALL_REDUCE, NMDRV_F32, 0,
                       DATA | BIT(PP), -1, 0, OF_E, 0, 0},
    [SUM_NORM] = {"all_reduce.norm", "units.nm:12", NMDRV_ALL_REDUCE, NMDRV_F32, 0, BIT(PP) | TP,
                  -1, 0, 0, 0, 1},
    [SUM_LOSS] = {"all_reduce.loss", "units.nm:9", NMDRV_ALL_REDUCE, NMDRV_F32, 0,
                  DATA | BIT(PP) | TP, -1, 0, 0, 0, 1},
};
static const nmdrv_hyper hypers[] = {
    {"lr", 0.1, 0, ""}, {"momentum", 0.9, 0, ""}, {"clip", 1, 0, ""}};

// What all flavours have.
#define TABLES                                                                                     \
    .version = NMDRV_VERSION, .precision = "f32", .name = "units", .preset = "tiny",               \
    .hash = "0ddba11", .compiler = "nobody", .cpu = "x86-64", .cpu_level = 1, .n_syms = N_SYMS,    \
    .n_dims = N_DIMS, .n_params = COUNT(params), .n_hypers = COUNT(hypers),                        \
    .n_funcs = COUNT(funcs), .sym = syms, .dim = dims, .param = params, .hyper = hypers,           \
    .func = funcs, .kernel = kernels, .n_kernels = COUNT(kernels), .n_modes = COUNT(modes),        \
    .n_collectives = COUNT(collectives), .n_units = 5, .mode = modes, .collective = collectives,   \
    .pp_turns = L1 + L2, .pp_where = "l1 (units.nm:1)", .batch = "batch", .seq = "seq",            \
    .no_decode = "it has no model", .recipe = "",

static const nmdrv_program program = {.flavour = NMDRV_HOST, TABLES};
// Its functions count for the device null; nothing else can run them.
static const nmdrv_program gpu = {.flavour = NMDRV_GPU, TABLES};

const nmdrv_program *const nemocc_programs[] = {&program, &gpu, NULL};
