// A program as nemocc would emit it, written by hand: a trigram language model
//
//     x[t] = here[token t] + before[token t - 1],   logits = x . out,   loss = mean cross entropy
//
// trained by SGD with momentum and clipping. The gradient is that of softmax regression. It has
// every role of the driver ABI, a cache in DECODE, and enough transients to make the plan pack.
#include "tests/runtime/fake.h"

#include <math.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#ifndef FAKE_VOCAB
#define FAKE_VOCAB 256
#endif
#ifndef FAKE_NO_DECODE // why it cannot generate, although the function is here; "": it can
#define FAKE_NO_DECODE ""
#endif
#ifndef FAKE_NAME
#define FAKE_NAME "fake"
#endif

enum { V = FAKE_VOCAB, D = 32, CONTEXT = 64 };
enum { BATCH, SEQ, N_SYMS };
enum { DIM_BATCH, DIM_SEQ, DIM_VOCAB, DIM_D, DIM_CONTEXT, N_DIMS };
enum {
    K_INIT,
    K_COUNT,
    K_FORWARD,
    K_DX,
    K_DOUT,
    K_DEMBED,
    K_LOSS,
    K_NORM,
    K_UPDATE,
    K_MEAN,
    K_DECODE,
    K_SCHEDULE
};

static int64_t rows(const nmdrv_sym *sym) { return sym[BATCH].size * sym[SEQ].size; }

static void launch(nmdrv_frame *f, int kernel, int64_t count, int n, const int *buf)
{
    void *arg[16];
    for (int i = 0; i < n; i++)
        arg[i] = f->buf[buf[i]];
    f->call->launch(f, kernel, count, arg);
}
#define LAUNCH(f, kernel, count, ...)                                                              \
    launch(f, kernel, count, sizeof(int[]){__VA_ARGS__} / sizeof(int), (const int[]){__VA_ARGS__})

// --- kernels -----------------------------------------------------------------------------------

// seed, here [V, D], before [V, D], out [D, V]: over elements
static void k_init(const nmdrv_sym *sym, void *const *arg, int64_t from, int64_t to, void *scratch)
{
    (void)sym, (void)scratch;
    uint64_t seed = *(uint64_t *)arg[0];
    for (int p = 0; p < 3; p++)
        for (int64_t i = from; i < to; i++)
            ((float *)arg[1 + p])[i] = 0.1f * noise(seed * 3 + (uint64_t)p + (uint64_t)i * 977);
}

// labels, count: as a mask would be counted
static void k_count(const nmdrv_sym *sym, void *const *arg, int64_t from, int64_t to, void *scratch)
{
    (void)from, (void)to, (void)scratch;
    *(float *)arg[1] += (float)rows(sym);
}

static void softmax_row(float *p)
{
    float max = p[0], sum = 0;
    for (int v = 1; v < V; v++)
        max = p[v] > max ? p[v] : max;
    for (int v = 0; v < V; v++)
        sum += p[v] = expf(p[v] - max);
    for (int v = 0; v < V; v++)
        p[v] /= sum;
}

static void project(const float *x, const float *out, float *y)
{
    memset(y, 0, V * sizeof *y);
    for (int d = 0; d < D; d++)
        for (int v = 0; v < V; v++)
            y[v] += x[d] * out[d * V + v];
}

// tokens, labels, here, before, out -> x [rows, D], dlogits [rows, V], loss [rows]
static void k_forward(const nmdrv_sym *sym, void *const *arg, int64_t from, int64_t to,
                      void *scratch)
{
    const int32_t *tokens = arg[0], *labels = arg[1];
    const float *here = arg[2], *before = arg[3];
    float *x = arg[5], *dy = arg[6], *loss = arg[7], *row = scratch;
    for (int64_t r = from; r < to; r++) {
        for (int d = 0; d < D; d++) {
            x[r * D + d] = here[tokens[r] * D + d];
            if (r % sym[SEQ].size)
                x[r * D + d] += before[tokens[r - 1] * D + d];
        }
        project(x + r * D, arg[4], row);
        softmax_row(row);
        loss[r] = -logf(row[labels[r]] + 1e-30f);
        row[labels[r]] -= 1;
        memcpy(dy + r * V, row, V * sizeof *row);
    }
}

