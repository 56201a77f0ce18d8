// The command line of nemocc: one table, from which options are read, help is printed and misspelt
// options are corrected. The passes' own options are in passes/pass.c.
#include "options.h"

#include "base/list.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

typedef struct option {
    const char *group;        // of the help; NULL: as above
    const char *name, *value; // value: what it is called in the help; NULL: a flag
    const char *help;
    size_t slot; // in nm_cli: a bool, or a const char *
    bool joined; // the value may be left out, and stands behind a = else
} option;

// clang-format off
#define FLAG(name, help, field)        {NULL, name, NULL, help, offsetof(nm_cli, field), false}
#define TEXT(name, value, help, field) {NULL, name, value, help, offsetof(nm_cli, field), false}
#define MAY(name, value, help, field)  {NULL, name, value, help, offsetof(nm_cli, field), true}
#define GROUP(text)                    {text, NULL, NULL, NULL, 0, false}

static const option options[] = {
    GROUP("output"),
    TEXT("-o", "OUT", "write the binary here (default: train_bin; for text: standard output)", out),
    TEXT("--emit", "KIND", "nmir | llvm | asm | ptx | resources | obj | plan | graph (an HTML page) instead of a binary", emit),
    FLAG("--check", "check the model and say nothing if it is fine", check),
    GROUP("model"),
    TEXT("--preset", "NAME", "the sizes to compile for", preset),
    TEXT("--hf-config", "PATH", "the sizes of a Hugging Face model: its config.json, or the folder that has it", hf_config),
    TEXT("-D", "NAME=VALUE", "set a dim or const; wins over the preset and the config", out), // has a parser of its own
    TEXT("--entry", "NAME", "compile this entry alone, of several that train", entry),
    FLAG("--list-presets", "print the names of the model's presets", list_presets),
    GROUP("target"),
    TEXT("--target", "A,B", "devices to run on: host | cuda | emu | null (default: $NEMOCC_TARGET, else host,cuda,null)", target),
    TEXT("--arch", "A,B", "GPUs to compile for (default: sm_80,sm_90a)", arch),
    TEXT("--precision", "A,B", "f32 | bf16 | fp8: what is computed in, with f32 parameters; the binary's --precision picks one (default: $NEMOCC_PRECISION, else f32,bf16)", precision),
    TEXT("--fp8-recipe", "A,B", "current | delayed | blockwise: where the scales of fp8 come from; the binary's --fp8-recipe picks one (default: current)", fp8_recipe),
    TEXT("--fp8-format", "NAME", "hybrid | e4m3: what gradients are in fp8: e5m2, or e4m3 as all else (default: hybrid)", fp8_format),
    TEXT("--recompute", "A,B", "none | selective | full: what layers keep for backward; the binary's --recompute picks (default: $NEMOCC_RECOMPUTE, else all; in text selective)", recompute),
    TEXT("--cpu", "NAME", "native | x86-64-v2 | x86-64-v3 | x86-64-v4 (default: native)", cpu),
    MAY("--explain-comm", "TEXT", "list what ranks send each other, in all texts of the program or one", explain_comm),
    TEXT("--fix", "NAME=VALUE", "know tp, cp, dp or pp to be 1, or a run-time dim's size (seq=1024)", out),
    TEXT("--head-chunk", "N", "tokens of which a language model's head holds logits at a time (default: 2048)", out),
    FLAG("--fast-casts", "bf16: a kernel reads what it rounds before it is rounded: what is computed depends on what is fused", fast_casts),
    FLAG("--fast-attention-grad", "GPUs: attention's gradient in bf16 in one pass; its sums have no order: other last bits each run", fast_attention_grad),
    FLAG("--plain-products", "GPUs: no bias, gelu or sum behind a product in a library's call, where cuBLASLt refuses one", plain_products),
    FLAG("-Rfuse", "say which fusions fired, and what kept others from it", remarks_fuse),
    GROUP("help"),
    FLAG("--print-pipeline", NULL, print_pipeline), // in the passes' own help, as is
    TEXT("--load-pass", "LIB.so", NULL, out),       // this, which has a parser of its own
    FLAG("--version", "print the version", version),
    FLAG("--help", "print this", help),
};
// clang-format on
enum { N_OPTIONS = sizeof options / sizeof *options };

// --- help ----------------------------------------------------------------------------------------

