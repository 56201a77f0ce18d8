// base/: arenas, interning, Philox and its hash by published vectors, diagnostics as they print.
#include "base/cache.h"
#include "base/diag.h"
#include "base/intern.h"
#include "base/list.h"
#include "base/philox.h"
#include "tests/expect.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void arenas(void)
{
    nm_arena a = {0};
    char *p = nm_arena_alloc(&a, 3), *q = nm_arena_alloc(&a, 1);
    EXPECT(((uintptr_t)p & 15) == 0 && ((uintptr_t)q & 15) == 0 && p[2] == 0);
    memset(p, 1, 3);
    nm_arena_mark mark = nm_arena_mark_get(&a);
    for (int i = 0; i < 100; i++)
        memset(nm_arena_alloc(&a, 5000), 7, 5000);
    nm_arena_reset(&a, mark);
    char *again = nm_arena_alloc(&a, 70000);
    EXPECT(again[0] == 0 && again[69999] == 0 && p[2] == 1);
    EXPECT(!strcmp(nm_arena_fmt(&a, "%d-%s", 12, "x"), "12-x"));
    int *row = NULL, sum = 0;
    for (int n = 0; n < 100; n++) {
        row = nm_arena_grow(&a, row, n, sizeof *row);
        row[n] = n;
    }
    for (int n = 0; n < 100; n++)
        sum += row[n];
    EXPECT(sum == 4950);
    nm_arena_free(&a);
    EXPECT(!a.chunk);
}

static void interning(void)
{
    nm_arena a = {0};
    nm_interner *in = nm_interner_new(&a);
    nm_sym seq = nm_intern(in, "sequence", 3), long_seq = nm_intern(in, "sequence", 8);
    char text[16];
    for (int i = 0; i < 5000; i++)
        nm_intern(in, text, (size_t)snprintf(text, sizeof text, "v%d", i));
    EXPECT(seq != long_seq && seq == nm_intern(in, "seq", 3));
    EXPECT(nm_intern(in, "v77", 3) == nm_intern(in, "v77x", 3));
    nm_arena_free(&a);
}

// Known answers of Random123 (kat_vectors, philox4x32 10).
static void philox(void)
{
    static const struct {
        nm_philox counter;
        uint32_t key[2];
        nm_philox want;
    } known[] = {
        {{{0, 0, 0, 0}}, {0, 0}, {{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}}},
        {{{~0u, ~0u, ~0u, ~0u}}, {~0u, ~0u}, {{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}}},
        {{{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}},
         {0xa4093822, 0x299f31d0},
         {{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}}},
    };
    for (int i = 0; i < 3; i++) {
        nm_philox got = nm_philox_10(known[i].counter, known[i].key[0], known[i].key[1]);
        EXPECT(!memcmp(&got, &known[i].want, sizeof got));
    }
    EXPECT(nm_hash64("", 0) == 0xcbf29ce484222325u);
    EXPECT(nm_hash64("foobar", 6) == 0x85944171f73967e8u);
    EXPECT(nm_philox_uniform((nm_philox){{~0u, 0, 0, 0}}) < 1.0f);
    EXPECT(isfinite(NM_PHILOX_NORMAL(float, ((nm_philox){{0, 0, 0, 0}}), sqrtf, logf, cosf)));
}

static void normals(void)
{
    double sum = 0, squares = 0;
    int n = 20000;
    for (int i = 0; i < n; i++) {
        nm_philox p = nm_philox_draw(1, nm_hash64("w", 1), 0, 0, (uint64_t)i);
        double x = NM_PHILOX_NORMAL(double, p, sqrt, log, cos);
        sum += x, squares += x * x;
    }
    EXPECT(fabs(sum / n) < 0.03 && fabs(squares / n - 1) < 0.03);
}

