// C of the user's own, for extern ops: clang compiles it and libclang reads its prototypes. Both
// are found when they are needed: NEMOCC_CLANG and NEMOCC_LIBCLANG name them, else they are those
// that nemocc was built with, else what the machine has of the same version. Nothing else of nemocc
// needs them.
//
// A source is seen at its own name, with its folder in front for "includes", and with nemocc's
// headers for such files (nemocc/op.h).
#ifndef NM_BASE_CLANG_H
#define NM_BASE_CLANG_H

#include "base/diag.h"

typedef enum {
    NM_CLANG_HOST,     // bitcode for this machine's processors
    NM_CLANG_EMU,      // of a GPU's kernel, for the emulator
    NM_CLANG_PTX,      // of a GPU's kernel
    NM_CLANG_LOAD,     // a shared object for this process
    NM_CLANG_LOAD_F64, // the same, and its floats are doubles
} nm_clang_kind;

typedef struct nm_clang_job {
    nm_clang_kind kind;
    const nm_source *source;
    const char *behind; // more text, behind the source's; NULL: none
    nm_loc loc;         // who asks for it
} nm_clang_job;

// What clang makes of it, in the arena; NULL: reported, and what clang says of the source is on
// stderr.
char *nm_clang_compile(nm_arena *arena, nm_diag *diag, const nm_clang_job *job, size_t *size);
// The function of that name in the source, in this process, which then never lets it go; NULL:
// reported.
void *nm_clang_load(nm_arena *arena, nm_diag *diag, const nm_clang_job *job, const char *function);

// --- prototypes ----------------------------------------------------------------------------------

enum { NM_MAX_C_PARAMS = 64 };

typedef struct nm_c_param {
    nm_loc loc;       // in the source
    const char *text; // "const float *letters"
    const char *type; // "const float *": as clang writes it, typedefs of <stdint.h> kept
} nm_c_param;

typedef struct nm_c_function {
    nm_loc loc; // src NULL: the source defines no such function
    const char *result;
    int n; // of parameters; those beyond NM_MAX_C_PARAMS are counted alone
    nm_c_param param[NM_MAX_C_PARAMS];
} nm_c_function;

// The function as the source defines it. kind: whose macros and headers it sees. False: reported,
// with clang's first error at its place.
bool nm_clang_prototype(nm_arena *arena, nm_diag *diag, const nm_clang_job *job,
                        const char *function, nm_c_function *out);

// --- private to base/ ----------------------------------------------------------------------------

enum { NM_CLANG_MAX_WORDS = 40 };
typedef struct nm_clang_words { // of a command line
    int n;
    const char *word[NM_CLANG_MAX_WORDS];
} nm_clang_words;
typedef struct nm_clang_folder { // of the files of one run, removed by nm_clang_close
    const char *path, *source;
    int n_files;
    const char *file[8];
} nm_clang_folder;

// The source, with nemocc's headers beside it, and the words that a compiler of it gets. False:
// reported; then, too, it has to be closed.
bool nm_clang_open(nm_arena *arena, nm_diag *diag, const nm_clang_job *job, nm_clang_folder *folder,
                   nm_clang_words *words);
void nm_clang_close(const nm_clang_folder *folder);

#endif
