// Foreign folders: numbers of 16 bits, walks by strides, what is wrong with a folder, and a map of
// fused, transposed and numbered tensors.
#include "tests/runtime/check.h"

#include "runtime/foreign/convert.h"
#include "runtime/foreign/match.h"
#include "runtime/foreign/record.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char root[] = "/tmp/foreign.XXXXXX";
static nmrt_error e;

// --- numbers -----------------------------------------------------------------------------------

static void check_all_halves(const char *dtype)
{
    for (uint32_t i = 0; i < 1 << 16; i++) {
        uint16_t half = (uint16_t)i, again = 0;
        float x;
        nmrt_convert_read(dtype, &half, 1, &x, 1);
        nmrt_convert_write(dtype, &again, 1, &x, 1);
        if (again != half) {
            fprintf(stderr, "%s %04x becomes %04x\n", dtype, half, again);
            CHECK(again == half);
            return;
        }
    }
}

static uint16_t half_of(const char *dtype, double x)
{
    uint16_t half;
    float y = (float)x;
    nmrt_convert_write(dtype, &half, 1, &y, 1);
    return half;
}

static void check_rounding(void)
{
    CHECK(half_of("F16", 65519.99) == 0x7BFF && half_of("F16", 65520) == 0x7C00);
    CHECK(half_of("F16", 0x1p-25) == 0 && half_of("F16", -0x1.002p-25) == 0x8001);
    CHECK(half_of("F16", 0x1.8p-24) == 2 && half_of("F16", 0x1.ff8p-15) == 0x03FF);
    CHECK(half_of("F16", 1 + 0x1p-11) == 0x3C00 && half_of("F16", 1 + 0x3p-11) == 0x3C02);
    CHECK(half_of("F16", 0x1.fffp-1) == 0x3C00);
    CHECK(half_of("BF16", 1 + 0x1p-8) == 0x3F80 && half_of("BF16", 1 + 0x3p-8) == 0x3F82);
    CHECK(half_of("BF16", 0x1.fffffep127) == 0x7F80 && half_of("BF16", -INFINITY) == 0xFF80);
    double d = 0.1;
    float f;
    nmrt_convert_read("F64", &d, 1, &f, 1);
    CHECK(f == 0.1f);
}

// --- strides -----------------------------------------------------------------------------------

// The strides of a dense array whose dims lie in the order `order`, outermost first.
static int64_t lay_out(int rank, const int64_t *n, const int *order, int64_t *stride)
{
    int64_t step = 1;
    for (int i = rank - 1; i >= 0; i--) {
        stride[order[i]] = step;
        step *= n[order[i]];
    }
    return step;
}

static void shuffle(int rank, int *order, unsigned *seed)
{
    for (int i = 0; i < rank; i++)
        order[i] = i;
    for (int i = rank - 1; i > 0; i--) {
        int k = rand_r(seed) % (i + 1), t = order[i];
        order[i] = order[k];
        order[k] = t;
    }
}

static bool same_elements(const nmrt_strides *s, const float *file, const float *ours)
{
    int64_t index[4] = {0};
    for (;;) {
        int64_t a = 0, b = 0;
        int k = s->rank - 1;
        for (int i = 0; i < s->rank; i++) {
            a += index[i] * s->file[i];
            b += index[i] * s->ours[i];
        }
        if (file[a] != ours[b])
            return false;
        while (k >= 0 && ++index[k] == s->n[k])
            index[k--] = 0;
        if (k < 0)
            return true;
    }
}

static void check_walk(unsigned *seed)
{
    nmrt_strides s = {.rank = rand_r(seed) % 5};
    int file_order[4], our_order[4];
    for (int k = 0; k < s.rank; k++)
        s.n[k] = 1 + rand_r(seed) % (k == 1 ? 90 : 7);
    shuffle(s.rank, file_order, seed);
    shuffle(s.rank, our_order, seed);
    int64_t n = lay_out(s.rank, s.n, file_order, s.file);
    lay_out(s.rank, s.n, our_order, s.ours);
    float *file = malloc((size_t)n * sizeof *file), *ours = calloc((size_t)n, sizeof *ours);
    for (int64_t i = 0; i < n; i++)
        file[i] = (float)(i + 1);
    nmrt_strides_read(&s, "F32", file, ours);
    CHECK(same_elements(&s, file, ours));
    memset(file, 0, (size_t)n * sizeof *file);
    nmrt_strides_write(&s, "F32", file, ours);
    CHECK(same_elements(&s, file, ours) && file[n - 1] == (float)n);
    free(file);
    free(ours);
}

// --- folders -----------------------------------------------------------------------------------

static void put(const char *name, const void *bytes, size_t n)
{
    char path[NMRT_PATH];
    CHECK(nmrt_path_join(path, root, name, &e) == NMRT_OK);
    unlink(path);
    if (bytes)
        CHECK(nmrt_file_create(path, bytes, n, &e) == NMRT_OK);
}

// A file of tensors [rows, 6] of f32, whose element i is i + 100 * the tensor's number.
typedef struct sheet {
    const char *name;
    int64_t rows;
} sheet;