void nm_cli_help(FILE *out)
{
    fputs("nemocc MODEL.nm [options]: compile a model into a binary that trains it\n", out);
    for (int i = 0; i < N_OPTIONS; i++) {
        const option *o = &options[i];
        if (o->group) {
            fprintf(out, "\n%s:\n", o->group);
            continue;
        }
        if (!o->help)
            continue;
        char left[64];
        snprintf(left, sizeof left, "%s%s%s%s", o->name,
                 o->joined  ? "[="
                 : o->value ? " "
                            : "",
                 o->value ? o->value : "", o->joined ? "]" : "");
        fprintf(out, "  %-23s %s\n", left, o->help);
    }
    fprintf(out, "\n%s", nm_pipeline_help);
    fputs("\nThe model is a file, or the name of one that nemocc carries: gpt2, llama3, phi3, ...\n"
          "Exit status: 0 fine, 1 a mistake in the model, 2 a mistake in the command.\n",
          out);
}

// --- mistakes ------------------------------------------------------------------------------------

__attribute__((format(printf, 1, 2))) static bool usage(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fputs("nemocc: ", stderr);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputs("; see nemocc --help\n", stderr);
    return false;
}

// Copy the option names in the passes' help text: words after two blanks.
static size_t pipeline_names(char names[][32], size_t max)
{
    size_t n = 0;
    for (const char *at = nm_pipeline_help; n < max && (at = strstr(at, "\n  --")); at++) {
        size_t len = strcspn(at + 3, " =\n");
        snprintf(names[n++], 32, "%.*s", (int)(len < 31 ? len : 31), at + 3);
    }
    return n;
}

static bool unknown_option(const char *arg)
{
    enum { MAX = 32 };
    char passes[MAX][32], word[32];
    const char *name[N_OPTIONS + MAX];
    size_t n = 0, n_passes = pipeline_names(passes, MAX);
    for (int i = 0; i < N_OPTIONS; i++)
        if (options[i].name)
            name[n++] = options[i].name;
    for (size_t i = 0; i < n_passes; i++)
        name[n++] = passes[i];
    snprintf(word, sizeof word, "%.*s", (int)strcspn(arg, "="), arg);
    const char *near = nm_nearest(word, name, n);
    fprintf(stderr, "nemocc: there is no option %s", word);
    if (near)
        fprintf(stderr, "; did you mean %s?\n", near);
    else
        fputs("; see nemocc --help\n", stderr);
    return false;
}

// --- reading -------------------------------------------------------------------------------------

static bool add_define(nm_cli *cli, char *text)
{
    char *eq = strchr(text, '=');
    if (!eq || eq == text || !eq[1])
        return usage("-D takes NAME=VALUE, not '%s'", text);
    if (cli->n_defines == NM_MAX_DEFINES)
        return usage("%s: too many -D", text);
    *eq = 0;
    cli->define[cli->n_defines++] = (nm_define){.name = text, .value = eq + 1};
    return true;
}

static bool add_fix(nm_cli *cli, char *text)
{
    char *eq = strchr(text, '='), *end = eq;
    long long value = eq && eq != text ? strtoll(eq + 1, &end, 10) : 0;
    if (!eq || end == eq + 1 || *end || value < 1)
        return usage("--fix takes NAME=NUMBER, not '%s'", text);
    if (cli->n_fixes == NM_MAX_FIXES)
        return usage("%s: too many --fix", text);
    *eq = 0;
    cli->fix[cli->n_fixes++] = (nm_fix){.name = text, .value = value};
    return true;
}

static bool add_plugin(nm_cli *cli, const char *path)
{
    if (cli->passes.n_plugins == NM_MAX_PLUGINS)
        return usage("%s: too many --load-pass", path);
    cli->passes.plugin[cli->passes.n_plugins++] = (nm_plugin_file){.path = path};
    return true;
}

static bool set_head_chunk(nm_cli *cli, const char *text)
{
    char *end;
    cli->head_chunk = strtoll(text, &end, 10);
    return (!*end && cli->head_chunk > 0) ||
           usage("--head-chunk takes a number of tokens, not '%s'", text);
}

static const option *find_option(const char *arg, char **value)
{
    for (int i = 0; i < N_OPTIONS; i++) {
        const char *name = options[i].name;
        size_t n = name ? strlen(name) : 0;
        if (!name || strncmp(arg, name, n) != 0)
            continue;
        bool joined = n == 2 && options[i].value && arg[n]; // -Dd=512, -oOUT
        if (arg[n] && arg[n] != '=' && !joined)
            continue;
        *value = joined ? (char *)arg + n : arg[n] ? (char *)arg + n + 1 : NULL;
        return &options[i];
    }
    return NULL;
}

