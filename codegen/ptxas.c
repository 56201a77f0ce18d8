// NVIDIA's assembler, where it is installed: PTX to a cubin, so that no driver has to compile at
// the start of a run.
#include "codegen/image.h"

#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static bool is_program(const char *path) { return path && *path && access(path, X_OK) == 0; }

const char *nm_ptxas_find(nm_module *m)
{
    const char *named = getenv("NEMOCC_PTXAS");
    if (named)
        return is_program(named) ? nm_arena_fmt(m->arena, "%s", named) : NULL;
    char *path = getenv("PATH"), *save = NULL;
    path = path ? nm_arena_fmt(m->arena, "%s", path) : NULL;
    for (char *p = path ? strtok_r(path, ":", &save) : NULL; p; p = strtok_r(NULL, ":", &save)) {
        const char *full = nm_arena_fmt(m->arena, "%s/ptxas", p);
        if (is_program(full))
            return full;
    }
    return is_program("/usr/local/cuda/bin/ptxas") ? "/usr/local/cuda/bin/ptxas" : NULL;
}

static bool complain(nm_module *m, const char *what, const char *path)
{
    return nm_error(m->diag, (nm_loc){0}, "%s %s: %s", what, path, strerror(errno));
}

static bool write_all(nm_module *m, const char *path, const char *data, size_t size)
{
    FILE *f = fopen(path, "wb");
    if (!f)
        return complain(m, "cannot write", path);
    bool ok = fwrite(data, 1, size, f) == size;
    ok = fclose(f) == 0 && ok;
    return ok || complain(m, "cannot write", path);
}

static bool read_all(nm_module *m, const char *path, nm_image *out)
{
    FILE *f = fopen(path, "rb");
    if (!f || fseek(f, 0, SEEK_END) != 0) {
        if (f)
            fclose(f);
        return complain(m, "cannot read", path);
    }
    long size = ftell(f);
    rewind(f);
    out->data = size > 0 ? malloc((size_t)size) : NULL;
    out->size = out->data ? fread(out->data, 1, (size_t)size, f) : 0;
    fclose(f);
    if (out->data && out->size == (size_t)size)
        return true;
    free(out->data);
    return complain(m, "cannot read", path);
}

static bool run(nm_module *m, char *const *word)
{
    pid_t pid;
    int status = 0;
    errno = posix_spawn(&pid, word[0], NULL, NULL, word, environ);
    if (errno)
        return complain(m, "cannot run", word[0]);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    return nm_error(m->diag, (nm_loc){0}, "ptxas refused the kernels (its words are above)");
}

static bool assemble(nm_module *m, const char *ptxas, const nm_image *ptx, const char *folder,
                     nm_image *cubin)
{
    const char *in = nm_arena_fmt(m->arena, "%s/kernels.ptx", folder);
    const char *out = nm_arena_fmt(m->arena, "%s/kernels.cubin", folder);
    char *const word[] = {
        (char *)ptxas,
        nm_arena_fmt(m->arena, "-arch=%s", ptx->target->name),
        (char *)"-split-compile=0",
        (char *)in,
        (char *)"-o",
        (char *)out,
        NULL,
    };
    *cubin = (nm_image){.target = ptx->target, .is_cubin = true};
    bool ok = write_all(m, in, ptx->data, ptx->size) && run(m, word) && read_all(m, out, cubin);
    unlink(in);
    unlink(out);
    return ok;
}

bool nm_ptxas_run(nm_module *m, const char *ptxas, const nm_image *ptx, nm_image *cubin)
{
    const char *tmp = getenv("TMPDIR");
    char *folder = nm_arena_fmt(m->arena, "%s/nemocc-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!mkdtemp(folder))
        return complain(m, "cannot make a folder", folder);
    bool ok = assemble(m, ptxas, ptx, folder, cubin);
    rmdir(folder);
    return ok;
}
