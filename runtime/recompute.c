// The flag, and what it says of a stage's layers.
#include "runtime/recompute.h"

#include <stdlib.h>
#include <string.h>

static const char *const way_name[] = {[NMRT_WAY_NONE] = "none",
                                       [NMRT_WAY_SELECTIVE] = "selective",
                                       [NMRT_WAY_FULL] = "full",
                                       [NMRT_WAY_BLOCK] = "block:",
                                       [NMRT_WAY_AUTO] = "auto"};
enum { N_VARIANTS = NMRT_WAY_FULL + 1 };

bool nmrt_recompute_has(const nmdrv_program *p, nmdrv_recompute variant)
{
    for (int64_t i = 0; i < p->n_funcs; i++)
        if (p->func[i].recompute == (int64_t)variant)
            return true;
    return false;
}

const char *nmrt_recompute_name(nmdrv_recompute variant) { return way_name[variant]; }

bool nmrt_recompute_any(const nmdrv_program *p)
{
    for (int64_t i = 0; i < p->n_funcs; i++)
        if (p->func[i].recompute >= 0)
            return true;
    return false;
}

// --- names ---------------------------------------------------------------------------------------

// layers, and what is made of it: layers.o, turns of several.
static bool is_of(const nmrt_way *way, const char *dim)
{
    return strncmp(dim, way->name, way->n_name) == 0 &&
           (dim[way->n_name] == 0 || dim[way->n_name] == '.');
}

static const char *dim_of(const nmdrv_program *p, const nmdrv_func *f)
{
    return f->recompute >= 0 && f->turns >= 0 ? p->sym[f->turns].of : NULL;
}

// Is it the first function of what a way would call its dim?
static bool is_first(const nmdrv_program *p, int64_t func)
{
    const char *dim = dim_of(p, &p->func[func]);
    for (int64_t i = 0; dim && i < func; i++) {
        const char *other = dim_of(p, &p->func[i]);
        if (other && nmrt_same_stem(other, dim))
            return false;
    }
    return dim != NULL;
}

static bool is_known(const nmdrv_program *p, const nmrt_way *way)
{
    for (int64_t i = 0; i < p->n_funcs; i++) {
        const char *dim = dim_of(p, &p->func[i]);
        if (dim && is_of(way, dim))
            return true;
    }
    return false;
}

// A unit's way: the one that names its repeat, else the first.
static const nmrt_way *way_of(const nmrt_recompute *r, const nmrt_stages *s, int unit)
{
    for (int i = 1; i < r->n; i++)
        if (unit % 2 && is_of(&r->way[i], s->name[unit]))
            return &r->way[i];
    return &r->way[0];
}

// --- the flag ------------------------------------------------------------------------------------

static bool parse_kind(const char *text, size_t n, nmrt_way *way)
{
    for (int i = 0; i <= NMRT_WAY_AUTO; i++)
        if (strlen(way_name[i]) == n && strncmp(text, way_name[i], n) == 0 && i != NMRT_WAY_BLOCK) {
            way->kind = (nmrt_way_kind)i;
            return true;
        }
    size_t word = strlen(way_name[NMRT_WAY_BLOCK]);
    if (n <= word || strncmp(text, way_name[NMRT_WAY_BLOCK], word) != 0 ||
        strspn(text + word, "0123456789") != n - word)
        return false;
    way->kind = NMRT_WAY_BLOCK;
    way->layers = strtoll(text + word, NULL, 10); // its largest number where there are more digits
    return way->layers > 0 && way->layers < INT64_MAX;
}

static void report_name(const nmdrv_program *p, const nmrt_way *way, nmrt_text *problems)
{
    const char *sep = "; there are";
    nmrt_text_add(problems, "--recompute: there is no repeat '%.*s'", (int)way->n_name, way->name);
    for (int64_t i = 0; i < p->n_funcs; i++)
        if (is_first(p, i)) {
            const char *dim = dim_of(p, &p->func[i]);
            nmrt_text_add(problems, "%s %.*s", sep, nmrt_stem(dim), dim);
            sep = ",";
        }
    nmrt_text_add(problems, "\n");
}

