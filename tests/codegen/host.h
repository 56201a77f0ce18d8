// Tests of codegen: a module is compiled to a shared object, loaded, and its functions are run on
// tensors of the interpreter, with a frame of our own: no plan, every buffer apart and full of NaN.
#ifndef NM_TESTS_CODEGEN_HOST_H
#define NM_TESTS_CODEGEN_HOST_H

#include "codegen/codegen.h"
#include "ir/eval.h"
#include "runtime/driver_abi.h"
#include "tests/codegen/record.h"

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int failures;

// --- one call's frame ----------------------------------------------------------------------------

typedef struct host {
    const nmdrv_program *p;
    int64_t parts; // into which every parallel range is cut
    void *scratch;
} host;

static void host_launch(nmdrv_frame *f, int64_t kernel, int64_t count, void *const *arg)
{
    const host *h = f->device;
    int64_t parts = h->parts < count ? h->parts : count;
    for (int64_t i = parts; i-- > 0;) // backwards: parts must not depend on each other
        h->p->kernel[kernel].fn(f->sym, arg, count * i / parts, count * (i + 1) / parts,
                                h->scratch);
}

static void *host_alloc(int64_t bytes, const char *name)
{
    (void)name;
    size_t size = (size_t)(bytes + 128) / 64 * 64;
    return memset(aligned_alloc(64, size), 0xff, size); // NaN
}

// Where kernels run: here, unless a test puts others in their place.
static nmdrv_calls host_calls = {.launch = host_launch};
static void *(*host_alloc_buffer)(int64_t bytes, const char *name) = host_alloc;
static void (*host_release_buffer)(void *buffer) = free;

// The number that 8 bits stand for.
static double host_of_bits(int64_t dtype, unsigned bits)
{
    int m = dtype == NMDRV_E4M3 ? 3 : 2, bias = dtype == NMDRV_E4M3 ? 7 : 15;
    int exponent = (int)(bits & 0x7f) >> m, mantissa = (int)bits & ((1 << m) - 1);
    double size =
        exponent ? ldexp((1 << m) + mantissa, exponent - bias - m) : ldexp(mantissa, 1 - bias - m);
    if ((bits & 0x7f) == 0x7f)
        size = NAN;
    if (dtype == NMDRV_E5M2 && exponent == 31)
        size = mantissa ? NAN : INFINITY;
    return bits & 0x80 ? -size : size;
}

static uint8_t host_to_bits(int64_t dtype, double x)
{
    for (unsigned bits = 0; bits < 256; bits++)
        if (host_of_bits(dtype, bits) == x && !signbit(host_of_bits(dtype, bits)) == !signbit(x))
            return (uint8_t)bits;
    return dtype == NMDRV_E4M3 ? 0x7f : 0x7e;
}

static double host_get(int64_t dtype, const void *p, int64_t i)
{
    switch (dtype) {
    case NMDRV_F64: return ((const double *)p)[i];
    case NMDRV_F32: return ((const float *)p)[i];
    case NMDRV_I64: return (double)((const int64_t *)p)[i];
    case NMDRV_I32: return ((const int32_t *)p)[i];
    case NMDRV_I16: return ((const int16_t *)p)[i];
    case NMDRV_I8: return ((const int8_t *)p)[i];
    case NMDRV_U8:
    case NMDRV_BOOL: return ((const uint8_t *)p)[i];
    case NMDRV_BF16: {
        uint32_t bits = (uint32_t)((const uint16_t *)p)[i] << 16;
        float x;
        memcpy(&x, &bits, sizeof x);
        return x;
    }
    case NMDRV_E4M3:
    case NMDRV_E5M2: return host_of_bits(dtype, ((const uint8_t *)p)[i]);
    default: fprintf(stderr, "dtype %d\n", (int)dtype); exit(2);
    }
}

static void host_put(int64_t dtype, void *p, int64_t i, double x)
{
    float f = (float)x;
    switch (dtype) {
    case NMDRV_F64: ((double *)p)[i] = x; break;
    case NMDRV_F32: ((float *)p)[i] = f; break;
    case NMDRV_I64: ((int64_t *)p)[i] = (int64_t)x; break;
    case NMDRV_I32: ((int32_t *)p)[i] = (int32_t)x; break;
    case NMDRV_I16: ((int16_t *)p)[i] = (int16_t)x; break;
    case NMDRV_I8: ((int8_t *)p)[i] = (int8_t)x; break;
    case NMDRV_U8:
    case NMDRV_BOOL: ((uint8_t *)p)[i] = (uint8_t)x; break;
    case NMDRV_BF16: {
        uint32_t bits;
        memcpy(&bits, &f, sizeof bits);
        ((uint16_t *)p)[i] = (uint16_t)(bits >> 16);
        break;
    }
    case NMDRV_E4M3:
    case NMDRV_E5M2: ((uint8_t *)p)[i] = host_to_bits(dtype, x); break;
    default: fprintf(stderr, "dtype %d\n", (int)dtype); exit(2);
    }
}