// dlogits, out -> dx [rows, D]
static void k_dx(const nmdrv_sym *sym, void *const *arg, int64_t from, int64_t to, void *scratch)
{
    (void)sym, (void)scratch;
    const float *dy = arg[0], *out = arg[1];
    float *dx = arg[2];
    for (int64_t r = from; r < to; r++)
        for (int d = 0; d < D; d++) {
            float sum = 0;
            for (int v = 0; v < V; v++)
                sum += dy[r * V + v] * out[d * V + v];
            dx[r * D + d] = sum;
        }
}

// x, dlogits, count -> dout [D, V] +=: over D
static void k_dout(const nmdrv_sym *sym, void *const *arg, int64_t from, int64_t to, void *scratch)
{
    (void)scratch;
    const float *x = arg[0], *dy = arg[1], scale = 1 / *(float *)arg[2];
    float *dout = arg[3];
    for (int64_t d = from; d < to; d++)
        for (int64_t r = 0; r < rows(sym); r++)
            for (int v = 0; v < V; v++)
                dout[d * V + v] += scale * x[r * D + d] * dy[r * V + v];
}

// tokens, dx, count -> dhere, dbefore +=: over V
static void k_dembed(const nmdrv_sym *sym, void *const *arg, int64_t from, int64_t to,
                     void *scratch)
{
    (void)scratch;
    const int32_t *tokens = arg[0];
    const float *dx = arg[1], scale = 1 / *(float *)arg[2];
    float *dhere = arg[3], *dbefore = arg[4];
    for (int64_t r = 0; r < rows(sym); r++) {
        int32_t t = tokens[r], b = r % sym[SEQ].size ? tokens[r - 1] : -1;
        for (int d = 0; t >= from && t < to && d < D; d++)
            dhere[t * D + d] += scale * dx[r * D + d];
        for (int d = 0; b >= from && b < to && d < D; d++)
            dbefore[b * D + d] += scale * dx[r * D + d];
    }
}

// loss [rows], count -> loss +=
static void k_loss(const nmdrv_sym *sym, void *const *arg, int64_t from, int64_t to, void *scratch)
{
    (void)from, (void)to, (void)scratch;
    float sum = 0;
    for (int64_t r = 0; r < rows(sym); r++)
        sum += ((float *)arg[0])[r];
    *(float *)arg[2] += sum / *(float *)arg[1];
}

// loss acc, gradients -> loss, grad_norm
static void k_norm(const nmdrv_sym *sym, void *const *arg, int64_t from, int64_t to, void *scratch)
{
    (void)sym, (void)from, (void)to, (void)scratch;
    double sum = 0;
    for (int p = 0; p < 3; p++)
        for (int i = 0; i < V * D; i++)
            sum += (double)((float *)arg[1 + p])[i] * (double)((float *)arg[1 + p])[i];
    *(float *)arg[4] = *(float *)arg[0];
    *(float *)arg[5] = (float)sqrt(sum);
    const char *bad = getenv("FAKE_NAN_STEP");
    if (bad && *(int32_t *)arg[6] + 1 == atoi(bad))
        *(float *)arg[4] = NAN;
    dawdle();
}

// grad_norm, lr, momentum.0, clip, then 3 gradients, 3 states, 3 params: over elements
static void k_update(const nmdrv_sym *sym, void *const *arg, int64_t from, int64_t to,
                     void *scratch)
{
    (void)sym, (void)scratch;
    float norm = *(float *)arg[0], lr = *(float *)arg[1], momentum = *(float *)arg[2],
          clip = *(float *)arg[3];
    float scale = clip > 0 && norm > clip ? clip / norm : 1;
    for (int p = 0; p < 3; p++) {
        float *g = arg[4 + p], *m = arg[7 + p], *w = arg[10 + p];
        for (int64_t i = from; i < to; i++) {
            m[i] = momentum * m[i] + scale * g[i];
            w[i] -= lr * m[i];
        }
    }
}

