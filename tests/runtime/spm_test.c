// SentencePiece models: texts are cut, and ids are read, as SentencePiece's library does it (the
// .cases beside the models, which tests/fixtures/spm.py made with it), and damaged models are
// survived.
#include "runtime/tokenizer/kind.h"
#include "runtime/tokenizer/protobuf.h"
#include "runtime/tokenizer/trie.h"

#include "tests/runtime/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// --- the library's cases -------------------------------------------------------------------------

// Two digits a byte up to the end or a tab, in a buffer of just that size, so that a sanitizer sees
// what reads beyond it. *rest: behind the tab.
static unsigned char *read_hex(char *from, size_t *n, char **rest)
{
    size_t digits = strcspn(from, "\t\n");
    unsigned char *bytes = malloc(digits / 2 + !digits);
    for (*n = 0; *n < digits / 2; ++*n) {
        char pair[3] = {from[2 * *n], from[2 * *n + 1], 0};
        bytes[*n] = (unsigned char)strtoul(pair, NULL, 16);
    }
    *rest = from + digits + 1;
    return bytes;
}

static nmrt_ids read_ids(char *from, char **rest)
{
    nmrt_ids ids = {0};
    while (*from != '\t') {
        nmrt_ids_add(&ids, (int32_t)strtol(from, &from, 10));
        from += *from == ' ';
    }
    *rest = from + 1;
    return ids;
}

static bool same_ids(const nmrt_ids *a, const nmrt_ids *b)
{
    return a->n == b->n && (!a->n || memcmp(a->at, b->at, a->n * sizeof *a->at) == 0);
}

// As they come, ids make the same text; but a denormalizer looks beyond pieces.
static void check_stream(const nmrt_tokenizer *t, const nmrt_ids *ids, const nmrt_text *want)
{
    nmrt_error e;
    nmrt_text parts = {0};
    nmrt_decoder d = {.t = t, .skip_special = true};
    for (size_t i = 0; i < ids->n; i++)
        CHECK(nmrt_decoder_add(&d, ids->at[i], &parts, &e) == NMRT_OK);
    CHECK(nmrt_decoder_finish(&d, &parts, &e) == NMRT_OK);
    CHECK(parts.n == want->n && (!want->n || memcmp(parts.at, want->at, parts.n) == 0));
    nmrt_decoder_release(&d);
    nmrt_text_release(&parts);
}

static void check_case(const nmrt_tokenizer *t, nmrt_encoder *enc, char *line, bool stream)
{
    nmrt_error e;
    nmrt_ids got = {0};
    nmrt_text text = {0};
    size_t n, n_want;
    char *at;
    unsigned char *bytes = read_hex(line, &n, &at);
    nmrt_ids want = read_ids(at, &at);
    unsigned char *want_text = read_hex(at, &n_want, &at);
    if (n) {
        CHECK(nmrt_encode(enc, (char *)bytes, n, true, &got, &e) == NMRT_OK);
        CHECK(same_ids(&got, &want));
    }
    CHECK(nmrt_decode(t, want.at, (int64_t)want.n, true, &text, &e) == NMRT_OK);
    CHECK(text.n == n_want && (!n_want || memcmp(text.at, want_text, n_want) == 0));
    if (stream)
        check_stream(t, &want, &text);
    free(bytes);
    free(want_text);
    nmrt_ids_release(&want);
    nmrt_ids_release(&got);
    nmrt_text_release(&text);
}

static nmrt_tokenizer *open_fixture(const char *name)
{
    nmrt_error e;
    nmrt_tokenizer *t = NULL;
    char path[256];
    snprintf(path, sizeof path, "tests/fixtures/spm/%s.model", name);
    if (nmrt_tokenizer_open(&t, path, &e) != NMRT_OK)
        fprintf(stderr, "%s\n", e.text);
    CHECK(t);
    return t;
}

