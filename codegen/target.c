// The machines that code is compiled for: x86-64 levels, or the one that nemocc runs on; GPUs.
#include "codegen/target.h"

#include "base/hash.h"
#include "base/list.h"
#include "codegen/codegen.h"

#include <llvm-c/Core.h>
#include <llvm-c/Target.h>
#include <string.h>

static const struct {
    const char *name, *cpu;
    int level, vl;
} levels[] = {
    {"v2", "x86-64-v2", 2, 4},
    {"v3", "x86-64-v3", 3, 8},
    {"v4", "x86-64-v4", 4, 16},
};
enum { N_LEVELS = sizeof levels / sizeof *levels };

static void use_templates(nm_target *t, nm_template_data templates)
{
    t->templates = templates;
    t->templates_hash = nm_hash64(templates.data, templates.size);
}

static bool use_level(nm_target *t, int i)
{
    t->vl = levels[i].vl;
    t->level = levels[i].level;
    return true;
}

static bool has_feature(const nm_target *t, const char *feature)
{
    const char *p = strstr(t->features, feature);
    return p && (p[strlen(feature)] == ',' || p[strlen(feature)] == 0);
}

static bool has_all(const nm_target *t, const char *const *feature)
{
    for (; *feature; feature++)
        if (!has_feature(t, *feature))
            return false;
    return true;
}

// The highest level whose every feature the host has.
static bool level_of_host(nm_module *m, nm_target *t)
{
    static const char *const v2[] = {"+sse4.2", "+ssse3", "+popcnt", NULL};
    static const char *const v3[] = {"+avx2", "+fma", "+bmi2", "+f16c", NULL};
    static const char *const v4[] = {"+avx512f", "+avx512bw", "+avx512dq", "+avx512vl", NULL};
    if (!has_all(t, v2))
        return nm_error(m->diag, (nm_loc){0}, "this CPU lacks SSE 4.2, which kernels need");
    if (!has_all(t, v3))
        return use_level(t, 0);
    return use_level(t, has_all(t, v4) ? 2 : 1);
}

static char *take(nm_module *m, char *message)
{
    char *copy = nm_arena_fmt(m->arena, "%s", message);
    LLVMDisposeMessage(message);
    return copy;
}

static bool find_native(nm_module *m, nm_target *t)
{
    t->cpu = take(m, LLVMGetHostCPUName());
    t->features = take(m, LLVMGetHostCPUFeatures());
    t->name = nm_arena_fmt(m->arena, "native (%s)", t->cpu);
    return level_of_host(m, t);
}

static bool find_level(nm_module *m, const char *cpu, nm_target *t)
{
    for (int i = 0; i < N_LEVELS; i++) {
        if (strcmp(cpu, levels[i].name) != 0 && strcmp(cpu, levels[i].cpu) != 0)
            continue;
        t->cpu = t->name = levels[i].cpu;
        t->features = "";
        return use_level(t, i);
    }
    nm_error(m->diag, (nm_loc){0}, "--cpu: unknown CPU '%s'", cpu);
    nm_help(m->diag, (nm_loc){0}, "one of native, x86-64-v2, x86-64-v3, x86-64-v4");
    return false;
}

bool nm_target_find(nm_module *m, const char *cpu, nm_target *t)
{
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    *t = (nm_target){.triple = "x86_64-unknown-linux-gnu"};
    char *message = NULL;
    if (LLVMGetTargetFromTriple(t->triple, &t->llvm, &message))
        return nm_error(m->diag, (nm_loc){0}, "LLVM: %s", take(m, message));
    bool native = !cpu || strcmp(cpu, "native") == 0;
    bool found = native ? find_native(m, t) : find_level(m, cpu, t);
    if (found)
        use_templates(t, nm_template_bc_get(t->vl));
    return found;
}

nm_target nm_target_emu(const nm_target *host, bool sm90a)
{
    nm_target t = *host;
    t.is_emu = true;
    t.is_sm90a = sm90a;
    t.name = sm90a ? "emu sm_90a" : "emu";
    use_templates(&t, sm90a ? nm_template_gpu_emu_sm90a() : nm_template_gpu_emu());
    return t;
}

nm_target nm_target_driver(const nm_target *host)
{
    nm_target t = *host;
    t.is_driver = true;
    return t;
}

// --- GPUs ----------------------------------------------------------------------------------------

