// Checkpoints of meshes: what any mesh saves, any mesh loads, bit for bit; a part that is damaged,
// missing or never written is told alike on all ranks; a kill in the middle of saving loses
// nothing.
#define _GNU_SOURCE
#include "tests/runtime/checkpoint_mesh.h"

#include "runtime/hash.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const mesh_sizes sizes[] = {
    // pp, vp, dpr, dps, dpp, cpr, cps, tpk, tpr
    {1, 1, 1, 1, 1, 1, 1, 1, 1}, // one rank
    {1, 1, 1, 1, 1, 1, 1, 2, 1}, // tp 2
    {1, 1, 1, 1, 1, 1, 1, 2, 2}, // tp 4 by two axes
    {2, 1, 1, 1, 1, 1, 1, 1, 1}, // pp 2
    {4, 1, 1, 1, 1, 1, 1, 1, 1}, // pp 4: stages of 1 and of 2 layers
    {2, 3, 1, 1, 1, 1, 1, 1, 1}, // pp 2, vp 3: chunks that lie apart
    {1, 1, 2, 1, 1, 1, 1, 1, 1}, // dp 2, replicated
    {1, 1, 1, 4, 1, 1, 1, 1, 1}, // dp 4, ZeRO-1
    {1, 1, 1, 1, 2, 1, 1, 2, 1}, // dp 2, ZeRO-3, tp 2
    {1, 1, 1, 1, 1, 1, 2, 1, 1}, // cp 2, zigzag
    {1, 1, 1, 1, 1, 2, 2, 1, 2}, // cp 4, states over 2 of them, tp 2
    {2, 2, 1, 2, 1, 1, 1, 1, 2}, // pp 2, vp 2, dp 2, tp 2
    {2, 1, 1, 2, 1, 1, 2, 2, 1}, // all but replication, 16 ranks
    {3, 1, 2, 1, 1, 1, 1, 2, 1}, // pp 3, dp 2, tp 2
};
enum { N_MESHES = sizeof sizes / sizeof *sizes };

static char dir[64];

static void name_folder(char out[128], int mesh) { snprintf(out, 128, "%s/mesh%d", dir, mesh); }

// --- the ranks' bodies -------------------------------------------------------------------------

static void *save_two(void *arg) // steps 5 and 10, the second while the first may still be written
{
    rank *r = arg;
    nmrt_saver *s;
    nmrt_checkpoint c = {.samples = 7, .seed = 3};
    r->status = nmrt_saver_open(&s, &r->rig.en, &r->rig.options, 0, &(nmrt_text){0}, &r->e);
    for (c.step = 5; c.step <= 10 && r->status == NMRT_OK; c.step += 5) {
        fill_rank(r, c.step);
        r->status = nmrt_checkpoint_wait(s, &c, &r->e);
        if (r->status == NMRT_OK)
            r->status = nmrt_checkpoint_begin(s, &c, &r->e);
        fill_rank(r, -1); // what is written is the copy
    }
    if (r->status == NMRT_OK)
        r->status = nmrt_checkpoint_wait(s, &c, &r->e);
    nmrt_saver_close(s);
    return NULL;
}

static void *load(void *arg)
{
    rank *r = arg;
    fill_rank(r, -1);
    r->status = nmrt_checkpoint_load(r->world->save, &r->rig.en, NMRT_READ_WHOLE, &r->loaded,
                                     &r->passed, &r->e);
    return NULL;
}

static void *load_first(void *arg) // step 5 alone
{
    rank *r = arg;
    char path[160];
    fill_rank(r, -1);
    snprintf(path, sizeof path, "%s/step-000005", r->world->save);
    r->status =
        nmrt_checkpoint_load(path, &r->rig.en, NMRT_READ_WHOLE, &r->loaded, &r->passed, &r->e);
    return NULL;
}

static void save_mesh(int mesh)
{
    static world w;
    char folder[128];
    name_folder(folder, mesh);
    open_world(&w, &sizes[mesh], folder);
    run_ranks(&w, save_two);
    for (int i = 0; i < w.n; i++) {
        CHECK(w.rank[i].status == NMRT_OK);
        if (w.rank[i].status != NMRT_OK)
            fprintf(stderr, "mesh %d, rank %d: %s\n", mesh, i, w.rank[i].e.text);
    }
    close_world(&w);
}