// --- tensors <-> buffers: layout may have reordered an argument's dims ---------------------------

// Of each element of the buffer in order, its index in the tensor.
static int64_t *host_order(const nmdrv_program *p, const nmdrv_arg *a, const nm_tensor *t)
{
    int64_t *order = calloc((size_t)t->n + 1, sizeof *order), at[NM_MAX_RANK] = {0};
    int place[NM_MAX_RANK];
    for (int i = 0; i < a->rank; i++)
        for (int k = 0; k < t->type->rank; k++)
            if (strcmp(p->dim[a->dim[i]].name, t->type->dim[k].name) == 0)
                place[i] = k;
    for (int64_t e = 0; e < t->n; e++) {
        int64_t index[NM_MAX_RANK], flat = 0;
        for (int i = 0; i < a->rank; i++)
            index[place[i]] = at[i];
        for (int k = 0; k < t->type->rank; k++)
            flat = flat * t->extent[k] + index[k];
        order[e] = flat;
        for (int64_t i = a->rank; i-- > 0;) {
            if (++at[i] < t->extent[place[i]])
                break;
            at[i] = 0;
        }
    }
    return order;
}

static void host_write(const nmdrv_program *p, const nmdrv_arg *a, const nm_tensor *t, void *buf)
{
    int64_t *order = host_order(p, a, t);
    for (int64_t e = 0; e < t->n; e++)
        host_put(a->dtype, buf, e, t->data[order[e]]);
    free(order);
}

static void host_read(const nmdrv_program *p, const nmdrv_arg *a, const nm_tensor *t,
                      const void *buf, double *out)
{
    int64_t *order = host_order(p, a, t);
    for (int64_t e = 0; e < t->n; e++)
        out[order[e]] = host_get(a->dtype, buf, e);
    free(order);
}

static const nmdrv_func *host_find(const nmdrv_program *p, const char *name)
{
    for (int64_t i = 0; i < p->n_funcs; i++)
        if (strcmp(p->func[i].name, name) == 0)
            return &p->func[i];
    return NULL;
}

// --- running -------------------------------------------------------------------------------------

// One call: the results' elements in out[i], in the order of the tensors' dims.
static void host_run(const nmdrv_program *p, const nmdrv_func *f, const nmdrv_sym *sym,
                     int64_t parts, const nm_tensor *args, const nm_tensor *results, double **out)
{
    int64_t *bytes = calloc((size_t)f->n_bufs + 1, sizeof *bytes);
    void **buf = calloc((size_t)f->n_bufs + 1, sizeof *buf);
    host h = {p, parts, aligned_alloc(64, (size_t)(p->scratch + 64) / 64 * 64)};
    memset(h.scratch, getenv("ZERO") ? 0 : 0xff, (size_t)p->scratch);
    f->sizes(sym, bytes);
    for (int64_t i = 0; i < f->n_bufs; i++)
        buf[i] = host_alloc_buffer(bytes[i], f->buf[i].name);
    for (int64_t i = 0; i < f->n_args; i++)
        host_write(p, &f->arg[i], &args[i], buf[f->arg[i].buf]);
    nmdrv_frame frame = {.sym = sym, .buf = buf, .call = &host_calls, .device = &h};
    f->run(&frame);
    for (int64_t i = 0; i < f->n_results; i++)
        host_read(p, &f->result[i], &results[i], buf[f->result[i].buf], out[i]);
    for (int64_t i = 0; i < f->n_bufs; i++)
        host_release_buffer(buf[i]);
    free(h.scratch);
    free(buf);
    free(bytes);
}

// --- recording -----------------------------------------------------------------------------------

static void host_record_arg(const nmdrv_program *p, const nmdrv_arg *a, const nm_tensor *t,
                            int64_t bytes)
{
    void *buf = host_alloc(bytes, a->name);
    host_write(p, a, t, buf);
    record_words(buf, (size_t)(bytes + 7) / 8);
    free(buf);
}

