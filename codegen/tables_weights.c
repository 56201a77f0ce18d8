// Weights of foreign checkpoints as rows: nmdrv_weights.
//
// A map speaks of parameters as they were declared. Passes may have split a dim of theirs into
// several, major first (passes/split_heads.c): then its stride is the last one's.
#include "codegen/tables.h"
#include "ir/weights.h"
#include "runtime/driver_abi.h"

#include <string.h>

typedef struct finer { // a part, by the dims that its parameter has now
    int rank;
    int64_t stride[NM_MAX_RANK], from[NM_MAX_RANK], extent[NM_MAX_RANK];
    int dim[NM_MAX_RANK]; // by declared dim: the one that it became; -1: several
} finer;

// Dims [*at, end) of the type that are declared dim j together.
static int pieces_end(const nm_part_of *part, int j, const nm_type *type, int at)
{
    int64_t all = 1, extent = 0;
    int end = at;
    while (end < type->rank && (end == at || all < part->dim[j])) {
        nm_extent_is_const(type->dim[end++].extent, &extent);
        all *= extent;
    }
    return end;
}

static void split_dim(const nm_part_of *part, int j, const nm_type *type, int at, int end, finer *f)
{
    int64_t stride = part->stride[j];
    for (int i = end - 1; i >= at; i--) {
        f->stride[i] = stride;
        nm_extent_is_const(type->dim[i].extent, &f->extent[i]);
        stride *= f->extent[i];
    }
    f->dim[j] = at + 1 == end ? at : -1;
    if (at + 1 != end)
        return;
    f->from[at] = part->from[j];
    f->extent[at] = part->extent[j];
}

// false: what the map says of a dim cannot be said of what it was split into.
static bool refine(const nm_part_of *part, const nm_type *type, finer *f)
{
    int at = 0;
    *f = (finer){.rank = type->rank};
    for (int j = 0; j < part->n_dims; j++) {
        int end = j + 1 == part->n_dims ? type->rank : pieces_end(part, j, type, at);
        split_dim(part, j, type, at, end, f);
        if (f->dim[j] < 0 && (!part->stride[j] || part->extent[j] != part->dim[j]))
            return false;
        at = end;
    }
    return true;
}

// "layers.{0}.w" by the dims that there are now.
static const char *name_of(nm_table *t, nm_sym name, const finer *f)
{
    const char *out = "";
    for (const char *at = name ? name : "";;) {
        int n = (int)strcspn(at, "{"), j = 0;
        if (!at[n])
            return nm_arena_fmt(t->p->m->arena, "%s%s", out, at);
        const char *digit = at + n + 1;
        for (; *digit != '}'; digit++)
            j = j * 10 + *digit - '0';
        out = nm_arena_fmt(t->p->m->arena, "%s%.*s{%d}", out, n, at, f->dim[j]);
        at = digit + 1;
    }
}

static LLVMValueRef word_list(nm_table *t, int n, const int64_t *word)
{
    LLVMValueRef r[NM_MAX_RANK];
    for (int i = 0; i < n; i++)
        r[i] = nm_word(t, word[i]);
    return nm_rows(t, n, r, "words");
}

static LLVMValueRef part_row(nm_table *t, const nm_part_of *part, const finer *f)
{
    const nm_module *m = t->p->m;
    const nm_param *param = nm_param_lookup(t->p->m, part->param);
    return NM_ROW(t, nm_string(t, name_of(t, part->name, f)), nm_string(t, part->codec),
                  nm_string(t, name_of(t, part->scales, f)),
                  nm_string(t, nm_where(t->p->m, part->loc)), nm_word(t, param - m->param),
                  nm_word(t, part->rank), word_list(t, part->rank, part->shape),
                  nm_word(t, part->base), word_list(t, f->rank, f->stride),
                  word_list(t, f->rank, f->from), word_list(t, f->rank, f->extent));
}

// misfit: set where a part cannot be said.
static LLVMValueRef part_rows(nm_table *t, const nm_weights *w, const char **misfit)
{
    LLVMValueRef *r = nm_row_list(t, w->n_parts);
    for (int i = 0; i < w->n_parts; i++) {
        finer f;
        if (!refine(&w->part[i], nm_param_lookup(t->p->m, w->part[i].param)->type, &f)) {
            *misfit = nm_arena_fmt(
                t->p->m->arena,
                "its tensors have single heads of %s, which the program has by key heads",
                w->part[i].param);
            return nm_rows(t, 0, NULL, "parts");
        }
        r[i] = part_row(t, &w->part[i], &f);
    }
    return nm_rows(t, w->n_parts, r, "parts");
}

static LLVMValueRef config_row(nm_table *t, const nm_config_row *row)
{
    LLVMValueRef *key = nm_row_list(t, row->n_keys);
    for (int i = 0; i < row->n_keys; i++)
        key[i] = nm_string(t, row->key[i]);
    return NM_ROW(t, nm_word(t, row->n_keys), nm_rows(t, row->n_keys, key, "keys"),
                  nm_string(t, row->value), nm_string(t, row->absent), nm_word(t, row->written),
                  nm_string(t, nm_where(t->p->m, row->loc)));
}

static LLVMValueRef weights_row(nm_table *t, const nm_weights *w)
{
    const char *misfit = w->misfit;
    LLVMValueRef *row = nm_row_list(t, w->n_rows);
    for (int i = 0; i < w->n_rows; i++)
        row[i] = config_row(t, &w->row[i]);
    LLVMValueRef parts = part_rows(t, w, &misfit);
    return NM_ROW(t, nm_string(t, w->name), nm_string(t, nm_where(t->p->m, w->loc)),
                  nm_string(t, misfit), nm_word(t, w->n_rows), nm_rows(t, w->n_rows, row, "config"),
                  nm_word(t, misfit ? 0 : w->n_parts), parts);
}

LLVMValueRef nm_weights_rows(nm_table *t)
{
    const nm_module *m = t->p->m;
    LLVMValueRef *r = nm_row_list(t, m->n_weights);
    for (int i = 0; i < m->n_weights; i++)
        r[i] = weights_row(t, &m->weights[i]);
    return nm_rows(t, m->n_weights, r, "weights");
}
