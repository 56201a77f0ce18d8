// nemocc-opt: reads IR text, runs passes on it, prints it. The tool of the tests and of fusion
// authors: everything the compiler does to a module can be done here, to text, one pass at a time.
#include "base/list.h"
#include "ir/opdoc.h"
#include "ir/plan.h"
#include "nemocc-opt-run.h"
#include "passes/comm_report.h"
#include "passes/pass.h"
#include "passes/remarks.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

typedef struct options {
    nm_pipeline_opts pipeline;
    const char *file, *explain, *precision, *recipe;
    bool locs, verify_diagnostics, run, remarks, passes, quiet, verbose, plan, comm, gpu;
    unsigned recompute;
    bool fast_casts, plain_products, print_pipeline;
    long long head_chunk;
} options;

static const char help[] =
    "usage: nemocc-opt [options] FILE.nmir     (-: standard input)\n"
    "Runs passes on IR text and prints the result; without a pass option it only parses and "
    "prints.\n"
    "\n"
    "  --passes                run the pipeline\n"
    "  --gpu                   the flavour of the program that GPUs run\n"
    "  --fast-casts            a kernel reads what it rounds before it is rounded\n"
    "  --plain-products        its products have no epilogues\n"
    "  --head-chunk=N          tokens of which a head holds logits at a time\n"
    "  --run                   check the file's '# run: @f(...) ~= ...' lines by the interpreter\n"
    "  --verify-diagnostics    each '# error: text' names an error of its line, and there are no "
    "others\n"
    "  --locs                  print where in the user's source each op comes from\n"
    "  --verbose               say why a model cannot generate\n"
    "  --quiet                 do not print the module\n"
    "  --precision=bf16        what `real` is stored in: f32, bf16, fp8; --run rounds, then\n"
    "  --recompute=none,full   variants by the pass recompute: none, selective, full (default: "
    "selective)\n"
    "  --fp8-recipe=blockwise  where the scales of fp8 come from: current, delayed, blockwise\n"
    "  --plan                  print the plans of the functions instead, where schedule made some\n"
    "  --explain-comm          print the collectives instead, after shard\n"
    "  -Rfuse                  how often each rule matched, what else was fused, and the nearest "
    "misses\n"
    "  --explain='RULE@%12'    why the rule that begins so does not match at value 12, or %NAME;\n"
    "                          fuse@%12: the kernel of value 12, and why others are apart from "
    "it;\n"
    "                          head_chunks@%12: is value 12 computed by chunks, and if not, why\n"
    "  --list-ops-md           the table of ops, as docs/ops.md\n"
    "  --help\n"
    "\n"
    "Exit status: 0 fine, 1 a mistake in the text, 2 a mistake in the command.\n"
    "\n";

// --- errors that the file expects --------------------------------------------------------------

typedef struct expectations {
    const nm_source *src;
    bool *met; // by offset of the comment
    int wrong;
} expectations;

static const char mark[] = "# error: ";

static const char *line_of(const nm_source *src, nm_loc at)
{
    const char *line = src->text + at.off;
    while (line > src->text && line[-1] != '\n')
        line--;
    return line;
}

static void expect(void *user, nm_severity severity, nm_loc at, const char *message)
{
    expectations *e = user;
    if (severity != NM_ERROR)
        return;
    if (at.src == e->src) {
        const char *line = line_of(e->src, at), *end = line + strcspn(line, "\n");
        const char *comment = strstr(line, mark);
        size_t n = comment && comment < end ? (size_t)(end - comment) - strlen(mark) : 0;
        char *want = n ? strndup(comment + strlen(mark), n) : NULL;
        bool hit = want && strstr(message, want);
        free(want);
        if (hit) {
            e->met[comment - e->src->text] = true;
            return;
        }
    }
    e->wrong++;
    fprintf(stderr, "%s:%u: this error was not expected: %s\n", e->src->name,
            at.src == e->src ? nm_loc_line_col(at).line : 0, message);
}

static int count_unmet(expectations *e)
{
    for (const char *c = e->src->text; (c = strstr(c, mark)); c++) {
        if (e->met[c - e->src->text])
            continue;
        nm_loc at = {e->src, (uint32_t)(c - e->src->text), 1};
        fprintf(stderr, "%s:%u: this error did not come\n", e->src->name, nm_loc_line_col(at).line);
        e->wrong++;
    }
    return e->wrong;
}

// --- main --------------------------------------------------------------------------------------