// Read argv[*i], and its value behind it.
static bool read_option(nm_cli *cli, const option *o, char *value, int *i, int argc, char **argv)
{
    void *slot = (char *)cli + o->slot;
    if (!o->value) {
        if (value)
            return usage("%s takes no value", o->name);
        *(bool *)slot = true;
        return true;
    }
    if (o->joined && !value) {
        *(const char **)slot = "";
        return true;
    }
    if (!value && ++*i < argc)
        value = argv[*i];
    if (!value || !*value)
        return usage("%s needs a value", o->name);
    if (strcmp(o->name, "-D") == 0)
        return add_define(cli, value);
    if (strcmp(o->name, "--fix") == 0)
        return add_fix(cli, value);
    if (strcmp(o->name, "--load-pass") == 0)
        return add_plugin(cli, value);
    if (strcmp(o->name, "--head-chunk") == 0)
        return set_head_chunk(cli, value);
    *(const char **)slot = value;
    return true;
}

static bool read_argument(nm_cli *cli, int *i, int argc, char **argv)
{
    const char *arg = argv[*i];
    if (arg[0] != '-' || !arg[1]) {
        if (cli->file)
            return usage("one model at a time: what is '%s'?", arg);
        cli->file = arg;
        return true;
    }
    char *value = NULL;
    const option *o = find_option(arg, &value);
    if (o)
        return read_option(cli, o, value, i, argc, argv);
    int taken = nm_pipeline_option(&cli->passes, arg);
    if (taken < 0)
        return usage("%s: what is its value?", arg);
    return taken || unknown_option(arg);
}

static bool is_one_of(const char *what, const char *value, size_t n, const char *const *names)
{
    if (nm_name_find(value, n, names) >= 0)
        return true;
    const char *near = nm_nearest(value, names, n);
    fprintf(stderr, "nemocc: %s: '%s' is not one of", what, value);
    for (size_t i = 0; i < n; i++)
        fprintf(stderr, " %s", names[i]);
    if (near)
        fprintf(stderr, "; did you mean %s?", near);
    fputc('\n', stderr);
    return false;
}

// A list is of names that differ.
static bool is_list(const char *what, const char *list)
{
    nm_each_item(item, list) {
        char name[64];
        if (!item.n)
            return usage("%s: a name is missing in '%s'", what, list);
        snprintf(name, sizeof name, "%.*s", (int)item.n, item.at);
        if (nm_list_has(nm_list_next(item).at, name))
            return usage("%s names %s twice", what, name);
    }
    return true;
}

// Each of a,b,c
static bool are_some_of(const char *what, const char *list, size_t n, const char *const *names)
{
    nm_each_item(item, list) {
        char name[32];
        snprintf(name, sizeof name, "%.*s", (int)item.n, item.at);
        if (!is_one_of(what, name, n, names))
            return false;
    }
    return true;
}

static bool check_values(const nm_cli *cli)
{
    static const char *const cpus[] = {"native", "x86-64-v2", "x86-64-v3", "x86-64-v4"};
    static const char *const targets[] = {"host", "cuda", "emu", "null"};
    static const char *const formats[] = {"hybrid", "e4m3"};
    static const char *const emits[] = {"binary",    "nmir", "llvm", "asm",  "ptx",
                                        "resources", "obj",  "plan", "graph"};
    if (!is_list("--target", cli->target) || !is_list("--precision", cli->precision) ||
        !is_list("--fp8-recipe", cli->fp8_recipe) || !is_list("--recompute", cli->recompute))
        return false;
    if (cli->explain_comm && strchr(cli->recompute, ','))
        return usage("--explain-comm is of one variant, and --recompute is %s", cli->recompute);
    return is_one_of("--cpu", cli->cpu, sizeof cpus / sizeof *cpus, cpus) &&
           are_some_of("--target", cli->target, sizeof targets / sizeof *targets, targets) &&
           are_some_of("--precision", cli->precision, NM_N_PRECISIONS - 1, nm_precision_name + 1) &&
           are_some_of("--fp8-recipe", cli->fp8_recipe, NM_N_RECIPES - 1, nm_recipe_name + 1) &&
           is_one_of("--fp8-format", cli->fp8_format, sizeof formats / sizeof *formats, formats) &&
           are_some_of("--recompute", cli->recompute, NM_N_RECOMPUTES - 1, nm_recompute_name + 1) &&
           is_one_of("--emit", cli->emit, sizeof emits / sizeof *emits, emits);
}

// --- what options want of each other -------------------------------------------------------------