static void put_sheets(const char *file, const sheet *sheets, int n, const char *dtype)
{
    nmrt_tensor tensor[4] = {0};
    nmrt_text text = {0};
    int64_t at = 0;
    for (int i = 0; i < n; i++) {
        tensor[i] = (nmrt_tensor){.dtype = dtype, .rank = 2, .shape = {sheets[i].rows, 6}};
        strcpy(tensor[i].name, sheets[i].name);
        tensor[i].begin = at;
        tensor[i].end = at += sheets[i].rows * 24;
    }
    nmrt_safetensors_header(tensor, n, &text);
    for (int i = 0; i < n; i++)
        for (int64_t k = 0; k < sheets[i].rows * 6; k++) {
            float x = (float)(k + 100 * i);
            nmrt_text_add_bytes(&text, &x, sizeof x);
        }
    put(file, text.at, text.n);
    nmrt_text_release(&text);
}

static bool opens(void)
{
    nmrt_foreign f;
    nmrt_status status = nmrt_foreign_open(&f, root, &e);
    nmrt_foreign_close(&f);
    return status == NMRT_OK;
}

static bool fails_with(const char *word)
{
    return !opens() && strstr(e.text, word) && strstr(e.text, root);
}

static void put_index(const char *text)
{
    put("model.safetensors.index.json", text, text ? strlen(text) : 0);
}

static void check_folders(void)
{
    const sheet a[] = {{"a", 2}, {"b", 1}}, b[] = {{"c", 1}, {"b", 1}};
    CHECK(fails_with("neither"));
    put_sheets("one.safetensors", a, 2, "F32");
    put_sheets("two.safetensors", b, 1, "F32");
    put_index("{\"weight_map\": {\"a\": \"one.safetensors\", \"c\": \"two.safetensors\"}}");
    CHECK(opens());
    put_index("{\"weight_map\": {\"a\": \"one.safetensors\", \"c\": \"three.safetensors\"}}");
    CHECK(fails_with("three.safetensors"));
    put_index("{\"weight_map\": {\"c\": \"one.safetensors\", \"a\": \"two.safetensors\"}}");
    CHECK(fails_with("which has none"));
    put_index("{\"weight_map\": {\"c\": \"../one.safetensors\"}}");
    CHECK(fails_with("not the name of a file"));
    put_index("{}");
    CHECK(fails_with("weight_map"));
    put_index("{\"weight_map\": {");
    CHECK(fails_with("not JSON"));
    put_sheets("two.safetensors", b, 2, "F32");
    put_index("{\"weight_map\": {\"a\": \"one.safetensors\", \"c\": \"two.safetensors\"}}");
    CHECK(fails_with("twice"));
    put("model.safetensors", "version https://git-lfs.github.com/spec/v1\n", 43);
    CHECK(fails_with("git lfs pull"));
    put("model.safetensors", "\x10\0\0\0\0\0\0\0{\"a\": 1}", 16);
    CHECK(fails_with("downloaded wholly"));
    put("one.safetensors", NULL, 0);
    put("two.safetensors", NULL, 0);
    put_index(NULL);
}

// --- a map -------------------------------------------------------------------------------------

// q and k [layers, d, 2] are rows of one tensor a layer, [4, d = 6]: transposed and side by side.
enum { LAYERS = 2, D = 6 };
static const int64_t shape[] = {LAYERS, D, 2}, file_shape[] = {4, D}, stride[] = {0, 1, D},
                     from[] = {0, 0, 0};
static const nmdrv_param param[] = {
    {.path = "q", .dtype = NMDRV_F32, .rank = 3, .shape = shape},
    {.path = "k", .dtype = NMDRV_F32, .rank = 3, .shape = shape},
};
#define PART(which, offset)                                                                        \
    {.name = "h.{0}.qk",                                                                           \
     .codec = "",                                                                                  \
     .scales = "",                                                                                 \
     .where = "m.nm:1",                                                                            \
     .param = which,                                                                               \
     .rank = 2,                                                                                    \
     .shape = file_shape,                                                                          \
     .base = offset,                                                                               \
     .stride = stride,                                                                             \
     .from = from,                                                                                 \
     .extent = shape}
static const nmdrv_part_of part[] = {PART(0, 0), PART(1, 2 * D)};
static const nmdrv_weights map = {
    .name = "hf", .where = "m.nm:0", .misfit = "", .n_parts = 2, .part = part};
static const nmdrv_program program = {
    .name = "m", .n_params = 2, .param = param, .n_weights = 1, .weights = &map};

static nmrt_status match(const sheet *sheets, int n, const char *dtype, float *k, nmrt_text *unused)
{
    nmrt_foreign f = {0};
    nmrt_match m = {0};
    nmrt_box box = {3, {0, 2, 0}, {LAYERS, 3, 2}};
    put_sheets("model.safetensors", sheets, n, dtype);
    nmrt_status status = nmrt_foreign_open(&f, root, &e);
    if (status == NMRT_OK)
        status = nmrt_match_init(&m, &program, &map, &f, &e);
    if (status == NMRT_OK)
        status = nmrt_match_read(&m, 1, &box, k, &e);
    if (status == NMRT_OK)
        nmrt_match_print_unused(&m, unused);
    nmrt_match_release(&m);
    nmrt_foreign_close(&f);
    return status;
}

