// Where the plan's buffers lie: slots, transients and links in one allocation each, as packed. With
// --check-memory, on a device that knows the bounds of its allocations, each slot and transient is
// one by itself, under its name: there an access beside a buffer fails, which in the packed memory
// would hit its neighbour.
#include "runtime/engine.h"

#include <stdio.h>
#include <stdlib.h>

static bool is_alone(const nmrt_engine *en) { return en->plan->apart && en->ops->set_name; }

static nmrt_status take_block(nmrt_engine *en, int64_t bytes, char **at, nmrt_error *e)
{
    void *p = NULL;
    nmrt_status status = en->ops->alloc(en->device, bytes, &p, e);
    *at = p;
    return status;
}

static nmrt_status take_blocks(nmrt_engine *en, nmrt_error *e)
{
    NMRT_TRY(take_block(en, en->plan->links, &en->links, e));
    if (en->plan->library)
        NMRT_TRY(take_block(en, en->plan->library, &en->library, e));
    if (is_alone(en))
        return NMRT_OK;
    NMRT_TRY(take_block(en, en->plan->slots, &en->slots, e));
    return take_block(en, en->plan->arena, &en->arena, e);
}

static nmrt_status take_buffer(nmrt_engine *en, int64_t bytes, const char *name, void **at,
                               nmrt_error *e)
{
    NMRT_TRY(en->ops->alloc(en->device, bytes, at, e));
    en->ops->set_name(en->device, *at, name);
    return NMRT_OK;
}

// "train.micro: h at gpt2.nm:12"; what the compiler made up has no name, and perhaps no line.
static nmrt_status take_transient(nmrt_engine *en, const nmrt_planned *p, int64_t i, void **at,
                                  nmrt_error *e)
{
    const nmdrv_buf *b = &p->func->buf[i];
    char text[256];
    snprintf(text, sizeof text, "%s: %s%s%s", p->func->name, *b->name ? b->name : "transient",
             *b->where ? " at " : "", b->where);
    return take_buffer(en, p->bytes[i], text, at, e);
}

static nmrt_status place_slots(nmrt_engine *en, nmrt_error *e)
{
    const nmrt_plan *plan = en->plan;
    en->slot = calloc((size_t)plan->n_slots + 1, sizeof *en->slot);
    if (!en->slot)
        return nmrt_fail(e, NMRT_WORLD, "no memory for the frames");
    for (int i = 0; i < plan->n_slots; i++) {
        const nmrt_slot *s = &plan->slot[i];
        if (is_alone(en))
            NMRT_TRY(take_buffer(en, s->bytes, s->name, &en->slot[i], e));
        else
            en->slot[i] = en->slots + s->offset;
    }
    return NMRT_OK;
}

static nmrt_status place_frame(nmrt_engine *en, const nmrt_planned *p, void **buf, nmrt_error *e)
{
    for (int64_t k = 0; k < p->func->n_bufs; k++)
        if (p->slot[k] >= 0)
            buf[k] = en->slot[p->slot[k]];
        else if (p->slot[k] == NMRT_TRANSIENT && is_alone(en))
            NMRT_TRY(take_transient(en, p, k, &buf[k], e));
        else if (p->slot[k] == NMRT_TRANSIENT)
            buf[k] = en->arena + p->offset[k];
    return NMRT_OK;
}

static nmrt_status place_frames(nmrt_engine *en, nmrt_error *e)
{
    const nmrt_plan *plan = en->plan;
    en->buf = calloc((size_t)plan->n_funcs + 1, sizeof *en->buf);
    if (!en->buf)
        return nmrt_fail(e, NMRT_WORLD, "no memory for the frames");
    for (int i = 0; i < plan->n_funcs; i++) {
        en->buf[i] = calloc((size_t)plan->func[i].func->n_bufs + 1, sizeof *en->buf[i]);
        if (!en->buf[i])
            return nmrt_fail(e, NMRT_WORLD, "no memory for the frames");
        NMRT_TRY(place_frame(en, &plan->func[i], en->buf[i], e));
    }
    return NMRT_OK;
}

static nmrt_status furnish(nmrt_engine *en, nmrt_error *e)
{
    const nmrt_plan *plan = en->plan;
    int64_t products = plan->library - plan->collectives;
    const nmrt_device_room room = {.products = products ? en->library : NULL,
                                   .collectives = plan->collectives ? en->library + products : NULL,
                                   .collective_bytes = plan->collectives,
                                   .meets = plan->meets};
    return en->ops->furnish ? en->ops->furnish(en->device, &room, e) : NMRT_OK;
}

nmrt_status nmrt_engine_take_memory(nmrt_engine *en, nmrt_error *e)
{
    NMRT_TRY(take_blocks(en, e));
    NMRT_TRY(place_slots(en, e));
    NMRT_TRY(place_frames(en, e));
    return furnish(en, e);
}

// --- what is transient ---------------------------------------------------------------------------

void nmrt_engine_poison(nmrt_engine *en, const nmrt_planned *p)
{
    void *const *buf = en->buf[p - en->plan->func];
    if (!is_alone(en))
        en->ops->fill(en->device, en->arena, en->plan->arena, NMRT_POISON);
    for (int64_t k = 0; is_alone(en) && k < p->func->n_bufs; k++)
        if (p->slot[k] == NMRT_TRANSIENT)
            en->ops->fill(en->device, buf[k], p->bytes[k] / 4 * 4, NMRT_POISON);
    en->ops->poison_scratch(en->device, NMRT_POISON);
}

// --- the end -------------------------------------------------------------------------------------

static void give_frame(nmrt_engine *en, const nmrt_planned *p, void **buf)
{
    for (int64_t k = 0; buf && is_alone(en) && k < p->func->n_bufs; k++)
        if (p->slot[k] == NMRT_TRANSIENT)
            en->ops->free(en->device, buf[k], p->bytes[k]);
    free(buf);
}

void nmrt_engine_give_memory(nmrt_engine *en)
{
    const nmrt_plan *plan = en->plan;
    for (int i = 0; en->buf && i < plan->n_funcs; i++)
        give_frame(en, &plan->func[i], en->buf[i]);
    for (int i = 0; en->slot && is_alone(en) && i < plan->n_slots; i++)
        en->ops->free(en->device, en->slot[i], plan->slot[i].bytes);
    free(en->buf);
    free(en->slot);
    if (!en->device)
        return;
    en->ops->free(en->device, en->arena, plan->arena);
    en->ops->free(en->device, en->slots, plan->slots);
    en->ops->free(en->device, en->links, plan->links);
    if (en->library)
        en->ops->free(en->device, en->library, plan->library);
}
