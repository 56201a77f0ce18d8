// Matching: a prefix first, then every name, shape and dtype; then boxes are read by strides.
#include "runtime/foreign/match.h"

#include "runtime/foreign/convert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN = 3 }; // names that a message lists

// --- the prefix --------------------------------------------------------------------------------

const nmrt_foreign_tensor *nmrt_match_find(const nmrt_match *m, const char *name)
{
    char there[sizeof m->more + NMRT_MAX_TENSOR_NAME];
    size_t n = strlen(m->less);
    if (n && strncmp(name, m->less, n) == 0)
        return nmrt_foreign_find(m->from, name + n);
    snprintf(there, sizeof there, "%s%s", m->more, name);
    const nmrt_foreign_tensor *found = nmrt_foreign_find(m->from, there);
    return found || !*m->more ? found : nmrt_foreign_find(m->from, name);
}

// The part of `whole` in front of `end`, which a dot separates; false: there is none, or it is too
// long for a prefix.
static bool prefix_of(const char *whole, const char *end, char out[64])
{
    size_t n = strlen(whole), k = strlen(end);
    if (n <= k + 1 || n - k > 63 || strcmp(whole + n - k, end) != 0 || whole[n - k - 1] != '.')
        return false;
    memcpy(out, whole, n - k);
    out[n - k] = 0;
    return true;
}

// By one name of the map: true if the folder has it, as it is or with a prefix.
static bool guess_prefix(nmrt_match *m, const char *name)
{
    *m->more = *m->less = 0;
    if (nmrt_foreign_find(m->from, name))
        return true;
    for (int64_t i = 0; i < m->from->n; i++)
        if (prefix_of(m->from->tensor[i].is->name, name, m->more) ||
            prefix_of(name, m->from->tensor[i].is->name, m->less))
            return true;
    return false;
}

static void find_prefix(nmrt_match *m)
{
    for (int64_t i = 0; i < m->map->n_parts; i++) {
        nmrt_box box = nmrt_part_box(m->program, &m->map->part[i]);
        nmrt_instance first = {0};
        if (nmrt_instance_next(&m->map->part[i], &box, &first) && guess_prefix(m, first.name))
            return;
    }
}

// --- every tensor ------------------------------------------------------------------------------

typedef struct missing {
    int64_t n;
    nmrt_text names; // of the first of them
} missing;

static void note_missing(missing *gone, const nmdrv_part_of *part, const char *name)
{
    if (gone->n++ < SHOWN)
        nmrt_text_add(&gone->names, "%s%s (%s)", gone->n > 1 ? ", " : "", name, part->where);
}

static void print_shape(const int64_t *shape, int64_t rank, nmrt_text *out)
{
    for (int64_t i = 0; i < rank; i++)
        nmrt_text_add(out, "%s%lld", i ? ", " : "", (long long)shape[i]);
}

static nmrt_status check_shape(const nmrt_match *m, const nmdrv_part_of *part,
                               const nmrt_foreign_tensor *t, nmrt_error *e)
{
    bool same = t->is->rank == part->rank;
    for (int64_t i = 0; same && i < part->rank; i++)
        same = t->is->shape[i] == part->shape[i];
    if (same)
        return NMRT_OK;
    nmrt_text there = {0}, here = {0};
    print_shape(t->is->shape, t->is->rank, &there);
    print_shape(part->shape, part->rank, &here);
    nmrt_fail(e, NMRT_FOREIGN,
              "%s/%s: %.200s is [%s], and %s makes it [%s] in this binary: compile the model for "
              "it by `nemocc MODEL --hf-config %s/config.json`",
              m->from->path, t->file->name, t->is->name, there.at ? there.at : "", part->where,
              here.at ? here.at : "", m->from->path);
    nmrt_text_release(&there);
    nmrt_text_release(&here);
    return NMRT_FOREIGN;
}

static nmrt_status check_tensor(const nmrt_match *m, const nmdrv_part_of *part,
                                const nmrt_foreign_tensor *t, nmrt_error *e)
{
    int64_t bytes;
    NMRT_TRY(check_shape(m, part, t, e));
    if (!nmrt_convert_knows(t->is->dtype, &bytes))
        return nmrt_fail(e, NMRT_FOREIGN,
                         "%s/%s: %.200s is of %s; weights are read of F32, BF16, F16 and F64",
                         m->from->path, t->file->name, t->is->name, t->is->dtype);
    return NMRT_OK;
}

static nmrt_status check_part(nmrt_match *m, const nmdrv_part_of *part, missing *gone,
                              nmrt_error *e)
{
    nmrt_box box = nmrt_part_box(m->program, part);
    if (*part->codec)
        return nmrt_fail(e, NMRT_USAGE, "%s: weights packed as %s are not read yet", part->where,
                         part->codec);
    for (nmrt_instance i = {0}; nmrt_instance_next(part, &box, &i);) {
        const nmrt_foreign_tensor *t = nmrt_match_find(m, i.name);
        if (!t && nmrt_part_is_first(m->map, part))
            note_missing(gone, part, i.name);
        if (!t)
            continue;
        NMRT_TRY(check_tensor(m, part, t, e));
        m->used[t - m->from->tensor] = true;
    }
    return NMRT_OK;
}

