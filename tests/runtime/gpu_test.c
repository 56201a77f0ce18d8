// The device cuda over a library that does what a GPU would, at once (tests/runtime/fake_cuda.c):
// the libraries are found, the right image is taken, words of a launch, copies, products of every
// layout, failures in words, ranks.
#include "runtime/device.h"

#include "runtime/file.h"
#include "runtime/gpu/choice.h"
#include "runtime/gpu/gpu.h"
#include "tests/runtime/check.h"
#include "tests/runtime/ranks.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <sys/wait.h>

enum { K_SHIFT, K_FAIL, K_TILE, N_KERNELS, ROOM = 1 << 16 };

// [words of arguments 1] rows of 4 numbers, and another size of block
static const nmdrv_map tile_map = {.arg = 2,
                                   .offset = {-1, 16},
                                   .dtype = NMDRV_F32,
                                   .rank = 2,
                                   .extent = {{-1, 4}, {1, 0}},
                                   .stride = {{0}, {-1, 32}},
                                   .box = {4, 8},
                                   .swizzle = 64};
static const nmdrv_form tile_form = {
    .threads = 256, .per_block = 3, .count_at = 3, .n_maps = 1, .map = &tile_map};

static nmdrv_kernel kernels[] = {
    [K_TILE] = {.name = "map.tile.2",
                .where = "t.nm:9",
                .symbol = "k_tile",
                .n_args = 4,
                .syms_at = -1,
                .threads = 128,
                .per_block = 64,
                .sm90a = &tile_form},
    [K_SHIFT] = {.name = "map.shift.0",
                 .where = "t.nm:3",
                 .symbol = "k_shift",
                 .n_args = 3,
                 .syms_at = 2,
                 .n_syms = 1,
                 .threads = 128,
                 .per_block = 64},
    [K_FAIL] = {.name = "map.fail.1",
                .where = "t.nm:4",
                .symbol = "k_fail",
                .n_args = 3,
                .syms_at = -1,
                .threads = 128,
                .per_block = 64},
};
static const nmdrv_image both[] = {{90, 1, 1, "a cubin", 8}, {80, 0, 0, "PTX", 4}, {0}};
static const nmdrv_collective rows[] = {
    {"all_reduce.x", "t.nm:7", NMDRV_ALL_REDUCE, NMDRV_F32, 0, 1 << NMDRV_CPR, -1, 0, 0, 1, 0},
    {"all_reduce.y", "t.nm:8", NMDRV_ALL_REDUCE, NMDRV_F32, 0, 1 << NMDRV_CPR, -1, 0, 0, 0, 1}};

static nmdrv_product products[] = {
    {"dot.0", "t.nm:5", NMDRV_F32, NMDRV_F32, NMDRV_F32, 0, 0, NMDRV_EPILOGUE_NONE, 0.5, 0},
    {"dot.1", "t.nm:6", NMDRV_F32, NMDRV_F32, NMDRV_F32, 0, 1, NMDRV_EPILOGUE_NONE, 1, 0},
    {"dot.2", "t.nm:7", NMDRV_F32, NMDRV_F32, NMDRV_F32, NMDRV_F32, 0, NMDRV_EPILOGUE_BIAS, 1, 0}};

static nmdrv_program make_program(const nmdrv_image *image)
{
    return (nmdrv_program){.flavour = NMDRV_GPU,
                           .precision = "f32",
                           .n_kernels = N_KERNELS,
                           .kernel = kernels,
                           .image = image,
                           .n_collectives = 2,
                           .collective = rows,
                           .n_products = 3,
                           .product = products};
}

static nmrt_device *must_open_as(const nmrt_device_request *request)
{
    nmrt_device *d;
    nmrt_error e = {.text = ""};
    nmrt_status status = nmrt_device_cuda.open(&d, request, &e);
    if (status != NMRT_OK)
        fprintf(stderr, "%s\n", e.text);
    CHECK(status == NMRT_OK);
    return d;
}

static nmrt_device *must_open(const nmdrv_program *p)
{
    return must_open_as(&(nmrt_device_request){.program = p, .threads = 1});
}

static float *must_alloc(nmrt_device *d, int64_t n)
{
    void *at = NULL;
    nmrt_error e;
    CHECK(nmrt_device_cuda.alloc(d, n * 4, &at, &e) == NMRT_OK);
    return at;
}

// --- libraries and images ------------------------------------------------------------------------

static void test_refused(const nmdrv_image *image, const char *why)
{
    nmdrv_program p = make_program(image);
    nmrt_device *d;
    nmrt_error e = {.text = ""};
    CHECK(nmrt_device_cuda.open(&d, &(nmrt_device_request){.program = &p}, &e) == NMRT_WORLD);
    CHECK(!d);
    CHECK(is_in(why, e.text));
}

