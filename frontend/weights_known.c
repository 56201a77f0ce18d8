// Words of a program: does any preset of it have a parameter by this path?
#include "frontend/weights_internal.h"

#include "frontend/walk.h"

#include <string.h>

typedef struct word_search {
    const char *word;
    size_t len;
    bool found;
} word_search;

static void is_word(word_search *w, nm_sym sym)
{
    w->found |= sym && strlen(sym) == w->len && memcmp(sym, w->word, w->len) == 0;
}

static void search_expr(void *user, const nm_ast_expr *e)
{
    if (e->kind != NM_EXPR_call)
        return;
    is_word(user, e->u.call.label.sym);
    const nm_ast_expr *callee = e->u.call.callee;
    if (callee->kind == NM_EXPR_name)
        is_word(user, callee->u.name.part[callee->u.name.n - 1].sym);
}

static void search_stmt(void *user, const nm_ast_stmt *s)
{
    if (s->kind == NM_STMT_param || s->kind == NM_STMT_state)
        is_word(user, s->u.decl.name.sym);
}

// Does an instance, a parameter or a `use ... as` anywhere in the program have this name?
static bool is_known_step(const nm_ast_program *prog, const char *word, size_t len)
{
    word_search w = {.word = word, .len = len, .found = strspn(word, "0123456789") == len};
    nm_ast_visitor v = {.expr = search_expr, .stmt = search_stmt, .user = &w};
    for (int f = 0; f < prog->n_files && !w.found; f++) {
        const nm_ast_file *file = prog->file[f];
        for (int i = 0; i < file->n_uses; i++)
            is_word(&w, file->use[i].as.sym);
        for (int i = 0; i < file->n_defs && !w.found; i++)
            nm_ast_walk_def(&v, &file->def[i]);
        for (int i = 0; i < file->n_entries && !w.found; i++)
            nm_ast_walk_block(&v, &file->entry[i].body);
    }
    return w.found;
}

bool nm_weights_are_known(const nm_ast_program *prog, const char *path)
{
    for (const char *at = path; at; at = strchr(at, '.') ? strchr(at, '.') + 1 : NULL)
        if (!is_known_step(prog, at, strcspn(at, ".")))
            return false;
    return true;
}
