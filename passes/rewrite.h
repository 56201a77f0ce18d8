// Rewrite rules as text: "pattern => result".
//
//   neg(neg(?x)) => ?x
//   sum(sum(?x, $a), $b)               with .build: a C function makes the result
//
//   ?x      any value; the same letter twice must be the same value
//   $k      the op's attributes, all of them; the same letter twice must be equal attributes.
//   Without
//           one a pattern matches whatever the attributes are, a result has none
//   1.5     in a pattern: a const of that value and any type. In a result: a scalar of the root's
//   dtype op(...) a value computed by that op; commuting ops match either way round
//
// The laws: a rule keeps the type of its root (where only dims are missing, the value is
// broadcast); a set of rules shrinks something, ops or a stated cost, so that it ends; a rule never
// reads a value's name or id; a rule for floats says which identity it uses where it is not exact
// for every number, or carries .fast.
#ifndef NM_PASSES_REWRITE_H
#define NM_PASSES_REWRITE_H

#include "ir/ir.h"

typedef struct nm_match {
    nm_func *f;
    nm_op *root;
    nm_value *var[26];     // nm_var(m, 'x')
    const nm_op *attr[26]; // the op whose attributes $k is
    const char *miss;      // the deepest place in the pattern that did not match, and why
    const char *why;
} nm_match;

typedef struct nm_rule {
    const char *text;
    bool (*when)(const nm_match *m); // may veto
    nm_value *(*build)(nm_match *m); // makes the result, before m->root; NULL: declined
    bool fuse; // inner values must have one reader: others would make us compute them twice
    bool fast; // changes rounding: only with --fast-casts
} nm_rule;

// RULE("a => b", .when = f)
// clang-format off
#define RULE(...) {.text = __VA_ARGS__}
// clang-format on

static inline nm_value *nm_var(const nm_match *m, char x) { return m->var[x - 'a']; }

// Apply rules, in f and the bodies in it, until none matches. Rules are tried in order.
void nm_rewrite(nm_func *f, const nm_rule *rules, size_t n_rules, bool *changed);

// Erase v's op if it is pure and nobody reads it, and so on up its operands.
void nm_erase_dead(nm_value *v);
bool nm_same_attrs(const nm_op *a, const nm_op *b);

#endif