static const struct {
    const char *name;
    int arch;
    bool specific;
    const char *feature, *ptx; // the oldest version that knows it, so that older drivers take it
} archs[] = {
    {"sm_80", 80, false, "+ptx80", "8.0"},   {"sm_86", 86, false, "+ptx80", "8.0"},
    {"sm_89", 89, false, "+ptx81", "8.1"},   {"sm_90", 90, false, "+ptx80", "8.0"},
    {"sm_90a", 90, true, "+ptx80", "8.0"},   {"sm_100", 100, false, "+ptx86", "8.6"},
    {"sm_100a", 100, true, "+ptx86", "8.6"}, {"sm_120", 120, false, "+ptx87", "8.7"},
};
enum { N_ARCHS = sizeof archs / sizeof *archs };

static int find_arch(nm_item name)
{
    int i = 0;
    while (i < N_ARCHS && !nm_item_is(name, archs[i].name))
        i++;
    return i;
}

bool nm_archs_have_fp8(const char *list)
{
    nm_each_item(name, list) {
        int i = find_arch(name);
        if (i == N_ARCHS || archs[i].arch >= NM_GPU_FP8_ARCH)
            return true;
    }
    return false;
}

static void list_archs(nm_module *m)
{
    const char *all = "one of";
    for (int i = 0; i < N_ARCHS; i++)
        all = nm_arena_fmt(m->arena, "%s%s %s", all, i ? "," : "", archs[i].name);
    nm_help(m->diag, (nm_loc){0}, "%s", all);
}

bool nm_target_find_gpu(nm_module *m, const char *arch, nm_target *t)
{
    LLVMInitializeNVPTXTargetInfo();
    LLVMInitializeNVPTXTarget();
    LLVMInitializeNVPTXTargetMC();
    LLVMInitializeNVPTXAsmPrinter();
    int i = find_arch((nm_item){arch, strlen(arch)});
    if (i == N_ARCHS) {
        nm_error(m->diag, (nm_loc){0}, "--arch: unknown architecture '%s'", arch);
        list_archs(m);
        return false;
    }
    bool sm90a = strcmp(arch, "sm_90a") == 0; // later chips have no wgmma
    *t = (nm_target){.triple = "nvptx64-nvidia-cuda",
                     .cpu = archs[i].name,
                     .features = archs[i].feature,
                     .ptx = archs[i].ptx,
                     .name = archs[i].name,
                     .is_sm90a = sm90a,
                     .arch = archs[i].arch,
                     .is_gpu = true,
                     .is_specific = archs[i].specific};
    use_templates(t, sm90a ? nm_template_gpu_sm90a() : nm_template_gpu_ptx());
    char *message = NULL;
    if (LLVMGetTargetFromTriple(t->triple, &t->llvm, &message))
        return nm_error(m->diag, (nm_loc){0}, "LLVM: %s", take(m, message));
    return true;
}

// --- machines ------------------------------------------------------------------------------------

LLVMTargetMachineRef nm_target_machine(const nm_target *t)
{
    LLVMTargetMachineOptionsRef o = LLVMCreateTargetMachineOptions();
    LLVMTargetMachineOptionsSetCPU(o, t->cpu);
    LLVMTargetMachineOptionsSetFeatures(o, t->features);
    LLVMTargetMachineOptionsSetCodeGenOptLevel(o, t->is_driver ? LLVMCodeGenLevelNone
                                                               : LLVMCodeGenLevelDefault);
    LLVMTargetMachineOptionsSetRelocMode(o, LLVMRelocPIC);
    LLVMTargetMachineRef machine = LLVMCreateTargetMachineWithOptions(t->llvm, t->triple, o);
    LLVMDisposeTargetMachineOptions(o);
    if (!machine)
        nm_bug("LLVM makes no machine for %s", t->cpu);
    return machine;
}

static void set(LLVMContextRef ctx, LLVMValueRef fn, const char *key, const char *value)
{
    LLVMAttributeRef a =
        LLVMCreateStringAttribute(ctx, key, (unsigned)strlen(key), value, (unsigned)strlen(value));
    LLVMAddAttributeAtIndex(fn, (LLVMAttributeIndex)LLVMAttributeFunctionIndex, a);
}

void nm_target_mark(const nm_target *t, LLVMModuleRef mod)
{
    LLVMContextRef ctx = LLVMGetModuleContext(mod);
    for (LLVMValueRef fn = LLVMGetFirstFunction(mod); fn; fn = LLVMGetNextFunction(fn)) {
        if (LLVMIsDeclaration(fn))
            continue;
        set(ctx, fn, "target-cpu", t->cpu);
        set(ctx, fn, "target-features", t->features);
        if (t->vl)
            set(ctx, fn, "prefer-vector-width", t->vl == 16 ? "512" : t->vl == 8 ? "256" : "128");
        set(ctx, fn, "no-builtins", "");
    }
}