static void expect_loaded(int from, int to)
{
    static world w;
    char folder[128];
    name_folder(folder, from);
    open_world(&w, &sizes[to], folder);
    run_ranks(&w, load);
    for (int i = 0; i < w.n; i++) {
        rank *r = &w.rank[i];
        bool good = r->status == NMRT_OK && r->loaded.step == 10 && r->loaded.seed == 3 &&
                    rank_holds(r, 10);
        CHECK(good && !r->passed.n);
        if (!good)
            fprintf(stderr, "mesh %d to %d, rank %d: %s\n", from, to, i,
                    r->status ? r->e.text : "other bits");
    }
    close_world(&w);
}

static void test_pairs(void)
{
    for (int from = 0; from < N_MESHES; from++)
        save_mesh(from);
    for (int from = 0; from < N_MESHES; from++)
        for (int to = 0; to < N_MESHES; to++)
            expect_loaded(from, to);
}

static void test_index(void)
{
    nmrt_index x;
    nmrt_error e;
    char folder[160], mesh[64];
    snprintf(folder, sizeof folder, "%s/mesh11/step-000010", dir);
    CHECK(nmrt_index_open(&x, folder, &e) == NMRT_OK);
    nmrt_index_print_mesh(&x, mesh);
    CHECK(strcmp(mesh, "tp 2, pp 2, cp 1, dp 2") == 0);
    nmrt_index_close(&x);
    char note[192];
    snprintf(note, sizeof note, "%s/00001.note", folder);
    CHECK(!nmrt_path_exists(note)); // nothing is left but the files that the index names
    snprintf(note, sizeof note, "%s/mesh6/step-000010/00001.safetensors", dir);
    CHECK(!nmrt_path_exists(note)); // a replica writes nothing
}

// --- damage ------------------------------------------------------------------------------------

static const int damaged = 11, reading = 2;

static void expect_all(world *w, nmrt_status status, const char *message)
{
    for (int i = 0; i < w->n; i++) {
        rank *r = &w->rank[i];
        bool said = strstr(r->e.text, message) || (r->passed.at && strstr(r->passed.at, message));
        CHECK(r->status == status && said);
        if (r->status != status || !said)
            fprintf(stderr, "rank %d: %d, %s %s, not %s\n", i, r->status, r->e.text,
                    r->passed.at ? r->passed.at : "", message);
        if (status != NMRT_OK)
            CHECK(*(uint32_t *)rig_at(&r->rig, UP) == 0xDEADBEEF); // untouched
    }
}

static void load_damaged(void *(*body)(void *), nmrt_status status, const char *message,
                         int64_t step)
{
    static world w;
    char folder[128];
    name_folder(folder, damaged);
    open_world(&w, &sizes[reading], folder);
    run_ranks(&w, body);
    expect_all(&w, status, message);
    for (int i = 0; i < w.n && status == NMRT_OK; i++)
        CHECK(w.rank[i].loaded.step == step && rank_holds(&w.rank[i], step));
    close_world(&w);
}

static void flip(const char *path, long at)
{
    int fd = open(path, O_RDWR);
    unsigned char c = 0;
    CHECK(fd >= 0 && pread(fd, &c, 1, at) == 1);
    c ^= 16;
    CHECK(pwrite(fd, &c, 1, at) == 1);
    close(fd);
}

// The file of rank 3 is damaged, which some of the readers never touch: all pass it over alike.
static void test_damaged_piece(void)
{
    char file[160], aside[192];
    struct stat st;
    snprintf(file, sizeof file, "%s/mesh%d/step-000010/00003.safetensors", dir, damaged);
    snprintf(aside, sizeof aside, "%s.aside", file);
    CHECK(stat(file, &st) == 0);
    flip(file, (long)st.st_size - 1);
    load_damaged(load, NMRT_OK, "step-000010 is damaged: the checksum of", 5);
    flip(file, (long)st.st_size - 1);
    CHECK(rename(file, aside) == 0);
    load_damaged(load, NMRT_OK, "00003.safetensors: No such file", 5);
    CHECK(rename(aside, file) == 0);
    load_damaged(load, NMRT_OK, "", 10);
}

static char *read_text(const char *path, size_t *n)
{
    nmrt_map map;
    nmrt_error e;
    CHECK(nmrt_map_open(&map, path, &e) == NMRT_OK);
    char *text = malloc(map.n + 1);
    memcpy(text, map.at, map.n);
    text[ *n = map.n] = 0;
    nmrt_map_close(&map);
    return text;
}

