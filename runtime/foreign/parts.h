// A row of a weights map: a part of a parameter that lies in tensors of a foreign checkpoint, one
// tensor for each index of the dims that stand in its name.
#ifndef NMRT_FOREIGN_PARTS_H
#define NMRT_FOREIGN_PARTS_H

#include "runtime/foreign/strides.h"

// The map of this name; it has to fit the program. Fails with what maps there are, or why not.
nmrt_status nmrt_weights_find(const nmdrv_weights **map, const nmdrv_program *program,
                              const char *name, nmrt_error *e);

// Does the map have the parameter? Adapters' it has not.
bool nmrt_weights_have(const nmdrv_weights *map, int64_t param);
// How many parameters it has not; *first: the path of one.
int64_t nmrt_weights_count_left(const nmdrv_weights *map, const nmdrv_program *program,
                                const char **first);

// Several parameters may lie in one tensor: is this the first row of the map with its name?
bool nmrt_part_is_first(const nmdrv_weights *map, const nmdrv_part_of *part);
nmrt_box nmrt_part_box(const nmdrv_program *program, const nmdrv_part_of *part);

// The tensors that a box of the parameter meets:
//     nmrt_instance i = {0};
//     while (nmrt_instance_next(part, &box, &i)) ...
typedef struct nmrt_instance {
    bool started;
    nmrt_box box; // of the parameter: what the tensor has of it
    char name[NMRT_MAX_TENSOR_NAME];
} nmrt_instance;
// `within` lies in the part. A name that is too long is cut, and is no tensor's then.
bool nmrt_instance_next(const nmdrv_part_of *part, const nmrt_box *within, nmrt_instance *i);

// How the instance lies in its tensor and in the row-major array of the box `ours`; *file and *at
// become the elements in front of its first there.
nmrt_strides nmrt_instance_strides(const nmdrv_part_of *part, const nmrt_box *instance,
                                   const nmrt_box *ours, int64_t *file, int64_t *at);

#endif
