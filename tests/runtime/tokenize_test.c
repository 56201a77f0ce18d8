// A corpus is tokenised to the same bytes by any number of threads and in chunks of any size, and
// where the process is killed at any moment and started again.
#include "runtime/corpus/tokenize.h"

#include "runtime/source.h"
#include "runtime/tokenizer/tokenizer.h"
#include "tests/runtime/check.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[64], corpus[2][128];
static const char *const paths[] = {corpus[0], corpus[1]};

static const char *in_folder(const char *name)
{
    static char path[64][128]; // as many as a test holds at a time
    static int next;
    char *p = path[next++ % 64];
    snprintf(p, sizeof path[0], "%s/%s", folder, name);
    return p;
}

static nmrt_status tokenize(nmrt_tokenize o, nmrt_error *e)
{
    FILE *nowhere = fopen("/dev/null", "w");
    nmrt_output out = {.text = nowhere, .note = nowhere};
    o.append_eod = !o.tokenizer;
    o.tokenizer = o.tokenizer ? o.tokenizer : "bytes";
    o.dtype = "auto";
    o.json_key = "text";
    o.path = o.path ? o.path : paths;
    o.n_paths = o.n_paths ? o.n_paths : 2;
    o.eod = "0";
    nmrt_status status = nmrt_tokenize_run(&o, &out, e);
    fclose(nowhere);
    return status;
}

static bool same_file(const char *a, const char *b)
{
    nmrt_map x = {0}, y = {0};
    nmrt_error e;
    bool same = nmrt_map_open(&x, a, &e) == NMRT_OK && nmrt_map_open(&y, b, &e) == NMRT_OK &&
                x.n == y.n && x.n && memcmp(x.at, y.at, x.n) == 0;
    nmrt_map_close(&x);
    nmrt_map_close(&y);
    return same;
}

static bool same_set(const char *a, const char *b)
{
    char path[4][NMRT_PATH];
    nmrt_error e;
    nmrt_path_append(path[0], a, ".bin", &e);
    nmrt_path_append(path[1], b, ".bin", &e);
    nmrt_path_append(path[2], a, ".idx", &e);
    nmrt_path_append(path[3], b, ".idx", &e);
    return same_file(path[0], path[1]) && same_file(path[2], path[3]);
}

static void test_same(void)
{
    nmrt_error e;
    CHECK(tokenize(
              (nmrt_tokenize){.prefix = in_folder("whole"), .workers = 1, .chunk_bytes = 1 << 20},
              &e) == NMRT_OK);
    CHECK(tokenize((nmrt_tokenize){.prefix = in_folder("parts"), .workers = 5, .chunk_bytes = 100},
                   &e) == NMRT_OK);
    CHECK(same_set(in_folder("whole"), in_folder("parts")));
    nmrt_indexed set;
    CHECK(nmrt_indexed_open(&set, in_folder("whole"), &e) == NMRT_OK);
    CHECK(set.n_documents == 2000 && set.n_sequences == 2000); // an empty text has none, a pair two
    int32_t token[4];
    nmrt_indexed_read(&set, 0, 0, 4, token);
    CHECK(token[0] == 'n' && token[1] == '0' && token[2] == 0xC3 && token[3] == 0xA9);
    nmrt_indexed_read(&set, 0, nmrt_indexed_length(&set, 0) - 1, 1, token);
    CHECK(token[0] == 0); // eod
    nmrt_indexed_close(&set);
}

// A run in a process that is killed after `micros`, or ends. Did it end?
static bool run_killed(const char *prefix, useconds_t micros)
{
    fflush(NULL);
    pid_t child = fork();
    if (!child) {
        nmrt_error e;
        nmrt_tokenize o = {.prefix = prefix, .workers = 2, .chunk_bytes = 10000};
        nmrt_status status = tokenize(o, &e);
        if (status != NMRT_OK)
            fprintf(stderr, "%s\n", e.text);
        _exit(status != NMRT_OK);
    }
    int status;
    usleep(micros);
    kill(child, SIGKILL);
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
    return WIFEXITED(status);
}