static void test_title(const nmdrv_image *image, const char *capability, const char *title)
{
    nmdrv_program p = make_program(image);
    nmrt_text text = {0};
    setenv("FAKE_CAPABILITY", capability, 1);
    nmrt_device *d = must_open(&p);
    nmrt_device_cuda.describe(d, &text);
    CHECK(strcmp(text.at, title) == 0);
    nmrt_text_release(&text);
    nmrt_device_cuda.close(d);
    unsetenv("FAKE_CAPABILITY");
}

// The fake has 100 multiprocessors, at 100 kHz.
static void check_peak(const char *capability, const char *name, const char *precision, int rate)
{
    nmdrv_program p = make_program(both);
    p.precision = precision;
    setenv("FAKE_CAPABILITY", capability, 1);
    setenv("FAKE_NAME", name, 1);
    nmrt_device *d = must_open(&p);
    CHECK(nmrt_device_cuda.peak(d) == 2e7 * rate);
    nmrt_device_cuda.close(d);
    unsetenv("FAKE_CAPABILITY");
    unsetenv("FAKE_NAME");
}

static void test_peaks(void)
{
    check_peak("80", "Fake", "bf16", 1024);
    check_peak("89", "Fake", "f32", 128);
    check_peak("89", "Fake GeForce", "bf16", 256);
    check_peak("120", "Fake", "bf16", 512);
    check_peak("121", "Fake GeForce", "f32", 128);
    check_peak("130", "Fake", "bf16", 0); // not known
}

static void test_images(void)
{
    static const nmdrv_image newer[] = {{90, 0, 0, "new", 4}, {80, 0, 0, "PTX", 4}, {0}},
                             cubins[] = {{86, 0, 1, "86", 3}, {80, 0, 1, "80", 3}, {0}},
                             too_new[] = {{90, 0, 0, "new", 4}, {0}};
    test_title(both, "90", "Fake 0, sm_90a cubin");
    test_title(both, "100", "Fake 0, sm_80 PTX");
    test_title(newer, "90", "Fake 0, sm_80 PTX");
    test_title(cubins, "80", "Fake 0, sm_80 cubin");
    test_title(cubins, "89", "Fake 0, sm_86 cubin");
    test_refused(cubins, "none of this binary's images runs on Fake 0, which is sm_90; compile it "
                         "with --arch sm_90");
    test_refused(too_new, "the driver refuses the kernels' image sm_90 PTX, too new for this: "
                          "words (CUDA_ERROR_OTHER)");
    kernels[K_FAIL].symbol = "k_none";
    test_refused(both, "map.fail.1 (t.nm:4): the image has no k_none as it must be");
    kernels[K_FAIL].symbol = "k_fail";
    kernels[K_FAIL].shared = 228 << 10;
    test_refused(both, "map.fail.1 (t.nm:4) cannot have 233472 bytes of shared memory");
    kernels[K_FAIL].shared = 0;
    setenv("FAKE_GPUS", "0", 1);
    test_refused(both, "the driver has no GPU; run with --device host");
    unsetenv("FAKE_GPUS");
}

static void refuse_product(int64_t a, int64_t b, const char *capability, const char *why)
{
    const nmdrv_product row = {"dot.8", "t.nm:8", a, b, NMDRV_F32, 0, 0, 0, 1, 0};
    nmdrv_program p = make_program(both);
    nmrt_device *d;
    nmrt_error e = {.text = ""};
    p.n_products = 1;
    p.product = &row;
    setenv("FAKE_CAPABILITY", capability, 1);
    const nmrt_device_request request = {.program = &p, .trains = true};
    CHECK(nmrt_device_cuda.open(&d, &request, &e) != NMRT_OK && !d);
    CHECK(is_in(why, e.text));
    unsetenv("FAKE_CAPABILITY");
}

static void test_fp8_refused(void)
{
    refuse_product(
        NMDRV_E4M3, NMDRV_E4M3, "80",
        "Fake 0, sm_80 PTX: products of fp8 want a GPU of compute capability 8.9: train "
        "with --precision bf16, which goes on from the same checkpoints, or a binary that "
        "nemocc made with --arch sm_80: it multiplies in bf16");
    refuse_product(NMDRV_E5M2, NMDRV_E5M2, "90",
                   "dot.8 (t.nm:8): cuBLASLt has no product of e5m2 and e5m2 to f32");
    refuse_product(NMDRV_E4M3, NMDRV_BF16, "90", "no product of e4m3 and bf16 to f32");
}

