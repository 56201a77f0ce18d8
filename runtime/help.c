// --help: verbs, then the flags of one, by group, with the defaults that hold for this binary.
#include "runtime/flag.h"
#include "runtime/options.h"

#include <string.h>

enum { HELP_COLUMN = 28 };

static void add_schedules(const nmrt_options *o, nmrt_text *help)
{
    const nmdrv_program *p = o->hypers.program;
    const char *sep = ": ";
    for (int64_t i = 0; i < p->n_funcs; i++)
        if (p->func[i].role == NMDRV_SCHEDULE) {
            nmrt_text_add(help, "%s%s", sep, p->func[i].entry);
            sep = ", ";
        }
    for (int64_t i = 0; i < p->n_hypers; i++)
        if (*p->hyper[i].schedule) {
            nmrt_text_add(help, " (%s)", p->hyper[i].schedule);
            return;
        }
}

static void add_option(const nmrt_options *o, const nmrt_option *option, nmrt_text *out)
{
    nmrt_text flag = {0}, help = {0};
    nmrt_text_add(&flag, "--%s%s%s", option->name, *option->arg ? " " : "", option->arg);
    nmrt_text_add(&help, "%s", option->help);
    if (strcmp(option->name, "lr-schedule") == 0)
        add_schedules(o, &help);
    else if (strcmp(option->def, "\n") == 0)
        nmrt_text_add(&help, " (a line end)");
    else if (o->help_of == NMRT_PLAN && option->verbs & NMRT_TRAIN &&
             (strcmp(option->group, "Mesh") == 0 || strcmp(option->name, "micro-batch") == 0))
        nmrt_text_add(&help, " (searched)");
    else if (*option->def && strcmp(option->def, "0") != 0)
        nmrt_text_add(&help, " (%s)", option->def);
    if (!flag.failed && !help.failed)
        nmrt_flag_add_help(out, HELP_COLUMN, flag.at, help.at);
    nmrt_text_release(&flag);
    nmrt_text_release(&help);
}

static void add_hyper(const nmrt_options *o, const nmrt_hyper_flag *f, nmrt_text *out)
{
    nmrt_text flag = {0}, help = {0};
    nmrt_text_add(&flag, "--%s %s", f->name, f->n == 1 ? "X" : f->n == 2 ? "A,B" : "A,B,...");
    nmrt_text_add(&help, "%s (", nmrt_hyper_about_find(f->name)->help);
    if (o->hypers.hyper[f->first].needed)
        nmrt_text_add(&help, "for schedules that read it");
    else
        nmrt_hyper_print(&o->hypers, f, &help);
    nmrt_text_add(&help, ")");
    if (!flag.failed && !help.failed)
        nmrt_flag_add_help(out, HELP_COLUMN, flag.at, help.at);
    nmrt_text_release(&flag);
    nmrt_text_release(&help);
}

// What holds for all flags of a group.
static const char *aside(const char *group)
{
    return strcmp(group, "Optimizer") == 0 ? " (defaults are the model's train block)"
           : strcmp(group, "Mesh") == 0 ? " (what has nothing to do on a mesh, as --zero where dp "
                                          "is 1, is noted and ignored)"
                                        : "";
}

static void add_flags(const nmrt_options *o, nmrt_verb verb, nmrt_text *out)
{
    const char *group = "";
    for (int i = 0; i < nmrt_n_options; i++) {
        const nmrt_option *option = &nmrt_option_table[i];
        if (!(option->verbs & (unsigned)verb))
            continue;
        if (strcmp(option->group, group) != 0) {
            group = option->group;
            nmrt_text_add(out, "\n%s%s:\n", group, aside(group));
        }
        add_option(o, option, out);
        for (int k = 0; strcmp(option->name, "lr-schedule") == 0 && k < o->hypers.n_flags; k++)
            add_hyper(o, &o->hypers.flag[k], out);
    }
}

void nmrt_options_help(const nmrt_options *o, const char *binary, nmrt_text *out)
{
    const nmdrv_program *p = o->hypers.program;
    nmrt_text_add(out, "%s: %s%s%s, compiled by %s for %s\n\n", binary, p->name,
                  *p->preset ? " " : "", p->preset, p->compiler, p->cpu);
    for (int i = 0; nmrt_verbs[i].name; i++)
        if (!o->help_of || nmrt_verbs[i].verb == o->help_of)
            nmrt_text_add(out, "  %s %-9s  %s\n", binary, nmrt_verbs[i].name, nmrt_verbs[i].does);
    nmrt_verb verb = o->help_of ? o->help_of : NMRT_TRAIN;
    if (!o->help_of)
        nmrt_text_add(out, "\nFlags of train; `%s VERB --help` has the others'.\n", binary);
    if (verb != NMRT_HELP)
        add_flags(o, verb, out);
}
