// A weights map matched with a foreign folder: which tensor has what of which parameter, all of it
// checked before the first number is read.
#ifndef NMRT_FOREIGN_MATCH_H
#define NMRT_FOREIGN_MATCH_H

#include "runtime/foreign/folder.h"
#include "runtime/foreign/parts.h"

typedef struct nmrt_match { // zero-initialised: nothing is matched
    const nmdrv_program *program;
    const nmdrv_weights *map;
    const nmrt_foreign *from;
    // The folder's names may have a prefix more than the map's ("transformer."), or less.
    char more[64], less[64];
    bool *used; // [from->n] tensors that the map names
} nmrt_match;

// Every tensor of the map has to be there, with the map's shape and numbers that become f32.
// `from` must outlive it. Release it in any case.
nmrt_status nmrt_match_init(nmrt_match *m, const nmdrv_program *program, const nmdrv_weights *map,
                            const nmrt_foreign *from, nmrt_error *e);
// Of the names alone: nothing is checked, and tensors may be absent.
void nmrt_match_names(nmrt_match *m, const nmdrv_program *program, const nmdrv_weights *map,
                      const nmrt_foreign *from);
void nmrt_match_release(nmrt_match *m);

// A note of the tensors of the folder that nobody reads; nothing where there are none.
void nmrt_match_print_unused(const nmrt_match *m, nmrt_text *out);
// The tensor that the map calls so; NULL: none.
const nmrt_foreign_tensor *nmrt_match_find(const nmrt_match *m, const char *name);
// A box of the parameter, row-major, into `to`. No page that it reads of stays in the memory.
nmrt_status nmrt_match_read(const nmrt_match *m, int64_t param, const nmrt_box *box, float *to,
                            nmrt_error *e);

#endif