static void test_cases(const char *name)
{
    nmrt_error e;
    nmrt_encoder *enc;
    char path[256], *line = NULL;
    size_t cap = 0;
    int n = 0, failures = check_failures;
    nmrt_tokenizer *t = open_fixture(name);
    snprintf(path, sizeof path, "tests/fixtures/spm/%s.cases", name);
    FILE *f = fopen(path, "r");
    CHECK(f && t && nmrt_encoder_open(&enc, t, &e) == NMRT_OK);
    if (!f || !t)
        return;
    for (; getline(&line, &cap, f) > 0; n++)
        check_case(t, enc, line, strcmp(name, "bpe_user") != 0);
    CHECK(n > 100);
    if (check_failures > failures)
        fprintf(stderr, "that was %s\n", name);
    fclose(f);
    free(line);
    nmrt_encoder_close(enc);
    nmrt_tokenizer_close(t);
}

static void test_names(void)
{
    nmrt_tokenizer *t = open_fixture("unigram_bytes");
    CHECK(nmrt_tokenizer_eos(t) == 2);
    CHECK(nmrt_tokenizer_id(t, "<unk>") == 0 && nmrt_tokenizer_id(t, "<sep>") == 3);
    CHECK(nmrt_tokenizer_id(t, "<0x00>") + 255 == nmrt_tokenizer_id(t, "<0xFF>"));
    CHECK(nmrt_tokenizer_id(t, "no such piece") == -1 && nmrt_tokenizer_id(t, "") == -1);
    CHECK(nmrt_tokenizer_size(t) > 300);
    nmrt_tokenizer_close(t);
}

// --- damage --------------------------------------------------------------------------------------

// Opens a copy of just these bytes; what opens must also encode and decode.
static nmrt_status use(const unsigned char *bytes, size_t n, nmrt_error *e)
{
    static const char text[] = "The boats\xEF\xAC\x81 <sep> 12\xFF\xE6\xB8\xAF";
    nmrt_tokenizer *t;
    nmrt_encoder *enc;
    nmrt_ids ids = {0};
    nmrt_text back = {0};
    unsigned char *copy = malloc(n + !n);
    memcpy(copy, bytes, n);
    nmrt_status status = nmrt_spm_tokenizer_make(&t, copy, n, "damaged", e);
    free(copy);
    if (status != NMRT_OK)
        return status;
    CHECK(nmrt_encoder_open(&enc, t, e) == NMRT_OK);
    CHECK(nmrt_encode(enc, text, sizeof text - 1, true, &ids, e) == NMRT_OK);
    for (size_t i = 0; i < ids.n; i++)
        CHECK(ids.at[i] >= 0 && ids.at[i] < nmrt_tokenizer_size(t));
    CHECK(nmrt_decode(t, ids.at, (int64_t)ids.n, true, &back, e) == NMRT_OK);
    nmrt_ids_release(&ids);
    nmrt_text_release(&back);
    nmrt_encoder_close(enc);
    nmrt_tokenizer_close(t);
    return NMRT_OK;
}

static void test_damage(const char *path, size_t step)
{
    nmrt_error e;
    nmrt_map map;
    CHECK(nmrt_map_open(&map, path, &e) == NMRT_OK);
    unsigned char *bytes = malloc(map.n);
    memcpy(bytes, map.at, map.n);
    CHECK(use(bytes, map.n, &e) == NMRT_OK);
    for (size_t i = 0; i < map.n; i += step) {
        use(bytes, i, &e);
        bytes[i] ^= (unsigned char)(1 << i % 8);
        use(bytes, map.n, &e);
        bytes[i] = map.at[i];
    }
    free(bytes);
    nmrt_map_close(&map);
}

#define REFUSES(bytes, why)                                                                        \
    do {                                                                                           \
        nmrt_error e_;                                                                             \
        CHECK(use((const unsigned char *)(bytes), sizeof(bytes) - 1, &e_) != NMRT_OK &&            \
              strstr(e_.text, why));                                                               \
    } while (0)

#define UNKNOWN "\x0A\x09\x0A\x05<unk>\x18\x02" // a piece of type 2

