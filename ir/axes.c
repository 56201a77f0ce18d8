// Mesh axes by name. An axis that a run factors (docs/mesh.md) is written as one word where all of
// its factors stand in order.
#include "ir/form.h"

#include <string.h>

static const char *const by_order[] = {"pp", "dpr", "dps", "dpp", "ep", "cpr", "cps", "tpk", "tpr"};

enum { N_ORDER = sizeof by_order / sizeof *by_order, MAX_FACTORS = 3 };

static const struct {
    const char *word;
    int n;
    const char *factor[MAX_FACTORS];
} factored[] = {
    {"dp", 3, {"dpr", "dps", "dpp"}}, {"cp", 2, {"cpr", "cps"}}, {"tp", 2, {"tpk", "tpr"}}};

enum { N_FACTORED = sizeof factored / sizeof *factored };

static bool stands_at(int f, int n, const nm_sym *axis)
{
    if (n < factored[f].n)
        return false;
    for (int i = 0; i < factored[f].n; i++)
        if (strcmp(axis[i], factored[f].factor[i]))
            return false;
    return true;
}

int nm_axes_word(int n, const nm_sym *axis, const char **word)
{
    for (int f = 0; f < N_FACTORED; f++)
        if (stands_at(f, n, axis)) {
            *word = factored[f].word;
            return factored[f].n;
        }
    *word = axis[0];
    return 1;
}

bool nm_axes_are(int n, const nm_sym *axis, const char *word)
{
    const char *first = NULL;
    return n && nm_axes_word(n, axis, &first) == n && !strcmp(first, word);
}

static bool append(nm_axes *axes, nm_sym axis)
{
    if (axes->n == NM_MAX_AXES)
        return false;
    axes->axis[axes->n++] = axis;
    return true;
}

bool nm_axes_append(nm_module *m, nm_axes *axes, nm_sym word)
{
    bool ok = true;
    for (int f = 0; f < N_FACTORED; f++)
        if (!strcmp(word, factored[f].word)) {
            for (int i = 0; i < factored[f].n; i++)
                ok = ok && append(axes, nm_sym_get(m, factored[f].factor[i]));
            return ok;
        }
    return append(axes, word);
}

int nm_axis_order(nm_sym axis)
{
    int i = 0;
    while (i < N_ORDER && strcmp(axis, by_order[i]))
        i++;
    return i;
}

void nm_axes_sort(nm_axes *axes)
{
    for (int i = 1; i < axes->n; i++)
        for (int k = i; k && nm_axis_order(axes->axis[k]) < nm_axis_order(axes->axis[k - 1]); k--) {
            nm_sym axis = axes->axis[k];
            axes->axis[k] = axes->axis[k - 1];
            axes->axis[k - 1] = axis;
        }
}
