// Walks over elements: see eval_walk.h.
#include "ir/eval_walk.h"

#include <string.h>

int64_t nm_tensor_stride(const nm_tensor *t, nm_sym dim)
{
    int at = nm_type_find(t->type, dim);
    int64_t stride = at < 0 ? 0 : 1;
    for (int i = t->type->rank - 1; i > at && stride; i--)
        stride *= t->extent[i];
    return stride;
}

int64_t nm_tensor_extent(const nm_tensor *t, nm_sym dim)
{
    int at = nm_type_find(t->type, dim);
    return at < 0 ? 1 : t->extent[at];
}

static bool has(const nm_walk *w, nm_sym name)
{
    for (int i = 0; i < w->n; i++)
        if (w->name[i] == name)
            return true;
    return false;
}

void nm_walk_over(nm_walk *w, const nm_tensor *t, nm_sym but, nm_sym but2)
{
    for (int i = 0; i < t->type->rank; i++) {
        nm_sym name = t->type->dim[i].name;
        if (name == but || name == but2 || has(w, name))
            continue;
        w->name[w->n] = name;
        w->extent[w->n] = t->extent[i];
        w->at[w->n++] = 0;
    }
}

void nm_walk_read(nm_walk *w, const nm_tensor *t)
{
    int k = w->n_tensors++;
    w->off[k] = 0;
    for (int i = 0; i < w->n; i++)
        w->stride[k][i] = nm_tensor_stride(t, w->name[i]);
}

bool nm_walk_some(const nm_walk *w)
{
    for (int i = 0; i < w->n; i++)
        if (w->extent[i] < 1)
            return false;
    return true;
}

static void move(nm_walk *w, int dim, int64_t by)
{
    w->at[dim] += by;
    for (int k = 0; k < w->n_tensors; k++)
        w->off[k] += by * w->stride[k][dim];
}

bool nm_walk_next(nm_walk *w)
{
    for (int i = w->n - 1; i >= 0; i--) {
        if (w->at[i] + 1 < w->extent[i]) {
            move(w, i, 1);
            return true;
        }
        move(w, i, -w->at[i]);
    }
    return false;
}

// --- another order -------------------------------------------------------------------------------

nm_tensor nm_tensor_like(nm_arena *arena, const nm_tensor *t, const nm_type *type)
{
    nm_tensor like = {.type = type, .n = t->n, .data = nm_new_n(arena, double, t->n + 1)};
    for (int i = 0; i < type->rank; i++)
        like.extent[i] = nm_tensor_extent(t, type->dim[i].name);
    return like;
}

void nm_tensor_reorder(const nm_tensor *from, nm_tensor *to, double outside)
{
    nm_walk w = {0};
    nm_walk_over(&w, to, NULL, NULL);
    nm_walk_read(&w, to);
    nm_walk_read(&w, from);
    int64_t extent[NM_MAX_RANK];
    for (int i = 0; i < w.n; i++)
        extent[i] = nm_tensor_extent(from, w.name[i]);
    nm_each_element(w) {
        bool inside = true;
        for (int i = 0; i < w.n; i++)
            inside = inside && w.at[i] < extent[i];
        to->data[w.off[0]] = inside ? from->data[w.off[1]] : outside;
    }
}
