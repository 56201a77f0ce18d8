// nemocc: a model in, a binary that trains it out. Read compile() first: it is the whole compiler.
#include "options.h"

#include "base/list.h"
#include "codegen/codegen.h"
#include "frontend/check.h"
#include "frontend/weights.h"
#include "graph.h"
#include "ir/plan.h"
#include "passes/comm_report.h"
#include "passes/remarks.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char version[] = "nemocc " NEMOCC_VERSION;

// --- the frontend --------------------------------------------------------------------------------

// Presets of the file, else those of the files that it takes in.
static int print_presets(const nm_ast_file *file)
{
    for (int i = 0; i < file->n_presets; i++)
        puts(file->preset[i].name.sym);
    int n = file->n_presets;
    for (int i = 0; i < file->n_uses && !n; i++)
        if (!file->use[i].as.sym)
            n = print_presets(file->use[i].file);
    return n;
}

// --entry NAME: of the named entries, only this one.
static bool keep_entry(nm_module *m, const char *entry)
{
    bool found = false;
    for (nm_func *f = m->first_func, *next; f; f = next) {
        next = f->next;
        bool named = strncmp(f->name, "train.", 6) == 0 || strncmp(f->name, "infer.", 6) == 0;
        bool kept = named && strcmp(f->name + 6, entry) == 0;
        found |= kept;
        if (named && !kept)
            nm_func_remove(f);
    }
    return found || nm_error(m->diag, (nm_loc){0}, "no train or infer entry is called '%s'", entry);
}

// --hf-config: the file, or the one in the folder. NULL: reported.
static const nm_source *read_config(nm_module *m, const char *path)
{
    struct stat st;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        path = nm_arena_fmt(m->arena, "%s/config.json", path);
    return nm_source_read(m->arena, m->diag, path);
}

static bool run_frontend(nm_module *m, const nm_ast_program *prog, const nm_cli *cli)
{
    const nm_source *config = cli->hf_config ? read_config(m, cli->hf_config) : NULL;
    if (cli->hf_config && !config)
        return false;
    nm_elab_opts opts = {.preset = cli->preset,
                         .config = config,
                         .entry = cli->entry,
                         .all_entries = cli->check,
                         .n_defines = cli->n_defines,
                         .define = cli->define};
    if (!nm_elaborate(m, prog, &opts))
        return false;
    bool mesh = nm_check_mesh(m, prog), externs = nm_check_externs(m, prog);
    bool weights = nm_weights_resolve(m, prog);
    return mesh && externs && weights && (!cli->entry || keep_entry(m, cli->entry));
}

// A library, or an empty file, can be checked but not compiled.
static bool has_work(nm_module *m)
{
    static const char *const roles[] = {"train", "eval", "infer", "model"};
    nm_each_func(f, m)
        for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
            if (strncmp(f->name, roles[i], strlen(roles[i])) == 0)
                return true;
    return nm_error(m->diag, (nm_loc){0},
                    "%s has no train, eval or infer block: there is nothing to compile", m->name);
}

// A step's functions are told apart by their role alone, so a binary trains and evaluates one way.
static bool has_one(nm_module *m, const char *role)
{
    size_t len = strlen(role);
    int n = 0;
    bool named = true;
    const char *names = "";
    nm_each_func(f, m) {
        if (strncmp(f->name, role, len) != 0 || (f->name[len] && f->name[len] != '.'))
            continue;
        const char *name = f->name[len] ? f->name + len + 1 : "one without a name";
        names = nm_arena_fmt(m->arena, "%s%s%s", names, n++ ? ", " : "", name);
        named = named && f->name[len];
    }
    if (n <= 1)
        return true;
    nm_error(m->diag, (nm_loc){0}, "%s has %d %s entries, and a binary has one: %s", m->name, n,
             role, names);
    if (named && strcmp(role, "train") == 0)
        nm_help(m->diag, (nm_loc){0}, "--entry NAME compiles the entry of that name");
    return false;
}

static bool is_frontend(const char *pass) { return pass && strcmp(pass, "frontend") == 0; }

