// The header of plug-ins: passes that are built out of tree, as a shared library, and loaded by
// `nemocc --load-pass=LIB.so`. It is all that one has to include; examples/pass is such a library.
//
//   static bool run(nm_module *m, bool *changed) { ... }
//
//   NM_PLUGIN(.after = "tidy", .pass = {.name = "swiglu", .run = run, .needs = CANONICAL,
//                                       .why = "once gradients exist: both ways get the same
//                                       kernel"})
//
// A plug-in is a pass like those of pipeline.def: a row of the table says where it stands, which
// facts it needs, gives and breaks, and why; the manager holds it to that. It works on the
// compiler's own structs, so it fits the nemocc whose headers it was built with, and no other;
// nemocc compares and says so. Memory comes from m->arena, what the user did wrong goes to m->diag.
#ifndef NM_PASSES_PLUGIN_H
#define NM_PASSES_PLUGIN_H

#include "ir/ir.h"
#include "ir/loop.h"
#include "passes/pass.h"
#include "passes/remarks.h"
#include "passes/rewrite.h"

// Raised when a function, a fact or an enumerator that plug-ins see changes its meaning. Structs
// that change their size and ops that come, go or move are noticed without.
enum { NM_PLUGIN_VERSION = 1 };

// The names of all ops, in the order of their codes.
#define OP(id, ...) #id " "
static const char nm_plugin_ops[] =
#include "ir/ops.def"
    ;
#undef OP

#define NM_PLUGIN_SIZES                                                                            \
    sizeof(nm_module), sizeof(nm_func), sizeof(nm_op), sizeof(nm_value), sizeof(nm_type),          \
        sizeof(nm_attr), sizeof(nm_proto), sizeof(nm_op_info), sizeof(nm_pass), sizeof(nm_rule),   \
        sizeof(nm_match), sizeof(nm_loop)

typedef struct nm_plugin {
    int version;                // first, for ever: the rest is read if it is the same
    size_t sizes[12];           // of the structs that both sides walk
    const char *ops;            // nm_plugin_ops
    const char *before, *after; // one of them: the pass beside which it stands; a plug-in's, too
    nm_pass pass;
} nm_plugin;

// Once in a library, with .pass and .before or .after.
#define NM_PLUGIN(...)                                                                             \
    extern const nm_plugin nm_plugin_entry;                                                        \
    __attribute__((visibility("default"))) const nm_plugin nm_plugin_entry = {                     \
        .version = NM_PLUGIN_VERSION,                                                              \
        .sizes = {NM_PLUGIN_SIZES},                                                                \
        .ops = nm_plugin_ops,                                                                      \
        __VA_ARGS__,                                                                               \
    };

#endif
