// The command line of nemocc-data: all mistakes are collected, each with the nearest name where one
// was misspelt.
#include "nemocc-data-options.h"

#include "base/diag.h"
#include "runtime/flag.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { T = NM_DATA_TOKENIZE, I = NM_DATA_INFO, M = NM_DATA_MERGE, R = NM_DATA_TRAIN };

typedef enum { STRING, CHOICE, LIST, INT, COUNT, SWITCH } option_kind;

typedef struct option {
    const char *name, *arg, *def, *help;
    option_kind kind;
    unsigned verbs, needed;
    size_t at; // of the field in nm_data_options
} option;

static const option table[] = {
#define OPTION(field, name, arg, kind, verbs, needed, def, help)                                   \
    {name, arg, def, help, kind, verbs, needed, offsetof(nm_data_options, field)},
#include "nemocc-data-options.def"
#undef OPTION
};
enum { N_OPTIONS = sizeof table / sizeof *table };

// --- names ---------------------------------------------------------------------------------------

static bool is_of(const nm_data_options *o, const option *row)
{
    return o->verb && row->verbs & o->verb->bit;
}

static const option *find_option(const nm_data_options *o, const char *name, size_t n)
{
    for (int i = 0; i < N_OPTIONS; i++)
        if (is_of(o, &table[i]) && strlen(table[i].name) == n && !memcmp(table[i].name, name, n))
            return &table[i];
    return NULL;
}

static void report_unknown(const nm_data_options *o, const char *text, nmrt_text *problems)
{
    const char *name[N_OPTIONS];
    char word[64];
    size_t n = 0;
    for (int i = 0; i < N_OPTIONS; i++)
        if (is_of(o, &table[i]))
            name[n++] = table[i].name;
    snprintf(word, sizeof word, "%.*s", (int)strcspn(text, "="), text);
    const char *near = nm_nearest(word, name, n);
    nmrt_text_add(problems, "%s has no flag --%s", o->verb->name, word);
    if (near)
        nmrt_text_add(problems, "; did you mean --%s?", near);
    nmrt_text_add(problems, "\n");
}

static const nm_data_verb *find_verb(const char *name, nmrt_text *problems)
{
    const char *names[16];
    size_t n = 0;
    for (; nm_data_verbs[n].name; n++) {
        names[n] = nm_data_verbs[n].name;
        if (strcmp(names[n], name) == 0)
            return &nm_data_verbs[n];
    }
    const char *near = nm_nearest(name, names, n);
    nmrt_text_add(problems, "there is no verb '%s'%s%s%s\n", name, near ? "; did you mean '" : "",
                  near ? near : "", near ? "'?" : "");
    return NULL;
}

// --- values --------------------------------------------------------------------------------------

static bool list_add(nm_data_list *list, const char *text)
{
    const char **at = realloc(list->at, (size_t)(list->n + 1) * sizeof *at);
    if (!at)
        return false;
    list->at = at;
    at[list->n++] = text;
    return true;
}

static void set_option(nm_data_options *o, const option *row, const char *text, nmrt_text *problems)
{
    void *at = (char *)o + row->at;
    switch (row->kind) {
    case STRING: *(const char **)at = text; break;
    case SWITCH: *(bool *)at = true; break;
    case LIST:
        if (!list_add(at, text))
            nmrt_text_add(problems, "no memory for --%s\n", row->name);
        break;
    case CHOICE:
        *(const char **)at = text;
        nmrt_flag_check_choice(row->name, row->help, text, problems);
        break;
    case INT:
    case COUNT: nmrt_flag_int(row->name, text, row->kind == COUNT, at, problems); break;
    }
}

// --- arguments -----------------------------------------------------------------------------------

// argv[*i] is --name or --name=value; the value may be the next.
static void parse_flag(nm_data_options *o, int *i, int argc, char **argv, nmrt_text *problems)
{
    const char *text = argv[*i] + 2, *value = strchr(text, '=');
    const option *row = find_option(o, text, value ? (size_t)(value - text) : strlen(text));
    if (!row) {
        report_unknown(o, text, problems);
        *i += !value && *i + 1 < argc && argv[*i + 1][0] != '-'; // most likely its value
        return;
    }
    if (row->kind == SWITCH) {
        if (value)
            nmrt_text_add(problems, "--%s takes no value\n", row->name);
        set_option(o, row, "", problems);
        return;
    }
    if (!value && *i + 1 >= argc) {
        nmrt_text_add(problems, "--%s needs a value\n", row->name);
        return;
    }
    set_option(o, row, value ? value + 1 : argv[++*i], problems);
}