// Does it need a variant that was not compiled?
static bool lacks(const nmdrv_program *p, const nmrt_way *way)
{
    switch (way->kind) {
    case NMRT_WAY_AUTO: return false;
    case NMRT_WAY_BLOCK:
        return !nmrt_recompute_has(p, NMDRV_RECOMPUTE_SELECTIVE) ||
               !nmrt_recompute_has(p, NMDRV_RECOMPUTE_FULL);
    default: return !nmrt_recompute_has(p, (nmdrv_recompute)way->kind);
    }
}

static void report_variant(const nmdrv_program *p, const nmrt_way *way, nmrt_text *problems)
{
    nmrt_text_add(problems, "--recompute %s%s: this binary was compiled for", way_name[way->kind],
                  way->kind == NMRT_WAY_BLOCK ? "N" : "");
    const char *sep = "";
    for (int i = 0; i < N_VARIANTS; i++)
        if (nmrt_recompute_has(p, (nmdrv_recompute)i)) {
            nmrt_text_add(problems, "%s %s", sep, way_name[i]);
            sep = ",";
        }
    nmrt_text_add(
        problems,
        " alone; compile it with nemocc --recompute none,selective,full for the others\n");
}

static bool has_chunks(const nmdrv_program *p)
{
    for (int64_t i = 0; i < p->n_funcs; i++)
        if (dim_of(p, &p->func[i]))
            return true;
    return false;
}

// Are there layers that backward goes back through, with one text of what they keep?
static bool has_layers(const nmdrv_program *p)
{
    for (int64_t i = 0; i < p->n_funcs; i++)
        if (p->func[i].turns >= 0 && p->func[i].phase == NMDRV_BACKWARD)
            return true;
    return false;
}

// Where there are no layers at all, notes.c says that the flag changes nothing.
static void report_none(const nmdrv_program *p, const nmrt_way *way, nmrt_text *problems)
{
    if (has_layers(p) && way->kind != NMRT_WAY_AUTO)
        nmrt_text_add(problems,
                      "--recompute %s%s: this binary was compiled without the pass recompute "
                      "(--disable-pass); compile it with nemocc --recompute none,selective,full\n",
                      way_name[way->kind], way->kind == NMRT_WAY_BLOCK ? "N" : "");
}

static void check(const nmdrv_program *p, const nmrt_way *way, nmrt_text *problems)
{
    if (!nmrt_recompute_any(p))
        report_none(p, way, problems);
    else if (way->n_name && !is_known(p, way))
        report_name(p, way, problems);
    else if (lacks(p, way))
        report_variant(p, way, problems);
    else if (way->kind == NMRT_WAY_BLOCK && !has_chunks(p))
        nmrt_text_add(problems,
                      "--recompute block:N: this model's layers run as one, as no row pp of its "
                      "mesh lists them; none, selective or full are possible\n");
}

static const char unsaid[] = ""; // the name of the default

// The first is that of no name, and the default where it is not given.
static nmrt_way *find_way(nmrt_recompute *r, const nmrt_way *way)
{
    if (!way->n_name)
        return r->way[0].name == unsaid ? NULL : &r->way[0];
    for (int i = 1; i < r->n; i++)
        if (r->way[i].n_name == way->n_name && strncmp(r->way[i].name, way->name, way->n_name) == 0)
            return &r->way[i];
    return NULL;
}

static void add_way(nmrt_recompute *r, const nmrt_way *way, nmrt_text *problems)
{
    const nmrt_way *before = find_way(r, way);
    if (before)
        nmrt_text_add(problems, "--recompute: '%.*s' and '%.*s' are of the same layers\n",
                      (int)strcspn(before->name, ","), before->name, (int)strcspn(way->name, ","),
                      way->name);
    else if (!way->n_name)
        r->way[0] = *way;
    else if (r->n < NMRT_MAX_WAYS)
        r->way[r->n++] = *way;
    else
        nmrt_text_add(problems, "--recompute: more than %d repeats\n", NMRT_MAX_WAYS - 1);
}