static void write_sealed(const char *path, const nmrt_text *body)
{
    nmrt_error e;
    char seal[64];
    snprintf(seal, sizeof seal, ",\n  \"checksum\": \"xxh64:%016llx\"\n}\n",
             (unsigned long long)nmrt_hash_of(body->at, body->n));
    nmrt_text all = {0};
    nmrt_text_add_bytes(&all, body->at, body->n);
    nmrt_text_add(&all, "%s", seal);
    unlink(path);
    CHECK(nmrt_file_create(path, all.at, all.n, &e) == NMRT_OK);
    nmrt_text_release(&all);
}

// The index with `from` replaced by `to` once, sealed again: what no reader may believe.
static void edit_index(const char *path, const char *from, const char *to)
{
    size_t n;
    char *text = read_text(path, &n), *at = strstr(text, from);
    nmrt_text body = {0};
    CHECK(at != NULL);
    if (at) {
        nmrt_text_add_bytes(&body, text, (size_t)(at - text));
        nmrt_text_add(&body, "%s", to);
        nmrt_text_add_bytes(&body, at + strlen(from), n - 43 - (size_t)(at - text) - strlen(from));
        write_sealed(path, &body);
    }
    nmrt_text_release(&body);
    free(text);
}

static void expect_edit(const char *from, const char *to, nmrt_status status, const char *message)
{
    char path[160];
    nmrt_error e;
    size_t n;
    snprintf(path, sizeof path, "%s/mesh%d/step-000005/index.json", dir, damaged);
    char *whole = read_text(path, &n);
    edit_index(path, from, to);
    load_damaged(load_first, status, message, 5);
    unlink(path);
    CHECK(nmrt_file_create(path, whole, n, &e) == NMRT_OK);
    free(whole);
}

static void test_wrong_index(void)
{
    expect_edit("\"start\": [0, 0, 0]", "\"start\": [1, 0, 0]", NMRT_CORRUPT, "up.w[");
    expect_edit("\"start\": [0, 0, 0]", "\"start\": [7, 0, 0]", NMRT_CORRUPT,
                "a piece of up.w does not lie in it");
    expect_edit("\"dims\": [\"layers\", \"d\", \"ff\"]", "\"dims\": [\"layers\", \"ff\", \"d\"]",
                NMRT_FOREIGN, "up.w has its dims in another order there");
    expect_edit("\"shape\": [6, 16, 24]", "\"shape\": [6, 24, 16]", NMRT_FOREIGN,
                "up.w is F32[6, 24, 16] there and F32[6, 16, 24] here");
    expect_edit("\"path\": \"norm.w\", \"dtype\": \"F32\"",
                "\"path\": \"norm.w\", \"dtype\": \"F16\"", NMRT_FOREIGN,
                "norm.w is F16[16] there");
    expect_edit("{\"file\": \"00001.safetensors\", \"offsets\"",
                "{\"file\": \"00000.safetensors\", \"offsets\"", NMRT_CORRUPT,
                "damaged: 00000.safetensors has no");
    expect_edit("\"path\": \"norm.w\"", "\"path\": \"form.w\"", NMRT_FOREIGN, "it has no norm.w");
    expect_edit("\"program\": {\"name\": \"cut\"", "\"program\": {\"name\": \"uncut\"", NMRT_OK,
                "");
}

// --- blocks ------------------------------------------------------------------------------------

enum { BIG = 3 << 20 }; // elements: 12 MiB, three blocks with a checksum each
static const nmdrv_sym_info big_sym = SPLIT("big.tp", "big", BIG, 0, NMDRV_TPR);
static const nmdrv_dim big_dims[] = {{"big", "t.nm:1", BIG, -1}, {"big", "t.nm:1", 0, 0}};
static const nmdrv_param big_param = {"big.w", 0, 0, 0, NMDRV_F32, 1, LIST(0), LIST(BIG), "sgd", 0};
static const nmdrv_arg big_arg = {.dtype = NMDRV_F32, .rank = 1, .dim = LIST(1)};
static const nmdrv_program big_program = {
    .name = "big",
    .preset = "",
    .hash = "00",
    .compiler = "nobody",
    .n_syms = 1,
    .n_dims = 2,
    .n_params = 1,
    .sym = &big_sym,
    .dim = big_dims,
    .param = &big_param,
};

