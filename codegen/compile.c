// LLVM modules to machine code, in parallel: see compile.h.
//
// A kernel's module refers to entry points of the templates. They are linked in as internal
// functions, so that hooks are inlined into them and constant specs fold; what is not used goes.
#define _GNU_SOURCE // sched_getaffinity
#include "codegen/compile.h"
#include "base/cache.h"
#include "codegen/gpu.h"
#include "codegen/kept.h"
#include "codegen/lines.h"

#include <llvm-c/Analysis.h>
#include <llvm-c/BitReader.h>
#include <llvm-c/Core.h>
#include <llvm-c/Linker.h>
#include <llvm-c/Transforms/PassBuilder.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// Hooks travel through structs: their calls become direct by SROA, inlined, twice (template.h).
static const char pipeline[] =
    "globaldce,always-inline,function(sroa,early-cse<memssa>),always-inline,globaldce,"
    "default<O3>";

// The driver is straight-line code that runs once a launch: unrolling its repeats gains nothing.
static const char driver_pipeline[] =
    "function(early-cse,instcombine<no-verify-fixpoint>,simplifycfg)";

// A GPU's kernels are not vectorised over a thread's own loops; what is shared between threads is
// said in the kernel.
static const char gpu_pipeline[] =
    "globaldce,always-inline,function(sroa,early-cse<memssa>),always-inline,globaldce,"
    "default<O3>,globaldce";

// The emulator's time goes into its primitives: what compiles fast is good enough.
static const char emu_pipeline[] =
    "globaldce,always-inline,function(sroa,early-cse<memssa>),always-inline,globaldce,"
    "function(sroa,early-cse,instcombine<no-verify-fixpoint>,simplifycfg),globaldce";

static const char *pipeline_of(const nm_object *o)
{
    if (!o->name)
        return driver_pipeline;
    if (!o->entry[0].words)
        return pipeline;
    return o->target->is_emu ? emu_pipeline : gpu_pipeline;
}

typedef struct nm_work { // shared by the threads
    const nm_codegen_opts *opts;
    int n;
    nm_object **object; // heaviest first
    atomic_int next;
} nm_work;

typedef struct nm_worker {
    nm_work *work;
    LLVMContextRef ctx;
    int n_machines;
    const nm_target *target[NM_MAX_TARGETS]; // of those machines
    LLVMTargetMachineRef machine[NM_MAX_TARGETS];
} nm_worker;

static LLVMTargetMachineRef machine_of(nm_worker *w, const nm_target *t)
{
    for (int i = 0; i < w->n_machines; i++)
        if (w->target[i] == t)
            return w->machine[i];
    if (w->n_machines == NM_MAX_TARGETS)
        nm_bug("compile: more than %d targets", NM_MAX_TARGETS);
    w->target[w->n_machines] = t;
    return w->machine[w->n_machines++] = nm_target_machine(t);
}

static void fail(nm_object *o, const char *what, const char *message)
{
    size_t size = strlen(what) + strlen(message) + 3;
    o->error = malloc(size);
    if (o->error)
        snprintf(o->error, size, "%s: %s", what, message);
}

// --- one module ----------------------------------------------------------------------------------

static void quiet(LLVMDiagnosticInfoRef info, void *user)
{
    (void)info;
    (void)user; // remarks about loops that stay scalar; errors come back as results
}

static LLVMModuleRef parse(nm_worker *w, LLVMMemoryBufferRef bitcode)
{
    LLVMModuleRef mod;
    return LLVMParseBitcodeInContext2(w->ctx, bitcode, &mod) ? NULL : mod;
}

static bool is_template(const char *name)
{
    return strncmp(name, "nmk_", 4) == 0 || strncmp(name, "nmg_", 4) == 0;
}

static bool needs_templates(LLVMModuleRef mod)
{
    for (LLVMValueRef fn = LLVMGetFirstFunction(mod); fn; fn = LLVMGetNextFunction(fn))
        if (LLVMIsDeclaration(fn) && is_template(LLVMGetValueName2(fn, &(size_t){0})))
            return true;
    return false;
}

// Bodies are read only of what the kernel needs: functions that may be dropped are linked lazily.
static LLVMModuleRef open_bitcode(nm_worker *w, nm_template_data bc)
{
    LLVMMemoryBufferRef buffer =
        LLVMCreateMemoryBufferWithMemoryRange(bc.data, bc.size, "templates", true);
    LLVMModuleRef mod;
    if (LLVMGetBitcodeModuleInContext2(w->ctx, buffer, &mod)) // takes the buffer
        nm_bug("templates that are not bitcode of this LLVM");
    for (LLVMValueRef fn = LLVMGetFirstFunction(mod); fn; fn = LLVMGetNextFunction(fn))
        if (LLVMGetLinkage(fn) == LLVMExternalLinkage && !LLVMIsDeclaration(fn))
            LLVMSetLinkage(fn, LLVMLinkOnceODRLinkage);
    return mod;
}