static void test_missing(void)
{
    setenv("NEMOCC_CUDA_PATH", "/nowhere", 1);
    test_refused(
        both,
        "there is no libcuda.so.1 in /nowhere (NEMOCC_CUDA_PATH), the system's "
        "libraries or /usr/local/cuda/lib64; install NVIDIA's driver, or run with --device host");
    setenv("NEMOCC_CUDA_PATH", FAKE_CUDA_FOLDER, 1);
}

// --- memory and launches -------------------------------------------------------------------------

static void test_copies(void)
{
    nmdrv_program p = make_program(both);
    nmrt_device *d = must_open(&p);
    int64_t n = 5 << 20; // more than the pinned memory has
    float *at = must_alloc(d, n), *here = malloc((size_t)n * 4), *back = malloc((size_t)n * 4);
    nmrt_device_cuda.copy_out(d, back, at, n * 4);
    for (int64_t i = 0; i < n; i++) {
        CHECK(back[i] == 0 || check_failures > 9);
        here[i] = (float)(i % 1000003);
    }
    nmrt_device_cuda.copy_in(d, at, here, 12);
    nmrt_device_cuda.copy_in(d, at + 3, here + 3, (n - 3) * 4);
    nmrt_device_cuda.copy_out(d, back, at, n * 4);
    CHECK(memcmp(here, back, (size_t)n * 4) == 0);
    nmrt_device_cuda.fill(d, at, 8, 0x3f800000);
    nmrt_device_cuda.copy_out(d, back, at, 12);
    CHECK(back[0] == 1 && back[1] == 1 && back[2] == 2);
    free(here);
    free(back);
    nmrt_device_cuda.free(d, at, n * 4);
    void *none;
    nmrt_error e;
    CHECK(nmrt_device_cuda.alloc(d, INT64_C(1) << 40, &none, &e) == NMRT_WORLD);
    CHECK(is_in("cannot get 1.0 TiB of the GPU's memory, of which 1.0 MiB are free: words "
                "(CUDA_ERROR_OUT_OF_MEMORY)",
                e.text));
    nmrt_device_cuda.close(d);
}

static void test_launch(void)
{
    nmdrv_program p = make_program(both);
    nmrt_device *d = must_open(&p);
    float *from = must_alloc(d, 100), *to = must_alloc(d, 100), here[100];
    nmdrv_sym sym = {.size = 7, .offset = 40};
    nmdrv_frame f = {.call = nmrt_device_cuda.calls, .device = d};
    for (int i = 0; i < 100; i++)
        here[i] = (float)i;
    nmrt_device_cuda.copy_in(d, from, here, sizeof here);
    f.call->launch(&f, K_SHIFT, 0, (void *[]){to, from, &sym});
    f.call->launch(&f, K_SHIFT, 99, (void *[]){to, from, &sym});
    nmrt_device_cuda.copy_out(d, here, to, sizeof here);
    for (int i = 0; i < 100; i++)
        CHECK(here[i] == (i < 99 ? 40.0f + (float)i : 0));
    f.call->copy(&f, to, from, 8);
    f.call->fill(&f, to + 1, 7);
    nmrt_device_cuda.copy_out(d, here, to, sizeof here);
    CHECK(here[0] == 0 && here[1] == 0 && here[3] == 43);
    nmrt_device_cuda.free(d, from, 400);
    nmrt_device_cuda.free(d, to, 400);
    nmrt_device_cuda.close(d);
}

// The image for sm_90a has kernels of other forms: with ranges of their own, and tensor maps.
static void test_forms(void)
{
    nmdrv_program p = make_program(both);
    nmrt_device *d = must_open(&p);
    float *from = must_alloc(d, 8), *to = must_alloc(d, 17), here[17];
    static const float numbers[8] = {[4] = 7},
                       want[] = {5, 7, CU_TENSOR_MAP_DATA_TYPE_FLOAT32, 2, 2, 4, 9, 32, 4, 8};
    nmdrv_frame f = {.call = nmrt_device_cuda.calls, .device = d};
    nmrt_device_cuda.copy_in(d, from, numbers, sizeof numbers);
    f.call->launch(&f, K_TILE, 99, (void *[]){to, (void *)9, from, (void *)5});
    nmrt_device_cuda.copy_out(d, here, to, sizeof here);
    CHECK(memcmp(here, want, sizeof want) == 0);
    nmrt_device_cuda.free(d, from, 32);
    nmrt_device_cuda.free(d, to, 68);
    nmrt_device_cuda.close(d);
}

// --- traces ------------------------------------------------------------------------------------

