// Which entries a program is made of: a file's own and those of the files that it takes in, of
// which its own come first; and of those that train, the one that was asked for.
#include "frontend/elab_internal.h"

#include "ir/names.h"

#include <string.h>

static bool is_wanted(nm_elab *e, const nm_ast_entry *entry)
{
    nm_sym name = entry->name.sym;
    return entry->kind == NM_ENTRY_eval || !name || !e->opts->entry ||
           strcmp(name, e->opts->entry) == 0;
}

// Functions of a step are found by such words behind the entry's name (ir/names.h).
static void check_entry_name(nm_elab *e, const nm_ast_entry *entry)
{
    bool has_steps = entry->kind == NM_ENTRY_train || entry->kind == NM_ENTRY_eval;
    if (has_steps && entry->name.sym && nm_names_step(entry->name.sym))
        nm_elab_error(e, NULL, entry->name.loc,
                      "'%s' is what a part of a step is called; the entry needs another name "
                      "[name-1]",
                      entry->name.sym);
}

static void gather(nm_elab *e, const nm_ast_file *file, nm_entries *all, int depth)
{
    for (int i = 0; i < file->n_uses && depth < 32; i++)
        if (file->use[i].file && !file->use[i].as.sym)
            gather(e, file->use[i].file, all, depth + 1);
    for (int i = 0; i < file->n_entries; i++) {
        const nm_ast_entry *own = &file->entry[i];
        int at = 0;
        if (!is_wanted(e, own))
            continue;
        check_entry_name(e, own);
        while (at < all->n &&
               (all->entry[at]->kind != own->kind || all->entry[at]->name.sym != own->name.sym))
            at++;
        if (at < all->n && all->entry[at]->file == own->file) {
            nm_elab_error(e, NULL, own->loc,
                          "a second entry of this kind and name (the first: %s) [name-1]",
                          nm_elab_place(e, all->entry[at]->loc, own->loc));
            continue;
        }
        if (at == all->n)
            all->entry = nm_arena_grow(e->a, all->entry, all->n, sizeof *all->entry);
        all->entry[at] = own;
        all->n += at == all->n;
    }
}

static bool has_train(const nm_entries *all, nm_sym name)
{
    for (int i = 0; i < all->n; i++)
        if (all->entry[i]->kind == NM_ENTRY_train && all->entry[i]->name.sym == name)
            return true;
    return false;
}

// A binary trains one way: as the entry that was asked for does, else as the one without a name.
static void choose_train(nm_elab *e, nm_entries *all)
{
    nm_sym name = e->opts->entry ? nm_sym_get(e->m, e->opts->entry) : NULL;
    bool asked = name && has_train(all, name);
    int n = 0;
    if (e->opts->all_entries || (!asked && !has_train(all, NULL)))
        return;
    for (int i = 0; i < all->n; i++)
        if (all->entry[i]->kind != NM_ENTRY_train ||
            all->entry[i]->name.sym == (asked ? name : NULL))
            all->entry[n++] = all->entry[i];
    all->n = n;
}

nm_entries nm_elab_list_entries(nm_elab *e)
{
    nm_entries all = {0};
    gather(e, e->main->file, &all, 0);
    choose_train(e, &all);
    return all;
}