static void test_messages(void)
{
    REFUSES("", "no pieces");
    REFUSES("hello, world", "is no SentencePiece model: byte ");
    REFUSES(UNKNOWN "\x0A\x05\x0A\x09too long", "byte 13");
    REFUSES("\x0A\x03\x0A\x01q", "no piece for what is unknown");
    REFUSES(UNKNOWN UNKNOWN, "second one");
    REFUSES(UNKNOWN "\x0A\x03\x0A\x01q\x0A\x03\x0A\x01q", "its piece 1, 'q', is there twice");
    REFUSES(UNKNOWN "\x0A\x02\x18\x01", "no text");
    REFUSES(UNKNOWN "\x0A\x08\x0A\x01q\x15\x00\x00\xC0\x7F", "no number");
    REFUSES(UNKNOWN "\x0A\x05\x0A\x01q\x18\x07", "type 7");
    REFUSES(UNKNOWN "\x12\x02\x18\x03", "model type 3");
    REFUSES(UNKNOWN "\x12\x03\x98\x02\x01", "no piece <0x00>");
    REFUSES(UNKNOWN "\x0A\x0A\x0A\x06<0x41>\x18\x06", "no byte_fallback");
    REFUSES(UNKNOWN "\x1A\x07\x12\x05\x08\x00\x00\x00x", "precompiled_charsmap");
}

// --- long texts ----------------------------------------------------------------------------------

// Pieces a: -1000, b: -1, c: -1, bc: -2 - 2^-8, which counts less than b and c do, if one can tell.
// With so many a before them SentencePiece can (2 pieces) or cannot (1), as its sums in f32 grow to
// 100,000 and begin again.
static void test_long(void)
{
    static const char model[] = UNKNOWN "\x0A\x08\x0A\x01"
                                        "a\x15\x00\x00\x7A\xC4\x0A\x08\x0A\x01"
                                        "b\x15\x00\x00\x80\xBF"
                                        "\x0A\x08\x0A\x01"
                                        "c\x15\x00\x00\x80\xBF\x0A\x09\x0A\x02"
                                        "bc\x15\x00\x40\x00\xC0"
                                        "\x1A\x06\x18\x00\x20\x00\x28\x00";
    static const int behind[][2] = {{10, 2},  {60, 2},  {99, 1},  {100, 1}, {101, 2},
                                    {150, 2}, {200, 1}, {201, 1}, {202, 2}};
    nmrt_tokenizer *t;
    nmrt_encoder *enc;
    nmrt_error e;
    char text[256];
    CHECK(nmrt_spm_tokenizer_make(&t, model, sizeof model - 1, "long", &e) == NMRT_OK);
    CHECK(nmrt_encoder_open(&enc, t, &e) == NMRT_OK);
    for (size_t i = 0; i < sizeof behind / sizeof *behind; i++) {
        nmrt_ids ids = {0};
        size_t n = (size_t)behind[i][0];
        memset(text, 'a', n);
        memcpy(text + n, "bc", 2);
        CHECK(nmrt_encode(enc, text, n + 2, true, &ids, &e) == NMRT_OK);
        CHECK(ids.n == n + (size_t)behind[i][1]);
        nmrt_ids_release(&ids);
    }
    nmrt_encoder_close(enc);
    nmrt_tokenizer_close(t);
}

// --- Unigram models of tokenizer.json ------------------------------------------------------------

static bool refuses(const char *model, const char *why)
{
    nmrt_tokenizer *t;
    nmrt_error e;
    char text[512];
    snprintf(text, sizeof text, "{\"model\": {\"type\": \"Unigram\", %s}}", model);
    nmrt_status status = nmrt_json_tokenizer_make(&t, text, strlen(text), "t", &e);
    if (status == NMRT_OK)
        nmrt_tokenizer_close(t);
    return status == NMRT_CORRUPT && strstr(e.text, why);
}