// What the frontend gave can be dumped, and stopped at, like a pass.
static bool run_passes(nm_module *m, const nm_cli *cli)
{
    nm_pipeline_opts opts = cli->passes;
    nm_remarks remarks = {.arena = m->arena};
    m->remarks = cli->remarks_fuse ? &remarks : NULL;
    if (is_frontend(opts.dump_after)) {
        fputs("# after frontend\n", opts.dump);
        nm_print(opts.dump, m, (nm_print_opts){0});
        opts.dump_after = NULL;
    }
    bool ok = is_frontend(opts.stop_after) || nm_pipeline_run(m, &opts);
    if (m->remarks)
        nm_remarks_print(stderr, m->remarks);
    m->remarks = NULL;
    return ok;
}

// --- output --------------------------------------------------------------------------------------

static void print_nmir(FILE *out, nm_module *m) { nm_print(out, m, (nm_print_opts){0}); }

static void print_plans(FILE *out, nm_module *m)
{
    nm_each_func(f, m)
        if (f->plan)
            nm_plan_print(out, f->plan);
}

// Is there nothing at path, or a file that a new one may replace? Not so /dev/null.
static bool is_replaceable(const char *path)
{
    struct stat st;
    return stat(path, &st) != 0 || S_ISREG(st.st_mode);
}

static bool cannot_write(nm_module *m, const char *path)
{
    return nm_error(m->diag, (nm_loc){0}, "cannot write %s: %s", path, strerror(errno));
}

static const char *folder_of(nm_module *m, const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? nm_arena_fmt(m->arena, "%.*s", (int)(slash - path) + 1, path) : ".";
}

static bool print_to(nm_module *m, const char *path, void (*print)(FILE *, nm_module *))
{
    FILE *out = fopen(path, "w");
    if (!out)
        return cannot_write(m, path);
    print(out, m);
    bool failed = ferror(out);
    failed |= fclose(out) != 0;
    return !failed || cannot_write(m, path);
}

// Text to a file beside `path`, which then takes its name; to standard output without a path.
static bool write_text(nm_module *m, const char *path, void (*print)(FILE *, nm_module *))
{
    if (!path) {
        print(stdout, m);
        return true;
    }
    if (!is_replaceable(path))
        return print_to(m, path, print);
    const char *aside = nm_arena_fmt(m->arena, "%s.%ld.new", path, (long)getpid());
    bool ok = print_to(m, aside, print) && (rename(aside, path) == 0 || cannot_write(m, path));
    if (!ok)
        unlink(aside);
    return ok;
}

typedef struct emit_row {
    const char *name;
    void (*print)(FILE *out, nm_module *m); // text of the module; NULL: code
    nm_emit_kind code;
    const char *otherwise; // the file to write to if none is named; NULL: standard output
} emit_row;

static const emit_row emits[] = {
    {.name = "binary", .code = NM_EMIT_program, .otherwise = "train_bin"},
    {.name = "nmir", .print = print_nmir},
    {.name = "plan", .print = print_plans},
    {.name = "graph", .print = nm_graph_print},
    {.name = "llvm", .code = NM_EMIT_llvm, .otherwise = "/dev/stdout"},
    {.name = "asm", .code = NM_EMIT_asm, .otherwise = "/dev/stdout"},
    {.name = "ptx", .code = NM_EMIT_ptx, .otherwise = "/dev/stdout"},
    {.name = "resources", .code = NM_EMIT_resources, .otherwise = "/dev/stdout"},
    {.name = "obj", .code = NM_EMIT_obj, .otherwise = "train_bin.o"},
};

// Is there a file that the code can be written to?
static bool check_path(nm_module *m, const char *path, bool is_text)
{
    if (is_text)
        return true;
    if (!is_replaceable(path))
        return nm_error(m->diag, (nm_loc){0}, "%s is not a file", path);
    return access(folder_of(m, path), W_OK) == 0 || cannot_write(m, path);
}

static const emit_row *find_emit(const nm_cli *cli)
{
    const emit_row *row = emits;
    while (strcmp(row->name, cli->emit) != 0)
        row++;
    return row;
}

static bool is_planned(nm_module *m)
{
    if (m->first_func && m->first_func->plan)
        return true;
    return nm_error(m->diag, (nm_loc){0},
                    "no code can be made of a module whose passes were "
                    "stopped early; use --emit=nmir");
}

