// The pass manager. It trusts nobody: the order of passes is checked before the first (rows.c), the
// IR is verified after each pass that changed it, and with verify_each every fact that is believed
// is proved again and a pass that lies about `changed` is caught by a hash of the printed module.
#include "passes/pass.h"

#include "passes/evaluate.h"
#include "passes/facts.h"
#include "passes/fusion.h"
#include "passes/rows.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static bool unknown_pass(nm_module *m, const nm_rows *rows, const char *option, const char *name)
{
    bool fused = !strcmp(option, "--disable-pass") && !strncmp(name, "fuse.", 5);
    const char *near = fused ? nm_fusion_nearest(name) : nm_rows_nearest(rows, name);
    return nm_error(m->diag, (nm_loc){0}, "%s: no pass is called '%s'%s%s%s", option, name,
                    near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

// What --disable-pass takes besides: fuse.bias.
static bool is_fusion(const char *option, nm_item name)
{
    return !strcmp(option, "--disable-pass") && nm_fusion_find(name) >= 0;
}

static bool check_names(nm_module *m, const nm_rows *rows, const char *option, const char *list)
{
    nm_each_item(name, list)
        if (!nm_rows_find(rows, name) && !is_fusion(option, name))
            return unknown_pass(m, rows, option,
                                nm_arena_fmt(m->arena, "%.*s", (int)name.n, name.at));
    return true;
}

// The pass that is to be left out and gives one of these facts.
static const char *giver(const nm_rows *rows, const char *disable, unsigned facts)
{
    for (int i = 0; i < rows->n; i++)
        if (rows->row[i].pass.gives & facts && nm_list_has(disable, rows->row[i].pass.name))
            return rows->row[i].pass.name;
    nm_bug("no pass that is left out gives %s", nm_facts_name(facts));
}

// Without the passes that are to be left out, does each of the others have the facts that it needs?
static bool check_disabled(nm_module *m, const nm_rows *rows, const nm_pipeline_opts *o)
{
    unsigned facts = m->facts, lost = 0;
    for (int i = 0; o->disable && !o->start_from && !o->only && i < rows->n; i++) {
        const nm_pass *p = &rows->row[i].pass;
        if (nm_list_has(o->disable, p->name)) {
            lost |= p->gives;
            continue;
        }
        unsigned lacks = p->needs & ~facts & lost;
        if (lacks)
            return nm_error(
                m->diag, (nm_loc){0},
                "--disable-pass=%s: %s needs what it gives; --stop-after goes without both",
                giver(rows, o->disable, lacks), p->name);
        facts = (facts & ~p->breaks) | p->gives;
    }
    return true;
}

static bool check_opts(nm_module *m, const nm_rows *rows, const nm_pipeline_opts *o)
{
    bool dump_all = o->dump_after && !strcmp(o->dump_after, "all");
    return check_names(m, rows, "--dump-after", dump_all ? NULL : o->dump_after) &&
           check_names(m, rows, "--start-from", o->start_from) &&
           check_names(m, rows, "--stop-after", o->stop_after) &&
           check_names(m, rows, "--pass", o->only) &&
           check_names(m, rows, "--disable-pass", o->disable) && check_disabled(m, rows, o);
}

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

// What the pass promised, held against what it did.
static void check_promises(nm_module *m, const nm_pass *p, const nm_pipeline_opts *o, bool changed,
                           uint64_t before)
{
    if (changed && !nm_verify(m)) {
        nm_print(stderr, m, (nm_print_opts){0});
        nm_bug("after pass %s: the module is broken", p->name);
    }
    if (!o->verify_each)
        return;
    if (!changed &&
        before != nm_module_hash(m)) // the other way round is no lie: plans are not printed
        nm_bug("after pass %s: it said unchanged, and the text says otherwise", p->name);
    const char *lie = nm_facts_disprove(m, m->facts);
    if (lie)
        nm_bug("after pass %s: %s", p->name, lie);
}

typedef struct running {
    const nm_pipeline_opts *o;
    nm_rows rows;
    nm_evaluation *exact, *rounded; // of the module as it is; NULL: nobody asked, or not yet
} running;

// What became of the functions that were evaluated before the pass, and are now.
static void say_agreement(FILE *log, const char *pass, const char *numbers, const nm_agreement *a)
{
    fprintf(log,
            "evaluate %-12s %s%d functions changed and compute what they did, %d the same, %d "
            "gone, %d new, %d left out\n",
            pass, numbers, a->changed, a->same, a->gone, a->added, a->left_out);
}

static bool renew(nm_module *m, nm_evaluation *e, const nm_pass *p, const char *numbers, FILE *log)
{
    nm_agreement a;
    if (!nm_evaluation_renew(m, e, p->name, &a))
        return false;
    say_agreement(log, p->name, numbers, &a);
    return true;
}

// --evaluate-each: the functions compute what they did, or it is reported.
static bool still_computes(nm_module *m, const nm_pass *p, running *r)
{
    if (!renew(m, r->exact, p, "", r->o->log))
        return false;
    if (!(p->gives & ROUNDED))
        return !r->rounded || renew(m, r->rounded, p, "rounded: ", r->o->log);
    nm_evaluation_free(r->rounded);
    r->rounded = nm_evaluation_new(m, NM_NUMBERS_rounded);
    return true;
}

static void evaluate_first(nm_module *m, running *r)
{
    if (!r->o->evaluate_each)
        return;
    r->exact = nm_evaluation_new(m, NM_NUMBERS_exact);
    if (!nm_facts_disprove(m, CONCRETE | ROUNDED))
        r->rounded = nm_evaluation_new(m, NM_NUMBERS_rounded);
}

static bool run_pass(nm_module *m, const nm_pass *p, running *r)
{
    const nm_pipeline_opts *o = r->o;
    unsigned errors = m->diag->errors;
    uint64_t before = o->verify_each ? nm_module_hash(m) : 0;
    int ops = nm_facts_count_ops(m);
    double start = now_ms();
    bool changed = false, ok = p->run(m, &changed);
    double ms = now_ms() - start;

    if (ok == (m->diag->errors > errors))
        nm_bug("after pass %s: it returned %d with %u new errors", p->name, ok,
               m->diag->errors - errors);
    if (!ok)
        return false;
    m->facts = (m->facts & ~p->breaks) | p->gives;
    check_promises(m, p, o, changed, before);
    if (r->exact && changed && !still_computes(m, p, r))
        return false;
    if (o->time_passes)
        fprintf(o->log, "%-12s %8.2f ms  %5d -> %5d ops%s\n", p->name, ms, ops,
                nm_facts_count_ops(m), changed ? "" : "  (no change)");
    if (o->dump_after && (!strcmp(o->dump_after, "all") || nm_list_has(o->dump_after, p->name))) {
        fprintf(o->dump, "# after %s%s\n", p->name, changed ? "" : " (no change)");
        if (changed)
            nm_print(o->dump, m, (nm_print_opts){0});
    }
    return true;
}

static bool run_only(nm_module *m, running *r)
{
    nm_each_item(name, r->o->only) {
        const nm_pass *p = &nm_rows_find(&r->rows, name)->pass;
        if (!nm_list_has(r->o->disable, p->name) && !run_pass(m, p, r))
            return false;
    }
    return true;
}

static bool run_all(nm_module *m, running *r)
{
    const nm_pipeline_opts *o = r->o;
    bool started = !o->start_from;
    for (int i = 0, ran = 0; i < r->rows.n; i++) {
        const nm_pass *p = &r->rows.row[i].pass;
        started |= o->start_from && !strcmp(o->start_from, p->name);
        if (!started || nm_list_has(o->disable, p->name))
            continue;
        if (o->pass_limit && ran++ >= o->pass_limit)
            break;
        if (!run_pass(m, p, r))
            return false;
        if (o->stop_after && !strcmp(o->stop_after, p->name))
            break;
    }
    return true;
}

bool nm_pipeline_run(nm_module *m, const nm_pipeline_opts *o)
{
    if (!nm_rows_check(m->diag, o))
        return false;
    running r = {.o = o, .rows = nm_rows_list(o)};
    if (!check_opts(m, &r.rows, o))
        return false;
    m->options.unfused = nm_fusions_listed(o->disable);
    evaluate_first(m, &r);
    bool ok = o->only ? run_only(m, &r) : run_all(m, &r);
    nm_evaluation_free(r.exact);
    nm_evaluation_free(r.rounded);
    return ok;
}

void nm_pipeline_print(FILE *out, const nm_pipeline_opts *o)
{
    nm_rows rows = nm_rows_list(o);
    for (int i = 0; i < rows.n; i++) {
        const nm_row *r = &rows.row[i];
        fprintf(out, "%2d  %-12s %s%s%s%s\n", i + 1, r->pass.name, r->pass.why, r->file ? " (" : "",
                r->file ? r->file : "", r->file ? ")" : "");
    }
}

// --- the options, the same in nemocc and in nemocc-opt -----------------------------------------

const char nm_pipeline_help[] =
    "passes:\n"
    "  --print-pipeline        the passes in order, and why each is there\n"
    "  --load-pass=LIB.so      a plug-in's pass, too; it says where it stands (examples/pass)\n"
    "  --dump-after=PASS|all   print the module after a pass\n"
    "  --start-from=PASS       skip what stands above it\n"
    "  --stop-after=PASS       skip what stands below it\n"
    "  --pass=A,B              run just these, in this order\n"
    "  --disable-pass=A,B      run all but these (may be given again); fuse.NAME: what fuse does "
    "under this name "
    "(docs/passes.md)\n"
    "  --pass-limit=N          run the first N (to bisect)\n"
    "  --verify-each           prove every fact again after each pass\n"
    "  --evaluate-each         each function computes after a pass what it did before, or it is "
    "an\n"
    "                          error: by the interpreter, for models of small sizes\n"
    "  --time-passes           time and number of ops of each pass\n";

// The text behind `name=`, or NULL.
static const char *value_of(const char *arg, const char *name)
{
    size_t n = strlen(name);
    return !strncmp(arg, name, n) && arg[n] == '=' ? arg + n + 1 : NULL;
}

bool nm_pipeline_load(nm_pipeline_opts *o, const char *path)
{
    if (!*path || o->n_plugins == NM_MAX_PLUGINS)
        return false;
    o->plugin[o->n_plugins++].path = path;
    return true;
}

// Every option adds to the list.
static bool add_disabled(nm_pipeline_opts *o, const char *names)
{
    size_t has = strlen(o->disabled), room = sizeof o->disabled - has;
    int n = snprintf(o->disabled + has, room, "%s%s", has ? "," : "", names);
    o->disable = o->disabled;
    return *names && (size_t)n < room;
}

int nm_pipeline_option(nm_pipeline_opts *o, const char *arg)
{
    const struct {
        const char *name, **slot;
    } texts[] = {
        {"--dump-after", &o->dump_after},
        {"--start-from", &o->start_from},
        {"--stop-after", &o->stop_after},
        {"--pass", &o->only},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const char *value = value_of(arg, texts[i].name);
        if (value) {
            *texts[i].slot = value;
            return *value ? 1 : -1;
        }
    }
    const char *disable = value_of(arg, "--disable-pass");
    if (disable)
        return add_disabled(o, disable) ? 1 : -1;
    const char *library = value_of(arg, "--load-pass");
    if (library)
        return nm_pipeline_load(o, library) ? 1 : -1;
    if (!strcmp(arg, "--verify-each"))
        return o->verify_each = true;
    if (!strcmp(arg, "--evaluate-each"))
        return o->evaluate_each = true;
    if (!strcmp(arg, "--time-passes"))
        return o->time_passes = true;
    const char *limit = value_of(arg, "--pass-limit");
    if (!limit)
        return 0;
    char *end;
    o->pass_limit = (int)strtol(limit, &end, 10);
    return *end || o->pass_limit <= 0 ? -1 : 1;
}
