// Ranks of a mesh as threads of this process: a program whose tensors are cut in every way that
// there is, what each rank holds of it, and a communicator of mailboxes. Global indices are found
// element by element here, so that nothing is shared with what is tested.
#ifndef NMRT_CHECKPOINT_MESH_H
#define NMRT_CHECKPOINT_MESH_H

#include "tests/runtime/checkpoint_rig.h"

#include <pthread.h>

enum { LAYERS = 6, FF = 24, D = 16, VOCAB = 37, POS = 32 };
enum { S_FF, S_DDPP, S_DDPS, S_VOCAB, S_POS, S_BOTH, S_TURNS, N_SYMS };
enum {
    L_LAYERS,
    L_FF,
    L_D,
    L_VOCAB,
    L_POS,
    P_FF,
    P_DDPP,
    P_DDPS,
    P_VOCAB,
    P_POS,
    P_BOTH,
    P_TURNS,
    N_DIMS
};
enum { EMBED, UP, DOWN, MOMENT, PLACE, NORM, SCALE, MIXED, HALF, N_PARAMS };
enum { MAX_RANKS = 16, MAX_TURNS = 8 };

#define SPLIT(split, dim, n, padded, ...)                                                          \
    {                                                                                              \
        .name = split, .where = "t.nm:1", .min = 1, .multiple = 1, .of = dim, .extent = n,         \
        .of_sym = -1, .pad = padded, .n_axes = sizeof(int64_t[]){__VA_ARGS__} / 8,                 \
        .axis = (const int64_t[])                                                                  \
        {                                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }
static const nmdrv_sym_info mesh_syms[N_SYMS] = {
    [S_FF] = SPLIT("ff.tp", "ff", FF, 0, NMDRV_TPK, NMDRV_TPR),
    [S_DDPP] = SPLIT("d.dpp", "d", D, 0, NMDRV_DPP),
    [S_DDPS] = SPLIT("d.dps.cps", "d", D, 0, NMDRV_DPS, NMDRV_CPS),
    [S_VOCAB] = SPLIT("vocab.tp", "vocab", VOCAB, 24, NMDRV_TPK, NMDRV_TPR),
    [S_POS] = SPLIT("pos.cp", "pos", POS, 0, NMDRV_CPR, NMDRV_CPS),
    [S_BOTH] = SPLIT("ff.dps.tp", "ff", FF, 0, NMDRV_DPS, NMDRV_TPK, NMDRV_TPR),
    [S_TURNS] = SPLIT("layers.pp", "layers", LAYERS, 0, NMDRV_PP),
};
static const nmdrv_dim mesh_dims[N_DIMS] = {
    [L_LAYERS] = {"layers", "t.nm:1", LAYERS, -1},
    [L_FF] = {"ff", "t.nm:1", FF, -1},
    [L_D] = {"d", "t.nm:1", D, -1},
    [L_VOCAB] = {"vocab", "t.nm:1", VOCAB, -1},
    [L_POS] = {"pos", "t.nm:1", POS, -1},

    [P_FF] = {"ff", "t.nm:1", 0, S_FF},
    [P_DDPP] = {"d", "t.nm:1", 0, S_DDPP},
    [P_DDPS] = {"d", "t.nm:1", 0, S_DDPS},
    [P_VOCAB] = {"vocab", "t.nm:1", 0, S_VOCAB},
    [P_POS] = {"pos", "t.nm:1", 0, S_POS},
    [P_BOTH] = {"ff", "t.nm:1", 0, S_BOTH},
    [P_TURNS] = {"layers", "t.nm:1", 0, S_TURNS},
};

#define LIST(...)                                                                                  \
    (const int64_t[]) { __VA_ARGS__ }
static const nmdrv_param mesh_params[N_PARAMS] = {
    [EMBED] = {"embed.w", 0, 0, 0, NMDRV_F32, 2, LIST(L_VOCAB, L_D), LIST(VOCAB, D), "sgd", 0},
    [UP] = {"up.w", 0, 0, 0, NMDRV_F32, 3, LIST(L_LAYERS, L_D, L_FF), LIST(LAYERS, D, FF), "sgd",
            0},
    [DOWN] = {"down.w", 0, 0, 0, NMDRV_F32, 3, LIST(L_LAYERS, L_FF, L_D), LIST(LAYERS, FF, D),
              "sgd", 0},
    [MOMENT] = {"sgd.m.up.w", 1, 0, 0, NMDRV_F32, 3, LIST(L_LAYERS, L_D, L_FF), LIST(LAYERS, D, FF),
                "sgd", 0},
    [PLACE] = {"place.w", 0, 0, 0, NMDRV_F32, 2, LIST(L_D, L_POS), LIST(D, POS), "sgd", 0},
    [NORM] = {"norm.w", 0, 0, 0, NMDRV_F32, 1, LIST(L_D), LIST(D), "sgd", 0},
    [SCALE] = {"scale", 0, 0, 0, NMDRV_F32, 0, NULL, NULL, "sgd", 0},
    [MIXED] = {"mixed.w", 0, 0, 0, NMDRV_F32, 2, LIST(L_FF, L_POS), LIST(FF, POS), "sgd", 0},
    [HALF] = {"half.w", 0, 0, 0, NMDRV_BF16, 2, LIST(L_VOCAB, L_POS), LIST(VOCAB, POS), "sgd", 0},
};
static const nmdrv_arg mesh_args[N_PARAMS] = {
    // the same as one rank of any mesh has them
    [EMBED] = {.dtype = NMDRV_F32, .rank = 2, .dim = LIST(P_VOCAB, L_D)},
    [UP] = {.dtype = NMDRV_F32, .rank = 3, .dim = LIST(P_TURNS, L_D, P_FF), .chunked = 1},
    [DOWN] = {.dtype = NMDRV_F32, .rank = 3, .dim = LIST(P_TURNS, P_FF, P_DDPP), .chunked = 1},
    [MOMENT] = {.dtype = NMDRV_F32, .rank = 3, .dim = LIST(P_TURNS, P_DDPS, P_FF), .chunked = 1},
    [PLACE] = {.dtype = NMDRV_F32, .rank = 2, .dim = LIST(L_D, P_POS)},
    [NORM] = {.dtype = NMDRV_F32, .rank = 1, .dim = LIST(L_D)},
    [SCALE] = {.dtype = NMDRV_F32, .rank = 0},
    [MIXED] = {.dtype = NMDRV_F32, .rank = 2, .dim = LIST(P_BOTH, P_POS)},
    [HALF] = {.dtype = NMDRV_BF16, .rank = 2, .dim = LIST(P_VOCAB, P_POS)},
};
static const nmdrv_program mesh_program = {
    .name = "cut",
    .preset = "",
    .hash = "00",
    .compiler = "nobody",
    .n_syms = N_SYMS,
    .n_dims = N_DIMS,
    .n_params = N_PARAMS,
    .sym = mesh_syms,
    .dim = mesh_dims,
    .param = mesh_params,
};

// --- where a rank stands -----------------------------------------------------------------------

typedef struct mesh_sizes {
    int64_t pp, vp, dpr, dps, dpp, cpr, cps, tpk, tpr;
} mesh_sizes;

typedef struct world world;
typedef struct rank {
    world *world;
    nmrt_mesh mesh;
    nmdrv_sym sym[N_SYMS];
    nmrt_run_of turn[MAX_TURNS];
    nmrt_share share[N_PARAMS];
    nmrt_comm comm;
    rig rig;
    pthread_t thread;
    int64_t step; // of what its numbers are
    nmrt_status status;
    nmrt_error e;
    nmrt_text passed;
    nmrt_checkpoint loaded;
} rank;

typedef struct letter {
    struct letter *next;
    int from, to;
    size_t n;
    char at[];
} letter;

struct world {
    int n;
    const char *save;
    rank rank[MAX_RANKS];
    pthread_mutex_t mutex;
    pthread_cond_t arrived;
    letter *first;
};

static inline void place_rank(nmrt_mesh *m, const mesh_sizes *z, int index)
{
    const int64_t size[NMDRV_N_AXES] = {z->pp,  z->dpr, z->dps, z->dpp, 1,
                                        z->cpr, z->cps, z->tpk, z->tpr};
    *m = (nmrt_mesh){.program = &mesh_program, .world = 1, .rank = index, .vp = z->vp};
    for (int a = NMDRV_N_AXES - 1; a >= 0; a--) {
        m->world *= m->size[a] = size[a];
        m->index[a] = index % size[a];
        index /= (int)size[a];
    }
}

static inline nmdrv_sym local_of(const nmrt_mesh *m, int symbol)
{
    const nmdrv_sym_info *s = &mesh_syms[symbol];
    int64_t parts = 1, index = 0, whole = s->extent;
    for (int64_t i = 0; i < s->n_axes; i++) {
        parts *= m->size[s->axis[i]];
        index = index * m->size[s->axis[i]] + m->index[s->axis[i]];
    }
    if (s->pad)
        whole = (whole + s->pad - 1) / s->pad * s->pad;
    CHECK(whole % parts == 0);
    nmdrv_sym v = {whole / parts, index * (whole / parts), s->extent, whole / parts, 0};
    if (symbol == S_POS && parts > 1) { // the zigzag
        int64_t chunk = whole / parts / 2;
        v = (nmdrv_sym){2 * chunk, index * chunk, s->extent, chunk,
                        (2 * parts - 2 - 2 * index) * chunk};
    }
    return v;
}

static inline void deal_turns(rank *r)
{
    int64_t pp = r->mesh.size[NMDRV_PP], vp = r->mesh.vp, n = 0;
    for (int64_t v = 0; v < vp; v++) {
        int64_t k = v * pp + r->mesh.index[NMDRV_PP];
        int64_t from = LAYERS * k / (pp * vp), to = LAYERS * (k + 1) / (pp * vp);
        r->turn[v] = (nmrt_run_of){from, to - from};
        n += to - from;
    }
    r->sym[S_TURNS] = (nmdrv_sym){.size = n, .total = LAYERS};
    for (int p = 0; p < N_PARAMS; p++)
        if (mesh_args[p].chunked)
            r->share[p] = (nmrt_share){.turn = r->turn, .n_turns = (int)vp};
    r->share[EMBED].elsewhere = r->share[SCALE].elsewhere = r->mesh.index[NMDRV_PP] > 0;
}

// The embedding is the first and the last stage's; place is the first's, the norm the last's.
static inline bool holds(const rank *r, int param)
{
    bool first = r->mesh.index[NMDRV_PP] == 0,
         last = r->mesh.index[NMDRV_PP] == r->mesh.size[NMDRV_PP] - 1;
    switch (param) {
    case EMBED: return first || last;
    case PLACE:
    case HALF: return first;
    case NORM:
    case MIXED: return last;
    default: return true;
    }
}

static inline int64_t local_extent(const rank *r, int param, int k)
{
    const nmdrv_dim *d = &mesh_dims[mesh_args[param].dim[k]];
    return d->sym < 0 ? d->extent : r->sym[d->sym].size;
}

static inline int64_t local_elements(const rank *r, int param)
{
    int64_t n = 1;
    for (int k = 0; k < mesh_args[param].rank; k++)
        n *= local_extent(r, param, k);
    return n;
}

static inline int64_t global_index(const rank *r, int param, int k, int64_t i)
{
    const nmdrv_dim *d = &mesh_dims[mesh_args[param].dim[k]];
    if (d->sym < 0)
        return i;
    if (d->sym != S_TURNS)
        return r->sym[d->sym].offset + i + (i >= r->sym[d->sym].half ? r->sym[d->sym].jump : 0);
    for (int v = 0;; v++) {
        if (i < r->turn[v].n)
            return r->turn[v].from + i;
        i -= r->turn[v].n;
    }
}

// The element's index in the whole tensor; -1: it is padding.
static inline int64_t global_element(const rank *r, int param, int64_t element)
{
    int64_t index[4], at = 0;
    for (int k = (int)mesh_args[param].rank - 1; k >= 0; k--) {
        index[k] = element % local_extent(r, param, k);
        element /= local_extent(r, param, k);
    }
    for (int k = 0; k < mesh_args[param].rank; k++) {
        int64_t i = global_index(r, param, k, index[k]);
        if (i >= mesh_params[param].shape[k])
            return -1;
        at = at * mesh_params[param].shape[k] + i;
    }
    return at;
}

// Bits that no other element, tensor or step has (the lower half of them, in 16 bits, nearly so).
static inline uint32_t bits_of(int64_t step, int param, int64_t element)
{
    return (uint32_t)element * 2654435761u + (uint32_t)param * 40503u + (uint32_t)step * 97u + 1;
}

static inline void fill_rank(rank *r, int64_t step)
{
    for (int p = 0; p < N_PARAMS; p++) {
        unsigned char *at = rig_at(&r->rig, p);
        int64_t width = nmrt_dtype(mesh_args[p].dtype)->bits / 8;
        for (int64_t i = 0; at && i < local_elements(r, p); i++) {
            int64_t element = global_element(r, p, i);
            uint32_t bits = element < 0 || step < 0 ? 0xDEADBEEF : bits_of(step, p, element);
            memcpy(at + i * width, &bits, (size_t)width);
        }
    }
    r->step = step;
}

static inline bool rank_holds(rank *r, int64_t step)
{
    for (int p = 0; p < N_PARAMS; p++) {
        unsigned char *at = rig_at(&r->rig, p);
        int64_t width = nmrt_dtype(mesh_args[p].dtype)->bits / 8;
        for (int64_t i = 0; at && i < local_elements(r, p); i++) {
            int64_t element = global_element(r, p, i);
            uint32_t bits = element < 0 ? 0 : bits_of(step, p, element);
            if (memcmp(at + i * width, &bits, (size_t)width) != 0)
                return false;
        }
    }
    return true;
}

// --- mailboxes ---------------------------------------------------------------------------------

static inline nmrt_status post(nmrt_comm *c, int to, int tag, const void *at, int64_t bytes,
                               const char *what, const char *where, nmrt_error *e)
{
    world *w = c->state;
    letter *new = malloc(sizeof *new + (size_t)bytes), **last = &w->first;
    (void)tag, (void)what, (void)where, (void)e;
    *new = (letter){.from = c->rank, .to = to, .n = (size_t)bytes};
    memcpy(new->at, at, new->n);
    pthread_mutex_lock(&w->mutex);
    while (*last)
        last = &(*last)->next;
    *last = new;
    pthread_cond_broadcast(&w->arrived);
    pthread_mutex_unlock(&w->mutex);
    return NMRT_OK;
}

static inline nmrt_status fetch(nmrt_comm *c, int from, int tag, void *at, int64_t bytes,
                                const char *what, const char *where, nmrt_error *e)
{
    world *w = c->state;
    letter **l, *found;
    (void)tag, (void)what, (void)where, (void)e;
    pthread_mutex_lock(&w->mutex);
    for (;;) {
        for (l = &w->first; *l && ((*l)->from != from || (*l)->to != c->rank); l = &(*l)->next)
            ;
        if (*l)
            break;
        pthread_cond_wait(&w->arrived, &w->mutex);
    }
    found = *l;
    *l = found->next;
    pthread_mutex_unlock(&w->mutex);
    CHECK(found->n == (size_t)bytes);
    memcpy(at, found->at, (size_t)bytes);
    free(found);
    return NMRT_OK;
}

// --- the world ---------------------------------------------------------------------------------

static inline void open_rank(world *w, int index, const mesh_sizes *z)
{
    rank *r = &w->rank[index];
    const nmdrv_arg *arg[N_PARAMS];
    int64_t elements[N_PARAMS];
    r->world = w;
    place_rank(&r->mesh, z, index);
    for (int s = 0; s < S_TURNS; s++)
        r->sym[s] = local_of(&r->mesh, s);
    deal_turns(r);
    for (int p = 0; p < N_PARAMS; p++) {
        arg[p] = holds(r, p) ? &mesh_args[p] : NULL;
        elements[p] = local_elements(r, p);
    }
    rig_open(&r->rig, &mesh_program, arg, elements, w->save);
    r->comm = (nmrt_comm){
        .name = "mailboxes", .rank = index, .ranks = w->n, .send = post, .recv = fetch, .state = w};
    r->rig.en.shares = (nmrt_shares){&r->comm, &r->mesh, r->sym, r->share};
}

static inline void open_world(world *w, const mesh_sizes *z, const char *save)
{
    *w = (world){.n = (int)(z->pp * z->dpr * z->dps * z->dpp * z->cpr * z->cps * z->tpk * z->tpr),
                 .save = save,
                 .mutex = PTHREAD_MUTEX_INITIALIZER,
                 .arrived = PTHREAD_COND_INITIALIZER};
    CHECK(w->n <= MAX_RANKS);
    for (int i = 0; i < w->n; i++)
        open_rank(w, i, z);
}

static inline void close_world(world *w)
{
    CHECK(!w->first);
    for (int i = 0; i < w->n; i++) {
        rig_close(&w->rank[i].rig);
        nmrt_text_release(&w->rank[i].passed);
    }
}

static inline void run_ranks(world *w, void *(*body)(void *rank))
{
    for (int i = 0; i < w->n; i++)
        CHECK(pthread_create(&w->rank[i].thread, NULL, body, &w->rank[i]) == 0);
    for (int i = 0; i < w->n; i++)
        pthread_join(w->rank[i].thread, NULL);
}

#endif
