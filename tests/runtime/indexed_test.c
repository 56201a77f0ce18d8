// Megatron's .bin and .idx: the bytes are those of a file that numpy wrote, what is written is
// read, no damage leads beyond the files, and a writer goes on where it was marked.
#include "runtime/corpus/indexed.h"

#include "tests/runtime/check.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[64];

static const char *path_of(const char *name)
{
    static char path[4][128];
    static int next;
    char *p = path[next++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", folder, name);
    return p;
}

static bool has_bytes(const char *name, const void *bytes, size_t n)
{
    nmrt_map map;
    nmrt_error e;
    if (nmrt_map_open(&map, path_of(name), &e) != NMRT_OK)
        return false;
    bool same = map.n == n && memcmp(map.at, bytes, n) == 0;
    nmrt_map_close(&map);
    return same;
}

// Documents [7, 8, 9], none, [1] and [65535] in two sequences; tests/fixtures/indexed.py prints it.
static const unsigned char bin[] = {7, 0, 8, 0, 9, 0, 1, 0, 255, 255};
static const unsigned char idx[] = {
    77, 77, 73, 68, 73, 68, 88, 0, 0,                      // MMIDIDX
    1,  0,  0,  0,  0,  0,  0,  0, 8,                      // version, uint16
    3,  0,  0,  0,  0,  0,  0,  0, 4, 0, 0, 0, 0, 0, 0, 0, // S, D
    3,  0,  0,  0,  1,  0,  0,  0, 1, 0, 0, 0,             // lengths
    0,  0,  0,  0,  0,  0,  0,  0, 6, 0, 0, 0, 0, 0, 0, 0, // offsets
    8,  0,  0,  0,  0,  0,  0,  0,                         //
    0,  0,  0,  0,  0,  0,  0,  0, 1, 0, 0, 0, 0, 0, 0, 0, // documents
    1,  0,  0,  0,  0,  0,  0,  0, 3, 0, 0, 0, 0, 0, 0, 0};
static const int32_t lengths[] = {3, NMRT_DOCUMENT_END, NMRT_DOCUMENT_END, 1, 1, NMRT_DOCUMENT_END};

static void test_write(void)
{
    nmrt_indexed_writer w;
    nmrt_error e;
    CHECK(nmrt_indexed_create(&w, path_of("a"), NMRT_TOKEN_uint16, false, &e) == NMRT_OK);
    CHECK(nmrt_indexed_append(&w, bin, sizeof bin, lengths, 6, &e) == NMRT_OK);
    CHECK(!nmrt_indexed_exists(path_of("a")));
    CHECK(nmrt_indexed_finish(&w, &e) == NMRT_OK);
    CHECK(has_bytes("a.bin", bin, sizeof bin));
    CHECK(has_bytes("a.idx", idx, sizeof idx));
    CHECK(!nmrt_path_exists(path_of("a.bin.part")) && !nmrt_path_exists(path_of("a.idx.part")) &&
          !nmrt_path_exists(path_of("a.sequences.part")));
    CHECK(nmrt_indexed_create(&w, path_of("a"), NMRT_TOKEN_uint16, false, &e) == NMRT_WORLD);
    CHECK(strstr(e.text, "a.bin is there already"));
}

static void test_read(void)
{
    nmrt_indexed set;
    nmrt_error e;
    CHECK(nmrt_indexed_exists(path_of("a")));
    CHECK(nmrt_indexed_open(&set, path_of("a"), &e) == NMRT_OK);
    CHECK(set.n_sequences == 3 && set.n_documents == 3 && set.n_tokens == 5);
    CHECK(nmrt_indexed_first(&set, 0) == 0 && nmrt_indexed_first(&set, 1) == 1 &&
          nmrt_indexed_first(&set, 2) == 1 && nmrt_indexed_first(&set, 3) == 3);
    CHECK(nmrt_indexed_length(&set, 0) == 3 && nmrt_indexed_length(&set, 2) == 1);
    int32_t token[2];
    nmrt_indexed_read(&set, 0, 1, 2, token);
    CHECK(token[0] == 8 && token[1] == 9);
    nmrt_indexed_read(&set, 2, 0, 1, token);
    CHECK(token[0] == 65535);
    nmrt_indexed_close(&set);
    CHECK(nmrt_indexed_open(&set, path_of("none"), &e) == NMRT_WORLD);
}

// What comes behind a mark is lost without a trace.
static void test_resume(void)
{
    nmrt_indexed_writer w;
    nmrt_error e;
    CHECK(nmrt_indexed_create(&w, path_of("b"), NMRT_TOKEN_uint16, false, &e) == NMRT_OK);
    CHECK(nmrt_indexed_append(&w, bin, 6, lengths, 2, &e) == NMRT_OK);
    CHECK(nmrt_indexed_sync(&w, &e) == NMRT_OK);
    nmrt_indexed_mark mark = w.end;
    CHECK(nmrt_indexed_append(&w, "lost lost", 8, lengths, 6, &e) == NMRT_OK);
    nmrt_indexed_abandon(&w);
    CHECK(nmrt_indexed_resume(&w, path_of("b"), NMRT_TOKEN_uint16, mark, &e) == NMRT_OK);
    CHECK(nmrt_indexed_append(&w, bin + 6, 4, lengths + 2, 4, &e) == NMRT_OK);
    CHECK(nmrt_indexed_finish(&w, &e) == NMRT_OK);
    CHECK(has_bytes("b.bin", bin, sizeof bin));
    CHECK(has_bytes("b.idx", idx, sizeof idx));
    mark.bin = 100;
    CHECK(nmrt_indexed_resume(&w, path_of("b"), NMRT_TOKEN_uint16, mark, &e) == NMRT_WORLD);
}

static void test_empty(void)
{
    nmrt_indexed_writer w;
    nmrt_indexed set;
    nmrt_error e;
    CHECK(nmrt_indexed_create(&w, path_of("empty"), NMRT_TOKEN_int32, false, &e) == NMRT_OK);
    CHECK(nmrt_indexed_finish(&w, &e) == NMRT_OK);
    CHECK(nmrt_indexed_open(&set, path_of("empty"), &e) == NMRT_OK);
    CHECK(set.n_sequences == 0 && set.n_documents == 0 && set.n_tokens == 0);
    nmrt_indexed_close(&set);
}

// --- damage --------------------------------------------------------------------------------------

// Reads all that a copy of the index speaks of; the sanitizers see what lies outside.
static nmrt_status read_copy(const unsigned char *bytes, size_t n)
{
    nmrt_indexed set;
    nmrt_error e;
    unsigned char *copy = malloc(n + !n), *data = malloc(sizeof bin);
    memcpy(copy, bytes, n);
    memcpy(data, bin, sizeof bin);
    nmrt_status status =
        nmrt_indexed_parse(&set, (nmrt_map){copy, n}, (nmrt_map){data, sizeof bin}, &e);
    for (int64_t i = 0; status == NMRT_OK && i < set.n_sequences; i++) {
        int32_t token[sizeof bin];
        nmrt_indexed_read(&set, i, 0, nmrt_indexed_length(&set, i), token);
    }
    free(copy);
    free(data);
    return status;
}

static void test_damage(void)
{
    unsigned char copy[sizeof idx];
    memcpy(copy, idx, sizeof idx);
    for (size_t n = 0; n < sizeof idx; n++)
        CHECK(read_copy(idx, n) != NMRT_OK);
    for (size_t i = 0; i < sizeof idx; i++)
        for (int bit = 0; bit < 8; bit++) {
            copy[i] ^= (unsigned char)(1 << bit);
            read_copy(copy, sizeof copy);
            copy[i] ^= (unsigned char)(1 << bit);
        }
}

static nmrt_status read_with(size_t at, int64_t value, size_t bytes)
{
    unsigned char copy[sizeof idx];
    memcpy(copy, idx, sizeof idx);
    memcpy(copy + at, &value, bytes);
    return read_copy(copy, sizeof copy);
}

static void test_lies(void)
{
    CHECK(read_copy(idx, sizeof idx) == NMRT_OK);
    CHECK(read_with(9, 2, 8) == NMRT_FOREIGN); // version
    CHECK(read_with(17, NMRT_TOKEN_float32, 1) == NMRT_FOREIGN);
    CHECK(read_with(17, 9, 1) == NMRT_CORRUPT);                // no dtype
    CHECK(read_with(17, NMRT_TOKEN_int64, 1) == NMRT_CORRUPT); // .bin is too short for it
    CHECK(read_with(18, INT64_MAX, 8) == NMRT_CORRUPT);        // S
    CHECK(read_with(18, -1, 8) == NMRT_CORRUPT);
    CHECK(read_with(26, INT64_MAX / 4, 8) == NMRT_CORRUPT); // D
    CHECK(read_with(26, 0, 8) == NMRT_CORRUPT);
    CHECK(read_with(34, -1, 4) == NMRT_CORRUPT); // a length
    CHECK(read_with(46, -2, 8) == NMRT_CORRUPT); // an offset
    CHECK(read_with(46, INT64_MAX - 1, 8) == NMRT_CORRUPT);
    CHECK(read_with(70, 1, 8) == NMRT_CORRUPT); // the first document
    CHECK(read_with(78, 4, 8) == NMRT_CORRUPT);
    CHECK(read_with(94, 2, 8) == NMRT_CORRUPT); // the end of all
}

static void test_types(void)
{
    CHECK(nmrt_token_type_for(65499) == NMRT_TOKEN_uint16);
    CHECK(nmrt_token_type_for(65500) == NMRT_TOKEN_int32);
    CHECK(nmrt_token_type_find("uint16") == NMRT_TOKEN_uint16 && !nmrt_token_type_find("u16"));
    const unsigned char wide[] = {5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0};
    const unsigned char zero[8] = {0};
    const unsigned char two[] = {2, 0, 0, 0};
    nmrt_indexed set = {
        .type = NMRT_TOKEN_int64, .bin = {wide, sizeof wide}, .length = two, .offset = zero};
    int32_t token[2];
    nmrt_indexed_read(&set, 0, 0, 2, token);
    CHECK(token[0] == 5 && token[1] == -1);
}

int main(void)
{
    strcpy(folder, "/tmp/nemocc-indexed-XXXXXX");
    CHECK(mkdtemp(folder));
    test_write();
    test_read();
    test_resume();
    test_empty();
    test_damage();
    test_lies();
    test_types();
    nmrt_error e;
    CHECK(nmrt_dir_remove(folder, &e) == NMRT_OK);
    return check_result();
}
