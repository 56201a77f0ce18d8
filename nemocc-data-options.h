// The command line of nemocc-data: a verb, flags (nemocc-data-options.def has a row each), files.
#ifndef NM_DATA_OPTIONS_H
#define NM_DATA_OPTIONS_H

#include "runtime/output.h"
#include "runtime/status.h"
#include "runtime/text.h"

#include <stdint.h>

typedef struct nm_data_list { // of a flag that may be given again and again
    const char **at;          // owned; the texts are the command line's
    int n;
} nm_data_list;

typedef const char *nm_data_STRING, *nm_data_CHOICE;
typedef nm_data_list nm_data_LIST;
typedef int64_t nm_data_INT, nm_data_COUNT;
typedef bool nm_data_SWITCH;

typedef struct nm_data_options nm_data_options;

enum { NM_DATA_TOKENIZE = 1, NM_DATA_INFO = 2, NM_DATA_MERGE = 4, NM_DATA_TRAIN = 8 };

typedef struct nm_data_verb {        // nemocc-data.c has the table
    const char *name, *words, *does; // words: what stands behind the flags
    unsigned bit;                    // one of the above
    bool takes_many;                 // words, not one alone
    nmrt_status (*run)(const nm_data_options *o, const nmrt_output *out, nmrt_error *e);
} nm_data_verb;
extern const nm_data_verb nm_data_verbs[]; // ends in a name NULL

struct nm_data_options {
    const nm_data_verb *verb; // NULL: none was named, which help allows
#define OPTION(field, name, arg, kind, verbs, needed, def, help) nm_data_##kind field;
#include "nemocc-data-options.def"
#undef OPTION
    nm_data_list word; // what is no flag: files
    bool help, version;
};

// Fills *o (release it in any case). What is wrong goes into `problems`, a line each; it is empty
// iff the status is NMRT_OK.
nmrt_status nm_data_options_parse(nm_data_options *o, int argc, char **argv, nmrt_text *problems);
void nm_data_options_release(nm_data_options *o);
void nm_data_options_help(const nm_data_options *o, nmrt_text *out);

#endif
