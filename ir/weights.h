// Weight maps of a module, as binaries are to know them: which tensor of a foreign checkpoint is
// which part of a parameter, and what its config.json says. The frontend fills them in; passes
// leave them alone; codegen writes them out (nmdrv_weights).
#ifndef NM_IR_WEIGHTS_H
#define NM_IR_WEIGHTS_H

#include "ir/ir.h"

// A parameter, or a part of one, in one tensor of a file. Dims are those of the parameter as it was
// declared (`heads`, not what passes make of it): index i lies at base + sum over j of (i_j -
// from_j) * stride_j.
typedef struct nm_part_of {
    nm_sym name;          // "model.layers.{0}.mlp.gate_up_proj.weight"; {j}: the index along dim j
    nm_sym codec, scales; // "mxfp4", and the name of the tensor of its scales; NULL: plain numbers
    nm_loc loc;
    nm_sym param; // by path
    int n_dims;
    int64_t dim[NM_MAX_RANK]; // whole extents of the parameter
    int64_t from[NM_MAX_RANK], extent[NM_MAX_RANK];
    int64_t stride[NM_MAX_RANK]; // elements; 0: the dim is in the name
    int64_t base;                // elements
    int rank;
    int64_t shape[NM_MAX_RANK]; // of the file's tensor
} nm_part_of;

typedef struct nm_config_row { // key: value = absent
    nm_loc loc;
    int n_keys;
    const nm_sym *key;  // rope_scaling.factor; the first is what an export writes
    const char *value;  // JSON; "": an export has no such key
    const char *absent; // JSON: what a file says that lacks it; "": nothing
    bool written;       // an export writes it, an import does not look
} nm_config_row;

typedef struct nm_weights { // weights hf { ... }
    nm_sym name;
    nm_loc loc;
    nm_sym misfit; // why it does not fit what is compiled; NULL: it fits
    int n_rows;
    nm_config_row *row;
    int n_parts;
    nm_part_of *part; // of the parameters in order
} nm_weights;

#endif
