// main() of every emitted binary: flags, then a verb; one that runs on a mesh runs as its ranks.
// Exit codes: 0 done (also when a signal ended the run and all is saved), 1 it failed, 2 the flags
// are wrong.
#include "runtime/checkpoint.h"
#include "runtime/choose.h"
#include "runtime/cpu.h"
#include "runtime/eval.h"
#include "runtime/foreign/export.h"
#include "runtime/fp8_check.h"
#include "runtime/generate.h"
#include "runtime/gradients_dump.h"
#include "runtime/info.h"
#include "runtime/notes.h"
#include "runtime/options.h"
#include "runtime/planner.h"
#include "runtime/run.h"
#include "runtime/same.h"
#include "runtime/train.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool has_unicode(void)
{
    static const char *const name[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (int i = 0; i < 3; i++) {
        const char *value = getenv(name[i]);
        if (value && *value)
            return strstr(value, "UTF-8") || strstr(value, "utf8") || strstr(value, "UTF8");
    }
    return false;
}

static nmrt_status print(nmrt_text *text, nmrt_error *e)
{
    nmrt_status status = NMRT_OK;
    if (text->failed)
        status = nmrt_fail(e, NMRT_WORLD, "no memory for the text");
    else if (fputs(text->at ? text->at : "", stdout) == EOF || fflush(stdout))
        status = nmrt_fail_errno(e, "cannot write to the output");
    nmrt_text_release(text);
    return status;
}

// --- verbs on a mesh ---------------------------------------------------------------------------

static nmrt_mesh_flags mesh_flags(const nmrt_options *o, const nmrt_ranks *r)
{
    nmrt_balance balance = strcmp(o->cp_balance, "auto") == 0     ? NMRT_ZIGZAG_AUTO
                           : strcmp(o->cp_balance, "zigzag") == 0 ? NMRT_ZIGZAG
                                                                  : NMRT_CONTIGUOUS;
    return (nmrt_mesh_flags){.tp = o->tp,
                             .pp = o->pp,
                             .cp = o->cp,
                             .dp = o->dp,
                             .vp = o->vp,
                             .zero = o->zero,
                             .sp = o->sp != 0,
                             .balance = balance,
                             .ring = strcmp(o->cp_comm, "ring") == 0,
                             .world = r->start == NMRT_START_PLAIN ? o->nproc : r->world};
}

static nmrt_status run_mesh_verb(nmrt_run *run, nmrt_error *e)
{
    if (run->options->verb == NMRT_EVAL)
        return nmrt_eval(run, e);
    if (run->options->dump_gradients)
        return nmrt_dump_gradients(run, e);
    return run->options->fp8_check ? nmrt_fp8_check(run, e) : nmrt_train(run, e);
}

// What ranks other than 0 print goes nowhere.
static nmrt_status run_quietly(nmrt_run *run, nmrt_error *e)
{
    FILE *nowhere = fopen("/dev/null", "we");
    if (!nowhere)
        return nmrt_fail_errno(e, "cannot open /dev/null");
    nmrt_output out = {nowhere, nowhere, false, false};
    run->out = &out;
    nmrt_status status = run_mesh_verb(run, e);
    fclose(nowhere);
    return status;
}

// Ranks that are started again go on from what was saved meanwhile, or else from where they began.
static const char *resume_of(const nmrt_options *o, const nmrt_ranks *ranks)
{
    nmrt_index index;
    if (ranks->attempt == 0 || !nmrt_index_open_newest(&index, o->save))
        return o->resume;
    nmrt_index_close(&index);
    return "auto";
}

// Without --global-batch a step is one micro-batch on each rank of dp.
static void default_global_batch(nmrt_options *o, const nmrt_run *run, const nmrt_ranks *ranks)
{
    int64_t dp = nmrt_mesh_dp(&run->mesh);
    if (o->global_batch)
        return;
    o->rampup.global = o->global_batch = o->micro_batch * dp;
    if (o->verb == NMRT_TRAIN && !o->imports && dp > 1 && !ranks->rank)
        fprintf(run->out->note,
                "note: a step is %lld samples, --micro-batch x dp: give --global-batch for the "
                "same steps on every mesh\n",
                (long long)o->global_batch);
}

static nmrt_status run_as_rank(nmrt_ranks *ranks, void *arg, nmrt_error *e)
{
    nmrt_run run = *(const nmrt_run *)arg;
    nmrt_options o = *run.options;
    o.resume = resume_of(&o, ranks);
    default_global_batch(&o, &run, ranks);
    run.options = &o;
    run.ranks = ranks;
    run.threads = o.threads ? (int)o.threads : nmrt_ranks_threads(ranks);
    nmrt_mesh_place(&run.mesh, ranks->rank);
    if (!ranks->rank)
        nmrt_note_idle_flags(&run);
    NMRT_TRY(nmrt_comm_open(&run.comm, ranks, o.comm, e));
    nmrt_note_one_thread(&run);
    nmrt_status status = nmrt_same_flags(&run.comm, &o, e);
    if (status == NMRT_OK)
        status = ranks->rank ? run_quietly(&run, e) : run_mesh_verb(&run, e);
    if (status != NMRT_OK && !ranks->local) {
        run.comm.abort(&run.comm, status, e);
        nmrt_ranks_say(ranks, status, e);
    }
    run.comm.close(&run.comm);
    return status;
}

// The ranks of the environment or of the flags; on what mesh they are. A dry run is one rank's,
// which looks at the whole mesh.
static nmrt_status find_ranks(nmrt_ranks *ranks, nmrt_run *run, nmrt_error *e)
{
    const nmrt_options *o = run->options;
    NMRT_TRY(nmrt_ranks_find(ranks, e));
    if (ranks->start != NMRT_START_PLAIN && o->nproc)
        return nmrt_fail(e, NMRT_USAGE, "--nproc %lld, but %s has started %d ranks",
                         (long long)o->nproc, nmrt_start_name(ranks->start), ranks->world);
    if (ranks->start != NMRT_START_PLAIN && o->restart)
        return nmrt_fail(e, NMRT_USAGE,
                         "--restart is for ranks that this binary starts itself, not for those of "
                         "%s: start it again with --resume auto",
                         nmrt_start_name(ranks->start));
    nmrt_mesh_flags flags = mesh_flags(o, ranks);
    NMRT_TRY(nmrt_mesh_init(&run->mesh, run->program, &flags, e));
    ranks->timeout = o->comm_timeout;
    ranks->program = run->program->hash;
    ranks->restarts = o->dry_run ? 0 : (int)o->restart;
    if (o->dry_run)
        ranks->world = 1;
    else if (ranks->start == NMRT_START_PLAIN)
        ranks->world = ranks->local_ranks = (int)run->mesh.world;
    return NMRT_OK;
}

// A line of the message is one mistake.
static int report(const char *message, int code)
{
    while (*message) {
        int n = (int)strcspn(message, "\n");
        fprintf(stderr, "error: %.*s\n", n, message);
        message += n + (message[n] == '\n');
    }
    return code;
}

static int exit_code(nmrt_status status, const nmrt_error *e)
{
    return status == NMRT_OK ? 0 : report(e->text, status == NMRT_USAGE ? 2 : 1);
}

static int run_ranks(const nmrt_choice *on, const nmrt_options *o, const nmrt_output *out)
{
    nmrt_error e;
    nmrt_ranks ranks;
    nmrt_run run = {
        .program = on->program, .device = on->device, .options = o, .out = out, .ranks = &ranks};
    nmrt_status status = find_ranks(&ranks, &run, &e);
    // what a launcher hands on, line by line, may be a terminal here and is none where it ends up
    nmrt_output lines = *out;
    lines.terminal = lines.terminal && !ranks.launched;
    run.out = &lines;
    if (status == NMRT_OK)
        return nmrt_ranks_run(&ranks, run_as_rank, &run);
    if (ranks.local_rank) // all of a machine have its flags: the first says it
        e.text[0] = 0;
    return exit_code(status, &e);
}

// --- all verbs ---------------------------------------------------------------------------------

static nmrt_status run_info(const nmdrv_program *program, const nmrt_options *o, nmrt_error *e)
{
    nmrt_text text = {0};
    if (!o->checkpoint)
        (o->json ? nmrt_info_print_json : nmrt_info_print)(program, &o->hypers, &text);
    else if (nmrt_info_print_checkpoint(o, &text, e) != NMRT_OK)
        return NMRT_WORLD;
    return print(&text, e);
}

static nmrt_status run_plan(const nmdrv_program *program, const nmrt_options *o, nmrt_error *e)
{
    nmrt_text text = {0};
    nmrt_status status = nmrt_planner_run(program, o, &text, e);
    if (status == NMRT_OK)
        return print(&text, e);
    nmrt_text_release(&text);
    return status;
}

static void note_flags(const nmrt_choice *on, const nmrt_options *o, const nmrt_output *out)
{
    const nmrt_run run = {.program = on->program, .device = on->device, .options = o, .out = out};
    nmrt_note_program_flags(&run);
}

static int run_verb(const nmrt_choice *on, const nmrt_options *o, const char *binary)
{
    const nmdrv_program *program = on->program;
    nmrt_output out = {stdout, stderr, isatty(STDOUT_FILENO) != 0, has_unicode()};
    nmrt_text text = {0};
    nmrt_error e;
    if (o->verb == NMRT_GENERATE || o->verb == NMRT_PLAN)
        note_flags(on, o, &out);
    switch (o->verb) {
    case NMRT_TRAIN:
    case NMRT_IMPORT:
    case NMRT_EVAL: return run_ranks(on, o, &out);
    case NMRT_GENERATE: return exit_code(nmrt_generate(on, o, &out, &e), &e);
    case NMRT_EXPORT: return exit_code(nmrt_export(program, o, &out, &e), &e);
    case NMRT_INFO: return exit_code(run_info(program, o, &e), &e);
    case NMRT_PLAN: return exit_code(run_plan(program, o, &e), &e);
    case NMRT_HELP: nmrt_options_help(o, binary, &text); return exit_code(print(&text, &e), &e);
    }
    return 0;
}

static const char *given_or_auto(const nmrt_options *o, const char *flag, const char *value)
{
    return nmrt_option_given(o, nmrt_option_find(flag)) ? value : "auto";
}

// What a resumed run takes over from its checkpoint another binary may lack: it goes on in what
// there is, which train tells.
static nmrt_status choose_program(const nmrt_options *o, nmrt_choice *on, nmrt_error *e)
{
    nmrt_numbers n = {o->precision, o->fp8_recipe};
    nmrt_status status = nmrt_choose(o->device, n, on, e);
    n.recipe = given_or_auto(o, "fp8-recipe", n.recipe);
    if (status != NMRT_OK)
        status = nmrt_choose(o->device, n, on, e);
    n.precision = given_or_auto(o, "precision", n.precision);
    return status == NMRT_OK ? status : nmrt_choose(o->device, n, on, e);
}

// What plan prices: the program in f32, or one in bf16, before those that round more.
static const nmdrv_program *find_priced(void)
{
    static const char *const precision[] = {"f32", "bf16"};
    const nmdrv_program *any = nemocc_programs[0], *found = NULL;
    for (size_t i = 0; i < sizeof precision / sizeof *precision && !found; i++)
        found =
            nmrt_program_find((nmdrv_flavour)any->flavour, (nmrt_numbers){precision[i], "auto"});
    return found ? found : any;
}

// What a verb runs on; those that only tell of the binary take any of its programs.
static nmrt_status choose(const nmrt_options *o, nmrt_choice *on, nmrt_error *e)
{
    if (!(o->verb & (NMRT_TRAIN | NMRT_EVAL | NMRT_GENERATE))) {
        *on = (nmrt_choice){NULL, o->verb == NMRT_PLAN ? find_priced() : nemocc_programs[0]};
        return o->verb == NMRT_PLAN ? nmrt_cpu_check(on->program, e) : NMRT_OK;
    }
    NMRT_TRY(choose_program(o, on, e));
    if (o->fp8_check && strcmp(o->precision, "auto") == 0)
        on->program = nmrt_fp8_check_default(on->program, o->fp8_recipe);
    return nmrt_cpu_check(on->program, e);
}

static int parse_and_run(const nmdrv_program *any, int argc, char **argv)
{
    const char *binary = base_name(argc > 0 ? argv[0] : any->name);
    nmrt_options o;
    nmrt_text problems = {0};
    nmrt_error e = {.text = ""};
    nmrt_choice on;
    int code = 0;
    if (nmrt_options_parse(&o, any, argc, argv, &problems) != NMRT_OK) {
        code = report(problems.at ? problems.at : "no memory for the flags", 2);
        bool other = o.verb != NMRT_TRAIN;
        fprintf(stderr, "`%s%s%s --help` lists the flags\n", binary, other ? " " : "",
                other ? nmrt_verb_name(o.verb) : "");
    } else {
        nmrt_status status = choose(&o, &on, &e);
        code = status == NMRT_OK ? run_verb(&on, &o, binary) : exit_code(status, &e);
        fflush(stdout);
    }
    nmrt_text_release(&problems);
    nmrt_options_release(&o);
    return code;
}

int main(int argc, char **argv)
{
    const nmdrv_program *any = nemocc_programs[0];
    if (!any)
        return report("this binary has no program", 1);
    if (any->version != NMDRV_VERSION)
        return report("this binary was linked with the runtime of another nemocc", 1);
    signal(SIGXFSZ, SIG_IGN); // a file that may not grow is a full disk: an error of its writer
    return parse_and_run(any, argc, argv);
}
