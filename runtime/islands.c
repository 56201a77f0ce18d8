#include "runtime/islands.h"

nmrt_islands nmrt_islands_of(const nmrt_options *o)
{
    return (nmrt_islands){o->bf16_start, o->bf16_end};
}

bool nmrt_islands_any(const nmdrv_program *p)
{
    for (int64_t i = 0; i < p->n_funcs; i++)
        if (p->func[i].products == NMDRV_PRODUCTS_BF16)
            return true;
    return false;
}

static bool has_texts(const nmdrv_program *p, int unit)
{
    for (int64_t i = 0; i < p->n_funcs; i++)
        if (p->func[i].products >= 0 && p->func[i].units >> unit & 1)
            return true;
    return false;
}

// The layers of the model that a unit's repeat has turns of: those of its dim's stem, as layers and
// layers.o, turns of several, are of the same ones.
static int64_t layers_of(const nmrt_stages *s, int unit)
{
    int64_t most = 0;
    for (int u = 1; u < s->n_units; u += 2) {
        nmrt_stage_part all = {u, 0, s->turns[u]};
        nmrt_run_of rows = nmrt_stages_rows(s, &all);
        if (nmrt_same_stem(s->name[u], s->name[unit]) && rows.from + rows.n > most)
            most = rows.from + rows.n;
    }
    return most;
}

int64_t nmrt_islands_most(const nmdrv_program *program, const nmrt_stages *s)
{
    int64_t most = 0;
    for (int u = 1; u < s->n_units; u += 2)
        if (has_texts(program, u) && layers_of(s, u) > most)
            most = layers_of(s, u);
    return most;
}

static int add_chunk(nmrt_chunk *chunk, int n, const nmrt_chunk *whole, int64_t first,
                     int64_t turns, nmdrv_products products)
{
    if (!turns)
        return n;
    chunk[n] = *whole;
    chunk[n].part.first += first;
    chunk[n].part.n = turns;
    chunk[n].products = products;
    return n + 1;
}

int nmrt_islands_chunks(const nmrt_islands *x, const nmdrv_program *program, const nmrt_stages *s,
                        const nmrt_chunk *whole, nmrt_chunk chunk[3])
{
    int unit = whole->part.unit, n = 0;
    int64_t turns = whole->part.n;
    if (!has_texts(program, unit))
        return add_chunk(chunk, n, whole, 0, turns, NMDRV_PRODUCTS_FP8);
    nmrt_run_of rows = nmrt_stages_rows(s, &whole->part);
    int64_t behind = layers_of(s, unit) - (rows.from + rows.n);
    int64_t first = nmrt_stages_turns_of(s, unit, x->start - rows.from, turns);
    int64_t last = nmrt_stages_turns_of(s, unit, x->end - behind, turns - first);
    if (first + last == turns)
        first = turns, last = 0;
    n = add_chunk(chunk, n, whole, 0, first, NMDRV_PRODUCTS_BF16);
    n = add_chunk(chunk, n, whole, first, turns - first - last, NMDRV_PRODUCTS_FP8);
    return add_chunk(chunk, n, whole, turns - last, last, NMDRV_PRODUCTS_BF16);
}