static void test_unigram_json(void)
{
    static const char one[] = "{\"model\": {\"type\": \"Unigram\", \"vocab\": [[\"a\", -1]]}}";
    nmrt_tokenizer *t;
    nmrt_encoder *enc;
    nmrt_error e;
    nmrt_ids ids = {0};
    CHECK(refuses("\"vocab\": {}", "vocab is not a list"));
    CHECK(refuses("\"vocab\": [[\"a\", 0], [\"b\"]]", "entry 1 is not a piece"));
    CHECK(refuses("\"vocab\": [[\"a\", 1e999]]", "entry 0 is not a piece"));
    CHECK(refuses("\"vocab\": [[\"a\", 0, 0]]", "entry 0 is not a piece"));
    CHECK(refuses("\"vocab\": [[\"a\", 0]], \"unk_id\": 1", "unk_id 1 is no piece"));
    CHECK(nmrt_json_tokenizer_make(&t, one, sizeof one - 1, "t", &e) == NMRT_OK);
    CHECK(nmrt_encoder_open(&enc, t, &e) == NMRT_OK);
    CHECK(nmrt_encode(enc, "aa", 2, true, &ids, &e) == NMRT_OK && ids.n == 2);
    CHECK(nmrt_encode(enc, "ab", 2, true, &ids, &e) == NMRT_USAGE &&
          strstr(e.text, "no piece for 'b'"));
    nmrt_ids_release(&ids);
    nmrt_encoder_close(enc);
    nmrt_tokenizer_close(t);
}

// --- parts ---------------------------------------------------------------------------------------

static void test_trie(void)
{
    nmrt_trie_key key[] = {
        {"boat", 4, 0}, {"boats", 5, 1}, {"b", 1, 2}, {"\xFF\0x", 3, 3}, {"boat", 4, 4}};
    nmrt_trie trie;
    nmrt_error e;
    int32_t twice;
    CHECK(nmrt_trie_build(&trie, key, 5, &twice, &e) == NMRT_OK && twice == 0);
    CHECK(nmrt_trie_find(&trie, "boat", 4) == 4 && nmrt_trie_find(&trie, "boats", 5) == 1);
    CHECK(nmrt_trie_find(&trie, "bo", 2) == NMRT_TRIE_NONE &&
          nmrt_trie_find(&trie, "\xFF\0x", 3) == 3);
    CHECK(nmrt_trie_longest(&trie, "boating", 7) == 4 && nmrt_trie_longest(&trie, "boa", 3) == 1);
    CHECK(nmrt_trie_longest(&trie, "x", 1) == 0);
    nmrt_trie_release(&trie);
    CHECK(nmrt_trie_find(&trie, "b", 1) == NMRT_TRIE_NONE && nmrt_trie_longest(&trie, "b", 1) == 0);
}

static void test_protobuf(void)
{
    static const unsigned char bytes[] = {0x08, 0x96, 0x01, 0x12, 0x01, 'x', 0x1D, 1, 0, 0,
                                          0,    0x21, 2,    0,    0,    0,   0,    0, 0, 0x80};
    nmrt_protobuf message = {.at = bytes, .end = bytes + sizeof bytes};
    nmrt_protobuf_field f;
    CHECK(nmrt_protobuf_next(&message, &f) && f.number == 1 && f.value == 150);
    CHECK(nmrt_protobuf_next(&message, &f) && f.number == 2 && f.n == 1 && *f.bytes == 'x');
    CHECK(nmrt_protobuf_next(&message, &f) && f.number == 3 && f.value == 1);
    CHECK(nmrt_protobuf_next(&message, &f) && f.number == 4 && f.value == 0x8000000000000002);
    CHECK(!nmrt_protobuf_next(&message, &f) && !message.damaged);
    message = (nmrt_protobuf){.at = bytes, .end = bytes + 2};
    CHECK(!nmrt_protobuf_next(&message, &f) && message.damaged && message.at == bytes);
}

int main(void)
{
    static const char *const name[] = {"bpe",     "bpe_bytes",     "bpe_user",
                                       "unigram", "unigram_bytes", "unigram_behind"};
    for (int i = 0; i < 6; i++)
        test_cases(name[i]);
    test_names();
    test_damage("tests/fixtures/spm/bpe_user.model", 23);
    test_damage("tests/fixtures/spm/unigram_bytes.model", 19);
    test_messages();
    test_long();
    test_unigram_json();
    test_trie();
    test_protobuf();
    return check_result();
}
