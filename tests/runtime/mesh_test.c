// The mesh's arithmetic: numbers of ranks, groups, modes, symbols with the zigzag, what a row of
// the table of collectives is on it; and every refusal.
#include "runtime/mesh.h"

#include "runtime/exchange.h"

#include "tests/runtime/check.h"

#include <stdbool.h>
#include <string.h>

// --- a program: GPT-2's dims, and one of Llama's with grouped heads ------------------------------

enum {
    BATCH,
    SEQ,
    TPK,
    HEADS_TPK,
    G_TPR,
    FF_TP,
    VOCAB_TP,
    BATCH_DP,
    SEQ_CP,
    SEQ_CP_TP,
    D_STORE,
    LAYERS_PP,
    N_SYMS,
};
enum {
    PP_AXIS = 1 << NMDRV_PP,
    DP_AXES = NMRT_DP_AXES,
    CP_AXES = NMRT_CP_AXES,
    TP_AXES = NMRT_TP_AXES
};

static const int64_t tpk[] = {NMDRV_TPK}, tpr[] = {NMDRV_TPR}, tp[] = {NMDRV_TPK, NMDRV_TPR},
                     dp[] = {NMDRV_DPR, NMDRV_DPS, NMDRV_DPP}, cp[] = {NMDRV_CPR, NMDRV_CPS},
                     cp_tp[] = {NMDRV_CPR, NMDRV_CPS, NMDRV_TPK, NMDRV_TPR},
                     store[] = {NMDRV_DPS, NMDRV_DPP, NMDRV_CPS}, pp[] = {NMDRV_PP};

// clang-format off
#define LOCAL(name, of, extent, of_sym, pad, axes)                                                 \
    {name, "m.nm:4", 1, 0, 1, of, extent, of_sym, pad, sizeof(axes) / sizeof *(axes), axes, 0, 0}
// clang-format on
static const nmdrv_sym_info syms[N_SYMS] = {
    [BATCH] = {"batch", "m.nm:2", 1, 0, 1, "", 0, -1, 0, 0, NULL, 0, 0},
    [SEQ] = {"seq", "m.nm:3", 1, 0, 1, "", 0, -1, 0, 0, NULL, 0, 0},
    [TPK] = LOCAL("tpk", "", 0, -1, 0, tpk),
    [HEADS_TPK] = LOCAL("kv.tpk", "kv", 8, -1, 0, tpk),
    [G_TPR] = LOCAL("heads.g.tpr", "heads.g", 4, -1, 0, tpr),
    [FF_TP] = LOCAL("ff.tp", "ff", 96, -1, 0, tp),
    [VOCAB_TP] = LOCAL("vocab.tp", "vocab", 50257, -1, 128, tp),
    [BATCH_DP] = LOCAL("batch.dp", "batch", 0, BATCH, 0, dp),
    [SEQ_CP] = LOCAL("seq.cp", "seq", 0, SEQ, 0, cp),
    [SEQ_CP_TP] = LOCAL("seq.cp.tp", "seq", 0, SEQ, 0, cp_tp),
    [D_STORE] = LOCAL("d.dps.dpp.cps", "d", 720, -1, 0, store),
    [LAYERS_PP] = LOCAL("layers.pp", "layers", 12, -1, 0, pp),
};
static const nmdrv_dim dims[] = {{"kv", "m.nm:4", 8, -1}, {"heads", "m.nm:4", 32, -1}};

enum { ONE, MESH, NOTP, NOSP, RING };
enum { ALL_AXES = (1 << NMDRV_N_AXES) - 1 };
static const nmdrv_mode modes[] = {
    [ONE] = {"one", PP_AXIS, 1, 0},
    [MESH] = {"mesh", ALL_AXES, 1, 0},
    [NOTP] = {"mesh_notp", ALL_AXES & ~TP_AXES, 1, 0},
    [NOSP] = {"mesh_nosp", ALL_AXES, 0, 0},
    [RING] = {"mesh_ring", ALL_AXES, 1, 1},
};