static void open_big(rig *r, const char *folder, nmdrv_sym *sym, int64_t part, int64_t parts)
{
    *sym = (nmdrv_sym){BIG / parts, part * (BIG / parts), BIG, BIG / parts, 0};
    rig_open(r, &big_program, (const nmdrv_arg *[]){&big_arg}, LIST(BIG / parts), folder);
    r->en.shares.sym = sym;
    memset(rig_at(r, 0), 0, (size_t)(BIG / parts) * 4);
}

static bool load_quarter(const char *folder, int64_t part, char message[1024])
{
    rig r;
    nmdrv_sym sym;
    nmrt_checkpoint c;
    nmrt_text passed = {0};
    nmrt_error e = {.text = ""};
    open_big(&r, folder, &sym, part, 4);
    bool good = nmrt_checkpoint_load(folder, &r.en, NMRT_READ_WHOLE, &c, &passed, &e) == NMRT_OK;
    const uint32_t *at = rig_at(&r, 0);
    for (int64_t i = 0; good && i < BIG / 4; i++)
        good = at[i] == bits_of(1, 0, part * (BIG / 4) + i);
    snprintf(message, 1024, "%s", e.text);
    nmrt_text_release(&passed);
    rig_close(&r);
    return good;
}

// A rank reads, and checks, only the blocks that its slice meets: damage elsewhere is not its own.
static void test_blocks(void)
{
    rig r;
    nmdrv_sym sym;
    nmrt_saver *s;
    nmrt_checkpoint c = {.step = 1};
    nmrt_error e;
    char folder[96], file[160], message[1024];
    snprintf(folder, sizeof folder, "%s/big", dir);
    open_big(&r, folder, &sym, 0, 1);
    for (int64_t i = 0; i < BIG; i++)
        ((uint32_t *)rig_at(&r, 0))[i] = bits_of(1, 0, i);
    CHECK(nmrt_saver_open(&s, &r.en, &r.options, 0, &(nmrt_text){0}, &e) == NMRT_OK);
    CHECK(rig_save(s, &c, &e) == NMRT_OK);
    nmrt_saver_close(s);
    rig_close(&r);
    for (int part = 0; part < 4; part++)
        CHECK(load_quarter(c.path, part, message));
    snprintf(file, sizeof file, "%.90s/00000.safetensors", c.path);
    flip(file, 3 << 20);
    for (int part = 0; part < 4; part++)
        CHECK(load_quarter(c.path, part, message) == (part >= 2));
    CHECK(!load_quarter(c.path, 0, message) &&
          strstr(message, "the checksum of big.w does not fit"));
}

// --- a rank that cannot write ------------------------------------------------------------------

// Rank 2 looks for the folder elsewhere, so it can neither write its file nor say so there: the
// others hear of it when they wait.
static void *save_blocked(void *arg)
{
    rank *r = arg;
    nmrt_saver *s;
    nmrt_checkpoint c = {.step = 20};
    nmrt_error e;
    char gone[160];
    CHECK(nmrt_saver_open(&s, &r->rig.en, &r->rig.options, 10, &(nmrt_text){0}, &e) == NMRT_OK);
    fill_rank(r, 20);
    snprintf(gone, sizeof gone, "%s/gone", dir);
    if (r->comm.rank == 2)
        r->rig.options.save = gone;
    CHECK(nmrt_checkpoint_begin(s, &c, &e) == NMRT_OK);
    r->status = nmrt_checkpoint_wait(s, &c, &r->e);
    CHECK(!*c.path);
    nmrt_saver_close(s);
    return NULL;
}

// The same, but rank 2 leaves word: rank 0 hears of it between two steps, and only once.
static void *save_failing(void *arg)
{
    rank *r = arg;
    nmrt_saver *s;
    nmrt_checkpoint c = {.step = 20};
    nmrt_error e = {.text = ""};
    char gone[160], word[192];
    CHECK(nmrt_saver_open(&s, &r->rig.en, &r->rig.options, 10, &(nmrt_text){0}, &e) == NMRT_OK);
    snprintf(gone, sizeof gone, "%s/gone", dir);
    snprintf(word, sizeof word, "%s/step-000020.part/00002.failed", r->world->save);
    if (r->comm.rank == 2)
        r->rig.options.save = gone;
    CHECK(nmrt_checkpoint_begin(s, &c, &e) == NMRT_OK);
    if (r->comm.rank == 2)
        CHECK(nmrt_file_create(word, "no room", 7, &e) == NMRT_OK);
    while (!r->comm.rank && nmrt_checkpoint_poll(s, &r->e) == NMRT_OK)
        usleep(1000);
    e.text[0] = 'x';
    CHECK(nmrt_checkpoint_wait(s, &c, &e) == NMRT_WORLD && (r->comm.rank || !*e.text));
    r->status = NMRT_WORLD;
    if (r->comm.rank)
        r->e = e;
    nmrt_saver_close(s);
    return NULL;
}

