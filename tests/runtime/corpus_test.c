// Reading a corpus: however it is cut into chunks, and wherever reading goes on in another reader,
// the documents are the same. Work in threads comes out in order.
#include "runtime/corpus/line.h"
#include "runtime/corpus/ordered.h"
#include "runtime/corpus/reader.h"

#include "tests/runtime/check.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[64], path[2][128];
static const char *const paths[] = {path[0], path[1]};

// --- documents -----------------------------------------------------------------------------------

static void add_documents(const nmrt_chunk *chunk, nmrt_text *out)
{
    nmrt_documents d = {.chunk = chunk};
    nmrt_document document;
    while (nmrt_documents_next(&d, &document)) {
        nmrt_text_add(out, "%lld:", (long long)document.line);
        nmrt_text_add_bytes(out, document.text, document.n);
        nmrt_text_add(out, "|");
    }
}

// All documents with their lines; after each chunk, reading goes on in another reader.
static void read_all(nmrt_documents_rule rule, size_t chunk_bytes, nmrt_text *out)
{
    nmrt_place place = {0};
    nmrt_chunk chunk = {0};
    nmrt_error e;
    for (bool end = false; !end;) {
        nmrt_corpus r;
        CHECK(nmrt_corpus_open(&r, paths, 2, rule, place, &e) == NMRT_OK);
        r.chunk_bytes = chunk_bytes;
        CHECK(nmrt_corpus_next(&r, &chunk, &end, &e) == NMRT_OK);
        if (!end)
            add_documents(&chunk, out);
        place = chunk.to;
        nmrt_corpus_close(&r);
    }
    nmrt_chunk_release(&chunk);
}

static const char first[] = "one\ntwo  \r\n\n \t\r\nthree\nfour\n\n\n\nfive",
                  second[] = "\n\nsix\n";

static void test_rules(void)
{
    static const struct {
        const char *rule, *documents;
    } rows[] = {
        {"lines", "1:one|2:two  |5:three|6:four|10:five|3:six|"},
        {"jsonl", "1:one|2:two  |5:three|6:four|10:five|3:six|"}, // what it is, is seen later
        {"paragraphs", "1:one\ntwo  |5:three\nfour|10:five|3:six|"},
        {"file", "1:one\ntwo  \r\n\n \t\r\nthree\nfour\n\n\n\nfive|1:\n\nsix\n|"},
    };
    for (int i = 0; i < 4; i++)
        for (size_t bytes = 1; bytes < 60; bytes++) {
            nmrt_text out = {0};
            read_all(nmrt_documents_rule_find(rows[i].rule), bytes, &out);
            CHECK(out.at && strcmp(out.at, rows[i].documents) == 0);
            nmrt_text_release(&out);
        }
    CHECK(nmrt_documents_rule_of("a/b.jsonl") == NMRT_DOCUMENTS_JSONL);
    CHECK(nmrt_documents_rule_of("a/b.jsonl/c.txt") == NMRT_DOCUMENTS_FILE);
    CHECK(nmrt_corpus_total(paths, 2) == sizeof first + sizeof second - 2);
}

static void test_files(void)
{
    nmrt_corpus r;
    nmrt_chunk chunk = {0};
    nmrt_error e;
    bool end;
    const char *none[] = {"/tmp/there is no such file"};
    CHECK(nmrt_corpus_open(&r, none, 1, NMRT_DOCUMENTS_AUTO, (nmrt_place){0}, &e) == NMRT_WORLD);
    char packed[128];
    const char *const path_of[] = {packed};
    snprintf(packed, sizeof packed, "%s/packed.jsonl.gz", folder);
    CHECK(nmrt_file_create(packed, "\x1f\x8b\x08", 3, &e) == NMRT_OK);
    CHECK(nmrt_corpus_open(&r, path_of, 1, NMRT_DOCUMENTS_AUTO, (nmrt_place){0}, &e) == NMRT_OK);
    CHECK(nmrt_corpus_next(&r, &chunk, &end, &e) == NMRT_FOREIGN && strstr(e.text, "zcat"));
    nmrt_corpus_close(&r);
    nmrt_chunk_release(&chunk);
}

// --- lines of JSON -------------------------------------------------------------------------------

