// A step that is sharded is the whole step: tiny models in the modes of the texts, on meshes of up
// to eight ranks of every axis, micro-batch by micro-batch, by the interpreter of all ranks in f64.
// What is logged, every parameter and every state agree, and replicas are equal to the last bit.
#include "tests/passes/shard_step.h"

static const char sharded[] = "split_heads,simplify,autodiff,tidy,precision,accumulate,units,shard";
static const char localized[] =
    "split_heads,simplify,autodiff,tidy,precision,accumulate,units,shard,localize";
static const char with_ring[] =
    "split_heads,simplify,autodiff,tidy,precision,accumulate,units,shard,localize,ring";
enum { WITH_RINGS = 3 }; // those before it have attention, and so modes of rings

static const subject models[] = {
    TINY_GPT2("2"),
    TINY_LLAMA3,
    {.path = "tests/models/two_attentions.nm",
     .define = {{"vocab", "14"},
                {"d", "8"},
                {"heads", "4"},
                {"kv", "2"},
                {"hd", "4"},
                {"heads2", "4"},
                {"kv2", "2"},
                {"hd2", "4"},
                {"ff", "16"},
                {"layers", "2"}}},
    {.path = "tests/passes/decayed.nm", .define = {{"vocab", "12"}, {"d", "8"}, {"layers", "4"}}},
    {.path = "tests/passes/picked.nm"},
    {.path = "tests/passes/peaks.nm", .define = {{"layers", "2"}}},
};

static const mesh_sizes meshes[] = {
    {1, 1, 1, 1, 1, 2, 1}, {1, 1, 1, 1, 1, 2, 2}, {1, 1, 1, 1, 2, 1, 1}, {2, 1, 1, 1, 1, 1, 1},
    {1, 2, 1, 1, 1, 1, 1}, {1, 1, 2, 1, 1, 1, 1}, {1, 2, 1, 1, 2, 2, 1}, {2, 2, 1, 1, 1, 2, 1},
    {2, 1, 2, 1, 1, 1, 1}, {1, 1, 1, 2, 1, 2, 2}, {1, 4, 1, 1, 2, 1, 1}, {1, 2, 2, 1, 1, 1, 2},
    {1, 1, 4, 1, 1, 2, 1}, {1, 1, 1, 2, 2, 2, 1},
};
enum { N_MESHES = sizeof meshes / sizeof *meshes };

static int check_ring(nm_module *m, const subject *what, int mesh, const how *how, wanted *w)
{
    struct how in_mode = *how;
    nm_arena run = {0};
    in_mode.mode = "mesh_ring", in_mode.once = meshes[mesh].dpp == 1;
    bool ok = run_sharded(m, &run, &meshes[mesh], &in_mode, w);
    nm_arena_free(&run);
    return !ok && printf("FAIL: %s, ring%s, mesh %d\n", what->path, how->zigzag ? ", zigzag" : "",
                         mesh) > 0;
}

static bool has_mode(nm_module *m, const char *mode)
{
    nm_each_func(f, m)
        if (f->part.mode && !strcmp(f->part.mode, mode))
            return true;
    return false;
}

// In every mode that allows the mesh; those without seq's second home on a few.
static int check_mesh(nm_module *m, const subject *what, int mesh, const how *how, wanted *w)
{
    static const char *const modes[] = {"mesh",      "mesh",      "mesh_nosp",
                                        "mesh_nosp", "mesh_notp", "mesh_notp"};
    int bad = 0;
    bool alone = meshes[mesh].tpk * meshes[mesh].tpr == 1 && has_mode(m, "mesh_notp");
    for (int k = 0; k < (alone ? 6 : 4); k++) {
        struct how in_mode = *how;
        nm_arena run = {0};
        in_mode.mode = modes[k], in_mode.once = k % 2 == 0;
        bool has_dpp = meshes[mesh].dpp > 1, either = how->zigzag || how->chunks;
        bool skips = (k % 2 == 0 && has_dpp) || ((k == 2 || k == 3) && (how->local || mesh % 4)) ||
                     (either && k % 4 != has_dpp);
        if (!skips && !run_sharded(m, &run, &meshes[mesh], &in_mode, w))
            bad += printf("FAIL: %s%s%s, mesh %d, %s%s\n", what->path, how->local ? ", local" : "",
                          how->zigzag   ? ", zigzag"
                          : how->chunks ? ", chunks"
                                        : "",
                          mesh, modes[k], in_mode.once ? ", once" : "") > 0;
        nm_arena_free(&run);
    }
    return bad;
}

static int check_model(const subject *what)
{
    static const how ways[] = {{.local = false},
                               {.local = true},
                               {.local = true, .zigzag = true},
                               {.local = true, .chunks = 2},
                               {.local = true, .ring = true},
                               {.local = true, .ring = true, .zigzag = true}};
    nm_arena arena = {0};
    nm_diag diag = nm_diag_to(stdout);
    wanted *w = run_whole(&arena, &diag, what);
    int bad = 0;
    for (int k = 0; k < 6; k++) {
        if (ways[k].ring && what >= &models[WITH_RINGS])
            continue;
        const char *passes = ways[k].ring ? with_ring : ways[k].local ? localized : sharded;
        nm_module *m = load(&arena, &diag, what, passes);
        if (m)
            nm_dim_lookup(m, nm_sym_get(m, "vocab"))->pad = 4;
        for (int i = 0; m && i < N_MESHES; i++)
            if ((!ways[k].zigzag || meshes[i].cpr * meshes[i].cps > 1) &&
                (!ways[k].chunks || i % 3 == 0))
                bad += (ways[k].ring ? check_ring : check_mesh)(m, what, i, &ways[k], w);
        bad += !m;
    }
    nm_arena_free(&arena);
    return bad;
}

int main(void)
{
    int bad = 0;
    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        bad += check_model(&models[i]);
    return bad != 0;
}
