// From a group to its kernels: choose the kind's generator, write the module, share equal ones.
#include "base/hash.h"
#include "codegen/kernels.h"
#include "codegen/program.h"

#include <llvm-c/Analysis.h>
#include <llvm-c/BitWriter.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *kind;
    bool (*write)(nm_gen *g);
    int weight; // of compiling it
} kinds[] = {
    {"map", nm_kernel_map, 1},
    {"row", nm_kernel_row, 2},
    {"column", nm_kernel_column, 2},
    {"dot", nm_kernel_dot, 8},
    {"attention", nm_kernel_attention, 12},
    {"attention_grad", nm_kernel_attention_grad, 16},
    {"scatter", nm_kernel_scatter, 2},
    {"cumsum", nm_kernel_cumsum, 2},
    {"top_k", nm_kernel_top_k, 3},
    {"update", nm_kernel_update, 1},
    {"overlap_add", nm_kernel_overlap_add, 2},
};
enum { N_KINDS = sizeof kinds / sizeof *kinds };

// --- objects
// --------------------------------------------------------------------------------------------------

static bool same_code(LLVMMemoryBufferRef a, LLVMMemoryBufferRef b)
{
    size_t n = LLVMGetBufferSize(a);
    return n == LLVMGetBufferSize(b) &&
           memcmp(LLVMGetBufferStart(a), LLVMGetBufferStart(b), n) == 0;
}

int nm_program_add_object(nm_program *p, LLVMModuleRef mod, int weight)
{
    LLVMMemoryBufferRef code = LLVMWriteBitcodeToMemoryBuffer(mod);
    LLVMDisposeModule(mod);
    uint64_t hash = nm_hash64(LLVMGetBufferStart(code), LLVMGetBufferSize(code));
    for (int i = 0; i < p->n_objects; i++) {
        if (p->hash[i] != hash || !same_code(p->object[i].bitcode, code))
            continue;
        LLVMDisposeMemoryBuffer(code);
        return i;
    }
    p->object = nm_arena_grow(p->m->arena, p->object, p->n_objects, sizeof *p->object);
    p->hash = nm_arena_grow(p->m->arena, p->hash, p->n_objects, sizeof *p->hash);
    const char *name = nm_arena_fmt(p->m->arena, "k%d", p->n_objects);
    p->object[p->n_objects] = (nm_object){.name = name, .bitcode = code, .weight = weight};
    p->hash[p->n_objects] = hash;
    return p->n_objects++;
}

// --- names
// -----------------------------------------------------------------------------------------------------

const char *nm_where(nm_module *m, nm_loc loc)
{
    if (!loc.src)
        return "";
    return nm_arena_fmt(m->arena, "%s:%u", loc.src->name, nm_loc_line_col(loc).line);
}

// The lines that the kernel was fused from, in the order of its ops; a few of them.
static const char *kernel_where(nm_program *p, const nm_op *group)
{
    enum { MOST = 4 };
    const char *seen[MOST], *all = "";
    int n = 0;
    for (const nm_op *op = group->body->first; op && n < MOST; op = op->next) {
        const char *line = nm_where(p->m, op->loc);
        bool is_new = *line != 0;
        for (int i = 0; i < n; i++)
            is_new = is_new && strcmp(seen[i], line) != 0;
        if (!is_new)
            continue;
        seen[n++] = line;
        all = nm_arena_fmt(p->m->arena, "%s%s%s", all, *all ? ", " : "", line);
    }
    return *all ? all : nm_where(p->m, group->loc);
}

static const char *kernel_name(nm_program *p, const nm_op *group)
{
    const char *result = group->n_out && group->out[0].name ? group->out[0].name : "";
    return nm_arena_fmt(p->m->arena, "%s.%s%s%d", nm_attr_sym(group, "kind"), result,
                        *result ? "." : "", p->n_kernels);
}

static int add_kernel(nm_program *p, const nm_op *group, int object, const char *function,
                      int64_t grain)
{
    p->kernel = nm_arena_grow(p->m->arena, p->kernel, p->n_kernels, sizeof *p->kernel);
    p->kernel[p->n_kernels] = (nm_kernel){
        .name = kernel_name(p, group),
        .where = kernel_where(p, group),
        .object = object,
        .symbol = nm_arena_fmt(p->m->arena, "%s.%s", p->object[object].name, function),
        .grain = grain,
    };
    return p->n_kernels++;
}

// --- a group
// -----------------------------------------------------------------------------------------------------

static int find_kind(nm_program *p, const nm_op *group)
{
    nm_sym kind = nm_attr_sym(group, "kind");
    for (int i = 0; i < N_KINDS; i++)
        if (kind && strcmp(kind, kinds[i].kind) == 0)
            return i;
    nm_error(p->m->diag, group->loc, "group: kernels of kind '%s' are not lowered yet",
             kind ? kind : "?");
    return -1;
}

static void check_module(LLVMModuleRef mod, const nm_op *group)
{
    char *message = NULL;
    if (!LLVMVerifyModule(mod, LLVMReturnStatusAction, &message)) {
        LLVMDisposeMessage(message);
        return;
    }
    char *text = LLVMPrintModuleToString(mod);
    nm_bug("the module of a %s kernel is not valid: %s\n%s", nm_attr_sym(group, "kind"), message,
           text);
}

static void list_launches(nm_program *p, nm_gen *g, int object, bool two, nm_launches *out)
{
    *out = (nm_launches){.n = 1 + two, .n_args = g->n_args, .syms = g->syms};
    nm_arg *arg = nm_new_n(p->m->arena, nm_arg, (size_t)g->n_args + 1);
    memcpy(arg, g->arg, (size_t)g->n_args * sizeof *arg);
    out->arg = arg;
    const char *count = nm_arena_fmt(p->m->arena, "%s.count", p->object[object].name);
    out->launch[0] =
        (nm_launch){add_kernel(p, g->group, object, "kernel", g->grain), g->range, count};
    if (two)
        out->launch[1] = (nm_launch){add_kernel(p, g->group, object, "kernel2", 1),
                                     nm_extent_const(p->m, 1), NULL};
}

bool nm_program_kernels(nm_program *p, nm_op *group, const nm_plan *plan, nm_launches *out)
{
    int kind = find_kind(p, group);
    if (kind < 0)
        return false;
    nm_arena scratch = {0};
    nm_gen *g = nm_new(&scratch, nm_gen);
    LLVMModuleRef mod = LLVMModuleCreateWithNameInContext("kernel", p->ctx);
    nm_fn_init(&g->fn, p->m, &scratch, p->ctx, mod);
    bool ok = nm_gen_init(g, group, plan) && kinds[kind].write(g) && !g->failed;
    if (ok) {
        check_module(mod, group);
        bool two = LLVMGetNamedFunction(mod, "kernel2") != NULL;
        int object = nm_program_add_object(p, mod, kinds[kind].weight);
        list_launches(p, g, object, two, out);
        p->scratch = g->scratch_bytes > p->scratch ? g->scratch_bytes : p->scratch;
    } else {
        LLVMDisposeModule(mod);
    }
    nm_fn_release(&g->fn);
    nm_arena_free(&scratch);
    return ok;
}