static nmrt_status check_parts(nmrt_match *m, nmrt_error *e)
{
    missing gone = {0};
    nmrt_status status = NMRT_OK;
    for (int64_t i = 0; i < m->map->n_parts && status == NMRT_OK; i++)
        status = check_part(m, &m->map->part[i], &gone, e);
    if (status == NMRT_OK && gone.n)
        status = nmrt_fail(e, NMRT_FOREIGN, "%s lacks %lld tensor%s of the weights map %s: %s%s",
                           m->from->path, (long long)gone.n, gone.n > 1 ? "s" : "", m->map->name,
                           gone.names.at ? gone.names.at : "", gone.n > SHOWN ? ", ..." : "");
    nmrt_text_release(&gone.names);
    return status;
}

// --- every parameter ---------------------------------------------------------------------------

// Its parts have to make it whole, so that nothing of it stays what it was.
static nmrt_status check_param(const nmrt_match *m, int64_t param, nmrt_error *e)
{
    const nmdrv_param *p = &m->program->param[param];
    nmrt_box whole = {.rank = (int)p->rank}, *part = NULL;
    int n = 0;
    memcpy(whole.n, p->shape, (size_t)p->rank * sizeof *whole.n);
    part = malloc(((size_t)m->map->n_parts + 1) * sizeof *part);
    if (!part)
        return nmrt_fail(e, NMRT_WORLD, "no memory to read %s", m->from->path);
    for (int64_t i = 0; i < m->map->n_parts; i++)
        if (m->map->part[i].param == param)
            part[n++] = nmrt_part_box(m->program, &m->map->part[i]);
    nmrt_status status = nmrt_boxes_check(&whole, part, n, p->path, e);
    free(part);
    return status;
}

static nmrt_status check_params(const nmrt_match *m, nmrt_error *e)
{
    for (int64_t i = 0; i < m->program->n_params; i++) {
        const nmdrv_param *p = &m->program->param[i];
        if (p->is_state || !nmrt_weights_have(m->map, i))
            continue;
        if (p->rank > NMRT_MAX_RANK || p->dtype != NMDRV_F32)
            return nmrt_fail(e, NMRT_USAGE, "%s is not of f32: it cannot be read from %s", p->path,
                             m->from->path);
        NMRT_TRY(check_param(m, i, e));
    }
    return NMRT_OK;
}

void nmrt_match_names(nmrt_match *m, const nmdrv_program *program, const nmdrv_weights *map,
                      const nmrt_foreign *from)
{
    *m = (nmrt_match){.program = program, .map = map, .from = from};
    find_prefix(m);
}

nmrt_status nmrt_match_init(nmrt_match *m, const nmdrv_program *program, const nmdrv_weights *map,
                            const nmrt_foreign *from, nmrt_error *e)
{
    nmrt_match_names(m, program, map, from);
    m->used = calloc((size_t)from->n + 1, sizeof *m->used);
    if (!m->used)
        return nmrt_fail(e, NMRT_WORLD, "no memory to read %s", from->path);
    NMRT_TRY(check_params(m, e));
    return check_parts(m, e);
}

void nmrt_match_release(nmrt_match *m)
{
    free(m->used);
    *m = (nmrt_match){0};
}

void nmrt_match_print_unused(const nmrt_match *m, nmrt_text *out)
{
    int64_t n = 0;
    for (int64_t i = 0; i < m->from->n; i++)
        n += !m->used[i];
    if (!n)
        return;
    nmrt_text_add(out, "note: %lld tensor%s of %s no parameter has: ", (long long)n,
                  n > 1 ? "s" : "", m->from->path);
    for (int64_t i = 0, k = 0; i < m->from->n && k < SHOWN; i++)
        if (!m->used[i])
            nmrt_text_add(out, "%s%.200s", k++ ? ", " : "", m->from->tensor[i].is->name);
    nmrt_text_add(out, "%s\n", n > SHOWN ? ", ..." : "");
}

// --- numbers -----------------------------------------------------------------------------------

// What was read of the tensor, from element `first` on, may leave the memory: it comes from the
// file again. Strides are not negative.
static void forget(const nmrt_foreign_tensor *t, const nmrt_strides *s, int64_t first,
                   int64_t bytes)
{
    int64_t n = 1;
    for (int k = 0; k < s->rank; k++)
        n += (s->n[k] - 1) * s->file[k];
    nmrt_map_forget(t->at + first * bytes, (size_t)(n * bytes));
}

static void read_instance(const nmdrv_part_of *part, const nmrt_foreign_tensor *t,
                          const nmrt_box *instance, const nmrt_box *box, float *to)
{
    int64_t file, at, bytes = 0;
    nmrt_strides s = nmrt_instance_strides(part, instance, box, &file, &at);
    nmrt_convert_knows(t->is->dtype, &bytes);
    nmrt_strides_read(&s, t->is->dtype, t->at + file * bytes, to + at);
    forget(t, &s, file, bytes);
}

nmrt_status nmrt_match_read(const nmrt_match *m, int64_t param, const nmrt_box *box, float *to,
                            nmrt_error *e)
{
    for (int64_t k = 0; k < m->map->n_parts; k++) {
        const nmdrv_part_of *part = &m->map->part[k];
        nmrt_box whole, both;
        if (part->param != param)
            continue;
        whole = nmrt_part_box(m->program, part);
        if (!nmrt_box_meet(&whole, box, &both))
            continue;
        for (nmrt_instance i = {0}; nmrt_instance_next(part, &both, &i);) {
            const nmrt_foreign_tensor *t = nmrt_match_find(m, i.name);
            if (!t)
                return nmrt_fail(e, NMRT_CORRUPT, "%s has no %s any more", m->from->path, i.name);
            read_instance(part, t, &i.box, box, to);
        }
    }
    return NMRT_OK;
}