static void test_killed(void)
{
    for (int round = 0; round < 2; round++) {
        char prefix[32];
        nmrt_error e;
        snprintf(prefix, sizeof prefix, "killed%d", round);
        const char *path = in_folder(prefix);
        useconds_t micros = 3000 + 1777 * (useconds_t)round; // longer each time: it ends
        while (!run_killed(path, micros))
            micros += 2111;
        CHECK(same_set(in_folder("whole"), path));
        CHECK(tokenize((nmrt_tokenize){.prefix = path, .workers = 1, .chunk_bytes = 99}, &e) ==
              NMRT_WORLD);
        CHECK(strstr(e.text, "is there already"));
    }
}

// A run that failed in the middle goes on behind what it wrote, but not with other flags.
static void test_failed(void)
{
    nmrt_error e;
    char bad[128];
    snprintf(bad, sizeof bad, "%s", in_folder("bad.jsonl"));
    const char *const path[] = {corpus[0], bad, corpus[1]};
    nmrt_tokenize o = {.prefix = in_folder("failed"),
                       .path = path,
                       .n_paths = 3,
                       .workers = 3,
                       .chunk_bytes = 500,
                       .journal_every = 1e9};
    static const char lines[] = "{\"text\": 1}\n{\"text\": [\"gone\", \"\\ud800\"]}\n";
    CHECK(nmrt_file_create(bad, lines, sizeof lines - 1, &e) == NMRT_OK);
    CHECK(tokenize(o, &e) == NMRT_CORRUPT);
    CHECK(strstr(e.text, "bad.jsonl:1: \"text\" is a number") && strstr(e.text, "goes on"));
    CHECK(nmrt_path_exists(in_folder("failed.journal.part")));
    o.special = true;
    CHECK(tokenize(o, &e) == NMRT_WORLD);
    CHECK(strstr(e.text, "whose add-special-tokens was 0, and now it is 1"));
    o.special = false;
    o.skip_bad = true;
    o.workers = 1;
    CHECK(tokenize(o, &e) == NMRT_OK);
    CHECK(same_set(in_folder("whole"), in_folder("failed")));
    CHECK(!nmrt_path_exists(in_folder("failed.journal.part")));
    CHECK(!nmrt_path_exists(in_folder("failed.sequences.part")));
}

static int64_t size_of(const char *path)
{
    struct stat st;
    return stat(path, &st) ? -1 : st.st_size;
}

// Killed when both files had their names and only the journal was left: it is removed. A run that
// fails at its last line, and files that are finished by hand, leave what such a one does.
static void test_finished(void)
{
    nmrt_error e;
    nmrt_indexed_writer w;
    char bad[128];
    snprintf(bad, sizeof bad, "%s", in_folder("end.jsonl"));
    const char *const path[] = {corpus[0], corpus[1], bad};
    nmrt_tokenize o = {.prefix = in_folder("late"), .path = path, .n_paths = 3, .workers = 1};
    o.chunk_bytes = 10000;
    CHECK(nmrt_file_create(bad, "{}\n", 3, &e) == NMRT_OK);
    CHECK(tokenize(o, &e) == NMRT_CORRUPT);
    nmrt_indexed_mark mark = {size_of(in_folder("late.bin.part")),
                              size_of(in_folder("late.sequences.part"))};
    CHECK(nmrt_indexed_resume(&w, o.prefix, NMRT_TOKEN_uint16, mark, &e) == NMRT_OK);
    CHECK(nmrt_indexed_finish(&w, &e) == NMRT_OK);
    CHECK(nmrt_path_exists(in_folder("late.journal.part")));
    CHECK(tokenize(o, &e) == NMRT_OK);
    CHECK(same_set(in_folder("whole"), in_folder("late")));
    CHECK(!nmrt_path_exists(in_folder("late.journal.part")));
}

// --- a text that is trained on as it is ----------------------------------------------------------

static void make_text(const char *path)
{
    nmrt_text text = {0};
    nmrt_error e;
    for (int i = 0; text.n < 5 << 18; i++)
        nmrt_text_add(&text, i % 7 ? "Say the %d words, and no more\n" : "  %d of the words\n\n",
                      i);
    CHECK(nmrt_file_create(path, text.at, text.n, &e) == NMRT_OK);
    nmrt_text_release(&text);
}

