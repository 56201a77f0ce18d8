// Shard: whole tensors onto a mesh. The mesh table says which dims go to which axes; one rule gives
// the form of every value, and where a reader demands another form a collective stands
// (docs/mesh.md). The sizes of axes are not known here: the text is the same for all of them. What
// does differ are modes; each function of a step is copied once a mode.
//
// After autodiff, since the rule needs no gradients of its own then; before fuse, which works on
// what a rank computes. Dead code is gone: it would ask for collectives.
#include "passes/shard.h"

#include "passes/comm_subject.h"
#include "passes/mask_segments.h"
#include "passes/pass.h"
#include "passes/ring.h"

#include <string.h>

// --- which functions, which modes ----------------------------------------------------------------

static bool has_role(const nm_func *f)
{
    return nm_func_has_role(f, "init") || nm_func_has_role(f, "train") ||
           nm_func_has_role(f, "eval") || nm_func_has_role(f, "infer");
}

static bool has_rules(const nm_func *f)
{
    nm_each_op(op, f)
        if (!nm_form_has_rule(op) || (op->body && !has_rules(op->body)))
            return false;
    return true;
}

static bool can_split(nm_module *m)
{
    nm_claims c = nm_claims_of(m, true, NM_STORE_none);
    nm_each_func(f, m)
        if (has_role(f) && !has_rules(f))
            return false;
    return c.n > 0;
}

static bool has_second_home(nm_module *m)
{
    nm_claims c = nm_claims_of(m, true, NM_STORE_none);
    for (int i = 0; i < c.n; i++)
        if (c.claim[i].kind == NM_CLAIM_also)
            return true;
    return false;
}

// --- one mode ------------------------------------------------------------------------------------

static nm_shard_funcs find_functions(nm_module *m)
{
    nm_shard_funcs all = {0};
    nm_each_func(f, m)
        all.n++;
    all.f = nm_new_n(m->arena, nm_func *, all.n + 1);
    all.n = 0;
    nm_each_func(f, m)
        if (has_role(f))
            all.f[all.n++] = f;
    return all;
}

static nm_func *copy_func(nm_func *f, const nm_mode *mode, nm_sums sums)
{
    static const char *const tail[] = {
        [NM_SUMS_each] = "", [NM_SUMS_once] = ".once", [NM_SUMS_last] = ".last"};
    nm_module *m = f->module;
    nm_func *copy =
        nm_func_clone(f, nm_sym_fmt(m, "%s.%s%s", f->name, mode->name, tail[sums]), NULL);
    copy->part = f->part;
    copy->part.mode = nm_sym_get(m, mode->name);
    copy->part.sums = sums;
    if (!mode->whole)
        nm_mask_segments(copy);
    return copy;
}

// The mode's texts of all functions: what adds to a pending accumulator says first how it lies.
static nm_shard_funcs copy_all(nm_module *m, const nm_mode *mode, const nm_shard_funcs *all)
{
    nm_shard_funcs of = {.f = nm_new_n(m->arena, nm_func *, 3 * all->n + 1)};
    for (int sums = NM_SUMS_each; sums <= NM_SUMS_last; sums++)
        for (int i = 0; i < all->n; i++) {
            if (!nm_shard_has_sums(all, all->f[i], (nm_sums)sums))
                continue;
            nm_func *f = of.f[of.n++] = copy_func(all->f[i], mode, (nm_sums)sums);
            if (sums != NM_SUMS_each)
                nm_shard_defer(all, f);
        }
    return of;
}

// What is done once a step, beside the parameters and states themselves, is split as they are.
static bool is_of_states(const nm_func *f)
{
    return f->part.phase >= NM_PHASE_before || nm_shard_gives(f, NM_BIND_param) ||
           nm_shard_gives(f, NM_BIND_state);
}

static void infer_all(nm_shard *s, int n, nm_table *table)
{
    do {
        table->changed = false;
        for (int i = 0; i < n; i++) {
            nm_shard_infer(&s[i]);
            nm_shard_join_links(&s[i]);
        }
    } while (table->changed);
}

static void shard_mode(nm_module *m, const nm_mode *mode, const nm_shard_funcs *all)
{
    nm_arena scratch = {0};
    nm_shard_funcs of = copy_all(m, mode, all);
    nm_shard *s = nm_new_n(&scratch, nm_shard, of.n + 1);
    nm_table table = {.mode = mode,
                      .param = nm_claims_of(m, mode->also, NM_STORE_param),
                      .state = nm_claims_of(m, mode->also, NM_STORE_state)};
    for (int i = 0; i < of.n; i++) {
        s[i] = (nm_shard){.m = m, .arena = &scratch, .f = of.f[i]};
        s[i].table = &table;
        s[i].claims = is_of_states(s[i].f) ? &table.state : &table.param;
        nm_shard_open(&s[i]);
        nm_shard_place(&s[i]);
    }
    table.n = 0; // placement asked what could stay pending; now it is known what does
    infer_all(s, of.n, &table);
    for (int i = 0; i < of.n; i++)
        nm_shard_demand(&s[i]);
    for (int i = 0; i < of.n; i++)
        nm_shard_emit(&s[i]);
    for (int i = 0; i < of.n; i++)
        nm_shard_end_in_place(all, &s[i]);
    nm_arena_free(&scratch);
}