static void link_bitcode(nm_worker *w, nm_template_data bc, LLVMModuleRef mod)
{
    LLVMModuleRef templates = open_bitcode(w, bc);
    LLVMSetTarget(templates, LLVMGetTarget(mod));
    LLVMSetDataLayout(templates, LLVMGetDataLayoutStr(mod));
    if (LLVMLinkModules2(mod, templates))
        nm_bug("a kernel does not link with the templates");
}

// External functions get the module's name in front, all others become internal.
static void rename_functions(LLVMModuleRef mod, const char *name, char between)
{
    for (LLVMValueRef fn = LLVMGetFirstFunction(mod); fn; fn = LLVMGetNextFunction(fn)) {
        if (LLVMIsDeclaration(fn) || LLVMGetLinkage(fn) != LLVMExternalLinkage)
            continue;
        size_t len;
        char full[128];
        int n = snprintf(full, sizeof full, "%s%c%s", name, between, LLVMGetValueName2(fn, &len));
        LLVMSetValueName2(fn, full, (size_t)n);
    }
}

static char between(const nm_object *o)
{
    if (o->target->is_gpu)
        return '_';
    return o->target->is_emu && o->target->is_sm90a ? NM_SM90A_MARK : '.';
}

static LLVMModuleRef load(nm_worker *w, nm_object *o)
{
    LLVMModuleRef mod = parse(w, o->bitcode);
    if (!mod)
        nm_bug("generated bitcode does not parse");
    LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(machine_of(w, o->target));
    LLVMSetModuleDataLayout(mod, layout);
    LLVMDisposeTargetData(layout);
    LLVMSetTarget(mod, o->target->triple);
    if (o->target->is_gpu)
        nm_gpu_mark_kernels(mod, o->entry);
    if (o->name)
        rename_functions(mod, o->name, between(o));
    if (o->target->is_emu)
        nm_lines_mark(mod, o->name);
    return mod;
}

static void hide_templates(LLVMModuleRef mod, const nm_object *o)
{
    size_t len = strlen(o->name), full;
    for (LLVMValueRef fn = LLVMGetFirstFunction(mod); fn; fn = LLVMGetNextFunction(fn)) {
        const char *have = LLVMGetValueName2(fn, &full);
        if (!LLVMIsDeclaration(fn) && (strncmp(have, o->name, len) != 0 || have[len] != between(o)))
            LLVMSetLinkage(fn, LLVMInternalLinkage);
    }
}

static bool optimise(nm_worker *w, nm_object *o, LLVMModuleRef mod)
{
    LLVMPassBuilderOptionsRef options = LLVMCreatePassBuilderOptions();
    LLVMPassBuilderOptionsSetLoopInterleaving(options, !o->entry[0].words);
    LLVMPassBuilderOptionsSetLoopVectorization(options, !o->entry[0].words);
    LLVMPassBuilderOptionsSetSLPVectorization(options, false);
    LLVMPassBuilderOptionsSetLoopUnrolling(options, true);
    LLVMErrorRef error = LLVMRunPasses(mod, pipeline_of(o), machine_of(w, o->target), options);
    LLVMDisposePassBuilderOptions(options);
    if (!error)
        return true;
    char *message = LLVMGetErrorMessage(error);
    fail(o, "LLVM's passes", message);
    LLVMDisposeErrorMessage(message);
    return false;
}

static void keep_text(nm_object *o, const char *text, size_t size)
{
    o->data = malloc(size);
    o->size = o->data ? size : 0;
    if (o->data)
        memcpy(o->data, text, size);
    else
        fail(o, "out of memory", o->name ? o->name : "driver");
}

static bool is_text(const nm_work *w, const nm_object *o)
{
    return w->opts->emit == NM_EMIT_asm || o->target->is_gpu;
}

