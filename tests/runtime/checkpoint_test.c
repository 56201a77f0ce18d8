// Checkpoints under fault injection: every file cut anywhere, every byte flipped, folders of
// another program, a full disk. A load either gives what was saved or changes nothing and says why.
#define _GNU_SOURCE
#include "tests/runtime/checkpoint_rig.h"

#include "runtime/hash.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct fixture {
    char dir[64], ckpt[96];
    rig rig;
    nmdrv_arg arg[16]; // as the program's own rows
    nmrt_saver *saver;
} fixture;

static void open_program(fixture *f, const nmdrv_program *program)
{
    const nmdrv_arg *row[16];
    int64_t elements[16];
    nmrt_error e;
    for (int64_t i = 0; i < program->n_params; i++) {
        const nmdrv_param *p = &program->param[i];
        f->arg[i] = (nmdrv_arg){.dtype = p->dtype, .rank = p->rank, .dim = p->dim};
        row[i] = &f->arg[i];
        elements[i] = p->shape[0] * p->shape[1];
    }
    rig_open(&f->rig, program, row, elements, f->ckpt);
    CHECK(nmrt_saver_open(&f->saver, &f->rig.en, &f->rig.options, 0, &(nmrt_text){0}, &e) ==
          NMRT_OK);
}

static void close_fixture(fixture *f)
{
    nmrt_saver_close(f->saver);
    rig_close(&f->rig);
}

static float *number_of(fixture *f, int64_t param) { return rig_at(&f->rig, param); }

static void fill(fixture *f, float value)
{
    for (int64_t i = 0; i < nemocc_programs[0]->n_params; i++)
        for (int64_t k = 0;
             k < nemocc_programs[0]->param[i].shape[0] * nemocc_programs[0]->param[i].shape[1]; k++)
            number_of(f, i)[k] = value + (float)i + (float)k / 1024;
}

static bool holds(fixture *f, float value)
{
    for (int64_t i = 0; i < nemocc_programs[0]->n_params; i++)
        for (int64_t k = 0;
             k < nemocc_programs[0]->param[i].shape[0] * nemocc_programs[0]->param[i].shape[1]; k++)
            if (number_of(f, i)[k] != value + (float)i + (float)k / 1024)
                return false;
    return true;
}

static nmrt_status save(fixture *f, int64_t step, float value)
{
    nmrt_checkpoint c = {.step = step, .samples = step * 4, .seed = 7};
    nmrt_error e;
    fill(f, value);
    return rig_save(f->saver, &c, &e);
}

static nmrt_status load(fixture *f, const char *path, nmrt_checkpoint *c, char message[1024])
{
    nmrt_text passed = {0};
    nmrt_error e = {.text = ""};
    nmrt_status status = nmrt_checkpoint_load(path, &f->rig.en, NMRT_READ_WHOLE, c, &passed, &e);
    snprintf(message, 1024, "%s%s", passed.at ? passed.at : "", e.text);
    nmrt_text_release(&passed);
    return status;
}

static void test_round_trip(fixture *f)
{
    nmrt_checkpoint c;
    char message[1024];
    CHECK(load(f, f->ckpt, &c, message) == NMRT_OK && !*c.path); // none yet
    CHECK(save(f, 5, 100) == NMRT_OK && save(f, 10, 200) == NMRT_OK);
    fill(f, 0);
    CHECK(load(f, f->ckpt, &c, message) == NMRT_OK && c.step == 10 && c.samples == 40 &&
          c.seed == 7);
    CHECK(holds(f, 200) && !*message);
    char latest[128], old[128];
    snprintf(latest, sizeof latest, "%s/latest", f->ckpt);
    snprintf(old, sizeof old, "%s/step-000005", f->ckpt);
    CHECK(load(f, old, &c, message) == NMRT_OK && c.step == 5 && holds(f, 100));
    CHECK(load(f, latest, &c, message) == NMRT_OK && c.step == 10 && holds(f, 200));
    CHECK(save(f, 10, 300) == NMRT_OK && holds(f, 300)); // in the place of one that is there
    CHECK(load(f, f->ckpt, &c, message) == NMRT_OK && holds(f, 300));
}

static long size_of(const char *path)
{
    struct stat st;
    return stat(path, &st) ? -1 : (long)st.st_size;
}

static void flip(const char *path, long at, int bit)
{
    int fd = open(path, O_RDWR);
    unsigned char c;
    CHECK(pread(fd, &c, 1, at) == 1);
    c ^= (unsigned char)(1 << bit);
    CHECK(pwrite(fd, &c, 1, at) == 1);
    close(fd);
}