static void parse_way(nmrt_recompute *r, const nmdrv_program *p, const char *text, size_t n,
                      nmrt_text *problems)
{
    const char *equals = memchr(text, '=', n), *kind = equals ? equals + 1 : text;
    nmrt_way way = {.name = text, .n_name = equals ? (size_t)(equals - text) : 0};
    if (!parse_kind(kind, n - (size_t)(kind - text), &way) || equals == text) {
        nmrt_text_add(
            problems,
            "--recompute takes none, selective, full, block:N (from 1 on) or auto, for all "
            "layers or as NAME=... for those of one repeat, by commas; not '%.*s'\n",
            (int)n, text);
        return;
    }
    check(p, &way, problems);
    add_way(r, &way, problems);
}

static nmrt_way_kind default_kind(const nmdrv_program *p)
{
    static const nmrt_way_kind best[] = {NMRT_WAY_SELECTIVE, NMRT_WAY_NONE, NMRT_WAY_FULL};
    for (size_t i = 0; i < sizeof best / sizeof *best; i++)
        if (nmrt_recompute_has(p, (nmdrv_recompute)best[i]))
            return best[i];
    return NMRT_WAY_SELECTIVE;
}

void nmrt_recompute_parse(nmrt_recompute *r, const nmdrv_program *p, const char *text,
                          nmrt_text *problems)
{
    *r = (nmrt_recompute){.n = 1, .way[0] = {.name = unsaid, .kind = default_kind(p)}};
    for (size_t n = 0; text; text = text[n] ? text + n + 1 : NULL) {
        n = strcspn(text, ",");
        parse_way(r, p, text, n, problems);
    }
}

void nmrt_recompute_print(const nmrt_recompute *r, nmrt_text *out)
{
    for (int i = 0; i < r->n; i++) {
        const nmrt_way *way = &r->way[i];
        nmrt_text_add(out, "%s%.*s%s%s", i ? "," : "", (int)way->n_name, way->name, i ? "=" : "",
                      way_name[way->kind]);
        if (way->kind == NMRT_WAY_BLOCK)
            nmrt_text_add(out, "%lld", (long long)way->layers);
    }
}

// --- chunks --------------------------------------------------------------------------------------

// Of a way's layers, those that this stage has in parts before this one.
static int64_t layers_before(const nmrt_recompute *r, const nmrt_stages *s, int v, int part)
{
    const nmrt_way *way = way_of(r, s, s->part[part].unit);
    int64_t n = 0;
    for (int i = s->at[v]; i < part; i++)
        if (s->part[i].unit % 2 && way_of(r, s, s->part[i].unit) == way)
            n += nmrt_stages_rows(s, &s->part[i]).n;
    return n;
}

int nmrt_recompute_chunks(const nmrt_recompute *r, const nmrt_stages *s, int v, int part,
                          nmrt_chunk chunk[2])
{
    const nmrt_stage_part *all = &s->part[part];
    const nmrt_way *way = way_of(r, s, all->unit);
    if (way->kind != NMRT_WAY_BLOCK) {
        chunk[0] = (nmrt_chunk){.part = *all, .variant = (nmdrv_recompute)way->kind};
        return 1;
    }
    int64_t left = all->unit % 2 ? way->layers - layers_before(r, s, v, part) : 0,
            full = nmrt_stages_turns_of(s, all->unit, left, all->n);
    int n = 0;
    if (full)
        chunk[n++] =
            (nmrt_chunk){.part = {all->unit, all->first, full}, .variant = NMDRV_RECOMPUTE_FULL};
    if (full < all->n)
        chunk[n++] = (nmrt_chunk){.part = {all->unit, all->first + full, all->n - full},
                                  .variant = NMDRV_RECOMPUTE_SELECTIVE};
    return n;
}

