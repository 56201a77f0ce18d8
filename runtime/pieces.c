// Boxes: made of runs, walked by rows, checked on a grid. The grid of a tensor's boxes is all
// indices at which one begins or ends, per dim; each box is painted on its cells, and a cell has to
// be painted once. Boxes of one mesh lie on a grid with as many cells as boxes.
#include "runtime/pieces.h"

#include "runtime/dtype.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_CELLS = 1 << 24 };

// The next index in row-major order; false: that was the last.
static bool advance(int rank, int64_t *index, const int64_t *extent)
{
    for (int k = rank - 1; k >= 0; k--) {
        if (++index[k] < extent[k])
            return true;
        index[k] = 0;
    }
    return false;
}

// --- runs --------------------------------------------------------------------------------------

typedef struct run { // global indices [from, from + n) lie at `at` of the part
    int64_t from, n, at;
} run;

typedef struct runs { // of a dim
    run *at;
    int64_t n, size, total; // size: local indices so far
    bool wrong;
} runs;

static void add_run(runs *r, int64_t from, int64_t n)
{
    int64_t inside = from + n > r->total ? r->total - from : n;
    run *last = r->n ? &r->at[r->n - 1] : NULL;
    r->wrong = r->wrong || from < 0 || n < 0;
    if (inside > 0 && last && last->from + last->n == from && last->at + last->n == r->size)
        last->n += inside;
    else if (inside > 0)
        r->at[r->n++] = (run){from, inside, r->size};
    r->size += n;
}

static void add_runs_of(runs *r, const nmdrv_sym *s)
{
    nmrt_run_of part[2];
    int n = nmrt_sym_runs(s, part);
    for (int i = 0; i < n; i++)
        add_run(r, part[i].from, part[i].n);
}

static bool find_runs(runs *r, const nmdrv_program *program, int64_t dim, const nmdrv_sym *sym,
                      const nmrt_share *share)
{
    int n = share && share->n_turns > 2 ? share->n_turns : 2;
    r->at = malloc((size_t)n * sizeof *r->at);
    if (!r->at)
        return false;
    if (share && share->n_turns)
        for (int i = 0; i < share->n_turns; i++)
            add_run(r, share->turn[i].from, share->turn[i].n);
    else if (sym && program->dim[dim].sym >= 0)
        add_runs_of(r, &sym[program->dim[dim].sym]);
    else
        add_run(r, 0, r->total);
    return true;
}

// --- a rank's part -----------------------------------------------------------------------------

static void combine(nmrt_part *part, int rank, const runs *dim)
{
    int64_t index[NMRT_MAX_RANK] = {0}, extent[NMRT_MAX_RANK];
    for (int k = 0; k < rank; k++)
        extent[k] = dim[k].n;
    do {
        nmrt_held *h = &part->held[part->n++];
        h->box.rank = rank;
        for (int k = 0; k < rank; k++) {
            const run *r = &dim[k].at[index[k]];
            h->box.from[k] = r->from;
            h->box.n[k] = r->n;
            h->at[k] = r->at;
        }
    } while (advance(rank, index, extent));
}

static nmrt_status fill_part(nmrt_part *part, int rank, const runs *dim, const nmrt_slot *slot,
                             nmrt_error *e)
{
    int64_t boxes = 1, size = 1, inside = 0;
    bool wrong = false;
    for (int k = 0; k < rank; k++) {
        boxes *= dim[k].n;
        size *= part->shape[k] = dim[k].size;
        wrong = wrong || dim[k].wrong;
    }
    if (wrong || size * nmrt_dtype(slot->arg->dtype)->bits / 8 > slot->bytes)
        return nmrt_fail(e, NMRT_CORRUPT,
                         "the program is inconsistent: the memory of %s does not fit its dims",
                         slot->name);
    part->held = malloc((size_t)(boxes + 1) * sizeof *part->held);
    if (!part->held)
        return nmrt_fail(e, NMRT_WORLD, "no memory for the pieces of %s", slot->name);
    if (boxes)
        combine(part, rank, dim);
    for (int i = 0; i < part->n; i++)
        inside += nmrt_box_elements(&part->held[i].box);
    part->padded = inside < size;
    return NMRT_OK;
}

static int64_t axes_of(const nmdrv_program *program, const nmdrv_arg *arg)
{
    int64_t axes = 0;
    for (int64_t k = 0; k < arg->rank; k++) {
        int64_t sym = program->dim[arg->dim[k]].sym;
        for (int64_t i = 0; sym >= 0 && i < program->sym[sym].n_axes; i++)
            axes |= (int64_t)1 << program->sym[sym].axis[i];
    }
    return axes;
}

// Is this rank the first along every axis that does not split the tensor? Over pp the owner says.
static bool is_first(const nmdrv_program *program, const nmdrv_arg *arg, const nmrt_share *share,
                     const nmrt_mesh *mesh)
{
    int64_t split = axes_of(program, arg) | (int64_t)1 << NMDRV_PP;
    for (int a = 0; mesh && a < NMDRV_N_AXES; a++)
        if (!(split >> a & 1) && mesh->index[a])
            return false;
    return !share || !share->elsewhere;
}