// The newest checkpoint is damaged: nothing is changed by it, and the one before is taken.
static void expect_passed_over(fixture *f)
{
    nmrt_checkpoint c;
    char message[1024], newest[128];
    snprintf(newest, sizeof newest, "%s/step-000010", f->ckpt);
    fill(f, 0);
    CHECK(load(f, newest, &c, message) == NMRT_CORRUPT && holds(f, 0) &&
          strstr(message, "damaged"));
    CHECK(load(f, f->ckpt, &c, message) == NMRT_OK && c.step == 5 && holds(f, 100));
    CHECK(strstr(message, "passing over"));
}

static void test_flips(fixture *f, const char *path)
{
    long n = size_of(path), step = n > 300 ? n / 150 : 1;
    for (long at = 0; at < n; at += at < 200 ? 7 : step) {
        flip(path, at, (int)(at % 8));
        expect_passed_over(f);
        flip(path, at, (int)(at % 8));
    }
}

static void test_cuts(fixture *f, const char *path)
{
    char aside[160];
    snprintf(aside, sizeof aside, "%s.whole", path);
    long n = size_of(path);
    static const double part[] = {0, 0.001, 0.1, 0.5, 0.9, 0.9999};
    for (size_t i = 0; i < sizeof part / sizeof *part; i++) {
        char command[512];
        snprintf(command, sizeof command, "cp %s %s && truncate -s %ld %s", path, aside,
                 (long)((double)n * part[i]), path);
        CHECK(system(command) == 0);
        expect_passed_over(f);
        CHECK(rename(aside, path) == 0);
    }
}

static void test_damage(fixture *f)
{
    char index[128], data[128];
    nmrt_checkpoint c;
    char message[1024];
    snprintf(index, sizeof index, "%s/step-000010/index.json", f->ckpt);
    snprintf(data, sizeof data, "%s/step-000010/00000.safetensors", f->ckpt);
    CHECK(save(f, 5, 100) == NMRT_OK && save(f, 10, 200) == NMRT_OK);
    test_flips(f, index);
    test_flips(f, data);
    test_cuts(f, index);
    test_cuts(f, data);
    CHECK(load(f, f->ckpt, &c, message) == NMRT_OK && c.step == 10 && holds(f, 200)); // whole again
    CHECK(unlink(data) == 0);
    CHECK(load(f, f->ckpt, &c, message) == NMRT_OK && c.step == 5 &&
          strstr(message, "No such file"));
    char other[128];
    snprintf(other, sizeof other, "%s/step-000005/index.json", f->ckpt);
    CHECK(truncate(other, 3) == 0);
    fill(f, 0);
    CHECK(load(f, f->ckpt, &c, message) == NMRT_CORRUPT &&
          strstr(message, "none of the 2 checkpoints") && holds(f, 0));
}

// A limit on file sizes acts as a disk that fills up.
static void test_full_disk(fixture *f)
{
    struct rlimit old, small;
    nmrt_checkpoint c;
    char message[1024], part[128];
    snprintf(part, sizeof part, "%s/step-000010.part", f->ckpt);
    CHECK(save(f, 5, 100) == NMRT_OK);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    for (rlim_t limit = 0; limit < 200000; limit += 17777) {
        small = (struct rlimit){limit, old.rlim_max};
        setrlimit(RLIMIT_FSIZE, &small);
        nmrt_status status = save(f, 10, 200);
        setrlimit(RLIMIT_FSIZE, &old);
        CHECK(status == NMRT_WORLD && !nmrt_path_exists(part));
        CHECK(load(f, f->ckpt, &c, message) == NMRT_OK && c.step == 5 && holds(f, 100));
    }
}

static int count_steps(const char *dir)
{
    int n;
    free(nmrt_checkpoint_list(dir, &n));
    return n;
}

static nmrt_status open_second(fixture *f, nmrt_saver **s, int64_t step, nmrt_error *e)
{
    return nmrt_saver_open(s, &f->rig.en, &f->rig.options, step, &(nmrt_text){0}, e);
}

