// Line tables: see lines.h. All of a generated function is at line 0, which means none.
#include "codegen/lines.h"

#include <llvm-c/Core.h>
#include <llvm-c/DebugInfo.h>
#include <string.h>

static LLVMMetadataRef subprogram(LLVMDIBuilderRef b, LLVMMetadataRef file, LLVMValueRef fn)
{
    size_t n;
    const char *name = LLVMGetValueName2(fn, &n);
    LLVMMetadataRef type = LLVMDIBuilderCreateSubroutineType(b, file, NULL, 0, LLVMDIFlagZero);
    return LLVMDIBuilderCreateFunction(b, file, name, n, name, n, file, 0, type, 0, 1, 0,
                                       LLVMDIFlagZero, 1);
}

static void mark_function(LLVMContextRef ctx, LLVMValueRef fn, LLVMMetadataRef scope)
{
    LLVMMetadataRef at = LLVMDIBuilderCreateDebugLocation(ctx, 0, 0, scope, NULL);
    LLVMSetSubprogram(fn, scope);
    for (LLVMBasicBlockRef b = LLVMGetFirstBasicBlock(fn); b; b = LLVMGetNextBasicBlock(b))
        for (LLVMValueRef i = LLVMGetFirstInstruction(b); i; i = LLVMGetNextInstruction(i))
            LLVMInstructionSetDebugLoc(i, at);
}

static void set_version(LLVMModuleRef mod, const char *key, unsigned value)
{
    LLVMTypeRef i32 = LLVMInt32TypeInContext(LLVMGetModuleContext(mod));
    LLVMAddModuleFlag(mod, LLVMModuleFlagBehaviorWarning, key, strlen(key),
                      LLVMValueAsMetadata(LLVMConstInt(i32, value, 0)));
}

void nm_lines_mark(LLVMModuleRef mod, const char *name)
{
    LLVMDIBuilderRef b = LLVMCreateDIBuilder(mod);
    LLVMMetadataRef file = LLVMDIBuilderCreateFile(b, name, strlen(name), "", 0);
    LLVMDIBuilderCreateCompileUnit(b, LLVMDWARFSourceLanguageC11, file, "nemocc", 6, 1, "", 0, 0,
                                   "", 0, LLVMDWARFEmissionLineTablesOnly, 0, 0, 0, "", 0, "", 0);
    for (LLVMValueRef fn = LLVMGetFirstFunction(mod); fn; fn = LLVMGetNextFunction(fn))
        if (!LLVMIsDeclaration(fn))
            mark_function(LLVMGetModuleContext(mod), fn, subprogram(b, file, fn));
    LLVMDIBuilderFinalize(b);
    LLVMDisposeDIBuilder(b);
    set_version(mod, "Debug Info Version", LLVMDebugMetadataVersion());
    set_version(mod, "Dwarf Version", 5);
}