static void shard_without_tp(nm_module *m, const nm_mode *mode, const nm_shard_funcs *all)
{
    nm_mesh_row *rows = m->mesh;
    int n = m->n_mesh;
    m->mesh = nm_new_n(m->arena, nm_mesh_row, n + 1);
    m->n_mesh = 0;
    for (int i = 0; i < n; i++)
        if (strcmp(rows[i].axis, "tp") != 0)
            m->mesh[m->n_mesh++] = rows[i];
    if (m->n_mesh < n && can_split(m))
        shard_mode(m, mode, all);
    m->mesh = rows;
    m->n_mesh = n;
}

static int place_of(nm_sym axis) // -1: there is no such axis
{
    static const char *const axes[] = {"dp", "ep", "cp", "tp", "pp"};
    for (size_t i = 0; i < sizeof axes / sizeof *axes; i++)
        if (!strcmp(axis, axes[i]))
            return (int)i;
    return -1;
}

static bool is_stored(const nm_module *m, nm_sym dim)
{
    for (int i = 0; i < m->n_params; i++)
        if (nm_has_dim(m->param[i].type, dim))
            return true;
    return false;
}

// A dim of two rows is at home in the earlier one: what data are cut by, and rank order, go by
// that. Parameters have one home, and so their dims do.
static bool check_shared(nm_module *m, nm_sym dim, const nm_mesh_row *row, const nm_mesh_row *after)
{
    if (place_of(row->axis) > place_of(after->axis))
        return nm_error(m->diag, after->loc,
                        "'%s' is in the rows %s and %s: %s stands first [mesh-8]", dim, row->axis,
                        after->axis, after->axis);
    if (is_stored(m, dim))
        return nm_error(m->diag, after->loc,
                        "'%s' is in the rows %s and %s: a dim of parameters is in one [mesh-10]",
                        dim, row->axis, after->axis);
    return true;
}

static bool check_order(nm_module *m, const nm_mesh_row *row, const nm_mesh_row *after)
{
    bool staged = !strcmp(row->axis, "pp") || !strcmp(after->axis, "pp");
    for (int i = 0; i < after->dims.n && !staged; i++)
        if (nm_syms_has(row->dims, after->dims.sym[i]) &&
            !check_shared(m, after->dims.sym[i], row, after))
            return false;
    return true;
}

// In tp's row, what parameters have is split before what only data have.
static bool check_tensor_row(nm_module *m, const nm_mesh_row *row)
{
    nm_sym runtime = NULL;
    for (int i = 0; i < row->dims.n && !strcmp(row->axis, "tp"); i++) {
        bool fixed = !nm_dim_lookup(m, row->dims.sym[i])->runtime;
        if (fixed && runtime)
            return nm_error(m->diag, row->loc,
                            "'%s' stands behind the dims of parameters in tp's row [mesh-9]",
                            runtime);
        runtime = fixed ? NULL : row->dims.sym[i];
    }
    return true;
}

// A run can only ask for the axes that the runtime has flags for.
static bool check_axes(nm_module *m)
{
    bool ok = true;
    for (int i = 0; i < m->n_mesh; i++) {
        if (place_of(m->mesh[i].axis) < 0)
            ok = nm_error(m->diag, m->mesh[i].loc,
                          "a mesh has no axis '%s': its axes are dp, ep, cp, tp and pp [mesh-7]",
                          m->mesh[i].axis);
        ok &= check_tensor_row(m, &m->mesh[i]);
        for (int k = 0; k < i; k++)
            ok &= check_order(m, &m->mesh[k], &m->mesh[i]);
    }
    return ok;
}

bool nm_pass_shard(nm_module *m, bool *changed)
{
    nm_shard_funcs all = find_functions(m);
    if (!all.n)
        return true;
    if (!check_axes(m))
        return false;
    bool split = can_split(m), second = has_second_home(m), ring = nm_ring_wanted(m);
    for (int i = 0; i < NM_N_MODES; i++) {
        const nm_mode *mode = &nm_mode_table[i];
        if (mode->whole)
            for (int k = 0; k < all.n; k++)
                copy_func(all.f[k], mode, NM_SUMS_each);
        else if (mode->no_tp)
            shard_without_tp(m, mode, &all);
        else if (split && (mode->also || second) && (!mode->ring || ring))
            shard_mode(m, mode, &all);
    }
    for (int i = 0; i < all.n; i++)
        nm_func_remove(all.f[i]);
    nm_each_func(f, m)
        nm_comm_name_all(f);
    *changed = true;
    return true;
}
