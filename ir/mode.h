// The modes: for each of some meshes the program has a text of its own (docs/mesh.md, Modes).
#ifndef NM_IR_MODE_H
#define NM_IR_MODE_H

#include "ir/ir.h"

typedef struct nm_mode {
    const char *name;
    bool whole; // nothing is split
    bool no_tp; // tp is 1: its row of the mesh table is not there
    bool also;  // sequence parallelism
    bool ring;  // attention sends keys and values round (passes/ring.c)
} nm_mode;

enum { NM_N_MODES = 5 };
extern const nm_mode nm_mode_table[NM_N_MODES];

const nm_mode *nm_mode_find(nm_sym name); // name may be NULL. NULL: there is no such mode

#endif
