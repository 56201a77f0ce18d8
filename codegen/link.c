// Linking: objects and the embedded runtime become one ELF file, by LLVM's lld against the C
// library alone. Everything intermediate lies in a folder of its own that is removed again.
#include "codegen/link.h"

#include "codegen/output.h"
#include "codegen/templates/embed.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { MAX_WORDS = 4096 };

typedef struct nm_command { // a command line
    int n;
    const char *word[MAX_WORDS];
} nm_command;

typedef struct nm_linking {
    nm_module *m;
    const nm_codegen_opts *o;
    const char *folder; // of the intermediate files
    const char *fresh;  // beside o->out, whose name it takes in the end
    nm_command cmd;
    int n_files;
    const char **file; // to be removed
} nm_linking;

static bool complain(nm_linking *l, const char *what, const char *path)
{
    return nm_error(l->m->diag, (nm_loc){0}, "%s %s: %s", what, path, strerror(errno));
}

static void add(nm_linking *l, const char *word)
{
    if (l->cmd.n == MAX_WORDS - 1)
        nm_bug("link: more than %d words", MAX_WORDS);
    l->cmd.word[l->cmd.n++] = word;
}

// --- files ---------------------------------------------------------------------------------------

static bool write_file(nm_linking *l, const char *path, const char *data, size_t size)
{
    FILE *f = fopen(path, "wb");
    if (!f)
        return complain(l, "cannot write", path);
    bool ok = fwrite(data, 1, size, f) == size;
    ok = fclose(f) == 0 && ok;
    return ok || complain(l, "cannot write", path);
}

static bool add_file(nm_linking *l, const char *name, const char *data, size_t size)
{
    const char *path = nm_arena_fmt(l->m->arena, "%s/%s", l->folder, name);
    l->file[l->n_files++] = path;
    add(l, path);
    return write_file(l, path, data, size);
}

static bool make_folder(nm_linking *l)
{
    const char *tmp = getenv("TMPDIR");
    char *folder = nm_arena_fmt(l->m->arena, "%s/nemocc-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    l->folder = mkdtemp(folder);
    return l->folder || complain(l, "cannot make a folder", folder);
}

static void remove_folder(nm_linking *l)
{
    for (int i = 0; i < l->n_files; i++)
        unlink(l->file[i]);
    rmdir(l->folder);
}

// --- the C library -------------------------------------------------------------------------------

// The first file that the pattern finds, or NULL. In the arena.
static const char *find_file(nm_linking *l, const char *pattern)
{
    glob_t g;
    const char *found = NULL;
    if (glob(pattern, 0, NULL, &g) == 0 && g.gl_pathc > 0)
        found = nm_arena_fmt(l->m->arena, "%s", g.gl_pathv[g.gl_pathc - 1]);
    globfree(&g);
    return found;
}

static const char *const libc_folders[] = {"/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib",
                                           "/lib/x86_64-linux-gnu"};

static const char *libc_folder(nm_linking *l)
{
    for (size_t i = 0; i < sizeof libc_folders / sizeof *libc_folders; i++) {
        const char *crt = nm_arena_fmt(l->m->arena, "%s/crt1.o", libc_folders[i]);
        if (access(crt, R_OK) == 0)
            return libc_folders[i];
    }
    nm_error(l->m->diag, (nm_loc){0}, "the C library's start files (crt1.o) are not installed");
    nm_help(l->m->diag, (nm_loc){0}, "install them: apt-get install libc6-dev");
    return NULL;
}

static const char *find_linker(nm_linking *l)
{
    if (access(NM_LLD, X_OK) == 0)
        return NM_LLD;
    char *path = getenv("PATH"), *save = NULL;
    path = path ? nm_arena_fmt(l->m->arena, "%s", path) : NULL;
    for (char *p = path ? strtok_r(path, ":", &save) : NULL; p; p = strtok_r(NULL, ":", &save)) {
        static const char *const names[] = {"ld.lld-22", "ld.lld", "ld"};
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            const char *full = nm_arena_fmt(l->m->arena, "%s/%s", p, names[i]);
            if (access(full, X_OK) == 0)
                return full;
        }
    }
    nm_error(l->m->diag, (nm_loc){0}, "no linker: neither " NM_LLD " nor ld.lld on the PATH");
    nm_help(l->m->diag, (nm_loc){0}, "install it: apt-get install lld-22");
    return NULL;
}

// --- command lines -------------------------------------------------------------------------------

static bool run(nm_linking *l)
{
    pid_t pid;
    int status = 0;
    l->cmd.word[l->cmd.n] = NULL;
    errno = posix_spawn(&pid, l->cmd.word[0], NULL, NULL, (char *const *)l->cmd.word, environ);
    if (errno)
        return complain(l, "cannot run", l->cmd.word[0]);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    return nm_error(l->m->diag, (nm_loc){0}, "the linker failed (its words are above)");
}

