// Runs the calls that tests of codegen have written (tests/codegen/cases.h) on a GPU:
//
//     kernels cuda|emu FILE.so
//
// The cases lie in FILE.cases. Memory is full of NaNs before each call, and each runs twice. Exit 1
// where a result is not the interpreter's, or other bits come out the second time; the last line
// counts.
#include "runtime/device.h"
#include "runtime/dtype.h"
#include "tests/codegen/cases.h"

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct call {
    const nmdrv_func *f;
    double tolerance;
    nmdrv_sym *sym;
    int64_t *bytes; // [n_bufs]
    void **buf;     // [n_bufs], the device's
} call;

static const nmrt_device_ops *ops;
static nmrt_device *device;
static const nmdrv_program *program;
static int n_cases, n_wrong;

static void give_up(const char *what, const char *why)
{
    fprintf(stderr, "kernels: %s: %s\n", what, why);
    exit(2);
}

static void *must_have(void *p)
{
    if (!p)
        give_up("memory", "there is none");
    return p;
}

// --- the file ------------------------------------------------------------------------------------

static void read_words(FILE *in, void *to, size_t n)
{
    if (fread(to, 8, n, in) != n)
        give_up("the cases", "cut off");
}

static int64_t read_word(FILE *in)
{
    int64_t word;
    read_words(in, &word, 1);
    return word;
}

// False: there are no more.
static bool read_call(FILE *in, call *c)
{
    int64_t func;
    if (fread(&func, 8, 1, in) != 1)
        return false;
    c->f = &program->func[func];
    read_words(in, &c->tolerance, 1);
    c->sym = must_have(calloc((size_t)program->n_syms + 1, sizeof *c->sym));
    read_words(in, c->sym, (size_t)program->n_syms * sizeof *c->sym / 8);
    c->bytes = must_have(calloc((size_t)c->f->n_bufs + 1, sizeof *c->bytes));
    c->buf = must_have(calloc((size_t)c->f->n_bufs + 1, sizeof *c->buf));
    c->f->sizes(c->sym, c->bytes);
    return true;
}

// --- one call ------------------------------------------------------------------------------------

static void poison(call *c, int64_t b)
{
    ops->fill(device, c->buf[b], (c->bytes[b] + 3) / 4 * 4, UINT32_MAX);
}

static void take_memory(call *c)
{
    nmrt_error e;
    for (int64_t b = 0; b < c->f->n_bufs; b++)
        if (ops->alloc(device, (c->bytes[b] + 67) / 64 * 64, &c->buf[b], &e) != NMRT_OK)
            give_up(c->f->name, e.text);
}

static void give_memory_back(call *c)
{
    for (int64_t b = 0; b < c->f->n_bufs; b++)
        ops->free(device, c->buf[b], (c->bytes[b] + 67) / 64 * 64);
    free(c->buf);
    free(c->bytes);
    free(c->sym);
}

// The results' bytes, one behind the other in `out`, each from an address that 8 divides.
static void run(call *c, void *const *args, char *out)
{
    nmdrv_frame frame = {.sym = c->sym, .buf = c->buf, .call = ops->calls, .device = device};
    for (int64_t b = 0; b < c->f->n_bufs; b++)
        poison(c, b);
    for (int64_t i = 0; i < c->f->n_args; i++)
        ops->copy_in(device, c->buf[c->f->arg[i].buf], args[i], c->bytes[c->f->arg[i].buf]);
    ops->run(device, c->f, &frame);
    ops->end_call(device, c->f);
    for (int64_t i = 0; i < c->f->n_results; i++) {
        int64_t b = c->f->result[i].buf;
        ops->copy_out(device, out, c->buf[b], c->bytes[b]);
        out += (c->bytes[b] + 7) / 8 * 8;
    }
}

// --- results -------------------------------------------------------------------------------------

static double element(int64_t dtype, const void *at, int64_t i)
{
    switch (dtype) {
    case NMDRV_F64: return ((const double *)at)[i];
    case NMDRV_F32: return ((const float *)at)[i];
    case NMDRV_I64: return (double)((const int64_t *)at)[i];
    case NMDRV_I32: return ((const int32_t *)at)[i];
    case NMDRV_I16: return ((const int16_t *)at)[i];
    case NMDRV_I8: return ((const int8_t *)at)[i];
    case NMDRV_U8:
    case NMDRV_BOOL: return ((const uint8_t *)at)[i];
    case NMDRV_BF16: {
        uint32_t bits = (uint32_t)((const uint16_t *)at)[i] << 16;
        float x;
        memcpy(&x, &bits, sizeof x);
        return x;
    }
    default: give_up("a result", "is of a dtype that is not compared"); return 0;
    }
}

