// Flags: values reach their field, every mistake is told, names that are nearly right are
// recognised.
#include "runtime/options.h"

#include "tests/runtime/check.h"

#include <string.h>

static char problems[4096];

static nmrt_status parse(nmrt_options *o, int argc, const char *const *argv)
{
    nmrt_text t = {0};
    nmrt_status status = nmrt_options_parse(o, nemocc_programs[0], argc, (char **)argv, &t);
    snprintf(problems, sizeof problems, "%s", t.at ? t.at : "");
    nmrt_text_release(&t);
    return status;
}
#define PARSE(o, ...)                                                                              \
    parse(o, sizeof((const char *[]){"x", __VA_ARGS__}) / sizeof(char *),                          \
          (const char *[]){"x", __VA_ARGS__})

static void test_values(void)
{
    nmrt_options o;
    CHECK(PARSE(&o, "--data", "f", "--steps=20", "--lr", "3e-4", "--min-lr", "1e-5",
                "--micro-batch", "2", "--global-batch", "8", "--save", "d", "--resume",
                "auto") == NMRT_OK);
    CHECK(o.verb == NMRT_TRAIN && strcmp(o.data, "f") == 0 && o.steps == 20 && o.global_batch == 8);
    CHECK(o.hypers.hyper[0].value == 3e-4 && o.hypers.hyper[2].value == 1e-5);
    CHECK(o.hypers.hyper[1].value == 0.02 * 20); // warmup: a share of the steps
    nmrt_options_release(&o);
    CHECK(PARSE(&o, "generate", "--checkpoint", "c", "--top-p", "0.5") == NMRT_OK &&
          o.verb == NMRT_GENERATE);
    CHECK(strcmp(o.prompt, "\n") == 0 && o.top_p == 0.5 && o.seed == 1234);
    nmrt_options_release(&o);
}

static void expect(nmrt_options *o, const char *message)
{
    CHECK(strstr(problems, message));
    if (!strstr(problems, message))
        fprintf(stderr, "wanted: %s\ngot: %s\n", message, problems);
    nmrt_options_release(o);
}

static void test_mistakes(void)
{
    nmrt_options o;
    CHECK(PARSE(&o, "--step", "3", "--seeed", "1", "--lr", "x", "--micro-batch", "0", "stray") ==
          NMRT_USAGE);
    CHECK(strstr(problems, "--micro-batch takes a whole number from 1 on, not '0'"));
    CHECK(strstr(problems, "there is no flag --step; did you mean --steps?"));
    CHECK(strstr(problems, "there is no flag --seeed; did you mean --seed?"));
    CHECK(strstr(problems, "--lr takes a number, not 'x'"));
    expect(&o, "'stray' is no flag");
    PARSE(&o, "evil", "--data", "f");
    expect(&o, "there is no verb 'evil'; did you mean 'eval'?");
    PARSE(&o, "generate", "--steps", "3");
    expect(&o, "--steps is no flag of generate");
    PARSE(&o, "--data", "f", "--micro-batch", "3", "--global-batch", "8");
    expect(&o, "--global-batch 8 is not a multiple of --micro-batch 3");
    PARSE(&o, "--data", "f", "--keep", "3");
    expect(&o, "--keep needs --save DIR");
    PARSE(&o, "--data", "f", "--eval-every", "3");
    expect(&o, "--eval-every needs --eval-data WHAT, or a --split with a second part");
    PARSE(&o, "--steps", "3");
    expect(&o, "--data WHAT is missing");
    PARSE(&o, "--data");
    expect(&o, "--data needs a value");
    PARSE(&o, "--tp", "--data", "f");
    expect(&o, "--tp needs a value");
    PARSE(&o, "--data", "--lr", "1");
    expect(&o, "--data needs a value");
    PARSE(&o, "-tp", "2", "--data", "f");
    expect(&o, "'-tp' is no flag; did you mean --tp?");
    CHECK(PARSE(&o, "--data=--lr") == NMRT_OK);
    nmrt_options_release(&o);
    PARSE(&o, "--data", "f", "--dry-run=yes");
    expect(&o, "--dry-run takes no value");
    CHECK(PARSE(&o, "--data", "f", "--lr-schedule", "cos") == NMRT_OK); // what the name begins with
    nmrt_options_release(&o);
    PARSE(&o, "--data", "f", "--lr-schedule", "cosinus");
    expect(&o, "--lr-schedule: there is no 'cosinus'; there are cosine");
    PARSE(&o, "--data", "f", "--data-order", "random");
    expect(&o, "--data-order takes shuffle|sequential, not 'random'");
}

static void test_ranges(void)
{
    static const char *const mistake[][3] = {
        {"--lr", "-1", "--lr -1 is not at least 0"},
        {"--momentum", "1", "--momentum 1 is not in [0, 1)"},
        {"--clip", "-0.5", "--clip -0.5 is not at least 0"},
        {"--warmup", "-3", "--warmup -3 is not at least 0"},
        {"--min-lr", "-1e-3", "--min-lr -0.001 is not at least 0"},
        {"--lr", "1e-5", "--min-lr 0.05 is above --lr 1e-05"}, // the default's
    };
    nmrt_options o;
    for (size_t i = 0; i < sizeof mistake / sizeof *mistake; i++) {
        CHECK(PARSE(&o, "--data", "f", mistake[i][0], mistake[i][1]) == NMRT_USAGE);
        expect(&o, mistake[i][2]);
    }
    CHECK(PARSE(&o, "--data", "f", "--momentum", "0", "--clip", "0", "--lr", "0", "--min-lr",
                "0") == NMRT_OK);
    nmrt_options_release(&o);
    CHECK(nmrt_hyper_about_find("muon.eps") == nmrt_hyper_about_find("eps"));
}

static void test_help(void)
{
    nmrt_options o;
    nmrt_text help = {0};
    CHECK(PARSE(&o, "--help") == NMRT_OK && o.verb == NMRT_HELP);
    nmrt_options_help(&o, "x", &help);
    for (int i = 0; i < nmrt_n_options; i++) { // complete, and only of train
        char flag[64];
        snprintf(flag, sizeof flag, "  --%s ", nmrt_option_table[i].name);
        CHECK(!!strstr(help.at, flag) == !!(nmrt_option_table[i].verbs & NMRT_TRAIN));
    }
    CHECK(strstr(help.at, "--warmup X") && strstr(help.at, "(0.02 * steps)"));
    nmrt_text_release(&help);
    nmrt_options_release(&o);
}

int main(void)
{
    test_values();
    test_mistakes();
    test_ranges();
    test_help();
    return check_result();
}