// loss sum, rows seen -> loss
static void k_mean(const nmdrv_sym *sym, void *const *arg, int64_t from, int64_t to, void *scratch)
{
    (void)sym, (void)from, (void)to, (void)scratch;
    *(float *)arg[2] = *(float *)arg[0] / *(float *)arg[1];
}

// tokens [1, n], at, here, before, out, cache [CONTEXT, D] -> logits [V]
static void k_decode(const nmdrv_sym *sym, void *const *arg, int64_t from, int64_t to,
                     void *scratch)
{
    (void)from, (void)to;
    const int32_t *tokens = arg[0];
    int32_t at = *(int32_t *)arg[1];
    const float *here = arg[2], *before = arg[3];
    float *cache = arg[5], *x = scratch;
    for (int64_t t = 0; t < sym[SEQ].size; t++) {
        memcpy(cache + (at + t) * D, before + tokens[t] * D, D * sizeof *x);
        memcpy(x, here + tokens[t] * D, D * sizeof *x);
        for (int d = 0; at + t > 0 && d < D; d++)
            x[d] += cache[(at + t - 1) * D + d];
    }
    project(x, arg[4], arg[6]);
}

// step, steps, lr, warmup, floor -> lr
static void k_schedule(const nmdrv_sym *sym, void *const *arg, int64_t from, int64_t to,
                       void *scratch)
{
    (void)sym, (void)from, (void)to, (void)scratch;
    float step = (float)*(int32_t *)arg[0], steps = (float)*(int32_t *)arg[1],
          peak = *(float *)arg[2];
    float warmup = *(float *)arg[3], low = *(float *)arg[4];
    float ramp = step + 1 < warmup ? (step + 1) / warmup : 1;
    float part = step < warmup ? 0 : (step - warmup) / (steps - warmup);
    *(float *)arg[5] =
        step < warmup ? peak * ramp : low + (peak - low) * 0.5f * (1 + cosf(3.14159265f * part));
}

// clang-format off
#define KERNEL(title, line, function, least)                                                       \
    {.name = title, .where = line, .fn = function, .grain = least}
// clang-format on

static const nmdrv_kernel kernels[] = {
    [K_INIT] = KERNEL("map.init", "fake.nm:1", k_init, 1024),
    [K_COUNT] = KERNEL("row.count", "fake.nm:8", k_count, 1),
    [K_FORWARD] = KERNEL("row.forward", "fake.nm:5", k_forward, 4),
    [K_DX] = KERNEL("dot.dx", "fake.nm:5", k_dx, 4),
    [K_DOUT] = KERNEL("dot.dout", "fake.nm:5", k_dout, 2),
    [K_DEMBED] = KERNEL("scatter.embed", "fake.nm:4", k_dembed, 32),
    [K_LOSS] = KERNEL("row.loss", "fake.nm:8", k_loss, 1),
    [K_NORM] = KERNEL("row.norm", "fake.nm:9", k_norm, 1),
    [K_UPDATE] = KERNEL("map.update", "fake.nm:9", k_update, 512),
    [K_MEAN] = KERNEL("map.mean", "fake.nm:8", k_mean, 1),
    [K_DECODE] = KERNEL("row.decode", "fake.nm:5", k_decode, 1),
    [K_SCHEDULE] = KERNEL("map.cosine", "std.nm:1", k_schedule, 1),
};

// --- tables ------------------------------------------------------------------------------------