static void encode_file(const char *path, const char *tokenizer, nmrt_ids *ids)
{
    nmrt_map map;
    nmrt_tokenizer *t;
    nmrt_encoder *enc;
    nmrt_error e;
    CHECK(nmrt_map_open(&map, path, &e) == NMRT_OK);
    CHECK(nmrt_tokenizer_open(&t, tokenizer, &e) == NMRT_OK);
    CHECK(nmrt_encoder_open(&enc, t, &e) == NMRT_OK);
    CHECK(nmrt_encode(enc, (const char *)map.at, map.n, false, ids, &e) == NMRT_OK);
    nmrt_encoder_close(enc);
    nmrt_tokenizer_close(t);
    nmrt_map_close(&map);
}

static bool same_in_set(const char *prefix, const nmrt_ids *ids)
{
    nmrt_indexed set;
    nmrt_error e;
    CHECK(nmrt_indexed_open(&set, prefix, &e) == NMRT_OK);
    bool same = set.n_sequences == 1 && set.n_tokens == (int64_t)ids->n;
    for (int64_t i = 0; same && i < set.n_tokens; i++) {
        int32_t id;
        nmrt_indexed_read(&set, 0, i, 1, &id);
        same = id == ids->at[i];
    }
    nmrt_indexed_close(&set);
    return same;
}

static bool same_in_source(const char *path, const char *tokenizer, const nmrt_ids *ids)
{
    enum { SEQ = 64 };
    const nmrt_output quiet = {0};
    nmrt_source_request q = {.path = path, .tokenizer = tokenizer, .seq = SEQ, .out = &quiet};
    nmrt_source *s;
    nmrt_error e;
    q.part = NMRT_PART_ALL;
    CHECK(nmrt_source_open(&s, &q, &e) == NMRT_OK);
    bool same = s->samples == ((int64_t)ids->n - 1) / SEQ;
    for (int64_t i = 0; same && i < s->samples; i++) {
        int64_t token[SEQ + 1];
        CHECK(s->kind->read(s, i, token, &e) == NMRT_OK);
        for (int64_t k = 0; k <= SEQ; k++)
            same = same && token[k] == ids->at[i * SEQ + k];
    }
    nmrt_source_close(s);
    return same;
}

// Trained on as it is, a text has the tokens that a corpus made of it has: those of one encoding.
static void test_text(const char *tokenizer, const char *prefix)
{
    const char *path = in_folder("long.txt");
    nmrt_tokenize o = {.tokenizer = tokenizer, .prefix = in_folder(prefix), .path = &path};
    nmrt_ids ids = {0};
    nmrt_error e;
    o.n_paths = 1;
    o.chunk_bytes = 1 << 20;
    make_text(path);
    encode_file(path, tokenizer, &ids);
    CHECK(tokenize(o, &e) == NMRT_OK);
    CHECK(same_in_set(o.prefix, &ids));
    CHECK(same_in_source(path, tokenizer, &ids));
    nmrt_ids_release(&ids);
    CHECK(unlink(path) == 0);
}

static void make_corpus(const char *path, int from, int to)
{
    nmrt_text text = {0};
    nmrt_error e;
    for (int i = from; i < to; i++)
        if (i % 10 == 7)
            nmrt_text_add(&text, "{\"text\": \"\"}\n");
        else if (i % 10 == 8)
            nmrt_text_add(&text, "{\"text\": [\"n%d\", \"%*d\"]}\n", i, i % 50, i);
        else
            nmrt_text_add(&text, "{\"text\": \"n%d\\u00e9%*d\"}\n\n", i, i % 90, i);
    CHECK(nmrt_file_create(path, text.at, text.n, &e) == NMRT_OK);
    nmrt_text_release(&text);
}

int main(void)
{
    nmrt_error e;
    bool shm = access("/dev/shm", W_OK) == 0; // where each sync of a journal costs nothing
    snprintf(folder, sizeof folder, "%s/nemocc-tokenize-XXXXXX", shm ? "/dev/shm" : "/tmp");
    CHECK(mkdtemp(folder));
    snprintf(corpus[0], sizeof corpus[0], "%s/a.jsonl", folder);
    snprintf(corpus[1], sizeof corpus[1], "%s/b.jsonl", folder);
    make_corpus(corpus[0], 0, 1500);
    make_corpus(corpus[1], 1500, 2000);
    test_same();
    test_killed();
    test_failed();
    test_finished();
    test_text("tests/fixtures/spm/bpe.model", "text-spm");
    test_text("tests/fixtures/tokenizers/phi3.json", "text-phi3");
    CHECK(nmrt_dir_remove(folder, &e) == NMRT_OK);
    return check_result();
}