static int count(const char *text, const char *word)
{
    int n = 0;
    for (const char *at = text; (at = strstr(at, word)); at++)
        n++;
    return n;
}

static void check_trace(const char *path)
{
    nmrt_error e;
    nmrt_map map;
    CHECK(nmrt_map_open(&map, path, &e) == NMRT_OK);
    char *text = calloc(map.n + 1, 1);
    memcpy(text, map.at, map.n);
    CHECK(count(text, "\"map.shift.0 t.nm:3\", \"cat\": \"kernel\"") == 2);
    CHECK(count(text, "\"indices\": 99, \"blocks\": 2") == 2);
    CHECK(count(text, "\"copy\", \"cat\": \"copy\"") == 2 && count(text, "\"bytes\": 8}") == 2);
    CHECK(count(text, "\"dot.0 t.nm:5\"") == 2 && count(text, "\"flops\": 48}") == 2);
    free(text);
    nmrt_map_close(&map);
}

// Of four steps two are traced, each piece of work of theirs once.
static void run_traced_steps(nmrt_device *d, nmrt_trace *t)
{
    float *from = must_alloc(d, 200), *to = must_alloc(d, 200);
    nmdrv_sym sym = {.size = 7, .offset = 40};
    nmdrv_frame f = {.call = nmrt_device_cuda.calls, .device = d};
    nmdrv_geometry g = {1, 2, 3, 4, 8, 4, 1, 12, 4, 1, 6, 3, 1};
    for (int step = 1; step <= 4; step++) {
        nmrt_trace_step(t, step);
        f.call->launch(&f, K_SHIFT, 99, (void *[]){to, from, &sym});
        f.call->copy(&f, to, from, 8);
        f.call->product(&f, 0, &g, to, from, from, NULL, NULL, NULL, NULL);
        nmrt_trace_step_done(t);
    }
    nmrt_device_cuda.free(d, from, 800);
    nmrt_device_cuda.free(d, to, 800);
}

static void test_trace(void)
{
    char path[] = "/tmp/gpu_test.XXXXXX";
    nmdrv_program p = make_program(both);
    nmrt_comm comm = nmrt_comm_single();
    nmrt_mesh mesh = {.world = 1};
    nmrt_trace *t;
    nmrt_device *d;
    nmrt_error e;
    bool any;
    for (int i = 0; i < NMDRV_N_AXES; i++)
        mesh.size[i] = 1;
    close(mkstemp(path));
    CHECK(nmrt_trace_new(&t, &comm, &e) == NMRT_OK);
    CHECK(nmrt_device_cuda.open(&d, &(nmrt_device_request){.program = &p, .trace = t}, &e) ==
          NMRT_OK);
    CHECK(nmrt_trace_open(t, &(nmrt_trace_request){path, "2-3", 1, 4, &mesh}, &any, &e) == NMRT_OK);
    run_traced_steps(d, t);
    nmrt_device_cuda.close(d);
    CHECK(nmrt_trace_finish(t, &e) == NMRT_OK);
    nmrt_trace_close(t);
    check_trace(path);
    unlink(path);
}

// --- graphs --------------------------------------------------------------------------------------

static int runs; // of the driver

static void shift_twice(nmdrv_frame *f)
{
    runs++;
    f->call->launch(f, K_SHIFT, 64, (void *[]){f->buf[1], f->buf[0], (void *)(uintptr_t)f->sym});
    f->call->launch(f, K_SHIFT, 64, (void *[]){f->buf[0], f->buf[1], (void *)(uintptr_t)f->sym});
}

// The same call comes again: `want` times the driver has run by then, and buf[0] has grown.
static void check_call(nmrt_device *d, const nmdrv_func *func, nmdrv_frame *f, int want,
                       float grown)
{
    float here[64], first;
    nmrt_device_cuda.copy_out(d, &first, f->buf[0], sizeof first);
    nmrt_device_cuda.run(d, func, f);
    nmrt_device_cuda.copy_out(d, here, f->buf[0], sizeof here);
    CHECK(runs == want);
    CHECK(here[0] == first + grown && here[63] == first + grown);
}

