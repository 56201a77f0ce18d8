// Weight maps as far as sizes and constants say them: the rows of their `config`, evaluated.
#include "frontend/elab_internal.h"
#include "frontend/weights.h"

void nm_config_elaborate(nm_elab *e)
{
    nm_module *m = e->m;
    const nm_ast_weights **list = nm_weights_list(m, e->prog);
    while (list[m->n_weights])
        m->n_weights++;
    m->weights = nm_new_n(m->arena, nm_weights, (size_t)m->n_weights + 1);
    for (int i = 0; i < m->n_weights; i++)
        m->weights[i] = (nm_weights){.name = list[i]->name.sym, .loc = list[i]->name.loc};
}