// clang-format off
#define GATHER(name, axes, over, joins)                                                            \
    {name, "m.nm:6", NMDRV_ALL_GATHER, NMDRV_F32, 0, axes, over, joins, 0, 0, 0}
// clang-format on
static const nmdrv_collective collectives[] = {
    GATHER("all_gather.k", CP_AXES, SEQ_CP, 1),
    GATHER("all_gather.x", TP_AXES, SEQ_CP_TP, 0),
    {"all_reduce.tied", "m.nm:8", NMDRV_ALL_REDUCE, NMDRV_F32, 0, PP_AXIS, -1, 0, 1 << 0 | 1 << 2,
     0, 0},
    GATHER("all_gather.whole", CP_AXES | TP_AXES, SEQ_CP_TP, 1),
};

static const nmdrv_program llama = {
    .version = NMDRV_VERSION,
    .name = "llama",
    .n_syms = N_SYMS,
    .n_dims = 2,
    .sym = syms,
    .dim = dims,
    .n_modes = 5,
    .n_collectives = 4,
    .n_units = 3,
    .mode = modes,
    .collective = collectives,
    .pp_turns = 12,
    .pp_where = "layers (m.nm:4)",
    .kv_extent = 8,
    .batch = "batch",
    .seq = "seq",
};

static nmrt_mesh_flags flags(void)
{
    return (nmrt_mesh_flags){.tp = 1, .pp = 1, .cp = 1, .dp = 0, .vp = 1, .zero = 1, .sp = true};
}

static nmrt_mesh make(const nmdrv_program *p, nmrt_mesh_flags f)
{
    nmrt_mesh m;
    nmrt_error e = {.text = ""};
    nmrt_status status = nmrt_mesh_init(&m, p, &f, &e);
    CHECK(status == NMRT_OK);
    if (status != NMRT_OK)
        fprintf(stderr, "  %s\n", e.text);
    nmrt_mesh_place(&m, 0);
    return m;
}

// --- ranks ---------------------------------------------------------------------------------------

static nmrt_mesh_flags big(int64_t zero)
{
    nmrt_mesh_flags f = flags();
    f.tp = 16, f.pp = 3, f.cp = 2, f.dp = 5, f.zero = zero;
    return f;
}

static void test_numbering(void)
{
    nmrt_mesh m = make(&llama, big(1));
    CHECK(m.world == 16 * 3 * 2 * 5 && nmrt_mesh_dp(&m) == 5);
    CHECK(m.size[NMDRV_TPK] == 8 && m.size[NMDRV_TPR] == 2 && m.size[NMDRV_DPS] == 5);
    // rank = ((pp * dp + dp index) * cp + cp index) * tp + tp index
    for (int64_t r = 0; r < m.world; r++) {
        nmrt_mesh_place(&m, r);
        int64_t tp_index = nmrt_mesh_index(&m, TP_AXES), dp_index = nmrt_mesh_index(&m, DP_AXES);
        CHECK(tp_index == m.index[NMDRV_TPK] * 2 + m.index[NMDRV_TPR]);
        CHECK(r == ((m.index[NMDRV_PP] * 5 + dp_index) * 2 + nmrt_mesh_index(&m, CP_AXES)) * 16 +
                       tp_index);
    }
    CHECK(make(&llama, big(0)).size[NMDRV_DPR] == 5);
    CHECK(make(&llama, big(2)).size[NMDRV_DPS] == 5);
    CHECK(make(&llama, big(3)).size[NMDRV_DPP] == 5);
}

