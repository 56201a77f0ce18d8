// Training a tokenizer: the pieces and merges are those of huggingface/tokenizers (tests/fixtures/
// trained.py), whoever counts which words; and what is written opens.
#include "runtime/corpus/train_tokenizer.h"
#include "runtime/json.h"
#include "runtime/tokenizer/counts.h"
#include "runtime/tokenizer/tokenizer.h"

#include "tests/runtime/check.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIXTURES "tests/fixtures/trained/"

static char folder[] = "/tmp/train_tokenizer_test.XXXXXX";
static FILE *nothing; // takes what runs print

static char *in_folder(const char *name) // until the second next call
{
    static char path[2][64];
    static int turn;
    turn = !turn;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static nmrt_status run(nmrt_train_tokenizer o, const char *corpus, nmrt_error *e)
{
    nmrt_output out = {.text = nothing, .note = nothing};
    o.path = &corpus;
    o.n_paths = 1;
    o.json_key = "text";
    o.out = in_folder("t.json");
    o.chunk_bytes = o.chunk_bytes ? o.chunk_bytes : NMRT_CHUNK_BYTES;
    return nmrt_train_tokenizer_run(&o, &out, e);
}

// --- what was written, as the fixtures have it ---------------------------------------------------

static void add_string(nmrt_text *out, const char *text, size_t n)
{
    char piece[512];
    CHECK(nm_json_unquote(text, n, piece, sizeof piece));
    nmrt_text_add(out, " %s", piece);
}

static void add_model(nmrt_text *out, const nm_json *doc)
{
    int model = nm_json_get(doc, 0, "model"), merges = nm_json_get(doc, model, "merges");
    int64_t id = 0, next = 0;
    for (int i = nm_json_first(doc, nm_json_get(doc, model, "vocab")); i >= 0;
         i = doc->node[i].next) {
        CHECK(nm_json_int(doc, i, &id) && id == next++);
        nmrt_text_add(out, "v");
        add_string(out, doc->node[i].key, doc->node[i].n_key);
        nmrt_text_add(out, "\n");
    }
    for (int i = nm_json_first(doc, merges); i >= 0; i = doc->node[i].next) {
        nmrt_text_add(out, "m");
        for (int k = nm_json_first(doc, i); k >= 0; k = doc->node[k].next)
            add_string(out, doc->node[k].text, doc->node[k].n_text);
        nmrt_text_add(out, "\n");
    }
}

static bool wrote(const char *fixture)
{
    nmrt_error e;
    nmrt_map want, got;
    nm_json doc;
    nmrt_text text = {0};
    CHECK(nmrt_map_open(&want, fixture, &e) == NMRT_OK);
    CHECK(nmrt_map_open(&got, in_folder("t.json"), &e) == NMRT_OK);
    CHECK(nmrt_json_parse(&doc, (const char *)got.at, got.n, &e) == NMRT_OK);
    add_model(&text, &doc);
    bool same = text.n == want.n && memcmp(text.at, want.at, want.n) == 0;
    nmrt_text_release(&text);
    nm_json_release(&doc);
    nmrt_map_close(&want);
    nmrt_map_close(&got);
    return same;
}

// --- tests ---------------------------------------------------------------------------------------

static const char *const end[] = {"<|endoftext|>"}, *const s[] = {"<s>"};
static const char *const three[] = {"<|begin_of_text|>", "light", "b"};
static const nmrt_train_tokenizer gpt2 = {
    .regex = "gpt2", .vocabulary_size = 500, .special = end, .n_special = 1, .workers = 1};
static const nmrt_train_tokenizer llama3 = {
    .regex = "llama3", .vocabulary_size = 2000, .least = 4, .special = three, .n_special = 3};
static const nmrt_train_tokenizer letters = {
    .regex = "gpt2", .vocabulary_size = 900, .special = s, .n_special = 1, .workers = 3};

static void test_merges(nmrt_train_tokenizer o, const char *corpus, const char *fixture)
{
    nmrt_error e;
    CHECK(run(o, corpus, &e) == NMRT_OK);
    CHECK(wrote(fixture));
    CHECK(run(o, corpus, &e) == NMRT_USAGE && strstr(e.text, "there already"));
    unlink(in_folder("t.json"));
    o.workers = 3;
    o.chunk_bytes = 100;
    CHECK(run(o, corpus, &e) == NMRT_OK);
    CHECK(wrote(fixture));
}

// What has been trained cuts a text into pieces that make it again.
static void test_opens(void)
{
    static const char text[] = "The boats'll leave at 1234; Stra\xC3\x9F"
                               "e \xF0\x9F\x98\x80<s>";
    nmrt_error e;
    nmrt_tokenizer *t = NULL;
    nmrt_encoder *enc;
    nmrt_ids ids = {0};
    nmrt_text back = {0};
    CHECK(run(letters, FIXTURES "corpus.txt", &e) == NMRT_OK);
    CHECK(nmrt_tokenizer_open(&t, in_folder("t.json"), &e) == NMRT_OK);
    CHECK(nmrt_tokenizer_size(t) > 400 && nmrt_tokenizer_id(t, "<s>") == 0);
    CHECK(nmrt_encoder_open(&enc, t, &e) == NMRT_OK);
    CHECK(nmrt_encode(enc, text, sizeof text - 1, true, &ids, &e) == NMRT_OK);
    CHECK(ids.n > 5 && ids.n < 30 && ids.at[ids.n - 1] == 0);
    CHECK(nmrt_decode(t, ids.at, (int64_t)ids.n, false, &back, &e) == NMRT_OK);
    CHECK(back.n == sizeof text - 1 && memcmp(back.at, text, back.n) == 0);
    nmrt_ids_release(&ids);
    nmrt_text_release(&back);
    nmrt_encoder_close(enc);
    nmrt_tokenizer_close(t);
    unlink(in_folder("t.json"));
}

static void write_file(const char *name, const char *text)
{
    nmrt_error e;
    CHECK(nmrt_file_create(in_folder(name), text, strlen(text), &e) == NMRT_OK);
}

// Texts of JSONL are those of the member, and bad lines are told or left out.
static void test_jsonl(void)
{
    char corpus[64];
    nmrt_error e;
    nmrt_train_tokenizer o = gpt2;
    o.vocabulary_size = 259;
    write_file(
        "c.jsonl",
        "{\"text\": \"abab abab\"}\n{\"text\": [\"xyxy\", \"xyxy\\u0020xyxy\"]}\n{\"text\": 1}\n");
    snprintf(corpus, sizeof corpus, "%s", in_folder("c.jsonl"));
    CHECK(run(o, corpus, &e) != NMRT_OK && strstr(e.text, "c.jsonl:3: ") &&
          strstr(e.text, "--skip-bad"));
    CHECK(!nmrt_path_exists(in_folder("t.json")));
    o.skip_bad = true;
    CHECK(run(o, corpus, &e) == NMRT_OK);
    nmrt_tokenizer *t = NULL;
    CHECK(nmrt_tokenizer_open(&t, in_folder("t.json"), &e) == NMRT_OK);
    CHECK(nmrt_tokenizer_id(t, "xy") == 257 && nmrt_tokenizer_id(t, "ab") == 258);
    nmrt_tokenizer_close(t);
    unlink(in_folder("t.json"));
    unlink(corpus);
}

static void test_usage(void)
{
    static const char *const twice[] = {"<s>", "<s>"};
    nmrt_error e;
    nmrt_train_tokenizer o = gpt2;
    o.vocabulary_size = 256;
    CHECK(run(o, FIXTURES "corpus.txt", &e) == NMRT_USAGE && strstr(e.text, "257"));
    o = gpt2;
    o.special = twice;
    o.n_special = 2;
    CHECK(run(o, FIXTURES "corpus.txt", &e) == NMRT_USAGE && strstr(e.text, "twice"));
    CHECK(run(gpt2, in_folder("none.txt"), &e) == NMRT_WORLD && strstr(e.text, "none.txt"));
    CHECK(!nmrt_path_exists(in_folder("t.json")));
}

// With a limit what is common is still counted, and what went is told.
static void test_counts(void)
{
    nmrt_counts c = {.most = 100};
    char word[16];
    for (int i = 0; i < 5000; i++) {
        nmrt_counts_add(&c, "often", 5, 1);
        nmrt_counts_add(&c, word, (size_t)snprintf(word, sizeof word, "%d", i), 1);
        CHECK(c.n <= 100);
    }
    CHECK(!c.failed && c.dropped > 4800 && c.rarest == 1);
    nmrt_counts sum = {0};
    nmrt_counts_add_all(&sum, &c);
    nmrt_counts_add_all(&sum, &c);
    CHECK(sum.n == c.n && sum.word[0].n == 5 && sum.word[0].count == 10000);
    nmrt_counts_release(&sum);
    nmrt_counts_release(&c);
}

int main(void)
{
    nothing = fopen("/dev/null", "w");
    CHECK(nothing && mkdtemp(folder));
    test_merges(gpt2, FIXTURES "corpus.txt", FIXTURES "gpt2.txt");
    unlink(in_folder("t.json"));
    test_merges(llama3, FIXTURES "corpus.txt", FIXTURES "llama3.txt");
    unlink(in_folder("t.json"));
    test_merges(letters, FIXTURES "letters.corpus.txt", FIXTURES "letters.txt");
    unlink(in_folder("t.json"));
    test_opens();
    test_jsonl();
    test_usage();
    test_counts();
    fclose(nothing);
    rmdir(folder);
    return check_result();
}
