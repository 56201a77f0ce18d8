// The mesh of a run. Ranks are numbered in mixed radix over the axes, major first, so a coordinate
// is a digit, and the group over some axes is what counting these digits gives.
#include "runtime/mesh.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { DP = NMRT_DP_AXES, CP = NMRT_CP_AXES, TP = NMRT_TP_AXES };

// --- what is wrong -----------------------------------------------------------------------------

// Collects lines; a message holds what fits.
static void add_line(nmrt_error *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add_line(nmrt_error *e, const char *fmt, ...)
{
    size_t n = strlen(e->text);
    if (n && n + 1 < sizeof e->text)
        e->text[n++] = '\n', e->text[n] = 0;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(e->text + n, sizeof e->text - n, fmt, ap);
    va_end(ap);
}

// The flags that made these axes: "--dp 2 x --cp 4".
static void add_flags(const nmrt_mesh *m, int64_t axes, nmrt_text *out)
{
    const struct {
        int64_t axes;
        const char *flag;
    } flag[] = {{DP, "dp"}, {CP, "cp"}, {TP, "tp"}};
    const char *sep = "";
    for (size_t i = 0; i < sizeof flag / sizeof *flag; i++)
        if (nmrt_mesh_ranks(m, axes & flag[i].axes) > 1) {
            nmrt_text_add(out, "%s--%s %lld", sep, flag[i].flag,
                          (long long)nmrt_mesh_ranks(m, flag[i].axes));
            sep = " x ";
        }
}

static void add_indivisible(const nmrt_mesh *m, const char *what, int64_t axes, nmrt_error *e)
{
    nmrt_text flags = {0};
    add_flags(m, axes, &flags);
    add_line(e, "%s is not divisible by %s", what,
             flags.failed || !flags.at ? "its axes" : flags.at);
    nmrt_text_release(&flags);
}

// --- the sizes of the axes ---------------------------------------------------------------------

int64_t nmrt_gcd(int64_t a, int64_t b) { return b ? nmrt_gcd(b, a % b) : a; }

static void check_flags(const nmrt_mesh_flags *f, nmrt_error *e)
{
    const struct {
        const char *name;
        int64_t n;
    } part[] = {{"tp", f->tp}, {"pp", f->pp}, {"cp", f->cp},
                {"dp", f->dp}, {"vp", f->vp}, {"nproc", f->world}};
    for (size_t i = 0; i < sizeof part / sizeof *part; i++)
        if (part[i].n < 0 || part[i].n > NMRT_MAX_RANKS)
            add_line(e, "--%s %lld is more than %d", part[i].name, (long long)part[i].n,
                     NMRT_MAX_RANKS);
    if (f->zero < 0 || f->zero > 3)
        add_line(e, "--zero takes 0, 1, 2 or 3, not %lld", (long long)f->zero);
}

// dp, from the world or as it was given; 0: does not factor.
static int64_t derive_dp(const nmrt_mesh_flags *f, nmrt_error *e)
{
    int64_t inner = f->tp * f->pp * f->cp; // each at most 2^20: no overflow
    if (!f->world)
        return f->dp ? f->dp : 1;
    if (f->world % inner) {
        add_line(e, "%lld ranks are not divisible by --tp %lld x --pp %lld x --cp %lld = %lld",
                 (long long)f->world, (long long)f->tp, (long long)f->pp, (long long)f->cp,
                 (long long)inner);
        return 0;
    }
    int64_t dp = f->world / inner;
    if (f->dp && f->dp != dp) {
        add_line(
            e,
            "--dp %lld, but %lld ranks / (--tp %lld x --pp %lld x --cp %lld) = %lld: leave --dp "
            "out",
            (long long)f->dp, (long long)f->world, (long long)f->tp, (long long)f->pp,
            (long long)f->cp, (long long)dp);
        return 0;
    }
    return dp;
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

// How well a mode's text fits; -1: not at all.
static int fit(const nmrt_mesh *m, const nmdrv_mode *mode, bool sp, bool ring)
{
    int64_t need = 0, alone = 1 << NMDRV_PP;
    for (int a = 0; a < NMDRV_N_AXES; a++)
        need |= (int64_t)(m->size[a] > 1) << a;
    if (need & ~mode->axes || (mode->ring != 0) != (ring && nmrt_mesh_cp(m) > 1))
        return -1;
    if (!(need & ~alone))
        return 4 + !(mode->axes & ~alone); // nothing is cut: the text that fuses everything
    if (!(mode->axes & ~alone))
        return -1;
    if (!(need & TP)) // nothing to have a second home on
        return mode->axes & TP ? 1 + (mode->sp != 0) : 3;
    return (mode->sp != 0) == sp ? 3 : -1;
}

// Axes that are split here and in no text: nemocc was told that they are 1. Are there any?
static bool refuse_fixed(const nmrt_mesh *m, nmrt_error *e)
{
    const struct {
        const char *name;
        int64_t axes;
    } flag[] = {{"tp", TP}, {"cp", CP}, {"dp", DP}, {"pp", 1 << NMDRV_PP}};
    const nmdrv_program *p = m->program;
    int64_t has = 0;
    bool any = false;
    for (int i = 0; i < p->n_modes; i++)
        has |= p->mode[i].axes;
    for (size_t i = 0; i < sizeof flag / sizeof *flag; i++) {
        int64_t n = nmrt_mesh_ranks(m, flag[i].axes);
        if (n == 1 || has & flag[i].axes)
            continue;
        add_line(e, "--%s %lld: %s was compiled with --fix %s=1, or its mesh has no row %s",
                 flag[i].name, (long long)n, p->name, flag[i].name, flag[i].name);
        any = true;
    }
    return any;
}

static void choose_mode(nmrt_mesh *m, bool sp, bool ring, nmrt_error *e)
{
    const nmdrv_program *p = m->program;
    m->mode = -1;
    if (!p->n_modes) {
        if (m->world > 1)
            add_line(e, "%s was compiled for one rank, not for %lld", p->name, (long long)m->world);
        return;
    }
    int best = -1;
    for (int i = 0; i < p->n_modes; i++) {
        int n = fit(m, &p->mode[i], sp, ring);
        if (n > best)
            best = n, m->mode = i;
    }
    if (m->mode >= 0 || refuse_fixed(m, e))
        return;
    nmrt_text has = {0};
    for (int i = 0; i < p->n_modes; i++)
        nmrt_text_add(&has, "%s %s", i ? "," : "", p->mode[i].name);
    add_line(e, "%s has no text for --zero %lld --sp %d%s on this mesh; it has%s", p->name,
             (long long)m->zero, (int)sp, ring ? " --cp-comm ring" : "", has.failed ? "" : has.at);
    nmrt_text_release(&has);
}

// --- divisibility ------------------------------------------------------------------------------

static bool is_local(const nmdrv_sym_info *s) { return *s->of && s->n_axes > 0; }

static int64_t axes_of(const nmdrv_sym_info *s)
{
    int64_t axes = 0;
    for (int64_t i = 0; i < s->n_axes; i++)
        axes |= (int64_t)1 << s->axis[i];
    return axes;
}

// A run-time dim stands on tp only as its second home.
static bool is_used(const nmrt_mesh *m, const nmdrv_sym_info *s)
{
    bool second = s->of_sym >= 0 && axes_of(s) & TP;
    return !second || m->mode < 0 || m->program->mode[m->mode].sp;
}

static int64_t round_up(int64_t n, int64_t to) { return to > 1 ? (n + to - 1) / to * to : n; }

// The stages cut a repeat as evenly as they can: pp need not divide it.
static int64_t parts_of(const nmrt_mesh *m, const nmdrv_sym_info *s)
{
    return nmrt_mesh_ranks(m, axes_of(s) & ~(int64_t)(1 << NMDRV_PP));
}

// Is there a line that begins so?
static bool is_said(const nmrt_error *e, const char *start)
{
    for (const char *line = e->text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, start, strlen(start)) == 0)
            return true;
    }
    return false;
}

