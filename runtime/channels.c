#include "runtime/channels.h"

int nmrt_world_rank(const nmrt_setup *s, int pp)
{
    int64_t per_stage = s->mesh.world / s->mesh.size[NMDRV_PP];
    return (int)(pp * per_stage + s->mesh.rank % per_stage);
}

static void grow(nmrt_room *most, nmrt_room x)
{
    most->bytes = x.bytes > most->bytes ? x.bytes : most->bytes;
    most->messages = x.messages > most->messages ? x.messages : most->messages;
}

// The most that goes at once from virtual stage v, or v + k pp, to the next, or back.
static nmrt_room most_of(const nmrt_setup *s, int v, bool backward)
{
    nmrt_room most = {0};
    for (int from = v; from + 1 < s->stages.n; from += s->stages.pp) {
        int stage = backward ? from + 1 : from;
        grow(&most, nmrt_chain_room(&s->train, stage, backward));
        grow(&most, nmrt_chain_room(&s->eval, stage, backward));
    }
    return most;
}

int nmrt_channels_find(const nmrt_setup *s, int pp, nmrt_channel channel[NMRT_CHANNELS])
{
    static const char *const names[2][2] = {{"receive forward", "send forward"},
                                            {"receive backward", "send backward"}};
    int n = 0, stages = s->stages.pp;
    for (int v = 0; v < stages && v + 1 < s->stages.n; v++) {
        int next = (v + 1) % stages;
        for (int backward = 0; backward < 2 && (pp == v || pp == next); backward++) {
            bool sends = pp == (backward ? next : v);
            nmrt_room most = most_of(s, v, backward);
            if (most.bytes)
                channel[n++] =
                    (nmrt_channel){.name = names[backward][sends],
                                   .peer = nmrt_world_rank(s, pp == v ? next : v),
                                   .tag = backward ? NMRT_TAG_BACKWARD : NMRT_TAG_FORWARD,
                                   .sends = sends,
                                   .bytes = most.bytes,
                                   .messages = most.messages};
        }
    }
    return n;
}

int64_t nmrt_channels_bytes(const nmrt_setup *s, int pp)
{
    nmrt_channel channel[NMRT_CHANNELS];
    int64_t bytes = 0;
    int n = s->program->flavour == NMDRV_GPU ? nmrt_channels_find(s, pp, channel) : 0;
    for (int i = 0; i < n; i++)
        bytes += channel[i].bytes;
    return bytes;
}

nmrt_status nmrt_channels_open(const nmrt_setup *s, const nmrt_engine *en, nmrt_error *e)
{
    nmrt_channel channel[NMRT_CHANNELS];
    char *room = en->links;
    int n =
        en->ops->open_channel ? nmrt_channels_find(s, (int)s->mesh.index[NMDRV_PP], channel) : 0;
    for (int i = 0; i < n; i++) {
        channel[i].room = room;
        NMRT_TRY(en->ops->open_channel(en->device, &channel[i], e));
        room += channel[i].bytes;
    }
    return NMRT_OK;
}
