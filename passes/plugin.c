// Loading plug-ins. A library is never closed: what rules did is told in its own texts.
#include "passes/plugin.h"

#include "passes/rows.h"

#include <dlfcn.h>
#include <string.h>

// Is it built with the headers of this compiler?
static bool check_version(nm_diag *diag, const char *path, const nm_plugin *p)
{
    static const size_t sizes[] = {NM_PLUGIN_SIZES};
    if (p->version != NM_PLUGIN_VERSION)
        return nm_error(diag, (nm_loc){0},
                        "%s: a plug-in of version %d, and this nemocc takes version %d", path,
                        p->version, NM_PLUGIN_VERSION);
    if (memcmp(p->sizes, sizes, sizeof sizes) == 0 && strcmp(p->ops, nm_plugin_ops) == 0)
        return true;
    return nm_error(
        diag, (nm_loc){0},
        "%s: built with the headers of another nemocc: its %s are not those of this one", path,
        strcmp(p->ops, nm_plugin_ops) != 0 ? "ops" : "structs");
}

static bool check_pass(nm_diag *diag, const char *path, const nm_pass *p)
{
    if (p->name && *p->name && p->run && p->why && *p->why)
        return true;
    return nm_error(diag, (nm_loc){0}, "%s: its NM_PLUGIN lacks the pass' %s", path,
                    !p->name || !*p->name ? "name"
                    : !p->run             ? "function (.run)"
                                          : "reason (.why)");
}

// The library at `path`, which is a file even without a slash in it. NULL: reported.
static const nm_plugin *open_library(nm_diag *diag, const char *path)
{
    char here[4096];
    snprintf(here, sizeof here, "%s%s", strchr(path, '/') ? "" : "./", path);
    void *library = dlopen(here, RTLD_NOW | RTLD_LOCAL);
    const nm_plugin *p = library ? dlsym(library, "nm_plugin_entry") : NULL;
    if (!library)
        nm_error(diag, (nm_loc){0}, "--load-pass: %s", dlerror());
    else if (!p)
        nm_error(diag, (nm_loc){0}, "%s is no plug-in: it has no NM_PLUGIN(...)", path);
    return p && check_version(diag, path, p) ? p : NULL;
}

bool nm_plugins_load(nm_diag *diag, nm_pipeline_opts *o)
{
    int n = o->n_plugins;
    for (o->n_plugins = 0; o->n_plugins < n;) {
        nm_plugin_file *f = &o->plugin[o->n_plugins++];
        f->plugin = open_library(diag, f->path);
        if (!f->plugin || !check_pass(diag, f->path, &f->plugin->pass) || !nm_rows_check(diag, o))
            return false;
    }
    return true;
}
