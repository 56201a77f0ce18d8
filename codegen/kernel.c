// From a group to its kernels: choose the kind's generator, write the module, share equal ones.
#include "base/hash.h"
#include "codegen/gpu.h"
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
    {"extern", nm_kernel_extern, 4},
};
enum { N_KINDS = sizeof kinds / sizeof *kinds };

// --- code ----------------------------------------------------------------------------------------

static bool same_code(LLVMMemoryBufferRef a, LLVMMemoryBufferRef b)
{
    size_t n = LLVMGetBufferSize(a);
    return n == LLVMGetBufferSize(b) &&
           memcmp(LLVMGetBufferStart(a), LLVMGetBufferStart(b), n) == 0;
}

static uint64_t hash_code(const nm_code *c)
{
    uint64_t h = nm_hash64(LLVMGetBufferStart(c->bitcode), LLVMGetBufferSize(c->bitcode));
    h = nm_hash64_more(h, c->entry, sizeof c->entry);
    return nm_hash64_more(h, c->sm90a, sizeof c->sm90a);
}

// Its name is the same in every binary, so that a compiled one can be used again (codegen/kept.h).
int nm_program_add_code(nm_program *p, LLVMModuleRef mod, nm_code code)
{
    nm_codes *all = p->codes;
    code.varies = code.specific || nm_gpu_has_fp8(mod);
    code.bitcode = LLVMWriteBitcodeToMemoryBuffer(mod);
    LLVMDisposeModule(mod);
    code.hash = hash_code(&code);
    for (int i = 0; i < all->n; i++) {
        const nm_code *x = &all->code[i];
        if (x->hash != code.hash)
            continue;
        if (memcmp(x->entry, code.entry, sizeof code.entry) == 0 &&
            memcmp(x->sm90a, code.sm90a, sizeof code.sm90a) == 0 &&
            same_code(x->bitcode, code.bitcode)) {
            LLVMDisposeMemoryBuffer(code.bitcode);
            return i;
        }
        code.hash++; // another one with its name: those behind it are looked at, too
        i = -1;
    }
    all->code = nm_arena_grow(p->m->arena, all->code, all->n, sizeof *all->code);
    code.name = nm_arena_fmt(p->m->arena, "k%016llx", (unsigned long long)code.hash);
    all->code[all->n] = code;
    return all->n++;
}

// --- names ---------------------------------------------------------------------------------------

const char *nm_where(nm_module *m, nm_loc loc)
{
    if (!loc.src)
        return "";
    return nm_arena_fmt(m->arena, "%s:%u", loc.src->name, nm_loc_line_col(loc).line);
}

typedef struct lines { // of a model, each once, a few of them
    int n;
    const char *line[4], *all;
} lines;

// In the order of its ops.
static void add_lines(nm_program *p, const nm_op *group, lines *seen)
{
    for (const nm_op *op = group->body->first; op; op = op->next) {
        const char *line = nm_where(p->m, op->loc);
        bool is_new = *line && seen->n < (int)(sizeof seen->line / sizeof *seen->line);
        for (int i = 0; i < seen->n; i++)
            is_new = is_new && strcmp(seen->line[i], line) != 0;
        if (!is_new)
            continue;
        seen->all = nm_arena_fmt(p->m->arena, "%s%s%s", seen->all, seen->n ? ", " : "", line);
        seen->line[seen->n++] = line;
    }
}

const char *nm_groups_where(nm_program *p, const nm_op *first, const nm_op *last)
{
    lines seen = {.all = ""};
    for (const nm_op *group = first;; group = group->next) {
        add_lines(p, group, &seen);
        if (group == last)
            break;
    }
    return seen.n ? seen.all : nm_where(p->m, first->loc);
}

const char *nm_group_where(nm_program *p, const nm_op *group)
{
    return nm_groups_where(p, group, group);
}

const char *nm_group_name(nm_program *p, const nm_op *group, int n)
{
    const char *result = group->n_out && group->out[0].name ? group->out[0].name : "";
    return nm_arena_fmt(p->m->arena, "%s.%s%s%d", nm_attr_sym(group, "kind"), result,
                        *result ? "." : "", n);
}

static int syms_at(const nm_gen *g)
{
    for (int i = 0; i < g->n_args; i++)
        if (g->arg[i].syms)
            return i;
    return -1;
}