static const nmdrv_sym_info syms[N_SYMS] = {
    [BATCH] = {"batch", "fake.nm:2", 1, 0, 1, "", 0, -1, 0, 0, NULL, 0, 0},
    [SEQ] = {"seq", "fake.nm:2", 1, CONTEXT, 1, "", 0, -1, 0, 0, NULL, 0, 0},
};
static const nmdrv_dim dims[N_DIMS] = {
    [DIM_BATCH] = {"batch", "fake.nm:2", 0, BATCH},        [DIM_SEQ] = {"seq", "fake.nm:2", 0, SEQ},
    [DIM_VOCAB] = {"vocab", "fake.nm:1", V, -1},           [DIM_D] = {"d", "fake.nm:1", D, -1},
    [DIM_CONTEXT] = {"context", "fake.nm:1", CONTEXT, -1},
};
static const int64_t tokens_dims[] = {DIM_BATCH, DIM_SEQ}, embed_dims[] = {DIM_VOCAB, DIM_D},
                     out_dims[] = {DIM_D, DIM_VOCAB}, cache_dims[] = {DIM_CONTEXT, DIM_D},
                     logits_dims[] = {DIM_BATCH, DIM_VOCAB}, embed_shape[] = {V, D},
                     out_shape[] = {D, V};

static const nmdrv_param params[] = {
    {"here.w", 0, 0, 0, NMDRV_F32, 2, embed_dims, embed_shape, "sgd", 0},
    {"before.w", 0, 0, 0, NMDRV_F32, 2, embed_dims, embed_shape, "sgd", 0},
    {"out.w", 0, 0, 0, NMDRV_F32, 2, out_dims, out_shape, "sgd", 0},
    {"sgd.m.here.w", 1, 0, 0, NMDRV_F32, 2, embed_dims, embed_shape, "sgd", 0},
    {"sgd.m.before.w", 1, 0, 0, NMDRV_F32, 2, embed_dims, embed_shape, "sgd", 0},
    {"sgd.m.out.w", 1, 0, 0, NMDRV_F32, 2, out_dims, out_shape, "sgd", 0},
};

// clang-format off
#define F32(bind, name, buf, rank, dim) {bind, name, buf, NMDRV_F32, rank, dim, -1, "", 0}
#define WEIGHTS(bind, prefix, buf)                                                                 \
    F32(bind, prefix "here.w", buf, 2, embed_dims),                                                \
        F32(bind, prefix "before.w", (buf) + 1, 2, embed_dims),                                    \
        F32(bind, prefix "out.w", (buf) + 2, 2, out_dims)
#define LIVE(from, to, name) {NMDRV_BUF_TRANSIENT, from, to, name, "fake.nm:5"}
// clang-format on

static void set_weights(int64_t *bytes, int from)
{
    for (int i = 0; i < 3; i++)
        bytes[from + i] = V * D * 4;
}

// init: 0 seed, 1..3 params, 4..6 states
static void run_init(nmdrv_frame *f)
{
    LAUNCH(f, K_INIT, V * D, 0, 1, 2, 3);
    for (int i = 4; i < 7; i++)
        f->call->fill(f, f->buf[i], V * D * 4);
}
static void sizes_init(const nmdrv_sym *sym, int64_t *bytes)
{
    (void)sym;
    bytes[0] = 8;
    set_weights(bytes, 1);
    set_weights(bytes, 4);
}
static const nmdrv_buf init_bufs[] = {BOUND, BOUND, BOUND, BOUND, BOUND, BOUND, BOUND};
static const nmdrv_arg init_args[] = {SCALAR("seed", 0, NMDRV_I64)};
static const nmdrv_arg init_results[] = {WEIGHTS(NMDRV_PARAM, "", 1),
                                         WEIGHTS(NMDRV_STATE, "sgd.m.", 4)};

// count: 0 labels, 1 count
static void run_count(nmdrv_frame *f) { LAUNCH(f, K_COUNT, 1, 0, 1); }
static void sizes_count(const nmdrv_sym *sym, int64_t *bytes)
{
    bytes[0] = rows(sym) * 4;
    bytes[1] = 4;
}
static const nmdrv_buf count_bufs[] = {BOUND, BOUND};
static const nmdrv_arg count_args[] = {FIELD("labels", 0), F32(NMDRV_CNT, "count", 1, 0, NULL)};