// The runs of dim k of a parameter. Where a program does several rows of it a turn (gemma2's
// layers), and nothing trains them, its functions have the turns' dim before that of a turn's rows:
// `apart` is 1.
static bool find_dim(runs *r, const nmdrv_program *program, const nmrt_slot *slot,
                     const nmrt_shares *shares, const nmrt_share *share, int64_t apart, int k)
{
    const nmdrv_sym *sym = apart && !k ? NULL : shares->sym;
    return find_runs(r, program, slot->arg->dim[k + apart], sym, k ? NULL : share);
}

nmrt_status nmrt_part_init(nmrt_part *part, const nmdrv_program *program, int64_t param,
                           const nmrt_slot *slot, const nmrt_shares *shares, nmrt_error *e)
{
    const nmdrv_param *p = &program->param[param];
    const nmrt_share *share = shares->param ? &shares->param[param] : NULL;
    runs dim[NMRT_MAX_RANK] = {0};
    bool memory = true;
    *part = (nmrt_part){.first = is_first(program, slot->arg, share, shares->mesh)};
    int64_t apart = slot->arg->rank - p->rank;
    if (p->rank > NMRT_MAX_RANK || apart < 0 || apart > 1)
        return nmrt_fail(e, NMRT_CORRUPT, "the program is inconsistent: %s has %lld dims", p->path,
                         (long long)p->rank);
    for (int k = 0; k < p->rank && memory; k++) {
        dim[k].total = p->shape[k];
        memory = find_dim(&dim[k], program, slot, shares, share, apart, k);
    }
    nmrt_status status = memory ? fill_part(part, (int)p->rank, dim, slot, e)
                                : nmrt_fail(e, NMRT_WORLD, "no memory for %s", p->path);
    for (int k = 0; k < p->rank; k++)
        free(dim[k].at);
    return status;
}

void nmrt_part_release(nmrt_part *part)
{
    free(part->held);
    *part = (nmrt_part){0};
}

// --- boxes -------------------------------------------------------------------------------------

int64_t nmrt_box_elements(const nmrt_box *box)
{
    int64_t n = 1;
    for (int k = 0; k < box->rank; k++)
        n *= box->n[k];
    return n;
}

bool nmrt_box_meet(const nmrt_box *a, const nmrt_box *b, nmrt_box *both)
{
    both->rank = a->rank;
    for (int k = 0; k < a->rank; k++) {
        int64_t a_end = a->from[k] + a->n[k], b_end = b->from[k] + b->n[k];
        both->from[k] = a->from[k] > b->from[k] ? a->from[k] : b->from[k];
        both->n[k] = (a_end < b_end ? a_end : b_end) - both->from[k];
        if (both->n[k] <= 0)
            return false;
    }
    return true;
}

void nmrt_box_print(const nmrt_box *box, const int64_t *whole, nmrt_text *out)
{
    bool part = false;
    for (int k = 0; k < box->rank; k++)
        part = part || box->n[k] != whole[k];
    for (int k = 0; part && k < box->rank; k++)
        nmrt_text_add(out, "%s%lld:%lld", k ? ", " : "[", (long long)box->from[k],
                      (long long)(box->from[k] + box->n[k]));
    if (part)
        nmrt_text_add(out, "]");
}

nmrt_rows nmrt_rows_of(int rank, const int64_t *n, nmrt_view a, nmrt_view b)
{
    nmrt_rows r = {.n = 1};
    int64_t a_step = 1, b_step = 1;
    bool joined = true; // all of the dims behind lie in one run
    for (int k = rank - 1; k >= 0; k--) {
        r.a += a.from[k] * a_step;
        r.b += b.from[k] * b_step;
        if (joined)
            r.n *= n[k];
        else {
            r.rank = r.rank ? r.rank : k + 1;
            r.extent[k] = n[k];
            r.a_step[k] = a_step;
            r.b_step[k] = b_step;
        }
        joined = joined && n[k] == a.shape[k] && n[k] == b.shape[k];
        a_step *= a.shape[k];
        b_step *= b.shape[k];
    }
    return r;
}

bool nmrt_rows_next(nmrt_rows *r)
{
    if (!r->started)
        return r->started = true;
    for (int k = r->rank - 1; k >= 0; k--) {
        r->a += r->a_step[k];
        r->b += r->b_step[k];
        if (++r->index[k] < r->extent[k])
            return true;
        r->a -= r->extent[k] * r->a_step[k];
        r->b -= r->extent[k] * r->b_step[k];
        r->index[k] = 0;
    }
    return false;
}

// --- many boxes --------------------------------------------------------------------------------

typedef struct grid {
    int rank;
    int64_t *cut[NMRT_MAX_RANK], extent[NMRT_MAX_RANK]; // cell i of a dim: [cut[i], cut[i + 1])
    unsigned char *painted;                             // [cells], row-major
    int64_t cells;
} grid;

