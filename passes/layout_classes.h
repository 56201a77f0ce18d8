// Classes of values that lie in one place, and so have one order of dims. Private to layout.c and
// layout_classes.c.
#ifndef NM_PASSES_LAYOUT_CLASSES_H
#define NM_PASSES_LAYOUT_CLASSES_H

#include "passes/layout.h"

typedef struct nm_layout { // of one function
    nm_module *m;
    nm_arena *scratch;
    const nm_rank *rank;
    int *up;               // by value id: union-find
    const nm_type **fixed; // by class: has the order; NULL: none has been said
    nm_syms *front;        // by class: repeated dims, outermost first
} nm_layout;

void nm_layout_start(nm_layout *l, const nm_func *f); // every value is a class of its own
// Into one class what repeats and collectives say is one.
void nm_layout_join(nm_layout *l, const nm_func *f);
// The class of v has the order of t, unless something has been said of it.
void nm_layout_fix(nm_layout *l, const nm_value *v, const nm_type *t);
const nm_type *nm_layout_fixed(nm_layout *l, const nm_value *v); // NULL: nothing has
// First `front`, then the dims of `like` (NULL: none), then all others by rank; in l->scratch.
nm_rank nm_layout_order(const nm_layout *l, nm_syms front, const nm_type *like);
// The type that v has in the order of its class.
const nm_type *nm_layout_ordered(nm_layout *l, const nm_value *v);
// Cuts one class by a copy, if one has to be cut: classes are to be found anew then.
bool nm_layout_cut(nm_layout *l, nm_func *f);

#endif
