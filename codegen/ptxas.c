// NVIDIA's assembler, where it is installed: PTX to a cubin, so that no driver has to compile at
// the start of a run.
#include "codegen/image.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static const char flags[][20] = {"-v", "-split-compile=0"};

static bool is_program(const char *path) { return path && *path && access(path, X_OK) == 0; }

bool nm_ptxas_check(nm_module *m, bool wanted)
{
    const char *named = getenv("NEMOCC_PTXAS");
    if (named && *named && !is_program(named))
        return nm_error(m->diag, (nm_loc){0}, "NEMOCC_PTXAS is '%s', which is no program", named);
    if (!wanted || nm_ptxas_find(m))
        return true;
    nm_error(m->diag, (nm_loc){0}, "--emit=resources: there is no ptxas on this machine");
    nm_help(m->diag, (nm_loc){0}, "it comes with the CUDA toolkit; NEMOCC_PTXAS may name it");
    return false;
}

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

// The file, with a zero behind it; from malloc.
static bool read_all(nm_module *m, const char *path, char **data, size_t *size)
{
    FILE *f = fopen(path, "rb");
    bool ok = f && fseek(f, 0, SEEK_END) == 0;
    *size = ok ? (size_t)ftell(f) : 0;
    *data = ok ? malloc(*size + 1) : NULL;
    ok = *data && fseek(f, 0, SEEK_SET) == 0 && fread(*data, 1, *size, f) == *size;
    if (f)
        fclose(f);
    if (ok) {
        (*data)[*size] = 0;
        return true;
    }
    complain(m, "cannot read", path);
    free(*data);
    *data = NULL;
    return false;
}

static bool read_text(nm_module *m, const char *path, const char **text)
{
    char *data;
    size_t size;
    if (!read_all(m, path, &data, &size))
        return false;
    *text = nm_arena_fmt(m->arena, "%s", data);
    free(data);
    return true;
}

// Runs it with its output in the file `log`. -1: it could not be run; reported.
static int run(nm_module *m, char *const *word, const char *log)
{
    pid_t pid;
    int status = 0;
    posix_spawn_file_actions_t to;
    posix_spawn_file_actions_init(&to);
    posix_spawn_file_actions_addopen(&to, STDOUT_FILENO, log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_adddup2(&to, STDOUT_FILENO, STDERR_FILENO);
    errno = posix_spawn(&pid, word[0], &to, NULL, word, environ);
    posix_spawn_file_actions_destroy(&to);
    if (errno) {
        complain(m, "cannot run", word[0]);
        return -1;
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

// A folder for what ptxas reads and writes; NULL: reported.
static char *make_folder(nm_module *m)
{
    const char *tmp = getenv("TMPDIR");
    char *folder = nm_arena_fmt(m->arena, "%s/nemocc-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (mkdtemp(folder))
        return folder;
    complain(m, "cannot make a folder", folder);
    return NULL;
}

bool nm_ptxas_version(nm_module *m, const char *ptxas, const char **version)
{
    const char *folder = make_folder(m);
    if (!folder)
        return false;
    const char *log = nm_arena_fmt(m->arena, "%s/log", folder);
    char *const word[] = {(char *)ptxas, (char *)"--version", NULL};
    *version = "";
    bool ok = run(m, word, log) >= 0 && read_text(m, log, version);
    *version = nm_arena_fmt(m->arena, "%s%s %s\n", *version, flags[0], flags[1]);
    unlink(log);
    rmdir(folder);
    return ok;
}

static bool assemble(nm_module *m, const char *ptxas, const nm_image *ptx, const char *folder,
                     nm_image *cubin, const char **said)
{
    const char *log = nm_arena_fmt(m->arena, "%s/log", folder);
    const char *in = nm_arena_fmt(m->arena, "%s/kernels.ptx", folder);
    const char *out = nm_arena_fmt(m->arena, "%s/kernels.cubin", folder);
    char *const word[] = {
        (char *)ptxas,    nm_arena_fmt(m->arena, "-arch=%s", ptx->target->name),
        (char *)flags[0], (char *)flags[1],
        (char *)in,       (char *)"-o",
        (char *)out,      NULL,
    };
    *cubin = (nm_image){.target = ptx->target, .is_cubin = true};
    int code = write_all(m, in, ptx->data, ptx->size) ? run(m, word, log) : -1;
    bool ok = code >= 0 && read_text(m, log, said);
    if (ok && code > 0) {
        fputs(*said, stderr);
        ok = nm_error(m->diag, (nm_loc){0},
                      "ptxas refuses the kernels for %s (its words are above)", ptx->target->name);
    }
    ok = ok && read_all(m, out, &cubin->data, &cubin->size);
    unlink(in);
    unlink(out);
    unlink(log);
    return ok;
}

bool nm_ptxas_run(nm_module *m, const char *ptxas, const nm_image *ptx, nm_image *cubin,
                  const char **said)
{
    const char *folder = make_folder(m);
    if (!folder)
        return false;
    bool ok = assemble(m, ptxas, ptx, folder, cubin, said);
    rmdir(folder);
    return ok;
}
