// Extents are canonical: equal ones are one pointer, however they were computed.
#include "ir/ir.h"
#include "tests/expect.h"

#include <string.h>

typedef struct fixture {
    nm_arena arena;
    nm_diag diag;
    nm_module *m;
    const nm_extent *batch, *seq, *samples;
} fixture;

static fixture f;

static const nm_extent *c(int64_t v) { return nm_extent_const(f.m, v); }
static const nm_extent *add(const nm_extent *a, const nm_extent *b)
{
    return nm_extent_add(f.m, a, b);
}
static const nm_extent *mul(const nm_extent *a, const nm_extent *b)
{
    return nm_extent_mul(f.m, a, b);
}
static const nm_extent *quo(const nm_extent *a, const nm_extent *b)
{
    return nm_extent_div(f.m, a, b);
}
static bool prints(const nm_extent *e, const char *text)
{
    return !strcmp(nm_extent_str(f.m, e), text);
}

static void sums(void)
{
    EXPECT(add(f.batch, f.seq) == add(f.seq, f.batch));
    EXPECT(add(f.seq, mul(f.seq, c(-1))) == c(0));
    EXPECT(mul(add(f.seq, c(1)), add(f.seq, c(-1))) == add(mul(f.seq, f.seq), c(-1)));
    EXPECT(prints(add(c(3), add(mul(f.seq, f.batch), f.seq)), "batch * seq + seq + 3"));
    EXPECT(prints(add(f.seq, c(-1)), "seq - 1"));
    EXPECT(prints(mul(f.seq, c(-2)), "-2 * seq"));
}

static void quotients(void)
{
    EXPECT(quo(c(7), c(2)) == c(3) && quo(c(-7), c(2)) == c(-4) && quo(c(7), c(-2)) == c(-4));
    EXPECT(quo(mul(f.batch, f.seq), f.batch) == f.seq);
    EXPECT(quo(add(mul(f.seq, c(4)), c(3)), c(2)) == add(mul(f.seq, c(2)), c(1)));
    EXPECT(quo(quo(f.samples, c(2)), c(80)) == quo(f.samples, c(160)));
    EXPECT(quo(mul(f.seq, c(6)), c(4)) == quo(mul(f.seq, c(3)), c(2)));
    EXPECT(quo(add(mul(f.seq, c(6)), c(5)), c(4)) == quo(add(mul(f.seq, c(3)), c(2)), c(2)));
    EXPECT(quo(add(f.samples, c(162)), c(160)) == add(quo(add(f.samples, c(2)), c(160)), c(1)));
    EXPECT(prints(add(quo(add(f.samples, c(2)), c(160)), c(1)), "(samples + 2) // 160 + 1"));
    EXPECT(prints(mul(c(2), quo(f.samples, f.seq)), "2 * (samples // seq)"));
    EXPECT(quo(add(f.seq, c(1)), add(f.seq, c(1))) == c(1));
}

static void without_value(void)
{
    EXPECT(!quo(f.seq, c(0)) && !add(NULL, f.seq) && !mul(f.seq, NULL));
    EXPECT(!mul(c(INT64_MAX), c(2)) && !quo(c(INT64_MIN), c(-1)));
    const nm_extent *high = f.seq;
    for (int i = 0; i < NM_MAX_ATOMS; i++)
        high = mul(high, f.seq);
    EXPECT(!high);
    const nm_extent *deep = f.seq;
    for (int i = 0; i < 100 && deep; i++)
        deep = quo(add(deep, f.batch), f.samples);
    EXPECT(!deep);
}

static int64_t size_of(void *user, nm_sym sym)
{
    (void)user;
    return !strcmp(sym, "samples") ? 161 : !strcmp(sym, "seq") ? 5 : 0;
}

static void values(void)
{
    EXPECT(nm_extent_eval(quo(add(f.samples, c(-1)), c(160)), size_of, NULL) == 1);
    EXPECT(nm_extent_eval(quo(add(mul(f.seq, c(-1)), c(1)), c(3)), size_of, NULL) == -2);
    EXPECT(nm_extent_eval(quo(f.seq, f.batch), size_of, NULL) == 0); // an empty batch
    EXPECT(nm_extent_reads(quo(f.samples, c(3)), nm_sym_get(f.m, "samples")));
    EXPECT(!nm_extent_reads(quo(f.samples, c(3)), nm_sym_get(f.m, "seq")));
}

static void types(void)
{
    nm_dim batch = {.name = nm_sym_get(f.m, "batch"), .extent = f.batch};
    nm_dim d = {.name = nm_sym_get(f.m, "d"), .extent = c(8)};
    nm_type t = {.dtype = NM_f32, .rank = 2, .dim = {batch, d}}, u = {.dtype = NM_f32, .rank = 2};
    u.dim[0] = d, u.dim[1] = batch;
    u.dim[5] = d; // behind its rank: nobody looks
    const nm_type *a = nm_type_get(f.m, &t), *b = nm_type_get(f.m, &u);
    EXPECT(a == nm_type_get(f.m, &t) && a != b && nm_type_same_set(a, b));
    EXPECT(nm_type_with_outer(f.m, nm_type_without(f.m, b, batch.name), batch) == a);
    EXPECT(!nm_type_same_set(a, nm_type_with_dtype(f.m, a, NM_bf16)));
    EXPECT(!strcmp(nm_type_str(f.m, a), "f32[batch=batch, d=8]"));
}

int main(void)
{
    f.diag = (nm_diag){.out = stderr};
    f.m = nm_module_new(&f.arena, &f.diag);
    f.batch = nm_extent_sym(f.m, nm_sym_get(f.m, "batch"));
    f.seq = nm_extent_sym(f.m, nm_sym_get(f.m, "seq"));
    f.samples = nm_extent_sym(f.m, nm_sym_get(f.m, "samples"));
    sums();
    quotients();
    without_value();
    values();
    types();
    nm_arena_free(&f.arena);
    return expect_failed;
}