static void host_record_result(const nmdrv_program *p, const nmdrv_arg *a, const nm_tensor *t)
{
    int64_t *order = host_order(p, a, t);
    record_word(t->n);
    for (int64_t e = 0; e < t->n; e++)
        record_words(&t->data[order[e]], 1);
    free(order);
}

// The call as a case of the module's file (cases.h).
static void host_record(const nmdrv_program *p, const nmdrv_func *f, const nmdrv_sym *sym,
                        const nm_tensor *args, const nm_tensor *results, double tol)
{
    int64_t *bytes = calloc((size_t)f->n_bufs + 1, sizeof *bytes);
    f->sizes(sym, bytes);
    record_word(f - p->func);
    record_words(&tol, 1);
    record_words(sym, (size_t)p->n_syms * sizeof *sym / 8);
    for (int64_t i = 0; i < f->n_args; i++)
        host_record_arg(p, &f->arg[i], &args[i], bytes[f->arg[i].buf]);
    for (int64_t i = 0; i < f->n_results; i++)
        host_record_result(p, &f->result[i], &results[i]);
    free(bytes);
}

// Compare one function with the interpreter's results; tol is relative to the largest element.
static void host_check(const nmdrv_program *p, const char *name, const char *cpu,
                       const nmdrv_sym *sym, int n_results, const nm_tensor *args,
                       const nm_tensor *results, double tol)
{
    const nmdrv_func *f = host_find(p, name);
    if (!f || f->n_results != n_results) {
        fprintf(stderr, "%s: is not in the program\n", name);
        failures++;
        return;
    }
    if (record) {
        host_record(p, f, sym, args, results, tol);
        return;
    }
    double **one = calloc((size_t)n_results, sizeof *one),
           **many = calloc((size_t)n_results, sizeof *many);
    for (int i = 0; i < n_results; i++) {
        one[i] = calloc((size_t)results[i].n + 1, sizeof **one);
        many[i] = calloc((size_t)results[i].n + 1, sizeof **many);
    }
    host_run(p, f, sym, 1, args, results, one);
    host_run(p, f, sym, 7, args, results, many);
    for (int i = 0; i < n_results; i++) {
        double most = 1e-30, off = 0;
        int64_t at = 0;
        for (int64_t e = 0; e < results[i].n; e++) {
            double want = results[i].data[e], d = fabs(one[i][e] - want);
            most = fabs(want) > most && isfinite(want) ? fabs(want) : most;
            if (one[i][e] == want || (isnan(want) && isnan(one[i][e])))
                d = 0;
            if (!(d <= off)) {
                off = d;
                at = e;
            }
        }
        if (!(off <= tol * (most > 1 ? most : 1)) && failures++ < 40)
            fprintf(stderr, "%s (%s): result %d element %lld: %.9g, the interpreter says %.9g\n",
                    name, cpu, i, (long long)at, one[i][at], results[i].data[at]);
        if (memcmp(one[i], many[i], (size_t)results[i].n * sizeof **one) != 0 && failures++ < 40)
            fprintf(stderr, "%s (%s): result %d depends on how the range is cut\n", name, cpu, i);
        free(one[i]);
        free(many[i]);
    }
    free(one);
    free(many);
}

// Compile the module (whose functions have plans) to a shared object and load it; NULL: reported.
static const nmdrv_program *host_load(nm_module *m, const char *cpu)
{
    static int n; // dlopen gives a name that it knows the library that it had then
    char path[64];
    const char *arch = record_arch();
    snprintf(path, sizeof path, "/tmp/nemocc-test-%ld-%d.so", (long)getpid(), n);
    nm_codegen_opts o = {.emit = NM_EMIT_shared,
                         .out = record_path(n++),
                         .cpu = cpu,
                         .version = "test",
                         .emu = m->options.flavour == NM_FLAVOUR_gpu};
    if (record) {
        o.cpu = "x86-64-v3";
        o.n_archs = 1;
        o.arch = &arch;
    } else {
        o.out = path;
    }
    if (!nm_codegen_programs(1, &m, &o)) {
        failures++;
        return NULL;
    }
    void *lib = dlopen(o.out, RTLD_NOW | RTLD_LOCAL);
    unlink(path);
    if (!lib) {
        fprintf(stderr, "dlopen: %s\n", dlerror());
        failures++;
        return NULL;
    }
    const nmdrv_program *const *programs = dlsym(lib, "nemocc_programs");
    return programs[0];
}

#endif
