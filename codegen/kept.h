// Objects that were compiled before, in the user's cache (base/cache.h): of two compilations that
// give the same code, the second runs no LLVM passes.
#ifndef NM_CODEGEN_KEPT_H
#define NM_CODEGEN_KEPT_H

#include "codegen/compile.h"

// What an object is made with, besides its own bitcode: `passes` are LLVM's, `is_text` says that
// assembly is asked for, `version` is the compiler's.
typedef struct nm_kept_key {
    const char *passes, *version;
    bool is_text;
} nm_kept_key;

// True: o->data and o->size are as they were made then.
bool nm_kept_find(nm_object *o, nm_kept_key key);
// Keeps o->data for the next time; *why is the errno where that fails, else as it was. Without a
// cache it does nothing.
void nm_kept_add(const nm_object *o, nm_kept_key key, int *why);

#endif