static void check_extent(const nmrt_mesh *m, const nmdrv_sym_info *s, int64_t whole, nmrt_error *e)
{
    if (!is_used(m, s) || round_up(whole, s->pad) % parts_of(m, s) == 0)
        return;
    nmrt_text what = {0};
    nmrt_text_add(&what, "%s = %lld (%s)", s->of, (long long)whole, s->where);
    if (round_up(whole, s->pad) != whole)
        nmrt_text_add(&what, ", padded to %lld,", (long long)round_up(whole, s->pad));
    if (!what.failed && !is_said(e, what.at)) // `ff` over tp, and over tp and dp: once
        add_indivisible(m, what.at, axes_of(s), e);
    nmrt_text_release(&what);
}

static bool is_on(const nmdrv_sym_info *s, int axis) { return axes_of(s) == 1 << axis; }

static const nmdrv_dim *find_dim(const nmdrv_program *p, const char *name, size_t n)
{
    for (int64_t i = 0; i < p->n_dims; i++)
        if (strncmp(p->dim[i].name, name, n) == 0 && !p->dim[i].name[n])
            return &p->dim[i];
    return NULL;
}

// Heads of queries are kv heads times groups, over tpk times tpr. Groups that tpr does not divide
// are heads that tp does not divide, unless another kind of key heads keeps tpk small.
static void check_groups(const nmrt_mesh *m, const nmdrv_sym_info *s, nmrt_error *e)
{
    const char *end = strrchr(s->of, '.'); // heads.g
    size_t n = end ? (size_t)(end - s->of) : strlen(s->of);
    const nmdrv_dim *heads = find_dim(m->program, s->of, n);
    int64_t tpk = m->size[NMDRV_TPK], tp = tpk * m->size[NMDRV_TPR];
    nmrt_text what = {0};
    if (!heads || s->extent % m->size[NMDRV_TPR] == 0)
        return;
    nmrt_text_add(&what, "%s = %lld (%s)", heads->name, (long long)heads->extent, heads->where);
    if (!what.failed && heads->extent % tp == 0)
        add_line(e,
                 "%s, in groups of %lld, is not divisible by --tp %lld / %lld: all key heads "
                 "together divide into %lld",
                 what.at, (long long)s->extent, (long long)tp, (long long)tpk, (long long)tpk);
    else if (!what.failed)
        add_indivisible(m, what.at, TP, e);
    nmrt_text_release(&what);
}