static void test_graphs(void)
{
    static const nmdrv_func func = {.name = "t", .run = shift_twice, .n_bufs = 2};
    nmdrv_program p = make_program(both);
    nmrt_device *d;
    nmrt_error e;
    nmdrv_sym ten = {.offset = 10}, one = {.offset = 1};
    p.func = &func;
    p.n_syms = 1;
    const nmrt_device_request q = {.program = &p, .graphs = true};
    CHECK(nmrt_device_cuda.open(&d, &q, &e) == NMRT_OK);
    void *buf[] = {must_alloc(d, 64), must_alloc(d, 64)}, *other[] = {buf[0], must_alloc(d, 64)};
    nmdrv_frame f = {&ten, buf, nmrt_device_cuda.calls, d}, g = {&one, other, f.call, d};
    check_call(d, &func, &f, 1, 20);
    check_call(d, &func, &f, 2, 20); // captured
    check_call(d, &func, &f, 2, 20);
    check_call(d, &func, &g, 3, 2); // another call
    check_call(d, &func, &f, 3, 20);
    f.sym = &one;
    check_call(d, &func, &f, 4, 2);
    nmrt_device_cuda.free(d, buf[0], 256);
    nmrt_device_cuda.free(d, buf[1], 256);
    nmrt_device_cuda.free(d, other[1], 256);
    nmrt_device_cuda.close(d);
}

// --- products ------------------------------------------------------------------------------------

typedef struct layout { // bit: the operand lies the other way round
    bool a, b, c;
} layout;

static nmdrv_geometry make_geometry(layout l, int64_t batch, int64_t m, int64_t n, int64_t k)
{
    return (nmdrv_geometry){.batch = batch,
                            .m = m,
                            .n = n,
                            .k = k,
                            .a_batch = m * k,
                            .a_m = l.a ? 1 : k,
                            .a_k = l.a ? m : 1,
                            .b_batch = n * k + 3,
                            .b_n = l.b ? 1 : k,
                            .b_k = l.b ? n : 1,
                            .c_batch = m * n,
                            .c_m = l.c ? 1 : n,
                            .c_n = l.c ? m : 1};
}

static float sum_of(const nmdrv_geometry *g, const float *x, int64_t b, int64_t m, int64_t n)
{
    const float *a = x + b * g->a_batch + m * g->a_m, *w = x + b * g->b_batch + n * g->b_n;
    float sum = 0;
    for (int64_t k = 0; k < g->k; k++)
        sum += a[k * g->a_k] * w[k * g->b_k];
    return sum;
}

// Both operands are the same numbers.
static void check_product(nmrt_device *d, int64_t product, const nmdrv_geometry *g)
{
    static float x[ROOM], c[ROOM], got[ROOM];
    float *dx = must_alloc(d, ROOM), *dc = must_alloc(d, ROOM);
    nmdrv_frame f = {.call = nmrt_device_cuda.calls, .device = d};
    const nmdrv_product *p = &products[product];
    for (int i = 0; i < ROOM; i++) {
        x[i] = (float)(i * 7 % 13 - 6);
        c[i] = (float)(i % 5);
    }
    nmrt_device_cuda.copy_in(d, dx, x, sizeof x);
    nmrt_device_cuda.copy_in(d, dc, c, sizeof c);
    f.call->product(&f, product, g, dc, dx, dx, p->epilogue ? dx : NULL, NULL, NULL, NULL);
    nmrt_device_cuda.copy_out(d, got, dc, sizeof got);
    for (int64_t b = 0; b < g->batch; b++)
        for (int64_t m = 0; m < g->m; m++)
            for (int64_t n = 0; n < g->n; n++) {
                int64_t at = b * g->c_batch + m * g->c_m + n * g->c_n;
                c[at] = (float)p->alpha * sum_of(g, x, b, m, n) + (p->adds ? c[at] : 0) +
                        (p->epilogue ? x[n] : 0);
            }
    CHECK(memcmp(c, got, sizeof c) == 0);
    nmrt_device_cuda.free(d, dx, ROOM * 4);
    nmrt_device_cuda.free(d, dc, ROOM * 4);
}

static int *fake_number(const char *name)
{
    void *lib = dlopen(FAKE_CUDA_FOLDER "/libcublasLt.so.12", RTLD_NOW | RTLD_NOLOAD);
    int *n = lib ? dlsym(lib, name) : NULL;
    CHECK(n);
    return n;
}

static int *heuristics(void) { return fake_number("fake_heuristics"); }

static void test_products(void)
{
    static const int64_t size[][4] = {
        {2, 5, 7, 11}, {1, 1, 6, 4}, {3, 6, 1, 4}, {1, 8, 8, 1}, {2, 3, 4, 0}};
    nmdrv_program p = make_program(both);
    nmrt_device *d = must_open(&p);
    for (size_t s = 0; s < sizeof size / sizeof *size; s++)
        for (int bits = 0; bits < 8; bits++)
            for (int64_t product = 0; product < 3; product++) {
                layout l = {bits & 1, bits & 2, bits & 4};
                const nmdrv_geometry g =
                    make_geometry(l, size[s][0], size[s][1], size[s][2], size[s][3]);
                if (products[product].epilogue && (l.c || !g.k))
                    continue; // a bias is along the innermost dim
                check_product(d, product, &g);
            }
    int before = *heuristics();
    const nmdrv_geometry g = make_geometry((layout){0}, 2, 9, 9, 9);
    check_product(d, 0, &g);
    check_product(d, 0, &g);
    CHECK(*heuristics() == before + 1);
    nmrt_device_cuda.close(d);
}

