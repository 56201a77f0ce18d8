// The mesh of a run. Ranks are numbered in mixed radix over the axes, major first, so a coordinate
// is a digit, and the group over some axes is what counting these digits gives.
#include "runtime/mesh.h"

#include "runtime/mesh_check.h"

#include <string.h>

enum { CP = NMRT_CP_AXES, TP = NMRT_TP_AXES };

// --- what symbols say --------------------------------------------------------------------------

bool nmrt_sym_is_local(const nmdrv_sym_info *s) { return *s->of && s->n_axes > 0; }

int64_t nmrt_sym_axes(const nmdrv_sym_info *s)
{
    int64_t axes = 0;
    for (int64_t i = 0; i < s->n_axes; i++)
        axes |= (int64_t)1 << s->axis[i];
    return axes;
}

// The stages cut a repeat as evenly as they can: pp need not divide it.
int64_t nmrt_sym_parts(const nmrt_mesh *m, const nmdrv_sym_info *s)
{
    return nmrt_mesh_ranks(m, nmrt_sym_axes(s) & ~(int64_t)(1 << NMDRV_PP));
}

// Every part of a padded dim has as many indices, so the whole is a multiple of tp, too.
int64_t nmrt_sym_stored(const nmrt_mesh *m, const nmdrv_sym_info *s, int64_t whole)
{
    int64_t tp = nmrt_mesh_ranks(m, TP), to = s->pad / nmrt_gcd(s->pad, tp) * tp;
    return s->pad > 0 ? (whole + to - 1) / to * to : whole;
}

// --- the sizes of the axes ---------------------------------------------------------------------

int64_t nmrt_gcd(int64_t a, int64_t b) { return b ? nmrt_gcd(b, a % b) : a; }

// dp, from the world or as it was given.
static int64_t derive_dp(const nmrt_mesh_flags *f)
{
    return f->world ? f->world / (f->tp * f->pp * f->cp) : f->dp ? f->dp : 1;
}

static void set_sizes(nmrt_mesh *m, const nmrt_mesh_flags *f, int64_t dp)
{
    int64_t kv = m->program->kv_extent, tpk = kv > 0 ? nmrt_gcd(kv, f->tp) : f->tp;
    const int64_t size[NMDRV_N_AXES] = {
        [NMDRV_PP] = f->pp, [NMDRV_DPR] = dp,  [NMDRV_DPS] = 1,
        [NMDRV_DPP] = 1,    [NMDRV_EP] = 1,    [NMDRV_CPR] = f->cp,
        [NMDRV_CPS] = 1,    [NMDRV_TPK] = tpk, [NMDRV_TPR] = f->tp / tpk,
    };
    memcpy(m->size, size, sizeof size);
    m->world = f->pp * dp * f->cp * f->tp;
}

// --- the mode ----------------------------------------------------------------------------------

// Can the mode's text run on this mesh? Where tp is 1, seq has no second home to be with or
// without.
static bool serves(const nmrt_mesh *m, const nmdrv_mode *mode, bool sp, bool ring)
{
    int64_t need = 0;
    for (int a = 0; a < NMDRV_N_AXES; a++)
        need |= (int64_t)(m->size[a] > 1) << a;
    return !(need & ~mode->axes) && (mode->ring != 0) == (ring && nmrt_mesh_cp(m) > 1) &&
           (!(need & TP) || (mode->sp != 0) == sp);
}

// Is there a text for tp without seq's second home? Where seq has none, sp changes nothing.
static bool has_nosp(const nmdrv_program *p)
{
    for (int i = 0; i < p->n_modes; i++)
        if (p->mode[i].axes & TP && !p->mode[i].sp)
            return true;
    return false;
}

// The first of those with the fewest axes: what may be split keeps kernels apart.
static void choose_mode(nmrt_mesh *m, const nmrt_mesh_flags *f)
{
    const nmdrv_mode *mode = m->program->mode;
    bool sp = f->sp || !has_nosp(m->program);
    m->mode = -1;
    for (int i = 0; i < m->program->n_modes; i++)
        if (serves(m, &mode[i], sp, f->ring) &&
            (m->mode < 0 || __builtin_popcountll((unsigned long long)mode[i].axes) <
                                __builtin_popcountll((unsigned long long)mode[m->mode].axes)))
            m->mode = i;
}

// --- what is kept once, over how many ranks of dp and cp ---------------------------------------

// Do all dims divide that only what is kept has on the axis?
static bool store_divides(const nmrt_mesh *m, int rest, int axis)
{
    for (int64_t i = 0; i < m->program->n_syms; i++) {
        const nmdrv_sym_info *s = &m->program->sym[i];
        bool stores =
            nmrt_sym_is_local(s) && nmrt_sym_axes(s) >> axis & 1 && !(nmrt_sym_axes(s) >> rest & 1);
        if (stores && s->of_sym < 0 && nmrt_sym_stored(m, s, s->extent) % nmrt_sym_parts(m, s))
            return false;
    }
    return true;
}