static void emit(nm_worker *w, nm_object *o, LLVMModuleRef mod)
{
    if (w->work->opts->emit == NM_EMIT_llvm) {
        char *text = LLVMPrintModuleToString(mod);
        keep_text(o, text, strlen(text));
        LLVMDisposeMessage(text);
        return;
    }
    LLVMCodeGenFileType type = is_text(w->work, o) ? LLVMAssemblyFile : LLVMObjectFile;
    LLVMTargetMachineRef machine = machine_of(w, o->target);
    LLVMMemoryBufferRef buffer = NULL;
    char *message = NULL;
    if (LLVMTargetMachineEmitToMemoryBuffer(machine, mod, type, &message, &buffer)) {
        fail(o, "LLVM's code generator", message);
        LLVMDisposeMessage(message);
        return;
    }
    keep_text(o, LLVMGetBufferStart(buffer), LLVMGetBufferSize(buffer));
    LLVMDisposeMemoryBuffer(buffer);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void make(nm_worker *w, nm_object *o)
{
    LLVMModuleRef mod = load(w, o);
    nm_gpu_fp8_define(mod, o->target);
    if (o->library.data)
        link_bitcode(w, o->library, mod);
    bool linked = o->library.data || needs_templates(mod);
    if (needs_templates(mod))
        link_bitcode(w, o->target->templates, mod);
    if (linked)
        hide_templates(mod, o);
    nm_target_mark(o->target, mod);
    if (optimise(w, o, mod))
        emit(w, o, mod);
    LLVMDisposeModule(mod);
}

static void compile_one(nm_worker *w, nm_object *o)
{
    double start = now();
    nm_kept_key key = {pipeline_of(o), w->work->opts->version, is_text(w->work, o)};
    bool keeps = w->work->opts->emit != NM_EMIT_llvm;
    o->is_kept = keeps && nm_kept_find(o, key);
    if (!o->is_kept) {
        make(w, o);
        if (keeps && !o->error)
            nm_kept_add(o, key, &o->not_kept);
    }
    o->seconds = now() - start;
}

// --- the threads ---------------------------------------------------------------------------------

static void *run_worker(void *work)
{
    nm_worker w = {.work = work, .ctx = LLVMContextCreate()};
    LLVMContextSetDiagnosticHandler(w.ctx, quiet, NULL);
    for (;;) {
        int i = atomic_fetch_add(&w.work->next, 1);
        if (i >= w.work->n)
            break;
        compile_one(&w, w.work->object[i]);
    }
    for (int i = 0; i < w.n_machines; i++)
        LLVMDisposeTargetMachine(w.machine[i]);
    LLVMContextDispose(w.ctx);
    return NULL;
}

enum { MOST_THREADS = 32 };

static int thread_count(int n)
{
    cpu_set_t cpus;
    int have = sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? CPU_COUNT(&cpus) : 1;
    have = have > MOST_THREADS ? MOST_THREADS : have;
    return have < n ? have : n;
}

static void run_threads(nm_work *work)
{
    pthread_t thread[MOST_THREADS];
    int n = thread_count(work->n), started = 0;
    while (started < n - 1 && !pthread_create(&thread[started], NULL, run_worker, work))
        started++;
    run_worker(work);
    for (int i = 0; i < started; i++)
        pthread_join(thread[i], NULL);
}

static int heavier(const void *a, const void *b)
{
    const nm_object *x = *(nm_object *const *)a, *y = *(nm_object *const *)b;
    if (x->weight != y->weight)
        return x->weight > y->weight ? -1 : 1;
    return (x > y) - (x < y); // of one array
}

static void dispose_bitcode(int n, nm_object *object)
{
    for (int i = 0; i < n; i++)
        if (i + 1 == n || object[i + 1].bitcode != object[i].bitcode)
            LLVMDisposeMemoryBuffer(object[i].bitcode);
}

// Never an error: without a cache all works, slower.
static void tend_cache(nm_module *m, int n, const nm_object *object)
{
    int why = 0;
    bool is_new = false;
    for (int i = 0; i < n; i++) {
        is_new |= !object[i].is_kept;
        why = why ? why : object[i].not_kept;
    }
    if (is_new)
        nm_cache_trim(NM_CACHE_LIMIT);
    char path[NM_CACHE_PATH];
    if (why && nm_cache_path(path, "object"))
        nm_note(m->diag, (nm_loc){0}, "compiled kernels are not kept for the next time in %s: %s",
                path, strerror(why));
}

bool nm_compile(nm_module *m, const nm_codegen_opts *opts, int n, nm_object *object)
{
    nm_work work = {.opts = opts, .n = n};
    work.object = nm_new_n(m->arena, nm_object *, (size_t)n);
    for (int i = 0; i < n; i++)
        work.object[i] = &object[i];
    qsort(work.object, (size_t)n, sizeof *work.object, heavier);
    run_threads(&work);
    bool ok = true;
    tend_cache(m, n, object);
    dispose_bitcode(n, object);
    for (int i = 0; i < n; i++)
        if (object[i].error)
            ok = nm_error(m->diag, (nm_loc){0}, "%s: %s",
                          object[i].name ? object[i].name : "driver", object[i].error);
    return ok;
}

void nm_objects_release(int n, nm_object *object)
{
    for (int i = 0; i < n; i++) {
        free(object[i].data);
        free(object[i].error);
    }
}