// Every rank of a group lists the same ranks, itself at its own index.
static void test_groups(void)
{
    nmrt_mesh m = make(&llama, big(1));
    for (int64_t axes = 0; axes <= ALL_AXES; axes++)
        for (int64_t r = 0; r < m.world; r += 7) {
            int mine[480], theirs[480];
            nmrt_mesh_place(&m, r);
            int64_t n = nmrt_mesh_ranks(&m, axes), me = nmrt_mesh_index(&m, axes);
            nmrt_mesh_group(&m, axes, mine);
            CHECK(n <= 480 && mine[me] == r);
            nmrt_mesh_place(&m, mine[n - 1]);
            nmrt_mesh_group(&m, axes, theirs);
            CHECK(memcmp(mine, theirs, (size_t)n * sizeof *mine) == 0);
        }
}

static void test_stages_of_a_group(void)
{
    const int64_t units[] = {1 << 0 | 1 << 1, 1 << 1, 1 << 1 | 1 << 2};
    nmrt_mesh m = make(&llama, big(1));
    int rank[480], per_stage = (int)m.world / 3;
    m.stage_units = units;
    nmrt_mesh_place(&m, 5);
    CHECK(nmrt_mesh_members(&m, PP_AXIS, 1 << 0 | 1 << 2, rank) == 2);
    CHECK(rank[0] == 5 && rank[1] == 5 + 2 * per_stage);
    CHECK(nmrt_mesh_members(&m, PP_AXIS, 0, rank) == 3 && rank[1] == 5 + per_stage);
    CHECK(nmrt_mesh_members(&m, PP_AXIS | CP_AXES, 1 << 2, rank) == 2 &&
          rank[0] == 5 + 2 * per_stage);
}

static int mode_of(int64_t tp_ranks, int64_t dp_ranks, int64_t zero, bool sp)
{
    nmrt_mesh_flags f = flags();
    f.tp = tp_ranks, f.dp = dp_ranks, f.zero = zero, f.sp = sp, f.pp = 2;
    return make(&llama, f).mode;
}

static void test_modes(void)
{
    CHECK(mode_of(1, 1, 1, true) == ONE && mode_of(1, 1, 3, false) == ONE);
    CHECK(mode_of(2, 1, 1, true) == MESH && mode_of(2, 1, 3, true) == MESH);
    CHECK(mode_of(2, 1, 1, false) == NOSP && mode_of(2, 2, 3, false) == NOSP);
    CHECK(mode_of(1, 2, 0, true) == NOTP && mode_of(1, 2, 3, false) == NOTP);
}

// --- symbols -------------------------------------------------------------------------------------

static void bind(nmrt_mesh *m, int64_t rank, nmdrv_sym *sym)
{
    memset(sym, 0, N_SYMS * sizeof *sym);
    sym[BATCH] = (nmdrv_sym){.size = 10, .offset = 30, .total = 40};
    sym[SEQ] = (nmdrv_sym){.size = 96, .total = 96};
    nmrt_mesh_place(m, rank);
    nmrt_mesh_bind(m, sym);
}

static int64_t global(const nmdrv_sym *s, int64_t i)
{
    return s->offset + i + (i >= s->half ? s->jump : 0);
}

static void test_blocks(void)
{
    nmrt_mesh m = make(&llama, big(1));
    nmdrv_sym sym[N_SYMS];
    nmrt_mesh_place(&m, 0);
    m.index[NMDRV_TPK] = 3;
    int rank[16];
    nmrt_mesh_group(&m, TP_AXES, rank);
    bind(&m, rank[7], sym); // tpk 3, tpr 1
    CHECK(sym[TPK].size == 8 && sym[TPK].offset == 3 && sym[TPK].total == 8);
    CHECK(sym[HEADS_TPK].size == 1 && sym[HEADS_TPK].offset == 3 && sym[HEADS_TPK].total == 8);
    CHECK(sym[G_TPR].size == 2 && sym[G_TPR].offset == 2);
    CHECK(sym[FF_TP].size == 6 && sym[FF_TP].offset == 42 && sym[FF_TP].total == 96);
    CHECK(sym[VOCAB_TP].size == 50304 / 16 && sym[VOCAB_TP].offset == 7 * 50304 / 16);
    CHECK(sym[VOCAB_TP].total == 50257 && sym[VOCAB_TP].jump == 0);
    CHECK(sym[LAYERS_PP].size == 12 && sym[LAYERS_PP].offset == 0 && sym[LAYERS_PP].total == 12);
    nmrt_mesh_group(&m, DP_AXES, rank);
    bind(&m, rank[3], sym);
    CHECK(sym[BATCH_DP].size == 2 && sym[BATCH_DP].offset == 36 && sym[BATCH_DP].total == 40);
    CHECK(sym[D_STORE].size == 72 && sym[D_STORE].offset == 6 * 72);
}

