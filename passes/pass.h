// The pass manager: runs the rows of pipeline.def over a module and keeps them honest.
#ifndef NM_PASSES_PASS_H
#define NM_PASSES_PASS_H

#include "ir/ir.h"

// Facts about the whole module; true until a pass that breaks them. Each has a checker in facts.c.
enum nm_facts {
    HEADS = 1 << 0,     // in an attention, every dim that q and k share has one name
    CANONICAL = 1 << 1, // no `call` is left, and no op that computes for nobody
    GRADS = 1 << 2,     // no `grad` op is left
    CONCRETE = 1 << 3,  // no type is `real`
    CUT = 1 << 4,       // no whole train or eval step is left: each is cut into micro and finish
    GROUPED = 1 << 5,   // every op is a group, a repeat, a collective or a ret
    PLANNED = 1 << 6,   // every function has a plan (ir/plan.h)
    // Of maps, casts alone round. And it is settled what is rounded where: no pass but one that
    // gives this again makes it otherwise, which --evaluate-each sees.
    ROUNDED = 1 << 7,
    EXPERTS = 1 << 8,    // no dispatch or combine is left
    LOCAL = 1 << 9,      // types are of one rank's part: no dim has axes, no sum is pending
    QUANTISED = 1 << 10, // no qdq is left
    ORDERED = 1 << 11,   // what a repeat stacks has the dim of its turns in front
};

typedef struct nm_pass {
    const char *name, *why;
    bool (*run)(nm_module *m, bool *changed); // false: reported to m->diag
    unsigned needs, gives, breaks;            // facts
} nm_pass;

enum { NM_MAX_PLUGINS = 16 };
typedef struct nm_plugin_file { // --load-pass
    const char *path;
    const struct nm_plugin *plugin; // passes/plugin.h; NULL before nm_plugins_load
} nm_plugin_file;

typedef struct nm_pipeline_opts { // pass names; NULL: not asked for
    const char *dump_after;       // a name, or "all"
    const char *start_from, *stop_after;
    const char *only;    // "a,b": just these, in this order, whatever they need
    const char *disable; // "a,b": not these
    char disabled[1024]; // where the command line's options --disable-pass are put together
    int pass_limit;      // stop after so many passes; 0: no limit
    bool verify_each;    // re-prove the facts, and check the changed flags, after each pass
    bool evaluate_each;  // each function computes after a pass what it did before (evaluate.h)
    bool time_passes;    // a table of times and op counts, to `log`
    FILE *dump, *log;
    int n_plugins;
    nm_plugin_file plugin[NM_MAX_PLUGINS];
} nm_pipeline_opts;

// Open the plug-ins that the options name; false: reported. Before anything else is done with them.
bool nm_plugins_load(nm_diag *diag, nm_pipeline_opts *opts);
// Run the pipeline; false: reported to m->diag (an unknown pass name, too).
bool nm_pipeline_run(nm_module *m, const nm_pipeline_opts *opts);
// One line a pass: number, name, why it is here; of a plug-in, its file.
void nm_pipeline_print(FILE *out, const nm_pipeline_opts *opts);

// One more --load-pass. false: no name, or too many.
bool nm_pipeline_load(nm_pipeline_opts *opts, const char *path);
// Take one command-line option, if it is the pipeline's. 1: taken, 0: not ours, -1: malformed.
int nm_pipeline_option(nm_pipeline_opts *opts, const char *arg);
extern const char nm_pipeline_help[];

#define PASS(name, function, ...) bool nm_pass_##function(nm_module *m, bool *changed);
#include "passes/pipeline.def"
#undef PASS

#endif
