// Loading a program: the file, std.nm, and all that is `use`d, depth first, each file once.
// Invariants: in prog->file a used file stands before its users; a circle is an error (use-1).
#include "frontend/ast.h"
#include "frontend/embedded.h"

#include <string.h>
#include <unistd.h>

typedef struct chain { // the files that are being loaded, innermost first
    const struct chain *outer;
    const char *name;
} chain;

typedef struct loader {
    nm_module *m;
    nm_ast_program *prog;
} loader;

// --- where a file is -----------------------------------------------------------------------------

static const nm_embedded *find_embedded(const char *stem)
{
    for (const nm_embedded *e = nm_embedded_models; e->stem; e++)
        if (strcmp(e->stem, stem) == 0)
            return e;
    return NULL;
}

static const char *nearest_embedded(const char *stem)
{
    enum { MAX = 64 };
    const char *name[MAX];
    size_t n = 0;
    for (const nm_embedded *e = nm_embedded_models; e->stem && n < MAX; e++)
        name[n++] = e->stem;
    return nm_nearest(stem, name, n);
}

static const nm_source *embedded_source(nm_module *m, const nm_embedded *e)
{
    return nm_source_text(m->arena, m->diag, e->name, e->text, strlen(e->text));
}

// Beside the file that uses it: "models/llama3.nm" for llama3 in models/phi3.nm. A path from the
// root stays what it is.
static const char *beside(nm_module *m, const char *user, const char *name, const char *suffix)
{
    const char *slash = *name == '/' ? NULL : strrchr(user, '/');
    int folder = slash ? (int)(slash - user) + 1 : 0;
    return nm_arena_fmt(m->arena, "%.*s%s%s", folder, user, name, suffix);
}

static const nm_source *used_source(nm_module *m, const char *user, const nm_ast_use *u)
{
    const char *name = u->module.sym;
    const char *path = beside(m, user, name, u->is_path ? "" : ".nm");
    if (access(path, F_OK) == 0)
        return nm_source_read(m->arena, m->diag, path);
    const nm_embedded *e = u->is_path ? NULL : find_embedded(name);
    if (e)
        return embedded_source(m, e);
    const char *near = u->is_path ? NULL : nearest_embedded(name);
    nm_error(m->diag, u->module.loc, "there is no file %s%s%s%s%s [use-3]", path,
             u->is_path ? "" : ", and nemocc carries no such model", near ? "; did you mean '" : "",
             near ? near : "", near ? "'?" : "");
    return NULL;
}

// --- loading -------------------------------------------------------------------------------------

static nm_ast_file *find_loaded(const nm_ast_program *prog, const char *name)
{
    for (int i = 0; i < prog->n_files; i++)
        if (strcmp(prog->file[i]->src->name, name) == 0)
            return prog->file[i];
    return NULL;
}

static void add_file(loader *l, nm_ast_file *file)
{
    nm_ast_program *p = l->prog;
    nm_ast_file **more = nm_new_n(l->m->arena, nm_ast_file *, (size_t)p->n_files + 1);
    if (p->n_files)
        memcpy(more, p->file, (size_t)p->n_files * sizeof *more);
    more[p->n_files++] = file;
    p->file = more;
}

static bool is_circle(loader *l, const chain *users, const char *name, nm_loc at)
{
    const char *way = name;
    for (const chain *c = users; c; c = c->outer) {
        way = nm_arena_fmt(l->m->arena, "%s -> %s", c->name, way);
        if (strcmp(c->name, name) == 0) {
            nm_error(l->m->diag, at, "files use each other in a circle: %s [use-1]", way);
            return true;
        }
    }
    return false;
}

static nm_ast_file *load_source(loader *l, const nm_source *src, const chain *users);

static bool load_use(loader *l, nm_ast_use *u, const chain *users)
{
    const nm_source *src = used_source(l->m, users->name, u);
    if (!src || is_circle(l, users, src->name, u->module.loc))
        return false;
    u->file = load_source(l, src, users);
    return u->file != NULL;
}

static nm_ast_file *load_source(loader *l, const nm_source *src, const chain *users)
{
    nm_ast_file *file = find_loaded(l->prog, src->name);
    if (file)
        return file;
    file = nm_parse_nm(l->m, src);
    if (!file)
        return NULL;
    chain me = {.outer = users, .name = src->name};
    bool ok = true;
    for (int i = 0; i < file->n_uses; i++)
        ok &= load_use(l, &file->use[i], &me);
    if (!ok)
        return NULL;
    add_file(l, file);
    return file;
}

static const nm_source *no_model(nm_module *m, const char *name)
{
    const char *near = nearest_embedded(name);
    nm_error(m->diag, (nm_loc){0},
             "there is no file %s, and nemocc carries no model of this name%s%s%s", name,
             near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
    return NULL;
}

// A file, or the name of a model that nemocc carries.
static const nm_source *main_source(nm_module *m, const char *path)
{
    bool is_name = !strpbrk(path, "./-") && access(path, F_OK) != 0;
    if (!is_name)
        return nm_source_read(m->arena, m->diag, path);
    const nm_embedded *e = find_embedded(path);
    return e ? embedded_source(m, e) : no_model(m, path);
}

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

nm_ast_program *nm_load_text(nm_module *m, const nm_source *src)
{
    loader l = {.m = m, .prog = nm_new(m->arena, nm_ast_program)};
    const nm_embedded *std = find_embedded("std");
    if (!std)
        nm_bug("nemocc was built without std.nm");
    bool is_std = strcmp(file_name(src->name), std->name) == 0; // --check models/std.nm
    const nm_source *std_src = is_std ? src : embedded_source(m, std);
    l.prog->std = std_src ? load_source(&l, std_src, NULL) : NULL;
    if (!l.prog->std)
        return NULL;
    l.prog->main = is_std ? l.prog->std : load_source(&l, src, NULL);
    return l.prog->main ? l.prog : NULL;
}

nm_ast_program *nm_load(nm_module *m, const char *path)
{
    const nm_source *src = main_source(m, path);
    return src ? nm_load_text(m, src) : NULL;
}