// A padded dim is a multiple of its padding and of tp, however else it is split.
static void test_padded(void)
{
    const nmdrv_sym_info locals[] = {LOCAL("vocab.tp", "vocab", 50257, -1, 128, tp),
                                     LOCAL("vocab.dps", "vocab", 50257, -1, 128, store),
                                     LOCAL("batch.dp", "batch", 8, -1, 0, dp)};
    nmdrv_program p = llama;
    p.n_syms = 3, p.sym = locals, p.kv_extent = 0;
    nmrt_mesh_flags f = flags();
    f.tp = 5, f.dp = 4;
    nmrt_mesh m = make(&p, f);
    nmdrv_sym sym[3];
    nmrt_mesh_place(&m, m.world - 1);
    nmrt_mesh_bind(&m, sym);
    CHECK(m.size[NMDRV_DPS] == 4); // 79 x 640 = 50560
    CHECK(sym[0].size == 50560 / 5 && sym[0].offset == 4 * 50560 / 5 && sym[0].total == 50257);
    CHECK(sym[1].size == 50560 / 4 && sym[1].offset == 3 * 50560 / 4);
}

// Three samples on four ranks: one each, and the last rank has none.
static void test_uneven(void)
{
    nmrt_mesh_flags f = flags();
    f.dp = 4;
    nmrt_mesh m = make(&llama, f);
    nmdrv_sym sym[N_SYMS];
    for (int64_t r = 0; r < 4; r++) {
        bind(&m, r, sym);
        sym[BATCH] = (nmdrv_sym){.size = 3, .offset = 8, .total = 11};
        nmrt_mesh_bind(&m, sym);
        CHECK(sym[BATCH_DP].size == (r < 3) && sym[BATCH_DP].offset == 8 + r);
        sym[BATCH].size = 7;
        nmrt_mesh_bind(&m, sym);
        CHECK(sym[BATCH_DP].size == (r < 3 ? 2 : 1) && sym[BATCH_DP].offset == 8 + 2 * r);
    }
}

// Over all ranks of cp and tp, each index of seq once; a cp rank has chunks c and 2 cp - 1 - c.
static void test_zigzag(int64_t cp_ranks, int64_t tp_ranks, nmrt_balance balance)
{
    nmrt_mesh_flags f = flags();
    f.cp = cp_ranks, f.tp = tp_ranks, f.balance = balance;
    f.dp = 9; // so 3 is left in cpr
    nmrt_mesh m = make(&llama, f);
    nmdrv_sym sym[N_SYMS];
    int seen[96] = {0}, fine[96] = {0};
    int64_t h = 96 / (2 * cp_ranks);
    bool zigzag = cp_ranks > 1 && balance != NMRT_CONTIGUOUS && 96 % (2 * cp_ranks) == 0;
    for (int64_t r = 0; r < m.world; r++) {
        bind(&m, r, sym);
        const nmdrv_sym *s = &sym[SEQ_CP], *t = &sym[SEQ_CP_TP];
        int64_t c = nmrt_mesh_index(&m, CP_AXES), k = nmrt_mesh_index(&m, TP_AXES);
        CHECK(s->size == 96 / cp_ranks && t->size == s->size / tp_ranks && s->total == 96);
        for (int64_t i = 0; i < s->size; i++) {
            int64_t chunk = i < h ? c : 2 * cp_ranks - 1 - c;
            CHECK(global(s, i) == (zigzag ? chunk * h + i % h : c * s->size + i));
            seen[global(s, i)]++;
        }
        for (int64_t i = 0; i < t->size; i++) {
            CHECK(global(t, i) == global(s, k * t->size + i)); // tp cuts what cp gave
            fine[global(t, i)]++;
        }
        nmrt_run_of run[2];
        int n = nmrt_sym_runs(t, run);
        CHECK(n == 1 || zigzag);
        CHECK(run[0].from == t->offset && run[0].n + (n > 1 ? run[1].n : 0) == t->size);
        CHECK(n == 1 || run[1].from == global(t, run[0].n));
    }
    for (int i = 0; i < 96; i++)
        CHECK(seen[i] == 9 * tp_ranks && fine[i] == 9);
}

