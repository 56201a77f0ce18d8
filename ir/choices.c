// The names of choices.def's rows.
#include "ir/ir.h"

#include "base/list.h"

const char *const nm_precision_name[NM_N_PRECISIONS] = {
    "",
#define PRECISION(name) #name,
#include "ir/choices.def"
};

const char *const nm_recipe_name[NM_N_RECIPES] = {
    "",
#define RECIPE(name) #name,
#include "ir/choices.def"
};

const char *const nm_recompute_name[NM_N_RECOMPUTES] = {
    "any",
#define RECOMPUTE(name) #name,
#include "ir/choices.def"
};

unsigned nm_recompute_bits(const char *list)
{
    unsigned bits = 0;
    nm_each_item(item, list) {
        int how = nm_item_find(item, NM_N_RECOMPUTES, nm_recompute_name);
        if (how <= NM_RECOMPUTE_any)
            return 0;
        bits |= 1u << how;
    }
    return bits;
}
