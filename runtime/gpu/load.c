// dlopen of the CUDA driver, cuBLASLt and NCCL.
#define _GNU_SOURCE
#include "runtime/gpu/load.h"

#include <dlfcn.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct library {
    const char *name[2]; // file names, the one that is looked for first in front; "": one alone
    const char *pip;     // in site-packages/nvidia: a pattern of the folder
    const char *advice;
} library;

static const library libraries[NMRT_GPU_N_LIBRARIES] = {
    [NMRT_GPU_CUDA] = {{"libcuda.so.1", ""},
                       NULL,
                       "install NVIDIA's driver, or run with --device host"},
    [NMRT_GPU_CUBLASLT] = {{"libcublasLt.so.13", "libcublasLt.so.12"},
                           "nvidia/c*/lib",
                           "install cuBLAS (pip install nvidia-cublas-cu12), or say in "
                           "NEMOCC_CUDA_PATH where it is"},
    [NMRT_GPU_NCCL] = {{"libnccl.so.2", ""},
                       "nvidia/nccl/lib",
                       "install NCCL (pip install nvidia-nccl-cu12), or say in NEMOCC_CUDA_PATH "
                       "where it is"},
};

// Where Python packages lie: below this variable's folder, if there is a variable.
static const struct {
    const char *variable, *folder;
} site_packages[] = {
    {"VIRTUAL_ENV", "/lib/python3*/site-packages"},
    {"CONDA_PREFIX", "/lib/python3*/site-packages"},
    {"HOME", "/.local/lib/python3*/site-packages"},
    {NULL, "/usr/local/lib/python3*/dist-packages"},
    {NULL, "/usr/local/lib/python3*/site-packages"},
    {NULL, "/usr/lib/python3*/dist-packages"},
    {NULL, "/usr/lib/python3*/site-packages"},
    {NULL, "/opt/conda/lib/python3*/site-packages"},
};

// --- looking for one -----------------------------------------------------------------------------

typedef struct search {
    const char *name; // of the file
    void *open;
    char path[256]; // where it was found
    char why[256];  // what the loader said of a file that is there and cannot be opened; "": none
} search;

static bool try_path(search *s, const char *path)
{
    bool is_file = strchr(path, '/') != NULL;
    if (is_file && access(path, R_OK) != 0)
        return false;
    s->open = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (s->open)
        snprintf(s->path, sizeof s->path, "%s", path);
    else if (is_file)
        snprintf(s->why, sizeof s->why, "%s", dlerror());
    return s->open != NULL;
}

static bool try_folder(search *s, const char *folder)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, s->name);
    return try_path(s, path);
}

static bool try_named_folder(search *s)
{
    static const char *const below[] = {"", "/lib64", "/lib"};
    const char *named = getenv("NEMOCC_CUDA_PATH");
    for (size_t i = 0; named && *named && i < sizeof below / sizeof *below; i++) {
        char folder[400];
        snprintf(folder, sizeof folder, "%s%s", named, below[i]);
        if (try_folder(s, folder))
            return true;
    }
    return false;
}

static bool try_pattern(search *s, const char *pattern)
{
    glob_t g;
    bool found = false;
    if (glob(pattern, 0, NULL, &g) == 0)
        for (size_t i = 0; i < g.gl_pathc && !found; i++)
            found = try_path(s, g.gl_pathv[i]);
    globfree(&g);
    return found;
}

static bool try_pip(search *s, const char *package)
{
    for (size_t i = 0; package && i < sizeof site_packages / sizeof *site_packages; i++) {
        const char *variable = site_packages[i].variable;
        const char *root = variable ? getenv(variable) : "";
        char pattern[512];
        if (!root || (variable && !*root))
            continue;
        snprintf(pattern, sizeof pattern, "%s%s/%s/%s", root, site_packages[i].folder, package,
                 s->name);
        if (try_pattern(s, pattern))
            return true;
    }
    return false;
}

static bool find(search *s, const library *l)
{
    return try_named_folder(s) || try_path(s, s->name) || try_folder(s, "/usr/local/cuda/lib64") ||
           try_pip(s, l->pip);
}

// --- its functions -------------------------------------------------------------------------------

typedef struct symbol {
    nmrt_gpu_library library;
    const char *name;
    size_t at; // of the function in the table
} symbol;

static const symbol symbols[] = {
#define GPU_FUNC(library, name, symbol, result, arguments)                                         \
    {NMRT_GPU_##library, #symbol, offsetof(nmrt_gpu_api, name)},
#include "runtime/gpu/api.def"
};

// POSIX has it that a function's address fits into the pointer that dlsym gives.
static nmrt_status fill(nmrt_gpu_libraries *l, nmrt_gpu_library which, const search *s,
                        nmrt_error *e)
{
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        void *f = symbols[i].library == which ? dlsym(s->open, symbols[i].name) : NULL;
        if (f)
            memcpy((char *)&l->api + symbols[i].at, &f, sizeof f);
        else if (symbols[i].library == which)
            return nmrt_fail(e, NMRT_WORLD, "%s has no %s: it is too old; %s", s->path,
                             symbols[i].name, libraries[which].advice);
    }
    return NMRT_OK;
}

static nmrt_status refuse(const library *l, const search *s, nmrt_error *e)
{
    const char *either = *l->name[1] ? " or " : "", *named = getenv("NEMOCC_CUDA_PATH");
    bool is_named = named && *named;
    if (*s->why)
        return nmrt_fail(e, NMRT_WORLD, "cannot open %s: %s; %s", s->name, s->why, l->advice);
    return nmrt_fail(e, NMRT_WORLD,
                     "there is no %s%s%s in %.200s%sthe system's libraries or "
                     "/usr/local/cuda/lib64%s; %s",
                     l->name[0], either, l->name[1], is_named ? named : "",
                     is_named ? " (NEMOCC_CUDA_PATH), " : "",
                     l->pip ? ", and no package of pip has it" : "", l->advice);
}

// A library of CUDA 13 does not start on an older driver.
static bool suits_driver(const nmrt_gpu_libraries *l, const char *name)
{
    int version = 0;
    if (!strstr(name, ".so.13") || !l->api.cuDriverGetVersion)
        return true;
    return l->api.cuDriverGetVersion(&version) == CUDA_SUCCESS && version >= 13000;
}

nmrt_status nmrt_gpu_load(nmrt_gpu_libraries *l, nmrt_gpu_library which, nmrt_error *e)
{
    const library *lib = &libraries[which];
    search s = {0};
    if (l->open[which])
        return NMRT_OK;
    for (int i = 0; i < 2 && *lib->name[i] && !s.open; i++) {
        s.name = lib->name[i];
        if (suits_driver(l, s.name))
            find(&s, lib);
    }
    if (!s.open)
        return refuse(lib, &s, e);
    NMRT_TRY(fill(l, which, &s, e));
    l->open[which] = s.open;
    memcpy(l->path[which], s.path, sizeof s.path);
    return NMRT_OK;
}

// --- is there a GPU? -----------------------------------------------------------------------------

static int count_here(void)
{
    nmrt_gpu_libraries l = {0};
    nmrt_error e;
    int n = 0;
    if (nmrt_gpu_load(&l, NMRT_GPU_CUDA, &e) != NMRT_OK || l.api.cuInit(0) != CUDA_SUCCESS ||
        l.api.cuDeviceGetCount(&n) != CUDA_SUCCESS)
        return 0;
    return n < 255 ? n : 255;
}

int nmrt_gpu_count(void)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0)
        _exit(count_here());
    if (child < 0 || waitpid(child, &status, 0) != child)
        return 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 0;
}