static bool add_objects(nm_linking *l, int n, const nm_object *object)
{
    for (int i = 0; i < n; i++) {
        const char *name = nm_arena_fmt(l->m->arena, "%d.o", i);
        if (!object[i].target->is_gpu && !add_file(l, name, object[i].data, object[i].size))
            return false;
    }
    return true;
}

// What kernels of every kind call: the matrix microkernels and the like.
static bool add_shared_code(nm_linking *l)
{
    nm_template_data a = nm_template_archive();
    return add_file(l, "libtemplates.a", a.data, a.size);
}

static bool add_runtime(nm_linking *l)
{
    nm_archive runtime = nm_runtime_archive(), pcre2 = nm_pcre2_archive();
    nm_archive utf8proc = nm_utf8proc_archive();
    return add_file(l, "libnmrt.a", runtime.data, runtime.size) &&
           add_file(l, "libpcre2-8.a", pcre2.data, pcre2.size) &&
           add_file(l, "libutf8proc.a", utf8proc.data, utf8proc.size);
}

// The runtime knows the emulator by a weak symbol, which takes nothing from an archive.
static bool add_emulator(nm_linking *l)
{
    if (!l->o->emu)
        return true;
    nm_archive a = nm_emulator_archive();
    add(l, "-u");
    add(l, "nmrt_gpu_emulator");
    return add_file(l, "libnmemu.a", a.data, a.size);
}

static bool link_program(nm_linking *l, int n, const nm_object *object)
{
    const char *libc = libc_folder(l);
    if (!libc)
        return false;
    const char *const head[] = {"-pie",
                                "--no-mmap-output-file", // a full disk is a message, then
                                "--gc-sections",
                                "--as-needed",
                                "--hash-style=gnu",
                                "--eh-frame-hdr",
                                "-z",
                                "relro",
                                "-z",
                                "noexecstack",
                                "-dynamic-linker",
                                "/lib64/ld-linux-x86-64.so.2"};
    for (size_t i = 0; i < sizeof head / sizeof *head; i++)
        add(l, head[i]);
    if (!l->o->emu) // its reports name lines of kernels
        add(l, "--strip-debug");
    add(l, nm_arena_fmt(l->m->arena, "%s/Scrt1.o", libc));
    add(l, nm_arena_fmt(l->m->arena, "%s/crti.o", libc));
    if (!add_objects(l, n, object) || !add_shared_code(l) || !add_runtime(l) || !add_emulator(l))
        return false;
    add(l, nm_arena_fmt(l->m->arena, "-L%s", libc));
    add(l, "-lm");
    add(l, "-lc");
    const char *libgcc = find_file(l, "/usr/lib/gcc/x86_64-linux-gnu/*/libgcc.a");
    if (libgcc)
        add(l, libgcc);
    add(l, nm_arena_fmt(l->m->arena, "%s/crtn.o", libc));
    return run(l);
}

static bool link_objects(nm_linking *l, int n, const nm_object *object, const char *how)
{
    add(l, how);
    return add_objects(l, n, object) && add_shared_code(l) && run(l);
}

static bool link_elf(nm_linking *l, int n, const nm_object *object)
{
    const char *linker = find_linker(l);
    if (!linker)
        return false;
    add(l, linker);
    add(l, "-o");
    add(l, l->fresh);
    switch (l->o->emit) {
    case NM_EMIT_program: return link_program(l, n, object);
    case NM_EMIT_shared: return link_objects(l, n, object, "-shared");
    default: return link_objects(l, n, object, "-r");
    }
}

static bool write_text(nm_linking *l, int n, const nm_object *object)
{
    FILE *f = nm_output_open(l->m, l->o->out);
    if (!f)
        return false;
    for (int i = 0; i < n; i++) {
        const char *comment = l->o->emit == NM_EMIT_llvm ? ";" : "#";
        fprintf(f, "%s --- %s %s\n", comment, object[i].name ? object[i].name : "driver",
                object[i].target->name);
        fwrite(object[i].data, 1, object[i].size, f);
    }
    return nm_output_close(l->m, l->o->out, f);
}

bool nm_link(nm_module *m, const nm_codegen_opts *o, int n, const nm_object *object)
{
    nm_linking l = {.m = m, .o = o};
    l.file = nm_new_n(m->arena, const char *, (size_t)n + 7); // and the archives
    if (o->emit == NM_EMIT_llvm || o->emit == NM_EMIT_asm)
        return write_text(&l, n, object);
    if (!make_folder(&l))
        return false;
    l.fresh = nm_arena_fmt(m->arena, "%s.%ld.new", o->out, (long)getpid());
    bool ok = link_elf(&l, n, object);
    remove_folder(&l);
    if (ok && rename(l.fresh, o->out) != 0)
        ok = complain(&l, "cannot write", o->out);
    if (!ok)
        unlink(l.fresh);
    return ok;
}
