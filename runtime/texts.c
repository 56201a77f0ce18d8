// The texts of a run.
#include "runtime/texts.h"

#include <string.h>

static const char *behind(const char *prefix, const char *name)
{
    size_t n = strlen(prefix);
    return strncmp(name, prefix, n) ? NULL : name + n;
}

const char *nmrt_complete_name(const char *name) { return behind("pending.", name); }
const char *nmrt_gradient_path(const char *name) { return behind("grad.", name); }

nmrt_texts nmrt_texts_of(const nmrt_mesh *mesh, int64_t n_micro, bool kept)
{
    return (nmrt_texts){.program = mesh->program,
                        .mode = mesh->mode,
                        .once = mesh->zero < 2 || nmrt_mesh_dp(mesh) == 1,
                        .several = n_micro > 1,
                        .kept = kept};
}

// Of a step, in one mode.
static bool same_part(const nmdrv_func *a, const nmdrv_func *b)
{
    return a->role == b->role && a->mode == b->mode && a->phase == b->phase &&
           a->units == b->units && (a->turns < 0) == (b->turns < 0);
}

// With the same rest of the step beside it.
static bool same_variant(const nmdrv_func *a, const nmdrv_func *b)
{
    return same_part(a, b) && a->recompute == b->recompute && a->products == b->products;
}

const nmdrv_func *nmrt_texts_other(const nmdrv_program *p, const nmdrv_func *func, nmdrv_sums sums)
{
    for (int64_t i = 0; i < p->n_funcs; i++) {
        const nmdrv_func *f = &p->func[i];
        if (same_variant(f, func) && f->kept == func->kept && f->sums == (int64_t)sums)
            return f;
    }
    return NULL;
}

double nmrt_texts_own_flops(const nmdrv_program *p, const nmdrv_func *func, const nmdrv_sym *sym)
{
    int64_t least = func->flops(sym);
    for (int64_t i = 0; i < p->n_funcs && func->recompute >= 0; i++) {
        const nmdrv_func *f = &p->func[i];
        int64_t flops = same_part(f, func) && f->sums == func->sums ? f->flops(sym) : least;
        least = flops < least ? flops : least;
    }
    return (double)least;
}

// Does it leave a gradient pending that others add to?
static bool leaves_pending(const nmdrv_func *f)
{
    for (int64_t i = 0; i < f->n_results; i++)
        if (f->result[i].bind == NMDRV_ACC && nmrt_complete_name(f->result[i].name))
            return true;
    return false;
}

// A step of one micro-batch has nothing to keep pending but what the step's end completes.
static bool takes(const nmrt_texts *t, const nmdrv_func *f, const nmdrv_func *last)
{
    if (!last) // of the end of a step
        return f->sums == NMDRV_ONCE;
    if (t->several)
        return f->sums != NMDRV_EACH;
    return f->sums == (leaves_pending(last) ? NMDRV_LAST : NMDRV_EACH);
}

bool nmrt_texts_may_keep(const nmdrv_program *p)
{
    for (int64_t i = 0; i < p->n_funcs; i++)
        if (p->func[i].kept)
            return true;
    return false;
}

// Has it a text that takes what is kept?
static bool could_take(const nmdrv_program *p, const nmdrv_func *func)
{
    for (int64_t i = 0; i < p->n_funcs; i++)
        if (p->func[i].kept && same_variant(&p->func[i], func) && p->func[i].sums == func->sums)
            return true;
    return false;
}

// Of texts that differ in that alone, one is the run's.
static bool keeps_alike(const nmrt_texts *t, const nmdrv_func *f)
{
    if (f->kept || f->role == NMDRV_WEIGHTS)
        return t->kept;
    return !t->kept || !could_take(t->program, f);
}

bool nmrt_texts_has(const nmrt_texts *t, const nmdrv_func *f)
{
    if ((f->mode >= 0 && f->mode != t->mode) || !keeps_alike(t, f))
        return false;
    if (!t->once || !nmrt_texts_other(t->program, f, NMDRV_ONCE))
        return f->sums == NMDRV_EACH;
    return takes(t, f, nmrt_texts_other(t->program, f, NMDRV_LAST));
}
