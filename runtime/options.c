// Parsing of flags: `--name value` or `--name=value`; all mistakes are collected, each with the
// nearest name where one was misspelt.
#include "runtime/options.h"

#include "runtime/flag.h"
#include "runtime/resume.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    T = NMRT_TRAIN,
    E = NMRT_EVAL,
    G = NMRT_GENERATE,
    I = NMRT_INFO,
    P = NMRT_PLAN,
    X = NMRT_EXPORT,
    M = NMRT_IMPORT
};

const nmrt_option nmrt_option_table[] = {
#define OPTION(field, name, arg, kind, verbs, group, def, help)                                    \
    {name, arg, group, def, help, NMRT_KIND_##kind, verbs, offsetof(nmrt_options, field)},
#include "runtime/options.def"
#undef OPTION
};
const int nmrt_n_options = NMRT_N_OPTIONS;

const nmrt_verb_info nmrt_verbs[] = {
    {NMRT_TRAIN, "train", "train the model on a text (the default)"},
    {NMRT_EVAL, "eval", "the loss of a checkpoint on a text"},
    {NMRT_GENERATE, "generate", "let a checkpoint write"},
    {NMRT_INFO, "info", "what this binary holds"},
    {NMRT_IMPORT, "import", "make a checkpoint of a folder of another library's weights"},
    {NMRT_EXPORT, "export", "write weights as a folder that other libraries read"},
    {NMRT_PLAN, "plan", "the best meshes to train it on a cluster of GPUs"},
    {NMRT_HELP, "help", "help, or help VERB: the flags of a verb"},
    {0, NULL, NULL},
};

// --- did you mean ------------------------------------------------------------------------------

enum { MAX_NAME = 40 };

// The edit distance of two names (Levenshtein), or more than any that counts for long ones.
static int distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    int row[MAX_NAME + 1];
    if (n > MAX_NAME || m > MAX_NAME)
        return INT_MAX;
    for (size_t k = 0; k <= m; k++)
        row[k] = (int)k;
    for (size_t i = 0; i < n; i++) {
        int corner = row[0];
        row[0] = (int)i + 1;
        for (size_t k = 0; k < m; k++) {
            int change = corner + (a[i] != b[k]),
                best = row[k] < row[k + 1] ? row[k] + 1 : row[k + 1] + 1;
            corner = row[k + 1];
            row[k + 1] = change < best ? change : best;
        }
    }
    return row[m];
}

typedef struct nearest {
    const char *wanted, *name;
    int distance;
} nearest;

static void consider(nearest *n, const char *name)
{
    int d = distance(n->wanted, name);
    if (d < n->distance && d <= (int)strlen(n->wanted) / 3 + 1)
        n->name = name, n->distance = d;
}

static const char *nearest_flag(const nmrt_options *o, const char *name)
{
    nearest n = {name, NULL, INT_MAX};
    for (int i = 0; i < nmrt_n_options; i++)
        if (nmrt_option_table[i].verbs & o->verb)
            consider(&n, nmrt_option_table[i].name);
    for (int i = 0; o->verb == NMRT_TRAIN && i < o->hypers.n_flags; i++)
        consider(&n, o->hypers.flag[i].name);
    return n.name;
}

static const char *nearest_verb(const char *name)
{
    nearest n = {name, NULL, INT_MAX};
    for (int i = 0; nmrt_verbs[i].name; i++)
        consider(&n, nmrt_verbs[i].name);
    return n.name;
}

// --- values ------------------------------------------------------------------------------------

static bool parse_real(const char *text, double *value)
{
    char *end;
    *value = strtod(text, &end);
    return end != text && !*end && isfinite(*value) && *value >= 0;
}

static const double LONGEST = 1e6; // seconds: 11 days

void nmrt_option_set(nmrt_options *o, const nmrt_option *option, const char *text,
                     nmrt_text *problems)
{
    void *at = (char *)o + option->at;
    switch (option->kind) {
    case NMRT_KIND_STRING: *(const char **)at = text; break;
    case NMRT_KIND_CHOICE:
        *(const char **)at = text;
        nmrt_flag_check_choice(option->name, option->help, text, problems);
        break;
    case NMRT_KIND_INT:
    case NMRT_KIND_COUNT:
        nmrt_flag_int(option->name, text, option->kind == NMRT_KIND_COUNT, at, problems);
        break;
    case NMRT_KIND_REAL:
        if (!parse_real(text, at))
            nmrt_text_add(problems, "--%s takes a number from 0 on, not '%s'\n", option->name,
                          text);
        break;
    case NMRT_KIND_TIME:
        if (!parse_real(text, at) || *(double *)at <= 0 || *(double *)at > LONGEST)
            nmrt_text_add(problems, "--%s takes seconds, more than 0 and at most %.0f, not '%s'\n",
                          option->name, LONGEST, text);
        break;
    case NMRT_KIND_SWITCH: *(bool *)at = true; break;
    }
}