static void nearest(void)
{
    static const char *const names[] = {"seq", "heads", "softmax", "eps", "d"};
    EXPECT(!strcmp(nm_nearest("head", names, 5), "heads"));
    EXPECT(!strcmp(nm_nearest("sofmax", names, 5), "softmax"));
    EXPECT(!strcmp(nm_nearest("sqe", names, 5), "seq"));
    EXPECT(!strcmp(nm_nearest("epsilon", names, 5), "eps"));
    EXPECT(!strcmp(nm_nearest("dd", names, 5), "d"));
    EXPECT(!nm_nearest("x", names, 5) && !nm_nearest("", names, 5) &&
           !nm_nearest("vocab", names, 5));
}

static const char *shown(nm_arena *a, const nm_source *src, uint32_t off, uint32_t len)
{
    char *text;
    size_t n;
    FILE *out = open_memstream(&text, &n);
    nm_diag d = {.out = out, .max_errors = 1};
    nm_error(&d, (nm_loc){src, off, len}, "no dim '%s' [dim-1]", "dd");
    nm_help(&d, (nm_loc){0}, "did you mean 'd'?");
    nm_error(&d, (nm_loc){src, off, len}, "no dim '%s' [dim-1]", "dd"); // said before
    nm_help(&d, (nm_loc){0}, "did you mean 'd'?");
    EXPECT(d.errors == 1);
    nm_error(&d, (nm_loc){src, off + 1, len}, "no dim '%s' [dim-1]", "dd");
    EXPECT(d.errors == 2);
    nm_error(&d, (nm_loc){src, off, len}, "one too many");
    nm_note(&d, (nm_loc){src, off, len}, "about it");
    fclose(out);
    const char *copy = nm_arena_strndup(a, text, n);
    free(text);
    return copy;
}

static void diagnostics(void)
{
    nm_arena a = {0};
    nm_diag quiet = {0};
    const nm_source *src = nm_source_text(&a, &quiet, "m.nm", "x\n\ty = dd\x1b\xc3\xa9\n", 13);
    EXPECT(!strcmp(shown(&a, src, 7, 2), "m.nm:2:6: error: no dim 'dd' [dim-1]\n"
                                         "    2 | \ty = dd?\xc3\xa9\n"
                                         "      | \t    ^~\n"
                                         "nemocc: help: did you mean 'd'?\n"
                                         "nemocc: 1 errors; those that follow are not shown\n"));
    EXPECT(strstr(shown(&a, src, 0, 100), "\n      | ^\n"));
    char line[1000];
    memset(line, 'a', sizeof line);
    src = nm_source_text(&a, &quiet, "long.nm", line, sizeof line);
    EXPECT(strlen(shown(&a, src, 700, 5)) < 500 && strstr(shown(&a, src, 700, 5), "^~~~~\n"));
    EXPECT(strstr(shown(&a, src, 1000, 1), "^\n"));
    EXPECT(strstr(shown(&a, &(nm_source){.name = "a.nm"}, 4, 11), "a.nm:4:11: error: no dim"));
    nm_arena_free(&a);
}

static void sources(void)
{
    nm_arena a = {0};
    nm_diag quiet = {0};
    EXPECT(!nm_source_read(&a, &quiet, "/nowhere/at/all") && quiet.errors == 1);
    EXPECT(!nm_source_read(&a, &quiet, "/") && quiet.errors == 2);
    EXPECT(!nm_source_text(&a, &quiet, "nul", "a\0b", 3) && quiet.errors == 3);
    EXPECT(nm_source_text(&a, &quiet, "empty", NULL, 0) && quiet.errors == 3);
    nm_arena_free(&a);
}

static bool has(const char *name, const char *want)
{
    char *data;
    size_t size;
    if (nm_cache_read(name, &data, &size) != NM_CACHE_OK)
        return false;
    bool same = size == strlen(want) && memcmp(data, want, size + 1) == 0;
    free(data);
    return same;
}

static void wait_a_little(void) // until files that are used now are newer
{
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
}

