// What names of functions and accumulators say.
#include "ir/names.h"

#include <string.h>

// --- functions -----------------------------------------------------------------------------------

nm_sym nm_func_role(const nm_func *f)
{
    return f->name ? nm_intern(f->module->syms, f->name, strcspn(f->name, ".")) : NULL;
}

bool nm_func_has_role(const nm_func *f, const char *role)
{
    nm_sym own = nm_func_role(f);
    return own && !strcmp(own, role);
}

// The step that the word of n bytes names.
static nm_step step_of(const char *word, size_t n)
{
    static const struct {
        const char *word;
        nm_step step;
    } steps[] = {{"count", NM_STEP_count},
                 {"counted", NM_STEP_count},
                 {"micro", NM_STEP_micro},
                 {"finish", NM_STEP_finish},
                 {"weights", NM_STEP_weights}};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        if (strlen(steps[i].word) == n && !strncmp(steps[i].word, word, n))
            return steps[i].step;
    return NM_STEP_none;
}

bool nm_names_step(nm_sym word) { return step_of(word, strlen(word)) != NM_STEP_none; }

// By the last word that names one: behind it there are only phases, units and modes, before it an
// entry, which is not called so (nm_names_step).
nm_step nm_func_step(const nm_func *f)
{
    nm_step found = NM_STEP_none;
    if (!nm_func_has_role(f, "train") && !nm_func_has_role(f, "eval"))
        return NM_STEP_none;
    for (const char *at = strchr(f->name, '.'); at; at = strchr(at, '.')) {
        nm_step step = step_of(at + 1, strcspn(at + 1, "."));
        found = step ? step : found;
        at++;
    }
    return found;
}

// --- accumulators --------------------------------------------------------------------------------

static const char gradient[] = "grad.", pending[] = "pending.";

static nm_sym behind(nm_module *m, const char *prefix, nm_sym name)
{
    size_t n = strlen(prefix);
    return name && !strncmp(name, prefix, n) ? nm_sym_get(m, name + n) : NULL;
}

nm_sym nm_gradient_name(nm_module *m, nm_sym path) { return nm_sym_fmt(m, "%s%s", gradient, path); }

nm_sym nm_gradient_path(nm_module *m, nm_sym name) { return behind(m, gradient, name); }

nm_sym nm_gradient_bound(nm_module *m, nm_bind bind)
{
    return bind.kind == NM_BIND_acc ? nm_gradient_path(m, bind.name) : NULL;
}

nm_sym nm_pending_name(nm_module *m, nm_sym complete)
{
    return nm_sym_fmt(m, "%s%s", pending, complete);
}

nm_sym nm_complete_name(nm_module *m, nm_bind bind)
{
    return bind.kind == NM_BIND_acc ? behind(m, pending, bind.name) : NULL;
}