// Without it a rank of several would keep to itself what the others wait for.
static bool is_sharded(nm_module *m)
{
    bool sharded = m->n_mesh == 0;
    nm_each_func(f, m)
        sharded |= f->part.mode != NULL;
    return sharded || nm_error(m->diag, (nm_loc){0},
                               "no code can be made without the pass shard of a model that has a "
                               "mesh; use --emit=nmir or --fix each of its axes to 1");
}

static const char *const *split_list(nm_module *m, const char *list, int *n)
{
    enum { MOST = 16 };
    const char **part = nm_new_n(m->arena, const char *, MOST);
    *n = 0;
    nm_each_item(item, list)
        if (*n < MOST)
            part[(*n)++] = nm_arena_fmt(m->arena, "%.*s", (int)item.n, item.at);
    return part;
}

// Is it a text of kernels for GPUs, whatever the binary would be for?
static bool is_of_gpu(const nm_cli *cli)
{
    nm_emit_kind code = find_emit(cli)->code;
    return code == NM_EMIT_ptx || code == NM_EMIT_resources;
}

static bool write_code(int n, nm_module *const *m, const nm_cli *cli)
{
    const emit_row *row = find_emit(cli);
    const char *path = cli->out ? cli->out : row->otherwise;
    bool is_text = strcmp(row->otherwise, "/dev/stdout") == 0;
    if (!check_path(m[0], path, is_text))
        return false;
    nm_codegen_opts opts = {.emit = row->code,
                            .out = path,
                            .cpu = cli->cpu,
                            .version = version,
                            .times = cli->passes.time_passes,
                            .emu = nm_list_has(cli->target, "emu")};
    if (nm_list_has(cli->target, "cuda") || is_of_gpu(cli))
        opts.arch = split_list(m[0], cli->arch, &opts.n_archs);
    return nm_codegen_programs(n, m, &opts);
}

// Collectives are read best where types are still of whole tensors.
static bool explain_comm(nm_module *m, const nm_cli *cli)
{
    nm_cli until = *cli;
    until.passes.stop_after = "shard";
    m->options.comm_text = *cli->explain_comm ? cli->explain_comm : NULL;
    return has_work(m) && run_passes(m, &until) &&
           (!*cli->explain_comm || nm_comm_has_text(m, cli->explain_comm)) &&
           write_text(m, cli->out, nm_comm_print);
}

// --- the compiler --------------------------------------------------------------------------------

static void keep_fixes(nm_module *m, const nm_cli *cli)
{
    nm_fix *fix = nm_new_n(m->arena, nm_fix, (size_t)cli->n_fixes + 1);
    for (int i = 0; i < cli->n_fixes; i++)
        fix[i] = (nm_fix){nm_sym_get(m, cli->fix[i].name), cli->fix[i].value};
    m->options.fix = fix;
    m->options.n_fixes = cli->n_fixes;
}

// A module from the source, up to where it is code, if that is asked for.
static bool lower(nm_module *m, const nm_cli *cli)
{
    m->options.cpu = cli->cpu;
    m->options.fast_casts = cli->fast_casts;
    m->options.fast_attention_grad = cli->fast_attention_grad;
    m->options.plain_products = cli->plain_products;
    m->options.wide_products = !nm_archs_have_fp8(cli->arch);
    m->options.recompute = nm_recompute_bits(cli->recompute);
    m->options.head_chunk = cli->head_chunk;
    keep_fixes(m, cli);
    const nm_ast_program *prog = nm_load(m, cli->file);
    if (!prog)
        return false;
    if (cli->list_presets)
        return print_presets(prog->main), true;
    if (!run_frontend(m, prog, cli))
        return false;
    m->hash = nm_module_hash(m);
    bool read_only = cli->check || is_frontend(cli->passes.stop_after);
    if (!read_only && (!has_one(m, "train") || !has_one(m, "eval")))
        return false;
    if (cli->explain_comm)
        return explain_comm(m, cli);
    return cli->check || (has_work(m) && run_passes(m, cli));
}

// The flavours that the targets want: cuda, emu and null run one program.
static int list_flavours(const nm_cli *cli, nm_flavour flavour[2])
{
    int n = 0;
    if (is_of_gpu(cli)) {
        flavour[n++] = NM_FLAVOUR_gpu;
        return n;
    }
    if (nm_list_has(cli->target, "host"))
        flavour[n++] = NM_FLAVOUR_host;
    static const char *const gpu[] = {"cuda", "emu", "null"};
    for (int i = 0; i < 3; i++)
        if (nm_list_has(cli->target, gpu[i])) {
            flavour[n++] = NM_FLAVOUR_gpu;
            break;
        }
    return n;
}

