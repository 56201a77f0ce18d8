// Rows of the program's table of collectives, on a mesh: the group of each is fixed, so it is made
// once; where the larger side's blocks lie depends on the sizes of the call.
#include "runtime/exchange.h"

#include "runtime/dtype.h"

#include <stdlib.h>

enum { LINE = 256 };

typedef struct nmrt_exchange_row {
    nmrt_group group;  // n 0: not made yet; owns `rank`
    nmrt_piece *piece; // [2 n]; NULL where blocks never lie otherwise than in the members' order
} nmrt_exchange_row;

nmrt_status nmrt_exchanges_init(nmrt_exchanges *x, const nmrt_mesh *mesh, nmrt_error *e)
{
    x->mesh = mesh;
    x->row = calloc((size_t)mesh->program->n_collectives + 1, sizeof *x->row);
    return x->row ? NMRT_OK : nmrt_fail(e, NMRT_WORLD, "no memory for the collectives");
}

void nmrt_exchanges_release(nmrt_exchanges *x)
{
    for (int64_t i = 0; x->row && i < x->mesh->program->n_collectives; i++) {
        free((void *)(uintptr_t)x->row[i].group.rank);
        free(x->row[i].piece);
    }
    free(x->row);
    *x = (nmrt_exchanges){0};
}

static nmrt_status make_row(const nmrt_mesh *m, const nmdrv_collective *c, nmrt_exchange_row *row,
                            nmrt_error *e)
{
    size_t most = (size_t)nmrt_mesh_ranks(m, c->axes);
    int *rank = malloc(most * sizeof *rank);
    row->group.rank = rank;
    if (c->joins && c->over >= 0)
        row->piece = malloc(2 * most * sizeof *row->piece);
    if (!rank || (c->joins && c->over >= 0 && !row->piece))
        return nmrt_fail(e, NMRT_WORLD, "no memory for a group of ranks");
    int n = nmrt_mesh_members(m, c->axes, c->units, rank), me = -1;
    for (int i = 0; i < n; i++)
        me = rank[i] == m->rank ? i : me;
    if (me < 0)
        return nmrt_fail(e, NMRT_CORRUPT,
                         "%s (%s): rank %lld runs a collective of stages that it is none of",
                         c->name, c->where, (long long)m->rank);
    row->group = (nmrt_group){n, me, rank, nmrt_group_id(rank, n)};
    return NMRT_OK;
}

// Where members' blocks lie in the whole. NULL: one behind the other.
static const nmrt_piece *find_pieces(const nmrt_mesh *m, const nmdrv_collective *c,
                                     const nmrt_exchange_row *row, const nmdrv_sym *sym)
{
    const nmdrv_sym_info *info = &m->program->sym[c->over];
    int64_t start = info->of_sym >= 0 ? sym[info->of_sym].offset : 0, at = 0;
    bool in_order = true;
    for (int i = 0; i < row->group.n; i++) {
        nmdrv_sym s = nmrt_mesh_local(m, row->group.rank[i], (int)c->over, sym);
        nmrt_run_of run[2];
        nmrt_sym_runs(&s, run);
        for (int k = 0; k < 2; k++)
            row->piece[2 * i + k] = (nmrt_piece){run[k].from - start, run[k].n};
        in_order = in_order && run[0].from - start == at && !run[1].n;
        at += s.size;
    }
    return in_order ? NULL : row->piece;
}

nmrt_status nmrt_exchanges_group(nmrt_exchanges *x, int64_t collective, nmrt_group *group,
                                 nmrt_error *e)
{
    nmrt_exchange_row *row = &x->row[collective];
    if (!row->group.n)
        NMRT_TRY(make_row(x->mesh, &x->mesh->program->collective[collective], row, e));
    *group = row->group;
    return NMRT_OK;
}

nmrt_status nmrt_exchanges_get(nmrt_exchanges *x, int64_t collective, const nmdrv_sym *sym,
                               const int64_t *geometry, nmrt_exchange *out, nmrt_error *e)
{
    const nmdrv_collective *c = &x->mesh->program->collective[collective];
    nmrt_exchange_row *row = &x->row[collective];
    bool whole = c->kind == NMDRV_ALL_REDUCE || c->kind == NMDRV_ROTATE;
    nmrt_group group;
    NMRT_TRY(nmrt_exchanges_group(x, collective, &group, e));
    *out = (nmrt_exchange){.kind = (nmdrv_collective_kind)c->kind,
                           .dtype = (nmdrv_dtype)c->dtype,
                           .max = c->max != 0,
                           .group = group,
                           .outer = geometry[0],
                           .len = whole ? 1 : geometry[1],
                           .inner = whole ? 1 : geometry[2],
                           .name = c->name,
                           .where = c->where};
    if (row->piece && row->group.n > 1)
        out->piece = find_pieces(x->mesh, c, row, sym);
    return NMRT_OK;
}

int64_t nmrt_exchange_apart(const nmrt_exchange *x)
{
    bool blocks = x->kind == NMDRV_REDUCE_SCATTER || x->kind == NMDRV_ALL_GATHER;
    int64_t larger = x->outer * x->len * x->inner * x->group.n;
    if (!blocks || (x->outer <= 1 && !x->piece))
        return 0;
    return (larger * nmrt_dtype(x->dtype)->bits / 8 + LINE - 1) / LINE * LINE;
}

// --- launches ----------------------------------------------------------------------------------

nmrt_launch_when nmrt_launch_add(nmrt_launch *l, nmrt_exchanges *all, int64_t collective,
                                 const nmdrv_sym *sym, const int64_t *geometry,
                                 nmrt_operands operands, nmrt_error *e)
{
    nmrt_exchange *x = &l->x[l->n];
    if (nmrt_exchanges_get(all, collective, sym, geometry, x, e) != NMRT_OK)
        return NMRT_LAUNCH_FAILED;
    if (x->group.n == 1)
        return NMRT_LAUNCH_NOTHING;
    x->out = operands.out;
    x->in = operands.in;
    l->n++;
    bool more = all->mesh->program->collective[collective].more && l->n < NMRT_MAX_BATCH;
    return more ? NMRT_LAUNCH_LATER : NMRT_LAUNCH_NOW;
}

bool nmrt_launch_is_async(const nmdrv_program *p, int64_t row)
{
    while (p->collective[row].more)
        row++;
    return p->collective[row].async;
}
