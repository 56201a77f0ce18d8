// Gradients of a step on the host, and their distance from another program's.
#include "runtime/gradients.h"

#include "runtime/texts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// --- taking --------------------------------------------------------------------------------------

// The accumulator of the parameter's gradient; NULL: it has none, or no rank holds it complete.
static const nmrt_slot *slot_of(const nmrt_plan *plan, const nmdrv_param *p)
{
    for (int i = 0; i < plan->n_slots; i++) {
        const nmrt_slot *s = &plan->slot[i];
        const char *path = s->bind == NMDRV_ACC && !s->eval ? nmrt_gradient_path(s->name) : NULL;
        if (path && strcmp(path, p->path) == 0)
            return s->arg->dtype == NMDRV_F32 ? s : NULL;
    }
    return NULL;
}

static nmrt_status take_one(nmrt_gradients *g, int64_t param, const nmrt_engine *en, nmrt_error *e)
{
    const nmdrv_param *p = &en->program->param[param];
    const nmrt_slot *slot = p->is_state ? NULL : slot_of(en->plan, p);
    if (!slot)
        return NMRT_OK;
    NMRT_TRY(nmrt_part_init(&g->part[param], en->program, param, slot, &en->shares, e));
    g->layers[param] = slot->units != 0;
    g->at[param] = malloc((size_t)slot->bytes + 1);
    if (!g->at[param])
        return nmrt_fail(e, NMRT_WORLD, "no memory for the gradient of %s", p->path);
    en->ops->copy_out(en->device, g->at[param], nmrt_engine_slot_at(en, slot), slot->bytes);
    return NMRT_OK;
}

nmrt_status nmrt_gradients_take(nmrt_gradients *g, const nmrt_engine *en, nmrt_error *e)
{
    size_t n = (size_t)en->program->n_params;
    g->program = en->program;
    g->at = calloc(n + 1, sizeof *g->at);
    g->part = calloc(n + 1, sizeof *g->part);
    g->layers = calloc(n + 1, sizeof *g->layers);
    if (!g->at || !g->part || !g->layers)
        return nmrt_fail(e, NMRT_WORLD, "no memory for gradients");
    for (size_t i = 0; i < n; i++)
        NMRT_TRY(take_one(g, (int64_t)i, en, e));
    return NMRT_OK;
}

void nmrt_gradients_release(nmrt_gradients *g)
{
    for (int64_t i = 0; g->at && i < g->program->n_params; i++)
        free(g->at[i]);
    for (int64_t i = 0; g->part && i < g->program->n_params; i++)
        nmrt_part_release(&g->part[i]);
    free(g->at);
    free(g->part);
    free(g->layers);
    *g = (nmrt_gradients){0};
}

// --- comparing -----------------------------------------------------------------------------------

// least: of the square of an element's root mean square.
static double error_of(const nmrt_apart *x, double least)
{
    double size = x->size > least * x->n ? x->size : least * x->n;
    double error = x->difference > 0 ? sqrt(x->difference / size) : 0;
    return isfinite(error) && isfinite(x->difference) ? error : INFINITY;
}

static nmrt_apart find_errors(nmrt_apart_list *list)
{
    static const double small = 1e-4; // of the root mean square of all gradients' elements
    nmrt_apart all = {.path = "all parameters together"};
    for (int64_t i = 0; i < list->n; i++) {
        all.n += list->at[i].n;
        all.difference += list->at[i].difference;
        all.size += list->at[i].size;
    }
    double least = all.n > 0 ? small * small * all.size / all.n : 0;
    for (int64_t i = 0; i < list->n; i++)
        list->at[i].error = error_of(&list->at[i], least);
    all.error = error_of(&all, 0);
    return all;
}

static void add_row(nmrt_apart *x, const float *a, const float *b, int64_t n)
{
    x->n += (double)n;
    for (int64_t i = 0; i < n; i++) {
        double d = (double)a[i] - (double)b[i];
        x->difference += d * d;
        x->size += (double)b[i] * (double)b[i];
    }
}

// One index of the box's first dim, or all of a number.
static void add_slice(nmrt_apart *x, const nmrt_part *part, const nmrt_held *held, int64_t k,
                      const float *a, const float *b)
{
    nmrt_held h = *held;
    if (h.box.rank) {
        h.at[0] += k;
        h.box.n[0] = 1;
    }
    nmrt_view view = {part->shape, h.at};
    for (nmrt_rows r = nmrt_rows_of(h.box.rank, h.box.n, view, view); nmrt_rows_next(&r);)
        add_row(x, a + r.a, b + r.b, r.n);
}

