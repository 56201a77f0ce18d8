// The table of modes.
#include "ir/mode.h"

#include <string.h>

const nm_mode nm_mode_table[NM_N_MODES] = {
    {.name = "one", .whole = true},
    {.name = "mesh", .also = true},
    {.name = "mesh_notp", .no_tp = true},
    {.name = "mesh_nosp"},
    {.name = "mesh_ring", .also = true, .ring = true},
};

const nm_mode *nm_mode_find(nm_sym name)
{
    for (int i = 0; i < NM_N_MODES && name; i++)
        if (!strcmp(nm_mode_table[i].name, name))
            return &nm_mode_table[i];
    return NULL;
}
