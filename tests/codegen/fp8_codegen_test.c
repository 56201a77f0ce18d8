// Numbers of 8 bits in kernels: every number of theirs is read as what it is; a million floats,
// from subnormal to infinite, on ties and beside them, are rounded as the interpreter rounds them,
// be it stored or not; powers of two are exact. All to the bit.
#include "tests/codegen/host.h"

#include "passes/pass.h"

static const char text[] = "dims n = 1048576, all = 256\n"
                           "func @rounded(%x: f32[n]) {\n"
                           "  %a = cast %x {to = e4m3} : e4m3[n]\n"
                           "  %b = cast %x {to = e5m2} : e5m2[n]\n"
                           "  %c = cast %a {to = f32} : f32[n]\n"
                           "  %d = cast %b {to = f32} : f32[n]\n"
                           "  %e = floor_pow2 %x : f32[n]\n"
                           "  ret %a, %b, %c, %d, %e\n"
                           "}\n"
                           "func @read(%a: e4m3[all], %b: e5m2[all]) {\n"
                           "  %c = cast %a {to = f32} : f32[all]\n"
                           "  %d = cast %b {to = f32} : f32[all]\n"
                           "  ret %c, %d\n"
                           "}\n";
enum { N = 1048576, MOST = 5 };

static void check(nm_module *m, const nmdrv_program *p, const char *name, nm_tensor *args)
{
    nm_eval_opts opts = {.arena = m->arena};
    nm_tensor results[MOST];
    nm_each_func(f, m)
        if (strcmp(f->name, name) == 0) {
            if (!nm_eval(f, &opts, args, results))
                exit(1);
            host_check(p, name, "native", NULL, f->n_results, args, results, 0);
        }
}

static nm_tensor tensor(nm_module *m, nm_dtype dtype, const char *dim)
{
    nm_eval_opts opts = {.arena = m->arena};
    nm_type t = {.dtype = dtype, .rank = 1, .dim = {nm_dim_of(m, nm_sym_get(m, dim))}};
    nm_tensor out;
    if (!nm_tensor_new(m, (nm_loc){0}, &opts, nm_type_get(m, &t), &out))
        exit(1);
    return out;
}

// Every pattern of the upper 20 bits; below them `low`.
static void check_rounding(nm_module *m, const nmdrv_program *p, uint32_t low)
{
    nm_tensor x = tensor(m, NM_f32, "n");
    for (uint32_t i = 0; i < N; i++) {
        uint32_t bits = i << 12 | low;
        float f;
        memcpy(&f, &bits, sizeof f);
        x.data[i] = isnan(f) ? NAN : f;
    }
    check(m, p, "rounded", &x);
}

static void check_reading(nm_module *m, const nmdrv_program *p)
{
    nm_tensor x[] = {tensor(m, NM_e4m3, "all"), tensor(m, NM_e5m2, "all")};
    for (unsigned i = 0; i < 256; i++) {
        x[0].data[i] = host_of_bits(NMDRV_E4M3, i);
        x[1].data[i] = host_of_bits(NMDRV_E5M2, i);
    }
    check(m, p, "read", x);
}

int main(void)
{
    nm_arena arena = {0};
    nm_diag diag = nm_diag_to(stderr);
    nm_module *m = nm_module_new(&arena, &diag);
    const nm_source *src = nm_source_text(&arena, &diag, "fp8", text, sizeof text - 1);
    nm_pipeline_opts pipeline = {.only = "fuse,layout,schedule", .dump = stderr, .log = stderr};
    if (!nm_parse(m, src) || !nm_pipeline_run(m, &pipeline))
        return 1;
    const nmdrv_program *p = host_load(m, "native");
    if (!p)
        return 1;
    check_rounding(m, p, 0);
    check_rounding(m, p, 1);
    check_reading(m, p);
    nm_arena_free(&arena);
    return failures != 0;
}