// It is split over as many of the ranks of `rest` as divide the dims; those are `axis` from now on.
// The ranks that are left in `rest` hold the same again.
static void settle_store(nmrt_mesh *m, int rest, int axis)
{
    int64_t all = m->size[rest], part = all;
    for (; part > 1; part--) {
        m->size[axis] = part;
        if (all % part == 0 && store_divides(m, rest, axis))
            break;
    }
    m->size[axis] = part;
    m->size[rest] = all / part;
}

// dp first: over it ZeRO-3 splits parameters, too.
static void settle_stores(nmrt_mesh *m)
{
    if (m->zero)
        settle_store(m, NMDRV_DPR, m->zero == 3 ? NMDRV_DPP : NMDRV_DPS);
    settle_store(m, NMDRV_CPR, NMDRV_CPS);
}

nmrt_status nmrt_mesh_init(nmrt_mesh *m, const nmdrv_program *program, const nmrt_mesh_flags *flags,
                           nmrt_error *e)
{
    *m = (nmrt_mesh){.program = program, .zero = flags->zero, .balance = flags->balance};
    m->vp = flags->pp > 1 ? flags->vp : 1; // one stage is not interleaved with itself
    e->text[0] = 0;
    nmrt_mesh_check_flags(flags, e);
    if (*e->text)
        return NMRT_USAGE;
    set_sizes(m, flags, derive_dp(flags));
    settle_stores(m);
    choose_mode(m, flags);
    nmrt_mesh_check_fit(m, flags, e);
    return *e->text ? NMRT_USAGE : NMRT_OK;
}

// --- ranks and groups --------------------------------------------------------------------------

void nmrt_mesh_place(nmrt_mesh *m, int64_t rank)
{
    m->rank = rank;
    for (int a = NMDRV_N_AXES - 1; a >= 0; a--) {
        m->index[a] = rank % m->size[a];
        rank /= m->size[a];
    }
}

nmrt_mesh nmrt_mesh_of(const nmrt_mesh *m, const nmdrv_program *program)
{
    nmrt_mesh same = *m;
    same.program = program;
    same.mode = -1;
    for (int i = 0; m->mode >= 0 && i < program->n_modes; i++)
        if (strcmp(program->mode[i].name, m->program->mode[m->mode].name) == 0)
            same.mode = i;
    return same;
}

int64_t nmrt_mesh_dp(const nmrt_mesh *m)
{
    return m->size[NMDRV_DPR] * m->size[NMDRV_DPS] * m->size[NMDRV_DPP];
}

int64_t nmrt_mesh_cp(const nmrt_mesh *m) { return m->size[NMDRV_CPR] * m->size[NMDRV_CPS]; }

int64_t nmrt_mesh_ranks(const nmrt_mesh *m, int64_t axes)
{
    int64_t n = 1;
    for (int a = 0; a < NMDRV_N_AXES; a++)
        n *= axes >> a & 1 ? m->size[a] : 1;
    return n;
}

int64_t nmrt_mesh_index(const nmrt_mesh *m, int64_t axes)
{
    int64_t index = 0;
    for (int a = 0; a < NMDRV_N_AXES; a++)
        if (axes >> a & 1)
            index = index * m->size[a] + m->index[a];
    return index;
}

// The world rank whose coordinates on `axes` are the digits of `index`, and otherwise this rank's.
static int64_t member(const nmrt_mesh *m, int64_t axes, int64_t index)
{
    int64_t rank = 0, weight = 1;
    for (int a = NMDRV_N_AXES - 1; a >= 0; a--) {
        int64_t digit = m->index[a];
        if (axes >> a & 1) {
            digit = index % m->size[a];
            index /= m->size[a];
        }
        rank += digit * weight;
        weight *= m->size[a];
    }
    return rank;
}

int nmrt_mesh_members(const nmrt_mesh *m, int64_t axes, int64_t units, int *rank)
{
    int64_t all = nmrt_mesh_ranks(m, axes), per_stage = m->world / m->size[NMDRV_PP];
    int n = 0;
    for (int64_t i = 0; i < all; i++) {
        int64_t r = member(m, axes, i);
        bool runs = !(axes >> NMDRV_PP & 1) || !units || !m->stage_units ||
                    m->stage_units[r / per_stage] & units;
        if (runs)
            rank[n++] = (int)r;
    }
    return n;
}

void nmrt_mesh_group(const nmrt_mesh *m, int64_t axes, int *rank)
{
    nmrt_mesh_members(m, axes, 0, rank);
}