// --- choices of algorithms, kept from run to run -------------------------------------------------

static const int64_t CHOSEN[] = {2, 6, 10, 14}; // m of four products

// A run of one product twice: the algorithm, and how often the heuristic was asked.
static int choose(nmrt_device_request request, int64_t m, int *asked)
{
    nmdrv_program p = make_program(both);
    request.program = &p;
    request.threads = 1;
    nmrt_device *d = must_open_as(&request);
    const nmdrv_geometry g = make_geometry((layout){0}, 1, m, 4, 4);
    int before = *heuristics();
    check_product(d, 0, &g);
    check_product(d, 0, &g);
    *asked = *heuristics() - before;
    int algorithm = *fake_number("fake_algorithm");
    nmrt_device_cuda.close(d);
    return algorithm;
}

// What people are told of it.
static void check_told(bool tunes, const char *words)
{
    nmdrv_program p = make_program(both);
    nmrt_text title = {0};
    nmrt_device *d =
        must_open_as(&(nmrt_device_request){.program = &p, .threads = 1, .tunes = tunes});
    nmrt_device_cuda.describe(d, &title);
    CHECK(is_in("Fake 0, sm_90a cubin", title.at) && strcmp(title.at + 20, words) == 0);
    nmrt_text_release(&title);
    nmrt_device_cuda.close(d);
}

// Writes into all files of the folder: what the cache holds is broken.
static void spoil(const char *folder)
{
    char command[600];
    snprintf(command, sizeof command, "for f in %s/nemocc-products-*; do echo >>$f; done", folder);
    CHECK(system(command) == 0);
}

static void test_choices(const char *folder)
{
    const nmrt_device_request plain = {0}, tunes = {.tunes = true};
    int asked;
    char alone[600]; // no ranks have been here
    snprintf(alone, sizeof alone, "%s/alone", folder);
    setenv("NEMOCC_CACHE_DIR", alone, 1);
    CHECK(choose(plain, CHOSEN[0], &asked) == 1 && asked == 1);
    CHECK(choose(plain, CHOSEN[0], &asked) == 1 && asked == 0); // it was kept
    CHECK(choose(plain, CHOSEN[1], &asked) == 1 && asked == 1); // beside another
    check_told(true, ", products to be measured for later runs");
    CHECK(choose(tunes, CHOSEN[0], &asked) == 1 && asked == 1); // measured for the next one
    CHECK(choose(tunes, CHOSEN[0], &asked) == 2 && asked == 0); // once
    CHECK(choose(plain, CHOSEN[0], &asked) == 1 && asked == 0); // for those that ask for it
    check_told(true, ", products by measured algorithms");
    check_told(false, "");
    CHECK(choose(plain, CHOSEN[1], &asked) == 1 && asked == 0);
    setenv("FAKE_CAPABILITY", "80", 1); // another GPU
    CHECK(choose(plain, CHOSEN[0], &asked) == 1 && asked == 1);
    unsetenv("FAKE_CAPABILITY");
    spoil(alone);
    CHECK(choose(plain, CHOSEN[0], &asked) == 1 && asked == 1);
    setenv("NEMOCC_CACHE_DIR", "", 1); // no cache
    CHECK(choose(plain, CHOSEN[0], &asked) == 1 && asked == 1);
    CHECK(choose(plain, CHOSEN[0], &asked) == 1 && asked == 1);
}

static CUresult name_any(char *name, int room, CUdevice id)
{
    (void)id;
    snprintf(name, (size_t)room, "any");
    return CUDA_SUCCESS;
}

static size_t version_one(void) { return 1; }