static bool has_groups(const nmdrv_program *p)
{
    for (int64_t i = 0; i < p->n_syms; i++)
        if (is_local(&p->sym[i]) && is_on(&p->sym[i], NMDRV_TPR))
            return true;
    return false;
}

// Heads without groups have to fill tp alone.
static void check_plain(const nmrt_mesh *m, const nmdrv_sym_info *s, nmrt_error *e)
{
    nmrt_text what = {0};
    nmrt_text_add(&what, "%s = %lld (%s)", s->of, (long long)s->extent, s->where);
    if (!what.failed && m->size[NMDRV_TPR] > 1 && !has_groups(m->program))
        add_indivisible(m, what.at, TP, e);
    nmrt_text_release(&what);
}

static void check_fixed(const nmrt_mesh *m, nmrt_error *e)
{
    const nmdrv_program *p = m->program;
    for (int64_t i = 0; i < p->n_syms; i++) {
        const nmdrv_sym_info *s = &p->sym[i];
        if (!is_local(s) || s->of_sym >= 0)
            continue;
        if (is_on(s, NMDRV_TPR))
            check_groups(m, s, e);
        else if (is_on(s, NMDRV_TPK))
            check_plain(m, s, e);
        else
            check_extent(m, s, s->extent, e);
    }
}

// Has any value a dim on one of these axes?
static bool splits(const nmdrv_program *p, int64_t axes)
{
    for (int64_t i = 0; i < p->n_syms; i++)
        if (is_local(&p->sym[i]) && axes_of(&p->sym[i]) & axes)
            return true;
    return false;
}

// Ranks that would do what others do. What is not on cpr is only stored on cp, so with dp.
static void check_rows(const nmrt_mesh *m, nmrt_error *e)
{
    const struct {
        const char *name;
        int64_t axes, work;
    } row[] = {{"tp", TP, TP}, {"cp", CP, 1 << NMDRV_CPR}, {"dp", DP, 1 << NMDRV_DPR}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        int64_t n = nmrt_mesh_ranks(m, row[i].axes);
        if (m->mode >= 0 && n > 1 && !splits(m->program, row[i].work))
            add_line(e, "--%s %lld: %s has nothing to split over %s", row[i].name, (long long)n,
                     m->program->name, row[i].name);
    }
}