enum { MOST_PROGRAMS = 32 };

// In fp8 by every recipe that was named. How many programs.
static int list_recipes(const nm_cli *cli, nm_options *numbers)
{
    int n = 0;
    nm_each_item(name, cli->fp8_recipe)
        numbers[n++] =
            (nm_options){.precision = NM_PRECISION_fp8,
                         .recipe = (nm_recipe)nm_item_find(name, NM_N_RECIPES, nm_recipe_name),
                         .fp8_e4m3 = strcmp(cli->fp8_format, "e4m3") == 0};
    return n;
}

// In every precision that was named. Names differ: there is room.
static int list_numbers(const nm_cli *cli, nm_options *numbers)
{
    int n = 0;
    nm_each_item(name, cli->precision) {
        int precision = nm_item_find(name, NM_N_PRECISIONS, nm_precision_name);
        if (precision == NM_PRECISION_fp8)
            n += list_recipes(cli, &numbers[n]);
        else
            numbers[n++] = (nm_options){.precision = (nm_precision)precision};
    }
    return n;
}

// One module for each flavour and precision, those of a flavour side by side, as they were named.
static int list_modules(nm_arena *arena, nm_diag *diag, const nm_cli *cli, nm_module **m)
{
    nm_flavour flavour[2];
    nm_options numbers[MOST_PROGRAMS];
    nm_module *first = m[0] = nm_module_new(arena, diag);
    int n_flavours = list_flavours(cli, flavour), n = 0;
    int n_numbers = list_numbers(cli, numbers);
    for (int i = 0; i < n_flavours * n_numbers && n < MOST_PROGRAMS; i++, n++) {
        m[i] = i ? nm_module_new(arena, diag) : first;
        m[i]->options = numbers[i % n_numbers];
        m[i]->options.flavour = flavour[i / n_numbers];
    }
    return n;
}

// --head-chunk that no program has a use for: nothing in it is computed by chunks of a head.
static void note_head_chunk(nm_diag *diag, const nm_cli *cli, int n, nm_module *const *m)
{
    for (int i = 0; i < n; i++)
        if (nm_dim_lookup(m[i], nm_sym_get(m[i], "head.chunk")))
            return;
    if (cli->head_chunk)
        nm_warning(diag, (nm_loc){0},
                   "--head-chunk %lld changes nothing: no head of this model is computed by chunks "
                   "(pass head_chunks)",
                   cli->head_chunk);
}

// Of text about a module, only the first.
static bool compile(nm_arena *arena, nm_diag *diag, const nm_cli *cli)
{
    nm_module *m[MOST_PROGRAMS];
    int n = list_modules(arena, diag, cli, m);
    bool stops = cli->list_presets || cli->check || cli->explain_comm;
    const emit_row *row = find_emit(cli);
    for (int i = 0; i < n; i++) {
        if (!lower(m[i], cli))
            return false;
        if (stops)
            return true;
        if (row->print)
            return write_text(m[i], cli->out ? cli->out : row->otherwise, row->print);
        if (!is_planned(m[i]) || !is_sharded(m[i]))
            return false;
    }
    note_head_chunk(diag, cli, n, m);
    return write_code(n, m, cli);
}

int main(int argc, char **argv)
{
    nm_cli cli;
    if (!nm_cli_parse(&cli, argc, argv))
        return NM_EXIT_USAGE;
    if (cli.help)
        return nm_cli_help(stdout), NM_EXIT_OK;
    if (cli.version)
        return puts(version), NM_EXIT_OK;
    nm_arena arena = {0};
    nm_diag diag = nm_diag_to(stderr);
    if (!nm_plugins_load(&diag, &cli.passes))
        return NM_EXIT_USAGE;
    if (cli.print_pipeline)
        return nm_pipeline_print(stdout, &cli.passes), NM_EXIT_OK;
    bool ok = compile(&arena, &diag, &cli);
    nm_arena_free(&arena);
    return ok ? NM_EXIT_OK : NM_EXIT_MODEL;
}
