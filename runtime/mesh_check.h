// Between mesh.c and mesh_check.c: what is wrong with a mesh, and what both read of symbols.
#ifndef NMRT_MESH_CHECK_H
#define NMRT_MESH_CHECK_H

#include "runtime/mesh.h"

// Each adds a line a mistake to e, which holds what fits; none if all is well.
void nmrt_mesh_check_flags(const nmrt_mesh_flags *f, nmrt_error *e); // by themselves
// Can the program run on it? Its sizes, stores and mode are set; a mode that is -1 is explained.
void nmrt_mesh_check_fit(const nmrt_mesh *m, const nmrt_mesh_flags *f, nmrt_error *e);

bool nmrt_sym_is_local(const nmdrv_sym_info *s);                     // a part of a dim
int64_t nmrt_sym_axes(const nmdrv_sym_info *s);                      // bits
int64_t nmrt_sym_parts(const nmrt_mesh *m, const nmdrv_sym_info *s); // that a dim is cut in
int64_t nmrt_sym_stored(const nmrt_mesh *m, const nmdrv_sym_info *s,
                        int64_t whole); // with its padding

#endif