static bool take_option(options *o, const char *arg)
{
    const struct {
        const char *name;
        bool *slot;
    } flags[] = {
        {"--locs", &o->locs},
        {"--verify-diagnostics", &o->verify_diagnostics},
        {"--run", &o->run},
        {"-Rfuse", &o->remarks},
        {"--passes", &o->passes},
        {"--quiet", &o->quiet},
        {"--verbose", &o->verbose},
        {"--plan", &o->plan},
        {"--explain-comm", &o->comm},
        {"--gpu", &o->gpu},
        {"--fast-casts", &o->fast_casts},
        {"--plain-products", &o->plain_products},
        {"--print-pipeline", &o->print_pipeline},
    };
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (!strcmp(arg, flags[i].name))
            return *flags[i].slot = true;
    if (!strncmp(arg, "--explain=", 10)) {
        o->explain = arg + 10;
        return true;
    }
    if (!strncmp(arg, "--fp8-recipe=", 13)) {
        o->recipe = arg + 13;
        return nm_name_find(o->recipe, NM_N_RECIPES, nm_recipe_name) > NM_RECIPE_none;
    }
    if (!strncmp(arg, "--precision=", 12)) {
        o->precision = arg + 12;
        return nm_name_find(o->precision, NM_N_PRECISIONS, nm_precision_name) > NM_PRECISION_any;
    }
    if (!strncmp(arg, "--recompute=", 12))
        return o->recompute = nm_recompute_bits(arg + 12);
    if (!strncmp(arg, "--head-chunk=", 13))
        return (o->head_chunk = atoll(arg + 13)) > 0;
    int taken = nm_pipeline_option(&o->pipeline, arg);
    o->passes |= taken > 0 && strncmp(arg, "--load-pass", 11) != 0;
    if (taken || (arg[0] == '-' && arg[1]) || o->file)
        return taken > 0;
    o->file = arg;
    return true;
}

// RULE@%VALUE
static bool is_question(const char *text)
{
    const char *at = strstr(text, "@%");
    return at && at > text && at[2];
}

// 2: what a mistake in the command exits with.
__attribute__((format(printf, 1, 2))) static int mistake(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fputs("nemocc-opt: error: ", stderr);
    vfprintf(stderr, fmt, args);
    fputs(" See --help\n", stderr);
    va_end(args);
    return 2;
}

// 0, 1 or 2: the answer was printed, exit so; -1: go on.
static int read_options(options *o, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--help"))
            return printf("%s%s", help, nm_pipeline_help), 0;
        if (!strcmp(argv[i], "--list-ops-md"))
            return nm_opdoc_print(stdout), 0;
        bool apart = !strcmp(argv[i], "--load-pass") && i + 1 < argc;
        if (apart ? !nm_pipeline_load(&o->pipeline, argv[++i]) : !take_option(o, argv[i]))
            return mistake("what is '%s'?", argv[i]);
    }
    nm_diag diag = nm_diag_to(stderr);
    if (!nm_plugins_load(&diag, &o->pipeline))
        return 2;
    if (o->print_pipeline)
        return nm_pipeline_print(stdout, &o->pipeline), 0;
    const char *wrong = !o->file                                 ? "no file"
                        : o->explain && !is_question(o->explain) ? "--explain needs RULE@%VALUE"
                        : o->recipe && (!o->precision || strcmp(o->precision, "fp8") != 0)
                            ? "--fp8-recipe is of --precision=fp8"
                            : NULL;
    return wrong ? mistake("%s.", wrong) : -1;
}

static bool process(nm_module *m, const nm_source *src, const options *o)
{
    if (!nm_parse(m, src) || !nm_verify(m))
        return false;
    if (o->passes && !nm_pipeline_run(m, &o->pipeline))
        return false;
    if (o->verbose && m->no_decode)
        fprintf(stderr, "this model cannot generate: %s\n", m->no_decode);
    if (o->run && !nm_run_lines(m, src))
        return false;
    nm_each_func(f, m)
        if (o->plan && f->plan)
            nm_plan_print(stdout, f->plan);
    if (o->comm)
        nm_comm_print(stdout, m);
    if (!o->quiet && !o->run && !o->plan && !o->comm)
        nm_print(stdout, m, (nm_print_opts){.locs = o->locs});
    return true;
}

int main(int argc, char **argv)
{
    options o = {.pipeline = {.dump = stdout, .log = stderr}};
    int done = read_options(&o, argc, argv);
    if (done >= 0)
        return done;
    nm_arena arena = {0};
    nm_diag diag = nm_diag_to(stderr);
    const nm_source *src = nm_source_read(&arena, &diag, o.file);
    if (!src)
        return 1;
    expectations e = {.src = src, .met = nm_new_n(&arena, bool, src->len + 1)};
    if (o.verify_diagnostics)
        diag.out = NULL, diag.sink = expect, diag.user = &e;

    nm_module *m = nm_module_new(&arena, &diag);
    m->options.flavour = o.gpu ? NM_FLAVOUR_gpu : NM_FLAVOUR_host;
    m->options.fast_casts = o.fast_casts;
    m->options.plain_products = o.plain_products;
    m->options.head_chunk = o.head_chunk;
    if (o.precision)
        m->options.precision =
            (nm_precision)nm_name_find(o.precision, NM_N_PRECISIONS, nm_precision_name);
    m->options.recompute = o.recompute;
    if (o.recipe)
        m->options.recipe = (nm_recipe)nm_name_find(o.recipe, NM_N_RECIPES, nm_recipe_name);
    nm_remarks remarks = {.arena = &arena};
    if (o.explain)
        nm_remarks_explain(&remarks, stderr, o.explain);
    if (o.remarks || o.explain)
        m->remarks = &remarks;
    bool ok = process(m, src, &o);
    if (o.remarks)
        nm_remarks_print(stderr, &remarks);
    const char *unanswered = ok ? nm_remarks_unanswered(&remarks) : NULL;
    if (unanswered) {
        fprintf(stderr, "nemocc-opt: error: --explain=%s: %s\n", o.explain, unanswered);
        ok = false;
    }
    if (o.verify_diagnostics)
        ok = count_unmet(&e) == 0;
    nm_arena_free(&arena);
    return ok ? 0 : 1;
}