// micro: 0 tokens 1 labels 2..4 params 5 count 6..8 gradients 9 loss; 10 x 11 dlogits 12 losses 13
// dx
static void run_micro(nmdrv_frame *f)
{
    int64_t n = rows(f->sym);
    LAUNCH(f, K_FORWARD, n, 0, 1, 2, 3, 4, 10, 11, 12);
    LAUNCH(f, K_LOSS, 1, 12, 5, 9);
    LAUNCH(f, K_DOUT, D, 10, 11, 5, 8);
    if (!getenv("FAKE_FORGET")) // a mistake to plant: dx is read and never written
        LAUNCH(f, K_DX, n, 11, 4, 13);
    LAUNCH(f, K_DEMBED, V, 0, 13, 5, 6, 7);
}
static void sizes_micro(const nmdrv_sym *sym, int64_t *bytes)
{
    int64_t n = rows(sym);
    bytes[0] = bytes[1] = bytes[12] = n * 4;
    set_weights(bytes, 2);
    bytes[5] = bytes[9] = 4;
    set_weights(bytes, 6);
    bytes[10] = bytes[13] = n * D * 4;
    bytes[11] = n * V * 4;
}
static int64_t flops_micro(const nmdrv_sym *sym) { return 6 * rows(sym) * D * V; }
static const nmdrv_buf micro_bufs[] = {
    BOUND,
    BOUND,
    BOUND,
    BOUND,
    BOUND,
    BOUND,
    BOUND,
    BOUND,
    BOUND,
    BOUND,
    LIVE(0, 2, "x"),
    LIVE(0, 3, "dlogits"),
    LIVE(0, 1, "losses"),
    LIVE(3, 4, "dx"),
};
static const nmdrv_arg micro_args[] = {FIELD("tokens", 0),
                                       FIELD("labels", 1),
                                       WEIGHTS(NMDRV_PARAM, "", 2),
                                       F32(NMDRV_CNT, "count", 5, 0, NULL),
                                       WEIGHTS(NMDRV_ACC, "grad.", 6),
                                       F32(NMDRV_ACC, "loss", 9, 0, NULL)};

// finish: 0 loss acc, 1..3 gradients, 4..6 states, 7..9 params, 10 lr 11 momentum 12 clip 13 step,
// 14 loss 15 grad_norm
static void run_finish(nmdrv_frame *f)
{
    LAUNCH(f, K_NORM, 1, 0, 1, 2, 3, 14, 15, 13);
    LAUNCH(f, K_UPDATE, V * D, 15, 10, 11, 12, 1, 2, 3, 4, 5, 6, 7, 8, 9);
}
static void sizes_finish(const nmdrv_sym *sym, int64_t *bytes)
{
    (void)sym;
    for (int i = 0; i < 16; i++)
        bytes[i] = 4;
    for (int i = 1; i < 10; i += 3)
        set_weights(bytes, i);
}
static const nmdrv_buf finish_bufs[] = {BOUND, BOUND, BOUND, BOUND, BOUND, BOUND, BOUND, BOUND,
                                        BOUND, BOUND, BOUND, BOUND, BOUND, BOUND, BOUND, BOUND};
static const nmdrv_arg finish_args[] = {
    F32(NMDRV_ACC, "loss", 0, 0, NULL), WEIGHTS(NMDRV_ACC, "grad.", 1),
    WEIGHTS(NMDRV_STATE, "sgd.m.", 4),  WEIGHTS(NMDRV_PARAM, "", 7),
    SCALAR("lr", 10, NMDRV_F32),        SCALAR("momentum", 11, NMDRV_F32),
    SCALAR("clip", 12, NMDRV_F32),      SCALAR("step", 13, NMDRV_I32)};