void nmrt_mesh_print(const nmrt_mesh *m, nmrt_text *out)
{
    nmrt_text_add(out, "tp %lld, pp %lld", (long long)(m->size[NMDRV_TPK] * m->size[NMDRV_TPR]),
                  (long long)m->size[NMDRV_PP]);
    if (m->vp > 1)
        nmrt_text_add(out, " (vp %lld)", (long long)m->vp);
    nmrt_text_add(out, ", cp %lld", (long long)nmrt_mesh_cp(m));
    if (m->size[NMDRV_CPR] > 1)
        nmrt_text_add(out, " (optimizer state over %lld of them)", (long long)m->size[NMDRV_CPS]);
    nmrt_text_add(out, ", dp %lld", (long long)nmrt_mesh_dp(m));
    int64_t dp = nmrt_mesh_dp(m), part = m->size[NMDRV_DPS] * m->size[NMDRV_DPP];
    if (dp > 1 && m->zero && part < dp)
        nmrt_text_add(out, " (ZeRO-%lld over %lld of them)", (long long)m->zero, (long long)part);
    else if (dp > 1)
        nmrt_text_add(out, " (ZeRO-%lld)", (long long)m->zero);
}

// --- symbols -----------------------------------------------------------------------------------

// Run-time dims that cp splits first of all.
static bool is_zigzag(const nmrt_mesh *m, const nmdrv_sym_info *s, int64_t whole)
{
    int64_t cp = nmrt_mesh_cp(m);
    bool first = s->of_sym >= 0 && s->n_axes && (int64_t)1 << s->axis[0] & CP;
    return first && cp > 1 && m->balance != NMRT_CONTIGUOUS && whole % (2 * cp) == 0;
}

// Indices [from, from + n) of what the zigzag gives to rank c of cp: part c, then part
// 2 cp - 1 - c, of h indices each.
static nmdrv_sym cut_zigzag(int64_t c, int64_t cp, int64_t h, int64_t from, int64_t n)
{
    int64_t second = (2 * cp - 1 - c) * h;
    if (from >= h)
        return (nmdrv_sym){.size = n, .offset = second + from - h, .half = n};
    int64_t half = h - from < n ? h - from : n;
    return (nmdrv_sym){.size = n,
                       .offset = c * h + from,
                       .half = half,
                       .jump = half < n ? second - (c * h + h) : 0};
}

// The block of `parts` that the axes without pp give: index and count, major first.
static nmdrv_sym cut(const nmrt_mesh *m, const nmdrv_sym_info *s, int64_t whole)
{
    int64_t axes = nmrt_sym_axes(s) & ~(int64_t)(1 << NMDRV_PP), parts = nmrt_mesh_ranks(m, axes),
            index = 0;
    for (int64_t i = 0; i < s->n_axes; i++)
        if (s->axis[i] != NMDRV_PP)
            index = index * m->size[s->axis[i]] + m->index[s->axis[i]];
    int64_t all = nmrt_sym_stored(m, s, whole), n = all / parts, more = all % parts;
    if (!is_zigzag(m, s, whole)) { // the first `more` have one index more
        int64_t mine = n + (index < more), before = index < more ? index : more;
        return (nmdrv_sym){.size = mine, .offset = index * n + before, .half = mine};
    }
    int64_t cp = nmrt_mesh_cp(m), inner = parts / cp;
    return cut_zigzag(nmrt_mesh_index(m, CP), cp, whole / (2 * cp), index % inner * n, n);
}

static nmdrv_sym axis_symbol(const nmrt_mesh *m, int64_t axis)
{
    return (nmdrv_sym){.size = m->size[axis],
                       .offset = m->index[axis],
                       .total = m->size[axis],
                       .half = m->size[axis]};
}

static nmdrv_sym local_symbol(const nmrt_mesh *m, const nmdrv_sym_info *s, const nmdrv_sym *sym)
{
    if (!*s->of && s->n_axes == 1)
        return axis_symbol(m, s->axis[0]);
    const nmdrv_sym fixed = {.size = s->extent, .total = s->extent},
                    *whole = s->of_sym >= 0 ? &sym[s->of_sym] : &fixed;
    nmdrv_sym v = cut(m, s, whole->size);
    v.offset += whole->offset;
    v.total = whole->total;
    return v;
}

void nmrt_mesh_bind(const nmrt_mesh *m, nmdrv_sym *sym)
{
    for (int64_t i = 0; i < m->program->n_syms; i++)
        if (m->program->sym[i].n_axes > 0)
            sym[i] = local_symbol(m, &m->program->sym[i], sym);
}

nmdrv_sym nmrt_mesh_local(const nmrt_mesh *m, int64_t rank, int symbol, const nmdrv_sym *sym)
{
    nmrt_mesh there = *m;
    nmrt_mesh_place(&there, rank);
    const nmdrv_sym_info *s = &m->program->sym[symbol];
    return s->n_axes > 0 ? local_symbol(&there, s, sym) : sym[symbol];
}

int nmrt_sym_runs(const nmdrv_sym *sym, nmrt_run_of run[2])
{
    int64_t half = sym->half < sym->size && sym->jump ? sym->half : sym->size;
    run[0] = (nmrt_run_of){sym->offset, half};
    run[1] = (nmrt_run_of){sym->offset + half + sym->jump, sym->size - half};
    return half < sym->size ? 2 : 1;
}
