// Which functions the program has, and what each is to the runtime: its role, from its name
// (docs/architecture.md), and its part of the role's whole step (docs/mesh.md).
#include "codegen/program.h"
#include "runtime/driver_abi.h"

#include <string.h>

static bool starts(const char *s, const char *with) { return strncmp(s, with, strlen(with)) == 0; }

// The last of the name's words between dots that is one of these; -1: none. Behind it there are
// only phases, units and modes.
static int last_word(const char *name, int n, const char *const *word)
{
    int found = -1;
    for (const char *at = name; *at; at += strcspn(at, "."), at += *at == '.') {
        size_t len = strcspn(at, ".");
        for (int i = 0; i < n; i++)
            if (strlen(word[i]) == len && strncmp(at, word[i], len) == 0)
                found = i;
    }
    return found;
}

static int step_role(const char *name, bool train)
{
    static const char *const word[] = {"count", "counted", "micro", "finish", "weights"};
    static const int of_train[] = {NMDRV_COUNT, NMDRV_COUNT, NMDRV_MICRO, NMDRV_FINISH,
                                   NMDRV_WEIGHTS};
    static const int of_eval[] = {-1, -1, NMDRV_EVAL_MICRO, NMDRV_EVAL_FINISH, -1};
    int i = last_word(name, 5, word);
    return i < 0 ? -1 : train ? of_train[i] : of_eval[i];
}

int nm_role_of(const nm_func *f, const char **entry)
{
    *entry = "";
    if (!f->plan || starts(f->name, "model."))
        return -1;
    if (strcmp(f->name, "init") == 0 || starts(f->name, "init."))
        return NMDRV_INIT;
    if (strcmp(f->name, "decode") == 0)
        return NMDRV_DECODE;
    if (starts(f->name, "train.") || starts(f->name, "eval."))
        return step_role(f->name, *f->name == 't');
    const char *dot = strchr(f->name, '.');
    *entry = dot ? dot + 1 : f->name;
    return starts(f->name, "schedule.") ? NMDRV_SCHEDULE : NMDRV_INFER;
}

// --- chunks --------------------------------------------------------------------------------------

nm_dim_decl *nm_extent_decl(nm_module *m, const nm_extent *e)
{
    bool plain = e->n_terms == 1 && e->term[0].factor == 1 && e->term[0].n_atoms == 1;
    nm_sym sym = plain ? e->term[0].atom[0].sym : NULL;
    nm_dim_decl *d = sym ? nm_dim_lookup(m, sym) : NULL;
    return d && d->runtime ? d : NULL;
}

int nm_extent_sym_index(nm_module *m, const nm_extent *e)
{
    const nm_dim_decl *d = nm_extent_decl(m, e);
    return d ? nm_sym_index(m, d->name) : -1;
}

// The symbol that the value's outermost dim is, if a chunk sees a part of it.
static nm_dim_decl *chunked_dim(nm_module *m, const nm_value *v)
{
    nm_dim_decl *d = v->type->rank ? nm_extent_decl(m, v->type->dim[0].extent) : NULL;
    bool pp = d && d->of && d->axes.n == 1 && strcmp(d->axes.axis[0], "pp") == 0;
    return pp ? d : NULL;
}

nm_dim_decl *nm_func_turns(const nm_func *f)
{
    nm_dim_decl *d = NULL;
    for (int i = 0; i < f->n_params && !d; i++)
        d = chunked_dim(f->module, f->param[i]);
    for (int i = 0; i < f->n_results && !d; i++)
        d = chunked_dim(f->module, f->last->in[i]);
    return d;
}

bool nm_is_chunked(const nm_func *f, const nm_value *v)
{
    nm_dim_decl *d = chunked_dim(f->module, v);
    return d && d == nm_func_turns(f);
}