// --- collectives ---------------------------------------------------------------------------------

static void test_exchanges(void)
{
    nmrt_mesh_flags f = flags();
    f.cp = 2, f.tp = 2, f.pp = 3;
    const int64_t units[] = {1 << 0 | 1 << 1, 1 << 1, 1 << 1 | 1 << 2}, geometry[] = {3, 48, 5};
    nmrt_mesh m = make(&llama, f);
    m.stage_units = units;
    nmdrv_sym sym[N_SYMS];
    bind(&m, 2, sym); // pp 0, cp 1, tp 0
    nmrt_exchanges all;
    nmrt_exchange x;
    nmrt_error e = {.text = ""};
    CHECK(nmrt_exchanges_init(&all, &m, &e) == NMRT_OK);
    CHECK(nmrt_exchanges_get(&all, 0, sym, geometry, &x, &e) == NMRT_OK);
    CHECK(x.group.n == 2 && x.group.me == 1 && x.group.rank[0] == 0 && x.group.rank[1] == 2);
    CHECK(x.outer == 3 && x.len == 48 && x.inner == 5 && x.piece != NULL);
    const nmrt_piece zigzag[] = {{0, 24}, {72, 24}, {24, 48}, {72, 0}}; // chunks 1 and 2 meet
    CHECK(memcmp(x.piece, zigzag, sizeof zigzag) == 0);
    CHECK(nmrt_exchanges_get(&all, 1, sym, geometry, &x, &e) == NMRT_OK);
    CHECK(x.group.n == 2 && x.group.me == 0 && x.group.rank[1] == 3 && !x.piece);
    CHECK(nmrt_exchanges_get(&all, 2, sym, geometry, &x, &e) == NMRT_OK);
    CHECK(x.group.n == 2 && x.group.rank[1] == 10 && x.outer == 3 && x.len == 1);
    CHECK(nmrt_exchanges_get(&all, 3, sym, geometry, &x, &e) == NMRT_OK);
    CHECK(x.group.n == 4 && x.piece && x.piece[2].from == 72 && x.piece[4].from == 24);
    nmrt_exchanges_release(&all);
    nmrt_mesh_place(&m, 6); // a stage that does not run it
    CHECK(nmrt_exchanges_init(&all, &m, &e) == NMRT_OK);
    CHECK(nmrt_exchanges_get(&all, 2, sym, geometry, &x, &e) == NMRT_CORRUPT);
    nmrt_exchanges_release(&all);
}

// --- refusals ------------------------------------------------------------------------------------

static void refuse(const nmdrv_program *p, nmrt_mesh_flags f, const char *text)
{
    nmrt_mesh m;
    nmrt_error e = {.text = ""};
    CHECK(nmrt_mesh_init(&m, p, &f, &e) == NMRT_USAGE);
    CHECK(strcmp(e.text, text) == 0);
    if (strcmp(e.text, text) != 0)
        fprintf(stderr, "  wanted: %s\n  got:    %s\n", text, e.text);
}

