// C files of extern ops to bitcode: see library.h.
#include "codegen/library.h"

#include "base/clang.h"
#include "ir/extern.h"

#include <string.h>

typedef struct nm_library {
    const char *file;
    nm_clang_kind kind;
    nm_template_data bitcode;
} nm_library;

static nm_clang_kind kind_of(const nm_target *t)
{
    return t->is_gpu ? NM_CLANG_PTX : t->is_emu ? NM_CLANG_EMU : NM_CLANG_HOST;
}

static const nm_library *find(const nm_libraries *all, const char *file, nm_clang_kind kind)
{
    for (int i = 0; i < all->n; i++)
        if (all->library[i].kind == kind && !strcmp(all->library[i].file, file))
            return &all->library[i];
    return NULL;
}

bool nm_library_get(nm_libraries *all, nm_module *m, const char *file, const nm_target *t,
                    nm_template_data *out)
{
    const nm_library *known = find(all, file, kind_of(t));
    if (known)
        return *out = known->bitcode, true;
    nm_clang_job job = {.kind = kind_of(t), .source = nm_extern_source(m, nm_sym_get(m, file))};
    size_t size = 0;
    const char *data = job.source ? nm_clang_compile(m->arena, m->diag, &job, &size) : NULL;
    if (!data)
        return false;
    all->library = nm_arena_grow(m->arena, all->library, all->n, sizeof *all->library);
    all->library[all->n++] = (nm_library){file, job.kind, {data, size}};
    *out = all->library[all->n - 1].bitcode;
    return true;
}