static void set_defaults(nmrt_options *o)
{
    for (int i = 0; i < nmrt_n_options; i++)
        if (*nmrt_option_table[i].def)
            nmrt_option_set(o, &nmrt_option_table[i], nmrt_option_table[i].def, &(nmrt_text){0});
}

void nmrt_option_print_json(const nmrt_options *o, const nmrt_option *option, nmrt_text *out)
{
    const void *at = (const char *)o + option->at;
    switch (option->kind) {
    case NMRT_KIND_STRING:
    case NMRT_KIND_CHOICE: {
        const char *s = *(const char *const *)at;
        if (s)
            nmrt_text_add_json(out, s);
        else
            nmrt_text_add(out, "null");
        break;
    }
    case NMRT_KIND_INT:
    case NMRT_KIND_COUNT: nmrt_text_add(out, "%lld", (long long)*(const int64_t *)at); break;
    case NMRT_KIND_REAL:
    case NMRT_KIND_TIME: nmrt_text_add_real(out, *(const double *)at); break;
    case NMRT_KIND_SWITCH: nmrt_text_add(out, *(const bool *)at ? "true" : "false"); break;
    }
}

void nmrt_option_print(const nmrt_options *o, const nmrt_option *option, nmrt_text *out)
{
    bool is_text = option->kind == NMRT_KIND_STRING || option->kind == NMRT_KIND_CHOICE;
    const char *text = is_text ? *(const char *const *)((const char *)o + option->at) : NULL;
    if (text)
        nmrt_text_add(out, "%s", text);
    else
        nmrt_option_print_json(o, option, out);
}

// --- arguments ---------------------------------------------------------------------------------

typedef struct cursor {
    int i, argc;
    char **argv;
} cursor;

const nmrt_option *nmrt_option_find(const char *name)
{
    for (int i = 0; i < nmrt_n_options; i++)
        if (strcmp(nmrt_option_table[i].name, name) == 0)
            return &nmrt_option_table[i];
    return NULL;
}

bool nmrt_option_given(const nmrt_options *o, const nmrt_option *option)
{
    return o->given[option - nmrt_option_table];
}

const char *nmrt_verb_name(nmrt_verb verb)
{
    for (int i = 0; nmrt_verbs[i].name; i++)
        if (nmrt_verbs[i].verb == verb)
            return nmrt_verbs[i].name;
    return "";
}

static nmrt_verb find_verb(const char *name)
{
    for (int i = 0; nmrt_verbs[i].name; i++)
        if (strcmp(nmrt_verbs[i].name, name) == 0)
            return nmrt_verbs[i].verb;
    return 0;
}

// Of what is no flag: the next word is most likely its value.
static void skip_value(cursor *c) { c->i += c->i + 1 < c->argc && c->argv[c->i + 1][0] != '-'; }

static void report_unknown(const nmrt_options *o, const char *name, nmrt_text *problems)
{
    const nmrt_option *other = nmrt_option_find(name);
    const char *near = nearest_flag(o, name);
    nmrt_text_add(problems, other ? "--%s is no flag of %s" : "there is no flag --%s", name,
                  nmrt_verb_name(o->verb));
    if (!other && near)
        nmrt_text_add(problems, "; did you mean --%s?", near);
    nmrt_text_add(problems, "\n");
}

// Is it one of the verb's, so no value? One that looks so can be given as --name=value.
static bool is_flag(const nmrt_options *o, const char *text)
{
    if (strncmp(text, "--", 2) != 0)
        return false;
    const nmrt_option *option = nmrt_option_find(text + 2);
    return (option && option->verbs & o->verb) ||
           (o->verb == NMRT_TRAIN && nmrt_hyper_flag_find(&o->hypers, text + 2));
}

// Neither a flag nor a value: one dash, most likely, or a word too many.
static void report_word(const nmrt_options *o, cursor *c, nmrt_text *problems)
{
    const char *text = c->argv[c->i], *near = *text == '-' ? nearest_flag(o, text + 1) : NULL;
    nmrt_text_add(problems, "'%s' is no flag", text);
    if (near)
        nmrt_text_add(problems, "; did you mean --%s?", near);
    nmrt_text_add(problems, "\n");
    if (near)
        skip_value(c);
}

typedef struct flag {        // as it stands in the arguments
    char name[MAX_NAME + 1]; // the beginning of a longer one, which none has
    const char *value;       // behind the '='; NULL: not there
} flag;

static flag split_flag(const char *text)
{
    flag f = {0};
    const char *equals = strchr(text, '=');
    size_t n = equals ? (size_t)(equals - text) : strlen(text);
    memcpy(f.name, text, n < MAX_NAME ? n : MAX_NAME);
    f.value = equals ? equals + 1 : NULL;
    return f;
}

