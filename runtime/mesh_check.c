// What is wrong with a mesh, in the user's words: all of it at once, a line a mistake, with the
// flags that made it and the model's line.
#include "runtime/mesh_check.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { DP = NMRT_DP_AXES, CP = NMRT_CP_AXES, TP = NMRT_TP_AXES };

// --- lines -------------------------------------------------------------------------------------

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

static void add_indivisible(const nmrt_mesh *m, const char *what, int64_t axes, const char *hint,
                            nmrt_error *e)
{
    nmrt_text flags = {0};
    add_flags(m, axes, &flags);
    add_line(e, "%s is not divisible by %s%s", what,
             flags.failed || !flags.at ? "its axes" : flags.at, hint);
    nmrt_text_release(&flags);
}

// --- the flags alone ---------------------------------------------------------------------------

static void check_numbers(const nmrt_mesh_flags *f, nmrt_error *e)
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

// Do tp, pp, cp and dp make the world? Each is at most 2^20: no overflow.
static void check_world(const nmrt_mesh_flags *f, nmrt_error *e)
{
    int64_t inner = f->tp * f->pp * f->cp;
    double ranks = f->world ? (double)f->world : (double)inner * (double)(f->dp ? f->dp : 1);
    if (f->world % inner)
        add_line(e, "%lld ranks are not divisible by --tp %lld x --pp %lld x --cp %lld = %lld",
                 (long long)f->world, (long long)f->tp, (long long)f->pp, (long long)f->cp,
                 (long long)inner);
    else if (f->world && f->dp && f->dp != f->world / inner)
        add_line(
            e,
            "--dp %lld, but %lld ranks / (--tp %lld x --pp %lld x --cp %lld) = %lld: leave --dp "
            "out",
            (long long)f->dp, (long long)f->world, (long long)f->tp, (long long)f->pp,
            (long long)f->cp, (long long)(f->world / inner));
    else if (ranks > NMRT_MAX_RANKS)
        add_line(e, "%.0f ranks are more than %d", ranks, NMRT_MAX_RANKS);
}

void nmrt_mesh_check_flags(const nmrt_mesh_flags *f, nmrt_error *e)
{
    check_numbers(f, e);
    if (!*e->text)
        check_world(f, e);
}

// --- the mode ----------------------------------------------------------------------------------

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

// The ways over cp that the program has no text for. Is there one?
static bool refuse_ring(const nmrt_mesh *m, const nmrt_mesh_flags *f, nmrt_error *e)
{
    const nmdrv_program *p = m->program;
    bool can = false;
    for (int i = 0; i < p->n_modes; i++)
        can |= p->mode[i].ring != 0;
    if (!f->ring || f->cp == 1)
        return false;
    if (!can)
        add_line(e, "--cp-comm ring: %s has no attention whose keys can go round: leave it out",
                 p->name);
    else
        add_line(e, "--sp 0 does not go together with --cp-comm ring where --tp and --cp are more "
                    "than 1: leave one of them out");
    return true;
}

static void refuse_mode(const nmrt_mesh *m, const nmrt_mesh_flags *f, nmrt_error *e)
{
    const nmdrv_program *p = m->program;
    if (p->n_modes && !refuse_fixed(m, e) && !refuse_ring(m, f, e))
        add_line(e, "%s has no text for this mesh", p->name);
    else if (!p->n_modes && m->world > 1)
        add_line(e, "%s was compiled for one rank, not for %lld", p->name, (long long)m->world);
}

// --- divisibility ------------------------------------------------------------------------------