// More choices than a file keeps: the oldest go.
static void test_many_choices(const char *folder)
{
    const nmrt_gpu_api api = {.cuDeviceGetName = name_any, .cublasLtGetVersion = version_one};
    nmrt_device d = {.api = &api};
    nmrt_choices c = {0};
    nmrt_choice_key key = {{0}};
    nmrt_error e;
    setenv("NEMOCC_CACHE_DIR", folder, 1);
    CHECK(nmrt_choices_open(&d, &c, &e) == NMRT_OK && c.n == 0);
    for (key.word[0] = 0; key.word[0] < 4100; key.word[0]++)
        nmrt_choices_add(&c, &key, &(cublasLtMatmulAlgo_t){0});
    CHECK(nmrt_choices_close(&c, &e) == NMRT_OK);
    CHECK(nmrt_choices_open(&d, &c, &e) == NMRT_OK && c.n == 4096);
    key.word[0] = 3;
    CHECK(!nmrt_choices_find(&c, &key, false));
    key.word[0] = 4;
    CHECK(nmrt_choices_find(&c, &key, false) == c.at && !nmrt_choices_find(&c, &key, true));
    CHECK(nmrt_choices_close(&c, &e) == NMRT_OK);
    setenv("NEMOCC_CACHE_DIR", "", 1);
}

typedef struct chosen {
    const char *folder;
    int rank; // that has the folder: the other one has no cache
    bool tunes, asks;
    int algorithm;
} chosen;

// Rank 1 takes what rank 0 has.
static nmrt_status choose_as_rank(nmrt_ranks *r, void *arg, nmrt_error *e)
{
    const chosen *x = arg;
    nmdrv_program p = make_program(both);
    nmrt_mesh mesh = {.program = &p, .index[NMDRV_CPR] = r->rank, .world = 2, .rank = r->rank};
    nmrt_comm c;
    int asked;
    NMRT_TRY(nmrt_comm_open(&c, r, "auto", e));
    setenv("NEMOCC_CACHE_DIR", r->rank == x->rank ? x->folder : "", 1);
    nmrt_device_request request = {
        .mesh = &mesh, .comm = &c, .tunes = x->tunes, .collectives = "host"};
    int algorithm = choose(request, CHOSEN[2], &asked);
    CHECK(algorithm == x->algorithm && asked == (x->asks ? 1 + (x->tunes && !r->rank) : 0));
    c.close(&c);
    return checked(e);
}

// Nothing can be written there: told once, and no failure.
static nmrt_status choose_nowhere(nmrt_ranks *r, void *arg, nmrt_error *e)
{
    int asked;
    (void)r;
    setenv("NEMOCC_CACHE_DIR", arg, 1);
    CHECK(choose((nmrt_device_request){0}, CHOSEN[3], &asked) == 1);
    return checked(e);
}