static bool is_close(const call *c, const nmdrv_arg *r, const char *have, int64_t n,
                     const double *want)
{
    double most = 1, off = 0;
    int64_t at = 0;
    for (int64_t i = 0; i < n; i++) {
        double x = element(r->dtype, have, i), d = fabs(x - want[i]);
        most = isfinite(want[i]) && fabs(want[i]) > most ? fabs(want[i]) : most;
        if (x == want[i] || (isnan(x) && isnan(want[i])))
            d = 0;
        if (!(d <= off)) {
            off = d;
            at = i;
        }
    }
    if (off <= c->tolerance * most)
        return true;
    printf("%s: result %s element %lld: %.9g, the interpreter says %.9g\n", c->f->name, r->name,
           (long long)at, element(r->dtype, have, at), want[at]);
    return false;
}

static bool check_results(FILE *in, const call *c, const char *have)
{
    bool ok = true;
    for (int64_t i = 0; i < c->f->n_results; i++) {
        int64_t n = read_word(in);
        double *want = must_have(malloc((size_t)(n + 1) * sizeof *want));
        read_words(in, want, (size_t)n);
        ok = is_close(c, &c->f->result[i], have, n, want) && ok;
        have += (c->bytes[c->f->result[i].buf] + 7) / 8 * 8;
        free(want);
    }
    return ok;
}

static void **read_args(FILE *in, const call *c)
{
    void **args = must_have(calloc((size_t)c->f->n_args + 1, sizeof *args));
    for (int64_t i = 0; i < c->f->n_args; i++) {
        size_t words = (size_t)(c->bytes[c->f->arg[i].buf] + 7) / 8;
        args[i] = must_have(malloc(8 * words + 8));
        read_words(in, args[i], words);
    }
    return args;
}

static size_t result_bytes(const call *c)
{
    int64_t sum = 8;
    for (int64_t i = 0; i < c->f->n_results; i++)
        sum += (c->bytes[c->f->result[i].buf] + 7) / 8 * 8;
    return (size_t)sum;
}

static void check(FILE *in, call *c)
{
    void **args = read_args(in, c);
    char *one = must_have(calloc(1, result_bytes(c))), *two = must_have(calloc(1, result_bytes(c)));
    take_memory(c);
    run(c, args, one);
    run(c, args, two);
    bool same = memcmp(one, two, result_bytes(c)) == 0;
    if (!same)
        printf("%s: a second run gives other bits\n", c->f->name);
    n_wrong += !check_results(in, c, one) || !same;
    n_cases++;
    give_memory_back(c);
    for (int64_t i = 0; i < c->f->n_args; i++)
        free(args[i]);
    free(args);
    free(one);
    free(two);
}

// --- the device and the program ------------------------------------------------------------------

static void open_program(const char *path)
{
    void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const nmdrv_program *const *all = lib ? dlsym(lib, "nemocc_programs") : NULL;
    if (!all)
        give_up(path, dlerror());
    program = all[0];
}

static void open_device(const char *name)
{
    nmrt_error e;
    nmrt_device_request request = {.program = program};
    ops = strcmp(name, "emu") == 0 ? &nmrt_device_emu : &nmrt_device_cuda;
    if (ops->open(&device, &request, &e) != NMRT_OK)
        give_up(name, e.text);
}

static FILE *open_cases(const char *path)
{
    char name[4096];
    size_t n = strlen(path);
    snprintf(name, sizeof name, "%.*s.cases", (int)(n > 3 ? n - 3 : n), path);
    FILE *in = fopen(name, "rb");
    if (!in)
        give_up(name, "cannot be opened");
    if (read_word(in) != NM_CASES_MAGIC)
        give_up(name, "has no cases");
    return in;
}

int main(int argc, char **argv)
{
    if (argc != 3)
        give_up("usage", "kernels cuda|emu FILE.so");
    open_program(argv[2]);
    open_device(argv[1]);
    FILE *in = open_cases(argv[2]);
    for (call c; read_call(in, &c);)
        check(in, &c);
    fclose(in);
    ops->close(device);
    printf("%d of %d calls are right\n", n_cases - n_wrong, n_cases);
    return n_wrong || !n_cases;
}
