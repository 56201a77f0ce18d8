// The order of passes. The table is trusted as little as plug-ins are: both are checked before the
// first pass. A mistake in the table is ours; one in a plug-in is its author's, and is said.
#include "passes/rows.h"

#include "passes/facts.h"

#include <string.h>

static const nm_pass pipeline[] = {
#define PASS(id, fn, n, g, b, w)                                                                   \
    {.name = #id, .run = nm_pass_##fn, .needs = n, .gives = g, .breaks = b, .why = w},
#include "passes/pipeline.def"
#undef PASS
};
enum { N_PASSES = sizeof pipeline / sizeof *pipeline };
_Static_assert(N_PASSES + NM_MAX_PLUGINS <= NM_MAX_ROWS, "a plug-in has room");

const nm_row *nm_rows_find(const nm_rows *rows, nm_item name)
{
    for (int i = 0; i < rows->n; i++)
        if (nm_item_is(name, rows->row[i].pass.name))
            return &rows->row[i];
    return NULL;
}

static const nm_row *find_named(const nm_rows *rows, const char *name)
{
    return nm_rows_find(rows, (nm_item){name, strlen(name)});
}

const char *nm_rows_nearest(const nm_rows *rows, const char *name)
{
    const char *names[NM_MAX_ROWS];
    for (int i = 0; i < rows->n; i++)
        names[i] = rows->row[i].pass.name;
    return nm_nearest(name, names, (size_t)rows->n);
}

// --- places --------------------------------------------------------------------------------------

static const char *anchor_of(const nm_plugin *p) { return p->before ? p->before : p->after; }

// Where it goes: before its anchor; behind it, and behind what was put there first. -1: no anchor.
static int place_of(const nm_rows *rows, const nm_plugin *p)
{
    const nm_row *anchor = find_named(rows, anchor_of(p));
    if (!anchor || p->before)
        return anchor ? (int)(anchor - rows->row) : -1;
    int i = (int)(anchor - rows->row) + 1;
    while (i < rows->n && rows->row[i].after && !strcmp(rows->row[i].after, p->after))
        i++;
    return i;
}

static void insert(nm_rows *rows, int i, const nm_plugin_file *f)
{
    memmove(&rows->row[i + 1], &rows->row[i], (size_t)(rows->n - i) * sizeof *rows->row);
    rows->row[i] = (nm_row){f->plugin->pass, f->path, f->plugin->after};
    rows->n++;
}

// The rows with the first n plug-ins.
static nm_rows list(const nm_pipeline_opts *o, int n)
{
    nm_rows rows = {.n = N_PASSES};
    for (int i = 0; i < N_PASSES; i++)
        rows.row[i] = (nm_row){.pass = pipeline[i]};
    for (int i = 0; i < n; i++)
        insert(&rows, place_of(&rows, o->plugin[i].plugin), &o->plugin[i]);
    return rows;
}

nm_rows nm_rows_list(const nm_pipeline_opts *o) { return list(o, o->n_plugins); }

// --- checks --------------------------------------------------------------------------------------

// The first row that lacks facts; NULL: none does.
static const nm_row *find_needy(const nm_rows *rows, unsigned *lacks)
{
    unsigned facts = 0;
    for (int i = 0; i < rows->n; i++) {
        const nm_pass *p = &rows->row[i].pass;
        *lacks = p->needs & ~facts;
        if (*lacks)
            return &rows->row[i];
        facts = (facts & ~p->breaks) | p->gives;
    }
    return NULL;
}

static bool check_place(nm_diag *diag, const nm_rows *rows, const nm_plugin_file *f)
{
    const nm_plugin *p = f->plugin;
    if (find_named(rows, p->pass.name))
        return nm_error(diag, (nm_loc){0}, "%s: there is a pass '%s' already", f->path,
                        p->pass.name);
    if (!p->before == !p->after)
        return nm_error(diag, (nm_loc){0},
                        "%s: pass '%s' has to say before or after which pass it stands, one of "
                        "both",
                        f->path, p->pass.name);
    if (place_of(rows, p) >= 0)
        return true;
    const char *near = nm_rows_nearest(rows, anchor_of(p));
    return nm_error(diag, (nm_loc){0},
                    "%s: pass '%s' wants to stand %s '%s', and there is no such "
                    "pass%s%s%s",
                    f->path, p->pass.name, p->before ? "before" : "after", anchor_of(p),
                    near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static bool check_facts(nm_diag *diag, const nm_rows *rows, const nm_plugin_file *f)
{
    unsigned lacks;
    const nm_row *needy = find_needy(rows, &lacks);
    if (!needy)
        return true;
    const char *name = f->plugin->pass.name, *fact = nm_facts_name(lacks);
    if (needy->file)
        return nm_error(diag, (nm_loc){0},
                        "%s: pass '%s' needs the fact '%s', which does not hold "
                        "where it stands, %s '%s'",
                        f->path, name, fact, f->plugin->before ? "before" : "after",
                        anchor_of(f->plugin));
    return nm_error(diag, (nm_loc){0}, "%s: pass '%s' breaks the fact '%s', which '%s' needs",
                    f->path, name, fact, needy->pass.name);
}

bool nm_rows_check(nm_diag *diag, const nm_pipeline_opts *o)
{
    unsigned lacks;
    nm_rows table = list(o, 0);
    const nm_row *wrong = find_needy(&table, &lacks);
    if (wrong)
        nm_bug("pipeline.def: %s needs facts %#x", wrong->pass.name, lacks);
    if (!o->n_plugins)
        return true;
    const nm_plugin_file *last = &o->plugin[o->n_plugins - 1];
    nm_rows before = list(o, o->n_plugins - 1);
    if (!check_place(diag, &before, last))
        return false;
    nm_rows all = nm_rows_list(o);
    return check_facts(diag, &all, last);
}
