// Safetensors headers: what is written is read, and no damage leads beyond the file.
#include "runtime/safetensors.h"

#include "tests/runtime/check.h"

#include <stdlib.h>
#include <string.h>

static nmrt_text make_file(void)
{
    static const nmrt_tensor tensor[] = {
        {.name = "a.w", .dtype = "F32", .rank = 2, .shape = {2, 3}, .begin = 0, .end = 24},
        {.name = "b\"x", .dtype = "I64", .rank = 0, .begin = 24, .end = 32},
        {.name = "empty", .dtype = "BF16", .rank = 1, .shape = {0}, .begin = 32, .end = 32},
    };
    nmrt_text t = {0};
    nmrt_safetensors_header(tensor, 3, &t);
    for (int i = 0; i < 32; i++)
        nmrt_text_add(&t, "%c", 'A' + i);
    return t;
}

static void test_round_trip(const nmrt_text *file)
{
    nmrt_safetensors st;
    nmrt_error e;
    CHECK(nmrt_safetensors_parse(&st, (unsigned char *)file->at, file->n, &e) == NMRT_OK);
    CHECK(st.n == 3 && st.n_header % 64 == 0);
    const nmrt_tensor *t = nmrt_safetensors_find(&st, "a.w");
    CHECK(t && t->rank == 2 && t->shape[0] == 2 && t->shape[1] == 3 &&
          strcmp(t->dtype, "F32") == 0);
    t = nmrt_safetensors_find(&st, "b\"x");
    CHECK(t && st.data[t->begin] == 'A' + 24);
    CHECK(nmrt_safetensors_find(&st, "c") == NULL);
    nmrt_safetensors_release(&st);
}

static void parse_copy(const char *bytes, size_t n)
{
    nmrt_safetensors st;
    nmrt_error e;
    unsigned char *copy = malloc(n + !n);
    memcpy(copy, bytes, n);
    if (nmrt_safetensors_parse(&st, copy, n, &e) == NMRT_OK) {
        for (int i = 0; i < st.n; i++)
            CHECK(st.tensor[i].begin >= 0 && st.tensor[i].end <= st.n_data &&
                  st.tensor[i].begin <= st.tensor[i].end);
        nmrt_safetensors_release(&st);
    }
    free(copy);
}

static void test_damage(nmrt_text *file)
{
    for (size_t i = 0; i < file->n; i++)
        parse_copy(file->at, i);
    for (size_t i = 0; i < file->n; i++)
        for (int bit = 0; bit < 8; bit++) {
            file->at[i] ^= (char)(1 << bit);
            parse_copy(file->at, file->n);
            file->at[i] ^= (char)(1 << bit);
        }
}

static nmrt_status parse_header(const char *header)
{
    char bytes[512];
    uint64_t n = strlen(header);
    memcpy(bytes, &n, 8);
    memcpy(bytes + 8, header, n);
    memset(bytes + 8 + n, 0, 64);
    nmrt_safetensors st;
    nmrt_error e;
    nmrt_status status = nmrt_safetensors_parse(&st, (unsigned char *)bytes, 8 + n + 64, &e);
    if (status == NMRT_OK)
        nmrt_safetensors_release(&st);
    return status;
}

static void test_lies(void)
{
    CHECK(parse_header("{\"x\":{\"dtype\":\"F32\",\"shape\":[4,4],\"data_offsets\":[0,64]}}") ==
          NMRT_OK);
    CHECK(parse_header("{\"x\":{\"dtype\":\"F32\",\"shape\":[4,4],\"data_offsets\":[0,65]}}") ==
          NMRT_CORRUPT);
    CHECK(parse_header("{\"x\":{\"dtype\":\"F32\",\"shape\":[4,4],\"data_offsets\":[4,68]}}") ==
          NMRT_CORRUPT);
    CHECK(parse_header("{\"x\":{\"dtype\":\"F32\",\"shape\":[-4,-4],\"data_offsets\":[0,64]}}") ==
          NMRT_CORRUPT);
    CHECK(parse_header("{\"x\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_"
                       "offsets\":[0,0]}}") == NMRT_CORRUPT);
    CHECK(parse_header("{\"x\":{\"dtype\":\"F99\",\"shape\":[4,4],\"data_offsets\":[0,64]}}") ==
          NMRT_CORRUPT);
    CHECK(parse_header("{\"x\":[]}") == NMRT_CORRUPT);
    CHECK(parse_header("[]") == NMRT_CORRUPT);
}

int main(void)
{
    nmrt_text file = make_file();
    test_round_trip(&file);
    test_damage(&file);
    test_lies();
    nmrt_text_release(&file);
    return check_result();
}