static const nmdrv_arg finish_results[] = {
    F32(NMDRV_EMIT, "loss", 14, 0, NULL), F32(NMDRV_EMIT, "grad_norm", 15, 0, NULL),
    WEIGHTS(NMDRV_PARAM, "", 7), WEIGHTS(NMDRV_STATE, "sgd.m.", 4)};

// eval micro: 0 tokens 1 labels 2..4 params 5 loss 6 rows; 7 x 8 dlogits 9 losses 10 one
static void run_eval(nmdrv_frame *f)
{
    LAUNCH(f, K_FORWARD, rows(f->sym), 0, 1, 2, 3, 4, 7, 8, 9);
    *(float *)f->buf[10] = 1;
    LAUNCH(f, K_LOSS, 1, 9, 10, 5);
    LAUNCH(f, K_COUNT, 1, 1, 6);
}
static void sizes_eval(const nmdrv_sym *sym, int64_t *bytes)
{
    int64_t n = rows(sym);
    bytes[0] = bytes[1] = bytes[9] = n * 4;
    set_weights(bytes, 2);
    bytes[5] = bytes[6] = bytes[10] = 4;
    bytes[7] = n * D * 4;
    bytes[8] = n * V * 4;
}
static const nmdrv_buf eval_bufs[] = {BOUND,
                                      BOUND,
                                      BOUND,
                                      BOUND,
                                      BOUND,
                                      BOUND,
                                      BOUND,
                                      LIVE(0, 0, "x"),
                                      LIVE(0, 0, "dlogits"),
                                      LIVE(0, 1, "losses"),
                                      LIVE(1, 1, "one")};
static const nmdrv_arg eval_args[] = {
    FIELD("tokens", 0), FIELD("labels", 1), WEIGHTS(NMDRV_PARAM, "", 2),
    F32(NMDRV_ACC, "loss", 5, 0, NULL), F32(NMDRV_ACC, "rows", 6, 0, NULL)};

// eval finish: 0 loss, 1 rows -> 2 loss
static void run_eval_finish(nmdrv_frame *f) { LAUNCH(f, K_MEAN, 1, 0, 1, 2); }
static void sizes_three(const nmdrv_sym *sym, int64_t *bytes)
{
    (void)sym;
    bytes[0] = bytes[1] = bytes[2] = 4;
}
static const nmdrv_buf eval_finish_bufs[] = {BOUND, BOUND, BOUND};
static const nmdrv_arg eval_finish_args[] = {F32(NMDRV_ACC, "loss", 0, 0, NULL),
                                             F32(NMDRV_ACC, "rows", 1, 0, NULL)};
static const nmdrv_arg eval_finish_results[] = {F32(NMDRV_EMIT, "loss", 2, 0, NULL)};

// decode: 0 tokens 1 at 2..4 params 5 cache 6 logits
static void run_decode(nmdrv_frame *f) { LAUNCH(f, K_DECODE, 1, 0, 1, 2, 3, 4, 5, 6); }
static void sizes_decode(const nmdrv_sym *sym, int64_t *bytes)
{
    bytes[0] = rows(sym) * 4;
    bytes[1] = 4;
    set_weights(bytes, 2);
    bytes[5] = CONTEXT * D * 4;
    bytes[6] = V * 4;
}
static const nmdrv_buf decode_bufs[] = {BOUND, BOUND, BOUND, BOUND, BOUND, BOUND, BOUND};
static const nmdrv_arg decode_args[] = {FIELD("tokens", 0), SCALAR("at", 1, NMDRV_I32),
                                        WEIGHTS(NMDRV_PARAM, "", 2),
                                        F32(NMDRV_CACHE, "before", 5, 2, cache_dims)};
static const nmdrv_arg decode_results[] = {F32(NMDRV_CACHE, "before", 5, 2, cache_dims),
                                           F32(NMDRV_OUT, "logits", 6, 2, logits_dims)};

