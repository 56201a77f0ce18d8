// Samples of corpora and blends, and the fields made of them, against those that
// tests/fixtures/megatron.py made; texts; and what is refused.
#include "runtime/data.h"

#include "runtime/tokenizer/tokenizer.h"

#include "tests/runtime/check.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const nmrt_output quiet;

static nmrt_source *open_source(nmrt_source_request q)
{
    nmrt_error e;
    nmrt_source *s = NULL;
    q.out = &quiet;
    if (nmrt_source_open(&s, &q, &e) != NMRT_OK)
        fprintf(stderr, "%s\n", e.text);
    CHECK(s);
    if (!s)
        exit(1);
    return s;
}

// --- as Megatron ---------------------------------------------------------------------------------

static int compare(FILE *f, const int64_t *x, int64_t n)
{
    int wrong = 0;
    for (int64_t i = 0; i < n; i++) {
        long long is = -1;
        wrong += fscanf(f, "%lld", &is) != 1 || is != x[i];
    }
    return wrong;
}

enum { SEQ = 16 };

// As a rank of cp would ask for it: by halves.
static int compare_field(FILE *f, const char *name, const int64_t *token, int64_t n)
{
    const nmrt_document_ends documents = {
        .end = 0, .resets_positions = true, .resets_attention = true, .masks_end = true};
    int64_t out[SEQ], half = n / 2;
    nmrt_data_field(name, &documents, token, half, n - half, out + half);
    nmrt_data_field(name, &documents, token, 0, half, out);
    return compare(f, out, n);
}

static void compare_samples(FILE *f, const nmrt_source *s, int shown)
{
    int wrong = 0;
    for (int i = 0; i < shown; i++) {
        int64_t token[SEQ + 1] = {0};
        nmrt_error e;
        CHECK(s->kind->read(s, i, token, &e) == NMRT_OK);
        wrong += compare(f, token, s->q.seq + 1);
        wrong += compare_field(f, "at", token, s->q.seq);
        wrong += compare_field(f, "segments", token, s->q.seq);
        wrong += compare_field(f, "mask", token, s->q.seq);
    }
    CHECK(!wrong);
}

static bool test_case(FILE *f)
{
    char what[64], split[64], part[16];
    long long seq, samples, seed, total, shown;
    if (fscanf(f, "%63s %63s %15s %lld %lld %lld %lld %lld", what, split, part, &seq, &samples,
               &seed, &total, &shown) != 8)
        return false;
    nmrt_source_request q = {.path = what,
                             .seq = seq,
                             .seed = (uint64_t)seed,
                             .shuffle = strcmp(part, "train") == 0,
                             .held_out = strcmp(part, "train") != 0,
                             .part = nmrt_split_part_find(part)};
    nmrt_error e;
    CHECK(nmrt_split_parse(&q.split, split) && seq <= SEQ);
    nmrt_source *s = open_source(q);
    CHECK(nmrt_source_draw(s, samples, &e) == NMRT_OK);
    CHECK(samples ? s->drawn >= total : s->drawn == total);
    compare_samples(f, s, (int)shown);
    nmrt_source_close(s);
    return true;
}

static void test_megatron(void)
{
    FILE *f = fopen("samples.txt", "r");
    int cases = 0;
    while (f && test_case(f))
        cases++;
    CHECK(cases == 7);
    if (f)
        fclose(f);
}

// --- texts ---------------------------------------------------------------------------------------

static void read_first(const nmrt_source *s, int64_t *token)
{
    nmrt_error e;
    CHECK(s->kind->read(s, 0, token, &e) == NMRT_OK);
}

static void test_texts(void)
{
    int64_t bytes[9], ids[9];
    nmrt_source_request q = {.path = "splits.txt", .seq = 8, .part = NMRT_PART_ALL};
    nmrt_source *s = open_source(q);
    int64_t all = s->samples;
    read_first(s, bytes);
    CHECK(bytes[0] == '9' && bytes[2] == ',' && s->drawn == INT64_MAX);
    nmrt_source_close(s);
    q.tokenizer = "bytes"; // the same, by a tokenizer
    s = open_source(q);
    read_first(s, ids);
    CHECK(s->samples == all && memcmp(ids, bytes, sizeof ids) == 0);
    nmrt_source_close(s);
    CHECK(nmrt_split_parse(&q.split, "50,50"));
    q.part = NMRT_PART_VALID; // the second half of the samples
    s = open_source(q);
    read_first(s, ids);
    CHECK(s->samples == all - all / 2 && memcmp(ids, bytes, sizeof ids) != 0);
    nmrt_source_close(s);
}