static void check_stages(const nmrt_mesh *m, nmrt_error *e)
{
    const nmdrv_program *p = m->program;
    int64_t pp = m->size[NMDRV_PP], stages = pp * m->vp;
    if (stages == 1 || !p->n_modes)
        return;
    if (pp == 1)
        add_line(e, "--vp %lld needs --pp: one stage is not interleaved with itself",
                 (long long)m->vp);
    else if (!p->pp_turns)
        add_line(e, "--pp %lld: %s has nothing to split over stages", (long long)pp, p->name);
    else if (stages > p->pp_turns && m->vp > 1)
        add_line(e, "--pp %lld x --vp %lld are more stages than %s = %lld", (long long)pp,
                 (long long)m->vp, p->pp_where, (long long)p->pp_turns);
    else if (stages > p->pp_turns)
        add_line(e, "--pp %lld is more stages than %s = %lld", (long long)pp, p->pp_where,
                 (long long)p->pp_turns);
}

// --- what is kept once, over how many ranks of dp and cp ---------------------------------------

// Do all dims divide that only what is kept has on the axis?
static bool store_divides(const nmrt_mesh *m, int rest, int axis)
{
    for (int64_t i = 0; i < m->program->n_syms; i++) {
        const nmdrv_sym_info *s = &m->program->sym[i];
        bool stores = is_local(s) && axes_of(s) >> axis & 1 && !(axes_of(s) >> rest & 1);
        if (stores && s->of_sym < 0 && round_up(s->extent, s->pad) % parts_of(m, s))
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
    *m = (nmrt_mesh){
        .program = program, .vp = flags->vp, .zero = flags->zero, .balance = flags->balance};
    e->text[0] = 0;
    check_flags(flags, e);
    int64_t dp = *e->text ? 0 : derive_dp(flags, e);
    if (!dp)
        return NMRT_USAGE;
    double world = (double)flags->tp * (double)flags->pp * (double)flags->cp * (double)dp;
    if (world > NMRT_MAX_RANKS)
        return nmrt_fail(e, NMRT_USAGE, "%.0f ranks are more than %d", world, NMRT_MAX_RANKS);
    set_sizes(m, flags, dp);
    settle_stores(m);
    choose_mode(m, flags->sp, flags->ring, e);
    check_rows(m, e);
    check_stages(m, e);
    check_fixed(m, e);
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

static bool is_zigzag(const nmrt_mesh *m, const nmdrv_sym_info *s, int64_t whole)
{
    int64_t cp = nmrt_mesh_cp(m);
    return s->of_sym >= 0 && axes_of(s) & CP && cp > 1 && m->balance != NMRT_CONTIGUOUS &&
           whole % (2 * cp) == 0;
}

// Indices [from, from + n) of what the zigzag gives to rank c of cp: chunk c, then chunk
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

// The block of `parts` that the axes without cp and pp give: index and count, major first. Axes in
// front of cp would split before it; types have cp in front (sharding.md, type-3).
static nmdrv_sym cut(const nmrt_mesh *m, const nmdrv_sym_info *s, int64_t whole)
{
    int64_t axes = axes_of(s) & ~(int64_t)(1 << NMDRV_PP), parts = nmrt_mesh_ranks(m, axes),
            index = 0;
    for (int64_t i = 0; i < s->n_axes; i++)
        if (s->axis[i] != NMDRV_PP)
            index = index * m->size[s->axis[i]] + m->index[s->axis[i]];
    int64_t all = round_up(whole, s->pad), n = all / parts, more = all % parts;
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

nmrt_status nmrt_mesh_check(const nmrt_mesh *m, const nmdrv_sym *sym, nmrt_error *e)
{
    const nmdrv_program *p = m->program;
    e->text[0] = 0;
    for (int64_t i = 0; i < p->n_syms; i++) {
        const nmdrv_sym_info *s = &p->sym[i];
        if (!is_local(s) || s->of_sym < 0)
            continue;
        int64_t whole = sym[s->of_sym].size, cp = nmrt_mesh_cp(m);
        check_extent(m, s, whole, e);
        if (m->balance == NMRT_ZIGZAG && axes_of(s) == CP && cp > 1 && whole % (2 * cp))
            add_line(
                e, "%s = %lld (%s) is not divisible by 2 x --cp %lld, as --cp-balance zigzag wants",
                s->of, (long long)whole, s->where, (long long)cp);
    }
    return *e->text ? NMRT_USAGE : NMRT_OK;
}

int nmrt_sym_runs(const nmdrv_sym *sym, nmrt_run_of run[2])
{
    int64_t half = sym->half < sym->size && sym->jump ? sym->half : sym->size;
    run[0] = (nmrt_run_of){sym->offset, half};
    run[1] = (nmrt_run_of){sym->offset + half + sym->jump, sym->size - half};
    return half < sym->size ? 2 : 1;
}