static void test_choices_of_ranks(const char *folder)
{
    char said[4096], file[600];
    snprintf(file, sizeof file, "%s/of_rank_1", folder);
    const chosen cases[] = {
        {folder, 0, true, true, 1}, // measured by rank 0
        {folder, 0, true, false, 2},
        {folder, 0, false, false, 1},
        {file, 1, false, true, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK(run_ranks(2, 60, 0, choose_as_rank, (void *)(uintptr_t)&cases[i], NULL) == 0);
    CHECK(access(file, F_OK) != 0); // rank 0 alone writes
    snprintf(file, sizeof file, "%s/file", folder);
    FILE *f = fopen(file, "w");
    CHECK(f && fclose(f) == 0);
    CHECK(run_ranks(1, 60, 0, choose_nowhere, file, said) == 0);
    setenv("NEMOCC_CACHE_DIR", "", 1);
    const char *warning = "warning: the products' algorithms are not kept in";
    CHECK(is_in(warning, said) && !strstr(strstr(said, warning) + 1, warning));
}

// --- failures of the GPU itself ------------------------------------------------------------------

static nmrt_status fail_in_kernel(nmrt_ranks *r, void *arg, nmrt_error *e)
{
    nmdrv_program p = make_program(both);
    nmrt_device *d = must_open(&p);
    nmdrv_frame f = {.call = nmrt_device_cuda.calls, .device = d};
    float *x = must_alloc(d, 100), here;
    const nmdrv_geometry g = make_geometry((layout){0}, 1, 2, 2000, 1);
    (void)r, (void)e;
    if (*(int *)arg == K_TILE) {
        f.call->launch(&f, K_TILE, 9, (void *[]){x, (void *)9, x + 1, (void *)5});
    } else if (*(int *)arg == K_FAIL) {
        f.call->launch(&f, K_FAIL, 1, (void *[]){x, x, NULL});
        f.call->launch(&f, K_SHIFT, 1, (void *[]){x, x, &(nmdrv_sym){0}});
        nmrt_device_cuda.copy_out(d, &here, x, 4);
    } else {
        f.call->product(&f, 2, &g, x, x, x, x, NULL, NULL, NULL);
    }
    return NMRT_OK;
}

static void test_failures(void)
{
    char said[4096];
    int fails = K_FAIL, tile = K_TILE, product = -1;
    // a parent that starts its rank again would, so it forks
    CHECK(run_ranks(2, 60, 0, fail_in_kernel, &fails, said) == 1);
    CHECK(is_in("map.shift.0 (t.nm:3), or a kernel before it, failed: an illegal address "
                "(CUDA_ERROR_ILLEGAL_ADDRESS); with CUDA_LAUNCH_BLOCKING=1 in the environment this "
                "names the one that did",
                said));
    CHECK(run_ranks(2, 60, 0, fail_in_kernel, &tile, said) == 1);
    CHECK(is_in("map.tile.2 (t.nm:9): a tensor map is refused: words (CUDA_ERROR_OTHER)", said));
    CHECK(run_ranks(2, 60, 0, fail_in_kernel, &product, said) == 1);
    CHECK(is_in("dot.2 (t.nm:7): cuBLASLt refuses 1 x [2, 2000] of 1 with a bias: not supported; "
                "compile it with --plain-products to do without",
                said));
}

// --- ranks ---------------------------------------------------------------------------------------

static nmrt_status run_collectives(nmrt_ranks *r, void *arg, nmrt_error *e)
{
    nmdrv_program p = make_program(both);
    nmrt_mesh mesh = {.program = &p, .index[NMDRV_CPR] = r->rank, .world = 2, .rank = r->rank};
    nmrt_comm c;
    nmrt_device *d;
    int64_t many = 1000, one = 1;
    float here[1000];
    (void)arg;
    for (int a = 0; a < NMDRV_N_AXES; a++)
        mesh.size[a] = a == NMDRV_CPR ? 2 : 1;
    NMRT_TRY(nmrt_comm_open(&c, r, "local", e));
    const nmrt_device_request q = {.program = &p, .mesh = &mesh, .comm = &c, .collectives = "auto"};
    NMRT_TRY(nmrt_device_cuda.open(&d, &q, e));
    float *in = must_alloc(d, many), *out = must_alloc(d, many);
    nmdrv_frame f = {.call = nmrt_device_cuda.calls, .device = d};
    nmrt_text title = {0};
    nmrt_device_cuda.describe(d, &title);
    CHECK(is_in(", collectives through pinned host memory as ranks share a GPU", title.at));
    nmrt_text_release(&title);
    for (int i = 0; i < many; i++)
        here[i] = (float)(i * (r->rank + 1));
    nmrt_device_cuda.copy_in(d, in, here, sizeof here);
    CHECK(f.call->collective(&f, 0, &many, out, in) == out); // waits for the next one
    CHECK(f.call->collective(&f, 1, &one, in + 1, in + 1) == in + 1);
    nmrt_device_cuda.copy_out(d, here, out, sizeof here);
    CHECK(here[999] == 0); // it goes on beside kernels: the host has not come back to it
    f.call->wait(&f, 1);
    nmrt_device_cuda.copy_out(d, here, out, sizeof here);
    for (int i = 0; i < many; i++)
        CHECK(here[i] == (float)(3 * i));
    nmrt_device_cuda.copy_out(d, here, in, sizeof here);
    CHECK(here[1] == 3 && here[2] == (float)(2 * (r->rank + 1)));
    const nmrt_message m = {!r->rank, 5, 400, "x", "t.nm:9"};
    NMRT_TRY(nmrt_device_cuda.send(d, &m, in, e));
    NMRT_TRY(nmrt_device_cuda.receive(d, &m, out, e));
    nmrt_device_cuda.copy_out(d, here, out, 400);
    CHECK(here[1] == 3 && here[99] == (float)(99 * (2 - r->rank)));
    nmrt_device_cuda.free(d, in, many * 4);
    nmrt_device_cuda.free(d, out, many * 4);
    nmrt_device_cuda.close(d);
    c.close(&c);
    return checked(e);
}

int main(void)
{
    char folder[] = "/tmp/nmrt_choices_XXXXXX", command[100];
    CHECK(mkdtemp(folder));
    setenv("NEMOCC_CUDA_PATH", FAKE_CUDA_FOLDER, 1);
    setenv("NEMOCC_CACHE_DIR", "", 1);
    test_failures(); // before this process asks the driver, which then must not fork
    CHECK(run_ranks(2, 60, 0, run_collectives, NULL, NULL) == 0);
    test_choices_of_ranks(folder);
    test_missing();
    test_images();
    test_fp8_refused();
    test_peaks();
    test_copies();
    test_launch();
    test_forms();
    test_trace();
    test_graphs();
    test_products();
    test_many_choices(folder);
    test_choices(folder);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    CHECK(system(command) == 0);
    return check_result();
}
