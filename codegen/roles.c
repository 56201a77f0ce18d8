// Which functions the program has, and what each is to the runtime: its role, from its name
// (docs/architecture.md), and its part of the role's whole step (docs/mesh.md).
#include "codegen/program.h"
#include "ir/names.h"
#include "runtime/driver_abi.h"

#include <string.h>

static int step_role(nm_step step, bool train)
{
    static const int of_train[] = {[NM_STEP_none] = -1,
                                   [NM_STEP_count] = NMDRV_COUNT,
                                   [NM_STEP_micro] = NMDRV_MICRO,
                                   [NM_STEP_finish] = NMDRV_FINISH,
                                   [NM_STEP_weights] = NMDRV_WEIGHTS};
    static const int of_eval[] = {[NM_STEP_none] = -1,
                                  [NM_STEP_count] = -1,
                                  [NM_STEP_micro] = NMDRV_EVAL_MICRO,
                                  [NM_STEP_finish] = NMDRV_EVAL_FINISH,
                                  [NM_STEP_weights] = -1};
    return train ? of_train[step] : of_eval[step];
}

int nm_role_of(const nm_func *f, const char **entry)
{
    bool train = nm_func_has_role(f, "train");
    *entry = "";
    if (!f->plan || nm_func_has_role(f, "model"))
        return -1;
    if (nm_func_has_role(f, "init"))
        return NMDRV_INIT;
    if (nm_func_has_role(f, "decode"))
        return NMDRV_DECODE;
    if (train || nm_func_has_role(f, "eval"))
        return step_role(nm_func_step(f), train);
    const char *dot = strchr(f->name, '.');
    *entry = dot ? dot + 1 : f->name;
    return nm_func_has_role(f, "schedule") ? NMDRV_SCHEDULE : NMDRV_INFER;
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