// x: the parameter's rows, one a layer, or one.
static void add_part(nmrt_apart *x, bool layers, const nmrt_part *part, const float *a,
                     const float *b)
{
    for (int i = 0; part->first && i < part->n; i++) {
        const nmrt_held *h = &part->held[i];
        for (int64_t k = 0; k < (h->box.rank ? h->box.n[0] : 1); k++)
            add_slice(layers ? &x[h->box.from[0] + k] : x, part, h, k, a, b);
    }
}

static int64_t rows_of(const nmdrv_param *p, bool layers) { return layers ? p->shape[0] : 1; }

// Rank 0 has the sums of all. The list is as long on each of them.
static nmrt_status sum_ranks(nmrt_comm *comm, const nmrt_apart_list *list, nmrt_error *e)
{
    enum { TAG = 0 };
    static const char what[] = "how far gradients are apart";
    int64_t bytes = list->n * (int64_t)sizeof *list->at;
    if (comm->rank)
        return comm->send(comm, 0, TAG, list->at, bytes, what, "", e);
    nmrt_apart *of = malloc((size_t)bytes + 1);
    nmrt_status status = of ? NMRT_OK : nmrt_fail(e, NMRT_WORLD, "no memory for gradients");
    for (int r = 1; status == NMRT_OK && r < comm->ranks; r++) {
        status = comm->recv(comm, r, TAG, of, bytes, what, "", e);
        for (int64_t i = 0; status == NMRT_OK && i < list->n; i++) {
            list->at[i].n += of[i].n;
            list->at[i].difference += of[i].difference;
            list->at[i].size += of[i].size;
        }
    }
    free(of);
    return status;
}

// Has any rank a part of it, and is it by layers? Stages have the rows of their own parameters
// alone, so each says what it knows of all.
nmrt_status nmrt_gradients_agree(const nmrt_gradients *a, nmrt_comm *comm, bool *has, bool *layers,
                                 nmrt_error *e)
{
    for (int64_t i = 0; i < a->program->n_params; i++) {
        has[i] = a->at[i] != NULL;
        layers[i] = a->layers[i];
        if (comm->ranks == 1)
            continue;
        NMRT_TRY(nmrt_comm_any(comm, &has[i], e));
        NMRT_TRY(nmrt_comm_any(comm, &layers[i], e));
    }
    return NMRT_OK;
}

static nmrt_status list_rows(const nmdrv_program *p, const bool *has, const bool *layers,
                             nmrt_apart_list *out, nmrt_error *e)
{
    int64_t n = 0;
    for (int64_t i = 0; i < p->n_params; i++)
        n += has[i] ? rows_of(&p->param[i], layers[i]) : 0;
    out->at = calloc((size_t)n + 1, sizeof *out->at);
    if (!out->at)
        return nmrt_fail(e, NMRT_WORLD, "no memory for gradients");
    for (int64_t i = 0; i < p->n_params; i++)
        for (int64_t k = 0; has[i] && k < rows_of(&p->param[i], layers[i]); k++)
            out->at[out->n++] =
                (nmrt_apart){.path = p->param[i].path,
                             .dim = layers[i] ? p->dim[p->param[i].dim[0]].name : NULL,
                             .layer = k};
    return NMRT_OK;
}

static nmrt_status compare(const nmrt_gradients *a, const nmrt_gradients *b, nmrt_comm *comm,
                           bool *has, bool *layers, nmrt_apart_list *out, nmrt_error *e)
{
    const nmdrv_program *p = a->program;
    NMRT_TRY(nmrt_gradients_agree(a, comm, has, layers, e));
    NMRT_TRY(list_rows(p, has, layers, out, e));
    nmrt_apart *x = out->at;
    for (int64_t i = 0; i < p->n_params; i++) {
        if (a->at[i] && b->at[i])
            add_part(x, layers[i], &a->part[i], a->at[i], b->at[i]);
        x += has[i] ? rows_of(&p->param[i], layers[i]) : 0;
    }
    return sum_ranks(comm, out, e);
}

nmrt_status nmrt_gradients_compare(const nmrt_gradients *a, const nmrt_gradients *b,
                                   nmrt_comm *comm, nmrt_apart_list *out, nmrt_apart *all,
                                   nmrt_error *e)
{
    size_t n = (size_t)a->program->n_params;
    bool *has = calloc(n + 1, sizeof *has), *layers = calloc(n + 1, sizeof *layers);
    *out = (nmrt_apart_list){0};
    nmrt_status status = has && layers ? compare(a, b, comm, has, layers, out, e)
                                       : nmrt_fail(e, NMRT_WORLD, "no memory for gradients");
    free(has);
    free(layers);
    *all = find_errors(out);
    return status;
}