static void expect_unsaved(void *(*body)(void *), const char *message)
{
    static world w;
    char folder[128], part[192];
    name_folder(folder, damaged);
    snprintf(part, sizeof part, "%s/step-000020.part", folder);
    open_world(&w, &sizes[damaged], folder);
    for (int i = 0; i < w.n; i++)
        fill_rank(&w.rank[i], -1);
    run_ranks(&w, body);
    for (int i = 0; i < w.n; i++) {
        bool said = w.rank[i].status == NMRT_WORLD && strstr(w.rank[i].e.text, message);
        CHECK(said);
        if (!said)
            fprintf(stderr, "rank %d: %s\n", i, w.rank[i].e.text);
    }
    CHECK(!nmrt_path_exists(part));
    close_world(&w);
    load_damaged(load, NMRT_OK, "", 10);
}

static void test_unsaved(void)
{
    expect_unsaved(save_blocked, "step 20 is not saved: rank 2: cannot create");
    expect_unsaved(save_failing, "step 20 is not saved: rank 2: ");
}

// --- kills -------------------------------------------------------------------------------------

static void *save_for_ever(void *arg)
{
    rank *r = arg;
    nmrt_saver *s;
    nmrt_checkpoint c = {0};
    nmrt_error e;
    if (nmrt_saver_open(&s, &r->rig.en, &r->rig.options, 1000000, &(nmrt_text){0}, &e) != NMRT_OK)
        return NULL;
    for (c.step = r->step + 1;; c.step++) {
        fill_rank(r, c.step);
        if (nmrt_checkpoint_wait(s, &c, &e) != NMRT_OK ||
            nmrt_checkpoint_begin(s, &c, &e) != NMRT_OK)
            return NULL;
    }
}

static int64_t newest_step(const char *folder)
{
    int n;
    int64_t *steps = nmrt_checkpoint_list(folder, &n), newest = n ? steps[0] : 0;
    free(steps);
    return newest;
}

// One life: loads the newest on this mesh, checks its bits, and saves until it is killed.
static void live(const char *folder, const mesh_sizes *z)
{
    static world w;
    open_world(&w, z, folder);
    for (int i = 0; i < w.n; i++)
        w.rank[i].rig.options.keep = 3;
    run_ranks(&w, load);
    for (int i = 0; i < w.n; i++) {
        rank *r = &w.rank[i];
        bool good = r->status == NMRT_OK && !r->passed.n && r->loaded.step == newest_step(folder) &&
                    (!*r->loaded.path || rank_holds(r, r->loaded.step));
        if (!good)
            _exit(1);
        r->step = r->loaded.step;
    }
    run_ranks(&w, save_for_ever);
    _exit(2);
}

// Every checkpoint that there is must be whole: none may be passed over, whenever the kill came.
static void test_kills(void)
{
    char folder[128];
    snprintf(folder, sizeof folder, "%s/kills", dir);
    int64_t before = 0;
    for (int i = 0; i < 12; i++) {
        int status;
        pid_t child = fork();
        if (!child)
            live(folder, &sizes[i % 2 ? 11 : 5]);
        while (newest_step(folder) < before + 2 && waitpid(child, &status, WNOHANG) == 0)
            usleep(1000);
        usleep((useconds_t)(i * 1713 % 9000));
        kill(child, SIGKILL);
        waitpid(child, &status, 0);
        CHECK(WIFSIGNALED(status));
        CHECK(newest_step(folder) >= before + 2);
        before = newest_step(folder);
    }
}

int main(void)
{
    snprintf(dir, sizeof dir, "/tmp/nmrt_mesh_XXXXXX");
    CHECK(mkdtemp(dir) != NULL);
    test_pairs();
    test_index();
    test_damaged_piece();
    test_wrong_index();
    test_blocks();
    test_unsaved();
    test_kills();
    rig_remove(dir);
    return check_result();
}
