// Interned strings: equal texts are equal pointers, for as long as the arena lives.
#ifndef NM_BASE_INTERN_H
#define NM_BASE_INTERN_H

#include "base/arena.h"

#include <stddef.h>

typedef const char *nm_sym; // interned string, NUL-terminated: compare with ==

typedef struct nm_interner nm_interner;

nm_interner *nm_interner_new(nm_arena *arena); // lives in the arena
nm_sym nm_intern(nm_interner *in, const char *s, size_t len);

#endif
