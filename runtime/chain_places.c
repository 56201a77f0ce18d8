// Where the values of a chain lie: in which stages' memory, from when to when (times: chain.h), and
// at which bytes. What waits for backward lies in a slot, all else shares the stage's room, packed
// by lifetimes.
#include "runtime/chain.h"

#include "runtime/plan.h"

#include <stdlib.h>

static nmrt_status no_memory(nmrt_error *e)
{
    return nmrt_fail(e, NMRT_WORLD, "no memory for the places of the pipeline's values");
}

// --- times ---------------------------------------------------------------------------------------

typedef struct times {                       // of a stage
    int forward_end, backward, backward_end; // send, receive, send
} times;

static times times_of(const nmrt_chain *c, int stage)
{
    int n[2] = {0, 0};
    for (int i = 0; i < c->n_calls; i++)
        if (c->call[i].stage == stage)
            n[c->call[i].backward]++;
    return (times){n[0] + 1, n[0] + 2, n[0] + n[1] + 3};
}

static void set_times(nmrt_chain *c)
{
    for (int v = 0; v < c->stages->n; v++) {
        times t = times_of(c, v);
        int next[2] = {1, t.backward + 1};
        for (int i = 0; i < c->n_calls; i++)
            if (c->call[i].stage == v)
                c->call[i].time = next[c->call[i].backward]++;
    }
}

// --- places --------------------------------------------------------------------------------------

// While places are made, place[stage * n_values + value] is one, with first > last if it is none.
static nmrt_place *hold(nmrt_chain *c, int stage, int value, int from, int to)
{
    nmrt_place *p = &c->place[stage * c->n_values + value];
    p->first = from < p->first ? from : p->first;
    p->last = to > p->last ? to : p->last;
    return p;
}

static void carry_forward(nmrt_chain *c, int value, int from, int to)
{
    for (int v = from; v < to; v++) {
        int end = times_of(c, v).forward_end;
        hold(c, v, value, end, end)->sent[0] = true;
        hold(c, v + 1, value, 0, 0)->come[0] = true;
    }
}

static void carry_backward(nmrt_chain *c, int value, int from, int to)
{
    for (int v = from; v > to; v--) {
        int end = times_of(c, v).backward_end, begin = times_of(c, v - 1).backward;
        hold(c, v, value, end, end)->sent[1] = true;
        hold(c, v - 1, value, begin, begin)->come[1] = true;
    }
}

static void place_reads(nmrt_chain *c, const nmrt_call *reader)
{
    for (int64_t b = 0; b < reader->func->n_bufs; b++) {
        int value = reader->value[b];
        if (value < 0)
            continue;
        int made = c->call[c->value[value].made].stage;
        hold(c, reader->stage, value, reader->time, reader->time);
        carry_forward(c, value, made, reader->stage);
        carry_backward(c, value, made, reader->stage);
    }
}

static void drop_absent(nmrt_chain *c)
{
    c->n_places = 0;
    for (int v = 0; v < c->stages->n; v++) {
        c->at[v] = c->n_places;
        for (int i = v * c->n_values; i < (v + 1) * c->n_values; i++)
            if (c->place[i].last >= 0)
                c->place[c->n_places++] = c->place[i];
    }
    c->at[c->stages->n] = c->n_places;
}

static nmrt_status make_places(nmrt_chain *c, nmrt_error *e)
{
    int n = c->stages->n * c->n_values;
    c->place = calloc((size_t)n + 1, sizeof *c->place);
    if (!c->place)
        return no_memory(e);
    for (int i = 0; i < n; i++)
        c->place[i] = (nmrt_place){
            .value = i % c->n_values, .stage = i / c->n_values, .first = INT32_MAX, .last = -1};
    for (int i = 0; i < c->n_calls; i++) // its results are among the buffers, too
        place_reads(c, &c->call[i]);
    drop_absent(c);
    return NMRT_OK;
}

// --- memory --------------------------------------------------------------------------------------

