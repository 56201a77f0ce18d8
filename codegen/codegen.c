// Code generation, top to bottom: see codegen.h.
#include "codegen/codegen.h"

#include "codegen/link.h"
#include "codegen/program.h"

#include <llvm-c/Analysis.h>
#include <llvm-c/BitWriter.h>
#include <stdlib.h>
#include <time.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void check_driver(nm_program *p)
{
    char *message = NULL;
    if (LLVMVerifyModule(p->driver_mod, LLVMReturnStatusAction, &message))
        nm_bug("the driver module is not valid: %s\n%s", message,
               LLVMPrintModuleToString(p->driver_mod));
    LLVMDisposeMessage(message);
}

// Kernels and driver as bitcode. The driver is the last object and has no name.
static bool generate(nm_program *p)
{
    p->ctx = LLVMContextCreate();
    p->driver_mod = LLVMModuleCreateWithNameInContext("driver", p->ctx);
    bool ok = nm_program_drivers(p);
    if (ok) {
        nm_program_tables(p);
        check_driver(p);
        int driver = nm_program_add_object(p, p->driver_mod, 32);
        p->object[driver].name = NULL;
    } else {
        LLVMDisposeModule(p->driver_mod);
    }
    return ok;
}

static void drop_bitcode(nm_program *p)
{
    for (int i = 0; i < p->n_objects; i++)
        LLVMDisposeMemoryBuffer(p->object[i].bitcode);
}

static void print_times(const nm_program *p, double generated, double compiled, double linked)
{
    if (!p->opts->times)
        return;
    for (int i = 0; i < p->n_objects; i++)
        fprintf(stderr, "%8.1f ms  %s\n", 1e3 * p->object[i].seconds,
                p->object[i].name ? p->object[i].name : "driver");
    fprintf(stderr,
            "codegen: %d kernels, %d objects: generate %.3f s, compile %.3f s, link %.3f s\n",
            p->n_kernels, p->n_objects, generated, compiled, linked);
}

bool nm_codegen_program(nm_module *m, const nm_codegen_opts *o)
{
    nm_program p = {.m = m, .opts = o};
    if (!nm_target_find(m, o->cpu, &p.target))
        return false;
    double start = now();
    bool ok = generate(&p);
    LLVMContextDispose(p.ctx);
    if (!ok) {
        drop_bitcode(&p);
        return false;
    }
    double generated = now();
    ok = nm_compile(m, &p.target, o->emit, p.n_objects, p.object);
    double compiled = now();
    ok = ok && nm_link(m, o, p.n_objects, p.object);
    print_times(&p, generated - start, compiled - generated, now() - compiled);
    nm_objects_release(p.n_objects, p.object);
    return ok;
}