static void test_keep(fixture *f)
{
    nmrt_error e;
    char stale[128];
    f->rig.options.keep = 2;
    snprintf(stale, sizeof stale, "%s/step-000003.part", f->ckpt); // left by a kill
    CHECK(mkdir(stale, 0777) == 0);
    for (int64_t step = 1; step <= 6; step++)
        CHECK(save(f, step, (float)step) == NMRT_OK && count_steps(f->ckpt) == (step < 2 ? 1 : 2));
    CHECK(!nmrt_path_exists(stale));
    nmrt_saver *second;
    CHECK(open_second(f, &second, 6, &e) == NMRT_WORLD && strstr(e.text, "another run"));
    nmrt_saver_close(f->saver);
    f->saver = NULL;
    CHECK(open_second(f, &second, 0, &e) == NMRT_USAGE && strstr(e.text, "--resume auto"));
    CHECK(open_second(f, &second, 6, &e) == NMRT_OK);
    nmrt_saver_close(second);
}

// What a kill has left between two renames: runtime/aside.h.
static void test_cut(fixture *f)
{
    nmrt_error e;
    char folder[128], old[160], message[1024];
    nmrt_checkpoint c;
    nmrt_saver *second;
    snprintf(folder, sizeof folder, "%s/step-000006", f->ckpt);
    snprintf(old, sizeof old, "%s.old.part", folder);
    CHECK(save(f, 5, 5) == NMRT_OK && save(f, 6, 6) == NMRT_OK);
    nmrt_saver_close(f->saver);
    f->saver = NULL;
    CHECK(rename(folder, old) == 0);
    CHECK(load(f, f->ckpt, &c, message) == NMRT_OK && c.step == 6 && holds(f, 6));
    CHECK(open_second(f, &second, 6, &e) == NMRT_OK);
    CHECK(nmrt_path_exists(folder) && !nmrt_path_exists(old));
    nmrt_saver_close(second);
    CHECK(count_steps(f->ckpt) == 2);
    CHECK(mkdir(old, 0777) == 0); // the folder is there: this one goes
    CHECK(count_steps(f->ckpt) == 2);
    CHECK(open_second(f, &second, 6, &e) == NMRT_OK && !nmrt_path_exists(old));
    nmrt_saver_close(second);
}

// A folder whose name begins with that of another is not that one.
static void test_passed(fixture *f)
{
    nmrt_error e;
    char folder[128], longer[128];
    nmrt_text passed = {0};
    nmrt_saver *second;
    snprintf(folder, sizeof folder, "%s/step-100000", f->ckpt);
    snprintf(longer, sizeof longer, "%s/step-1000000", f->ckpt);
    nmrt_saver_close(f->saver);
    f->saver = NULL;
    CHECK(mkdir(folder, 0777) == 0 && mkdir(longer, 0777) == 0);
    nmrt_text_add(&passed, "passing over %s: no index\n", longer);
    CHECK(nmrt_saver_open(&second, &f->rig.en, &f->rig.options, 6, &passed, &e) == NMRT_USAGE);
    CHECK(strstr(e.text, folder) && !strstr(e.text, longer));
    nmrt_text_add(&passed, "passing over %s: no index\n", folder);
    CHECK(nmrt_saver_open(&second, &f->rig.en, &f->rig.options, 6, &passed, &e) == NMRT_OK);
    nmrt_saver_close(second);
    nmrt_text_release(&passed);
}

// Version 1 of the format: a file of whole tensors, and one checksum for each.
static void print_old_index(const char *folder, nmrt_text *out)
{
    char data[160];
    nmrt_map map;
    nmrt_safetensors st;
    nmrt_error e;
    snprintf(data, sizeof data, "%s/00000.safetensors", folder);
    CHECK(nmrt_map_open(&map, data, &e) == NMRT_OK);
    CHECK(nmrt_safetensors_parse(&st, map.at, map.n, &e) == NMRT_OK);
    nmrt_text_add(out,
                  "{\"format\": \"nemocc checkpoint\", \"version\": 1, \"program\": {\"hash\": "
                  "\"00c0ffee\"}, \"step\": 10, \"samples\": 40, \"seed\": 7, \"files\": "
                  "[{\"file\": \"00000.safetensors\", \"bytes\": %zu, \"header\": "
                  "\"xxh64:%016llx\"}], \"tensors\": [",
                  map.n, (unsigned long long)nmrt_hash_of(map.at, (size_t)st.n_header));
    for (int i = 0; i < st.n; i++) {
        const nmrt_tensor *t = &st.tensor[i];
        nmrt_text_add(
            out,
            "%s{\"path\": \"%s\", \"dtype\": \"%s\", \"shape\": [%lld, %lld], "
            "\"pieces\": [{\"file\": \"00000.safetensors\", \"offsets\": [%lld, "
            "%lld]}], \"checksum\": \"xxh64:%016llx\"}",
            i ? ", " : "", t->name, t->dtype, (long long)t->shape[0], (long long)t->shape[1],
            (long long)t->begin, (long long)t->end,
            (unsigned long long)nmrt_hash_of(st.data + t->begin, (size_t)(t->end - t->begin)));
    }
    nmrt_text_add(out, "]");
    CHECK(st.n == nemocc_programs[0]->n_params);
    nmrt_safetensors_release(&st);
    nmrt_map_close(&map);
}