static int64_t align(int64_t n) { return (n + NMRT_LINE - 1) / NMRT_LINE * NMRT_LINE; }

// With one slot there is no difference to the room: all are packed by their lifetimes.
static nmrt_status pack_stage(nmrt_chain *c, int stage, int slots, nmrt_error *e)
{
    int from = c->at[stage], n = c->at[stage + 1] - from, k = 0;
    int backward = times_of(c, stage).backward;
    int64_t *table = calloc((size_t)(4 * n + 1), sizeof *table);
    if (!table)
        return no_memory(e);
    int64_t *bytes = table, *first = bytes + n, *last = first + n, *offset = last + n;
    for (int i = from; i < from + n; i++) {
        nmrt_place *p = &c->place[i];
        p->in_slot = slots > 1 && p->first < backward && p->last >= backward;
        if (p->in_slot) {
            p->offset = c->slot[stage];
            c->slot[stage] += align(c->value[p->value].bytes);
            continue;
        }
        bytes[k] = c->value[p->value].bytes;
        first[k] = p->first;
        last[k++] = p->last;
    }
    c->room[stage] = nmrt_pack(k, bytes, first, last, offset);
    for (int i = from + n; i-- > from;)
        if (!c->place[i].in_slot)
            c->place[i].offset = offset[--k];
    free(table);
    return c->room[stage] < 0 ? no_memory(e) : NMRT_OK;
}

nmrt_status nmrt_chain_place_all(nmrt_chain *c, const int *slots, nmrt_error *e)
{
    size_t n = (size_t)c->stages->n;
    c->at = calloc(n + 1, sizeof *c->at);
    c->room = calloc(n, sizeof *c->room);
    c->slot = calloc(n, sizeof *c->slot);
    if (!c->at || !c->room || !c->slot)
        return no_memory(e);
    set_times(c);
    NMRT_TRY(make_places(c, e));
    for (int v = 0; v < c->stages->n; v++)
        NMRT_TRY(pack_stage(c, v, slots[v], e));
    return NMRT_OK;
}

// --- questions -----------------------------------------------------------------------------------

const nmrt_place *nmrt_chain_place(const nmrt_chain *c, int stage, int value)
{
    for (int i = c->at[stage]; i < c->at[stage + 1]; i++)
        if (c->place[i].value == value)
            return &c->place[i];
    return NULL;
}

int64_t nmrt_chain_bytes(const nmrt_chain *c, int stage, int slots)
{
    return c->room[stage] + slots * c->slot[stage];
}

nmrt_links nmrt_chain_links(const nmrt_chain *c, const nmrt_actions *a, int pp)
{
    int64_t rooms = 0, own = 0, stride = 0;
    for (int v = pp; c->n_calls && v < c->stages->n; v += c->stages->pp) {
        rooms += c->room[v];
        own += a ? a->slots[v] * c->slot[v] : 0;
        stride = c->slot[v] > stride ? c->slot[v] : stride;
    }
    int64_t shared = a && stride ? a->shared[pp] * stride : 0; // no calls, no actions
    if (shared < own)
        return (nmrt_links){rooms + shared, rooms, stride};
    return (nmrt_links){rooms + own, 0, 0};
}

int64_t nmrt_chain_sent(const nmrt_chain *c, int stage, bool backward)
{
    int64_t bytes = 0;
    for (int i = c->at[stage]; i < c->at[stage + 1]; i++)
        if (c->place[i].sent[backward])
            bytes += c->value[c->place[i].value].bytes;
    return bytes;
}

nmrt_room nmrt_chain_room(const nmrt_chain *c, int stage, bool backward)
{
    nmrt_room room = {0};
    for (int i = c->n_calls ? c->at[stage] : 0; c->n_calls && i < c->at[stage + 1]; i++)
        if (c->place[i].sent[backward]) {
            room.bytes += align(c->value[c->place[i].value].bytes);
            room.messages++;
        }
    return room;
}
