// Rows of maps: names from their patterns, places from their strides.
#include "runtime/foreign/parts.h"

#include <stdlib.h>
#include <string.h>

// --- the map -----------------------------------------------------------------------------------

static nmrt_status no_map(const nmdrv_program *program, const char *name, nmrt_error *e)
{
    nmrt_text there = {0};
    for (int64_t i = 0; i < program->n_weights; i++)
        nmrt_text_add(&there, "%s %s", i ? "," : "; it has", program->weights[i].name);
    nmrt_fail(e, NMRT_USAGE, "%s has no weights map called '%s'%s", program->name, name,
              there.n ? there.at : ": its model file needs a weights block");
    nmrt_text_release(&there);
    return NMRT_USAGE;
}

nmrt_status nmrt_weights_find(const nmdrv_weights **map, const nmdrv_program *program,
                              const char *name, nmrt_error *e)
{
    *map = NULL;
    for (int64_t i = 0; i < program->n_weights && !*map; i++)
        if (strcmp(program->weights[i].name, name) == 0)
            *map = &program->weights[i];
    if (!*map)
        return no_map(program, name, e);
    if (*(*map)->misfit)
        return nmrt_fail(e, NMRT_USAGE, "the weights map %s (%s) does not fit this binary: %s",
                         name, (*map)->where, (*map)->misfit);
    return NMRT_OK;
}

bool nmrt_weights_have(const nmdrv_weights *map, int64_t param)
{
    for (int64_t i = 0; i < map->n_parts; i++)
        if (map->part[i].param == param)
            return true;
    return false;
}

int64_t nmrt_weights_count_left(const nmdrv_weights *map, const nmdrv_program *program,
                                const char **first)
{
    int64_t n = 0;
    for (int64_t i = program->n_params - 1; i >= 0; i--)
        if (!program->param[i].is_state && !nmrt_weights_have(map, i)) {
            *first = program->param[i].path;
            n++;
        }
    return n;
}

bool nmrt_part_is_first(const nmdrv_weights *map, const nmdrv_part_of *part)
{
    for (const nmdrv_part_of *p = map->part; p < part; p++)
        if (strcmp(p->name, part->name) == 0)
            return false;
    return true;
}

nmrt_box nmrt_part_box(const nmdrv_program *program, const nmdrv_part_of *part)
{
    nmrt_box box = {.rank = (int)program->param[part->param].rank};
    for (int k = 0; k < box.rank; k++) {
        box.from[k] = part->from[k];
        box.n[k] = part->extent[k];
    }
    return box;
}

// --- names -------------------------------------------------------------------------------------

// The dim whose index stands at `text`, as "{2}", and how long that is; -1: none does.
static int named_dim(const char *text, size_t *n)
{
    char *end;
    if (text[0] != '{' || text[1] < '0' || text[1] > '9')
        return -1;
    long dim = strtol(text + 1, &end, 10);
    *n = (size_t)(end - text) + 1;
    return *end == '}' && dim < NMRT_MAX_RANK ? (int)dim : -1;
}

static bool is_named(const nmdrv_part_of *part, int dim)
{
    size_t n;
    for (const char *s = part->name; (s = strchr(s, '{')); s++)
        if (named_dim(s, &n) == dim)
            return true;
    return false;
}

static void print_name(const nmdrv_part_of *part, const int64_t *index, char *out)
{
    nmrt_text name = {0};
    size_t n = 0;
    for (const char *s = part->name; *s; s += n) {
        int dim = named_dim(s, &n);
        if (dim >= 0)
            nmrt_text_add(&name, "%lld", (long long)index[dim]);
        else
            nmrt_text_add_bytes(&name, s, n = 1);
    }
    size_t length = name.failed ? 0 : name.n;
    length = length < NMRT_MAX_TENSOR_NAME ? length : NMRT_MAX_TENSOR_NAME - 1;
    memcpy(out, name.at ? name.at : "", length);
    out[length] = 0;
    nmrt_text_release(&name);
}

static bool start(const nmdrv_part_of *part, const nmrt_box *within, nmrt_instance *i)
{
    i->started = true;
    i->box = *within;
    for (int k = 0; k < within->rank; k++) {
        if (within->n[k] <= 0)
            return false;
        if (is_named(part, k))
            i->box.n[k] = 1;
    }
    return true;
}

static bool step(const nmdrv_part_of *part, const nmrt_box *within, nmrt_instance *i)
{
    for (int k = within->rank - 1; k >= 0; k--) {
        if (!is_named(part, k))
            continue;
        if (++i->box.from[k] < within->from[k] + within->n[k])
            return true;
        i->box.from[k] = within->from[k];
    }
    return false;
}

bool nmrt_instance_next(const nmdrv_part_of *part, const nmrt_box *within, nmrt_instance *i)
{
    if (!(i->started ? step : start)(part, within, i))
        return false;
    print_name(part, i->box.from, i->name);
    return true;
}

// --- places ------------------------------------------------------------------------------------

nmrt_strides nmrt_instance_strides(const nmdrv_part_of *part, const nmrt_box *instance,
                                   const nmrt_box *ours, int64_t *file, int64_t *at)
{
    nmrt_strides s = {.rank = instance->rank};
    int64_t step_ours = 1;
    *file = part->base;
    *at = 0;
    for (int k = s.rank - 1; k >= 0; k--) {
        s.n[k] = instance->n[k];
        s.file[k] = part->stride[k];
        s.ours[k] = step_ours;
        *file += (instance->from[k] - part->from[k]) * part->stride[k];
        *at += (instance->from[k] - ours->from[k]) * step_ours;
        step_ours *= ours->n[k];
    }
    return s;
}