int64_t nmrt_recompute_most(const nmrt_stages *s)
{
    int64_t most = 0;
    for (int v = 0; v < s->n; v++) {
        int64_t n = 0;
        for (int i = s->at[v]; i < s->at[v + 1]; i++)
            n += s->part[i].unit % 2 ? nmrt_stages_rows(s, &s->part[i]).n : 0;
        most = n > most ? n : most;
    }
    return most;
}

// --- how much ------------------------------------------------------------------------------------

bool nmrt_recompute_is_auto(const nmrt_recompute *r)
{
    for (int i = 0; i < r->n; i++)
        if (r->way[i].kind == NMRT_WAY_AUTO)
            return true;
    return false;
}

nmrt_recompute nmrt_recompute_with(const nmrt_recompute *r, nmrt_way_kind kind, int64_t layers)
{
    nmrt_recompute with = *r;
    for (int i = 0; i < r->n; i++)
        if (r->way[i].kind == NMRT_WAY_AUTO) {
            with.way[i].kind = kind;
            with.way[i].layers = layers;
        }
    return with;
}

static nmrt_status try(const nmrt_fitting *f, nmrt_recompute r, nmrt_recompute *least, bool *fit,
                       nmrt_error *e)
{
    *least = r;
    return f->fits(f->of, least, fit, e);
}

// Of `most` layers, which fit: the least block that does, by halves.
static nmrt_status least_block(const nmrt_recompute *asked, int64_t most, const nmrt_fitting *f,
                               nmrt_recompute *least, nmrt_error *e)
{
    int64_t fits = most;
    for (int64_t too_few = 0; too_few + 1 < fits;) {
        int64_t middle = too_few + (fits - too_few) / 2;
        bool fit = false;
        NMRT_TRY(try(f, nmrt_recompute_with(asked, NMRT_WAY_BLOCK, middle), least, &fit, e));
        *(fit ? &fits : &too_few) = middle;
    }
    *least = nmrt_recompute_with(asked, fits < most ? NMRT_WAY_BLOCK : NMRT_WAY_FULL, fits);
    return NMRT_OK;
}

// That which keeps least of the program's variants; -1: it has none.
static int last_variant(const nmdrv_program *p)
{
    int last = N_VARIANTS - 1;
    while (last >= 0 && !nmrt_recompute_has(p, (nmdrv_recompute)last))
        last--;
    return last;
}

bool nmrt_recompute_has_blocks(const nmdrv_program *p)
{
    const nmrt_way block = {.kind = NMRT_WAY_BLOCK};
    return !lacks(p, &block) && has_chunks(p);
}

// What needs least memory comes first: where that does not fit, nothing does.
nmrt_status nmrt_recompute_least(const nmrt_recompute *asked, const nmrt_stages *s,
                                 const nmdrv_program *p, const nmrt_fitting *f,
                                 nmrt_recompute *least, bool *fit, nmrt_error *e)
{
    int last = last_variant(p);
    nmrt_way_kind lowest = last < 0 ? default_kind(p) : (nmrt_way_kind)last;
    NMRT_TRY(try(f, nmrt_recompute_with(asked, lowest, 0), least, fit, e));
    for (int i = 0; *fit && i < last; i++) {
        bool enough = false;
        if (nmrt_recompute_has(p, (nmdrv_recompute)i))
            NMRT_TRY(try(f, nmrt_recompute_with(asked, (nmrt_way_kind)i, 0), least, &enough, e));
        if (enough)
            return NMRT_OK;
    }
    if (*fit && nmrt_recompute_has_blocks(p))
        return least_block(asked, nmrt_recompute_most(s), f, least, e);
    *least = nmrt_recompute_with(asked, lowest, 0);
    return NMRT_OK;
}
