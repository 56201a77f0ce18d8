// The flags of an emitted binary, parsed. options.def has one row a flag; the program's own numbers
// (hyper.h) are flags of `train`, too.
#ifndef NMRT_OPTIONS_H
#define NMRT_OPTIONS_H

#include "runtime/hyper.h"
#include "runtime/rampup.h"
#include "runtime/recompute.h"

typedef enum {
    NMRT_TRAIN = 1,
    NMRT_EVAL = 2,
    NMRT_GENERATE = 4,
    NMRT_INFO = 8,
    NMRT_HELP = 16,
    NMRT_PLAN = 32,
    NMRT_EXPORT = 64,
    NMRT_IMPORT = 128
} nmrt_verb;

typedef const char *nmrt_option_STRING, *nmrt_option_CHOICE;
typedef int64_t nmrt_option_INT, nmrt_option_COUNT;
typedef double nmrt_option_REAL, nmrt_option_TIME;
typedef bool nmrt_option_SWITCH;

enum {
    NMRT_CARRIED = 20,
    NMRT_N_OPTIONS = 0 // rows of options.def
#define OPTION(...) +1
#include "runtime/options.def"
#undef OPTION
};

typedef struct nmrt_options {
    nmrt_verb verb, help_of; // help_of: the verb that --help or `help VERB` asks about; 0: all
#define OPTION(field, name, arg, kind, verbs, group, def, help) nmrt_option_##kind field;
#include "runtime/options.def"
#undef OPTION
    bool imports;               // the verb is import, which runs as train, without a step
    bool given[NMRT_N_OPTIONS]; // a flag set option i
    nmrt_hypers hypers;
    nmrt_recompute ways;         // what --recompute says of them
    nmrt_rampup rampup;          // what --rampup-batch-size says
    char *carried[NMRT_CARRIED]; // owned: texts that a checkpoint gave (resume.h)
    nmrt_text notes;             // where flags differ from the checkpoint's, a line each
} nmrt_options;

// Fills *o (release it in any case). Everything that is wrong goes into `problems`, a line each; it
// is empty iff the status is NMRT_OK. Where the run goes on from a checkpoint, flags that are not
// given are the checkpoint's. What needs the program's sizes is checked by the verbs.
nmrt_status nmrt_options_parse(nmrt_options *o, const nmdrv_program *program, int argc, char **argv,
                               nmrt_text *problems);
void nmrt_options_release(nmrt_options *o);
// Of flags that are parsed; fills what follows from several of them.
void nmrt_options_check(nmrt_options *o, nmrt_text *problems);
void nmrt_options_help(const nmrt_options *o, const char *binary, nmrt_text *out);

// The rows, for help and for a checkpoint's record of the flags.
typedef enum {
    NMRT_KIND_STRING,
    NMRT_KIND_CHOICE,
    NMRT_KIND_INT,
    NMRT_KIND_COUNT,
    NMRT_KIND_REAL,
    NMRT_KIND_TIME, // seconds, above 0
    NMRT_KIND_SWITCH
} nmrt_kind;
typedef struct nmrt_option {
    const char *name, *arg, *group, *def, *help;
    nmrt_kind kind;
    unsigned verbs;
    size_t at; // of the field in nmrt_options
} nmrt_option;
extern const nmrt_option nmrt_option_table[];
extern const int nmrt_n_options;
const nmrt_option *nmrt_option_find(const char *name); // NULL: none
bool nmrt_option_given(const nmrt_options *o, const nmrt_option *option);
// Parses a value, which must outlive *o where it is a text.
void nmrt_option_set(nmrt_options *o, const nmrt_option *option, const char *text,
                     nmrt_text *problems);
// The value that the option has now, as one would write it behind the flag, and as JSON.
void nmrt_option_print(const nmrt_options *o, const nmrt_option *option, nmrt_text *out);
void nmrt_option_print_json(const nmrt_options *o, const nmrt_option *option, nmrt_text *out);

typedef struct nmrt_verb_info {
    nmrt_verb verb;
    const char *name, *does;
} nmrt_verb_info;
extern const nmrt_verb_info nmrt_verbs[]; // ends in a name NULL
const char *nmrt_verb_name(nmrt_verb verb);

#endif
