// The kernel of a bundle: an entry that finds its block's part and calls that part's body. See
// bundle.h.
#include "codegen/bundle.h"

#include <llvm-c/BitReader.h>
#include <llvm-c/Linker.h>
#include <string.h>

enum { FIRSTS_AT = 1 };

int nm_bundle_at(const nm_kernel *part, int n, int i)
{
    int at = FIRSTS_AT + n;
    for (int k = 0; k < i; k++)
        at += 1 + part[k].n_args;
    return at;
}

static bool same_body(const nm_kernel *a, const nm_kernel *b)
{
    return a->code == b->code && strcmp(a->function, b->function) == 0;
}

// --- bodies --------------------------------------------------------------------------------------

// Entries go, and the body of the launch that is not wanted.
static LLVMValueRef body_alone(LLVMModuleRef mod, const nm_kernel *k)
{
    LLVMValueRef wanted = NULL;
    for (int i = 0; i < NM_MAX_LAUNCHES; i++) {
        const char *name = nm_kernel_functions[i];
        char body_name[32];
        snprintf(body_name, sizeof body_name, "%s_body", name);
        LLVMValueRef entry = LLVMGetNamedFunction(mod, name);
        LLVMValueRef body = LLVMGetNamedFunction(mod, body_name);
        if (entry)
            LLVMDeleteFunction(entry);
        if (strcmp(k->function, name) == 0)
            wanted = body;
        else if (body)
            LLVMDeleteFunction(body);
    }
    return wanted;
}

// The body that the kernel's entry calls, as a function of mod.
static LLVMValueRef link_body(nm_program *p, LLVMModuleRef mod, const nm_kernel *k)
{
    static const char name[] = "body";
    LLVMModuleRef of;
    if (LLVMParseBitcodeInContext2(p->ctx, p->codes->code[k->code].bitcode, &of))
        nm_bug("bundle: a kernel's bitcode does not parse");
    LLVMValueRef body = body_alone(of, k);
    LLVMSetValueName2(body, name, strlen(name));
    LLVMSetLinkage(body, LLVMExternalLinkage);
    if (LLVMLinkModules2(mod, of))
        nm_bug("bundle: bodies do not link");
    body = LLVMGetNamedFunction(mod, name);
    LLVMSetLinkage(body, LLVMInternalLinkage);
    LLVMSetValueName2(body, "part_body", strlen("part_body")); // LLVM numbers what is called alike
    return body;
}

// --- the entry -----------------------------------------------------------------------------------

typedef struct entry {
    nm_fn fn;
    int n;
    const nm_kernel *part;
    LLVMValueRef words, block, index; // index: of the block's part
} entry;

static LLVMValueRef block_number(nm_fn *f)
{
    LLVMTypeRef type = LLVMFunctionType(f->i64, NULL, 0, false);
    LLVMValueRef fn = LLVMGetNamedFunction(f->mod, "nmg_block");
    if (!fn)
        fn = LLVMAddFunction(f->mod, "nmg_block", type);
    return LLVMBuildCall2(f->b, type, fn, NULL, 0, "");
}

// No loop: a part is the last that has begun, and one without blocks ends where it begins.
static void find_part(entry *e)
{
    nm_fn *f = &e->fn;
    LLVMValueRef index = nm_fn_i64(f, 0), block = block_number(f);
    for (int i = 1; i < e->n; i++) {
        LLVMValueRef first = nm_fn_load(f, f->i64, e->words, nm_fn_i64(f, FIRSTS_AT + i));
        LLVMValueRef begun = LLVMBuildICmp(f->b, LLVMIntSGE, block, first, "");
        index = LLVMBuildAdd(f->b, index, LLVMBuildZExt(f->b, begun, f->i64, ""), "");
    }
    LLVMValueRef at = LLVMBuildAdd(f->b, index, nm_fn_i64(f, FIRSTS_AT), "");
    e->index = index;
    e->block = LLVMBuildSub(f->b, block, nm_fn_load(f, f->i64, e->words, at), "");
}

// A call of the body that parts from `first` on share.
static void call_body(entry *e, int first, LLVMValueRef body)
{
    nm_fn *f = &e->fn;
    const nm_kernel *k = &e->part[first];
    LLVMValueRef nth = LLVMBuildSub(f->b, e->index, nm_fn_i64(f, first), "");
    LLVMValueRef at = LLVMBuildMul(f->b, nth, nm_fn_i64(f, 1 + k->n_args), "");
    at = LLVMBuildAdd(f->b, at, nm_fn_i64(f, nm_bundle_at(e->part, e->n, first)), "");
    LLVMValueRef syms_at = LLVMBuildAdd(f->b, at, nm_fn_i64(f, 1 + k->syms_at), "");
    LLVMValueRef syms = nm_fn_load(f, f->i64, e->words, syms_at);
    LLVMValueRef arg[] = {nm_fn_at(f, f->i64, e->words, at), nm_fn_at(f, f->i64, e->words, syms),
                          e->block};
    LLVMBuildCall2(f->b, LLVMGlobalGetValueType(body), body, arg, 3, "");
}

static int end_of_body(const entry *e, int first)
{
    int end = first + 1;
    while (end < e->n && same_body(&e->part[first], &e->part[end]))
        end++;
    return end;
}

static void call_bodies(nm_program *p, entry *e)
{
    nm_fn *f = &e->fn;
    for (int first = 0, end; first < e->n; first = end) {
        end = end_of_body(e, first);
        LLVMValueRef body = link_body(p, f->mod, &e->part[first]);
        LLVMValueRef before = LLVMBuildICmp(f->b, LLVMIntSLT, e->index, nm_fn_i64(f, end), "");
        LLVMValueRef behind = LLVMBuildICmp(f->b, LLVMIntSGE, e->index, nm_fn_i64(f, first), "");
        LLVMBasicBlockRef next = nm_if_begin(f, LLVMBuildAnd(f->b, before, behind, ""));
        call_body(e, first, body);
        nm_if_end(f, next);
    }
}

static void write_entry(nm_program *p, entry *e)
{
    nm_fn *f = &e->fn;
    LLVMTypeRef type = LLVMFunctionType(f->nothing, &f->ptr, 1, false);
    e->words = LLVMGetParam(nm_fn_start(f, "kernel", type), 0);
    find_part(e);
    call_bodies(p, e);
    nm_fn_finish(f, NULL);
}

// --- the row -------------------------------------------------------------------------------------

nm_kernel nm_program_bundle(nm_program *p, int n, const nm_kernel *part, int words)
{
    nm_arena scratch = {0};
    LLVMModuleRef mod = LLVMModuleCreateWithNameInContext("kernel", p->ctx);
    entry e = {.n = n, .part = part};
    nm_fn_init(&e.fn, p->m, &scratch, p->ctx, mod);
    write_entry(p, &e);
    nm_fn_release(&e.fn);
    nm_arena_free(&scratch);
    nm_kernel row = {.function = "kernel",
                     .grain = 1,
                     .n_args = words - 1,
                     .syms_at = -1,
                     .threads = part[0].threads,
                     .per_block = 1};
    for (int i = 0; i < n; i++)
        row.shared = part[i].shared > row.shared ? part[i].shared : row.shared;
    nm_entry as_launched = {words, (int)row.threads, 0};
    nm_code code = {
        .weight = 2, .entry = {as_launched, as_launched}, .sm90a = {as_launched, as_launched}};
    row.code = nm_program_add_code(p, mod, code);
    return row;
}