static void test_old_format(fixture *f)
{
    nmrt_checkpoint c;
    nmrt_error e;
    nmrt_text index = {0};
    char message[1024], folder[128], path[160];
    snprintf(folder, sizeof folder, "%s/step-000010", f->ckpt);
    snprintf(path, sizeof path, "%s/index.json", folder);
    CHECK(save(f, 5, 100) == NMRT_OK && save(f, 10, 200) == NMRT_OK);
    print_old_index(folder, &index);
    nmrt_text_add(&index, ",\n  \"checksum\": \"xxh64:%016llx\"\n}\n",
                  (unsigned long long)nmrt_hash_of(index.at, index.n));
    CHECK(unlink(path) == 0 && nmrt_file_create(path, index.at, index.n, &e) == NMRT_OK);
    fill(f, 0);
    CHECK(load(f, f->ckpt, &c, message) == NMRT_OK && c.step == 10 && holds(f, 200) && !*message);
    CHECK(strcmp(c.mesh, "one rank") == 0);
    snprintf(path, sizeof path, "%s/00000.safetensors", folder);
    flip(path, size_of(path) - 1, 0);
    expect_passed_over(f);
    nmrt_text_release(&index);
}

// Another program of the binary, with a state of its own. What a checkpoint lacks of it keeps what
// it held; the first program leaves it out.
static void test_own(fixture *f)
{
    enum { N = 7 };
    const nmdrv_program *plain = nemocc_programs[0];
    nmdrv_param rows[N];
    nmdrv_program program = *plain;
    nmrt_checkpoint c;
    char message[1024];
    CHECK(plain->n_params == N - 1);
    memcpy(rows, plain->param, (N - 1) * sizeof *rows);
    rows[N - 1] = rows[0];
    rows[N - 1].path = "scales", rows[N - 1].is_state = 1, rows[N - 1].own = 1;
    rows[N - 1].optimizer = "";
    program.n_params = N, program.param = rows, program.precision = "fp8";
    fixture own = {0};
    snprintf(own.ckpt, sizeof own.ckpt, "%.80s/own", f->dir);
    open_program(&own, &program);
    CHECK(save(f, 5, 100) == NMRT_OK);
    number_of(&own, N - 1)[3] = 42;
    CHECK(load(&own, f->ckpt, &c, message) == NMRT_OK && c.absent == 1 && c.left == 0);
    CHECK(!strcmp(c.precision, plain->precision) && number_of(&own, N - 1)[3] == 42);
    CHECK(number_of(&own, 1)[2] == 100 + 1 + 2.0F / 1024);
    nmrt_engine_start_own(&own.rig.en);
    CHECK(number_of(&own, N - 1)[3] == 0 && number_of(&own, 1)[2] != 0);
    c = (nmrt_checkpoint){.step = 6, .samples = 24, .seed = 7};
    nmrt_error e;
    number_of(&own, N - 1)[3] = 43;
    CHECK(rig_save(own.saver, &c, &e) == NMRT_OK);
    number_of(&own, N - 1)[3] = 0;
    CHECK(load(&own, own.ckpt, &c, message) == NMRT_OK && c.absent == 0 && c.left == 0);
    CHECK(number_of(&own, N - 1)[3] == 43);
    CHECK(load(f, own.ckpt, &c, message) == NMRT_OK && c.left == 1 && c.absent == 0 &&
          holds(f, 100));
    CHECK(!strcmp(c.precision, "fp8") && !*message);
    close_fixture(&own);
}

static void with_fixture(void (*test)(fixture *f))
{
    fixture f = {.dir = "/tmp/nmrt_checkpoint_XXXXXX"};
    CHECK(mkdtemp(f.dir) != NULL);
    snprintf(f.ckpt, sizeof f.ckpt, "%s/ckpt", f.dir);
    open_program(&f, nemocc_programs[0]);
    test(&f);
    close_fixture(&f);
    rig_remove(f.dir);
}

int main(void)
{
    with_fixture(test_round_trip);
    with_fixture(test_damage);
    with_fixture(test_full_disk);
    with_fixture(test_keep);
    with_fixture(test_cut);
    with_fixture(test_passed);
    with_fixture(test_old_format);
    with_fixture(test_own);
    return check_result();
}
