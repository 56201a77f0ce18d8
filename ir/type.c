// Types, interned. Only what a type uses is compared: dims behind its rank and axes behind their
// number are cleared.
#include "ir/form.h"
#include "ir/tables.h"

#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

const nm_dtype_info nm_dtype_table[NM_N_DTYPES] = {
#define DTYPE(id, size, floating) [NM_##id] = {.name = #id, .bytes = size, .is_float = floating},
#include "ir/dtypes.def"
#undef DTYPE
};

static bool same_dim(const nm_dim *a, const nm_dim *b)
{
    return a->name == b->name && a->extent == b->extent && nm_axes_same(&a->axes, &b->axes);
}

static bool same_but_dims(const nm_type *a, const nm_type *b)
{
    return a->dtype == b->dtype && a->rank == b->rank && nm_axes_same(&a->pending, &b->pending) &&
           (a->kind == b->kind || !a->pending.n);
}

static bool same_type(const void *item, const void *wanted)
{
    const nm_type *a = item, *b = wanted;
    if (!same_but_dims(a, b))
        return false;
    for (int i = 0; i < a->rank; i++)
        if (!same_dim(&a->dim[i], &b->dim[i]))
            return false;
    return true;
}

static uint64_t hash_axes(uint64_t h, const nm_axes *axes)
{
    h = nm_hash64_more(h, &axes->n, sizeof axes->n);
    return nm_hash64_more(h, axes->axis, (size_t)axes->n * sizeof axes->axis[0]);
}

static uint64_t hash_type(const nm_type *t)
{
    uint64_t h = nm_hash64(&t->dtype, sizeof t->dtype);
    for (int i = 0; i < t->rank; i++) {
        const void *parts[] = {t->dim[i].name, t->dim[i].extent};
        h = hash_axes(nm_hash64_more(h, parts, sizeof parts), &t->dim[i].axes);
    }
    return hash_axes(h, &t->pending);
}

static void clear_axes(nm_axes *axes)
{
    for (int i = axes->n; i < NM_MAX_AXES; i++)
        axes->axis[i] = NULL;
}

static void clear_unused(nm_type *t)
{
    for (int i = 0; i < t->rank; i++)
        clear_axes(&t->dim[i].axes);
    for (int i = t->rank; i < NM_MAX_RANK; i++)
        t->dim[i] = (nm_dim){0};
    clear_axes(&t->pending);
    if (!t->pending.n)
        t->kind = NM_PENDING_SUM;
}

const nm_type *nm_type_get(nm_module *m, const nm_type *t)
{
    if (t->rank < 0 || t->rank > NM_MAX_RANK || t->dtype >= NM_N_DTYPES)
        nm_bug("a type of rank %d, dtype %d", t->rank, (int)t->dtype);
    for (int i = 0; i < t->rank; i++)
        if (!t->dim[i].name || !t->dim[i].extent)
            nm_bug("a type's dim %d has no %s", i, t->dim[i].name ? "extent" : "name");
    nm_type sorted = *t;
    nm_axes_sort(&sorted.pending);
    struct nm_hash_slot *slot =
        nm_hash_set_find(m->arena, &m->tables->types, hash_type(&sorted), same_type, &sorted);
    if (!slot->item) {
        nm_type *copy = nm_new(m->arena, nm_type);
        *copy = sorted;
        clear_unused(copy);
        slot->item = copy;
    }
    return slot->item;
}

int nm_type_find(const nm_type *t, nm_sym dim)
{
    for (int i = 0; i < t->rank; i++)
        if (t->dim[i].name == dim)
            return i;
    return -1;
}

bool nm_type_is_activation(const nm_type *t)
{
    for (int i = 0; i < t->rank; i++)
        if (!nm_extent_is_const(t->dim[i].extent, NULL))
            return true;
    return false;
}

bool nm_type_same_set(const nm_type *a, const nm_type *b)
{
    if (a == b)
        return true;
    if (!same_but_dims(a, b))
        return false;
    for (int i = 0; i < a->rank; i++) {
        int k = nm_type_find(b, a->dim[i].name);
        if (k < 0 || !same_dim(&a->dim[i], &b->dim[k]))
            return false;
    }
    return true;
}

const nm_type *nm_type_scalar(nm_module *m, nm_dtype dtype)
{
    return nm_type_get(m, &(nm_type){.dtype = dtype});
}

const nm_type *nm_type_with_dtype(nm_module *m, const nm_type *t, nm_dtype dtype)
{
    nm_type n = *t;
    n.dtype = dtype;
    return nm_type_get(m, &n);
}

const nm_type *nm_type_without(nm_module *m, const nm_type *t, nm_sym dim)
{
    nm_type n = *t;
    n.rank = 0;
    for (int i = 0; i < t->rank; i++)
        if (t->dim[i].name != dim)
            n.dim[n.rank++] = t->dim[i];
    return nm_type_get(m, &n);
}

const nm_type *nm_type_with_outer(nm_module *m, const nm_type *t, nm_dim dim)
{
    if (t->rank == NM_MAX_RANK)
        nm_bug("a type of more than %d dims", NM_MAX_RANK);
    nm_type n = *t;
    memmove(&n.dim[1], &n.dim[0], (size_t)n.rank++ * sizeof n.dim[0]);
    n.dim[0] = dim;
    return nm_type_get(m, &n);
}

bool nm_type_is_bare(const nm_type *t)
{
    for (int i = 0; i < t->rank; i++)
        if (t->dim[i].axes.n)
            return false;
    return !t->pending.n;
}

const nm_type *nm_type_bare(nm_module *m, const nm_type *t)
{
    nm_type n = *t;
    for (int i = 0; i < t->rank; i++)
        n.dim[i].axes = (nm_axes){0};
    n.pending = (nm_axes){0};
    return nm_type_get(m, &n);
}

static const char *keep(nm_module *m, FILE *f, char **text, size_t *n)
{
    fclose(f);
    const char *s = nm_arena_strndup(m->arena, *text, *n);
    free(*text);
    return s;
}

const char *nm_type_str(nm_module *m, const nm_type *t)
{
    char *text;
    size_t n;
    FILE *f = open_memstream(&text, &n);
    nm_text_type(f, m, t);
    return keep(m, f, &text, &n);
}

const char *nm_axes_str(nm_module *m, const nm_axes *axes)
{
    char *text;
    size_t n;
    FILE *f = open_memstream(&text, &n);
    nm_text_axes(f, axes);
    return keep(m, f, &text, &n);
}

const char *nm_extent_str(nm_module *m, const nm_extent *e)
{
    char *text;
    size_t n;
    FILE *f = open_memstream(&text, &n);
    nm_text_extent(f, e);
    return keep(m, f, &text, &n);
}
