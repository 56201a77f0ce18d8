// Code generation, top to bottom: see codegen.h.
#include "codegen/codegen.h"

#include "codegen/image.h"
#include "codegen/library.h"
#include "codegen/link.h"
#include "codegen/program.h"
#include "codegen/resources.h"

#include <llvm-c/Analysis.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef struct nm_binary { // of one binary
    nm_module *m;          // the first; its arena and diag are all modules'
    const nm_codegen_opts *o;
    int n_targets; // the host, the emulator's, the architectures
    nm_target target[NM_MAX_TARGETS];
    nm_codes codes;
    int n_programs;
    nm_program *program;
    int n_objects;
    nm_object *object;
} nm_binary;

enum { HOST, DRIVER, EMU, EMU_SM90A, FIRST_ARCH };

// --- targets -------------------------------------------------------------------------------------

static bool find_targets(nm_binary *b)
{
    if (!nm_target_find(b->m, b->o->cpu, &b->target[HOST]))
        return false;
    b->target[DRIVER] = nm_target_driver(&b->target[HOST]);
    b->target[EMU] = nm_target_emu(&b->target[HOST], false);
    b->target[EMU_SM90A] = nm_target_emu(&b->target[HOST], true);
    if (b->o->n_archs > NM_MAX_ARCHS)
        return nm_error(b->m->diag, (nm_loc){0}, "--arch: more than %d", NM_MAX_ARCHS);
    for (int i = 0; i < b->o->n_archs; i++)
        if (!nm_target_find_gpu(b->m, b->o->arch[i], &b->target[FIRST_ARCH + i]))
            return false;
    b->n_targets = FIRST_ARCH + b->o->n_archs;
    return true;
}

// --- bitcode -------------------------------------------------------------------------------------

static void check_driver(nm_program *p)
{
    char *message = NULL;
    if (LLVMVerifyModule(p->driver_mod, LLVMReturnStatusAction, &message))
        nm_bug("the driver module is not valid: %s\n%s", message,
               LLVMPrintModuleToString(p->driver_mod));
    LLVMDisposeMessage(message);
}

// Kernels and driver of a program.
static bool generate(nm_program *p)
{
    enum { WEIGHT = 32 }; // of a driver
    p->ctx = LLVMContextCreate();
    p->driver_mod = LLVMModuleCreateWithNameInContext("driver", p->ctx);
    bool ok = nm_program_drivers(p);
    if (ok) {
        nm_program_tables(p);
        check_driver(p);
        int driver = nm_program_add_code(p, p->driver_mod, (nm_code){.weight = WEIGHT});
        p->codes->code[driver].name = NULL;
    } else {
        LLVMDisposeModule(p->driver_mod);
    }
    LLVMContextDispose(p->ctx);
    return ok;
}

static bool generate_all(nm_binary *b, int n, nm_module *const *m)
{
    b->n_programs = n;
    b->program = nm_new_n(b->m->arena, nm_program, (size_t)n);
    bool ok = true;
    for (int i = 0; i < n; i++) {
        b->program[i] = (nm_program){.m = m[i],
                                     .opts = b->o,
                                     .target = &b->target[HOST],
                                     .symbol = nm_arena_fmt(m[i]->arena, "nemocc.program.%d", i),
                                     .codes = &b->codes};
        ok = generate(&b->program[i]) && ok;
    }
    return ok;
}

static void drop_bitcode(nm_binary *b)
{
    for (int i = 0; i < b->codes.n; i++)
        LLVMDisposeMemoryBuffer(b->codes.code[i].bitcode);
}

// --- objects -------------------------------------------------------------------------------------

static const char *title_of(nm_binary *b, const nm_code *c)
{
    for (int i = 0; i < b->n_programs; i++)
        for (int k = 0; k < b->program[i].n_kernels; k++) {
            const nm_kernel *x = &b->program[i].kernel[k];
            if (&b->codes.code[x->code] == c)
                return nm_arena_fmt(b->m->arena, "%s: %s", x->name, x->where);
        }
    return "";
}

static bool is_gpu_code(const nm_code *c) { return c->entry[0].words != 0; }

static void add_object(nm_binary *b, const nm_code *c, int target)
{
    nm_object *o = &b->object[b->n_objects++];
    *o = (nm_object){.target = &b->target[target],
                     .name = c->name,
                     .bitcode = c->bitcode,
                     .library_file = c->library,
                     .weight = c->weight,
                     .title = is_gpu_code(c) ? title_of(b, c) : ""};
    memcpy(o->entry, o->target->is_sm90a ? c->sm90a : c->entry, sizeof o->entry);
}

// The architecture whose texts all others understand: the oldest, if it is no specific one; else
// -1.
static int common_arch(const nm_binary *b)
{
    int oldest = -1;
    for (int k = FIRST_ARCH; k < b->n_targets; k++)
        if (oldest < 0 || b->target[k].arch < b->target[oldest].arch)
            oldest = k;
    return oldest >= 0 && b->target[oldest].is_specific ? -1 : oldest;
}

static bool is_launched(const nm_binary *b, int code)
{
    for (int i = 0; i < b->n_programs; i++)
        for (int k = 0; k < b->program[i].n_kernels; k++)
            if (b->program[i].kernel[k].code == code)
                return true;
    return false;
}

