// LLVM modules to machine code, in parallel: each thread has a context, a target machine and its
// own copy of the templates, and takes the next module. Results do not depend on the threads.
#ifndef NM_CODEGEN_COMPILE_H
#define NM_CODEGEN_COMPILE_H

#include "codegen/codegen.h"
#include "codegen/target.h"

// The functions that are kernels, in a group's module: the first one or more.
enum { NM_MAX_LAUNCHES = 3 };
extern const char *const nm_kernel_functions[NM_MAX_LAUNCHES]; // kernel, kernel2, kernel3

typedef struct nm_entry { // of a gpu kernel
    int words, threads;   // of its parameter, of its blocks
    int n_maps;           // tensor maps, which are the last of the words
} nm_entry;

typedef struct nm_object { // one module for one target
    const nm_target *target;
    const char *name;            // its external functions become "name.function"; NULL: as they are
    LLVMMemoryBufferRef bitcode; // in; released by nm_compile; rows side by side may share it
    nm_entry entry[NM_MAX_LAUNCHES]; // of gpu kernels, by function; words 0: it is none
    const char *library_file;        // of its extern op; NULL: it has none
    nm_template_data library;        // that file's bitcode (codegen/library.h)
    const char *title;               // of a gpu kernel, for readers of its text
    int weight;                      // heavier ones are compiled first
    char *data;                      // out: an object, assembly or IR text; from malloc
    size_t size;
    char *error;    // out: from malloc; NULL: none
    double seconds; // out: processor time that it took
    bool is_kept;   // out: it was made by another compilation (codegen/kept.h)
    int not_kept;   // out: errno, where it should be kept for the next one and is not
} nm_object;

// False: reported (an LLVM error is our mistake, but may be a full memory, too).
bool nm_compile(nm_module *m, const nm_codegen_opts *opts, int n, nm_object *object);
void nm_objects_release(int n, nm_object *object);

#endif