// A run-time dim stands on tp only as its second home.
static bool is_used(const nmrt_mesh *m, const nmdrv_sym_info *s)
{
    bool second = s->of_sym >= 0 && nmrt_sym_axes(s) & TP;
    return !second || m->mode < 0 || m->program->mode[m->mode].sp;
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

// Would a run-time dim divide without its second home, which --sp 0 takes away?
static bool can_stay(const nmrt_mesh *m, const nmdrv_sym_info *s, int64_t whole)
{
    return m->mode >= 0 && s->of_sym >= 0 && nmrt_sym_axes(s) & TP &&
           !m->program->mode[m->mode].ring &&
           whole % nmrt_mesh_ranks(m, nmrt_sym_axes(s) & ~(int64_t)TP) == 0;
}

static void check_extent(const nmrt_mesh *m, const nmdrv_sym_info *s, int64_t whole, nmrt_error *e)
{
    if (!is_used(m, s) || nmrt_sym_stored(m, s, whole) % nmrt_sym_parts(m, s) == 0)
        return;
    nmrt_text what = {0};
    nmrt_text_add(&what, "%s = %lld (%s)", s->of, (long long)whole, s->where);
    if (nmrt_sym_stored(m, s, whole) != whole)
        nmrt_text_add(&what, ", padded to %lld,", (long long)nmrt_sym_stored(m, s, whole));
    if (!what.failed && !is_said(e, what.at)) // `ff` over tp, and over tp and dp: once
        add_indivisible(m, what.at, nmrt_sym_axes(s),
                        can_stay(m, s, whole) ? ": with --sp 0 it need not be" : "", e);
    nmrt_text_release(&what);
}

static bool is_on(const nmdrv_sym_info *s, int axis) { return nmrt_sym_axes(s) == 1 << axis; }

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
        add_indivisible(m, what.at, TP, "", e);
    nmrt_text_release(&what);
}

static bool has_groups(const nmdrv_program *p)
{
    for (int64_t i = 0; i < p->n_syms; i++)
        if (nmrt_sym_is_local(&p->sym[i]) && is_on(&p->sym[i], NMDRV_TPR))
            return true;
    return false;
}

// Heads without groups have to fill tp alone.
static void check_plain(const nmrt_mesh *m, const nmdrv_sym_info *s, nmrt_error *e)
{
    nmrt_text what = {0};
    nmrt_text_add(&what, "%s = %lld (%s)", s->of, (long long)s->extent, s->where);
    if (!what.failed && m->size[NMDRV_TPR] > 1 && !has_groups(m->program))
        add_indivisible(m, what.at, TP, "", e);
    nmrt_text_release(&what);
}

static void check_fixed(const nmrt_mesh *m, nmrt_error *e)
{
    const nmdrv_program *p = m->program;
    for (int64_t i = 0; i < p->n_syms; i++) {
        const nmdrv_sym_info *s = &p->sym[i];
        if (!nmrt_sym_is_local(s) || s->of_sym >= 0)
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
        if (nmrt_sym_is_local(&p->sym[i]) && nmrt_sym_axes(&p->sym[i]) & axes)
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
    if (pp == 1 || !p->n_modes)
        return;
    if (!p->pp_turns)
        add_line(e, "--pp %lld: %s has nothing to split over stages", (long long)pp, p->name);
    else if (stages > p->pp_turns && m->vp > 1)
        add_line(e, "--pp %lld x --vp %lld are more stages than %s = %lld", (long long)pp,
                 (long long)m->vp, p->pp_where, (long long)p->pp_turns);
    else if (stages > p->pp_turns)
        add_line(e, "--pp %lld is more stages than %s = %lld", (long long)pp, p->pp_where,
                 (long long)p->pp_turns);
}

void nmrt_mesh_check_fit(const nmrt_mesh *m, const nmrt_mesh_flags *f, nmrt_error *e)
{
    if (m->mode < 0)
        refuse_mode(m, f, e);
    check_rows(m, e);
    check_stages(m, e);
    check_fixed(m, e);
}

nmrt_status nmrt_mesh_check(const nmrt_mesh *m, const nmdrv_sym *sym, nmrt_error *e)
{
    const nmdrv_program *p = m->program;
    e->text[0] = 0;
    for (int64_t i = 0; i < p->n_syms; i++) {
        const nmdrv_sym_info *s = &p->sym[i];
        if (!nmrt_sym_is_local(s) || s->of_sym < 0)
            continue;
        int64_t whole = sym[s->of_sym].size, cp = nmrt_mesh_cp(m);
        check_extent(m, s, whole, e);
        if (m->balance == NMRT_ZIGZAG && nmrt_sym_axes(s) == CP && cp > 1 && whole % (2 * cp))
            add_line(
                e, "%s = %lld (%s) is not divisible by 2 x --cp %lld, as --cp-balance zigzag wants",
                s->of, (long long)whole, s->where, (long long)cp);
    }
    return *e->text ? NMRT_USAGE : NMRT_OK;
}