static int ring_of(int64_t n, int64_t tp_ranks, int64_t zero)
{
    nmrt_mesh_flags f = flags();
    f.tp = tp_ranks, f.cp = n, f.dp = 2, f.zero = zero, f.ring = true;
    return make(&llama, f).mode;
}

static void test_ring_modes(void)
{
    CHECK(ring_of(2, 1, 1) == RING && ring_of(2, 2, 3) == RING);
    CHECK(ring_of(1, 2, 1) == MESH); // nothing to go around
    nmrt_mesh_flags f = flags();
    f.cp = 2;
    CHECK(make(&llama, f).mode == NOTP);
    f.tp = 2, f.sp = false, f.ring = true;
    refuse(&llama, f,
           "--sp 0 does not go together with --cp-comm ring where --tp and --cp are more than 1: "
           "leave one of them out");
    nmdrv_program plain = llama;
    plain.n_modes = 4;
    refuse(&plain, f,
           "--cp-comm ring: llama has no attention whose keys can go round: leave it out");
    plain.n_modes = 3; // without a text for --sp 0, seq has no second home
    f.ring = false;
    CHECK(make(&plain, f).mode == MESH);
}

static void test_worlds(void)
{
    nmrt_mesh_flags f = flags();
    f.tp = 2, f.pp = 3, f.world = 8;
    refuse(&llama, f, "8 ranks are not divisible by --tp 2 x --pp 3 x --cp 1 = 6");
    f = flags();
    f.tp = 2, f.dp = 3, f.world = 8;
    refuse(&llama, f, "--dp 3, but 8 ranks / (--tp 2 x --pp 1 x --cp 1) = 4: leave --dp out");
    f.dp = 0;
    nmrt_mesh m = make(&llama, f);
    CHECK(nmrt_mesh_dp(&m) == 4 && m.world == 8);
    f = flags();
    f.zero = 4;
    refuse(&llama, f, "--zero takes 0, 1, 2 or 3, not 4");
    f = flags();
    f.tp = 1 << 21;
    refuse(&llama, f, "--tp 2097152 is more than 1048576");
    f.tp = f.pp = 1 << 11;
    refuse(&llama, f, "4194304 ranks are more than 1048576");
}

static void test_indivisible(void)
{
    nmrt_mesh_flags f = flags();
    f.tp = 64; // tpk 8, tpr 8: g = 4 is not divisible, so heads are not
    refuse(&llama, f,
           "heads = 32 (m.nm:4) is not divisible by --tp 64\n"
           "ff = 96 (m.nm:4) is not divisible by --tp 64");
    f = flags();
    f.dp = 7, f.cp = 2;
    nmrt_mesh partly = make(&llama, f); // 7 does not divide d = 720: all seven hold the same
    CHECK(partly.size[NMDRV_DPR] == 7 && partly.size[NMDRV_DPS] == 1);
    f.dp = 14, f.cp = 1; // but 2 does
    partly = make(&llama, f);
    CHECK(partly.size[NMDRV_DPR] == 7 && partly.size[NMDRV_DPS] == 2);
    f.dp = 1, f.cp = 14; // likewise of cp
    partly = make(&llama, f);
    CHECK(partly.size[NMDRV_CPR] == 7 && partly.size[NMDRV_CPS] == 2);
    f.dp = 9, f.cp = 6; // together, too: 9 x 2
    partly = make(&llama, f);
    CHECK(partly.size[NMDRV_DPR] == 1 && partly.size[NMDRV_DPS] == 9);
    CHECK(partly.size[NMDRV_CPR] == 3 && partly.size[NMDRV_CPS] == 2);
    f.zero = 0; // states are over cp, in any case
    partly = make(&llama, f);
    CHECK(partly.size[NMDRV_DPR] == 9 && partly.size[NMDRV_CPS] == 6);
    // all at once
    f = flags();
    f.tp = 5, f.dp = 7, f.pp = 13;
    refuse(&llama, f,
           "--pp 13 is more stages than layers (m.nm:4) = 12\n"
           "heads = 32 (m.nm:4) is not divisible by --tp 5\n"
           "ff = 96 (m.nm:4) is not divisible by --tp 5"); // vocab is padded
}