static void check_words(const nm_data_options *o, nmrt_text *problems)
{
    if (!o->word.n)
        nmrt_text_add(problems, "%s needs %s\n", o->verb->name, o->verb->words);
    if (o->word.n > 1 && !o->verb->takes_many)
        nmrt_text_add(problems, "%s takes one %s, and there is '%s', too\n", o->verb->name,
                      o->verb->words, o->word.at[1]);
    for (int i = 0; i < N_OPTIONS; i++)
        if (table[i].needed & o->verb->bit && !*(const char **)((char *)o + table[i].at))
            nmrt_text_add(problems, "--%s %s is missing\n", table[i].name, table[i].arg);
}

static bool asks(int argc, char **argv, const char *flag)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], flag) == 0)
            return true;
    return false;
}

nmrt_status nm_data_options_parse(nm_data_options *o, int argc, char **argv, nmrt_text *problems)
{
    *o = (nm_data_options){0};
    for (int i = 0; i < N_OPTIONS; i++)
        if (*table[i].def)
            set_option(o, &table[i], table[i].def, problems);
    o->help = asks(argc, argv, "--help") || asks(argc, argv, "-h");
    o->version = asks(argc, argv, "--version");
    int i = 1;
    if (argc > 1 && argv[1][0] != '-')
        o->verb = find_verb(argv[i++], problems);
    if (o->help || o->version || problems->n)
        return problems->n ? NMRT_USAGE : NMRT_OK;
    if (!o->verb) {
        nmrt_text_add(problems, "a verb is missing; see nemocc-data --help\n");
        return NMRT_USAGE;
    }
    for (; i < argc; i++)
        if (strncmp(argv[i], "--", 2) == 0 && argv[i][2])
            parse_flag(o, &i, argc, argv, problems);
        else if (argv[i][0] == '-' && argv[i][1])
            nmrt_text_add(problems, "'%s' is no flag\n", argv[i]);
        else if (!list_add(&o->word, argv[i]))
            nmrt_text_add(problems, "no memory for the words\n");
    check_words(o, problems);
    return problems->n ? NMRT_USAGE : NMRT_OK;
}

void nm_data_options_release(nm_data_options *o)
{
    for (int i = 0; i < N_OPTIONS; i++)
        if (table[i].kind == LIST)
            free(((nm_data_list *)(void *)((char *)o + table[i].at))->at);
    free(o->word.at);
}

// --- help ----------------------------------------------------------------------------------------

static void add_option(const nm_data_options *o, const option *row, nmrt_text *out)
{
    enum { HELP_COLUMN = 24 };
    nmrt_text flag = {0}, help = {0};
    nmrt_text_add(&flag, "--%s%s%s", row->name, *row->arg ? " " : "", row->arg);
    nmrt_text_add(&help, "%s", row->help);
    if (row->needed & o->verb->bit)
        nmrt_text_add(&help, " (required)");
    else if (*row->def && strcmp(row->def, "0") != 0)
        nmrt_text_add(&help, " (%s)", row->def);
    if (!flag.failed && !help.failed)
        nmrt_flag_add_help(out, HELP_COLUMN, flag.at, help.at);
    nmrt_text_release(&flag);
    nmrt_text_release(&help);
}

static void add_flags(const nm_data_options *o, nmrt_text *out)
{
    for (int i = 0; i < N_OPTIONS; i++)
        if (is_of(o, &table[i]))
            add_option(o, &table[i], out);
}

void nm_data_options_help(const nm_data_options *o, nmrt_text *out)
{
    nmrt_text_add(out, "nemocc-data: corpora for training\n\n");
    for (const nm_data_verb *v = nm_data_verbs; v->name; v++)
        if (!o->verb || o->verb == v)
            nmrt_text_add(out, "  nemocc-data %-15s [flags] %-12s %s\n", v->name, v->words,
                          v->does);
    if (o->verb)
        nmrt_text_add(out, "\n");
    else
        nmrt_text_add(out, "\n`nemocc-data VERB --help` has the flags.\n");
    add_flags(o, out);
}