static void caches(void)
{
    char folder[] = "/tmp/nemocc-base-XXXXXX", path[NM_CACHE_PATH], *data;
    size_t size, limit = 3 * 40;
    EXPECT(mkdtemp(folder));
    setenv("NEMOCC_CACHE_DIR", folder, 1);
    EXPECT(nm_cache_read("a", &data, &size) == NM_CACHE_NONE);
    EXPECT(nm_cache_write("a", "first", 5) == NM_CACHE_OK && has("a", "first"));
    EXPECT(nm_cache_write("a", "again", 5) == NM_CACHE_OK && has("a", "again"));
    wait_a_little();
    EXPECT(nm_cache_write("b", "bbbbb", 5) == NM_CACHE_OK);
    wait_a_little();
    EXPECT(nm_cache_write("c", "", 0) == NM_CACHE_OK && has("c", ""));
    wait_a_little();
    EXPECT(has("a", "again")); // so b is the one that was used longest ago
    EXPECT(nm_cache_write("d", "dd", 2) == NM_CACHE_OK);
    nm_cache_trim(limit);
    EXPECT(has("a", "again") && !has("b", "bbbbb") && has("c", "") && has("d", "dd"));
    EXPECT(nm_cache_path(path, "d") && truncate(path, 33) == 0);
    EXPECT(nm_cache_read("d", &data, &size) == NM_CACHE_BROKEN);
    EXPECT(nm_cache_path(path, "pipe") && mkfifo(path, 0600) == 0); // nobody waits for its writer
    EXPECT(nm_cache_read("pipe", &data, &size) == NM_CACHE_NONE);
    EXPECT(nm_cache_write("pipe", "p", 1) == NM_CACHE_OK && has("pipe", "p"));
    EXPECT(nm_cache_write("e", "", 0) == NM_CACHE_OK);
    nm_cache_trim(0); // none is left
    EXPECT(rmdir(folder) == 0);
    setenv("NEMOCC_CACHE_DIR", "/dev/null/folder", 1);
    EXPECT(nm_cache_write("a", "", 0) == NM_CACHE_FAILED);
    setenv("NEMOCC_CACHE_DIR", "", 1);
    EXPECT(nm_cache_write("a", "", 0) == NM_CACHE_NONE && !nm_cache_path(path, "a"));
}

// How many names a list has; *empty: of them, how many were left out.
static int count_names(const char *list, int *empty)
{
    int n = 0;
    *empty = 0;
    nm_each_item(item, list) {
        n++;
        *empty += !item.n;
    }
    return n;
}

static void lists(void)
{
    static const char *const names[] = {"", "bf16", "fp8", "f3"};
    int empty;
    EXPECT(count_names(NULL, &empty) == 0 && count_names("", &empty) == 0);
    EXPECT(count_names("f32", &empty) == 1 && !empty);
    EXPECT(count_names("f32,bf16,fp8", &empty) == 3 && !empty);
    EXPECT(count_names(",a", &empty) == 2 && empty == 1);
    EXPECT(count_names("a,", &empty) == 2 && empty == 1);
    EXPECT(count_names("a,,b", &empty) == 3 && empty == 1);
    EXPECT(nm_list_has("f32,bf16", "bf16") && nm_list_has("f32,bf16", "f32"));
    EXPECT(!nm_list_has("f32,bf16", "bf") && !nm_list_has("f32,bf16", "f32,bf16"));
    EXPECT(!nm_list_has(NULL, "f32") && !nm_list_has("", "") && nm_list_has("a,", ""));
    nm_item first = nm_list_first("fp8,f32"), last = nm_list_next(first);
    EXPECT(nm_item_find(first, 4, names) == 2 && nm_item_find(last, 4, names) == -1);
    EXPECT(!nm_list_next(last).at);
    EXPECT(nm_name_find("bf16", 4, names) == 1 && nm_name_find("bf16,fp8", 4, names) == -1);
}

int main(void)
{
    lists();
    caches();
    arenas();
    interning();
    philox();
    normals();
    nearest();
    diagnostics();
    sources();
    return expect_failed;
}