// Without grouped heads: 12 = gcd 4 x 3 kv heads do not fill tp 8.
static void test_plain_heads(void)
{
    static const nmdrv_sym_info only[] = {LOCAL("heads.tpk", "heads", 12, -1, 0, tpk)};
    nmdrv_program gpt2 = llama;
    gpt2.n_syms = 1, gpt2.sym = only, gpt2.kv_extent = 12;
    nmrt_mesh_flags f = flags();
    f.tp = 8;
    refuse(&gpt2, f, "heads = 12 (m.nm:4) is not divisible by --tp 8");
    f.tp = 6;
    make(&gpt2, f);
}

// A program with two kinds of heads, of 2 and 4 key heads, in groups of so many.
enum { KV = 2, KV2 = 4 };
typedef struct two_kinds {
    nmdrv_sym_info local[4];
    nmdrv_dim heads[2];
    nmdrv_program program;
} two_kinds;

static const nmdrv_program *make_two(two_kinds *two, int64_t group, int64_t group2)
{
    *two = (two_kinds){
        {LOCAL("kv.tpk", "kv", KV, -1, 0, tpk), LOCAL("heads.g.tpr", "heads.g", group, -1, 0, tpr),
         LOCAL("kv2.tpk", "kv2", KV2, -1, 0, tpk),
         LOCAL("heads2.g.tpr", "heads2.g", group2, -1, 0, tpr)},
        {{"heads", "m.nm:2", KV * group, -1}, {"heads2", "m.nm:3", KV2 * group2, -1}},
        llama};
    two->program.n_syms = 4, two->program.sym = two->local;
    two->program.n_dims = 2, two->program.dim = two->heads;
    two->program.kv_extent = KV; // divides both
    return &two->program;
}

// Each kind is checked, and tpk is what divides both kinds of key heads.
static void test_two_kinds(void)
{
    two_kinds kinds;
    const nmdrv_program *two = make_two(&kinds, 3, 4);
    nmrt_mesh_flags f = flags();
    f.tp = 4;
    refuse(two, f, "heads = 6 (m.nm:2) is not divisible by --tp 4");
    f.tp = 24; // tpk 2, tpr 12: heads, and heads2, both are not
    refuse(two, f,
           "heads = 6 (m.nm:2) is not divisible by --tp 24\n"
           "heads2 = 16 (m.nm:3) is not divisible by --tp 24");
    f.tp = 6;
    refuse(two, f, "heads2 = 16 (m.nm:3) is not divisible by --tp 6");
    f.tp = 2;
    CHECK(make(two, f).size[NMDRV_TPK] == 2);
}

// tp divides the heads, but the key heads of others leave more of it to their groups than these
// have.
static void test_small_groups(void)
{
    two_kinds kinds;
    const nmdrv_program *two = make_two(&kinds, 4, 1);
    nmrt_mesh_flags f = flags();
    f.tp = 4;
    refuse(two, f,
           "heads2 = 4 (m.nm:3), in groups of 1, is not divisible by --tp 4 / 2: all key heads "
           "together divide into 2");
}

static void test_stages(void)
{
    nmdrv_program flat = llama, single = llama;
    nmrt_mesh_flags f = flags();
    f.pp = 4, f.vp = 4;
    refuse(&llama, f, "--pp 4 x --vp 4 are more stages than layers (m.nm:4) = 12");
    f.pp = 1;
    CHECK(make(&llama, f).vp == 1);
    f.pp = 5, f.vp = 2; // uneven stages are fine
    make(&llama, f);
    flat.pp_turns = 0, flat.pp_where = "";
    refuse(&flat, f, "--pp 5: llama has nothing to split over stages");
    single.n_modes = 0;
    refuse(&single, f, "llama was compiled for one rank, not for 5");
    CHECK(make(&single, flags()).mode == -1);
}

