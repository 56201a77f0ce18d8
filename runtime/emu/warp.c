// What a warp does together: the last lane to come does the work of all 32, then they go on.
#include "runtime/emu/block.h"

#include <stddef.h>

static void must_be_whole(nmemu_block *b, const char *what)
{
    for (u32 t = b->cur & ~31u; t <= (b->cur | 31u); t++)
        if (b->fiber[t].why == NMEMU_EXITED)
            nmemu_fail("%s: lane %u of this warp has exited", what, t % 32);
}

void nmemu_meet(const char *what, void *arg, void (*work)(nmemu_warp *))
{
    nmemu_block *b = nmemu_here;
    nmemu_warp *w = &b->warp[b->cur / 32];
    if (!w->arrived) {
        must_be_whole(b, what);
        w->what = what;
    } else if (w->what != what)
        nmemu_fail("divergent warp: this lane is in %s, others are in %s", what, w->what);
    w->arg[b->cur % 32] = arg;
    w->arrived |= 1u << b->cur % 32;
    if (w->arrived != ~0u) {
        nmemu_block_on(NMEMU_IN_WARP, what, b->cur / 32, 0);
        return;
    }
    w->arrived = 0;
    work(w);
    nmemu_wake_all(b, NMEMU_IN_WARP, b->cur / 32, b->cur & ~31u, (b->cur | 31u) + 1);
}

// --- shuffles ------------------------------------------------------------------------------------

typedef struct shuffle {
    u32 v, from, out;
} shuffle;

static void do_shuffle(nmemu_warp *w)
{
    for (int i = 0; i < 32; i++) {
        shuffle *s = w->arg[i];
        s->out = ((shuffle *)w->arg[s->from & 31])->v;
    }
}

static u32 shuffle_from(const char *what, u32 v, u32 from)
{
    shuffle s = {.v = v, .from = from};
    nmemu_meet(what, &s, do_shuffle);
    return s.out;
}

static u32 lane(void) { return nmemu_here->cur % 32; }
static u32 lane_xor(u32 mask) { return lane() ^ mask; }
static u32 lane_idx(u32 from) { return from; }
static u32 lane_up(u32 by) { return by <= lane() ? lane() - by : lane(); }
static u32 lane_down(u32 by) { return by < 32 - lane() ? lane() + by : lane(); }

#define SHUFFLE(name)                                                                              \
    u32 shfl_##name##_u32(u32 v, u32 x)                                                            \
    {                                                                                              \
        return shuffle_from("shfl_" #name "_u32", v, lane_##name(x));                              \
    }                                                                                              \
    float shfl_##name##_f32(float v, u32 x)                                                        \
    {                                                                                              \
        return nmemu_float_of(                                                                     \
            shuffle_from("shfl_" #name "_f32", nmemu_bits_of(v), lane_##name(x)));                 \
    }
SHUFFLE(xor)
SHUFFLE(idx)
SHUFFLE(up)
SHUFFLE(down)
#undef SHUFFLE

// --- votes and sums ------------------------------------------------------------------------------

static u32 lanes_set(const nmemu_warp *w)
{
    u32 lanes = 0;
    for (int i = 0; i < 32; i++)
        lanes |= (u32)(*(const u32 *)w->arg[i] != 0) << i;
    return lanes;
}

static void give_all(nmemu_warp *w, u32 result)
{
    for (int i = 0; i < 32; i++)
        *(u32 *)w->arg[i] = result;
}

static void do_any(nmemu_warp *w) { give_all(w, lanes_set(w) != 0); }
static void do_all(nmemu_warp *w) { give_all(w, lanes_set(w) == ~0u); }
static void do_ballot(nmemu_warp *w) { give_all(w, lanes_set(w)); }

static void do_add(nmemu_warp *w)
{
    u32 sum = 0;
    for (int i = 0; i < 32; i++)
        sum += *(const u32 *)w->arg[i];
    give_all(w, sum);
}

static void do_min(nmemu_warp *w)
{
    u32 min = ~0u;
    for (int i = 0; i < 32; i++)
        min = *(const u32 *)w->arg[i] < min ? *(const u32 *)w->arg[i] : min;
    give_all(w, min);
}

static void do_max(nmemu_warp *w)
{
    u32 max = 0;
    for (int i = 0; i < 32; i++)
        max = *(const u32 *)w->arg[i] > max ? *(const u32 *)w->arg[i] : max;
    give_all(w, max);
}

static u32 together(const char *what, u32 v, void (*work)(nmemu_warp *))
{
    nmemu_meet(what, &v, work);
    return v;
}

u32 vote_any(u32 p) { return together("vote_any", p, do_any); }
u32 vote_all(u32 p) { return together("vote_all", p, do_all); }
u32 ballot(u32 p) { return together("ballot", p, do_ballot); }
u32 redux_add_u32(u32 v) { return together("redux_add_u32", v, do_add); }
u32 redux_min_u32(u32 v) { return together("redux_min_u32", v, do_min); }
u32 redux_max_u32(u32 v) { return together("redux_max_u32", v, do_max); }

static void do_nothing(nmemu_warp *w) { (void)w; }

void warp_sync(void) { nmemu_meet("warp_sync", NULL, do_nothing); }

// Which lane is not documented: in random order, any, but always the same.
u32 elect(void)
{
    const nmemu_block *b = nmemu_here;
    nmemu_meet("elect", NULL, do_nothing);
    return lane() == (b->launch->mode == NMEMU_RANDOM ? (b->launch->seed + b->cur / 32) % 32 : 0);
}
