// Companions: found from a checkpoint, from a folder of them, from a foreign folder; a tokenizer
// that is given takes the place of the model's; a failure leaves what was there.
#include "tests/runtime/check.h"

#include "runtime/foreign/companions.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[] = "/tmp/companions.XXXXXX";
static char model[NMRT_PATH], save[NMRT_PATH], step[NMRT_PATH], found[NMRT_PATH];
static nmrt_error e;

static void put(const char *folder, const char *name, const char *text)
{
    char path[NMRT_PATH];
    CHECK(nmrt_path_join(path, folder, name, &e) == NMRT_OK);
    unlink(path);
    CHECK(nmrt_file_create(path, text, strlen(text), &e) == NMRT_OK);
}

static bool holds(const char *folder, const char *name, const char *text)
{
    char path[NMRT_PATH];
    nmrt_map map;
    if (nmrt_path_join(path, folder, name, &e) != NMRT_OK ||
        nmrt_map_open(&map, path, &e) != NMRT_OK)
        return false;
    bool same = map.n == strlen(text) && memcmp(map.at, text, map.n) == 0;
    nmrt_map_close(&map);
    return same;
}

static void make_folders(void)
{
    CHECK(mkdtemp(root) != NULL);
    CHECK(nmrt_path_join(model, root, "model", &e) == NMRT_OK);
    CHECK(nmrt_path_join(save, root, "save", &e) == NMRT_OK);
    CHECK(nmrt_path_join(step, save, "step-000001", &e) == NMRT_OK);
    CHECK(nmrt_dir_make(model, &e) == NMRT_OK);
    CHECK(nmrt_dir_make(step, &e) == NMRT_OK);
    put(model, "config.json", "{}");
    put(model, "tokenizer.json", "its own");
    put(model, "special_tokens_map.json", "its own");
    put(model, "model.safetensors", "not a companion");
}

static void check_find(void)
{
    CHECK(!nmrt_companions_find(save, found));
    CHECK(nmrt_companions_tokenizer(model, found));
    CHECK(nmrt_companions_save(save, &(nmrt_companions){model, false, NULL}, &e) == NMRT_OK);
    CHECK(nmrt_companions_tokenizer(save, found) && holds(found, "tokenizer.json", "its own"));
    CHECK(nmrt_companions_tokenizer(step, found) && holds(found, "config.json", "{}"));
    CHECK(!holds(found, "model.safetensors", "not a companion"));
}

// Where a kill has left them between two renames: runtime/aside.h.
static void check_cut(void)
{
    char now[NMRT_PATH], old[NMRT_PATH];
    CHECK(nmrt_path_join(now, save, "companions", &e) == NMRT_OK);
    CHECK(nmrt_path_append(old, now, ".old.part", &e) == NMRT_OK);
    CHECK(rename(now, old) == 0);
    CHECK(nmrt_companions_tokenizer(save, found) && holds(found, "config.json", "{}"));
    CHECK(nmrt_companions_tokenizer(step, found) && holds(found, "tokenizer.json", "its own"));
    CHECK(nmrt_companions_save(save, &(nmrt_companions){found, false, NULL}, &e) == NMRT_OK);
    CHECK(holds(now, "config.json", "{}") && !nmrt_path_exists(old));
}

static void check_tokenizer(void)
{
    char file[NMRT_PATH];
    put(root, "mine.model", "mine");
    CHECK(nmrt_path_join(file, root, "mine.model", &e) == NMRT_OK);
    CHECK(nmrt_companions_find(save, found)); // from itself
    CHECK(nmrt_companions_save(save, &(nmrt_companions){found, false, file}, &e) == NMRT_OK);
    CHECK(nmrt_companions_tokenizer(save, found) && holds(found, "tokenizer.model", "mine"));
    CHECK(holds(found, "config.json", "{}"));
    CHECK(!holds(found, "tokenizer.json", "its own"));
    CHECK(!holds(found, "special_tokens_map.json", "its own"));
}

// GPT-2's own files, which are one tokenizer together.
static void check_gpt2(void)
{
    char gpt2[NMRT_PATH], other[NMRT_PATH];
    CHECK(nmrt_path_join(gpt2, root, "gpt2", &e) == NMRT_OK);
    CHECK(nmrt_path_join(other, root, "other", &e) == NMRT_OK);
    CHECK(nmrt_dir_make(gpt2, &e) == NMRT_OK);
    put(gpt2, "vocab.json", "{}");
    CHECK(!nmrt_companions_tokenizer(gpt2, found));
    put(gpt2, "merges.txt", "a b");
    CHECK(nmrt_companions_tokenizer(gpt2, found));
    CHECK(nmrt_companions_save(other, &(nmrt_companions){NULL, false, gpt2}, &e) == NMRT_OK);
    CHECK(nmrt_companions_tokenizer(other, found) && holds(found, "merges.txt", "a b"));
}

static void check_failure(void)
{
    CHECK(nmrt_companions_save(save, &(nmrt_companions){model, false, "/nowhere/t.json"}, &e) ==
          NMRT_WORLD);
    CHECK(strstr(e.text, "/nowhere/t.json") != NULL);
    CHECK(nmrt_companions_tokenizer(save, found) && holds(found, "tokenizer.model", "mine"));
    char part[NMRT_PATH];
    CHECK(nmrt_path_join(part, save, "companions.part", &e) == NMRT_OK);
    CHECK(!nmrt_path_exists(part));
}

int main(void)
{
    make_folders();
    check_find();
    check_cut();
    check_tokenizer();
    check_gpt2();
    check_failure();
    char command[64];
    snprintf(command, sizeof command, "rm -r %s", root);
    return system(command) != 0 || check_result() != 0;
}