// The texts of member "t", each with a | behind it; else what is wrong.
static const char *read_line(const char *text)
{
    static char out[256];
    nmrt_document d = {text, strlen(text), 1};
    nmrt_line line;
    nmrt_error e;
    if (nmrt_line_open(&line, &d, "t", &e) != NMRT_OK)
        return strcpy(out, e.text);
    bool end = false;
    for (out[0] = 0; !end;) {
        if (nmrt_line_next(&line, &end, &e) != NMRT_OK) {
            strcpy(out, e.text);
            break;
        }
        if (!end) {
            strncat(out, line.text.at ? line.text.at : "", line.text.n);
            strcat(out, "|");
        }
    }
    nmrt_line_close(&line);
    return out;
}
#define LINE(text, result) CHECK(strcmp(read_line(text), result) == 0)

static void test_lines(void)
{
    LINE("{\"t\": \"a\\n\\u00e9\\ud83d\\ude00\", \"u\": 1}", "a\n\xc3\xa9\xf0\x9f\x98\x80|");
    LINE("{\"t\": \"\"}", "|");
    LINE("{\"t\": [\"a\", \"\", \"b\"], \"u\": \"c\"}", "a||b|");
    LINE("{\"t\": [], \"u\": \"c\"}", "");
    LINE("{\"t\": \"a\", \"t\": \"b\"}", "b|");
    LINE("{\"u\": 1}", "it has no \"t\"");
    LINE("{\"t\": null}", "\"t\" is null, not a string");
    LINE("{\"t\": [\"a\", 1]}", "\"t\" has a number in its list, not strings alone");
    LINE("[\"t\"]", "it is a list, not an object");
    LINE("{\"t\": \"a\"", "not JSON at byte 9: ',' or '}' was expected");
    LINE("{\"t\": \"\xff\"}", "it is not UTF-8");
    LINE("{\"t\": \"\xed\xa0\x80\"}", "it is not UTF-8"); // a surrogate
    CHECK(strstr(read_line("{\"t\": \"\\ud800\"}"), "half of a pair"));
    CHECK(strstr(read_line("{\"t\": \"\\x\"}"), "escapes nothing"));
}

// --- work in order -------------------------------------------------------------------------------

enum { ITEMS = 200 };
typedef struct work {
    int n_read, n_written, wrong, fails; // fails: the item whose work fails; -1: none
} work;

static nmrt_status read_item(void *user, void *item, bool *end, nmrt_error *e)
{
    (void)e;
    work *w = user;
    *end = w->n_read == ITEMS;
    *(int *)item = w->n_read++;
    return NMRT_OK;
}

static nmrt_status work_item(void *user, int worker, void *item, nmrt_error *e)
{
    const work *w = user;
    (void)worker;
    int i = *(int *)item;
    usleep((useconds_t)(i * 7919 % 13) * 20); // some are faster than others
    if (i >= w->fails && w->fails >= 0)
        return nmrt_fail(e, NMRT_CORRUPT, "item %d", i);
    *(int *)item = 2 * i;
    return NMRT_OK;
}

static nmrt_status write_item(void *user, void *item, nmrt_error *e)
{
    (void)e;
    work *w = user;
    w->wrong += *(int *)item != 2 * w->n_written++;
    return NMRT_OK;
}

static void test_order(int workers, int items, int fails)
{
    int item[16];
    work w = {.fails = fails};
    nmrt_error e;
    nmrt_ordered o = {item, sizeof *item, items, workers, &w, read_item, work_item, write_item};
    nmrt_status status = nmrt_ordered_run(&o, &e);
    CHECK(w.wrong == 0);
    CHECK(w.n_written == (fails < 0 ? ITEMS : fails));
    CHECK(status == (fails < 0 ? NMRT_OK : NMRT_CORRUPT));
    if (fails >= 0)
        CHECK(atoi(e.text + 5) == fails);
}

int main(void)
{
    nmrt_error e;
    strcpy(folder, "/tmp/nemocc-corpus-XXXXXX");
    CHECK(mkdtemp(folder));
    snprintf(path[0], sizeof path[0], "%s/a", folder);
    snprintf(path[1], sizeof path[1], "%s/b", folder);
    CHECK(nmrt_file_create(path[0], first, sizeof first - 1, &e) == NMRT_OK);
    CHECK(nmrt_file_create(path[1], second, sizeof second - 1, &e) == NMRT_OK);
    test_rules();
    test_files();
    test_lines();
    test_order(1, 1, -1);
    test_order(3, 7, -1);
    test_order(3, 7, 0);
    test_order(3, 7, 100);
    CHECK(nmrt_dir_remove(folder, &e) == NMRT_OK);
    return check_result();
}
