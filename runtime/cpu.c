// What this processor can do: its level by cpuid (the levels of the x86-64 psABI), and its peak of
// multiply-adds, measured by a loop that never leaves the registers.
#define _GNU_SOURCE
#include "runtime/cpu.h"

#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

typedef struct cpuid_words {
    unsigned a, b, c, d;
} cpuid_words;

static cpuid_words read_cpuid(unsigned leaf)
{
    cpuid_words w = {0};
    if (!__get_cpuid_count(leaf, 0, &w.a, &w.b, &w.c, &w.d))
        return (cpuid_words){0};
    return w;
}

static unsigned enabled_state(void) // which registers the operating system saves
{
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static bool has(unsigned word, unsigned bits) { return (word & bits) == bits; }

int nmrt_cpu_level(void)
{
    enum { // leaf 1 ecx, leaf 7 ebx, leaf 0x80000001 ecx
        V2 = 1 << 0 | 1 << 9 | 1 << 13 | 1 << 19 | 1 << 20 | 1 << 23,
        V3 = 1 << 12 | 1 << 22 | 1 << 27 | 1 << 28 | 1 << 29,
        V3_LEAF7 = 1 << 3 | 1 << 5 | 1 << 8,
        V3_EXTENDED = 1 << 5,
        AVX_STATE = 0x6,
        AVX512_STATE = 0xE6,
    };
    const unsigned v4 = 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31; // leaf 7 ebx
    cpuid_words one = read_cpuid(1), seven = read_cpuid(7), extended = read_cpuid(0x80000001);
    if (!has(one.c, V2))
        return 1;
    if (!has(one.c, V3) || !has(seven.b, V3_LEAF7) || !has(extended.c, V3_EXTENDED) ||
        !has(enabled_state(), AVX_STATE))
        return 2;
    return has(seven.b, v4) && has(enabled_state(), AVX512_STATE) ? 4 : 3;
}

void nmrt_cpu_flush_denormals(void)
{
    enum { FLUSH_TO_ZERO = 0x8000, DENORMALS_ARE_ZERO = 0x40 };
    _mm_setcsr(_mm_getcsr() | FLUSH_TO_ZERO | DENORMALS_ARE_ZERO);
}

// Twelve independent chains cover the latency of two multiply-add units. lanes * 2 operations each.
#define PEAK_LOOP(V, lanes, set1, step)                                                            \
    V x[12], a = set1(0.999f), b = set1(0.001f);                                                   \
    for (int k = 0; k < 12; k++)                                                                   \
        x[k] = set1(0.1f * (float)k);                                                              \
    for (int64_t n = NMRT_PEAK_FLOPS / (12 * 2 * (lanes)) * count; n > 0; n--)                     \
        _Pragma("GCC unroll 12") for (int k = 0; k < 12; k++) x[k] = step(x[k], a, b);             \
    for (int k = 1; k < 12; k++)                                                                   \
        x[0] = step(x[0], a, x[k]);                                                                \
    __builtin_memcpy(out, &x[0], sizeof x[0]);

__attribute__((target("avx512f"))) static void peak_512(int64_t count, void *out)
{
    PEAK_LOOP(__m512, 16, _mm512_set1_ps, _mm512_fmadd_ps)
}

__attribute__((target("avx2,fma"))) static void peak_256(int64_t count, void *out)
{
    PEAK_LOOP(__m256, 8, _mm256_set1_ps, _mm256_fmadd_ps)
}

static __m128 multiply_add(__m128 x, __m128 a, __m128 b) { return _mm_add_ps(_mm_mul_ps(x, a), b); }

static void peak_128(int64_t count, void *out) { PEAK_LOOP(__m128, 4, _mm_set1_ps, multiply_add) }

static void run_peak(int64_t count, void *out)
{
    int level = nmrt_cpu_level();
    (level >= 4 ? peak_512 : level >= 3 ? peak_256 : peak_128)(count, out);
}
#else
int nmrt_cpu_level(void) { return 0; }
void nmrt_cpu_flush_denormals(void) {}

static void run_peak(int64_t count, void *out)
{
    float x[16];
    for (int k = 0; k < 16; k++)
        x[k] = 0.1f * (float)k;
    for (int64_t n = NMRT_PEAK_FLOPS / (16 * 2) * count; n > 0; n--)
        for (int k = 0; k < 16; k++)
            x[k] = x[k] * 0.999f + 0.001f;
    __builtin_memcpy(out, x, sizeof x);
}
#endif

void nmrt_cpu_peak_kernel(const nmdrv_sym *sym, void *const *arg, int64_t from, int64_t to,
                          void *scratch)
{
    (void)sym, (void)arg;
    run_peak(to - from, scratch);
}

static int count_processors(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        return CPU_COUNT(&set);
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (int)n : 1;
}

int nmrt_cpu_threads(void)
{
    int n = count_processors();
    long quota = 0, period = 0;
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "re"); // "200000 100000", or "max 100000"
    if (f && fscanf(f, "%ld %ld", &quota, &period) == 2 && quota > 0 && period > 0 &&
        quota / period < n)
        n = (int)((quota + period - 1) / period);
    if (f)
        fclose(f);
    return n;
}

nmrt_status nmrt_cpu_check(const nmdrv_program *program, nmrt_error *e)
{
    int level = nmrt_cpu_level();
    if (level == 0 || level >= program->cpu_level)
        return NMRT_OK;
    return nmrt_fail(
        e, NMRT_WORLD,
        "this program was compiled for %s (x86-64-v%d) and this processor is an x86-64-v%d; "
        "compile it again with --cpu x86-64-v%d",
        program->cpu, (int)program->cpu_level, level, level);
}
