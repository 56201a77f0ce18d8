// Images: all gpu kernels of a binary for one architecture, as PTX and, where ptxas is found, as a
// cubin beside it.
#ifndef NM_CODEGEN_IMAGE_H
#define NM_CODEGEN_IMAGE_H

#include "codegen/compile.h"

typedef struct nm_image {
    const nm_target *target;
    bool is_cubin;
    char *data; // PTX: text, with a zero behind it; from malloc
    size_t size;
} nm_image;

typedef struct nm_ptxas_said { // of one image
    const nm_target *target;
    const char *text; // in the arena
} nm_ptxas_said;

enum { NM_MAX_IMAGES = 2 * NM_MAX_ARCHS };
typedef struct nm_images {
    int n; // the newest architecture first, a cubin before its PTX
    nm_image image[NM_MAX_IMAGES];
    int n_said; // by ptxas, where it was found
    nm_ptxas_said said[NM_MAX_ARCHS];
} nm_images;

// Of the compiled objects that are for GPUs, for these architectures; a kernel that is the same on
// all has one object. cubins: look for ptxas. False: reported.
bool nm_images_make(nm_module *m, int n_targets, const nm_target *target, int n,
                    const nm_object *object, bool cubins, nm_images *out);
void nm_images_release(nm_images *images);
// The texts alone, to a file. False: reported.
bool nm_images_write(nm_module *m, const char *path, const nm_images *images);

// ptxas.c: the path of ptxas: $NEMOCC_PTXAS (empty: use none), on the PATH, or in the usual place.
// NULL: there is none. In the arena.
const char *nm_ptxas_find(nm_module *m);
// False: what NEMOCC_PTXAS names is none, or one is wanted and there is none; reported.
bool nm_ptxas_check(nm_module *m, bool wanted);
// What it says of itself, and the flags that it is run with, in the arena. False: it could not be
// run; reported.
bool nm_ptxas_version(nm_module *m, const char *ptxas, const char **version);
// A cubin of a PTX image, and what ptxas says of its kernels (-v), in the arena. False: it refused
// the image; reported.
bool nm_ptxas_run(nm_module *m, const char *ptxas, const nm_image *ptx, nm_image *cubin,
                  const char **said);

// cubins.c: the same, or what it gave an earlier compilation for the same text.
bool nm_cubin_make(nm_module *m, const char *ptxas, const char *version, const nm_image *ptx,
                   nm_image *cubin, const char **said);

#endif