static int ascending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static bool cut_dim(grid *g, int k, const nmrt_box *whole, const nmrt_box *box, int n)
{
    int64_t *cut = g->cut[k] = malloc(((size_t)n + 1) * 2 * sizeof *cut), m = 1;
    if (!cut)
        return false;
    for (int i = 0; i <= n; i++) {
        const nmrt_box *b = i < n ? &box[i] : whole;
        cut[2 * i] = b->from[k];
        cut[2 * i + 1] = b->from[k] + b->n[k];
    }
    qsort(cut, ((size_t)n + 1) * 2, sizeof *cut, ascending);
    for (int i = 1; i < 2 * (n + 1); i++)
        if (cut[i] != cut[m - 1])
            cut[m++] = cut[i];
    g->extent[k] = m - 1;
    return true;
}

static int64_t find_cut(const grid *g, int k, int64_t index)
{
    const int64_t *at = bsearch(&index, g->cut[k], (size_t)g->extent[k] + 1, sizeof *at, ascending);
    return at - g->cut[k];
}

// Paints the cells of a box; false, and where: one of them was painted before.
static bool paint(grid *g, const nmrt_box *box, int64_t *where)
{
    int64_t from[NMRT_MAX_RANK], n[NMRT_MAX_RANK], index[NMRT_MAX_RANK] = {0};
    for (int k = 0; k < g->rank; k++) {
        from[k] = find_cut(g, k, box->from[k]);
        n[k] = find_cut(g, k, box->from[k] + box->n[k]) - from[k];
    }
    do {
        int64_t cell = 0;
        for (int k = 0; k < g->rank; k++)
            cell = cell * g->extent[k] + from[k] + index[k];
        for (int k = 0; k < g->rank; k++)
            where[k] = g->cut[k][from[k] + index[k]];
        if (g->painted[cell]++)
            return false;
    } while (advance(g->rank, index, n));
    return true;
}

static bool find_bare(const grid *g, int64_t *where)
{
    for (int64_t cell = 0; cell < g->cells; cell++) {
        int64_t rest = cell;
        for (int k = g->rank - 1; k >= 0; k--) {
            where[k] = g->cut[k][rest % g->extent[k]];
            rest /= g->extent[k];
        }
        if (!g->painted[cell])
            return true;
    }
    return false;
}

static bool lies_in(const nmrt_box *box, const nmrt_box *whole)
{
    for (int k = 0; k < whole->rank; k++)
        if (box->from[k] < 0 || box->n[k] <= 0 || box->n[k] > whole->n[k] ||
            box->from[k] > whole->n[k] - box->n[k])
            return false;
    return box->rank == whole->rank;
}

static nmrt_status tell(const char *name, const int64_t *where, int rank, const char *what,
                        nmrt_error *e)
{
    nmrt_text index = {0};
    for (int k = 0; k < rank; k++)
        nmrt_text_add(&index, "%s%lld", k ? ", " : "[", (long long)where[k]);
    nmrt_fail(e, NMRT_CORRUPT, "%s%s%s is in %s", name, rank && index.at ? index.at : "",
              rank ? "]" : "", what);
    nmrt_text_release(&index);
    return NMRT_CORRUPT;
}

static nmrt_status check_grid(grid *g, const nmrt_box *whole, const nmrt_box *box, int n,
                              const char *name, nmrt_error *e)
{
    int64_t where[NMRT_MAX_RANK] = {0};
    for (int k = 0; k < g->rank; k++) {
        if (!cut_dim(g, k, whole, box, n))
            return nmrt_fail(e, NMRT_WORLD, "no memory to check the pieces of %s", name);
        if (g->cells > MAX_CELLS / g->extent[k])
            return nmrt_fail(e, NMRT_CORRUPT, "the pieces of %s lie on no grid", name);
        g->cells *= g->extent[k];
    }
    g->painted = calloc((size_t)g->cells, 1);
    if (!g->painted)
        return nmrt_fail(e, NMRT_WORLD, "no memory to check the pieces of %s", name);
    for (int i = 0; i < n; i++)
        if (!paint(g, &box[i], where))
            return tell(name, where, g->rank, "two pieces", e);
    return find_bare(g, where) ? tell(name, where, g->rank, "no piece", e) : NMRT_OK;
}

nmrt_status nmrt_boxes_check(const nmrt_box *whole, const nmrt_box *box, int n, const char *name,
                             nmrt_error *e)
{
    grid g = {.rank = whole->rank, .cells = 1};
    if (!nmrt_box_elements(whole) && !n)
        return NMRT_OK;
    for (int i = 0; i < n; i++)
        if (!lies_in(&box[i], whole))
            return nmrt_fail(e, NMRT_CORRUPT, "a piece of %s does not lie in it", name);
    nmrt_status status = check_grid(&g, whole, box, n, name, e);
    free(g.painted);
    for (int k = 0; k < g.rank; k++)
        free(g.cut[k]);
    return status;
}
