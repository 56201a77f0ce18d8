// Kernels of the flavour gpu as entries of a GPU: see gpu.h.
#include "codegen/gpu.h"

#include <llvm-c/Core.h>
#include <string.h>

enum { PTX_KERNEL = 71 }; // LLVM's number of that calling convention

// Those with a form of their own where NMG_SM90A is defined (cmake/templates.cmake).
bool nm_gpu_is_specific(LLVMModuleRef mod)
{
    return LLVMGetNamedFunction(mod, "nmg_attn_bf16") ||
           LLVMGetNamedFunction(mod, "nmg_attn_bf16_maps") ||
           LLVMGetNamedFunction(mod, "nmg_attn_grad_bf16") ||
           LLVMGetNamedFunction(mod, "nmg_attn_grad_once_bf16") ||
           LLVMGetNamedFunction(mod, "nmg_attn_grad_maps_bf16");
}

static LLVMAttributeRef text_attribute(LLVMContextRef ctx, const char *key, const char *value)
{
    return LLVMCreateStringAttribute(ctx, key, (unsigned)strlen(key), value,
                                     (unsigned)strlen(value));
}

static LLVMAttributeRef type_attribute(LLVMContextRef ctx, const char *name, LLVMTypeRef type)
{
    return LLVMCreateTypeAttribute(ctx, LLVMGetEnumAttributeKindForName(name, strlen(name)), type);
}

static LLVMAttributeRef align_attribute(LLVMContextRef ctx, uint64_t bytes)
{
    return LLVMCreateEnumAttribute(ctx, LLVMGetEnumAttributeKindForName("align", 5), bytes);
}

// The parameter is never written: no thread needs a copy of its own (grid_constant), and the copy
// engine reads tensor maps where they are.
static void mark(LLVMContextRef ctx, LLVMValueRef fn, const nm_entry *entry)
{
    enum { MAP_ALIGN = 128 };
    char threads[16];
    snprintf(threads, sizeof threads, "%d", entry->threads);
    LLVMTypeRef type = LLVMArrayType2(LLVMInt64TypeInContext(ctx), (uint64_t)entry->words);
    LLVMSetFunctionCallConv(fn, PTX_KERNEL);
    LLVMAddAttributeAtIndex(fn, 1, type_attribute(ctx, "byval", type));
    LLVMAddAttributeAtIndex(fn, 1, text_attribute(ctx, "nvvm.grid_constant", ""));
    if (entry->n_maps)
        LLVMAddAttributeAtIndex(fn, 1, align_attribute(ctx, MAP_ALIGN));
    LLVMAddAttributeAtIndex(fn, (LLVMAttributeIndex)LLVMAttributeFunctionIndex,
                            text_attribute(ctx, "nvvm.maxntid", threads));
    // Without this ptxas spills registers to make room for a second block.
    LLVMAddAttributeAtIndex(fn, (LLVMAttributeIndex)LLVMAttributeFunctionIndex,
                            text_attribute(ctx, "nvvm.minctasm", "1"));
}

const char *const nm_kernel_functions[NM_MAX_LAUNCHES] = {"kernel", "kernel2", "kernel3"};

void nm_gpu_mark_kernels(LLVMModuleRef mod, const nm_entry entry[NM_MAX_LAUNCHES])
{
    LLVMContextRef ctx = LLVMGetModuleContext(mod);
    for (int i = 0; i < NM_MAX_LAUNCHES; i++) {
        LLVMValueRef fn = LLVMGetNamedFunction(mod, nm_kernel_functions[i]);
        if (fn)
            mark(ctx, fn, &entry[i]);
    }
}
