// main() of every emitted binary: flags, then a verb. Exit codes: 0 done (also when a signal ended
// the run and all is saved), 1 it failed, 2 the flags are wrong.
#include "runtime/cpu.h"
#include "runtime/eval.h"
#include "runtime/generate.h"
#include "runtime/info.h"
#include "runtime/options.h"
#include "runtime/train.h"

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

static nmrt_status run_verb(const nmdrv_program *program, const nmrt_options *o, const char *binary,
                            nmrt_error *e)
{
    nmrt_output out = {stdout, stderr, isatty(STDOUT_FILENO) != 0, has_unicode()};
    nmrt_text text = {0};
    switch (o->verb) {
    case NMRT_TRAIN: return nmrt_train(program, o, &out, e);
    case NMRT_EVAL: return nmrt_eval(program, o, &out, e);
    case NMRT_GENERATE: return nmrt_generate(program, o, &out, e);
    case NMRT_INFO:
        (o->json ? nmrt_info_print_json : nmrt_info_print)(program, &o->hypers, &text);
        return print(&text, e);
    case NMRT_HELP: nmrt_options_help(o, binary, &text); return print(&text, e);
    }
    return NMRT_OK;
}

int main(int argc, char **argv)
{
    const nmdrv_program *program = &nemocc_program;
    const char *binary = base_name(argc > 0 ? argv[0] : program->name);
    nmrt_options o;
    nmrt_text problems = {0};
    nmrt_error e = {""};
    int code = 0;
    if (program->version != NMDRV_VERSION)
        return report("this binary was linked with the runtime of another nemocc", 1);
    if (nmrt_options_parse(&o, program, argc, argv, &problems) != NMRT_OK) {
        code = report(problems.at ? problems.at : "no memory for the flags", 2);
        fprintf(stderr, "`%s --help` lists the flags\n", binary);
    } else {
        nmrt_status status = NMRT_OK;
        if (o.verb != NMRT_INFO && o.verb != NMRT_HELP)
            status = nmrt_cpu_check(program, &e);
        if (status == NMRT_OK)
            status = run_verb(program, &o, binary, &e);
        fflush(stdout);
        if (status != NMRT_OK)
            code = report(e.text, status == NMRT_USAGE ? 2 : 1);
    }
    nmrt_text_release(&problems);
    nmrt_options_release(&o);
    return code;
}