// --- refusals ------------------------------------------------------------------------------------

static void refuses(nmrt_source_request q, int64_t samples, const char *why)
{
    nmrt_error e = {0};
    nmrt_source *s;
    q.out = &quiet;
    nmrt_status status = nmrt_source_open(&s, &q, &e);
    if (status == NMRT_OK)
        status = nmrt_source_draw(s, samples, &e);
    CHECK(status != NMRT_OK);
    CHECK(strstr(e.text, why));
    if (!strstr(e.text, why))
        fprintf(stderr, "%s, not %s\n", e.text, why);
    nmrt_source_close(s);
}

static void test_refusals(void)
{
    nmrt_source_request q = {.seq = 8, .part = NMRT_PART_ALL, .shuffle = true};
    q.path = "a,2:b";
    refuses(q, 1, "--data a,2:b: 1 of 2 corpora have a weight: all must, or none");
    q.path = "-1:a";
    refuses(q, 1, "the weight of a is not above 0");
    q.path = "a,";
    refuses(q, 1, "there is neither a file of this name nor");
    q.path = "a,b";
    refuses(q, 1000,
            "each of its 110 once. To go through them again give weights; by their "
            "sizes: --data 0.736:a,0.264:b");
    q.path = "0.5:a,0.5:none";
    refuses(q, 1, "--data 0.5:a,0.5:none: there is neither none.bin nor none.idx");
    q.path = "splits.txt,a";
    refuses(q, 1, "splits.txt is no corpus, of which blends are");
    q.path = "none";
    refuses(q, 1, "cannot open none: No such file");
    q.path = "a.bin";
    q.seq = 1000;
    refuses(q, 1, "a.bin has 650 tokens in 40 documents; one sample of seq = 1000 needs 1001");
    q.seq = 8;
    CHECK(nmrt_split_parse(&q.split, "100,1"));
    q.part = NMRT_PART_VALID;
    refuses(q, 1, "the part valid of a.bin, which has 40 documents, has 0 tokens in 0 documents");
    q.part = NMRT_PART_ALL;
    q.seed = (uint64_t)1 << 32;
    refuses(q, 1, "takes a seed below 2^32");
}

// A run that goes on for longer has the same order only as long as epochs are drawn alike.
static void test_orders(void)
{
    nmrt_source_request q = {.path = "a", .seq = 16, .part = NMRT_PART_ALL, .shuffle = true};
    nmrt_source *s = open_source(q); // an epoch is 40 samples and some tokens
    CHECK(nmrt_source_same_order(s, 30, 40) && !nmrt_source_same_order(s, 40, 41));
    CHECK(nmrt_source_same_order(s, 41, 50) && !nmrt_source_same_order(s, 50, 79));
    nmrt_source_close(s);
    q.path = "0.5:a,0.5:b";
    s = open_source(q);
    CHECK(nmrt_source_same_order(s, 10, 20) && !nmrt_source_same_order(s, 20, 100));
    nmrt_source_close(s);
}

// A token that the vocabulary lacks is named by where it stands in its corpus.
static void test_scan(void)
{
    nmrt_error e;
    nmrt_source_request q = {.path = "1:b", .seq = 8, .part = NMRT_PART_ALL};
    nmrt_source *s = open_source(q);
    nmrt_text bad = {0};
    CHECK(s->kind->scan(s, 251, &bad, &e) == NMRT_OK && !bad.n);
    CHECK(s->kind->scan(s, 30, &bad, &e) == NMRT_OK && bad.n);
    CHECK(bad.at && strcmp(bad.at, "b: token 1 of document 4, 30,") == 0);
    nmrt_text_release(&bad);
    CHECK(nmrt_source_draw(s, 4, &e) == NMRT_OK);
    s->kind->locate(s, 1, 3, &bad); // not shuffled: token 11 of the corpus
    CHECK(bad.at && strcmp(bad.at, "b: token 11 of document 0, 12,") == 0);
    nmrt_text_release(&bad);
    nmrt_source_close(s);
}

int main(void)
{
    if (chdir("tests/fixtures/megatron")) {
        fprintf(stderr, "this test runs in the tree's root\n");
        return 1;
    }
    test_megatron();
    test_texts();
    test_orders();
    test_refusals();
    test_scan();
    return check_result();
}