// The value behind the '=', else the next argument. NULL: there is none, reported.
static const char *take_value(const nmrt_options *o, cursor *c, const flag *f, nmrt_text *problems)
{
    if (f->value)
        return f->value;
    if (c->i + 1 < c->argc && !is_flag(o, c->argv[c->i + 1]))
        return c->argv[++c->i];
    nmrt_text_add(problems, "--%s needs a value\n", f->name);
    return NULL;
}

static void set_option(nmrt_options *o, cursor *c, const flag *f, const nmrt_option *option,
                       nmrt_text *problems)
{
    bool is_switch = option->kind == NMRT_KIND_SWITCH;
    if (is_switch && f->value) {
        nmrt_text_add(problems, "--%s takes no value\n", f->name);
        return;
    }
    const char *value = is_switch ? "" : take_value(o, c, f, problems);
    if (!value)
        return;
    o->given[option - nmrt_option_table] = true;
    nmrt_option_set(o, option, value, problems);
}

// argv[c->i] is "--name" or "--name=value".
static void parse_flag(nmrt_options *o, cursor *c, nmrt_text *problems)
{
    nmrt_error e;
    flag f = split_flag(c->argv[c->i] + 2);
    const nmrt_option *option = nmrt_option_find(f.name);
    const nmrt_hyper_flag *hyper =
        o->verb == NMRT_TRAIN ? nmrt_hyper_flag_find(&o->hypers, f.name) : NULL;
    if (option && option->verbs & o->verb) {
        set_option(o, c, &f, option, problems);
    } else if (hyper) {
        const char *value = take_value(o, c, &f, problems);
        if (value && nmrt_hyper_parse(&o->hypers, hyper, value, &e) != NMRT_OK)
            nmrt_text_add(problems, "%s\n", e.text);
    } else {
        report_unknown(o, f.name, problems);
        if (!f.value)
            skip_value(c);
    }
}

static void parse_verb(nmrt_options *o, cursor *c, nmrt_text *problems)
{
    o->verb = NMRT_TRAIN;
    if (c->i >= c->argc || c->argv[c->i][0] == '-')
        return;
    const char *name = c->argv[c->i++];
    o->verb = find_verb(name);
    if (o->verb)
        return;
    const char *near = nearest_verb(name);
    o->verb = NMRT_TRAIN;
    nmrt_text_add(problems, "there is no verb '%s'%s%s%s\n", name, near ? "; did you mean '" : "",
                  near ? near : "", near ? "'?" : "");
}

static bool asks_for_help(nmrt_options *o, const cursor *c)
{
    if (o->verb == NMRT_HELP) {
        o->help_of = c->i < c->argc ? find_verb(c->argv[c->i]) : 0;
        return true;
    }
    for (int i = c->i; i < c->argc; i++)
        if (strcmp(c->argv[i], "--help") == 0 || strcmp(c->argv[i], "-h") == 0) {
            o->help_of = c->i > 1 ? o->verb : 0;
            o->verb = NMRT_HELP;
            return true;
        }
    return false;
}

// --- all of it --------------------------------------------------------------------------------

// One sample a micro-batch: none is computed.
static void import_by_train(nmrt_options *o)
{
    o->imports = true;
    o->verb = NMRT_TRAIN;
    o->micro_batch = 1;
}

nmrt_status nmrt_options_parse(nmrt_options *o, const nmdrv_program *program, int argc, char **argv,
                               nmrt_text *problems)
{
    *o = (nmrt_options){0};
    nmrt_error e;
    if (nmrt_hypers_init(&o->hypers, program, &e) != NMRT_OK) {
        nmrt_text_add(problems, "%s\n", e.text);
        return NMRT_WORLD;
    }
    set_defaults(o);
    cursor c = {1, argc, argv};
    parse_verb(o, &c, problems);
    if (asks_for_help(o, &c))
        return problems->n ? NMRT_USAGE : NMRT_OK;
    for (; c.i < argc; c.i++)
        if (strncmp(argv[c.i], "--", 2) == 0 && argv[c.i][2])
            parse_flag(o, &c, problems);
        else
            report_word(o, &c, problems);
    if (!problems->n)
        nmrt_resume_flags(o, problems);
    o->hypers.schedule = o->lr_schedule;
    nmrt_hypers_default(&o->hypers, o->steps);
    if (!problems->n)
        nmrt_options_check(o, problems);
    if (!problems->n && o->verb == NMRT_IMPORT)
        import_by_train(o);
    return problems->n ? NMRT_USAGE : NMRT_OK;
}

void nmrt_options_release(nmrt_options *o)
{
    for (int i = 0; i < NMRT_CARRIED; i++)
        free(o->carried[i]);
    nmrt_text_release(&o->notes);
    nmrt_hypers_release(&o->hypers);
}