int nm_program_add_kernel(nm_program *p, const nm_kernel *kernel)
{
    p->kernel = nm_arena_grow(p->m->arena, p->kernel, p->n_kernels, sizeof *p->kernel);
    p->kernel[p->n_kernels] = *kernel;
    return p->n_kernels++;
}

int nm_program_add_launch(nm_program *p, const nm_op *group, const nm_launch *launch)
{
    nm_kernel kernel = launch->kernel;
    kernel.name = nm_group_name(p, group, p->n_kernels);
    kernel.where = nm_group_where(p, group);
    return nm_program_add_kernel(p, &kernel);
}

// --- a group -------------------------------------------------------------------------------------

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

static int64_t shared_of(const nm_gen *g, int i)
{
    return g->second_shares && i != 1 ? 0 : g->shared_bytes;
}

// Kernel i of a group's.
static nm_kernel row_of(const nm_gen *g, int code, int i)
{
    return (nm_kernel){.code = code,
                       .function = nm_kernel_functions[i],
                       .grain = i ? 1 : g->grain,
                       .chunk = i ? 0 : g->chunk,
                       .n_args = g->n_args,
                       .syms_at = syms_at(g),
                       .n_syms = g->syms.n,
                       .threads = g->threads,
                       .per_block = g->per_block,
                       .shared = shared_of(g, i),
                       .unordered = g->unordered,
                       .form = g->form[i]};
}

static int count_kernels(LLVMModuleRef mod)
{
    int n = 1;
    while (n < NM_MAX_LAUNCHES && LLVMGetNamedFunction(mod, nm_kernel_functions[n]))
        n++;
    return n;
}

static void list_launches(nm_program *p, nm_gen *g, int code, int n, nm_launches *out)
{
    const nm_extent *one = nm_extent_const(p->m, 1);
    const nm_extent *range[NM_MAX_LAUNCHES] = {g->range, g->range2 ? g->range2 : one,
                                               g->range3 ? g->range3 : one};
    *out = (nm_launches){.n = n, .n_args = g->n_args, .syms = g->syms};
    nm_arg *arg = nm_new_n(p->m->arena, nm_arg, (size_t)g->n_args + 1);
    memcpy(arg, g->arg, (size_t)g->n_args * sizeof *arg);
    out->arg = arg;
    const char *count = nm_arena_fmt(p->m->arena, "%s.count", p->codes->code[code].name);
    for (int i = 0; i < n; i++)
        out->launch[i] = (nm_launch){row_of(g, code, i), range[i], count};
}

// Kernels whose templates differ have a form each, if it is but the same launch.
static void settle_forms(nm_gen *g)
{
    for (int i = 0; i < NM_MAX_LAUNCHES; i++)
        if (!g->form[i].threads)
            g->form[i] = (nm_form){.threads = g->threads,
                                   .per_block = g->per_block,
                                   .shared = shared_of(g, i),
                                   .count_at = -1};
}

static nm_code gpu_code(nm_gen *g, LLVMModuleRef mod, int weight)
{
    nm_code code = {.weight = weight, .specific = nm_gpu_is_specific(mod)};
    if (code.specific)
        settle_forms(g);
    for (int i = 0; i < NM_MAX_LAUNCHES; i++) {
        const nm_form *form = &g->form[i];
        code.entry[i] = code.sm90a[i] = (nm_entry){nm_gen_words(g, 0), g->threads, 0};
        if (code.specific)
            code.sm90a[i] = (nm_entry){nm_gen_words(g, form->n_maps), form->threads, form->n_maps};
    }
    return code;
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
        nm_gen_settle(g);
        check_module(mod, group);
        int n = count_kernels(mod);
        nm_code code = {.weight = kinds[kind].weight};
        if (g->is_gpu)
            code = gpu_code(g, mod, kinds[kind].weight);
        code.library = g->library;
        list_launches(p, g, nm_program_add_code(p, mod, code), n, out);
        p->scratch = g->scratch_bytes > p->scratch ? g->scratch_bytes : p->scratch;
    } else {
        LLVMDisposeModule(mod);
    }
    nm_fn_release(&g->fn);
    nm_arena_free(&scratch);
    return ok;
}
