// libFuzzer's entry: the bytes are a foreign folder's config.json, which is compared with rows and
// written again with them, and its index of files. What is written again is JSON, and compared with
// the same rows it is right, whatever it was made of.
#include "runtime/foreign/config_print.h"
#include "runtime/foreign/folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static const char *const act[] = {"hidden_act"}, *const eps[] = {"rms_norm_eps"},
                         *const theta[] = {"rope_theta", "rope_parameters.rope_theta"},
                         *const factor[] = {"rope_scaling.factor"},
                         *const list[] = {"architectures"};
static const nmdrv_config_row rows[] = {
    {1, act, "\"silu\"", "", 0, "m.nm:1"},         {1, eps, "1e-05", "1e-06", 0, "m.nm:2"},
    {2, theta, "10000.0", "10000.0", 0, "m.nm:3"}, {1, factor, "", "1.0", 0, "m.nm:4"},
    {1, list, "[\"Llama\"]", "", 1, "m.nm:5"},
};
static const nmdrv_weights map = {
    .name = "hf", .where = "m.nm:0", .misfit = "", .n_config = 5, .config = rows};

static void read_config(const char *text, size_t n)
{
    nmrt_text again = {0};
    nmrt_error e;
    (void)nmrt_config_check_text(&map, text, n, "DIR", &e);
    if (nmrt_config_print(&map, text, n, "float32", &again, &e) == NMRT_OK &&
        nmrt_config_check_text(&map, again.at, again.n, "DIR", &e) != NMRT_OK)
        abort();
    nmrt_text_release(&again);
}

static void put(const char *path, const void *bytes, size_t n)
{
    FILE *file = fopen(path, "w");
    if (!file || fwrite(bytes, 1, n, file) != n || fclose(file))
        abort();
}

// $FUZZ_FOLDER, with one file, which has the tensor a; made once.
static const char *folder(void)
{
    static char file[NMRT_PATH];
    const char *path = getenv("FUZZ_FOLDER");
    if (*file)
        return path;
    nmrt_tensor a = {.name = "a", .dtype = "F32", .rank = 1, .shape = {1}, .end = 4};
    nmrt_text text = {0};
    nmrt_error e;
    nmrt_safetensors_header(&a, 1, &text);
    nmrt_text_add_bytes(&text, "0123", 4);
    if (!path || nmrt_path_join(file, path, "a.safetensors", &e) != NMRT_OK)
        abort();
    put(file, text.at, text.n);
    nmrt_text_release(&text);
    return path;
}

static void read_index(const uint8_t *bytes, size_t n)
{
    char path[NMRT_PATH];
    nmrt_foreign f;
    nmrt_error e;
    if (nmrt_path_join(path, folder(), "model.safetensors.index.json", &e) != NMRT_OK)
        abort();
    put(path, bytes, n);
    if (nmrt_foreign_open(&f, folder(), &e) == NMRT_OK && (f.n != 1 || f.n_files != 1))
        abort();
    nmrt_foreign_close(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    char *text = malloc(n + 1); // of its own, so that reading behind it is seen
    if (!text)
        return 0;
    memcpy(text, bytes, n);
    char *tight = realloc(text, n ? n : 1);
    read_config(tight, n);
    free(tight);
    read_index(bytes, n);
    return 0;
}
