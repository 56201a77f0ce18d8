// Orders of documents, samples, blends and splits, against those that tests/fixtures/megatron.py
// made once with numpy, and that Megatron Core 0.14's own code gives, too.
#include "runtime/corpus/blend.h"
#include "runtime/corpus/mt19937.h"
#include "runtime/corpus/order.h"
#include "runtime/corpus/split.h"

#include "tests/runtime/check.h"

#include <stdlib.h>
#include <string.h>

#define FIXTURES "tests/fixtures/megatron/"

static FILE *open_fixture(const char *path)
{
    FILE *f = fopen(path, "r");
    if (!f) {
        fprintf(stderr, "%s: cannot open it; this test runs in the tree's root\n", path);
        exit(1);
    }
    return f;
}

static bool read_number(FILE *f, int64_t *x)
{
    long long number;
    bool ok = fscanf(f, "%lld", &number) == 1;
    *x = ok ? number : 0;
    return ok;
}

static int64_t next(FILE *f)
{
    int64_t x;
    CHECK(read_number(f, &x));
    return x;
}

// --- orders --------------------------------------------------------------------------------------

static void compare_order(FILE *f, nmrt_order *o)
{
    CHECK(o->epochs == next(f));
    CHECK(o->last_apart == next(f));
    CHECK(o->before == next(f));
    int64_t documents = next(f), wrong = 0;
    CHECK(documents == o->epochs * o->q.n);
    for (int64_t i = 0; i < documents; i++)
        wrong += next(f) != o->document[i];
    CHECK(!wrong);
    int64_t samples = next(f);
    CHECK(samples == o->samples);
    for (int64_t i = 0; i < samples; i++) {
        nmrt_place p = nmrt_order_place(o, i);
        wrong += next(f) != p.at;
        wrong += next(f) != p.offset;
    }
    CHECK(!wrong);
    next(f); // where the last sample ends
    next(f);
    for (int64_t i = 0; i < samples; i++)
        wrong += next(f) != o->sample[i];
    CHECK(!wrong);
}

static void test_order(FILE *f, int64_t n)
{
    nmrt_order o;
    nmrt_error e;
    char *memory = malloc((size_t)n * 4 + 1), *lengths = memory + 1; // as in a file: not aligned
    for (int64_t i = 0; i < n; i++) {
        int32_t length = (int32_t)next(f);
        memcpy(lengths + 4 * i, &length, 4);
    }
    nmrt_order_request q = {.lengths = lengths, .shuffle = true};
    q.first = next(f);
    q.n = next(f);
    q.seq = next(f);
    q.samples = next(f);
    q.seed = (uint32_t)next(f);
    CHECK(nmrt_order_measure(&o, &q, &e) == NMRT_OK);
    CHECK(nmrt_order_draw(&o, &e) == NMRT_OK);
    compare_order(f, &o);
    nmrt_order_release(&o);
    free(memory);
}

static void test_orders(void)
{
    FILE *f = open_fixture(FIXTURES "orders.txt");
    int cases = 0;
    for (int64_t n; read_number(f, &n); cases++)
        test_order(f, n);
    CHECK(cases == 10);
    fclose(f);
}

static void test_sequential(void)
{
    const int32_t lengths[] = {3, 2, 9};
    nmrt_order o;
    nmrt_error e;
    nmrt_order_request q = {.lengths = lengths, .first = 1, .n = 2, .seq = 4, .samples = 5};
    CHECK(nmrt_order_measure(&o, &q, &e) == NMRT_OK && o.epochs == 2 && o.samples == 5);
    CHECK(nmrt_order_draw(&o, &e) == NMRT_OK);
    nmrt_place p = nmrt_order_place(&o, 2); // token 8 of 2 + 9
    CHECK(o.document[p.at] == 2 && p.offset == 6 && o.sample[2] == 2);
    nmrt_order_release(&o);
}

static void test_refusals(void)
{
    const int32_t lengths[] = {3, 0};
    nmrt_order o;
    nmrt_error e;
    nmrt_order_request q = {.lengths = lengths, .n = 2, .seq = 3};
    CHECK(nmrt_order_measure(&o, &q, &e) == NMRT_USAGE);
    CHECK(strcmp(e.text, "3 tokens in 2 documents; one sample of seq = 3 needs 4") == 0);
    q = (nmrt_order_request){.lengths = lengths, .first = 1, .n = 1, .seq = 3, .samples = 1};
    CHECK(nmrt_order_measure(&o, &q, &e) == NMRT_USAGE);
    q = (nmrt_order_request){.lengths = lengths, .n = 2, .seq = 3, .samples = (int64_t)1 << 53};
    CHECK(nmrt_order_measure(&o, &q, &e) == NMRT_USAGE);
    q.samples = ((int64_t)1 << 32) - 2; // as many samples, but too many documents
    CHECK(nmrt_order_measure(&o, &q, &e) == NMRT_USAGE);
}

// --- blends --------------------------------------------------------------------------------------

enum { MOST = 130 };

static void test_blend(FILE *f, int n)
{
    double weight[MOST];
    int64_t size = next(f), shares = 0, wrong = 0;
    for (int i = 0; i < n; i++)
        CHECK(fscanf(f, "%lf", &weight[i]) == 1);
    nmrt_blend_normalise(weight, n);
    for (int i = 0; i < n; i++) {
        wrong += next(f) != nmrt_blend_need(weight[i], size);
        shares += nmrt_blend_share(weight[i], size);
    }
    CHECK(!wrong && shares == next(f));
    nmrt_blend b;
    nmrt_error e;
    CHECK(nmrt_blend_init(&b, weight, n, size, &e) == NMRT_OK);
    for (int64_t i = 0; i < size; i++) {
        nmrt_blended x = nmrt_blend_get(&b, i);
        wrong += next(f) != x.from;
        wrong += next(f) != x.index;
    }
    CHECK(!wrong);
    nmrt_blend_release(&b);
}

static void test_blends(void)
{
    FILE *f = open_fixture(FIXTURES "blends.txt");
    int cases = 0;
    for (int64_t n; read_number(f, &n) && n <= MOST; cases++)
        test_blend(f, (int)n);
    CHECK(cases == 7);
    fclose(f);
}

// --- splits --------------------------------------------------------------------------------------

static void test_splits(void)
{
    FILE *f = open_fixture(FIXTURES "splits.txt");
    char text[64];
    int cases = 0;
    for (; fscanf(f, "%63s", text) == 1; cases++) {
        nmrt_split s;
        int64_t documents = next(f), from = next(f);
        CHECK(nmrt_split_parse(&s, text));
        for (int part = NMRT_PART_TRAIN; part < NMRT_PART_ALL; part++) {
            nmrt_range r = nmrt_split_range(&s, (nmrt_split_part)part, documents);
            int64_t end = next(f);
            CHECK(r.first == from && r.n == end - from);
            from = end;
        }
    }
    CHECK(cases == 9);
    fclose(f);
    static const char *const bad[] = {"",    "0,0", "99,",  "1,2,3,", "1,2,3,4", "-1,2",
                                      "1 2", " 1",  "1,,2", "nan",    "inf,1",   "x"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(!nmrt_split_parse(&(nmrt_split){0}, bad[i]));
    CHECK(nmrt_split_part_find("valid") == NMRT_PART_VALID &&
          nmrt_split_part_find("all") == NMRT_PART_ALL);
}

int main(void)
{
    test_orders();
    test_sequential();
    test_refusals();
    test_blends();
    test_splits();
    return check_result();
}