static void check_read(const char *first, const char *second)
{
    float k[LAYERS * 3 * 2];
    nmrt_text unused = {0};
    const sheet good[] = {{first, 4}, {second, 4}, {"h.0.bias", 1}};
    CHECK(match(good, 3, "F32", k, &unused) == NMRT_OK);
    for (int l = 0; l < LAYERS; l++)
        for (int i = 0; i < 3; i++)
            for (int h = 0; h < 2; h++)
                CHECK(k[(l * 3 + i) * 2 + h] == (float)(100 * l + (2 + h) * D + 2 + i));
    CHECK(unused.at && strstr(unused.at, "1 tensor ") && strstr(unused.at, "h.0.bias"));
    nmrt_text_release(&unused);
}

static void check_map(void)
{
    float k[LAYERS * 3 * 2];
    const sheet lacking[] = {{"h.0.qk", 4}}, wrong[] = {{"h.0.qk", 4}, {"h.1.qk", 3}},
                whole[] = {{"h.0.qk", 4}, {"h.1.qk", 4}};
    check_read("h.0.qk", "h.1.qk");
    check_read("transformer.h.0.qk", "transformer.h.1.qk");
    CHECK(match(lacking, 1, "F32", k, NULL) == NMRT_FOREIGN);
    CHECK(strstr(e.text, "lacks 1 tensor ") && strstr(e.text, "h.1.qk (m.nm:1)"));
    CHECK(match(wrong, 2, "F32", k, NULL) == NMRT_FOREIGN);
    CHECK(strstr(e.text, "h.1.qk is [3, 6]") && strstr(e.text, "m.nm:1 makes it [4, 6]"));
    CHECK(match(whole, 2, "I32", k, NULL) == NMRT_FOREIGN && strstr(e.text, "is of I32"));
}

// --- the record of an import -------------------------------------------------------------------

static nmrt_status reads_record(const char *text, int64_t *n)
{
    char path[512];
    nmrt_foreign f = {0};
    snprintf(path, sizeof path, "%s/kept/tensors.json", root);
    unlink(path);
    if (text)
        CHECK(nmrt_file_create(path, text, strlen(text), &e) == NMRT_OK);
    snprintf(path, sizeof path, "%s/kept", root);
    nmrt_status status = nmrt_record_open(&f, path, &e);
    *n = f.n;
    nmrt_foreign_close(&f);
    return status;
}

static void check_record(void)
{
    static const char *const damaged[] = {"{", "[\"F32\"]", "{\"a\": 1}", "{\"a\": \"F33\"}",
                                          "{\"a\": \"F32\", \"a\": \"F16\"}"};
    const sheet whole[] = {{"model.h.0.qk", 4}, {"model.h.1.qk", 4}};
    char kept[512];
    int64_t n;
    nmrt_foreign f = {0};
    nmrt_match m = {0};
    snprintf(kept, sizeof kept, "%s/kept", root);
    put_sheets("model.safetensors", whole, 2, "I32");
    CHECK(nmrt_dir_make(kept, &e) == NMRT_OK);
    CHECK(reads_record(NULL, &n) == NMRT_OK && n == 0);
    CHECK(nmrt_record_write(root, kept, &e) == NMRT_OK);
    CHECK(nmrt_record_open(&f, kept, &e) == NMRT_OK && f.n == 2);
    nmrt_match_names(&m, &program, &map, &f);
    const nmrt_foreign_tensor *t = nmrt_match_find(&m, "h.1.qk");
    CHECK(t && strcmp(t->is->name, "model.h.1.qk") == 0 && strcmp(t->is->dtype, "I32") == 0);
    nmrt_match_release(&m);
    nmrt_foreign_close(&f);
    for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++)
        CHECK(reads_record(damaged[i], &n) == NMRT_CORRUPT);
}

static void check_choice(void)
{
    const nmdrv_weights *found;
    nmdrv_weights other = {.name = "hf", .where = "m.nm:0", .misfit = "tied is on"};
    nmdrv_program unfit = {.name = "m", .n_weights = 1, .weights = &other};
    CHECK(nmrt_weights_find(&found, &program, "hf", &e) == NMRT_OK && found == &map);
    CHECK(nmrt_weights_find(&found, &program, "peft", &e) == NMRT_USAGE &&
          strstr(e.text, "has hf"));
    CHECK(nmrt_weights_find(&found, &unfit, "hf", &e) == NMRT_USAGE &&
          strstr(e.text, "tied is on"));
}

int main(void)
{
    unsigned seed = 1;
    CHECK(mkdtemp(root) != NULL);
    check_all_halves("F16");
    check_all_halves("BF16");
    check_rounding();
    for (int i = 0; i < 300; i++)
        check_walk(&seed);
    check_folders();
    check_map();
    check_record();
    check_choice();
    char command[64];
    snprintf(command, sizeof command, "rm -r %s", root);
    return system(command) != 0 || check_result() != 0;
}