// What nemocc --fix tp=1 and cp=1 leave.
static void test_fixed(void)
{
    enum { LEFT = ALL_AXES & ~(TP_AXES | CP_AXES) };
    const nmdrv_mode left[] = {{"one", PP_AXIS, 1, 0}, {"mesh", LEFT, 1, 0}};
    nmdrv_program fixed = llama;
    fixed.n_modes = 2, fixed.mode = left;
    nmrt_mesh_flags f = flags();
    f.tp = 2;
    refuse(&fixed, f, "--tp 2: llama was compiled with --fix tp=1, or its mesh has no row tp");
    f.cp = 3, f.dp = 2;
    refuse(&fixed, f,
           "--tp 2: llama was compiled with --fix tp=1, or its mesh has no row tp\n"
           "--cp 3: llama was compiled with --fix cp=1, or its mesh has no row cp");
    f = flags();
    f.dp = 2;
    make(&fixed, f);
}

static void refuse_sizes(nmrt_mesh_flags f, int64_t batch, int64_t seq, const char *text)
{
    nmrt_mesh m = make(&llama, f);
    nmdrv_sym sym[N_SYMS] = {[BATCH] = {.size = batch}, [SEQ] = {.size = seq}};
    nmrt_error e = {.text = ""};
    CHECK(nmrt_mesh_check(&m, sym, &e) == (*text ? NMRT_USAGE : NMRT_OK));
    CHECK(strcmp(e.text, text) == 0);
    if (strcmp(e.text, text) != 0)
        fprintf(stderr, "  wanted: %s\n  got:    %s\n", text, e.text);
}

static void test_sizes(void)
{
    nmrt_mesh_flags f = flags();
    f.dp = 3, f.cp = 2, f.tp = 4;
    refuse_sizes(f, 6, 24, "");
    refuse_sizes(
        f, 4, 20,
        "batch = 4 (m.nm:4) is not divisible by --dp 3\n"
        "seq = 20 (m.nm:4) is not divisible by --cp 2 x --tp 4: with --sp 0 it need not be");
    refuse_sizes(f, 3, 21, "seq = 21 (m.nm:4) is not divisible by --cp 2");
    f.sp = false;
    refuse_sizes(f, 6, 20, "");
    f.balance = NMRT_ZIGZAG;
    refuse_sizes(f, 6, 22,
                 "seq = 22 (m.nm:4) is not divisible by 2 x --cp 2, as --cp-balance zigzag wants");
}

static void test_print(void)
{
    nmrt_mesh_flags f = big(1);
    f.vp = 2;
    nmrt_mesh m = make(&llama, f);
    nmrt_text t = {0};
    nmrt_mesh_print(&m, &t);
    f = flags();
    f.cp = 14;
    m = make(&llama, f);
    nmrt_text_add(&t, "; ");
    nmrt_mesh_print(&m, &t);
    CHECK(strcmp(t.at, "tp 16, pp 3 (vp 2), cp 2, dp 5 (ZeRO-1); "
                       "tp 1, pp 1, cp 14 (optimizer state over 2 of them), dp 1") == 0);
    nmrt_text_release(&t);
}

int main(void)
{
    test_numbering();
    test_groups();
    test_stages_of_a_group();
    test_modes();
    test_ring_modes();
    test_blocks();
    test_padded();
    test_uneven();
    for (int64_t c = 1; c <= 6; c++)
        for (int64_t t = 1; t <= 8; t *= 2)
            for (int balance = 0; balance <= NMRT_CONTIGUOUS; balance++)
                if (96 % (c * t) == 0)
                    test_zigzag(c, t, (nmrt_balance)balance);
    test_exchanges();
    test_worlds();
    test_indivisible();
    test_plain_heads();
    test_two_kinds();
    test_small_groups();
    test_stages();
    test_fixed();
    test_sizes();
    test_print();
    return check_result();
}