// The target null alone runs no kernels: there is nothing to compile. Nor is what is only a part of
// others (codegen/bundle.h), nor the host's code where the texts of kernels are all that is asked
// for.
static bool is_wanted(const nm_binary *b, int code)
{
    if (is_gpu_code(&b->codes.code[code]))
        return (b->o->emu || b->o->n_archs) && is_launched(b, code);
    return b->o->emit != NM_EMIT_ptx && b->o->emit != NM_EMIT_resources;
}

static void drop_idle(nm_binary *b)
{
    for (int i = 0; i < b->codes.n; i++) {
        if (is_wanted(b, i))
            continue;
        LLVMDisposeMemoryBuffer(b->codes.code[i].bitcode);
        b->codes.code[i].bitcode = NULL;
    }
}

// Each code for each machine that is to run it, those of one code side by side.
static void list_objects(nm_binary *b)
{
    b->object = nm_new_n(b->m->arena, nm_object,
                         (size_t)(b->codes.n * b->n_targets) + 1); // and the list of programs
    int common = common_arch(b);
    for (int i = 0; i < b->codes.n; i++) {
        const nm_code *c = &b->codes.code[i];
        if (!c->bitcode)
            continue;
        if (!is_gpu_code(c)) {
            add_object(b, c, c->name ? HOST : DRIVER);
            continue;
        }
        if (b->o->emu)
            add_object(b, c, EMU);
        if (b->o->emu && c->specific)
            add_object(b, c, EMU_SM90A);
        for (int k = FIRST_ARCH; k < b->n_targets; k++)
            if (c->varies || common < 0 || k == common)
                add_object(b, c, k);
    }
}

static bool find_libraries(nm_binary *b)
{
    nm_libraries all = {0};
    for (int i = 0; i < b->n_objects; i++) {
        nm_object *o = &b->object[i];
        if (o->library_file && !nm_library_get(&all, b->m, o->library_file, o->target, &o->library))
            return false;
    }
    return true;
}

// --- the whole -----------------------------------------------------------------------------------

static bool write_resources(nm_binary *b, const nm_images *images)
{
    return nm_resources_write(b->m, b->o->out, images->n_said, images->said, b->n_programs,
                              b->program);
}

// The images need the kernels' code; the list of programs stands behind them.
static bool finish(nm_binary *b)
{
    const nm_codegen_opts *o = b->o;
    nm_images images;
    if (o->emit == NM_EMIT_llvm || o->emit == NM_EMIT_asm)
        return nm_link(b->m, o, b->n_objects, b->object);
    bool cubins = o->emit != NM_EMIT_ptx, ok;
    ok = nm_images_make(b->m, b->n_targets - FIRST_ARCH, b->target + FIRST_ARCH, b->n_objects,
                        b->object, cubins, &images);
    if (ok && o->emit == NM_EMIT_ptx) {
        ok = nm_images_write(b->m, o->out, &images);
    } else if (ok && o->emit == NM_EMIT_resources) {
        ok = write_resources(b, &images);
    } else if (ok) {
        nm_object *list = &b->object[b->n_objects++];
        *list = nm_programs_object(b->m, &b->target[HOST], b->n_programs, b->program, &images);
        ok = nm_compile(b->m, o, 1, list) && nm_link(b->m, o, b->n_objects, b->object);
    }
    nm_images_release(&images);
    return ok;
}

static void print_times(const nm_binary *b, double generated, double compiled, double linked)
{
    if (!b->o->times)
        return;
    int n_kernels = 0;
    for (int i = 0; i < b->n_programs; i++)
        n_kernels += b->program[i].n_kernels;
    int n_kept = 0;
    for (int i = 0; i < b->n_objects; i++) {
        const nm_object *o = &b->object[i];
        n_kept += o->is_kept;
        fprintf(stderr, "%8.1f ms  %s %s%s\n", 1e3 * o->seconds, o->name ? o->name : "driver",
                o->target->name, o->is_kept ? ", kept" : "");
    }
    fprintf(stderr,
            "codegen: %d kernels, %d objects, %d kept: generate %.3f s, compile %.3f s, link %.3f "
            "s\n",
            n_kernels, b->n_objects, n_kept, generated, compiled, linked);
}

bool nm_codegen_programs(int n, nm_module *const *m, const nm_codegen_opts *o)
{
    nm_binary b = {.m = m[0], .o = o};
    if (!find_targets(&b))
        return false;
    if (o->n_archs && !nm_ptxas_check(b.m, o->emit == NM_EMIT_resources))
        return false;
    double start = now();
    if (!generate_all(&b, n, m)) {
        drop_bitcode(&b);
        return false;
    }
    double generated = now();
    drop_idle(&b);
    list_objects(&b);
    if (!find_libraries(&b)) {
        drop_bitcode(&b);
        return false;
    }
    bool ok = nm_compile(b.m, o, b.n_objects, b.object);
    double compiled = now();
    ok = ok && finish(&b);
    print_times(&b, generated - start, compiled - generated, now() - compiled);
    nm_objects_release(b.n_objects, b.object);
    return ok;
}