// Is a text of kernels for GPUs asked for, whatever the targets?
static bool emits_gpu_text(const nm_cli *cli)
{
    return strcmp(cli->emit, "ptx") == 0 || strcmp(cli->emit, "resources") == 0;
}

// --arch, where something is compiled for GPUs.
static bool check_archs(nm_cli *cli)
{
    if (!cli->arch)
        cli->arch = "sm_80,sm_90a";
    else if (!emits_gpu_text(cli) && !nm_list_has(cli->target, "cuda"))
        return usage("--arch is of the target cuda, and the targets are %s", cli->target);
    return is_list("--arch", cli->arch);
}

// What is said of the program that GPUs run, where there is one.
static bool check_gpu_flags(const nm_cli *cli)
{
    const char *flag = cli->fast_attention_grad ? "--fast-attention-grad"
                       : cli->plain_products    ? "--plain-products"
                                                : NULL;
    bool gpu = emits_gpu_text(cli) || nm_list_has(cli->target, "cuda") ||
               nm_list_has(cli->target, "emu") || nm_list_has(cli->target, "null");
    return gpu || !flag || usage("%s is of GPUs, and the targets are %s", flag, cli->target);
}

// --fast-casts, where something is rounded; --fp8-recipe and --fp8-format, where to 8 bits.
static bool check_precision(nm_cli *cli)
{
    if (cli->fast_casts && !nm_list_has(cli->precision, "bf16") &&
        !nm_list_has(cli->precision, "fp8"))
        return usage("--fast-casts is of bf16 and fp8, and the precisions are %s", cli->precision);
    const char *flag = cli->fp8_recipe ? "--fp8-recipe" : cli->fp8_format ? "--fp8-format" : NULL;
    if (flag && !nm_list_has(cli->precision, "fp8"))
        return usage("%s is of the precision fp8, and the precisions are %s", flag, cli->precision);
    cli->fp8_recipe = cli->fp8_recipe ? cli->fp8_recipe : "current";
    cli->fp8_format = cli->fp8_format ? cli->fp8_format : "hybrid";
    return true;
}

// A text about a module is of one program: of what was named, not of the defaults, no list.
static bool check_single(const nm_cli *cli)
{
    const struct {
        const char *name, *list;
    } named[] = {{"--target", cli->target},
                 {"--precision", cli->precision},
                 {"--fp8-recipe", cli->fp8_recipe}};
    bool single = strcmp(cli->emit, "nmir") == 0 || strcmp(cli->emit, "plan") == 0 ||
                  strcmp(cli->emit, "graph") == 0;
    for (size_t i = 0; single && i < sizeof named / sizeof *named; i++)
        if (named[i].list && strchr(named[i].list, ','))
            return usage("--emit %s is of one program, and %s is %s", cli->emit, named[i].name,
                         named[i].list);
    return true;
}

// --- defaults ------------------------------------------------------------------------------------

static const char *from_environment(const char *name, const char *otherwise)
{
    const char *named = getenv(name);
    return named && *named ? named : otherwise;
}

// A binary has all variants to choose from; a text is read more easily with one.
static const char *default_recompute(const nm_cli *cli)
{
    bool chooses = !strcmp(cli->emit, "binary") || !strcmp(cli->emit, "obj");
    return chooses && !cli->explain_comm
               ? from_environment("NEMOCC_RECOMPUTE", "none,selective,full")
               : "selective";
}

static void set_defaults(nm_cli *cli)
{
    if (!cli->target)
        cli->target = from_environment("NEMOCC_TARGET", "host,cuda,null");
    if (!cli->precision)
        cli->precision = from_environment("NEMOCC_PRECISION", "f32,bf16");
    if (!cli->recompute)
        cli->recompute = default_recompute(cli);
}

bool nm_cli_parse(nm_cli *cli, int argc, char **argv)
{
    *cli = (nm_cli){.cpu = "native", .emit = "binary", .passes = {.dump = stdout, .log = stderr}};
    for (int i = 1; i < argc; i++)
        if (!read_argument(cli, &i, argc, argv))
            return false;
    if (cli->help || cli->version || cli->print_pipeline)
        return true;
    if (!cli->file)
        return usage("%s", "which model?");
    if (!check_single(cli))
        return false;
    if (cli->preset && cli->hf_config)
        return usage(
            "%s", "--preset and --hf-config are both all sizes: give one, and -D for what differs");
    set_defaults(cli);
    return check_precision(cli) && check_values(cli) && check_archs(cli) && check_gpu_flags(cli);
}