// schedule: 0 step 1 steps 2 lr 3 warmup 4 floor 5 the result
static void run_schedule(nmdrv_frame *f) { LAUNCH(f, K_SCHEDULE, 1, 0, 1, 2, 3, 4, 5); }
static void sizes_schedule(const nmdrv_sym *sym, int64_t *bytes)
{
    (void)sym;
    for (int i = 0; i < 6; i++)
        bytes[i] = 4;
}
static const nmdrv_buf schedule_bufs[] = {BOUND, BOUND, BOUND, BOUND, BOUND, BOUND};
static const nmdrv_arg schedule_args[] = {
    SCALAR("step", 0, NMDRV_I32), SCALAR("steps", 1, NMDRV_I32), SCALAR("lr", 2, NMDRV_F32),
    SCALAR("warmup", 3, NMDRV_F32), SCALAR("floor", 4, NMDRV_F32)};
static const nmdrv_arg schedule_results[] = {F32(NMDRV_OUT, "lr", 5, 0, NULL)};

// clang-format off
#define FUNC(name, role, entry, run, sizes, flops, bufs, args, results, n_results)                 \
    {                                                                                              \
        name,  role,  entry,       -1,          NMDRV_WHOLE, 0,    -1,   NMDRV_EACH, run,          \
        sizes, flops, COUNT(bufs), COUNT(args), n_results,   bufs, args, results,    -1,           \
        -1,    0}
// clang-format on
static const nmdrv_func funcs[] = {
    FUNC("init", NMDRV_INIT, "", run_init, sizes_init, no_flops, init_bufs, init_args, init_results,
         6),
    FUNC("train.count", NMDRV_COUNT, "", run_count, sizes_count, no_flops, count_bufs, count_args,
         count_args + 1, 1),
    FUNC("train.micro", NMDRV_MICRO, "", run_micro, sizes_micro, flops_micro, micro_bufs,
         micro_args, micro_args + 6, 4),
    FUNC("train.finish", NMDRV_FINISH, "", run_finish, sizes_finish, no_flops, finish_bufs,
         finish_args, finish_results, 8),
    FUNC("eval.micro", NMDRV_EVAL_MICRO, "", run_eval, sizes_eval, no_flops, eval_bufs, eval_args,
         eval_args + 5, 2),
    FUNC("eval.finish", NMDRV_EVAL_FINISH, "", run_eval_finish, sizes_three, no_flops,
         eval_finish_bufs, eval_finish_args, eval_finish_results, 1),
    FUNC("schedule.cosine", NMDRV_SCHEDULE, "cosine", run_schedule, sizes_schedule, no_flops,
         schedule_bufs, schedule_args, schedule_results, 1),
    FUNC("decode", NMDRV_DECODE, "", run_decode, sizes_decode, no_flops, decode_bufs, decode_args,
         decode_results, 2),
};

static const nmdrv_hyper hypers[] = {
    {"lr", 0.5, 0, "cosine"}, {"warmup", 0, 0.02, ""}, {"floor", 0.05, 0, ""},
    {"momentum", 0.9, 0, ""}, {"clip", 1, 0, ""},
};

static const nmdrv_program program = {
    .version = NMDRV_VERSION,
    .precision = "f32",
    .recipe = "",
    .name = FAKE_NAME,
    .preset = "tiny",
    .hash = "00c0ffee",
    .compiler = "nobody",
    .cpu = "x86-64",
    .cpu_level = 1,
    .scratch = V * 4,
    .n_syms = N_SYMS,
    .n_dims = N_DIMS,
    .n_params = COUNT(params),
    .n_hypers = COUNT(hypers),
    .n_funcs = COUNT(funcs) - (sizeof(FAKE_NO_DECODE) > 1), // decode is the last
    .n_kernels = COUNT(kernels),
    .sym = syms,
    .dim = dims,
    .param = params,
    .hyper = hypers,
    .func = funcs,
    .kernel = kernels,
    .no_decode = FAKE_NO_DECODE,
    .batch = "batch",
    .seq = "seq",
};

const nmdrv_program *const nemocc_programs[] = {&program, NULL};
