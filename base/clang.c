// clang as a program: see clang.h. Everything lies in a folder of its own that is removed again.
#include "base/clang.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

// nemocc's own headers, copied into this object by the assembler.
#define EMBED(NAME, FILE)                                                                          \
    __asm__(".section .rodata\nnm_header_" #NAME ":\n.incbin \"" FILE "\"\n.byte 0\n.previous\n"); \
    extern const char nm_header_##NAME[] __attribute__((visibility("hidden")));

EMBED(op, NM_OP_HEADER)
EMBED(prims, NM_PRIMS_HEADER)

// --- files ---------------------------------------------------------------------------------------

static bool cannot(nm_diag *diag, const nm_clang_job *job, const char *what, const char *path)
{
    return nm_error(diag, job->loc, "cannot %s %s: %s", what, path, strerror(errno));
}

static const char *add_file(nm_arena *arena, nm_clang_folder *f, const char *name)
{
    return f->file[f->n_files++] = nm_arena_fmt(arena, "%s/%s", f->path, name);
}

static bool write_text(const char *path, int n, const char *const *text)
{
    FILE *f = fopen(path, "w");
    if (!f)
        return false;
    bool ok = true;
    for (int i = 0; i < n; i++)
        ok = fputs(text[i], f) >= 0 && ok;
    return fclose(f) == 0 && ok;
}

static bool make_folder(nm_arena *arena, nm_clang_folder *f)
{
    const char *tmp = getenv("TMPDIR");
    char *path = nm_arena_fmt(arena, "%s/nemocc-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    f->path = mkdtemp(path);
    return f->path && mkdir(nm_arena_fmt(arena, "%s/nemocc", path), 0700) == 0;
}

static bool write_files(nm_arena *arena, const nm_clang_job *job, nm_clang_folder *f)
{
    const char *op = nm_header_op, *prims = nm_header_prims;
    const char *head = nm_arena_fmt(arena, "# 1 \"%s\"\n", job->source->name);
    const char *const source[] = {head, job->source->text, "\n", job->behind ? job->behind : ""};
    return make_folder(arena, f) && write_text(add_file(arena, f, "nemocc/op.h"), 1, &op) &&
           write_text(add_file(arena, f, "nemocc/prims.h"), 1, &prims) &&
           write_text(f->source = add_file(arena, f, "source.c"), 4, source);
}

void nm_clang_close(const nm_clang_folder *f)
{
    for (int i = 0; i < f->n_files; i++)
        unlink(f->file[i]);
    if (!f->path)
        return;
    char sub[4096];
    snprintf(sub, sizeof sub, "%s/nemocc", f->path);
    rmdir(sub);
    rmdir(f->path);
}

// --- command lines -------------------------------------------------------------------------------

// Only translated (-O1, or functions would be marked optnone): optimisation comes with the kernel.
#define BITCODE "-O1", "-Xclang", "-disable-llvm-passes", "-emit-llvm", "-c"
#define OF_GPU  "-DNM_OP_GPU", "-ffreestanding", "-nostdlibinc"

static const char *const flags[][NM_CLANG_MAX_WORDS] = {
    [NM_CLANG_HOST] = {BITCODE, "-fPIC"},
    [NM_CLANG_EMU] = {BITCODE, OF_GPU, "-march=x86-64-v3", "-fPIC", "-fno-optimize-sibling-calls",
                      "-gline-tables-only"},
    [NM_CLANG_PTX] = {BITCODE, OF_GPU, "--target=nvptx64-nvidia-cuda", "-nogpulib",
                      "-fconvergent-functions", "-Xclang", "-target-cpu", "-Xclang", "sm_100a",
                      "-Xclang", "-target-feature", "-Xclang", "+ptx86"},
    [NM_CLANG_LOAD] = {"-O1", "-DNM_OP_LOADED", "-shared", "-fPIC"},
    [NM_CLANG_LOAD_F64] = {"-O1", "-DNM_OP_LOADED", "-DNM_OP_F64", "-shared", "-fPIC"},
};

static void add(nm_clang_words *w, const char *word)
{
    if (w->n == NM_CLANG_MAX_WORDS - 1)
        nm_bug("clang: more than %d words", NM_CLANG_MAX_WORDS);
    w->word[w->n++] = word;
    w->word[w->n] = NULL;
}

static void add_flags(nm_arena *arena, const nm_clang_job *job, const nm_clang_folder *f,
                      nm_clang_words *w)
{
    const char *name = job->source->name, *slash = strrchr(name, '/');
    add(w, "-std=gnu17");
    add(w, "-ffp-contract=fast");
    add(w, "-fno-math-errno");
    for (const char *const *flag = flags[job->kind]; *flag; flag++)
        add(w, *flag);
    add(w, "-I");
    add(w, f->path);
    add(w, nm_arena_fmt(arena, "-ffile-prefix-map=%s/=", f->path));
    add(w, "-fdebug-compilation-dir=.");
    add(w, "-iquote");
    add(w, slash ? nm_arena_fmt(arena, "%.*s", (int)(slash - name) + 1, name) : ".");
}

bool nm_clang_open(nm_arena *arena, nm_diag *diag, const nm_clang_job *job, nm_clang_folder *folder,
                   nm_clang_words *words)
{
    *folder = (nm_clang_folder){0};
    if (!write_files(arena, job, folder))
        return cannot(diag, job, "write files of", job->source->name);
    add_flags(arena, job, folder, words);
    return true;
}

// --- the program ---------------------------------------------------------------------------------

static const char *on_path(nm_arena *arena, const char *name)
{
    const char *path = getenv("PATH");
    for (const char *at = path; at && *at;) {
        size_t n = strcspn(at, ":");
        const char *full = nm_arena_fmt(arena, "%.*s/%s", (int)n, at, name);
        if (n && access(full, X_OK) == 0)
            return full;
        at += n + (at[n] == ':');
    }
    return NULL;
}

static const char *find_clang(nm_arena *arena, nm_diag *diag, const nm_clang_job *job)
{
    const char *own = getenv("NEMOCC_CLANG");
    if (own && *own)
        return own;
    const char *found = access(NM_CLANG, X_OK) == 0 ? NM_CLANG : on_path(arena, "clang-22");
    if (found)
        return found;
    nm_error(diag, job->loc,
             "%s is C, and there is no clang to compile it: neither " NM_CLANG
             " nor clang-22 on the PATH",
             job->source->name);
    nm_help(diag, (nm_loc){0}, "install it (apt-get install clang-22), or name it: NEMOCC_CLANG");
    return NULL;
}

// With the source as its input, so that what it makes does not depend on where that lay.
static bool run(nm_diag *diag, const nm_clang_job *job, const char *source, const nm_clang_words *w)
{
    pid_t pid;
    int status = 0;
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, source, O_RDONLY, 0);
    int failed = posix_spawn(&pid, w->word[0], &files, NULL, (char *const *)w->word, environ);
    posix_spawn_file_actions_destroy(&files);
    errno = failed;
    if (failed)
        return cannot(diag, job, "run", w->word[0]);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    static const char *const what[] = {"this machine", "the emulator", "a GPU", "the interpreter",
                                       "the interpreter"};
    return nm_error(diag, job->loc, "%s does not compile for %s (clang's words are above)",
                    job->source->name, what[job->kind]);
}

// The file that clang wrote, in *out; NULL: reported.
static const char *compile(nm_arena *arena, nm_diag *diag, const nm_clang_job *job,
                           nm_clang_folder *f)
{
    nm_clang_words w = {0};
    const char *clang = find_clang(arena, diag, job);
    if (!clang)
        return NULL;
    add(&w, clang);
    if (!nm_clang_open(arena, diag, job, f, &w))
        return NULL;
    const char *out = add_file(arena, f, "out");
    add(&w, "-o");
    add(&w, out);
    add(&w, "-x");
    add(&w, "c");
    add(&w, "-");
    return run(diag, job, f->source, &w) ? out : NULL;
}

static char *read_file(nm_arena *arena, const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return NULL;
    bool ok = fseek(f, 0, SEEK_END) == 0;
    long n = ok ? ftell(f) : -1;
    char *data = n >= 0 ? nm_new_n(arena, char, (size_t)n + 1) : NULL;
    rewind(f);
    ok = data && fread(data, 1, (size_t)n, f) == (size_t)n;
    fclose(f);
    *size = ok ? (size_t)n : 0;
    return ok ? data : NULL;
}

char *nm_clang_compile(nm_arena *arena, nm_diag *diag, const nm_clang_job *job, size_t *size)
{
    nm_clang_folder folder = {0};
    const char *path = compile(arena, diag, job, &folder);
    char *data = path ? read_file(arena, path, size) : NULL;
    if (path && !data)
        cannot(diag, job, "read", path);
    nm_clang_close(&folder);
    return data;
}

void *nm_clang_load(nm_arena *arena, nm_diag *diag, const nm_clang_job *job, const char *function)
{
    nm_clang_folder folder = {0};
    const char *path = compile(arena, diag, job, &folder);
    void *object = path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
    void *found = object ? dlsym(object, function) : NULL;
    if (path && !found)
        nm_error(diag, job->loc, "%s: %s", job->source->name, dlerror());
    nm_clang_close(&folder);
    return found;
}
